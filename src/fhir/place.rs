//! Places as rows name them, compiled: `PID-3.4.2` in a segment map, `XPN.1.2` or `.1.2` in a value.

/// A place. 0 is "the whole" at each level but the field of [`Place::Segment`], where it is the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the nearest segment of that ID.
    Segment {
        /// Its ID.
        id: [u8; 3],
        /// Field.
        field: u16,
        /// Repetition; 0 is each, or the first where one value is wanted.
        repetition: u16,
        /// Component.
        component: u16,
        /// Subcomponent.
        subcomponent: u16,
    },
    /// In the value at hand, whose parts are components, or subcomponents where it is a component itself.
    Value {
        /// Its part.
        part: u16,
        /// The part of that.
        of_part: u16,
    },
}

impl Place {
    /// `PID-3`, `PID-3[2]`, `PID-3.4.2`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn in_segment(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place; write one as PID-3, PID-3.1 or PID-3[2].4.1");
        let (id, rest) = text.split_once('-').ok_or_else(wrong)?;
        let id: [u8; 3] = id.as_bytes().try_into().map_err(|_| wrong())?;
        if !id
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            return Err(wrong());
        }
        let mut parts = rest.split('.');
        let first = parts.next().unwrap_or_default();
        let (field, repetition) = match first.split_once('[') {
            None => (number(first), Some(0)),
            Some((field, repetition)) => {
                (number(field), repetition.strip_suffix(']').and_then(number))
            }
        };
        let mut next = || match parts.next() {
            None => Some(0),
            Some(part) => number(part),
        };
        let (component, subcomponent) = (next(), next());
        let place = (|| {
            Some(Self::Segment {
                id,
                field: field?,
                repetition: repetition?,
                component: component?,
                subcomponent: subcomponent?,
            })
        })();
        match (place, parts.next()) {
            (Some(place), None) => Ok(place),
            _ => Err(wrong()),
        }
    }

    /// `XPN.1`, `XPN.1.2` of a data type, or `.1`; `.` is all of it. A place in a segment too.
    ///
    /// # Errors
    /// What is wrong with the text; another data type's name is.
    pub fn in_value(data_type: Option<&str>, text: &str) -> Result<Self, String> {
        if text.contains('-') {
            return Self::in_segment(text);
        }
        if text == "." {
            return Ok(Self::Value {
                part: 0,
                of_part: 0,
            });
        }
        let wrong = || {
            let example = data_type.unwrap_or_default();
            format!("`{text}` is no place here; write one as {example}.1 or {example}.4.2")
        };
        let mut parts = text.split('.');
        let name = parts.next().unwrap_or_default();
        if !name.is_empty() && Some(name) != data_type {
            return Err(wrong());
        }
        let mut next = || match parts.next() {
            None => Some(0),
            Some(part) => number(part),
        };
        match (next(), next(), parts.next()) {
            (Some(part), Some(of_part), None) => Ok(Self::Value { part, of_part }),
            _ => Err(wrong()),
        }
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let segment = |field, repetition, component, subcomponent| Place::Segment {
            id: *b"PID",
            field,
            repetition,
            component,
            subcomponent,
        };
        assert_eq!(Place::in_segment("PID-3"), Ok(segment(3, 0, 0, 0)));
        assert_eq!(Place::in_segment("PID-3[2].4.1"), Ok(segment(3, 2, 4, 1)));
        assert_eq!(
            Place::in_value(Some("XPN"), "XPN.1.2"),
            Ok(Place::Value {
                part: 1,
                of_part: 2
            })
        );
        assert_eq!(
            Place::in_value(None, ".4"),
            Ok(Place::Value {
                part: 4,
                of_part: 0
            })
        );
        assert_eq!(
            Place::in_value(Some("XPN"), "XPN"),
            Ok(Place::Value {
                part: 0,
                of_part: 0
            })
        );
        for bad in ["PID", "PID-0", "PID-3[0]", "PID-3.1.2.3", "pid-3", "PID-x"] {
            assert!(Place::in_segment(bad).is_err(), "{bad}");
        }
        for bad in ["CX.1", "XPN.0", "XPN.1.2.3", "XPN.x"] {
            assert!(Place::in_value(Some("XPN"), bad).is_err(), "{bad}");
        }
    }
}
