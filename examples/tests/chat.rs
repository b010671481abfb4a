//! `chat`: what comes is shown while a line is half typed, over UDP and in a room with many members.

mod program;

use program::{assert_refuses, deaf, run};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program has shown so far.
#[derive(Clone, Default)]
struct Shown(Arc<(Mutex<String>, Condvar)>);

impl Shown {
    /// Follows what comes from `output`.
    fn follow(mut output: impl Read + Send + 'static) -> Shown {
        let shown = Shown::default();
        let notes = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose program has gone gives an error instead of an end.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                notes.0.0.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..count]));
                notes.0.1.notify_all();
            }
        });
        shown
    }

    /// Waits until it has shown `text`, and returns all of it.
    #[track_caller]
    fn wait(&self, text: &str) -> String {
        let (shown, changed) = &*self.0;
        let shown = shown.lock().expect("no panic");
        let (shown, timeout) =
            changed.wait_timeout_while(shown, PATIENCE, |shown| !shown.contains(text)).expect("no panic");
        assert!(!timeout.timed_out(), "{text:?} is not in {shown:?}");
        shown.clone()
    }

    /// The address behind `words`, once it is shown.
    fn address(&self, words: &str) -> SocketAddr {
        self.wait(words);
        let text = self.wait("\n");
        let line = text.lines().find_map(|line| line.trim_end().strip_prefix(words)).expect("a line");
        line.parse().expect("an address")
    }
}

/// `chat`, running; ends with its value.
struct Chat {
    process: Child,
    shown: Shown,
}

impl Chat {
    fn start(arguments: &[&str]) -> Chat {
        let mut process = Command::new(CHAT)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let shown = Shown::follow(process.stdout.take().expect("it is piped"));
        Chat { process, shown }
    }

    fn types(&mut self, text: &str) {
        self.process.stdin.as_mut().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    }

    fn os_threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs").count()
    }

    #[track_caller]
    fn ends(&mut self) {
        assert!(self.process.wait().expect("a child of ours").success());
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_datagram_is_shown_while_a_line_is_half_typed() {
    let mut bert = Chat::start(&[]);
    let bert_is = bert.shown.address("your address: ");
    let mut ada = Chat::start(&["--to", &bert_is.to_string()]);
    let ada_is = ada.shown.address("your address: ");
    bert.types("nowhere\n");
    bert.shown.wait("\"nowhere\" is no address");
    ada.types("hel");
    bert.types(&format!("{ada_is}\n"));
    bert.types("are you there?\n");
    ada.shown.wait(&format!("{bert_is}: are you there?\n"));
    assert_eq!((ada.os_threads(), bert.os_threads()), (1, 1));
    ada.types("lo\n");
    bert.shown.wait(&format!("{ada_is}: hello\n"));
    ada.types("q\n");
    ada.ends();
    // The end of the input ends it too.
    drop(bert.process.stdin.take());
    bert.ends();
}

#[test]
fn on_a_terminal_the_half_typed_line_stays_with_the_terminal() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal of ours");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    // Not to be the terminal of this test, whose end would end the test.
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let mut other_side = File::options();
    other_side.read(true).write(true).custom_flags(flags);
    let other_side = other_side.open(OsStr::from_bytes(name.as_bytes())).expect("the other side");
    let friend = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    friend.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let process = Command::new(CHAT)
        .args(["--to", &friend.local_addr().expect("an address").to_string()])
        .stdin(other_side.try_clone().expect("a descriptor"))
        .stdout(other_side)
        .spawn()
        .expect("the program runs");
    let mut keyboard = File::from(terminal);
    let shown = Shown::follow(keyboard.try_clone().expect("a descriptor"));
    let mut chat = Chat { process, shown };
    let address = chat.shown.address("your address: ");
    chat.shown.wait("> ");
    keyboard.write_all(b"hel").expect("a key");
    // The terminal itself shows what is typed.
    chat.shown.wait("> hel");
    friend.send_to(b"are you\x1b[2J there?", address).expect("room in the socket");
    let me = friend.local_addr().expect("an address");
    let screen = chat.shown.wait("there?\r\n> ");
    assert!(screen.ends_with(&format!("> hel\r\n{me}: are you?[2J there?\r\n> ")), "{screen:?}");
    keyboard.write_all(b"lo\n").expect("a key");
    let mut bytes = [0; 100];
    let (length, _) = friend.recv_from(&mut bytes).expect("a message");
    assert_eq!(&bytes[..length], b"hello");
    keyboard.write_all(b"q\n").expect("a key");
    chat.ends();
}

/// A member made of a bare socket.
struct Member(BufReader<TcpStream>);

