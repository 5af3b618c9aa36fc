//! The plan, played through: by hand, and by replicas that sleep, crash, have wrong clocks and all believe to be leaders.

use super::*;
use proptest::prelude::*;

const DAY: Unix = 86_400;
const POLICY: Policy = Policy {
    ca_validity: 365 * DAY,
    leaf_validity: 7 * DAY,
    settle: 30,
};

/// A CA with nothing in it but a number.
fn authority(number: u32, not_after: Unix) -> Authority {
    Authority {
        certificate: Certificate {
            der: CertificateDer::from(number.to_be_bytes().to_vec()),
            not_after,
        },
        key: format!("key {number}").into(),
    }
}

/// What the API server stores, with the versions that writers must name.
#[derive(Debug, Default)]
struct Store {
    secret: Authorities,
    secret_version: u64,
    live: Vec<Certificate>,
    live_version: u64,
    made: u32,
    /// Old states of the Secret, as a backup holds them.
    backups: Vec<Authorities>,
}

impl Store {
    fn write(&mut self, version: u64, secret: Authorities) -> bool {
        let current = version == self.secret_version;
        if current {
            self.backups
                .push(std::mem::replace(&mut self.secret, secret));
            self.secret_version += 1;
        }
        current
    }

    fn publish(&mut self, version: u64, live: Vec<Certificate>) -> bool {
        let current = version == self.live_version;
        if current {
            self.live = live;
            self.live_version += 1;
        }
        current
    }
}

/// How far a replica is in its round.
#[derive(Debug, Clone, Default)]
enum At {
    #[default]
    Start,
    Live(Unix, Vec<Certificate>, u64),
    Both(Unix, Vec<Certificate>, u64, Authorities, u64),
    Led(Unix, Vec<Certificate>, Authorities),
}

#[derive(Debug, Clone, Default)]
struct Replica {
    /// How wrong its clock is.
    clock: Unix,
    /// It falls asleep between a last look at the clock and a write, for however long.
    held_up: bool,
    at: At,
    next_seen: Option<(Certificate, Unix)>,
    leaf: Option<Leaf>,
}

impl Replica {
    /// One request to the API server, or one new leaf; anything can happen between two of these.
    fn act(&mut self, store: &mut Store, time: Unix, leads: bool) {
        self.at = match std::mem::take(&mut self.at) {
            At::Start => At::Live(time + self.clock, store.live.clone(), store.live_version),
            At::Live(now, live, version) => At::Both(
                now,
                live,
                version,
                store.secret.clone(),
                store.secret_version,
            ),
            At::Both(now, live, live_version, authorities, secret_version) => {
                self.see(now, &live, &authorities);
                let view = View {
                    now,
                    live: &live,
                    authorities: &authorities,
                    next_carried_since: self.next_seen.as_ref().map(|seen| seen.1),
                };
                let in_time = self.held_up || time + self.clock - now <= POLICY.patience();
                match lead(&view, POLICY).filter(|_| leads) {
                    Some(_) if !in_time => At::Start,
                    Some(Step::Write(write)) => {
                        let made = write.makes_authority().then(|| {
                            store.made += 1;
                            authority(store.made, now + POLICY.ca_validity)
                        });
                        store.write(secret_version, authorities.after(&write, made));
                        At::Start
                    }
                    Some(Step::Publish(bundle)) => {
                        store.publish(live_version, bundle);
                        At::Start
                    }
                    None => At::Led(now, live, authorities),
                }
            }
            At::Led(now, live, authorities) => {
                let view = View {
                    now,
                    live: &live,
                    authorities: &authorities,
                    next_carried_since: None,
                };
                if let Some(not_after) = sign(&view, self.leaf.as_ref(), POLICY) {
                    let current = authorities.current.expect("it signs");
                    assert!(not_after <= current.certificate.not_after);
                    self.leaf = Some(Leaf {
                        issuer: current.certificate.der,
                        signed: now,
                        not_after,
                    });
                }
                At::Start
            }
        };
    }

