//! The app: an HTTP/1.1 server on plain threads that does to the bridge what apps do in production, and keeps a record
//! of every request.
//!
//! Each request takes the next [`Reply`] of the script, or the default one, which is an empty 200. Hand-written, so
//! that it can break the protocol: no HTTP library would.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::{PATIENCE, Shown};

mod reply;
mod wire;

pub use reply::Reply;
use wire::{Conn, Reader};

/// The path that [`TestApp::url`] names.
pub const PATH: &str = "/hl7";

/// A running app. Dropped, it cuts its connections and frees its port, and fails the test if a request was not
/// well-formed HTTP.
pub struct TestApp {
    shared: Arc<Shared>,
    place: Place,
    acceptor: Option<JoinHandle<()>>,
}

/// An app that is not there: its port is reserved, and refuses connections.
pub struct DownApp {
    /// Bound and not listening, so that nobody else can take the port.
    socket: Socket,
    address: SocketAddr,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// In order, names as written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its last byte was read.
    pub arrived: Instant,
    /// The connection that carried it, counted from 0.
    pub connection: usize,
}

enum Place {
    Tcp(SocketAddr),
    Unix { socket: PathBuf, _folder: TempDir },
}

/// Makes a reply of what was asked.
type Responder = Arc<dyn Fn(&Recorded) -> Reply + Send + Sync>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    responder: Option<Responder>,
    default: Reply,
    requests: Vec<Recorded>,
    /// Connections accepted.
    connections: usize,
    /// A second handle of each open connection, to cut it by.
    open: HashMap<usize, Conn>,
    /// Counts calls of [`TestApp::release`].
    releases: usize,
    /// What was wrong with requests that were not HTTP.
    malformed: Vec<String>,
    stopping: bool,
}

impl TestApp {
    /// Listens on a free port.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Listens on this port of 127.0.0.1.
    #[track_caller]
    pub fn start_on(port: u16) -> Self {
        Self::down_on(port).up()
    }

    /// Listens on a Unix socket in a folder of its own.
    pub fn start_unix() -> Self {
        let folder = TempDir::new().expect("temporary folder");
        let socket = folder.path().join("app.sock");
        let listener = UnixListener::bind(&socket).expect("bind a Unix socket");
        let accept = move || listener.accept().map(|(stream, _)| Conn::Unix(stream));
        Self::run(
            Place::Unix {
                socket,
                _folder: folder,
            },
            accept,
        )
    }

    /// A port where nothing listens; [`DownApp::up`] brings an app up on it.
    pub fn down() -> DownApp {
        Self::down_on(0)
    }

    #[track_caller]
    fn down_on(port: u16) -> DownApp {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        // Two sockets at once on one port, of which one listens.
        socket.set_reuse_port(true).expect("SO_REUSEPORT");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        socket
            .bind(&address.into())
            .unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
        let address = socket
            .local_addr()
            .ok()
            .and_then(|address| address.as_socket())
            .expect("address");
        DownApp { socket, address }
    }

    fn run(place: Place, accept: impl Fn() -> io::Result<Conn> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while let Ok(conn) = accept() {
                    let Some(number) = shared.opened(&conn) else {
                        break;
                    };
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        serve(&shared, conn, number);
                        shared.lock().open.remove(&number);
                        shared.changed.notify_all();
                    });
                }
            })
        };
        Self {
            shared,
            place,
            acceptor: Some(acceptor),
        }
    }

    /// For `deliver.url` or `--app`: `http://127.0.0.1:PORT/hl7` or `unix:/…/app.sock:/hl7`.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}{PATH}"),
            Place::Unix { socket, .. } => format!("unix:{}:{PATH}", socket.display()),
        }
    }

    /// Its port; an app on a Unix socket has none.
    #[track_caller]
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Tcp(address) => address.port(),
            Place::Unix { .. } => panic!("an app on a Unix socket has no port"),
        }
    }

    /// Adds to the script: one reply per request, in the order of arrival.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) -> &Self {
        self.shared.lock().script.extend(replies);
        self
    }

    /// What a request gets once the script is used up.
    pub fn always(&self, reply: Reply) -> &Self {
        self.shared.lock().default = reply;
        self
    }

    /// What a request gets once the script is used up, made of the request.
    pub fn respond(&self, with: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> &Self {
        self.shared.lock().responder = Some(Arc::new(with));
        self
    }

    /// Lets every request that is [held](Reply::hold) now be answered.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Waits until at least `n` requests have come in whole, and returns them all.
    #[track_caller]
    pub fn wait_for(&self, n: usize, limit: Duration) -> Vec<Recorded> {
        let state = self.wait(limit, |state| state.requests.len() >= n);
        let came: Vec<String> = state.requests.iter().map(Recorded::summary).collect();
        assert!(
            came.len() >= n,
            "{} of {n} requests within {limit:?}:\n{}",
            came.len(),
            came.join("\n")
        );
        state.requests.clone()
    }

    /// Waits until at least `n` connections have been accepted, open or not.
    #[track_caller]
    pub fn wait_for_connections(&self, n: usize, limit: Duration) {
        let state = self.wait(limit, |state| state.connections >= n);
        assert!(
            state.connections >= n,
            "{} of {n} connections within {limit:?}",
            state.connections
        );
    }

    /// Waits until the bridge has no more than `n` connections open.
    #[track_caller]
    pub fn wait_for_open_connections(&self, n: usize, limit: Duration) {
        let state = self.wait(limit, |state| state.open.len() <= n);
        assert!(
            state.open.len() <= n,
            "{} connections still open after {limit:?}",
            state.open.len()
        );
    }

    /// The last request, which must have come.
    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.wait_for(1, PATIENCE).pop().expect("waited for it")
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.shared.lock();
        self.shared
            .changed
            .wait_timeout_while(state, limit, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Stops: open connections are cut, further ones refused, and the port is kept.
    pub fn go_down(mut self) -> DownApp {
        // Taken before it is free: any connection of the machine could get it as its own.
        let down = Self::down_on(self.port());
        self.stop();
        down
    }

    fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            for conn in state.open.values() {
                conn.shutdown();
            }
        }
        self.shared.changed.notify_all();
        // Wakes the acceptor, which then finds that it should stop.
        let woken = match &self.place {
            Place::Tcp(address) => TcpStream::connect(address).map(drop),
            Place::Unix { socket, .. } => UnixStream::connect(socket).map(drop),
        };
        if woken.is_ok() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop();
        let malformed = std::mem::take(&mut self.shared.lock().malformed);
        if !thread::panicking() {
            assert!(
                malformed.is_empty(),
                "requests that were not HTTP: {malformed:?}"
            );
        }
    }
}

