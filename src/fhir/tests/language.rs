//! The mapping language: what it says, and how it complains.

use crate::fhir::compile::compile_any as compile;
use crate::fhir::{Mapper, Options};
use crate::hl7::{Payload, peek};
use serde_json::{Value, json};

const MESSAGE: &str = "XXX_X01:\n  events: [XXX^X01]\n  body:\n    - segment: MSH\n    - segment: ZZ1\n      maps: [{map: 'ZZ1[Basic]', into: it}]\n  links: []\n";

/// What the rows make of `ZZ1|…`.
fn made(rows: &str, zz1: &str) -> Value {
    let map = format!("ZZ1[Basic]:\n  resource: Basic\n  rows:\n{rows}");
    let vocabulary = "Colour: {system: 'http://colours.example', codes: {R: red, G: {code: green, display: Green}}}";
    let types = "ZA[Pair]: {rows: [{to: a, from: ZA.1}, {to: b, from: ZA.2}], require: [a]}";
    let files = [
        ("messages/X.yaml", MESSAGE),
        ("segments/ZZ1.yaml", map.as_str()),
        ("datatypes/ZA.yaml", types),
        ("vocabularies/v.yaml", vocabulary),
    ];
    let mapper = Mapper::of_any_elements(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
    let message = format!("MSH|^~\\&|A|B|||20260101||XXX^X01|1|P|2.5\rZZ1|{zz1}\r");
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header")
    };
    let bundle = mapper.convert(message.as_bytes(), &header, true, &Options::default());
    let bundle: Value = serde_json::from_slice(&bundle.unwrap().bundle).unwrap();
    let mut resource = bundle["entry"][0]["resource"].clone();
    if let Some(members) = resource.as_object_mut() {
        members.remove("resourceType");
        members.remove("id");
    }
    resource
}

