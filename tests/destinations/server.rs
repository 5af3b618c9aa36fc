//! An MLLP server whose every answer is the test's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::PATIENCE;

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// What is written for a message: bytes, or the end of the connection.
pub(crate) type Answer = Option<Vec<u8>>;

/// One thing that a server does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Writes, in one write.
    Write(Vec<u8>),
    /// Does nothing for so long.
    Wait(Duration),
    /// Ends the connection.
    Close,
    /// Ends it with an RST.
    Reset,
}

#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<Vec<u8>>>,
    changed: Condvar,
}

/// Listens until the test ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

impl Server {
    /// Answers each message with what `answer` makes of it.
    pub(crate) fn start(answer: impl Fn(&[u8]) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(None, answer)
    }

    /// The same behind TLS; the configuration is taken anew for each connection.
    pub(crate) fn with(
        tls: Option<Arc<Mutex<Arc<ServerConfig>>>>,
        answer: impl Fn(&[u8]) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let act = move |message: &[u8]| match answer(message) {
            Some(bytes) => vec![Act::Write(bytes)],
            None => vec![Act::Close],
        };
        Self::serving(tls, act)
    }

    /// Does these things for each message, one after the other.
    pub(crate) fn acting(acts: impl Fn(&[u8]) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::serving(None, acts)
    }

    /// Takes one connection and one message, does this, and listens no more.
    pub(crate) fn once(acts: Vec<Act>) -> Self {
        let (listener, server) = Self::listen();
        let seen = Arc::clone(&server.seen);
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            serve(Connection::plain(stream), &seen, &|_| acts.clone());
        });
        server
    }

    /// Takes connections, and reads nothing.
    pub(crate) fn deaf() -> Self {
        let (listener, server) = Self::listen();
        thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                held.push(stream);
            }
        });
        server
    }

    /// As [`start`](Self::start), on this address.
    pub(crate) fn on(
        address: &str,
        answer: impl Fn(&[u8]) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let seen = Arc::clone(&server.seen);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let acts = |message: &[u8]| vec![answer(message).map_or(Act::Close, Act::Write)];
                serve(Connection::plain(stream), &seen, &acts);
            }
        });
        server
    }

    fn listen() -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::default();
        (listener, Self { address, seen })
    }

    fn serving(
        tls: Option<Arc<Mutex<Arc<ServerConfig>>>>,
        acts: impl Fn(&[u8]) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (listener, server) = Self::listen();
        let (seen, acts) = (Arc::clone(&server.seen), Arc::new(acts));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let tls = tls.as_ref().map(|tls| Arc::clone(&tls.lock().unwrap()));
                let (seen, acts) = (Arc::clone(&seen), Arc::clone(&acts));
                thread::spawn(move || {
                    let connection = match tls {
                        None => Connection::plain(stream),
                        Some(config) => Connection::tls(stream, config),
                    };
                    serve(connection, &seen, &*acts);
                });
            }
        });
        server
    }

    /// What has come, in its order.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.seen.messages.lock().unwrap().clone()
    }

    /// Waits until so many messages have come.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Vec<u8>> {
        let messages = self.seen.messages.lock().unwrap();
        let waited = self
            .seen
            .changed
            .wait_timeout_while(messages, PATIENCE, |messages| messages.len() < count);
        let (messages, _) = waited.unwrap();
        assert!(
            messages.len() >= count,
            "{} of {count} messages came",
            messages.len()
        );
        messages.clone()
    }
}

/// A connection, and its socket for a reset.
struct Connection {
    stream: BufReader<Box<dyn ReadWrite>>,
    socket: TcpStream,
}

impl Connection {
    fn plain(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let socket = stream.try_clone().unwrap();
        let stream: Box<dyn ReadWrite> = Box::new(stream);
        Self {
            stream: BufReader::new(stream),
            socket,
        }
    }

    fn tls(stream: TcpStream, config: Arc<ServerConfig>) -> Self {
        let socket = stream.try_clone().unwrap();
        let session = ServerConnection::new(config).unwrap();
        let stream: Box<dyn ReadWrite> = Box::new(StreamOwned::new(session, stream));
        Self {
            stream: BufReader::new(stream),
            socket,
        }
    }

    /// The next message. `None`: the connection has ended.
    fn message(&mut self) -> Option<Vec<u8>> {
        let mut block = Vec::new();
        loop {
            let read = self.stream.read_until(b'\r', &mut block).ok()?;
            if read == 0 || !block.ends_with(b"\r") {
                return None;
            }
            if block.ends_with(b"\x1c\r") {
                return Some(block[1..block.len() - 2].to_vec());
            }
        }
    }

    /// `false`: the connection is over.
    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Write(bytes) => {
                let stream = self.stream.get_mut();
                stream
                    .write_all(&bytes)
                    .and_then(|()| stream.flush())
                    .is_ok()
            }
            Act::Wait(duration) => {
                thread::sleep(duration);
                true
            }
            Act::Close => false,
            Act::Reset => {
                let socket = socket2::SockRef::from(&self.socket);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                false
            }
        }
    }
}

fn serve(mut connection: Connection, seen: &Seen, acts: &dyn Fn(&[u8]) -> Vec<Act>) {
    while let Some(message) = connection.message() {
        seen.messages.lock().unwrap().push(message.clone());
        seen.changed.notify_all();
        for act in acts(&message) {
            if !connection.act(act) {
                return;
            }
        }
    }
}

/// In a block.
pub(crate) fn block(message: &str) -> Vec<u8> {
    format!("\x0b{message}\x1c\r").into_bytes()
}
