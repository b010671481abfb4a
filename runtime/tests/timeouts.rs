//! Timeouts and sleeps: each deadline ends the waits inside of it and nothing else, and never early.

mod common;

use common::{LONG, Log, MILLI, check, check_virtual, check_with};
use osier::sync::Semaphore;
use osier::time::{Duration, Elapsed, FakeClock, Instant, timeout};
use osier::{Builder, SeededRandom};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nested_ones_fire_for_their_own_owner() {
    check_virtual(|_| {
        let start = Instant::now();
        // The inner one first.
        let outer = timeout(5 * SECOND, || {
            assert_eq!(timeout(SECOND, || osier::sleep(LONG)), Err(Elapsed));
            assert_eq!(start.elapsed(), SECOND);
            "the outer one goes on"
        });
        assert_eq!(outer, Ok("the outer one goes on"));
        // The outer one first.
        let inner_ended = Cell::new(false);
        let outer: Result<(), Elapsed> = timeout(SECOND, || {
            let inner = timeout(5 * SECOND, || osier::sleep(LONG));
            inner_ended.set(true);
            inner.unwrap();
        });
        assert_eq!(outer, Err(Elapsed));
        assert!(!inner_ended.get(), "the inner one let it through");
        assert_eq!(start.elapsed(), 2 * SECOND);
        // Both at once: the outer one, which would have it next.
        let outer: Result<Result<(), Elapsed>, Elapsed> =
            timeout(SECOND, || timeout(SECOND, || osier::sleep(LONG)));
        assert_eq!(outer, Err(Elapsed));
    });
}

#[test]
fn a_value_is_a_value_however_late() {
    let clock = FakeClock::new();
    check_with(Builder::new().clock(clock.clone()), |runtime| {
        runtime.run(|| {
            assert_eq!(timeout(Duration::ZERO, || 1), Ok(1));
            let late = timeout(SECOND, || {
                clock.advance(5 * SECOND);
                "late"
            });
            assert_eq!(late, Ok("late"));
            // But a wait after the expiry is ended.
            let waits = timeout(SECOND, || {
                clock.advance(5 * SECOND);
                osier::yield_now();
            });
            assert_eq!(waits, Err(Elapsed));
        });
    });
}

#[test]
fn one_that_was_swallowed_ends_the_next_wait_too() {
    check_virtual(|_| {
        let swallowed = Cell::new(0);
        let outcome = timeout(SECOND, || {
            for _ in 0..3 {
                catch_unwind(AssertUnwindSafe(|| osier::sleep(LONG))).unwrap_err();
                swallowed.set(swallowed.get() + 1);
            }
            osier::thread::park();
        });
        assert_eq!((outcome, swallowed.get()), (Err(Elapsed), 3));
    });
}

#[test]
fn a_shield_postpones_one() {
    check_virtual(|_| {
        let start = Instant::now();
        let outcome = timeout(SECOND, || {
            osier::shield(|| {
                osier::sleep(5 * SECOND);
                assert_eq!(timeout(SECOND, || osier::sleep(LONG)), Err(Elapsed), "set inside of it");
            });
            assert_eq!(start.elapsed(), 6 * SECOND);
            osier::sleep(LONG);
        });
        assert_eq!(outcome, Err(Elapsed));
        assert_eq!(start.elapsed(), 6 * SECOND);
    });
}

#[test]
fn one_ends_every_kind_of_wait() {
    check_virtual(|_| {
        fn ends(wait: impl FnOnce()) {
            let start = Instant::now();
            assert_eq!(timeout(SECOND, wait), Err(Elapsed));
            assert_eq!(start.elapsed(), SECOND);
        }
        ends(|| osier::sleep(Duration::MAX));
        ends(osier::thread::park);
        ends(|| osier::thread::park_timeout(LONG));
        ends(|| drop(Semaphore::new(0).acquire()));
        ends(|| drop(Semaphore::new(0).acquire_timeout(LONG)));
        ends(|| osier::spawn(|| osier::sleep(LONG)).join().unwrap());
        ends(|| drop(osier::spawn(|| osier::sleep(LONG)).join_timeout(LONG)));
        ends(|| {
            osier::thread::scope(|scope| {
                scope.spawn(|| osier::sleep(LONG));
            });
        });
        // A wait's own deadline is not the timeout's.
        assert_eq!(timeout(LONG, || osier::thread::park_timeout(SECOND)), Ok(()));
        assert!(timeout(LONG, || Semaphore::new(0).acquire_timeout(SECOND).is_none()).unwrap());
    });
}

