//! The program `server`, run as its users run it, in each of its modes.

mod web;

use rustix::process::Signal;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use web::{LARGE, PATIENCE, Program, Reply, Tree, ask, connect, most_descriptors, send};

const GET: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Makes a test in each mode of each of these.
macro_rules! in_each_mode {
    ($tests:tt: $($mode:ident)*) => {
        $(in_each_mode! { @ $mode $tests })*
    };
    (@ $mode:ident { $($test:ident)* }) => {
        mod $mode {
            $(#[test]
            fn $test() {
                super::$test(stringify!($mode));
            })*
        }
    };
}

in_each_mode! {
    {
        a_connection_serves_many_requests_pipelined_or_not
        no_path_leads_out_of_the_root
        slow_clients_keep_nobody_waiting_and_are_hung_up_on
        a_client_that_does_not_read_is_hung_up_on
        more_connections_than_allowed_wait_for_a_place
        a_server_without_descriptors_recovers
        a_signal_lets_the_running_request_finish_and_ends_the_idle_ones
        a_second_signal_ends_at_once
        a_file_that_shrinks_while_it_is_sent_breaks_the_connection
    }: green thread process nonblocking epoll
}

/// Reads one reply to GET and leaves the connection open.
fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        bytes.push(byte[0]);
    }
    let head = Reply::take(&mut bytes.clone(), true);
    let length: usize =
        head.field("content-length").and_then(|length| length.parse().ok()).expect("a length");
    let start = bytes.len();
    bytes.resize(start + length, 0);
    stream.read_exact(&mut bytes[start..]).expect("a body");
    Reply::take(&mut bytes, false)
}

/// True if the connection has ended, cleanly or not.
fn is_over(result: io::Result<usize>) -> bool {
    match result {
        Ok(count) => count == 0,
        Err(error) => matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
    }
}

/// A file so large that no pair of socket buffers holds it. It has no blocks on the disk.
fn huge_file(tree: &Tree) -> u64 {
    let length = 64 << 20;
    File::create(tree.site().join("huge.bin")).and_then(|file| file.set_len(length)).expect("a file");
    length
}

fn a_connection_serves_many_requests_pipelined_or_not(mode: &str) {
    let tree = Tree::new();
    let server = Program::start(&tree, &["--mode", mode]);
    let mut stream = connect(server.address);
    for _ in 0..3 {
        stream.write_all(GET).expect("a request");
        assert_eq!(read_reply(&mut stream).body, b"0123456789abcdefghijklmnopqrstuvwxyz");
    }
    let mut requests = GET.repeat(500);
    requests.extend_from_slice(
        b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\nHEAD /large.bin HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    requests.extend_from_slice(LAST);
    let mut replies = send(server.address, &requests);
    for _ in 0..500 {
        assert_eq!(Reply::take(&mut replies, false).status, 200);
    }
    assert_eq!(Reply::take(&mut replies, false).body.len(), LARGE);
    assert_eq!(Reply::take(&mut replies, true).status, 200);
    assert_eq!(Reply::take(&mut replies, false).status, 200);
    assert_eq!(replies, b"");
    assert_eq!(server.log().lines().count(), 3 + 503);
    let line = server.log().lines().next().map(str::to_owned).expect("a line");
    assert!(
        line.starts_with("127.0.0.1 - - [") && line.ends_with("] \"GET /a.txt HTTP/1.1\" 200 36"),
        "{line}"
    );
}

fn no_path_leads_out_of_the_root(mode: &str) {
    let tree = Tree::new();
    let server = Program::start(&tree, &["--mode", mode, "--quiet"]);
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/dir/../../secret.txt",
        "/dir/%2e%2e/%2e%2e/secret.txt",
        "/./../secret.txt",
        "//../secret.txt",
        "/%252e%252e/secret.txt",
        "/..\\secret.txt",
        "/%5c..%5csecret.txt",
        "/..%00/secret.txt",
        "/a.txt%00/../../secret.txt",
        "/..;/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/out.txt",
        "/up/secret.txt",
        "/up/",
        "/absolute",
        "//etc/passwd",
        "/etc/passwd",
        "http://x/../secret.txt",
        "file:///etc/passwd",
    ] {
        let reply = ask(server.address, "GET", path, "");
        assert!((400..500).contains(&reply.status), "{path} got {}", reply.status);
        let body = String::from_utf8_lossy(&reply.body);
        assert!(!body.contains("root:") && reply.body != b"secret", "{path} got {body}");
    }
    let listing = ask(server.address, "GET", "/dir/", "");
    assert!(String::from_utf8_lossy(&listing.body).contains("href=\"./b.txt\""));
}

