//! docs/guide-types.md, made of what the tests find. `UPDATE_DOCS=1` writes it (`make docs`).

use crate::datatypes;
use crate::kept::compare;
use crate::vocabularies::{State, name, rows, states};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PAGE: &str = "docs/guide-types.md";

const HEAD: &str = "# The vocabularies and data types of HL7's v2-to-FHIR guide

HL7's guide says in concept maps what the codes of v2's tables become in FHIR. Its rows, without its sentences, are in `tests/guide_types`; for each,
`cargo test --test guide_types` looks the code up as a map does. This page is what it finds (`make docs`). What is shown of the data type maps is [below](#data-type-maps).

- **done**: the code becomes the published code, system and display.
- **differs**: it becomes another one, or none, for the reason below.
- **not**: not implemented.
- **of prose**: of these rows, those which the guide limits with a sentence that no test can ask; the code is looked up as of the others.
";

#[derive(Default, Clone, Copy)]
struct Count {
    done: usize,
    differs: usize,
    not: usize,
    prose: usize,
}

impl Count {
    fn add(&mut self, state: &State, prose: bool) {
        match state {
            State::Done => self.done += 1,
            State::Differs(_) => self.differs += 1,
            State::Not(_) => self.not += 1,
        }
        self.prose += usize::from(prose);
    }

    fn cells(self) -> String {
        let all = self.done + self.differs + self.not;
        let share = 100.0 * self.done as f64 / all as f64;
        format!(
            "{} | {} | {} | {} | {share:.1} %",
            self.done, self.differs, self.not, self.prose
        )
    }
}

fn page() -> String {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut total = Count::default();
    let mut why = String::new();
    for (row, state) in rows().iter().zip(states()) {
        counts.entry(&row.map).or_default().add(state, row.prose);
        total.add(state, row.prose);
        let made = match state {
            State::Done => continue,
            State::Differs(known) => (known.made.as_ref(), known.why.as_str()),
            State::Not(made) => (made.as_ref(), "not implemented"),
        };
        let becomes = made
            .0
            .map_or("nothing".to_owned(), |made| format!("`{}`", made.code));
        writeln!(
            why,
            "| `{}` | `{}` | {becomes} | {} |",
            name(row),
            row.becomes.code,
            made.1
        )
        .unwrap();
    }
    let mut page = HEAD.to_owned();
    page.push_str("\n| vocabulary | done | differs | not | of prose | share done |\n| --- | --- | --- | --- | --- | --- |\n");
    for (map, count) in counts {
        writeln!(page, "| {map} | {} |", count.cells()).unwrap();
    }
    writeln!(page, "| **all** | {} |", total.cells()).unwrap();
    if !why.is_empty() {
        page.push_str(
            "\n## Differs\n\n| code | published | here | why |\n| --- | --- | --- | --- |\n",
        );
        page.push_str(&why);
    }
    types(&mut page);
    page
}

const TYPES: &str = "
## Data type maps

A value that has each of the type's components is given to the map of the guide's name (to CWE's for CE, CF and CNE).

- **shown**: the component's text, or the row's constant, is at the row's element.
- **open**: it is not, there is no map of this name, or no test asks yet: rows with a condition, another map or a vocabulary are not asked. Many of these are
  implemented under another name or by a segment map ([guide-rows.md](guide-rows.md)).
- **prose**: the guide says when the row applies in a sentence only.

| map | shown | open | prose |
| --- | --- | --- | --- |
";

fn types(page: &mut String) {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut total = [0; 3];
    for (row, state) in datatypes::rows().iter().zip(datatypes::states()) {
        let at = match state {
            datatypes::State::Done => 0,
            datatypes::State::Open => 1,
            datatypes::State::Prose => 2,
        };
        counts.entry(&row.map).or_default()[at] += 1;
        total[at] += 1;
    }
    page.push_str(TYPES);
    for (map, [shown, open, prose]) in counts {
        writeln!(page, "| {map} | {shown} | {open} | {prose} |").unwrap();
    }
    let [shown, open, prose] = total;
    writeln!(page, "| **all** | {shown} | {open} | {prose} |").unwrap();
}

#[test]
fn the_page_is_what_the_tests_find() {
    compare(PAGE, &page());
}
