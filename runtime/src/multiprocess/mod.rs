//! Functions of this program in child processes, and what processes share.
//!
//! [`Process`] runs a function in a copy of this process. [`Semaphore`] (with one permit: a lock), [`Queue`], and the
//! [`Connection`]s of [`duplex`] and [`one_way`] are made before, and work between both: a green thread that waits for one is
//! parked, and others of its process go on. A [`Map`] lies in a process of its own.
//!
//! # Only from a process with one OS thread
//!
//! A process is copied without its other OS threads, whose locks stay locked in the copy; so there must be none. `osier::run` with
//! one worker starts none. The offload pool's are told to end when they are idle. A process with several workers, or with OS
//! threads of std, cannot be copied; it can execute programs, with [`process::Command`](crate::process::Command). (The test
//! harness of `cargo test` has OS threads: set `harness = false`.) Nor can a process that has writable memory which would be
//! shared with the child instead of copied.
//!
//! Executing this program anew, and leading it to the function, would need neither, but a word of the program's `main`,
//! arguments as bytes, and some milliseconds.
//!
//! # Signals and sockets in the child
//!
//! [`Signals`](crate::signal::Signals) that were made before work in the child too, for its own signals. Sockets, files and pipes are
//! shared: each byte goes to one of the two. The end of a stream comes when all copies of the other end are closed, and the child
//! has copies of all descriptors, also of those that its function does not name: [`Builder::without`] keeps them from it.

mod fork;
mod map;
mod messages;
mod process;
mod semaphore;

pub use self::map::Map;
pub use self::messages::{Connection, MAX_MESSAGE, Queue, duplex, one_way};
pub use self::process::{Builder, Process, fork};
pub use self::semaphore::{Permit, Semaphore};
