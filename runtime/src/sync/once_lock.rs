//! A value that is written once.

use super::once::{OnFailure, Once};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A place for a value that is written once and read by all. As [`std::sync::OnceLock`].
///
/// Works between green threads of any runtime and OS threads. Of those who want to write, one does, and the others wait for it.
///
/// ```
/// use osier::sync::OnceLock;
/// static SETTINGS: OnceLock<String> = OnceLock::new();
/// osier::run(|| {
///     let read = || SETTINGS.get_or_init(|| { osier::yield_now(); "once".to_string() });
///     let other = osier::spawn(move || read().len());
///     assert_eq!(read(), "once");
///     assert_eq!(other.join().unwrap(), 4);
/// });
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// `Some` from the moment on when `once` is complete.
    value: UnsafeCell<Option<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: the value can be written by one thread, and dropped or taken by another, which `Send` allows; and it is shared between all,
// which `Sync` allows. It is written only by the closure that `once` runs, before which nobody reads it.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
// SAFETY: it owns the value.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// An empty one.
    #[inline]
    #[must_use]
    pub const fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None), _owns: PhantomData }
    }

    /// The value, if it is there. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.once.is_completed() {
            return None;
        }
        // SAFETY: since `once` is complete nobody writes the value any more but through `&mut self`; and `is_completed` has
        // acquired what was written.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// The value, if it is there. Never waits.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// The value, for which this waits.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.written()
    }

    /// Writes `value`, unless there is one. Waits while another thread writes one.
    ///
    /// # Errors
    ///
    /// `value`, if there is one already.
    ///
    /// # Cancellation
    ///
    /// As [`OnceLock::wait`].
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.init(|| value.take().unwrap_or_else(|| unreachable!("a closure that runs once")));
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none, what `f` returns is written first. Waits while another thread writes it.
    ///
    /// If `f` panics, or its green thread is killed in it, there is no value still, and the next one that asks, or waits
    /// already, runs its own.
    ///
    /// # Panics
    ///
    /// With the panic of `f`, and if `f` asks for the value.
    ///
    /// # Cancellation
    ///
    /// As [`OnceLock::wait`].
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        if let Some(value) = self.get() {
            return value;
        }
        self.init(f);
        self.written()
    }

    /// The value, if it is there. Never waits.
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// The value, if it is there; then there is none any more. Never waits.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        core::mem::take(self).into_inner()
    }

    /// The value, after `once` has happened.
    fn written(&self) -> &T {
        self.get().unwrap_or_else(|| unreachable!("it is written before `once` is complete"))
    }

    fn init(&self, f: impl FnOnce() -> T) {
        if self.once.is_completed() {
            return;
        }
        let write = |_: &_| {
            let value = f();
            // SAFETY: `once` runs one such closure at a time, and none when one has returned; and nobody reads before.
            unsafe { *self.value.get() = Some(value) };
        };
        self.once.call(true, OnFailure::AsItFails, write, "");
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get().map_or_else(OnceLock::new, |value| OnceLock::from(value.clone()))
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        OnceLock { once: Once::complete(), value: UnsafeCell::new(Some(value)), _owns: PhantomData }
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
