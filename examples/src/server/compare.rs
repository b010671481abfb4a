//! `server --compare`: the same clients let loose on each mode in turn.
//!
//! The server runs in a process of its own; the clients, each of which asks again as soon as it has its answer, are green threads on
//! one OS thread of this one, so that they take as little from the server as they can.

use super::{Mode, Options};
use clap::ValueEnum;
use osier::net::TcpStream;
use osier::time::{Duration, Instant};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Bytes of the page that is served.
const PAGE: usize = 1 << 10;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the load against each mode, and gives a line of a table at a time to `tell`.
///
/// # Errors
///
/// What went wrong, in one line: also if a request did not get its answer.
pub fn compare(options: &Options, tell: impl Fn(&str)) -> Result<(), String> {
    let page = Page::new().map_err(|error| format!("cannot make a page to serve: {error}"))?;
    let (clients, seconds) = (options.clients.get(), options.seconds.as_secs_f64());
    tell(&format!("{clients} clients, each for {seconds} s, a page of {PAGE} bytes"));
    tell(&format!(
        "{:<12} {:>10} {:>10} {:>10} {:>16} {:>11} {:>10}",
        "mode", "requests/s", "median", "99 %", "CPU per request", "OS threads", "processes"
    ));
    for mode in Mode::value_variants() {
        let row = measure(*mode, options, &page).map_err(|error| format!("{}: {error}", mode.name()))?;
        tell(&format!("{:<12} {row}", mode.name()));
    }
    Ok(())
}

/// A directory with one page, for as long as this lives.
struct Page(std::path::PathBuf);

impl Page {
    fn new() -> io::Result<Page> {
        let path = std::env::temp_dir().join(format!("osier-server-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        let page = Page(path);
        std::fs::write(page.0.join("index.html"), [b'x'; PAGE])?;
        Ok(page)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // What is left in a directory for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn measure(mode: Mode, options: &Options, page: &Page) -> io::Result<String> {
    let server = Server::start(mode, options, page)?;
    let clients = options.clients.get();
    let load = osier::run(|| {
        // So that every mode has made what it makes for a connection, and nobody measures that.
        let connected = all((0..clients).map(|_| {
            osier::spawn(move || {
                let stream = TcpStream::connect(server.addr)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut room = Vec::new();
                ask(&stream, &mut room)?;
                Ok((stream, room))
            })
        }))?;
        let before = server.processor_time()?;
        let (begin, end) = (Instant::now(), Instant::now() + options.seconds);
        let times = all(connected.into_iter().map(|(stream, mut room)| {
            osier::spawn(move || {
                let mut times = Vec::new();
                loop {
                    let asked = Instant::now();
                    ask(&stream, &mut room)?;
                    let answered = Instant::now();
                    times.push(answered - asked);
                    if answered >= end {
                        return Ok((stream, times));
                    }
                }
            })
        }))?;
        let elapsed = begin.elapsed();
        let used = server.processor_time()?.saturating_sub(before);
        let (streams, times): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        // While all are connected.
        let (threads, processes) = server.size()?;
        drop(streams);
        Ok::<_, io::Error>((times.concat(), elapsed, used, threads, processes))
    });
    let (mut times, elapsed, used, threads, processes) = load?;
    times.sort_unstable();
    let part = |hundredth: usize| times[(times.len() - 1) * hundredth / 100].as_secs_f64() * 1e6;
    let mut row = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        row,
        "{:>10.0} {:>7.0} µs {:>7.0} µs {:>13.1} µs {threads:>11} {processes:>10}",
        times.len() as f64 / elapsed.as_secs_f64(),
        part(50),
        part(99),
        used.as_secs_f64() * 1e6 / times.len() as f64,
    );
    Ok(row)
}

/// What all of them return; the first error, if any fails.
fn all<T>(threads: impl Iterator<Item = osier::thread::JoinHandle<io::Result<T>>>) -> io::Result<Vec<T>> {
    let threads: Vec<_> = threads.collect();
    let ended = osier::thread::join_all(threads).into_iter();
    ended.map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
}

/// Asks for the page, and wants it whole. `room` is kept from one time to the next.
fn ask(mut stream: &TcpStream, room: &mut Vec<u8>) -> io::Result<()> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: compare\r\n\r\n";
    stream.write_all(REQUEST)?;
    room.resize(4 * PAGE, 0);
    let mut length = 0;
    loop {
        match stream.read(&mut room[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
        let head = room[..length].windows(4).position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|head| length == head + 4 + PAGE) {
            break;
        }
        if length == room.len() {
            return Err(io::Error::new(ErrorKind::InvalidData, "an answer is too long"));
        }
    }
    if room.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = String::from_utf8_lossy(&room[..length]).lines().next().unwrap_or_default().to_owned();
    Err(io::Error::new(ErrorKind::InvalidData, line))
}

/// The server in a process of its own; dropping it ends it.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(mode: Mode, options: &Options, page: &Page) -> io::Result<Server> {
        let process = Command::new(std::env::current_exe()?)
            .args(["--quiet", "--addr", "0", "--mode", &mode.name()])
            .args(["--workers", &options.workers.to_string()])
            .args(["--max-conns", &options.max_conns.to_string()])
            .args(["--timeout", &options.timeout.as_secs_f64().to_string()])
            .arg("--root")
            .arg(&page.0)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Server { process, addr: SocketAddr::from(([0; 4], 0)) };
        let mut line = String::new();
        if let Some(told) = server.process.stderr.take() {
            BufReader::new(told).read_line(&mut line)?;
        }
        let addr =
            line.trim_end().rsplit("//").next().and_then(|addr| addr.trim_end_matches('/').parse().ok());
        server.addr =
            addr.ok_or_else(|| io::Error::other(format!("it does not start: {}", line.trim_end())))?;
        Ok(server)
    }

    /// The server's process and those that it has started.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.process.id()];
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        family
    }

    /// How many OS threads it has in all, and in how many processes.
    fn size(&self) -> io::Result<(usize, usize)> {
        let family = self.family();
        let threads = family.iter().map(|id| Ok(std::fs::read_dir(format!("/proc/{id}/task"))?.count()));
        Ok((threads.sum::<io::Result<usize>>()?, family.len()))
    }

    /// The processor time that it has used in all.
    fn processor_time(&self) -> io::Result<Duration> {
        let per_second = rustix::param::clock_ticks_per_second();
        let mut ticks = 0;
        for id in self.family() {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
            // Behind the name, which stands in parentheses and may have anything in it: user and system time are fields 14 and 15.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            ticks += fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
