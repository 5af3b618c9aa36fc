//! Messages that come again: who gets the same answer once more, and who is delivered.

use crate::lab::{Lab, SHORT};
use crate::support::PATIENCE;
use crate::support::app::Reply;
use crate::support::messages::{adt, adt_enhanced, frame};
use crate::support::peer::RawPeer;

/// The listener's key, with all of its defaults; without it the tools turn it off.
const DEFAULT: &str = "duplicates: {}";

/// The next answer's bytes.
#[track_caller]
fn answer(peer: &mut RawPeer) -> String {
    let data = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&data).into_owned()
}

#[track_caller]
fn exchange(peer: &mut RawPeer, message: &str) -> String {
    peer.send(frame(message));
    answer(peer)
}

/// Waits until so many messages were known from before.
#[track_caller]
fn assert_duplicates(lab: &Lab, count: u32) {
    let labels = [("outcome", "duplicate")];
    let name = "mllp_bridge_messages_total";
    if count > 0 {
        lab.bridge.wait_for_metric(name, &labels, count.into());
    }
    assert_eq!(lab.bridge.metric_sum(name, &labels), f64::from(count));
}

#[test]
fn a_resend_gets_the_same_bytes_again_on_any_connection_and_the_app_is_not_asked() {
    let lab = Lab::with(DEFAULT);
    let mut peer = lab.peer();
    let first = exchange(&mut peer, &adt("AGAIN"));
    assert!(first.contains("MSA|AA|AGAIN"), "{first}");
    assert_eq!(exchange(&mut peer, &adt("AGAIN")), first);
    assert_eq!(exchange(&mut lab.peer(), &adt("AGAIN")), first);
    lab.assert_received(&[adt("AGAIN")]);
    assert_duplicates(&lab, 2);
    let acks = lab
        .bridge
        .metric_sum("mllp_bridge_acks_total", &[("code", "AA")]);
    assert_eq!(acks, 3.0);
}

#[test]
fn a_sender_whose_acknowledgement_was_lost_gets_it_when_it_sends_again() {
    let lab = Lab::with(DEFAULT);
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("LOST")));
    lab.app.wait_for(1, PATIENCE);
    peer.reset();
    lab.app.release();
    lab.bridge
        .wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
    lab.peer().exchange(adt("LOST")).expect("AA", "LOST");
    lab.assert_received(&[adt("LOST")]);
    assert_duplicates(&lab, 1);
}

#[test]
fn one_control_id_with_other_content_is_another_message() {
    let lab = Lab::with(DEFAULT);
    let mut peer = lab.peer();
    let other = adt("SAME").replace("MUSTER^ERIKA", "BEISPIEL^OTTO");
    peer.exchange(adt("SAME")).expect("AA", "SAME");
    peer.exchange(&other).expect("AA", "SAME");
    lab.assert_received(&[adt("SAME"), other]);
    assert_duplicates(&lab, 0);
}

#[test]
fn a_resend_while_the_first_is_with_the_app_waits_for_the_same_answer() {
    let lab = Lab::with(DEFAULT);
    lab.app.script([Reply::ok().hold()]);
    let mut peers: Vec<RawPeer> = (0..4).map(|_| lab.peer()).collect();
    for peer in &mut peers {
        peer.send(frame(adt("TWICE")));
        lab.app.wait_for(1, PATIENCE);
    }
    peers[3].expect_silence(SHORT);
    lab.app.release();
    let answers: Vec<String> = peers.iter_mut().map(answer).collect();
    assert!(answers[0].contains("MSA|AA|TWICE"), "{}", answers[0]);
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:#?}");
    lab.assert_received(&[adt("TWICE")]);
    assert_duplicates(&lab, 3);
}

#[test]
fn a_resend_that_waited_for_one_that_failed_is_delivered_itself() {
    let lab = Lab::with("ack: {deadline: 300ms}\nduplicates: {}");
    lab.app.script([Reply::status(503).hold(), Reply::ok()]);
    let (mut first, mut second) = (lab.peer(), lab.peer());
    first.send(frame(adt("NEXT")));
    lab.app.wait_for(1, PATIENCE);
    second.send(frame(adt("NEXT")));
    lab.app.release();
    // Whichever of the two had the second request.
    let acks = [first.ack(), second.ack()];
    assert!(acks.iter().all(|ack| ack.msa2() == "NEXT"));
    assert!(acks.iter().any(|ack| ack.msa1() == "AA"), "{acks:?}");
}

