//! What the tests of the server share: a directory to serve, a client that sends exactly the bytes it is given, and replies
//! taken apart.
#![allow(dead_code, reason = "each test uses its own part")]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// When every file of the tree was last changed.
pub(crate) const MODIFIED: u64 = 1_700_000_000;
/// The same as a date, with those a second before and after it.
pub(crate) const DATES: [&str; 3] =
    ["Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:21 GMT"];
/// Bytes of the large file.
pub(crate) const LARGE: usize = 300_000;

/// A directory `site` with a secret beside it that must never be seen.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub(crate) fn new() -> Tree {
        let base = tempfile::tempdir().expect("a temporary directory");
        let site = base.path().join("site");
        fs::create_dir_all(site.join("dir/inner")).expect("directories");
        fs::create_dir_all(site.join("page")).expect("directories");
        fs::create_dir_all(site.join("odd dir")).expect("directories");
        fs::write(base.path().join("secret.txt"), "secret").expect("a file");
        let large: Vec<u8> = (0..LARGE).map(|number| (number * 7 % 251) as u8).collect();
        for (name, content) in [
            ("index.html", &b"<!DOCTYPE html><title>home</title>"[..]),
            ("a.txt", b"0123456789abcdefghijklmnopqrstuvwxyz"),
            ("empty.txt", b""),
            ("large.bin", &large),
            ("style.css", b"a{}"),
            ("code.js", b"1"),
            ("data.json", b"{}"),
            ("dot.png", b"\x89PNG"),
            ("unknown.zzz", b"?"),
            ("no_extension", b"?"),
            ("sp ace.txt", b"space"),
            ("\u{fc}.txt", b"umlaut"),
            ("per%cent.txt", b"percent"),
            (".hidden.txt", b"hidden"),
            ("page/index.html", b"<!DOCTYPE html><title>page</title>"),
            ("dir/b.txt", b"b"),
            ("odd dir/c.txt", b"c"),
        ] {
            let path = site.join(name);
            fs::write(&path, content).expect("a file");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_modified(time).expect("a time");
        }
        for (target, link) in
            [("a.txt", "in.txt"), ("../secret.txt", "out.txt"), ("..", "up"), ("/etc/passwd", "absolute")]
        {
            std::os::unix::fs::symlink(target, site.join(link)).expect("a link");
        }
        Tree(base)
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.0.path().join("site")
    }

    /// A directory of its own for whoever needs one.
    pub(crate) fn base(&self) -> &Path {
        self.0.path()
    }
}

/// A reply taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Takes the first reply off `bytes`. `bodyless` if it answers HEAD.
    #[track_caller]
    pub(crate) fn take(bytes: &mut Vec<u8>, bodyless: bool) -> Reply {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no whole head in {}", bytes.escape_ascii())) + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in UTF-8");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let fields: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status: status.expect("a status"), fields, body: Vec::new() };
        bytes.drain(..end);
        if !bodyless && reply.status != 304 {
            if reply.field("transfer-encoding") == Some("chunked") {
                reply.body = take_chunks(bytes);
            } else if let Some(length) = reply.field("content-length") {
                let length: usize = length.parse().expect("a length");
                assert!(length <= bytes.len(), "{} of {length} bytes came", bytes.len());
                reply.body = bytes.drain(..length).collect();
            }
        }
        reply
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

fn take_chunks(bytes: &mut Vec<u8>) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("an end of a chunk's size");
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[..end]).expect("ASCII"), 16).expect("a size");
        bytes.drain(..end + 2);
        body.extend(bytes.drain(..size));
        bytes.drain(..2);
        if size == 0 {
            return body;
        }
    }
}

/// Allows this process as many descriptors as it may have, and says how many these are.
pub(crate) fn most_descriptors() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit that is allowed");
    maximum.and_then(|most| most.try_into().ok()).unwrap_or(usize::MAX)
}

/// Longer than anything takes that goes on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Connects with a limit to every wait, so that a test fails rather than hangs.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends `bytes` and returns what comes until the server closes the connection.
pub(crate) fn send(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(server);
    stream.write_all(bytes).expect("the request goes out");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("the reply comes in, and its end");
    reply
}

/// One request on a connection of its own, with the reply.
#[track_caller]
pub(crate) fn ask(server: SocketAddr, method: &str, path: &str, fields: &str) -> Reply {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    Reply::take(&mut send(server, request.as_bytes()), method == "HEAD")
}

/// The program `server`, running; ends with its value.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it says on standard error after its address.
    pub(crate) told: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
    /// Where its standard output goes.
    log: PathBuf,
}

impl Program {
    /// Starts it for the site of `tree` on a free port.
    pub(crate) fn start(tree: &Tree, arguments: &[&str]) -> Program {
        Program::start_as(Command::new(env!("CARGO_BIN_EXE_server")), tree, arguments)
    }

    /// Starts it by `command`, which ends in the program's name.
    pub(crate) fn start_as(mut command: Command, tree: &Tree, arguments: &[&str]) -> Program {
        let log = tree.base().join(format!("log-{:x}", std::process::id()));
        let mut child = command
            .args(["--addr", "0", "--root"])
            .arg(tree.site())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a file"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("a line");
        let address = first.trim_end().rsplit("//").next().map(|address| address.trim_end_matches('/'));
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {first:?}"));
        let told = Arc::new(Mutex::new(String::new()));
        let notes = Arc::clone(&told);
        let listening = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                notes.lock().expect("no panic").push_str(&(line + "\n"));
            }
        });
        Program { child, address, told, listening: Some(listening), log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a child of ours");
    }

    /// True while it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Waits for its end, which must come soon.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                if let Some(listening) = self.listening.take() {
                    listening.join().expect("no panic");
                }
                return status;
            }
            assert!(Instant::now() < give_up, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has written to standard output.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a file")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
