//! Under load: what the app took and what the senders were told, compared message by message.

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::command::drain;

const CONNECTIONS: usize = 8;

/// What came of a load.
struct Records {
    /// Messages that the app answered with 200.
    accepted: BTreeSet<String>,
    /// Requests that the app had: more than `accepted` if one came twice.
    requests: usize,
    /// Messages that their senders hold an AA for.
    acked: BTreeSet<String>,
}

impl Records {
    #[track_caller]
    fn assert_no_false_ack(&self, round: usize) {
        let false_acks: Vec<_> = self.acked.difference(&self.accepted).collect();
        assert!(
            false_acks.is_empty(),
            "round {round}: acknowledged, and the app has never seen them: {false_acks:?}"
        );
    }

    #[track_caller]
    fn assert_every_ack_came(&self, round: usize) {
        let lost: Vec<_> = self.accepted.difference(&self.acked).collect();
        assert!(
            lost.is_empty(),
            "round {round}: taken by the app, and their senders, who stayed, were not told: {lost:?}"
        );
        assert_eq!(
            self.requests,
            self.accepted.len(),
            "round {round}: a message was delivered twice"
        );
    }
}

/// Sends on eight connections, one message after the other, until the bridge ends them; `end` is called in the midst
/// of it.
#[track_caller]
fn under_load(app: &TestApp, bridge: &Bridge, round: usize, end: impl FnOnce()) -> Records {
    // From the ID: the same delays in each run of a round.
    app.respond(move |request| {
        let id = request.header("X-HL7-Control-Id").unwrap();
        let seed = id
            .bytes()
            .fold(round as u64, |seed, byte| seed * 31 + u64::from(byte));
        Reply::ok().delay(Duration::from_micros(
            fastrand::Rng::with_seed(seed).u64(0..4000),
        ))
    });
    let address = bridge.address();
    let acked = thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|connection| scope.spawn(move || send_until_closed(address, connection)))
            .collect();
        app.wait_for(40 + round * 7, PATIENCE);
        end();
        let acked = senders
            .into_iter()
            .flat_map(|sender| sender.join().unwrap());
        acked.collect()
    });
    let requests = app.requests();
    let id =
        |request: &support::app::Recorded| request.header("X-HL7-Control-Id").unwrap().to_owned();
    Records {
        accepted: requests.iter().map(id).collect(),
        requests: requests.len(),
        acked,
    }
}

/// The messages that were positively acknowledged.
fn send_until_closed(address: std::net::SocketAddr, connection: usize) -> Vec<String> {
    let mut acked = Vec::new();
    let Ok(mut peer) = RawPeer::try_connect(address) else {
        return acked;
    };
    for message in 0.. {
        let id = format!("C{connection}M{message}");
        if peer.try_send(frame(messages::adt(&id))).is_err() {
            break;
        }
        match peer.read_frame() {
            Ok(data) => {
                let ack = support::peer::Ack::parse(data);
                assert_eq!(ack.msa2(), id, "{ack}");
                if ack.msa1() == "AA" {
                    acked.push(id);
                }
            }
            Err(NoFrame::Closed { got } | NoFrame::Reset { got }) => {
                assert!(got.is_empty(), "half an ACK: {}", support::Shown(&got));
                break;
            }
            Err(error) => panic!("neither an ACK nor a close for {id}: {error}"),
        }
    }
    acked
}

#[test]
fn sigterm_under_load_twenty_times_acks_every_message_that_the_app_took_and_no_other() {
    for round in 0..20 {
        let app = TestApp::start();
        let yaml = format!(
            "threads: {}\n{}",
            1 + round % 2 * 2,
            config(&app.url(), "10s")
        );
        let mut bridge = Bridge::start(&yaml);
        let records = under_load(&app, &bridge, round, || bridge.terminate());
        let status = bridge.wait_exit(5 * SECOND);
        assert_eq!(status.code(), Some(0), "round {round}");
        records.assert_no_false_ack(round);
        records.assert_every_ack_came(round);
    }
}

#[test]
fn drain_under_load_leaves_metrics_that_agree_with_the_app_and_the_senders() {
    for round in 0..5 {
        let app = TestApp::start();
        let bridge = Bridge::start(&config(&app.url(), "10s"));
        let records = under_load(&app, &bridge, round, || {
            let drained = drain(bridge.admin(), &[]);
            assert_eq!(drained.code, Some(0), "{drained:?}");
        });
        records.assert_no_false_ack(round);
        records.assert_every_ack_came(round);
        let metrics = bridge.metrics();
        let sum = |name: &str, labels: &[(&str, &str)]| {
            metrics.sum(&format!("mllp_bridge_{name}"), labels)
        };
        let (accepted, acked) = (records.accepted.len() as f64, records.acked.len() as f64);
        assert_eq!(sum("messages_total", &[("outcome", "accepted")]), accepted);
        assert_eq!(sum("messages_total", &[]), accepted, "no other outcome");
        assert_eq!(sum("acks_total", &[("code", "AA")]), acked);
        assert_eq!(sum("acks_total", &[]), acked, "no other code");
        assert_eq!(sum("ack_unwritten_total", &[]), accepted - acked);
        assert_eq!(sum("exchanges_in_flight", &[]), 0.0);
        assert_eq!(sum("connections_open", &[]), 0.0);
        assert_eq!(sum("connections_closed_total", &[]), CONNECTIONS as f64);
        assert_eq!(sum("exchange_duration_seconds_count", &[]), acked);
        assert_eq!(sum("delivery_duration_seconds_count", &[]), accepted);
        assert_eq!(sum("draining", &[]), 1.0);
        bridge.stop();
    }
}

#[test]
fn sigkill_under_load_leaves_no_ack_for_what_the_app_had_not_taken() {
    for round in 0..8 {
        let app = TestApp::start();
        let mut bridge = Bridge::start(&config(&app.url(), "10s"));
        let records = under_load(&app, &bridge, round, || bridge.signal("KILL"));
        assert_eq!(bridge.wait_exit(5 * SECOND).code(), None, "killed");
        records.assert_no_false_ack(round);
        let unanswered = records.accepted.len() - records.acked.len();
        assert!(
            unanswered <= CONNECTIONS,
            "{unanswered} messages unanswered, one at most in the hands of each connection"
        );
    }
}

/// An app that fails at random: still no AA but for a 200.
#[test]
fn sigterm_under_load_with_a_failing_app_acks_nothing_that_was_refused() {
    for round in 0..5 {
        let app = TestApp::start();
        let mut bridge = Bridge::start(&config(&app.url(), "700ms"));
        let address = bridge.address();
        app.respond(
            |request| match request.header("X-HL7-Control-Id").unwrap().len() % 3 {
                0 => Reply::status(422),
                1 => Reply::close_unanswered(),
                _ => Reply::ok(),
            },
        );
        let acked: Vec<String> = thread::scope(|scope| {
            let senders: Vec<_> = (0..CONNECTIONS)
                .map(|connection| {
                    scope.spawn(move || {
                        send_until_closed(address, 10_usize.pow(connection as u32 % 3))
                    })
                })
                .collect();
            app.wait_for(40, PATIENCE);
            bridge.terminate();
            senders
                .into_iter()
                .flat_map(|sender| sender.join().unwrap())
                .collect()
        });
        assert_eq!(
            bridge.wait_exit(5 * SECOND).code(),
            Some(0),
            "round {round}"
        );
        for id in acked {
            assert_eq!(
                id.len() % 3,
                2,
                "round {round}: {id} was acknowledged and the app did not take it"
            );
        }
    }
}
