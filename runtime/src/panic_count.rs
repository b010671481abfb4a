//! Switching away from a stack that unwinds, without leaving std's panic count to bystanders.
//!
//! std counts panics for each OS thread. Were a green thread to park in a destructor while it unwinds, every other green
//! thread of that OS thread would find `std::thread::panicking()` true: their std locks would be poisoned, their guards
//! would misbehave. So the count is moved out before the switch and back after it (DESIGN, promise 7).
//!
//! There is no way to set the count on stable Rust, but there is one to move it by one. A *helper* is a fiber suspended in
//! the middle of a `resume_unwind`. To make one adds 1 to the count of the OS thread that makes it; to resume it lets it
//! catch its panic, which takes 1 off the count of the OS thread that resumes it. Helpers are all alike, so:
//!
//! - to take 1 off, finish a helper; when there is none in stock, have one made on an OS thread that ends after it;
//! - to put 1 on, make a helper, and keep it in stock.
//!
//! The stock is the process's, so it never holds more helpers than stacks were ever parked in mid-unwind at once.

use crate::fiber::{Fiber, State, Suspender};
use crate::inside;
use crate::primitive::Mutex;
use crate::stack;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Bytes of a helper's stack: room for the unwinder.
const STACK_SIZE: usize = 64 * 1024;

static STOCK: Mutex<Vec<Helper>> = Mutex::new(Vec::new());

/// A fiber suspended in the middle of an unwinding of its own.
struct Helper(Fiber);

// SAFETY: a helper's stack holds the frames of `Helper::new`'s body and of the unwinder, and these refer to nothing of the OS
// thread that made them: the payload is on the heap, the suspension touches no thread-local, and the count is looked up by
// std when the panic is caught, in a function that is entered after the switch.
unsafe impl Send for Helper {}

impl Helper {
    /// Adds 1 to this OS thread's count.
    fn new() -> Helper {
        struct SuspendOnDrop(Suspender);
        impl Drop for SuspendOnDrop {
            fn drop(&mut self) {
                // SAFETY: dropped by the body below, which runs on the fiber's own stack and has not returned.
                unsafe { self.0.suspend_bare() };
            }
        }
        let stack = stack::acquire(STACK_SIZE).expect("no memory for a stack that holds a panic count");
        let mut fiber = Fiber::new(stack, |suspender| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _suspend = SuspendOnDrop(suspender);
                resume_unwind(Box::new(()));
            }));
            debug_assert!(caught.is_err());
        });
        let state = fiber.resume();
        debug_assert_eq!(state, State::Suspended);
        Helper(fiber)
    }

    /// Takes 1 off this OS thread's count.
    fn finish(mut self) {
        let state = self.0.resume();
        debug_assert_eq!(state, State::Finished);
    }
}

/// Runs `switch` with this OS thread's panic count at zero, and puts the count back as it was.
#[inline]
pub(crate) fn lend(switch: impl FnOnce()) {
    if std::thread::panicking() { lend_slow(switch) } else { switch() }
}

/// Aborts the process if it is dropped, which those who make it do only by unwinding.
///
/// For what cannot be left half done: a worker's loop, since suspended stacks may refer to what that would drop; a policy,
/// since the green thread that was being queued would be lost; the wait of a scope, since its green threads borrow from its
/// caller; moving a panic count.
pub(crate) struct AbortOnUnwind;

impl AbortOnUnwind {
    /// Runs `f`, which must not unwind.
    pub(crate) fn run<T>(f: impl FnOnce() -> T) -> T {
        let guard = AbortOnUnwind;
        let value = f();
        core::mem::forget(guard);
        value
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cold]
fn lend_slow(switch: impl FnOnce()) {
    let count = inside::run(take_off);
    switch();
    inside::run(|| put_on(count));
}

/// How many unwindings this OS thread is in the middle of, one in a destructor of the other.
pub(crate) fn depth() -> usize {
    inside::run(|| {
        let count = take_off();
        put_on(count);
        count
    })
}

/// Takes this OS thread's count off; returns it. Aborts for want of memory or of an OS thread, as [`put_on`] does: it is
/// too late then for the wait that needs it to fail.
fn take_off() -> usize {
    let guard = AbortOnUnwind;
    let mut taken = 0;
    while std::thread::panicking() {
        let helper = STOCK.lock().pop();
        // An OS thread that ends with its count raised harms nobody: the count dies with it.
        let helper = helper.unwrap_or_else(|| {
            std::thread::spawn(Helper::new).join().expect("no OS thread to move a panic count with")
        });
        helper.finish();
        taken += 1;
    }
    core::mem::forget(guard);
    taken
}

fn put_on(count: usize) {
    let guard = AbortOnUnwind;
    for _ in 0..count {
        let helper = Helper::new();
        STOCK.lock().push(helper);
    }
    core::mem::forget(guard);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic count of two, as in a destructor that panics and catches while its stack unwinds.
    #[test]
    fn count_is_moved_out_and_back() {
        struct OnDrop<F: FnMut()>(F);
        impl<F: FnMut()> Drop for OnDrop<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        for _ in 0..3 {
            let mut seen = Vec::new();
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _outer = OnDrop(|| {
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        let _inner = OnDrop(|| {
                            lend(|| seen.push(std::thread::panicking()));
                            seen.push(std::thread::panicking());
                        });
                        resume_unwind(Box::new("inner"));
                    }));
                    seen.push(std::thread::panicking());
                });
                resume_unwind(Box::new("outer"));
            }));
            seen.push(std::thread::panicking());
            assert_eq!(seen, [false, true, true, false]);
        }
    }
}
