//! Where a greenlet finds what a switch has brought it.
//!
//! Filled by whoever switches to the greenlet, emptied by the greenlet when it runs.
//!
//! The value has a place of its own beside the rare rest, and one mark says all that the usual way must know: whether the
//! greenlet waits at a switch, which a switch to it asks, and whether a value has come, which the greenlet asks then.

use crate::running::Current;
use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr;

/// The mailbox of one greenlet.
pub(super) struct Mailbox<T> {
    /// While the greenlet waits at a switch, the address of its family's [`Current`], which none of the others can be.
    mark: Cell<*const Current>,
    /// Initialised from `put_value` to `take_value`.
    value: UnsafeCell<MaybeUninit<T>>,
    /// `Mail::Empty` unless `mark` is `OTHER`.
    other: Cell<Mail<T>>,
}

/// The greenlet is pending, dead, or runs and has taken what came as [`OTHER`].
const CLOSED: *const Current = ptr::without_provenance(1);

/// A value has come. It is there until the greenlet takes it; the mark stays until its next wait.
const VALUE: *const Current = ptr::without_provenance(2);

/// Anything has come.
const OTHER: *const Current = ptr::without_provenance(3);

/// What a switch brings to its target.
pub(super) enum Mail<T> {
    Empty,
    Value(T),
    /// A greenlet has ended by `GreenletExit`.
    Exit,
    /// To be raised.
    Throw(Box<dyn Any + Send>),
}

impl<T> Mailbox<T> {
    pub(super) fn new() -> Mailbox<T> {
        Mailbox {
            mark: Cell::new(CLOSED),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            other: Cell::new(Mail::Empty),
        }
    }

    /// Whether the greenlet is of `family` and suspended at a switch, with nothing to be found there yet; `false` if `family` is
    /// null.
    #[inline(always)]
    pub(super) fn waits(&self, family: *const Current) -> bool {
        ptr::eq(self.mark.get(), family)
    }

    /// The greenlet, which runs and is of `family`, is about to wait at a switch.
    #[inline(always)]
    pub(super) fn wait(&self, family: *const Current) {
        self.mark.set(family);
    }

    /// The greenlet has ended.
    pub(super) fn close(&self) {
        self.mark.set(CLOSED);
    }

    /// Puts in a value, for a switch that is not traced and is made now: the greenlet takes it next, or it leaks.
    #[inline(always)]
    pub(super) fn put_value(&self, value: T) {
        debug_assert!(self.mark.get().addr() > OTHER.addr(), "a value was put where nobody waits");
        // SAFETY: no reference into the cell outlives a method of this type.
        unsafe { self.value.get().write(MaybeUninit::new(value)) };
        self.mark.set(VALUE);
    }

    /// Whether a value has come that was put in by [`Mailbox::put_value`] since the greenlet began to wait.
    #[inline(always)]
    pub(super) fn has_value(&self) -> bool {
        self.mark.get() == VALUE
    }

    /// Takes the value; `None` if there is something else.
    ///
    /// # Safety
    ///
    /// To be called at most once after each [`Mailbox::wait`].
    #[inline(always)]
    pub(super) unsafe fn take_value(&self) -> Option<T> {
        if self.mark.get() != VALUE {
            return None;
        }
        // SAFETY: it was initialised since the greenlet began to wait, and is not read again, by the caller's promise.
        Some(unsafe { self.value.get().read().assume_init() })
    }

    /// Puts in anything, in place of what came this way before. A value that comes this way is traced where it arrives.
    pub(super) fn put(&self, mail: Mail<T>) {
        drop(self.other.replace(mail));
        self.mark.set(OTHER);
    }

    /// Takes what [`Mailbox::put`] has put in.
    pub(super) fn take(&self) -> Mail<T> {
        self.mark.set(CLOSED);
        self.other.replace(Mail::Empty)
    }
}
