//! What to do next about the webhook's certificates, as a pure function of what was read.
//!
//! ```text
//! no CA ──create──► current ──prepare──► current + next ──switch──► current + previous ──drop──► current
//!                             (due)                 (published, settled)            (its last leaf has expired)
//! ```
//! The bundle is everything in the Secret that is in its time, so that a leaf is trusted before it is served and until it has
//! expired. Trust ends by time alone: a CA that is live and not in the Secret (which was emptied, or put back from a backup) is
//! taken into it before the bundle is written. What this rests on, and what the callers therefore do:
//!
//! - The live configuration is read *before* the Secret, and `now` is taken before both. A leaf then never outlives
//!   [`Write::Switch`]'s `until`, however long its signer was asleep between reading and signing.
//! - The Secret and the bundle are written only if they are still what was read (resourceVersion). Who leads therefore does
//!   not matter for safety: two leaders get in each other's way, and in nobody else's.
//! - Nothing is written that was decided more than [`Policy::patience`] ago: a `Switch` whose writer was asleep would end the
//!   trust in leaves that were signed meanwhile.
//!
//! Must not do: I/O, make keys, look at a clock.

use super::x509::{Authority, Certificate, Unix};
use rustls::pki_types::CertificateDer;

/// How many unknown CAs of a live bundle are taken in at once.
const MOST_ADOPTED: usize = 8;

/// What the configuration says, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long a new CA is valid.
    pub ca_validity: Unix,
    /// How long a new leaf is.
    pub leaf_validity: Unix,
    /// How long the live bundle must have carried a CA before leaves are signed by it: each API server learns of a bundle by
    /// itself, and not at the same moment.
    pub settle: Unix,
}

impl Policy {
    /// By how much the replicas' clocks together may be wrong.
    fn skew(self) -> Unix {
        (self.leaf_validity / 2).min(3600)
    }

    /// How long after `now` a step may still be carried out; with the clocks' own error it is well within the skew.
    pub fn patience(self) -> Unix {
        self.skew() / 6
    }

    /// How much of a CA's life must be left so that it is not replaced.
    fn reserve(self) -> Unix {
        (self.ca_validity / 3).max(2 * self.leaf_validity)
    }

    /// Whether a CA has expired by everybody's clock. Until then it does no harm in a bundle.
    fn is_over(self, ca: &Certificate, now: Unix) -> bool {
        now >= ca.not_after.saturating_add(self.skew())
    }

    /// When every leaf that is signed before `now` has expired, whoever's clock tells.
    fn leaves_over(self, now: Unix) -> Unix {
        now + self.leaf_validity + self.skew()
    }
}

/// What the Secret holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities {
    /// Signs.
    pub current: Option<Authority>,
    /// Will sign, once the live bundle carries it.
    pub next: Option<Authority>,
    /// Has signed, or was trusted before.
    pub previous: Vec<Certificate>,
    /// How long `previous` is trusted.
    pub previous_until: Unix,
}

impl Authorities {
    /// What the live bundle should be.
    fn trusted(&self, now: Unix, policy: Policy) -> Vec<Certificate> {
        let signers = [&self.current, &self.next].into_iter().flatten();
        let signers = signers.map(|authority| &authority.certificate);
        let previous = self.previous.iter().filter(|_| now < self.previous_until);
        let mut trusted: Vec<Certificate> = Vec::new();
        for certificate in signers.chain(previous) {
            if !policy.is_over(certificate, now) && !trusted.contains(certificate) {
                trusted.push(certificate.clone());
            }
        }
        trusted
    }

    /// Whether a live CA is one of them, or was and has had its time. Nothing has had its time while `current` is not live.
    fn know(&self, ca: &Certificate, now: Unix, is_live: bool) -> bool {
        let signers = [&self.current, &self.next].into_iter().flatten();
        let mut signers = signers.map(|authority| &authority.certificate);
        signers.any(|signer| signer == ca)
            || self.previous.contains(ca) && (is_live || now < self.previous_until)
    }

    /// What they are after a change; `made` is the new CA of a change that needs one.
    pub fn after(&self, write: &Write, made: Option<Authority>) -> Self {
        let mut after = self.clone();
        match write {
            Write::Create => after.current = made,
            Write::Adopt { found, until } => {
                after.previous.retain(|known| !found.contains(known));
                after.previous.extend_from_slice(found);
                after.previous_until = *until;
            }
            Write::Prepare => after.next = made,
            Write::Switch { until } => {
                let old = after.current.take().map(|old| old.certificate);
                after.current = after.next.take();
                after.previous.splice(0..0, old);
                after.previous_until = *until;
            }
            Write::Drop => after.previous.clear(),
        }
        after
    }
}

