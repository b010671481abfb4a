//! What both loops over nonblocking sockets share: a connection that goes on when it can, and the door through which it comes.
//!
//! Green threads and OS threads keep where they are in a request on their stacks. Here that is a state machine
//! ([`Conversation`]), and whoever calls [`Guest::go_on`] must remember everything else: who waits for what, until when, and
//! that nobody takes all the time for himself.

use super::connections::{Seat, end_reading};
use super::{Server, accept};
use crate::http::{Conversation, StaticFiles, Step};
use osier::sync::SemaphorePermit;
use osier::time::{Duration, Instant};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// Bytes that are read at a time; all connections of a loop share the memory.
pub(super) const READ: usize = 16 << 10;

/// Steps of one connection before the others have their turn.
const MOST: u32 = 16;

/// One connection of a loop.
pub(super) struct Guest<'a> {
    stream: Arc<TcpStream>,
    conversation: Conversation<'a, StaticFiles, Seat<'a>>,
    wants: Step,
    /// Given back with the connection.
    _place: SemaphorePermit<'a>,
}

/// What came of [`Guest::go_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: the socket is not ready.
    Nothing,
    /// It went on a bit, and may be able to go on further.
    Moved,
    /// The connection has ended.
    Over,
}

impl<'a> Guest<'a> {
    fn new(
        server: &'a Server,
        stream: TcpStream,
        peer: std::net::IpAddr,
        place: SemaphorePermit<'a>,
    ) -> io::Result<Guest<'a>> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let seat = server.connections.enter(&server.site, peer, end_reading(&stream));
        let conversation = Conversation::new(&server.site.files, &server.site.patience, seat);
        Ok(Guest { stream, conversation, wants: Step::Read, _place: place })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What the socket must be ready for: [`Step::Read`] or [`Step::Write`].
    pub(super) fn wants(&self) -> Step {
        self.wants
    }

    /// When [`Guest::go_on`] is to be called even if the socket is not ready; `None` is never.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.conversation.deadline()
    }

    /// Goes on as far as it can without waiting, within reason: one read, and what follows from it. `bytes` is only room.
    pub(super) fn go_on(&mut self, bytes: &mut [u8]) -> Turn {
        let mut moves = 0;
        loop {
            let Ok(step) = self.conversation.step() else { return Turn::Over };
            self.wants = step;
            let went = match step {
                // A client that is quick enough to have its next request here already would keep all others waiting.
                Step::Read if moves > 0 => return Turn::Moved,
                Step::Write if moves == MOST => return Turn::Moved,
                Step::Read => match self.in_time((&*self.stream).read(bytes)) {
                    None => break,
                    Some(count) => self.conversation.received(count.map(|count| &bytes[..count])),
                },
                Step::Write => match self.in_time((&*self.stream).write(self.conversation.unsent())) {
                    None => break,
                    Some(count) => self.conversation.sent(count),
                },
                Step::Finish => {
                    self.conversation.finished(self.stream.shutdown(Shutdown::Write));
                    Ok(())
                }
                Step::Close => return Turn::Over,
            };
            // A connection that breaks is its client's affair, and is closed like any other.
            if went.is_err() {
                return Turn::Over;
            }
            moves += 1;
        }
        if moves == 0 { Turn::Nothing } else { Turn::Moved }
    }

    /// The result of a read or a write; `None` if the socket is not ready and there is time left.
    fn in_time(&self, result: io::Result<usize>) -> Option<io::Result<usize>> {
        let ready = !result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if ready {
            return Some(result);
        }
        let late = self.conversation.deadline().is_some_and(|deadline| deadline <= Instant::now());
        late.then(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Where connections come in.
pub(super) struct Door<'a, T> {
    server: &'a Server,
    tell: &'a T,
    shortage: accept::Shortage,
    /// Nobody is let in before; `None` if somebody may be.
    closed_until: Option<Instant>,
}

/// How soon to look again whether there is a place: another loop may have given one back.
const PLACE: Duration = Duration::from_millis(50);

impl<'a, T: Fn(&str)> Door<'a, T> {
    pub(super) fn new(server: &'a Server, tell: &'a T) -> io::Result<Door<'a, T>> {
        server.listener.set_nonblocking(true)?;
        Ok(Door { server, tell, shortage: accept::Shortage::default(), closed_until: None })
    }

    /// When to look again; `None` if the door is open.
    pub(super) fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }

    /// A connection that waits to be let in; `None` if there is none, or no room, or the server is stopping. Never waits.
    ///
    /// # Errors
    ///
    /// If the listener cannot accept for a reason that will not pass.
    pub(super) fn admit(&mut self) -> io::Result<Option<Guest<'a>>> {
        if self.closed_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        self.closed_until = None;
        while !self.server.connections.is_stopping() {
            let Some(place) = self.server.places.try_acquire() else {
                self.close(PLACE);
                break;
            };
            match self.server.listener.accept() {
                Ok((stream, peer)) => {
                    self.shortage = accept::Shortage::default();
                    // One that cannot be set up has been broken by its client.
                    if let Ok(guest) = Guest::new(self.server, stream, peer.ip(), place) {
                        return Ok(Some(guest));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) if self.server.connections.is_stopping() => break,
                Err(error) => {
                    let pause = self.shortage.pause(error, self.tell)?;
                    if !pause.is_zero() {
                        self.close(pause);
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    fn close(&mut self, pause: Duration) {
        self.closed_until = Instant::now().checked_add(pause);
    }
}
