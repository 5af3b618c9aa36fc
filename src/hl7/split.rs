//! Takes a file apart into messages: one message, several under each other, or several MLLP blocks in a row.

use super::encoding;
use super::header::{Payload, peek};
use memchr::memmem;
use std::ops::Range;

/// Where each message of a file stands. Blank lines between messages, and block characters around them, belong to none.
pub fn messages(file: &[u8]) -> Vec<Range<usize>> {
    // Two bytes a character: what is looked for below does not stand in it. It is taken whole.
    if encoding::looks_like_utf16(file) {
        return std::iter::once(0..file.len()).collect();
    }
    let mut starts: Vec<usize> = memmem::find_iter(file, b"MSH")
        .filter(|at| is_start(file, *at))
        .collect();
    // A VT further on is text: some senders write line breaks so.
    let text = starts.first().copied().unwrap_or(file.len());
    if file[..text].contains(&0x0B) {
        return blocks(file);
    }
    // A batch is one thing: its messages are not taken out of it.
    let first = starts.first().copied().unwrap_or(file.len());
    if let Payload::Batch(_) = peek(file) {
        starts.clear();
    }
    if starts.is_empty()
        || !file[..first].trim_ascii().is_empty() && file[..first] != *b"\xef\xbb\xbf"
    {
        starts.insert(0, 0);
        starts.truncate(1);
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| trim(file, *start..end))
        .filter(|range| !range.is_empty())
        .collect()
}

/// `MSH` begins a message at the start of a line, followed by something that can separate fields.
fn is_start(file: &[u8], at: usize) -> bool {
    let line_start =
        at == 0 || matches!(file[at - 1], b'\r' | b'\n') || file[..at] == *b"\xef\xbb\xbf";
    line_start && file.get(at + 3).is_some_and(u8::is_ascii_punctuation)
}

fn blocks(file: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = memchr::memchr(0x0B, &file[at..]).map(|start| at + start + 1) {
        // Not beyond the next block, whatever ends this one.
        let next = memchr::memchr(0x0B, &file[start..]).map_or(file.len(), |next| start + next);
        let block = &file[start..next];
        let end = memmem::find(block, b"\x1c\r").or_else(|| memchr::memrchr(0x1C, block));
        let end = end.map_or(next, |end| start + end);
        found.push(start..end);
        at = end;
    }
    found.retain(|range| !range.is_empty());
    found
}

/// Without blank lines in front, and with one terminator at the end at most.
fn trim(file: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &file[range.clone()];
    let lead = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let tail = text
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    if lead == text.len() {
        return range.start..range.start;
    }
    let content_end = range.end - tail;
    let terminator = match &file[content_end..range.end] {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    };
    range.start + lead..content_end + terminator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(file: &[u8]) -> Vec<String> {
        messages(file)
            .into_iter()
            .map(|range| String::from_utf8_lossy(&file[range]).into_owned())
            .collect()
    }

    #[test]
    fn files_as_they_are_found() {
        assert_eq!(
            split(b"MSH|1\rPID|1\rMSH|2\r"),
            ["MSH|1\rPID|1\r", "MSH|2\r"]
        );
        assert_eq!(
            split(b"\n\nMSH|1\r\nPID|MSH|x\r\n\r\n\r\nMSH|2\r\n"),
            ["MSH|1\r\nPID|MSH|x\r\n", "MSH|2\r\n"]
        );
        assert_eq!(
            split(b"\x0bMSH|1\r\x1c\r\x0bMSH|2\r\x1c\r"),
            ["MSH|1\r", "MSH|2\r"]
        );
        assert_eq!(split(b"\x0bMSH|1\r"), ["MSH|1\r"]);
        assert_eq!(split(b"junk\n\x0bMSH|1\r\x1c\r"), ["MSH|1\r"]);
        assert_eq!(
            split(b"MSH|1\rOBX|a\x0bb\rMSH|2\r"),
            ["MSH|1\rOBX|a\x0bb\r", "MSH|2\r"]
        );
        assert_eq!(
            split(b"\x0bMSH|1\r\x1c\n\x0bMSH|2\r\x1c\x0bMSH|3\r\x1c\r"),
            ["MSH|1\r", "MSH|2\r", "MSH|3\r"]
        );
        assert_eq!(
            split(b"MSH|1\rNTE|a\x0bb\rMSH|2\r"),
            ["MSH|1\rNTE|a\x0bb\r", "MSH|2\r"],
            "a VT in text"
        );
        assert_eq!(split(b"MSH|1"), ["MSH|1"]);
        assert_eq!(
            split(b"BHS|^~\\&|\rMSH|1\rMSH|2\rBTS|2\r"),
            ["BHS|^~\\&|\rMSH|1\rMSH|2\rBTS|2\r"]
        );
        assert_eq!(split(b"<ADT_A01/>\n"), ["<ADT_A01/>\n"]);
        assert_eq!(split(b"  \r\n"), Vec::<String>::new());
        assert_eq!(split(b""), Vec::<String>::new());
    }
}
