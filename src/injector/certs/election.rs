//! Who writes: a Lease of coordination.k8s.io, as a pure function of what was read and of this process's own clock.
//!
//! Whether another's lease has run out is decided by how long it has not changed *here*, never by comparing its `renewTime`
//! with a clock, so that clocks may differ. Who holds it stops to lead before anybody else may begin. Should two lead all
//! the same, nothing breaks ([`super::plan`]): the Lease only spares them conflicts.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// One replica's view of the Lease.
#[derive(Debug)]
pub struct Election {
    identity: String,
    duration: Duration,
    /// What another's lease looked like, and since when it does.
    seen: Option<(Value, Instant)>,
    /// Until when this replica leads.
    until: Option<Instant>,
}

impl Election {
    /// For a replica of this name.
    pub fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            // The Lease has whole seconds.
            duration: Duration::from_secs(duration.as_secs_f64().ceil().max(1.0) as u64),
            seen: None,
            until: None,
        }
    }

    /// Whether this replica leads.
    pub fn leads(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The `spec` to write, if this replica may have the lease. `clock` is the time of day, in RFC 3339, for people.
    pub fn claim(&mut self, now: Instant, spec: &Value, clock: &str) -> Option<Value> {
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        let is_mine = holder == self.identity;
        if !is_mine && !holder.is_empty() && !self.has_run_out(now, spec) {
            self.until = None;
            return None;
        }
        let transitions = spec["leaseTransitions"].as_u64().unwrap_or_default();
        let acquired = if is_mine {
            &spec["acquireTime"]
        } else {
            &Value::Null
        };
        Some(json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.duration.as_secs(),
            "acquireTime": acquired.as_str().unwrap_or(clock),
            "renewTime": clock,
            "leaseTransitions": if is_mine { transitions } else { transitions + 1 },
        }))
    }

    fn has_run_out(&mut self, now: Instant, spec: &Value) -> bool {
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        };
        let theirs = spec["leaseDurationSeconds"].as_u64().unwrap_or_default();
        now.duration_since(since) >= Duration::from_secs(theirs).max(self.duration)
    }

    /// The claim was written; `asked` is a time before it was sent.
    pub fn won(&mut self, asked: Instant) {
        self.until = Some(asked + self.duration * 2 / 3);
    }

    /// Somebody else was faster.
    pub fn lost(&mut self) {
        self.until = None;
    }

    /// The `spec` that lets the next one in at once, at this replica's end.
    pub fn release(&mut self, spec: &Value) -> Option<Value> {
        self.until = None;
        if spec["holderIdentity"] != self.identity.as_str() {
            return None;
        }
        let mut released = spec.clone();
        released["holderIdentity"] = "".into();
        Some(released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn election(name: &str) -> Election {
        Election::new(name.into(), 15 * SECOND)
    }

    #[test]
    fn an_empty_lease_is_taken_and_kept() {
        let (mut a, now) = (election("a"), Instant::now());
        let spec = a.claim(now, &Value::Null, "T0").unwrap();
        assert_eq!(
            spec,
            json!({"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": "T0", "renewTime": "T0", "leaseTransitions": 1})
        );
        assert!(!a.leads(now), "not before it is written");
        a.won(now);
        assert!(a.leads(now + 9 * SECOND) && !a.leads(now + 10 * SECOND));
        let renewed = a.claim(now, &spec, "T1").unwrap();
        assert_eq!(renewed["acquireTime"], "T0");
        assert_eq!(renewed["renewTime"], "T1");
        assert_eq!(renewed["leaseTransitions"], 1);
    }

    #[test]
    fn another_holder_has_its_time_by_our_clock_and_its_changes() {
        let (mut a, mut b, start) = (election("a"), election("b"), Instant::now());
        let first = a.claim(start, &json!({}), "1970").unwrap();
        assert_eq!(
            b.claim(start, &first, "2026"),
            None,
            "its time of day says nothing"
        );
        assert_eq!(b.claim(start + 14 * SECOND, &first, "2026"), None);
        let renewed = a.claim(start, &first, "1971").unwrap();
        assert_eq!(
            b.claim(start + 15 * SECOND, &renewed, "2026"),
            None,
            "it has moved"
        );
        assert_eq!(b.claim(start + 29 * SECOND, &renewed, "2026"), None);
        let taken = b.claim(start + 30 * SECOND, &renewed, "2026").unwrap();
        assert_eq!(
            (&taken["holderIdentity"], &taken["leaseTransitions"]),
            (&json!("b"), &json!(2))
        );
        // The first one learns of it, and stops.
        a.won(start + 29 * SECOND);
        assert_eq!(a.claim(start + 30 * SECOND, &taken, "1972"), None);
        assert!(!a.leads(start + 30 * SECOND));
    }

    #[test]
    fn who_leads_stops_before_another_can_begin() {
        let (mut a, mut b, start) = (election("a"), election("b"), Instant::now());
        let lease = a.claim(start, &json!({}), "T").unwrap();
        a.won(start);
        b.claim(start, &lease, "T");
        for second in 0..40 {
            let now = start + second * SECOND;
            let b_may = b.claim(now, &lease, "T").is_some();
            assert!(!(a.leads(now) && b_may), "both after {second} s");
        }
    }

    #[test]
    fn a_longer_lease_of_another_version_is_respected() {
        let (mut a, start) = (election("a"), Instant::now());
        let lease = json!({"holderIdentity": "old", "leaseDurationSeconds": 60});
        assert_eq!(a.claim(start, &lease, "T"), None);
        assert_eq!(a.claim(start + 59 * SECOND, &lease, "T"), None);
        assert!(a.claim(start + 60 * SECOND, &lease, "T").is_some());
    }

    #[test]
    fn a_released_lease_is_free_at_once_and_only_its_holder_releases_it() {
        let (mut a, mut b, now) = (election("a"), election("b"), Instant::now());
        let lease = a.claim(now, &json!({}), "T").unwrap();
        a.won(now);
        assert_eq!(b.release(&lease), None);
        let released = a.release(&lease).unwrap();
        assert!(!a.leads(now));
        assert!(b.claim(now, &released, "T").is_some());
    }

    #[test]
    fn a_conflict_ends_it() {
        let (mut a, now) = (election("a"), Instant::now());
        a.won(now);
        a.lost();
        assert!(!a.leads(now));
    }
}
