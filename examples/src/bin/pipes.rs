//! Processes that are copies of this one: what they say to each other, what they share, and what not.
//!
//! What to watch for: who sees what. A child begins as a copy of its parent, with all that the parent has; from then on they have nothing in
//! common but their descriptors. What one writes into a pipe or a socket pair the other can read, and while a green thread waits for
//! that the others of its process go on. What one writes into a global the other never sees. So a sum that five threads add up in
//! one place needs messages when it is five processes that add. Which is faster? A short sum is over before a process has begun. A long one
//! is not worth green threads, which take turns on one processor: processes use them all, and so do OS threads.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::io::{self, BufRead, BufReader, ErrorKind, Write};
use osier::multiprocess::{Builder, Process, duplex};
use osier::os::unix::net::UnixStream;
use osier::sync::atomic::{AtomicU64, Ordering::Relaxed};
use osier::thread;
use osier::time::{Duration, Instant};
use osier_examples::cli;
use std::net::Shutdown;
use std::process::ExitCode;

/// Parents and children that are copies of them: pipes, socket pairs, a global, and a sum.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Up to which number the sum goes, in the larger of its two rows
    #[arg(long, value_name = "N", default_value = "5000000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    to: u64,
}

fn main() -> ExitCode {
    let Arguments { to } = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(line) => {
            eprintln!("pipes: {line}; see pipes --help");
            return ExitCode::from(2);
        }
    };
    match osier::run(|| all(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(to: u64) -> io::Result<()> {
    println!("a pipe, from the parent to a child:");
    pipe()?;
    println!("a socket pair, both ways, while another green thread of the parent goes on:");
    socket_pair()?;
    println!("copied once, and a global that both change:");
    copied(1, 1, "parent")?;
    println!("copied twice, so that there are four of them:");
    GLOBAL.store(0, Relaxed);
    copied(1, 2, "parent")?;
    println!("five threads and five processes on one sum:");
    for to in [1000, to] {
        sums(to)?;
    }
    Ok(())
}

/// Waits for the end of a child, which must be a good one.
fn join(mut child: Process) -> io::Result<()> {
    let status = child.join()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("a child has failed: {status}"))) }
}

/// What a child has to say that fails: it panics, which is its exit code.
fn expect<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("a child cannot go on: {error}"))
}

// --- messages ---

fn pipe() -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    // The child has copies of both ends. Kept from it, the parent's copy of the writing end is the last, and its end that of the pipe.
    let child = Builder::new().without(&writer).spawn(|| {
        for line in BufReader::new(reader).lines() {
            println!("  child: {:?} came", expect(line));
        }
        println!("  child: that was all");
    })?;
    for word in ["acorn", "twig"] {
        writeln!(writer, "{word}")?;
    }
    drop(writer);
    join(child)?;
    println!("  parent: the child has ended");
    Ok(())
}

fn socket_pair() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Builder::new().without(&ours).spawn(|| {
        for question in BufReader::new(&theirs).lines() {
            let question = expect(question);
            thread::sleep(Duration::from_millis(20));
            expect(writeln!(&theirs, "{}", question.to_uppercase()));
        }
    })?;
    let turns = AtomicU64::new(0);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(1));
                turns.fetch_add(1, Relaxed);
            }
        });
        let mut answers = BufReader::new(&ours).lines();
        for question in ["willow", "osier"] {
            writeln!(&ours, "{question}")?;
            let before = turns.load(Relaxed);
            let answer = answers.next().unwrap_or_else(|| Err(ErrorKind::UnexpectedEof.into()))?;
            let went_on = if turns.load(Relaxed) > before { "went on" } else { "stood still" };
            println!("  parent: {question:?} was answered with {answer:?}; the other green thread {went_on}");
        }
        other.kill();
        Ok::<(), io::Error>(())
    })?;
    ours.shutdown(Shutdown::Write)?;
    join(child)
}

// --- a global ---

static GLOBAL: AtomicU64 = AtomicU64::new(0);

/// Copies this process, and each of those that there are then, until it was done `times` times; this is the time `time`. Each time the child
/// adds 1 to the global and the parent 10.
fn copied(time: u32, times: u32, who: &str) -> io::Result<()> {
    if time > times {
        println!("  {who} sees {}", GLOBAL.load(Relaxed));
        return Ok(());
    }
    let child = Process::spawn(|| {
        GLOBAL.fetch_add(1, Relaxed);
        expect(copied(time + 1, times, &format!("{who}'s child {time}")));
    })?;
    // First the child, so that the lines come in one order.
    join(child)?;
    GLOBAL.fetch_add(10, Relaxed);
    copied(time + 1, times, who)
}

// --- a sum ---

/// How many add.
const HANDS: u64 = 5;

/// What hand number `hand` adds up of 1 + 2 + ... + `to`.
fn share(hand: u64, to: u64) -> u64 {
    // The compiler knows how to do it without adding; that would be no work.
    (1..=to).filter(|number| number % HANDS == hand).map(std::hint::black_box).sum()
}

fn sums(to: u64) -> io::Result<()> {
    println!("  1 + 2 + ... + {to}:");
    row("green threads, which take turns", || {
        let sum = AtomicU64::new(0);
        thread::scope(|scope| {
            for hand in 0..HANDS {
                let sum = &sum;
                scope.spawn(move || sum.fetch_add(share(hand, to), Relaxed));
            }
        });
        Ok((sum.into_inner(), None))
    })?;
    row("processes, on all processors", || {
        let sum = AtomicU64::new(0);
        let (ours, theirs) = duplex()?;
        let children = (0..HANDS).map(|hand| {
            Process::spawn(|| {
                let share = share(hand, to);
                // Of its own sum: nobody else sees it.
                sum.fetch_add(share, Relaxed);
                expect(theirs.send(&share.to_le_bytes()));
            })
        });
        let children = children.collect::<io::Result<Vec<_>>>()?;
        // Now the children have the only ones, so that nobody waits for one that has failed.
        drop(theirs);
        let mut told = 0;
        for _ in 0..HANDS {
            let message = ours.recv()?.ok_or(ErrorKind::UnexpectedEof)?;
            told += u64::from_le_bytes(message.try_into().map_err(|_| ErrorKind::InvalidData)?);
        }
        for child in children {
            join(child)?;
        }
        Ok((told, Some(sum.into_inner())))
    })?;
    row("OS threads, on all processors", || {
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for hand in 0..HANDS {
                let sum = &sum;
                scope.spawn(move || sum.fetch_add(share(hand, to), Relaxed));
            }
        });
        Ok((sum.into_inner(), None))
    })
}

/// Runs `add` and shows what it came to: the sum, and what the parent's variable has if that is not where the sum came from.
fn row(who: &str, add: impl FnOnce() -> io::Result<(u64, Option<u64>)>) -> io::Result<()> {
    let begin = Instant::now();
    let (sum, variable) = add()?;
    let time = begin.elapsed().as_secs_f64() * 1e3;
    let variable = variable.map(|variable| format!("; the parent's variable still has {variable}"));
    println!("    {who}: {sum} after {time:.1} ms{}", variable.unwrap_or_default());
    Ok(())
}
