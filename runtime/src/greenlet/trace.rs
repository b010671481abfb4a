//! The trace function of greenlets, one for each OS thread.

use super::Id;
use crate::running;
use core::any::Any;
use core::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A trace function; see [`settrace`].
pub type TraceFn = Rc<dyn Fn(Event)>;

/// One switch between greenlets, as a trace function sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Whether the target receives a value or a panic.
    pub kind: Kind,
    /// The greenlet that was left.
    pub origin: Id,
    /// The greenlet that runs now.
    pub target: Id,
}

/// What a switch has brought to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A value; also the end of a greenlet by [`GreenletExit`](super::GreenletExit).
    Switch,
    /// Something to raise.
    Throw,
}

thread_local! {
    /// Whether `TRACE` holds a function.
    static IS_SET: Cell<bool> = const { Cell::new(false) };
    static TRACE: RefCell<Option<TraceFn>> = const { RefCell::new(None) };
}

/// Sets the trace function of this OS thread, or removes it, and returns the one before.
///
/// It is called after every switch between greenlets, in the target, before the target's `switch` returns (before the body
/// begins, for the first one). It may switch itself, and is called for those switches too. When it panics it is removed, and
/// the panic is raised in the target instead of what the switch brought. Does not wait.
///
/// # Examples
///
/// ```
/// use osier::greenlet::{self, Greenlet};
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// greenlet::scope(|| {
///     let main = greenlet::current::<u32>();
///     let child = Greenlet::new(|n: u32| n + 1);
///     let log = Rc::clone(&seen);
///     greenlet::settrace(Some(Rc::new(move |event| log.borrow_mut().push((event.origin, event.target)))));
///     assert_eq!(child.switch(1).unwrap(), 2);
///     greenlet::settrace(None);
///     assert_eq!(*seen.borrow(), [(main.id(), child.id()), (child.id(), main.id())]);
/// });
/// ```
pub fn settrace(trace: Option<TraceFn>) -> Option<TraceFn> {
    // Off before the exchange and set after it, so that the flag never promises a function that is not there.
    IS_SET.set(false);
    let is_set = trace.is_some();
    let before = TRACE.replace(trace);
    IS_SET.set(is_set);
    // Greenlets that were free to switch with no questions must ask whether they are traced.
    running::shut();
    before
}

pub(super) fn is_set() -> bool {
    IS_SET.get()
}

/// Calls the trace function; its panic removes it and is returned.
pub(super) fn call(kind: Kind, origin: u64, target: u64) -> Result<(), Box<dyn Any + Send>> {
    // A thread-local that is gone, at the end of the OS thread, traces nothing.
    let Ok(Some(trace)) = TRACE.try_with(|trace| trace.borrow().clone()) else { return Ok(()) };
    let event = Event { kind, origin: Id(origin), target: Id(target) };
    let result = catch_unwind(AssertUnwindSafe(|| trace(event)));
    if result.is_err() && TRACE.with_borrow(|now| now.as_ref().is_some_and(|now| Rc::ptr_eq(now, &trace))) {
        drop(settrace(None));
    }
    result
}
