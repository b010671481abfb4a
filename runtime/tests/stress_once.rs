//! Stress of what happens once, and of barriers: it happens exactly once, whoever is killed on the way; nobody goes too early.

mod common;
#[path = "common/stress.rs"]
mod stress;

use osier::sync::{Barrier, LazyLock, Once, OnceLock};
use osier::time::timeout;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stress::{Round, stress};

#[test]
fn what_happens_once_happens_once() {
    stress(|random| {
        let (once, cell) = (Arc::new(Once::new()), Arc::new(OnceLock::new()));
        let happened = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for own in 0..random.of(2..8) {
            let (once, cell, happened) = (once.clone(), cell.clone(), happened.clone());
            round.mortal(move |mut random| {
                random.dawdle();
                let _ = timeout(random.short(), || {
                    once.call_once(|| {
                        random.dawdle();
                        happened.fetch_add(1, Ordering::Relaxed);
                    });
                });
                random.dawdle();
                let value = *cell.get_or_init(|| {
                    random.dawdle();
                    own
                });
                assert_eq!(cell.get(), Some(&value));
                assert!(cell.set(own + 100).is_err());
            });
        }
        // Not killed: in the end it has happened, once.
        round.actor({
            let (once, cell, happened) = (once.clone(), cell.clone(), happened.clone());
            move |mut random| {
                if random.one_in(2) {
                    random.dawdle();
                }
                once.call_once(|| {
                    happened.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(happened.load(Ordering::Relaxed), 1);
                cell.get_or_init(|| 50);
            }
        });
        round.actor({
            let (once, cell) = (once.clone(), cell.clone());
            move |_| {
                once.wait();
                cell.wait();
            }
        });
        round.check(move || {
            assert!(once.is_completed() && cell.get().is_some());
            assert_eq!(happened.load(Ordering::Relaxed), 1);
        });
        round
    });
}

#[test]
fn a_lazy_value_is_made_once() {
    stress(|random| {
        let made = Arc::new(AtomicUsize::new(0));
        let theirs = made.clone();
        let mut inner = random.clone();
        let lazy: Arc<LazyLock<usize, Box<dyn FnOnce() -> usize + Send>>> =
            Arc::new(LazyLock::new(Box::new(move || {
                inner.dawdle();
                theirs.fetch_add(1, Ordering::Relaxed) + 7
            })));
        let mut round = Round::new();
        for _ in 0..random.of(1..8) {
            let lazy = lazy.clone();
            round.mortal(move |mut random| {
                random.dawdle();
                let _ = timeout(random.short(), || assert_eq!(**lazy, 7));
                random.dawdle();
                assert_eq!(**lazy, 7);
            });
        }
        round.check(move || {
            assert_eq!(**lazy, 7);
            assert_eq!(made.load(Ordering::Relaxed), 1);
        });
        round
    });
}

/// Members that are late have not come, and come again. One that is late and has come all the same would go ahead of the others.
#[test]
fn nobody_passes_a_barrier_too_early() {
    const ROUNDS: usize = 10;
    stress(|random| {
        let members = random.of(1..5);
        let barrier = Arc::new(Barrier::new(members));
        let (came, led) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut round = Round::new();
        for _ in 0..members {
            let (barrier, came, led) = (barrier.clone(), came.clone(), led.clone());
            round.actor(move |mut random| {
                for round in 1..=ROUNDS {
                    random.dawdle();
                    came.fetch_add(1, Ordering::SeqCst);
                    loop {
                        // One that is late has not come, and comes again.
                        let waited = if random.one_in(3) {
                            timeout(random.short(), || barrier.wait().is_leader()).ok()
                        } else {
                            Some(barrier.wait().is_leader())
                        };
                        if let Some(leader) = waited {
                            led.fetch_add(usize::from(leader), Ordering::SeqCst);
                            break;
                        }
                    }
                    assert!(came.load(Ordering::SeqCst) >= members * round, "one has not come");
                }
            });
        }
        round.check(move || assert_eq!(led.load(Ordering::SeqCst), ROUNDS));
        round
    });
}
