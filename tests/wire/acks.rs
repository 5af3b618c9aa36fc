//! The answers: one write each, the sender's control ID byte for byte, and an MSH that its sender can route.

use crate::lab::{Lab, expect_acks};
use crate::support::app::Reply;
use crate::support::messages::{adt, adt_version, frame};
use crate::support::peer::Ack;

#[test]
fn an_ack_is_one_write_so_that_a_reader_that_reads_once_gets_it_whole() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    for number in 0..300 {
        let id = format!("R{number}");
        peer.send(frame(adt(&id)));
        let answer = peer
            .read_frame_timed()
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(answer.reads, 1, "reads for the answer to {id}");
        Ack::parse(answer.data).expect("AA", &id);
    }
}

#[test]
fn an_ack_with_errors_is_one_write_too() {
    let lab = Lab::new();
    let errors: Vec<String> = (0..40).map(|n| format!("error number {n}")).collect();
    let problem = serde_json::json!({"title": "many", "errors": errors});
    lab.app.always(Reply::problem(422, &problem));
    let mut peer = lab.peer();
    for _ in 0..50 {
        peer.send(frame(adt("MANY")));
        let answer = peer
            .read_frame_timed()
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.reads, 1);
        let ack = Ack::parse(answer.data);
        ack.expect("AE", "MANY");
        assert_eq!(ack.err().len(), 40);
    }
}

#[test]
fn msa_2_is_msh_10_byte_for_byte() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let long = [b'9'; 199];
    for id in [
        &b"1"[..],
        b" leading and trailing ",
        b"   ",
        b"A\\T\\B\\X41\\",
        b"ID^1&2~3",
        b"\"\"",
        "MÜ-日".as_bytes(),
        b"latin-\xe9\xff",
        b"{20261122}-[7]%41+x",
        &long,
    ] {
        let text = adt("PLACE");
        let (before, after) = text.split_once("PLACE").expect("MSH-10");
        let message = [before.as_bytes(), id, after.as_bytes()].concat();
        peer.send(frame(&message));
        let answer = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
        let expected = [b"\rMSA|AA|", id, b"\r"].concat();
        let found = answer.windows(expected.len()).any(|part| part == expected);
        assert!(
            found,
            "MSH-10 was {:?}, the answer is {:?}",
            id.escape_ascii().to_string(),
            answer.escape_ascii().to_string()
        );
        assert_eq!(lab.received().last(), Some(&message));
    }
}

#[test]
fn the_ack_echoes_delimiters_and_version_and_swaps_the_applications() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    for (version, event) in [
        ("2.3", "ACK^A01"),
        ("2.4", "ACK^A01"),
        ("2.5", "ACK^A01^ACK"),
        ("2.5.1", "ACK^A01^ACK"),
        ("2.7", "ACK^A01^ACK"),
        ("2.8.2", "ACK^A01^ACK"),
    ] {
        let ack = peer.exchange(adt_version(version, "E1"));
        ack.expect("AA", "E1");
        assert_eq!(ack.names(), ["MSH", "MSA"], "{ack}");
        let five = version == "2.7" || version == "2.8.2";
        assert_eq!(ack.msh(2), if five { r"^~\&#" } else { r"^~\&" }, "{ack}");
        let addresses = [ack.msh(3), ack.msh(4), ack.msh(5), ack.msh(6)];
        assert_eq!(addresses, ["BRIDGE", "CLOUD", "REGADT", "GENHOSP"], "{ack}");
        assert_eq!(ack.msh(9), event, "{ack}");
        assert_eq!((ack.msh(11), ack.msh(12)), ("P", version), "{ack}");
        assert!(!ack.msh(10).is_empty() && ack.msh(10) != "E1", "{ack}");
    }
}

#[test]
fn unusual_delimiters_are_used_in_the_ack() {
    let lab = Lab::new();
    let message = "MSH$%*@!$A%x$B$C$D$2026$$ADT%A01$ODD|^1$P$2.5\rPID$1\r";
    let mut peer = lab.peer();
    peer.send(frame(message));
    let ack = expect_acks(&mut peer, &[("AA", "ODD|^1")]).remove(0);
    assert_eq!(ack.msh(5), "A%x", "{ack}");
    assert_eq!(ack.msh(9), "ACK%A01%ACK", "{ack}");
}

#[test]
fn each_ack_has_a_control_id_of_its_own() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let mut ids: Vec<String> = (0..100)
        .map(|_| peer.exchange(adt("SAME")).msh(10).to_owned())
        .collect();
    assert!(
        ids.iter().all(|id| (1..=20).contains(&id.len())),
        "longer than MSH-10 may be: {ids:?}"
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

#[test]
fn a_lf_terminated_message_is_answered_in_cr() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let ack = peer.exchange(adt("LF").replace('\r', "\n"));
    ack.expect("AA", "LF");
    assert!(!ack.bytes.contains(&b'\n'), "{ack}");
}

#[test]
fn the_apps_own_ack_is_passed_on_byte_for_byte() {
    let lab = Lab::new();
    let own = b"MSH|^~\\&|APP|X|Y|Z|2026||RSP^K22|\xe9 1|P|2.5\rMSA|AA|OWN|done\rQAK|\xff|OK\r";
    let reply = Reply::ok()
        .header("Content-Type", "application/hl7-v2")
        .body(&own[..]);
    lab.app.always(reply);
    let mut peer = lab.peer();
    peer.send(frame(adt("OWN")));
    let answer = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        answer.escape_ascii().to_string(),
        own.escape_ascii().to_string()
    );
    // For another message the same answer is not an answer.
    peer.exchange(adt("OTHER")).expect("AE", "OTHER");
    // A block character in it would end the block.
    let broken = b"MSH|^~\\&|APP|X|Y|Z|2026||ACK|1|P|2.5\rMSA|AA|OWN|\x1c\r";
    lab.app.always(Reply::ok().body(&broken[..]));
    peer.exchange(adt("OWN")).expect("AE", "OWN");
}
