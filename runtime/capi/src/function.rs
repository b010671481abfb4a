//! Functions that C has us call, and what passes through them.

use core::ffi::{c_int, c_void};
use std::io::Write;

/// `osier_function_t *`, not null.
pub type Function = unsafe extern "C-unwind" fn(arg: *mut c_void) -> *mut c_void;

/// A function of C's with its argument.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    function: Function,
    arg: *mut c_void,
}

// SAFETY: who hands a function to another OS thread has been told by the header that it and its argument must bear that.
unsafe impl Send for Call {}

/// What a function of C's has returned.
#[derive(Clone, Copy)]
pub(crate) struct Value(pub(crate) *mut c_void);

// SAFETY: as for `Call`; here it is only carried.
unsafe impl Send for Value {}

impl Value {
    pub(crate) const NULL: Value = Value(core::ptr::null_mut());
}

impl Call {
    /// A function that C has given.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is null.
    ///
    /// # Safety
    ///
    /// It must bear to be called with `arg`, once, on whichever OS thread the header says.
    pub(crate) unsafe fn new(function: Option<Function>, arg: *mut c_void) -> Result<Call, c_int> {
        function.map(|function| Call { function, arg }).ok_or(libc::EINVAL)
    }

    /// Calls it.
    pub(crate) fn run(self) -> Value {
        // SAFETY: the promise of `new`.
        Value(returning(|| unsafe { (self.function)(self.arg) }))
    }
}

/// Runs `f`, which calls a function of C's, and aborts if that is left in another way than by its return: frames would be
/// unwound that do not know of it, and with a `pthread_exit` all green threads of the OS thread would be lost.
pub(crate) fn returning<T>(f: impl FnOnce() -> T) -> T {
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            let sentence = "osier: a function that was given to Osier must return; a C++ exception or pthread_exit has left it";
            // Nothing is left to be done if there is no standard error.
            let _ = std::io::stderr().write_all(format!("\n{sentence}\n").as_bytes());
            std::process::abort();
        }
    }
    let leaves = Leaves;
    let value = f();
    core::mem::forget(leaves);
    value
}
