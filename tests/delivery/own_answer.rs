//! Many connections at once: nobody ever gets another's answer.

use std::thread;

use super::*;

/// 64 connections with 50 messages each, an app that answers each with a text of its own after a random time, at
/// times with a failure first.
fn nobody_gets_anothers_answer(threads: usize) {
    const CONNECTIONS: usize = 64;
    const MESSAGES: usize = 50;
    let app = TestApp::start();
    app.respond(|request| {
        let id = request.header("X-HL7-Control-Id").unwrap();
        // From the ID and the attempt's time: the same seed gives the same delays, whatever the order.
        let mut random =
            fastrand::Rng::with_seed(id.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
        let delay = Duration::from_micros(random.u64(0..8000));
        let reply = match random.u8(0..20) {
            0 => Reply::status(409),
            1 => saying(id).close_silently(),
            2 => saying(id).chunked(5),
            3 => saying(id).close(),
            _ => saying(id),
        };
        reply.delay(delay)
    });
    let yaml = format!("threads: {threads}\n{}", config(&app.url(), ""));
    let bridge = Bridge::start(&yaml);
    let address = bridge.address();
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut peer = RawPeer::connect(address);
                for message in 0..MESSAGES {
                    let id = format!("C{connection}M{message}");
                    let ack = peer.exchange(messages::adt(&id));
                    assert_eq!(ack.msa2(), id, "MSA-2 of {ack}");
                    if ack.msa1() == "AA" {
                        assert_eq!(ack.msa3(), id, "the app's answer to another message: {ack}");
                    } else {
                        assert_eq!(ack.msa1(), "AE", "{ack}");
                    }
                }
            });
        }
    });
    let requests = app.requests();
    let ids: BTreeSet<String> = control_ids(&requests).into_iter().collect();
    assert_eq!(
        ids.len(),
        CONNECTIONS * MESSAGES,
        "different messages at the app"
    );
    assert_eq!(requests.len(), ids.len(), "a message was delivered twice");
    // The count of the last ACK may come after the ACK.
    let total = (CONNECTIONS * MESSAGES) as f64;
    bridge.wait_for_metric("mllp_bridge_acks_total", &[], total);
    assert_eq!(bridge.metric_sum("mllp_bridge_messages_total", &[]), total);
    assert_eq!(
        bridge.metric_sum("mllp_bridge_exchanges_in_flight", &[]),
        0.0
    );
}

#[test]
fn nobody_gets_anothers_answer_on_one_thread() {
    nobody_gets_anothers_answer(1);
}

#[test]
fn nobody_gets_anothers_answer_on_four_threads() {
    nobody_gets_anothers_answer(4);
}
