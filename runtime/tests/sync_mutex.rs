//! The mutex: one at a time, fair to whoever was overtaken, and neither lost nor poisoned by a kill or a deadline.

mod common;

use common::{LONG, Log, MILLI, OnDrop, PATIENCE, check, check_virtual, check_with, message};
use osier::Builder;
use osier::sync::{Mutex, TryLockError};
use osier::time::timeout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn it_can_be_a_static() {
    static IN_A_STATIC: Mutex<u8> = Mutex::new(7);
    assert_eq!(*IN_A_STATIC.lock().unwrap(), 7);
}

#[test]
fn it_is_written_as_std_writes_it() {
    let (ours, theirs) = (Mutex::new(5), std::sync::Mutex::new(5));
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
    let (our_guard, their_guard) = (ours.lock().unwrap(), theirs.lock().unwrap());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(format!("{our_guard:?} {our_guard}"), format!("{their_guard:?} {their_guard}"));
    drop((our_guard, their_guard));
    let _ = catch_unwind(|| {
        let _guards = (ours.lock().unwrap(), theirs.lock().unwrap());
        panic!("poisons both");
    });
    assert!(ours.is_poisoned());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(format!("{:?}", ours.lock()), format!("{:?}", theirs.lock()));
    assert_eq!(format!("{:?}", ours.try_lock()), format!("{:?}", theirs.try_lock()));
    ours.clear_poison();
    assert_eq!(ours.into_inner().unwrap(), 5);
}

