//! One connection, from its first request to its last, without the connection: what comes in is told, what is to be done next is asked.
//!
//! A [`Conversation`] never waits and touches no socket, so blocking code and a hand-written loop over nonblocking sockets
//! can both stand on it. Whoever holds the socket asks [`Conversation::step`], does that by [`Conversation::deadline`], and tells how it
//! went, in a circle:
//!
//! ```text
//!              .-> Read    ---- received(bytes) --.
//!     step() --+-> Write   ---- sent(count) ------+--> step()
//!              +-> Finish  ---- finished() -------'
//!              '-> Close
//! ```
//!
//! Asking again before the answer is known gives the same step and the same deadline: that is how a loop whose socket is not ready
//! comes back to it later. Every step has a deadline, and each request has one for the whole of its head, so a client cannot keep
//! a connection by sending slowly. Pipelined requests are answered one after another, in order.

use super::{
    BodyDrain, BodyError, Exchange, Handler, Limits, Observer, Parsed, Refusal, Request, Response, Status,
    Wire,
};
use osier::time::{Duration, Instant, SystemTime};
use std::io;

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

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read a byte at least, and tell [`Conversation::received`].
    Read,
    /// Write some of [`Conversation::unsent`], and tell [`Conversation::sent`].
    Write,
    /// Say that nothing more will be written, and tell [`Conversation::finished`].
    Finish,
    /// Nothing: the connection is over.
    Close,
}

/// Bytes that are read and dropped at most while hanging up.
const LINGER: usize = 4 << 20;

/// One connection's requests and replies.
#[derive(Debug)]
pub struct Conversation<'a, H: ?Sized, O> {
    handler: &'a H,
    patience: &'a Patience,
    observer: O,
    state: State,
    /// What came and is not yet used up.
    buffer: Vec<u8>,
    /// When the step that [`Conversation::step`] gave must be done; `None` is never.
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// A request is done with; another may stand in the buffer already.
    Between,
    /// No byte of the next request has come.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// The head has come, and some bytes of the body are missing.
    Body(Box<Request>, BodyDrain),
    /// The reply is on its way.
    Reply(Box<Reply>),
    /// All was said; true if the client may still be sending.
    Last(bool),
    /// The client is given time to read the reply; so many bytes came meanwhile.
    Lingering(usize),
    Over,
}

#[derive(Debug)]
struct Reply {
    wire: Wire,
    /// The request line, for the log.
    line: String,
    /// True if the request was taken off the connection with all that belongs to it.
    all_read: bool,
}

