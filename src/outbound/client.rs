//! One connection to an MLLP server: one message at a time, each sent in one write and answered before the next.
//!
//! [`Connection::exchange`] takes the connection and gives it back only with an answer, so that one on which anything went wrong
//! cannot be used again: dropping it closes it.

mod link;
mod open;

use super::answer::Answer;
use super::error::{BadAnswer, Error, Stage};
use super::expect::{self, Next};
use crate::config::{Framing, FramingKind};
use crate::hl7::charset::{AS_IT_SAYS, as_text};
use crate::hl7::mode::is_accept_ack;
use crate::hl7::{Mode, Payload, batch};
use crate::mllp::{Decoder, Event, More, Wait, hllp, wrap};
use crate::net::stream::Stream;
use crate::net::tls;
use crate::xml;
use link::Tries;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// Room for one read; an acknowledgement is smaller.
const READ: usize = 4096;
/// More than this between two answers is not a line end too many.
const NOISE: usize = 64 * 1024;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For the name to be resolved and one of its addresses to take the connection.
    pub connect_timeout: Duration,
    /// From the first byte of a message to the last of its answer.
    pub answer_timeout: Duration,
    /// Largest answer that is accepted, in bytes.
    pub max_answer_bytes: usize,
    /// What goes around a message. Its `end_idle` is how long to wait for the CR, before an end byte alone counts as the end; its
    /// `commit_timeout` is for a message of ours to be committed (MLLP Release 2); then `answer_timeout` begins.
    pub framing: Framing,
    /// Whether application acknowledgements of enhanced mode come back on another connection: on the message's own only the accept
    /// acknowledgement is waited for.
    pub replies_elsewhere: bool,
    /// How long a message that is answered only if it fails (table 0155, `ER`) waits for that, at most `answer_timeout`.
    pub quiet: Duration,
    /// TCP keep-alive: idle time before the first probe.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may stay unconfirmed before the connection counts as broken (TCP_USER_TIMEOUT).
    pub user_timeout: Option<Duration>,
    /// The local address that connections are made from.
    pub source: Option<IpAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            max_answer_bytes: 16 * 1024 * 1024,
            framing: Framing::default(),
            replies_elsewhere: false,
            quiet: Duration::from_secs(1),
            keepalive: Some(Duration::from_secs(45)),
            user_timeout: None,
            source: None,
        }
    }
}

/// A message in its block, ready to be sent any number of times. `Debug` prints its length only.
#[derive(Clone)]
pub struct Block {
    bytes: Vec<u8>,
    control_id: Box<[u8]>,
    /// What is waited for on its own connection.
    mode: Mode,
    /// Of a batch: MSH-10 of each of its messages.
    messages: Vec<Box<[u8]>>,
    /// Whether it is answered at all.
    first: Next,
    /// What comes back on another connection.
    elsewhere: Next,
    receiver: [Box<[u8]>; 2],
}

impl Block {
    /// Frames a message as it is. One whose header cannot be read has an empty control ID.
    ///
    /// # Errors
    /// If the protocol cannot carry it, because it holds one of the block characters say, [`Error::Unframable`].
    pub fn new(message: &[u8], options: &Options) -> Result<Self, Error> {
        let Said {
            control_id,
            mode,
            messages,
            is_last_word,
            receiver,
        } = Said::of(message);
        let (mode, elsewhere) = match options.replies_elsewhere {
            true => expect::apart(mode),
            false => (mode, Next::Nothing),
        };
        let first = match is_last_word {
            true => Next::Nothing,
            false => expect::first(mode),
        };
        let mut bytes = Vec::with_capacity(message.len() + 3 + hllp::OVERHEAD);
        wrap::encode_into(&mut bytes, message, &options.framing)?;
        Ok(Self {
            bytes,
            control_id,
            mode,
            messages,
            first,
            elsewhere,
            receiver,
        })
    }

