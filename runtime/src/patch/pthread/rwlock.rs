//! `pthread_rwlock_rdlock`, `pthread_rwlock_wrlock` and their kin.

use super::super::addresses::{Key, What};
use super::super::deadline::Deadline;
use super::super::report::count;
use super::{Behind, LOOK, Try, behind, field, given_back, on_green_keeping_errno, take_free, wait_for};
use crate::park::Reason;
use libc::{c_int, clockid_t, pthread_rwlock_t, timespec};

type Lock = unsafe extern "C" fn(*mut pthread_rwlock_t) -> c_int;
type TimedLock = unsafe extern "C" fn(*mut pthread_rwlock_t, *const timespec) -> c_int;
type ClockLock = unsafe extern "C" fn(*mut pthread_rwlock_t, clockid_t, *const timespec) -> c_int;

// SAFETY: the type of the function.
static READ: Behind<Lock> = unsafe { Behind::new(c"pthread_rwlock_rdlock", None) };
// SAFETY: the type of the function.
static TRY_READ: Behind<Lock> = unsafe { Behind::new(c"pthread_rwlock_tryrdlock", None) };
// SAFETY: the type of the function.
static TIMED_READ: Behind<TimedLock> = unsafe { Behind::new(c"pthread_rwlock_timedrdlock", None) };
// SAFETY: the type of the function.
static CLOCK_READ: Behind<ClockLock> = unsafe { Behind::new(c"pthread_rwlock_clockrdlock", None) };
// SAFETY: the type of the function.
static WRITE: Behind<Lock> = unsafe { Behind::new(c"pthread_rwlock_wrlock", None) };
// SAFETY: the type of the function.
static TRY_WRITE: Behind<Lock> = unsafe { Behind::new(c"pthread_rwlock_trywrlock", None) };
// SAFETY: the type of the function.
static TIMED_WRITE: Behind<TimedLock> = unsafe { Behind::new(c"pthread_rwlock_timedwrlock", None) };
// SAFETY: the type of the function.
static CLOCK_WRITE: Behind<ClockLock> = unsafe { Behind::new(c"pthread_rwlock_clockwrlock", None) };
// SAFETY: the type of the function.
static UNLOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_rwlock_unlock", None) };

/// Where a lock says that processes share it, by anything but 0.
const SHARED: usize = 28;

/// Locks on a green thread; `None` if libc is to do it.
///
/// # Safety
///
/// The lock must be valid; so must the time, if there is one.
unsafe fn lock(
    lock: *mut pthread_rwlock_t,
    attempt: &Behind<Lock>,
    what: &'static str,
    until: Option<(clockid_t, *const timespec)>,
) -> Option<c_int> {
    on_green_keeping_errno(|worker| {
        let deadline = match until {
            None => Deadline::never(),
            // SAFETY: null or valid, says the caller.
            Some((clock, until)) => Deadline::at(worker, clock, unsafe { until.as_ref() }?)?,
        };
        let key = Key { address: lock as usize, what: What::RwLock };
        let reason = Reason::Pthread(what, lock as usize);
        // SAFETY: the caller's promise.
        let look = (unsafe { field(lock, SHARED) } != 0).then_some(LOOK);
        Some(wait_for(worker, key, reason, &deadline, look, || match behind!(attempt, lock) {
            libc::EBUSY => Try::Busy,
            answer => Try::Done(answer),
        }))
    })
}

/// # Safety
///
/// As [`lock`].
unsafe fn read(this: *mut pthread_rwlock_t, until: Option<(clockid_t, *const timespec)>) -> Option<c_int> {
    // SAFETY: the caller's promise.
    unsafe { lock(this, &TRY_READ, "pthread reader-writer lock, to read,", until) }
}

/// # Safety
///
/// As [`lock`].
unsafe fn write(this: *mut pthread_rwlock_t, until: Option<(clockid_t, *const timespec)>) -> Option<c_int> {
    // SAFETY: the caller's promise.
    unsafe { lock(this, &TRY_WRITE, "pthread reader-writer lock, to write,", until) }
}

fn is_known(clock: clockid_t) -> bool {
    matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC)
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_rdlock(this: *mut pthread_rwlock_t) -> c_int {
    count!(pthread_rwlock_rdlock);
    // SAFETY: the caller's promise.
    if unsafe { take_free(&TRY_READ, this) } {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { read(this, None) }.unwrap_or_else(|| behind!(READ, this))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_timedrdlock(
    this: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_rwlock_timedrdlock);
    // SAFETY: the caller's promise.
    let locked = unsafe { read(this, Some((libc::CLOCK_REALTIME, until))) };
    locked.unwrap_or_else(|| behind!(TIMED_READ, this, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_clockrdlock(
    this: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_rwlock_clockrdlock);
    // SAFETY: the caller's promise.
    let locked = is_known(clock).then(|| unsafe { read(this, Some((clock, until))) });
    locked.flatten().unwrap_or_else(|| behind!(CLOCK_READ, this, clock, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_wrlock(this: *mut pthread_rwlock_t) -> c_int {
    count!(pthread_rwlock_wrlock);
    // SAFETY: the caller's promise.
    if unsafe { take_free(&TRY_WRITE, this) } {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { write(this, None) }.unwrap_or_else(|| behind!(WRITE, this))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_timedwrlock(
    this: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_rwlock_timedwrlock);
    // SAFETY: the caller's promise.
    let locked = unsafe { write(this, Some((libc::CLOCK_REALTIME, until))) };
    locked.unwrap_or_else(|| behind!(TIMED_WRITE, this, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_clockwrlock(
    this: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_rwlock_clockwrlock);
    // SAFETY: the caller's promise.
    let locked = is_known(clock).then(|| unsafe { write(this, Some((clock, until))) });
    locked.flatten().unwrap_or_else(|| behind!(CLOCK_WRITE, this, clock, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_rwlock_unlock(this: *mut pthread_rwlock_t) -> c_int {
    count!(pthread_rwlock_unlock);
    let answer = behind!(UNLOCK, this);
    if answer == 0 {
        // Readers go in together, and libc decides whether a writer goes first.
        given_back(this as usize, What::RwLock, usize::MAX);
    }
    answer
}
