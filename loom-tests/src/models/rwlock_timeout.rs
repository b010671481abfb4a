//! A writer waits for a reader, and another reader behind the writer, when the writer's time passes: the reader comes in beside the
//! first one.

use super::rwlock_core::{Access, RwLockCore};
use crate::clock::Instant;
use crate::park::{self, Holder, Reason};
use loom::sync::Arc;
use loom::thread;

pub const FREE: &str = "in the end nobody has the lock";

const NOBODY: &Holder = &Holder::nobody();

/// The model.
pub fn model() {
    let lock = Arc::new(RwLockCore::new());
    assert!(lock.try_lock(Access::Read));
    let theirs = lock.clone();
    let (victim, writer) = park::spawn(move || {
        if theirs.lock(Access::Write, Reason::Write(0, NOBODY), Some(Instant::now())) == Ok(true) {
            theirs.unlock(Access::Write);
        }
    });
    let theirs = lock.clone();
    let reader = thread::spawn(move || {
        assert_eq!(theirs.lock(Access::Read, Reason::Read(0, NOBODY), None), Ok(true));
        theirs.unlock(Access::Read);
    });
    victim.let_time_pass();
    // Before the lock is given back.
    reader.join().expect("readers do not panic");
    lock.unlock(Access::Read);
    writer.join().expect("writers do not panic");
    assert!(lock.try_lock(Access::Write), "{FREE}");
}