/// One holds the mutex and waits: others find it held, and a neighbour that does not want it goes on.
#[test]
fn one_at_a_time_while_a_neighbour_goes_on() {
    check(|| {
        let mutex = Rc::new(Mutex::new(0));
        let rounds = Rc::new(AtomicUsize::new(0));
        let theirs = rounds.clone();
        let neighbour = osier::spawn_local(move || {
            loop {
                theirs.fetch_add(1, Ordering::Relaxed);
                osier::yield_now();
            }
        });
        let threads: Vec<_> = (0..10)
            .map(|_| {
                let (mutex, rounds) = (mutex.clone(), rounds.clone());
                osier::spawn_local(move || {
                    for _ in 0..20 {
                        let mut guard = mutex.lock().unwrap();
                        let (before, round) = (*guard, rounds.load(Ordering::Relaxed));
                        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
                        osier::yield_now();
                        assert!(rounds.load(Ordering::Relaxed) > round, "the neighbour has not run");
                        *guard = before + 1;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        neighbour.kill();
        assert_eq!(*mutex.lock().unwrap(), 200);
    });
}

/// Who is overtaken once is handed the lock: so of two that take it again and again, neither waits for more than two others.
#[test]
fn one_that_was_overtaken_is_handed_the_lock() {
    check(|| {
        let mutex = Rc::new(Mutex::new(()));
        let log = Log::new();
        let theirs = (mutex.clone(), log.clone());
        let mine = mutex.lock().unwrap();
        let waiter = osier::spawn_local(move || {
            let _guard = theirs.0.lock().unwrap();
            theirs.1.add("waiter");
        });
        osier::yield_now();
        // Wakes it, and is there first again.
        drop(mine);
        let mine = mutex.try_lock().expect("barging");
        log.add("overtaken");
        osier::yield_now();
        assert!(!waiter.is_finished());
        // It has looked in vain, and is handed the lock: nobody gets in between.
        drop(mine);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)), "it was handed over");
        drop(mutex.lock().unwrap());
        log.add("next");
        waiter.join().unwrap();
        assert_eq!(log.take(), ["overtaken", "waiter", "next"]);
    });
}

#[test]
fn waiters_get_it_in_the_order_in_which_they_came() {
    check(|| {
        let mutex = Rc::new(Mutex::new(()));
        let log = Log::new();
        let mine = mutex.lock().unwrap();
        let waiters: Vec<_> = (0..10)
            .map(|n| {
                let (mutex, log) = (mutex.clone(), log.clone());
                osier::spawn_local(move || {
                    let _guard = mutex.lock().unwrap();
                    log.add(n);
                    osier::yield_now();
                })
            })
            .collect();
        osier::yield_now();
        drop(mine);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(log.take(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn a_wait_for_it_can_be_bounded() {
    check(|| {
        let mutex = Rc::new(Mutex::new(1));
        let mine = mutex.lock().unwrap();
        let theirs = mutex.clone();
        let late =
            osier::spawn_local(move || matches!(theirs.lock_timeout(MILLI), Err(TryLockError::WouldBlock)));
        let theirs = mutex.clone();
        let in_time = osier::spawn_local(move || *theirs.lock_timeout(LONG).unwrap());
        assert!(late.join().unwrap());
        drop(mine);
        assert_eq!(in_time.join().unwrap(), 1);
    });
}

/// The wake-up, or the lock itself, was given to a waiter that is killed, or whose time is over, before it can run.
#[test]
fn what_was_given_to_one_that_is_killed_goes_to_the_next() {
    // Whether the first waiter was overtaken before, so that it is handed the lock and not only woken; what ends it; and
    // whether that comes before the unlock.
    for impatient in [false, true] {
        for killed_first in [false, true] {
            check(|| {
                let mutex = Rc::new(Mutex::new(()));
                let mut mine = mutex.lock().unwrap();
                let theirs = mutex.clone();
                let killed = osier::spawn_local(move || {
                    drop(theirs.lock().unwrap());
                    // The lock may have come first; then the kill is still to come.
                    osier::sleep(LONG);
                });
                let theirs = mutex.clone();
                let next = osier::spawn_local(move || drop(theirs.lock().unwrap()));
                osier::yield_now();
                if impatient {
                    drop(mine);
                    mine = mutex.try_lock().unwrap();
                    osier::yield_now();
                }
                if killed_first {
                    killed.kill();
                    drop(mine);
                } else {
                    drop(mine);
                    killed.kill();
                }
                next.join_timeout(PATIENCE).unwrap().unwrap();
                killed.join().unwrap_err();
                drop(mutex.try_lock().expect("free, and not poisoned"));
            });
        }
    }
}

/// As above, with a deadline: it passes while the waiter stands woken, or handed to, in the queue of those that are ready.
#[test]
fn what_was_given_to_one_whose_time_is_over_is_taken_or_goes_on() {
    for impatient in [false, true] {
        for inner in [false, true] {
            check_virtual(|clock| {
                let mutex = Rc::new(Mutex::new(()));
                let mut mine = mutex.lock().unwrap();
                let theirs = mutex.clone();
                let late = osier::spawn_local(move || {
                    if inner {
                        theirs.lock_timeout(MILLI).is_ok()
                    } else {
                        timeout(MILLI, || drop(theirs.lock().unwrap())).is_ok()
                    }
                });
                let theirs = mutex.clone();
                let next = osier::spawn_local(move || drop(theirs.lock().unwrap()));
                osier::yield_now();
                if impatient {
                    drop(mine);
                    mine = mutex.try_lock().unwrap();
                    osier::yield_now();
                }
                // It has passed before the worker looks at its timers again.
                clock.advance(5 * MILLI);
                drop(mine);
                next.join_timeout(PATIENCE).unwrap().unwrap();
                assert!(late.join().unwrap(), "the unlock came before the timer fired: it has it");
                drop(mutex.try_lock().expect("free, and not poisoned"));
            });
        }
    }
}

/// A waiter leaves that is not the first, and the only one: nothing is left of it.
#[test]
fn who_leaves_the_queue_is_not_missed() {
    check(|| {
        let mutex = Rc::new(Mutex::new(()));
        let mine = mutex.lock().unwrap();
        let spawn = || {
            let theirs = mutex.clone();
            osier::spawn_local(move || drop(theirs.lock().unwrap()))
        };
        let (first, second, third) = (spawn(), spawn(), spawn());
        osier::yield_now();
        second.kill();
        third.kill();
        second.join().unwrap_err();
        third.join().unwrap_err();
        first.kill();
        first.join().unwrap_err();
        drop(mine);
        drop(mutex.try_lock().unwrap());
        let again = spawn();
        again.join().unwrap();
    });
}

#[test]
fn a_kill_or_a_deadline_poisons_nothing_and_a_panic_does() {
    check(|| {
        let mutex = Rc::new(Mutex::new(0));
        let theirs = mutex.clone();
        let killed = osier::spawn_local(move || {
            let mut guard = theirs.lock().unwrap();
            *guard = 1;
            osier::sleep(LONG);
        });
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        assert_eq!(*mutex.try_lock().expect("given back by the kill"), 1);
        timeout(MILLI, || {
            let _guard = mutex.lock().unwrap();
            osier::sleep(LONG);
        })
        .unwrap_err();
        assert!(!mutex.is_poisoned());
        let theirs = mutex.clone();
        let panicked = osier::spawn_local(move || {
            let _guard = theirs.lock().unwrap();
            panic!("while it is held");
        });
        assert_eq!(message(&*panicked.join().unwrap_err()), "while it is held");
        assert!(mutex.is_poisoned());
        let poisoned = mutex.lock().unwrap_err();
        drop(poisoned.into_inner());
        mutex.clear_poison();
        drop(mutex.lock().unwrap());
    });
    // On a plain OS thread, too.
    let mutex = Mutex::new(());
    timeout(MILLI, || {
        let _guard = mutex.lock().unwrap();
        osier::sleep(LONG);
    })
    .unwrap_err();
    assert!(!mutex.is_poisoned());
}

/// Which unwinding it is that drops the guard, where several meet.
#[test]
fn of_several_unwindings_only_a_panic_poisons() {
    // A kill that was caught and dropped is over: what panics then has failed.
    check(|| {
        let (caught, resumed, nested) =
            (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
        let (caught_too, resumed_too, nested_too) = (caught.clone(), resumed.clone(), nested.clone());
        let killed = osier::spawn_local(move || {
            let payload = catch_unwind(|| osier::sleep(LONG)).unwrap_err();
            drop(payload);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _guard = caught_too.lock().unwrap();
                panic!("after a kill that was caught");
            }));
            let _unlock = OnDrop::new(move || {
                // A panic in a destructor, of one that is killed: its guard was made while the stack unwinds, as in std.
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _guard = nested_too.lock().unwrap();
                    panic!("while a kill unwinds");
                }));
            });
            // Caught, kept for a while, and raised again: it is a kill all the time.
            let payload = catch_unwind(|| osier::sleep(LONG)).unwrap_err();
            let _guard = resumed_too.lock().unwrap();
            std::panic::resume_unwind(payload);
        });
        osier::yield_now();
        killed.kill();
        assert!(killed.join().unwrap_err().is::<osier::thread::Killed>());
        assert!(caught.is_poisoned(), "a panic after a kill that was caught");
        assert!(!resumed.is_poisoned(), "a kill that was caught and goes on");
        assert!(!nested.is_poisoned(), "std does not poison then, either");
    });
    // A deadline in a destructor of one that panics: the guard from before is dropped by the panic.
    let mutex = Mutex::new(());
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        let _late = OnDrop::new(|| assert!(timeout(MILLI, || osier::sleep(LONG)).is_err()));
        panic!("with a deadline on the way");
    }));
    assert!(mutex.is_poisoned());
}

