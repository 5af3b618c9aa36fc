//! What a site's maps could do wrong in silence, and what is said of it instead.

use crate::fhir::Mapper;
use crate::fhir::compile::compile;
use crate::fhir::embedded::FILES;
use crate::fhir::primitive::is_id;

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

/// Each would be refused by a server, or stored as what it is not, message after message.
#[test]
fn what_is_no_element_of_r4_is_an_error() {
    for (row, expected) in [
        (
            "{to: gendr, from: ZPI-2}",
            "R4's Patient has no element `gendr`",
        ),
        (
            "{to: id, from: ZPI-2, as: id}",
            "`id` of a resource is the bridge's own",
        ),
        (
            "{to: resourceType, value: Person}",
            "`resourceType` of a resource is the bridge's own",
        ),
        (
            "{to: deceased, value: true}",
            "R4's Patient has no element `deceased`; with its type it is deceasedBoolean, deceasedDateTime …",
        ),
        (
            "{to: \"gender[]\", value: other}",
            "`gender` is no list: write `gender` and not `gender[]`",
        ),
        (
            "{to: name, from: ZPI-2, as: \"XPN[HumanName]\"}",
            "`name` is a list: write `name[]`",
        ),
        (
            "{to: address.city, from: ZPI-2}",
            "`address` is a list: write its items as a row `to: address[]` with `rows`",
        ),
        (
            "{to: birthDate.year, from: ZPI-2}",
            "`birthDate.year`: a date has no elements",
        ),
        (
            "{to: deceasedBoolean, from: ZPI-2}",
            "`deceasedBoolean` is a boolean: write `as: boolean`",
        ),
        (
            "{to: birthDate, from: ZPI-2, as: dateTime}",
            "`birthDate` is a date: write `as: date`",
        ),
        (
            "{to: maritalStatus, from: ZPI-2}",
            "`maritalStatus` is a CodeableConcept: a data type map makes one",
        ),
        (
            "{to: birthDate, from: ZPI-2, as: \"XPN[HumanName]\"}",
            "`birthDate` is a date, and `XPN[HumanName]` makes an object",
        ),
        (
            "{to: managingOrganization, from: ZPI-2, as: \"XPN[HumanName]\"}",
            "R4's Reference has no element",
        ),
        (
            "{to: maritalStatus, from: ZPI-2, as: \"XON[Organization]\"}",
            "`maritalStatus` is a CodeableConcept, and no reference",
        ),
        (
            "{to: gender, from: ZPI-2, as: code}",
            "`gender` can only be female, male, other, unknown: it needs a `vocabulary`",
        ),
        (
            "{to: gender, value: femle}",
            "`femle` is none of the codes that `gender` can be: female, male, other, unknown",
        ),
        (
            "{to: gender, from: ZPI-2, as: code, vocabulary: MaritalStatus}",
            "is none of the codes that `gender` can be",
        ),
        (
            "{to: active, value: \"true\"}",
            "`value`: `active` is a boolean",
        ),
        (
            "{to: \"name[]\", value: {familie: X}}",
            "R4's HumanName has no element `familie`",
        ),
        (
            "{to: \"name[]\", value: {given: X}}",
            "`value`: `given` is a list",
        ),
        (
            "{to: \"telecom[]\", rows: [{to: sytem, value: phone}]}",
            "R4's ContactPoint has no element `sytem`",
        ),
        (
            "{to: active, value: true, unless: [deceasd*]}",
            "R4's Patient has no element `deceasd…`",
        ),
        (
            "{to: active, value: true, needs: [name.famly]}",
            "R4's HumanName has no element `famly`",
        ),
        (
            "{to: managingOrganization, reference: organisation}",
            "no map of any message makes a resource called `organisation`",
        ),
    ] {
        let said = segment(row);
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains(expected), "{row}: {said}");
    }
    for row in [
        "{to: language, from: ZPI-2, as: code}",
        "{to: deceasedBoolean, value: true}",
        "{to: \"meta.tag[]\", value: {system: \"https://general.example.org/origin\", code: x}}",
        "{to: \"_birthDate.extension\", value: [{url: \"https://x.example.org\", valueString: x}]}",
        "{to: gender, from: ZPI-2, as: code, when: \"ZPI-2 in (male, female)\"}",
        "{to: managingOrganization, from: ZPI-2, as: \"XON[Organization]\"}",
        "{to: \"contact[]\", rows: [{to: gender, value: other}], require: [name|gender]}",
    ] {
        assert_eq!(segment(row), "", "{row}");
    }
}

