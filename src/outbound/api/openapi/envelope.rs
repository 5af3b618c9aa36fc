//! The schema of an envelope that comes in a request: what [`read`](crate::envelope::read) takes, and no more than it looks at.
//! docs/envelope.schema.json is narrower: it describes what the bridge itself writes.

use crate::config::Charset;
use serde_json::{Map, Value, json};

/// Its parts by their names.
pub(super) fn schemas() -> Map<String, Value> {
    let charsets: Vec<&str> = Charset::all().map(Charset::name).collect();
    let parts = [
        (
            "Envelope",
            json!({
                "description": "An envelope as docs/envelope.md has it, or its `data` alone. What is not named here is not looked at.",
                "type": "object",
                "anyOf": [
                    {"required": ["data"], "properties": {"data": part("EnvelopeData")}},
                    {"allOf": [part("EnvelopeData"), {"not": {"required": ["data"]}}]},
                ],
            }),
        ),
        (
            "EnvelopeData",
            json!({
                "description": "The message: of `rawbase64`, `raw` and `segments` the first that is there is read.",
                "type": "object",
                "properties": {
                    "charset": {
                        "description": "In which character set `raw` or `segments` are sent. UTF-8 where it is not there.",
                        "enum": charsets,
                    },
                },
                "anyOf": [
                    {"required": ["rawbase64"], "properties": {"rawbase64": base64()}},
                    {
                        "required": ["raw"],
                        "properties": {"raw": {"description": "The message as text.", "type": "string", "minLength": 1}},
                        "not": {"required": ["rawbase64"]},
                    },
                    {
                        "required": ["segments"],
                        "properties": {
                            "segments": {
                                "description": "The first is the header: MSH, BHS or FHS.",
                                "type": "array", "minItems": 1, "items": part("EnvelopeSegment"),
                            },
                            "delimiters": {
                                "description": "MSH-1 and MSH-2: up to six, each another one. `|^~\\&` where it is not there.",
                                "type": "string", "pattern": "^[!-/:-@\\[-`{-~]{1,6}$",
                            },
                        },
                        "not": {"anyOf": [{"required": ["rawbase64"]}, {"required": ["raw"]}]},
                    },
                ],
            }),
        ),
        (
            "EnvelopeSegment",
            json!({
                "description": "PID-3.4.1 is `fields[\"3\"][0][\"4\"][\"1\"]`: a field is a list of repetitions.",
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "fields": numbered(&json!({"type": "array", "items": part("EnvelopeRepetition")})),
                },
            }),
        ),
        (
            "EnvelopeRepetition",
            numbered(&json!({"anyOf": [{"type": "string"}, numbered(&json!({"type": "string"}))]})),
        ),
    ];
    parts
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

fn part(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object whose keys are HL7's numbers, as far as they are read.
fn numbered(value: &Value) -> Value {
    json!({
        "type": "object",
        "patternProperties": {"^([1-9][0-9]{0,3}|10000)$": value},
        "additionalProperties": false,
    })
}

/// With its padding, and without bits that mean nothing.
fn base64() -> Value {
    let last = "[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";
    json!({
        "description": "The message's bytes.",
        "type": "string", "contentEncoding": "base64", "minLength": 4,
        "pattern": format!("^([A-Za-z0-9+/]{{4}})*({last})?$"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::read::to_er7;

    #[test]
    fn what_the_schema_admits_is_read_and_what_it_does_not_is_not() {
        let schema = json!({
            "$ref": "#/components/schemas/Envelope",
            "components": {"schemas": schemas()},
        });
        let schema = jsonschema::validator_for(&schema).unwrap();
        let header = json!({"id": "MSH", "fields": {"10": [{"1": "7"}]}});
        let segments = |second: Value| json!({"segments": [header.clone(), second]});
        let field = |value: Value| segments(json!({"id": "NTE", "fields": {"3": value}}));
        let raw = "MSH|^~\\&|||||||ADT|7|P|2.5\r";
        let cases = [
            (true, json!({"raw": raw})),
            (true, json!({"data": {"raw": raw}})),
            (
                true,
                json!({"data": {"raw": raw, "segments": 5, "more": []}, "specversion": 5}),
            ),
            (true, json!({"raw": raw, "charset": "ISO-8859-1"})),
            (true, json!({"rawbase64": "TVNI", "raw": 5})),
            (true, json!({"rawbase64": "TQ=="})),
            (
                true,
                json!({"segments": [header.clone()], "delimiters": "!^~\\&#"}),
            ),
            (true, segments(json!({"id": ""}))),
            (true, field(json!([]))),
            (
                true,
                field(json!([{}, {"1": "x", "3": {"2": "y"}, "10000": ""}])),
            ),
            (false, json!(null)),
            (false, json!([])),
            (false, json!({})),
            (false, json!({"data": null, "raw": raw})),
            (false, json!({"data": {}, "raw": raw})),
            (false, json!({"raw": null})),
            (false, json!({"raw": raw, "charset": "latin1"})),
            (false, json!({"raw": raw, "charset": null})),
            (false, json!({"rawbase64": null, "raw": raw})),
            (false, json!({"rawbase64": "TVN"})),
            (false, json!({"rawbase64": "TR=="})),
            (false, json!({"rawbase64": "TVN_"})),
            (false, json!({"segments": {}})),
            (
                false,
                json!({"segments": [header.clone()], "delimiters": ""}),
            ),
            (
                false,
                json!({"segments": [header.clone()], "delimiters": "abc"}),
            ),
            (
                false,
                json!({"segments": [header.clone()], "delimiters": "|^~\\&#$"}),
            ),
            (
                false,
                json!({"segments": [header.clone()], "delimiters": 5}),
            ),
            (false, segments(json!({}))),
            (false, segments(json!({"id": 5}))),
            (false, segments(json!({"id": "NTE", "fields": []}))),
            (false, segments(json!({"id": "NTE", "fields": {"0": []}}))),
            (
                false,
                segments(json!({"id": "NTE", "fields": {"10001": []}})),
            ),
            (false, segments(json!({"id": "NTE", "fields": {"01": []}}))),
            (false, field(json!("x"))),
            (false, field(json!(["x"]))),
            (false, field(json!([{"a": "x"}]))),
            (false, field(json!([{"1": 5}]))),
            (false, field(json!([{"1": {"1": 5}}]))),
            (false, field(json!([{"1": {"1": {"1": "x"}}}]))),
        ];
        for (good, envelope) in cases {
            assert_eq!(schema.is_valid(&envelope), good, "the schema on {envelope}");
            let read = to_er7(envelope.to_string().as_bytes());
            assert_eq!(read.is_ok(), good, "the reader on {envelope}: {read:?}");
        }
    }
}
