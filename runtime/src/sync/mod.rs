//! What threads share, green or OS.

mod channel;
mod condvar;
mod condvar_core;
mod ends;
mod event;
#[allow(unsafe_code, reason = "lends the value that it guards")]
mod mutex;
mod mutex_core;
mod poison;
mod semaphore;
mod wait_group;

pub mod mpmc;
pub mod mpsc;

pub use self::condvar::{Condvar, WaitTimeoutResult};
pub use self::event::Event;
pub use self::mutex::{Mutex, MutexGuard};
pub use self::semaphore::{Semaphore, SemaphorePermit};
pub use self::wait_group::WaitGroup;
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
