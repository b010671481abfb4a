//! One connection, from its first request to its last: plain blocking code over any [`Transport`].
//!
//! Every wait has a deadline, and each request has one for the whole of its head, so a client cannot keep a connection by
//! sending slowly. Pipelined requests are answered one after another, in order.

use super::{BodyDrain, BodyError, Exchange, Limits, Parsed, Refusal, Request, Response, Status, Transport};
use osier::time::{Duration, Instant, SystemTime};
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

/// How long a client may take, and how much it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the head of a request, from its first byte to its last, and again for its body.
    pub request: Duration,
    /// Before the first byte of a request, also of the first one (then with the TLS handshake).
    pub idle: Duration,
    /// For each piece of a reply, of about 64 KiB.
    pub piece: Duration,
    /// For hanging up after a reply that ends the connection while the client may still be sending.
    pub linger: Duration,
    /// How large a request may be.
    pub limits: Limits,
}

impl Patience {
    /// `timeout` for each wait, and two seconds at most for hanging up.
    #[must_use]
    pub fn of(timeout: Duration) -> Patience {
        Patience {
            request: timeout,
            idle: timeout,
            piece: timeout,
            linger: timeout.min(Duration::from_secs(2)),
            limits: Limits::default(),
        }
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

/// Bytes that are read at a time.
const READ: usize = 4 << 10;
/// Bytes that are read and dropped at most while hanging up.
const LINGER: usize = 4 << 20;

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
    let mut connection = Connection { transport, patience, observer, buffer: Vec::new() };
    while connection.exchange(handler)? {}
    Ok(())
}

struct Connection<'a, T, O: ?Sized> {
    transport: &'a mut T,
    patience: &'a Patience,
    observer: &'a O,
    /// What was read and is not yet used up.
    buffer: Vec<u8>,
}

