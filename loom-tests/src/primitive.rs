//! loom's side of the runtime's `primitive` module: the same names, as far as the sources that
//! are checked use them, made of types whose every interleaving can be explored.
//!
//! loom makes its objects inside of an execution, and what the sources make may be made in a `const fn`. So an object is made
//! when it is first used. loom wants whoever uses an atomic to come after who has made it: a model uses each once, on its
//! first thread, before it spawns the others.

use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool as AtomicFlag;

pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering, fence};
pub(crate) use loom::sync::{Arc, Condvar};

/// A lock.
pub(crate) struct Mutex<T> {
    /// What loom explores. Holds nothing, since only a `const fn` can make a value that is there before its lock is.
    lock: OnceLock<loom::sync::Mutex<()>>,
    /// Never waited for: locked by who has locked `lock`.
    value: std::sync::Mutex<T>,
}

/// A lock that is held.
pub(crate) struct MutexGuard<'a, T> {
    // In this order: the value must be free when the next one has the lock.
    value: std::sync::MutexGuard<'a, T>,
    lock: loom::sync::MutexGuard<'a, ()>,
    mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex { lock: OnceLock::new(), value: std::sync::Mutex::new(value) }
    }
}

/// As the runtime's.
#[track_caller]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let lock = mutex.lock.get_or_init(|| loom::sync::Mutex::new(())).lock();
    MutexGuard::locked(mutex, lock.expect(UNPOISONED))
}

const UNPOISONED: &str = "loom's locks are not poisoned";

impl<'a, T> MutexGuard<'a, T> {
    fn locked(mutex: &'a Mutex<T>, lock: loom::sync::MutexGuard<'a, ()>) -> MutexGuard<'a, T> {
        let value = mutex.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        MutexGuard { value, lock, mutex }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Whether the time of each [`wait_while`] is over when it begins. Set by a model at its start.
pub(crate) static IMPATIENT: AtomicFlag = AtomicFlag::new(false);

/// As the runtime's. loom has no time: either it never passes, or others do something while it does, if they like.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    _: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&mut guard) {
        let MutexGuard { value, lock: held, mutex } = guard;
        drop(value);
        if IMPATIENT.load(Ordering::Relaxed) {
            drop(held);
            return lock(mutex);
        }
        guard = MutexGuard::locked(mutex, condvar.wait(held).expect(UNPOISONED));
    }
    guard
}

/// OS threads that were started. Set to 0 by a model at its start.
pub(crate) static STARTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// As the runtime's.
#[allow(clippy::unnecessary_wraps, reason = "a machine may give no OS thread")]
pub(crate) fn start_os_thread(_: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    STARTED.fetch_add(1, Ordering::Relaxed);
    loom::thread::spawn(body);
    Ok(())
}

/// An atomic that can be made in a `const fn`.
#[rustfmt::skip]
macro_rules! atomic {
    ($name:ident, $value:ty, $($operation:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            first: $value,
            atomic: OnceLock<loom::sync::atomic::$name>,
        }

        impl $name {
            pub(crate) const fn new(value: $value) -> $name {
                $name { first: value, atomic: OnceLock::new() }
            }

            $(#[allow(dead_code, reason = "what sources do not need now they may need soon")]
            #[track_caller]
            pub(crate) fn $operation(&self, $($argument: $kind),*) -> $result {
                self.atomic.get_or_init(|| loom::sync::atomic::$name::new(self.first)).$operation($($argument),*)
            })*
        }
    };
}

atomic! {
    AtomicBool, bool,
    load(order: Ordering) -> bool;
    store(value: bool, order: Ordering) -> ();
    swap(value: bool, order: Ordering) -> bool;
    compare_exchange(now: bool, new: bool, success: Ordering, failure: Ordering) -> Result<bool, bool>;
}

atomic! {
    AtomicU32, u32,
    load(order: Ordering) -> u32;
    store(value: u32, order: Ordering) -> ();
    swap(value: u32, order: Ordering) -> u32;
    compare_exchange(now: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32>;
}

atomic! {
    AtomicU64, u64,
    load(order: Ordering) -> u64;
    store(value: u64, order: Ordering) -> ();
}

atomic! {
    AtomicUsize, usize,
    load(order: Ordering) -> usize;
    store(value: usize, order: Ordering) -> ();
    swap(value: usize, order: Ordering) -> usize;
    fetch_add(value: usize, order: Ordering) -> usize;
    fetch_sub(value: usize, order: Ordering) -> usize;
    fetch_and(value: usize, order: Ordering) -> usize;
    fetch_or(value: usize, order: Ordering) -> usize;
    compare_exchange(now: usize, new: usize, success: Ordering, failure: Ordering) -> Result<usize, usize>;
    compare_exchange_weak(now: usize, new: usize, success: Ordering, failure: Ordering) -> Result<usize, usize>;
}
