//! Where a greenlet finds what a switch has brought it.
//!
//! Filled by whoever switches to the greenlet, emptied by the greenlet when it runs.
//!
//! The value has a place of its own beside the rare rest, and one mark says all that the usual way must know: whether the
//! greenlet waits at a switch, which a switch to it asks, and whether a value has come, which the greenlet asks then.

use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;

/// The mailbox of one greenlet.
pub(super) struct Mailbox<T> {
    mark: Cell<Mark>,
    /// Initialised from [`Mailbox::put_value`] to [`Mailbox::take_value`].
    value: UnsafeCell<MaybeUninit<T>>,
    /// `Mail::Empty` unless `mark` is `Other`.
    other: Cell<Mail<T>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The greenlet is pending, dead, or runs.
    Closed,
    /// The greenlet is suspended at a switch, and nothing has come yet.
    Waits,
    /// The greenlet was waiting, and its value is there.
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
            mark: Cell::new(Mark::Closed),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            other: Cell::new(Mail::Empty),
        }
    }

    /// Whether the greenlet is suspended at a switch, with nothing to be found there yet.
    #[inline(always)]
    pub(super) fn waits(&self) -> bool {
        self.mark.get() == Mark::Waits
    }

    /// The greenlet, which runs, is about to wait at a switch.
    #[inline(always)]
    pub(super) fn wait(&self) {
        self.mark.set(Mark::Waits);
    }

    /// The greenlet has ended.
    pub(super) fn close(&self) {
        self.mark.set(Mark::Closed);
    }

    /// Puts in a value, for a switch that is not traced and is made now: the greenlet takes it next, or it leaks.
    #[inline(always)]
    pub(super) fn put_value(&self, value: T) {
        debug_assert!(self.waits(), "a value was put where nobody waits");
        // SAFETY: no reference into the cell outlives a method of this type.
        unsafe { self.value.get().write(MaybeUninit::new(value)) };
        self.mark.set(Mark::Value);
    }

    /// Takes the value; `None` if there is something else.
    #[inline(always)]
    pub(super) fn take_value(&self) -> Option<T> {
        if self.mark.get() != Mark::Value {
            return None;
        }
        self.mark.set(Mark::Closed);
        // SAFETY: it was initialised, and will not be read again now that `mark` says so.
        Some(unsafe { self.value.get().read().assume_init() })
    }

    /// Puts in anything, in place of what came this way before. A value that comes this way is traced where it arrives.
    pub(super) fn put(&self, mail: Mail<T>) {
        debug_assert!(self.mark.get() != Mark::Value, "a greenlet has not taken its value");
        drop(self.other.replace(mail));
        self.mark.set(Mark::Other);
    }

    /// Takes what [`Mailbox::put`] has put in.
    pub(super) fn take(&self) -> Mail<T> {
        self.mark.set(Mark::Closed);
        self.other.replace(Mail::Empty)
    }
}
