//! SIGKILL under load, and the next process: every message that was acknowledged is answered by the same bytes.

use std::collections::BTreeMap;
use std::thread;

use super::*;

const CONNECTIONS: usize = 8;

/// Sends until the connection breaks. Each message, and its answer if there was one.
fn send(bridge: &Bridge, round: usize, connection: usize) -> Vec<(String, Option<String>)> {
    let mut sent = Vec::new();
    let Ok(mut peer) = RawPeer::try_connect(bridge.address()) else {
        return sent;
    };
    for message in 0.. {
        let id = format!("R{round}C{connection}M{message}");
        if peer.try_send(frame(adt(&id))).is_err() {
            break;
        }
        let ack = peer.read_frame().ok();
        let ack = ack.map(|ack| String::from_utf8(ack).unwrap());
        let ended = ack.is_none();
        sent.push((id, ack));
        if ended {
            break;
        }
    }
    sent
}

#[test]
fn killed_under_load_every_acknowledged_message_is_answered_by_the_same_bytes() {
    for (round, durability) in ["power-loss", "process", "power-loss", "process"]
        .into_iter()
        .enumerate()
    {
        let lab = Lab::new(durability);
        let bridge = lab.start();
        let sent: BTreeMap<String, Option<String>> = thread::scope(|scope| {
            let bridge = &bridge;
            let senders: Vec<_> = (0..CONNECTIONS)
                .map(|connection| scope.spawn(move || send(bridge, round, connection)))
                .collect();
            lab.app.wait_for(150 + 50 * round, PATIENCE);
            bridge.signal("KILL");
            let sent = senders.into_iter().flat_map(|one| one.join().unwrap());
            sent.collect()
        });
        kill(bridge);
        let before = lab.asked();
        let acked = sent.values().flatten().count();
        assert!(acked > 50, "round {round}: {acked} of {}", sent.len());

        let bridge = lab.start();
        for (id, ack) in &sent {
            let resent = exchange(&bridge, &adt(id));
            assert!(resent.contains(&format!("MSA|AA|{id}")), "{resent}");
            if let Some(ack) = ack {
                assert_eq!(resent, *ack, "round {round}, {durability}: {id}");
            }
        }
        let again = lab.asked().split_off(before.len());
        for id in &again {
            assert!(
                sent[id].is_none(),
                "round {round}, {durability}: {id} was acknowledged, and delivered again"
            );
        }
        assert!(again.len() <= CONNECTIONS, "round {round}: {again:?}");
        bridge.stop();
    }
}
