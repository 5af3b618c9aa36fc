//! `load` from end to end: helpers, and what is accepted.

mod properties;
mod refused;

use std::time::Duration;

use super::*;
use crate::config::{
    Charset, Format, LogFormat, LogLevel, TraceParent, Transport, Unavailable, Verdict,
};

fn from(yaml: &str) -> Result<Config, ConfigError> {
    load(&Source::new().text(yaml))
}

fn good(source: &Source) -> Config {
    load(source).unwrap_or_else(|error| panic!("should load: {error}"))
}

/// The lines of the error.
fn bad(source: &Source) -> Vec<String> {
    match load(source) {
        Ok(config) => panic!("should not load: {config:?}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// A file with one listener that has this under it, by its dotted path.
fn with(path: &str, value: &str) -> String {
    let mut yaml = String::from("listeners:\n- name: adt\n");
    for (depth, key) in path.split('.').enumerate() {
        yaml.push_str(&format!("{}{key}:", "  ".repeat(depth + 1)));
        yaml.push(if path.split('.').count() == depth + 1 {
            ' '
        } else {
            '\n'
        });
    }
    yaml + value
}

const ONE: &str = "listeners: [{}]\n";

#[test]
fn one_empty_listener_is_all_defaults() {
    let config = good(&Source::new().text(ONE));
    let listener = &config.listeners[0];
    let session = &listener.session;
    assert_eq!(&*listener.name, "default");
    assert_eq!(listener.bind.to_string(), "0.0.0.0:2575");
    assert_eq!(session.framing.start, 0x0B);
    assert_eq!(session.limits.max_message_bytes, 16 << 20);
    assert_eq!(
        session.limits.idle_timeout,
        Some(Duration::from_secs(24 * 3600))
    );
    assert_eq!(session.deliver.url.to_string(), "http://127.0.0.1:8080/");
    assert!(session.deliver.parsed && session.deliver.raw);
    assert_eq!(session.ack.default_version, "2.5");
    assert_eq!(session.charset.fallback, Charset::Latin1);
    assert_eq!(config.admin.bind.map(|bind| bind.port()), Some(9090));
    assert_eq!(config.threads, 1);
}

#[test]
fn every_key_is_read() {
    let config = good(&Source::new().text(
        r#"
listeners:
- name: adt
  bind: "[::1]:2576"
  backlog: 10
  framing: { start: 0x02, end: "0x03", end_idle: 1s }
  limits:
    max_message_bytes: 1MiB
    max_connections: 5
    idle_timeout: off
    frame_timeout: 1m
    write_timeout: 2s
    keepalive: off
  deliver:
    url: https://app.example/hl7
    format: cloudevents-binary
    parsed: false
    raw: true
    connect_timeout: 1s
    timeout: 3s
    idle_timeout: 4s
    max_response_bytes: 2048
    retry: { initial: 1s, max: 5s }
    traceparent: off
    status:
      409: { answer: accept }
      "5xx": { answer: unavailable, condition: 206 }
      418: { answer: reject, condition: 200 }
  ack: { deadline: 9s, unavailable: close, default_version: 2.3 }
  charset: { force: UNICODE UTF-8, fallback: ASCII }
- name: lab.results_2
  bind: 0.0.0.0:0
- name: third
  bind: 0.0.0.0:0
admin: { bind: 127.0.0.1:0, ready_needs_app: false, app_probe_interval: 100ms }
limits: { max_buffered_bytes: 1GiB }
shutdown: { deadline: 5s }
log: { level: trace, format: json }
threads: 64
"#,
    ));
    let session = &config.listeners[0].session;
    assert_eq!((session.framing.start, session.framing.end), (2, 3));
    assert_eq!(session.limits.idle_timeout, None);
    assert_eq!(session.limits.keepalive, None);
    let deliver = &session.deliver;
    assert_eq!(
        deliver.url.transport,
        Transport::Https {
            host: "app.example".into(),
            port: 443
        }
    );
    assert_eq!(deliver.format, Format::CloudEventsBinary);
    assert!(!deliver.parsed);
    assert_eq!(deliver.traceparent, TraceParent::Off);
    let row = |status| {
        (
            deliver.status.get(status).verdict,
            deliver.status.get(status).condition,
        )
    };
    assert_eq!(row(409), (Verdict::Accept, 0));
    assert_eq!(row(418), (Verdict::Reject, 200));
    assert_eq!(row(500), (Verdict::Unavailable, 206));
    assert_eq!(
        row(501),
        (Verdict::Reject, 200),
        "a built-in row wins over a class"
    );
    assert_eq!(session.ack.unavailable, Unavailable::Close);
    assert_eq!(session.ack.default_version, "2.3");
    assert_eq!(session.charset.force, Some(Charset::Utf8));
    assert_eq!(&*config.listeners[1].name, "lab.results_2");
    assert_eq!(config.limits.max_buffered_bytes, 1 << 30);
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Trace, LogFormat::Json)
    );
}

#[test]
fn off_survives_tools_that_write_false_for_it() {
    let yaml = "listeners: [{limits: {idle_timeout: false, keepalive: false}, \
                deliver: {traceparent: false}}]\nadmin: {bind: false}";
    let config = good(&Source::new().text(yaml));
    assert_eq!(config.listeners[0].session.limits.keepalive, None);
    assert_eq!(
        config.listeners[0].session.deliver.traceparent,
        TraceParent::Off
    );
    assert_eq!(config.admin.bind, None);
}

#[test]
fn a_key_without_a_value_is_no_key() {
    let yaml = "listeners:\n- name:\n  deliver:\n    url:\nlog:\nthreads: null\n";
    assert_eq!(from(yaml), from(ONE));
}

#[test]
fn flags_alone_are_enough() {
    let flags = Overrides {
        listen: Some("127.0.0.1:0".into()),
        app: Some("unix:/run/app.sock".into()),
        format: Some("raw".into()),
        admin: Some("off".into()),
        threads: Some(2),
        log_level: Some("debug".into()),
        log_format: Some("json".into()),
        shutdown_deadline: Some("3s".into()),
    };
    let config = good(&Source::new().flags(flags));
    assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:0");
    assert_eq!(config.listeners[0].session.deliver.format, Format::Raw);
    assert_eq!(
        config.listeners[0].session.deliver.url.to_string(),
        "unix:/run/app.sock:/"
    );
    assert_eq!(config.admin.bind, None);
    assert_eq!(config.threads, 2);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.shutdown.deadline, Duration::from_secs(3));
    let app = Overrides {
        app: Some("http://app/".into()),
        ..Overrides::default()
    };
    assert_eq!(
        good(&Source::new().flags(app)).listeners[0].bind.port(),
        2575
    );
}

