//! Headers of a request: what is in them, and that no message can write its own.

use super::*;

const KNOWN: [&str; 18] = [
    "accept-encoding",
    "host",
    "user-agent",
    "accept",
    "content-type",
    "x-forwarded-for",
    "x-hl7-control-id",
    "idempotency-key",
    "traceparent",
    "content-length",
    "ce-specversion",
    "ce-id",
    "ce-type",
    "ce-source",
    "ce-time",
    "ce-dataschema",
    "ce-hl7version",
    "ce-hl7controlid",
];

#[test]
fn no_field_of_a_message_can_add_a_header() {
    let evil = "x\nX-Evil: 1";
    let plain = messages::adt("MSG1");
    for format in ["cloudevents", "cloudevents-binary", "raw"] {
        let app = TestApp::start();
        let bridge = bridge(&app, &format!("format: {format}"));
        let mut peer = RawPeer::connect(bridge.address());
        for message in [
            plain.replace("|REGADT|", &format!("|{evil}|")),
            plain.replace("|GENHOSP|BRIDGE", &format!("|{evil}\n\n|BRIDGE")),
            plain.replace("ADT^A01^ADT_A01", &format!("ADT^{evil}")),
            plain.replace("ADT^A01^ADT_A01", &format!("{evil}^A01")),
            plain.replace("|P|2.5.1", &format!("|P|{evil}")),
            plain.replace("|P|2.5.1", "|P|2.5\u{0}\u{85}\u{2028}X"),
            plain.replace("|MSG1|", &format!("|{evil}|")),
            plain.replace("|MSG1|", "|a\tb|"),
            plain.replace("|MSG1|", "|a\u{7f}b|"),
        ] {
            // Whether it is delivered or refused: it is answered, and the connection lives.
            peer.exchange(&message);
        }
        let requests = app.requests();
        assert!(requests.len() >= 6, "{} were delivered", requests.len());
        for request in requests {
            for (name, value) in &request.headers {
                assert!(
                    KNOWN.contains(&name.to_ascii_lowercase().as_str()),
                    "a header {name:?} from a message, {format}"
                );
                assert!(
                    value.bytes().all(|byte| (0x20..0x7F).contains(&byte)),
                    "{name}: {value:?}"
                );
            }
            let mut names: Vec<_> = request
                .headers
                .iter()
                .map(|(name, _)| name.to_ascii_lowercase())
                .collect();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "a header twice: {:?}", request.headers);
        }
    }
}

#[test]
fn every_message_has_a_valid_traceparent_of_its_own() {
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    for _ in 0..50 {
        peer.exchange(messages::adt("MSG1"));
    }
    let mut traces = BTreeSet::new();
    let mut spans = BTreeSet::new();
    for request in app.requests() {
        let value = request.header("traceparent").unwrap().to_owned();
        let parts: Vec<&str> = value.split('-').collect();
        let hex = |text: &str, length| {
            text.len() == length
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && text.bytes().any(|byte| byte != b'0')
        };
        assert!(
            parts.len() == 4
                && parts[0] == "00"
                && hex(parts[1], 32)
                && hex(parts[2], 16)
                && parts[3] == "01",
            "{value}"
        );
        traces.insert(parts[1].to_owned());
        spans.insert(parts[2].to_owned());
    }
    assert_eq!((traces.len(), spans.len()), (50, 50));
}

#[test]
fn traceparent_can_be_unsampled_or_off() {
    for (setting, flag) in [("unsampled", Some("00")), ("off", None)] {
        let app = TestApp::start();
        let bridge = bridge(&app, &format!("traceparent: {setting}"));
        RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
        let request = app.last();
        let value = request
            .header("traceparent")
            .and_then(|value| value.rsplit('-').next());
        assert_eq!(value, flag, "{setting}");
    }
}

#[test]
fn x_forwarded_for_is_the_peers_address_also_behind_an_ipv6_socket() {
    let app = TestApp::start();
    let yaml = config(&app.url(), "").replace("127.0.0.1:0\n", "'[::]:0'\n");
    let bridge = Bridge::start(&yaml);
    let port = bridge.address().port();
    RawPeer::connect(([127, 0, 0, 1], port).into()).exchange(messages::adt("MSG1"));
    let request = app.last();
    assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(request.json()["data"]["peer"]["address"], "127.0.0.1");
}

#[test]
fn user_info_in_the_url_is_sent_as_basic_authentication_and_logged_nowhere() {
    let app = TestApp::start();
    let url = app.url().replace("http://", "http://bridge:geheim@");
    let bridge = Bridge::builder()
        .config(&config(&url, ""))
        .flags(&["--log-level", "trace"])
        .start();
    RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    let request = app.last();
    assert_eq!(
        request.header("Authorization"),
        Some("Basic YnJpZGdlOmdlaGVpbQ==")
    );
    assert_eq!(
        request.header("Host"),
        Some(format!("127.0.0.1:{}", app.port()).as_str())
    );
    for line in bridge.stop() {
        assert!(
            !line.text.contains("geheim") && !line.text.contains("YnJpZG"),
            "{}",
            line.text
        );
    }
}
