//! One connection in plain blocking code, over any [`Transport`].

use super::{Conversation, Exchange, Patience, Request, Response, Step, Transport};
use std::io;

/// What answers requests.
pub trait Handler {
    /// The reply to `request`, whose body was read and dropped.
    fn respond(&self, request: &Request) -> Response;
}

impl<F: Fn(&Request) -> Response> Handler for F {
    fn respond(&self, request: &Request) -> Response {
        self(request)
    }
}

/// What the server that runs a connection wants to know and to say. Each method does nothing unless it is defined.
pub trait Observer {
    /// The connection is about to wait for a request, and may be ended while it does. False if it must end now.
    fn idle(&self) -> bool {
        true
    }

    /// The wait is over, and whatever has begun should be finished.
    fn busy(&self) {}

    /// True if no further request is wanted on any connection.
    fn is_stopping(&self) -> bool {
        false
    }

    /// A request was answered or refused.
    fn answered(&self, exchange: &Exchange) {
        let _ = exchange;
    }
}

/// Nobody looks.
impl Observer for () {}

impl<O: Observer + ?Sized> Observer for &O {
    fn idle(&self) -> bool {
        (**self).idle()
    }

    fn busy(&self) {
        (**self).busy();
    }

    fn is_stopping(&self) -> bool {
        (**self).is_stopping()
    }

    fn answered(&self, exchange: &Exchange) {
        (**self).answered(exchange);
    }
}

/// Bytes that are read at a time.
const READ: usize = 4 << 10;

/// Serves one connection until it ends: the client closes it or wants no more, a request is refused, a deadline passes, or
/// `observer` says so. Waits for the client: on a green thread that parks it, on an OS thread that blocks it.
///
/// # Errors
///
/// If the connection breaks, a reply cannot be sent in time, or the file that is sent cannot be read. A client that ends the
/// connection between two requests, or is late with a request, is no error.
pub fn serve_connection<T: Transport>(
    transport: &mut T,
    handler: &(impl Handler + ?Sized),
    patience: &Patience,
    observer: &(impl Observer + ?Sized),
) -> io::Result<()> {
    let mut conversation = Conversation::new(handler, patience, observer);
    let mut bytes = [0; READ];
    loop {
        let step = conversation.step()?;
        transport.set_deadline(conversation.deadline());
        match step {
            Step::Read => {
                let count = read(transport, &mut bytes);
                conversation.received(count.map(|count| &bytes[..count]))?;
            }
            Step::Write => {
                let unsent = conversation.unsent();
                let sent = transport.write_all(unsent).and_then(|()| transport.flush());
                let count = unsent.len();
                conversation.sent(sent.map(|()| count))?;
            }
            // It tells a client of TLS that nothing was cut off.
            Step::Finish => conversation.finished(transport.finish()),
            Step::Close => return Ok(()),
        }
    }
}

/// Reads what there is, waiting for a byte at least. 0 at the end.
fn read(transport: &mut impl Transport, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match transport.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