fn slow_clients_keep_nobody_waiting_and_are_hung_up_on(mode: &str) {
    // On a busy machine the first of them may be gone before the last has come: then once more, with more time.
    let answered = [3, 10, 30].into_iter().any(|seconds| answers_beside_slow_clients(mode, seconds));
    assert!(answered, "normal clients wait for the slow ones to be gone");
}

/// Whether a normal client was answered while all slow ones were there, which have so many seconds.
fn answers_beside_slow_clients(mode: &str, seconds: u64) -> bool {
    let tree = Tree::new();
    let count = match mode {
        // Other tests have some, too.
        "green" => 1000.min(most_descriptors() - 200),
        "process" => 30,
        _ => 100,
    };
    let server = Program::start(&tree, &["--mode", mode, "--quiet", "--timeout", &seconds.to_string()]);
    let head = b"GET /a.txt HTTP/1.1\r\nHost: x\r\nSlow: ";
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = (0..count).map(|_| connect(server.address)).collect();
    for stream in &mut slow {
        stream.write_all(head).expect("a beginning");
        stream.set_nonblocking(true).expect("a flag");
    }
    // Normal clients: all of them, those that were answered while all slow ones were there, and those that waited for long.
    let (mut asked, mut beside, mut late) = (0, 0, 0);
    while !slow.is_empty() {
        assert!(begin.elapsed() < PATIENCE, "{} slow clients are still served", slow.len());
        // Each sends a byte now and then, which must not buy it more time.
        slow.retain_mut(|stream| stream.write_all(b"x").is_ok() && stream.peek(&mut [0]).is_err());
        if slow.len() == count {
            beside = asked;
        } else {
            let too_early = Duration::from_millis(1000 * seconds - 100);
            assert!(begin.elapsed() >= too_early, "they were hung up on before their time");
        }
        let start = Instant::now();
        assert_eq!(ask(server.address, "GET", "/a.txt", "").status, 200);
        asked += 1;
        late += usize::from(start.elapsed() >= Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(250).saturating_sub(start.elapsed()));
    }
    // On a busy machine one or the other waits for that.
    assert!(beside == 0 || late * 2 < asked, "{late} of {asked} normal clients waited for long");
    beside > 0
}

