//! Many at once: the order of one client, and who gets which answer where a server delays, drops and swaps them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::server::{Act, block};
use super::support::api::Client;
use super::*;

fn bridge(server: &Server, connections: usize, timeout: &str) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{}', connections: {connections}, ack: {{timeout: {timeout}}}, queue: {{length: 1000, timeout: 60s}},\n\
           connect: {{retry: {{initial: 1ms, max: 5ms}}}}}}]\n",
        server.address
    ))
}

#[test]
fn a_thousand_messages_of_one_client_arrive_in_order_over_lost_connections() {
    let count = AtomicUsize::new(0);
    let server = Server::acting(move |message| {
        let answer = Act::Write(block(&ack("AA", &control_id(message))));
        match count.fetch_add(1, Relaxed) % 100 {
            // Behind the answer: nothing is lost but the connection.
            99 => vec![answer, Act::Close],
            _ => vec![answer],
        }
    });
    let bridge = bridge(&server, 1, "5s");
    let mut client = Client::connect(api::address(&bridge));
    let ids: Vec<String> = (0..1000).map(|number| format!("N{number}")).collect();
    for id in &ids {
        client.post(message(id, "")).expect_code("AA");
    }
    let arrived: Vec<String> = server
        .messages()
        .iter()
        .map(|message| control_id(message))
        .collect();
    assert_eq!(arrived, ids);
    let connects = bridge.metric_sum(
        "mllp_bridge_destination_connects_total",
        &[("result", "connected")],
    );
    assert!(connects >= 10.0, "{connects} connections were made");
    bridge.stop();
}

/// A generator of numbers that is the same each time (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// An answer that says whose it is twice: in MSA-2, and in MSA-3 what only the server knows of the message.
fn marked(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).into_owned();
    let token = text
        .split("TOKEN-")
        .nth(1)
        .and_then(|rest| rest.split('|').next())
        .unwrap_or_default()
        .to_owned();
    let id = control_id(message);
    block(&format!(
        "MSH|^~\\&|LIS|LAB|APP|CLINIC|2026||ACK|a{id}|P|2.5\rMSA|AA|{id}|token {token}\r"
    ))
}

/// What a client was told of its message.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Accepted,
    Failed { may_have_arrived: bool },
}

fn nobody_gets_anothers_answer(connections: usize, seed: u64) {
    const REQUESTS: usize = 5_000;
    const CLIENTS: usize = 64;
    let random = Mutex::new(Seeded(seed));
    let before = Mutex::new(VecDeque::<Vec<u8>>::new());
    let server = Server::acting(move |message| {
        let own = marked(message);
        let mut before = before.lock().unwrap();
        before.push_back(own.clone());
        if before.len() > 16 {
            before.pop_front();
        }
        let mut random = random.lock().unwrap();
        match random.below(100) {
            0 => Vec::new(),
            1 => vec![Act::Close],
            // Another's, or an older one, instead of its own; or before it; or behind it.
            2..6 => vec![Act::Write(
                before[random.below(before.len() as u64) as usize].clone(),
            )],
            6 => vec![Act::Write([before[0].clone(), own].concat())],
            7 => vec![Act::Write([own, before[0].clone()].concat())],
            // Too late.
            8 => vec![Act::Wait(Duration::from_millis(150)), Act::Write(own)],
            9..20 => vec![
                Act::Wait(Duration::from_millis(random.below(5))),
                Act::Write(own),
            ],
            20 => vec![Act::Write(own), Act::Close],
            _ => vec![Act::Write(own)],
        }
    });
    let bridge = bridge(&server, connections, "100ms");
    let api = api::address(&bridge);
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let next = Arc::clone(&next);
            thread::spawn(move || {
                let mut client = Client::connect(api);
                let mut told = Vec::new();
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= REQUESTS {
                        return told;
                    }
                    let id = format!("C{number}");
                    let text = message(&id, "").replace("MUSTER", &format!("TOKEN-{number}|"));
                    let answer = client.post(&text);
                    match answer.status {
                        200 => {
                            let raw = answer.body["raw"].as_str().unwrap();
                            let own = format!("MSA|AA|{id}|token {number}\r");
                            assert!(raw.contains(&own), "message {number} got {raw:?}");
                            told.push((id, Told::Accepted));
                        }
                        502..=504 => {
                            let may_have_arrived = answer.body["may_have_arrived"].as_bool();
                            let may_have_arrived = may_have_arrived.expect("whether it may have");
                            told.push((id, Told::Failed { may_have_arrived }));
                        }
                        other => panic!("message {number}: {other} {}", answer.body),
                    }
                }
            })
        })
        .collect();
    let mut told = Vec::with_capacity(REQUESTS);
    for client in clients {
        let client = client.join();
        told.extend(client.unwrap_or_else(|_| panic!("seed {seed}, {connections} connections")));
    }
    assert_eq!(told.len(), REQUESTS);

    // What the server has is what the clients were told.
    let mut arrived = HashMap::<String, usize>::new();
    for message in server.messages() {
        *arrived.entry(control_id(&message)).or_default() += 1;
    }
    for (id, told) in &told {
        let times = arrived.remove(id).unwrap_or_default();
        let right = match told {
            Told::Accepted => times == 1,
            Told::Failed { may_have_arrived } => times == 0 || times == 1 && *may_have_arrived,
        };
        assert!(
            right,
            "{id} came {times} times, and was {told:?} (seed {seed})"
        );
    }
    assert!(arrived.is_empty(), "nobody sent {arrived:?} (seed {seed})");
    let accepted = told
        .iter()
        .filter(|(_, told)| *told == Told::Accepted)
        .count();
    assert!(
        accepted > REQUESTS / 2,
        "only {accepted} were answered (seed {seed})"
    );
    let counted = |outcome| bridge.metric_sum("mllp_bridge_destination_messages_total", outcome);
    assert_eq!(
        counted(&[("outcome", "accepted")]) as usize,
        accepted,
        "seed {seed}"
    );
    assert_eq!(counted(&[]) as usize, REQUESTS, "seed {seed}");
    bridge.stop();
}

#[test]
fn nobody_gets_anothers_answer_on_one_connection() {
    nobody_gets_anothers_answer(1, 0x5EED_0001);
}

#[test]
fn nobody_gets_anothers_answer_on_eight_connections() {
    nobody_gets_anothers_answer(8, 0x5EED_0008);
}