/// A rethrown `Killed` is an ordinary panic.
#[test]
fn the_kill_of_another_poisons_when_it_is_raised_again() {
    check(|| {
        let mutex = Mutex::new(());
        let killed = osier::spawn(osier::thread::park);
        killed.kill();
        let payload = killed.join().unwrap_err();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _guard = mutex.lock().unwrap();
            std::panic::resume_unwind(payload);
        }));
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn two_locks_in_opposite_order_are_a_deadlock_with_names() {
    check_with(Builder::new(), |runtime| {
        let (forks, spoons) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let deadlock = runtime
            .try_run(|| {
                let eat = |name: &str, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
                    let (first, second) = (first.clone(), second.clone());
                    let body = move || {
                        let _first = first.lock().unwrap();
                        osier::yield_now();
                        let _second = second.lock().unwrap();
                    };
                    osier::thread::Builder::new().name(name.into()).spawn(body).unwrap()
                };
                let eaters = [eat("plato", &forks, &spoons), eat("kant", &spoons, &forks)];
                eaters.into_iter().for_each(|eater| eater.join().unwrap());
            })
            .unwrap_err();
        let circle: Vec<_> = deadlock.circle().map(|waiting| waiting.name.as_deref().unwrap()).collect();
        assert!(circle == ["plato", "kant"] || circle == ["kant", "plato"], "{circle:?}");
        let id = |name| {
            let waiting = deadlock.waiting().iter().find(|waiting| waiting.name.as_deref() == Some(name));
            format!("{:?}", waiting.unwrap().id).trim_matches(|c: char| !c.is_numeric()).to_string()
        };
        let text = deadlock.to_string();
        for (waits, mutex, holds) in [("plato", &spoons, "kant"), ("kant", &forks, "plato")] {
            let line = format!(
                "green thread '{waits}' ({}) waits for the mutex at {:p}, which green thread {} has",
                id(waits),
                Arc::as_ptr(mutex),
                id(holds)
            );
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains("in a circle:"), "{text}");
        assert!(!forks.is_poisoned() && !spoons.is_poisoned(), "they were killed");
        // Who locks what it holds waits for itself; and a mutex and a join make a circle, too.
        let own = runtime.try_run(|| {
            let _held = forks.lock().unwrap();
            let _again = forks.lock();
        });
        assert_eq!(own.unwrap_err().circle().count(), 1);
        let with_join = runtime.try_run(|| {
            let _held = forks.lock().unwrap();
            let theirs = forks.clone();
            osier::spawn(move || drop(theirs.lock().unwrap())).join().unwrap();
        });
        assert_eq!(with_join.unwrap_err().circle().count(), 2);
        drop(forks.try_lock().unwrap());
    });
}

