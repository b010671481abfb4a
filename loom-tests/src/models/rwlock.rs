//! Two readers and two writers: a writer is alone, and everybody sees what the last one did.

use super::rwlock_core::{Access, RwLockCore};
use crate::park::{Holder, Reason};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

pub const FREE: &str = "in the end nobody has the lock";

struct Shared {
    lock: RwLockCore,
    /// Looked at, never dereferenced: loom tells when two look of which one writes and neither comes before the other.
    value: UnsafeCell<()>,
}

impl Shared {
    fn visit(&self, access: Access) {
        const NOBODY: &Holder = &Holder::nobody();
        let reason = match access {
            Access::Read => Reason::Read(0, NOBODY),
            Access::Write => Reason::Write(0, NOBODY),
        };
        assert_eq!(self.lock.lock(access, reason, None), Ok(true));
        match access {
            Access::Read => self.value.with(|_| ()),
            Access::Write => self.value.with_mut(|_| ()),
        }
        self.lock.unlock(access);
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { lock: RwLockCore::new(), value: UnsafeCell::new(()) });
    // Also makes the lock.
    shared.visit(Access::Write);
    let others = [Access::Read, Access::Write].map(|access| {
        let theirs = shared.clone();
        thread::spawn(move || theirs.visit(access))
    });
    shared.visit(Access::Read);
    shared.visit(Access::Write);
    others.into_iter().for_each(|other| other.join().expect("visitors do not panic"));
    assert!(shared.lock.try_lock(Access::Write), "{FREE}");
}
