//! Children whose handles are gone since the call that had them was cancelled.
//!
//! Somebody has to wait for them once they have ended, or the kernel keeps them in its list; their callers cannot, so whoever
//! starts one more child does.

use super::child::Child;
use crate::primitive::lock;
use std::sync::Mutex;

static ORPHANS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Waits for those that have ended.
pub(super) fn collect() {
    // The list is short: nobody is in it unless a call was cancelled. Taken out, so that nothing is closed under the lock.
    let orphans = std::mem::take(&mut *lock(&ORPHANS));
    if orphans.is_empty() {
        return;
    }
    let mut left: Vec<_> = orphans
        .into_iter()
        .filter_map(|mut child| matches!(child.try_wait(), Ok(None)).then_some(child))
        .collect();
    lock(&ORPHANS).append(&mut left);
}

/// Has a child, and leaves it to [`collect`] if that has not ended when this is dropped.
pub(super) struct Leave(Option<Child>);

impl Leave {
    pub(super) fn new(child: Child) -> Leave {
        Leave(Some(child))
    }

    pub(super) fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is there until the drop")
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take()
            && let Ok(None) = child.try_wait()
        {
            child.let_go();
            lock(&ORPHANS).push(child);
        }
    }
}
