//! What threads share, green or OS.
//!
//! Each works between green threads of one worker, of several, of several runtimes, and OS threads that know nothing of those.
//! Whoever waits on a green thread lets others of its worker run. Those who wait are served in the order in which they came;
//! one that is killed or late meanwhile loses nothing that was meant for it: it goes to the next.
//!
//! - Under std's names: [`Mutex`], [`RwLock`], [`Condvar`], [`Barrier`], [`Once`], [`OnceLock`], [`LazyLock`], [`ReentrantLock`], and the
//!   channels of [`mpsc`] and [`mpmc`]. What needs no change is std's: [`Arc`], [`Weak`], [`atomic`].
//! - Besides: [`Semaphore`] (a number of permits), [`Event`] (a flag that is waited for), [`WaitGroup`] (until all have left).
//!
//! # Differences from std
//!
//! - A kill, the end of a [`timeout`](crate::time::timeout), and a greenlet or generator that is told to end poison nothing: they unwind from a
//!   wait, and nobody has failed. (`std::thread::panicking` is true meanwhile.)
//! - A green thread that is killed in the closure of a [`Once`] or [`OnceLock`] leaves it to the next one that asks; the closure of
//!   a [`LazyLock`], of which there is no second, is not interrupted. One that asks for itself panics.
//! - A [`Mutex`] that was given to others past a waiter goes to that waiter next; an [`RwLock`] is served in the order of arrival.
//! - Locks wait for at most a time with `lock_timeout`, `read_timeout` and `write_timeout`.
//! - [`ReentrantLock`], the mapped guards and the path [`poison`] are stable here; `get_cloned`, `set` and `replace` of a lock are not there.
//! - A lock is larger than std's, since its queue is in it: a `Mutex<()>` takes 96 bytes.

mod barrier;
mod barrier_core;
mod channel;
mod condvar;
mod condvar_core;
mod ends;
mod event;
#[allow(unsafe_code, reason = "lends the value that it has made")]
mod lazy_lock;
#[allow(unsafe_code, reason = "lends a part of the value that a lock guards")]
mod mapped;
#[allow(unsafe_code, reason = "lends the value that it guards")]
mod mutex;
mod mutex_core;
mod once;
mod once_core;
#[allow(unsafe_code, reason = "lends the value that was written")]
mod once_lock;
mod poisoning;
#[allow(unsafe_code, reason = "shares what its owner alone reaches")]
mod reentrant_lock;
#[allow(unsafe_code, reason = "lends the value that it guards")]
mod rwlock;
mod rwlock_core;
mod semaphore;
mod wait_group;

pub mod mpmc;
pub mod mpsc;

/// The locks that a panic poisons, under the path that std has for them too, not stable yet.
pub mod poison {
    pub use super::{
        Condvar, LockResult, MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex,
        MutexGuard, Once, OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
        TryLockResult, WaitTimeoutResult,
    };
}

pub use self::barrier::{Barrier, BarrierWaitResult};
pub use self::condvar::{Condvar, WaitTimeoutResult};
pub use self::event::Event;
pub use self::lazy_lock::LazyLock;
pub use self::mapped::{MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard};
pub use self::mutex::{Mutex, MutexGuard};
pub use self::once::{Once, OnceState};
pub use self::once_lock::OnceLock;
pub use self::reentrant_lock::{ReentrantLock, ReentrantLockGuard};
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::semaphore::{Semaphore, SemaphorePermit};
pub use self::wait_group::WaitGroup;
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
