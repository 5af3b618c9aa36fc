//! docs/guide-rows.md, made of what the tests find. `UPDATE_DOCS=1` writes it (`make docs`).

use crate::datatypes;
use crate::kept::compare;
use crate::messages;
use crate::segments::{self, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PAGE: &str = "docs/guide-rows.md";

const HEAD: &str = "# The rows of HL7's v2-to-FHIR guide

HL7's guide maps HL7 v2 to FHIR R4 in tables. Its rows, without its sentences, are in `tests/guide`; for each, `cargo test --test guide` makes a message in
which the row's condition holds, and one in which it does not, and looks for the row's element in the bundle. This page is what it finds (`make docs`).

- **done**: the element is made of the value, and only where the condition holds.
- **elsewhere**: another element has the value, for the reason below; that one is looked for.
- **left out**: no element has it, for the reason below.
- **not**: not implemented.
- **prose**: the guide says when the row applies in a sentence only, which no message can be asked.

The share is of the rows that are not prose only: those that are done or elsewhere.
";

/// Rows that are counted together.
#[derive(Default, Clone, Copy)]
pub struct Count {
    done: usize,
    elsewhere: usize,
    nowhere: usize,
    not: usize,
    prose: usize,
}

impl Count {
    pub fn add(&mut self, state: &State) {
        match state {
            State::Done => self.done += 1,
            State::Elsewhere(_) => self.elsewhere += 1,
            State::Nowhere(_) => self.nowhere += 1,
            State::Not(_) => self.not += 1,
            State::Prose => self.prose += 1,
        }
    }

    fn cells(&self) -> String {
        let there = self.done + self.elsewhere;
        let share = match there + self.nowhere + self.not {
            0 => "–".to_owned(),
            all => format!("{:.1} %", 100.0 * there as f64 / all as f64),
        };
        format!(
            "{} | {} | {} | {} | {} | {share}",
            self.done, self.elsewhere, self.nowhere, self.not, self.prose
        )
    }
}

/// What is to be told of a row beside its number: its name, its group and its state.
pub struct Told {
    pub group: String,
    pub name: String,
    pub state: State,
}

pub fn section(page: &mut String, title: &str, what: &str, rows: &[Told]) {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut total = Count::default();
    for row in rows {
        counts.entry(&row.group).or_default().add(&row.state);
        total.add(&row.state);
    }
    writeln!(page, "\n## {title}\n\n| {what} | done | elsewhere | left out | not | prose | share |\n| --- | --- | --- | --- | --- | --- | --- |").unwrap();
    for (group, count) in &counts {
        writeln!(page, "| {group} | {} |", count.cells()).unwrap();
    }
    writeln!(page, "| **all** | {} |", total.cells()).unwrap();
    let told = |title: &str, page: &mut String, why: fn(&State) -> Option<&str>| {
        let mut told = rows
            .iter()
            .filter_map(|row| Some((&row.name, why(&row.state)?)));
        let Some(first) = told.next() else {
            return;
        };
        writeln!(page, "\n### {title}\n\n| row | why |\n| --- | --- |").unwrap();
        for (name, why) in std::iter::once(first).chain(told) {
            writeln!(page, "| {name} | {why} |").unwrap();
        }
    };
    told("Elsewhere", page, |state| match state {
        State::Elsewhere(why) => Some(why),
        _ => None,
    });
    told("Left out", page, |state| match state {
        State::Nowhere(why) => Some(why),
        _ => None,
    });
    told("Not", page, |state| match state {
        State::Not(why) => Some(why),
        _ => None,
    });
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let rows: Vec<Told> = segments::rows()
        .iter()
        .zip(segments::states())
        .map(|(row, (state, _))| {
            let when = match row.when.is_empty() {
                true => String::new(),
                false => format!(" {}", row.when),
            };
            Told {
                group: row.map.clone(),
                name: format!("`{} {} {}{when}`", row.map, row.place, row.to).replace('|', "\\|"),
                state: state.clone(),
            }
        })
        .collect();
    section(&mut page, "Segment maps", "map", &rows);
    let rows: Vec<Told> = messages::rows()
        .iter()
        .zip(messages::states())
        .map(|(row, (state, _))| Told {
            group: row.structure.clone(),
            name: format!("`{}`", messages::name(row)).replace('|', "\\|"),
            state: state.clone(),
        })
        .collect();
    section(&mut page, "Message maps", "structure", &rows);
    let rows: Vec<Told> = datatypes::rows()
        .iter()
        .zip(datatypes::states())
        .map(|(row, (state, _))| Told {
            group: row.map.clone(),
            name: format!("`{}`", datatypes::name(row)).replace('|', "\\|"),
            state: state.clone(),
        })
        .collect();
    section(&mut page, "Data type maps", "map", &rows);
    page
}

#[test]
fn the_page_is_what_the_tests_find() {
    compare(PAGE, &page());
}
