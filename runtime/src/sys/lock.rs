//! The locks of the runtime itself.
//!
//! They block the OS thread, whatever is patched. std's would not: with the futexes patched a std lock that is taken parks the
//! green thread, and the runtime locks in places where it must not switch. They are held for a few instructions at a time,
//! never across a switch and never while code of a user runs, so that they are soon free. They know no poison: nothing that
//! runs under them panics.

use super::futex;
use crate::inside;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

const FREE: u32 = 0;
const LOCKED: u32 = 1;
/// Locked, and somebody may wait.
const CONTENDED: u32 = 2;

/// Looks before a wait: a holder is nearly always about to unlock.
const SPINS: usize = 100;

/// A value and its lock.
pub(crate) struct Mutex<T: ?Sized> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one OS thread at a time.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

// As std's, of which poison is the guarantee; here it is that nothing panics under the lock.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// Access to a locked value; unlocks when it is dropped.
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// Stays on its OS thread, as std's.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: it gives out no more than a reference to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // Acquire, here and below: pairs with the release of `drop`.
        if self.state.compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
        MutexGuard::new(self)
    }

    /// The lock, if it is free.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let free = self.state.compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| MutexGuard::new(self))
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..SPINS {
            if self.state.load(Ordering::Relaxed) != LOCKED {
                break;
            }
            core::hint::spin_loop();
        }
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            futex::wait(&self.state, CONTENDED, None);
        }
    }

    /// The value, which nobody else can see.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For who has just locked it.
    #[inline]
    fn new(mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        inside::has_locked();
        MutexGuard { mutex, _not_send: PhantomData }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        inside::has_unlocked();
        if self.mutex.state.swap(FREE, Ordering::Release) == CONTENDED {
            futex::wake(&self.mutex.state, 1);
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard has the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// Where OS threads wait for a change of what a [`Mutex`] guards.
pub(crate) struct Condvar {
    /// Counts notifications.
    count: AtomicU32,
}

impl Condvar {
    pub(crate) const fn new() -> Condvar {
        Condvar { count: AtomicU32::new(0) }
    }

    /// Waits for a notification, with the lock free meanwhile; for no reason at times.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Option<Duration>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex;
        // Relaxed, here and below: a notification that comes after a change made under the lock finds this done, under the lock.
        let count = self.count.load(Ordering::Relaxed);
        drop(guard);
        futex::wait(&self.count, count, limit);
        mutex.lock()
    }

    pub(crate) fn notify_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        futex::wake(&self.count, 1);
    }

    pub(crate) fn notify_all(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        futex::wake(&self.count, libc::c_int::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn a_lock_lets_one_at_a_time_in() {
        let total = Arc::new(Mutex::new(0_u64));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let total = total.clone();
                thread::spawn(move || (0..20_000).for_each(|_| *total.lock() += 1))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*total.lock(), 80_000);
    }

    #[test]
    fn no_notification_is_lost_and_a_limit_ends_a_wait() {
        let shared = Arc::new((Mutex::new(VecDeque::new()), Condvar::new()));
        let taker = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut sum = 0;
                for _ in 0..10_000 {
                    let mut queue = shared.0.lock();
                    while queue.is_empty() {
                        queue = shared.1.wait(queue, None);
                    }
                    sum += queue.pop_front().unwrap();
                }
                sum
            })
        };
        for number in 0..10_000_u64 {
            shared.0.lock().push_back(number);
            shared.1.notify_one();
        }
        assert_eq!(taker.join().unwrap(), 10_000 * 9_999 / 2);
        let limit = Duration::from_millis(5);
        let start = Instant::now();
        let mut queue = shared.0.lock();
        while start.elapsed() < limit {
            queue = shared.1.wait(queue, Some(limit));
        }
        assert!(queue.is_empty());
        shared.1.notify_all();
    }
}
