//! The reentrant lock: belongs to the green thread, which may take it again.

mod common;

use common::{LONG, MILLI, PATIENCE, check, check_with};
use osier::Builder;
use osier::sync::ReentrantLock;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

#[test]
fn its_owner_may_take_it_again_and_others_of_the_same_os_thread_may_not() {
    check(|| {
        let lock = Rc::new(ReentrantLock::new(Cell::new(0)));
        let outer = lock.lock();
        let inner = lock.try_lock().expect("it is ours");
        assert!(lock.lock_timeout(MILLI).is_some());
        let (theirs, late) = (lock.clone(), Rc::new(Cell::new(false)));
        let was_late = late.clone();
        let other = osier::spawn_local(move || {
            assert!(theirs.try_lock().is_none());
            assert!(theirs.lock_timeout(MILLI).is_none());
            was_late.set(true);
            let guard = theirs.lock();
            guard.set(guard.get() + 1);
        });
        while !late.get() {
            osier::sleep(MILLI);
        }
        drop(outer);
        osier::yield_now();
        assert!(!other.is_finished(), "it is held still");
        assert_eq!(inner.get(), 0);
        drop(inner);
        other.join_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(lock.lock().get(), 1);
    });
    // Off green threads, too; and the value can be had.
    let mut lock = ReentrantLock::from(1);
    assert_eq!(*lock.lock() + *lock.lock(), 2);
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner() + ReentrantLock::<i32>::default().into_inner(), 2);
}

#[test]
fn it_is_written_with_its_value() {
    let lock = ReentrantLock::new(5);
    assert_eq!(format!("{lock:?}"), "ReentrantLock { data: 5, .. }");
    let guard = lock.lock();
    assert_eq!(format!("{lock:?} {guard:?} {guard}"), "ReentrantLock { data: 5, .. } 5 5");
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| format!("{lock:?}")).join().unwrap());
    assert_eq!(elsewhere, "ReentrantLock { data: <locked>, .. }");
}

#[test]
fn a_kill_gives_it_back_however_often_it_was_taken() {
    check(|| {
        let lock = Rc::new(ReentrantLock::new(()));
        let theirs = lock.clone();
        let killed = osier::spawn_local(move || {
            let _guards = (theirs.lock(), theirs.lock());
            osier::sleep(LONG);
        });
        osier::yield_now();
        let theirs = lock.clone();
        let killed_too = osier::spawn_local(move || drop(theirs.lock()));
        let theirs = lock.clone();
        let next = osier::spawn_local(move || drop(theirs.lock()));
        osier::yield_now();
        killed_too.kill();
        killed.kill();
        killed.join().unwrap_err();
        killed_too.join().unwrap_err();
        next.join_timeout(PATIENCE).unwrap().unwrap();
        // A panic leaves it as it is.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("it is not poisoned");
        }));
        drop(lock.try_lock().unwrap());
    });
}

#[test]
fn a_deadlock_names_its_owner() {
    check_with(Builder::new(), |runtime| {
        let locks = [Arc::new(ReentrantLock::new(())), Arc::new(ReentrantLock::new(()))];
        let deadlock = runtime.try_run(|| {
            let eat = |own: usize| {
                let (own, other) = (locks[own].clone(), locks[1 - own].clone());
                osier::spawn(move || {
                    let _own = (own.lock(), own.lock());
                    osier::yield_now();
                    drop(other.lock());
                })
            };
            [eat(0), eat(1)].into_iter().for_each(|thread| thread.join().unwrap());
        });
        let deadlock = deadlock.unwrap_err();
        assert_eq!(deadlock.circle().count(), 2);
        assert!(deadlock.circle().all(|waiting| waiting.reason.contains("the reentrant lock at")));
        assert!(locks.iter().all(|lock| lock.try_lock().is_some()));
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        let lock = Arc::new(ReentrantLock::new(Cell::new(0)));
        let member = || {
            let lock = lock.clone();
            move || {
                for round in 0..200 {
                    let outer = lock.lock();
                    let before = outer.get();
                    if round % 7 == 0 {
                        osier::yield_now();
                    }
                    lock.lock().set(before + 1);
                }
            }
        };
        let there = [member(), member()];
        let os_threads = [
            std::thread::spawn(member()),
            std::thread::spawn(member()),
            std::thread::spawn(move || {
                osier::run(|| there.map(osier::spawn).map(|thread| thread.join().unwrap()));
            }),
        ];
        [osier::spawn(member()), osier::spawn(member())]
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        os_threads.into_iter().for_each(|thread| osier::offload(|| thread.join().unwrap()));
        assert_eq!(lock.lock().get(), 1200);
    });
}
