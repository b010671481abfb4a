//! A green thread for each connection.
//!
//! The code is what one would write with OS threads: accept, spawn, serve. The scope waits for all that it has spawned, so
//! running requests are finished before [`serve`] returns, without a line of code that says so.

use super::{Server, accept};
use osier::net::TcpListener;
use osier::thread;
use std::io;

/// Accepts connections from `listener` and serves each on a green thread, until the server is stopped and the last of them has ended. Each
/// connection holds a place; when none is left, accepting waits. Several workers may do this for one server.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass.
pub(super) fn serve(
    server: &Server,
    listener: &TcpListener,
    tell: &(impl Fn(&str) + Sync),
) -> io::Result<()> {
    thread::scope(|scope| {
        let mut shortage = accept::Shortage::default();
        loop {
            let place = server.places.acquire();
            match listener.accept() {
                Ok((stream, peer)) => {
                    shortage = accept::Shortage::default();
                    scope.spawn(move || {
                        // A connection that breaks is its client's affair, and is closed like any other.
                        let _ = server.connections.serve(&server.site, stream, peer.ip());
                        drop(place);
                    });
                }
                Err(_) if server.connections.is_stopping() => return Ok(()),
                Err(error) => thread::sleep(shortage.pause(error, tell)?),
            }
        }
    })
}
