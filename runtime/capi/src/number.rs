//! What C is told: 0 or an error number, and what goes with it.

use crate::function::Value;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use osier::thread::{Cancelled, catch_cancelled};
use std::io;

/// The answer of a function that succeeds with nothing or fails with a number.
pub(crate) fn answer(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(0)
}

/// The number of an error of Osier's or of the system's.
pub(crate) fn of(error: &io::Error) -> c_int {
    let unnamed = match error.kind() {
        io::ErrorKind::InvalidInput => libc::EINVAL,
        io::ErrorKind::NotConnected => libc::EPERM,
        io::ErrorKind::OutOfMemory => libc::ENOMEM,
        _ => libc::EIO,
    };
    error.raw_os_error().unwrap_or(unnamed)
}

/// Runs `f`, which may wait, and leaves `errno` as it was: it belongs to the OS thread, and others run meanwhile.
///
/// # Errors
///
/// `ECANCELED` or `ETIMEDOUT` if a wait was ended from outside, after others have run.
pub(crate) fn waiting<T>(f: impl FnOnce() -> T) -> Result<T, c_int> {
    keeping_errno(|| {
        catch_cancelled(f).map_err(|cancelled| match cancelled {
            Cancelled::Elapsed => libc::ETIMEDOUT,
            // Or whatever else may end a wait one day.
            _ => libc::ECANCELED,
        })
    })
}

/// Runs `f` and leaves `errno` as it was.
pub(crate) fn keeping_errno<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: may be called on any thread. A green thread stays on its OS thread, so it is its variable also after a switch.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: valid as long as the OS thread lives, and nobody else's.
    let before = unsafe { place.read() };
    let value = f();
    // SAFETY: as above.
    unsafe { place.write(before) };
    value
}

/// What a function of C's has returned, with the number that goes with it; as an error, why it was not called.
pub(crate) type Outcome = Result<(Value, c_int), c_int>;

/// Stores what a function of C's has returned where C wants it, if it does, and gives the number.
///
/// # Safety
///
/// `result` must be null, or valid for a write.
pub(crate) unsafe fn finish(result: *mut *mut c_void, outcome: Outcome) -> c_int {
    match outcome {
        Ok((Value(value), number)) => {
            if !result.is_null() {
                // SAFETY: the caller's promise.
                unsafe { result.write(value) };
            }
            number
        }
        Err(number) => number,
    }
}

/// Writes `text` and a zero byte.
///
/// # Safety
///
/// `buffer` must be valid for a write of one byte more than `text` has.
pub(crate) unsafe fn copy(text: &str, buffer: *mut c_char) {
    // SAFETY: the caller's promise; a string of ours is nowhere in C's buffer.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast::<c_char>(), buffer, text.len()) };
    // SAFETY: the caller's promise.
    unsafe { buffer.add(text.len()).write(0) };
}
