//! The condition variable: first come, first notified; no notification is lost or doubled by a kill or a deadline.

mod common;

use common::{LONG, Log, MILLI, OnDrop, PATIENCE, check, check_virtual};
use osier::sync::{Condvar, Mutex};
use osier::time::timeout;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A mutex that holds how many may go on, and the condition variable for it.
type Gate = (Mutex<usize>, Condvar);

fn gate() -> Rc<Gate> {
    Rc::new((Mutex::new(0), Condvar::new()))
}

/// Waits once, whatever ends the wait.
fn wait(gate: &Gate) {
    drop(gate.1.wait(gate.0.lock().unwrap()).unwrap());
}

#[test]
fn who_came_first_is_notified_first_while_a_neighbour_goes_on() {
    check(|| {
        let gate = gate();
        let log = Log::new();
        let waiters: Vec<_> = (0..5)
            .map(|n| {
                let (gate, log) = (gate.clone(), log.clone());
                osier::spawn_local(move || {
                    wait(&gate);
                    log.add(n);
                })
            })
            .collect();
        osier::yield_now();
        drop(gate.0.try_lock().expect("given back by all of them"));
        gate.1.notify_one();
        osier::yield_now();
        assert_eq!(log.take(), [0]);
        gate.1.notify_one();
        gate.1.notify_one();
        osier::yield_now();
        assert_eq!(log.take(), [1, 2]);
        gate.1.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(log.take(), [3, 4]);
        // Nobody waits: it is not kept.
        gate.1.notify_one();
        let (guard, late) = gate.1.wait_timeout(gate.0.lock().unwrap(), MILLI).unwrap();
        assert!(late.timed_out());
        drop(guard);
    });
}

#[test]
fn conditions_are_asked_first_and_after_each_notification() {
    check(|| {
        let gate = gate();
        drop(gate.1.wait_while(gate.0.lock().unwrap(), |_| false).unwrap());
        let theirs = gate.clone();
        let waiter = osier::spawn_local(move || {
            let guard = theirs.1.wait_while(theirs.0.lock().unwrap(), |count| *count < 3).unwrap();
            *guard
        });
        let theirs = gate.clone();
        let late = osier::spawn_local(move || {
            let guard = theirs.0.lock().unwrap();
            let (guard, late) = theirs.1.wait_timeout_while(guard, 5 * MILLI, |_| true).unwrap();
            drop(guard);
            late.timed_out()
        });
        for _ in 0..3 {
            osier::yield_now();
            assert!(!waiter.is_finished());
            *gate.0.lock().unwrap() += 1;
            gate.1.notify_all();
        }
        assert_eq!(waiter.join().unwrap(), 3);
        assert!(late.join().unwrap());
        let guard = gate.0.lock().unwrap();
        let (guard, late) = gate.1.wait_timeout_while(guard, LONG, |count| *count < 3).unwrap();
        assert!(!late.timed_out());
        let (_guard, late) = gate.1.wait_timeout_while(guard, osier::time::Duration::ZERO, |_| true).unwrap();
        assert!(late.timed_out());
    });
}

#[test]
fn a_killed_waiter_unwinds_without_the_mutex() {
    check(|| {
        let gate = gate();
        let seen = Rc::new(AtomicUsize::new(0));
        let theirs = (gate.clone(), seen.clone());
        let killed = osier::spawn_local(move || {
            let (gate, seen) = theirs;
            let free = gate.clone();
            let _unwound = OnDrop::new(move || {
                assert!(free.0.try_lock().is_ok(), "the mutex is free while it unwinds");
                seen.fetch_add(1, Ordering::Relaxed);
            });
            wait(&gate);
        });
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        assert_eq!(seen.load(Ordering::Relaxed), 1);
        timeout(MILLI, || wait(&gate)).unwrap_err();
        assert!(!gate.0.is_poisoned());
        drop(gate.0.try_lock().unwrap());
    });
}

/// Notified, and killed before it can run: the next one has the notification. In both orders, and when the kill comes while the
/// notified one waits for the mutex.
#[test]
fn a_notification_of_one_that_is_killed_goes_to_the_next() {
    for case in ["notify, kill", "kill, notify", "kill while it locks"] {
        check(|| {
            let gate = gate();
            let spawn = || {
                let gate = gate.clone();
                osier::spawn_local(move || {
                    wait(&gate);
                    osier::sleep(LONG);
                })
            };
            let killed = spawn();
            osier::yield_now();
            let theirs = gate.clone();
            let next = osier::spawn_local(move || wait(&theirs));
            let third = spawn();
            osier::yield_now();
            match case {
                "notify, kill" => {
                    gate.1.notify_one();
                    killed.kill();
                    // It had the notification: it took it, and was killed in its sleep.
                    killed.join().unwrap_err();
                    assert!(!next.is_finished(), "doubled");
                    gate.1.notify_one();
                }
                "kill, notify" => {
                    killed.kill();
                    gate.1.notify_one();
                    killed.join().unwrap_err();
                }
                _ => {
                    let held = gate.0.lock().unwrap();
                    gate.1.notify_one();
                    osier::yield_now();
                    killed.kill();
                    killed.join().unwrap_err();
                    drop(held);
                }
            }
            next.join_timeout(PATIENCE).unwrap().unwrap();
            osier::yield_now();
            assert!(gate.1.wait_timeout(gate.0.lock().unwrap(), MILLI).unwrap().1.timed_out());
            // The third one still waits: it has no notification.
            third.kill();
            third.join().unwrap_err();
        });
    }
}

