//! What our maps do otherwise than the guide, with the reason: `differs.tsv` of segments, `differs-datatypes.tsv` of data types.

use crate::segments::table;

/// What is said of a row, or of several: map, place and element may have `*` in them.
#[derive(Debug, Clone)]
pub struct Differs {
    pub map: String,
    pub place: String,
    pub to: String,
    pub how: How,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The same element, as R4 spells it.
    Spelt(String, Option<String>),
    /// The constant is there in any case.
    Always,
    /// Another element, or another constant in it.
    At(String, Option<String>),
    /// None.
    Nowhere,
    /// Its map is used where a sentence says so, or by no message.
    Prose,
}

pub fn read(file: &str) -> Vec<Differs> {
    table(file)
        .map(|cells| {
            let [map, place, to, how, element, why] = &cells[..] else {
                panic!("a row of {} cells: {cells:?}", cells.len())
            };
            let (path, constant) = match element.split_once('=') {
                Some((path, constant)) => (path, Some(format!("\"{constant}\""))),
                None => (element.as_str(), None),
            };
            let way = || path.to_owned();
            Differs {
                map: map.clone(),
                place: place.clone(),
                to: to.clone(),
                how: match how.as_str() {
                    "spelt" => How::Spelt(way(), constant),
                    "always" => How::Always,
                    "at" => How::At(way(), constant),
                    "nowhere" => How::Nowhere,
                    "prose" => How::Prose,
                    other => panic!("{other} is no way to differ"),
                },
                why: why.clone(),
            }
        })
        .collect()
}

/// What is said of this row. The element may go on with the condition, where several rows have one.
pub fn said<'d>(
    differs: &'d [Differs],
    map: &str,
    place: &str,
    to: &str,
    when: &str,
) -> Option<&'d Differs> {
    let whole = format!("{to} {when}");
    differs.iter().find(|one| {
        like(&one.map, map)
            && like(&one.place, place)
            && (like(&one.to, to) || like(&one.to, &whole))
    })
}

/// Whether a text is as a pattern says, in which `*` is anything.
pub fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}
