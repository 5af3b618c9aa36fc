//! Messages that are not held whole, and apps that do not read them.

use std::io::Read;

use super::*;
use crate::raw_app::RawApp;

#[test]
fn a_message_over_4_mib_is_streamed_and_arrives_whole() {
    let mut message = messages::adt_of_size("MSG1", 4 * MIB);
    // What is to be escaped in JSON, in pieces of every alignment, and text beyond ASCII.
    for n in 0..30_000 {
        message.push_str(&format!("NTE|{n}|L|\"q\" \\T\\ ü{}\r", "é".repeat(n % 50)));
    }
    assert!(message.len() > 5 * MIB);
    for format in ["cloudevents", "cloudevents-binary", "raw"] {
        let app = TestApp::start();
        let bridge = bridge(&app, &format!("format: {format}"));
        let mut peer = RawPeer::connect(bridge.address());
        peer.exchange(&message).expect("AA", "MSG1");
        peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
        let request = &app.requests()[0];
        if format == "raw" {
            assert!(request.body == message.as_bytes(), "not byte for byte");
            continue;
        }
        let json = request.json();
        let data = if format == "cloudevents" {
            &json["data"]
        } else {
            &json
        };
        assert!(
            data["raw"] == message.as_str(),
            "{format}: raw is not the message"
        );
        let segments = data["segments"].as_array().unwrap();
        assert_eq!(segments.len(), message.matches('\r').count());
        assert_eq!(
            segments[20_000]["fields"]["3"][0],
            serde_json::json!({"1": segments[20_000]["fields"]["3"][0]["1"]}),
            "{format}"
        );
        assert_eq!(
            data["peer"]["address"], "127.0.0.1",
            "what comes last, {format}"
        );
    }
}

#[test]
fn a_large_message_is_sent_again_whole_after_a_failure() {
    let app = TestApp::start();
    app.script([Reply::status(503), Reply::reset(), Reply::ok()]);
    let bridge = bridge(&app, "");
    let message = messages::adt_of_size("MSG1", 6 * MIB);
    RawPeer::connect(bridge.address())
        .exchange(&message)
        .expect("AA", "MSG1");
    let requests = app.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert!(request.json()["data"]["raw"] == message.as_str());
        assert!(request.body == requests[0].body);
    }
}

#[test]
fn a_latin_1_message_over_4_mib_arrives_whole() {
    let mut message = messages::adt_of_size("MSG1", 5 * MIB).into_bytes();
    let end = message.len() - 1;
    for byte in &mut message[end - 3 * MIB..end] {
        *byte = 0xE9;
    }
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    RawPeer::connect(bridge.address())
        .exchange(&message)
        .expect("AA", "MSG1");
    let raw: Vec<u8> = app.last().json()["data"]["raw"]
        .as_str()
        .unwrap()
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    assert!(raw == message);
}

const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";

/// The answer must be seen although not all of the request could be written.
#[track_caller]
fn early_413(app: &RawApp, name: &str) {
    let bridge = Bridge::start(&config(&app.url(), ""));
    let mut peer = RawPeer::connect(bridge.address());
    for id in ["MSG1", "MSG2"] {
        let sent = Instant::now();
        let ack = peer.exchange(messages::adt_of_size(id, 5 * MIB));
        ack.expect("AR", id);
        assert_eq!(ack.err()[0].component(3, 1), "104", "{name}: {ack}");
        assert!(
            sent.elapsed() < 8 * SECOND,
            "{name}: answered only after {:?}",
            sent.elapsed()
        );
    }
}

#[test]
fn a_413_before_the_body_is_read_is_seen_if_the_app_waits() {
    // Reads nothing more, and closes when the bridge does.
    let app = RawApp::start(|mut conn| {
        if conn.head().is_some() && conn.write(TOO_LARGE) {
            std::thread::park_timeout(Duration::from_secs(60));
        }
    });
    early_413(&app, "neither read nor closed");
}

#[test]
fn a_413_before_the_body_is_read_is_seen_if_the_app_half_closes_and_drains() {
    let app = RawApp::start(|mut conn| {
        if conn.head().is_some() && conn.write(TOO_LARGE) {
            let _ = conn.stream.shutdown(std::net::Shutdown::Write);
            let mut discard = vec![0; 64 * 1024];
            while conn.stream.read(&mut discard).is_ok_and(|read| read > 0) {}
        }
    });
    early_413(&app, "lingering close, as nginx does it");
}

#[test]
fn a_message_of_5_mib_is_taken_by_an_app_that_reads_it_slowly() {
    let app = RawApp::start(|mut conn| {
        let Some(head) = conn.head() else { return };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .and_then(|length| length.parse::<usize>().ok())
            .unwrap();
        // An interim answer while the body is still coming: not the answer.
        conn.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        let mut left = length;
        let mut buffer = vec![0; 300_000];
        while left > 0 {
            let most = left.min(buffer.len());
            let Ok(read @ 1..) = conn.stream.read(&mut buffer[..most]) else {
                return;
            };
            left -= read;
            std::thread::sleep(Duration::from_millis(5));
        }
        conn.write(raw_app::saying("whole"));
    });
    let bridge = Bridge::start(&config(&app.url(), ""));
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt_of_size("MSG1", 5 * MIB));
    assert_eq!(ack.expect("AA", "MSG1").msa3(), "whole", "{ack}");
}
