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
//!
//! `reading` has the waits and their deadlines, `link` and `commit` what HLLP and MLLP Release 2 do between a frame and a
//! message, and between an answer and the next message.

mod commit;
mod link;
mod reading;

use super::batch::batch;
use super::exchange::exchange;
use super::frame::{Frame, Place};
use super::input::Input;
use super::parts::Parts;
use super::reply::Reply;
use super::shared::{Live, Shared};
use super::told::Written;
use crate::config::{Framing, FramingKind};
use crate::deliver::Delivery;
use crate::mllp::{Decoder, wrap};
use crate::runtime::{Alarm, Scratch};
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{Closed, Deviation, Label};
use link::Link;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
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
    /// A reload of the framing is for new connections.
    framing: Framing,
    link: Link,
    /// Until when the peer may commit what was written last (MLLP Release 2); `None` if nothing is waited for.
    awaiting: Option<Instant>,
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
    let framing = session.framing;
    let longest = wrap::longest_block(&framing, session.limits.max_message_bytes);
    let decoder = Decoder::new(framing.start, framing.end, longest);
    let mut connection = Connection {
        stream,
        shared,
        framing,
        link: Link::default(),
        awaiting: None,
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
        let shared = self.shared;
        let mut draining = pin!(shared.ending());
        let mut scratch = None;
        loop {
            let frame = match self.next_message(&mut scratch, draining.as_mut()).await {
                Ok(frame) => frame,
                Err(closed) => return closed,
            };
            // Settings may have been reloaded since the last message.
            self.live = self.shared.live();
            // On the heap while it lasts: an exchange is many times the size of a connection that waits.
            if let Err(closed) = Box::pin(self.answer(&frame, &mut scratch)).await {
                return closed;
            }
            if shared.is_ending() {
                return Closed::Drain;
            }
        }
    }

    /// The next message: a frame, or what is inside of one.
    async fn next_message(
        &mut self,
        scratch: &mut Option<Scratch>,
        mut draining: Pin<&mut impl Future<Output = Instant>>,
    ) -> Result<Frame, Closed> {
        if self.framing.kind == FramingKind::Mllp {
            let frame = self.next_frame(scratch, draining).await?;
            self.frame_began = None;
            return Ok(frame);
        }
        loop {
            let frame = match self.input.take_held() {
                Some(held) => held,
                None => match self.next_frame(scratch, draining.as_mut()).await {
                    Ok(frame) => frame,
                    Err(closed) => return Err(Box::pin(self.give_up(closed)).await),
                },
            };
            self.frame_began = None;
            if let Some(message) = Box::pin(self.open(frame, scratch)).await? {
                return Ok(message);
            }
        }
    }

    /// One exchange and its reply.
    async fn answer(&mut self, frame: &Frame, scratch: &mut Option<Scratch>) -> Result<(), Closed> {
        let space = scratch.get_or_insert_default();
        space.clear_answer();
        let mut parts = Parts {
            shared: self.shared,
            live: &self.live,
            delivery: &mut self.delivery,
            alarm: &mut self.alarm,
            framing: self.framing,
            place: Place::Alone,
            peer: &self.peer,
            deviations: &mut self.deviations,
        };
        let started = Instant::now();
        let mut odd = Vec::new();
        let reply = exchange(frame, space, parts.again(&mut odd), started).await;
        parts.deviations.append(&mut odd);
        let reply = match (reply, frame) {
            (Reply::Several(found), Frame::Whole(range)) => {
                Box::pin(batch(range.clone(), found, space, parts, started)).await
            }
            // Never: what is too large is not taken apart.
            (Reply::Several(_), Frame::Oversized(_)) => Reply::Close(Closed::NotHl7),
            (reply, _) => reply,
        };
        let result = match (self.framing.kind, reply) {
            (FramingKind::Mllp, Reply::Close(closed)) => Err(closed),
            (FramingKind::Mllp, Reply::Nothing | Reply::Several(_)) => Ok(()),
            (FramingKind::Mllp, Reply::Acks(record, acks)) => {
                self.write(record, &acks, &space.ack).await
            }
            (FramingKind::Mllp2, reply) => Box::pin(self.commit(reply, frame, scratch)).await,
            (FramingKind::Hllp, reply) => Box::pin(self.answer_hllp(reply, &space.ack)).await,
        };
        self.report_deviations();
        result
    }

    /// One write call for each acknowledgement: some senders read their answer once and take what they got.
    async fn write(
        &mut self,
        record: ExchangeRecord<'_>,
        acks: &[Option<Written>; 2],
        buffer: &[u8],
    ) -> Result<(), Closed> {
        for Written { block, code } in acks.iter().flatten() {
            let block = buffer.get(block.clone()).unwrap_or_default();
            self.put(block).await?;
            record.acked(*code);
        }
        self.active = Instant::now();
        record.written(self.active);
        Ok(())
    }

    /// Writes one block, in one write call.
    async fn put(&mut self, block: &[u8]) -> Result<(), Closed> {
        let timeout = Instant::now() + self.live.session.limits.write_timeout;
        let write = self.stream.write_all(block);
        match self.alarm.race(Some(timeout), write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Closed::Error),
            Err(_) => return Err(Closed::WriteTimeout),
        }
        let sent = &self.shared.metrics.sent_bytes;
        sent.inc_by(block.len() as u64);
        Ok(())
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
