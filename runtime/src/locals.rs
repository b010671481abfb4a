//! The values that a thread, green or OS, has for the keys of [`crate::local`].
//!
//! Owns the values, by the number of their key. A green thread's lie in the frame at the bottom of its stack, which
//! destroys them when the body has returned and nothing of it is suspended any more: on its own stack, before its end is
//! told. An OS thread's lie in a thread-local.
//!
//! # Invariant
//!
//! Values are shared with those who use them at the time. So one that is in use is never destroyed, not even if the stack that
//! uses it was leaked; and nothing here is borrowed while code of the user runs, which may wait.

use crate::{entry, limits, scheduler};
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use std::rc::Rc;

/// The values of one thread.
pub(crate) struct Locals {
    /// By number of their key.
    slots: RefCell<Vec<Slot>>,
    /// The numbers of those that are alive, in the order in which they were made.
    order: RefCell<Vec<usize>>,
    /// All have been destroyed, and no more are made.
    ended: Cell<bool>,
}

#[derive(Clone)]
enum Slot {
    /// Not made yet.
    Empty,
    Alive(Rc<dyn Any>),
    /// Destroyed, or about to be.
    Destroyed,
}

/// That a value is not to be had any more.
pub(crate) struct Destroyed;

thread_local! {
    /// Of the OS thread. Has no destructor, so it is there while values are destroyed: [`OS_END`] sees to that.
    static OS: ManuallyDrop<Locals> = const { ManuallyDrop::new(Locals::new()) };
    static OS_END: OsEnd = const { OsEnd };
}

struct OsEnd;

impl Drop for OsEnd {
    fn drop(&mut self) {
        OS.with(|locals| locals.destroy());
    }
}

impl Locals {
    pub(crate) const fn new() -> Locals {
        Locals { slots: RefCell::new(Vec::new()), order: RefCell::new(Vec::new()), ended: Cell::new(false) }
    }

    #[inline]
    fn find(&self, number: usize) -> Result<Option<Rc<dyn Any>>, Destroyed> {
        match self.slots.borrow().get(number) {
            Some(Slot::Alive(value)) => Ok(Some(value.clone())),
            Some(Slot::Destroyed) => Err(Destroyed),
            _ if self.ended.get() => Err(Destroyed),
            _ => Ok(None),
        }
    }

    /// Keeps a value that was made just now, unless there is one already; gives the one that is kept.
    fn put(&self, number: usize, made: &Rc<dyn Any>) -> Result<Rc<dyn Any>, Destroyed> {
        if let Some(kept) = self.find(number)? {
            return Ok(kept);
        }
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= number {
            slots.resize(number + 1, Slot::Empty);
        }
        slots[number] = Slot::Alive(made.clone());
        self.order.borrow_mut().push(number);
        Ok(made.clone())
    }

    /// Whether there is nothing to destroy.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.borrow().is_empty()
    }

    /// Destroys all values, also those that are made meanwhile, the newest first. Nothing ends the waits of their destructors, as
    /// if the stack unwound.
    pub(crate) fn destroy(&self) {
        limits::with_shield(|| {
            loop {
                let newest = self.order.borrow_mut().pop();
                let Some(number) = newest else { break };
                let value = core::mem::replace(&mut self.slots.borrow_mut()[number], Slot::Destroyed);
                entry::quietly(|| drop(value));
            }
        });
        self.ended.set(true);
        self.slots.take();
        self.order.take();
    }
}

/// The value of the calling thread for a key; `None` if it has none yet.
#[inline]
pub(crate) fn find(number: usize) -> Result<Option<Rc<dyn Any>>, Destroyed> {
    scheduler::with_worker(|worker| match worker.and_then(|worker| worker.locals()) {
        Some(locals) => locals.find(number),
        None => OS.with(|locals| locals.find(number)),
    })
}

/// Keeps a value for the calling thread, unless it has one already; gives the one that is kept.
pub(crate) fn put(number: usize, made: &Rc<dyn Any>) -> Result<Rc<dyn Any>, Destroyed> {
    scheduler::with_worker(|worker| match worker.and_then(|worker| worker.locals()) {
        Some(locals) => locals.put(number, made),
        None => {
            // From now on its destructor is due. It has run already in a destructor of another thread-local, perhaps; then `put` says so.
            let _ = OS_END.try_with(|_| ());
            OS.with(|locals| locals.put(number, made))
        }
    })
}
