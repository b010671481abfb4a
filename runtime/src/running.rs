//! What a switch must know about the code that runs on this OS thread, side by side.
//!
//! A switch between greenlets waits for its data to come from memory, from one pointer to the next, up to the new stack
//! pointer. So the words that begin that way share one cache line and one address. The first two belong to
//! [`crate::limits`] and [`crate::entry`], which say what they mean. The others are this module's: they name the family of
//! greenlets that is *open*, which means that it was found free to switch, with nobody to be told, and that nothing has
//! happened since that could change that: whatever does, [`shut`]s it.
//!
//! While a family is open, the innermost frame of the running stack is kept in the running greenlet's own [`Origin`] instead of here.
//! So a switch neither saves nor restores it: naming another greenlet is all.
//!
//! # Invariants
//!
//! 1. The open family is that of the current entry, the entry is not frozen, and no trace function is set. So it lives.
//! 2. While a family is open, `greenlet` is its running greenlet, or the one that is resumed next, and lives.

use crate::entry::Entry;
use crate::limits::{Head, Origin};
use core::cell::Cell;
use core::ptr;

/// The words of one OS thread.
#[repr(align(64))]
pub(crate) struct Running {
    /// Of [`crate::limits`]: the innermost frame of the running stack, null when there is none. Out of date while a family is
    /// open.
    limits: Cell<Head>,
    /// Of [`crate::entry`]: the innermost entry of the running stack; null outside of all.
    pub(crate) entry: Cell<*const Entry>,
    /// In the open family; null when none is.
    open: Cell<*const Current>,
    /// The greenlet whose code runs, or is resumed next: its address, and that of its origin, with which it begins.
    greenlet: Cell<*const Origin>,
}

impl Running {
    /// Where the running stack's innermost frame is kept.
    #[inline(always)]
    pub(crate) fn limits(&self) -> &Cell<Head> {
        if self.open.get().is_null() {
            return &self.limits;
        }
        // SAFETY: the greenlet lives (invariant 2), and its node begins with its origin.
        unsafe { &*self.greenlet.get() }.head()
    }
}

thread_local! {
    static RUNNING: Running = const {
        Running {
            limits: Cell::new(ptr::null()),
            entry: Cell::new(ptr::null()),
            open: Cell::new(ptr::null()),
            greenlet: Cell::new(ptr::null()),
        }
    };
}

/// Hands the words of this OS thread to `f`, which does not switch.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Running) -> R) -> R {
    RUNNING.with(f)
}

/// Which greenlet of a family runs, or is resumed next; its address stands for the family.
#[derive(Debug)]
pub(crate) struct Current {
    /// Out of date while the family is open.
    greenlet: Cell<*const Origin>,
}

impl Current {
    pub(crate) const fn new() -> Current {
        Current { greenlet: Cell::new(ptr::null()) }
    }

    fn is_open(&self) -> bool {
        with(|running| ptr::eq(running.open.get(), self))
    }

    pub(crate) fn greenlet(&self) -> *const Origin {
        if self.is_open() { with(|running| running.greenlet.get()) } else { self.greenlet.get() }
    }

    /// Names the greenlet that runs next. It must begin with its origin, and live as long as it is named.
    pub(crate) fn set_greenlet(&self, greenlet: *const Origin) {
        if self.is_open() {
            set_greenlet(greenlet);
        }
        self.greenlet.set(greenlet);
    }

    /// Opens the family. The caller has seen that invariant 1 holds.
    pub(crate) fn open(&self) {
        if self.is_open() {
            return;
        }
        with(|running| {
            let limits = running.limits().get();
            running.greenlet.set(self.greenlet.get());
            running.open.set(self);
            running.limits().set(limits);
        });
    }
}

/// The family that is open, null when none is, and its running greenlet, meaningless when none is.
#[inline(always)]
pub(crate) fn open() -> (*const Current, *const Origin) {
    with(|running| (running.open.get(), running.greenlet.get()))
}

/// A greenlet of the current entry's family is about to run. It must be that family's current one, too, unless it is open.
#[inline(always)]
pub(crate) fn set_greenlet(greenlet: *const Origin) {
    with(|running| running.greenlet.set(greenlet));
}

/// The greenlet that [`set_greenlet`] has named last.
#[inline(always)]
pub(crate) fn greenlet() -> *const Origin {
    with(|running| running.greenlet.get())
}

/// Whether greenlets are free to switch must be asked anew: another entry becomes current, say.
#[inline(always)]
pub(crate) fn shut() {
    with(|running| {
        // SAFETY: the open family lives (invariant 1).
        if let Some(current) = unsafe { running.open.get().as_ref() } {
            running.limits.set(running.limits().get());
            current.greenlet.set(running.greenlet.get());
            running.open.set(ptr::null());
        }
    });
}
