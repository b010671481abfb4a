//! Connections over clients in memory.

use super::*;
use crate::http::{Method, Part, Status};
use osier::time::{Duration, Instant};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Read, Write};

/// A client in memory: what it sends, piece by piece, and what it got.
#[derive(Default)]
struct Client {
    /// Each read gets one piece; an error once, and then the end.
    pieces: VecDeque<Result<Vec<u8>, io::ErrorKind>>,
    got: Vec<u8>,
    finished: bool,
}

impl Client {
    fn sends(pieces: &[&str]) -> Client {
        let pieces = pieces.iter().map(|piece| Ok(piece.as_bytes().to_vec())).collect();
        Client { pieces, ..Client::default() }
    }

    fn then(mut self, error: io::ErrorKind) -> Client {
        self.pieces.push_back(Err(error));
        self
    }

    /// Status lines and bodies of the replies.
    fn replies(&self) -> Vec<(u16, String)> {
        let text = String::from_utf8(self.got.clone()).expect("UTF-8");
        let mut rest = text.as_str();
        let mut replies = Vec::new();
        while !rest.is_empty() {
            let (head, after) = rest.split_once("\r\n\r\n").expect("an end of the head");
            let code = head[9..12].parse().expect("a status");
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.map_or(0, |length| length.parse().expect("a number"));
            let (body, after) = after.split_at(length);
            replies.push((code, body.to_owned()));
            rest = after;
        }
        replies
    }
}

impl Read for Client {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.pieces.pop_front() {
            None => Ok(0),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(mut piece)) => {
                let count = piece.len().min(bytes.len());
                bytes[..count].copy_from_slice(&piece[..count]);
                if count < piece.len() {
                    self.pieces.push_front(Ok(piece.split_off(count)));
                }
                Ok(count)
            }
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.finished, "a write behind the end");
        self.got.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Client {
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        assert!(deadline.is_some(), "a wait without end");
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        Ok(())
    }
}

#[derive(Default)]
struct Watcher {
    /// True for a server that is about to stop.
    stopping: Cell<bool>,
    idle: Cell<u32>,
    busy: Cell<u32>,
    log: RefCell<Vec<(String, u16)>>,
}

impl Observer for Watcher {
    fn idle(&self) -> bool {
        self.idle.set(self.idle.get() + 1);
        !self.stopping.get()
    }

    fn busy(&self) {
        self.busy.set(self.busy.get() + 1);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn answered(&self, exchange: &Exchange) {
        self.log.borrow_mut().push((exchange.line.clone(), exchange.status.code()));
    }
}

/// Answers with the path, and an unknown method with 405.
fn echo(request: &Request) -> Response {
    if let Method::Other(_) = request.method {
        return Response::new(Status::METHOD_NOT_ALLOWED);
    }
    Response::new(Status::OK).body(vec![Part::Bytes(request.target.path().to_vec())])
}

fn serve(mut client: Client) -> (Client, Watcher) {
    let watcher = Watcher::default();
    let patience = Patience::of(Duration::from_secs(60));
    serve_connection(&mut client, &echo, &patience, &watcher).expect("no error");
    (client, watcher)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let text = get("/a") + &get("/b") + &get("/c");
    for size in 1..=text.len() {
        let pieces: Vec<&str> =
            text.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
        let (client, watcher) = serve(Client::sends(&pieces));
        assert_eq!(
            client.replies(),
            ["/a", "/b", "/c"].map(|path| (200, path.to_owned())),
            "pieces of {size}"
        );
        assert_eq!(watcher.idle.get(), watcher.busy.get());
        assert!(client.finished);
    }
}

#[test]
fn the_body_of_a_request_is_not_taken_for_the_next_request() {
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n";
    let exact = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nGET /x ";
    let (client, _) = serve(Client::sends(&[chunked, exact, &get("/a")]));
    assert_eq!(client.replies().iter().map(|(code, _)| *code).collect::<Vec<_>>(), [405, 405, 200]);
}

#[test]
fn a_blank_line_behind_a_request_leaves_the_connection_idle() {
    let (client, watcher) =
        serve(Client::sends(&[&(get("/a") + "\r\n"), &get("/b")]).then(io::ErrorKind::TimedOut));
    assert_eq!(client.replies().iter().map(|(code, _)| *code).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(watcher.idle.get(), 3);
}

#[test]
fn a_refusal_ends_the_connection_and_what_follows_is_dropped() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
        (get(&format!("/{}", "x".repeat(9000))), 414),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(40_000)), 431),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(), 400),
    ] {
        let (client, watcher) = serve(Client::sends(&[&head, &get("/a"), &get("/b")]));
        let replies = client.replies();
        assert_eq!(replies.len(), 1, "{head}");
        assert_eq!(replies[0].0, expected, "{head}");
        assert!(
            client.finished && client.pieces.is_empty(),
            "the client could not have read the reply: {head}"
        );
        assert_eq!(watcher.log.borrow()[0].1, expected);
    }
}

