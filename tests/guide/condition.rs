//! The guide's computable conditions: read, asked of a message, and made to hold or not to.

use crate::draft::{Draft, Place};

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// Of a place; `false` turns it round.
    Is(Place, Test, bool),
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    Valued,
    OneOf(Vec<String>),
    Same(Place),
    Longer(usize),
    More(usize),
    Exactly(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Place(Place),
    Text(String),
    Number(usize),
    Sign(char),
}

/// Reads a condition of a row: `own` is the row's place, and `kind` its v2 data type, by which some conditions name it.
pub fn parse(text: &str, own: &Place, kind: &str) -> Result<Condition, String> {
    let tokens = tokens(text, own, kind)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        own,
    };
    let found = parser.any()?;
    match parser.at == tokens.len() {
        true => Ok(found),
        false => Err(format!(
            "{text:?} goes on after what can be read: {:?}",
            &tokens[parser.at..]
        )),
    }
}

fn tokens(text: &str, own: &Place, kind: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '\'') {
            let end = rest[1..]
                .find(first)
                .ok_or(format!("{text:?} has an open text"))?;
            tokens.push(Token::Text(rest[1..=end].to_owned()));
            rest = &rest[end + 2..];
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            tokens.extend(token(word, own, kind));
            rest = after;
        } else {
            tokens.push(Token::Sign(first));
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    // A bracket that nobody closes.
    let count = |sign| {
        tokens
            .iter()
            .filter(|token| **token == Token::Sign(sign))
            .count()
    };
    for _ in count(')')..count('(') {
        tokens.push(Token::Sign(')'));
    }
    Ok(tokens)
}