    fn see(&mut self, now: Unix, live: &[Certificate], authorities: &Authorities) {
        let next = authorities.next.as_ref().map(|next| &next.certificate);
        let next = next.filter(|next| live.contains(next));
        match (&self.next_seen, next) {
            (Some((seen, _)), Some(next)) if seen == next => {}
            (_, next) => self.next_seen = next.map(|next| (next.clone(), now)),
        }
    }

    /// Whether it serves something that is not trusted, though in its time.
    fn breaks_trust(&self, store: &Store, time: Unix) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| {
            time < leaf.not_after && store.live.iter().all(|ca| ca.der != leaf.issuer)
        })
    }

    fn is_ready(&self, store: &Store, time: Unix) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| time < leaf.not_after)
            && !self.breaks_trust(store, time)
    }
}

/// Whole rounds of every replica, one after the other, `seconds` apart.
fn rounds(store: &mut Store, replicas: &mut [Replica], time: &mut Unix, count: u32, seconds: Unix) {
    for _ in 0..count {
        for (number, replica) in replicas.iter_mut().enumerate() {
            for _ in 0..4 {
                replica.act(store, *time, number == 0);
                assert!(!replica.breaks_trust(store, *time), "{replica:?} {store:?}");
            }
        }
        *time += seconds;
    }
}

fn settled(store: &Store, replicas: &[Replica], time: Unix) -> bool {
    let secret = &store.secret;
    let current = secret.current.as_ref().expect("a CA");
    secret.next.is_none()
        && secret.previous.is_empty()
        && store.live == [current.certificate.clone()]
        && replicas.iter().all(|replica| {
            replica.is_ready(store, time)
                && replica.leaf.as_ref().expect("ready").issuer == current.certificate.der
        })
}

#[test]
fn the_first_install_takes_a_few_rounds() {
    let (mut store, mut time) = (Store::default(), 1_000_000);
    let mut replicas = vec![Replica::default(); 2];
    rounds(&mut store, &mut replicas, &mut time, 3, 1);
    assert!(settled(&store, &replicas, time), "{store:?}");
    assert_eq!((store.secret_version, store.live_version), (1, 1));
}

#[test]
fn ten_years_of_rotations() {
    let (mut store, mut time) = (Store::default(), 0);
    let mut replicas = vec![Replica::default(); 3];
    rounds(&mut store, &mut replicas, &mut time, 5, 1);
    let (mut most_live, mut rotations) = (0, 0);
    let mut current = store.secret.current.clone();
    for _ in 0..10 * 365 * 4 {
        rounds(&mut store, &mut replicas, &mut time, 1, DAY / 4);
        assert!(
            replicas
                .iter()
                .all(|replica| replica.is_ready(&store, time))
        );
        most_live = most_live.max(store.live.len());
        if store.secret.current != current {
            current.clone_from(&store.secret.current);
            rotations += 1;
        }
    }
    // One every 243 and a half days, and two CAs at most.
    assert_eq!((rotations, most_live), (14, 2));
}

