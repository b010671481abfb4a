//! Destructors that wait while a stack unwinds: they run to their end, and nobody else notices.

mod common;

use common::{LONG, Log, MILLI, OnDrop, check, check_with, in_child, text};
use osier::generator::Generator;
use osier::sync::Semaphore;
use osier::thread::Killed;
use osier::time::{Elapsed, timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread::panicking;

/// All the waits that a destructor may make.
fn waits(log: &Log<&'static str>) {
    assert!(panicking());
    osier::sleep(MILLI);
    log.add("slept");
    osier::yield_now();
    log.add("yielded");
    assert_eq!(osier::spawn(|| 5).join().unwrap(), 5);
    log.add("joined");
    let semaphore = Arc::new(Semaphore::new(0));
    let theirs = semaphore.clone();
    osier::spawn(move || theirs.add_permits(1));
    semaphore.acquire().forget();
    log.add("acquired");
    assert_eq!(osier::offload(|| 6), 6);
    log.add("offloaded");
    osier::thread::scope(|scope| {
        scope.spawn(|| osier::sleep(MILLI));
    });
    log.add("scoped");
    osier::thread::park_timeout(MILLI);
    log.add("parked");
    assert!(panicking(), "the count is back");
}

const ALL: [&str; 7] = ["slept", "yielded", "joined", "acquired", "offloaded", "scoped", "parked"];

#[test]
fn by_a_kill() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            let _waits = OnDrop::new(|| waits(&theirs));
            osier::sleep(LONG);
        });
        osier::yield_now();
        thread.kill();
        assert!(thread.join().unwrap_err().is::<Killed>());
        assert_eq!(log.take(), ALL);
    });
}

#[test]
fn by_a_timeout() {
    check(|| {
        let log = Log::new();
        let outcome = timeout(MILLI, || {
            let _waits = OnDrop::new(|| waits(&log));
            osier::sleep(LONG);
        });
        assert_eq!(outcome, Err(Elapsed));
        assert!(!panicking());
        assert_eq!(log.take(), ALL);
    });
}

#[test]
fn by_a_panic() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            let _waits = OnDrop::new(|| waits(&theirs));
            resume_unwind(Box::new("panic"));
        });
        let payload: Box<dyn std::any::Any + Send> = thread.join().unwrap_err();
        assert!(payload.is::<&str>());
        assert_eq!(log.take(), ALL);
    });
}

#[test]
fn by_the_end_of_the_runtime() {
    let log = Log::new();
    let theirs = log.clone();
    check(move || {
        osier::spawn_local(move || {
            let _waits = OnDrop::new(move || {
                osier::sleep(MILLI);
                osier::yield_now();
                theirs.add("done");
            });
            osier::sleep(LONG);
        });
        osier::yield_now();
    });
    assert_eq!(log.take(), ["done"]);
}

#[test]
fn outside_of_green_threads() {
    check_with(osier::Builder::new(), |runtime| {
        let log = Log::new();
        let theirs = log.clone();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            runtime.enter(|driver| {
                let seen = log.clone();
                osier::spawn_local(move || {
                    loop {
                        seen.add(if panicking() { "a neighbour found itself panicking" } else { "" });
                        osier::sleep(MILLI / 10);
                    }
                });
                let _waits = OnDrop::new(|| {
                    waits(&theirs);
                    driver.turn(Some(MILLI));
                });
                resume_unwind(Box::new("panic"));
            })
        }));
        assert!(caught.is_err());
        let log: Vec<_> = log.take().into_iter().filter(|entry| !entry.is_empty()).collect();
        assert_eq!(log, ALL);
    });
}

