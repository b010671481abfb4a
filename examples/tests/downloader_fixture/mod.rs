//! Runs the real program against servers that do as they are told, well or badly.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "a module of several crates, each with its own root")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// After this, whatever still runs hangs.
pub const LONG: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A server on OS threads that hands each request to a function, one request a connection; it lives as long as the test.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, log, answer) = (stream.unwrap(), Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    log.lock().unwrap().push(request.clone());
                    answer(&request, &mut stream);
                    if rustix::net::sockopt::socket_linger(&stream).unwrap() == Some(Duration::ZERO) {
                        return;
                    }
                    let _ = stream.shutdown(Shutdown::Write);
                    // Without reading to the end, closing could reset the connection.
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                });
            }
        });
        Server { address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for this path, in order.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return Some(Request { path, headers }),
        };
    }
}

/// Answers 200 with a length, the headers given (each with its line end) and the body.
pub fn send(stream: &mut TcpStream, headers: &str, body: &[u8]) {
    send_some(stream, headers, body.len(), body);
}

/// Announces a length, and sends these bytes.
pub fn send_some(stream: &mut TcpStream, headers: &str, length: usize, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    send_raw(stream, head.as_bytes());
    send_raw(stream, body);
}

pub fn send_raw(stream: &mut TcpStream, bytes: &[u8]) {
    // The client may have gone.
    let _ = stream.write_all(bytes);
}

/// Makes the connection end with a reset when the answer returns.
pub fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Waits until the client has gone.
pub fn wait_for_end(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(LONG));
    let _ = stream.read(&mut [0]);
}

/// Bytes that look like nothing else: the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Outcome {
    pub fn errors(&self) -> Vec<&str> {
        self.stderr.lines().collect()
    }

    pub fn summary(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

/// The program, to be run in a folder.
pub fn downloader(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_downloader"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    command
}

/// Runs the program to its end.
pub fn run<S: AsRef<str>>(folder: &Path, arguments: &[S]) -> Outcome {
    finish(downloader(folder).args(arguments.iter().map(AsRef::as_ref)).spawn().unwrap())
}

/// Waits for the end of a run and reads what it printed.
pub fn finish(mut child: Child) -> Outcome {
    let begin = Instant::now();
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        if begin.elapsed() > LONG {
            child.kill().unwrap();
            panic!("the program hangs: {:?} {:?}", stdout.join(), stderr.join());
        }
        thread::sleep(Duration::from_millis(2));
    };
    let took = begin.elapsed();
    Outcome { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), took }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).unwrap();
        }
        text
    })
}

/// The names in a folder, sorted.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Says that a test could not do its work on this machine.
#[expect(clippy::print_stderr, reason = "nobody would know otherwise")]
pub fn skip(why: &str) {
    eprintln!("nothing was tested: {why}");
}
