//! The sender: an MLLP client that puts chosen bytes on the wire in chosen pieces, and judges what comes back by the
//! letter of the standard. It shares no code with the bridge.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::messages::{CR, FS, VT, frame};
use super::{PATIENCE, Shown};

/// Between the pieces of [`RawPeer::send_chunks`], at least: for the kernel to carry a piece over.
const BETWEEN_CHUNKS: Duration = Duration::from_millis(1);
/// At most this long a piece waits for the one before it to be read: a bridge that applies back-pressure does not.
const CHUNK_PATIENCE: Duration = Duration::from_millis(200);

/// One connection to a listener.
pub struct RawPeer {
    stream: TcpStream,
    /// Read, but not yet part of a frame that was asked for.
    buffer: Vec<u8>,
}

/// Why there is no frame. Bytes that had come are in `got`.
#[derive(Debug)]
pub enum NoFrame {
    /// Nothing, or only a part, came in time.
    Timeout { waited: Duration, got: Vec<u8> },
    /// The bridge closed in an orderly way.
    Closed { got: Vec<u8> },
    /// The connection was reset.
    Reset { got: Vec<u8> },
    /// What came is not `VT … FS CR`.
    NotAFrame { got: Vec<u8> },
}

/// A frame and how it came.
#[derive(Debug)]
pub struct TimedFrame {
    /// Without VT, FS and CR.
    pub data: Vec<u8>,
    /// From the call to the frame's last byte.
    pub waited: Duration,
    /// When its last byte was read.
    pub at: Instant,
    /// Reads that it took. An answer that is written at once comes in one, unless it is larger than a segment.
    pub reads: usize,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// FIN.
    Closed,
    /// RST.
    Reset,
}

