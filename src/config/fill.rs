//! What is filled into a message's header where it is empty.

/// Header fields that are filled in where they are empty. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fill {
    /// MSH-7: the time, with its offset.
    pub time: bool,
    /// MSH-10: an ID that no other message has.
    pub control_id: bool,
    /// MSH-3 to MSH-6 in this order: sending application and facility, receiving application and facility. In the usual delimiters:
    /// `^` between components, `&` between subcomponents.
    pub parties: [Option<Box<str>>; 4],
}

impl Fill {
    /// The fields of [`parties`](Self::parties), as the keys are named.
    pub const PARTIES: [(u8, &'static str); 4] = [
        (3, "sending_application"),
        (4, "sending_facility"),
        (5, "receiving_application"),
        (6, "receiving_facility"),
    ];

    /// Whether a text can be one of them: not empty, no control characters, no field separator, repetition, escape or quotation mark,
    /// and at most 227 characters (the longest HD that chapter 2A knows).
    pub fn is_party(text: &str) -> bool {
        let odd = |c: char| c.is_control() || matches!(c, '|' | '~' | '\\' | '"');
        !text.trim().is_empty() && !text.contains(odd) && text.chars().count() <= 227
    }

    /// Whether nothing is to be filled in.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_a_field_and_no_more() {
        for good in ["EHR", "EHR^1.2.3^ISO", "Klinik Süd", "a&b"] {
            assert!(Fill::is_party(good), "{good}");
        }
        let long = "x".repeat(228);
        for bad in ["", " ", "a|b", "a~b", "a\\b", "a\rb", "\"\"", &long] {
            assert!(!Fill::is_party(bad), "{bad:?}");
        }
    }
}
