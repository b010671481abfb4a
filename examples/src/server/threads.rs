//! An OS thread for each connection: `green` with std's thread and net in the place of Osier's.
//!
//! What differs is the price, and that an OS thread may be refused: then the connection is closed, and accepting pauses.

use super::{Server, accept};
use std::io;
use std::thread;

/// Accepts connections and serves each on an OS thread, until the server is stopped and the last of them has ended. Each
/// connection holds a place; when none is left, accepting waits.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass.
pub(super) fn serve(server: &Server, tell: &(impl Fn(&str) + Sync)) -> io::Result<()> {
    thread::scope(|scope| {
        let mut shortage = accept::Shortage::default();
        loop {
            let place = server.places.acquire();
            let (stream, peer) = match server.listener.accept() {
                Ok(accepted) => accepted,
                Err(_) if server.connections.is_stopping() => return Ok(()),
                Err(error) => {
                    thread::sleep(shortage.pause(error, tell)?);
                    continue;
                }
            };
            let serve = move || {
                // A connection that breaks is its client's affair, and is closed like any other.
                let _ = server.connections.serve(&server.site, stream, peer.ip());
                drop(place);
            };
            match thread::Builder::new().name("connection".to_owned()).spawn_scoped(scope, serve) {
                Ok(_) => shortage = accept::Shortage::default(),
                Err(error) => thread::sleep(shortage.lack(&error, tell)),
            }
        }
    })
}
