//! What threads share, green or OS.

mod semaphore;

pub use self::semaphore::{Semaphore, SemaphorePermit};
