//! Osier for C: the library behind `include/osier.h`, which says what each function does.
//!
//! Stands on the public API of the crate `osier`. Besides the functions of the header the library exports the shims of
//! `osier::patch`, which stand in front of libc's functions for the whole process, since a program names this library before libc.
//!
//! # Invariants
//!
//! 1. Nothing unwinds through C, in either direction. A cancellation that ends a wait becomes a number (`number::waiting`). A C++
//!    exception or a `pthread_exit` that leaves a function of C's aborts with a sentence (`function::returning`). A panic of ours
//!    would be a bug; Rust aborts when one is about to leave an `extern "C"` function.
//! 2. So the function of a green thread, once it has begun, returns: that it was killed is for it to be told at each of its
//!    waits, and its result is a result.
//! 3. C names threads by numbers that are looked up (`registry`), so that a name that is out of date is an error and no
//!    access to freed memory.
//!
//! # Map
//!
//! `run`, `thread`, `wait` and `patch` hold the functions of the header in its order. Beneath: `registry` (who is there),
//! `settings` (structs that grow), `function` (what C has us call), `number` (what C is told).

mod function;
mod number;
mod patch;
mod registry;
mod run;
mod settings;
mod thread;
mod wait;

pub use self::function::Function;
pub use self::patch::{osier_patch_all, osier_patch_group, osier_patch_is_active, osier_patch_report};
pub use self::registry::ThreadName;
pub use self::run::{osier_exit, osier_run, osier_run_with, osier_version};
pub use self::settings::{Attr, Report, Settings};
pub use self::thread::{
    osier_detach, osier_is_finished, osier_join, osier_join_timeout, osier_kill, osier_name,
    osier_on_green_thread, osier_self, osier_spawn, osier_unpark,
};
pub use self::wait::{
    osier_now, osier_offload, osier_park, osier_park_timeout, osier_shield, osier_sleep, osier_timeout,
    osier_yield,
};
