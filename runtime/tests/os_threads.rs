//! Primitives between plain OS threads, in a process without any runtime. Switches no stack and makes no system call but those of std's
//! own locks, so Miri can run it: `cargo +nightly miri test -p osier --test os_threads`.

use osier::sync::Semaphore;
use osier::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Rounds of each OS thread. Miri is some hundred times slower.
const ROUNDS: usize = if cfg!(miri) { 10 } else { 1_000 };

const OS_THREADS: usize = 3;

#[test]
fn semaphore() {
    let permits = Semaphore::new(2);
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..OS_THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let _permit = permits.acquire();
                    assert!(
                        inside.fetch_add(1, Ordering::Relaxed) < 2,
                        "more are inside than there are permits"
                    );
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(permits.available_permits(), 2);
    let _all = permits.acquire_many(2);
    assert!(permits.acquire_timeout(Duration::from_millis(1)).is_none());
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
    let (sender, receiver) = std::sync::mpsc::channel();
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
    osier::thread::park_timeout(Duration::from_millis(1));
}
