//! Each answer that the API has, and what leads to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::server::{Act, block};
use super::support::api::{Api, Client};
use super::*;

const ECHO: fn(&[u8]) -> server::Answer = |message| Some(block(&ack("AA", &control_id(message))));

/// With this in the destination's entry.
fn bridge_with(address: SocketAddr, destination: &str, rest: &str) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n{rest}\n\
         destinations: [{{name: ehr, address: '{address}'{destination}}}]\n"
    ))
}

fn bridge(server: &Server, destination: &str) -> Bridge {
    bridge_with(server.address, destination, "")
}

/// A request with this head: its first line, and further headers.
fn ask(api: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Api {
    let mut client = Client::connect(api);
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}");
    client.request(&head, body).expect("a response")
}

const POST: &str = "POST /v1/destinations/ehr/messages";
const HL7: &str = "Content-Type: application/hl7-v2\r\n";

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn each_code_has_its_status() {
    let server = Server::start(|message| {
        let id = control_id(message);
        let code = id.split('-').next().unwrap();
        let err = match code {
            "AE" | "AR" => {
                "ERR||PID^1^3^1^4|101^Required field missing^HL70357|E||||no facility\rERR||PID^1^5|102^Data type error^HL70357|E\r"
            }
            _ => "",
        };
        Some(block(&(ack(code, &id) + err)))
    });
    let bridge = bridge(&server, "");
    let api = api::address(&bridge);
    for (code, status, problem) in [
        ("AA", 200, None),
        ("CA", 200, None),
        ("AE", 422, Some("application-error")),
        ("CE", 422, Some("application-error")),
        ("AR", 502, Some("rejected")),
        ("CR", 502, Some("rejected")),
    ] {
        let id = format!("{code}-1");
        let answer = post(api, &message(&id, ""));
        match problem {
            None => answer.expect_code(code),
            Some(slug) => answer.expect_problem(status, slug, true),
        }
        assert_eq!(answer.body["code"], code);
        assert_eq!(answer.body["control_id"], id);
        // With Accept: application/hl7-v2 the status stays, and the body is the acknowledgement.
        let hl7 = ask(
            api,
            POST,
            &format!("{HL7}Accept: application/hl7-v2\r\n"),
            message(&id, "").as_bytes(),
        );
        assert_eq!(
            (hl7.status, hl7.headers["content-type"].as_str()),
            (status, "application/hl7-v2")
        );
        assert_eq!(
            Some(std::str::from_utf8(&hl7.bytes).unwrap()),
            answer.body["raw"].as_str()
        );
        if code == "AE" {
            let errors = answer.body["errors"].as_array().unwrap();
            assert_eq!(errors.len(), 2, "{}", answer.body);
            assert_eq!(errors[0]["location"], "PID-3.4");
            assert_eq!(errors[0]["condition"], "101 Required field missing");
            assert_eq!(errors[0]["text"], "no facility");
        }
    }
    bridge.stop();
}

