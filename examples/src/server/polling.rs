//! A loop that tries every connection in turn, over and over: nonblocking sockets and nothing else.
//!
//! It shows what the kernel is for. A round costs a system call for each connection, ready or not, and between rounds the loop
//! must choose: a long pause makes clients wait, a short one keeps a processor busy with nothing.

use super::Server;
use super::guest::{Door, READ, Turn};
use osier::time::Duration;
use std::io;
use std::thread;

/// The pause after the first round in which nothing happened; each further one is twice as long.
const SHORTEST: Duration = Duration::from_micros(20);
/// No pause is longer.
const LONGEST: Duration = Duration::from_millis(5);

/// Accepts and serves connections until the server is stopped and the last of them has ended.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass.
pub(super) fn serve(server: &Server, tell: &impl Fn(&str)) -> io::Result<()> {
    let mut door = Door::new(server, tell)?;
    let mut guests = Vec::new();
    let mut bytes = vec![0; READ];
    let mut pause = SHORTEST;
    loop {
        let mut quiet = true;
        if let Some(guest) = door.admit()? {
            guests.push(guest);
            quiet = false;
        }
        guests.retain_mut(|guest| {
            let turn = guest.go_on(&mut bytes);
            quiet &= turn == Turn::Nothing;
            turn != Turn::Over
        });
        if guests.is_empty() && server.connections.is_stopping() {
            return Ok(());
        }
        if quiet {
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST);
        } else {
            pause = SHORTEST;
        }
    }
}
