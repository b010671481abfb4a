//! What [`std::os::unix`] has; `net` for green threads, the rest is std's own.

pub mod net;
pub mod process;

pub use std::os::unix::{ffi, fs, io};
