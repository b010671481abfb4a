//! Joining: from green threads of this and of another runtime, and from OS threads.

mod common;

use common::{LONG, MILLI, check, check_with, leaves_nothing};
use osier::Builder;
use osier::thread::{Killed, join_all};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn gives_the_value_whether_it_waits_or_not() {
    check(|| {
        assert_eq!(osier::spawn(|| 1).join().unwrap(), 1);
        let finished = osier::spawn(|| 2);
        osier::yield_now();
        assert!(finished.is_finished());
        assert_eq!(finished.join().unwrap(), 2);
    });
}

#[test]
fn a_timeout_gives_the_handle_back() {
    check(|| {
        let thread = osier::spawn(|| {
            osier::thread::park();
            "parked"
        });
        let thread = thread.join_timeout(MILLI).expect_err("it has not ended");
        assert!(!thread.is_finished());
        thread.thread().unpark();
        assert_eq!(thread.join_timeout(LONG).unwrap().unwrap(), "parked");
        let never = osier::spawn(osier::thread::park);
        let never = never.join_timeout(osier::time::Duration::ZERO).expect_err("no time at all");
        never.kill();
        let forever = osier::time::Duration::MAX;
        assert!(never.join_timeout(forever).unwrap().unwrap_err().is::<Killed>());
    });
}

#[test]
fn to_wait_leaves_the_handle() {
    check(|| {
        let thread = Arc::new(osier::spawn(|| {
            osier::thread::park();
            "parked"
        }));
        assert!(!thread.wait_timeout(MILLI));
        let waiter = osier::spawn({
            let thread = thread.clone();
            move || thread.wait()
        });
        osier::yield_now();
        waiter.kill();
        assert!(waiter.join().unwrap_err().is::<Killed>());
        // Several at a time, and from an OS thread.
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let thread = thread.clone();
                osier::spawn(move || thread.wait())
            })
            .collect();
        let elsewhere = std::thread::spawn({
            let thread = thread.clone();
            move || assert!(thread.wait_timeout(LONG))
        });
        osier::yield_now();
        thread.thread().unpark();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        thread.wait();
        elsewhere.join().unwrap();
        assert_eq!(Arc::into_inner(thread).unwrap().join().unwrap(), "parked");
    });
}

#[test]
fn several_wait_for_one() {
    check(|| {
        let slow = Arc::new(osier::spawn(osier::thread::park));
        let joiners: Vec<_> = (0..10)
            .map(|_| {
                let slow = slow.clone();
                osier::spawn_local(move || {
                    while !slow.is_finished() {
                        osier::yield_now();
                    }
                })
            })
            .collect();
        osier::yield_now();
        slow.thread().unpark();
        joiners.into_iter().for_each(|joiner| joiner.join().unwrap());
        Arc::into_inner(slow).unwrap().join().unwrap();
    });
}

#[test]
fn of_many_keeps_their_order() {
    check(|| {
        let threads = (0..20_u32).map(|n| {
            osier::spawn(move || {
                osier::sleep(MILLI * (20 - n) / 10);
                assert_ne!(n, 7, "the seventh panics");
                n
            })
        });
        let results = join_all(threads);
        for (n, result) in results.into_iter().enumerate() {
            assert_eq!(result.ok(), (n != 7).then_some(n as u32));
        }
    });
}

#[test]
fn works_from_an_os_thread() {
    check(|| {
        let thread = osier::spawn(|| {
            osier::thread::park();
            5
        });
        let wake = thread.thread().clone();
        let os_thread = std::thread::spawn(move || {
            let thread = thread.join_timeout(MILLI).expect_err("it is parked");
            wake.unpark();
            thread.join().unwrap()
        });
        while !os_thread.is_finished() {
            osier::sleep(MILLI);
        }
        assert_eq!(os_thread.join().unwrap(), 5);
    });
}

#[test]
fn works_from_a_green_thread_of_another_runtime() {
    leaves_nothing(|| {
        let mine = Builder::new().build().unwrap();
        let handle = mine.handle();
        let go_on = Arc::new(AtomicBool::new(false));
        let seen = go_on.clone();
        let other = std::thread::spawn(move || {
            osier::run(|| {
                let remote = handle.spawn(move || {
                    while !seen.load(Ordering::Acquire) {
                        osier::sleep(MILLI);
                    }
                    "from the first runtime"
                });
                // A neighbour goes on while this one joins across.
                osier::spawn(move || go_on.store(true, Ordering::Release));
                remote.join().unwrap()
            })
        });
        let value = mine.run(|| {
            while !other.is_finished() {
                osier::sleep(MILLI);
            }
            other.join().unwrap()
        });
        assert_eq!(value, "from the first runtime");
    });
}

#[test]
fn a_panic_is_kept_for_the_one_who_joins() {
    check(|| {
        let boom = osier::spawn(|| resume_unwind(Box::new("boom")));
        let undisturbed = osier::spawn(|| 1);
        assert_eq!(undisturbed.join().unwrap(), 1);
        let payload: Box<dyn std::any::Any + Send> = boom.join().unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "boom");
    });
}

#[test]
fn a_killed_join_rethrown_is_an_ordinary_panic() {
    check(|| {
        let killed = osier::spawn(osier::thread::park);
        let rethrows = osier::spawn(move || {
            killed.kill();
            let payload = killed.join().unwrap_err();
            assert!(payload.is::<Killed>());
            let caught = catch_unwind(AssertUnwindSafe(|| resume_unwind(payload))).unwrap_err();
            assert!(caught.is::<Killed>());
            // Nothing is sticky about it.
            osier::yield_now();
            osier::sleep(MILLI);
            resume_unwind(caught)
        });
        let payload: Box<dyn std::any::Any + Send> = rethrows.join().unwrap_err();
        assert!(payload.is::<Killed>());
        assert_eq!(Killed.to_string(), "the green thread was killed");
    });
}

#[test]
fn what_nobody_joins_is_dropped_also_when_that_panics_or_waits() {
    check_with(Builder::new(), |runtime| {
        let dropped = Arc::new(AtomicBool::new(false));
        runtime.run(|| {
            let theirs = dropped.clone();
            drop(osier::spawn(move || {
                common::OnDrop::new(move || {
                    osier::sleep(MILLI);
                    theirs.store(true, Ordering::Relaxed);
                    resume_unwind(Box::new("out of a destructor"));
                })
            }));
            osier::sleep(5 * MILLI);
            while !dropped.load(Ordering::Relaxed) {
                osier::sleep(MILLI);
            }
        });
    });
}
