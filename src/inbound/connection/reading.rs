//! Reading: until a frame is whole, and for how long.

use super::Connection;
use super::commit::COMMIT_BLOCK;
use crate::inbound::frame::Frame;
use crate::mllp::sniff::Foreign;
use crate::mllp::{Event, More, Wait};
use crate::runtime::Scratch;
use crate::telemetry::labels::Closed;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::time::Instant;

impl Connection<'_> {
    /// Reads until a frame is whole.
    pub(super) async fn next_frame(
        &mut self,
        scratch: &mut Option<Scratch>,
        mut draining: Pin<&mut impl Future<Output = Instant>>,
    ) -> Result<Frame, Closed> {
        let max = self.longest_block();
        self.input.decoder().set_max(max);
        let mut more = More::Maybe;
        loop {
            let buffer = scratch.as_ref().map_or(&[][..], |scratch| &scratch.input);
            let event = self.input.step(buffer, more);
            self.count_framing();
            match event {
                Event::Frame(range) => return Ok(Frame::Whole(range)),
                Event::Oversized(_) => {
                    return Ok(Frame::Oversized(
                        self.input.decoder().oversized_head().to_vec(),
                    ));
                }
                Event::Foreign(foreign) => return Err(self.foreign(foreign)),
                Event::Wait(_) if more == More::Eof => {
                    return Err(if self.received_any {
                        Closed::Peer
                    } else {
                        Closed::Probe
                    });
                }
                Event::Wait(wait) => {
                    more = self.read(wait, scratch, draining.as_mut()).await?;
                    if wait == Wait::Start && !self.input.decoder().in_block() {
                        // The first bytes of a message: settings may have been reloaded since the last one.
                        self.live = self.shared.live();
                        let max = self.longest_block();
                        self.input.decoder().set_max(max);
                    }
                }
            }
        }
    }

    /// Waits for bytes and reads them, or tells that none come.
    pub(super) async fn read(
        &mut self,
        wait: Wait,
        scratch: &mut Option<Scratch>,
        mut draining: Pin<&mut impl Future<Output = Instant>>,
    ) -> Result<More, Closed> {
        let empty = scratch
            .as_mut()
            .is_none_or(|scratch| self.input.compact(&mut scratch.input));
        let between = wait == Wait::Start
            && empty
            && self.awaiting.is_none()
            && !self.input.decoder().in_block();
        if between {
            self.rest(scratch);
        }
        if wait != Wait::Start {
            let now = Instant::now();
            let began = *self.frame_began.get_or_insert(now);
            // Also for a peer that never pauses, so that the alarm below would never be looked at.
            if began + self.live.session.limits.frame_timeout <= now {
                return Err(Closed::FrameTimeout);
            }
        }
        let pending = scratch
            .as_ref()
            .map_or(0, |scratch| self.input.pending(&scratch.input));
        // A message that crosses our answer takes the time that it takes; a commit block is short.
        let commit = self.awaiting.filter(|_| pending <= COMMIT_BLOCK);
        loop {
            let (deadline, expired) = self.deadline(wait, between, commit);
            let stream = &self.stream;
            let ready = poll_fn(|context| {
                if let Poll::Ready(ready) = stream.poll_read_ready(context) {
                    return Poll::Ready(Some(ready));
                }
                // The drain is seen between frames only. Bytes that are not a frame's yet do not put it off.
                if wait == Wait::Start && draining.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                Poll::Pending
            });
            match self.alarm.race(deadline, ready).await {
                Err(_) => match expired {
                    Expired::AfterEnd => return Ok(More::Idle),
                    Expired::Closed(closed) => return Err(closed),
                    Expired::AppConnection => continue,
                },
                Ok(None) => return Err(Closed::Drain),
                Ok(Some(Err(_))) => return Err(Closed::Error),
                Ok(Some(Ok(()))) => {}
            }
            let buffer = &mut scratch
                .get_or_insert_with(|| self.shared.buffers.take())
                .input;
            let limits = &self.live.session.limits;
            let (max, budget) = (limits.max_message_bytes, &self.shared.budget);
            if !self.input.make_room(buffer, budget, max) {
                let began = Instant::now();
                let until = Some(began + limits.frame_timeout);
                let room = Box::pin(self.input.wait_for_room(buffer, budget, max));
                if self.alarm.race(until, room).await.is_err() {
                    return Err(Closed::FrameTimeout);
                }
                // The peer is not to blame for this wait.
                if let Some(frame) = &mut self.frame_began {
                    *frame += began.elapsed();
                }
            }
            match self.input.read(&self.stream, buffer) {
                // A new socket counts as ready until it has been read from once.
                Ok(None) if between => self.rest(scratch),
                Ok(None) => {}
                Ok(Some(0)) => return Ok(More::Eof),
                Ok(Some(count)) => {
                    self.received_any = true;
                    self.active = Instant::now();
                    self.shared.metrics.received_bytes.inc_by(count as u64);
                    return Ok(More::Maybe);
                }
                Err(_) => {
                    // A reset in the middle of a frame is a truncated frame, too.
                    self.input.step(buffer, More::Eof);
                    self.count_framing();
                    // Load balancers and the kubelet end their probes with a reset.
                    return Err(if self.received_any {
                        Closed::Error
                    } else {
                        Closed::Probe
                    });
                }
            }
        }
    }

    /// Nothing is held while nothing comes.
    fn rest(&mut self, scratch: &mut Option<Scratch>) {
        self.input.release();
        if let Some(scratch) = scratch.take() {
            self.shared.buffers.give(scratch);
        }
    }

    /// Until when to wait, and what it means if nothing comes by then.
    fn deadline(
        &mut self,
        wait: Wait,
        between: bool,
        commit: Option<Instant>,
    ) -> (Option<Instant>, Expired) {
        let limits = &self.live.session.limits;
        let frame = self.frame_began.map(|began| began + limits.frame_timeout);
        match wait {
            Wait::Start | Wait::Data if commit.is_some() => {
                (commit, Expired::Closed(Closed::NotCommitted))
            }
            Wait::AfterEnd => {
                let idle = self.active + self.framing.end_idle;
                (Some(idle), Expired::AfterEnd)
            }
            Wait::Data => (frame, Expired::Closed(Closed::FrameTimeout)),
            Wait::Start => {
                let idle = limits.idle_timeout.map(|timeout| self.active + timeout);
                let app_idle = self.live.session.deliver.idle_timeout;
                let app = if between {
                    self.delivery.expire(Instant::now(), app_idle)
                } else {
                    None
                };
                match (idle, app) {
                    (Some(idle), Some(app)) if app < idle => (Some(app), Expired::AppConnection),
                    (None, Some(app)) => (Some(app), Expired::AppConnection),
                    _ => (idle, Expired::Closed(Closed::Idle)),
                }
            }
        }
    }

    pub(super) fn foreign(&self, foreign: Foreign) -> Closed {
        let closed = match foreign {
            Foreign::Http => Closed::LooksLikeHttp,
            Foreign::Tls => Closed::LooksLikeTls,
            Foreign::Proxy => Closed::LooksLikeProxy,
            Foreign::Nothing => Closed::NotMllp,
        };
        self.shared.foreign(closed, &self.peer);
        closed
    }
}

/// What a deadline was for.
#[derive(Debug, Clone, Copy)]
enum Expired {
    /// Nothing followed an end byte: the frame is whole.
    AfterEnd,
    /// The connection ends.
    Closed(Closed),
    /// The app's connection was idle for long enough.
    AppConnection,
}
