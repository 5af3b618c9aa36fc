//! The `when` of a row: `PID-7 valued and not (PV1-2 in (P, N) or XTN.3 = Internet)`.
//!
//! ```text
//! or   = and { "or" and }          test = place "valued" | place "not" "valued" | place "repeats" | place "several" | place "longer" number
//! and  = not { "and" not }              | place "=" word | place "!=" word | place ["not"] "in" "(" word { "," word } ")"
//! not  = "not" not | "(" or ")" | test  | place ["not"] "known" vocabulary
//! ```
//!
//! A word with blanks or delimiters in it stands in double quotes. An empty place equals nothing, and so differs from everything.

use super::place::Place;

/// A condition, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// One of them.
    Or(Vec<Condition>),
    /// The opposite.
    Not(Box<Condition>),
    /// There is something at the place.
    Valued(Place),
    /// More than one repetition.
    Repeats(Place),
    /// Two of its repetitions are numbers (CX) of one authority and type: they are two things'.
    Several(Place),
    /// The text has more characters than this.
    Longer(Place, usize),
    /// The text is one of these.
    In(Place, Vec<String>),
    /// The text is a code of the vocabulary of this number.
    Known(Place, usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

/// Reads a condition.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn parse(
    text: &str,
    place: &dyn Fn(&str) -> Result<Place, String>,
    vocabulary: &dyn Fn(&str) -> Result<usize, String>,
) -> Result<Condition, String> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        place,
        vocabulary,
    };
    let condition = reader.or()?;
    match reader.tokens.get(reader.at) {
        None => Ok(condition),
        Some(token) => Err(format!("`when`: nothing is expected at {}", shown(token))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let sign = ["!=", "=", "(", ")", ","]
            .into_iter()
            .find(|sign| rest.starts_with(sign));
        if let Some(sign) = sign {
            found.push(Token::Sign(sign));
            rest = rest.strip_prefix(sign).unwrap_or_default();
        } else if first == '"' {
            let quoted = rest.strip_prefix('"').unwrap_or_default();
            let (word, behind) = quoted
                .split_once('"')
                .ok_or("`when`: a quoted word is not closed")?;
            found.push(Token::Word(word.to_owned()));
            rest = behind;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "!=(),\"".contains(c))
                .unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            if word.is_empty() {
                return Err(format!("`when`: `{first}` is not expected"));
            }
            found.push(Token::Word(word.to_owned()));
            rest = behind;
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

/// Brackets and negations inside each other; more are a mistake, or meant to use up the stack.
const DEEPEST: usize = 32;

struct Reader<'r> {
    tokens: Vec<Token>,
    at: usize,
    /// How many brackets and negations are open.
    depth: usize,
    place: &'r dyn Fn(&str) -> Result<Place, String>,
    vocabulary: &'r dyn Fn(&str) -> Result<usize, String>,
}

impl Reader<'_> {
    fn word_is(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn sign_is(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        match token {
            Some(Token::Word(word)) => Ok(word.clone()),
            Some(sign) => Err(format!("`when`: a word is expected, not {}", shown(sign))),
            None => Err("`when`: it ends too early".into()),
        }
    }

    fn or(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.and()?];
        while self.word_is("or") {
            all.push(self.and()?);
        }
        Ok(one(all, Condition::Or))
    }

    fn and(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.not()?];
        while self.word_is("and") {
            all.push(self.not()?);
        }
        Ok(one(all, Condition::And))
    }

    fn not(&mut self) -> Result<Condition, String> {
        if self.depth == DEEPEST {
            return Err(format!("`when`: more than {DEEPEST} levels"));
        }
        if self.word_is("not") {
            self.depth += 1;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.sign_is("(") {
            self.depth += 1;
            let inner = self.or()?;
            self.depth -= 1;
            return match self.sign_is(")") {
                true => Ok(inner),
                false => Err("`when`: a bracket is not closed".into()),
            };
        }
        self.test()
    }

    fn test(&mut self) -> Result<Condition, String> {
        let place = (self.place)(&self.word()?)?;
        if self.sign_is("=") {
            return Ok(Condition::In(place, vec![self.word()?]));
        }
        if self.sign_is("!=") {
            let equal = Condition::In(place, vec![self.word()?]);
            return Ok(Condition::Not(Box::new(equal)));
        }
        let not = self.word_is("not");
        let condition = match self.word()?.as_str() {
            "valued" => Condition::Valued(place),
            "repeats" => Condition::Repeats(place),
            "several" => Condition::Several(place),
            "longer" => {
                let number = self.word()?;
                let number = number
                    .parse()
                    .map_err(|_| format!("`when`: `{number}` is no number"))?;
                Condition::Longer(place, number)
            }
            "in" => Condition::In(place, self.list()?),
            "known" => Condition::Known(place, (self.vocabulary)(&self.word()?)?),
            other => return Err(format!("`when`: `{other}` is no test")),
        };
        Ok(match not {
            true => Condition::Not(Box::new(condition)),
            false => condition,
        })
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.sign_is("(") {
            return Err("`when`: `in` needs a list in brackets".into());
        }
        let mut words = vec![self.word()?];
        while self.sign_is(",") {
            words.push(self.word()?);
        }
        match self.sign_is(")") {
            true => Ok(words),
            false => Err("`when`: the list is not closed".into()),
        }
    }
}

