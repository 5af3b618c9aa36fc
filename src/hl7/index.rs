//! Where each segment and field of a message is: one pass, no copies; deeper levels are found when asked for.
//!
//! This is for random access (`PID-3.1`). The envelope reads everything in order and so walks the same
//! [`scan`](super::scan) without storing positions.

use super::header::{Delimiters, Header, Terminator};
use super::path::Path;
use super::scan::{Needles, Scanner};

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// Segment and field offsets of one message.
#[derive(Debug)]
pub struct Index<'a> {
    bytes: &'a [u8],
    delimiters: Delimiters,
    /// For each segment: where it begins, and how many field ends come before its own.
    segments: Vec<(u32, u32)>,
    /// Where each field ends, the segment ID counting as field 0.
    ends: Vec<u32>,
}

/// One segment of an [`Index`].
#[derive(Debug, Clone, Copy)]
pub struct Segment<'i, 'a> {
    bytes: &'a [u8],
    start: usize,
    ends: &'i [u32],
}

impl<'a> Index<'a> {
    /// Indexes a message whose header was read from the same bytes.
    pub fn new(message: &'a [u8], header: &Header<'_>) -> Self {
        // Offsets are 32 bits wide; the largest message that can be configured is 1 GiB.
        let bytes = message.get(header.leading..).unwrap_or_default();
        let field = header.delimiters.field;
        let mut index = Self {
            bytes,
            delimiters: header.delimiters,
            segments: Vec::new(),
            ends: Vec::new(),
        };
        index.segments.reserve(bytes.len() / 64);
        index.ends.reserve(bytes.len() / 8);
        let lf = (header.terminator == Terminator::Lf).then_some(LF);
        let needles = Needles::<3>::new(field, [CR].into_iter().chain(lf));
        let mut start = 0;
        let mut first = 0;
        for at in Scanner::new(bytes, needles, 0) {
            index.ends.push(at as u32);
            if bytes[at] != field {
                index.close(&mut start, &mut first, at);
            }
        }
        index.ends.push(bytes.len() as u32);
        index.close(&mut start, &mut first, bytes.len());
        index
    }

    #[inline]
    fn close(&mut self, start: &mut usize, first: &mut usize, end: usize) {
        let lead = self.bytes[*start..end]
            .iter()
            .take_while(|byte| **byte == LF)
            .count();
        if *start + lead < end {
            self.segments.push(((*start + lead) as u32, *first as u32));
        } else {
            self.ends.truncate(*first);
        }
        *start = end + 1;
        *first = self.ends.len();
    }

    /// All segments in the order of the message; empty lines are none.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_, 'a>> {
        (0..self.segments.len()).map(|number| self.segment(number))
    }

    /// The first segment with this ID.
    pub fn first(&self, id: &[u8]) -> Option<Segment<'_, 'a>> {
        self.segments().find(|segment| segment.id() == id)
    }

    /// Segment *n* from 0. There is one for each number below [`Self::segments`]' length.
    pub fn segment(&self, number: usize) -> Segment<'_, 'a> {
        let (start, first) = self.segments[number];
        let last = self
            .segments
            .get(number + 1)
            .map_or(self.ends.len(), |next| next.1 as usize);
        Segment {
            bytes: self.bytes,
            start: start as usize,
            ends: &self.ends[first as usize..last],
        }
    }

    /// The raw bytes at a path; `None` where the message does not reach.
    pub fn get(&self, path: &Path) -> Option<&'a [u8]> {
        let segment = self
            .segments()
            .filter(|segment| segment.id() == path.segment.as_bytes())
            .nth(path.occurrence - 1)?;
        let Some(number) = path.field else {
            return Some(segment.raw());
        };
        let field = segment.field(number)?;
        if segment.is_header() && number <= 2 {
            return Some(field);
        }
        let split = |value: &'a [u8], delimiter: Option<u8>, number: Option<usize>| match number {
            None => Some(value),
            Some(number) => value.split(|byte| Some(*byte) == delimiter).nth(number - 1),
        };
        let deeper = path.component.is_some() || path.subcomponent.is_some();
        let repetition = path.repetition.or(deeper.then_some(1));
        let value = split(field, self.delimiters.repetition, repetition)?;
        let value = split(value, self.delimiters.component, path.component)?;
        split(value, self.delimiters.subcomponent, path.subcomponent)
    }
}