#[test]
fn requests_that_reach_no_destination() {
    let server = Server::start(ECHO);
    let bridge = bridge(&server, ", limits: {max_message_bytes: 1KiB}");
    let api = api::address(&bridge);
    let good = message("1", "");
    let good = good.as_bytes();
    let large = message("1", "").replace("MUSTER", &"M".repeat(2000));
    let several = message("1", "").repeat(2);
    let unnamed = message("", "");
    for (line, headers, body, status, slug) in [
        (
            "POST /v1/destinations/nowhere/messages",
            HL7,
            good,
            404,
            "unknown-destination",
        ),
        (
            "GET /v1/destinations/nowhere",
            "",
            b"",
            404,
            "unknown-destination",
        ),
        ("GET /v2/", "", b"", 404, "no-such-resource"),
        (
            "GET /v1/destinations/ehr/messages",
            "",
            b"",
            405,
            "method-not-allowed",
        ),
        (
            "PUT /v1/destinations/ehr",
            "",
            b"",
            405,
            "method-not-allowed",
        ),
        (POST, HL7, b"hello", 400, "not-hl7"),
        (POST, HL7, b"", 400, "not-hl7"),
        (POST, HL7, several.as_bytes(), 400, "several-messages"),
        (POST, HL7, unnamed.as_bytes(), 400, "no-control-id"),
        (
            POST,
            "Content-Type: application/json\r\n",
            b"{}",
            400,
            "bad-envelope",
        ),
        (
            POST,
            "Content-Type: application/json\r\n",
            b"[",
            400,
            "bad-envelope",
        ),
        (POST, HL7, large.as_bytes(), 413, "too-large"),
        (
            POST,
            "Content-Type: text/plain\r\n",
            good,
            415,
            "unsupported-media-type",
        ),
        (POST, "", good, 415, "unsupported-media-type"),
        (
            POST,
            "Content-Type: application/hl7-v2\r\nAccept: text/html\r\n",
            good,
            406,
            "not-acceptable",
        ),
        (
            POST,
            "Content-Type: application/hl7-v2\r\nIdempotency-Key: a b\r\n",
            good,
            400,
            "bad-idempotency-key",
        ),
    ] {
        let answer = ask(api, line, headers, body);
        answer.expect_problem(status, slug, false);
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{slug}"
        );
    }
    // A web page whose name resolves to this machine.
    let mut client = Client::connect(api);
    let head = format!("{POST} HTTP/1.1\r\nHost: evil.example:2580\r\n{HL7}");
    client
        .request(&head, good)
        .unwrap()
        .expect_problem(403, "foreign-host", false);
    // A block character in a text cannot be sent in a block.
    let framed = message("1", "").replace("MUSTER", "MUS\x1c\rTER");
    ask(api, POST, HL7, framed.as_bytes()).expect_problem(400, "unframable", false);
    assert!(server.messages().is_empty(), "something was sent");
    let refused = bridge.metric_sum("mllp_bridge_outbound_refused_total", &[]);
    assert_eq!(refused, 17.0);
    let allow = ask(api, "DELETE /v1/destinations/ehr/messages", "", b"");
    assert_eq!(allow.headers["allow"], "POST");
    let allow = ask(api, "DELETE /v1/destinations", "", b"");
    assert_eq!(allow.headers["allow"], "GET, HEAD");
    bridge.stop();
}

#[test]
fn the_envelope_that_came_in_can_be_sent_on() {
    let server = Server::start(ECHO);
    let bridge = bridge(&server, "");
    let api = api::address(&bridge);
    let json = "Content-Type: application/cloudevents+json; charset=UTF-8\r\n";
    let envelope = serde_json::json!({"specversion": "1.0", "data": {
    "segments": [
        {"id": "MSH", "fields": {"1": "|", "2": "^~\\&", "9": [{"1": "ADT", "2": "A01"}], "10": [{"1": "E1"}], "12": [{"1": "2.5"}]}},
        {"id": "PID", "fields": {"5": [{"1": "MÜSTER", "2": "E&R"}]}},
    ]}});
    let answer = ask(api, POST, json, envelope.to_string().as_bytes());
    answer.expect_code("AA");
    let sent = String::from_utf8(server.messages().remove(0)).unwrap();
    assert!(sent.contains("PID|||||MÜSTER^E\\T\\R\r"), "{sent}");
    bridge.stop();
}

#[test]
fn segments_that_end_in_lf_are_sent_with_cr_and_the_answer_says_so() {
    let server = Server::start(ECHO);
    let bridge = bridge(&server, "");
    let text = message("1", "").replace('\r', "\n");
    let answer = post(api::address(&bridge), &text);
    answer.expect_code("AA");
    assert_eq!(
        answer.body["warnings"].as_array().unwrap().len(),
        1,
        "{}",
        answer.body
    );
    assert_eq!(server.messages(), [message("1", "").into_bytes()]);
    bridge.stop();
}

#[test]
fn empty_fields_of_the_header_are_filled_in_where_that_is_configured() {
    let server = Server::start(ECHO);
    let bridge = bridge(
        &server,
        ", fill: {time: true, control_id: true, sending_application: 'BRIDGE^1.2^ISO'}",
    );
    let text = "MSH|^~\\&||CLINIC|LIS|LAB|||ORM^O01||P|2.5\rPID|1\r";
    let answer = post(api::address(&bridge), text);
    answer.expect_code("AA");
    let filled = answer.body["filled"].as_object().unwrap();
    assert_eq!(
        filled.keys().collect::<Vec<_>>(),
        ["MSH-3", "MSH-7", "MSH-10"]
    );
    assert_eq!(filled["MSH-3"], "BRIDGE^1.2^ISO");
    assert_eq!(filled["MSH-10"], answer.body["control_id"]);
    let sent = String::from_utf8(server.messages().remove(0)).unwrap();
    assert!(
        sent.starts_with("MSH|^~\\&|BRIDGE^1.2^ISO|CLINIC|LIS|LAB|20"),
        "{sent}"
    );
    // What is not empty stays.
    post(api::address(&bridge), &message("own", "")).expect_code("AA");
    assert_eq!(
        server.messages()[1]
            .split(|byte| *byte == b'|')
            .nth(9)
            .unwrap(),
        b"own"
    );
    bridge.stop();
}

