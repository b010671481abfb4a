//! What a switch must know about the code that runs on this OS thread, side by side.
//!
//! A switch between greenlets waits for its data to come from memory, from one pointer to the next, up to the new stack
//! pointer. So the words that begin that way share one cache line and one address. Two of them belong to
//! [`crate::limits`] and [`crate::entry`], which say what they mean. The others are this module's: they name the family of
//! greenlets that is *open*, which means that it was found free to switch, with nobody to be told, and that nothing has
//! happened since that could change that: whatever does, [`shut`]s it.
//!
//! # Invariants
//!
//! 1. The open family is that of the current entry, the entry is not frozen, and no trace function is set. So it lives.
//! 2. While a family is open, `greenlet` and `suspender` are those of its running greenlet: the first is set by whoever
//!    switches to it, the second by itself when it goes on.

use crate::entry::Entry;
use crate::fiber::Suspender;
use crate::limits::Head;
use core::cell::Cell;
use core::ptr;

/// The words of one OS thread.
#[repr(align(64))]
pub(crate) struct Running {
    /// Of [`crate::limits`]: the innermost frame of the running stack; null when there is none.
    pub(crate) limits: Cell<Head>,
    /// Of [`crate::entry`]: the innermost entry of the running stack; null outside of all.
    pub(crate) entry: Cell<*const Entry>,
    /// In the open family; null when none is.
    open: Cell<*const Current>,
    /// The greenlet whose code runs, or is resumed next.
    greenlet: Cell<*const ()>,
    /// What suspends `greenlet`; `None` when that is the main one.
    suspender: Cell<Option<Suspender>>,
}

thread_local! {
    static RUNNING: Running = const {
        Running {
            limits: Cell::new(ptr::null()),
            entry: Cell::new(ptr::null()),
            open: Cell::new(ptr::null()),
            greenlet: Cell::new(ptr::null()),
            suspender: Cell::new(None),
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
    greenlet: Cell<*const ()>,
}

impl Current {
    pub(crate) const fn new() -> Current {
        Current { greenlet: Cell::new(ptr::null()) }
    }

    fn is_open(&self) -> bool {
        with(|running| ptr::eq(running.open.get(), self))
    }

    pub(crate) fn greenlet(&self) -> *const () {
        if self.is_open() { with(|running| running.greenlet.get()) } else { self.greenlet.get() }
    }

    pub(crate) fn set_greenlet(&self, greenlet: *const ()) {
        if self.is_open() {
            set_greenlet(greenlet);
        }
        self.greenlet.set(greenlet);
    }

    /// Opens the family, whose running greenlet is suspended with `suspender`. The caller has seen that invariant 1 holds.
    pub(crate) fn open(&self, suspender: Option<Suspender>) {
        let greenlet = self.greenlet();
        with(|running| {
            running.open.set(self);
            running.greenlet.set(greenlet);
            running.suspender.set(suspender);
        });
    }
}

/// The family that is open, null when none is; its running greenlet and what suspends that, meaningless when none is.
#[inline(always)]
pub(crate) fn open() -> (*const Current, *const (), Option<Suspender>) {
    with(|running| (running.open.get(), running.greenlet.get(), running.suspender.get()))
}

/// A greenlet of the current entry's family is about to run. It must be that family's current one, too, unless it is open.
#[inline(always)]
pub(crate) fn set_greenlet(greenlet: *const ()) {
    with(|running| running.greenlet.set(greenlet));
}

/// The greenlet that [`set_greenlet`] has named last.
#[inline(always)]
pub(crate) fn greenlet() -> *const () {
    with(|running| running.greenlet.get())
}

/// The greenlet that runs now, of the current entry's family, is suspended with `suspender`.
#[inline(always)]
pub(crate) fn set_suspender(suspender: Option<Suspender>) {
    with(|running| running.suspender.set(suspender));
}

/// Whether greenlets are free to switch must be asked anew: another entry becomes current, say.
#[inline(always)]
pub(crate) fn shut() {
    with(|running| {
        // SAFETY: the open family lives (invariant 1).
        if let Some(current) = unsafe { running.open.get().as_ref() } {
            current.greenlet.set(running.greenlet.get());
            running.open.set(ptr::null());
        }
    });
}
