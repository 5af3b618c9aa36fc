//! One peer's connection: read a frame, exchange it, write what answers it, again.
//!
//! ```text
//!          ┌──────────────────────────────────────────────┐
//!          ▼                                              │
//! wait for bytes ─► frame ─► exchange ─► a write an ACK ──┘
//!    │    │                                  │
//!    │    └ idle, probe, not MLLP            └ peer gone: ack_unwritten
//!    └ drain, only here: never inside a frame or an exchange
//! ```

use super::exchange::exchange;
use super::frame::Frame;
use super::input::Input;
use super::parts::Parts;
use super::reply::Reply;
use super::shared::{Live, Shared};
use super::told::Written;
use crate::config::Framing;
use crate::deliver::Delivery;
use crate::mllp::sniff::Foreign;
use crate::mllp::{Decoder, Event, More, Wait};
use crate::runtime::{Alarm, Scratch};
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{Closed, Deviation, Label};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// After our end of the connection is closed, how long the peer's is read and thrown away, so that what was written last
/// is not lost to a reset.
const LINGER: Duration = Duration::from_millis(250);

/// One open connection.
#[derive(Debug)]
pub struct Connection<'s> {
    stream: TcpStream,
    shared: &'s Shared,
    live: Arc<Live>,
    /// A reload of the block characters is for new connections.
    framing: Framing,
    peer: String,
    input: Input,
    delivery: Delivery,
    alarm: Alarm,
    /// When the last byte came or went.
    active: Instant,
    /// When the block began that is being read.
    frame_began: Option<Instant>,
    received_any: bool,
    deviations: Vec<Deviation>,
    /// Kinds that were logged for this connection, a bit each.
    logged: u32,
}

/// Runs a connection to its end.
pub async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Shared) -> Closed {
    let live = shared.live();
    let session = &live.session;
    let decoder = Decoder::new(
        session.framing.start,
        session.framing.end,
        session.limits.max_message_bytes,
    );
    let mut connection = Connection {
        stream,
        shared,
        framing: session.framing,
        peer: peer.ip().to_canonical().to_string(),
        input: Input::new(decoder),
        delivery: Delivery::default(),
        alarm: Alarm::default(),
        active: Instant::now(),
        frame_began: None,
        received_any: false,
        deviations: Vec::new(),
        logged: 0,
        live,
    };
    let closed = connection.run().await;
    connection.input.release();
    if !matches!(closed, Closed::Peer | Closed::Probe | Closed::Error) {
        Box::pin(connection.close()).await;
    }
    closed
}

