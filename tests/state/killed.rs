//! SIGKILL at a chosen point.

use super::*;

const BOTH: [&str; 2] = ["power-loss", "process"];

#[test]
fn after_the_ack_a_resend_to_the_next_process_gets_the_same_bytes_and_the_app_is_not_asked() {
    for durability in BOTH {
        let lab = Lab::new(durability);
        let bridge = lab.start();
        let first = exchange(&bridge, &adt("ONE"));
        assert!(first.contains("MSA|AA|ONE"), "{first}");
        kill(bridge);
        let bridge = lab.start();
        assert_eq!(exchange(&bridge, &adt("ONE")), first);
        kill(bridge);
        // What is only read is not lost by it.
        let bridge = lab.start();
        assert_eq!(exchange(&bridge, &adt("ONE")), first);
        let labels = [("outcome", "duplicate")];
        bridge.wait_for_metric("mllp_bridge_messages_total", &labels, 1.0);
        assert_eq!(lab.asked(), ["ONE"]);
        bridge.stop();
    }
}

/// The app has said yes, and the bridge has not heard it: the one moment that nothing can close. The app is asked again, and can tell.
#[test]
fn between_the_apps_2xx_and_the_commit_the_resend_is_delivered_under_the_same_key() {
    let lab = Lab::new("power-loss");
    let bridge = lab.start();
    lab.app.script([Reply::ok().hold().close()]);
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(adt("TWICE")));
    lab.app.wait_for(1, PATIENCE);
    bridge.signal("STOP");
    lab.app.release();
    // The answer is written, and in the stopped process's socket.
    lab.app.wait_for_open_connections(0, PATIENCE);
    kill(bridge);
    peer.expect_close();

    let bridge = lab.start();
    let resent = exchange(&bridge, &adt("TWICE"));
    assert!(resent.contains("MSA|AA|TWICE"), "{resent}");
    let requests = lab.app.wait_for(2, PATIENCE);
    let keys: Vec<_> = requests
        .iter()
        .map(|request| request.header("Idempotency-Key").unwrap())
        .collect();
    assert_eq!(keys[0], keys[1], "the app can tell that it is the same");
    assert_eq!(exchange(&bridge, &adt("TWICE")), resent);
    assert_eq!(lab.asked().len(), 2, "and from now on it is not asked");
    bridge.stop();
}

/// Stored, and the ACK met a connection that was no more: as it is for a sender whose bridge is killed between the two.
#[test]
fn between_the_commit_and_the_ack_the_resend_is_answered_from_the_store() {
    for durability in BOTH {
        let lab = Lab::new(durability);
        let bridge = lab.start();
        lab.app.script([Reply::ok().hold()]);
        let mut peer = RawPeer::connect(bridge.address());
        peer.send(frame(adt("LOST")));
        lab.app.wait_for(1, PATIENCE);
        peer.reset();
        lab.app.release();
        bridge.wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
        kill(bridge);
        let bridge = lab.start();
        let resent = exchange(&bridge, &adt("LOST"));
        assert!(resent.contains("MSA|AA|LOST"), "{resent}");
        assert_eq!(lab.asked(), ["LOST"]);
        bridge.stop();
    }
}

#[test]
fn before_the_apps_answer_the_resend_is_delivered() {
    let lab = Lab::new("process");
    let bridge = lab.start();
    lab.app.script([Reply::ok().hold()]);
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(adt("AGAIN")));
    lab.app.wait_for(1, PATIENCE);
    kill(bridge);
    lab.app.release();
    let bridge = lab.start();
    let resent = exchange(&bridge, &adt("AGAIN"));
    assert!(resent.contains("MSA|AA|AGAIN"), "{resent}");
    assert_eq!(lab.asked(), ["AGAIN", "AGAIN"]);
    bridge.stop();
}

#[test]
fn what_was_refused_is_delivered_again_and_what_the_app_wrote_itself_comes_as_it_was() {
    let lab = Lab::new("process");
    let bridge = lab.start();
    let own = "MSH|^~\\&|B|C|R|G|2026||RSP^K22^RSP_K21|OWN1|P|2.5.1\rMSA|AA|Q1\rQAK|Q|OK\r";
    let reply = Reply::ok().header("Content-Type", "application/hl7-v2");
    lab.app.script([reply.body(own), Reply::status(422)]);
    assert_eq!(exchange(&bridge, &adt("Q1")), own);
    assert!(exchange(&bridge, &adt("BAD")).contains("MSA|AE|BAD"));
    let both = |bridge: &Bridge| {
        let mut peer = RawPeer::connect(bridge.address());
        peer.send(frame(adt_enhanced("BOTH", "AL", "AL")));
        [answer(&mut peer), answer(&mut peer)]
    };
    let first = both(&bridge);
    kill(bridge);
    let bridge = lab.start();
    assert_eq!(exchange(&bridge, &adt("Q1")), own);
    assert_eq!(both(&bridge), first);
    assert!(exchange(&bridge, &adt("BAD")).contains("MSA|AA|BAD"));
    assert_eq!(lab.asked(), ["Q1", "BAD", "BOTH", "BAD"]);
    bridge.stop();
}

#[test]
fn an_orderly_end_and_a_start_are_no_different() {
    let lab = Lab::new("power-loss");
    let bridge = lab.start();
    let first = exchange(&bridge, &adt("ONE"));
    bridge.stop();
    let bridge = lab.start();
    assert_eq!(exchange(&bridge, &adt("ONE")), first);
    assert_eq!(lab.asked(), ["ONE"]);
    bridge.stop();
}

#[test]
fn a_reload_forgets_what_is_stored_as_well() {
    let lab = Lab::new("process");
    let bridge = lab.start();
    exchange(&bridge, &adt("OLD"));
    bridge.signal("HUP");
    bridge.wait_for_log("configuration reloaded");
    // Its commit is behind the reload's.
    exchange(&bridge, &adt("NEW"));
    kill(bridge);
    let bridge = lab.start();
    exchange(&bridge, &adt("NEW"));
    assert_eq!(lab.asked(), ["OLD", "NEW"]);
    exchange(&bridge, &adt("OLD"));
    assert_eq!(lab.asked(), ["OLD", "NEW", "OLD"]);
    bridge.stop();
}

#[test]
fn the_store_is_as_small_as_the_window() {
    let lab = Lab::with("duplicates: {max_messages: 10}");
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    let size = || lab.path().join("state.redb").metadata().unwrap().len();
    let mut sizes = Vec::new();
    for round in 0..4 {
        for message in 0..100 {
            let id = format!("R{round}M{message}");
            peer.exchange(adt(&id)).expect("AA", &id);
        }
        sizes.push(size());
    }
    assert_eq!(sizes[0], sizes[3], "it grows: {sizes:?}");
    kill(bridge);
    let bridge = lab.start();
    exchange(&bridge, &adt("R3M90"));
    assert_eq!(lab.asked().len(), 400, "the tenth from the end is known");
    exchange(&bridge, &adt("R3M89"));
    assert_eq!(lab.asked().len(), 401, "the one before it is not");
    bridge.stop();
}

#[test]
fn what_is_too_old_is_not_known_though_nobody_ran_meanwhile() {
    let lab = Lab::with("duplicates: {window: 1s}");
    let bridge = lab.start();
    exchange(&bridge, &adt("OLD"));
    kill(bridge);
    // The age of a record is time itself.
    std::thread::sleep(Duration::from_millis(1100));
    let bridge = lab.start();
    exchange(&bridge, &adt("OLD"));
    assert_eq!(lab.asked(), ["OLD", "OLD"]);
    bridge.stop();
}
