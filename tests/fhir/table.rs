//! The tables of README.md beside this file, made of those that the tests hold the parts to. `UPDATE_DOCS=1` writes them (`make docs`).

use std::fmt::Write;

use crate::cases::{BROKEN, Seen};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fhir/README.md");
const BEGIN: &str = "<!-- made by `make docs` -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut table = String::from(
        "\n| what is broken | @medplum/core | fhir | HL7's own | the server |\n| --- | --- | --- | --- | --- |\n",
    );
    for broken in &BROKEN {
        let [medplum, fhir, hapi] = broken.seen.map(|seen| match seen {
            Seen::Nothing => "–",
            Seen::Warned(_) => "warns",
            Seen::Refused(_) => "refuses",
        });
        let (what, status) = (broken.what, broken.status);
        writeln!(table, "| {what} | {medplum} | {fhir} | {hapi} | {status} |").unwrap();
    }
    table.push('\n');
    table
}

#[test]
fn the_readme_has_the_table_that_the_tests_assert() {
    let page = std::fs::read_to_string(PAGE).expect("README.md");
    let (head, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (committed, tail) = rest.split_once(END).expect("where it ends");
    let generated = table();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(PAGE, [head, BEGIN, &generated, END, tail].concat()).expect("file written");
        return;
    }
    assert_eq!(
        committed, generated,
        "run `make docs` and commit the result"
    );
}
