//! The reader-writer lock: many readers or one writer, in the order of arrival; neither lost nor poisoned by a kill or a deadline.

mod common;

use common::{LONG, Log, MILLI, PATIENCE, check, check_virtual, check_with, message};
use osier::Builder;
use osier::sync::{RwLock, RwLockWriteGuard, TryLockError};
use osier::thread::LocalJoinHandle;
use osier::time::timeout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A green thread that reads, says so in the log, and reads on for a turn.
fn reader(lock: &Rc<RwLock<u32>>, log: &Log<&'static str>, name: &'static str) -> LocalJoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    osier::spawn_local(move || {
        let _guard = lock.read().unwrap();
        log.add(name);
        osier::yield_now();
    })
}

/// As `reader`, for one that writes.
fn writer(lock: &Rc<RwLock<u32>>, log: &Log<&'static str>, name: &'static str) -> LocalJoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    osier::spawn_local(move || {
        let mut guard = lock.write().unwrap();
        log.add(name);
        osier::yield_now();
        *guard += 1;
    })
}

#[test]
fn it_is_written_as_std_writes_it() {
    let (ours, theirs) = (RwLock::new(5), std::sync::RwLock::new(5));
    assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
    let (our_guard, their_guard) = (ours.read().unwrap(), theirs.read().unwrap());
    assert_eq!(
        format!("{ours:?} {our_guard:?} {our_guard}"),
        format!("{theirs:?} {their_guard:?} {their_guard}")
    );
    drop((our_guard, their_guard));
    let (our_guard, their_guard) = (ours.write().unwrap(), theirs.write().unwrap());
    assert_eq!(
        format!("{ours:?} {our_guard:?} {our_guard}"),
        format!("{theirs:?} {their_guard:?} {their_guard}")
    );
    drop((our_guard, their_guard));
    let _ = catch_unwind(|| {
        let _guards = (ours.write().unwrap(), theirs.write().unwrap());
        panic!("poisons both");
    });
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(format!("{:?}", ours.read()), format!("{:?}", theirs.read()));
    assert_eq!(format!("{:?}", ours.try_write()), format!("{:?}", theirs.try_write()));
}

#[test]
fn readers_share_and_writers_do_not_while_a_neighbour_goes_on() {
    check(|| {
        let lock = Rc::new(RwLock::new(0));
        let rounds = Rc::new(AtomicUsize::new(0));
        let theirs = rounds.clone();
        let neighbour = osier::spawn_local(move || {
            loop {
                theirs.fetch_add(1, Ordering::Relaxed);
                osier::yield_now();
            }
        });
        let (reading, most) = (Rc::new(AtomicUsize::new(0)), Rc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..10)
            .map(|n| {
                let (lock, reading, most) = (lock.clone(), reading.clone(), most.clone());
                let rounds = rounds.clone();
                osier::spawn_local(move || {
                    for round in 0..20 {
                        let before = rounds.load(Ordering::Relaxed);
                        if (n + round) % 5 == 0 {
                            let mut guard = lock.write().unwrap();
                            assert_eq!(reading.load(Ordering::Relaxed), 0);
                            let value = *guard;
                            osier::yield_now();
                            *guard = value + 1;
                        } else {
                            let guard = lock.read().unwrap();
                            let readers = reading.fetch_add(1, Ordering::Relaxed) + 1;
                            most.fetch_max(readers, Ordering::Relaxed);
                            let value = *guard;
                            osier::yield_now();
                            assert_eq!(*guard, value, "somebody wrote meanwhile");
                            reading.fetch_sub(1, Ordering::Relaxed);
                        }
                        assert!(rounds.load(Ordering::Relaxed) > before, "the neighbour has not run");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        neighbour.kill();
        assert_eq!(*lock.read().unwrap(), 40);
        assert!(most.load(Ordering::Relaxed) > 2, "readers have not shared");
    });
}

#[test]
fn who_comes_first_has_it_first_and_readers_in_a_row_together() {
    check(|| {
        let lock = Rc::new(RwLock::new(0));
        let log = Log::new();
        let reading = lock.read().unwrap();
        let waiting = [
            writer(&lock, &log, "first writer"),
            reader(&lock, &log, "reader"),
            reader(&lock, &log, "reader"),
            writer(&lock, &log, "second writer"),
            reader(&lock, &log, "last reader"),
        ];
        osier::yield_now();
        assert_eq!(log.take(), [""; 0], "readers came in before a writer that was there first");
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)), "a writer waits");
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop(reading);
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)), "it was given to the writer");
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(log.take(), ["first writer", "reader", "reader", "second writer", "last reader"]);
        assert_eq!(*lock.read().unwrap(), 2);
    });
}