fn a_client_that_does_not_read_is_hung_up_on(mode: &str) {
    let tree = Tree::new();
    let length = huge_file(&tree);
    let server = Program::start(&tree, &["--mode", mode, "--timeout", "0.5"]);
    let mut stream = connect(server.address);
    stream.write_all(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let give_up = Instant::now() + PATIENCE;
    // The log has its line when the server has given up.
    while !server.log().contains("huge.bin") {
        assert!(Instant::now() < give_up, "the server waits for ever");
        assert_eq!(ask(server.address, "GET", "/a.txt", "").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!((got.len() as u64) < length, "all of it came");
}

fn more_connections_than_allowed_wait_for_a_place(mode: &str) {
    let tree = Tree::new();
    let server = Program::start(&tree, &["--mode", mode, "--quiet", "--max-conns", "1"]);
    let mut first = connect(server.address);
    first.write_all(GET).expect("a request");
    assert_eq!(read_reply(&mut first).status, 200);
    let mut second = connect(server.address);
    second.write_all(LAST).expect("a request");
    second.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert_eq!(second.read(&mut [0]).expect_err("no place").kind(), io::ErrorKind::WouldBlock);
    drop(first);
    second.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(read_reply(&mut second).status, 200);
}

fn a_server_without_descriptors_recovers(mode: &str) {
    let tree = Tree::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_server")]);
    let server = Program::start_as(shell, &tree, &["--mode", mode, "--quiet"]);
    let idle: Vec<TcpStream> = (0..60).map(|_| connect(server.address)).collect();
    let give_up = Instant::now() + PATIENCE;
    while !server.told.lock().expect("no panic").contains("cannot accept for now") {
        assert!(Instant::now() < give_up, "40 descriptors were enough for 60 connections");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut waiting = connect(server.address);
    waiting.write_all(LAST).expect("a request");
    drop(idle);
    assert_eq!(read_reply(&mut waiting).status, 200);
    assert_eq!(ask(server.address, "GET", "/a.txt", "").status, 200);
}

fn a_signal_lets_the_running_request_finish_and_ends_the_idle_ones(mode: &str) {
    let tree = Tree::new();
    let length = huge_file(&tree);
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Program::start(&tree, &["--mode", mode]);
        let mut idle = connect(server.address);
        idle.write_all(GET).expect("a request");
        assert_eq!(read_reply(&mut idle).status, 200);
        let mut running = connect(server.address);
        running.write_all(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut start = [0; 1000];
        running.read_exact(&mut start).expect("a beginning");
        server.signal(signal);
        assert!(is_over(idle.read(&mut [0])), "the idle connection goes on");
        assert!(TcpStream::connect(server.address).is_err(), "the server still accepts");
        assert!(server.is_running(), "the server ended with a request running");
        let rest = io::copy(&mut running, &mut io::sink()).expect("the rest and then the end");
        let head = start.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(start.len() as u64 + rest - head as u64, length);
        assert_eq!(server.end().code(), Some(0), "{}", server.told.lock().expect("no panic"));
        assert!(server.log().contains(&format!("/huge.bin HTTP/1.1\" 200 {length}")), "{}", server.log());
    }
}

fn a_second_signal_ends_at_once(mode: &str) {
    let tree = Tree::new();
    let length = huge_file(&tree);
    let mut server = Program::start(&tree, &["--mode", mode, "--quiet"]);
    let mut running = connect(server.address);
    running.write_all(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    running.read_exact(&mut [0; 1000]).expect("a beginning");
    let mut idle = connect(server.address);
    idle.write_all(GET).expect("a request");
    assert_eq!(read_reply(&mut idle).status, 200);
    server.signal(Signal::TERM);
    assert!(is_over(idle.read(&mut [0])), "the first signal was not heard");
    server.signal(Signal::TERM);
    assert!(!server.end().success());
    let mut rest = Vec::new();
    let _ = running.read_to_end(&mut rest);
    assert!((rest.len() as u64) < length, "somebody serves it still");
}

fn a_file_that_shrinks_while_it_is_sent_breaks_the_connection(mode: &str) {
    let tree = Tree::new();
    let length = huge_file(&tree);
    let server = Program::start(&tree, &["--mode", mode, "--quiet"]);
    let mut stream = connect(server.address);
    stream.write_all(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    stream.read_exact(&mut [0; 1000]).expect("a beginning");
    File::options()
        .write(true)
        .open(tree.site().join("huge.bin"))
        .and_then(|file| file.set_len(10))
        .expect("a cut");
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!((got.len() as u64) < length);
    assert_eq!(ask(server.address, "GET", "/huge.bin", "").body.len(), 10);
}

#[test]
fn tls_serves_the_same_files() {
    for mode in ["green", "thread", "process"] {
        tls(mode);
    }
}

fn tls(mode: &str) {
    let tree = Tree::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (tree.base().join("cert.pem"), tree.base().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let [cert, key] = [cert, key].map(|path| path.to_str().expect("UTF-8").to_owned());
    let mut server = Program::start(&tree, &["--mode", mode, "--quiet", "--cert", &cert, "--key", &key]);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let settings =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
    let settings = Arc::new(settings);
    let secure = |address: SocketAddr| {
        let name = "localhost".try_into().expect("a name");
        let session = rustls::ClientConnection::new(Arc::clone(&settings), name).expect("a session");
        rustls::StreamOwned::new(session, connect(address))
    };
    let mut stream = secure(server.address);
    stream.write_all(&[GET, b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n", LAST].concat()).expect("requests");
    let mut replies = Vec::new();
    // Without the server's farewell this would be an error.
    stream.read_to_end(&mut replies).expect("replies and a proper end");
    assert_eq!(Reply::take(&mut replies, false).body.len(), 36);
    assert_eq!(Reply::take(&mut replies, false).body.len(), LARGE);
    assert_eq!(Reply::take(&mut replies, false).body.len(), 36);

    let mut plain = connect(server.address);
    plain.write_all(GET).expect("a request");
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got);
    assert!(!got.starts_with(b"HTTP/"), "an answer without encryption");

    let mut idle = secure(server.address);
    idle.write_all(GET).expect("a request");
    let mut beginning = [0; 12];
    idle.read_exact(&mut beginning).expect("a reply");
    server.signal(Signal::TERM);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("a proper end");
    assert_eq!(server.end().code(), Some(0));
}

/// Waits until the server has what it is to have. One that has just been started goes by its maker's name for a moment.
#[track_caller]
fn comes_to<T: PartialEq + std::fmt::Debug>(mode: &str, has: impl Fn() -> T, expected: T) {
    let give_up = Instant::now() + PATIENCE;
    while has() != expected {
        assert!(Instant::now() < give_up, "{mode}: {:?} instead of {expected:?}", has());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many OS threads the server has besides those of the offload pool.
fn os_threads(server: &Program) -> usize {
    let mut names: Vec<String> = std::fs::read_dir(format!("/proc/{}/task", server.pid()))
        .expect("a directory")
        // An idle OS thread of the pool may end meanwhile.
        .filter_map(|task| std::fs::read_to_string(task.expect("a task").path().join("comm")).ok())
        .collect();
    names.retain(|name| !name.starts_with("osier-offload"));
    names.len()
}

/// Processes that `server` has started and that are there, ended or not.
fn children(server: &Program) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("a directory");
    let children =
        tasks.filter_map(|task| std::fs::read_to_string(task.expect("a task").path().join("children")).ok());
    children.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// So many connections to `server`, each of which has been answered and is open.
fn answered(server: &Program, count: usize) -> Vec<TcpStream> {
    let mut streams: Vec<TcpStream> = (0..count).map(|_| connect(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(GET).expect("a request");
    }
    for stream in &mut streams {
        assert_eq!(read_reply(stream).status, 200);
    }
    streams
}

#[test]
fn what_twenty_connections_take_depends_on_the_mode() {
    // In all modes but green one more OS thread waits for signals.
    for (mode, threads, processes) in
        [("green", 1, 0), ("thread", 22, 0), ("process", 1, 20), ("nonblocking", 2, 0), ("epoll", 2, 0)]
    {
        let tree = Tree::new();
        let server = Program::start(&tree, &["--quiet", "--mode", mode]);
        let _open = answered(&server, 20);
        comes_to(mode, || (os_threads(&server), children(&server).len()), (threads, processes));
    }
}

#[test]
fn several_workers_share_the_work() {
    for (mode, threads) in [("green", 3), ("nonblocking", 4), ("epoll", 4), ("process", 3), ("thread", 54)] {
        let tree = Tree::new();
        let mut server = Program::start(&tree, &["--quiet", "--workers", "3", "--mode", mode]);
        let mut streams = answered(&server, 50);
        comes_to(mode, || os_threads(&server), threads);
        server.signal(Signal::TERM);
        for stream in &mut streams {
            assert!(is_over(stream.read(&mut [0])), "{mode}");
        }
        assert_eq!(server.end().code(), Some(0), "{mode}");
    }
}

#[test]
fn a_process_serves_one_connection_after_another_and_one_that_dies_is_replaced() {
    let tree = Tree::new();
    let mut server = Program::start(&tree, &["--quiet", "--mode", "process", "--max-conns", "2"]);
    let first = answered(&server, 1);
    let [process] = &children(&server)[..] else { panic!("{:?}", children(&server)) };
    drop(first);
    for _ in 0..20 {
        // With two places the next connection may come before the process is back from the last.
        assert_eq!(ask(server.address, "GET", "/a.txt", "").status, 200);
    }
    assert!((1..=2).contains(&children(&server).len()) && children(&server).contains(process));
    let mut open = answered(&server, 2);
    for process in children(&server) {
        let process = process.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        rustix::process::kill_process(process, Signal::KILL).expect("a process of ours");
    }
    for stream in &mut open {
        assert!(is_over(stream.read(&mut [0])));
    }
    drop(answered(&server, 2));
    assert_eq!(children(&server).len(), 2, "those that were killed are still there");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn compare_prints_a_row_for_each_mode() {
    let compare = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_server")).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).expect("text")
    };
    let expected = [
        ("green", "1", "1"),
        ("thread", "6", "1"),
        ("process", "9", "5"),
        ("nonblocking", "2", "1"),
        ("epoll", "2", "1"),
    ];
    let mut tables = (0..5).map(|_| compare(&["--compare", "--clients", "4", "--seconds", "0.1"]));
    // What the page cache has lost an OS thread of the pool reads, and is counted.
    let found = tables.any(|table| {
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 2 + 5, "{table}");
        rows[2..].iter().zip(expected).all(|(row, (mode, threads, processes))| {
            assert!(row[1].parse::<f64>().expect("a number") > 0.0, "{table}");
            (row[0], row[row.len() - 2], row[row.len() - 1]) == (mode, threads, processes)
        })
    });
    assert!(found, "{}", compare(&["--compare", "--clients", "4", "--seconds", "0.1"]));
}

#[test]
fn bad_arguments_get_one_line_and_a_failure() {
    let tree = Tree::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("an address").to_string();
    let site = tree.site();
    let site = site.to_str().expect("UTF-8");
    let file = format!("{site}/a.txt");
    let run = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_server"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts")
    };
    for (arguments, told) in [
        (&["--mode", "poll"][..], "'poll'"),
        (&["--mode", "epoll", "--root", site, "--cert", &file, "--key", &file], "--mode epoll serves no TLS"),
        (&["--compare", "--root", site], "--compare"),
        (&["--clients", "3"], "--compare"),
        (&["--root", "/nowhere"], "/nowhere"),
        (&["--root", &file], "a.txt"),
        (&["--root", site, "--addr", &taken], &*taken),
        (&["--root", site, "--cert", &file, "--key", &file], "a.txt"),
        (&["--root", site, "--cert", &file], "--key"),
        (&["--timeout", "0"], "--timeout"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.starts_with("server: ") && said.contains(told), "{arguments:?}: {said}");
        assert_eq!(output.stdout, b"");
    }
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--max-conns"));
}
