//! What [`std::os`] has on this platform; what waits is for green threads, the rest is std's own.

pub mod unix;

pub use std::os::{fd, linux};