#[test]
fn what_is_patched_is_an_element_of_that_type() {
    for (patch, expected) in [
        ("{gendr: code}", "R4's Patient has no element `gendr`"),
        ("{gender: string}", "`gender` is a code"),
        (
            "{link: {members: {othr: Reference}}}",
            "R4's Patient.link has no element `othr`",
        ),
        ("{link: {members: {type: string}}}", "`type` is a code"),
        ("{gender: {members: {x: code}}}", "`gender` is a code"),
        ("{link: {members: {other: Reference, type: code}}}", ""),
        ("{gender: code}", ""),
    ] {
        let map = format!("ZPI[Patient]:\n  resource: Patient\n  patch: {patch}\n  rows: []\n");
        let said = said(&[("/site/segments/ZPI.yaml", &map)]);
        let expected = match expected {
            "" => String::new(),
            what => format!("/site/segments/ZPI.yaml:2: `patch`: {what}"),
        };
        assert_eq!(said, expected, "{patch}");
    }
}

/// The place that is told is where the code stands, and not the row of ours that looks it up.
#[test]
fn a_code_that_an_element_cannot_have_is_told_where_it_stands() {
    let said = vocabulary("AdministrativeSex:\n  extends: true\n  codes:\n    \"W\": femle\n");
    assert_eq!(
        said,
        "/site/vocabularies/v.yaml:4: `W`: `femle` is none of the codes that `gender` can be: female, male, other, unknown"
    );
}

#[test]
fn a_link_by_what_is_no_element_or_no_reference_is_an_error() {
    for (to, expected) in [
        ("subjct", "`to`: R4's Encounter has no element `subjct`"),
        (
            "\"subject[]\"",
            "`to`: `subject` is no list: write `subject` and not `subject[]`",
        ),
        ("status", "`to`: `status` is a code"),
    ] {
        let message = format!(
            "ADT_A01:\n  extends: true\n  body: []\n  links:\n    - {{of: encounter, to: {to}, target: patient}}\n"
        );
        let said = said(&[("/site/messages/m.yaml", &message)]);
        let expected = format!("/site/messages/m.yaml:5: {expected}");
        assert_eq!(said, expected, "{to}");
    }
}

/// `pateint` would be a second Patient, without a number.
#[test]
fn a_misspelt_name_of_a_resource_is_an_error() {
    let map = "ZPI[Patient]:\n  resource: Patient\n  rows: [{to: active, value: true}, {to: language, from: ZPI-2, as: code}]\n";
    let message = "ADT_A01:\n  extends: true\n  body:\n    - after: PD1\n      segment: ZPI\n      maps:\n        - {map: \"ZPI[Patient]\", into: pateint}\n";
    let said = said(&[
        ("/site/segments/ZPI.yaml", map),
        ("/site/messages/m.yaml", message),
    ]);
    assert!(
        said.starts_with("/site/messages/m.yaml:7: `pateint` is another Patient than `patient`"),
        "{said}"
    );
}

#[test]
fn an_id_is_what_r4_says_it_is() {
    let (longest, long) = ("x".repeat(64), "x".repeat(65));
    for (text, fits) in [
        ("A-1.b", true),
        (longest.as_str(), true),
        (long.as_str(), false),
        ("a_b", false),
        ("a b", false),
        ("ä", false),
        ("", false),
    ] {
        assert_eq!(is_id(text), fits, "{text}");
    }
}
