//! The stack of the code that calls, as addresses.

use core::ffi::c_void;
use libc::c_int;

/// A frame, to those who unwind.
type Context = c_void;

// Of the library by which Rust unwinds.
unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut Context, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut Context) -> usize;
}

/// Tells `each` the address at which each frame goes on, from the innermost on, until that says no. `each` must not panic.
///
/// Also in a signal handler: from glibc 2.35 on nothing here takes a lock.
pub(crate) fn frames(mut each: &mut dyn FnMut(usize) -> bool) {
    extern "C" fn tell(context: *mut Context, argument: *mut c_void) -> c_int {
        // SAFETY: what `frames` passes, and is there until that returns.
        let each = unsafe { &mut *argument.cast::<&mut dyn FnMut(usize) -> bool>() };
        // SAFETY: the frame that is just looked at.
        let address = unsafe { _Unwind_GetIP(context) };
        // The address of a return may be the next function's.
        c_int::from(!each(address.saturating_sub(1)))
    }
    // SAFETY: of these types; the argument is there until this returns.
    unsafe { _Unwind_Backtrace(tell, (&raw mut each).cast()) };
}
