//! The runtime, from its start to the end of the process.

use crate::function::{Call, Function, Value};
use crate::number::{self, Outcome};
use crate::registry;
use crate::settings::{Settings, What};
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn osier_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Runs a function of C's as the main green thread of a runtime.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_run(
    body: Option<Function>,
    arg: *mut c_void,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { osier_run_with(ptr::null(), body, arg, result) }
}

/// [`osier_run`] with settings.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_run_with(
    settings: *const Settings,
    body: Option<Function>,
    arg: *mut c_void,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let call = unsafe { Call::new(body, arg) };
    // SAFETY: the caller's promise.
    let settings = unsafe { Settings::read(settings) };
    let outcome = call.and_then(|call| number::keeping_errno(|| run(&settings?, call)));
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

fn run(settings: &Settings, body: Call) -> Outcome {
    if osier::thread::worker().is_some() {
        return Err(libc::EBUSY);
    }
    let runtime = settings.builder().build().map_err(|error| number::of(&error))?;
    // After a deadlock the run has no result, but the body has returned all the same.
    let returned = Cell::new(Value::NULL);
    let begun = Cell::new(false);
    let run = || {
        runtime.try_run(|| {
            begun.set(true);
            let _known = registry::main();
            returned.set(body.run());
        })
    };
    let ended = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(ended) => ended,
        // For want of a stack or of an OS thread; the panic hook has said so.
        Err(_) if !begun.get() => return Err(libc::EAGAIN),
        Err(bug) => resume_unwind(bug),
    };
    let number = ended.map_or_else(
        |deadlock| {
            settings.reporter().tell(What::Deadlock, &deadlock.to_string());
            libc::EDEADLK
        },
        |()| 0,
    );
    Ok((returned.get(), number))
}

/// Ends the process, from anywhere.
#[unsafe(no_mangle)]
pub extern "C" fn osier_exit(status: c_int) -> ! {
    osier::process::exit(status)
}