    /// Which application acknowledgement is to come on another connection, once the message has been accepted.
    pub fn elsewhere(&self) -> Next {
        self.elsewhere
    }

    /// MSH-10, verbatim.
    pub fn control_id(&self) -> &[u8] {
        &self.control_id
    }

    /// MSH-5.1 and MSH-6.1: who is to answer.
    pub fn receiver(&self) -> [&[u8]; 2] {
        [&self.receiver[0], &self.receiver[1]]
    }

    /// As it is sent: start byte, message (in HLLP with what is around it), end byte, CR.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What a message says of its answer.
struct Said {
    /// Verbatim; empty where there is none.
    control_id: Box<[u8]>,
    mode: Mode,
    messages: Vec<Box<[u8]>>,
    /// It is an acknowledgement itself.
    is_last_word: bool,
    /// MSH-5.1 and MSH-6.1.
    receiver: [Box<[u8]>; 2],
}

impl Said {
    fn of(message: &[u8]) -> Self {
        let nothing = Self {
            control_id: Box::default(),
            mode: Mode::Original,
            messages: Vec::new(),
            is_last_word: false,
            receiver: [Box::default(), Box::default()],
        };
        let transcoded = OnceLock::new();
        let (message, payload) = as_text(message, AS_IT_SAYS, &transcoded);
        match payload {
            Payload::V2(header) => Self {
                control_id: header.control_id().into(),
                mode: Mode::of(&header).0,
                is_last_word: is_accept_ack(message, &header),
                receiver: [5, 6].map(|field| header.component(field, 1).into()),
                ..nothing
            },
            Payload::Batch(header) => Self {
                control_id: header.control_id().into(),
                messages: batch::control_ids(message, &header),
                ..nothing
            },
            Payload::BadDelimiters(header) => Self {
                control_id: header.control_id().into(),
                ..nothing
            },
            Payload::Xml => xml::Message::read(message).map_or(nothing, |document| Self {
                control_id: document.control_id().as_bytes().into(),
                mode: document.mode().0,
                messages: Vec::new(),
                is_last_word: document.is_accept_ack(),
                receiver: [Box::default(), Box::default()],
            }),
            Payload::Other => nothing,
        }
    }
}

/// MSH-10 of a message, BHS-11 of a batch, or what stands for it in XML, verbatim; empty where there is none.
pub fn control_id(message: &[u8]) -> Box<[u8]> {
    Said::of(message).control_id
}

/// An open connection on which nothing is under way.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: SocketAddr,
    input: Input,
    options: Options,
    /// A silence was taken for a yes, or something was sent twice: what comes late would answer another message.
    doubtful: bool,
    /// The server has sent something: it has read what came before that, and takes the bridge's certificate.
    admitted: bool,
}

/// What has been received and not yet used. Apart, so that `Debug` prints no bytes.
struct Input {
    bytes: Vec<u8>,
    decoder: Decoder,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The server's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends a message in one write and waits for its acknowledgements, of whatever code. In enhanced mode (MSH-15, MSH-16) there
    /// may be two; the one that is returned is the last, which has the last word. None where none was wanted, and none came.
    ///
    /// # Errors
    /// If one is missing, or is not this message's. The connection is closed then, and also if the future is dropped.
    pub async fn exchange(mut self, block: &Block) -> Result<(Self, Option<Answer>), Error> {
        self.expect_quiet()?;
        let after = self.options.answer_timeout;
        let mut stage = Stage::Sending;
        let is_committed = self.options.framing.kind == FramingKind::Mllp2;
        if is_committed {
            self.send_committed(block, &mut stage).await?;
        }
        let deadline = Instant::now() + after;
        let exchanged = timeout_at(deadline, async {
            if !is_committed {
                self.write(&block.bytes).await?;
            }
            self.answers(block, &mut stage, deadline).await
        });
        let mut answer = match exchanged.await {
            Ok(answered) => answered?,
            Err(_) => return Err(Error::Timeout { stage, after }),
        };
        let mut deviations = Vec::new();
        self.input
            .decoder
            .take_deviations(|kind, count| deviations.push((kind, count)));
        if let Some(answer) = &mut answer {
            answer.deviations = deviations;
        }
        Ok((self, answer))
    }

