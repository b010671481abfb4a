//! Chatting: two over UDP, or many in a room over TCP.
//!
//! What to watch for: a message arrives while you are in the middle of a line. One green thread waits for what is typed and another for what
//! comes, each in plain blocking code, and both on one OS thread: a program that reads its standard input in the ordinary way would show
//! the message only after the next Enter. The room is the same for many: two green threads for each member, one that reads and one that
//! writes, so that a member who does not read keeps nobody waiting; when too much waits for him he is shown out.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::{Args, Parser, Subcommand};
use osier::net::{TcpListener, TcpStream, UdpSocket};
use osier::sync::mpsc::{self, SyncSender};
use osier::sync::{Arc, Mutex, MutexGuard};
use osier::thread;
use osier_examples::cli;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// Chats with one other over UDP, or with many in a room over TCP. A line that is just `q` ends it.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    pair: Pair,
}

#[derive(Args)]
struct Pair {
    /// Your own address; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    bind: SocketAddr,

    /// The other's address; without it you are asked
    #[arg(long, value_name = "ADDR")]
    to: Option<SocketAddr>,
}

#[derive(Subcommand)]
enum What {
    /// Opens a room, until Ctrl-C
    Room {
        /// The address to listen on; port 0 takes a free one
        #[arg(default_value = "127.0.0.1:7892")]
        addr: SocketAddr,
    },
    /// Enters a room
    Join {
        /// Under which name
        name: String,
        /// The room's address
        #[arg(default_value = "127.0.0.1:7892")]
        addr: SocketAddr,
    },
}

fn main() -> ExitCode {
    let Arguments { what, pair } = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(line) => {
            eprintln!("chat: {line}; see chat --help");
            return ExitCode::from(2);
        }
    };
    let outcome = osier::run(|| match what {
        None => udp(&pair),
        Some(What::Room { addr }) => room(addr),
        Some(What::Join { name, addr }) => join(&name, addr),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `error`, with what could not be done.
fn because(what: String) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

// --- the screen and the keyboard ---

/// Shows a line that came. On a terminal it takes a line of its own, and what was typed so far stays with the terminal.
fn show(line: &str) {
    // What others send must not be able to move the cursor.
    let line: String = line.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
    if io::stdout().is_terminal() {
        print!("\n{line}\n");
        prompt();
    } else {
        println!("{line}");
    }
}

fn prompt() {
    if io::stdin().is_terminal() {
        print!("> ");
        // A terminal that is gone ends the program at the next read.
        let _ = io::stdout().flush();
    }
}

/// The next line that is typed, without the space around it; `None` at the end of the input. Only this green thread waits.
fn typed() -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = osier::io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

/// Hands each line that is typed to `send`, until `q` or the end of the input.
fn talk(send: impl Fn(&str) -> io::Result<()>) -> io::Result<()> {
    loop {
        prompt();
        match typed()?.as_deref() {
            None | Some("q") => return Ok(()),
            Some("") => {}
            Some(line) => send(line)?,
        }
    }
}

/// Runs both until one ends; the other is ended with it.
fn until_one_ends(
    one: impl FnOnce() -> io::Result<()> + Send,
    other: impl FnOnce() -> io::Result<()> + Send,
) -> io::Result<()> {
    thread::scope(|scope| {
        let (tell, ended) = mpsc::channel();
        let tell_too = tell.clone();
        // Nobody listens any more to the one that is told second.
        let both =
            [scope.spawn(move || _ = tell.send(one())), scope.spawn(move || _ = tell_too.send(other()))];
        let outcome = ended.recv();
        both.iter().for_each(|thread| thread.kill());
        outcome.unwrap_or_else(|_| Err(io::Error::other("a green thread has panicked")))
    })
}

// --- two, over UDP ---

fn udp(pair: &Pair) -> io::Result<()> {
    let socket =
        UdpSocket::bind(pair.bind).map_err(because(format!("cannot take the address {}", pair.bind)))?;
    println!("your address: {}", socket.local_addr()?);
    until_one_ends(
        || {
            let mut bytes = vec![0; 1 << 16];
            loop {
                let (length, sender) = socket.recv_from(&mut bytes)?;
                show(&format!("{sender}: {}", String::from_utf8_lossy(&bytes[..length])));
            }
        },
        || {
            let Some(to) = pair.to.map_or_else(ask_address, |to| Ok(Some(to)))? else { return Ok(()) };
            talk(|line| {
                if let Err(error) = socket.send_to(line.as_bytes(), to) {
                    // The next one may go through: shorter, or when the network is back.
                    eprintln!("chat: not sent: {error}");
                }
                Ok(())
            })
        },
    )
}

/// Asks until it gets an address; `None` at the end of the input.
fn ask_address() -> io::Result<Option<SocketAddr>> {
    loop {
        println!("the other's address:");
        prompt();
        match typed()? {
            None => return Ok(None),
            Some(line) => match line.parse() {
                Ok(addr) => return Ok(Some(addr)),
                Err(_) => println!("{line:?} is no address like 127.0.0.1:7892"),
            },
        }
    }
}

// --- the room ---

/// Lines that may wait for a member.
const OUTBOX: usize = 1000;
/// The longest line, in bytes, with its end.
const LONGEST: usize = 4096;
/// The longest name, in characters.
const MAX_NAME: usize = 40;
/// How long a newcomer has to say his name.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is in the room, by name.
#[derive(Default)]
struct Room(Mutex<BTreeMap<String, Member>>);

struct Member {
    /// What is to be written to him. When this is dropped his writer finishes what is left, and ends.
    outbox: SyncSender<Arc<str>>,
    stream: Arc<TcpStream>,
}

fn room(addr: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(addr).map_err(because(format!("cannot listen at {addr}")))?;
    println!("the room is at {}", listener.local_addr()?);
    let room = Arc::new(Room::default());
    osier::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let room = room.clone();
                    // Whoever breaks off has left: that is no error of the room.
                    osier::spawn(move || _ = room.receive(Arc::new(stream)));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    });
    // The rest ends with the runtime.
    osier::signal::ctrl_c()
}

