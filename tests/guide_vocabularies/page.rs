//! docs/guide-vocabularies.md, made of what the tests find. `UPDATE_DOCS=1` writes it (`make docs`).

use crate::kept::compare;
use crate::vocabularies::{State, name, rows, states};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PAGE: &str = "docs/guide-vocabularies.md";

const HEAD: &str = "# The vocabularies of HL7's v2-to-FHIR guide

HL7's guide says in concept maps what the codes of v2's tables become in FHIR. Its rows, without its sentences, are in `tests/guide_vocabularies`; for each,
`cargo test --test guide_vocabularies` looks the code up as a map does. This page is what it finds (`make docs`).

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
    page
}

#[test]
fn the_page_is_what_the_tests_find() {
    compare(PAGE, &page());
}
