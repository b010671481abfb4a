//! The mutex: a lock, the value that it guards, and whether that was left half done.

use super::mutex_core::MutexCore;
use super::poisoning::{Before, Poison};
use super::{LockResult, TryLockError, TryLockResult};
use crate::clock::Instant;
use crate::park::{Cancelled, Holder, Reason};
use crate::scheduler;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Guards a value: one thread at a time, green or OS, may use it. As [`std::sync::Mutex`].
///
/// Works between green threads of any runtime and OS threads. A green thread that waits for it lets others of its worker
/// run, and a guard may be kept across a wait. A lock that is free is taken at once, also when others wait for it; a waiter
/// that was overtaken so is handed the lock next.
///
/// ```
/// use osier::sync::{Arc, Mutex};
/// osier::run(|| {
///     let total = Arc::new(Mutex::new(0));
///     let threads: Vec<_> = (1..=10).map(|n| {
///         let total = total.clone();
///         osier::spawn(move || {
///             let mut total = total.lock().unwrap();
///             let before = *total;
///             osier::yield_now();
///             *total = before + n;
///         })
///     }).collect();
///     for thread in threads {
///         thread.join().unwrap();
///     }
///     assert_eq!(*total.lock().unwrap(), 55);
/// });
/// ```
///
/// # Poisoning
///
/// As std's: a guard that is dropped by a panic poisons the mutex, and [`lock`](Mutex::lock) then gives an error, which holds the
/// guard. A guard that is dropped because its green thread was killed, or because the time of a
/// [`timeout`](crate::time::timeout) was over, poisons nothing: the thread was unwound from a wait.
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    poison: Poison,
    value: UnsafeCell<T>,
}

/// A mutex's lock, with the name of its holder.
pub(super) struct RawMutex {
    pub(super) core: MutexCore,
    holder: Holder,
}

impl RawMutex {
    pub(super) const fn new() -> RawMutex {
        RawMutex { core: MutexCore::new(), holder: Holder::nobody() }
    }

    /// What one waits for who waits for this.
    pub(super) fn reason(&self) -> Reason<'_> {
        Reason::Mutex(core::ptr::from_ref(self).addr(), &self.holder)
    }

    #[inline]
    pub(super) fn lock(&self, deadline: Option<Instant>) -> Result<bool, Cancelled> {
        let locked = self.core.lock(self.reason(), deadline)?;
        if locked {
            self.holder.name();
        }
        Ok(locked)
    }

    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        let locked = self.core.try_lock();
        if locked {
            self.holder.name();
        }
        locked
    }

    /// Only for the one who has it.
    #[inline]
    pub(super) fn unlock(&self) {
        self.holder.clear();
        self.core.unlock();
    }

    /// Lets go of the lock, which the caller has, while `wait` runs, which unlocks `core` and locks it again, unless it fails.
    pub(super) fn apart<T>(
        &self,
        wait: impl FnOnce(&MutexCore) -> Result<T, Cancelled>,
    ) -> Result<T, Cancelled> {
        self.holder.clear();
        let value = wait(&self.core)?;
        self.holder.name();
        Ok(value)
    }
}

