//! Bytes that were changed, doubled or lost on the way, over real sockets: a sample of what `src/mllp/wrap/tests.rs` does with every
//! one. Whatever comes of the damaged block, the next message is delivered and answered, and the app gets nothing but what was sent,
//! where the protocol can tell.

use std::collections::BTreeSet;

use crate::blocks::{ACK, Check, hllp, open};
use crate::lab::Lab;
use crate::support::PATIENCE;
use crate::support::app::Reply;
use crate::support::messages::frame;
use crate::support::peer::RawPeer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mllp,
    Mllp2,
    Hllp,
}

impl Kind {
    fn block(self, message: &str) -> Vec<u8> {
        match self {
            Self::Mllp | Self::Mllp2 => frame(message),
            Self::Hllp => hllp('D', message, Check::Xor),
        }
    }

    fn lab(self) -> Lab {
        let kind = format!("{self:?}").to_lowercase();
        Lab::with(&format!("framing: {{ kind: {kind}, end_idle: 50ms }}"))
    }
}

fn message(id: &str) -> String {
    format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|{id}|P|2.5\rPID|1\r")
}

/// Reads to the acknowledgement of this message, as a peer of this kind does.
#[track_caller]
fn answered(peer: &mut RawPeer, kind: Kind, id: &str, what: &str) {
    loop {
        let block = peer
            .read_frame_within(PATIENCE)
            .unwrap_or_else(|error| panic!("{kind:?} {what}: no answer to {id}: {error}"));
        let data = match kind {
            Kind::Mllp => block,
            Kind::Mllp2 if block.len() == 1 => continue,
            Kind::Mllp2 => {
                peer.send(ACK);
                block
            }
            Kind::Hllp if block.first() == Some(&b'N') => continue,
            Kind::Hllp => open(b'D', &block, Check::Xor),
        };
        let text = String::from_utf8_lossy(&data).into_owned();
        if text.contains(&format!("MSA|AA|{id}\r")) {
            return;
        }
    }
}

/// A damaged block: what was done to it, and its bytes.
fn damaged(block: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for at in (0..block.len())
        .step_by(3)
        .chain(block.len() - 12..block.len())
    {
        for byte in [0x00, 0x0B, 0x0D, 0x15, 0x1C, b'7', 0xFF] {
            let mut changed = block.to_vec();
            changed[at] = byte;
            all.push((format!("byte {at} is {byte:#04x}"), changed));
        }
        let mut doubled = block.to_vec();
        doubled.insert(at, block[at]);
        all.push((format!("byte {at} doubled"), doubled));
        all.push((format!("cut at {at}"), block[..at].to_vec()));
    }
    all
}

fn every_next_message_is_answered(kind: Kind) {
    let lab = kind.lab();
    let block = kind.block(&message("DAMAGED"));
    let mut sent = BTreeSet::from([message("DAMAGED").into_bytes()]);
    let mut peer = lab.peer();
    for (number, (what, bytes)) in damaged(&block).into_iter().enumerate() {
        let id = format!("NEXT{number}");
        sent.insert(message(&id).into_bytes());
        // What does not end in a block's end ends with the next block's start.
        let behind = kind.block(&message(&id));
        if kind == Kind::Mllp2 && is_complete(&bytes) {
            // A sender of Release 2 waits for the commit block, and behind what has no end for its timer.
            peer.send(&bytes);
            let commit = peer.read_frame().expect(&what);
            assert_eq!(commit.len(), 1, "{what}");
            peer.send(&behind);
        } else {
            peer.send([&bytes[..], &behind[..]].concat());
        }
        if kind == Kind::Mllp && may_close(&bytes) {
            // Not HL7 and so not answerable: MLLP Release 1 closes.
            peer = lab.peer();
            peer.send(&behind);
        }
        answered(&mut peer, kind, &id, &what);
    }
    if kind == Kind::Hllp {
        for received in lab.received() {
            assert!(
                sent.contains(&received),
                "the app got {}",
                received.escape_ascii()
            );
        }
    }
    let next = lab.app.requests().len();
    assert!(next >= sent.len() - 1, "{next} of {} arrived", sent.len());
}

/// Whether a block has an end.
fn is_complete(block: &[u8]) -> bool {
    let start = block.iter().position(|byte| *byte == 0x0B);
    let inside = start.map_or(&[][..], |start| &block[start..]);
    inside.ends_with(&[0x1C])
        || inside
            .windows(2)
            .any(|two| matches!(two, [0x1C, 0x0B | 0x0A | 0x0D]))
}

