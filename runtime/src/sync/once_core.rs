//! Something that is to happen once: who does it, who waits until it is done.
//!
//! Owns the state and the queue of those who wait for it to change.
//!
//! # Protocol
//!
//! ```text
//! incomplete ──begin──► running ──end──► complete
//!     ▲                  │   ▲
//!     └────────end───────┤   └─begin (by force)─┐
//!                        └──────────end──────► poisoned
//! ```
//!
//! 1. One thread begins; it alone ends it, with whatever came of it.
//! 2. Who comes meanwhile joins the queue and parks. An end wakes them all, and each looks again: so nothing is lost when one
//!    of them is killed, and what was left incomplete is begun anew by the first of them.
//!
//! The state changes under the queue's lock.

use crate::park::{Cancelled, Reason, Unparker, park};
use crate::primitive::{AtomicUsize, Mutex, Ordering, lock};
use crate::wait_queue::WaitQueue;

const INCOMPLETE: usize = 0;
const POISONED: usize = 1;
const RUNNING: usize = 2;
const COMPLETE: usize = 3;

/// The state of something that is to happen once.
pub(crate) struct OnceCore {
    state: AtomicUsize,
    waiters: Mutex<WaitQueue<Unparker>>,
}

/// What an attempt to begin came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It has happened.
    Complete,
    /// It has failed before, and was not to be forced.
    Poisoned,
    /// The caller is to do it, and to end it. Whether it has failed before.
    Run { poisoned: bool },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has happened.
    Complete,
    /// It was left as if it had not begun.
    Incomplete,
    /// It has failed.
    Poisoned,
}

impl OnceCore {
    pub(crate) const fn new() -> OnceCore {
        OnceCore { state: AtomicUsize::new(INCOMPLETE), waiters: Mutex::new(WaitQueue::new()) }
    }

    /// One that has happened.
    pub(crate) const fn complete() -> OnceCore {
        OnceCore { state: AtomicUsize::new(COMPLETE), waiters: Mutex::new(WaitQueue::new()) }
    }

    /// Whether it has happened. Never waits.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: pairs with the release in `end`.
        self.state.load(Ordering::Acquire) == COMPLETE
    }

    /// Whether it has failed. Never waits.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.state.load(Ordering::Relaxed) == POISONED
    }

    /// Begins, if nobody has; waits while somebody else is at it. `force`: also if it has failed before.
    ///
    /// # Errors
    ///
    /// As `park`; the caller has begun nothing then.
    pub(crate) fn begin(&self, force: bool, reason: Reason<'_>) -> Result<Begin, Cancelled> {
        self.wait_until(reason, |state| match state.load(Ordering::Acquire) {
            COMPLETE => Some(Begin::Complete),
            POISONED if !force => Some(Begin::Poisoned),
            RUNNING => None,
            before => {
                // Relaxed: the queue's lock orders it.
                state.store(RUNNING, Ordering::Relaxed);
                Some(Begin::Run { poisoned: before == POISONED })
            }
        })
    }

    /// Waits until it has happened, or has failed. False if it has failed; with `force` it waits on then.
    ///
    /// # Errors
    ///
    /// As `park`.
    pub(crate) fn wait(&self, force: bool, reason: Reason<'_>) -> Result<bool, Cancelled> {
        self.wait_until(reason, |state| match state.load(Ordering::Acquire) {
            COMPLETE => Some(true),
            POISONED if !force => Some(false),
            _ => None,
        })
    }

    /// Ends what the caller has begun. Never waits.
    pub(crate) fn end(&self, end: End) {
        let waiters = {
            let mut waiters = lock(&self.waiters);
            let state = match end {
                End::Complete => COMPLETE,
                End::Incomplete => INCOMPLETE,
                End::Poisoned => POISONED,
            };
            // Release: pairs with `is_complete`.
            self.state.store(state, Ordering::Release);
            waiters.pop_all()
        };
        for waiter in waiters {
            waiter.unpark();
        }
    }

    /// Looks, under the queue's lock, until `look` finds something; waits for an end in between.
    #[cold]
    fn wait_until<T>(
        &self,
        reason: Reason<'_>,
        look: impl Fn(&AtomicUsize) -> Option<T>,
    ) -> Result<T, Cancelled> {
        loop {
            let ticket = {
                let mut waiters = lock(&self.waiters);
                if let Some(found) = look(&self.state) {
                    return Ok(found);
                }
                waiters.push(Unparker::current())
            };
            let ended = park(reason, None);
            lock(&self.waiters).remove(ticket);
            ended?;
        }
    }
}
