//! The runtime inside somebody else's loop.
//!
//! What to watch for: who is woken by what. The loop below is the program's own: it waits in `epoll_wait` for a timer, a
//! listener and a connection that the runtime knows nothing of, and for one more descriptor, the runtime's. When that
//! becomes readable some green thread can run, because another OS thread has spawned it, because its sleep is over, or because
//! its socket is ready; then the loop calls `turn`. It never polls in vain: the last line tells how often it was woken.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier_examples::cli;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

/// Drives green threads from a hand-written epoll loop that waits for things of its own besides.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    if let Err(line) = cli::arguments::<Arguments>() {
        eprintln!("embed: {line}; see embed --help");
        return ExitCode::from(2);
    }
    match foreign_loop() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

// What the loop waits for.
const TIMER: u64 = 0;
const LISTENER: u64 = 1;
const CONNECTION: u64 = 2;
const RUNTIME: u64 = 3;

fn foreign_loop() -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let watch = |fd: BorrowedFd<'_>, what| {
        epoll::add(&epoll, fd, epoll::EventData::new_u64(what), epoll::EventFlags::IN)
    };
    let timer = timer(Duration::from_millis(20))?;
    watch(timer.as_fd(), TIMER)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    watch(listener.as_fd(), LISTENER)?;
    let addr = listener.local_addr()?;

    let runtime = osier::Builder::new().build()?;
    runtime.enter(|driver| {
        watch(driver.as_fd(), RUNTIME)?;
        osier::spawn(|| println!("green thread 1: spawned before the first turn"));
        // Before the first turn the runtime's descriptor tells nothing.
        driver.turn(Some(Duration::ZERO));

        let (sender, end) = mpsc::channel();
        let mut sender = Some(sender);
        let mut connection = None;
        let mut wakes = 0;
        let mut events = Vec::with_capacity(8);
        loop {
            epoll::wait(&epoll, spare_capacity(&mut events), None)?;
            wakes += 1;
            for event in events.drain(..) {
                match event.data.u64() {
                    TIMER => {
                        println!("loop: its timer has fired");
                        rustix::io::read(&timer, &mut [0; 8])?;
                        let Some(ended) = sender.take() else { continue };
                        let handle = runtime.handle();
                        std::thread::spawn(move || handle.spawn(move || _ = ended.send(green(addr))));
                    }
                    LISTENER => {
                        println!("loop: its listener has a connection");
                        let (stream, _) = listener.accept()?;
                        watch(stream.as_fd(), CONNECTION)?;
                        connection = Some(stream);
                    }
                    CONNECTION => {
                        let Some(mut stream) = connection.take() else { continue };
                        println!("loop: its connection says {:?}", receive(&mut stream)?);
                        stream.write_all(b"hello, green thread")?;
                    }
                    // Without waiting: that is what the loop is for.
                    _ => _ = driver.turn(Some(Duration::ZERO)),
                }
            }
            match end.try_recv() {
                Ok(outcome) => {
                    println!("loop: woken {wakes} times");
                    return outcome;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the green thread has panicked"));
                }
            }
        }
    })
}

/// What another OS thread spawns.
fn green(addr: SocketAddr) -> io::Result<()> {
    println!("green thread 2: spawned from another OS thread");
    osier::sleep(Duration::from_millis(20));
    println!("green thread 2: its sleep is over");
    let mut stream = osier::net::TcpStream::connect(addr)?;
    stream.write_all(b"hello, loop")?;
    println!("green thread 2: its connection says {:?}", receive(&mut stream)?);
    Ok(())
}

/// What has come; little enough to come in one piece.
fn receive(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = [0; 64];
    let length = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// A timer that becomes readable once, so long from now.
fn timer(after: Duration) -> io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let once = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec::try_from(after).map_err(io::Error::other)?,
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(timer)
}
