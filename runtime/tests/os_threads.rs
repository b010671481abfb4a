//! Primitives between plain OS threads, in a process without any runtime. Switches no stack and makes no system call but those of std's
//! own locks, so Miri can run it: `cargo +nightly miri test -p osier --test os_threads`.

use osier::sync::mpmc::{channel, sync_channel};
use osier::sync::{Barrier, Condvar, Event, Mutex, OnceLock, ReentrantLock, RwLock, Semaphore, WaitGroup};
use osier::time::Duration;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Rounds of each OS thread. Miri is some hundred times slower.
const ROUNDS: usize = if cfg!(miri) { 10 } else { 1_000 };

const OS_THREADS: usize = 3;

const MILLI: Duration = Duration::from_millis(1);

/// Runs `f` on each OS thread, so many times.
fn everywhere(f: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..OS_THREADS {
            scope.spawn(|| (0..ROUNDS).for_each(|_| f()));
        }
    });
}

#[test]
fn semaphore() {
    let permits = Semaphore::new(2);
    let inside = AtomicUsize::new(0);
    everywhere(|| {
        let _permit = permits.acquire();
        assert!(inside.fetch_add(1, Ordering::Relaxed) < 2, "more are inside than there are permits");
        thread::yield_now();
        inside.fetch_sub(1, Ordering::Relaxed);
    });
    assert_eq!(permits.available_permits(), 2);
    let _all = permits.acquire_many(2);
    assert!(permits.acquire_timeout(MILLI).is_none());
}

#[test]
fn park() {
    let turn = AtomicUsize::new(0);
    let wait_for = |number| {
        while turn.load(Ordering::Acquire) != number {
            osier::thread::park();
        }
    };
    let main = osier::thread::current();
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            sender.send(osier::thread::current()).unwrap();
            for round in 0..ROUNDS {
                wait_for(2 * round + 1);
                turn.store(2 * round + 2, Ordering::Release);
                main.unpark();
            }
        });
        let other = receiver.recv().unwrap();
        for round in 0..ROUNDS {
            turn.store(2 * round + 1, Ordering::Release);
            other.unpark();
            wait_for(2 * round + 2);
        }
    });
    osier::thread::park_timeout(MILLI);
}

#[test]
fn locks() {
    let mutex = Mutex::new(0);
    let rwlock = RwLock::new((0, 0));
    let reentrant = ReentrantLock::new(Cell::new(0));
    everywhere(|| {
        *mutex.lock().unwrap() += 1;
        thread::yield_now();
        let seen = *rwlock.read().unwrap();
        assert_eq!(seen.0, seen.1, "a writer was seen half way");
        let mut written = rwlock.write().unwrap();
        written.0 += 1;
        thread::yield_now();
        written.1 += 1;
        drop(written);
        let outer = reentrant.lock();
        let inner = reentrant.lock();
        inner.set(outer.get() + 1);
    });
    let all = OS_THREADS * ROUNDS;
    assert_eq!((mutex.into_inner().unwrap(), rwlock.into_inner().unwrap()), (all, (all, all)));
    assert_eq!(reentrant.lock().get(), all);
}

#[test]
fn condvar() {
    let (there, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        for _ in 0..OS_THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let mut there = changed.wait_while(there.lock().unwrap(), |there| *there == 0).unwrap();
                    *there -= 1;
                }
            });
        }
        for _ in 0..OS_THREADS * ROUNDS {
            *there.lock().unwrap() += 1;
            changed.notify_one();
        }
    });
    let late = changed.wait_timeout(there.lock().unwrap(), MILLI).unwrap();
    assert_eq!((*late.0, late.1.timed_out()), (0, true));
}

#[test]
fn channels() {
    for capacity in [None, Some(0), Some(2)] {
        let (sender, receiver) = capacity.map_or_else(channel, sync_channel);
        let sum = thread::scope(|scope| {
            let receivers: Vec<_> = (0..OS_THREADS)
                .map(|_| {
                    let receiver = receiver.clone();
                    scope.spawn(move || receiver.iter().sum::<usize>())
                })
                .collect();
            drop(receiver);
            for _ in 0..OS_THREADS {
                let sender = sender.clone();
                scope.spawn(move || (1..=ROUNDS).for_each(|n| sender.send(n).unwrap()));
            }
            drop(sender);
            receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum::<usize>()
        });
        assert_eq!(sum, OS_THREADS * ROUNDS * (ROUNDS + 1) / 2, "{capacity:?}");
    }
}

#[test]
fn what_happens_once_and_together() {
    let (once, happened) = (OnceLock::new(), AtomicUsize::new(0));
    let (barrier, leaders) = (Barrier::new(OS_THREADS), AtomicUsize::new(0));
    everywhere(|| {
        assert_eq!(once.get_or_init(|| happened.fetch_add(1, Ordering::Relaxed)), &0);
        leaders.fetch_add(usize::from(barrier.wait().is_leader()), Ordering::Relaxed);
    });
    assert_eq!((happened.into_inner(), leaders.into_inner()), (1, ROUNDS));
    let (event, group) = (Event::new(), WaitGroup::new());
    thread::scope(|scope| {
        for _ in 0..OS_THREADS {
            let (event, member) = (&event, group.clone());
            scope.spawn(move || {
                event.wait();
                drop(member);
            });
        }
        event.set();
        group.wait();
    });
}
