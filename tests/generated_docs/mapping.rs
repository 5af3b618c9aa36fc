//! The schemas of the mapping files, one for each kind of file, as editors take them: docs/mapping/*.schema.json.

use std::collections::BTreeMap;
use std::path::Path;

use jsonschema::Validator;
use mllp_bridge::fhir::raw::{Map, Message, Vocabulary};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::{compare, repository, schema, yaml};

/// A kind of file: its schema, and the folders that its files are in.
struct Kind {
    name: &'static str,
    folders: &'static [&'static str],
    schema: Value,
}

/// What a file's top holds: definitions by their names.
fn of_definitions<T: JsonSchema>(title: &str, names: &str) -> Value {
    let mut schema = schemars::schema_for!(BTreeMap<String, T>).to_value();
    schema::tidy(&mut schema);
    schema["title"] = title.into();
    schema["propertyNames"] = json!({ "pattern": names });
    schema
}

fn kinds() -> [Kind; 3] {
    [
        Kind {
            name: "messages",
            folders: &["messages"],
            schema: of_definitions::<Message>("mllp-bridge: message maps", "^[A-Z0-9_]+$"),
        },
        Kind {
            name: "maps",
            folders: &["segments", "datatypes"],
            schema: of_definitions::<Map>(
                "mllp-bridge: maps of segments and data types",
                r"^[A-Z0-9]+\[.+\]$",
            ),
        },
        Kind {
            name: "vocabularies",
            folders: &["vocabularies"],
            schema: of_definitions::<Vocabulary>("mllp-bridge: vocabularies", "^.+$"),
        },
    ]
}

fn faults(validator: &Validator, tree: &Value) -> Vec<String> {
    let all = validator.iter_errors(tree);
    all.map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn mapping_schemas_are_current() {
    for kind in kinds() {
        let text = serde_json::to_string_pretty(&kind.schema).expect("JSON");
        let path = format!("docs/mapping/{}.schema.json", kind.name);
        compare(&path, &(text + "\n"));
    }
}

#[test]
fn every_mapping_file_fits_its_schema() {
    for kind in kinds() {
        let validator = jsonschema::validator_for(&kind.schema).expect("a valid schema");
        let mut seen = 0;
        for folder in kind.folders {
            let folder = repository("mappings").join(folder);
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let text = std::fs::read_to_string(&path).expect("a file");
                let found = faults(&validator, &yaml(&text));
                assert_eq!(found, [""; 0], "{}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 3, "only {seen} files of {}", kind.name);
    }
}

/// The descriptions are what an editor shows beside a key.
#[test]
fn every_key_of_a_mapping_file_is_described() {
    for kind in kinds() {
        let definitions = kind.schema["$defs"].as_object().expect("definitions");
        for (name, definition) in definitions {
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{name}.{key}");
            }
        }
    }
}

/// An editor that uses a schema and the bridge must agree on what is wrong.
#[test]
fn a_mapping_that_the_bridge_refuses_does_not_fit() {
    let map = |text: &str| {
        (
            "segments",
            format!("ZPI[Patient]:\n  resource: Patient\n{text}"),
        )
    };
    let message = |text: &str| ("messages", format!("ZZZ_Z01:\n{text}"));
    let extension = |text: &str| ("segments", text.to_owned());
    let vocabulary = |text: &str| ("vocabularies", format!("Site:\n{text}"));
    for ((folder, text), accepted) in [
        (
            map("  rows: [{to: language, from: ZPI-2, as: code}]\n"),
            true,
        ),
        (map("  rows: []\n"), true),
        (map(""), false),
        (map("  rows: {to: gender, from: ZPI-2}\n"), false),
        (map("  row: [{to: gender, from: ZPI-2}]\n"), false),
        (map("  rows: [{too: gender, from: ZPI-2}]\n"), false),
        (map("  rows: [{to: gender, from: [ZPI-2]}]\n"), false),
        (map("  rows: []\n  request: delete\n"), false),
        (map("  rows: []\n  request: update\n"), true),
        (map("  rows: [{to: active, value: true}]\n"), true),
        (
            map("  rows: [{to: active, value: true, unless: active}]\n"),
            false,
        ),
        (("segments", "ZPI:\n  rows: []\n".into()), false),
        (
            message("  events: [ZZZ^Z01]\n  body: [{segment: MSH}]\n"),
            true,
        ),
        (
            message("  events: [ZZZ_Z01]\n  body: [{segment: MSH}]\n"),
            false,
        ),
        (message("  events: [ZZZ^Z01]\n"), false),
        (message("  body: [{segment: MSH}]\n"), false),
        (
            message("  events: [ZZZ^Z01]\n  body: [{segment: MSH, repeat: true}]\n"),
            false,
        ),
        (
            vocabulary("  codes: {W: female, M: {code: male, display: Male}}\n"),
            true,
        ),
        (
            extension(
                "PID[Patient]:\n  extends: true\n  rows: [{to: language, from: PID-8, as: code}]\n",
            ),
            true,
        ),
        (
            extension("PID[Patient]:\n  extends: yes\n  rows: []\n"),
            false,
        ),
        (
            extension("PID[Patient]:\n  extends: true\n  file: 1\n  rows: []\n"),
            false,
        ),
        (
            extension("PID[Patient]:\n  extends: true\n  rows: [{to: a, value: 1, file: 1}]\n"),
            false,
        ),
        (vocabulary("  list: [a, b]\n"), true),
        (vocabulary("  codes: {W: 1}\n"), false),
        (vocabulary("  codes: {W: {cod: female}}\n"), false),
        (
            vocabulary("  codes: {W: {code: female, dsplay: Female}}\n"),
            false,
        ),
        (vocabulary("  code: {W: female}\n"), false),
    ] {
        let kinds = kinds();
        let kind = kinds.iter().find(|kind| kind.folders.contains(&folder));
        let kind = kind.expect("a kind");
        let validator = jsonschema::validator_for(&kind.schema).expect("a valid schema");
        let found = faults(&validator, &yaml(&text));
        assert_eq!(found.is_empty(), accepted, "the schema on\n{text}{found:?}");

        let folder_of_maps = tempfile::TempDir::new().expect("a folder");
        let file = folder_of_maps.path().join(folder).join("site.yaml");
        std::fs::create_dir(file.parent().unwrap_or(Path::new(""))).expect("made");
        std::fs::write(&file, &text).expect("written");
        let compiled = mllp_bridge::deliver::maps::compile(Some(folder_of_maps.path()));
        let error = compiled.err().map(|error| error.to_string());
        assert_eq!(error.is_none(), accepted, "the bridge on\n{text}{error:?}");
    }
}
