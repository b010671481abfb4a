//! `pthread_cond_wait` and its kin. A signal wakes one of each kind of threads that wait: at least one, as it must.
//!
//! Of one that processes share another process's signal is not seen: a wait for such a one ends now and then for no reason, as it may,
//! and its caller looks.

use super::super::addresses::{self, Key, Outcome, What};
use super::super::deadline::Deadline;
use super::super::report::count;
use super::mutex::{lock_on_green, unlock};
use super::{Behind, LOOK, behind, field, given_back, on_green_keeping_errno};
use crate::park::Reason;
use crate::scheduler::Worker;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use libc::{c_int, clockid_t, pthread_cond_t, pthread_condattr_t, pthread_mutex_t, timespec};

type Signal = unsafe extern "C" fn(*mut pthread_cond_t) -> c_int;
type Wait = unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t) -> c_int;
type TimedWait = unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t, *const timespec) -> c_int;
type ClockWait =
    unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t, clockid_t, *const timespec) -> c_int;

/// On x86-64 the functions were replaced once; those that were there before use the memory differently.
const SECOND: Option<&core::ffi::CStr> = Some(c"GLIBC_2.3.2");

// SAFETY: the type of the function.
static SIGNAL: Behind<Signal> = unsafe { Behind::new(c"pthread_cond_signal", SECOND) };
// SAFETY: the type of the function.
static BROADCAST: Behind<Signal> = unsafe { Behind::new(c"pthread_cond_broadcast", SECOND) };
// SAFETY: the type of the function.
static WAIT: Behind<Wait> = unsafe { Behind::new(c"pthread_cond_wait", SECOND) };
// SAFETY: the type of the function.
static TIMED_WAIT: Behind<TimedWait> = unsafe { Behind::new(c"pthread_cond_timedwait", SECOND) };
// SAFETY: the type of the function.
static CLOCK_WAIT: Behind<ClockWait> = unsafe { Behind::new(c"pthread_cond_clockwait", None) };

/// The flags of a condition variable.
const SHARED: c_int = 1;
const MONOTONIC: c_int = 2;

/// The flags; `None` if this libc keeps them elsewhere than any that we know.
///
/// # Safety
///
/// The condition variable must be valid.
unsafe fn flags(condvar: *mut pthread_cond_t) -> Option<c_int> {
    /// One more than the offset; 0 while it is unknown, `usize::MAX` if it cannot be known.
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    let mut found = FOUND.load(Ordering::Relaxed);
    if found == 0 {
        found = find_flags().map_or(usize::MAX, |offset| offset + 1);
        FOUND.store(found, Ordering::Relaxed);
    }
    // SAFETY: the caller's promise; the offset lies within.
    (found != usize::MAX).then(|| unsafe { field(condvar, found - 1) })
}

/// Where the flags are differs between versions of glibc. In a new condition variable they are all that is not zero.
fn find_flags() -> Option<usize> {
    let mut attributes = MaybeUninit::<pthread_condattr_t>::zeroed();
    let mut condvar = MaybeUninit::<pthread_cond_t>::zeroed();
    // SAFETY: valid for a write.
    unsafe { libc::pthread_condattr_init(attributes.as_mut_ptr()) };
    // SAFETY: made just now.
    unsafe { libc::pthread_condattr_setclock(attributes.as_mut_ptr(), libc::CLOCK_MONOTONIC) };
    // SAFETY: both are valid.
    unsafe { libc::pthread_cond_init(condvar.as_mut_ptr(), attributes.as_ptr()) };
    let offsets = (0..size_of::<pthread_cond_t>()).step_by(size_of::<c_int>());
    // SAFETY: within the object, all of which was written.
    let mut set = offsets.filter(|offset| unsafe { field(condvar.as_ptr(), *offset) } != 0);
    let (first, second) = (set.next(), set.next());
    // SAFETY: within the object.
    first.filter(|offset| second.is_none() && unsafe { field(condvar.as_ptr(), *offset) } & !1 == MONOTONIC)
}

/// Waits on a green thread, and `look` at most.
///
/// # Safety
///
/// Both must be valid.
unsafe fn wait_on_green(
    worker: &Worker,
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    deadline: &Deadline,
    look: Option<Duration>,
) -> c_int {
    let key = Key { address: condvar as usize, what: What::Condvar };
    let reason = Reason::Pthread("pthread condition variable", condvar as usize);
    let mut unlocked = libc::EPERM;
    let stop = deadline.next_stop(worker, look);
    let outcome = addresses::wait_unless(worker, key, reason, stop, || {
        // SAFETY: the caller's promise.
        unlocked = unsafe { unlock(mutex) };
        unlocked == 0
    });
    if unlocked != 0 {
        return unlocked;
    }
    // It may have been a look, or one at a clock that can be set: then this ends for no reason, as it may.
    let has_passed = outcome == Outcome::Deadline && deadline.has_passed(stop);
    // SAFETY: the caller's promise.
    let locked = unsafe { lock_on_green(worker, mutex, &Deadline::never()) };
    let locked = locked.unwrap_or_else(|| super::mutex::lock_in_place(mutex));
    match locked {
        0 if has_passed => libc::ETIMEDOUT,
        locked => locked,
    }
}

/// # Safety
///
/// Both must be valid, and the time null or valid.
unsafe fn wait_until(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: Option<clockid_t>,
    until: Option<*const timespec>,
) -> Option<c_int> {
    on_green_keeping_errno(|worker| {
        // SAFETY: the caller's promise.
        let flags = unsafe { flags(condvar) }?;
        let own_clock = if flags & MONOTONIC != 0 { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
        let deadline = match until {
            None => Deadline::never(),
            // SAFETY: null or valid, says the caller.
            Some(until) => Deadline::at(worker, clock.unwrap_or(own_clock), unsafe { until.as_ref() }?)?,
        };
        let look = (flags & SHARED != 0).then_some(LOOK);
        // SAFETY: the caller's promise.
        Some(unsafe { wait_on_green(worker, condvar, mutex, &deadline, look) })
    })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_cond_wait(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    count!(pthread_cond_wait);
    // SAFETY: the caller's promise.
    unsafe { wait_until(condvar, mutex, None, None) }.unwrap_or_else(|| behind!(WAIT, condvar, mutex))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_cond_timedwait(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_cond_timedwait);
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_until(condvar, mutex, None, Some(until)) };
    waited.unwrap_or_else(|| behind!(TIMED_WAIT, condvar, mutex, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_cond_clockwait(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_cond_clockwait);
    let is_known = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC);
    // SAFETY: the caller's promise.
    let waited = is_known.then(|| unsafe { wait_until(condvar, mutex, Some(clock), Some(until)) });
    waited.flatten().unwrap_or_else(|| behind!(CLOCK_WAIT, condvar, mutex, clock, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_cond_signal(condvar: *mut pthread_cond_t) -> c_int {
    count!(pthread_cond_signal);
    let answer = behind!(SIGNAL, condvar);
    given_back(condvar as usize, What::Condvar, 1);
    answer
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_cond_broadcast(condvar: *mut pthread_cond_t) -> c_int {
    count!(pthread_cond_broadcast);
    let answer = behind!(BROADCAST, condvar);
    given_back(condvar as usize, What::Condvar, usize::MAX);
    answer
}
