//! Vocabularies: what their codes become, and what can be wrong with that.

use super::{Compiler, Named, origin};
use crate::fhir::primitive::{is_code, is_oid, is_uri};
use crate::fhir::program::{self, Coded, Table};
use crate::fhir::raw;
use serde_saphyr::Location;

/// Its codes become systems of identifiers.
const AUTHORITIES: &str = "AssigningAuthority";
/// Its codes become code systems.
const SYSTEMS: &str = "CodeSystem";
/// Its codes become numbers.
const CHOICE: &str = "IdentifierChoice";

impl Compiler {
    pub(super) fn vocabularies(&mut self, all: Named<raw::Vocabulary>) {
        for (number, (name, (file, vocabulary))) in all.into_iter().enumerate() {
            let at = vocabulary.referenced;
            let vocabulary = vocabulary.value;
            if let Some(what) = vocabulary.system.as_deref().and_then(no_uri) {
                self.error(file, at, format!("`system`: {what}"));
            }
            let mut codes: Table<Coded> = Table::default();
            let mut all = Vec::new();
            for (from, code) in vocabulary.codes {
                let file = vocabulary.files.get(&from).copied().unwrap_or(file);
                let coded = coded(code.value, vocabulary.system.as_ref());
                self.code(file, code.referenced, &name, &from, &coded);
                let at = origin(file, code.referenced);
                all.push((at, from.clone(), coded.code.clone()));
                codes.insert(from, coded);
            }
            for code in vocabulary.list {
                let same = coded(raw::Code::Short(code.clone()), vocabulary.system.as_ref());
                self.code(file, at, &name, &code, &same);
                all.push((origin(file, at), code.clone(), code.clone()));
                codes.insert(code, same);
            }
            // Some senders write what the code would become. Of several the choice must not depend on the table's order.
            let mut targets: Vec<Coded> = codes.values().cloned().collect();
            targets.sort();
            for target in targets {
                codes.entry(target.code.clone()).or_insert(target);
            }
            match name.as_str() {
                SYSTEMS => self.program.code_systems = Some(number),
                AUTHORITIES => self.program.authorities = Some(number),
                CHOICE => self.program.choice = Some(number),
                "UcumUnit" => self.program.units = Some(number),
                _ => {}
            }
            if let Some(table) = name.strip_prefix("v2-") {
                self.program.tables.insert(table.to_owned(), number);
            }
            self.vocabularies.insert(name.clone(), number);
            self.targets.push(all);
            let vocabulary = program::Vocabulary { name, codes };
            self.program.vocabularies.push(vocabulary);
        }
    }

    /// Says what is wrong with a code, and what to write instead.
    fn code(&mut self, file: usize, at: Location, vocabulary: &str, from: &str, code: &Coded) {
        let target = code.code.as_str();
        let wrong = match vocabulary {
            AUTHORITIES | SYSTEMS => no_uri(target),
            CHOICE if target == "never" || target.parse::<u32>().is_ok() => None,
            CHOICE => Some(format!(
                "`{target}` is no rank; write a number in quotes (the lowest is chosen first), or never"
            )),
            _ if !is_code(target) => Some(format!(
                "`{target}` is no code: one has a character at least, and no blanks but single ones inside"
            )),
            _ => None,
        };
        if let Some(what) = wrong {
            self.error(file, at, format!("`{from}`: {what}"));
        }
        if code
            .display
            .as_deref()
            .is_some_and(|text| text.trim().is_empty())
        {
            let what = format!("`{from}`: `display` is empty; leave it out");
            self.error(file, at, what);
        }
        if let Some(what) = code.system.as_deref().and_then(no_uri) {
            self.error(file, at, format!("`{from}`: `system`: {what}"));
        }
        let sender = from.split_once('@');
        if sender.is_some_and(|(name, sender)| !name.is_empty() && !sender.is_empty())
            && vocabulary != AUTHORITIES
        {
            let what = format!(
                "`{from}`: only {AUTHORITIES} has names by sender; write rows with `when: MSH-4.1 = …` for codes that senders mean differently"
            );
            self.error(file, at, what);
        }
    }
}

fn coded(code: raw::Code, system: Option<&String>) -> Coded {
    let raw::Coding {
        code,
        display,
        system: own,
    } = match code {
        raw::Code::Long(long) => long,
        raw::Code::Short(code) => raw::Coding {
            code,
            display: None,
            system: None,
        },
    };
    Coded {
        code,
        display,
        system: own.or_else(|| system.cloned()),
    }
}

/// What is wrong with a text that must be a URI; nothing if it is one.
fn no_uri(text: &str) -> Option<String> {
    if is_uri(text) {
        return None;
    }
    let plain = text.trim();
    let instead = match () {
        () if plain != text && is_uri(plain) => format!("write {plain}, without the blanks"),
        () if is_oid(plain) => format!("write urn:oid:{plain}"),
        () => "write urn:oid:1.2.3, https://… or another URI".to_owned(),
    };
    Some(format!("`{text}` is no URI; {instead}"))
}