#[test]
fn rows() {
    for (rows, zz1, expected) in [
        (
            "    - {to: a.b, from: ZZ1-1}",
            "x",
            json!({"a": {"b": "x"}}),
        ),
        (
            "    - {to: \"a[]\", from: ZZ1-1}",
            "x~~y",
            json!({"a": ["x", "y"]}),
        ),
        ("    - {to: a, from: ZZ1-1}", "x~y", json!({"a": "x"})),
        (
            "    - {to: a, from: ZZ1-1, join: \", \"}",
            "x~y",
            json!({"a": "x, y"}),
        ),
        (
            "    - {to: a, from: \"ZZ1-1[2]\"}",
            "x~y",
            json!({"a": "y"}),
        ),
        (
            "    - {to: a, from: ZZ1-1, when: ZZ1-1 known Colour}\n    - {to: b, from: ZZ1-2, when: ZZ1-2 not known Colour}",
            "R|R",
            json!({"a": "R"}),
        ),
        (
            "    - {to: a, from: ZZ1-1, when: ZZ1-1 known Colour}\n    - {to: b, from: ZZ1-2, when: ZZ1-2 not known Colour}",
            "X|X",
            json!({"b": "X"}),
        ),
        (
            "    - {to: a, text: \"{ZZ1-1}/{ZZ1-2}\"}",
            "x|y",
            json!({"a": "x/y"}),
        ),
        (
            "    - {to: a, text: \"{ZZ1-1}/{ZZ1-2}\"}\n    - {to: b, from: ZZ1-3}",
            "x||z",
            json!({"b": "z"}),
        ),
        (
            "    - {to: a.b.start, from: ZZ1-1, as: dateTime}\n    - {to: a.b.end, from: ZZ1-2, as: dateTime}",
            "20260102|20260101",
            json!({"a": {"b": {"start": "2026-01-02"}}}),
        ),
        (
            "    - {to: a, from: ZZ1-1, as: \"ZA[Pair]\"}",
            "x^y",
            json!({"a": {"a": "x", "b": "y"}}),
        ),
        (
            "    - {to: \"a[]\", from: ZZ1-1, as: \"ZA[Pair]\"}",
            "^y~z",
            json!({"a": [{"a": "z"}]}),
        ),
        (
            "    - {from: ZZ1-1, as: \"ZA[Pair]\"}",
            "x^y",
            json!({"a": "x", "b": "y"}),
        ),
        (
            "    - {to: a, from: ZZ1-1.2, as: \"ZA[Pair]\"}",
            "^x&y",
            json!({"a": {"a": "x", "b": "y"}}),
        ),
        (
            "    - {to: a, from: ZZ1-1, as: code, vocabulary: Colour}\n    - {to: b, from: ZZ1-2}",
            "R|1",
            json!({"a": "red", "b": "1"}),
        ),
        (
            "    - {to: a, from: ZZ1-1, as: code, vocabulary: Colour}\n    - {to: b, from: ZZ1-2}",
            "Q|1",
            json!({"b": "1"}),
        ),
        (
            "    - to: \"a[]\"\n      from: ZZ1-1\n      rows:\n        - {to: b, from: .1}\n        - {to: c, from: .2}",
            "1^2~3",
            json!({"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        ),
        (
            "    - {to: a, value: {c: 1}}\n    - {to: b, from: ZZ1-1}",
            "x",
            json!({"a": {"c": 1}, "b": "x"}),
        ),
        (
            "    - {to: a, from: ZZ1-1, as: date, absent: unknown}\n    - {to: b, from: ZZ1-2}",
            "x|y",
            json!({"_a": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}, "b": "y"}),
        ),
        (
            "    - {to: a, from: ZZ1-1, when: ZZ1-2 = Y}\n    - {to: b, from: ZZ1-2}",
            "x|N",
            json!({"b": "N"}),
        ),
        (
            "    - {to: a, from: ZZ1-1}\n    - {to: b, from: ZZ1-2, unless: [a]}",
            "x|y",
            json!({"a": "x"}),
        ),
        (
            "    - to: a\n      require: [c]\n      rows:\n        - {to: b, from: ZZ1-1}\n        - {to: c, from: ZZ1-2}\n    - {to: d, from: ZZ1-3}",
            "x||z",
            json!({"d": "z"}),
        ),
        ("    - {to: a, value: x}", "y", Value::Null),
    ] {
        assert_eq!(made(rows, zz1), expected, "{rows} of {zz1}");
    }
}

#[test]
fn what_is_wrong_is_named_by_file_and_line() {
    let map = |rows: &str| {
        format!("ZZ1[Basic]:\n  resource: Basic\n  rows:\n    - {{to: ok, from: ZZ1-1}}\n{rows}\n")
    };
    for (rows, line, what) in [
        (
            "    - {to: a, from: ZZ1-1, vocabulary: None}",
            5,
            "there is no vocabulary `None`",
        ),
        (
            "    - {to: a, from: ZZ1-1, as: 'XX[Y]'}",
            5,
            "`as`: `XX[Y]` is neither a FHIR type nor a data type map",
        ),
        ("    - {to: a, from: ZZ1}", 5, "`ZZ1` is no place"),
        (
            "    - {to: a, from: ZZ1-1, value: x}",
            5,
            "a row has one of",
        ),
        ("    - {to: a}", 5, "a row has one of"),
        ("    - {from: ZZ1-1}", 5, "`to` is missing"),
        (
            "    - {to: 'a b', from: ZZ1-1}",
            5,
            "`to`: `a b` is no element",
        ),
        (
            "    - {to: a, from: ZZ1-1, when: ZZ1-2 is Y}",
            5,
            "`when`: `is` is no test",
        ),
        (
            "    - {to: a, text: '{ZZ1-1'}",
            5,
            "`text`: a { is not closed",
        ),
        ("    - {to: a, form: ZZ1-1}", 5, "unknown field"),
        ("    - {to: a, from: ZZ1-1\n", 0, ""),
    ] {
        let text = map(rows);
        let errors = compile(&[("segments/ZZ1.yaml", &text)]).unwrap_err();
        let [error] = &errors[..] else {
            panic!("{rows}: {errors:?}")
        };
        assert_eq!(error.file, "segments/ZZ1.yaml");
        assert!(error.what.contains(what), "{rows}: {error}");
        assert!(line == 0 || error.line == line, "{rows}: {error}");
    }
    for (file, text, what) in [
        (
            "segments/X.yaml",
            "PID[Patien]: {resource: Patien, rows: []}",
            "`Patien` is no resource of R4",
        ),
        (
            "messages/X.yaml",
            "A: {events: [ADT], body: [{segment: PID}]}",
            "`ADT` is no event",
        ),
        (
            "messages/X.yaml",
            "A: {events: [], body: [{segment: PID, maps: [{map: X, into: y}]}]}",
            "there is no segment map `X`",
        ),
        (
            "messages/X.yaml",
            "A: {events: [], body: [{segment: PID}], links: [{of: a, to: b, target: a}]}",
            "no map of this message makes a resource called `a`",
        ),
        (
            "messages/X.yaml",
            "A: {events: [], body: [{segment: PID, group: X}]}",
            "either a `segment` or a `group`",
        ),
        ("else/X.yaml", "{}", "is no folder of maps"),
    ] {
        let errors = compile(&[(file, text)]).unwrap_err();
        assert!(
            errors.iter().any(|error| error.what.contains(what)),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn a_later_map_replaces_one_of_its_name() {
    let first = "ZZ1[Basic]: {resource: Basic, rows: [{to: a, from: ZZ1-1}]}";
    let second = "ZZ1[Basic]: {resource: Basic, rows: [{to: b, from: ZZ1-1}]}";
    let mapper = Mapper::of_any_elements(&[
        ("messages/X.yaml", MESSAGE),
        ("segments/ZZ1.yaml", first),
        ("/site/segments/ZZ1.yaml", second),
    ]);
    let message = b"MSH|^~\\&|A|B|||20260101||XXX^X01|1|P|2.5\rZZ1|x\r";
    let Payload::V2(header) = peek(message) else {
        panic!("no header")
    };
    let bundle = mapper
        .unwrap()
        .convert(message, &header, true, &Options::default());
    let text = String::from_utf8(bundle.unwrap().bundle).unwrap();
    assert!(
        text.contains("\"b\":\"x\"") && !text.contains("\"a\":"),
        "{text}"
    );
}

/// A site's file must not end the process.
#[test]
fn what_would_use_up_the_stack_is_refused() {
    for when in ["not ".repeat(100_000), "(".repeat(100_000)] {
        let map = format!(
            "ZZ1[Basic]: {{resource: Basic, rows: [{{to: a, from: ZZ1-1, when: \"{when}ZZ1-1 valued\"}}]}}"
        );
        let files = [
            ("messages/X.yaml", MESSAGE),
            ("segments/ZZ1.yaml", map.as_str()),
        ];
        let errors = Mapper::of_any_elements(&files).expect_err("it is too deep");
        let text = errors.iter().map(ToString::to_string).collect::<String>();
        assert!(
            text.contains("segments/ZZ1.yaml:1") && text.contains("32 levels"),
            "{text}"
        );
    }
    let map = "ZZ1[Basic]: {resource: Basic, rows: [{to: a, from: ZZ1-1}, {to: b, from: ZZ1-1, as: 'ZA[Pair]'}]}";
    let levels: String = (0..17)
        .map(|n| {
            format!(
                "Z{n}[Pair]: {{rows: [{{to: a, from: Z{n}.1, as: 'Z{}[Pair]'}}]}}\n",
                n + 1
            )
        })
        .chain([
            "Z17[Pair]: {rows: [{to: a, from: Z17.1}]}\nZA[Pair]: {rows: [{to: a, from: ZA.1}]}\n"
                .to_owned(),
        ])
        .collect();
    for (maps, said) in [
        (
            "ZA[Pair]: {rows: [{to: a, from: ZA.1}, {to: b, from: ZA.1, as: 'ZA[Pair]'}]}",
            "datatypes/ZA.yaml:1: `ZA[Pair]` is inside itself by way of `ZA[Pair]`",
        ),
        (
            "ZA[Pair]:\n  rows:\n  - to: a\n    rows:\n    - {to: b, from: ZA.1, as: 'ZB[Pair]'}\nZB[Pair]:\n  rows:\n  - {from: ZB.1, as: 'ZA[Pair]'}",
            "datatypes/ZA.yaml:5: `ZA[Pair]` is inside itself by way of `ZB[Pair]`\ndatatypes/ZA.yaml:8: `ZB[Pair]` is inside itself by way of `ZA[Pair]`",
        ),
        (
            levels.as_str(),
            "datatypes/ZA.yaml:2: `Z1[Pair]` has more than 16 levels of maps",
        ),
    ] {
        let errors = Mapper::of_any_elements(&[
            ("messages/X.yaml", MESSAGE),
            ("segments/ZZ1.yaml", map),
            ("datatypes/ZA.yaml", maps),
        ]);
        let errors = errors.expect_err("it would never end");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.join("\n"), said);
    }
}

/// A map whose rows go to `$value` makes what the row that uses it needs.
#[test]
fn a_map_may_make_a_single_value() {
    let made = |types: &str, rows: &str| {
        let map = format!("ZZ1[Basic]: {{resource: Basic, rows: [{rows}]}}");
        let files = [
            ("messages/X.yaml", MESSAGE),
            ("segments/ZZ1.yaml", map.as_str()),
            ("datatypes/ZA.yaml", types),
        ];
        let mapper = Mapper::of_any_elements(&files).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            errors.join("\n")
        })?;
        let message = b"MSH|^~\\&|A|B|||20260101||XXX^X01|1|P|2.5\rZZ1|^text|code^~^other\r";
        let Payload::V2(header) = peek(message) else {
            panic!("no header")
        };
        let bundle = mapper.convert(message, &header, true, &Options::default());
        let bundle: Value = serde_json::from_slice(&bundle.unwrap().bundle).unwrap();
        Ok::<_, String>(bundle["entry"][0]["resource"].clone())
    };
    let text = "ZA[string]:\n  rows:\n    - {to: $value, from: ZA.1}\n    - {to: $value, from: ZA.2, unless: [$value]}\n";
    let it = made(
        text,
        "{to: one, from: ZZ1-1, as: 'ZA[string]'}, {to: \"many[]\", from: ZZ1-2, as: 'ZA[string]'}",
    );
    let it = it.unwrap();
    assert_eq!(it["one"], "text");
    assert_eq!(it["many"], json!(["code", "other"]));

    let row = "{to: a, from: ZZ1-1, as: 'ZA[string]'}";
    let only =
        "`$value` stands in all rows of a data type map and in no other, and makes a single value";
    for (types, row, said) in [
        (
            text,
            "{from: ZZ1-1, as: 'ZA[string]'}",
            "segments/ZZ1.yaml:1: `ZA[string]` makes a single value: `to` is missing".to_owned(),
        ),
        (
            "ZA[string]:\n  rows:\n    - {to: $value, from: ZA.1}\n    - {to: b, from: ZA.2}\n",
            row,
            format!("datatypes/ZA.yaml:4: {only}"),
        ),
        (
            "ZA[string]:\n  rows:\n    - to: b\n      rows:\n        - {to: $value, from: ZA.2}\n",
            row,
            format!("datatypes/ZA.yaml:5: {only}"),
        ),
        (
            text,
            "{to: $value, from: ZZ1-1}",
            format!("segments/ZZ1.yaml:1: {only}"),
        ),
    ] {
        assert_eq!(made(types, row).unwrap_err(), said);
    }
}

/// The second would silently replace the first.
#[test]
fn no_map_of_ours_is_there_twice() {
    let mut names = std::collections::BTreeMap::new();
    for (file, text) in crate::fhir::embedded::FILES {
        let named = text.lines().filter(|line| !line.starts_with([' ', '#']));
        for name in named.filter_map(|line| line.trim_end().strip_suffix(':')) {
            let before = names.insert((file.split('/').next(), name), file);
            assert_eq!(before, None, "{name} is in {file} as well");
        }
    }
    assert!(names.len() > 300, "{}", names.len());
}

/// What a map, a vocabulary and a message make when later files add to them.
#[test]
fn what_extends_comes_first_and_leaves_the_rest() {
    let files = [
        (
            "messages/X.yaml",
            "XXX_X01:\n  events: [XXX^X01]\n  body:\n    - segment: MSH\n    - segment: ZZ1\n      maps: [{map: 'ZZ1[Basic]', into: it}]\n",
        ),
        (
            "segments/ZZ1.yaml",
            "ZZ1[Basic]:\n  resource: Basic\n  rows:\n    - {to: one, value: built-in}\n    - {to: \"many[]\", value: built-in}\n    - {to: colour, from: ZZ1-1, as: code, vocabulary: Colour}\n    - {to: kept, from: ZZ1-2, as: code, vocabulary: Colour}\n    - {to: listed, from: ZZ1-3, as: code, vocabulary: Colour}\n",
        ),
        (
            "segments/ZZ2.yaml",
            "ZZ2[Basic]: {resource: Basic, rows: [{to: other, from: ZZ2-1}]}",
        ),
        (
            "vocabularies/v.yaml",
            "Colour: {system: 'http://colours.example', codes: {R: red, G: green}, list: [X]}",
        ),
        (
            "/site/messages/X.yaml",
            "XXX_X01:\n  extends: true\n  body:\n    - {after: ZZ1, segment: ZZ2, maps: [{map: 'ZZ2[Basic]', into: it}]}\n",
        ),
        (
            "/site/segments/ZZ1.yaml",
            "ZZ1[Basic]:\n  extends: true\n  rows:\n    - {to: one, value: site}\n    - {to: \"many[]\", value: site}\n",
        ),
        (
            "/site/vocabularies/v.yaml",
            "Colour: {extends: true, codes: {R: rouge, X: other}}",
        ),
    ];
    let mapper = Mapper::of_any_elements(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
    let message = "MSH|^~\\&|A|B|||20260101||XXX^X01|1|P|2.5\rZZ1|R|G|X\rZZ2|z\r";
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header")
    };
    let bundle = mapper.convert(message.as_bytes(), &header, true, &Options::default());
    let bundle: Value = serde_json::from_slice(&bundle.unwrap().bundle).unwrap();
    let resource = &bundle["entry"][0]["resource"];
    for (element, expected) in [
        ("one", json!("site")),
        ("many", json!(["site", "built-in"])),
        ("colour", json!("rouge")),
        ("kept", json!("green")),
        ("listed", json!("other")),
        ("other", json!("z")),
    ] {
        assert_eq!(resource[element], expected, "{element} of {resource}");
    }
}
