//! Which worker a green thread belongs to: none while its closure waits to be started and may be taken, then one for ever.
//!
//! # A word for somebody who is just being taken
//!
//! Whoever kills or unparks a green thread leaves a mark on it (that it was killed; the token of `thread::park`), and then tells
//! its worker. As long as it has none there is nobody to be told, and nothing to be done: it has not started, and the mark
//! is looked at before and while it runs. That it is looked at in time takes both fences:
//!
//! | who leaves a mark | who takes it |
//! |---|---|
//! | 1. sets the mark | 1. notes itself as the owner ([`Owner::settle`]) |
//! | 2. fence, in [`Owner::after_mark`] | 2. fence |
//! | 3. looks for the owner, and tells it | 3. looks at the mark, runs it |
//!
//! One of them at least sees what the other did. Without a fence the one may find no owner and the other no mark: the green
//! thread would park with nobody left to wake it.

use crate::primitive::{Arc, AtomicPtr, Ordering, fence};
use core::ptr;

/// The owner of something, once it has one.
pub(crate) struct Owner<T> {
    /// Null for none; else it holds one count, until it is dropped. Changes once at most.
    address: AtomicPtr<T>,
}

impl<T> Owner<T> {
    /// Nobody yet.
    pub(crate) fn nobody() -> Owner<T> {
        Owner { address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This one, for ever.
    pub(crate) fn of(owner: Arc<T>) -> Owner<T> {
        Owner { address: AtomicPtr::new(Arc::into_raw(owner).cast_mut()) }
    }

    /// Makes `owner` the owner. Called once, by the one that has taken what had none; it must look at the marks after that.
    pub(crate) fn settle(&self, owner: Arc<T>) {
        // Release: pairs with the acquire loads below; who finds the owner sees it made.
        let before = self.address.swap(Arc::into_raw(owner).cast_mut(), Ordering::Release);
        debug_assert!(before.is_null(), "it has an owner already");
        // Pairs with the fence in `after_mark`.
        fence(Ordering::SeqCst);
    }

    /// Whether it is `this`.
    #[inline]
    pub(crate) fn is(&self, this: *const T) -> bool {
        // Relaxed: an owner recognizes itself, having settled on its own OS thread.
        ptr::eq(self.address.load(Ordering::Relaxed), this)
    }

    /// Who must be told of a mark that the caller has just set; `None` if whoever takes it will see the mark.
    pub(crate) fn after_mark(&self) -> Option<&T> {
        let mut address = self.address.load(Ordering::Acquire);
        if address.is_null() {
            // Pairs with the fence in `settle`.
            fence(Ordering::SeqCst);
            address = self.address.load(Ordering::Acquire);
        }
        // SAFETY: null, or from `Arc::into_raw` of the count that is given back only when this is dropped.
        unsafe { address.as_ref() }
    }
}

impl<T> Drop for Owner<T> {
    fn drop(&mut self) {
        // Acquire: pairs with `settle`.
        let address = self.address.load(Ordering::Acquire);
        if !address.is_null() {
            // SAFETY: from `Arc::into_raw`, and its count is given back here and nowhere else.
            drop(unsafe { Arc::from_raw(address) });
        }
    }
}
