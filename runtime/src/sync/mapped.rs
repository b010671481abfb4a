//! Guards of a part of what a lock guards. As std's, which are not stable yet.

use super::mutex::{MutexGuard, RawMutex};
use super::poisoning::{Before, Poison};
use super::rwlock::{RawRwLock, RwLockReadGuard, RwLockWriteGuard};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A [`Mutex`](super::Mutex) that is held, for a part of its value; made by [`MutexGuard::map`].
#[must_use = "the mutex is given back when this is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized + 'a> {
    raw: &'a RawMutex,
    poison: &'a Poison,
    before: Before,
    /// Not `Send`.
    value: NonNull<T>,
    /// Lends it to be changed.
    _lends: PhantomData<&'a mut T>,
}

/// An [`RwLock`](super::RwLock) that is read, for a part of its value; made by [`RwLockReadGuard::map`].
#[must_use = "the lock is given back when this is dropped"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized + 'a> {
    raw: &'a RawRwLock,
    /// Not `Send`.
    value: NonNull<T>,
}

/// An [`RwLock`](super::RwLock) that one has alone, for a part of its value; made by [`RwLockWriteGuard::map`].
#[must_use = "the lock is given back when this is dropped"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized + 'a> {
    raw: &'a RawRwLock,
    before: Before,
    /// Not `Send`.
    value: NonNull<T>,
    /// Lends it to be changed.
    _lends: PhantomData<&'a mut T>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for MappedMutexGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for MappedRwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for MappedRwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// ```
    /// use osier::sync::{Mutex, MutexGuard};
    /// let lock = Mutex::new((1, 2));
    /// let second = MutexGuard::map(lock.lock().unwrap(), |pair| &mut pair.1);
    /// assert_eq!(*second, 2);
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then, poisoned.
    pub fn map<U, F>(orig: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
        U: ?Sized,
    {
        let mut orig = orig;
        let value = NonNull::from(f(&mut *orig));
        ManuallyDrop::new(orig).part(value)
    }

    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` chooses none.
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then, poisoned.
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
        U: ?Sized,
    {
        let mut orig = orig;
        match f(&mut *orig).map(NonNull::from) {
            Some(value) => Ok(ManuallyDrop::new(orig).part(value)),
            None => Err(orig),
        }
    }

    /// The guard of the part at `value`, in place of this one, which must not be dropped.
    fn part<U: ?Sized>(&self, value: NonNull<U>) -> MappedMutexGuard<'a, U> {
        let (raw, poison) = self.parts();
        MappedMutexGuard { raw, poison, before: self.before, value, _lends: PhantomData }
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// ```
    /// use osier::sync::{RwLock, RwLockReadGuard};
    /// let lock = RwLock::new((1, 2));
    /// let second = RwLockReadGuard::map(lock.read().unwrap(), |pair| &pair.1);
    /// assert_eq!(*second, 2);
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then.
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
        U: ?Sized,
    {
        let orig = orig;
        let value = NonNull::from(f(&*orig));
        ManuallyDrop::new(orig).part(value)
    }

    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` chooses none.
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then.
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
        U: ?Sized,
    {
        let orig = orig;
        match f(&*orig).map(NonNull::from) {
            Some(value) => Ok(ManuallyDrop::new(orig).part(value)),
            None => Err(orig),
        }
    }

    /// The guard of the part at `value`, in place of this one, which must not be dropped.
    fn part<U: ?Sized>(&self, value: NonNull<U>) -> MappedRwLockReadGuard<'a, U> {
        MappedRwLockReadGuard { raw: self.raw, value }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// ```
    /// use osier::sync::{RwLock, RwLockWriteGuard};
    /// let lock = RwLock::new((1, 2));
    /// let second = RwLockWriteGuard::map(lock.write().unwrap(), |pair| &mut pair.1);
    /// assert_eq!(*second, 2);
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then, poisoned.
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
        U: ?Sized,
    {
        let mut orig = orig;
        let value = NonNull::from(f(&mut *orig));
        ManuallyDrop::new(orig).part(value)
    }

    /// A guard of the part that `f` chooses. Never waits.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` chooses none.
    ///
    /// # Panics
    ///
    /// With the panic of `f`; the lock is given back then, poisoned.
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
        U: ?Sized,
    {
        let mut orig = orig;
        match f(&mut *orig).map(NonNull::from) {
            Some(value) => Ok(ManuallyDrop::new(orig).part(value)),
            None => Err(orig),
        }
    }

    /// The guard of the part at `value`, in place of this one, which must not be dropped.
    fn part<U: ?Sized>(&self, value: NonNull<U>) -> MappedRwLockWriteGuard<'a, U> {
        MappedRwLockWriteGuard { raw: self.parts().0, before: self.before, value, _lends: PhantomData }
    }
}

impl<T: ?Sized> Deref for MappedMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is the guard's, and so the part of its value, which lies in what the lock lends; it is lent as the guard is borrowed.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Deref for MappedRwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: as above.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Deref for MappedRwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: as above.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for MappedMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; nobody else has the lock.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> DerefMut for MappedRwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; nobody else has the lock.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> Drop for MappedMutexGuard<'_, T> {
    fn drop(&mut self) {
        self.poison.leave(self.before);
        self.raw.unlock();
    }
}

impl<T: ?Sized> Drop for MappedRwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.raw.end_read();
    }
}

impl<T: ?Sized> Drop for MappedRwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.raw.end_write(self.before);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedRwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedRwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedRwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedRwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
