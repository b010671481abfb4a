//! Waiting, and what bounds it.

use crate::function::{Call, Function, Value};
use crate::number::{self, Outcome, answer, keeping_errno, waiting};
use core::ffi::{c_int, c_void};
use osier::time::{Clock, Duration, FakeClock, Instant};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

/// Lets the others run first.
#[unsafe(no_mangle)]
pub extern "C" fn osier_yield() -> c_int {
    answer(waiting(osier::yield_now))
}

/// Waits for a time.
#[unsafe(no_mangle)]
pub extern "C" fn osier_sleep(nanoseconds: u64) -> c_int {
    answer(waiting(|| osier::sleep(Duration::from_nanos(nanoseconds))))
}

/// Waits to be unparked.
#[unsafe(no_mangle)]
pub extern "C" fn osier_park() -> c_int {
    answer(waiting(osier::thread::park))
}

/// [`osier_park`], for so long at most.
#[unsafe(no_mangle)]
pub extern "C" fn osier_park_timeout(nanoseconds: u64) -> c_int {
    answer(waiting(|| osier::thread::park_timeout(Duration::from_nanos(nanoseconds))))
}

/// Runs a function of C's on the offload pool.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_offload(
    f: Option<Function>,
    arg: *mut c_void,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let outcome = unsafe { Call::new(f, arg) }.and_then(offloaded);
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

fn offloaded(call: Call) -> Outcome {
    // Who offloads call after call is to hear of a kill in between.
    waiting(osier::yield_now)?;
    // Whatever the function uses may be on the caller's stack. It does not panic: a panic is the want of an OS thread.
    let offload = || osier::shield(|| osier::offload(move || call.run()));
    match keeping_errno(|| catch_unwind(AssertUnwindSafe(offload))) {
        Ok(value) => Ok((value, 0)),
        Err(_) => Err(libc::EAGAIN),
    }
}

/// Runs a function of C's whose waits end after a time.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_timeout(
    nanoseconds: u64,
    f: Option<Function>,
    arg: *mut c_void,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let outcome = unsafe { Call::new(f, arg) }.map(|call| bounded(Duration::from_nanos(nanoseconds), call));
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

fn bounded(duration: Duration, call: Call) -> (Value, c_int) {
    let end = Instant::now().checked_add(duration);
    let Ok(value) = osier::time::timeout(duration, || call.run()) else {
        unreachable!("nothing unwinds through a function of C's")
    };
    let is_over = end.is_some_and(|end| Instant::now() >= end);
    (value, if is_over { libc::ETIMEDOUT } else { 0 })
}

/// Runs a function of C's whose waits nothing outside ends.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_shield(
    f: Option<Function>,
    arg: *mut c_void,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let outcome = unsafe { Call::new(f, arg) }.map(|call| (osier::shield(|| call.run()), 0));
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

/// The time.
#[unsafe(no_mangle)]
pub extern "C" fn osier_now() -> u64 {
    // The machine's clock counts from the same instant as one that has not been moved on.
    static START: LazyLock<Instant> = LazyLock::new(|| FakeClock::new().now());
    let since = Instant::now().duration_since(*START);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
