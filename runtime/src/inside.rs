//! Whether the code that runs is the runtime's, so that a wait must block the OS thread.
//!
//! # Invariant
//!
//! With the feature `patch` whatever waits in libc may park the green thread that runs. Nothing that the runtime calls while it
//! must not switch may do so. Three rules keep it from that:
//!
//! 1. The runtime's own locks ([`crate::primitive`]) do not wait through libc; and while an OS thread has one, an allocator that waits or yields
//!    there blocks it: whoever runs instead might want that lock, and would block the OS thread for ever.
//! 2. Calls into std that may wait for locks of std's, such as the start of an OS thread, are made inside of [`run`]; and so are those of
//!    crates that may call `std::thread::yield_now`.
//! 3. While a `RefCell` of the worker is borrowed, or a wait has been prepared and not begun, the worker says that it is busy
//!    ([`Worker::may_switch`](crate::scheduler::Worker::may_switch)): so an allocator, a policy or a clock that waits there, for a
//!    lock or by a sleep say, blocks the OS thread.

use core::cell::Cell;

thread_local! {
    /// How many calls of `run` are under way on this OS thread, and how many of the runtime's locks it has.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f`, which does not switch, and in which shims block.
pub(crate) fn run<T>(f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            leave();
        }
    }
    enter();
    let _leave = Leave;
    f()
}

/// Begins what [`leave`] ends, in any order with others.
#[inline(always)]
fn enter() {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
}

#[inline(always)]
fn leave() {
    DEPTH.with(|depth| depth.set(depth.get() - 1));
}

/// A lock of the runtime's has been taken.
#[inline(always)]
pub(crate) fn has_locked() {
    if cfg!(feature = "patch") {
        enter();
    }
}

/// Such a lock is free again.
#[inline(always)]
pub(crate) fn has_unlocked() {
    if cfg!(feature = "patch") {
        leave();
    }
}

/// Whether such a call is under way, or this OS thread has a lock.
#[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "asked by shims alone"))]
#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
}
