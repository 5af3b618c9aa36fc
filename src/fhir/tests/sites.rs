//! What a site's maps could do wrong in silence, and what is said of it instead.

use crate::fhir::Mapper;
use crate::fhir::compile::compile;
use crate::fhir::embedded::FILES;

/// What is said of these files beside the program's own.
fn said(site: &[(&str, &str)]) -> String {
    let files: Vec<(&str, &str)> = FILES.iter().chain(site).copied().collect();
    let errors = Mapper::new(&files).err().unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

fn vocabulary(text: &str) -> String {
    said(&[("/site/vocabularies/v.yaml", text)])
}

fn segment(rows: &str) -> String {
    let map = format!("ZPI[Patient]:\n  resource: Patient\n  rows:\n    - {rows}\n");
    said(&[("/site/segments/ZPI.yaml", &map)])
}

/// An identifier without its system would be another patient's.
#[test]
fn a_system_that_is_no_uri_is_an_error_that_says_what_to_write() {
    for (name, target, instead) in [
        (
            "AssigningAuthority",
            "2.16.840.1.113883.19.4.6",
            "write urn:oid:2.16.840.1.113883.19.4.6",
        ),
        (
            "AssigningAuthority",
            "\"https://general.example.org/mrn \"",
            "write https://general.example.org/mrn, without the blanks",
        ),
        (
            "AssigningAuthority",
            "hospital mrn",
            "`hospital mrn` is no URI; write urn:oid:1.2.3, https://… or another URI",
        ),
        (
            "CodeSystem",
            "{code: 1.2.840.10008.2.16.4}",
            "write urn:oid:1.2.840.10008.2.16.4",
        ),
        ("IdentifierChoice", "first", "`first` is no rank"),
        ("IdentifierChoice", "\"-1\"", "`-1` is no rank"),
        ("AdministrativeSex", "\"\"", "`` is no code"),
        (
            "Relationship",
            "{code: x, system: local}",
            "`system`: `local` is no URI",
        ),
    ] {
        let text = format!("{name}:\n  extends: true\n  codes:\n    XY: {target}\n");
        let said = vocabulary(&text);
        assert!(
            said.starts_with("/site/vocabularies/v.yaml:4: `XY`: "),
            "{text}{said}"
        );
        assert!(said.contains(instead), "{text}{said}");
    }
    for (name, target) in [
        ("AssigningAuthority", "urn:oid:2.16.840.1.113883.19.4.6"),
        ("AssigningAuthority", "https://general.example.org/mrn"),
        ("IdentifierChoice", "never"),
        ("IdentifierChoice", "\"7\""),
    ] {
        let text = format!("{name}:\n  extends: true\n  codes:\n    XY: {target}\n");
        assert_eq!(vocabulary(&text), "", "{text}");
    }
}

#[test]
fn two_definitions_of_one_name_in_one_directory_are_an_error_that_names_both() {
    let sex = "AdministrativeSex:\n  codes: {W: female}\n";
    let two = said(&[
        ("/site/vocabularies/a.yaml", sex),
        ("/site/vocabularies/b.yaml", sex),
    ]);
    let expected = "/site/vocabularies/b.yaml:2: `AdministrativeSex` is defined at /site/vocabularies/a.yaml:2 too; keep one, or write `extends: true` here to add to it";
    assert_eq!(two, expected);

    let map = "ZPI[Patient]:\n  resource: Patient\n  rows: [{to: active, value: true}]\n";
    let added = "ZPI[Patient]:\n  extends: true\n  rows: [{to: gender, value: other}]\n";
    for (first, second, is_error) in [
        (map, map, true),
        // The order of the files' names must not decide whether this is kept.
        (added, map, true),
        (map, added, false),
    ] {
        let said = said(&[
            ("/site/segments/a.yaml", first),
            ("/site/segments/b.yaml", second),
        ]);
        let named = said.contains(
            "/site/segments/b.yaml:2: `ZPI[Patient]` is defined at /site/segments/a.yaml:2 too",
        );
        assert_eq!(named, is_error, "{first}{second}{said}");
    }
    // Over the program's own as before, and two that add to one.
    let extended = "AdministrativeSex:\n  extends: true\n  codes: {W: female}\n";
    let fine = said(&[
        ("/site/vocabularies/a.yaml", extended),
        ("/site/vocabularies/b.yaml", extended),
        (
            "/site/vocabularies/c.yaml",
            "Relationship:\n  codes: {SPO: {code: SPS}}\n",
        ),
    ]);
    assert_eq!(fine, "");
}

#[test]
fn an_event_of_two_messages_is_told_with_the_other_and_its_file() {
    let message = "SITE_A08:\n  events: [ADT^A08]\n  body: [{segment: MSH}]\n";
    let said = said(&[("/site/messages/m.yaml", message)]);
    assert!(
        said.contains(
            "/site/messages/m.yaml:2: `ADT_A01` (messages/ADT_A01.yaml) has `ADT^A08` too"
        ),
        "{said}"
    );
}

#[test]
fn a_misspelt_key_of_a_code_is_named() {
    let said = vocabulary("Site:\n  codes:\n    \"W\": {code: other, dsplay: x}\n");
    assert!(said.starts_with("/site/vocabularies/v.yaml:3: "), "{said}");
    assert!(said.contains("`dsplay`"), "{said}");
}

#[test]
fn a_sender_where_only_a_bare_code_is_looked_up_is_an_error() {
    let said = vocabulary("AdministrativeSex:\n  extends: true\n  codes:\n    W@GENERAL: female\n");
    assert!(
        said.starts_with(
            "/site/vocabularies/v.yaml:4: `W@GENERAL`: only AssigningAuthority has names by sender"
        ),
        "{said}"
    );
}

#[test]
fn an_empty_constant_is_an_error() {
    for value in ["\"\"", "{text: \"\"}", "[]", "{}"] {
        let said = segment(&format!("{{to: language, value: {value}}}"));
        assert!(
            said.starts_with("/site/segments/ZPI.yaml:4: `value`: FHIR has no empty"),
            "{value}: {said}"
        );
    }
}

/// `patch` was left out in silence.
#[test]
fn an_extension_adds_to_what_is_patched() {
    let files = [
        (
            "segments/ZZ1.yaml",
            "ZZ1[Patient]: {resource: Patient, patch: {gender: code}, rows: [{to: gender, value: other}]}",
        ),
        (
            "/site/segments/ZZ1.yaml",
            "ZZ1[Patient]: {extends: true, patch: {active: boolean}, rows: [{to: active, value: true}]}",
        ),
    ];
    let program = compile(&files).unwrap();
    let patched = program.blocks[0].patch.iter();
    let patched: Vec<&str> = patched.map(|patched| patched.element.as_str()).collect();
    assert_eq!(patched, ["active", "gender"]);
}

/// Some senders write what a code becomes. Of two of one code and display but another system the first of the table was meant,
/// whose order is another in each process.
#[test]
fn what_a_target_is_looked_up_as_does_not_depend_on_the_order_of_the_table() {
    let codes = "Colour: {codes: {A: {code: red, system: 'http://a.example'}, B: {code: red, system: 'http://b.example'}, C: {code: red, system: 'http://c.example'}, D: {code: red}}}";
    for _ in 0..20 {
        let program = compile(&[("vocabularies/v.yaml", codes)]).unwrap();
        let found = program.vocabularies[0].get("red").unwrap();
        assert_eq!(found.system.as_deref(), None);
    }
}
