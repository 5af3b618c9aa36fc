//! `\C..\` and `\M..\`: another character set for a part of one value (chapter 2, *Escape sequences supporting multiple
//! character sets*). The digits are an escape sequence of ISO 2022 without its ESC: `\C2D46\` is ESC 2D 46, Greek for the bytes
//! from 0xA0 on; `\M2442\` is ESC 24 42, kanji of two bytes each; `\C2842\` goes back to ASCII.

use super::encoding::{decode, encode_into};
use crate::config::Charset;

/// Back to the message's own set.
pub const BACK: &[u8] = b"C2842";

/// Which bytes a set takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plane {
    /// Those from 0xA0 on; the others stay ASCII.
    High,
    /// Those from 0x21 to 0x7E, behind this sequence in ISO-2022-JP.
    Japanese(&'static [u8]),
    /// Those from 0x21 to 0x7E, as the high ones with their first bit off.
    Low,
}

/// A sequence that switches, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The letter and the digits.
    pub body: &'static [u8],
    set: Charset,
    plane: Plane,
}

const fn high(body: &'static [u8], set: Charset) -> Switch {
    Switch {
        body,
        set,
        plane: Plane::High,
    }
}

const fn japanese(body: &'static [u8], sequence: &'static [u8]) -> Switch {
    Switch {
        body,
        set: Charset::Iso2022Jp,
        plane: Plane::Japanese(sequence),
    }
}

/// What ISO's register of character sets has for them. In this order a text's set is looked for when it is written.
const SWITCHES: [Switch; 17] = [
    high(b"C2D41", Charset::Latin1),
    high(b"C2D42", Charset::Latin2),
    high(b"C2D43", Charset::Latin3),
    high(b"C2D44", Charset::Latin4),
    high(b"C2D4C", Charset::Cyrillic),
    high(b"C2D47", Charset::Arabic),
    high(b"C2D46", Charset::Greek),
    high(b"C2D48", Charset::Hebrew),
    high(b"C2D4D", Charset::Latin5),
    high(b"C2D62", Charset::Latin9),
    japanese(b"M2442", b"\x1b$B"),
    japanese(b"M2440", b"\x1b$@"),
    japanese(b"C284A", b"\x1b(J"),
    // Half-width katakana are single bytes in Shift JIS.
    high(b"C2949", Charset::ShiftJis),
    high(b"M242943", Charset::EucKr),
    high(b"M242941", Charset::Gb18030),
    Switch {
        body: b"M242843",
        set: Charset::EucKr,
        plane: Plane::Low,
    },
];

/// What is between the escape characters.
fn body(sequence: &[u8]) -> &[u8] {
    sequence
        .get(1..sequence.len().saturating_sub(1))
        .unwrap_or_default()
}

impl Switch {
    /// The one that a sequence, escape characters and all, stands for.
    pub fn of(sequence: &[u8]) -> Option<Self> {
        let body = body(sequence);
        let known = |switch: &&Self| switch.body.eq_ignore_ascii_case(body);
        SWITCHES.iter().find(known).copied()
    }

    /// Whether a sequence goes back.
    pub fn is_back(sequence: &[u8]) -> bool {
        body(sequence) == BACK
    }

    /// Whether ASCII stays what it is behind it.
    pub fn keeps_ascii(&self) -> bool {
        self.plane == Plane::High
    }

    /// Characters from bytes behind it; `None` where they are not in the set.
    pub fn decode(&self, bytes: &[u8]) -> Option<String> {
        let takes = |byte: &u8| match (self.plane, self.set) {
            (Plane::High, Charset::ShiftJis) => byte.is_ascii() || (0xA1..=0xDF).contains(byte),
            (Plane::High, _) => byte.is_ascii() || *byte >= 0xA0,
            (Plane::Japanese(_) | Plane::Low, _) => (0x21..0x7F).contains(byte),
        };
        if bytes.is_empty() {
            return Some(String::new());
        }
        if !bytes.iter().all(takes) {
            return None;
        }
        match self.plane {
            Plane::High => decode(self.set, bytes),
            Plane::Japanese(sequence) => decode(self.set, &[sequence, bytes, b"\x1b(B"].concat()),
            Plane::Low => {
                let high: Vec<u8> = bytes.iter().map(|byte| byte | 0x80).collect();
                decode(self.set, &high)
            }
        }
    }

    /// A sequence for these characters and their bytes behind it; `None` where no set has them all.
    pub fn encode(text: &str) -> Option<(Self, Vec<u8>)> {
        SWITCHES.iter().find_map(|switch| {
            let mut bytes = Vec::new();
            if !encode_into(&mut bytes, switch.set, text) {
                return None;
            }
            let bytes = match switch.plane {
                Plane::High => bytes,
                Plane::Japanese(sequence) => {
                    let inner = bytes.strip_prefix(sequence)?.strip_suffix(b"\x1b(B")?;
                    inner.to_vec()
                }
                Plane::Low => bytes.iter().map(|byte| byte & 0x7F).collect(),
            };
            (switch.decode(&bytes).as_deref() == Some(text)).then_some((*switch, bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_and_the_bytes_behind_it() {
        for (sequence, bytes, text) in [
            (
                &b"\\C2D46\\"[..],
                &b"\xcd\xdf\xea\xef\xf2 ok"[..],
                "Νίκος ok",
            ),
            (b"\\C2D4C\\", b"\xb8\xd2\xd0\xdd", "Иван"),
            (b"\\M2442\\", b";3ED", "山田"),
            (b"\\C2949\\", b"\xd4\xcf", "ﾔﾏ"),
            (b"\\C284A\\", b"\\", "¥"),
            (b"\\M242843\\", b"\x31\x68", "김"),
            (b"\\m242943\\", b"\xb1\xe8", "김"),
        ] {
            let switch = Switch::of(sequence).expect("a switch");
            assert_eq!(switch.decode(bytes).as_deref(), Some(text), "{text}");
        }
        for other in [&b"\\C2842\\"[..], b"\\H\\", b"\\C\\", b"\\M242844\\", b""] {
            assert_eq!(Switch::of(other), None);
        }
        assert!(Switch::is_back(b"\\C2842\\"));
        let greek = Switch::of(b"\\C2D46\\").expect("a switch");
        assert_eq!(greek.decode(b"\xd2"), None, "not assigned");
        let kanji = Switch::of(b"\\M2442\\").expect("a switch");
        assert_eq!(kanji.decode(b";3E"), None, "half a character");
        assert_eq!(kanji.decode(b";3 D"), None, "a blank is no half of one");
    }

    #[test]
    fn characters_find_their_set() {
        for (text, body) in [
            ("é", &b"C2D41"[..]),
            ("Łódź", b"C2D42"),
            ("Иван", b"C2D4C"),
            ("Νίκος", b"C2D46"),
            ("山田", b"M2442"),
            ("ﾔﾏ", b"C2949"),
            ("김", b"M242943"),
        ] {
            let (switch, bytes) = Switch::encode(text).expect("a set");
            assert_eq!(switch.body, body, "{text}");
            assert_eq!(switch.decode(&bytes).as_deref(), Some(text));
        }
        assert_eq!(Switch::encode("😀é山"), None);
    }
}