impl Connection<'_> {
    async fn run(&mut self) -> Closed {
        let drain = self.shared.drain.clone();
        let mut draining = pin!(drain.begun());
        let mut scratch = None;
        loop {
            let frame = match self.next_frame(&mut scratch, draining.as_mut()).await {
                Ok(frame) => frame,
                Err(closed) => return closed,
            };
            self.frame_began = None;
            // Settings may have been reloaded since the last message.
            self.live = self.shared.live();
            let scratch = scratch.get_or_insert_default();
            // On the heap while it lasts: an exchange is many times the size of a connection that waits.
            if let Err(closed) = Box::pin(self.answer(&frame, scratch)).await {
                return closed;
            }
            if drain.is_draining() {
                return Closed::Drain;
            }
        }
    }

    /// One exchange and its reply.
    async fn answer(&mut self, frame: &Frame, scratch: &mut Scratch) -> Result<(), Closed> {
        scratch.clear_answer();
        let parts = Parts {
            shared: self.shared,
            live: &self.live,
            delivery: &mut self.delivery,
            alarm: &mut self.alarm,
            framing: self.framing,
            peer: &self.peer,
            deviations: &mut self.deviations,
        };
        let reply = exchange(frame, scratch, parts, Instant::now()).await;
        let result = match reply {
            Reply::Close(closed) => Err(closed),
            Reply::Nothing => Ok(()),
            Reply::Acks(record, acks) => self.write(record, acks, &scratch.ack).await,
        };
        self.report_deviations();
        result
    }

    /// One write call for each acknowledgement: some senders read their answer once and take what they got.
    async fn write(
        &mut self,
        record: ExchangeRecord<'_>,
        acks: [Option<Written>; 2],
        buffer: &[u8],
    ) -> Result<(), Closed> {
        for Written { block, code } in acks.into_iter().flatten() {
            let block = buffer.get(block).unwrap_or_default();
            let timeout = Instant::now() + self.live.session.limits.write_timeout;
            let write = self.stream.write_all(block);
            match self.alarm.race(Some(timeout), write).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Closed::Error),
                Err(_) => return Err(Closed::WriteTimeout),
            }
            let sent = &self.shared.metrics.sent_bytes;
            sent.inc_by(block.len() as u64);
            record.acked(code);
        }
        self.active = Instant::now();
        record.written(self.active);
        Ok(())
    }

    /// Reads until a frame is whole.
    async fn next_frame(
        &mut self,
        scratch: &mut Option<Scratch>,
        mut draining: Pin<&mut impl Future<Output = Instant>>,
    ) -> Result<Frame, Closed> {
        self.input
            .decoder()
            .set_max(self.live.session.limits.max_message_bytes);
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
                        let limits = &self.live.session.limits;
                        self.input.decoder().set_max(limits.max_message_bytes);
                    }
                }
            }
        }
    }

    /// Waits for bytes and reads them, or tells that none come.
    async fn read(
        &mut self,
        wait: Wait,
        scratch: &mut Option<Scratch>,
        mut draining: Pin<&mut impl Future<Output = Instant>>,
    ) -> Result<More, Closed> {
        let empty = scratch
            .as_mut()
            .is_none_or(|scratch| self.input.compact(&mut scratch.input));
        let between = wait == Wait::Start && empty && !self.input.decoder().in_block();
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
        loop {
            let (deadline, expired) = self.deadline(wait, between);
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
    fn deadline(&mut self, wait: Wait, between: bool) -> (Option<Instant>, Expired) {
        let limits = &self.live.session.limits;
        let frame = self.frame_began.map(|began| began + limits.frame_timeout);
        match wait {
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

    fn foreign(&self, foreign: Foreign) -> Closed {
        let closed = match foreign {
            Foreign::Http => Closed::LooksLikeHttp,
            Foreign::Tls => Closed::LooksLikeTls,
            Foreign::Proxy => Closed::LooksLikeProxy,
            Foreign::Nothing => Closed::NotMllp,
        };
        self.shared.foreign(closed, &self.peer);
        closed
    }

    /// Counts what was odd about the framing, as it comes: a peer that never completes a block is seen, too.
    fn count_framing(&mut self) {
        let metrics = &self.shared.metrics;
        let mut seen = 0;
        self.input.decoder().take_deviations(|kind, count| {
            metrics.deviations.of(kind).inc_by(count.into());
            seen |= 1 << kind.index();
        });
        if seen & 1 << Deviation::Restarted.index() != 0 {
            self.frame_began = None;
        }
        if seen & !self.logged != 0 {
            for kind in Deviation::ALL {
                if seen & 1 << kind.index() != 0 {
                    self.log_once(*kind);
                }
            }
        }
    }

    /// Counts what was odd about a message.
    fn report_deviations(&mut self) {
        for kind in std::mem::take(&mut self.deviations) {
            self.shared.metrics.deviations.of(kind).inc();
            self.log_once(kind);
        }
    }

    /// Logs a kind, once per connection.
    fn log_once(&mut self, kind: Deviation) {
        let bit = 1 << kind.index();
        if self.logged & bit == 0 {
            self.logged |= bit;
            let junk = self.input.decoder().junk_sample();
            self.shared.deviation(kind, &self.peer, junk);
        }
    }

    /// Ends the connection so that the peer gets what was written last.
    async fn close(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut discard = [0; 512];
        let until = Instant::now() + LINGER;
        while Instant::now() < until {
            let read = self.stream.read(&mut discard);
            let Ok(Ok(1..)) = self.alarm.race(Some(until), read).await else {
                return;
            };
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.report_deviations();
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
