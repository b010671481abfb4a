//! `sem_wait` and its kin.

use super::super::addresses::{Key, What};
use super::super::behind::behind_errno;
use super::super::deadline::Deadline;
use super::super::report::count;
use super::{Behind, LOOK, Try, field, given_back, on_green_keeping_errno, take_free, wait_for};
use crate::park::Reason;
use crate::sys::errno;
use libc::{c_int, clockid_t, sem_t, timespec};

type Wait = unsafe extern "C" fn(*mut sem_t) -> c_int;
type TimedWait = unsafe extern "C" fn(*mut sem_t, *const timespec) -> c_int;
type ClockWait = unsafe extern "C" fn(*mut sem_t, clockid_t, *const timespec) -> c_int;

// SAFETY: the type of the function.
static WAIT: Behind<Wait> = unsafe { Behind::new(c"sem_wait", None) };
// SAFETY: the type of the function.
static TRY_WAIT: Behind<Wait> = unsafe { Behind::new(c"sem_trywait", None) };
// SAFETY: the type of the function.
static TIMED_WAIT: Behind<TimedWait> = unsafe { Behind::new(c"sem_timedwait", None) };
// SAFETY: the type of the function.
static CLOCK_WAIT: Behind<ClockWait> = unsafe { Behind::new(c"sem_clockwait", None) };
// SAFETY: the type of the function.
static POST: Behind<Wait> = unsafe { Behind::new(c"sem_post", None) };

/// Where a semaphore says that processes share it, by anything but 0.
const SHARED: usize = 8;

/// Waits on a green thread; `None` if libc is to do it.
///
/// # Safety
///
/// The semaphore must be valid; so must the time, if there is one.
unsafe fn wait(semaphore: *mut sem_t, until: Option<(clockid_t, *const timespec)>) -> Option<c_int> {
    let waited = on_green_keeping_errno(|worker| {
        let deadline = match until {
            None => Deadline::never(),
            // SAFETY: null or valid, says the caller.
            Some((clock, until)) => Deadline::at(worker, clock, unsafe { until.as_ref() }?)?,
        };
        let attempt = || match behind_errno!(TRY_WAIT, semaphore) {
            0 => Try::Done(0),
            _ if errno::last() == libc::EAGAIN => Try::Busy,
            _ => Try::Done(errno::last()),
        };
        let key = Key { address: semaphore as usize, what: What::Semaphore };
        let reason = Reason::Pthread("semaphore of C", semaphore as usize);
        // SAFETY: the caller's promise.
        let look = (unsafe { field(semaphore, SHARED) } != 0).then_some(LOOK);
        Some(wait_for(worker, key, reason, &deadline, look, attempt))
    });
    waited.map(|code| {
        if code == 0 {
            return 0;
        }
        errno::set(code);
        -1
    })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn sem_wait(semaphore: *mut sem_t) -> c_int {
    count!(sem_wait);
    let before = errno::last();
    // SAFETY: the caller's promise.
    if unsafe { take_free(&TRY_WAIT, semaphore) } {
        return 0;
    }
    errno::set(before);
    // SAFETY: the caller's promise.
    unsafe { wait(semaphore, None) }.unwrap_or_else(|| behind_errno!(WAIT, semaphore))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn sem_timedwait(
    semaphore: *mut sem_t,
    until: *const timespec,
) -> c_int {
    count!(sem_timedwait);
    // SAFETY: the caller's promise.
    let waited = unsafe { wait(semaphore, Some((libc::CLOCK_REALTIME, until))) };
    waited.unwrap_or_else(|| behind_errno!(TIMED_WAIT, semaphore, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn sem_clockwait(
    semaphore: *mut sem_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(sem_clockwait);
    let is_known = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC);
    // SAFETY: the caller's promise.
    let waited = is_known.then(|| unsafe { wait(semaphore, Some((clock, until))) });
    waited.flatten().unwrap_or_else(|| behind_errno!(CLOCK_WAIT, semaphore, clock, until))
}

/// Also in a signal handler.
#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn sem_post(semaphore: *mut sem_t) -> c_int {
    count!(sem_post);
    let answer = behind_errno!(POST, semaphore);
    if answer == 0 {
        given_back(semaphore as usize, What::Semaphore, 1);
    }
    answer
}