fn within(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

impl<'a, H: Handler + ?Sized, O: Observer> Conversation<'a, H, O> {
    /// A connection on which nothing has come yet.
    #[must_use]
    pub fn new(handler: &'a H, patience: &'a Patience, observer: O) -> Conversation<'a, H, O> {
        let (state, buffer) = (State::Between, Vec::new());
        Conversation { handler, patience, observer, state, buffer, deadline: None }
    }

    /// What is to be done next. Never waits for the client, but may for the disk.
    ///
    /// # Errors
    ///
    /// If the file that is sent cannot be read. The connection must be broken off.
    pub fn step(&mut self) -> io::Result<Step> {
        loop {
            match &mut self.state {
                State::Between => self.begin(),
                State::Idle | State::Head | State::Body(..) | State::Lingering(_) => return Ok(Step::Read),
                State::Last(_) => return Ok(Step::Finish),
                State::Over => return Ok(Step::Close),
                State::Reply(reply) if !reply.wire.unsent().is_empty() => return Ok(Step::Write),
                State::Reply(reply) => {
                    self.deadline = within(self.patience.piece);
                    match reply.wire.fill() {
                        Ok(true) => return Ok(Step::Write),
                        Ok(false) => self.answered(),
                        Err(error) => return Err(self.broken(error)),
                    }
                }
            }
        }
    }

    /// When the step that [`Conversation::step`] gave must be done; `None` is never. If it is not, say so with
    /// [`io::ErrorKind::TimedOut`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is to be written next; empty unless the step is [`Step::Write`].
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        match &self.state {
            State::Reply(reply) => reply.wire.unsent(),
            _ => &[],
        }
    }

    /// Tells what came: some bytes, none if the client will send no more, or the error.
    ///
    /// # Errors
    ///
    /// The error that came, if the connection is broken by it. That a client is gone or silent between two requests is none.
    pub fn received(&mut self, came: io::Result<&[u8]>) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Idle => {
                self.observer.busy();
                match came {
                    Ok([]) => self.last(false),
                    Err(error) if is_silence(&error) => self.last(false),
                    Err(error) => return Err(error),
                    Ok(bytes) => {
                        self.buffer.extend_from_slice(bytes);
                        self.deadline = within(self.patience.request);
                        self.look();
                    }
                }
            }
            State::Head => match came {
                Ok([]) => self.last(false),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let line = first_line(&self.buffer);
                    self.refuse(Refusal {
                        status: Status::REQUEST_TIMEOUT,
                        reason: "the request did not come in time".into(),
                        line,
                    });
                }
                Err(error) if is_silence(&error) => self.last(false),
                Err(error) => return Err(error),
                Ok(bytes) => {
                    self.buffer.extend_from_slice(bytes);
                    // Not for each byte of a client that sends byte by byte: what ends no line ends no head.
                    if bytes.contains(&b'\n') || self.buffer.len() > self.patience.limits.line {
                        self.look();
                    } else {
                        self.state = State::Head;
                    }
                }
            },
            State::Body(request, drain) => {
                let (status, reason) = match came {
                    Ok([]) => (Status::BAD_REQUEST, "the body ends too early"),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        (Status::REQUEST_TIMEOUT, "the body did not come in time")
                    }
                    Err(error) => return Err(error),
                    Ok(bytes) => {
                        self.buffer.extend_from_slice(bytes);
                        self.drain(request, drain);
                        return Ok(());
                    }
                };
                self.refuse(Refusal { status, reason: reason.into(), line: request.line });
            }
            State::Lingering(dropped) => {
                if let Ok(bytes @ [_, ..]) = came
                    && dropped + bytes.len() < LINGER
                {
                    self.state = State::Lingering(dropped + bytes.len());
                }
            }
            other => {
                debug_assert!(false, "nothing was to be read");
                self.state = other;
            }
        }
        Ok(())
    }

    /// Tells how many bytes of [`Conversation::unsent`] were written, or the error.
    ///
    /// # Errors
    ///
    /// The error, which has broken the connection.
    pub fn sent(&mut self, count: io::Result<usize>) -> io::Result<()> {
        match (&mut self.state, count) {
            (_, Err(error)) => return Err(self.broken(error)),
            (State::Reply(reply), Ok(count)) => reply.wire.advance(count),
            (_, Ok(_)) => debug_assert!(false, "nothing was to be written"),
        }
        Ok(())
    }

    /// Tells whether the client could be told that this was all.
    pub fn finished(&mut self, result: io::Result<()>) {
        // Closing a socket with unread bytes resets the connection, and the client may lose the reply. What goes wrong from
        // here on concerns nobody any more.
        self.state = match (&self.state, result) {
            (State::Last(true), Ok(())) => State::Lingering(0),
            _ => State::Over,
        };
    }

    /// Waits for a request, or takes the one that has come already.
    fn begin(&mut self) {
        // Some clients send a blank line behind a body; that does not begin a request.
        let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.buffer.drain(..blank);
        if !self.buffer.is_empty() {
            self.deadline = within(self.patience.request);
            return self.look();
        }
        // An idle connection should cost little.
        self.buffer = Vec::new();
        if self.observer.idle() {
            self.state = State::Idle;
            self.deadline = within(self.patience.idle);
        } else {
            self.last(false);
        }
    }

    /// Looks whether the buffer has a whole head.
    fn look(&mut self) {
        match Request::parse(&self.buffer, &self.patience.limits) {
            Ok(Parsed::Partial) => self.state = State::Head,
            Err(refusal) => self.refuse(refusal),
            Ok(Parsed::Whole(request, length)) => {
                self.buffer.drain(..length);
                // A client that waits for permission to send a body is told the outcome instead, and need not send it.
                if request.expects_continue {
                    return self.respond(&request);
                }
                let drain = BodyDrain::new(request.body, self.patience.limits.body);
                if !drain.is_done() {
                    self.deadline = within(self.patience.request);
                }
                self.drain(request, drain);
            }
        }
    }

    /// Takes what there is of the body of `request` off the buffer.
    fn drain(&mut self, request: Box<Request>, mut drain: BodyDrain) {
        match drain.feed(&self.buffer) {
            Ok(taken) => drop(self.buffer.drain(..taken)),
            Err(error) => {
                let too_large = error == BodyError::TooLarge;
                let status = if too_large { Status::CONTENT_TOO_LARGE } else { Status::BAD_REQUEST };
                let reason = error.to_string().into();
                return self.refuse(Refusal { status, reason, line: request.line });
            }
        }
        if drain.is_done() {
            self.respond(&request);
        } else {
            self.state = State::Body(request, drain);
        }
    }

    fn respond(&mut self, request: &Request) {
        let mut response = self.handler.respond(request);
        if request.expects_continue {
            response = response.closing();
        }
        let wire = response.into_wire(Some(request), !self.observer.is_stopping());
        let (line, all_read) = (request.line.clone(), !request.expects_continue);
        self.state = State::Reply(Box::new(Reply { wire, line, all_read }));
    }

    fn refuse(&mut self, refusal: Refusal) {
        let page = Response::page(refusal.status, &sentence(&refusal.reason));
        let response = page.closing().only_head(refusal.line.starts_with("HEAD "));
        let wire = response.into_wire(None, false);
        self.state = State::Reply(Box::new(Reply { wire, line: refusal.line, all_read: false }));
    }

    /// The reply is out.
    fn answered(&mut self) {
        let State::Reply(reply) = std::mem::replace(&mut self.state, State::Between) else { return };
        let (keep_alive, all_read) = (reply.wire.keep_alive(), reply.all_read);
        self.tell(*reply);
        if !keep_alive {
            self.last(!(all_read && self.buffer.is_empty()));
        }
    }

    /// The connection broke; a reply that was on its way is told all the same.
    fn broken(&mut self, error: io::Error) -> io::Error {
        if let State::Reply(reply) = std::mem::replace(&mut self.state, State::Over) {
            self.tell(*reply);
        }
        error
    }

    fn tell(&self, Reply { wire, line, .. }: Reply) {
        let (status, content, time) = (wire.status(), wire.content(), SystemTime::now());
        self.observer.answered(&Exchange { line, status, content, time });
    }

    /// Nothing more will be said.
    fn last(&mut self, linger: bool) {
        self.deadline = within(self.patience.linger);
        self.state = State::Last(linger);
    }
}