    /// The last of a message's answers.
    async fn answers(
        &mut self,
        block: &Block,
        stage: &mut Stage,
        deadline: Instant,
    ) -> Result<Option<Answer>, Error> {
        let mut last: Option<Answer> = None;
        let mut tries = Tries::default();
        let mut next = block.first;
        while next != Next::Nothing {
            *stage = match last {
                Some(_) => Stage::Accepted,
                None => Stage::Waiting,
            };
            let quiet = (Instant::now() + self.options.quiet).min(deadline);
            let until = (next == Next::May).then_some(quiet);
            let before = last.as_ref();
            let answered = self.next_answer(block, before, &mut tries, stage, until);
            let Some(data) = answered.await? else {
                self.doubtful = true;
                break;
            };
            let mut answer = Answer::read(data, &block.control_id)?.of_batch(&block.messages)?;
            self.confirm().await?;
            let code = answer.code();
            if last.is_some() && code.is_accept() {
                return Err(BadAnswer::AcceptTwice.into());
            }
            next = expect::after(block.mode, code);
            answer.accept = last.take().map(Box::new);
            last = Some(answer);
        }
        Ok(last)
    }

    /// Whether another message can be sent on it: for a connection that has been waiting.
    ///
    /// # Errors
    /// [`Error::Stale`] or [`Error::Unsolicited`]; it has to be dropped then.
    pub fn expect_quiet(&mut self) -> Result<(), Error> {
        if self.doubtful {
            return Err(Error::Stale);
        }
        // Nothing may lie here that could be taken for the next message's answer.
        let Input { bytes, decoder } = &mut self.input;
        let ended = loop {
            bytes.reserve(READ);
            match self.stream.try_read_buf(bytes) {
                Ok(0) => break true,
                Ok(_) if bytes.len() > NOISE => break true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        let received = bytes.len();
        let step = decoder.step(bytes, More::Maybe);
        bytes.drain(..step.consumed);
        match step.event {
            Event::Wait(Wait::Start) if received <= NOISE && ended => Err(Error::Stale),
            Event::Wait(Wait::Start) if received <= NOISE => Ok(()),
            _ => Err(Error::Unsolicited { bytes: received }),
        }
    }

    /// All of it, and off to the server.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.stream.write_all(bytes).await?;
            // TLS may hold the last record back.
            self.stream.flush().await
        };
        let written = written.await;
        written.map_err(|error| broken(error, self.admitted, Error::Send))
    }