impl RawPeer {
    /// Connects, with TCP_NODELAY.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, where a refusal is a legitimate outcome.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// This end's address, as the bridge should report it.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream
            .local_addr()
            .expect("a connected socket has an address")
    }

    /// Sends bytes as they are: a frame is made by [`frame`].
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends bytes, where the bridge may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes in segments of these sizes; the last size repeats until all are sent. Each waits until the one before
    /// it has been read, so that the bridge meets them one by one.
    #[track_caller]
    pub fn send_chunks(&mut self, bytes: impl AsRef<[u8]>, sizes: &[usize]) {
        let mut rest = bytes.as_ref();
        let mut sizes = sizes.iter().copied();
        let mut size = rest.len();
        while !rest.is_empty() {
            size = sizes.next().unwrap_or(size).clamp(1, rest.len());
            let (chunk, after) = rest.split_at(size);
            self.send(chunk);
            rest = after;
            if !rest.is_empty() {
                self.wait_until_read();
            }
        }
    }

    /// Waits until nothing lies unread at the other end. No event tells a sender so, but on one machine the kernel shows
    /// the other socket's queue.
    fn wait_until_read(&self) {
        let start = Instant::now();
        loop {
            thread::sleep(BETWEEN_CHUNKS);
            if self.unread().is_none_or(|bytes| bytes == 0) || start.elapsed() > CHUNK_PATIENCE {
                return;
            }
        }
    }

    /// Bytes in the other end's receive queue; `None` where the kernel does not show it.
    fn unread(&self) -> Option<u64> {
        let hex = |address: SocketAddr| match address {
            SocketAddr::V4(v4) => Some(format!(
                "{:08X}:{:04X}",
                u32::from_ne_bytes(v4.ip().octets()),
                v4.port()
            )),
            SocketAddr::V6(_) => None,
        };
        let (theirs, ours) = (
            hex(self.stream.peer_addr().ok()?)?,
            hex(self.stream.local_addr().ok()?)?,
        );
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let mut rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.get(1..3) == Some(&[theirs.as_str(), ours.as_str()]))?;
        let (_, unread) = row.get(4)?.split_once(':')?;
        u64::from_str_radix(unread, 16).ok()
    }

    /// Says that nothing more will be sent (FIN), and goes on reading.
    #[track_caller]
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Tears the connection down (RST), as a firewall or a crash does.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("SO_LINGER");
    }

    /// Frames a message, sends it, and reads the answer.
    #[track_caller]
    pub fn exchange(&mut self, message: impl AsRef<[u8]>) -> Ack {
        self.send(frame(message));
        self.ack()
    }

    /// The next frame, which must be an acknowledgement.
    #[track_caller]
    pub fn ack(&mut self) -> Ack {
        match self.read_frame() {
            Ok(data) => Ack::parse(data),
            Err(error) => panic!("no acknowledgement: {error}"),
        }
    }

    /// The next frame's data.
    pub fn read_frame(&mut self) -> Result<Vec<u8>, NoFrame> {
        self.read_frame_within(PATIENCE)
    }

    /// The next frame's data, if it comes in time.
    pub fn read_frame_within(&mut self, limit: Duration) -> Result<Vec<u8>, NoFrame> {
        self.read_timed(limit).map(|frame| frame.data)
    }

    /// The next frame, and how it came.
    pub fn read_frame_timed(&mut self) -> Result<TimedFrame, NoFrame> {
        self.read_timed(PATIENCE)
    }

    fn read_timed(&mut self, limit: Duration) -> Result<TimedFrame, NoFrame> {
        let start = Instant::now();
        let mut reads = 0;
        loop {
            if self.buffer.first().is_some_and(|first| *first != VT) {
                return Err(NoFrame::NotAFrame {
                    got: std::mem::take(&mut self.buffer),
                });
            }
            if let Some(end) = self.buffer.windows(2).position(|two| two == [FS, CR]) {
                let data = self.buffer[1..end].to_vec();
                self.buffer.drain(..end + 2);
                return Ok(TimedFrame {
                    data,
                    waited: start.elapsed(),
                    at: Instant::now(),
                    reads,
                });
            }
            match self.read_more(limit.saturating_sub(start.elapsed())) {
                Ok(Some(_)) => reads += 1,
                Ok(None) => {
                    return Err(NoFrame::Timeout {
                        waited: start.elapsed(),
                        got: self.buffer.clone(),
                    });
                }
                Err(Ending::Closed) => {
                    return Err(NoFrame::Closed {
                        got: std::mem::take(&mut self.buffer),
                    });
                }
                Err(Ending::Reset) => {
                    return Err(NoFrame::Reset {
                        got: std::mem::take(&mut self.buffer),
                    });
                }
            }
        }
    }

    /// Waits for the bridge to close, and fails if it says anything before.
    #[track_caller]
    pub fn expect_close(&mut self) -> Ending {
        self.expect_close_within(PATIENCE)
    }

    /// As [`expect_close`](Self::expect_close), within a limit.
    #[track_caller]
    pub fn expect_close_within(&mut self, limit: Duration) -> Ending {
        assert!(
            self.buffer.is_empty(),
            "expected a close, but {} had come",
            Shown(&self.buffer)
        );
        match self.read_more(limit) {
            Ok(None) => {
                panic!("expected a close, but the connection is still open after {limit:?}")
            }
            Ok(Some(_)) => panic!("expected a close, but {} came", Shown(&self.buffer)),
            Err(ending) => ending,
        }
    }

    /// Fails if anything comes, a close included, for this long. Keep it short: a passing test waits it out.
    #[track_caller]
    pub fn expect_silence(&mut self, duration: Duration) {
        assert!(
            self.buffer.is_empty(),
            "expected silence, but {} had come",
            Shown(&self.buffer)
        );
        match self.read_more(duration) {
            Ok(None) => {}
            Ok(Some(_)) => panic!(
                "expected silence for {duration:?}, but {} came",
                Shown(&self.buffer)
            ),
            Err(ending) => {
                panic!("expected silence for {duration:?}, but the connection ended: {ending:?}")
            }
        }
    }

    /// Bytes added to the buffer; `None` when the limit is reached first.
    fn read_more(&mut self, limit: Duration) -> Result<Option<usize>, Ending> {
        let mut bytes = [0; 64 * 1024];
        let limit = limit.max(Duration::from_millis(1)); // zero would mean for ever
        self.stream
            .set_read_timeout(Some(limit))
            .expect("SO_RCVTIMEO");
        loop {
            return match self.stream.read(&mut bytes) {
                Ok(0) => Err(Ending::Closed),
                Ok(read) => {
                    self.buffer.extend_from_slice(&bytes[..read]);
                    Ok(Some(read))
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(None),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        Err(Ending::Reset)
                    }
                    _ => panic!("cannot read: {error}"),
                },
            };
        }
    }
}

