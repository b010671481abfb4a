//! What [`std::os::unix`] has; `fs`, `net` and `process` for green threads, the rest is std's own.

pub mod fs;
pub mod net;
pub mod process;

pub use std::os::unix::{ffi, io};
