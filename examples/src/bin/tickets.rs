//! Ten buyers and one ticket: what goes wrong between a look and a step, and what a lock is for.
//!
//! What to watch for: how many buyers get the one ticket. Each reads a file of JSON, thinks for a moment, and writes the file with one
//! ticket less. Green threads take turns where they wait and nowhere else, so a buyer who did not wait in the middle would need
//! no lock; but he waits, and the others find the same ticket. A lock that is held from the look to the step cures it: a mutex among
//! green threads, a lock on a file among processes, whose green threads go on meanwhile. At the end two threads raise one counter a
//! million times each. Nothing is written in part, and updates are lost all the same.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::{Parser, ValueEnum};
use osier::fs::{self, File};
use osier::process::Command;
use osier::sync::atomic::{AtomicU64, Ordering};
use osier::sync::{Barrier, Mutex};
use osier::thread;
use osier_examples::cli;
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Lets ten buyers loose on one ticket, with and without a lock: green threads, then processes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many buyers there are
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100))]
    buyers: u32,

    /// How often each of two threads raises the counter
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    times: u64,

    /// Buy one ticket from the office in this directory: what a process among the buyers does
    #[arg(long, hide = true, requires = "locking")]
    buy: Option<PathBuf>,

    /// With --buy: whether with a lock
    #[arg(long, hide = true)]
    locking: Option<Locking>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Locking {
    Without,
    With,
}

/// How long a buyer thinks: longer than it takes to start ten processes.
const MOMENT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let arguments = match cli::arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(line) => {
            eprintln!("tickets: {line}; see tickets --help");
            return ExitCode::from(2);
        }
    };
    let outcome = osier::run(|| match (&arguments.buy, arguments.locking) {
        (Some(directory), Some(locking)) => Office { directory: directory.clone() }.serve_process(locking),
        _ => all(arguments.buyers, arguments.times).map(|()| ExitCode::SUCCESS),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("tickets: {error}");
        ExitCode::FAILURE
    })
}

fn all(buyers: u32, times: u64) -> io::Result<()> {
    let directory = Directory::new()?;
    let office = Office { directory: directory.0.clone() };
    println!("{buyers} green threads, one ticket:");
    for locking in [Locking::Without, Locking::With] {
        office.offer_one_ticket()?;
        told(locking, office.sell_to_threads(buyers, locking)?, office.tickets()?);
    }
    println!("{buyers} processes, one ticket:");
    for locking in [Locking::Without, Locking::With] {
        office.offer_one_ticket()?;
        told(locking, office.sell_to_processes(buyers, locking)?, office.tickets()?);
    }
    println!("a counter, raised {times} times by each of two threads:");
    println!("  green threads, which do not wait in the middle: {}", green_counter(times, false));
    println!("  green threads, which do now and then: {}", green_counter(times, true));
    println!(
        "  green threads of two workers, which may be anywhere: {}",
        parallel_counter(times, two_workers)
    );
    println!("  OS threads, which may be anywhere: {}", parallel_counter(times, two_os_threads));
    println!("  OS threads with a lock: {}", locked_counter(times));
    println!("  OS threads that raise it in one step: {}", atomic_counter(times));
    Ok(())
}

fn told(locking: Locking, sold: u32, left: i64) {
    let how = if locking == Locking::With { "with a lock" } else { "without a lock" };
    println!("  {how}: {sold} sold, {left} left");
}

// --- tickets ---

/// Where the tickets are, in `tickets.json`, and the lock of the processes, `lock`.
struct Office {
    directory: PathBuf,
}

impl Office {
    fn path(&self) -> PathBuf {
        self.directory.join("tickets.json")
    }

    fn offer_one_ticket(&self) -> io::Result<()> {
        fs::write(self.path(), json!({ "tickets": 1 }).to_string())
    }

    fn tickets(&self) -> io::Result<i64> {
        let text = fs::read_to_string(self.path())?;
        let office: serde_json::Value = serde_json::from_str(&text)?;
        office["tickets"].as_i64().ok_or_else(|| io::Error::other("the file names no number of tickets"))
    }

    /// Buys a ticket, if there is one. True if there was.
    fn buy(&self) -> io::Result<bool> {
        let tickets = self.tickets()?;
        if tickets == 0 {
            return Ok(false);
        }
        // Here the others have their turn.
        thread::sleep(MOMENT);
        // A new file under the old name, so that nobody reads half a file: the number can be wrong, but it is a number.
        let new = self.path().with_extension(format!("{}-{:?}", std::process::id(), thread::current().id()));
        fs::write(&new, json!({ "tickets": tickets - 1 }).to_string())?;
        fs::rename(new, self.path())?;
        Ok(true)
    }

