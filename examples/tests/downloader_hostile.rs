//! What the downloader makes of servers that do not behave: one line for each file, and the others arrive.

mod downloader_fixture;

use downloader_fixture::{Server, listing, noise, reset, run, send, send_raw, send_some, wait_for_end};
use std::fs;
use std::net::TcpListener;
use tempfile::tempdir;

fn hostile() -> Server {
    Server::start(|request, stream| match request.path.as_str() {
        "/reset" => reset(stream),
        "/reset-midway" => {
            send_some(stream, "", 1000, b"beginning");
            reset(stream);
        }
        "/reset-without-length" => {
            send_raw(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbeginning");
            reset(stream);
        }
        "/silent" => wait_for_end(stream),
        "/stall" => {
            send_some(stream, "", 1000, b"beginning");
            wait_for_end(stream);
        }
        "/short" => send_some(stream, "", 1000, b"beginning"),
        "/short-chunks" => send_raw(
            stream,
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n",
        ),
        "/closed" => {}
        "/nonsense" => send_raw(stream, b"220 mail.example.org ESMTP\r\n\r\n"),
        "/damaged" => send_some(stream, "Content-Encoding: gzip\r\n", 40, &[b'z'; 40]),
        "/round" => redirect(stream, 302, "/and-round"),
        "/and-round" => redirect(stream, 302, "/round"),
        "/self" => redirect(stream, 301, "/self"),
        "/nowhere" => {
            send_raw(stream, b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        "/choices" => {
            send_raw(
                stream,
                b"HTTP/1.1 300 Multiple Choices\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            );
        }
        "/unmodified" => send_raw(stream, b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"),
        "/out" => redirect(stream, 302, "ftp://127.0.0.1/x"),
        "/missing" => {
            send_raw(stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone")
        }
        "/failing" => {
            send_raw(stream, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        "/later" => send_raw(
            stream,
            b"HTTP/1.1 503 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        "/without-length" => send_raw(stream, b"HTTP/1.0 200 OK\r\n\r\nwhole"),
        path => match path.strip_prefix("/far/").map(|left| left.parse::<u32>().unwrap()) {
            Some(left) => redirect(stream, 307, &format!("/far/{}", left - 1)),
            None => send(stream, "", &noise(7, 100_000)),
        },
    })
}

fn redirect(stream: &mut std::net::TcpStream, status: u16, to: &str) {
    let text =
        format!("HTTP/1.1 {status} Go\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    send_raw(stream, text.as_bytes());
}

#[test]
fn each_failure_is_one_line_and_the_others_arrive() {
    // On a busy machine more than the silent ones may be late: then once more, with more time.
    let patience = ["0.5", "2", "8", "30"];
    assert!(
        patience.into_iter().any(all_but_the_silent_are_in_time),
        "too many are late, however long it waits"
    );
}

/// Whether in this time, in seconds, something has arrived from all but those that are silent on purpose.
fn all_but_the_silent_are_in_time(patience: &str) -> bool {
    let server = hostile();
    let folder = tempdir().unwrap();
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let late = format!("nothing arrived for {patience} s");
    let circle =
        format!("redirected in a circle: {0} -> {1} -> {0}", server.url("/round"), server.url("/and-round"));
    let own_circle = format!("redirected in a circle: {0} -> {0}", server.url("/self"));
    let expected = [
        (server.url("/reset"), "no connection: connection reset by peer"),
        (server.url("/reset-midway"), "connection reset by peer"),
        (server.url("/reset-without-length"), "connection reset by peer"),
        (server.url("/silent"), late.as_str()),
        (server.url("/stall"), late.as_str()),
        (server.url("/short"), "the server sent only 9 of 1000 bytes"),
        (server.url("/short-chunks"), "in the middle of the file, after 9 bytes"),
        (server.url("/closed"), "without an answer"),
        (server.url("/nonsense"), "not understood"),
        (server.url("/damaged"), "the compressed body is damaged"),
        (server.url("/round"), circle.as_str()),
        (server.url("/self"), own_circle.as_str()),
        (server.url("/far/50"), "redirected more than 10 times"),
        (server.url("/nowhere"), "missing a location header"),
        (server.url("/choices"), "missing a location header"),
        (server.url("/unmodified"), "304 Not Modified"),
        (server.url("/out"), "unknown scheme: ftp"),
        (server.url("/missing"), "the server answered 404 Not Found"),
        (server.url("/failing"), "the server answered 500 Internal Server Error"),
        (format!("http://{closed}/"), "no connection: connection refused"),
        ("http://no-such-host.invalid/".to_owned(), "unknown host"),
        ("ftp://127.0.0.1/x".to_owned(), "ftp is not supported"),
        ("nonsense".to_owned(), "not a URL"),
        ("http://".to_owned(), "not a URL"),
    ];
    let mut line: Vec<String> = expected.iter().map(|(url, _)| url.clone()).collect();
    line.extend([server.url("/good-1"), server.url("/without-length"), server.url("/good-2")]);
    line.extend(["--timeout", patience, "--retries", "0"].map(str::to_owned));
    let outcome = run(folder.path(), &line);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    let errors = outcome.errors();
    if errors.iter().filter(|line| line.contains(&late)).count() > 2 {
        return false;
    }
    for (url, text) in &expected {
        let lines: Vec<_> =
            errors.iter().filter(|line| line.starts_with(&format!("downloader: {url}: "))).collect();
        assert_eq!(lines.len(), 1, "{url}: {errors:#?}");
        assert!(lines[0].contains(text), "{url}: {}", lines[0]);
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for name in ["good-1", "good-2"] {
        assert!(fs::read(folder.path().join(name)).unwrap() == noise(7, 100_000), "{name} differs");
    }
    assert_eq!(fs::read(folder.path().join("without-length")).unwrap(), b"whole");
    let whole = listing(folder.path()).into_iter().filter(|name| !name.ends_with(".part")).count();
    assert_eq!(whole, 3, "{:?}", listing(folder.path()));
    assert!(outcome.summary().starts_with("3 files, 24 failed, "), "{outcome:?}");
    true
}

#[test]
fn what_may_pass_is_tried_again_and_the_rest_is_not() {
    let server = hostile();
    let folder = tempdir().unwrap();
    let line = ["/short", "/failing", "/missing", "/self"].map(|path| server.url(path));
    let outcome = run(folder.path(), &[&line[..], &["--retries".to_owned(), "1".to_owned()]].concat());
    assert_eq!((outcome.code, outcome.errors().len()), (1, 4), "{outcome:?}");
    let times = ["/short", "/failing", "/missing", "/self"].map(|path| server.requests(path).len());
    assert_eq!(times, [2, 2, 1, 11]);
}

#[test]
fn server_says_how_long_to_wait() {
    let server = hostile();
    let folder = tempdir().unwrap();
    let outcome = run(folder.path(), &[server.url("/later").as_str(), "--retries", "1"]);
    assert_eq!((outcome.code, server.requests("/later").len()), (1, 2), "{outcome:?}");
    assert!(outcome.took >= std::time::Duration::from_secs(1), "{outcome:?}");
}
