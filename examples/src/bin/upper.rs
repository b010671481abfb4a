//! A TCP server that answers in upper case, its client, and ten thousand clients at once.
//!
//! What to watch for: `answer` and `exchange` are plain blocking code. `upper server` runs one `answer` per connection, on
//! green threads (of one OS thread, or of several with `--workers`) or, with `--mode thread` or `process`, on OS threads or in
//! processes: only the call that spawns differs. `upper load` starts such a server in a second process, connects 10,000 clients to
//! it that all talk at once, and tells how many OS threads either process has.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::{Parser, ValueEnum};
use osier::net::{TcpListener, TcpStream};
use osier::sync::Semaphore;
use osier::thread::JoinHandle;
use osier_examples::cli;
use rustix::process::{Resource, Rlimit, WaitOptions, getrlimit, setrlimit, wait};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A TCP server that answers in upper case, and its clients.
#[derive(Parser)]
#[command(version, arg_required_else_help = false)]
enum Arguments {
    /// Answers each line that it is sent with the same line in upper case
    Server {
        /// The address to listen on; port 0 takes a free one
        #[arg(default_value = "127.0.0.1:7891")]
        addr: SocketAddr,
        /// What each connection is served on
        #[arg(long, value_enum, default_value_t = Mode::Green)]
        mode: Mode,
        /// On how many OS threads the green threads run
        #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
        workers: u16,
    },
    /// Sends each line that is typed, and shows the answer; `q` ends it
    Client {
        /// The server's address
        #[arg(default_value = "127.0.0.1:7891")]
        addr: SocketAddr,
    },
    /// Answers the one connection that is its standard input: what `server --mode process` starts
    #[command(hide = true)]
    Answer,
    /// Starts a server in a second process, and lets many clients talk to it at once
    Load {
        /// How many clients
        #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=60_000))]
        clients: u32,
        /// How many lines each of them sends when all are connected
        #[arg(long, value_name = "N", default_value = "3")]
        lines: u32,
        /// What the server serves each connection on
        #[arg(long, value_enum, default_value_t = Mode::Green)]
        mode: Mode,
        /// On how many OS threads the server's green threads run
        #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
        workers: u16,
    },
}

/// What a connection is served on.
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// A green thread of its own, all on one OS thread
    Green,
    /// An OS thread of its own
    Thread,
    /// A process of its own
    Process,
}

fn main() -> ExitCode {
    let outcome = match cli::arguments() {
        Ok(Arguments::Server { addr, mode, workers }) => server(addr, mode, workers),
        Ok(Arguments::Client { addr }) => client(addr),
        Ok(Arguments::Answer) => answer_standard_input(),
        Ok(Arguments::Load { clients, lines, mode, workers }) => load(clients, lines, mode, workers),
        Err(line) => {
            eprintln!("upper: {line}; see upper --help");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upper: {error}");
            ExitCode::FAILURE
        }
    }
}

// --- the server ---

fn server(addr: SocketAddr, mode: Mode, workers: u16) -> io::Result<()> {
    allow_descriptors()?;
    let listener = TcpListener::bind(addr)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen at {addr}: {error}")))?;
    println!("listening at {}", listener.local_addr()?);
    match mode {
        Mode::Green => osier::Builder::new().workers(workers.into()).build()?.run(|| {
            accept(&listener, |stream| {
                // On this worker, or on one that has nothing to do.
                osier::spawn(|| serve(stream));
                Ok(())
            })
        }),
        Mode::Thread => {
            accept(&listener, |stream| std::thread::Builder::new().spawn(|| serve(stream)).map(drop))
        }
        Mode::Process => {
            let program = std::env::current_exe()?;
            accept(&listener, |stream| {
                // Those that have ended since the last connection.
                while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
                let connection = Stdio::from(OwnedFd::from(stream));
                Command::new(&program).arg("answer").stdin(connection).spawn().map(drop)
            })
        }
    }
}

