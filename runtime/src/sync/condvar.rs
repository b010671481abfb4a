//! The condition variable.

use super::condvar_core::CondvarCore;
use super::mutex::MutexGuard;
use super::{LockResult, PoisonError};
use crate::clock::Instant;
use crate::park::{Reason, Wake};
use core::fmt;
use core::time::Duration;

/// A place to wait, with a [`Mutex`](super::Mutex) given back meanwhile, for somebody to say that something has changed. As
/// [`std::sync::Condvar`].
///
/// Works between green threads of any runtime and OS threads. Those who wait are notified in the order in which they came. A
/// wait may end for no reason, so look again, or use [`Condvar::wait_while`]. It may be used with several mutexes.
///
/// ```
/// use osier::sync::{Arc, Condvar, Mutex};
/// osier::run(|| {
///     let ready = Arc::new((Mutex::new(false), Condvar::new()));
///     let theirs = ready.clone();
///     osier::spawn(move || {
///         *theirs.0.lock().unwrap() = true;
///         theirs.1.notify_one();
///     });
///     let (flag, changed) = &*ready;
///     let flag = changed.wait_while(flag.lock().unwrap(), |flag| !*flag).unwrap();
///     assert!(*flag);
/// });
/// ```
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends each of its waits and unwinds, without the mutex, which is not
/// poisoned. A notification that the thread had got and could make no use of goes to the next one that waits.
pub struct Condvar {
    core: CondvarCore,
}

/// Whether a wait has ended because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over before a notification came.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable for which nobody waits.
    #[must_use]
    pub const fn new() -> Condvar {
        Condvar { core: CondvarCore::new() }
    }

    /// Gives the mutex back, waits for a notification, and holds the mutex again.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned then; the error holds the guard.
    ///
    /// # Cancellation
    ///
    /// As [`Condvar`] says.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, None).0
    }

    /// [`Condvar::wait`] until `condition` says that there is no need to wait any more; it is asked first before the wait.
    ///
    /// # Errors
    ///
    /// As [`Condvar::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Condvar`] says.
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// [`Condvar::wait`], for at most `timeout`. Waits for the mutex beyond that.
    ///
    /// # Errors
    ///
    /// As [`Condvar::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Condvar`] says.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        both(self.wait_until(guard, Instant::now().checked_add(timeout)))
    }

    /// [`Condvar::wait_timeout`] in milliseconds; false if the time was over.
    ///
    /// # Errors
    ///
    /// As [`Condvar::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Condvar`] says.
    #[deprecated(note = "replaced by `wait_timeout`, as in std")]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let notified = |(guard, late): (_, WaitTimeoutResult)| (guard, !late.timed_out());
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok(both) => Ok(notified(both)),
            Err(poisoned) => Err(PoisonError::new(notified(poisoned.into_inner()))),
        }
    }

    /// [`Condvar::wait_while`], for at most `timeout`.
    ///
    /// ```
    /// use osier::sync::{Condvar, Mutex};
    /// use osier::time::Duration;
    /// let flag = Mutex::new(false);
    /// let changed = Condvar::new();
    /// let waited = changed.wait_timeout_while(flag.lock().unwrap(), Duration::from_millis(1), |flag| !*flag);
    /// assert!(waited.unwrap().1.timed_out());
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Condvar::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Condvar`] says.
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = both(self.wait_until(guard, deadline))?.0;
        }
    }

    /// Notifies the one that has waited longest, if anybody waits. Never waits.
    pub fn notify_one(&self) {
        self.core.notify_one();
    }

    /// Notifies all who wait. Never waits.
    pub fn notify_all(&self) {
        self.core.notify_all();
    }

    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (LockResult<MutexGuard<'a, T>>, WaitTimeoutResult) {
        let reason = Reason::Condvar(core::ptr::from_ref(self).addr());
        let (guard, wake) =
            guard.apart(|mutex| mutex.apart(|core| self.core.wait(core, reason, deadline, mutex.reason())));
        (guard, WaitTimeoutResult(wake == Wake::Deadline))
    }
}

/// One result of two.
fn both<G, W>((guard, waited): (LockResult<G>, W)) -> LockResult<(G, W)> {
    match guard {
        Ok(guard) => Ok((guard, waited)),
        Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), waited))),
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