#[test]
fn away_is_503_with_the_time_to_try_again_and_the_fallback_is_used_where_there_is_one() {
    let gone = nobody();
    let bridge = bridge_with(gone, "", "");
    let answer = post(api::address(&bridge), &message("1", ""));
    answer.expect_problem(503, "unreachable", false);
    let seconds: u64 = answer.headers["retry-after"].parse().unwrap();
    assert!((1..=11).contains(&seconds), "{seconds}");
    let state = ask(api::address(&bridge), "GET /v1/destinations/ehr", "", b"");
    assert_eq!(
        (state.status, &state.body["state"]),
        (200, &"unreachable".into())
    );
    assert!(
        bridge.get("/readyz").body.contains("ready"),
        "readiness does not depend on it"
    );
    bridge.stop();

    let server = Server::start(ECHO);
    let fallback = format!(", fallback_addresses: ['{}']", server.address);
    let bridge = bridge_with(gone, &fallback, "");
    post(api::address(&bridge), &message("1", "")).expect_code("AA");
    let all = ask(api::address(&bridge), "GET /v1/destinations", "", b"");
    assert_eq!(
        all.body["destinations"][0]["state"], "connected",
        "{}",
        all.body
    );
    bridge.stop();
}

#[test]
fn readiness_can_depend_on_destinations() {
    let bridge = bridge_with(
        nobody(),
        "",
        "admin: {bind: '127.0.0.1:0', ready_needs_app: false, ready_needs_destinations: true}",
    );
    bridge.wait_for_metric(
        "mllp_bridge_destination_connects_total",
        &[("result", "refused")],
        1.0,
    );
    let ready = bridge.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(
        ready.body.contains("destination ehr: it cannot be reached"),
        "{}",
        ready.body
    );
    bridge.stop();
}

/// Holds every answer until it is told.
fn held() -> (Server, Arc<AtomicBool>) {
    let free = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&free);
    let server = Server::acting(move |message| {
        while !released.load(Relaxed) {
            thread::sleep(Duration::from_millis(2));
        }
        vec![Act::Write(block(&ack("AA", &control_id(message))))]
    });
    (server, free)
}

#[test]
fn who_waits_too_long_or_is_one_too_many_is_told_so() {
    let (server, free) = held();
    let bridge = bridge(&server, ", queue: {length: 1, timeout: 300ms}");
    let api = api::address(&bridge);
    let first = thread::spawn(move || post(api, &message("1", "")));
    server.wait_for(1);
    let second = thread::spawn(move || post(api, &message("2", "")));
    bridge.wait_for_metric("mllp_bridge_destination_waiting", &[], 1.0);
    let third = post(api, &message("3", ""));
    third.expect_problem(429, "queue-full", false);
    assert_eq!(third.headers["retry-after"], "1");
    second
        .join()
        .unwrap()
        .expect_problem(503, "queue-timeout", false);
    free.store(true, Relaxed);
    first.join().unwrap().expect_code("AA");
    assert_eq!(server.messages().len(), 1);
    bridge.stop();
}