#[test]
fn one_binds_the_thread_that_set_it_and_no_other() {
    check_virtual(|_| {
        let start = Instant::now();
        let spawned = timeout(SECOND, || osier::spawn(|| osier::sleep(5 * SECOND))).unwrap();
        spawned.join().unwrap();
        assert_eq!(start.elapsed(), 5 * SECOND);
    });
}

#[test]
fn on_os_threads() {
    let start = std::time::Instant::now();
    let outcome = timeout(LONG, || {
        assert_eq!(timeout(2 * MILLI, || osier::sleep(LONG)), Err(Elapsed));
        assert_eq!(timeout(MILLI, osier::thread::park), Err(Elapsed));
        assert_eq!(timeout(MILLI, || drop(Semaphore::new(0).acquire())), Err(Elapsed));
        1
    });
    assert_eq!(outcome, Ok(1));
    assert!(start.elapsed() >= 4 * MILLI);
}

#[test]
fn none_is_early() {
    check(|| {
        let sleepers: Vec<_> = (0..200_u64)
            .map(|n| {
                osier::spawn(move || {
                    let duration = Duration::from_nanos(n * 50_123);
                    let start = std::time::Instant::now();
                    match n % 3 {
                        0 => osier::sleep(duration),
                        1 => osier::thread::sleep_until(Instant::now() + duration),
                        _ => drop(timeout(duration, || osier::sleep(LONG)).unwrap_err()),
                    }
                    (start.elapsed(), duration)
                })
            })
            .collect();
        for sleeper in sleepers {
            let (slept, asked) = sleeper.join().unwrap();
            assert!(slept >= asked, "slept {slept:?} of {asked:?}");
        }
    });
}

#[test]
fn what_cannot_be_represented_is_for_ever() {
    check_virtual(|_| {
        assert_eq!(timeout(Duration::MAX, || osier::sleep(SECOND)), Ok(()));
        let sleeper = osier::spawn(|| osier::sleep(Duration::MAX));
        let sleeper = sleeper.join_timeout(1000 * LONG).expect_err("it sleeps for ever");
        sleeper.kill();
        sleeper.join().unwrap_err();
        osier::thread::current().unpark();
        osier::thread::park_timeout(Duration::MAX);
    });
}

/// Waiters of a semaphore whose permits come, whose deadlines pass, and who are killed, all at once and in any order: no
/// permit is lost and none is made.
#[test]
fn a_permit_that_races_with_a_deadline_or_a_kill_is_not_lost() {
    let seeds = std::env::var("OSIER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = seeds.map_or(0..300, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let body = || {
            let permits = Arc::new(Semaphore::new(1));
            let held = Rc::new(Cell::new(0_u32));
            let taken = Log::new();
            let threads: Vec<_> = (0..12_u32)
                .map(|n| {
                    let (permits, held, taken) = (permits.clone(), held.clone(), taken.clone());
                    osier::spawn_local(move || {
                        let patience = MILLI * ((seed as u32 + n * 7) % 5);
                        let work = || {
                            let guard = if n % 2 == 0 {
                                permits.acquire_timeout(patience)
                            } else {
                                Some(permits.acquire())
                            };
                            let Some(_guard) = guard else { return };
                            held.set(held.get() + 1);
                            assert_eq!(held.get(), 1, "one permit, two holders");
                            taken.add(n);
                            let _release = common::OnDrop::new(|| held.set(held.get() - 1));
                            osier::sleep(MILLI * (n % 3));
                        };
                        if n % 3 == 0 {
                            work();
                        } else {
                            let _ = timeout(2 * patience, work);
                        }
                    })
                })
                .collect();
            for (n, thread) in threads.iter().enumerate() {
                if n as u64 % 4 == seed % 4 {
                    osier::sleep(MILLI * (n as u32 % 2));
                    thread.kill();
                }
            }
            for thread in threads {
                let _ = thread.join();
            }
            assert_eq!(permits.available_permits(), 1);
            assert!(permits.try_acquire().is_some());
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let builder = Builder::new().policy(SeededRandom::new(seed)).clock(FakeClock::new());
            check_with(builder, |runtime| runtime.run(body));
        }));
        if let Err(payload) = outcome {
            panic!("with OSIER_TEST_SEED={seed}: {}", common::message(&*payload));
        }
    }
}
