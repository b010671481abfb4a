//! A lock for many readers or one writer, without a value.
//!
//! Owns the word of the lock and the queue of those who wait for it.
//!
//! # Protocol
//!
//! | part of `state` | meaning |
//! |---|---|
//! | `WRITER` | a writer has the lock |
//! | `QUEUED` | the queue is not empty |
//! | the rest, counted in `READER`s | so many readers have the lock |
//!
//! 1. While nobody is queued, readers come in as long as no writer is there, and a writer when nobody is.
//! 2. Who cannot come in joins the queue. While anybody stands there nobody comes in but from there, in the order of arrival:
//!    readers up to the next writer together, a writer alone. So readers do not starve a writer, nor writers a reader.
//! 3. Who makes the lock free, or leaves the queue, *serves*: gives the lock to those at the head that can have it. Who is served
//!    has the lock before it is woken.
//!
//! # Invariants
//!
//! `QUEUED` changes under the queue's lock, where it says whether the queue is empty. While it is set, so are all changes but
//! those that make the lock freer.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{AtomicUsize, Mutex, Ordering, lock};
use crate::wait_queue::{Ticket, WaitQueue};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const READER: usize = 4;

/// The lock.
pub(crate) struct RwLockCore {
    /// See the module's table. There is no memory for so many readers that they would overflow it.
    state: AtomicUsize,
    waiters: Mutex<WaitQueue<Waiter>>,
}

struct Waiter {
    unparker: Unparker,
    access: Access,
}

/// As what one comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    /// The state of a lock in `state` with one more of this kind; `None` if that one cannot come in.
    fn add(self, state: usize) -> Option<usize> {
        match self {
            Access::Read => (state & (WRITER | QUEUED) == 0).then_some(state + READER),
            Access::Write => (state == 0).then_some(WRITER),
        }
    }
}

impl RwLockCore {
    pub(crate) const fn new() -> RwLockCore {
        RwLockCore { state: AtomicUsize::new(0), waiters: Mutex::new(WaitQueue::new()) }
    }

    /// Takes the lock if that can be had at once. Never waits.
    #[inline]
    pub(crate) fn try_lock(&self, access: Access) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while let Some(next) = access.add(state) {
            // Acquire: pairs with the release of each unlock.
            match self.state.compare_exchange_weak(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Waits for the lock until `deadline`; false if that came first.
    ///
    /// # Errors
    ///
    /// As `park`; the lock is not the caller's then.
    #[inline]
    pub(crate) fn lock(
        &self,
        access: Access,
        reason: Reason<'_>,
        deadline: Option<Instant>,
    ) -> Result<bool, Cancelled> {
        if self.try_lock(access) { Ok(true) } else { self.wait(access, reason, deadline) }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, access: Access, reason: Reason<'_>, deadline: Option<Instant>) -> Result<bool, Cancelled> {
        let Some(ticket) = self.join_queue(access) else { return Ok(true) };
        loop {
            let ended = park(reason, deadline);
            let mut waiters = lock(&self.waiters);
            if !waiters.contains(ticket) {
                // Served, whatever else has happened.
                drop(waiters);
                return ended.map(|_| true).inspect_err(|_| self.unlock(access));
            }
            if ended != Ok(Wake::Unparked) {
                waiters.remove(ticket);
                if waiters.is_empty() {
                    self.state.fetch_and(!QUEUED, Ordering::Relaxed);
                }
                drop(waiters);
                // Others may have waited for the sake of this one only.
                self.serve();
                return ended.map(|_| false);
            }
        }
    }

    /// Takes a place in the queue; `None` if the lock could be had, and is now the caller's.
    fn join_queue(&self, access: Access) -> Option<Ticket> {
        let mut waiters = lock(&self.waiters);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let added = access.add(state);
            let next = added.unwrap_or(state | QUEUED);
            // Acquire: as in `try_lock`.
            match self.state.compare_exchange_weak(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if added.is_some() => return None,
                Ok(_) => return Some(waiters.push(Waiter { unparker: Unparker::current(), access })),
                Err(now) => state = now,
            }
        }
    }

    /// Gives the lock back. Only for one who has it so. Never waits.
    #[inline]
    pub(crate) fn unlock(&self, access: Access) {
        // Release: pairs with the acquire of each lock, and of `grant`.
        let served = match access {
            Access::Read => self.state.fetch_sub(READER, Ordering::Release) != READER | QUEUED,
            Access::Write => self.state.fetch_sub(WRITER, Ordering::Release) == WRITER,
        };
        if !served {
            self.serve();
        }
    }

    /// Makes the writer, which the caller is, a reader. Never waits.
    pub(crate) fn downgrade(&self) {
        // Release: as in `unlock`.
        if self.state.fetch_add(READER - WRITER, Ordering::Release) & QUEUED != 0 {
            self.serve();
        }
    }

    /// Gives the lock to those at the head of the queue that can have it.
    #[cold]
    #[inline(never)]
    fn serve(&self) {
        while let Some(unparker) = self.grant() {
            unparker.unpark();
        }
    }

    /// Gives the lock to the first of the queue, if that can have it.
    fn grant(&self) -> Option<Unparker> {
        let mut waiters = lock(&self.waiters);
        // Acquire: pairs with the release of those who had the lock; the queue's lock carries it on to the one that is served.
        let state = self.state.load(Ordering::Acquire);
        // What else changes meanwhile makes the lock freer, and does not make more than this possible.
        let added = waiters.first()?.access.add(state & !QUEUED)? - (state & !QUEUED);
        let first = waiters.pop()?;
        let emptied = if waiters.is_empty() { QUEUED } else { 0 };
        self.state.fetch_add(added.wrapping_sub(emptied), Ordering::Relaxed);
        Some(first.unparker)
    }
}