#[test]
fn bystanders_do_not_panic_and_their_locks_are_not_poisoned() {
    check(|| {
        let unwinding = osier::spawn(|| {
            let _parks = OnDrop::new(|| {
                osier::thread::park();
                assert!(panicking());
            });
            resume_unwind(Box::new(()));
        });
        osier::yield_now();
        assert!(!panicking());
        let lock = Arc::new(Mutex::new(0));
        let theirs = lock.clone();
        let bystander = osier::spawn(move || {
            *theirs.lock().unwrap() = 1;
            osier::yield_now();
            *theirs.lock().unwrap() = 2;
            assert!(!panicking());
            // Its own panics are its own.
            let _ = catch_unwind(|| resume_unwind(Box::new(())));
            assert!(!panicking());
        });
        *lock.lock().unwrap() = 3;
        bystander.join().unwrap();
        assert!(!lock.is_poisoned());
        unwinding.thread().unpark();
        assert!(unwinding.join().is_err());
        assert!(!panicking());
    });
}

#[test]
fn many_at_once_and_each_in_its_own_order() {
    check(|| {
        let threads: Vec<_> = (0..20_usize)
            .map(|n| {
                osier::spawn(move || {
                    let _parks = OnDrop::new(|| {
                        for _ in 0..5 {
                            osier::yield_now();
                            osier::thread::park();
                            assert!(panicking());
                        }
                    });
                    resume_unwind(Box::new(n));
                })
            })
            .collect();
        for round in 0..10 {
            for thread in threads.iter().step_by(1 + round % 3) {
                thread.thread().unpark();
            }
            osier::yield_now();
            osier::yield_now();
            assert!(!panicking());
        }
        for (n, thread) in threads.into_iter().enumerate() {
            while !thread.is_finished() {
                thread.thread().unpark();
                osier::yield_now();
            }
            let payload: Box<dyn std::any::Any + Send> = thread.join().unwrap_err();
            assert_eq!(*payload.downcast::<usize>().unwrap(), n);
        }
    });
}

#[test]
fn an_unwinding_inside_of_an_unwinding() {
    check(|| {
        let thread = osier::spawn(|| {
            let _outer = OnDrop::new(|| {
                let caught = catch_unwind(|| {
                    let _inner = OnDrop::new(|| {
                        osier::thread::park();
                        assert!(panicking());
                    });
                    resume_unwind(Box::new("inner"));
                });
                assert!(caught.is_err());
                assert!(panicking(), "the outer one goes on");
                osier::thread::park();
                assert!(panicking());
            });
            resume_unwind(Box::new("outer"));
        });
        for _ in 0..2 {
            osier::yield_now();
            assert!(!panicking());
            thread.thread().unpark();
        }
        let payload: Box<dyn std::any::Any + Send> = thread.join().unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "outer");
        assert!(!panicking());
    });
}

#[test]
fn neither_kill_nor_outer_deadline_ends_a_wait_in_a_destructor() {
    check(|| {
        let thread = osier::spawn(|| {
            timeout(2 * MILLI, || {
                let _waits = OnDrop::new(|| {
                    let start = osier::time::Instant::now();
                    osier::sleep(10 * MILLI);
                    assert!(start.elapsed() >= 10 * MILLI);
                });
                resume_unwind(Box::new("panic"));
            })
        });
        osier::yield_now();
        thread.kill();
        let payload: Box<dyn std::any::Any + Send> = thread.join().unwrap_err();
        assert!(payload.is::<&str>(), "the panic goes on");
    });
}

#[test]
fn a_timeout_inside_a_destructor_works() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            let _waits = OnDrop::new(|| {
                theirs.add(timeout(MILLI, || osier::sleep(LONG)));
                theirs.add(timeout(LONG, || timeout(MILLI, || osier::sleep(LONG))).unwrap());
                theirs.add(timeout(LONG, || osier::sleep(MILLI)));
                assert!(panicking());
            });
            osier::sleep(LONG);
        });
        osier::yield_now();
        thread.kill();
        assert!(thread.join().unwrap_err().is::<Killed>());
        assert_eq!(log.take(), [Err(Elapsed), Err(Elapsed), Ok(())]);
    });
}