fn one(mut all: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match all.len() {
        1 => all.remove(0),
        _ => many(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{And, In, Known, Longer, Not, Or, Repeats, Several, Valued};

    fn place(text: &str) -> Place {
        Place::in_segment(text).unwrap()
    }

    fn read(text: &str) -> Result<Condition, String> {
        let vocabulary = |name: &str| match name {
            "Sex[Patient]" => Ok(4),
            _ => Err(format!("there is no vocabulary `{name}`")),
        };
        parse(text, &Place::in_segment, &vocabulary)
    }

    #[test]
    fn tests_and_their_combinations_are_read() {
        let valued = || Valued(place("PID-7"));
        for (text, expected) in [
            ("PID-7 valued", valued()),
            ("PID-7 not valued", Not(Box::new(valued()))),
            ("not PID-7 valued", Not(Box::new(valued()))),
            ("PID-3 repeats", Repeats(place("PID-3"))),
            ("MRG-1 several", Several(place("MRG-1"))),
            ("PID-7 longer 8", Longer(place("PID-7"), 8)),
            ("PID-8 known Sex[Patient]", Known(place("PID-8"), 4)),
            (
                "PID-8 not known Sex[Patient]",
                Not(Box::new(Known(place("PID-8"), 4))),
            ),
            ("PV1-2.1 = P", In(place("PV1-2.1"), vec!["P".into()])),
            (
                "OBX-5.1!=\"<>\"",
                Not(Box::new(In(place("OBX-5.1"), vec!["<>".into()]))),
            ),
            (
                "OBX-2 in (NM, \"S N\") and (PID-7 valued or PID-7 longer 8)",
                And(vec![
                    In(place("OBX-2"), vec!["NM".into(), "S N".into()]),
                    Or(vec![valued(), Longer(place("PID-7"), 8)]),
                ]),
            ),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn and_binds_closer_than_or() {
        let read = read("PID-1 valued or PID-2 valued and PID-3 valued").unwrap();
        let Or(parts) = read else { panic!("not an or") };
        assert!(matches!(&parts[..], [Valued(_), And(_)]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "",
            "PID-7",
            "PID-7 is valued",
            "(PID-7 valued",
            "PID-7 in NM",
            "PID-7 in (NM",
            "PID-7 valued PID-8",
            "PID-7 longer x",
            "PID-8 known",
            "PID-8 known Nothing",
            "P = 3",
            "PID-7 = \"x",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