impl Member {
    fn enters(room: SocketAddr, name: &str) -> Member {
        let stream = TcpStream::connect(room).expect("the room is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let mut member = Member(BufReader::new(stream));
        member.says(name);
        member
    }

    fn says(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("the room reads");
    }

    /// The next line; empty at the end.
    #[track_caller]
    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

#[test]
fn everybody_in_the_room_hears_everybody_else_in_the_same_order() {
    const MEMBERS: usize = 50;
    const LINES: usize = 5;
    let mut room = Chat::start(&["room", "127.0.0.1:0"]);
    let address = room.shown.address("the room is at ");
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let mut member = Member::enters(address, &format!("m{number:02}"));
        assert!(member.hears().starts_with("* here: "));
        members.push(member);
    }
    for line in 0..LINES {
        for (number, member) in members.iter_mut().enumerate() {
            member.says(&format!("{line} of {number:02}"));
        }
    }
    let mut heard = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        // Those who have come later, and then all the others.
        for later in number + 1..MEMBERS {
            assert_eq!(member.hears(), format!("* m{later:02} has come"));
        }
        heard.push((0..(MEMBERS - 1) * LINES).map(|_| member.hears()).collect::<Vec<_>>());
    }
    assert_eq!(room.os_threads(), 1);
    let without = |lines: &[String], number: usize| {
        let name = format!("m{number:02}: ");
        lines.iter().filter(|line| !line.starts_with(&name)).cloned().collect::<Vec<_>>()
    };
    for number in 1..MEMBERS {
        let (first, this) = (without(&heard[0], number), without(&heard[number], 0));
        assert!(first == this, "m00 and m{number:02} have heard differently");
    }
    let mut gone = members.pop().expect("a member");
    gone.0.get_mut().shutdown(std::net::Shutdown::Write).expect("a connection");
    assert_eq!(members[0].hears(), format!("* m{:02} has gone", MEMBERS - 1));
    let id = Pid::from_child(&room.process);
    kill_process(id, Signal::INT).expect("a child of ours");
    room.ends();
}

#[test]
fn who_does_not_read_is_shown_out_and_keeps_nobody_waiting() {
    let room = Chat::start(&["room", "127.0.0.1:0"]);
    let address = room.shown.address("the room is at ");
    let mut ada = Member::enters(address, "Ada");
    assert_eq!(ada.hears(), "* here: nobody else");
    let mut deaf = Member::enters(address, "Deaf");
    assert_eq!(ada.hears(), "* Deaf has come");
    let mut bert = Member::enters(address, "Bert");
    assert_eq!((bert.hears(), ada.hears()), ("* here: Ada, Deaf".into(), "* Bert has come".into()));
    let mut second = Member::enters(address, "Ada");
    assert_eq!(second.hears(), "* the name \"Ada\" is taken, or is none");
    assert_eq!(second.hears(), "");

    // No socket's buffers hold so much.
    let long = "x".repeat(4000);
    let mut lines = 0;
    loop {
        ada.says(&long);
        lines += 1;
        match bert.hears() {
            line if line == "* Deaf has gone" => break,
            line => assert_eq!(line.len(), "Ada: ".len() + long.len(), "{line}"),
        }
        assert!(lines < 20_000, "the one who does not read is still there");
    }
    deaf.0.get_mut().set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert!(deaf.0.get_mut().write_all(&vec![b'x'; 10 << 20]).is_err(), "his connection is still open");
}

#[test]
fn joining_shows_the_room_while_a_line_is_half_typed() {
    let room = Chat::start(&["room", "127.0.0.1:0"]);
    let address = room.shown.address("the room is at ").to_string();
    let mut ada = Chat::start(&["join", "Ada", &address]);
    ada.shown.wait("* here: nobody else\n");
    ada.types("hel");
    let mut bert = Chat::start(&["join", "Bert", &address]);
    ada.shown.wait("* Bert has come\n");
    ada.types("lo\nq\n");
    ada.ends();
    bert.shown.wait("Ada: hello\n");
    bert.shown.wait("* Ada has gone\n");
    drop(room);
    bert.shown.wait("* the room has closed the door\n");
    bert.ends();
}

#[test]
fn bad_input_is_refused() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let taken = taken.local_addr().expect("an address").to_string();
    let (_socket, deaf) = deaf();
    let deaf = deaf.to_string();
    assert_refuses(
        CHAT,
        &[
            &["--bind", &taken],
            &["--to", "nowhere"],
            &["--to", &deaf, "room"],
            &["room", "nowhere"],
            &["join"],
            &["join", "Ada", &deaf],
            &["talk"],
        ],
    );
    // With nothing to read it asks, and ends.
    let output = Command::new(CHAT).stdin(Stdio::null()).output().expect("it runs");
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("the other's address:")
    );
    assert!(run(CHAT, &["join", "--help"]).status.success());
}