/// Hands each connection to `spawn`, for ever.
fn accept(listener: &TcpListener, spawn: impl Fn(TcpStream) -> io::Result<()>) -> ! {
    loop {
        if let Err(error) = listener.accept().and_then(|(stream, _)| spawn(stream)) {
            // Out of descriptors, mostly: those who are connected will leave some.
            eprintln!("upper: {error}");
            osier::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(stream: TcpStream) {
    // That a client has gone is its own affair.
    let _ = answer(&stream);
}

fn answer_standard_input() -> io::Result<()> {
    let connection = io::stdin().as_fd().try_clone_to_owned()?;
    serve(TcpStream::from(connection));
    Ok(())
}

/// Answers each line until the client has no more to say.
fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut lines = Lines::new(stream);
    while let Some(line) = lines.next()? {
        stream.write_all(line.to_uppercase().as_bytes())?;
    }
    Ok(())
}

/// The lines that come from a stream.
struct Lines<R> {
    // Small, since there is one for each connection.
    reader: BufReader<R>,
}

/// The longest line, in bytes.
const LONGEST: u64 = 64 * 1024;

impl<R: Read> Lines<R> {
    fn new(stream: R) -> Lines<R> {
        Lines { reader: BufReader::with_capacity(512, stream) }
    }

    /// The next line, with its end; `None` if there is none.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
            let what = format!("a line is longer than {LONGEST} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()))
    }
}

// --- the client ---

fn client(addr: SocketAddr) -> io::Result<()> {
    // Not on a green thread: the same stream blocks the OS thread then, as std's does.
    let stream = connect(addr)?;
    let mut answers = Lines::new(&stream);
    let mut typed = io::stdin().lines();
    loop {
        print!("> ");
        io::stdout().flush()?;
        let Some(line) = typed.next().transpose()? else {
            println!();
            return Ok(());
        };
        match line.trim() {
            "q" => return Ok(()),
            "" => {}
            line => println!("{}", exchange(&stream, &mut answers, line)?.trim_end()),
        }
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(addr)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot connect to {addr}: {error}")))
}

/// Sends a line and waits for the answer.
fn exchange(mut stream: &TcpStream, answers: &mut Lines<&TcpStream>, line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed the connection");
    answers.next()?.ok_or_else(gone)
}

// --- many clients ---

/// How many clients connect at the same time: no more than the kernel queues for a listener.
const DOORS: usize = 64;

/// How long it may all take.
const PATIENCE: Duration = Duration::from_secs(120);

fn load(clients: u32, lines: u32, mode: Mode, workers: u16) -> io::Result<()> {
    let allowed = allow_descriptors()?;
    // A few are for the runtime and the server's output.
    if allowed < u64::from(clients) + 16 {
        let what = format!("{clients} clients are too many: only {allowed} descriptors are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let server = Server::start(mode, workers)?;
    let addr = server.addr;
    let outcome = osier::run(|| {
        osier::time::timeout(PATIENCE, || {
            let doors = Arc::new(Semaphore::new(DOORS));
            let start = Instant::now();
            let connected = all((0..clients).map(|number| {
                let doors = doors.clone();
                osier::spawn(move || {
                    let _door = doors.acquire();
                    let stream = connect(addr)?;
                    // Once it has answered, the server has accepted the connection.
                    talk(&stream, number, 1)?;
                    Ok(stream)
                })
            }))?;
            println!("{clients} clients are connected after {:.2} s", start.elapsed().as_secs_f64());
            let start = Instant::now();
            let talked = all((0..clients).zip(connected).map(|(number, stream)| {
                osier::spawn(move || talk(&stream, number, lines).map(|()| stream))
            }))?;
            let answers = u64::from(clients) * u64::from(lines);
            println!("{answers} right answers, all at once, in {:.2} s", start.elapsed().as_secs_f64());
            let [servers, ours] = [server.process.id(), std::process::id()].map(os_threads);
            println!("OS threads: {} of the server, {} of the clients", servers?, ours?);
            drop(talked);
            Ok(())
        })
    });
    outcome.unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)))
}

/// Waits for all of them; the first error, if any fails.
fn all<T>(threads: impl Iterator<Item = JoinHandle<io::Result<T>>>) -> io::Result<Vec<T>> {
    // All are spawned before the first is joined.
    let threads: Vec<_> = threads.collect();
    let ended = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
    ended.collect()
}

/// What a client says, and that the answers are right.
fn talk(stream: &TcpStream, number: u32, lines: u32) -> io::Result<()> {
    let mut answers = Lines::new(stream);
    for line in 1..=lines {
        let answer = exchange(stream, &mut answers, &format!("line {line} of client {number}"))?;
        if answer != format!("LINE {line} OF CLIENT {number}\n") {
            let what = format!("line {line} of client {number} was answered with {answer:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    Ok(())
}

/// The server in a process of its own; dropping it ends it.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(mode: Mode, workers: u16) -> io::Result<Server> {
        let mode = mode.to_possible_value().map(|mode| mode.get_name().to_owned()).unwrap_or_default();
        let process = Command::new(std::env::current_exe()?)
            .args(["server", "127.0.0.1:0", "--mode", &mode, "--workers", &workers.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        // Known when it listens.
        let mut server = Server { process, addr: SocketAddr::from(([0; 4], 0)) };
        let mut line = String::new();
        if let Some(output) = server.process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let addr = line.trim().strip_prefix("listening at ").and_then(|addr| addr.parse().ok());
        server.addr = addr.ok_or_else(|| io::Error::other("the server does not start"))?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn os_threads(process: u32) -> io::Result<usize> {
    std::fs::read_dir(format!("/proc/{process}/task")).map(Iterator::count)
}

/// Raises the number of descriptors that this process may have as far as it goes, and returns it.
fn allow_descriptors() -> io::Result<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}