impl<'a> Segment<'_, 'a> {
    /// The segment ID: three characters, in a message that keeps to the standard.
    pub fn id(&self) -> &'a [u8] {
        &self.bytes[self.start..self.ends[0] as usize]
    }

    /// The whole segment without its terminator.
    pub fn raw(&self) -> &'a [u8] {
        &self.bytes[self.start..self.ends[self.ends.len() - 1] as usize]
    }

    /// Field *n*, raw, as the standard numbers it: MSH-1 is the field separator itself.
    pub fn field(&self, number: usize) -> Option<&'a [u8]> {
        let shift = usize::from(self.is_header());
        if number == shift {
            let end = self.ends[0] as usize;
            return match (self.is_header(), self.ends.len()) {
                (false, _) => Some(self.id()),
                // A header without one separator has no fields: what follows its ID is a terminator.
                (true, 1) => None,
                (true, _) => self.bytes.get(end..=end),
            };
        }
        let place = number.checked_sub(shift)?;
        let end = *self.ends.get(place)? as usize;
        Some(&self.bytes[self.ends[place - 1] as usize + 1..end])
    }

    /// How many fields the segment has, as the standard numbers them.
    pub fn last_field(&self) -> usize {
        match self.ends.len() {
            1 => 0,
            ends => ends - 1 + usize::from(self.is_header()),
        }
    }

    /// MSH, BHS and FHS number their fields from the separator itself.
    pub fn is_header(&self) -> bool {
        matches!(self.id(), b"MSH" | b"BHS" | b"FHS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    fn get(message: &[u8], path: &str) -> Option<String> {
        let Payload::V2(header) = peek(message) else {
            panic!("not v2")
        };
        let index = Index::new(message, &header);
        index
            .get(&path.parse().unwrap())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    const MESSAGE: &[u8] =
        b"MSH|^~\\&#|APP|FAC|||20260101||ADT^A01|7|P|2.7\rPID|1||11^^^A&1.2~22^^^B||DOE^JANE\r\
        OBX|1|ST|a\nb||1\rOBX|2|ST|||2\r\rZZZ\rBHS\r";

    #[test]
    fn paths_reach_every_level() {
        for (path, expected) in [
            ("MSH.1", Some("|")),
            ("MSH.2", Some("^~\\&#")),
            ("MSH.3", Some("APP")),
            ("MSH.10", Some("7")),
            ("MSH.12", Some("2.7")),
            ("MSH.13", None),
            ("PID.3", Some("11^^^A&1.2~22^^^B")),
            ("PID.3[2]", Some("22^^^B")),
            ("PID-3.4.2", Some("1.2")),
            ("PID.3[2].1", Some("22")),
            ("PID.5.2", Some("JANE")),
            ("PID.2", Some("")),
            ("PID.9", None),
            ("OBX[2].1", Some("2")),
            ("OBX.3", Some("a\nb")),
            ("ZZZ", Some("ZZZ")),
            ("ZZZ.1", None),
            ("BHS.1", None),
            ("EVN.1", None),
        ] {
            assert_eq!(get(MESSAGE, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn terminators_and_empty_lines() {
        let lf = String::from_utf8_lossy(MESSAGE)
            .replace("a\nb", "ab")
            .replace('\r', "\n");
        assert_eq!(get(lf.as_bytes(), "OBX[2].5").as_deref(), Some("2"));
        let crlf = lf.replace('\n', "\r\n");
        assert_eq!(get(crlf.as_bytes(), "PID.5.1").as_deref(), Some("DOE"));
        assert_eq!(get(crlf.as_bytes(), "ZZZ").as_deref(), Some("ZZZ"));
    }
}