fn token(word: &str, own: &Place, kind: &str) -> Option<Token> {
    if let Ok(number) = word.parse() {
        return Some(Token::Number(number));
    }
    // `CX.5` is component 5 of the row's own place.
    if let Some(component) = word
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('.'))
    {
        let component = component.parse().ok()?;
        return Some(Token::Place(Place {
            component,
            ..own.clone()
        }));
    }
    let upper = word.to_ascii_uppercase();
    let keyword = matches!(upper.as_str(), "AND" | "NOT" | "ARE");
    if let Some(place) = Place::parse(word).filter(|_| !keyword) {
        return Some(Token::Place(place));
    }
    match upper.as_str() {
        // They say nothing more, or are slips of the pen.
        "IF" | "IS" | "ARE" | "AREA" | "THAN" => None,
        _ => Some(Token::Word(upper)),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    own: &'t Place,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(&Token::Word(word.to_owned()));
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.word("OR") {
            parts.push(self.all()?);
        }
        Ok(one(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.part()?];
        loop {
            if self.word("AND") {
                // `VALUED AND NOT "SEL"` is still of the same place.
                let same = match self.peek() {
                    Some(Token::Word(_)) => subject(parts.last()),
                    _ => None,
                };
                parts.push(match same {
                    Some(place) => self.of(&[place], true)?,
                    None => self.part()?,
                });
            } else if matches!(self.peek(), Some(Token::Word(word)) if word == "NOT") {
                let place = subject(parts.last()).ok_or("NOT without a place")?;
                parts.push(self.of(&[place], true)?);
            } else {
                return Ok(one(parts, Condition::All));
            }
        }
    }

    fn part(&mut self) -> Result<Condition, String> {
        if self.sign('(') {
            let inner = self.any()?;
            return match self.sign(')') {
                true => Ok(inner),
                false => Err("an open bracket".into()),
            };
        }
        let mut places = Vec::new();
        let mut all = true;
        while let Some(Token::Place(place)) = self.peek().cloned() {
            self.at += 1;
            places.push(place);
            // `PID-33 AND PID-34 VALUED` asks the same of both.
            let more = matches!(self.tokens.get(self.at + 1), Some(Token::Place(_)));
            if more && self.word("AND") {
                continue;
            }
            if more && self.word("OR") {
                all = false;
                continue;
            }
            break;
        }
        if places.is_empty() {
            places.push(self.own.clone());
        }
        self.of(&places, all)
    }

    /// What is asked of these places.
    fn of(&mut self, places: &[Place], all: bool) -> Result<Condition, String> {
        let yes = !self.word("NOT");
        let (test, yes) = self.test(yes)?;
        let parts = places
            .iter()
            .map(|place| Condition::Is(place.clone(), test.clone(), yes))
            .collect();
        Ok(one(
            parts,
            if all { Condition::All } else { Condition::Any },
        ))
    }

    fn test(&mut self, yes: bool) -> Result<(Test, bool), String> {
        let next = self.peek().cloned();
        self.at += 1;
        match next {
            Some(Token::Text(text)) => Ok((Test::OneOf(vec![text]), yes)),
            Some(Token::Sign('=')) => self.test(yes),
            Some(Token::Word(word)) => match word.as_str() {
                "VALUED" | "VALUE" => Ok((Test::Valued, yes)),
                "EMPTY" => Ok((Test::Valued, !yes)),
                "NOT" => self.test(!yes),
                "EQUALS" | "EQUAL" => match self.peek().cloned() {
                    Some(Token::Place(other)) => {
                        self.at += 1;
                        Ok((Test::Same(other), yes))
                    }
                    _ => self.test(yes),
                },
                "IN" => Ok((Test::OneOf(self.list()?), yes)),
                "LENGTH" => {
                    self.word("GREATER");
                    Ok((Test::Longer(self.number()?), yes))
                }
                "LST.COUNT" | "COUNT" => self.count(yes),
                _ => Err(format!("{word} is no test")),
            },
            other => Err(format!("{other:?} is no test")),
        }
    }

    fn count(&mut self, yes: bool) -> Result<(Test, bool), String> {
        if self.word("GREATER") || self.sign('>') {
            return Ok((Test::More(self.number()?), yes));
        }
        if self.word("LESS") {
            self.word("OR");
            self.word("EQUALS");
            return Ok((Test::More(self.number()?), !yes));
        }
        self.word("EQUALS");
        self.sign('=');
        Ok((Test::Exactly(self.number()?), yes))
    }

    fn number(&mut self) -> Result<usize, String> {
        let next = self.peek().cloned();
        self.at += 1;
        match next {
            Some(Token::Number(number)) => Ok(number),
            other => Err(format!("{other:?} is no number")),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        if !self.sign('(') {
            return Err("IN without a list".into());
        }
        while !self.sign(')') {
            match self.peek().cloned() {
                Some(Token::Text(text)) => found.push(text),
                Some(Token::Sign(',')) => {}
                other => return Err(format!("{other:?} in a list")),
            }
            self.at += 1;
        }
        Ok(found)
    }
}

fn one(mut parts: Vec<Condition>, many: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn subject(condition: Option<&Condition>) -> Option<Place> {
    match condition {
        Some(Condition::Is(place, ..)) => Some(place.clone()),
        _ => None,
    }
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, draft: &Draft) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(draft)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(draft)),
            Self::Is(place, test, yes) => *yes == holds(place, test, draft),
        }
    }

    /// Changes the message so that it holds, or not. `sample` knows values of places; what is asked of `keep` is the last thing
    /// to be turned round.
    pub fn make(
        &self,
        want: bool,
        draft: &mut Draft,
        keep: &Place,
        sample: &dyn Fn(&Place) -> String,
    ) {
        if self.holds(draft) == want {
            return;
        }
        match self {
            Self::All(parts) if want => parts
                .iter()
                .for_each(|part| part.make(true, draft, keep, sample)),
            Self::Any(parts) if !want => parts
                .iter()
                .for_each(|part| part.make(false, draft, keep, sample)),
            Self::All(parts) | Self::Any(parts) => {
                let other = parts.iter().find(|part| !part.is_of(keep));
                if let Some(part) = other.or(parts.first()) {
                    part.make(want, draft, keep, sample);
                }
            }
            Self::Is(place, test, yes) => make(place, test, *yes == want, draft, sample),
        }
    }

    fn is_of(&self, keep: &Place) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.is_of(keep)),
            Self::Is(place, ..) => place.whole() == keep.whole(),
        }
    }
}

fn holds(place: &Place, test: &Test, draft: &Draft) -> bool {
    match test {
        Test::Valued => draft.valued(place),
        Test::OneOf(texts) => texts
            .iter()
            .any(|text| meant(place, text) == draft.code(place)),
        Test::Same(other) => draft.get(place) == draft.get(other),
        Test::Longer(length) => draft.get(place).len() > *length,
        Test::More(count) => draft.count(place) > *count,
        Test::Exactly(count) => draft.count(place) == *count,
    }
}