#[test]
fn a_connection_that_ends_in_a_head_is_no_request() {
    for beginning in ["", "\r\n", "GET", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let (client, watcher) = serve(Client::sends(&[beginning]));
        assert_eq!(client.got, b"", "{beginning:?}");
        assert!(watcher.log.borrow().is_empty());
    }
    let (client, _) = serve(Client::sends(&["GET / H"]).then(io::ErrorKind::ConnectionReset));
    assert_eq!(client.got, b"");
}

#[test]
fn silence_ends_a_connection_and_a_late_request_is_told_so() {
    let (client, watcher) = serve(Client::sends(&[&get("/a")]).then(io::ErrorKind::TimedOut));
    assert_eq!(client.replies().len(), 1);
    assert_eq!(watcher.log.borrow().len(), 1);
    let (client, watcher) = serve(Client::sends(&["GET / HTTP/1.1\r\nHo"]).then(io::ErrorKind::TimedOut));
    assert_eq!(client.replies()[0].0, 408);
    assert_eq!(watcher.log.borrow()[0], ("GET / HTTP/1.1".to_owned(), 408));
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nabc";
    let (client, _) = serve(Client::sends(&[head]).then(io::ErrorKind::TimedOut));
    assert_eq!(client.replies()[0].0, 408);
    let (client, _) = serve(Client::sends(&[head]));
    assert_eq!(client.replies()[0].0, 400);
}

#[test]
fn a_client_that_waits_for_permission_is_told_the_outcome_instead() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    let (client, _) = serve(Client::sends(&[head, "GET /x "]));
    assert_eq!(client.replies(), [(405, String::new())]);
    assert!(client.finished);
}

#[test]
fn a_server_that_stops_answers_what_has_begun_and_ends_the_connection() {
    let watcher = Watcher::default();
    let handler = |request: &Request| {
        watcher.stopping.set(true);
        echo(request)
    };
    let mut client = Client::sends(&[&(get("/a") + &get("/b"))]);
    let patience = Patience::of(Duration::from_secs(60));
    serve_connection(&mut client, &handler, &patience, &watcher).expect("no error");
    assert_eq!(client.replies(), [(200, "/a".to_owned())]);
    assert!(String::from_utf8_lossy(&client.got).contains("\r\nConnection: close\r\n"));
    let mut late = Client::sends(&[&get("/c")]);
    serve_connection(&mut late, &handler, &patience, &watcher).expect("no error");
    assert_eq!(late.got, b"");
}

#[test]
#[allow(clippy::print_stdout, reason = "a random test prints its seed")]
fn no_bytes_whatever_make_it_panic() {
    // A seeded generator of junk that looks a little like HTTP.
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15_u64);
    println!("SEED={seed}");
    let mut state = seed;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let words = [
        "GET",
        "HEAD",
        "POST",
        " ",
        "/",
        "..",
        "%2e",
        "%",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "Host: x",
        ":",
        "Content-Length: ",
        "5",
        "Transfer-Encoding: chunked",
        "0\r\n\r\n",
        "Range: bytes=",
        "-",
        ",",
        "\0",
        "\u{fffd}",
        "ü",
    ];
    for _ in 0..5_000 {
        let pieces: Vec<String> = (0..1 + random(4))
            .map(|_| (0..random(12)).map(|_| words[random(words.len())]).collect())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).filter(|piece| !piece.is_empty()).collect();
        let (client, _) = serve(Client::sends(&pieces));
        assert!(client.got.is_empty() || client.got.starts_with(b"HTTP/1.1 "), "{pieces:?}");
    }
}
