//! Three threads lock, one of them twice: one is in at a time, sees what the one before it did, and nobody waits for ever.

use super::mutex_core::MutexCore;
use crate::park::{Holder, Reason};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const VISIBLE: &str = "who has the lock sees what its last owner did";
pub const LOCKS: &str = "a lock without a deadline is had in the end";

struct Shared {
    mutex: MutexCore,
    /// Counted with no ordering but the lock's.
    visits: AtomicUsize,
}

fn visit(shared: &Shared) {
    assert_eq!(shared.mutex.lock(Reason::Mutex(0, &Holder::nobody()), None), Ok(true), "{LOCKS}");
    let visits = shared.visits.load(Ordering::Relaxed);
    shared.visits.store(visits + 1, Ordering::Relaxed);
    shared.mutex.unlock();
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { mutex: MutexCore::new(), visits: AtomicUsize::new(0) });
    // Also makes the lock.
    visit(&shared);
    let others = [0; 2].map(|_| {
        let theirs = shared.clone();
        thread::spawn(move || visit(&theirs))
    });
    visit(&shared);
    visit(&shared);
    others.into_iter().for_each(|other| other.join().expect("visitors do not panic"));
    assert_eq!(shared.visits.load(Ordering::Relaxed), 5, "{VISIBLE}");
}