    /// The next block's data. `None` if `until` has come and no block has begun. The end of the connection says as much only after
    /// an accept acknowledgement.
    async fn receive(
        &mut self,
        stage: &mut Stage,
        until: Option<Instant>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Input { bytes, decoder } = &mut self.input;
        let mut more = More::Maybe;
        let mut received = 0;
        loop {
            let step = decoder.step(bytes, more);
            let wait = match step.event {
                Event::Wait(wait) => wait,
                Event::Frame(range) => {
                    let data = bytes.get(range).unwrap_or_default().to_vec();
                    bytes.drain(..step.consumed);
                    return Ok(Some(data));
                }
                Event::Oversized(_) => {
                    return Err(Error::TooLarge {
                        limit: self.options.max_answer_bytes,
                    });
                }
                Event::Foreign(_) => return Err(Error::Foreign("something else")),
            };
            bytes.drain(..step.consumed);
            let begun = wait != Wait::Start || decoder.in_block();
            if more == More::Eof {
                return match until {
                    Some(_) if !begun && *stage == Stage::Accepted => Ok(None),
                    _ if *stage == Stage::Accepted => Err(Error::ClosedAfterAccept),
                    _ => Err(Error::Closed { received }),
                };
            }
            bytes.reserve(READ);
            let held = bytes.len();
            let read = self.stream.read_buf(bytes);
            let read = if wait == Wait::AfterEnd {
                match timeout(self.options.framing.end_idle, read).await {
                    Ok(read) => read,
                    Err(_) => {
                        more = More::Idle;
                        continue;
                    }
                }
            } else if let Some(until) = until.filter(|_| !begun) {
                match timeout_at(until, read).await {
                    Ok(read) => read,
                    Err(_) => return Ok(None),
                }
            } else {
                read.await
            };
            let count = match read {
                // Behind the end byte nothing is missing but the CR: the end of TLS need not be proven for that.
                Err(error)
                    if wait == Wait::AfterEnd && error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    0
                }
                read => read.map_err(|error| broken(error, self.admitted, Error::Receive))?,
            };
            self.admitted |= count > 0;
            more = if count == 0 { More::Eof } else { More::Maybe };
            if received == 0
                && let Some(protocol) = other_protocol(bytes.get(held..).unwrap_or_default())
            {
                return Err(Error::Foreign(protocol));
            }
            received += count;
            if received > 0 && *stage == Stage::Waiting {
                *stage = Stage::Receiving;
            }
        }
    }
}

/// A server that does not take the bridge's certificate says so only now (TLS 1.3). Where it has sent nothing before, it has read
/// nothing either.
fn broken(error: io::Error, admitted: bool, otherwise: impl FnOnce(io::Error) -> Error) -> Error {
    use rustls::Error::AlertReceived;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(alert @ AlertReceived(description))
            if !admitted && tls::is_about_certificate(*description) =>
        {
            Error::NotAdmitted(tls::explained(alert))
        }
        _ => otherwise(error),
    }
}