/// The generator's own stack does not unwind, but what is raised there comes out of the destructor that drives it, which aborts.
#[test]
fn a_generator_that_a_destructor_drives_is_not_told_to_end() {
    let output = in_child("a_generator_that_a_destructor_drives_is_not_told_to_end", || {
        osier::run(|| {
            let thread = osier::spawn(|| {
                timeout(2 * MILLI, || {
                    let _drives = OnDrop::new(|| {
                        let mut waits = Generator::<i32>::new(|yielder| {
                            assert!(!panicking());
                            osier::sleep(5 * MILLI);
                            yielder.yield_(1);
                            osier::sleep(LONG);
                        });
                        assert_eq!(waits.next(), Some(1));
                        // A deadline that was set in the destructor ends the wait.
                        assert_eq!(timeout(MILLI, || waits.next()), Err(Elapsed));
                        assert!(panicking());
                    });
                    osier::sleep(LONG);
                })
            });
            osier::sleep(4 * MILLI);
            thread.kill();
            // Its time was over before.
            let _ = thread.join();
            let killed = osier::spawn(|| {
                let _drives = OnDrop::new(|| Generator::<u8>::new(|_| osier::sleep(MILLI)).for_each(drop));
                osier::thread::park();
            });
            osier::yield_now();
            killed.kill();
            assert!(killed.join().unwrap_err().is::<Killed>());
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The deadline was set in a destructor, the wait is in a destructor of an unwinding inside of that: to end it would unwind out
/// of a destructor that runs because of an unwinding, which aborts.
#[test]
fn a_timeout_inside_a_destructor_does_not_end_waits_of_an_unwinding_inside_of_it() {
    let name = "a_timeout_inside_a_destructor_does_not_end_waits_of_an_unwinding_inside_of_it";
    let output = in_child(name, || {
        osier::run(|| {
            let thread = osier::spawn(|| {
                let _outer = OnDrop::new(|| {
                    let outcome = timeout(MILLI, || {
                        let caught = catch_unwind(|| {
                            let _inner = OnDrop::new(|| {
                                osier::sleep(5 * MILLI);
                                // One that was set inside of this unwinding does.
                                assert_eq!(timeout(MILLI, || osier::sleep(LONG)), Err(Elapsed));
                            });
                            resume_unwind(Box::new("inner"));
                        });
                        assert!(caught.is_err());
                        osier::sleep(LONG);
                    });
                    assert_eq!(outcome, Err(Elapsed));
                });
                resume_unwind(Box::new("outer"));
            });
            assert!(thread.join().is_err());
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_wait_in_a_panic_hook_blocks_in_place() {
    let output = in_child("a_wait_in_a_panic_hook_blocks_in_place", || {
        std::panic::set_hook(Box::new(|_| {
            osier::sleep(20 * MILLI);
            let semaphore = Semaphore::new(0);
            assert!(semaphore.acquire_timeout(MILLI).is_none());
            osier::yield_now();
            assert_eq!(osier::thread::current().name(), Some("panics"));
        }));
        osier::run(|| {
            let switched = Arc::new(Mutex::new(false));
            let theirs = switched.clone();
            let thread = osier::thread::Builder::new()
                .name("panics".into())
                .spawn(move || {
                    let caught = catch_unwind(|| panic!("with a hook that waits"));
                    assert!(caught.is_err());
                    assert!(!*theirs.lock().unwrap(), "nobody has run while the hook waited");
                    osier::sleep(MILLI);
                    assert!(*theirs.lock().unwrap(), "waits after it are as usual");
                })
                .unwrap();
            osier::spawn(move || *switched.lock().unwrap() = true);
            thread.join().unwrap();
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_runtime_made_and_run_in_a_destructor() {
    let output = in_child("a_runtime_made_and_run_in_a_destructor", || {
        // The first one of the process, which sets the panic hook.
        let caught = catch_unwind(|| {
            let _runs = OnDrop::new(|| {
                assert!(panicking());
                let seen = osier::run(|| {
                    let seen = osier::spawn(panicking).join().unwrap();
                    osier::sleep(MILLI);
                    seen || panicking()
                });
                assert!(!seen, "green threads do not unwind with the destructor that runs them");
                assert!(panicking());
            });
            resume_unwind(Box::new(()));
        });
        assert!(caught.is_err());
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}
