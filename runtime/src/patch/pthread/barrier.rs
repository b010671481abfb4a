//! `pthread_barrier_wait`: libc's own, on an OS thread of its own for each green thread that waits.
//!
//! Who has come to a barrier is known to libc alone, which has no function that comes without waiting. So libc says who the one is
//! that is told apart, threads of both kinds meet, and those of other processes; and once a green thread goes on its other OS thread
//! has left the barrier, which may be destroyed. To count who comes here instead would let none of another process come.
//!
//! A wait that was given up would leave the barrier with one too many: nothing ends it but the others.

use super::super::pauses::Pauses;
use super::super::pool::apart;
use super::super::report::count;
use super::{Behind, behind, field, on_green_keeping_errno};
use crate::park::Reason;
use libc::{c_int, pthread_barrier_t};

type Wait = unsafe extern "C" fn(*mut pthread_barrier_t) -> c_int;

// SAFETY: the type of the function.
static WAIT: Behind<Wait> = unsafe { Behind::new(c"pthread_barrier_wait", None) };

/// Where a barrier has the number of those that it is for, and whether processes share it.
const COUNT: usize = 8;
const SHARED: usize = 12;

/// Whether it is for one thread, so that none waits there, and none but this process's uses it.
///
/// # Safety
///
/// The barrier must be valid.
unsafe fn is_for_one(barrier: *mut pthread_barrier_t) -> bool {
    // SAFETY: the caller's promise.
    let (count, shared) = unsafe { (field(barrier, COUNT), field(barrier, SHARED)) };
    // Before glibc 2.25 these were how many are still to come, and the number: that is 1 then.
    count == 1 && matches!(shared, 0 | 1)
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    count!(pthread_barrier_wait);
    let waited = on_green_keeping_errno(|worker| {
        WAIT.function()?;
        // SAFETY: the caller's promise.
        if unsafe { is_for_one(barrier) } {
            return None;
        }
        let reason = Reason::Pthread("pthread barrier", barrier as usize);
        let wait = || behind!(WAIT, barrier);
        let mut pauses = Pauses::new();
        loop {
            // SAFETY: libc's function may be called on any OS thread, and does not panic.
            match unsafe { apart(reason, wait) } {
                Ok(answer) => return Some(answer),
                // For want of an OS thread, of which no caller could make anything. In place none of this OS thread's would come.
                Err(_) => pauses.pause_shielded(worker, "pthread_barrier_wait", None),
            }
        }
    });
    waited.unwrap_or_else(|| behind!(WAIT, barrier))
}