fn within(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

/// How the wait for a head ended.
enum Head {
    Request(Box<Request>),
    Refused(Refusal),
    /// The connection ended, or was silent for too long.
    Nothing,
}

impl<T: Transport, O: Observer + ?Sized> Connection<'_, T, O> {
    /// Serves one request. False if it was the last.
    fn exchange(&mut self, handler: &(impl Handler + ?Sized)) -> io::Result<bool> {
        match self.head()? {
            Head::Nothing => {
                self.hang_up(false);
                Ok(false)
            }
            Head::Refused(refusal) => self.refuse(refusal),
            Head::Request(request) => {
                // A client that waits for permission to send a body is told the outcome instead, and need not send it.
                if !request.expects_continue
                    && let Err(refusal) = self.body(&request)?
                {
                    return self.refuse(refusal);
                }
                let mut response = handler.respond(&request);
                if request.expects_continue {
                    response = response.closing();
                }
                self.send(response, Some(&request), request.line.clone())
            }
        }
    }

    /// Waits for a head.
    fn head(&mut self) -> io::Result<Head> {
        // Some clients send a blank line behind a body; that does not begin a request.
        let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.buffer.drain(..blank);
        if self.buffer.is_empty() {
            // An idle connection should cost little.
            self.buffer = Vec::new();
            if !self.observer.idle() {
                return Ok(Head::Nothing);
            }
            self.transport.set_deadline(within(self.patience.idle));
            let result = self.read();
            self.observer.busy();
            match result {
                Ok(0) => return Ok(Head::Nothing),
                Err(error) if is_silence(&error) => return Ok(Head::Nothing),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        self.transport.set_deadline(within(self.patience.request));
        // Looked at when a line has ended, so that a client that sends byte by byte does not make each byte cost a
        // look at all; and at the first bytes, so that what is not HTTP is refused at once.
        let mut worth_a_look = true;
        loop {
            if worth_a_look || self.buffer.len() > self.patience.limits.line {
                match Request::parse(&self.buffer, &self.patience.limits) {
                    Ok(Parsed::Whole(request, length)) => {
                        self.buffer.drain(..length);
                        return Ok(Head::Request(request));
                    }
                    Ok(Parsed::Partial) => {}
                    Err(refusal) => return Ok(Head::Refused(refusal)),
                }
            }
            let seen = self.buffer.len();
            match self.read() {
                Ok(0) => return Ok(Head::Nothing),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Head::Refused(late("the request did not come in time", &self.buffer)));
                }
                Err(error) if is_silence(&error) => return Ok(Head::Nothing),
                Err(error) => return Err(error),
            }
            worth_a_look = self.buffer[seen..].contains(&b'\n');
        }
    }

    /// Takes the body of `request` off the connection.
    fn body(&mut self, request: &Request) -> io::Result<Result<(), Refusal>> {
        let refusal =
            |status, reason: String| Refusal { status, reason: reason.into(), line: request.line.clone() };
        let mut drain = BodyDrain::new(request.body, self.patience.limits.body);
        if !drain.is_done() {
            self.transport.set_deadline(within(self.patience.request));
        }
        loop {
            match drain.feed(&self.buffer) {
                Ok(taken) => drop(self.buffer.drain(..taken)),
                Err(error @ BodyError::TooLarge) => {
                    return Ok(Err(refusal(Status::CONTENT_TOO_LARGE, error.to_string())));
                }
                Err(error) => return Ok(Err(refusal(Status::BAD_REQUEST, error.to_string()))),
            }
            if drain.is_done() {
                return Ok(Ok(()));
            }
            match self.read() {
                Ok(0) => return Ok(Err(refusal(Status::BAD_REQUEST, "the body ends too early".into()))),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Err(refusal(Status::REQUEST_TIMEOUT, "the body did not come in time".into())));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Result<bool> {
        let page = Response::page(refusal.status, &sentence(&refusal.reason));
        let response = page.closing().only_head(refusal.line.starts_with("HEAD "));
        self.send(response, None, refusal.line)
    }

    /// Sends a reply. False if the connection ends with it.
    fn send(&mut self, response: Response, request: Option<&Request>, line: String) -> io::Result<bool> {
        let mut wire = response.into_wire(request, !self.observer.is_stopping());
        let (status, keep_alive) = (wire.status(), wire.keep_alive());
        let result = loop {
            self.transport.set_deadline(within(self.patience.piece));
            let piece = match wire.piece() {
                Ok([]) => break Ok(()),
                Ok(piece) => piece,
                Err(error) => break Err(error),
            };
            if let Err(error) = self.transport.write_all(piece).and_then(|()| self.transport.flush()) {
                break Err(error);
            }
        };
        let content = wire.content();
        self.observer.answered(&Exchange { line, status, content, time: SystemTime::now() });
        result?;
        if !keep_alive {
            // Closing a socket with unread bytes resets the connection, and the client may lose the reply.
            let all_read = self.buffer.is_empty() && request.is_some_and(|request| !request.expects_continue);
            self.hang_up(!all_read);
        }
        Ok(keep_alive)
    }

    /// Ends the connection, which tells a client of TLS that nothing was cut off; if the client may still be sending, waits a
    /// little for it to read the reply. What goes wrong here concerns nobody any more.
    fn hang_up(&mut self, linger: bool) {
        self.transport.set_deadline(within(self.patience.linger));
        if self.transport.finish().is_err() || !linger {
            return;
        }
        let mut dropped = 0;
        while dropped < LINGER {
            self.buffer.clear();
            match self.read() {
                Ok(0) | Err(_) => return,
                Ok(count) => dropped += count,
            }
        }
    }

    /// Reads what there is behind what the buffer has, waiting for a byte at least. 0 at the end.
    fn read(&mut self) -> io::Result<usize> {
        let seen = self.buffer.len();
        self.buffer.resize(seen + READ, 0);
        let result = loop {
            match self.transport.read(&mut self.buffer[seen..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(seen + result.as_ref().map_or(0, |count| *count));
        result
    }
}

/// True if the client has gone away or fallen silent, which clients may do when they have nothing under way.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(error.kind(), TimedOut | ConnectionReset | BrokenPipe | UnexpectedEof)
}

fn late(reason: &'static str, bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Refusal {
        status: Status::REQUEST_TIMEOUT,
        reason: reason.into(),
        line: String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned(),
    }
}

/// `reason`, which begins in lower case and has no full stop, as a page shows it.
fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

#[cfg(test)]
mod tests;
