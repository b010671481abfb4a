//! Offloaded calls run on OS threads of a pool, started when needed; only the green thread that calls waits.

mod common;

use common::{Log, MILLI, OnDrop, check, check_with, message};
use osier::Builder;
use osier::thread::Killed;
use osier::time::{Elapsed, timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};

#[test]
fn neighbours_go_on() {
    check(|| {
        let (release, wait) = channel();
        let log = Log::new();
        let theirs = log.clone();
        osier::spawn_local(move || {
            theirs.add("neighbour");
            release.send(5).unwrap();
        });
        log.add("before");
        let value = osier::offload(move || wait.recv().unwrap());
        log.add("after");
        assert_eq!(value, 5);
        assert_eq!(log.take(), ["before", "neighbour", "after"]);
    });
}

#[test]
fn a_panic_of_the_call_is_the_callers() {
    check(|| {
        let caught = catch_unwind(|| osier::offload(|| resume_unwind(Box::new("offloaded"))));
        let payload: Box<dyn std::any::Any + Send> = caught.unwrap_err();
        assert_eq!(message(&*payload), "offloaded");
        assert_eq!(osier::offload(|| 1), 1, "the pool is as before");
    });
}

#[test]
fn one_that_is_killed_or_late_abandons_the_call_and_its_result_is_dropped() {
    check(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (release, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let call = || {
            let (dropped, wait) = (dropped.clone(), wait.clone());
            move || {
                wait.lock().unwrap().recv().unwrap();
                OnDrop::new(move || {
                    dropped.fetch_add(1, Ordering::SeqCst);
                })
            }
        };
        let offloaded = call();
        let killed = osier::spawn(move || drop(osier::offload(offloaded)));
        osier::yield_now();
        killed.kill();
        assert!(killed.join().unwrap_err().is::<Killed>());
        assert_eq!(timeout(MILLI, || drop(osier::offload(call()))), Err(Elapsed));
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        release.send(()).unwrap();
        release.send(()).unwrap();
        while dropped.load(Ordering::SeqCst) < 2 {
            osier::sleep(MILLI);
        }
    });
}

#[test]
fn a_call_that_was_abandoned_is_waited_for_before_there_is_talk_of_deadlock() {
    check(|| {
        let semaphore = Arc::new(osier::sync::Semaphore::new(0));
        let theirs = semaphore.clone();
        let killed = osier::spawn(move || {
            osier::offload(move || {
                std::thread::sleep(150 * MILLI);
                theirs.add_permits(1);
            });
        });
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        semaphore.acquire().forget();
    });
}

#[test]
fn the_bound_on_os_threads_holds_and_the_others_queue() {
    check_with(Builder::new().offload_threads(3), |runtime| {
        runtime.run(|| {
            let running = Arc::new((Mutex::new((0, 0)), Condvar::new()));
            let threads: Vec<_> = (0..20)
                .map(|n| {
                    let running = running.clone();
                    osier::spawn(move || {
                        osier::offload(move || {
                            let (counts, changed) = &*running;
                            let mut now = counts.lock().unwrap();
                            now.0 += 1;
                            now.1 = now.1.max(now.0);
                            changed.notify_all();
                            // All three have work at once.
                            while now.1 < 3 {
                                now = changed.wait(now).unwrap();
                            }
                            now.0 -= 1;
                            n
                        })
                    })
                })
                .collect();
            for (n, thread) in threads.into_iter().enumerate() {
                assert_eq!(thread.join().unwrap(), n);
            }
            assert_eq!(*running.0.lock().unwrap(), (0, 3));
        });
    });
}

#[test]
fn off_a_green_thread_the_call_runs_in_place() {
    let here = std::thread::current().id();
    assert_eq!(osier::offload(|| std::thread::current().id()), here);
    check_with(Builder::new(), |runtime| {
        runtime.enter(|_| assert_eq!(osier::offload(|| std::thread::current().id()), here));
        let elsewhere = runtime.run(|| osier::offload(|| std::thread::current().id()));
        assert_ne!(elsewhere, here);
    });
}

#[test]
fn calls_that_wait_and_calls_that_offload_again_block_in_place() {
    check(|| {
        let nested = osier::offload(|| {
            osier::sleep(MILLI);
            osier::offload(|| 3)
        });
        assert_eq!(nested, 3);
        let caught = catch_unwind(AssertUnwindSafe(|| osier::offload(|| drop(osier::spawn(|| ())))));
        let payload = caught.unwrap_err();
        assert!(message(&*payload).starts_with("no runtime runs on this OS thread"));
    });
}
