//! What is not MLLP, and connections that say nothing.

use crate::lab::{Lab, expect_acks, join};
use crate::support::messages::{adt, frame};
use crate::support::peer::RawPeer;

/// Sends these bytes whole and byte by byte; each time the bridge closes without a word and counts the reason.
#[track_caller]
fn closes(bytes: &[u8], reason: &str) {
    let lab = Lab::new();
    for (run, chunk) in [usize::MAX, 1].into_iter().enumerate() {
        let mut peer = lab.peer();
        // The bridge may have seen enough before the last byte.
        let sent = bytes
            .chunks(chunk)
            .all(|piece| peer.try_send(piece).is_ok());
        println!("all of it sent: {sent}");
        peer.expect_close();
        drop(peer);
        println!(
            "{:?} in chunks of {chunk}",
            bytes.escape_ascii().to_string()
        );
        lab.assert_ended(&[(reason, run as u64 + 1)], &[]);
    }
    let line = lab.bridge.wait_for_log("closed: not MLLP");
    assert_eq!(line.text_field("reason"), Some(reason), "{}", line.text);
    lab.assert_received::<&[u8]>(&[]);
    lab.assert_still_serves();
}

#[test]
fn http_request_is_closed_and_counted_looks_like_http() {
    for method in ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: bridge\r\n\r\n");
        closes(request.as_bytes(), "looks_like_http");
    }
    closes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "looks_like_http");
}

#[test]
fn an_http_request_that_carries_a_block_is_not_delivered() {
    let body = frame(adt("H1"));
    let head = format!(
        "POST /hl7 HTTP/1.1\r\nHost: bridge\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    closes(&join(&[head.as_bytes(), &body]), "looks_like_http");
}

#[test]
fn tls_client_hello_is_closed_and_counted_looks_like_tls() {
    // Record header (handshake, TLS 1.0, 512 bytes), ClientHello, TLS 1.2, random.
    let mut hello = vec![
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    hello.extend((0..506_u32).map(|byte| (byte * 37 % 251) as u8));
    closes(&hello, "looks_like_tls");
}

#[test]
fn proxy_v1_header_is_closed_and_counted() {
    let header = b"PROXY TCP4 10.1.0.10 10.1.0.20 56324 2575\r\n";
    closes(header, "looks_like_proxy");
    closes(&join(&[header, &frame(adt("X1"))]), "looks_like_proxy");
    closes(b"PROXY UNKNOWN\r\n", "looks_like_proxy");
}

#[test]
fn proxy_v2_header_is_closed_and_counted() {
    let header =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x0a\x01\x00\x0a\x0a\x01\x00\x14\xdc\x04\x0a\x0f";
    closes(header, "looks_like_proxy");
    closes(&join(&[header, &frame(adt("X2"))]), "looks_like_proxy");
}

#[test]
fn an_endless_stream_without_a_block_is_closed_and_counted_not_mllp() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    for _ in 0..1024 {
        if peer.try_send([b'x'; 1024]).is_err() {
            break;
        }
    }
    peer.expect_close();
    lab.assert_ended(&[("not_mllp", 1)], &[("junk_before_start", 1)]);
    lab.assert_still_serves();
}

#[test]
fn what_only_begins_like_another_protocol_is_junk_and_the_frame_after_it_is_taken() {
    for junk in [&b"GE"[..], b"PRO", b"\r\n\r\n\0", b"\x16"] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        peer.send_chunks(join(&[junk, &frame(adt("G1"))]), &[junk.len(), 1000]);
        expect_acks(&mut peer, &[("AA", "G1")]);
        drop(peer);
        lab.assert_ended(&[("peer", 1)], &[("junk_before_start", 1)]);
    }
}

/// Runs probes, and fails if one of them was logged above debug or counted as anything else.
#[track_caller]
fn probes(probe: impl Fn(RawPeer)) {
    let lab = Lab::new();
    lab.peer().exchange(adt("Q1")).expect("AA", "Q1");
    lab.assert_ended(&[("peer", 1)], &[]);
    let lines = lab.bridge.logs().len();
    for _ in 0..20 {
        probe(lab.peer());
    }
    lab.assert_ended(&[("peer", 1), ("probe", 20)], &[]);
    lab.peer().exchange(adt("Q2")).expect("AA", "Q2");
    lab.assert_ended(&[("peer", 2), ("probe", 20)], &[]);
    let logged: Vec<String> = lab
        .bridge
        .logs()
        .split_off(lines)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert!(logged.is_empty(), "probes were logged: {logged:#?}");
}

#[test]
fn connect_and_close_is_a_probe_and_is_not_logged_above_debug() {
    probes(drop);
}

#[test]
fn connect_and_reset_is_a_probe_and_is_not_logged_above_debug() {
    // As the kubelet and hardware load balancers do it.
    probes(RawPeer::reset);
}