/// A notification of all is owed to nobody who came later.
#[test]
fn a_notification_of_all_is_not_passed_on() {
    check(|| {
        let gate = gate();
        let theirs = gate.clone();
        let killed = osier::spawn_local(move || wait(&theirs));
        osier::yield_now();
        let held = gate.0.lock().unwrap();
        gate.1.notify_all();
        osier::yield_now();
        // It waits for the mutex now, and is killed there before it can run. Meanwhile somebody new waits for a notification.
        killed.kill();
        let (held, late) = gate.1.wait_timeout(held, 5 * MILLI).unwrap();
        assert!(late.timed_out(), "it was notified by mistake");
        drop(held);
        killed.join().unwrap_err();
    });
}

/// The deadline passes while the waiter stands notified in the queue of those that are ready: it was notified.
#[test]
fn a_notification_that_comes_first_counts() {
    check_virtual(|clock| {
        let gate = gate();
        let theirs = gate.clone();
        let waiter = osier::spawn_local(move || {
            let guard = theirs.0.lock().unwrap();
            theirs.1.wait_timeout(guard, MILLI).unwrap().1.timed_out()
        });
        osier::yield_now();
        // It has passed when the worker looks at its timers again.
        clock.advance(5 * MILLI);
        gate.1.notify_one();
        assert!(!waiter.join().unwrap());
    });
}

/// Two mutexes with one condition variable, as std allows.
#[test]
fn it_may_be_used_with_several_mutexes() {
    check(|| {
        let changed = Rc::new(Condvar::new());
        let mutexes = [Rc::new(Mutex::new(())), Rc::new(Mutex::new(()))];
        let waiters: Vec<_> = mutexes
            .iter()
            .map(|mutex| {
                let (changed, mutex) = (changed.clone(), mutex.clone());
                osier::spawn_local(move || drop(changed.wait(mutex.lock().unwrap()).unwrap()))
            })
            .collect();
        osier::yield_now();
        changed.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
#[allow(deprecated, reason = "std has it, too")]
fn the_deprecated_wait_says_whether_it_was_notified() {
    let gate = gate();
    let (_guard, notified) = gate.1.wait_timeout_ms(gate.0.lock().unwrap(), 1).unwrap();
    assert!(!notified);
}

#[test]
fn it_is_written_as_std_writes_it() {
    assert_eq!(format!("{:?}", Condvar::new()), format!("{:?}", std::sync::Condvar::new()));
    let gate = gate();
    let (_guard, ours) = gate.1.wait_timeout(gate.0.lock().unwrap(), MILLI).unwrap();
    let (mutex, condvar) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    let (_guard, theirs) = condvar.wait_timeout(mutex.lock().unwrap(), MILLI).unwrap();
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

/// Each of them passes a token on to the next: green threads here and in another runtime, and OS threads.
#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    const MEMBERS: usize = 6;
    const ROUNDS: usize = 200;
    check(|| {
        let turn = Arc::new((Mutex::new(0), Condvar::new()));
        let member = |own: usize| {
            let turn = turn.clone();
            move || {
                for _ in 0..ROUNDS {
                    let guard = turn.0.lock().unwrap();
                    let mut guard = turn.1.wait_while(guard, |turn| *turn % MEMBERS != own).unwrap();
                    *guard += 1;
                    turn.1.notify_all();
                }
            }
        };
        let there = [member(2), member(3)];
        let os_threads = [
            std::thread::spawn(member(0)),
            std::thread::spawn(member(1)),
            std::thread::spawn(move || {
                osier::run(|| {
                    let threads: Vec<_> = there.into_iter().map(osier::spawn).collect();
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                });
            }),
        ];
        let here = [osier::spawn(member(4)), osier::spawn(member(5))];
        here.into_iter().for_each(|thread| thread.join().unwrap());
        while !os_threads.iter().all(std::thread::JoinHandle::is_finished) {
            osier::sleep(MILLI);
        }
        os_threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*turn.0.lock().unwrap(), MEMBERS * ROUNDS);
    });
}