fn make(
    place: &Place,
    test: &Test,
    yes: bool,
    draft: &mut Draft,
    sample: &dyn Fn(&Place) -> String,
) {
    match (test, yes) {
        (Test::Valued, true) => draft.set(place, &sample(place)),
        (Test::Valued, false) | (Test::Exactly(_) | Test::More(_), false) => draft.clear(place),
        (Test::OneOf(texts), true) => {
            let first = texts.iter().find(|text| PREFERRED.contains(&text.as_str()));
            draft.set(place, &meant(place, first.unwrap_or(&texts[0])));
        }
        (Test::OneOf(_), false) => draft.set(place, "ZZ"),
        (Test::Same(other), true) => draft.set(place, &draft.get(other)),
        (Test::Same(_), false) => draft.set(place, "OTHER"),
        (Test::Longer(_), true) => draft.set(place, "20260102030405+0000"),
        (Test::Longer(length), false) => {
            let text: String = draft.get(place).chars().take(*length).collect();
            draft.set(place, &text);
        }
        (Test::More(count) | Test::Exactly(count), true) => {
            let wanted = count + usize::from(matches!(test, Test::More(_)));
            let texts: Vec<String> = (0..wanted).map(|_| sample(place)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            draft.repeat(place, &texts);
        }
    }
}

/// Of several codes, those that the row's element has room for.
const PREFERRED: &[&str] = &["NM"];

/// Some conditions say in words what a code means.
fn meant(place: &Place, text: &str) -> String {
    match (place.segment.as_str(), text) {
        ("IN1", "patient") => "SEL".to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Condition {
        parse(text, &Place::parse("IN1-10").unwrap(), "CX").unwrap()
    }

    fn is(place: &str, test: Test, yes: bool) -> Condition {
        Condition::Is(Place::parse(place).unwrap(), test, yes)
    }

    fn one_of(text: &str) -> Test {
        Test::OneOf(vec![text.to_owned()])
    }

    #[test]
    fn the_guides_ways_to_say_things_are_read() {
        let valued = |place| is(place, Test::Valued, true);
        assert_eq!(
            read("IF PV1-45 NOT VALUED"),
            is("PV1-45", Test::Valued, false)
        );
        assert_eq!(
            read("IF TQ1-3.9 IS EMPTY"),
            is("TQ1-3.9", Test::Valued, false)
        );
        assert_eq!(read("IF OBX-2=\"TX\""), is("OBX-2", one_of("TX"), true));
        assert_eq!(read("IF EVN-4 NOT \"U\""), is("EVN-4", one_of("U"), false));
        assert_eq!(
            read("IF CX.5 IS \"SN\""),
            is("IN1-10.5", one_of("SN"), true)
        );
        assert_eq!(read("IF OBX-33 COUNT>1"), is("OBX-33", Test::More(1), true));
        let both = Condition::All(vec![valued("PID-33"), valued("PID-34")]);
        assert_eq!(read("IF PID-33 AND PID-34 VALUED"), both);
        let either = Condition::Any(vec![valued("PRT-5"), valued("PRT-6")]);
        assert_eq!(read("IF PRT-5 OR PRT-6 IS VALUED"), either);
        let neither =
            |a, b| Condition::All(vec![is(a, Test::Valued, false), is(b, Test::Valued, false)]);
        assert_eq!(
            read("IF PRT-5 AND PRT-6 AREA NOT VALUED"),
            neither("PRT-5", "PRT-6")
        );
        assert_eq!(
            read("IF IAM-15 VALUED AND NOT \"SEL\""),
            Condition::All(vec![valued("IAM-15"), is("IAM-15", one_of("SEL"), false)])
        );
        assert_eq!(
            read("IF OBX-2 EQUALS \"ED\" AND IF OBX-5.4 EQUALS \"Base64\""),
            Condition::All(vec![
                is("OBX-2", one_of("ED"), true),
                is("OBX-5.4", one_of("Base64"), true)
            ])
        );
        assert_eq!(
            read("IF NOT VALUED AND RXA-21 NOT EQUALS \"D\""),
            Condition::All(vec![
                is("IN1-10", Test::Valued, false),
                is("RXA-21", one_of("D"), false)
            ])
        );
    }
}
