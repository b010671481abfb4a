//! Functions that give values one after another, and are left in between.
//!
//! A *generator* is a function call with a stack of its own. [`Generator::next`](Iterator::next) runs it until it gives a
//! value with [`Yielder::yield_`], and leaves it there until the next call. Values go the other way with
//! [`Generator::send`], panics with [`Generator::throw`]. A generator may call any function, and that function may yield if
//! it is given the [`Yielder`]; it may hand over to another generator with [`Yielder::yield_from`]. A wait inside a
//! generator parks the green thread that drives it.
//!
//! ```
//! use osier::{generator::Generator, greenlet};
//!
//! greenlet::scope(|| {
//!     let fibonacci = Generator::new(|co| {
//!         let (mut a, mut b) = (0_u64, 1);
//!         loop {
//!             co.yield_(a);
//!             (a, b) = (b, a + b);
//!         }
//!     });
//!     let fibonacci: Generator<u64> = fibonacci;
//!     assert_eq!(fibonacci.take(8).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13]);
//! });
//! ```
//!
//! # Where it can be driven
//!
//! A stack that is suspended must be unwound before what it refers to is gone. So a generator is driven inside of
//! `greenlet::scope`, `osier::run` or a green thread, and belongs to the one in which it was first driven (it may be driven
//! in scopes inside of that): the end of that one unwinds it, and afterwards it has ended, wherever its handle is.
//!
//! Dropping a generator that is suspended unwinds it then and there, by raising a [`GeneratorExit`] at its `yield_`. One that
//! catches that, and yields again, is asked once more when its scope or green thread ends, and then given up: its stack is
//! never freed. What it returns or raises meanwhile is dropped.

mod control;
mod error;

pub use self::error::{CloseError, SendError, ThrowError};

use self::control::{Control, Mailbox, Sent, Stage};
use crate::entry;
use crate::fiber::{self, Suspender};
use crate::panic_count;
use crate::stack::DEFAULT_SIZE;
use core::any::Any;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr;
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;

/// A function that gives values of type `Y` one after another, is sent values of type `S`, and returns an `R`.
///
/// An [`Iterator`] of what it gives. Belongs to its OS thread: neither `Send` nor `Sync`.
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<osier::generator::Generator<u32>>();
/// ```
pub struct Generator<Y: 'static, S: 'static = (), R: 'static = ()> {
    control: Rc<Control<Y, S, R>>,
}

/// What a generator's body gives its values with.
///
/// Neither `Send` nor `Sync`: only the body's own stack can yield.
pub struct Yielder<Y, S = ()> {
    suspender: Suspender,
    mail: *const Mailbox<Y, S>,
    /// Where the body's stack lies, to tell it from others.
    stack: core::ops::Range<usize>,
    _on_its_stack: PhantomData<*const ()>,
}

/// Raised at a generator's `yield_` to end it, by [`Generator::close`] and when it is dropped.
///
/// Raised without the panic hook, so nothing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GeneratorExit;

