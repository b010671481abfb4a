//! Green threads that wait and green threads that do not.
//!
//! What to watch for: the order of the lines. A green thread runs until it waits, so three that never wait run one after
//! another, and three that sleep take turns. std's sleep knows nothing of green threads and keeps the OS thread, until
//! `osier::patch` makes it park the green thread alone. At the end two tasks that wait for 2 s and for 3 s take 5 s one after
//! the other, and 3 s together.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::time::Instant;
use osier_examples::cli;
use std::process::ExitCode;
use std::time::Duration;

/// Three green threads in turn and interleaved, and two tasks of 2 s and 3 s one after the other and together.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many milliseconds a second of the last two parts lasts
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1000))]
    second: u32,
}

/// Between two lines of a green thread that sleeps.
const NAP: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let second = match cli::arguments::<Arguments>() {
        Ok(arguments) => Duration::from_millis(arguments.second.into()),
        Err(line) => {
            eprintln!("spawn: {line}; see spawn --help");
            return ExitCode::from(2);
        }
    };
    osier::run(|| {
        println!("nobody waits:");
        three(|| {});
        println!("osier's sleep between two lines:");
        three(|| osier::sleep(NAP));
        println!("std's sleep, not patched:");
        three(|| std::thread::sleep(NAP));
        osier::patch::all();
        println!("std's sleep, patched:");
        three(|| std::thread::sleep(NAP));

        println!("2 s and 3 s, one after the other:");
        timed(second, || {
            task("A", 2, second);
            task("B", 3, second);
        });
        println!("2 s and 3 s, together:");
        timed(second, || {
            let tasks = [("A", 2), ("B", 3)];
            let threads = tasks.map(|(name, seconds)| osier::spawn(move || task(name, seconds, second)));
            threads.into_iter().for_each(|thread| thread.join().expect("a task does not panic"));
        });
    });
    ExitCode::SUCCESS
}

/// Three green threads that print three lines each, with `pause` after each line.
fn three(pause: fn()) {
    let threads = ["A", "B", "C"].map(|name| {
        osier::spawn(move || {
            for line in 1..=3 {
                println!("  {name} {line}");
                pause();
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}

/// Waits for so many seconds, as a download or a query does. std's sleep: it was patched above.
fn task(name: &str, seconds: u32, second: Duration) {
    println!("  {name} begins");
    std::thread::sleep(seconds * second);
    println!("  {name} ends");
}

fn timed(second: Duration, f: impl FnOnce()) {
    let start = Instant::now();
    f();
    println!("  took {:.1} s", start.elapsed().div_duration_f64(second));
}