#[test]
fn two_locks_in_opposite_order_on_two_workers_are_one_too() {
    check_with(Builder::new().workers(2), |runtime| {
        let (forks, spoons) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let deadlock = runtime.try_run(|| {
            let both = Arc::new(osier::sync::Barrier::new(2));
            let eat = |worker: usize, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
                let (first, second, both) = (first.clone(), second.clone(), both.clone());
                let body = move || {
                    let _first = first.lock().unwrap();
                    both.wait();
                    let _second = second.lock().unwrap();
                };
                osier::thread::Builder::new().worker(worker).spawn(body).unwrap()
            };
            let eaters = [eat(0, &forks, &spoons), eat(1, &spoons, &forks)];
            eaters.into_iter().for_each(|eater| eater.join().unwrap());
        });
        assert_eq!(deadlock.unwrap_err().circle().count(), 2);
        assert!(forks.try_lock().is_ok() && spoons.try_lock().is_ok(), "given back, and not poisoned");
    });
}

/// The name of one who held the mutex before is not shown: it would make a circle where there is none.
#[test]
fn who_held_it_before_is_in_no_circle() {
    let (told, heard) = std::sync::mpsc::channel();
    let builder =
        Builder::new().on_stuck(move |stuck| told.send((stuck.circle().count(), stuck.to_string())).unwrap());
    check_with(builder, |runtime| {
        runtime.run(|| {
            let mutex = Arc::new(Mutex::new(()));
            drop(mutex.lock().unwrap());
            let elsewhere = mutex.clone();
            let (locked, is_locked) = std::sync::mpsc::channel();
            let os_thread = std::thread::spawn(move || {
                let guard = elsewhere.lock().unwrap();
                locked.send(()).unwrap();
                // Until the runtime has found that nobody can run.
                let report = heard.recv().unwrap();
                drop(guard);
                report
            });
            is_locked.recv().unwrap();
            drop(mutex.lock().unwrap());
            let (circle, text) = os_thread.join().unwrap();
            assert_eq!(circle, 0, "{text}");
            assert!(text.contains("waits for the mutex at") && !text.contains("which"), "{text}");
        });
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        let mutex = Arc::new(Mutex::new(0_u64));
        let rounds = {
            let mutex = mutex.clone();
            move || {
                for round in 0..300_u64 {
                    let mut guard = mutex.lock().unwrap();
                    let before = *guard;
                    if round % 7 == 0 {
                        osier::yield_now();
                    }
                    *guard = before + 1;
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
        assert_eq!(*mutex.lock().unwrap(), 7 * 300);
    });
}
