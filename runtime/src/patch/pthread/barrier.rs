//! `pthread_barrier_wait`: blocks the OS thread, and is only noted: who has come to a barrier is known to libc alone.

use super::super::behind::{Behind, behind};
use super::super::report::{Blocking, blocks, count};
use libc::{c_int, pthread_barrier_t};

type Wait = unsafe extern "C" fn(*mut pthread_barrier_t) -> c_int;

// SAFETY: the type of the function.
static WAIT: Behind<Wait> = unsafe { Behind::new(c"pthread_barrier_wait", None) };

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    count!(pthread_barrier_wait);
    blocks(Blocking::Barrier);
    behind!(WAIT, barrier)
}
