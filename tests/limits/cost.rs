//! What a message costs must grow with its size, and not with its square.

use crate::support::app::TestApp;
use crate::support::messages::{adt_of_size, frame};
use crate::{bridge, peer};

const MIB: usize = 1024 * 1024;

/// CPU time of a process so far, in clock ticks.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, which may hold spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// CPU time that the bridge takes for so many messages of this size, sent in pieces of 1 KiB.
fn cost(bytes: usize, messages: usize) -> Option<u64> {
    let app = TestApp::start();
    let bridge = bridge(&app, "", "timeout: 20s", "");
    let mut peer = peer(&bridge);
    let framed = frame(adt_of_size("COST", bytes));
    let before = ticks(bridge.pid())?;
    for _ in 0..messages {
        for piece in framed.chunks(1024) {
            peer.send(piece);
        }
        peer.ack().expect("AA", "COST");
    }
    Some(ticks(bridge.pid())? - before)
}

#[test]
fn a_message_in_many_pieces_costs_time_in_proportion_to_its_size() {
    let (Some(small), Some(large)) = (cost(2 * MIB, 3), cost(8 * MIB, 3)) else {
        println!("no /proc here");
        return;
    };
    println!("ticks: {small} for 2 MiB, {large} for 8 MiB");
    // Four times the size: four times the time, or sixteen times if every byte were looked at again and again.
    assert!(
        large < 8 * small.max(5),
        "{small} ticks for 2 MiB, {large} for 8 MiB"
    );
}