#[test]
fn a_client_that_hangs_up_stops_nothing() {
    let (server, free) = held();
    let bridge = bridge(&server, "");
    let api = api::address(&bridge);
    let mut stream = std::net::TcpStream::connect(api).unwrap();
    let text = message("1", "");
    let request = format!(
        "{POST} HTTP/1.1\r\nHost: localhost\r\n{HL7}Content-Length: {}\r\n\r\n{text}",
        text.len()
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    server.wait_for(1);
    drop(stream);
    free.store(true, Relaxed);
    bridge.wait_for_metric("mllp_bridge_destination_answers_unread_total", &[], 1.0);
    let accepted = bridge.metric_sum(
        "mllp_bridge_destination_messages_total",
        &[("outcome", "accepted")],
    );
    assert_eq!(accepted, 1.0);
    bridge.stop();
}

#[test]
fn the_drain_finishes_what_is_under_way_and_takes_no_more() {
    let (server, free) = held();
    let mut bridge = bridge(&server, "");
    let api = api::address(&bridge);
    let mut idle = Client::connect(api);
    idle.request("GET /v1/destinations HTTP/1.1\r\nHost: localhost\r\n", b"")
        .unwrap();
    let first = thread::spawn(move || post(api, &message("1", "")));
    server.wait_for(1);
    bridge.terminate();
    bridge.wait_for_log("draining");
    // One that is idle is closed, or told.
    let late = idle.request(
        &format!("{POST} HTTP/1.1\r\nHost: localhost\r\n{HL7}"),
        message("2", "").as_bytes(),
    );
    if let Some(answer) = late {
        answer.expect_problem(503, "draining", false);
    }
    free.store(true, Relaxed);
    first.join().unwrap().expect_code("AA");
    let status = bridge.wait_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn a_reload_sends_the_next_message_by_the_new_settings() {
    let (old, new) = (Server::start(ECHO), Server::start(ECHO));
    let bridge = bridge(&old, "");
    let api = api::address(&bridge);
    post(api, &message("1", "")).expect_code("AA");
    let config = std::fs::read_to_string(bridge.config_path()).unwrap();
    let config = config.replace(&old.address.to_string(), &new.address.to_string());
    std::fs::write(bridge.config_path(), config).unwrap();
    bridge.signal("HUP");
    bridge.wait_for_log("configuration reloaded");
    post(api, &message("2", "")).expect_code("AA");
    assert_eq!((old.messages().len(), new.messages().len()), (1, 1));
    let closed = bridge.metric_sum(
        "mllp_bridge_destination_connections_closed_total",
        &[("reason", "reload")],
    );
    assert_eq!(closed, 1.0);
    bridge.stop();
}

#[test]
fn without_keys_a_key_is_refused() {
    let server = Server::start(ECHO);
    let bridge = Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0', idempotency: {{window: off}}}}\n\
         destinations: [{{name: ehr, address: '{}'}}]\n",
        server.address
    ));
    let answer = api::try_post(api::address(&bridge), &message("1", ""), Some("k")).unwrap();
    answer.expect_problem(400, "bad-idempotency-key", false);
    bridge.stop();
}

#[test]
fn ipv6_and_the_local_address() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    drop(listener);
    let server = Server::on("[::1]:0", ECHO);
    let bridge = bridge(&server, ", connect: {source: '::1'}");
    post(api::address(&bridge), &message("1", "")).expect_code("AA");
    bridge.stop();
    // Of two IP versions nothing can be made.
    let bridge = super::rows::bridge(&server, ", connect: {source: 127.0.0.1}");
    let answer = post(api::address(&bridge), &message("1", ""));
    answer.expect_problem(503, "unreachable", false);
    bridge.stop();
}

#[test]
fn an_acknowledgement_in_xml_is_of_its_own_type() {
    let server = Server::start(|message| {
        let is_v3 = String::from_utf8_lossy(message).contains("urn:hl7-org:v3");
        Some(block(match is_v3 {
            true => {
                "<MCCI_IN000002UV01 xmlns='urn:hl7-org:v3'><acknowledgement><typeCode code='CA'/><targetMessage>\
                 <id root='1' extension='2'/></targetMessage></acknowledgement></MCCI_IN000002UV01>"
            }
            false => {
                "<ACK xmlns='urn:hl7-org:v2xml'><MSA><MSA.1>AA</MSA.1><MSA.2>7</MSA.2></MSA></ACK>"
            }
        }))
    });
    let bridge = bridge(&server, "");
    let v2 = "<ADT_A01 xmlns='urn:hl7-org:v2xml'><MSH><MSH.10>7</MSH.10></MSH></ADT_A01>";
    let v3 = "<PRPA_IN201301UV02 xmlns='urn:hl7-org:v3'><id root='1' extension='2'/></PRPA_IN201301UV02>";
    for (message, media_type, code) in [
        (v2, "application/hl7-v2+xml", "AA"),
        (v3, "application/hl7-v3+xml", "CA"),
    ] {
        let head = format!("Content-Type: {media_type}\r\n");
        let answer = ask(api::address(&bridge), POST, &head, message.as_bytes());
        answer.expect_code(code);
        let head = format!("{head}Accept: {media_type}\r\n");
        let itself = ask(api::address(&bridge), POST, &head, message.as_bytes());
        assert_eq!(
            (itself.status, itself.headers["content-type"].as_str()),
            (200, media_type)
        );
        assert_eq!(
            Some(std::str::from_utf8(&itself.bytes).unwrap()),
            answer.body["raw"].as_str()
        );
    }
    bridge.stop();
}

#[test]
fn the_description_is_served() {
    let server = Server::start(ECHO);
    let bridge = bridge(&server, "");
    let document = ask(api::address(&bridge), "GET /openapi.json", "", b"");
    assert_eq!(
        (document.status, &document.body["openapi"]),
        (200, &"3.1.0".into())
    );
    bridge.stop();
}
