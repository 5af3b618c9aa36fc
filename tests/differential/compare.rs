//! Reads a message both ways, and names each difference.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use hl7_parser::message::{Field, Message, Segment as Theirs};
use mllp_bridge::hl7::escape::{Token, next_token, unhex};
use mllp_bridge::hl7::index::Segment as Ours;
use mllp_bridge::hl7::path::Path;
use mllp_bridge::hl7::{Delimiters, Header, Index, Payload, Terminator, peek};

use super::Kind;
use super::support::Shown;

pub(crate) type Kinds = BTreeSet<Kind>;

fn header(message: &[u8]) -> Header<'_> {
    match peek(message) {
        Payload::V2(header) => header,
        other => panic!("not v2: {other:?}: {}", Shown(message)),
    }
}

/// All kinds of difference; `Err` describes one that is of none.
pub(crate) fn compare(message: &[u8]) -> Result<Kinds, String> {
    let header = header(message);
    let Ok(text) = std::str::from_utf8(message) else {
        return Ok(Kinds::from([Kind::NotUtf8]));
    };
    let lenient = header.terminator != Terminator::Cr;
    let mut kinds = Kinds::new();
    if header.leading > 0 {
        if Message::parse_with_lenient_newlines(text, lenient).is_ok() {
            return Err("reads a message behind leading bytes".into());
        }
        kinds.insert(Kind::LeadingBytes);
    }
    if header.field(2).len() < 4 {
        kinds.insert(Kind::ShortMsh2);
        return Ok(kinds);
    }
    let text = text
        .get(header.leading..)
        .ok_or("leading bytes end in a character")?;
    let oracle = Message::parse_with_lenient_newlines(text, lenient)
        .map_err(|error| format!("refused: {error}"))?;
    let index = Index::new(message, &header);
    let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut before = 0;
    for (number, ours) in index.segments().enumerate() {
        let Some(theirs) = oracle.segments.get(number) else {
            if is_parsable(&ours, before, text.as_bytes(), &header) {
                return Err(format!("segment {number} is missing"));
            }
            kinds.insert(Kind::RestDropped);
            break;
        };
        before = ours.raw().as_ptr() as usize - text.as_ptr() as usize + ours.raw().len();
        let occurrence = seen.entry(ours.id()).or_default();
        *occurrence += 1;
        if !ours.id().is_ascii() {
            kinds.insert(Kind::NameBeyondAscii);
            break;
        }
        if lenient && header.terminator == Terminator::CrLf && ours.raw().contains(&b'\n') {
            let line = ours.raw().split(|byte| *byte == b'\n').next();
            if line != Some(theirs.raw_value().as_bytes()) && theirs.name != "MSH" {
                return Err(format!("segment {number} ends neither at LF nor at CR"));
            }
            kinds.insert(Kind::LineFeed);
            break;
        }
        segment(&ours, theirs, number, &header, &mut kinds)
            .map_err(|what| format!("segment {number}, {what}"))?;
        paths(&index, &ours, *occurrence, &header)
            .map_err(|what| format!("segment {number}, {what}"))?;
        printed(theirs, &oracle, &header, &mut kinds)
            .map_err(|what| format!("segment {number}, {what}"))?;
    }
    if oracle.segments.len() > index.segments().len() && !kinds.contains(&Kind::LineFeed) {
        return Err(format!(
            "{} segments, ours are {}",
            oracle.segments.len(),
            index.segments().len()
        ));
    }
    Ok(kinds)
}

/// Whether `hl7-parser` should have been able to read this segment after the one that ends at `before`.
fn is_parsable(ours: &Ours<'_, '_>, before: usize, text: &[u8], header: &Header<'_>) -> bool {
    let (text_at, start) = (text.as_ptr() as usize, ours.raw().as_ptr() as usize);
    let gap = &text[before..start - text_at];
    let follows = match header.terminator {
        Terminator::Cr => gap == b"\r",
        Terminator::CrLf | Terminator::Lf => matches!(gap, b"\r\n" | b"\n" | b"\r"),
    };
    let id = std::str::from_utf8(ours.id()).unwrap_or_default();
    let named = id.chars().count() == 3 && id.chars().all(char::is_alphanumeric);
    follows && named && ours.raw().get(ours.id().len()) == Some(&header.delimiters.field)
}

fn segment(
    ours: &Ours<'_, '_>,
    theirs: &Theirs<'_>,
    number: usize,
    header: &Header<'_>,
    kinds: &mut Kinds,
) -> Result<(), String> {
    if ours.id() != theirs.name.as_bytes() {
        return Err(format!("ID {:?}", theirs.name));
    }
    let fifth = header.delimiters.truncation.is_some();
    let mut last = ours.last_field();
    // What to add to our number of a field to get theirs.
    let shift: isize = match (number, ours.is_header()) {
        (0, _) if fifth => 1,
        (1.., true) => -1,
        _ => 0,
    };
    if shift != 0 {
        kinds.insert(if number == 0 {
            Kind::FifthCharacter
        } else {
            Kind::HeaderFurtherOn
        });
    }
    if number == 0 && last == 2 && !fifth {
        kinds.insert(Kind::AddedField);
        last = 3;
    }
    let first = match (number, shift) {
        (0, 1) => 3,
        (_, -1) => 2,
        _ => 1,
    };
    if theirs.fields.len() as isize != last as isize + shift {
        return Err(format!("{} fields, ours are {last}", theirs.fields.len()));
    }
    for place in first..=ours.last_field() {
        let theirs = &theirs.fields[(place as isize + shift) as usize - 1];
        let ours = ours
            .field(place)
            .ok_or_else(|| format!("field {place} is missing"))?;
        let whole = number == 0 && place <= 2;
        field(ours, theirs, &header.delimiters, whole)
            .map_err(|what| format!("field {place}{what}"))?;
    }
    Ok(())
}

