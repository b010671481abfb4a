//! The reader-writer lock.

use super::poisoning::{Before, Poison};
use super::rwlock_core::{Access, RwLockCore};
use super::{LockResult, TryLockError, TryLockResult};
use crate::clock::Instant;
use crate::park::{Holder, Reason};
use crate::scheduler;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Guards a value that many threads, green or OS, may read at a time, or one may change. As [`std::sync::RwLock`].
///
/// Works between green threads of any runtime and OS threads. Who comes first gets it first: readers that come while a writer
/// waits wait behind it, so neither readers nor writers starve. Hence a thread that reads already and reads again may wait for ever, when
/// a writer has come in between; std warns of the same.
///
/// ```
/// use osier::sync::RwLock;
/// let lock = RwLock::new(5);
/// {
///     let (one, another) = (lock.read().unwrap(), lock.read().unwrap());
///     assert_eq!(*one + *another, 10);
/// }
/// *lock.write().unwrap() += 1;
/// assert_eq!(*lock.read().unwrap(), 6);
/// ```
///
/// # Poisoning
///
/// As std's: only a writer's guard that is dropped by a panic poisons it. As with [`Mutex`](super::Mutex), neither a kill nor the
/// end of a [`timeout`](crate::time::timeout) does.
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

/// All of a lock but the value.
pub(super) struct RawRwLock {
    core: RwLockCore,
    /// The writer.
    holder: Holder,
    poison: Poison,
}

impl RawRwLock {
    const fn new() -> RawRwLock {
        RawRwLock { core: RwLockCore::new(), holder: Holder::nobody(), poison: Poison::new() }
    }

    /// Waits for the lock; false if `deadline` came first. Unwinds if it was cancelled.
    #[inline]
    fn lock(&self, access: Access, deadline: Option<Instant>) -> bool {
        let address = core::ptr::from_ref(self).addr();
        let reason = match access {
            Access::Read => Reason::Read(address, &self.holder),
            Access::Write => Reason::Write(address, &self.holder),
        };
        scheduler::checkpoint()
            .and_then(|()| self.core.lock(access, reason, deadline))
            .unwrap_or_else(|cancelled| cancelled.raise())
    }

    /// A reader's guard is dropped.
    #[inline]
    pub(super) fn end_read(&self) {
        self.core.unlock(Access::Read);
    }

    /// A writer's guard is dropped, which was made when it was as `before` says.
    #[inline]
    pub(super) fn end_write(&self, before: Before) {
        self.poison.leave(before);
        self.holder.clear();
        self.core.unlock(Access::Write);
    }

    /// A writer's guard, as above, becomes a reader's.
    fn downgrade(&self, before: Before) {
        self.poison.leave(before);
        self.holder.clear();
        self.core.downgrade();
    }
}

// SAFETY: the lock owns the value, so it may go where the value may.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the value is reached through guards: one writer's, so threads pass the value on to each other, which `Send` allows; or
// several readers', so threads share the value, which `Sync` allows; never both (`RwLockCore`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    /// A lock that guards `value` and is free.
    #[inline]
    #[must_use]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), value: UnsafeCell::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the error holds the value.
    pub fn into_inner(self) -> LockResult<T> {
        self.raw.poison.wrap(self.value.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until no writer has the lock and none waits that came before, and reads until the guard is dropped.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the error holds the guard.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds, without the lock.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.raw.lock(Access::Read, None);
        self.reader()
    }

    /// [`RwLock::read`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the time is over first; `Poisoned` if the lock is poisoned, with the guard.
    ///
    /// # Cancellation
    ///
    /// As [`RwLock::read`].
    pub fn read_timeout(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let read = self.raw.lock(Access::Read, Instant::now().checked_add(timeout));
        if read { Ok(self.reader()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Reads until the guard is dropped, if no writer has the lock and nobody waits. Never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if one has, or somebody does; `Poisoned` if the lock is poisoned, with the guard.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if self.raw.core.try_lock(Access::Read) { Ok(self.reader()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Waits until nobody else has the lock, and has it alone until the guard is dropped.
    ///
    /// A thread that has the lock already waits for itself: for ever, or until the runtime finds the deadlock.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the error holds the guard.
    ///
    /// # Cancellation
    ///
    /// As [`RwLock::read`].
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.raw.lock(Access::Write, None);
        self.writer()
    }

    /// [`RwLock::write`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the time is over first; `Poisoned` if the lock is poisoned, with the guard.
    ///
    /// # Cancellation
    ///
    /// As [`RwLock::read`].
    pub fn write_timeout(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let written = self.raw.lock(Access::Write, Instant::now().checked_add(timeout));
        if written { Ok(self.writer()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Has the lock alone until the guard is dropped, if nobody has it. Never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if somebody has; `Poisoned` if the lock is poisoned, with the guard.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if self.raw.core.try_lock(Access::Write) { Ok(self.writer()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Whether a panic has poisoned the lock. Never waits.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.raw.poison.is_set()
    }

    /// Makes the lock one that is not poisoned: the value is in order again. Never waits.
    #[inline]
    pub fn clear_poison(&self) {
        self.raw.poison.clear();
    }

    /// The value. Never waits: nobody else can have it.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the error holds the reference.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.raw.poison.wrap(self.value.get_mut())
    }

    /// The guard of the caller, who reads now.
    #[inline]
    fn reader(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.raw.poison.wrap(RwLockReadGuard { raw: &self.raw, value: self.pointer() })
    }

    /// The guard of the caller, who has the lock alone now.
    #[inline]
    fn writer(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.raw.holder.name();
        self.raw.poison.wrap(RwLockWriteGuard { lock: self, before: Poison::enter(), _not_send: PhantomData })
    }

    fn pointer(&self) -> NonNull<T> {
        // SAFETY: the pointer of a cell that is there is not null.
        unsafe { NonNull::new_unchecked(self.value.get()) }
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => debug.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => debug.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// A [`RwLock`] that is read; dropping it ends that. It stays on its OS thread, as std's.
#[must_use = "the lock is given back when this is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized + 'a> {
    pub(super) raw: &'a RawRwLock,
    /// The value: a pointer, since it is no longer lent when the guard has been dropped, while that is still an argument of the
    /// drop. Not `Send`.
    pub(super) value: NonNull<T>,
}

/// A [`RwLock`] that one has alone; dropping it gives it back. It stays on its OS thread, as std's.
#[must_use = "the lock is given back when this is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized + 'a> {
    lock: &'a RwLock<T>,
    pub(super) before: Before,
    /// Not `Send`.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Makes the writer a reader, with no other writer in between. Never waits.
    ///
    /// ```
    /// use osier::sync::{RwLock, RwLockWriteGuard};
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().unwrap();
    /// *writer = 2;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!((*reader, *lock.read().unwrap()), (2, 2));
    /// ```
    pub fn downgrade(s: Self) -> RwLockReadGuard<'a, T> {
        let writer = ManuallyDrop::new(s);
        let (raw, value) = writer.parts();
        raw.downgrade(writer.before);
        RwLockReadGuard { raw, value }
    }

    /// What gives the lock back, and where the value is, which is the guard's as long as that is not used.
    pub(super) fn parts(&self) -> (&'a RawRwLock, NonNull<T>) {
        (&self.lock.raw, self.lock.pointer())
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is borrowed, so the value is there; while a reader's guard is there no writer's is, and others lend the
        // value only as this one does.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: while a writer's guard is there no other one is, and it lends the value as itself is borrowed.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.raw.end_read();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.end_write(self.before);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
