//! The semaphore: first come, first served, between green threads and OS threads, and no permit is ever lost.

mod common;

use common::{LONG, Log, MILLI, check, check_virtual};
use osier::sync::Semaphore;
use osier::time::{Duration, timeout};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    check(|| {
        let semaphore = Rc::new(Semaphore::new(0));
        let log = Log::new();
        for n in 0..10 {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            osier::spawn_local(move || {
                semaphore.acquire().forget();
                log.add(n);
            });
        }
        osier::yield_now();
        for _ in 0..10 {
            semaphore.add_permits(1);
            osier::yield_now();
        }
        assert_eq!(log.take(), (0..10).collect::<Vec<_>>());
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn nobody_barges_past_one_who_wants_many() {
    check(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        let log = Log::new();
        let (theirs, greedy) = (semaphore.clone(), log.clone());
        let greedy = osier::spawn_local(move || {
            let _three = theirs.acquire_many(3);
            greedy.add("three");
        });
        osier::yield_now();
        assert_eq!(semaphore.available_permits(), 2);
        assert!(semaphore.try_acquire().is_none(), "somebody waits");
        let (theirs, modest) = (semaphore.clone(), log.clone());
        let modest = osier::spawn_local(move || {
            drop(theirs.acquire());
            modest.add("one");
        });
        osier::yield_now();
        assert!(semaphore.acquire_timeout(MILLI).is_none());
        semaphore.add_permits(1);
        greedy.join().unwrap();
        modest.join().unwrap();
        assert_eq!(log.take(), ["three", "one"]);
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn one_who_wanted_many_and_leaves_lets_the_next_in() {
    check_virtual(|_| {
        let semaphore = Rc::new(Semaphore::new(1));
        let theirs = semaphore.clone();
        let killed = osier::spawn_local(move || drop(theirs.acquire_many(5)));
        let theirs = semaphore.clone();
        let late = osier::spawn_local(move || timeout(5 * MILLI, || drop(theirs.acquire_many(4))));
        let theirs = semaphore.clone();
        let next = osier::spawn_local(move || drop(theirs.acquire()));
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        assert!(!next.is_finished(), "one who wants four is before it");
        assert!(late.join().unwrap().is_err());
        next.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn a_permit_handed_to_one_who_is_then_killed_goes_to_the_next() {
    check(|| {
        let semaphore = Rc::new(Semaphore::new(0));
        let theirs = semaphore.clone();
        let chosen = osier::spawn_local(move || drop(theirs.acquire()));
        let theirs = semaphore.clone();
        let next = osier::spawn_local(move || theirs.acquire().forget());
        osier::yield_now();
        // Both before the chosen one can run.
        semaphore.add_permits(1);
        chosen.kill();
        let _ = chosen.join();
        next.join_timeout(LONG).unwrap().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
        // And the other way round.
        let theirs = semaphore.clone();
        let killed = osier::spawn_local(move || drop(theirs.acquire()));
        let theirs = semaphore.clone();
        let next = osier::spawn_local(move || theirs.acquire().forget());
        osier::yield_now();
        killed.kill();
        semaphore.add_permits(1);
        killed.join().unwrap_err();
        next.join_timeout(LONG).unwrap().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn too_many_permits_are_refused_and_a_guard_never_panics() {
    let semaphore = Semaphore::new(1);
    let guard = semaphore.acquire();
    semaphore.add_permits(usize::MAX);
    let message = common::panic_message(|| semaphore.add_permits(1));
    assert!(message.contains("too many for a semaphore"), "{message}");
    drop(guard);
    assert_eq!(semaphore.available_permits(), usize::MAX);
    drop(semaphore.acquire_many(0));
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let holders = Arc::new(AtomicUsize::new(0));
        let rounds = {
            let (semaphore, holders) = (semaphore.clone(), holders.clone());
            move || {
                for round in 0..200 {
                    let permit = if round % 5 == 0 {
                        semaphore.acquire_timeout(Duration::from_micros(50))
                    } else {
                        Some(semaphore.acquire())
                    };
                    if permit.is_some() {
                        assert!(holders.fetch_add(1, Ordering::SeqCst) < 2, "two permits, three holders");
                        osier::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            }
        };
        let there = rounds.clone();
        let os_threads = [
            std::thread::spawn(rounds.clone()),
            std::thread::spawn(move || {
                osier::run(|| {
                    let threads: Vec<_> = (0..3).map(|_| osier::spawn(there.clone())).collect();
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                });
            }),
        ];
        let here: Vec<_> = (0..3).map(|_| osier::spawn(rounds.clone())).collect();
        here.into_iter().for_each(|thread| thread.join().unwrap());
        while !os_threads.iter().all(std::thread::JoinHandle::is_finished) {
            osier::sleep(MILLI);
        }
        os_threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), 2);
    });
}
