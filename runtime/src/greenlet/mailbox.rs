//! Where a greenlet finds what a switch has brought it.
//!
//! Filled by whoever switches to the greenlet, emptied by the greenlet when it runs; [`super::family`] keeps them in turn.

use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;

/// Where a greenlet finds what a switch has brought it. The value has a place of its own beside the rare rest, so that
/// the usual way is two stores and two loads.
pub(super) struct Mailbox<T> {
    holds: Cell<Holds>,
    /// Initialised when `holds` is `Value`.
    value: UnsafeCell<MaybeUninit<T>>,
    /// Meaningful when `holds` is `Other`.
    other: Cell<Mail<T>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    Value,
    Other,
}

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
            holds: Cell::new(Holds::Nothing),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            other: Cell::new(Mail::Empty),
        }
    }

    /// Puts in a value, for a switch that is not traced. What is there is not dropped: a greenlet that can be switched to has taken its mail.
    #[inline(always)]
    pub(super) fn put_value(&self, value: T) {
        debug_assert!(self.holds.get() == Holds::Nothing, "a greenlet has not taken its mail");
        // SAFETY: no reference into the cell outlives a method of this type.
        unsafe { self.value.get().write(MaybeUninit::new(value)) };
        self.holds.set(Holds::Value);
    }

    /// Takes the value; `None` if there is something else.
    #[inline(always)]
    pub(super) fn take_value(&self) -> Option<T> {
        if self.holds.get() != Holds::Value {
            return None;
        }
        self.holds.set(Holds::Nothing);
        // SAFETY: it was initialised, and will not be read again now that `holds` says so.
        Some(unsafe { self.value.get().read().assume_init() })
    }

    /// Puts in anything, in place of what is there. A value that comes this way is traced where it arrives.
    pub(super) fn put(&self, mail: Mail<T>) {
        drop(self.take());
        self.other.set(mail);
        self.holds.set(Holds::Other);
    }

    pub(super) fn take(&self) -> Mail<T> {
        match self.take_value() {
            Some(value) => Mail::Value(value),
            None => {
                self.holds.set(Holds::Nothing);
                self.other.replace(Mail::Empty)
            }
        }
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
