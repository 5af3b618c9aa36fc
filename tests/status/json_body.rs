//! What a JSON body adds: `{"ack": …}` on a 2xx, problem details and OperationOutcomes on errors.

use serde_json::{Value, json};

use super::*;

fn ok(value: &Value) -> Exchange {
    Exchange::of(Reply::ok().json(value))
}

#[test]
fn ack_aa_with_a_text_puts_it_into_msa_3() {
    let exchange = ok(&json!({"ack": {"code": "AA", "text": "filed as 17"}}));
    exchange.ack.expect("AA", "MSG1");
    assert_eq!(exchange.ack.msa3(), "filed as 17", "{}", exchange.ack);
    exchange.expect_counted("accepted", "AA");
}

#[test]
fn ack_ae_with_errors_is_built_from_them() {
    let exchange = ok(
        &json!({"ack": {"code": "AE", "text": "two things", "errors": [
            {"detail": "no such ward", "location": "PV1-3", "condition": 103, "code": "W7", "severity": "warning"},
            "and another",
        ]}}),
    );
    let ack = &exchange.ack;
    ack.expect("AE", "MSG1");
    let errors = ack.err();
    assert_eq!(errors.len(), 2, "{ack}");
    assert_eq!(
        [2, 3, 4, 5, 8].map(|field| errors[0].field(field)),
        [
            "PV1^1^3",
            "103^Table value not found^HL70357",
            "W",
            "W7",
            "no such ward"
        ],
        "{ack}"
    );
    assert_eq!(errors[1].field(8), "and another", "{ack}");
    exchange
        .expect_counted("rejected", "AE")
        .expect_one_request();
}

#[test]
fn ack_ar_is_ar_with_its_text() {
    let exchange = ok(&json!({"ack": {"code": "AR", "text": "not here"}}));
    exchange.expect("AR", "207");
    assert_eq!(exchange.ack.err()[0].field(8), "not here");
}

#[test]
fn ack_with_a_code_that_is_none_is_ae() {
    for ack in [
        json!({"code": "OK"}),
        json!({"code": 7}),
        json!({}),
        json!("AA"),
        json!(null),
        json!(["AA"]),
        json!({"code": "aa"}),
    ] {
        ok(&json!({"ack": ack})).expect("AE", "207");
    }
}

#[test]
fn json_without_an_ack_is_a_plain_aa() {
    for value in [
        json!({"status": "stored"}),
        json!([]),
        json!("ack"),
        json!(1),
    ] {
        ok(&value).ack.expect("AA", "MSG1");
    }
}

/// Go's encoder sends JSON as `text/plain` unless told otherwise, and others name no type at all. The app said AE.
#[test]
fn ack_ae_is_ae_even_if_the_app_does_not_say_that_it_is_json() {
    let body = json!({"ack": {"code": "AE", "text": "no"}}).to_string();
    for content_type in [Some("text/plain; charset=utf-8"), Some("text/json"), None] {
        let reply = Reply::ok().body(format!("\n {body}\n"));
        let reply = match content_type {
            Some(content_type) => reply.header("Content-Type", content_type),
            None => reply,
        };
        Exchange::of(reply).expect("AE", "207");
    }
}

/// The bridge cannot know what the app said: it must not say AA for it.
#[test]
fn an_ack_that_is_larger_than_max_response_bytes_is_ae() {
    let large = json!({"ack": {"code": "AE", "text": "x".repeat(2000)}});
    Exchange::with(
        Reply::ok().json(&large),
        &messages::adt("MSG1"),
        "max_response_bytes: 1KiB",
    )
    .expect("AE", "207");
}

fn two_errors() -> Value {
    json!({"type": "about:blank", "title": "Invalid", "status": 422, "detail": "2 errors", "errors": [
        {"detail": "PID-3 is empty", "location": "PID-3.1", "condition": 101, "code": "E1"},
        {"detail": "bad date", "location": "PID.7", "code": 12},
        {"detail": "deep", "pointer": "PID.3[2].4.2", "severity": "information"},
        {"detail": "no place", "location": "/data/segments/2"},
    ]})
}

#[test]
fn problem_json_with_errors_gives_an_err_each_with_err_2_from_2_5_on() {
    for version in ["2.5", "2.5.1", "2.6", "2.7", "2.8.2"] {
        let exchange = Exchange::with(
            Reply::problem(422, &two_errors()),
            &messages::adt_version(version, "MSG1"),
            "",
        );
        let ack = &exchange.ack;
        ack.expect("AE", "MSG1");
        let errors = ack.err();
        let fields: Vec<[&str; 6]> = errors
            .iter()
            .map(|error| [1, 2, 3, 4, 5, 8].map(|field| error.field(field)))
            .collect();
        let data_type = "102^Data type error^HL70357";
        assert_eq!(
            fields,
            [
                [
                    "",
                    "PID^1^3^1^1",
                    "101^Required field missing^HL70357",
                    "E",
                    "E1",
                    "PID-3 is empty"
                ],
                ["", "PID^1^7", data_type, "E", "12", "bad date"],
                ["", "PID^1^3^2^4^2", data_type, "I", "", "deep"],
                ["", "", data_type, "E", "", "no place"],
            ],
            "version {version}"
        );
    }
}

