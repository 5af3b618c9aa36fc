//! The API's description (OpenAPI 3.1), made of the types that the answers are written from and of the table of problems.

use super::answer::{Acknowledged, Problem, Status, Statuses};
use super::message::{ENVELOPE, HL7};
use super::problem::Kind;
use hyper::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Problems of every path.
const ALWAYS: [Kind; 1] = [Kind::ForeignHost];
/// Problems of one destination.
const OF_ONE: [Kind; 2] = [Kind::ForeignHost, Kind::UnknownDestination];
/// What a request to send cannot meet.
const NEVER: [Kind; 2] = [Kind::NoSuchResource, Kind::MethodNotAllowed];

/// The document, as `/openapi.json` has it.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut generator = settings
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let acknowledged = reference::<Acknowledged<'_>>(&mut generator);
    let problem = reference::<Problem<'_>>(&mut generator);
    let status = reference::<Status<'_>>(&mut generator);
    let statuses = reference::<Statuses<'_>>(&mut generator);
    let sending: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !NEVER.contains(kind))
        .collect();
    let mut send = operation(
        "sendMessage",
        "Send a message and wait for its acknowledgement",
    );
    send["parameters"] = json!([
        name(),
        {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A request with a key that was used before gets the first one's answer, and nothing is sent.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        },
    ]);
    send["requestBody"] = json!({
        "required": true,
        "description": "The message as it is to be sent, or an envelope as a listener's app gets it.",
        "content": bodies(),
    });
    send["responses"] = responses(&problem, &sending);
    send["responses"]["200"] = json!({
        "description": "The destination has accepted the message, or no acknowledgement was asked for.",
        "headers": replayed(),
        "content": acknowledgement(&acknowledged),
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mllp-bridge: sending messages",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP to MLLP. Every problem is told as RFC 9457 has it; docs/outbound.md explains each.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/destinations": {
                "get": get("listDestinations", "Every destination as it is now", &[], &statuses, &problem, &ALWAYS),
            },
            "/v1/destinations/{name}": {
                "get": get("getDestination", "A destination as it is now", &[name()], &status, &problem, &OF_ONE),
            },
            "/v1/destinations/{name}/messages": {"post": send},
        },
        "components": {"schemas": generator.take_definitions(true)},
    })
}

fn reference<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn operation(id: &str, summary: &str) -> Value {
    json!({"operationId": id, "summary": summary})
}

fn name() -> Value {
    json!({
        "name": "name", "in": "path", "required": true,
        "description": "The destination's name in the configuration.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$"},
    })
}

fn get(
    id: &str,
    summary: &str,
    parameters: &[Value],
    body: &Value,
    problem: &Value,
    kinds: &[Kind],
) -> Value {
    let mut operation = operation(id, summary);
    operation["parameters"] = parameters.into();
    operation["responses"] = responses(problem, kinds);
    operation["responses"]["200"] = json!({
        "description": summary,
        "content": {"application/json": {"schema": body}},
    });
    operation
}

/// What a body may be.
fn bodies() -> Map<String, Value> {
    let example = "MSH|^~\\&|APP|CLINIC|EHR|HOSPITAL|20261122101500+0000||ADT^A08^ADT_A01|MSG00001|P|2.5.1\rPID|1||123456\r";
    let text = json!({"schema": {"type": "string", "minLength": 1}, "example": example});
    let xml = json!({"schema": {"type": "string", "minLength": 1}});
    let envelope = json!({
        "schema": {
            "type": "object",
            "description": "docs/envelope.schema.json; of its parts rawbase64, raw or segments is read, the first that is there.",
        },
        "example": {"data": {"raw": example}},
    });
    let hl7 = HL7.iter().map(|kind| {
        let body = if kind.ends_with("xml") { &xml } else { &text };
        ((*kind).to_owned(), body.clone())
    });
    let envelopes = ENVELOPE
        .iter()
        .map(|kind| ((*kind).to_owned(), envelope.clone()));
    hl7.chain(envelopes).collect()
}

fn acknowledgement(schema: &Value) -> Value {
    json!({
        "application/json": {"schema": schema},
        "application/hl7-v2": {"schema": {"type": "string"}},
        "application/hl7-v2+xml": {"schema": {"type": "string"}},
    })
}

fn replayed() -> Value {
    json!({"Idempotency-Replayed": {
        "description": "`true` where this is the answer to an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
    }})
}

/// Problems by their status.
fn responses(problem: &Value, kinds: &[Kind]) -> Value {
    let mut responses = Map::new();
    for kind in kinds {
        let status = kind.status();
        let line = format!("`{}`: {}.", kind.slug(), kind.title());
        let response = responses
            .entry(status.as_str())
            .or_insert_with(|| response(problem, status, kinds));
        let before = response["description"].as_str().unwrap_or_default();
        response["description"] =
            format!("{before}{}{line}", if before.is_empty() { "" } else { " " }).into();
    }
    Value::Object(responses)
}

fn response(problem: &Value, status: StatusCode, kinds: &[Kind]) -> Value {
    let mut response = json!({
        "description": "",
        "content": {"application/problem+json": {"schema": problem}},
    });
    let of_status = || kinds.iter().filter(|kind| kind.status() == status);
    if of_status().any(|kind| kind.is_for_later()) {
        response["headers"] = json!({"Retry-After": {
            "description": "Seconds until it makes sense to try again.",
            "schema": {"type": "integer", "minimum": 1},
        }});
    }
    // With `Accept: application/hl7-v2` a negative acknowledgement is its own body.
    if of_status().any(|kind| matches!(kind, Kind::ApplicationError | Kind::Rejected)) {
        let hl7 = acknowledgement(problem);
        for media_type in ["application/hl7-v2", "application/hl7-v2+xml"] {
            response["content"][media_type] = hl7[media_type].clone();
        }
    }
    response
}