#[test]
fn later_sources_win() {
    let yaml = "listeners: [{name: adt, bind: '0.0.0.0:1', backlog: 1}]\nlog: {level: error}\n";
    let env = [
        ("MLLP_BRIDGE_LISTENERS__0__BIND", "[::]:2"),
        ("MLLP_BRIDGE_LOG__LEVEL", "warn"),
        ("MLLP_BRIDGE_LOG__FORMAT", ""),
        ("MLLP_BRIDGE_LISTENERS__2__NAME", "007"),
        ("MLLP_BRIDGE_LISTENERS__1__NAME", "'17'"),
        ("MLLP_BRIDGE_LISTENERS__1__BIND", "0.0.0.0:7"),
        ("MLLP_BRIDGE_LISTENERS__2__BIND", "0.0.0.0:8"),
        (
            "MLLP_BRIDGE_LISTENERS__0__DELIVER__STATUS__5XX__ANSWER",
            "unavailable",
        ),
        (
            "MLLP_BRIDGE_LISTENERS__0__DELIVER__STATUS__409__ANSWER",
            "accept",
        ),
        ("MLLP_BRIDGE_LISTENERS__0__ACK__DEFAULT_VERSION", "2.4"),
        ("MLLP_BRIDGE_LISTENERS__0__LIMITS__KEEPALIVE", "off"),
        ("MLLP_BRIDGE_THREADS", "3"),
        ("MLLP_BRIDGE_DESTINATIONS__0__NAME", "ehr"),
        ("MLLP_BRIDGE_DESTINATIONS__0__ADDRESS", "ehr.example:2575"),
        ("MLLP_BRIDGE_DESTINATIONS__0__CONNECTIONS", "8"),
        ("OTHER", "ignored"),
    ];
    let flags = Overrides {
        log_level: Some("debug".into()),
        ..Overrides::default()
    };
    let config = good(&Source::new().text(yaml).env(env).flags(flags));
    let names: Vec<_> = config.listeners.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["adt", "17", "007"]);
    let adt = &config.listeners[0];
    assert_eq!((adt.bind.to_string().as_str(), adt.backlog), ("[::]:2", 1));
    assert_eq!(
        adt.session.deliver.status.get(500).verdict,
        Verdict::Unavailable
    );
    assert_eq!(adt.session.deliver.status.get(409).verdict, Verdict::Accept);
    assert_eq!(adt.session.ack.default_version, "2.4");
    assert_eq!(adt.session.limits.keepalive, None);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.threads, 3);
    let ehr = &config.destinations[0];
    assert_eq!((&*ehr.name, ehr.sending.connections), ("ehr", 8));
}

