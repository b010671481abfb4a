//! Explicit switching between stacks, by hand.
//!
//! A *greenlet* is a function call with a stack of its own. [`Greenlet::switch`] leaves the calling greenlet where it is,
//! and goes on in another one where that was left: at its own `switch`, which returns the value that was passed. No
//! scheduler is involved, and no runtime is needed: [`scope`] works on any OS thread. Inside a green thread greenlets work
//! too, and a wait inside one parks the whole green thread.
//!
//! ```
//! use osier::greenlet::{self, Greenlet};
//!
//! greenlet::scope(|| {
//!     let main = greenlet::current::<u32>();
//!     let adder = Greenlet::new(move |mut n: u32| {
//!         let mut sum = 0;
//!         loop {
//!             sum += n;
//!             n = main.switch(sum).unwrap();
//!         }
//!     });
//!     assert_eq!(adder.switch(1).unwrap(), 1);
//!     assert_eq!(adder.switch(2).unwrap(), 3);
//!     assert_eq!(adder.switch(3).unwrap(), 6);
//! });
//! ```
//!
//! # Families
//!
//! Each [`scope`] and each green thread has a *family* of its own: the *main* greenlet, which is its own stack, and those
//! that are made in it. They exchange values of one type; `Box<dyn Any>` serves when there are several. A greenlet of
//! another family cannot be switched to: that is an error. To exchange another type, open another `scope` inside.
//!
//! # Parents, panics and the end
//!
//! Each greenlet has a parent, the one that made it unless [`Greenlet::set_parent`] says otherwise. When its body returns,
//! the value goes to the parent, whoever has switched to it last. A panic that leaves the body is raised in the parent; a
//! [`GreenletExit`] is not: the parent's `switch` returns it, as [`SwitchError::Exit`].
//!
//! When the last handle to a suspended greenlet is dropped, nobody can switch to it any more, so its stack is unwound then
//! and there, by raising a [`GreenletExit`] at its `switch`. When the scope or green thread ends, all that are still
//! suspended in it are unwound so, the newest first. A body that catches that, and switches again, goes back to the one who
//! wanted it unwound (the value is dropped), and is asked again when the scope ends; then its stack is given up, and
//! never freed. What a greenlet returns or raises while it is unwound is dropped.
//!
//! Code that runs because a stack unwinds (destructors, mostly) cannot switch to another greenlet; it may wait.

mod error;
mod family;
mod mailbox;
mod node;
mod trace;

pub use self::error::{SetBodyError, SetParentError, SwitchError};
pub use self::trace::{Event, Kind, TraceFn, settrace};

#[cfg(test)]
mod tests;

use self::family::{Family, Refusal};
use self::mailbox::Mail;
use self::node::{NoStart, Node};
use crate::entry;
use crate::running;
use crate::stack::{DEFAULT_SIZE, overflow};
use core::any::Any;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::panic::resume_unwind;
use std::rc::Rc;

/// Runs `f` with a family of greenlets of its own, and unwinds what is still suspended in it when `f` has ended.
///
/// Works on any OS thread, with and without a runtime, and inside another scope or a greenlet: then the outer family rests
/// until this call ends. Does not wait by itself; destructors of what it unwinds may.
///
/// # Panics
///
/// If `f` does, with `f`'s panic, after everything has been unwound.
///
/// # Examples
///
/// ```
/// use osier::greenlet::{self, Greenlet};
///
/// let answer = greenlet::scope(|| Greenlet::new(|n: u32| n * 2).switch(21).unwrap());
/// assert_eq!(answer, 42);
/// ```
pub fn scope<R>(f: impl FnOnce() -> R) -> R {
    overflow::arm();
    entry::nested(f).unwrap_or_else(|panic| resume_unwind(panic))
}

/// The greenlet that runs. Never waits.
///
/// # Panics
///
/// Outside of [`scope`], green threads and `osier::run`; and if the greenlets here exchange another type than `T`.
///
/// # Examples
///
/// ```
/// use osier::greenlet;
///
/// greenlet::scope(|| assert!(greenlet::current::<()>().parent().is_none()));
/// ```
pub fn current<T: 'static>() -> Greenlet<T> {
    Family::current().running_handle()
}

/// A handle to a greenlet, a stack that is switched to by hand.
///
/// Cheap to clone; clones name the same greenlet, and are equal. Belongs to its OS thread: neither `Send` nor `Sync`.
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<osier::greenlet::Greenlet<u32>>();
/// ```
pub struct Greenlet<T: 'static> {
    node: Rc<Node<T>>,
}