/// A change of the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The first CA, or one in place of a lost one.
    Create,
    /// Keep trusting what the live bundle trusts, while it may be in use.
    Adopt {
        /// What the Secret does not know.
        found: Vec<Certificate>,
        /// How long it stays trusted.
        until: Unix,
    },
    /// A second CA, that is to be trusted before it signs.
    Prepare,
    /// The second CA signs from now on.
    Switch {
        /// How long the first one stays trusted.
        until: Unix,
    },
    /// Forget what is not trusted any more.
    Drop,
}

impl Write {
    /// Whether it needs a new CA.
    pub fn makes_authority(&self) -> bool {
        matches!(self, Self::Create | Self::Prepare)
    }
}

/// What the leader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Change the Secret.
    Write(Write),
    /// Make this the live bundle.
    Publish(Vec<Certificate>),
}

/// What was read, and since when.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Taken before anything was read.
    pub now: Unix,
    /// The live configuration's bundle.
    pub live: &'a [Certificate],
    /// The Secret.
    pub authorities: &'a Authorities,
    /// Since when the live bundle has been seen to carry the next CA.
    pub next_carried_since: Option<Unix>,
}

impl View<'_> {
    fn carries(&self, certificate: &Certificate) -> bool {
        self.live.contains(certificate)
    }

    /// Whether the live bundle carries the next CA.
    pub fn carries_next(&self) -> bool {
        let next = self.authorities.next.as_ref();
        next.is_some_and(|next| self.carries(&next.certificate))
    }
}

/// What the leader does next, one step at a time, so that there is nothing between two steps that could be lost in a crash.
pub fn lead(view: &View<'_>, policy: Policy) -> Option<Step> {
    let View { now, .. } = *view;
    let authorities = view.authorities;
    let Some(current) = &authorities.current else {
        return Some(Step::Write(Write::Create));
    };
    let is_live = view.carries(&current.certificate);
    let found: Vec<_> = view
        .live
        .iter()
        .filter(|ca| !policy.is_over(ca, now) && !authorities.know(ca, now, is_live))
        .take(MOST_ADOPTED)
        .cloned()
        .collect();
    if !found.is_empty() {
        let until = policy.leaves_over(now).max(authorities.previous_until);
        return Some(Step::Write(Write::Adopt { found, until }));
    }
    let trusted = authorities.trusted(now, policy);
    let is_published =
        view.live.len() == trusted.len() && trusted.iter().all(|ca| view.carries(ca));
    // Never an empty bundle: with nothing in its time there is a new CA to be made first.
    if !is_published && !trusted.is_empty() {
        return Some(Step::Publish(trusted));
    }
    if is_published && !authorities.previous.is_empty() && now >= authorities.previous_until {
        return Some(Step::Write(Write::Drop));
    }
    match &authorities.next {
        Some(next) if next.certificate.not_after - now < policy.reserve() => {
            // Prepared, and then nobody was there for most of its life.
            Some(Step::Write(Write::Prepare))
        }
        Some(_) => {
            let settled = view.next_carried_since? + policy.settle <= now;
            (settled && view.carries_next()).then(|| {
                let until = policy.leaves_over(now).max(authorities.previous_until);
                Step::Write(Write::Switch { until })
            })
        }
        None => (current.certificate.not_after - now < policy.reserve())
            .then_some(Step::Write(Write::Prepare)),
    }
}

/// The leaf that a replica serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The CA that signed it.
    pub issuer: CertificateDer<'static>,
    /// When.
    pub signed: Unix,
    /// Valid to this second.
    pub not_after: Unix,
}

impl Leaf {
    /// At two thirds of its life.
    fn is_due(&self, now: Unix) -> bool {
        now >= self.signed + (self.not_after - self.signed) * 2 / 3
    }
}

/// To when a replica signs itself a new leaf now, if it does: never by a CA that the live bundle does not carry.
pub fn sign(view: &View<'_>, leaf: Option<&Leaf>, policy: Policy) -> Option<Unix> {
    let now = view.now;
    let current = &view.authorities.current.as_ref()?.certificate;
    if !view.carries(current) {
        return None;
    }
    let not_after = current.not_after.min(now + policy.leaf_validity);
    let wanted = match leaf {
        Some(leaf) if leaf.issuer == current.der => leaf.is_due(now) && not_after > leaf.not_after,
        _ => not_after > now,
    };
    wanted.then_some(not_after)
}

#[cfg(test)]
mod tests;
