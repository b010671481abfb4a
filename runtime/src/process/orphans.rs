//! Children whose handles are gone: the call that had them was cancelled, or they are meant to run on by themselves.
//!
//! Somebody has to wait for them once they have ended, or the kernel keeps them in its list; whoever starts one more child
//! does.

use super::child::Child;
use crate::primitive::{Mutex, lock};

/// Tries to wait for a child; true when there is no more to wait for.
type Collect = Box<dyn FnMut() -> bool + Send>;

static ORPHANS: Mutex<Vec<Collect>> = Mutex::new(Vec::new());

/// Waits for those that have ended.
pub(crate) fn collect() {
    // Taken out, so that nothing is dropped under the lock. The list is short.
    let mut orphans = std::mem::take(&mut *lock(&ORPHANS));
    if !orphans.is_empty() {
        orphans.retain_mut(|collect| !collect());
        lock(&ORPHANS).append(&mut orphans);
    }
}

/// Leaves a child to [`collect`].
pub(crate) fn leave(collect: impl FnMut() -> bool + Send + 'static) {
    lock(&ORPHANS).push(Box::new(collect));
}

/// Forgets all, in a process that was forked just now: they are its parent's children.
pub(crate) fn forget() {
    std::mem::take(&mut *lock(&ORPHANS)).into_iter().for_each(std::mem::forget);
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
            leave(move || !matches!(child.try_wait(), Ok(None)));
        }
    }
}