#[test]
fn a_signer_switches_only_after_the_bundle_has_settled() {
    let (old, new) = (authority(1, DAY), authority(2, 365 * DAY));
    let both = [old.certificate.clone(), new.certificate.clone()];
    let authorities = Authorities {
        current: Some(old),
        next: Some(new),
        ..Authorities::default()
    };
    let mut view = View {
        now: 100,
        live: &both[..1],
        authorities: &authorities,
        next_carried_since: None,
    };
    assert_eq!(lead(&view, POLICY), Some(Step::Publish(both.to_vec())));
    view.live = &both;
    assert_eq!(lead(&view, POLICY), None, "nobody has seen it carried yet");
    view.next_carried_since = Some(71);
    assert_eq!(lead(&view, POLICY), None, "29 s are too few");
    view.next_carried_since = Some(70);
    let until = 100 + 7 * DAY + 3600;
    assert_eq!(
        lead(&view, POLICY),
        Some(Step::Write(Write::Switch { until }))
    );
    // The order of the bundle does not matter.
    let turned = [both[1].clone(), both[0].clone()];
    view.live = &turned;
    assert_eq!(
        lead(&view, POLICY),
        Some(Step::Write(Write::Switch { until }))
    );
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_and_at_once_by_a_new_ca() {
    let (old, new) = (authority(1, 365 * DAY), authority(2, 365 * DAY));
    let live = [old.certificate.clone(), new.certificate.clone()];
    let leaf = Leaf {
        issuer: old.certificate.der.clone(),
        signed: 0,
        not_after: 6 * DAY,
    };
    let sign_at = |now, current: &Authority, live: &[Certificate]| {
        let authorities = Authorities {
            current: Some(current.clone()),
            ..Authorities::default()
        };
        let view = View {
            now,
            live,
            authorities: &authorities,
            next_carried_since: None,
        };
        sign(&view, Some(&leaf), POLICY)
    };
    assert_eq!(sign_at(4 * DAY - 1, &old, &live), None);
    assert_eq!(sign_at(4 * DAY, &old, &live), Some(11 * DAY));
    assert_eq!(sign_at(1, &new, &live), Some(1 + 7 * DAY));
    assert_eq!(sign_at(5 * DAY, &new, &live[..1]), None, "not trusted yet");
    let ending = authority(3, 5 * DAY);
    let live = [ending.certificate.clone()];
    assert_eq!(
        sign_at(DAY, &ending, &live),
        Some(5 * DAY),
        "no longer than its CA"
    );
    assert_eq!(
        sign_at(5 * DAY, &ending, &live),
        None,
        "an expired CA signs nothing"
    );
}

#[test]
fn a_cluster_that_was_off_for_years_recovers() {
    let (mut store, mut time) = (Store::default(), 0);
    let mut replicas = vec![Replica::default(); 2];
    rounds(&mut store, &mut replicas, &mut time, 3, 1);
    for with_next in [false, true] {
        if with_next {
            // In the middle of a rotation.
            time += 300 * DAY;
            rounds(&mut store, &mut replicas, &mut time, 2, 1);
            assert!(store.secret.next.is_some());
        }
        time += 1000 * DAY;
        replicas = vec![Replica::default(); 2];
        rounds(&mut store, &mut replicas, &mut time, 60, 1);
        assert!(
            replicas
                .iter()
                .all(|replica| replica.is_ready(&store, time))
        );
        rounds(&mut store, &mut replicas, &mut time, 100, DAY / 4);
        assert!(settled(&store, &replicas, time), "{store:?}");
    }
}

#[test]
fn a_foreign_bundle_is_kept_while_it_may_be_in_use_and_then_dropped() {
    let foreign = authority(900, 900 * DAY).certificate;
    let expired = authority(901, 6400).certificate;
    let mut store = Store {
        live: vec![foreign.clone(), expired],
        ..Store::default()
    };
    let mut time = 10_000;
    let mut replicas = vec![Replica::default()];
    rounds(&mut store, &mut replicas, &mut time, 5, 1);
    let ours = store.secret.current.as_ref().unwrap().certificate.clone();
    assert_eq!(store.live, [ours.clone(), foreign]);
    rounds(&mut store, &mut replicas, &mut time, 40, DAY / 4);
    assert_eq!(store.live, [ours]);
}

#[test]
fn a_leader_that_slept_through_a_rotation_publishes_nothing() {
    let (mut store, mut time) = (Store::default(), 0);
    let mut sleeper = [Replica {
        held_up: true,
        ..Replica::default()
    }];
    // It has made the first CA, sees that the bundle lacks it, and falls asleep before it writes the bundle.
    for _ in 0..5 {
        sleeper[0].act(&mut store, time, true);
    }
    assert!(store.secret.current.is_some() && store.live.is_empty());
    assert!(matches!(sleeper[0].at, At::Both(..)), "{sleeper:?}");
    let mut others = vec![Replica::default(); 2];
    rounds(&mut store, &mut others, &mut time, 300 * 4, DAY / 4);
    assert!(settled(&store, &others, time), "{store:?}");
    let live = store.live.clone();
    sleeper[0].act(&mut store, time, true);
    assert_eq!(store.live, live);
    assert!(!others.iter().any(|other| other.breaks_trust(&store, time)));
    rounds(&mut store, &mut sleeper, &mut time, 2, 1);
    assert_eq!(store.live, live);
    assert!(sleeper[0].is_ready(&store, time));
}

#[derive(Debug, Clone)]
enum Event {
    Act(usize, bool),
    Rounds(u32),
    Wait(Unix),
    Crash(usize),
    /// Somebody empties the Secret.
    Empty,
    /// Somebody puts it back from a backup.
    Restore(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..3_usize, any::<bool>()).prop_map(|(replica, leads)| Event::Act(replica, leads)),
        3 => (1..20_u32).prop_map(Event::Rounds),
        2 => (1..100_i64).prop_map(Event::Wait),
        2 => (1..200_i64).prop_map(|hours| Event::Wait(hours * 3600)),
        1 => (1..200_i64).prop_map(|days| Event::Wait(days * DAY)),
        1 => (0..3_usize).prop_map(Event::Crash),
        1 => Just(Event::Empty),
        1 => any::<usize>().prop_map(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { ..ProptestConfig::with_cases(2000) })]

    /// Whoever believes to lead, however long anybody sleeps between two requests, whoever crashes: what is served is
    /// trusted; and once things are quiet, it all ends with one CA and everybody ready.
    #[test]
    fn what_is_served_is_trusted(
        events in proptest::collection::vec(event(), 1..150),
        clocks in proptest::collection::vec(-1200..=1200_i64, 3),
    ) {
        let (mut store, mut time) = (Store::default(), 1_000_000);
        let mut restored = false;
        let fresh = |clock: &Unix| Replica { clock: *clock, ..Replica::default() };
        let mut replicas: Vec<_> = clocks.iter().map(fresh).collect();
        for event in events {
            match event {
                Event::Act(number, leads) => replicas[number].act(&mut store, time, leads),
                Event::Rounds(count) => for _ in 0..count * 4 {
                    for replica in &mut replicas {
                        replica.act(&mut store, time, true);
                    }
                    time += 1;
                },
                Event::Wait(seconds) => time += seconds,
                Event::Crash(number) => replicas[number] = fresh(&clocks[number]),
                Event::Empty => {
                    let version = store.secret_version;
                    store.write(version, Authorities::default());
                }
                // Twice in the life of a leaf is more than is promised; and so is once in the moment between two requests
                // of a replica: it may have seen a CA in the bundle that is dropped, and then comes back as the signer.
                Event::Restore(which) if !store.backups.is_empty() && !restored => {
                    restored = true;
                    for replica in &mut replicas {
                        replica.at = At::Start;
                    }
                    let backup = store.backups[which % store.backups.len()].clone();
                    let version = store.secret_version;
                    store.write(version, backup);
                }
                Event::Restore(_) => {}
            }
            for replica in &replicas {
                prop_assert!(!replica.breaks_trust(&store, time), "{:?} at {}: {:?}", replica, time, store);
            }
        }
        for replica in &mut replicas {
            replica.at = At::Start;
        }
        rounds(&mut store, &mut replicas, &mut time, 100, 1);
        prop_assert!(replicas.iter().all(|replica| replica.is_ready(&store, time)), "{:?}", store);
        // A rotation may just have become due, so any quiet moment of the next weeks will do.
        let quiet = (0..150).any(|_| {
            rounds(&mut store, &mut replicas, &mut time, 1, DAY / 4);
            settled(&store, &replicas, time)
        });
        prop_assert!(quiet, "{:?} {:?}", store, replicas);
    }
}
