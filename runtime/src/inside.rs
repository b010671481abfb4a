//! Whether the code that runs is the runtime's, so that a wait must block the OS thread.
//!
//! # Invariant
//!
//! With the feature `patch` whatever waits in libc may park the green thread that runs. Nothing that the runtime calls while it
//! must not switch may do so. Three rules keep it from that:
//!
//! 1. The runtime's own locks ([`crate::primitive`]) do not wait through libc.
//! 2. Calls into std that may wait for locks of std's, such as the start of an OS thread, are made inside of [`run`]; and so are those of
//!    crates that may call `std::thread::yield_now`.
//! 3. While a `RefCell` of the worker is borrowed, or a wait has been prepared and not begun, the worker says that it is busy
//!    ([`Worker::may_switch`](crate::scheduler::Worker::may_switch)): so an allocator, a policy or a clock that waits for a lock there
//!    blocks the OS thread.

use core::cell::Cell;

thread_local! {
    /// How many calls of `run` are under way on this OS thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f`, which does not switch, and in which shims block.
pub(crate) fn run<T>(f: impl FnOnce() -> T) -> T {
    struct Leave(usize);
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }
    let outside = DEPTH.get();
    DEPTH.set(outside + 1);
    let _leave = Leave(outside);
    f()
}

/// Whether such a call is under way.
#[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "asked by shims alone"))]
#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
}
