//! `pthread_once`: while it happens on a green thread that waits, others wait for that one, also on the same OS thread.

use super::super::addresses::{self, Key, What};
use super::super::deadline::Deadline;
use super::super::report::count;
use super::{Behind, Try, behind, on_green_keeping_errno, wait_for};
use crate::inside;
use crate::park::Reason;
use crate::primitive::Mutex;
use libc::c_int;

type Once = unsafe extern "C" fn(*mut c_int, Option<extern "C" fn()>) -> c_int;

// SAFETY: the type of the function.
static ONCE: Behind<Once> = unsafe { Behind::new(c"pthread_once", None) };

/// What a control says when it has happened.
const DONE: c_int = 2;

/// Those that happen on green threads now.
static UNDER_WAY: Mutex<Vec<usize>> = Mutex::new(Vec::new());

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_once(
    control: *mut c_int,
    routine: Option<extern "C" fn()>,
) -> c_int {
    count!(pthread_once);
    // SAFETY: valid, by the function's contract; volatile, since others change it at any time.
    if unsafe { control.read_volatile() } == DONE {
        return behind!(ONCE, control, routine);
    }
    let happened = on_green_keeping_errno(|worker| {
        let address = control as usize;
        let key = Key { address, what: What::Once };
        let begin = || {
            inside::run(|| {
                let mut under_way = UNDER_WAY.lock();
                if under_way.contains(&address) {
                    return Try::Busy;
                }
                under_way.push(address);
                Try::Done(0)
            })
        };
        wait_for(worker, key, Reason::Pthread("pthread_once", address), &Deadline::never(), None, begin);
        // It does not unwind: the routine is C.
        let answer = behind!(ONCE, control, routine);
        UNDER_WAY.lock().retain(|other| *other != address);
        addresses::wake(key, usize::MAX, u32::MAX);
        Some(answer)
    });
    happened.unwrap_or_else(|| behind!(ONCE, control, routine))
}
