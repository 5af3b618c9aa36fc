//! The API's description (OpenAPI 3.1), made of the types that the answers are written from and of the table of problems.

mod envelope;

use super::answer::{Acknowledged, Problem, Status, Statuses};
use super::message::{ENVELOPE, HL7};
use super::problem::Kind;
use hyper::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Problems of every path.
const ALWAYS: [Kind; 2] = [Kind::MethodNotAllowed, Kind::ForeignHost];
/// Problems of one destination.
const OF_ONE: [Kind; 3] = [
    Kind::UnknownDestination,
    Kind::MethodNotAllowed,
    Kind::ForeignHost,
];
/// What a path that is described cannot meet.
const NEVER: [Kind; 1] = [Kind::NoSuchResource];

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
    let mut schemas = generator.take_definitions(true);
    schemas.extend(envelope::schemas());
    let get = |id, summary, parameters: &[Value], body: &Value, kinds: &[Kind]| {
        let mut operation = operation(id, summary);
        operation["parameters"] = parameters.into();
        let found = json!({
            "description": summary,
            "content": {"application/json": {"schema": body}},
        });
        operation["responses"] = responses(found, &problem, kinds);
        json!({"get": operation})
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mllp-bridge: sending messages",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP to MLLP. Every problem is told as RFC 9457 has it; docs/outbound.md explains each.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/destinations": get("listDestinations", "Every destination as it is now", &[], &statuses, &ALWAYS),
            "/v1/destinations/{name}": get("getDestination", "A destination as it is now", &[name()], &status, &OF_ONE),
            "/v1/destinations/{name}/messages": {"post": send(&acknowledged, &problem)},
            "/openapi.json": get("describe", "This description", &[], &json!({"type": "object"}), &ALWAYS),
        },
        "components": {"schemas": schemas},
    })
}

fn send(acknowledged: &Value, problem: &Value) -> Value {
    let mut send = operation(
        "sendMessage",
        "Send a message and wait for its acknowledgement",
    );
    send["description"] = "`Accept` says in which form: `application/json` (the default), or one of HL7's types for the acknowledgement itself. \
         What is no acknowledgement is JSON in either case. (OpenAPI knows no parameter of this name.)"
        .into();
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
    let accepted = json!({
        "description": "The destination has accepted the message, or no acknowledgement was asked for.",
        "headers": replayed(),
        "content": acknowledgement("application/json", acknowledged),
    });
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !NEVER.contains(kind))
        .collect();
    send["responses"] = responses(accepted, problem, &kinds);
    send
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

/// What a body may be.
fn bodies() -> Map<String, Value> {
    let example = "MSH|^~\\&|APP|CLINIC|EHR|HOSPITAL|20261122101500+0000||ADT^A08^ADT_A01|MSG00001|P|2.5.1\rPID|1||123456\r";
    let text = json!({"schema": {"type": "string", "minLength": 1}, "example": example});
    let xml = json!({"schema": {"type": "string", "minLength": 1}});
    let envelope = json!({
        "schema": {"$ref": "#/components/schemas/Envelope"},
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

/// The types of an acknowledgement that is its own body.
const OWN: [&str; 3] = [
    "application/hl7-v2",
    "application/hl7-v2+xml",
    "application/hl7-v3+xml",
];

/// About an acknowledgement in this type, and the acknowledgement itself.
fn acknowledgement(media_type: &str, schema: &Value) -> Value {
    let mut content = Map::new();
    content.insert(media_type.into(), json!({"schema": schema}));
    let own = OWN.map(|own| (own.to_owned(), json!({"schema": {"type": "string"}})));
    content.extend(own);
    content.into()
}

fn replayed() -> Map<String, Value> {
    let header = json!({
        "description": "`true` where this is the answer to an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
    });
    Map::from_iter([("Idempotency-Replayed".to_owned(), header)])
}

/// What is well, and problems by their status.
fn responses(well: Value, problem: &Value, kinds: &[Kind]) -> Value {
    let mut responses = Map::new();
    responses.insert("200".into(), well);
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
    let any = |is: fn(Kind) -> bool| {
        let mut of_status = kinds.iter().filter(|kind| kind.status() == status);
        of_status.any(|kind| is(*kind))
    };
    let mut headers = Map::new();
    if any(Kind::is_for_later) {
        headers.insert(
            "Retry-After".into(),
            json!({
                "description": "Seconds until it makes sense to try again.",
                "schema": {"type": "integer", "minimum": 1},
            }),
        );
    }
    if any(|kind| kind == Kind::MethodNotAllowed) {
        headers.insert(
            "Allow".into(),
            json!({
                "description": "The methods that the path takes.",
                "required": true, "schema": {"type": "string"},
            }),
        );
    }
    if any(Kind::may_be_replayed) {
        headers.append(&mut replayed());
    }
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    // With `Accept: application/hl7-v2` a negative acknowledgement is its own body.
    if any(|kind| matches!(kind, Kind::ApplicationError | Kind::Rejected)) {
        response["content"] = acknowledgement("application/problem+json", problem);
    }
    response
}