    fn sell_to_threads(&self, buyers: u32, locking: Locking) -> io::Result<u32> {
        let lock = Mutex::new(());
        thread::scope(|scope| {
            let buyers: Vec<_> = (0..buyers)
                .map(|_| {
                    scope.spawn(|| {
                        let _guard = (locking == Locking::With).then(|| lock.lock().expect("nobody panics"));
                        self.buy()
                    })
                })
                .collect();
            let bought = buyers.into_iter().map(|buyer| buyer.join().expect("it does not panic"));
            bought.map(|bought| bought.map(u32::from)).sum()
        })
    }

    /// What a process does that is a buyer: its exit code tells whether it has a ticket.
    fn serve_process(&self, locking: Locking) -> io::Result<ExitCode> {
        let lock = File::create(self.directory.join("lock"))?;
        if locking == Locking::With {
            // Until the file is closed, at the end of the process if not before.
            lock.lock()?;
        }
        Ok(ExitCode::from(if self.buy()? { BOUGHT } else { NONE_LEFT }))
    }

    fn sell_to_processes(&self, buyers: u32, locking: Locking) -> io::Result<u32> {
        let how = if locking == Locking::With { "with" } else { "without" };
        let mut processes = Vec::new();
        for _ in 0..buyers {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--buy").arg(&self.directory).args(["--locking", how]);
            processes.push(command.spawn()?);
        }
        let mut sold = 0;
        for mut process in processes {
            match process.wait()?.code() {
                Some(code) if code == i32::from(BOUGHT) => sold += 1,
                Some(code) if code == i32::from(NONE_LEFT) => {}
                _ => return Err(io::Error::other("a process that was a buyer has failed")),
            }
        }
        Ok(sold)
    }
}

/// What a process that is a buyer exits with.
const BOUGHT: u8 = 10;
const NONE_LEFT: u8 = 11;

/// A directory that lasts as long as this.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Directory> {
        let path = std::env::temp_dir().join(format!("osier-tickets-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in a directory for temporary files harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

// --- the counter ---

/// After how many steps a thread waits in the middle of one.
const SELDOM: u64 = 1000;

/// Raises `counter` in two steps, as `counter += 1` does where nothing better is said.
fn raise(counter: &AtomicU64, between: impl FnOnce()) {
    let value = counter.load(Ordering::Relaxed);
    between();
    counter.store(value + 1, Ordering::Relaxed);
}

fn green_counter(times: u64, wait: bool) -> u64 {
    let counter = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for time in 0..times {
                    raise(&counter, || {
                        if wait && time % SELDOM == 0 {
                            thread::yield_now();
                        }
                    });
                }
            });
        }
    });
    counter.into_inner()
}

/// Runs `work` on two OS threads.
fn two_os_threads(work: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
}

/// Runs `work` on two green threads, each on a worker of its own, in a runtime of their own.
fn two_workers(work: &(dyn Fn() + Sync)) {
    let runtime = || {
        let runtime = osier::Builder::new().workers(2).build().expect("there are descriptors left");
        runtime.run(|| {
            thread::scope(|scope| {
                for worker in 0..2 {
                    let builder = thread::Builder::new().worker(worker);
                    builder.spawn_scoped(scope, work).expect("there is such a worker");
                }
            });
        });
    };
    // A runtime does not run inside of another.
    std::thread::scope(|scope| _ = scope.spawn(runtime));
}

fn parallel_counter(times: u64, two: fn(&(dyn Fn() + Sync))) -> u64 {
    let counter = AtomicU64::new(0);
    let both = Barrier::new(2);
    two(&|| {
        for time in 0..times {
            raise(&counter, || {
                // Once both are held in the middle, so that an update is lost on any machine. Afterwards they are where they are.
                if time == 0 {
                    both.wait();
                }
            });
        }
    });
    counter.into_inner()
}

fn locked_counter(times: u64) -> u64 {
    let counter = Mutex::new(0);
    two_os_threads(&|| {
        for _ in 0..times {
            *counter.lock().expect("nobody panics") += 1;
        }
    });
    counter.into_inner().expect("nobody has panicked")
}

fn atomic_counter(times: u64) -> u64 {
    let counter = AtomicU64::new(0);
    two_os_threads(&|| {
        for _ in 0..times {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    counter.into_inner()
}