/// The tree under a field; MSH-1 and MSH-2 are not taken apart.
fn field(
    ours: &[u8],
    theirs: &Field<'_>,
    delimiters: &Delimiters,
    whole: bool,
) -> Result<(), String> {
    if ours != theirs.raw_value().as_bytes() {
        return Err(format!(
            ": {:?}, ours is {}",
            theirs.raw_value(),
            Shown(ours)
        ));
    }
    let tree = tree(ours, delimiters, whole);
    let theirs: Vec<Vec<Vec<&[u8]>>> = theirs
        .repeats()
        .map(|repeat| {
            let components = repeat.components();
            components
                .map(|component| {
                    component
                        .subcomponents()
                        .map(|part| part.value.as_bytes())
                        .collect()
                })
                .collect()
        })
        .collect();
    if tree == theirs {
        Ok(())
    } else {
        Err(format!(": {theirs:?}, ours is {tree:?}"))
    }
}

/// Repetitions of components of subcomponents.
fn tree<'a>(value: &'a [u8], delimiters: &Delimiters, whole: bool) -> Vec<Vec<Vec<&'a [u8]>>> {
    if whole {
        return vec![vec![vec![value]]];
    }
    let split = |value: &'a [u8], at: Option<u8>| -> Vec<&'a [u8]> {
        value.split(|byte| Some(*byte) == at).collect()
    };
    let components = |repetition| split(repetition, delimiters.component).into_iter();
    split(value, delimiters.repetition)
        .into_iter()
        .map(|repetition| {
            components(repetition)
                .map(|component| split(component, delimiters.subcomponent))
                .collect()
        })
        .collect()
}

/// [`Index::get`] finds each leaf by its numbers.
fn paths(
    index: &Index<'_>,
    ours: &Ours<'_, '_>,
    occurrence: usize,
    header: &Header<'_>,
) -> Result<(), String> {
    let mut path = Path {
        segment: String::from_utf8_lossy(ours.id()).into_owned(),
        occurrence,
        field: None,
        repetition: None,
        component: None,
        subcomponent: None,
    };
    for place in if ours.is_header() { 3 } else { 1 }..=ours.last_field() {
        path.field = Some(place);
        let value = ours.field(place).unwrap_or_default();
        for (repetition, components) in tree(value, &header.delimiters, false)
            .into_iter()
            .enumerate()
        {
            path.repetition = Some(repetition + 1);
            for (component, parts) in components.into_iter().enumerate() {
                path.component = Some(component + 1);
                for (part, expected) in parts.into_iter().enumerate() {
                    path.subcomponent = Some(part + 1);
                    if index.get(&path) != Some(expected) {
                        return Err(format!("{path}: not {}", Shown(expected)));
                    }
                }
            }
        }
        (path.repetition, path.component, path.subcomponent) = (None, None, None);
    }
    Ok(())
}

/// What `hl7-parser` makes of a segment when it prints it, and of its values when it unescapes them.
fn printed(
    theirs: &Theirs<'_>,
    oracle: &Message<'_>,
    header: &Header<'_>,
    kinds: &mut Kinds,
) -> Result<(), String> {
    let separators = &oracle.separators;
    let print = format!("{:#}", theirs.display(separators));
    let mut expected = theirs.raw_value().to_owned();
    if theirs.name == "MSH"
        && theirs
            .fields
            .first()
            .is_some_and(|field| field.raw_value().len() == 1)
    {
        kinds.insert(Kind::PrintsHeader);
        expected = print.clone();
    }
    if print != expected {
        if print != expected.replace(separators.component, &separators.repetition.to_string()) {
            return Err(format!("printed as {print:?}"));
        }
        kinds.insert(Kind::PrintsComponents);
    }
    let values = theirs
        .fields()
        .flat_map(Field::repeats)
        .flat_map(|repeat| repeat.components());
    for value in values
        .flat_map(|component| component.subcomponents())
        .map(|part| part.value)
    {
        if value == header_characters(header) {
            continue;
        }
        let ours = unescaped(value, &header.delimiters);
        match catch_unwind(AssertUnwindSafe(|| separators.decode(value).to_string())) {
            Ok(theirs) if theirs.as_bytes() == ours => {}
            _ if !value.contains(separators.escape) => {
                return Err(format!("{value:?} is unescaped without escapes"));
            }
            Ok(_) => _ = kinds.insert(Kind::UnescapeLoses),
            Err(_) if value.is_ascii() => return Err(format!("{value:?} panics")),
            Err(_) => _ = kinds.insert(Kind::UnescapePanics),
        }
    }
    Ok(())
}

/// The four of MSH-2 that `hl7-parser` takes: they hold an escape character, and are none.
fn header_characters<'a>(header: &Header<'a>) -> &'a str {
    let msh2 = header.field(2);
    std::str::from_utf8(&msh2[..msh2.len().min(4)]).unwrap_or_default()
}

fn unescaped(value: &str, delimiters: &Delimiters) -> Vec<u8> {
    let (mut rest, mut out) = (value.as_bytes(), Vec::new());
    while let Some((token, after)) = next_token(rest, delimiters) {
        match token {
            Token::Text(text) | Token::Kept(text) => out.extend_from_slice(text),
            Token::Delimiter(byte) => out.push(byte),
            Token::Hex(digits) => out.extend(unhex(digits)),
        }
        rest = after;
    }
    out
}
