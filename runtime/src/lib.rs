//! Osier.
#![deny(unsafe_code)]
#[cfg(not(panic = "unwind"))]
compile_error!(
    "osier needs `panic = \"unwind\"`: ending a green thread unwinds its stack so that destructors run"
);

mod clock;
#[allow(unsafe_code, reason = "switches stacks")]
mod fiber;
#[allow(unsafe_code, reason = "an intrusive list of shared items")]
mod inbox;
#[allow(unsafe_code, reason = "frames on the stack, linked by pointer")]
mod limits;
#[allow(unsafe_code, reason = "moves a suspended stack between OS threads")]
mod panic_count;
mod primitive;
#[allow(unsafe_code, reason = "maps memory")]
mod stack;
#[allow(unsafe_code, reason = "calls libc")]
mod sys;

/// What std's `time` has.
pub mod time {
    pub use crate::clock::{Clock, FakeClock, Instant, MachineClock};
    pub use core::time::Duration;
}