// SAFETY: the mutex owns the value, so it may go where the value may.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: the value is reached through a guard, of which there is one at a time (`MutexCore`), or through `&mut Mutex`; so threads
// that share the mutex pass the value on to each other, which `Send` allows.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    /// A mutex that guards `value` and is free.
    #[inline]
    #[must_use]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), poison: Poison::new(), value: UnsafeCell::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the error holds the value.
    pub fn into_inner(self) -> LockResult<T> {
        self.poison.wrap(self.value.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the mutex is free, and holds it until the guard is dropped.
    ///
    /// A thread that locks a mutex which it holds already waits for itself: for ever, or until the runtime finds the
    /// deadlock.
    ///
    /// ```
    /// let mutex = osier::sync::Mutex::new(1);
    /// *mutex.lock().unwrap() += 1;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the error holds the guard.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds, without the lock; the next waiter gets
    /// it.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match scheduler::checkpoint().and_then(|()| self.raw.lock(None)) {
            Ok(_) => self.guard(),
            Err(cancelled) => cancelled.raise(),
        }
    }

    /// [`Mutex::lock`], for at most `timeout`.
    ///
    /// ```
    /// use osier::sync::{Mutex, TryLockError};
    /// use osier::time::Duration;
    /// let mutex = Mutex::new(());
    /// let _held = mutex.lock().unwrap();
    /// let late = mutex.lock_timeout(Duration::from_millis(1));
    /// assert!(matches!(late, Err(TryLockError::WouldBlock)));
    /// ```
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the time is over first; `Poisoned` if the mutex is poisoned, with the guard.
    ///
    /// # Cancellation
    ///
    /// As [`Mutex::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        let deadline = Instant::now().checked_add(timeout);
        match scheduler::checkpoint().and_then(|()| self.raw.lock(deadline)) {
            Ok(true) => Ok(self.guard()?),
            Ok(false) => Err(TryLockError::WouldBlock),
            Err(cancelled) => cancelled.raise(),
        }
    }

    /// Holds the mutex until the guard is dropped, if it is free now. Never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is not free; `Poisoned` if the mutex is poisoned, with the guard.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_lock() { Ok(self.guard()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Whether a panic has poisoned the mutex. Never waits.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Makes the mutex one that is not poisoned: the value is in order again. Never waits.
    #[inline]
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value. Never waits: nobody else can have it.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the error holds the reference.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.value.get_mut())
    }

    /// The guard of the caller, who has locked `raw` just now.
    #[inline]
    fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard_since(Poison::enter())
    }

    /// As [`Mutex::guard`], in place of a guard that was made before.
    #[inline]
    fn guard_since(&self, before: Before) -> LockResult<MutexGuard<'_, T>> {
        self.poison.wrap(MutexGuard { mutex: self, before, _not_send: PhantomData })
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => debug.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => debug.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("data", &"<locked>"),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// A [`Mutex`] that is held; dropping it gives the mutex back, to the waiter that has come first if that was overtaken.
///
/// It stays on its OS thread, as std's.
#[must_use = "the mutex is given back when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized + 'a> {
    mutex: &'a Mutex<T>,
    pub(super) before: Before,
    /// Not `Send`.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// What gives the mutex back.
    pub(super) fn parts(&self) -> (&'a RawMutex, &'a Poison) {
        (&self.mutex.raw, &self.mutex.poison)
    }

    /// Waits, by `wait`, with the mutex given back meanwhile, and gives a guard again.
    pub(super) fn apart<R>(
        self,
        wait: impl FnOnce(&RawMutex) -> Result<R, Cancelled>,
    ) -> (LockResult<MutexGuard<'a, T>>, R) {
        let (mutex, before) = (self.mutex, self.before);
        // Whether `wait` gives the mutex back or fails, this guard has it no more.
        core::mem::forget(self);
        match wait(&mutex.raw) {
            Ok(value) => (mutex.guard_since(before), value),
            Err(cancelled) => cancelled.raise(),
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: there is one guard at a time, and it lends the value as itself is borrowed.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.poison.leave(self.before);
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a report says must be true at each instant: also between the unlocking by one and the naming of the next.
    #[test]
    fn nobody_is_named_who_does_not_hold_it() {
        crate::run(|| {
            let mutex = Mutex::new(());
            let me = Some(scheduler::running_id());
            let named = || mutex.raw.holder.id();
            assert_eq!(named(), None);
            let guard = mutex.lock().unwrap();
            assert_eq!(named(), me);
            let (guard, ()) = guard.apart(|raw| {
                raw.apart(|core| {
                    assert_eq!(named(), None);
                    core.unlock();
                    assert!(core.try_lock());
                    Ok(())
                })
            });
            assert_eq!(named(), me);
            drop(guard);
            assert_eq!(named(), None);
            drop(mutex.try_lock().unwrap());
            assert_eq!(named(), None);
        });
    }
}