impl fmt::Display for NoFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { waited, got } => {
                write!(f, "no frame within {waited:?}; got {}", Shown(got))
            }
            Self::Closed { got } => write!(f, "closed by the bridge; got {}", Shown(got)),
            Self::Reset { got } => write!(f, "reset by the bridge; got {}", Shown(got)),
            Self::NotAFrame { got } => write!(f, "not VT … FS CR: {}", Shown(got)),
        }
    }
}

/// An acknowledgement, split at its delimiters and no further: nothing is unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// As it came, without the frame.
    pub bytes: Vec<u8>,
    segments: Vec<Segment>,
}

/// One segment of an [`Ack`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// By HL7's number: 0 is the segment's name, and MSH-1 the separator itself.
    fields: Vec<String>,
    component_separator: char,
}

impl Ack {
    /// Splits a frame's data. Bytes that are not UTF-8 are taken for ISO 8859-1.
    #[track_caller]
    pub fn parse(bytes: Vec<u8>) -> Self {
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        };
        let mut delimiters = text.chars().skip(3);
        let (Some(field_separator), Some(component_separator), true) = (
            delimiters.next(),
            delimiters.next(),
            text.starts_with("MSH"),
        ) else {
            panic!("an acknowledgement starts with MSH: {}", Shown(&bytes))
        };
        assert!(
            text.ends_with('\r'),
            "the last segment has no CR: {}",
            Shown(&bytes)
        );
        let segment = |line: &str| {
            let mut fields: Vec<String> = line.split(field_separator).map(str::to_owned).collect();
            if fields[0] == "MSH" {
                fields.insert(1, field_separator.to_string());
            }
            Segment {
                fields,
                component_separator,
            }
        };
        let segments = text
            .trim_end_matches('\r')
            .split('\r')
            .map(segment)
            .collect();
        Self { bytes, segments }
    }

    /// The first segment of this name.
    #[track_caller]
    pub fn segment(&self, name: &str) -> &Segment {
        let found = self
            .segments
            .iter()
            .find(|segment| segment.fields[0] == name);
        found.unwrap_or_else(|| panic!("no {name} in {self}"))
    }

    /// The names of its segments in order.
    pub fn names(&self) -> Vec<&str> {
        self.segments
            .iter()
            .map(|segment| segment.field(0))
            .collect()
    }

    /// A field of MSH.
    #[track_caller]
    pub fn msh(&self, field: usize) -> &str {
        self.segment("MSH").field(field)
    }

    /// The code: AA, AE, AR, CA, CE, CR.
    #[track_caller]
    pub fn msa1(&self) -> &str {
        self.segment("MSA").field(1)
    }

    /// The control ID of the message that is acknowledged.
    #[track_caller]
    pub fn msa2(&self) -> &str {
        self.segment("MSA").field(2)
    }

    /// The text, in versions below 2.5.
    #[track_caller]
    pub fn msa3(&self) -> &str {
        self.segment("MSA").field(3)
    }

    /// The ERR segments.
    pub fn err(&self) -> Vec<&Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.fields[0] == "ERR")
            .collect()
    }

    /// Fails unless this answers that message with that code.
    #[track_caller]
    pub fn expect(&self, code: &str, control_id: &str) -> &Self {
        assert_eq!(
            (self.msa1(), self.msa2()),
            (code, control_id),
            "the whole answer is {self}"
        );
        self
    }
}

impl Segment {
    /// A field, by HL7's number; empty where the segment is shorter.
    pub fn field(&self, number: usize) -> &str {
        self.fields.get(number).map_or("", String::as_str)
    }

    /// A component of a field's first repetition, from 1.
    pub fn component(&self, field: usize, number: usize) -> &str {
        self.field(field)
            .split(self.component_separator)
            .nth(number - 1)
            .unwrap_or("")
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.bytes).fmt(f)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields.join("|"))
    }
}
