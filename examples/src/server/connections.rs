//! Which connections are open, and which of them are idle.
//!
//! Invariant: once [`Connections::stop`] has returned, no connection begins to wait for a request. It holds because a
//! connection announces each wait under the same lock under which `stop` ends the announced ones.

use super::Site;
use crate::http::{Exchange, Observer, Socket, Timed, serve_connection};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections of a server. Works from any OS thread and from green threads; never waits but for its own lock,
/// which is never held across a wait.
pub struct Connections<S> {
    state: Mutex<State<S>>,
}

struct State<S> {
    /// True once no further request is wanted.
    stopping: bool,
    /// The number of the next connection.
    next: u64,
    /// Open connections by number.
    open: HashMap<u64, Open<S>>,
}

struct Open<S> {
    socket: Arc<S>,
    /// True while it waits for a request to begin.
    idle: bool,
}

impl<S> Default for Connections<S> {
    fn default() -> Connections<S> {
        Connections { state: Mutex::new(State { stopping: false, next: 0, open: HashMap::new() }) }
    }
}

impl<S> fmt::Debug for Connections<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Connections")
            .field("stopping", &state.stopping)
            .field("open", &state.open.len())
            .finish_non_exhaustive()
    }
}

impl<S> Connections<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// True once [`Connections::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }
}

impl<S: Socket> Connections<S> {
    /// Ends the idle connections, and each other one when its request is answered. Waits for none of them.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for open in state.open.values().filter(|open| open.idle) {
            // Reading only: a request that has just come is still read, and its reply still sent. One that is broken already ends anyway.
            let _ = open.socket.shutdown(Shutdown::Read);
        }
    }

    /// Serves the connection `socket` with the client at `peer` until it ends. Waits for the client.
    ///
    /// # Errors
    ///
    /// As [`serve_connection`].
    pub fn serve(&self, site: &Site, socket: S, peer: IpAddr) -> io::Result<()> {
        // Replies go out in as few pieces as there are, and each at once.
        socket.set_nodelay(true)?;
        let socket = Arc::new(socket);
        let seat = self.enter(Arc::clone(&socket), site, peer);
        let mut timed = Timed::new(socket);
        match &site.tls {
            None => serve_connection(&mut timed, &site.files, &site.patience, &seat),
            Some(settings) => {
                let session =
                    rustls::ServerConnection::new(Arc::clone(settings)).map_err(io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(session, timed);
                serve_connection(&mut stream, &site.files, &site.patience, &seat)
            }
        }
    }

    fn enter<'a>(&'a self, socket: Arc<S>, site: &'a Site, peer: IpAddr) -> Seat<'a, S> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Open { socket, idle: false });
        Seat { connections: self, number, site, peer }
    }
}

/// One connection's place among the open ones, given up when it is dropped.
struct Seat<'a, S> {
    connections: &'a Connections<S>,
    number: u64,
    site: &'a Site,
    peer: IpAddr,
}

impl<S> Seat<'_, S> {
    /// Notes whether the connection is idle. False if the server is stopping.
    fn note(&self, idle: bool) -> bool {
        let mut state = self.connections.lock();
        let stopping = state.stopping;
        if let Some(open) = state.open.get_mut(&self.number) {
            open.idle = idle && !stopping;
        }
        !stopping
    }
}

impl<S> Observer for Seat<'_, S> {
    fn idle(&self) -> bool {
        self.note(true)
    }

    fn busy(&self) {
        self.note(false);
    }

    fn is_stopping(&self) -> bool {
        self.connections.is_stopping()
    }

    fn answered(&self, exchange: &Exchange) {
        self.site.log.write(self.peer, exchange);
    }
}

impl<S> Drop for Seat<'_, S> {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{AccessLog, Patience, StaticFiles};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn stopping_ends_a_connection_on_an_os_thread_whenever_it_comes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("index.html"), "hello").expect("a file");
        let site = Site {
            files: StaticFiles::new(directory.path()).expect("a directory"),
            patience: Patience::of(Duration::from_secs(60)),
            tls: None,
            log: AccessLog::none(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        for _ in 0..200 {
            let connections = Connections::<TcpStream>::default();
            std::thread::scope(|scope| {
                let mut client = TcpStream::connect(address).expect("a connection");
                let (stream, _) = listener.accept().expect("a connection");
                let served = scope.spawn(|| connections.serve(&site, stream, Ipv4Addr::LOCALHOST.into()));
                client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
                let mut reply = vec![0; 15];
                client.read_exact(&mut reply).expect("a reply");
                assert_eq!(connections.count(), 1);
                // Whether the connection waits already or is about to, it ends long before its time.
                connections.stop();
                client.read_to_end(&mut reply).expect("an end");
                assert!(reply.starts_with(b"HTTP/1.1 200 OK") && reply.ends_with(b"\r\n\r\nhello"));
                served.join().expect("no panic").expect("no error");
                assert_eq!(connections.count(), 0);
            });
        }
    }

    #[test]
    fn a_connection_that_comes_after_the_stop_is_not_served() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let site = Site {
            files: StaticFiles::new(directory.path()).expect("a directory"),
            patience: Patience::of(Duration::from_secs(60)),
            tls: None,
            log: AccessLog::none(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (stream, peer) = listener.accept().expect("a connection");
        let connections = Connections::default();
        connections.stop();
        connections.serve(&site, stream, peer.ip()).expect("no error");
        assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    }
}