/// What answers a message with its own first bytes. (Requests of other protocols are the decoder's to know.)
fn other_protocol(first: &[u8]) -> Option<&'static str> {
    match first {
        [b'H', b'T', b'T', b'P', b'/', ..] => Some("HTTP"),
        // An alert: our block is not a handshake.
        [0x15, 0x03, ..] => Some("TLS"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mllp::Deviation;
    use crate::outbound::{Code, Kind};
    use tokio::net::TcpListener;

    const MESSAGE: &[u8] = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\rPID|1\r";

    fn ack(id: &str) -> String {
        format!("\x0bMSH|^~\\&|C|D|A|B|2026||ACK|1|P|2.5\rMSA|AA|{id}\r\x1c\r")
    }

    fn options() -> Options {
        Options {
            answer_timeout: Duration::from_millis(300),
            framing: Framing {
                end_idle: Duration::from_millis(20),
                ..Framing::default()
            },
            ..Options::default()
        }
    }

    /// A server that answers each block it gets with the next of these, then closes.
    async fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; READ];
            for answer in answers {
                assert!(stream.read(&mut seen).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    async fn once(answer: &str) -> Result<(Connection, Answer), Error> {
        let (connection, answer) = exchange_of(MESSAGE, answer).await?;
        Ok((connection, answer.unwrap()))
    }

    async fn exchange_of(
        message: &[u8],
        answer: &str,
    ) -> Result<(Connection, Option<Answer>), Error> {
        let address = server(vec![answer.to_owned()]).await;
        let block = Block::new(message, &options()).unwrap();
        let connection = Connection::open(&address, None, options()).await.unwrap();
        connection.exchange(&block).await
    }

    /// What is said at last to a message with these MSH-15 and MSH-16, if this is the answer.
    async fn last_word(conditions: &str, answer: &str) -> Result<Option<Code>, String> {
        let message = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||{conditions}\rPID|1\r");
        let exchanged = exchange_of(message.as_bytes(), answer).await;
        exchanged
            .map(|(_, answer)| answer.map(|answer| answer.code()))
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn in_enhanced_mode_the_application_has_the_last_word() {
        let of = |code: &str| ack("7").replace("MSA|AA", &format!("MSA|{code}"));
        let word = async |conditions, answers: &[&str]| {
            let answers: Vec<String> = answers.iter().map(|code| of(code)).collect();
            last_word(conditions, &answers.concat()).await
        };
        assert_eq!(word("AL|NE", &["CA"]).await, Ok(Some(Code::Ca)));
        assert_eq!(word("AL|AL", &["CA", "AE"]).await, Ok(Some(Code::Ae)));
        assert_eq!(word("AL|ER", &["CA", "AE"]).await, Ok(Some(Code::Ae)));
        assert_eq!(word("AL|AL", &["CE"]).await, Ok(Some(Code::Ce)));
        // A server of original mode.
        assert_eq!(word("AL|AL", &["AA"]).await, Ok(Some(Code::Aa)));
        assert_eq!(word("NE|NE", &[]).await, Ok(None));
        // Nobody acknowledges an accept acknowledgement.
        let commit = b"MSH|^~\\&|A|B|C|D|2026||ACK|7|P|2.5\rMSA|CA|1\r";
        let (_, answer) = exchange_of(commit, "").await.unwrap();
        assert!(answer.is_none());
        // The connection ends behind the accept acknowledgement: nobody found an error.
        assert_eq!(word("AL|ER", &["CA"]).await, Ok(Some(Code::Ca)));
        let closed = Error::Closed { received: 0 }.to_string();
        assert_eq!(word("NE|ER", &[]).await, Err(closed));
        let missing = Error::ClosedAfterAccept.to_string();
        assert_eq!(word("AL|AL", &["CA"]).await, Err(missing));
        let twice = BadAnswer::AcceptTwice.to_string();
        assert_eq!(word("AL|AL", &["CA", "CA"]).await, Err(twice));
    }

    #[tokio::test]
    async fn silence_is_a_yes_only_where_errors_alone_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = Options {
            quiet: Duration::from_millis(20),
            ..options()
        };
        for (conditions, expected) in [
            ("NE|ER", "yes"),
            ("ER|NE", "yes"),
            ("SU|NE", "the server did not answer in 300ms"),
        ] {
            let message = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||{conditions}\r");
            let block = Block::new(message.as_bytes(), &options).unwrap();
            let connection = Connection::open(&address, None, options).await.unwrap();
            let answered = connection.exchange(&block).await;
            let (connection, said) = match answered {
                Ok((connection, None)) => (Some(connection), "yes".to_owned()),
                Ok((_, Some(answer))) => (None, answer.code().to_string()),
                Err(error) => (None, error.to_string()),
            };
            assert_eq!(said, expected, "{conditions}");
            // What comes late must not answer the next message.
            if let Some(connection) = connection {
                let error = connection.exchange(&block).await.unwrap_err();
                assert!(matches!(error, Error::Stale), "{error}");
            }
        }
    }

    /// A line end too many behind an accept acknowledgement is not the beginning of another answer.
    #[tokio::test]
    async fn silence_after_an_accept_acknowledgement_with_a_loose_end_is_a_yes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; READ];
            assert!(stream.read(&mut seen).await.unwrap() > 0);
            let answer = ack("7").replace("MSA|AA", "MSA|CA") + "\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream // stays open
        });
        let options = Options {
            quiet: Duration::from_millis(50),
            answer_timeout: Duration::from_secs(20),
            ..options()
        };
        let message = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||AL|ER\r";
        let block = Block::new(message, &options).unwrap();
        let connection = Connection::open(&address, None, options).await.unwrap();
        let (_, answer) = connection.exchange(&block).await.unwrap();
        assert_eq!(answer.unwrap().code(), Code::Ca);
        drop(server.await.unwrap());
    }

    #[tokio::test]
    async fn messages_and_answers_in_turn_and_a_closed_connection_is_stale() {
        let address = server(vec![ack("7"), ack("7") + "\n"]).await;
        let block = Block::new(MESSAGE, &options()).unwrap();
        assert_eq!(block.control_id(), b"7");
        let connection = Connection::open(&address, None, options()).await.unwrap();
        let (connection, answer) = connection.exchange(&block).await.unwrap();
        assert_eq!(answer.unwrap().code(), Code::Aa);
        let (connection, _) = connection.exchange(&block).await.unwrap();
        // Until the end of the connection has arrived.
        connection.stream.tcp().readable().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = connection.exchange(&block).await.unwrap_err();
        assert!(matches!(error, Error::Stale), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_this_messages_is_an_error() {
        let error = once(&ack("8")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
        assert_eq!(
            error.to_string(),
            "the server answered another message: MSA-2 is \"8\", sent was \"7\""
        );
        let error = once("\x0b\x15\x1c\r").await.unwrap_err();
        assert!(matches!(error, Error::BadAnswer(BadAnswer::Commit("NAK"))));
        let error = once("HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap_err();
        assert!(matches!(error, Error::Foreign("HTTP")));
        let error = once("").await.unwrap_err();
        assert!(matches!(error, Error::Closed { received: 0 }), "{error}");
        let error = once("\x0bMSH|^~\\&|").await.unwrap_err();
        assert!(matches!(error, Error::Closed { received: 10 }), "{error}");
    }

    #[tokio::test]
    async fn what_came_unasked_answers_nothing() {
        let address = server(vec![ack("7") + &ack("7")]).await;
        let block = Block::new(MESSAGE, &options()).unwrap();
        let connection = Connection::open(&address, None, options()).await.unwrap();
        let (connection, _) = connection.exchange(&block).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let error = connection.exchange(&block).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch, "{error}");
        assert!(!error.may_have_arrived());
    }

    #[tokio::test]
    async fn an_end_without_cr_is_counted_and_taken() {
        let short = ack("7").trim_end_matches('\r').to_owned();
        let (_, answer) = once(&short).await.unwrap();
        assert_eq!(answer.deviations, [(Deviation::EndWithoutCr, 1)]);
    }

    #[tokio::test]
    async fn silence_times_out_and_says_in_what() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let block = Block::new(MESSAGE, &options()).unwrap();
        let connection = Connection::open(&address, None, options()).await.unwrap();
        let error = connection.exchange(&block).await.unwrap_err();
        assert_eq!(error.to_string(), "the server did not answer in 300ms");
    }

    /// The same alert from a server that has answered before leaves it open what it has read.
    #[test]
    fn only_a_server_that_has_sent_nothing_has_read_nothing() {
        let alert = |description| {
            let alert = rustls::Error::AlertReceived(description);
            io::Error::new(io::ErrorKind::InvalidData, alert)
        };
        use rustls::AlertDescription::{AccessDenied, CertificateRequired, InternalError};
        for (description, admitted, arrived) in [
            (CertificateRequired, false, false),
            (AccessDenied, false, false),
            (CertificateRequired, true, true),
            (AccessDenied, true, true),
            (InternalError, false, true),
        ] {
            let error = broken(alert(description), admitted, Error::Receive);
            assert_eq!(error.may_have_arrived(), arrived, "{description:?} {error}");
        }
    }

    #[tokio::test]
    async fn nobody_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Connection::open(&address, None, options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
    }

    #[test]
    fn block_characters_in_a_message_are_refused_and_nothing_is_shown_of_it() {
        let error = Block::new(b"MSH|^~\\&|MUSTER\x1c|", &options()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unframable);
        let block = Block::new(MESSAGE, &options()).unwrap();
        assert_eq!(block.bytes().len(), MESSAGE.len() + 3);
        assert_eq!(
            format!("{block:?}"),
            format!("Block {{ bytes: {}, .. }}", block.bytes.len())
        );
    }
}
