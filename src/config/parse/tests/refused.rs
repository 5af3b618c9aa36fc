//! The exact words for what is not accepted.

use super::*;

#[test]
fn without_a_listener_the_error_says_what_to_give() {
    let expected = "listeners: none configured; give --listen or --app, or list at least one in \
                    the file";
    let flags = Overrides {
        log_level: Some("debug".into()),
        ..Overrides::default()
    };
    for source in [
        Source::new(),
        Source::new().text(""),
        Source::new().text("# nothing\n"),
        Source::new().text("---\n"),
        Source::new().text("listeners: []"),
        Source::new().text("listeners:\n"),
        Source::new().text("threads: 2"),
        Source::new().flags(flags),
    ] {
        assert_eq!(bad(&source), [expected], "{source:?}");
    }
}

#[test]
fn errors_in_flags_name_the_flag() {
    let flags = Overrides {
        listen: Some("here".into()),
        app: Some("http://bob:hunter2@app:x/".into()),
        format: Some("cloudevent".into()),
        threads: Some(65),
        log_level: Some("loud".into()),
        shutdown_deadline: Some("3".into()),
        ..Overrides::default()
    };
    assert_eq!(
        bad(&Source::new().flags(flags)),
        [
            "--listen: \"here\": expected an IP address and a port such as 0.0.0.0:2575 or [::]:2575",
            "--app: \"http://***@app:x/\": the port must be a number from 1 to 65535",
            "--format: \"cloudevent\": unknown value, did you mean cloudevents?",
            "--log-level: \"loud\": unknown value, expected one of error, warn, info, debug, trace",
            "--shutdown-deadline: \"3\": a duration needs a unit: 3s, 3ms or 3m",
            "--threads: 65: expected 1 to 64",
        ]
    );
}

#[test]
fn errors_in_variables_name_the_variable() {
    let env = [
        ("MLLP_BRIDGE_LOG__LEVL", "warn"),
        ("MLLP_BRIDGE_TLS__CERT", "x"),
        ("MLLP_BRIDGE_THREADS", "many"),
        ("MLLP_BRIDGE_LISTENERS__DELIVER__URL", "http://app/"),
        ("MLLP_BRIDGE_LISTENERS__4__NAME", "x"),
        ("MLLP_BRIDGE_DESTINATIONS__ADDRESS", "ehr:2575"),
        ("MLLP_BRIDGE_DESTINATIONS__1__NAME", "x"),
        ("MLLP_BRIDGE_LOG____X", "x"),
    ];
    assert_eq!(
        bad(&Source::new().text(ONE).env(env)),
        [
            "MLLP_BRIDGE_LISTENERS__DELIVER__URL: expected the listener's number: \
             MLLP_BRIDGE_LISTENERS__0__…",
            "MLLP_BRIDGE_DESTINATIONS__ADDRESS: expected the destination's number: \
             MLLP_BRIDGE_DESTINATIONS__0__…",
            "MLLP_BRIDGE_LOG____X: not a key: levels are separated by two underscores",
            "MLLP_BRIDGE_DESTINATIONS__1__NAME: there is no destinations[0] before destinations[1]",
            "MLLP_BRIDGE_LISTENERS__4__NAME: there is no listeners[1] before listeners[4]",
            "MLLP_BRIDGE_LOG__LEVL: unknown key, did you mean level?",
            "MLLP_BRIDGE_THREADS: expected a whole number, not \"many\"",
            "MLLP_BRIDGE_TLS__CERT: unknown key, expected one of listeners, destinations, outbound, admin, limits, \
             shutdown, log, state, threads",
        ]
    );
}

