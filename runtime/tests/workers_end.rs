//! The end of an entry with several workers: whatever is spawned while it ends runs or is dropped once, and nothing is left.

mod common;

use common::{OnDrop, check_with};
use osier::Builder;
use osier::time::Duration;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};

/// Bodies and what has become of them.
#[derive(Default)]
struct Register {
    made: AtomicUsize,
    /// By number: how often it ran, and how often it was dropped.
    fates: Mutex<Vec<(u32, u32)>>,
}

/// Stands in the captured values of a body.
struct Ticket {
    register: Arc<Register>,
    number: usize,
}

impl Register {
    fn ticket(self: &Arc<Register>) -> Ticket {
        let mut fates = self.fates.lock().unwrap();
        fates.push((0, 0));
        self.made.fetch_add(1, Ordering::Relaxed);
        Ticket { register: self.clone(), number: fates.len() - 1 }
    }
}

impl Ticket {
    fn run(&self) {
        self.register.fates.lock().unwrap()[self.number].0 += 1;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.register.fates.lock().unwrap()[self.number].1 += 1;
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A green thread that does one of several things, among them spawning others, also from a destructor.
fn spawn_something(register: &Arc<Register>, random: u64, depth: u32) {
    let ticket = register.ticket();
    let register = register.clone();
    let mut random = Random(random | 1);
    let choice = random.below(6);
    let worker = random.below(4) as usize;
    let body = move || {
        ticket.run();
        let seed = random.below(u64::MAX);
        let again = move || {
            if depth > 0 {
                spawn_something(&register, seed, depth - 1);
                spawn_something(&register, seed / 3, depth - 1);
            }
        };
        match choice {
            0 => again(),
            1 => {
                let _again = OnDrop::new(again);
                osier::thread::park();
            }
            2 => {
                osier::yield_now();
                again();
            }
            3 => {
                let _again = OnDrop::new(move || {
                    osier::yield_now();
                    again();
                });
                osier::sleep(Duration::from_secs(3600));
            }
            4 => {
                let _again = OnDrop::new(again);
                osier::sleep(Duration::from_micros(random.below(100)));
            }
            _ => {
                let child = osier::spawn(again);
                let _ = child.join();
            }
        }
    };
    if worker < 2 {
        osier::thread::Builder::new().worker(worker).spawn(body).unwrap();
    } else {
        osier::spawn(body);
    }
}

fn seed() -> u64 {
    let seed = std::env::var("OSIER_STRESS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let _ = writeln!(std::io::stderr(), "OSIER_STRESS_SEED={seed}");
    seed
}

/// How long one of these tests goes on: seconds, unless the environment says minutes.
fn patience() -> Duration {
    let seconds = std::env::var("OSIER_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Has more stacks wait in the middle of an unwinding than any round does: those that hold their panic counts are kept.
fn fill_stock() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| osier::run(unwind_many));
}

fn unwind_many() {
    let unwinding: Vec<_> = (0..1000)
        .map(|_| {
            osier::spawn(|| {
                let _parks = OnDrop::new(osier::thread::park);
                std::panic::resume_unwind(Box::new(()));
            })
        })
        .collect();
    osier::yield_now();
    for thread in unwinding {
        thread.thread().unpark();
        let _ = thread.join();
    }
}

#[test]
fn what_is_spawned_while_it_ends_runs_or_is_dropped_once() {
    let mut random = Random(seed());
    fill_stock();
    let start = std::time::Instant::now();
    let mut rounds = 0;
    while start.elapsed() < patience() {
        rounds += 1;
        let register: Arc<Register> = Arc::default();
        let builder = Builder::new().workers(2).wait_all(false);
        check_with(builder, |runtime| {
            let over = Arc::new(AtomicBool::new(false));
            let foreign: Vec<_> = (0..2)
                .map(|n| {
                    let (handle, register, over) = (runtime.handle(), register.clone(), over.clone());
                    let mut random = Random(random.below(u64::MAX) | 1);
                    std::thread::spawn(move || {
                        let mut last = None;
                        while !over.load(Ordering::Relaxed) {
                            let ticket = register.ticket();
                            let (theirs, seed) = (register.clone(), random.below(u64::MAX));
                            let body = move || {
                                ticket.run();
                                spawn_something(&theirs, seed, 1);
                            };
                            let thread = match random.below(3) {
                                0 => handle.spawn(body),
                                _ => {
                                    let builder = osier::thread::Builder::new().worker(n);
                                    builder.spawn_on(&handle, body).unwrap()
                                }
                            };
                            if random.below(4) == 0 {
                                thread.kill();
                            }
                            last = Some(thread);
                            std::thread::sleep(Duration::from_micros(random.below(50)));
                        }
                        // The last of them is joined when the runtime is gone, at the latest.
                        last.map(|last| last.join().is_ok())
                    })
                })
                .collect();
            for _ in 0..3 {
                let seeds: Vec<_> = (0..20).map(|_| random.below(u64::MAX)).collect();
                runtime.run(|| {
                    for seed in seeds {
                        spawn_something(&register, seed, 3);
                    }
                    osier::sleep(Duration::from_micros(300));
                });
            }
            over.store(true, Ordering::Relaxed);
            // So that those that are joined have ended: an entry runs what has come in between.
            while foreign.iter().any(|thread| !thread.is_finished()) {
                runtime.run(|| osier::sleep(Duration::from_micros(100)));
            }
            for thread in foreign {
                thread.join().unwrap();
            }
        });
        for (number, fate) in register.fates.lock().unwrap().iter().enumerate() {
            assert!(matches!(fate, (0 | 1, 1)), "body {number} ran and was dropped so often: {fate:?}");
        }
    }
    assert!(rounds > 0);
}

/// The same, and the end waits for all: then all run that were spawned inside, unless they were killed.
#[test]
fn whoever_is_waited_for_has_run() {
    let mut random = Random(seed());
    fill_stock();
    let start = std::time::Instant::now();
    while start.elapsed() < patience() {
        let (made, ran) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        check_with(Builder::new().workers(3).wait_all(true), |runtime| {
            runtime.run(|| {
                fn tree(made: &Arc<AtomicU64>, ran: &Arc<AtomicU64>, mut random: Random, depth: u32) {
                    made.fetch_add(1, Ordering::Relaxed);
                    let (theirs, ours) = (made.clone(), ran.clone());
                    let worker = random.below(6) as usize;
                    let body = move || {
                        match random.below(3) {
                            0 => osier::yield_now(),
                            1 => osier::sleep(Duration::from_micros(random.below(200))),
                            _ => {}
                        }
                        for _ in 0..random.below(3) * u64::from(depth > 0) {
                            tree(&theirs, &ours, Random(random.below(u64::MAX) | 1), depth - 1);
                        }
                        ours.fetch_add(1, Ordering::Relaxed);
                    };
                    if worker < 3 {
                        osier::thread::Builder::new().worker(worker).spawn(body).unwrap();
                    } else {
                        osier::spawn(body);
                    }
                }
                for _ in 0..10 {
                    tree(&made, &ran, Random(random.below(u64::MAX) | 1), 6);
                }
            });
        });
        assert_eq!(made.load(Ordering::Relaxed), ran.load(Ordering::Relaxed));
    }
}
