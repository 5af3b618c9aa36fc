//! The configuration's JSON Schema, reference page and full example are generated from the types
//! of `config::raw`. These tests fail where the committed files are not what the types say, and
//! write them where `UPDATE_DOCS=1` is set (`make docs`).

// Helpers of tests, which clippy takes for other code in a file of their own.
#![allow(clippy::expect_used)]

mod example;
#[path = "../support/kept.rs"]
mod kept;
mod mapping;
mod page;
mod schema;

use mllp_bridge::config::{ApplicationAck, Charset, Config, Source, load};
use mllp_bridge::hl7::Mode;
use mllp_bridge::hl7::ack::{Verdict, code};
use mllp_bridge::hl7::mode::Condition;
use mllp_bridge::inbound::told::Told;
use mllp_bridge::telemetry::labels::{Label, Outcome};
use serde_json::{Value, json};

use kept::{compare, repository};

fn file(path: &str) -> Config {
    load(&Source::new().file(repository(path))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(yaml: &str) -> Config {
    load(&Source::new().text(yaml)).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn schema_is_current() {
    let schema = serde_json::to_string_pretty(&schema::schema()).expect("JSON");
    compare("docs/config.schema.json", &(schema + "\n"));
}

#[test]
fn the_description_of_the_api_is_current() {
    let document = mllp_bridge::outbound::api::openapi::document();
    let text = serde_json::to_string_pretty(&document).expect("JSON");
    compare("docs/openapi.json", &(text + "\n"));
}

#[test]
fn reference_page_is_current() {
    compare("docs/config.md", &page::page(&schema::sections()));
}

#[test]
fn injector_page_is_current() {
    let page = page::injector_page(&schema::injector_sections());
    compare("docs/injector-config.md", &page);
}

/// The table of docs/injection.md is between two comments; the rest of the page is written by hand.
#[test]
fn annotations_are_current() {
    let path = "docs/injection.md";
    let page = std::fs::read_to_string(repository(path)).expect("the page");
    let (before, rest) = page.split_once("by `make docs` -->\n").expect("a start");
    let (_, after) = rest.split_once("<!-- end -->").expect("an end");
    let table = page::annotations();
    compare(
        path,
        &format!("{before}by `make docs` -->\n{table}<!-- end -->{after}"),
    );
}

/// As the annotations' table: the rest of docs/charsets.md is written by hand.
#[test]
fn character_sets_are_current() {
    let path = "docs/charsets.md";
    let page = std::fs::read_to_string(repository(path)).expect("the page");
    let (before, rest) = page.split_once("by `make docs` -->\n").expect("a start");
    let (_, after) = rest.split_once("<!-- end -->").expect("an end");
    let rows: String = Charset::all()
        .map(|set| {
            let table = match set.table_0211() == set.name() && set.name() != "ASCII" {
                true => "–".to_owned(),
                false => format!("`{}`", set.table_0211()),
            };
            let aliases: Vec<_> = set
                .aliases()
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            format!("| {table} | `{}` | {} |\n", set.name(), aliases.join(", "))
        })
        .collect();
    compare(
        path,
        &format!("{before}by `make docs` -->\n{rows}<!-- end -->{after}"),
    );
}

/// The table of pairs in docs/acknowledgements.md; the rest of the page is written by hand.
#[test]
fn the_pairs_of_conditions_are_current() {
    let path = "docs/acknowledgements.md";
    let page = std::fs::read_to_string(repository(path)).expect("the page");
    let (before, rest) = page
        .split_once("inbound::told by `make docs` -->\n")
        .expect("a start");
    let (_, after) = rest.split_once("<!-- end -->").expect("an end");
    let conditions = [
        ("AL", Condition::Always),
        ("NE", Condition::Never),
        ("ER", Condition::OnError),
        ("SU", Condition::OnSuccess),
    ];
    let verdicts = [Verdict::Accepted, Verdict::Error, Verdict::Rejected];
    let row = |name: String, mode| {
        let cells = verdicts.map(|verdict| {
            let told = Told {
                outcome: Outcome::Accepted,
                verdict,
                faults: Vec::new(),
                text: None,
                own: None,
            };
            let kinds = told.kinds(mode, ApplicationAck::Connection);
            let codes: Vec<_> = kinds
                .into_iter()
                .flatten()
                .map(|kind| format!("`{}`", code(kind, verdict).label()))
                .collect();
            match codes.is_empty() {
                true => "–".to_owned(),
                false => codes.join(", then "),
            }
        });
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let mut rows = row("neither (original mode)".to_owned(), Mode::Original);
    for (first, accept) in conditions {
        for (second, application) in conditions {
            let mode = Mode::Enhanced {
                accept,
                application,
            };
            rows += &row(format!("`{first}` `{second}`"), mode);
        }
    }
    compare(
        path,
        &format!("{before}inbound::told by `make docs` -->\n{rows}<!-- end -->{after}"),
    );
}

#[test]
fn full_example_is_current() {
    compare("examples/config/full.yaml", &example::example());
}

/// What says nothing: TLS is on where there is anything of it.
const DEFAULTS: &str =
    "listeners: [{}]\ndestinations: [{name: ehr, address: 'ehr.example:6661', tls: {}}]";

/// The example is made of the documented defaults, so they are the defaults that are parsed.
#[test]
fn documented_defaults_are_the_defaults() {
    assert_eq!(text(&example::example()), text(DEFAULTS));
}

#[test]
fn every_key_is_documented() {
    // Keys whose absence means something that no value can say.
    let without_default = [
        "force",
        "answer",
        "condition",
        "directory",
        "destinations[].name",
        "address",
        "source",
        "ca_file",
        "cert_file",
        "key_file",
        "server_name",
        "replies_on",
        "mappings",
        "bearer_file",
        "token_url",
        "client_id",
        "client_secret_file",
        "scope",
        "sending_application",
        "sending_facility",
        "receiving_application",
        "receiving_facility",
    ];
    for section in schema::sections() {
        for key in &section.keys {
            assert!(
                !key.description.is_empty(),
                "{} has no description",
                key.path
            );
            assert!(!key.kind.is_empty(), "{} has no type", key.path);
            let names = [key.name.as_str(), key.path.as_str()];
            let expected = !names.iter().any(|name| without_default.contains(name));
            assert_eq!(key.default.is_some(), expected, "default of {}", key.path);
        }
    }
}

#[test]
fn the_examples_load_and_fit_the_schema() {
    let validator = jsonschema::validator_for(&schema::schema()).expect("a valid schema");
    assert_eq!(file("examples/config/full.yaml"), text(DEFAULTS));
    let minimal = file("examples/config/minimal.yaml");
    assert_eq!(minimal.listeners[0].session.deliver.url.path, "/hl7");
    let fhir = file("examples/config/fhir.yaml");
    assert!(fhir.listeners[0].session.deliver.auth.is_some());
    for path in [
        "examples/config/full.yaml",
        "examples/config/minimal.yaml",
        "examples/config/fhir.yaml",
    ] {
        let tree = yaml(&std::fs::read_to_string(repository(path)).expect("an example"));
        let errors: Vec<String> = validator
            .iter_errors(&tree)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{path}");
    }
}

/// An editor that uses the schema and the bridge must agree on spelling.
#[test]
fn schema_and_bridge_agree() {
    let validator = jsonschema::validator_for(&schema::schema()).expect("a valid schema");
    let listener = |keys: Value| json!({ "listeners": [keys] });
    for (tree, accepted) in [
        (listener(json!({})), true),
        (listener(json!({"name": "adt"})), true),
        (listener(json!({"name": "ADT"})), false),
        (listener(json!({"bind": "[::]:2575"})), true),
        (listener(json!({"bind": 2575})), false),
        (listener(json!({"backlog": 0})), false),
        (listener(json!({"framing": {"start": 11}})), true),
        (listener(json!({"framing": {"start": "0x0B"}})), true),
        (listener(json!({"framing": {"start": 200}})), false),
        (listener(json!({"limits": {"idle_timeout": "off"}})), true),
        (listener(json!({"limits": {"idle_timeout": false}})), true),
        (listener(json!({"limits": {"idle_timeout": true}})), false),
        (listener(json!({"limits": {"idle_timeout": "1h30m"}})), true),
        (listener(json!({"limits": {"idle_timeout": 30}})), false),
        (listener(json!({"limits": {"frame_timeout": "off"}})), false),
        (
            listener(json!({"limits": {"max_message_bytes": 65536}})),
            true,
        ),
        (
            listener(json!({"limits": {"max_message_bytes": "16Mi"}})),
            true,
        ),
        (
            listener(json!({"limits": {"max_message_bytes": "16 mib"}})),
            true,
        ),
        (
            listener(json!({"limits": {"max_message_bytes": "16M"}})),
            false,
        ),
        (listener(json!({"deliver": {"url": "ftp://app/"}})), false),
        (listener(json!({"deliver": {"traceparent": false}})), true),
        (listener(json!({"deliver": {"format": "xml"}})), false),
        (
            listener(json!({"deliver": {"status": {"5xx": {"answer": "unavailable"}}}})),
            true,
        ),
        (
            listener(json!({"deliver": {"status": {"409": {"condition": 207}}}})),
            false,
        ),
        (
            listener(json!({"deliver": {"status": {"600": {"answer": "accept"}}}})),
            false,
        ),
        (listener(json!({"ack": {"default_version": 2.3}})), true),
        (listener(json!({"ack": {"default_version": "two"}})), false),
        (listener(json!({"charset": {"force": "UTF-8"}})), true),
        (listener(json!({"charset": {"force": "ebcdic"}})), false),
        (listener(json!({"delivr": {}})), false),
        (json!({"listeners": [{}], "threads": 65}), false),
        (json!({"listeners": [{}], "admin": {"bind": "off"}}), true),
    ] {
        assert_eq!(validator.is_valid(&tree), accepted, "the schema on {tree}");
        // JSON is YAML.
        let loaded = load(&Source::new().text(tree.to_string()));
        assert_eq!(loaded.is_ok(), accepted, "the bridge on {tree}: {loaded:?}");
    }
}