#[test]
fn problem_json_with_errors_gives_one_err_that_repeats_err_1_before_2_5() {
    for version in ["2.3", "2.3.1", "2.4"] {
        let exchange = Exchange::with(
            Reply::problem(422, &two_errors()),
            &messages::adt_version(version, "MSG1"),
            "",
        );
        let ack = &exchange.ack;
        ack.expect("AE", "MSG1");
        assert_eq!(ack.msa3(), "PID-3 is empty", "version {version}: {ack}");
        assert_eq!(ack.err().len(), 1, "version {version}: {ack}");
        let errors: Vec<&str> = ack.err()[0].field(1).split('~').collect();
        assert_eq!(
            errors,
            [
                "PID^1^3^101&Required field missing&HL70357",
                "PID^1^7^102&Data type error&HL70357",
                "PID^1^3^102&Data type error&HL70357",
                "^^^102&Data type error&HL70357",
            ],
            "version {version}: {ack}"
        );
    }
}

#[test]
fn problem_json_on_a_retried_status_tells_its_text_at_the_deadline() {
    let app = TestApp::start();
    app.always(Reply::problem(503, &json!({"detail": "database is down"})));
    let bridge = Bridge::start(&config(&app.url(), "", "").replace("10s", "100ms"));
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err()[0].field(8), "database is down", "{ack}");
}

#[test]
fn an_operation_outcome_gives_an_err_for_each_issue() {
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [
        {"severity": "error", "code": "required", "diagnostics": "no identifier", "expression": ["PID-3.1"]},
        {"severity": "warning", "code": "value", "details": {"text": "odd"}, "location": ["PID.5"]},
        {"severity": "fatal", "code": "exception", "expression": ["Patient.identifier[0]"]},
    ]});
    let reply = Reply::status(400)
        .header("Content-Type", "application/fhir+json; charset=utf-8")
        .body(outcome.to_string());
    let exchange = Exchange::of(reply);
    let ack = &exchange.ack;
    ack.expect("AE", "MSG1");
    let fields: Vec<[&str; 4]> = ack
        .err()
        .iter()
        .map(|error| [2, 4, 5, 8].map(|field| error.field(field)))
        .map(|fields| fields.map(|field| &*Box::leak(field.to_owned().into_boxed_str())))
        .collect();
    assert_eq!(
        fields,
        [
            ["PID^1^3^1^1", "E", "required", "no identifier"],
            ["PID^1^5", "W", "value", "odd"],
            ["", "E", "exception", ""],
        ],
        "{ack}"
    );
}

/// Nothing that an app writes can add a segment, a field or a block's end to the answer.
#[test]
fn text_of_the_app_is_escaped_and_cut() {
    let evil = format!("a|b^c~d\\e&f\rMSA|AA|MSG1\r\x1C\r\x0B{}", "y".repeat(4000));
    let exchange = Exchange::of(Reply::problem(
        422,
        &json!({"errors": [{"detail": evil, "code": evil}]}),
    ));
    let ack = &exchange.ack;
    assert_eq!(ack.names(), ["MSH", "MSA", "ERR"], "{ack}");
    exchange.expect("AE", "102");
    let text = ack.err()[0].field(8).to_owned();
    assert!(text.starts_with(r"a\F\b\S\c\R\d\E\e\T\f"), "{text:?}");
    assert!(text.len() < 400, "ERR-8 of {} characters", text.len());
    assert!(ack.err()[0].field(5).len() < 100, "{ack}");
}

#[test]
fn more_errors_than_anybody_reads_are_cut() {
    let errors: Vec<Value> = (0..5000)
        .map(|n| json!({"detail": format!("error {n}")}))
        .collect();
    let exchange = Exchange::of(Reply::problem(422, &json!({ "errors": errors })));
    let count = exchange.ack.err().len();
    assert!((1..=100).contains(&count), "{count} ERR segments");
}

#[test]
fn json_that_is_broken_or_too_deep_leaves_the_status_to_speak() {
    let deep = "[".repeat(100_000);
    for body in ["{", "", "null", "\"x\"", "{\"errors\":{}}", deep.as_str()] {
        let reply = Reply::status(422)
            .header("Content-Type", "application/problem+json")
            .body(body);
        let exchange = Exchange::of(reply);
        exchange.expect("AE", "102");
        assert_eq!(
            exchange.ack.err()[0].field(8),
            "the application answered HTTP 422",
            "body {:.20}",
            body
        );
    }
}
