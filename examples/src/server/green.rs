//! A green thread for each connection.
//!
//! The code is what one would write with OS threads: accept, spawn, serve. The scope waits for all that it has spawned, so
//! running requests are finished before [`serve`] returns, without a line of code that says so.

use super::{Connections, Site, accept};
use osier::net::{TcpListener, TcpStream};
use osier::sync::Semaphore;
use osier::thread;

/// Accepts connections from `listener` and serves each on a green thread, until `connections` is told to stop and the last of
/// them has ended. Of `places` each connection holds one; when none is left, accepting waits. Several workers can
/// share all of these.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass.
pub(super) fn serve(
    listener: &TcpListener,
    site: &Site,
    connections: &Connections<TcpStream>,
    places: &Semaphore,
    tell: &(impl Fn(&str) + Sync),
) -> std::io::Result<()> {
    thread::scope(|scope| {
        let mut shortage = accept::Shortage::default();
        loop {
            let place = places.acquire();
            match listener.accept() {
                Ok((stream, peer)) => {
                    shortage = accept::Shortage::default();
                    scope.spawn(move || {
                        // A connection that breaks is its client's affair, and is closed like any other.
                        let _ = connections.serve(site, stream, peer.ip());
                        drop(place);
                    });
                }
                Err(_) if connections.is_stopping() => return Ok(()),
                Err(error) => thread::sleep(shortage.pause(error, tell)?),
            }
        }
    })
}
