//! How the demo looks: short headings, and under each what went over which wire, with a label in the margin.

use crate::cmd::paint::Paint;
use serde_json::Value;
use std::io::Write;

/// Columns that a line has.
const WIDTH: usize = 100;
/// Columns of the margin.
const MARGIN: usize = 12;
/// Before the rest of a segment.
const CONTINUED: &str = "    ";

/// Writes to standard output, part by part as things happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) paint: Paint,
}

impl Page {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint }
    }

    /// One line as it is.
    pub(super) fn line(self, text: &str) {
        // A reader that has seen enough (`| head`) is no failure.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// `2  What happens here`, and a sentence.
    pub(super) fn heading(self, number: usize, title: &str, sentence: &str) {
        let title = self.paint.bold(&format!("{number}  {title}"));
        self.line(&format!("\n{title}\n   {sentence}"));
    }

    /// Lines with a label beside the first of them.
    pub(super) fn part(self, label: &str, lines: &[String]) {
        for (place, line) in lines.iter().enumerate() {
            let label = if place == 0 { label } else { "" };
            let label = self
                .paint
                .dim(&format!("{label:<width$}", width = MARGIN - 3));
            self.line(&format!("   {label}{}", cut(line, WIDTH - MARGIN)));
        }
    }

    /// What was expected, and whether it was so.
    pub(super) fn verdict(self, right: bool, expected: &str) {
        let line = if right {
            self.paint.good(&format!("✓ {expected}"))
        } else {
            self.paint.bad(&format!("✗ NOT as expected: {expected}"))
        };
        self.line(&format!("   {line}"));
    }
}

/// Bytes of the wire with the control characters by name, a segment a line.
pub(super) fn wire(bytes: &[u8]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for c in String::from_utf8_lossy(bytes).chars() {
        if let Some(line) = lines.last_mut() {
            match c {
                '\x0b' => line.push_str("<VT>"),
                '\x1c' => line.push_str("<FS>"),
                '\0' => line.push_str("<NUL>"),
                '\n' => line.push_str("<LF>"),
                '\r' => line.push_str("<CR>"),
                c if c.is_control() => line.push('?'),
                c => line.push(c),
            }
        }
        if matches!(c, '\r' | '\n') {
            lines.push(String::new());
        }
    }
    lines.retain(|line| !line.is_empty());
    // The end of a block stands behind its last segment.
    if let [.., last, end] = lines.as_mut_slice()
        && end == "<FS><CR>"
    {
        last.push_str(end);
        lines.pop();
    }
    lines.iter().flat_map(|line| wrap(line)).collect()
}

/// A segment that is too long goes on, indented, after one of its separators: nothing of it is left out.
fn wrap(segment: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for field in segment.split_inclusive('|') {
        if line.chars().count() + field.chars().count() > WIDTH - MARGIN {
            lines.push(std::mem::replace(&mut line, CONTINUED.to_owned()));
        }
        line.push_str(field);
    }
    lines.push(line);
    lines
}

/// JSON in lines. What does not fit in one is opened, but for segments other than PID: those are cut.
pub(super) fn outline(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    open(value, "", 0, "", &mut lines);
    lines
}

fn open(value: &Value, key: &str, depth: usize, comma: &str, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let compact = format!("{indent}{key}{value}{comma}");
    let other_segment = value.get("fields").is_some() && value["id"] != "PID";
    let fits = compact.chars().count() <= WIDTH - MARGIN;
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (format!("{}: ", Value::from(name.as_str())), value))
            .collect(),
        Value::Array(items) => items.iter().map(|item| (String::new(), item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    // The two outer levels are always open: that is the shape to see.
    let outer = depth == 0 || key == "\"data\": ";
    if inner.is_empty() || other_segment || fits && !outer {
        lines.push(cut(&compact, WIDTH - MARGIN));
        return;
    }
    let (left, right) = if value.is_array() {
        ("[", "]")
    } else {
        ("{", "}")
    };
    lines.push(format!("{indent}{key}{left}"));
    let last = inner.len() - 1;
    for (place, (key, value)) in inner.iter().enumerate() {
        open(
            value,
            key,
            depth + 1,
            if place == last { "" } else { "," },
            lines,
        );
    }
    lines.push(format!("{indent}{right}{comma}"));
}

/// At most so many characters, the last one `…` if there were more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn control_characters_have_names() {
        assert_eq!(
            wire(b"\0\n\x0bMSH|1\rPID|1\r\x1c\r"),
            ["<NUL><LF>", "<VT>MSH|1<CR>", "PID|1<CR><FS><CR>"]
        );
        assert_eq!(
            wire(b"\x0bMSH|1\x1c\x0bMSH|2\x1c\r"),
            ["<VT>MSH|1<FS><VT>MSH|2<FS><CR>"]
        );
    }

    #[test]
    fn a_long_segment_goes_on_in_the_next_line() {
        let field = "x".repeat(WIDTH / 2);
        let lines = wire(format!("MSH|{field}|{field}|\r").as_bytes());
        assert_eq!(
            lines,
            [format!("MSH|{field}|"), format!("    {field}|<CR>")]
        );
    }

    #[test]
    fn json_is_opened_where_it_does_not_fit() {
        let long = "x".repeat(WIDTH);
        let value = json!({
            "id": "1",
            "data": { "raw": long, "segments": [
                { "id": "MSH", "fields": { "3": long } },
                { "id": "PID", "fields": { "3": [{ "1": "4711" }], "5": [{ "1": long }] } },
            ]},
        });
        let lines = outline(&value);
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() <= WIDTH - MARGIN)
        );
        assert!(
            lines.contains(&"          \"3\": [{\"1\":\"4711\"}],".to_owned()),
            "{lines:#?}"
        );
        let msh = lines.iter().find(|line| line.contains("MSH"));
        assert!(msh.is_some_and(|line| line.ends_with('…')), "{lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some("}"));
    }
}