#[test]
fn variables_that_nobody_wrote_are_passed_over() {
    let env = [
        ("MLLP_BRIDGE_CONFIG", "/etc/mllp-bridge/config.yaml"),
        ("MLLP_BRIDGE_PORT", "tcp://10.0.0.1:2575"),
        ("MLLP_BRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("MLLP_BRIDGE_SERVICE_PORT", "2575"),
        ("MLLP_BRIDGE_SERVICE_PORT_MLLP", "2575"),
        ("MLLP_BRIDGE_PORT_2575_TCP", "tcp://10.0.0.1:2575"),
        ("MLLP_BRIDGE_PORT_2575_TCP_PROTO", "tcp"),
        ("MLLP_BRIDGE_PORT_2575_TCP_PORT", "2575"),
        ("MLLP_BRIDGE_PORT_2575_TCP_ADDR", "10.0.0.1"),
        ("MLLP_BRIDGE_INJECTOR_SERVICE_HOST", "10.0.0.2"),
        ("MLLP_BRIDGE_INJECTOR_PORT_443_TCP_ADDR", "10.0.0.2"),
    ];
    assert_eq!(load(&Source::new().text(ONE).env(env)), from(ONE));
}

#[test]
fn addresses_that_do_not_overlap_may_share_a_port() {
    let yaml = "listeners: [{name: a, bind: '10.0.0.1:2575'}, {name: b, bind: '10.0.0.2:2575'}, \
                {name: c, bind: '[::1]:2575'}, {name: d, bind: '0.0.0.0:0'}, {name: e, bind: '0.0.0.0:0'}]";
    assert_eq!(good(&Source::new().text(yaml)).listeners.len(), 5);
}

#[test]
fn the_file_is_read_anew_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let source = Source::new().file(&path);
    let lines = bad(&source);
    let expected = format!("{}: no such file or directory", path.display());
    assert!(lines[0].starts_with(&expected), "{lines:?}");
    std::fs::write(&path, "listeners: [{name: one}]").unwrap();
    assert_eq!(&*good(&source).listeners[0].name, "one");
    std::fs::write(&path, "listeners: [{name: two}]").unwrap();
    assert_eq!(&*good(&source).listeners[0].name, "two");
    std::fs::write(&path, " ".repeat(2 << 20)).unwrap();
    assert_eq!(
        bad(&source),
        [format!("{}: longer than 1048576 bytes", path.display())]
    );
}
