//! A fair counting semaphore.
//!
//! The permits and the waiters stand under one lock. Whoever gives permits back hands them to the waiters at the head of the
//! queue, as far as they reach, before it unlocks: a waiter that is woken has its permits already, and nobody barges in.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{Mutex, lock};
use crate::scheduler;
use crate::wait_queue::WaitQueue;
use core::fmt;
use core::time::Duration;

/// A number of permits of which threads hold some and give them back; who asks first gets them first.
///
/// Works between green threads of any runtime and OS threads.
///
/// ```
/// use osier::sync::Semaphore;
/// use std::sync::Arc;
/// osier::run(|| {
///     let seats = Arc::new(Semaphore::new(2));
///     let guests: Vec<_> = (0..5).map(|_| {
///         let seats = seats.clone();
///         osier::spawn(move || {
///             let _seat = seats.acquire();
///             osier::yield_now();
///             assert!(seats.available_permits() < 2);
///         })
///     }).collect();
///     for guest in guests {
///         guest.join().unwrap();
///     }
///     assert_eq!(seats.available_permits(), 2);
/// });
/// ```
pub struct Semaphore {
    state: Mutex<State>,
}

struct State {
    /// Permits that nobody holds.
    free: usize,
    /// Those who wait. While there is one, nobody else gets permits.
    waiters: WaitQueue<Waiter>,
}

struct Waiter {
    unparker: Unparker,
    /// How many permits it asks for.
    wants: usize,
}

impl State {
    /// Hands free permits to the waiters at the head.
    fn serve(&mut self) {
        while self.waiters.first().is_some_and(|first| first.wants <= self.free) {
            let Some(first) = self.waiters.pop() else { return };
            self.free -= first.wants;
            first.unparker.unpark();
        }
    }
}

impl Semaphore {
    /// A semaphore with this many permits.
    #[must_use]
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { state: Mutex::new(State { free: permits, waiters: WaitQueue::new() }) }
    }

    /// Waits for a permit, and holds it until the guard is dropped.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no permit is lost.
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Waits for `permits` at once. More than there ever are waits for ever.
    ///
    /// # Cancellation
    ///
    /// As [`Semaphore::acquire`].
    pub fn acquire_many(&self, permits: usize) -> SemaphorePermit<'_> {
        match self.acquire_until(permits, None) {
            Ok(Some(permit)) => permit,
            Ok(None) => unreachable!("a wait without a deadline does not reach it"),
            Err(cancelled) => cancelled.raise(),
        }
    }

    /// [`Semaphore::acquire`], for at most `timeout`; `None` if the time is over first.
    ///
    /// # Cancellation
    ///
    /// As [`Semaphore::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        let deadline = Instant::now().checked_add(timeout);
        self.acquire_until(1, deadline).unwrap_or_else(|cancelled| cancelled.raise())
    }

    /// A permit, if there is one and nobody waits. Never waits.
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        let mut state = lock(&self.state);
        self.take(&mut state, 1)
    }

    /// Adds permits, to the waiters first. Never waits.
    ///
    /// # Panics
    ///
    /// If more than `usize::MAX` would be free.
    pub fn add_permits(&self, permits: usize) {
        let mut state = lock(&self.state);
        let free = state.free.checked_add(permits);
        state.free = free.unwrap_or_else(|| {
            panic!("{permits} more permits than {} are too many for a semaphore", usize::MAX - permits)
        });
        state.serve();
    }

    /// Permits that nobody holds.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        lock(&self.state).free
    }

    fn take(&self, state: &mut State, permits: usize) -> Option<SemaphorePermit<'_>> {
        if permits > state.free || !state.waiters.is_empty() {
            return None;
        }
        state.free -= permits;
        Some(SemaphorePermit { semaphore: self, permits })
    }

    fn acquire_until(
        &self,
        permits: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<SemaphorePermit<'_>>, Cancelled> {
        scheduler::checkpoint()?;
        let ticket = {
            let mut state = lock(&self.state);
            if let Some(permit) = self.take(&mut state, permits) {
                return Ok(Some(permit));
            }
            state.waiters.push(Waiter { unparker: Unparker::current(), wants: permits })
        };
        loop {
            let outcome = park(Reason::Semaphore(core::ptr::from_ref(self).addr()), deadline);
            if outcome == Ok(Wake::Unparked) {
                let state = lock(&self.state);
                if state.waiters.contains(ticket) {
                    continue;
                }
                return Ok(Some(SemaphorePermit { semaphore: self, permits }));
            }
            let mut state = lock(&self.state);
            if state.waiters.remove(ticket) {
                // The next in the queue may want less.
                state.serve();
                drop(state);
                return outcome.map(|_| None);
            }
            drop(state);
            // Chosen at the last moment: the permits are ours. On a deadline we take them; on a kill the guard passes them on.
            let permit = SemaphorePermit { semaphore: self, permits };
            return outcome.map(|_| Some(permit));
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`] that are held; dropping it gives them back.
#[must_use = "the permit is given back when this is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl SemaphorePermit<'_> {
    /// Keeps the permits for good: the semaphore has that many less.
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.semaphore.state);
        // Only with permits that were added while these were held can there be too many; a drop does not panic for that.
        state.free = state.free.saturating_add(self.permits);
        state.serve();
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}
