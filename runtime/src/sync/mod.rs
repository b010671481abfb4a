//! What threads share, green or OS.

mod channel;
mod ends;
mod event;
mod semaphore;
mod wait_group;

pub mod mpmc;
pub mod mpsc;

pub use self::event::Event;
pub use self::semaphore::{Semaphore, SemaphorePermit};
pub use self::wait_group::WaitGroup;
