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