#[test]
fn a_writer_can_become_a_reader() {
    check(|| {
        let lock = Rc::new(RwLock::new(0));
        let log = Log::new();
        let mut writing = lock.write().unwrap();
        let waiting =
            [reader(&lock, &log, "reader"), writer(&lock, &log, "writer"), reader(&lock, &log, "late")];
        osier::yield_now();
        *writing = 7;
        let reading = RwLockWriteGuard::downgrade(writing);
        osier::yield_now();
        assert_eq!(log.take(), ["reader"]);
        osier::yield_now();
        assert_eq!(*reading, 7);
        drop(reading);
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(log.take(), ["writer", "late"]);
        // With nobody there, too.
        let reading = RwLockWriteGuard::downgrade(lock.write().unwrap());
        assert_eq!(*lock.try_read().unwrap(), *reading);
        drop(reading);
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn waits_for_it_can_be_bounded() {
    check(|| {
        let lock = RwLock::new(1);
        let reading = lock.read().unwrap();
        assert_eq!(*lock.read_timeout(MILLI).unwrap(), 1);
        assert!(matches!(lock.write_timeout(MILLI), Err(TryLockError::WouldBlock)));
        drop(reading);
        let mut writing = lock.write_timeout(MILLI).unwrap();
        *writing = 2;
        assert!(matches!(lock.read_timeout(MILLI), Err(TryLockError::WouldBlock)));
        drop(writing);
        assert_eq!(lock.into_inner().unwrap(), 2);
    });
}

/// A writer that leaves lets the readers behind it in; what was given to one that is killed goes on.
#[test]
fn who_leaves_lets_the_next_in() {
    check_virtual(|_| {
        let lock = Rc::new(RwLock::new(0));
        let log = Log::new();
        let reading = lock.read().unwrap();
        let killed = writer(&lock, &log, "writer");
        let theirs = lock.clone();
        let late = osier::spawn_local(move || theirs.write_timeout(5 * MILLI).is_err());
        let next = reader(&lock, &log, "reader");
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        assert!(!next.is_finished(), "another writer is before it");
        assert!(late.join().unwrap());
        next.join_timeout(PATIENCE).unwrap().unwrap();
        drop(reading);
        drop(lock.try_write().unwrap());
        assert_eq!(log.take(), ["reader"]);
        // The lock was given to a writer that is killed before it can run; and the other way round.
        for killed_first in [false, true] {
            let reading = lock.read().unwrap();
            let theirs = lock.clone();
            let killed = osier::spawn_local(move || {
                drop(theirs.write().unwrap());
                osier::sleep(LONG);
            });
            let next = [reader(&lock, &log, "next"), reader(&lock, &log, "next")];
            osier::yield_now();
            if killed_first {
                killed.kill();
                drop(reading);
            } else {
                drop(reading);
                killed.kill();
            }
            next.into_iter().for_each(|next| next.join_timeout(PATIENCE).unwrap().unwrap());
            killed.join().unwrap_err();
            drop(lock.try_write().expect("free, and not poisoned"));
        }
    });
}

/// The deadline passes while a waiter stands served in the queue of those that are ready.
#[test]
fn what_was_given_to_one_whose_time_is_over_is_taken() {
    check_virtual(|clock| {
        let lock = Rc::new(RwLock::new(0));
        let writing = lock.write().unwrap();
        let theirs = lock.clone();
        let late = osier::spawn_local(move || theirs.read_timeout(MILLI).is_ok());
        osier::yield_now();
        // It has passed when the worker looks at its timers again.
        clock.advance(5 * MILLI);
        drop(writing);
        assert!(late.join().unwrap());
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn only_a_writer_that_panics_poisons_it() {
    check(|| {
        let lock = Arc::new(RwLock::new(0));
        let theirs = lock.clone();
        let reader = osier::spawn(move || {
            let _guard = theirs.read().unwrap();
            panic!("while it reads");
        });
        assert_eq!(message(&*reader.join().unwrap_err()), "while it reads");
        for _ in 0..2 {
            let theirs = lock.clone();
            let killed = osier::spawn(move || {
                let _guard = theirs.write().unwrap();
                osier::sleep(LONG);
            });
            osier::yield_now();
            killed.kill();
            killed.join().unwrap_err();
        }
        timeout(MILLI, || {
            let _guard = lock.write().unwrap();
            osier::sleep(LONG);
        })
        .unwrap_err();
        assert!(!lock.is_poisoned());
        drop(lock.try_write().unwrap());
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.write().unwrap();
            panic!("while it writes");
        }));
        assert!(lock.is_poisoned());
        drop(lock.read().unwrap_err().into_inner());
        drop(lock.write().unwrap_err().into_inner());
        lock.clear_poison();
        drop(lock.read().unwrap());
    });
}

#[test]
fn a_deadlock_names_the_writer() {
    check_with(Builder::new(), |runtime| {
        let lock = Arc::new(RwLock::new(0));
        let deadlock = runtime.try_run(|| {
            let _writing = lock.write().unwrap();
            let theirs = lock.clone();
            let reader = osier::thread::Builder::new().name("reader".into());
            reader.spawn(move || drop(theirs.read().unwrap())).unwrap().join().unwrap();
        });
        let deadlock = deadlock.unwrap_err();
        assert_eq!(deadlock.circle().count(), 2);
        let text = deadlock.to_string();
        assert!(text.contains("'reader'") && text.contains("waits to read the lock at"), "{text}");
        let own = runtime.try_run(|| {
            let _writing = lock.write().unwrap();
            drop(lock.write());
        });
        let own = own.unwrap_err();
        assert!(own.circle().next().unwrap().reason.starts_with("waits to write the lock at"), "{own}");
        // A writer that has become a reader is no writer.
        let told = Arc::new(AtomicUsize::new(0));
        let theirs = told.clone();
        let builder = Builder::new().on_stuck(move |stuck| {
            theirs.fetch_add(1 + stuck.circle().count(), Ordering::Relaxed);
        });
        builder.build().unwrap().run(|| {
            let reading = RwLockWriteGuard::downgrade(lock.write().unwrap());
            let wakes = osier::thread::current();
            let os_thread = std::thread::spawn(move || {
                while told.load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
                wakes.unpark();
                told.load(Ordering::Relaxed)
            });
            let theirs = lock.clone();
            let writer = osier::spawn(move || drop(theirs.write().unwrap()));
            osier::thread::park();
            drop(reading);
            writer.join().unwrap();
            assert_eq!(os_thread.join().unwrap(), 1, "a circle where there is none");
        });
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        let lock = Arc::new(RwLock::new((0_u64, 0_u64)));
        let rounds = {
            let lock = lock.clone();
            move || {
                for round in 0..300_u64 {
                    if round % 3 == 0 {
                        let mut guard = lock.write().unwrap();
                        guard.0 += 1;
                        if round % 7 == 0 {
                            osier::yield_now();
                        }
                        guard.1 += 1;
                    } else {
                        let guard = lock.read().unwrap();
                        assert_eq!(guard.0, guard.1);
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
        assert_eq!(*lock.read().unwrap(), (700, 700));
    });
}