impl<Y: 'static, S: 'static, R: 'static> Generator<Y, S, R> {
    /// A generator that will run `body` when it is first driven. Never waits.
    pub fn new(body: impl FnOnce(&Yielder<Y, S>) -> R + 'static) -> Generator<Y, S, R> {
        Generator::with_stack_size(DEFAULT_SIZE, body)
    }

    /// [`Generator::new`] with a stack of at least `bytes` bytes instead of 262,144. Only touched pages cost memory.
    pub fn with_stack_size(
        bytes: usize,
        body: impl FnOnce(&Yielder<Y, S>) -> R + 'static,
    ) -> Generator<Y, S, R> {
        Generator { control: Rc::new(Control::new(bytes, Box::new(body))) }
    }

    /// Takes the stack now, which else the first `next` does, without an error to return. Runs nothing and does not wait.
    ///
    /// # Errors
    ///
    /// What the system says when there is no memory for a stack; the generator can still be started later.
    ///
    /// # Panics
    ///
    /// Outside of `greenlet::scope`, `osier::run` and green threads.
    pub fn start(&mut self) -> io::Result<()> {
        if self.control.stage.get() == Stage::New && self.control.home.get().is_null() {
            self.control.start()?;
        }
        Ok(())
    }

    /// Makes the `yield_` at which the generator was left return `value`, and runs it until the next one, whose value is
    /// returned; `None` when it ends instead. Waits only if the generator does.
    ///
    /// # Errors
    ///
    /// If there is no such `yield_`, before the first `next` and after the end; the error holds `value`.
    ///
    /// # Panics
    ///
    /// As [`next`](Iterator::next).
    ///
    /// # Examples
    ///
    /// ```
    /// use osier::{generator::Generator, greenlet};
    ///
    /// greenlet::scope(|| {
    ///     let mut doubler = Generator::<u32, u32>::new(|co| {
    ///         let mut n = 0;
    ///         while let Some(sent) = co.yield_(n) {
    ///             n = sent * 2;
    ///         }
    ///     });
    ///     assert!(doubler.send(1).is_err(), "not started");
    ///     assert_eq!(doubler.next(), Some(0));
    ///     assert_eq!(doubler.send(21).unwrap(), Some(42));
    /// });
    /// ```
    pub fn send(&mut self, value: S) -> Result<Option<Y>, SendError<S>> {
        match self.control.stage.get() {
            Stage::New => Err(SendError::NotStarted(value)),
            Stage::Suspended => Ok(self.control.drive(Sent::Value(value))),
            Stage::Running | Stage::Ended => Err(SendError::Ended(value)),
        }
    }

    /// Raises `error` at the `yield_` at which the generator was left, and runs it until the next one, whose value is
    /// returned; `None` when it returns instead.
    ///
    /// It is raised as a panic with the payload `error`, without the panic hook. A generator that has not begun ends, and its
    /// body never runs; then, and for one that has ended, `error` is raised in the caller. Waits only if the generator does.
    ///
    /// # Errors
    ///
    /// If the generator was left in a destructor while its stack unwinds; the error holds `error`.
    ///
    /// # Panics
    ///
    /// With `error`, unless the generator catches it; else as [`next`](Iterator::next).
    pub fn throw<E: Any + Send>(&mut self, error: E) -> Result<Option<Y>, ThrowError<E>> {
        if self.control.stage.get() != Stage::Suspended {
            self.control.abandon();
            resume_unwind(Box::new(error));
        }
        if self.control.mail.unwinding.get() {
            return Err(ThrowError::Unwinding(error));
        }
        Ok(self.control.drive(Sent::Throw(Box::new(error))))
    }

    /// Ends the generator, by raising a [`GeneratorExit`] at its `yield_`; what it returns then is there to be taken. One that
    /// has not begun never runs; one that has ended stays as it is. Waits only if the generator's destructors do.
    ///
    /// # Errors
    ///
    /// If it catches the `GeneratorExit` and yields again, or was left in a destructor while its stack unwinds.
    ///
    /// # Panics
    ///
    /// With what the generator raises instead; else as [`next`](Iterator::next).
    pub fn close(&mut self) -> Result<(), CloseError> {
        match self.control.stage.get() {
            Stage::New => self.control.abandon(),
            Stage::Suspended => {
                if self.control.mail.unwinding.get() {
                    return Err(CloseError::Unwinding);
                }
                self.control.start_or_check();
                self.control.exit();
                if self.control.stage.get() == Stage::Suspended {
                    drop(self.control.mail.yielded.take());
                    return Err(CloseError::Ignored);
                }
                match self.control.finish() {
                    Err(panic) if !panic.is::<GeneratorExit>() => resume_unwind(panic),
                    _ => {}
                }
            }
            Stage::Running | Stage::Ended => {}
        }
        Ok(())
    }

    /// Takes what the body has returned; `None` before its end, after a panic, and when it was taken. Never waits.
    pub fn take_return(&mut self) -> Option<R> {
        self.control.result.take().and_then(Result::ok)
    }

    /// Whether it has ended. Never waits.
    pub fn is_ended(&self) -> bool {
        self.control.stage.get() == Stage::Ended
    }
}

impl<Y: 'static, S: 'static, R: 'static> Iterator for Generator<Y, S, R> {
    type Item = Y;

    /// Runs the generator until its next `yield_`, whose value is returned; `None` when it has ended. The `yield_` at which it
    /// was left returns `None`. Waits only if the generator does.
    ///
    /// # Panics
    ///
    /// Outside of the scope or green thread in which the generator was first driven, and outside of all; if there is no memory
    /// for its stack ([`Generator::start`] returns that as an error); with the panic of its body, which ends it.
    #[inline]
    fn next(&mut self) -> Option<Y> {
        match self.control.stage.get() {
            Stage::New | Stage::Suspended => self.control.drive(Sent::Nothing),
            Stage::Running | Stage::Ended => None,
        }
    }
}

impl<Y: 'static, S: 'static, R: 'static> FusedIterator for Generator<Y, S, R> {}