#[test]
fn a_resend_that_waits_takes_the_place_of_a_first_that_is_refused() {
    let lab = Lab::with(DEFAULT);
    lab.app.script([Reply::status(422).hold(), Reply::ok()]);
    let (mut first, mut second) = (lab.peer(), lab.peer());
    first.send(frame(adt("HEIR")));
    lab.app.wait_for(1, PATIENCE);
    second.send(frame(adt("HEIR")));
    // Both are here, and one is with the app: the other one waits for it.
    let in_flight = "mllp_bridge_exchanges_in_flight";
    lab.bridge.wait_for_metric(in_flight, &[], 2.0);
    assert_eq!(lab.app.requests().len(), 1);
    lab.app.release();
    first.ack().expect("AE", "HEIR");
    second.ack().expect("AA", "HEIR");
    lab.assert_received(&[adt("HEIR"), adt("HEIR")]);
    lab.peer().exchange(adt("HEIR")).expect("AA", "HEIR");
    assert_eq!(lab.app.requests().len(), 2, "the second is remembered");
}

#[test]
fn turned_off_by_a_reload_nothing_is_remembered_of_what_was_with_the_app() {
    let lab = Lab::with(DEFAULT);
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("OUT")));
    lab.app.wait_for(1, PATIENCE);
    let path = lab.bridge.config_path();
    let config = std::fs::read_to_string(&path).unwrap();
    let off = config.replace(DEFAULT, "duplicates: {window: off}");
    std::fs::write(&path, &off).unwrap();
    lab.bridge.wait_for_log("configuration reloaded");
    lab.app.release();
    peer.ack().expect("AA", "OUT");
    peer.exchange(adt("OUT")).expect("AA", "OUT");
    // On again, it begins with nothing.
    std::fs::write(&path, config).unwrap();
    let labels = [("result", "applied")];
    lab.bridge
        .wait_for_metric("mllp_bridge_config_reloads_total", &labels, 2.0);
    peer.exchange(adt("OUT")).expect("AA", "OUT");
    assert_eq!(lab.app.requests().len(), 3);
}

#[test]
fn what_was_not_accepted_is_delivered_again() {
    for status in [503, 500, 422, 409] {
        let lab = Lab::with_deliver(
            "ack: {deadline: 60ms}\nduplicates: {}",
            "retry: {initial: 50ms, max: 50ms}",
        );
        lab.app.always(Reply::status(status));
        let mut peer = lab.peer();
        peer.exchange(adt("LATER")).expect("AE", "LATER");
        lab.app.always(Reply::ok());
        peer.exchange(adt("LATER")).expect("AA", "LATER");
        assert_duplicates(&lab, 0);
    }
}

#[test]
fn what_the_bridge_has_refused_is_refused_each_time() {
    let lab = Lab::with(DEFAULT);
    let mut peer = lab.peer();
    let unknown = adt("ONE").replacen("|P|2.5.1\r", "|P|2.5.1||||||EBCDIC\r", 1);
    peer.exchange(&unknown).expect("AR", "ONE");
    peer.exchange(&unknown).expect("AR", "ONE");
    lab.assert_refused(&[("charset", 2)]);
    assert_duplicates(&lab, 0);
}

#[test]
fn both_acknowledgements_of_enhanced_mode_come_again_and_silence_too() {
    let lab = Lab::with(DEFAULT);
    let mut peer = lab.peer();
    let both = |peer: &mut RawPeer| {
        peer.send(frame(adt_enhanced("BOTH", "AL", "AL")));
        [answer(peer), answer(peer)]
    };
    let first = both(&mut peer);
    assert!(first[0].contains("MSA|CA|BOTH") && first[1].contains("MSA|AA|BOTH"));
    assert_eq!(both(&mut peer), first);
    for _ in 0..2 {
        peer.send(frame(adt_enhanced("NONE", "NE", "NE")));
    }
    peer.exchange(adt("END")).expect("AA", "END");
    assert_duplicates(&lab, 2);
}

#[test]
fn an_apps_own_answer_comes_again_byte_for_byte() {
    let lab = Lab::with(DEFAULT);
    let own = "MSH|^~\\&|B|C|R|G|2026||RSP^K22^RSP_K21|OWN1|P|2.5.1\rMSA|AA|Q1\rQAK|Q|OK\r";
    let reply = Reply::ok().header("Content-Type", "application/hl7-v2");
    lab.app.script([reply.body(own)]);
    let mut peer = lab.peer();
    for _ in 0..3 {
        assert_eq!(exchange(&mut peer, &adt("Q1")), own);
    }
    assert_eq!(lab.app.requests().len(), 1);
}

#[test]
fn the_window_can_be_small_and_can_be_off() {
    let lab = Lab::with("duplicates: {max_messages: 1}");
    let mut peer = lab.peer();
    for id in ["A", "B", "A", "A"] {
        peer.exchange(adt(id)).expect("AA", id);
    }
    lab.assert_received(&[adt("A"), adt("B"), adt("A")]);

    let lab = Lab::with("duplicates: {window: off}");
    let mut peer = lab.peer();
    for _ in 0..2 {
        peer.exchange(adt("OFF")).expect("AA", "OFF");
    }
    lab.assert_received(&[adt("OFF"), adt("OFF")]);
    assert_duplicates(&lab, 0);
}
