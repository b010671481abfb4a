//! Stress of locks: one at a time, whoever is killed or late; nobody waits for ever, nothing is poisoned.

mod common;
#[path = "common/stress.rs"]
mod stress;

use osier::sync::{Condvar, Mutex, ReentrantLock, RwLock, RwLockWriteGuard, TryLockError};
use osier::time::timeout;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stress::{Random, Round, stress};

/// Counts those who are inside at a time, until it is dropped, which may be by a kill.
struct Inside<'a>(&'a AtomicUsize);

impl<'a> Inside<'a> {
    /// Comes in where at most `others` may be.
    fn new(count: &'a AtomicUsize, others: usize) -> Inside<'a> {
        let before = count.fetch_add(1, Ordering::SeqCst);
        assert!(before <= others, "{before} were inside before");
        Inside(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What came of a `try_` or `_timeout`: `None` if it was refused.
fn unless_refused<G>(outcome: Result<G, TryLockError<G>>) -> Option<G> {
    match outcome {
        Ok(guard) => Some(guard),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Poisoned(_)) => panic!("poisoned"),
    }
}

#[test]
fn a_mutex_lets_one_in_at_a_time_and_is_never_lost() {
    stress(|random| {
        let mutex = Arc::new(Mutex::new(0_usize));
        let (inside, raised) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut round = Round::new();
        for _ in 0..random.of(2..10) {
            let (mutex, inside, raised) = (mutex.clone(), inside.clone(), raised.clone());
            let body = move |mut random: Random| {
                for _ in 0..40 {
                    random.dawdle();
                    let guard = match random.of(0..5) {
                        0 => unless_refused(mutex.try_lock()),
                        1 => unless_refused(mutex.lock_timeout(random.short())),
                        2 => timeout(random.short(), || mutex.lock().expect("poisoned")).ok(),
                        _ => Some(mutex.lock().expect("poisoned")),
                    };
                    if let Some(mut guard) = guard {
                        let _inside = Inside::new(&inside, 0);
                        if random.one_in(8) {
                            let _ = timeout(random.short(), || random.clone().dawdle());
                        } else if random.one_in(3) {
                            random.dawdle();
                        }
                        *guard += 1;
                        raised.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            if random.one_in(3) { round.actor(body) } else { round.mortal(body) }
        }
        round.check(move || {
            let guard = mutex.try_lock().expect("free in the end, and not poisoned");
            assert_eq!(*guard, raised.load(Ordering::Relaxed));
        });
        round
    });
}

/// Some put tokens into a box that holds few, some take them out: each put makes one able to go on, and each take, too. A
/// notification that were lost would leave somebody waiting although it could go on.
#[test]
fn a_notification_is_never_lost() {
    stress(|random| {
        let capacity = random.of(1..4);
        let tokens = Arc::new((Mutex::new(0_usize), Condvar::new(), Condvar::new()));
        let working = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for puts in (0..random.of(1..5)).flat_map(|_| [true, false]) {
            let tokens = tokens.clone();
            let leaves = Leaves::new(&working);
            round.mortal(move |mut random| {
                let _leaves = leaves;
                let (count, room, some) = &*tokens;
                let (wait_for, notify) = if puts { (room, some) } else { (some, room) };
                let blocked = |count: &mut usize| if puts { *count == capacity } else { *count == 0 };
                for _ in 0..30 {
                    random.dawdle();
                    let guard = count.lock().expect("poisoned");
                    let guard = match random.of(0..4) {
                        0 => {
                            let waited = wait_for.wait_timeout_while(guard, random.short(), blocked);
                            let (guard, late) = waited.expect("poisoned");
                            (!late.timed_out()).then_some(guard)
                        }
                        1 => {
                            let patience = random.short();
                            timeout(patience, || wait_for.wait_while(guard, blocked).expect("poisoned")).ok()
                        }
                        _ => Some(wait_for.wait_while(guard, blocked).expect("poisoned")),
                    };
                    if let Some(mut guard) = guard {
                        if puts {
                            *guard += 1;
                        } else {
                            *guard -= 1;
                        }
                        assert!(*guard <= capacity);
                        // Exactly one can go on now; all are told at times, which must not do harm.
                        if random.one_in(10) { notify.notify_all() } else { notify.notify_one() }
                    }
                }
            });
        }
        // Keeps the others going: does whatever is possible, one at a time, with the one notification that it owes.
        round.actor(move |mut random| {
            let (count, room, some) = &*tokens;
            while working.load(Ordering::SeqCst) > 0 {
                let mut guard = count.lock().expect("poisoned");
                if random.one_in(2) && *guard < capacity {
                    *guard += 1;
                    some.notify_one();
                } else if *guard > 0 {
                    *guard -= 1;
                    room.notify_one();
                }
                drop(guard);
                osier::sleep(random.short());
            }
        });
        round
    });
}

/// Counts as working until it is dropped, with a body that may never run.
struct Leaves(Arc<AtomicUsize>);

impl Leaves {
    fn new(working: &Arc<AtomicUsize>) -> Leaves {
        working.fetch_add(1, Ordering::SeqCst);
        Leaves(working.clone())
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Each waits for its turn, which is told to all: nobody misses it.
#[test]
fn a_notification_of_all_reaches_all() {
    stress(|random| {
        let members = random.of(2..7);
        let turn = Arc::new((Mutex::new(0_usize), Condvar::new()));
        let mut round = Round::new();
        for own in 0..members {
            let turn = turn.clone();
            round.actor(move |mut random| {
                for _ in 0..20 {
                    random.dawdle();
                    let mut guard = turn.0.lock().unwrap();
                    while *guard % members != own {
                        guard = match random.of(0..3) {
                            0 => turn.1.wait_timeout(guard, random.short()).unwrap().0,
                            _ => turn.1.wait(guard).unwrap(),
                        };
                    }
                    *guard += 1;
                    turn.1.notify_all();
                }
            });
        }
        round.check(move || assert_eq!(*turn.0.lock().unwrap(), members * 20));
        round
    });
}

#[test]
fn a_reader_writer_lock_keeps_writers_alone() {
    stress(|random| {
        let lock = Arc::new(RwLock::new((0_usize, 0_usize)));
        let (readers, writers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut round = Round::new();
        for _ in 0..random.of(2..10) {
            let (lock, readers, writers) = (lock.clone(), readers.clone(), writers.clone());
            round.mortal(move |mut random| {
                for _ in 0..40 {
                    random.dawdle();
                    if random.one_in(3) {
                        let guard = match random.of(0..5) {
                            0 => unless_refused(lock.try_write()),
                            1 => unless_refused(lock.write_timeout(random.short())),
                            2 => timeout(random.short(), || lock.write().expect("poisoned")).ok(),
                            _ => Some(lock.write().expect("poisoned")),
                        };
                        let Some(mut guard) = guard else { continue };
                        let inside = Inside::new(&writers, 0);
                        assert_eq!(readers.load(Ordering::SeqCst), 0, "readers beside a writer");
                        guard.0 += 1;
                        if random.one_in(3) {
                            random.clone().dawdle();
                        }
                        guard.1 = guard.0;
                        if random.one_in(4) {
                            drop(inside);
                            let guard = RwLockWriteGuard::downgrade(guard);
                            let _inside = Inside::new(&readers, usize::MAX);
                            random.dawdle();
                            assert_eq!(guard.0, guard.1);
                        }
                    } else {
                        let guard = match random.of(0..5) {
                            0 => unless_refused(lock.try_read()),
                            1 => unless_refused(lock.read_timeout(random.short())),
                            2 => timeout(random.short(), || lock.read().expect("poisoned")).ok(),
                            _ => Some(lock.read().expect("poisoned")),
                        };
                        let Some(guard) = guard else { continue };
                        let _inside = Inside::new(&readers, usize::MAX);
                        assert_eq!(writers.load(Ordering::SeqCst), 0, "a writer beside readers");
                        let seen = guard.0;
                        random.dawdle();
                        assert_eq!(guard.0, seen);
                    }
                }
            });
        }
        round.check(move || drop(lock.try_write().expect("free in the end, and not poisoned")));
        round
    });
}

#[test]
fn a_reentrant_lock_lets_one_in_at_a_time() {
    stress(|random| {
        let lock = Arc::new(ReentrantLock::new(Cell::new(0_usize)));
        let inside = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for _ in 0..random.of(2..8) {
            let (lock, inside) = (lock.clone(), inside.clone());
            round.mortal(move |mut random| {
                for _ in 0..30 {
                    random.dawdle();
                    let guard = match random.of(0..4) {
                        0 => lock.try_lock(),
                        1 => lock.lock_timeout(random.short()),
                        2 => timeout(random.short(), || lock.lock()).ok(),
                        _ => Some(lock.lock()),
                    };
                    if let Some(guard) = guard {
                        let _inside = Inside::new(&inside, 0);
                        let again = lock.lock();
                        random.dawdle();
                        again.set(guard.get() + 1);
                    }
                }
            });
        }
        round.check(move || assert!(lock.try_lock().is_some(), "free in the end"));
        round
    });
}
