//! Green-thread locals: values of which each thread, green or OS, has its own.
//!
//! [`local!`](crate::local!) declares one, as [`std::thread_local!`] does, and [`LocalKey`] has what std's has. A value is made when a thread
//! first asks for it, and destroyed when that thread ends. (A `std::thread_local!` belongs to the OS thread: its green threads share
//! it.)
//!
//! ```
//! use std::cell::Cell;
//! osier::local! {
//!     static REQUEST: Cell<u32> = const { Cell::new(0) };
//! }
//! osier::run(|| {
//!     let threads: Vec<_> = (1..=3).map(|n| osier::spawn(move || {
//!         REQUEST.set(n);
//!         osier::yield_now();
//!         REQUEST.get()
//!     })).collect();
//!     let seen: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
//!     assert_eq!(seen, [1, 2, 3]);
//!     assert_eq!(REQUEST.get(), 0);
//! });
//! ```
//!
//! # When they are destroyed
//!
//! At the end of the green thread, on its stack, after its body has returned or unwound and before `join` is told; the newest first.
//! Destructors may wait, which neither a kill nor a deadline ends, and may use other locals; one that has been destroyed gives
//! [`AccessError`]. On an OS thread they are destroyed as its thread-locals are.
//!
//! Greenlets and generators have no locals of their own: they use those of the green thread, or OS thread, that they run on.

use crate::locals;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::rc::Rc;

/// Declares green-thread locals: statics of type [`LocalKey`](crate::local::LocalKey).
///
/// The syntax is that of [`std::thread_local!`], `const { .. }` included.
///
/// ```
/// use std::cell::{Cell, RefCell};
/// osier::local! {
///     /// How many requests this green thread has served.
///     pub static SERVED: Cell<u32> = const { Cell::new(0) };
///     static NAMES: RefCell<Vec<String>> = RefCell::new(vec!["root".into()]);
/// }
/// SERVED.set(SERVED.get() + 1);
/// NAMES.with_borrow_mut(|names| names.push("guest".into()));
/// assert_eq!((SERVED.get(), NAMES.with_borrow(Vec::len)), (1, 2));
/// ```
#[macro_export]
macro_rules! local {
    () => {};
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = const $init:block; $($rest:tt)*) => {
        $crate::local!($(#[$attribute])* $vis static $name: $type = const $init);
        $crate::local!($($rest)*);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = const $init:block) => {
        $(#[$attribute])*
        $vis static $name: $crate::local::LocalKey<$type> = {
            const INIT: fn() -> $type = || const { $init };
            $crate::local::LocalKey::new(INIT)
        };
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $init:expr; $($rest:tt)*) => {
        $crate::local!($(#[$attribute])* $vis static $name: $type = $init);
        $crate::local!($($rest)*);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $init:expr) => {
        $(#[$attribute])*
        $vis static $name: $crate::local::LocalKey<$type> = {
            fn init() -> $type {
                $init
            }
            $crate::local::LocalKey::new(init)
        };
    };
}

/// A green-thread local: what [`local!`](crate::local!) declares.
pub struct LocalKey<T: 'static> {
    /// Where each thread keeps its value; `UNNUMBERED` until the first use.
    number: AtomicUsize,
    init: fn() -> T,
}

const UNNUMBERED: usize = usize::MAX;

/// That a local was used when its value had been destroyed, or was about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("already destroyed")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey { number: AtomicUsize::new(UNNUMBERED), init }
    }

    /// Hands `f` the calling thread's value, which is made if there is none. `f` may wait.
    ///
    /// # Panics
    ///
    /// If the value has been destroyed, or is about to be; and with the panic of its initialiser.
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        f(&self.value())
    }

    /// [`LocalKey::with`], for destructors.
    ///
    /// # Errors
    ///
    /// If the value has been destroyed, or is about to be.
    ///
    /// # Panics
    ///
    /// With the panic of its initialiser.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        Ok(f(&*self.try_value(self.init)?))
    }

    #[track_caller]
    fn value(&'static self) -> Rc<T> {
        expect_alive(self.try_value(self.init))
    }

    /// The calling thread's value; made with `init` if there is none.
    #[inline]
    fn try_value(&'static self, init: impl FnOnce() -> T) -> Result<Rc<T>, AccessError> {
        let number = self.number();
        let value = match locals::find(number) {
            Ok(Some(value)) => value,
            Ok(None) => make(number, init)?,
            Err(locals::Destroyed) => return Err(AccessError),
        };
        Ok(value.downcast().unwrap_or_else(|_| unreachable!("a number belongs to one key")))
    }

    /// Gives `value` to a thread that has none, else to `f`.
    #[track_caller]
    fn give(&'static self, value: T, f: impl FnOnce(&T, T)) {
        let mut value = Some(value);
        let there = self.try_value(|| value.take().expect("made at most once"));
        let there = expect_alive(there);
        if let Some(value) = value {
            f(&there, value);
        }
    }

    #[inline]
    fn number(&'static self) -> usize {
        // Relaxed, here and below: only the number counts.
        let number = self.number.load(Ordering::Relaxed);
        if number == UNNUMBERED { self.take_number() } else { number }
    }

    #[cold]
    fn take_number(&'static self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        match self.number.compare_exchange(UNNUMBERED, number, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => number,
            Err(theirs) => theirs,
        }
    }
}

/// Makes a value; gives the one that is there if making it has made one already.
#[cold]
fn make<T: 'static>(number: usize, init: impl FnOnce() -> T) -> Result<Rc<dyn Any>, AccessError> {
    let made: Rc<dyn Any> = Rc::new(init());
    locals::put(number, &made).map_err(|locals::Destroyed| AccessError)
}

#[track_caller]
fn expect_alive<T>(value: Result<T, AccessError>) -> T {
    value.unwrap_or_else(|error| {
        panic!("a green-thread local was used during or after its destruction: {error}")
    })
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the calling thread's value. The initialiser is not run.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`].
    pub fn set(&'static self, value: T) {
        self.give(Cell::new(value), |cell, value| cell.set(value.into_inner()));
    }

    /// A copy of the calling thread's value.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`].
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.value().get()
    }

    /// Takes the calling thread's value, and leaves the type's default.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.value().take()
    }

    /// Sets the calling thread's value, and gives the one before.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`].
    pub fn replace(&'static self, value: T) -> T {
        self.value().replace(value)
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Hands `f` the calling thread's value, borrowed. `f` may wait; the value stays borrowed.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`], and if it is borrowed mutably.
    pub fn with_borrow<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        f(&self.value().borrow())
    }

    /// Hands `f` the calling thread's value, borrowed mutably. `f` may wait; the value stays borrowed.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`], and if it is borrowed.
    pub fn with_borrow_mut<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&mut T) -> R,
    {
        f(&mut self.value().borrow_mut())
    }

    /// Sets the calling thread's value. The initialiser is not run.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`], and if it is borrowed.
    pub fn set(&'static self, value: T) {
        self.give(RefCell::new(value), |cell, value| {
            cell.replace(value.into_inner());
        });
    }

    /// Takes the calling thread's value, and leaves the type's default.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`], and if it is borrowed.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.value().take()
    }

    /// Sets the calling thread's value, and gives the one before.
    ///
    /// # Panics
    ///
    /// As [`LocalKey::with`], and if it is borrowed.
    pub fn replace(&'static self, value: T) -> T {
        self.value().replace(value)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}