/// True if the client has gone away or fallen silent, which clients may do when they have nothing under way.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(error.kind(), TimedOut | ConnectionReset | BrokenPipe | UnexpectedEof)
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

/// `reason`, which begins in lower case and has no full stop, as a page shows it.
fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Part;

    fn page(_: &Request) -> Response {
        Response::new(Status::OK).body(vec![Part::Bytes(b"page".to_vec())])
    }

    #[test]
    fn asking_again_changes_neither_step_nor_deadline() {
        let patience = Patience::of(Duration::from_secs(60));
        let mut talk = Conversation::new(&page, &patience, ());
        let head = b"GET / HTTP/1.0\r\n\r\n";
        let mut sent = Vec::new();
        // Every byte comes and goes on its own, and each step is asked for twice.
        let mut rest = &head[..];
        loop {
            let step = talk.step().expect("no file is sent");
            let deadline = talk.deadline();
            assert_eq!((talk.step().expect("no file is sent"), talk.deadline()), (step, deadline));
            match step {
                Step::Read => {
                    let (byte, after) = rest.split_at(1);
                    talk.received(Ok(byte)).expect("no error came");
                    rest = after;
                }
                Step::Write => {
                    sent.push(talk.unsent()[0]);
                    talk.sent(Ok(1)).expect("no error came");
                    assert!(talk.deadline() >= deadline);
                }
                Step::Finish => talk.finished(Ok(())),
                Step::Close => break,
            }
        }
        assert!(rest.is_empty() && sent.starts_with(b"HTTP/1.1 200 ") && sent.ends_with(b"\r\n\r\npage"));
    }

    #[test]
    fn slowly_sent_bytes_buy_no_time() {
        let patience = Patience::of(Duration::from_secs(60));
        let mut talk = Conversation::new(&page, &patience, ());
        assert_eq!(talk.step().expect("no file is sent"), Step::Read);
        talk.received(Ok(b"G")).expect("no error came");
        let deadline = talk.deadline();
        for byte in b"ET / HTTP/1.1\r\nA: b" {
            talk.received(Ok(&[*byte])).expect("no error came");
            assert_eq!((talk.step().expect("no file is sent"), talk.deadline()), (Step::Read, deadline));
        }
    }
}