impl Room {
    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Member>> {
        self.0.lock().expect("nobody panics while he holds it")
    }

    /// Has somebody in the room, from his name to his end.
    fn receive(&self, stream: Arc<TcpStream>) -> io::Result<()> {
        let mut lines = Lines(BufReader::new(&*stream));
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(name) = lines.next()? else { return Ok(()) };
        stream.set_read_timeout(None)?;
        let Some(place) = self.enter(&name, &stream) else {
            return (&*stream).write_all(format!("* the name {name:?} is taken, or is none\n").as_bytes());
        };
        while let Some(line) = lines.next()? {
            place.room.tell_all_but(place.name, &format!("{name}: {line}"));
        }
        Ok(())
    }

    /// Seats somebody under a name that is not taken, and starts his writer.
    fn enter<'a>(&'a self, name: &'a str, stream: &Arc<TcpStream>) -> Option<Place<'a>> {
        let (outbox, lines) = mpsc::sync_channel::<Arc<str>>(OUTBOX);
        {
            let mut members = self.members();
            let fit = (1..=MAX_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
            if !fit || members.contains_key(name) {
                return None;
            }
            let others: Vec<_> = members.keys().map(String::as_str).collect();
            let others = if others.is_empty() { "nobody else".to_owned() } else { others.join(", ") };
            let _ = outbox.try_send(format!("* here: {others}").into());
            members.insert(name.to_owned(), Member { outbox, stream: stream.clone() });
        }
        let place = Place { room: self, name, stream: stream.clone() };
        let stream = stream.clone();
        osier::spawn(move || {
            for line in lines {
                (&*stream).write_all(format!("{line}\n").as_bytes())?;
            }
            stream.shutdown(Shutdown::Both)
        });
        self.tell_all_but(name, &format!("* {name} has come"));
        Some(place)
    }

    /// Has a line written to everybody but `name`. It never waits, so all get all lines in the same order. Whoever has too many lines before
    /// him is shown out.
    fn tell_all_but(&self, name: &str, line: &str) {
        println!("{line}");
        let line: Arc<str> = line.into();
        self.members().retain(|member, Member { outbox, stream }| {
            let room_left = member == name || outbox.try_send(line.clone()).is_ok();
            if !room_left {
                // His reader, and his writer who is stuck, end by this.
                let _ = stream.shutdown(Shutdown::Both);
            }
            room_left
        });
    }
}

/// Somebody's place in the room, given up when it is dropped: at the end of his lines, by an error, or by the end of the room.
struct Place<'a> {
    room: &'a Room,
    name: &'a str,
    stream: Arc<TcpStream>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut members = self.room.members();
        // One who was shown out has no place any more, and his name may be somebody else's.
        if members.get(self.name).is_some_and(|member| Arc::ptr_eq(&member.stream, &self.stream)) {
            members.remove(self.name);
        }
        drop(members);
        self.room.tell_all_but(self.name, &format!("* {} has gone", self.name));
    }
}

/// The lines that come from a stream.
struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    /// The next line, without the space around it; `None` if there is none.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.0.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)?;
        if line.len() == LONGEST && line.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
    }
}

fn join(name: &str, addr: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(addr).map_err(because(format!("cannot reach the room at {addr}")))?;
    (&stream).write_all(format!("{name}\n").as_bytes())?;
    until_one_ends(
        || {
            let mut lines = Lines(BufReader::new(&stream));
            while let Some(line) = lines.next()? {
                show(&line);
            }
            show("* the room has closed the door");
            Ok(())
        },
        || {
            talk(|line| (&stream).write_all(format!("{line}\n").as_bytes()))?;
            // Said, then gone: what is on its way still arrives.
            stream.shutdown(Shutdown::Write)
        },
    )
}
