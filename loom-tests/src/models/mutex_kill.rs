//! A lock is handed to one that has waited for long, or a wake-up is given to it, while it is killed: it passes on what it was given.

use super::mutex_core::MutexCore;
use crate::park::{self, Cancelled, Holder, Reason};
use loom::sync::Arc;
use loom::thread;

pub const FREE: &str = "in the end nobody has the lock";

fn lock(mutex: &MutexCore) -> Result<bool, Cancelled> {
    mutex.lock(Reason::Mutex(0, &Holder::nobody()), None)
}

/// The model.
pub fn model() {
    let mutex = Arc::new(MutexCore::new());
    assert_eq!(lock(&mutex), Ok(true));
    let theirs = mutex.clone();
    let (victim, waiter) = park::spawn(move || {
        if lock(&theirs).is_ok() {
            theirs.unlock();
        }
    });
    let theirs = mutex.clone();
    let other = thread::spawn(move || {
        assert_eq!(lock(&theirs), Ok(true));
        theirs.unlock();
    });
    mutex.unlock();
    // Barges in, so that who was woken finds the lock taken and has it handed over the next time.
    assert_eq!(lock(&mutex), Ok(true));
    victim.kill();
    mutex.unlock();
    waiter.join().expect("waiters do not panic");
    other.join().expect("waiters do not panic");
    assert!(mutex.try_lock(), "{FREE}");
}