impl<Y: 'static, S: 'static, R: 'static> Drop for Generator<Y, S, R> {
    fn drop(&mut self) {
        match self.control.stage.get() {
            Stage::New => self.control.abandon(),
            // Elsewhere (on another green thread, or when thread-locals are destroyed) the end of its entry does it.
            Stage::Suspended => {
                if entry::enclosing(self.control.home.get()).is_some() && self.control.attempts.get() == 0 {
                    self.control.unwind();
                }
            }
            Stage::Running | Stage::Ended => {}
        }
    }
}

impl<Y: 'static, S: 'static, R: 'static> fmt::Debug for Generator<Y, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("stage", &self.control.stage.get()).finish_non_exhaustive()
    }
}

impl<Y: 'static, S: 'static> Yielder<Y, S> {
    /// Gives `value` to whoever drives the generator, and leaves it here; returns when it is driven again: what was sent, or
    /// `None` for a plain `next`. Never waits.
    ///
    /// # Panics
    ///
    /// With what the driver throws, or [`GeneratorExit`] when the generator is closed or dropped; and if it is called from
    /// another stack than the generator's, or inside of a scope that the body has opened: its end could not be kept.
    #[inline]
    pub fn yield_(&self, value: Y) -> Option<S> {
        match self.pass(value) {
            Sent::Nothing => None,
            Sent::Value(value) => Some(value),
            Sent::Throw(payload) => resume_unwind(payload),
        }
    }

    /// Gives all that `inner` gives, sends it all that is sent and throws what is thrown, until it ends; returns what it
    /// returned. Waits only if `inner` does.
    ///
    /// # Panics
    ///
    /// As [`Yielder::yield_`], and with what `inner` raises. A [`GeneratorExit`] closes `inner` first.
    ///
    /// # Examples
    ///
    /// ```
    /// use osier::{generator::{Generator, Yielder}, greenlet};
    ///
    /// fn countdown(n: u32) -> Generator<u32, (), &'static str> {
    ///     Generator::new(move |co: &Yielder<u32>| {
    ///         if n == 0 {
    ///             return "lift-off";
    ///         }
    ///         co.yield_(n);
    ///         co.yield_from(countdown(n - 1))
    ///     })
    /// }
    ///
    /// greenlet::scope(|| {
    ///     let mut count = countdown(3);
    ///     assert_eq!(count.by_ref().collect::<Vec<_>>(), [3, 2, 1]);
    ///     assert_eq!(count.take_return(), Some("lift-off"));
    /// });
    /// ```
    pub fn yield_from<R: 'static>(&self, mut inner: Generator<Y, S, R>) -> R {
        let mut yielded = inner.next();
        while let Some(value) = yielded {
            yielded = match self.pass(value) {
                Sent::Nothing => inner.next(),
                Sent::Value(value) => inner.control.drive(Sent::Value(value)),
                Sent::Throw(payload)
                    if payload.is::<GeneratorExit>() || inner.control.mail.unwinding.get() =>
                {
                    drop(inner);
                    resume_unwind(payload);
                }
                Sent::Throw(payload) => inner.control.drive(Sent::Throw(payload)),
            };
        }
        inner.take_return().expect("a generator that was not started here has been taken apart already")
    }

    /// Suspends with `value`; returns what the driver has for the body.
    #[inline]
    fn pass(&self, value: Y) -> Sent<S> {
        // SAFETY: the control block lives as long as the body, on whose stack this yielder lies.
        let mail = unsafe { &*self.mail };
        if !self.stack.contains(&fiber::stack_pointer())
            || !ptr::eq(mail.driven_in.get(), entry::current_address())
        {
            misplaced();
        }
        mail.yielded.set(Some(value));
        if std::thread::panicking() {
            self.suspend_unwinding(mail);
        } else {
            // SAFETY: the caller is on the generator's own stack (just checked), so its body runs.
            unsafe { self.suspender.suspend() };
        }
        mail.receive()
    }

    /// Suspends in a destructor. The panics that are counted are this stack's own (a driver's are moved out before a resume),
    /// so they stay with it.
    #[cold]
    fn suspend_unwinding(&self, mail: &Mailbox<Y, S>) {
        mail.unwinding.set(true);
        // SAFETY: as in `pass`.
        panic_count::lend(|| unsafe { self.suspender.suspend() });
        mail.unwinding.set(false);
    }
}

impl<Y, S> fmt::Debug for Yielder<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

#[cold]
fn misplaced() -> ! {
    panic!("a generator can yield only on its own stack, and not inside of a scope that it has opened itself")
}
