//! The error number of the OS thread.

/// What the last failed libc call has left.
#[inline]
pub(crate) fn last() -> libc::c_int {
    // SAFETY: the function gives the address of this OS thread's own variable.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: valid as long as the OS thread lives.
    unsafe { *errno }
}

/// Leaves `code` for the caller of a libc function that says -1.
#[inline]
pub(crate) fn set(code: libc::c_int) {
    // SAFETY: the function gives the address of this OS thread's own variable.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: valid as long as the OS thread lives, and no other OS thread uses it.
    unsafe { *errno = code };
}

/// The OS thread's own variable, as long as it lives.
#[inline]
pub(crate) fn place() -> *mut libc::c_int {
    // SAFETY: gives an address, and does nothing else.
    unsafe { libc::__errno_location() }
}
