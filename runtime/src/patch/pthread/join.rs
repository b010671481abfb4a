//! `pthread_join`, with which std joins its threads: tried again and again, with pauses.

use super::super::report::count;
use super::{Behind, behind, on_green_that_may_switch};
use crate::limits;
use crate::thread::sleep_checked;
use core::ffi::c_void;
use core::time::Duration;
use libc::{c_int, pthread_t};

type Join = unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int;

// SAFETY: the type of the function.
static JOIN: Behind<Join> = unsafe { Behind::new(c"pthread_join", None) };
// SAFETY: the type of the function.
static TRY_JOIN: Behind<Join> = unsafe { Behind::new(c"pthread_tryjoin_np", None) };

/// The first pause and the longest.
const FIRST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(5);

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int {
    count!(pthread_join);
    let joined = on_green_that_may_switch(|worker| {
        TRY_JOIN.function()?;
        let mut pause = FIRST;
        loop {
            match behind!(TRY_JOIN, thread, value) {
                libc::EBUSY => {}
                answer => return Some(answer),
            }
            // There is no error that a join could end with. Under a shield, so it was not cancelled.
            let _ = limits::with_shield(|| sleep_checked(worker.now().checked_add(pause)));
            pause = LONGEST.min(pause * 2);
        }
    });
    joined.unwrap_or_else(|| behind!(JOIN, thread, value))
}
