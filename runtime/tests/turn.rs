//! `enter` and `turn`: a runtime inside somebody else's loop.
#![expect(unsafe_code, reason = "polls a descriptor, as a foreign loop does")]

mod common;

use common::{LONG, Log, MILLI, check_with};
use osier::sync::Semaphore;
use osier::time::{Duration, Elapsed, timeout};
use osier::{Builder, Entered};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the descriptor becomes readable in this time.
fn readable(driver: &Entered<'_>, within: Duration) -> bool {
    let mut entry = libc::pollfd { fd: driver.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, valid.
    let ready = unsafe { libc::poll(&mut entry, 1, i32::try_from(within.as_millis()).unwrap()) };
    assert!(ready >= 0);
    ready == 1
}

/// A foreign loop: turns whenever the descriptor says so, until `is_over`.
fn run_loop(driver: &mut Entered<'_>, is_over: impl Fn() -> bool) {
    while !is_over() {
        assert!(readable(driver, common::PATIENCE), "the loop sleeps though there is something to do");
        driver.turn(Some(Duration::ZERO));
    }
}

/// What another OS thread spawns through the handle runs.
fn spawned_elsewhere_runs(driver: &mut Entered<'_>, handle: osier::Handle) {
    let ran = Arc::new(AtomicBool::new(false));
    let theirs = ran.clone();
    let os_thread = std::thread::spawn(move || {
        handle.spawn(move || theirs.store(true, Ordering::Release)).join().unwrap();
    });
    run_loop(driver, || ran.load(Ordering::Acquire));
    os_thread.join().unwrap();
}

/// Turns until nothing is left to do.
fn settle(driver: &mut Entered<'_>) {
    while driver.turn(Some(Duration::ZERO)) {}
    // An edge that has been seen to already may be left.
    while readable(driver, Duration::ZERO) {
        driver.turn(Some(Duration::ZERO));
    }
}

fn check(body: impl FnOnce(&mut Entered<'_>)) {
    check_with(Builder::new(), |runtime| runtime.enter(body));
}

#[test]
fn the_descriptor_is_readable_when_a_deadline_has_passed() {
    check(|driver| {
        let start = std::time::Instant::now();
        let sleeper = osier::spawn(|| osier::sleep(20 * MILLI));
        settle(driver);
        assert!(!readable(driver, Duration::ZERO) || start.elapsed() >= 20 * MILLI);
        run_loop(driver, || sleeper.is_finished());
        assert!(start.elapsed() >= 20 * MILLI);
    });
}

#[test]
fn the_descriptor_is_readable_when_a_handle_spawns_before_or_between() {
    check_with(Builder::new(), |runtime| {
        let handle = runtime.handle();
        let early = handle.spawn(|| 1);
        runtime.enter(|driver| {
            run_loop(driver, || early.is_finished());
            settle(driver);
            spawned_elsewhere_runs(driver, handle);
        });
        assert_eq!(early.join().unwrap(), 1);
    });
}

#[test]
fn the_descriptor_is_readable_when_the_loop_itself_spawns_or_wakes() {
    check(|driver| {
        // Before the first turn.
        let first = osier::spawn(|| ());
        run_loop(driver, || first.is_finished());
        settle(driver);
        // Between two.
        let second = osier::spawn(|| ());
        run_loop(driver, || second.is_finished());
        let parked = osier::spawn(osier::thread::park);
        settle(driver);
        parked.thread().unpark();
        run_loop(driver, || parked.is_finished());
        let semaphore = Arc::new(Semaphore::new(0));
        let theirs = semaphore.clone();
        let waits = osier::spawn(move || theirs.acquire().forget());
        settle(driver);
        semaphore.add_permits(1);
        run_loop(driver, || waits.is_finished());
        let killed = osier::spawn(|| osier::sleep(LONG));
        settle(driver);
        killed.kill();
        run_loop(driver, || killed.is_finished());
    });
}

#[test]
fn the_descriptor_keeps_its_word_after_a_blocking_call_of_the_loop() {
    check_with(Builder::new(), |runtime| {
        let handle = runtime.handle();
        runtime.enter(|driver| {
            settle(driver);
            let sleeper = osier::spawn(|| osier::sleep(20 * MILLI));
            // The sleeper goes to sleep, and others come in, while this one waits.
            osier::sleep(2 * MILLI);
            run_loop(driver, || sleeper.is_finished());
            osier::spawn(|| ()).join().unwrap();
            spawned_elsewhere_runs(driver, handle);
        });
    });
}

#[test]
fn a_turn_waits_as_long_as_it_is_told() {
    check(|driver| {
        let start = std::time::Instant::now();
        assert!(!driver.turn(Some(Duration::ZERO)));
        assert!(!driver.turn(Some(5 * MILLI)));
        assert!(start.elapsed() >= 5 * MILLI);
        let slept = osier::spawn(|| osier::sleep(5 * MILLI));
        while !slept.is_finished() {
            driver.turn(None);
        }
        assert!(start.elapsed() >= 10 * MILLI);
        let busy = osier::spawn(|| (0..1000).for_each(|_| osier::yield_now()));
        assert!(driver.turn(None), "a turn is bounded");
        assert!(!busy.is_finished());
    });
}

#[test]
fn blocking_calls_in_the_loop_run_green_threads() {
    check(|driver| {
        let log = Log::new();
        let theirs = log.clone();
        let ticker = osier::spawn_local(move || {
            loop {
                theirs.add(());
                osier::sleep(MILLI);
            }
        });
        let went_on = |wait: &mut dyn FnMut()| {
            log.take();
            // On a busy machine one wait may be too short for the ticker to be woken.
            let ran = (0..100).any(|_| {
                wait();
                !log.take().is_empty()
            });
            assert!(ran, "nobody has run meanwhile");
        };
        went_on(&mut || osier::sleep(5 * MILLI));
        went_on(&mut || osier::thread::park_timeout(5 * MILLI));
        went_on(&mut || osier::spawn(|| osier::sleep(5 * MILLI)).join().unwrap());
        went_on(&mut || assert!(Semaphore::new(0).acquire_timeout(5 * MILLI).is_none()));
        went_on(&mut || assert_eq!(timeout(5 * MILLI, osier::thread::park), Err(Elapsed)));
        went_on(&mut || {
            let semaphore = Rc::new(Semaphore::new(0));
            let theirs = semaphore.clone();
            osier::spawn_local(move || {
                osier::sleep(5 * MILLI);
                theirs.add_permits(1);
            });
            drop(semaphore.acquire());
        });
        went_on(&mut || {
            let mut number = 1;
            osier::thread::scope(|scope| {
                scope.spawn(|| {
                    osier::sleep(5 * MILLI);
                    number += 1;
                });
            });
            assert_eq!(number, 2);
        });
        went_on(&mut || {
            let me = osier::thread::current();
            let os_thread = std::thread::spawn(move || {
                std::thread::sleep(5 * MILLI);
                me.unpark();
            });
            osier::thread::park();
            os_thread.join().unwrap();
        });
        went_on(&mut || (0..3).for_each(|_| osier::sleep(MILLI)));
        osier::yield_now();
        ticker.kill();
        driver.turn(Some(Duration::ZERO));
        assert!(ticker.is_finished());
    });
}

#[test]
fn what_is_left_at_the_end_is_unwound() {
    let log = Log::new();
    let theirs = log.clone();
    check(move |driver| {
        osier::spawn_local(move || {
            let _unwound = common::OnDrop::new(|| theirs.add("unwound"));
            osier::sleep(LONG);
        });
        driver.turn(None);
    });
    assert_eq!(log.take(), ["unwound"]);
}

/// Everybody waits for everybody, and it is no deadlock: the loop may still do something about it.
#[test]
fn deadlocks_are_not_looked_for() {
    check(|driver| {
        let parked = osier::spawn(osier::thread::park);
        for _ in 0..3 {
            driver.turn(Some(30 * MILLI));
        }
        assert!(!parked.is_finished());
        parked.thread().unpark();
        driver.turn(None);
        assert!(parked.is_finished());
    });
}

/// One that another worker has spawned, or nobody, and that no other worker has time for.
#[test]
fn the_descriptor_is_readable_when_there_is_something_to_take() {
    check_with(Builder::new().workers(2), |runtime| {
        let handle = runtime.handle();
        runtime.enter(|driver| {
            for spawns in [true, false] {
                settle(driver);
                let (computes, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
                let (theirs, done) = (computes.clone(), ran.clone());
                let spawned = ran.clone();
                let body = move || spawned.store(true, Ordering::Release);
                let mut body = Some(body);
                let its = if spawns { body.take() } else { None };
                let named = osier::thread::Builder::new().worker(1).spawn(move || {
                    theirs.store(true, Ordering::Release);
                    its.into_iter().for_each(|body| drop(osier::spawn(body)));
                    let start = std::time::Instant::now();
                    while !done.load(Ordering::Acquire) && start.elapsed() < common::PATIENCE / 6 {
                        std::hint::spin_loop();
                    }
                    assert!(done.load(Ordering::Acquire), "nobody else comes to it");
                });
                while !computes.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                body.into_iter().for_each(|body| {
                    let handle = handle.clone();
                    std::thread::spawn(move || drop(handle.spawn(body))).join().unwrap();
                });
                run_loop(driver, || ran.load(Ordering::Acquire));
                named.unwrap().join().unwrap();
            }
        });
    });
}
