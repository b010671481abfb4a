//! The deadline of one that waits for a lock passes while it is unlocked: it has the lock, or does not have it, and the next one is not left
//! behind.

use super::mutex_core::MutexCore;
use crate::clock::Instant;
use crate::park::{self, Holder, Reason};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const ALONE: &str = "who has the lock is alone";
pub const FREE: &str = "in the end nobody has the lock";

struct Shared {
    mutex: MutexCore,
    /// Written with no ordering but the lock's.
    inside: AtomicUsize,
}

impl Shared {
    fn visit(&self) {
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "{ALONE}");
        self.inside.store(1, Ordering::Relaxed);
        self.inside.store(0, Ordering::Relaxed);
        self.mutex.unlock();
    }
}

fn reason<'a>() -> Reason<'a> {
    const NOBODY: &Holder = &Holder::nobody();
    Reason::Mutex(0, NOBODY)
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { mutex: MutexCore::new(), inside: AtomicUsize::new(0) });
    assert!(shared.mutex.try_lock());
    let theirs = shared.clone();
    let (victim, waiter) = park::spawn(move || {
        if theirs.mutex.lock(reason(), Some(Instant::now())) == Ok(true) {
            theirs.visit();
        }
    });
    let theirs = shared.clone();
    let time = thread::spawn(move || {
        victim.let_time_pass();
        assert_eq!(theirs.mutex.lock(reason(), None), Ok(true));
        theirs.visit();
    });
    shared.visit();
    time.join().expect("time does not panic");
    waiter.join().expect("waiters do not panic");
    assert!(shared.mutex.try_lock(), "{FREE}");
}