#[test]
fn a_variable_that_is_not_utf_8_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(vec![0xFF]);
    let source = Source::new()
        .text(ONE)
        .env([("MLLP_BRIDGE_LOG__LEVEL", value)]);
    assert_eq!(
        bad(&source),
        ["MLLP_BRIDGE_LOG__LEVEL: the value is not UTF-8"]
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let yaml = r#"
listeners:
- name: adt
  bind: 0.0.0.0:2575
  delivr: { url: http://app/ }
  limits: { max_message_byte: 1MiB, idle_timeout: 10, max_connections: -1 }
  framing: mllp
- name: ADT
  bind: 2575
  deliver: { url: "ftp://bob:hunter2@app/", timeout: [1], parsed: maybe }
  ack: { deadline: 0s, unavailable: nack }
- 17
admin: { bind: nowhere }
treads: 2
"#;
    let expected = [
        "listeners[0].delivr: unknown key, did you mean deliver?",
        "listeners[0].limits.max_message_byte: unknown key, did you mean max_message_bytes?",
        "listeners[0].limits.idle_timeout: 10: a duration needs a unit: 10s, 10ms or 10m, or off",
        "listeners[0].limits.max_connections: expected a whole number, not -1",
        "listeners[0].framing: expected a mapping of keys, not \"mllp\"",
        "listeners[1].bind: 2575: expected an IP address and a port such as 0.0.0.0:2575 or \
         [::]:2575; did you mean 0.0.0.0:2575?",
        "listeners[1].deliver.url: \"ftp://***@app/\": expected http://…, https://… or \
         unix:/path/to.sock",
        "listeners[1].deliver.timeout: expected a duration such as 250ms, 10s or 1h30m, not a list",
        "listeners[1].deliver.parsed: expected true or false, not \"maybe\"",
        "listeners[1].ack.unavailable: \"nack\": unknown value, expected one of error, reject, close",
        "listeners[2]: expected a mapping of keys, not 17",
        "admin.bind: \"nowhere\": expected an IP address and a port such as 0.0.0.0:2575 or \
         [::]:2575, or off",
        "treads: unknown key, did you mean threads?",
        "listeners[1].name: \"ADT\": expected lower-case letters, digits, . _ and -, at most 63, \
         starting and ending with a letter or digit",
        "listeners[1].ack.deadline: 0s: expected at least 1ms",
    ];
    assert_eq!(bad(&Source::new().text(yaml)), expected);
}

#[test]
fn rules_of_a_listener() {
    let url = |text: &str| format!("{text:?}");
    for (path, value, expected) in [
        ("backlog", "0", "0: expected 1 to 65535"),
        (
            "framing.start",
            "0x41",
            "0x41 is a printable character, which messages contain; expected a control character such as 0x0B",
        ),
        (
            "framing.end",
            "13",
            "0x0D is white space, which messages contain; expected a control character such as 0x0B",
        ),
        (
            "framing.end",
            "0x0B",
            "0x0B is framing.start as well; they must differ",
        ),
        (
            "framing.end",
            "200",
            "0xC8 occurs in text that is not ASCII; expected a control character such as 0x0B",
        ),
        ("framing.end_idle", "0ms", "0s: expected at least 1ms"),
        (
            "limits.max_message_bytes",
            "1000",
            "1000: expected 1KiB to 1GiB",
        ),
        (
            "limits.max_message_bytes",
            "2GiB",
            "2GiB: expected 1KiB to 1GiB",
        ),
        ("limits.max_connections", "0", "0: expected 1 to 1000000"),
        (
            "limits.keepalive",
            "100ms",
            "100ms: expected 1s to 9h, or off",
        ),
        ("limits.keepalive", "10h", "10h: expected 1s to 9h, or off"),
        (
            "limits.idle_timeout",
            "0s",
            "0s: expected at least 1ms, or off",
        ),
        (
            "limits.frame_timeout",
            "off",
            "\"off\": expected a duration such as 250ms, 10s or 1h30m",
        ),
        (
            "deliver.url",
            &url("http://app/a b"),
            "\"http://app/a b\": contains a space; write it as %20",
        ),
        (
            "deliver.url",
            "17",
            "17: no scheme; expected http://…, https://… or unix:/path/to.sock",
        ),
        (
            "deliver.connect_timeout",
            "11s",
            "11s is longer than deliver.timeout, which is 10s",
        ),
        (
            "deliver.retry.initial",
            "3s",
            "3s is longer than deliver.retry.max, which is 2s",
        ),
        (
            "deliver.max_response_bytes",
            "1",
            "1: expected 1KiB to 1GiB",
        ),
        (
            "deliver.traceparent",
            "on",
            "\"on\": unknown value, expected one of sampled, unsampled, off",
        ),
        (
            "deliver.format",
            "[raw]",
            "expected one of its names as text, not a list",
        ),
        (
            "deliver.status.600",
            "{answer: error}",
            "expected a status from 100 to 599, or a class from 1xx to 5xx",
        ),
        (
            "deliver.status.6xx",
            "{answer: error}",
            "expected a status from 100 to 599, or a class from 1xx to 5xx",
        ),
        (
            "deliver.status.0404",
            "{answer: error}",
            "expected a status from 100 to 599, or a class from 1xx to 5xx",
        ),
        (
            "ack.default_version",
            "v2",
            "\"v2\": expected an HL7 version such as 2.5 or 2.5.1",
        ),
        (
            "ack.default_version",
            "2.5|x",
            "\"2.5|x\": expected an HL7 version such as 2.5 or 2.5.1",
        ),
        (
            "charset.fallback",
            "ebcdic",
            "\"ebcdic\": expected a character set, like utf-8, iso-8859-1 or big5 (docs/charsets.md has them all)",
        ),
    ] {
        let lines = bad(&Source::new().text(with(path, value)));
        assert_eq!(
            lines,
            [format!("listeners[0].{path}: {expected}")],
            "{path} = {value}"
        );
    }
}

#[test]
fn rules_of_fhir_and_of_credentials() {
    for (deliver, expected) in [
        (
            "format: raw, fhir: {zone: '+01:00'}",
            "listeners[0].deliver.fhir: for format fhir only; set deliver.format, or remove it",
        ),
        (
            "format: fhir, fhir: {zone: CET}",
            "listeners[0].deliver.fhir.zone: \"CET\": expected +01:00, -0500 or Z",
        ),
        (
            "format: fhir, parsed: true",
            "listeners[0].deliver.parsed: format fhir has no envelope to include or leave it out of; remove it",
        ),
        (
            "format: fhir, status: {'409': {answer: accept}}",
            "listeners[0].deliver.status.409.answer: accept: only a 2xx can say that a bundle is stored; expected error, reject or unavailable",
        ),
        (
            "format: fhir, fhir: {bundle: message}, status: {4xx: {answer: accept}}",
            "listeners[0].deliver.status.4xx.answer: accept: only a 2xx can say that a bundle is stored; expected error, reject or unavailable",
        ),
        (
            "auth: {bearer_file: /t, oauth2: {scope: s}}",
            "listeners[0].deliver.auth: a token comes from bearer_file or from oauth2; remove one",
        ),
        (
            "url: 'http://bob:hunter2@a/', auth: {bearer_file: /t}",
            "listeners[0].deliver.auth: the URL has a user and a password already; a request carries one of the two",
        ),
        (
            "auth: {oauth2: {token_url: 'https://a/', client_id: b}}",
            "listeners[0].deliver.auth.oauth2.client_secret_file: required for oauth2",
        ),
        (
            "auth: {oauth2: {token_url: 'unix:/a', client_id: b, client_secret_file: /s}}",
            "listeners[0].deliver.auth.oauth2.token_url: expected https://… or http://…",
        ),
        (
            "tls: {ca_file: /ca.pem}",
            "listeners[0].deliver.tls: for https:// only, and neither deliver.url nor a token_url is that",
        ),
        (
            "url: 'https://a/', tls: {cert_file: /c.pem}",
            "listeners[0].deliver.tls.key_file: required with tls.cert_file",
        ),
    ] {
        let yaml = format!("listeners: [{{deliver: {{{deliver}}}}}]");
        assert_eq!(bad(&Source::new().text(yaml)), [expected], "{deliver}");
    }
}

#[test]
fn rules_of_the_status_table() {
    for (row, key, expected) in [
        (
            "{}",
            "answer",
            "required: accept, error, reject or unavailable",
        ),
        (
            "{answer: error, condition: 105}",
            "condition",
            "105: HL7 table 0357 has 0, 100 to 104 and 198 to 207",
        ),
        (
            "{answer: error, condition: 0}",
            "condition",
            "0: 0 means accepted, so it goes with accept and no other",
        ),
        (
            "{answer: accept, condition: 207}",
            "condition",
            "207: 0 means accepted, so it goes with accept and no other",
        ),
        (
            "{answer: ok}",
            "answer",
            "\"ok\": unknown value, expected one of accept, error, reject, unavailable",
        ),
    ] {
        let lines = bad(&Source::new().text(with("deliver.status.409", row)));
        assert_eq!(
            lines,
            [format!("listeners[0].deliver.status.409.{key}: {expected}")],
            "{row}"
        );
    }
}

#[test]
fn rules_between_keys() {
    for (yaml, expected) in [
        (
            "listeners: [{deliver: {parsed: false, raw: false}}]",
            "listeners[0].deliver.raw: false together with parsed: false leaves nothing of the message",
        ),
        (
            "listeners: [{deliver: {format: raw, parsed: true}}]",
            "listeners[0].deliver.parsed: format raw has no envelope to include or leave it out of; remove it",
        ),
        (
            "listeners: [{name: a}, {name: a, bind: '0.0.0.0:1'}]",
            "listeners[1].name: \"a\" is listeners[0] already",
        ),
        (
            "listeners: [{name: a}, {bind: '0.0.0.0:1'}]",
            "listeners[1].name: required where there are several listeners",
        ),
        (
            "listeners: [{name: a}, {name: b}]",
            "listeners[1].bind: 0.0.0.0:2575 is listeners[0].bind already",
        ),
        (
            "listeners: [{name: a}, {name: b, bind: '10.0.0.1:2575'}]",
            "listeners[1].bind: 10.0.0.1:2575 overlaps with listeners[0].bind, which is 0.0.0.0:2575",
        ),
        (
            "listeners: [{bind: '[::]:9090'}]",
            "admin.bind: 0.0.0.0:9090 overlaps with listeners[0].bind, which is [::]:9090",
        ),
        (
            "listeners: [{}]\nlimits: {max_buffered_bytes: 16MiB}",
            "limits.max_buffered_bytes: 16MiB is too small: at least 20MiB, which is the largest \
             max_message_bytes and 4MiB",
        ),
        (
            "listeners: [{}]\nshutdown: {deadline: 0s}",
            "shutdown.deadline: 0s: expected at least 1ms",
        ),
        (
            "listeners: [{}]\nthreads: 0",
            "threads: 0: expected 1 to 64",
        ),
        (
            "listeners: [{}]\nadmin: {app_probe_interval: 10ms}",
            "admin.app_probe_interval: 10ms: expected at least 100ms",
        ),
        ("listeners: adt", "listeners: expected a list, not \"adt\""),
        (
            "listeners: [{}]\nadmin: 9090",
            "admin: expected a mapping of keys, not 9090",
        ),
    ] {
        assert_eq!(bad(&Source::new().text(yaml)), [expected], "{yaml}");
    }
}

#[test]
fn what_is_not_yaml_has_a_line_and_a_column() {
    for (yaml, place) in [
        (
            "listeners:\n  - name: 'adt\n",
            "configuration:2:11: unclosed quote",
        ),
        (
            "threads: 1\nthreads: 2\n",
            "configuration:2:1: duplicate mapping key `threads`",
        ),
        (
            "a: b: c\n",
            "configuration:1:5: mapping values are not allowed in this context",
        ),
        ("[1, 2]", "configuration: expected a mapping"),
        ("just text", "configuration: expected a mapping"),
        (
            "a: 1\n---\nb: 2\n",
            "configuration:3:1: only single YAML document",
        ),
        (
            "? http://bob:hunter2@host/\n? http://bob:hunter2@host/\n",
            "configuration:2:3: not YAML",
        ),
    ] {
        let lines = bad(&Source::new().text(yaml));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(place), "{yaml:?}: {lines:?}");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    for path in [
        "name",
        "bind",
        "backlog",
        "framing.start",
        "framing",
        "limits.idle_timeout",
        "limits",
        "limits.max_message_bytes",
        "deliver",
        "deliver.format",
        "deliver.parsed",
        "deliver.traceparent",
        "deliver.status.409",
        "deliver.status",
        "ack.unavailable",
        "ack.default_version",
        "charset.force",
        "http://bob:hunter2@app/",
    ] {
        let lines = bad(&Source::new().text(with(path, "\"http://bob:hunter2@app/\"")));
        assert_eq!(lines.len(), 1, "{path}: {lines:?}");
        assert!(!lines[0].contains("hunter2"), "{path}: {lines:?}");
    }
    let config = good(&Source::new().text(with("deliver.url", "http://bob:hunter2@app/")));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn endless_mistakes_end() {
    let many: String = (0..500).map(|at| format!("key{at}: 1\n")).collect();
    assert_eq!(bad(&Source::new().text(many)).len(), 100);
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        for depth in [10, 1000, 100_000] {
            let deep = format!(
                "listeners: [{{deliver: {}1{}}}]",
                open.repeat(depth),
                close.repeat(depth)
            );
            assert_eq!(bad(&Source::new().text(deep)).len(), 1, "{open} {depth}");
        }
    }
    let bomb: String = (1..30)
        .map(|at| format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1))
        .collect();
    assert!(!bad(&Source::new().text(format!("a0: &a0 x\n{bomb}"))).is_empty());
}
