//! Osier.
#![deny(unsafe_code)]
#[cfg(not(panic = "unwind"))]
compile_error!(
    "osier needs `panic = \"unwind\"`: ending a green thread unwinds its stack so that destructors run"
);

mod clock;
#[allow(unsafe_code, reason = "refers to frames beneath the running one")]
mod entry;
#[allow(unsafe_code, reason = "switches stacks")]
mod fiber;
#[allow(unsafe_code, reason = "control blocks that several stacks refer to")]
pub mod generator;
#[allow(unsafe_code, reason = "control blocks that several stacks refer to")]
pub mod greenlet;
#[allow(unsafe_code, reason = "an intrusive list of shared items")]
mod inbox;
#[allow(unsafe_code, reason = "frames on the stack, linked by pointer")]
mod limits;
mod offload;
mod os_thread;
#[allow(unsafe_code, reason = "moves a suspended stack between OS threads")]
mod panic_count;
mod park;
mod primitive;
mod reactor;
mod readiness;
#[allow(unsafe_code, reason = "suspends stacks; lends a main body's borrows to its green thread")]
mod scheduler;
#[allow(unsafe_code, reason = "maps memory")]
mod stack;
#[allow(unsafe_code, reason = "calls libc")]
mod sys;
#[allow(unsafe_code, reason = "cells that belong to one worker")]
mod task;
mod timer;
mod wait_queue;

pub mod fs;
#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod net;
#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod os;
#[cfg(feature = "patch")]
#[allow(unsafe_code, reason = "defines and calls libc's functions")]
pub mod patch;
pub mod signal;
pub mod sync;
#[allow(unsafe_code, reason = "lends a scope's borrows to its green threads")]
pub mod thread;
pub mod time;

pub use crate::offload::offload;
pub use crate::scheduler::{
    Builder, Deadlock, Entered, Handle, Policy, Ready, Runtime, SeededRandom, Waiting, run,
};
pub use crate::stack::{Stacks, stats as stacks};
pub use crate::thread::{shield, sleep, spawn, spawn_local, yield_now};

/// Has the README's program run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
