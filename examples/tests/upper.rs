//! `upper`: its client at the prompt, both ways to serve, and ten thousand clients at once.

mod program;

use program::{assert_refuses, deaf, lines, run};
use rustix::process::{Resource, getrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

const UPPER: &str = env!("CARGO_BIN_EXE_upper");

/// A server that ends with its handle.
struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn start(mode: &str) -> Server {
        let mut process = Command::new(UPPER)
            .args(["server", "127.0.0.1:0", "--mode", mode])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server runs");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the server says where it listens");
        let addr = line.trim().strip_prefix("listening at ").unwrap_or_else(|| panic!("{line:?}"));
        Server { process, addr: addr.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the client prints when this is typed.
fn client(addr: &str, typed: &str) -> Output {
    let mut process = Command::new(UPPER)
        .args(["client", addr])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client runs");
    // One that does not listen, since it cannot connect, shows in its output.
    let _ = process.stdin.take().expect("it is piped").write_all(typed.as_bytes());
    process.wait_with_output().expect("the client ends")
}

#[test]
fn the_client_shows_answers_until_q() {
    for mode in ["green", "thread", "process"] {
        let server = Server::start(mode);
        // Connected, silent, and in nobody's way.
        let idle = TcpStream::connect(&server.addr).expect("the server accepts");
        let output = client(&server.addr, "hello\n\n   \nGrüße, Ada\nq\nnever\n");
        assert_eq!(lines(&output), ["> HELLO", "> > > GRÜSSE, ADA", "> "], "{mode}");
        // The end of the input ends it too.
        assert_eq!(lines(&client(&server.addr, "bye")), ["> BYE", "> "], "{mode}");
        drop(idle);
    }
}

#[test]
fn a_line_without_an_end_is_answered_and_one_that_is_too_long_is_not() {
    let server = Server::start("green");
    let talk = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&server.addr).expect("the server accepts");
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    };
    assert_eq!(talk(b"one\ntwo"), b"ONE\nTWO");
    assert_eq!(talk(b""), b"");
    assert_eq!(talk(&vec![b'x'; 100_000]), b"");
    assert_eq!(talk(b"still there"), b"STILL THERE");
}

#[test]
fn ten_thousand_clients_talk_at_once_on_one_os_thread_a_process() {
    // Or as many as a process may have descriptors for.
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let clients = 10_000.min(most - 100);
    let lines = lines(&run(UPPER, &["load", "--clients", &clients.to_string()]));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{clients} clients are connected after ")), "{lines:?}");
    let answers = format!("{} right answers, all at once, in ", 3 * clients);
    assert!(lines[1].starts_with(&answers), "{lines:?}");
    assert_eq!(lines[2], "OS threads: 1 of the server, 1 of the clients");
}

#[test]
fn several_workers_share_the_clients() {
    let lines = lines(&run(UPPER, &["load", "--clients", "500", "--workers", "2"]));
    assert_eq!(lines.last().map(String::as_str), Some("OS threads: 2 of the server, 1 of the clients"));
}

#[test]
fn with_os_threads_there_is_one_for_each_client() {
    let lines = lines(&run(UPPER, &["load", "--clients", "100", "--mode", "thread"]));
    assert_eq!(lines.last().map(String::as_str), Some("OS threads: 101 of the server, 1 of the clients"));
}

#[test]
fn bad_input_is_refused() {
    let (_socket, deaf) = deaf();
    let taken = Server::start("green");
    assert_refuses(
        UPPER,
        &[
            &[],
            &["server", "nowhere"],
            &["server", &taken.addr],
            &["server", "--mode", "fibre"],
            &["load", "--clients", "0"],
            &["load", "--clients", "many"],
            &["load", "--workers", "0"],
        ],
    );
    let refused = client(&deaf.to_string(), "hello\n");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(said, format!("upper: cannot connect to {deaf}: Connection refused (os error 111)\n"));
}