/// Names a greenlet of this OS thread, also after its end. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

/// Where a greenlet is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has switched to it yet.
    Pending,
    /// Its body has begun and has not ended: it runs, or is suspended.
    Active,
    /// It has ended, and never runs again.
    Dead,
}

/// Raised to end a greenlet; leaving a greenlet's body it is no failure.
///
/// Raised without the panic hook, so nothing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GreenletExit;

impl<T: 'static> Greenlet<T> {
    /// A greenlet that will run `body` with the value of the first switch to it. Its parent is the current greenlet. Does not
    /// switch and does not wait.
    ///
    /// # Panics
    ///
    /// As [`current`].
    pub fn new(body: impl FnOnce(T) -> T + 'static) -> Greenlet<T> {
        Greenlet::with_stack_size(DEFAULT_SIZE, body)
    }

    /// [`Greenlet::new`] with a stack of at least `bytes` bytes instead of 262,144. Only touched pages cost memory.
    ///
    /// # Panics
    ///
    /// As [`current`].
    pub fn with_stack_size(bytes: usize, body: impl FnOnce(T) -> T + 'static) -> Greenlet<T> {
        let greenlet = Greenlet::made(bytes);
        greenlet.node.body.set(Some(Box::new(body)));
        greenlet
    }

    /// A greenlet that gets its body later, by [`Greenlet::set_body`], so that two can know each other.
    ///
    /// # Panics
    ///
    /// As [`current`].
    ///
    /// # Examples
    ///
    /// ```
    /// use osier::greenlet::{self, Greenlet};
    ///
    /// greenlet::scope(|| {
    ///     let (a, b) = (Greenlet::pending(), Greenlet::pending());
    ///     let (to_a, to_b) = (a.clone(), b.clone());
    ///     a.set_body(move |n: u32| to_b.switch(n + 1).unwrap()).unwrap();
    ///     b.set_body(move |n: u32| to_a.switch(n * 10).unwrap()).unwrap();
    ///     assert_eq!(a.switch(1).unwrap(), 20);
    /// });
    /// ```
    pub fn pending() -> Greenlet<T> {
        Greenlet::made(DEFAULT_SIZE)
    }

    fn made(stack_size: usize) -> Greenlet<T> {
        let family = Family::current();
        let parent = family.running_handle();
        let node = Rc::new(Node::new(&family, Some(parent), stack_size));
        if let Some(entry) = family.entry() {
            entry.register(node.number, Rc::<Node<T>>::clone(&node));
        }
        Greenlet::of(node)
    }

    fn of(node: Rc<Node<T>>) -> Greenlet<T> {
        node.handles.set(node.handles.get() + 1);
        Greenlet { node }
    }

    /// Sets what a pending greenlet will run, in place of what was set before. Never waits.
    ///
    /// # Errors
    ///
    /// If it is not pending; the error holds `body`.
    pub fn set_body<F: FnOnce(T) -> T + 'static>(&self, body: F) -> Result<(), SetBodyError<F>> {
        if self.state() != State::Pending {
            return Err(SetBodyError(body));
        }
        drop(self.node.body.replace(Some(Box::new(body))));
        Ok(())
    }

    /// Leaves the current greenlet, and goes on in this one with `value`; returns the value of the next switch to the greenlet
    /// that called.
    ///
    /// A pending greenlet begins, with `value` for its body; a suspended one returns `value` from its own `switch`. For a dead
    /// one, its nearest ancestor that is not dead stands in. To the current greenlet itself the value returns at once. Never
    /// waits.
    ///
    /// # Errors
    ///
    /// [`SwitchError::Exit`] when what comes back is the end of a greenlet by [`GreenletExit`]. All others mean that no switch
    /// was made, and hold `value`.
    ///
    /// # Panics
    ///
    /// With what is raised in the calling greenlet while it is suspended: by [`Greenlet::throw`], by a panic that has left the
    /// body of one of its children, or a [`GreenletExit`], when nobody can switch to it any more.
    #[inline(always)]
    pub fn switch(&self, value: T) -> Result<T, SwitchError<T>> {
        let node = &*self.node;
        // First of all, since the switch waits for these.
        let (family, me) = running::open();
        if node.mail.waits(family) {
            // SAFETY: it is the running greenlet of the family that is open, which `node` is of; and being that it is alive.
            let me = unsafe { &*me.cast::<Node<T>>() };
            let suspender = me.suspender();
            if !std::thread::panicking() {
                node.mail.put_value(value);
                // SAFETY: an open family's `check` holds, now that nothing unwinds. The target waits at a switch, so it is active
                // and does not run.
                unsafe { me.transfer(family, suspender, node) };
                // SAFETY: it has just come back from its wait.
                return match unsafe { me.mail.take_value() } {
                    Some(value) => Ok(value),
                    None => match me.receive_other() {
                        Ok(value) => Ok(value),
                        Err(exit) => Err(SwitchError::Exit(exit)),
                    },
                };
            }
        }
        match self.switch_otherwise(value) {
            Ok(value) => Ok(value),
            Err(error) => Err(*error),
        }
    }

    /// The error is boxed so that a small result fits into registers: then the quick way's does not go through memory.
    #[cold]
    #[inline(never)]
    fn switch_otherwise(&self, value: T) -> Result<T, Box<SwitchError<T>>> {
        self.ask_and_switch(value).map_err(Box::new)
    }

    fn ask_and_switch(&self, value: T) -> Result<T, SwitchError<T>> {
        let family = &*self.node.family;
        let refusal = family.check().err();
        match refusal {
            Some(Refusal::NoEntry) => return Err(SwitchError::NoScope(value)),
            Some(Refusal::Foreign) => return Err(SwitchError::Foreign(value)),
            _ => {}
        }
        let me = family.running();
        let mut target = Rc::clone(&self.node);
        while target.stage.get() == State::Dead {
            target = target.above();
        }
        if core::ptr::eq(me, &*target) {
            return Ok(value);
        }
        match refusal {
            Some(Refusal::Victim) => {
                drop(value);
                drop(target);
                return self.go_back();
            }
            Some(_) => return Err(SwitchError::Unwinding(value)),
            None => family.open(),
        }
        if target.stage.get() == State::Pending {
            match target.start() {
                Ok(()) => {}
                Err(NoStart::Body) => return Err(SwitchError::NoBody(value)),
                Err(NoStart::Stack(source)) => return Err(SwitchError::NoStack { value, source }),
            }
        }
        target.mail.put(Mail::Value(value));
        self.transfer(target)
    }

    /// Leaves the current greenlet, and raises `error` in this one, at its `switch`; returns as [`Greenlet::switch`] does.
    ///
    /// It is raised as a panic with the payload `error` (a boxed payload, as `catch_unwind` returns it, stays as it is), without
    /// the panic hook. A pending greenlet dies, and its body never runs. For one that was pending or dead `error` is raised
    /// in its nearest active ancestor, pending ones on the way dying too; but a [`GreenletExit`] is returned there, as
    /// [`SwitchError::Exit`]. In the current greenlet itself it is raised at once. Never waits.
    ///
    /// # Errors
    ///
    /// As [`Greenlet::switch`]; those that mean that no switch was made hold `error`.
    ///
    /// # Panics
    ///
    /// As [`Greenlet::switch`].
    ///
    /// # Examples
    ///
    /// ```
    /// use osier::greenlet::{self, Greenlet};
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// greenlet::scope(|| {
    ///     let main = greenlet::current::<u32>();
    ///     let child = Greenlet::new(move |n| {
    ///         let caught = catch_unwind(AssertUnwindSafe(|| main.switch(n)));
    ///         *caught.unwrap_err().downcast::<u32>().unwrap()
    ///     });
    ///     assert_eq!(child.switch(1).unwrap(), 1);
    ///     assert_eq!(child.throw(7_u32).unwrap(), 7);
    /// });
    /// ```
    pub fn throw<E: Any + Send>(&self, error: E) -> Result<T, SwitchError<E>> {
        let family = &*self.node.family;
        match family.check() {
            Ok(()) => {}
            Err(Refusal::NoEntry) => return Err(SwitchError::NoScope(error)),
            Err(Refusal::Foreign) => return Err(SwitchError::Foreign(error)),
            Err(Refusal::Unwinding) => return Err(SwitchError::Unwinding(error)),
            Err(Refusal::Victim) => {
                drop(error);
                return self.go_back();
            }
        }
        let payload = payload(error);
        let mut target = Rc::clone(&self.node);
        let direct = target.stage.get() == State::Active;
        loop {
            match target.stage.get() {
                State::Active => break,
                State::Pending => target.abandon(),
                State::Dead => {}
            }
            target = target.above();
        }
        let exit = !direct && payload.is::<GreenletExit>();
        if core::ptr::eq(family.running(), &*target) {
            if exit {
                return Err(SwitchError::Exit(GreenletExit));
            }
            drop(target);
            resume_unwind(payload);
        }
        target.mail.put(if exit { Mail::Exit } else { Mail::Throw(payload) });
        self.transfer(target)
    }

    /// [`Greenlet::throw`] of a [`GreenletExit`]: ends this greenlet, unless it catches that.
    ///
    /// # Errors
    ///
    /// As [`Greenlet::throw`].
    ///
    /// # Panics
    ///
    /// As [`Greenlet::switch`].
    pub fn throw_exit(&self) -> Result<T, SwitchError<GreenletExit>> {
        self.throw(GreenletExit)
    }

    /// Switches to `target`, which is not the running greenlet and has something in its mailbox; `check` holds.
    fn transfer<E>(&self, target: Rc<Node<T>>) -> Result<T, SwitchError<E>> {
        let family = &*self.node.family;
        // SAFETY: it runs, so it is alive: the main greenlet until the entry ends, the others since they are residents.
        let me = unsafe { &*family.running() };
        family.leave(me);
        let address = Rc::as_ptr(&target);
        // Nothing on a suspended stack shall keep it; its entry does.
        drop(target);
        // SAFETY: the callers have seen that it is active, of this family, not the running one, and that `check` holds.
        unsafe { family.transfer(me, address) };
        me.receive().map_err(SwitchError::Exit)
    }

    /// For a greenlet that was to be unwound and has caught that: back to who wanted it.
    fn go_back<E>(&self) -> Result<T, SwitchError<E>> {
        // SAFETY: it runs, so it is alive.
        let me = unsafe { &*self.node.family.running() };
        // SAFETY: it runs, and `check` has said `Victim`.
        unsafe { me.go_back() };
        me.receive().map_err(SwitchError::Exit)
    }

    /// The one that gets what this one's body returns or raises; `None` for the main greenlet. Never waits.
    pub fn parent(&self) -> Option<Greenlet<T>> {
        self.node.parent.borrow().clone()
    }

    /// Makes `parent` the parent, from now on. Never waits.
    ///
    /// # Errors
    ///
    /// If this is the main greenlet, which has none; if `parent` is this greenlet or a descendant of it; or if it is of another
    /// family.
    pub fn set_parent(&self, parent: &Greenlet<T>) -> Result<(), SetParentError> {
        if !Rc::ptr_eq(&self.node.family, &parent.node.family) {
            return Err(SetParentError::Foreign);
        }
        if self.node.parent.borrow().is_none() {
            return Err(SetParentError::Main);
        }
        let mut ancestor = Some(parent.clone());
        while let Some(this) = ancestor {
            if this == *self {
                return Err(SetParentError::Cycle);
            }
            ancestor = this.parent();
        }
        self.node.origin.outer().set(&raw const parent.node.origin);
        let before = self.node.parent.replace(Some(parent.clone()));
        // It may have been the last handle: only now, when this greenlet is in order again.
        drop(before);
        Ok(())
    }

    /// Where it is in its life. Never waits.
    pub fn state(&self) -> State {
        self.node.stage.get()
    }

    /// Its name for trace functions and logs.
    pub fn id(&self) -> Id {
        Id(self.node.number)
    }
}

/// `error` as a panic's payload.
fn payload<E: Any + Send>(error: E) -> Box<dyn Any + Send> {
    let payload: Box<dyn Any + Send> = Box::new(error);
    match payload.downcast::<Box<dyn Any + Send>>() {
        Ok(boxed) => *boxed,
        Err(payload) => payload,
    }
}

impl<T: 'static> Clone for Greenlet<T> {
    fn clone(&self) -> Self {
        Greenlet::of(Rc::clone(&self.node))
    }
}

impl<T: 'static> Drop for Greenlet<T> {
    fn drop(&mut self) {
        let handles = self.node.handles.get() - 1;
        self.node.handles.set(handles);
        if handles == 0 {
            self.node.forsaken();
        }
    }
}

impl<T: 'static> PartialEq for Greenlet<T> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.node, &other.node)
    }
}

impl<T: 'static> Eq for Greenlet<T> {}

impl<T: 'static> Hash for Greenlet<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<T: 'static> fmt::Debug for Greenlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greenlet").field("id", &self.node.number).field("state", &self.state()).finish()
    }
}