/// Whether what is left of a block could be a message that does not begin with MSH.
fn may_close(block: &[u8]) -> bool {
    !block.starts_with(b"\x0bMSH|^~\\&|") || block.iter().filter(|byte| **byte == 0x0B).count() > 1
}

#[test]
fn hllp_delivers_only_what_was_sent() {
    every_next_message_is_answered(Kind::Hllp);
}

#[test]
fn release_2_goes_on_with_the_next_message() {
    every_next_message_is_answered(Kind::Mllp2);
}

#[test]
fn release_1_goes_on_with_the_next_message() {
    every_next_message_is_answered(Kind::Mllp);
}

/// A peer that sends its commit block damaged: the answer is sent again, and the next message is not lost.
#[test]
fn a_damaged_commit_block_costs_a_resend() {
    let lab = Lab::with("framing: { kind: mllp2, commit_timeout: 50ms, end_idle: 20ms }");
    let mut peer = lab.peer();
    for (number, (what, bytes)) in damaged_commits().into_iter().enumerate() {
        let id = format!("C{number}");
        peer.send(frame(message(&id)));
        // What is left of the commit block before may have become a message, which is refused.
        while peer.read_frame().expect(&what) != [0x06] {}
        let first = peer.read_frame().expect(&what);
        peer.send(&bytes);
        // Without its CR, or with another block behind it, it is whole.
        let is_whole = matches!(
            bytes[..],
            [0x0B, 0x06, 0x1C] | [0x0B, 0x06, 0x1C, 0x0B | 0x0D]
        );
        if !is_whole {
            let again = peer.read_frame().expect(&what);
            assert_eq!(again, first, "{what}");
            peer.send(ACK);
        }
    }
    peer.send(frame(message("LAST")));
    answered(&mut peer, Kind::Mllp2, "LAST", "after all");
}

fn damaged_commits() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for at in 0..ACK.len() {
        for byte in [0x00, 0x0B, 0x15, 0x1C, b'A'] {
            let mut changed = ACK.to_vec();
            changed[at] = byte;
            all.push((format!("commit byte {at} is {byte:#04x}"), changed));
        }
        all.push((format!("commit cut at {at}"), ACK[..at].to_vec()));
    }
    all
}

/// What is no message at all is treated as in MLLP Release 1.
#[test]
fn odd_connections_end_alike_in_every_kind() {
    for kind in [Kind::Mllp, Kind::Mllp2, Kind::Hllp] {
        let lab = kind.lab();
        let end = |bytes: &[u8]| {
            let mut peer = lab.peer();
            peer.send(bytes);
            peer.expect_close();
        };
        end(b"GET / HTTP/1.1\r\n\r\n");
        end(b"\x16\x03\x01\x02\x00");
        end(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n");
        end(&vec![b'x'; 70_000]);
        drop(lab.peer());
        let mut peer = lab.peer();
        peer.send([b"\r\n\0", &kind.block(&message("ODD"))[..]].concat());
        answered(&mut peer, kind, "ODD", "behind junk");
        let block = kind.block(&message("HALF"));
        peer.send(&block[..block.len() - 3]);
        peer.half_close();
        peer.expect_close();
        lab.assert_ended(
            &[
                ("looks_like_http", 1),
                ("looks_like_tls", 1),
                ("looks_like_proxy", 1),
                ("not_mllp", 1),
                ("probe", 1),
                ("peer", 1),
            ],
            &[("junk_before_start", 2), ("truncated", 1)],
        );
        lab.assert_received(&[message("ODD")]);
    }
}

/// What is with the app when the drain begins is answered, in every kind.
#[test]
fn the_drain_finishes_what_is_under_way() {
    for kind in [Kind::Mllp2, Kind::Hllp] {
        let lab = kind.lab();
        lab.app.script([Reply::ok().hold()]);
        let mut peer = lab.peer();
        peer.send(kind.block(&message("LATE")));
        lab.app.wait_for(1, PATIENCE);
        lab.bridge.terminate();
        lab.bridge.wait_for_log("draining");
        lab.app.release();
        answered(&mut peer, kind, "LATE", "during the drain");
        peer.expect_close();
        lab.bridge.stop();
    }
}
