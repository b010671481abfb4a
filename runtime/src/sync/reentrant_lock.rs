//! A lock that its owner may take again.

use super::mutex_core::MutexCore;
use crate::clock::Instant;
use crate::os_thread::OsThread;
use crate::park::{Holder, Reason};
use crate::scheduler;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Guards a value: one thread at a time, green or OS, may use it, and that thread may lock it again while it has it.
///
/// As std's, which is not stable yet. It belongs to the green thread, not to the OS thread under it. Since there may be several
/// guards, they give out shared references only: put a `Cell` or `RefCell` inside. It is not poisoned.
///
/// ```
/// use osier::sync::ReentrantLock;
/// use std::cell::Cell;
/// let lock = ReentrantLock::new(Cell::new(1));
/// let outer = lock.lock();
/// {
///     let inner = lock.lock();
///     inner.set(outer.get() + 1);
/// }
/// assert_eq!(outer.get(), 2);
/// ```
pub struct ReentrantLock<T: ?Sized> {
    core: MutexCore,
    holder: Holder,
    /// The id of the thread, green or OS, that has it; 0 when none has.
    owner: AtomicU64,
    /// How often the owner has it. Only the owner touches it.
    count: Cell<u32>,
    value: T,
}

// SAFETY: the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for ReentrantLock<T> {}
// SAFETY: the value, and `count`, are reached by one thread at a time, the owner; so threads that share the lock pass the value on
// to each other, which `Send` allows.
unsafe impl<T: ?Sized + Send> Sync for ReentrantLock<T> {}

impl<T: ?Sized + UnwindSafe> UnwindSafe for ReentrantLock<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ReentrantLock<T> {}

impl<T> ReentrantLock<T> {
    /// A lock that guards `value` and is free.
    #[must_use]
    pub const fn new(value: T) -> ReentrantLock<T> {
        ReentrantLock {
            core: MutexCore::new(),
            holder: Holder::nobody(),
            owner: AtomicU64::new(0),
            count: Cell::new(0),
            value,
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantLock<T> {
    /// Waits until no other thread has the lock, and has it until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If the thread has it 4,294,967,295 times.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds, without the lock.
    pub fn lock(&self) -> ReentrantLockGuard<'_, T> {
        self.lock_until(None).expect("a wait without a deadline does not reach it")
    }

    /// [`ReentrantLock::lock`], for at most `timeout`; `None` if the time is over first.
    ///
    /// # Panics
    ///
    /// As [`ReentrantLock::lock`].
    ///
    /// # Cancellation
    ///
    /// As [`ReentrantLock::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> Option<ReentrantLockGuard<'_, T>> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.lock_until(Some(deadline)),
            None => Some(self.lock()),
        }
    }

    /// Has the lock until the guard is dropped, if no other thread has it. Never waits.
    ///
    /// # Panics
    ///
    /// As [`ReentrantLock::lock`].
    pub fn try_lock(&self) -> Option<ReentrantLockGuard<'_, T>> {
        let me = me();
        (self.is_owned_by(me) || self.core.try_lock()).then(|| self.guard(me))
    }

    /// The value. Never waits: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Option<ReentrantLockGuard<'_, T>> {
        let me = me();
        let reason = Reason::ReentrantLock(core::ptr::from_ref(&self.core).addr(), &self.holder);
        let locked = scheduler::checkpoint()
            .and_then(|()| if self.is_owned_by(me) { Ok(true) } else { self.core.lock(reason, deadline) });
        match locked {
            Ok(true) => Some(self.guard(me)),
            Ok(false) => None,
            Err(cancelled) => cancelled.raise(),
        }
    }

    fn is_owned_by(&self, thread: u64) -> bool {
        // Relaxed: a thread finds its own id only if it has put it there itself and not taken it away since.
        self.owner.load(Ordering::Relaxed) == thread
    }

    /// One more guard of the calling thread, `me`, which has the lock.
    fn guard(&self, me: u64) -> ReentrantLockGuard<'_, T> {
        if self.count.get() == 0 {
            self.owner.store(me, Ordering::Relaxed);
            self.holder.name();
        }
        let count = self.count.get().checked_add(1);
        self.count.set(count.expect("a thread has locked a reentrant lock 4294967295 times"));
        ReentrantLockGuard { lock: self, _not_send: PhantomData }
    }
}

/// The id of the thread that calls.
fn me() -> u64 {
    match scheduler::running_id() {
        0 => OsThread::current().id,
        id => id,
    }
}

impl<T: Default> Default for ReentrantLock<T> {
    fn default() -> ReentrantLock<T> {
        ReentrantLock::new(T::default())
    }
}

impl<T> From<T> for ReentrantLock<T> {
    fn from(value: T) -> ReentrantLock<T> {
        ReentrantLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReentrantLock");
        match self.try_lock() {
            Some(guard) => debug.field("data", &&*guard),
            None => debug.field("data", &format_args!("<locked>")),
        };
        debug.finish_non_exhaustive()
    }
}

/// A [`ReentrantLock`] that its thread has; dropping the last of its guards gives it back. It stays on its OS thread.
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// send(osier::sync::ReentrantLock::new(()).lock());
/// ```
#[must_use = "the lock is given back when this is dropped"]
pub struct ReentrantLockGuard<'a, T: ?Sized + 'a> {
    lock: &'a ReentrantLock<T>,
    /// Not `Send`.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for ReentrantLockGuard<'_, T> {}

impl<T: ?Sized> Deref for ReentrantLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T: ?Sized> Drop for ReentrantLockGuard<'_, T> {
    fn drop(&mut self) {
        let left = self.lock.count.get() - 1;
        self.lock.count.set(left);
        if left == 0 {
            self.lock.owner.store(0, Ordering::Relaxed);
            self.lock.holder.clear();
            self.lock.core.unlock();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
