//! The last green threads of two workers end at the same time, as the entry does, and one more has come from elsewhere: it is taken in
//! before the end, or not at all, and worker 0 hears of the end.

use super::stillness::{Pulse, Sleeper, Wanted};
use super::tally::{Seal, Tally};
use loom::sync::atomic::Ordering;
use loom::sync::{Arc, Notify};
use loom::thread;
use std::sync::atomic::AtomicBool;

pub const NOT_AFTER_THE_END: &str = "nobody is taken in after the end";

struct Shared {
    tallies: [Tally; 2],
    seal: Seal,
    wanted: Wanted,
    /// What worker 0 sleeps on.
    eventfd: Notify,
    /// Not of the model: what has happened in this interleaving.
    lives: AtomicBool,
    ended: AtomicBool,
}

impl Shared {
    fn live(&self) -> usize {
        Tally::live(self.tallies.iter())
    }
}

/// A worker of which nobody asks whether it sleeps.
struct Nobody;

impl Sleeper for Nobody {
    fn is_asleep(&self) -> bool {
        unreachable!("nobody wants to know")
    }

    fn pulse(&self) -> &Pulse {
        unreachable!("nobody wants to know")
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared {
        tallies: [Tally::new(), Tally::new()],
        seal: Seal::open(),
        wanted: Wanted::new(),
        eventfd: Notify::new(),
        lives: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    });
    shared.wanted.begin();
    shared.wanted.await_stillness(false);
    shared.seal.reopen();
    shared.tallies.iter().for_each(Tally::count_birth);
    assert_eq!(shared.live(), 2);
    let theirs = shared.clone();
    let other = thread::spawn(move || {
        theirs.tallies[1].count_end();
        theirs.tallies[1].count_birth();
        if theirs.seal.admits() {
            theirs.lives.store(true, Ordering::Relaxed);
            assert!(!theirs.ended.load(Ordering::Relaxed), "{NOT_AFTER_THE_END}");
            theirs.lives.store(false, Ordering::Relaxed);
            theirs.tallies[1].count_end();
        } else {
            theirs.tallies[1].count_end();
            // It was put aside.
            theirs.eventfd.notify();
        }
        // It has announced its sleep.
        if theirs.wanted.is_met::<Nobody>(&[], 1, false, || theirs.live(), || true) {
            theirs.eventfd.notify();
        }
    });
    shared.tallies[0].count_end();
    shared.wanted.await_end();
    // It waits for all; then it seals, and waits for those that came before.
    for seals in [true, false] {
        while !shared.wanted.has_ended(|| shared.live()) {
            shared.eventfd.wait();
        }
        if seals {
            shared.seal.close();
        }
    }
    shared.ended.store(true, Ordering::Relaxed);
    assert!(!shared.lives.load(Ordering::Relaxed), "{NOT_AFTER_THE_END}");
    other.join().expect("workers do not panic");
}
