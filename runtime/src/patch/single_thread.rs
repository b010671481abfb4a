//! Has the libraries of the process take it for one with several threads.
//!
//! glibc tells them in a variable whether there is one OS thread. C++'s library then does without what several threads need: the
//! second green thread that comes to a function's static variable while the first initialises it is told that a function has called
//! itself, instead of waiting.

use core::sync::atomic::{AtomicU8, Ordering};

/// Says that there are several. glibc itself says so for good once an OS thread was started.
pub(super) fn deny() {
    // SAFETY: a string that ends with a zero byte. glibc has had the variable since 2.32.
    let variable = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
    if !variable.is_null() {
        // SAFETY: a `char` that is there as long as the process, and that nothing but such calls and glibc write.
        let variable = unsafe { AtomicU8::from_ptr(variable.cast()) };
        // Relaxed: it says nothing about other memory.
        variable.store(0, Ordering::Relaxed);
    }
}