impl DownApp {
    /// The URL that is refused.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The reserved port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Brings an app up on the same port.
    #[track_caller]
    pub fn up(self) -> TestApp {
        self.socket
            .listen(1024)
            .unwrap_or_else(|error| panic!("cannot listen on {}: {error}", self.address));
        let listener = TcpListener::from(self.socket);
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(Conn::Tcp(stream))
        };
        TestApp::run(Place::Tcp(self.address), accept)
    }
}

impl Recorded {
    /// A header's value, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .map(|header| header.1.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", Shown(&self.body)))
    }

    fn summary(&self) -> String {
        format!(
            "  #{} {} {} {}",
            self.connection,
            self.method,
            self.path,
            Shown(&self.body)
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A failed assertion poisons it; what it holds is whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; `None` when the app stops.
    fn opened(&self, conn: &Conn) -> Option<usize> {
        let mut state = self.lock();
        let number = state.connections;
        if state.stopping {
            return None;
        }
        state.connections += 1;
        state.open.insert(number, conn.try_clone().ok()?);
        drop(state);
        self.changed.notify_all();
        Some(number)
    }

    /// Waits out a delay; `false` when the app stops in the middle of it.
    fn pause(&self, duration: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), duration, |state| !state.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    /// Waits for the next release after the one with this number; `false` when the app stops.
    fn held(&self, releases: usize) -> bool {
        let wait = |state: &mut State| !state.stopping && state.releases <= releases;
        !self
            .changed
            .wait_while(self.lock(), wait)
            .unwrap_or_else(PoisonError::into_inner)
            .stopping
    }
}

/// One connection: requests in, replies out, until either side has had enough.
fn serve(shared: &Shared, conn: Conn, number: usize) {
    let mut reader = Reader::new(conn);
    loop {
        let request = match reader.request() {
            Ok(Some(request)) => request,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                shared.lock().malformed.push(error.to_string());
                return;
            }
            Ok(None) | Err(_) => return,
        };
        let wants_close = request.wants_close();
        let (reply, releases) = {
            let mut state = shared.lock();
            let request = request.recorded(number);
            let reply = match (state.script.pop_front(), &state.responder) {
                (Some(reply), _) => reply,
                (None, Some(responder)) => responder(&request),
                (None, None) => state.default.clone(),
            };
            state.requests.push(request);
            (reply, state.releases)
        };
        shared.changed.notify_all();

        if reply.hold && !shared.held(releases) || !shared.pause(reply.delay) {
            return;
        }
        if reply.hang {
            // Until the bridge gives up, which it shows by closing, or the app is dropped.
            reader.drain();
            return;
        }
        let bytes = reply.bytes();
        let pieces = if reply.pace.is_some() {
            1
        } else {
            bytes.len().max(1)
        };
        for piece in bytes.chunks(pieces) {
            if reader.conn.write_all(piece).is_err()
                || !reply.pace.is_none_or(|pause| shared.pause(pause))
            {
                return;
            }
        }
        if reply.reset {
            // The reset happens when the last handle closes.
            shared.lock().open.remove(&number);
            reader.conn.reset_on_close();
            return;
        }
        if reply.ends_connection() || wants_close {
            return;
        }
    }
}
