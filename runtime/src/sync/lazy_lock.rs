//! A value that is made when it is first asked for.

use super::once::{OnFailure, Once};
use crate::limits;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// What one panics with who asks for a value whose closure has failed.
const POISONED: &str = "LazyLock instance has previously been poisoned";

/// A value that a closure makes when it is first asked for. As [`std::sync::LazyLock`].
///
/// Works between green threads of any runtime and OS threads. Who asks while it is made waits for that.
///
/// ```
/// use osier::sync::LazyLock;
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..5).map(|n| n * n).collect());
/// assert_eq!(SQUARES[3], 9);
/// ```
///
/// # Poisoning
///
/// A panic of the closure poisons it, as std's: there is no other closure, so whoever asks later panics.
///
/// # Cancellation
///
/// The closure runs as in [`shield`](crate::shield): a kill or the end of a [`timeout`](crate::time::timeout) takes effect after
/// it, so that neither leaves the others without a value. They do end the wait of one who waits for another to make it.
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    content: UnsafeCell<Content<T, F>>,
}

enum Content<T, F> {
    /// `once` has not happened.
    Recipe(F),
    /// `once` is complete.
    Value(T),
    /// The closure runs, or has failed.
    Gone,
}

// SAFETY: the closure is run, and the value dropped, by whichever thread asks, which `Send` allows; the value is shared between all, which
// `Sync` allows. The content is changed only by what `once` runs, before which nobody reads it.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F> Content<T, F> {
    fn value(&self) -> Option<&T> {
        match self {
            Content::Value(value) => Some(value),
            Content::Recipe(_) | Content::Gone => None,
        }
    }

    fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Content::Value(value) => Some(value),
            Content::Recipe(_) | Content::Gone => None,
        }
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will make.
    #[inline]
    #[must_use]
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock { once: Once::new(), content: UnsafeCell::new(Content::Recipe(f)) }
    }

    /// The value, which is made if that is not done yet.
    ///
    /// # Panics
    ///
    /// With the panic of the closure; if that has failed before; and if the closure asks for the value.
    ///
    /// # Cancellation
    ///
    /// As [`LazyLock`] says.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        if !this.once.is_completed() {
            this.make();
        }
        LazyLock::get(this).expect("a value that was made is there")
    }

    /// As [`LazyLock::force`], for one who has it alone.
    ///
    /// # Panics
    ///
    /// As [`LazyLock::force`].
    ///
    /// # Cancellation
    ///
    /// As [`LazyLock`] says.
    #[inline]
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        LazyLock::get_mut(this).expect("a value that was made is there")
    }

    #[cold]
    #[track_caller]
    fn make(&self) {
        let make = |_: &_| {
            // SAFETY: `once` runs this closure once, and nobody reads the content before it has returned. So this is the only
            // reference to the content.
            let recipe = core::mem::replace(unsafe { &mut *self.content.get() }, Content::Gone);
            let Content::Recipe(recipe) = recipe else { unreachable!("a closure that runs once") };
            let value = limits::with_shield(recipe);
            // SAFETY: as above.
            unsafe { *self.content.get() = Content::Value(value) };
        };
        self.once.call(false, OnFailure::Poison, make, POISONED);
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it was made. Never waits.
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        if !this.once.is_completed() {
            return None;
        }
        // SAFETY: since `once` is complete the content changes only through `&mut LazyLock`; and `is_completed` has acquired
        // what was written.
        unsafe { &*this.content.get() }.value()
    }

    /// The value, if it was made. Never waits.
    ///
    /// # Panics
    ///
    /// If the closure has failed.
    #[inline]
    #[track_caller]
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        assert!(!this.once.is_poisoned(), "{POISONED}");
        this.content.get_mut().value_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T, F> From<T> for LazyLock<T, F> {
    fn from(value: T) -> LazyLock<T, F> {
        LazyLock { once: Once::complete(), content: UnsafeCell::new(Content::Value(value)) }
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}
