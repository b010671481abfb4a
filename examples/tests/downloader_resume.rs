//! Going on where an earlier attempt, or an earlier run, stopped.

mod downloader_fixture;

use downloader_fixture::{Request, Server, listing, noise, run, send, send_raw, send_some};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use tempfile::{TempDir, tempdir};

const WHOLE: usize = 50_000;
const BROKEN: usize = 20_000;

fn body() -> Vec<u8> {
    noise(11, WHOLE)
}

/// Answers the first request with less than it announces, the others as `then` says.
fn broken_first(
    headers: &'static str,
    then: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
) -> Server {
    let first = std::sync::atomic::AtomicBool::new(true);
    Server::start(move |request, stream| {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            send_some(stream, headers, WHOLE, &body()[..BROKEN]);
        } else {
            then(request, stream);
        }
    })
}

fn send_rest(request: &Request, stream: &mut TcpStream, tag: &str) {
    match request.header("range") {
        Some(range) => {
            let start: usize =
                range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
            let rest = &body()[start..];
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: {}\r\n\
                 Content-Range: bytes {start}-{}/{WHOLE}\r\nETag: {tag}\r\n\r\n",
                rest.len(),
                WHOLE - 1
            );
            send_raw(stream, head.as_bytes());
            send_raw(stream, rest);
        }
        None => send(stream, &format!("ETag: {tag}\r\n"), &body()),
    }
}

fn assert_whole(folder: &Path) {
    assert_eq!(listing(folder), ["f.bin"]);
    assert!(fs::read(folder.join("f.bin")).unwrap() == body(), "f.bin differs");
}

/// Runs without retries until the file is broken off; gives the folder with its `.part`.
fn broken_off(server: &Server) -> TempDir {
    let folder = tempdir().unwrap();
    let outcome = run(folder.path(), &[server.url("/f.bin").as_str(), "--retries", "0"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(
        listing(folder.path()).iter().all(|name| name.ends_with(".part")),
        "{:?}",
        listing(folder.path())
    );
    assert_eq!(fs::metadata(folder.path().join("f.bin.part")).unwrap().len(), BROKEN as u64);
    folder
}

fn resume(server: &Server, folder: &Path) -> String {
    let outcome = run(folder, &[server.url("/f.bin").as_str(), "--retries", "0", "--resume"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    outcome.stdout
}

#[test]
fn retry_asks_only_for_what_is_missing() {
    let server = broken_first("ETag: \"v1\"\r\n", |request, stream| send_rest(request, stream, "\"v1\""));
    let folder = tempdir().unwrap();
    let outcome = run(folder.path(), &[server.url("/f.bin")]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    assert_whole(folder.path());
    let second = &server.requests("/f.bin")[1];
    assert_eq!(second.header("range"), Some("bytes=20000-"));
    assert_eq!(second.header("if-range"), Some("\"v1\""));
    assert_eq!(second.header("accept-encoding"), Some("identity"));
}

#[test]
fn later_run_goes_on_and_then_has_nothing_to_do() {
    let server = broken_first("ETag: \"v1\"\r\n", |request, stream| send_rest(request, stream, "\"v1\""));
    let folder = broken_off(&server);
    let output = resume(&server, folder.path());
    assert!(output.contains("30000 bytes received from "), "{output}");
    assert_whole(folder.path());
    let output = resume(&server, folder.path());
    assert!(output.contains("f.bin is there already"), "{output}");
    assert_eq!(server.requests("/f.bin").len(), 2);
}

#[test]
fn date_will_do_if_it_is_older_than_the_answer() {
    let headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:30 GMT\r\n";
    let server = broken_first(headers, |request, stream| send_rest(request, stream, "W/\"x\""));
    let folder = broken_off(&server);
    resume(&server, folder.path());
    assert_whole(folder.path());
    assert_eq!(server.requests("/f.bin")[1].header("if-range"), Some("Sun, 06 Nov 1994 08:49:30 GMT"));
}

#[test]
fn without_a_strong_validator_everything_is_asked_for_again() {
    for headers in ["", "ETag: W/\"v1\"\r\n", "ETag: \"v1\"\r\nAccept-Ranges: none\r\n"] {
        let server = broken_first(headers, |request, stream| send_rest(request, stream, "\"v1\""));
        let folder = broken_off(&server);
        resume(&server, folder.path());
        assert_whole(folder.path());
        assert_eq!(server.requests("/f.bin")[1].header("range"), None, "{headers}");
    }
}

#[test]
fn without_the_option_an_earlier_run_does_not_count() {
    let server = broken_first("ETag: \"v1\"\r\n", |request, stream| send_rest(request, stream, "\"v1\""));
    let folder = broken_off(&server);
    assert_eq!(run(folder.path(), &[server.url("/f.bin")]).code, 0);
    assert_whole(folder.path());
    assert_eq!(server.requests("/f.bin")[1].header("range"), None);
}

#[test]
fn server_that_ignores_the_range_sends_everything() {
    let server = broken_first("ETag: \"v1\"\r\n", |_, stream| send(stream, "ETag: \"v2\"\r\n", &body()));
    let folder = broken_off(&server);
    resume(&server, folder.path());
    assert_whole(folder.path());
}

#[test]
fn part_that_is_whole_already_is_only_renamed() {
    let server = broken_first("ETag: \"v1\"\r\n", |request, stream| {
        assert_eq!(request.header("range"), Some("bytes=50000-"));
        let head = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */50000\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
        send_raw(stream, head.as_bytes());
    });
    let folder = broken_off(&server);
    fs::write(folder.path().join("f.bin.part"), body()).unwrap();
    resume(&server, folder.path());
    assert_whole(folder.path());
}

#[test]
fn part_that_is_too_long_or_from_another_version_is_begun_again() {
    // 416 with another length; 206 with another tag; 206 with another place.
    let answers = [
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */777\r\nContent-Length: 0\r\n",
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 20000-49999/50000\r\nETag: \"v2\"\r\nContent-Length: 30000\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-49999/50000\r\nContent-Length: 50000\r\n",
    ];
    for answer in answers {
        let server = broken_first("ETag: \"v1\"\r\n", move |request, stream| match request.header("range") {
            Some(_) => send_raw(stream, format!("{answer}Connection: close\r\n\r\n").as_bytes()),
            None => send(stream, "ETag: \"v2\"\r\n", &body()),
        });
        let folder = broken_off(&server);
        resume(&server, folder.path());
        assert_whole(folder.path());
        assert_eq!(server.requests("/f.bin").len(), 3, "{answer}");
    }
}
