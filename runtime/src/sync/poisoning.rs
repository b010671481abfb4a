//! Whether a panic has left what a lock guards half done.

use crate::primitive::{AtomicBool, Ordering};
use crate::unwinding;
use std::sync::{LockResult, PoisonError};

/// The mark of a lock. Set when a guard is dropped by a panic that began after the guard was made; not when its green thread was
/// killed, or its time was over: then the stack was unwound from a wait, and nobody has failed.
pub(super) struct Poison(AtomicBool);

/// What a guard must know of the time when it was made.
#[derive(Clone, Copy)]
pub(super) struct Before {
    panicking: bool,
}

impl Poison {
    pub(super) const fn new() -> Poison {
        Poison(AtomicBool::new(false))
    }

    /// A guard is made.
    #[inline]
    pub(super) fn enter() -> Before {
        Before { panicking: std::thread::panicking() }
    }

    /// A guard is dropped.
    #[inline]
    pub(super) fn leave(&self, before: Before) {
        if !before.panicking && unwinding::by_failure() {
            // Relaxed, everywhere: the lock orders it.
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// `value` as std gives what a lock guards.
    #[inline]
    pub(super) fn wrap<T>(&self, value: T) -> LockResult<T> {
        if self.is_set() { Err(PoisonError::new(value)) } else { Ok(value) }
    }
}
