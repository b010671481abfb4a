//! Virtual time, and policies that decide who runs next.

mod common;

use common::{Log, check_with};
use osier::thread::ThreadId;
use osier::time::{Duration, FakeClock, Instant};
use osier::{Builder, Policy, Ready, SeededRandom};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_hour_takes_no_time_and_sleepers_wake_in_order() {
    let started = std::time::Instant::now();
    let run = || {
        check_with(Builder::new().clock(FakeClock::new()), |runtime| {
            runtime.run(|| {
                let log = Log::new();
                let start = Instant::now();
                let threads: Vec<_> = (0..50_u32)
                    .map(|n| {
                        let log = log.clone();
                        osier::spawn_local(move || {
                            osier::sleep(HOUR * (n * 7 % 10));
                            log.add((start.elapsed(), n));
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                log.take()
            })
        })
    };
    let woken = run();
    let mut expected: Vec<_> = (0..50_u32).map(|n| (HOUR * (n * 7 % 10), n)).collect();
    expected.sort();
    assert_eq!(woken, expected, "by deadline, and among equal ones by age");
    assert_eq!(run(), woken);
    assert!(started.elapsed() < HOUR / 60);
}

#[test]
fn a_clock_stands_still_while_anybody_runs() {
    let clock = FakeClock::new();
    check_with(Builder::new().clock(clock.clone()), |runtime| {
        runtime.run(|| {
            let start = Instant::now();
            let sleeper = osier::spawn(|| osier::sleep(HOUR));
            for _ in 0..1000 {
                osier::yield_now();
            }
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert!(!sleeper.is_finished());
            clock.advance(HOUR);
            for _ in 0..1000 {
                osier::yield_now();
            }
            assert!(sleeper.is_finished());
            assert_eq!(start.elapsed(), HOUR);
        });
    });
}

/// Last in, first out, and remembers what it was told.
struct Lifo {
    ready: Vec<ThreadId>,
    seen: Log<(Option<String>, i32, Duration)>,
}

impl Policy for Lifo {
    fn ready(&mut self, thread: Ready<'_>) {
        self.ready.push(thread.id());
        self.seen.add((thread.name().map(String::from), thread.priority(), thread.cost()));
    }

    fn next(&mut self) -> Option<ThreadId> {
        self.ready.pop()
    }
}

/// The order in which some green threads run that yield a few times.
fn order(policy: impl Policy + 'static) -> Vec<u32> {
    check_with(Builder::new().policy(policy), |runtime| {
        runtime.run(|| {
            let log = Log::new();
            let threads: Vec<_> = (0..20)
                .map(|n| {
                    let log = log.clone();
                    osier::spawn_local(move || {
                        for _ in 0..3 {
                            log.add(n);
                            osier::yield_now();
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            log.take()
        })
    })
}

#[test]
fn a_policy_decides_and_sees_what_was_set_at_the_spawn() {
    let seen = Log::new();
    let policy = Lifo { ready: Vec::new(), seen: seen.clone() };
    check_with(Builder::new().policy(policy), |runtime| {
        runtime.run(|| {
            let builder = osier::thread::Builder::new().name("dear".into()).priority(5).cost(HOUR);
            builder.spawn(|| ()).unwrap().join().unwrap();
        });
    });
    assert!(seen.take().contains(&(Some("dear".into()), 5, HOUR)));
    let policy = Lifo { ready: Vec::new(), seen };
    let expected: Vec<_> = (0..20).rev().flat_map(|n| [n; 3]).collect();
    assert_eq!(order(policy), expected);
}

#[test]
fn random_orders_can_be_had_again() {
    for seed in 0..10 {
        assert_eq!(order(SeededRandom::new(seed)), order(SeededRandom::new(seed)), "seed {seed}");
    }
    let orders: std::collections::HashSet<_> = (0..10).map(|seed| order(SeededRandom::new(seed))).collect();
    assert_eq!(orders.len(), 10);
}

/// Names nobody, or somebody who is not ready, at times.
struct Liar {
    told: Vec<ThreadId>,
    calls: usize,
}

impl Policy for Liar {
    fn ready(&mut self, thread: Ready<'_>) {
        self.told.push(thread.id());
    }

    fn next(&mut self) -> Option<ThreadId> {
        self.calls += 1;
        match self.calls % 3 {
            0 => None,
            // Long finished, or parked, or ready.
            _ => self.told.get(self.calls * 7 % self.told.len()).copied(),
        }
    }
}

#[test]
fn a_policy_that_lies_loses_nobody() {
    let mut ran = order(Liar { told: Vec::new(), calls: 0 });
    ran.sort_unstable();
    assert_eq!(ran, (0..20).flat_map(|n| [n; 3]).collect::<Vec<_>>());
}

#[test]
fn a_policy_that_panics_aborts_instead_of_losing_somebody() {
    struct Panics(u32);
    impl Policy for Panics {
        fn ready(&mut self, _: Ready<'_>) {
            self.0 += 1;
            assert!(self.0 < 2, "the policy panics");
        }
        fn next(&mut self) -> Option<ThreadId> {
            None
        }
    }
    let output = common::in_child("a_policy_that_panics_aborts_instead_of_losing_somebody", || {
        let runtime = Builder::new().policy(Panics(0)).build().unwrap();
        runtime.run(|| {
            let _ = std::panic::catch_unwind(|| drop(osier::spawn(|| ())));
        });
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{output:?}");
    assert!(common::text(&output.stderr).contains("the policy panics"));
}

#[test]
fn an_instant_of_stds_is_as_far_by_the_clock_of_the_runtime() {
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            let start = Instant::now();
            osier::thread::sleep_until(std::time::Instant::now() + HOUR);
            let slept = start.elapsed();
            assert!(slept <= HOUR && slept > HOUR - Duration::from_secs(60), "{slept:?}");
            osier::thread::sleep_until(std::time::Instant::now());
            assert_eq!(start.elapsed(), slept, "that one has passed");
        });
    });
}
