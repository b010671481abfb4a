//! `pthread_mutex_lock` and its kin.
//!
//! libc takes a recursive or an error-checking mutex for its owner's if its OS thread has it: green threads of one OS thread
//! look alike. So of those that a green thread has locked the owner is noted here. Those that an OS thread has locked outside of
//! its green threads are not, and its green threads can lock them too.
//!
//! # Mutexes of other OS threads
//!
//! A mutex that another OS thread has locked blocks the OS thread at first, as without us: allocators are made of
//! such mutexes, and keep things for each OS thread, so that no other green thread of it may run in the middle of them. They
//! give them back soon. Only if one does not come back for a while, and its owner sleeps meanwhile, is it something
//! else, and the green thread is parked.
//!
//! # Robust ones, and those that change priorities
//!
//! The kernel knows their owners as OS threads, and a green thread stays on its own: so they are had as others are. Who is parked for
//! one lends its owner no priority.

use super::super::addresses::{Key, What};
use super::super::deadline::Deadline;
use super::super::report::count;
use super::super::{Group, is_active};
use super::{Behind, LOOK, Try, behind, field, given_back, on_green_keeping_errno, take_free, wait_for};
use crate::inside;
use crate::park::Reason;
use crate::primitive::Mutex;
use crate::scheduler::Worker;
use crate::sys::process::sleeps;
use core::time::Duration;
use libc::{c_int, clockid_t, pthread_mutex_t, timespec};

type Lock = unsafe extern "C" fn(*mut pthread_mutex_t) -> c_int;
type TimedLock = unsafe extern "C" fn(*mut pthread_mutex_t, *const timespec) -> c_int;
type ClockLock = unsafe extern "C" fn(*mut pthread_mutex_t, clockid_t, *const timespec) -> c_int;

// SAFETY: the type of the function.
static LOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_mutex_lock", None) };
// SAFETY: the type of the function.
static TRY_LOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_mutex_trylock", None) };
// SAFETY: the type of the function.
static TIMED_LOCK: Behind<TimedLock> = unsafe { Behind::new(c"pthread_mutex_timedlock", None) };
// SAFETY: the type of the function.
static CLOCK_LOCK: Behind<ClockLock> = unsafe { Behind::new(c"pthread_mutex_clocklock", None) };
// SAFETY: the type of the function.
static UNLOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_mutex_unlock", None) };

/// Where a mutex has its futex, the number of the OS thread that has it, 0 if none has, and its kind.
const FUTEX: usize = 0;
const OWNER: usize = 8;
const KIND: usize = 16;

/// What the owner of a robust one is that nobody can have any more.
const NOT_RECOVERABLE: c_int = c_int::MAX - 1;

/// The bits of the kind that say what is to happen when the owner locks it again, and the others that matter.
const TYPE: c_int = 3;
const ROBUST: c_int = 16;
const SHARED: c_int = 128;

/// How long the OS thread is blocked for a mutex of another one.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whose a mutex is, by the green thread's id, and how many times it has locked it.
type Owner = (u64, usize);

/// Recursive and error-checking mutexes that green threads have, by their addresses; in several lists, each of which is short.
static OWNERS: [Mutex<Vec<(usize, Owner)>>; 64] = [const { Mutex::new(Vec::new()) }; 64];

/// Uses the owner that is noted; not with another lock of this room held.
fn with_owner<T>(mutex: *mut pthread_mutex_t, f: impl FnOnce(&mut Option<Owner>) -> T) -> T {
    let address = mutex as usize;
    inside::run(|| {
        // Two mutexes are 40 bytes apart at least.
        let mut owners = OWNERS[address / 32 % OWNERS.len()].lock();
        let place = owners.iter().position(|(of, _)| *of == address);
        let mut owner = place.map(|place| owners[place].1);
        let value = f(&mut owner);
        match (place, owner) {
            (Some(place), Some(owner)) => owners[place].1 = owner,
            (Some(place), None) => drop(owners.swap_remove(place)),
            (None, Some(owner)) => owners.push((address, owner)),
            (None, None) => {}
        }
        value
    })
}

/// The kind of a mutex.
///
/// # Safety
///
/// The mutex must be valid.
unsafe fn kind_of(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { field(mutex, KIND) }
}

/// The number of the OS thread that has a mutex, 0 if none has.
///
/// # Safety
///
/// The mutex must be valid and of this kind.
unsafe fn holder(mutex: *mut pthread_mutex_t, kind: c_int) -> c_int {
    if kind & ROBUST == 0 {
        // SAFETY: the caller's promise.
        return unsafe { field(mutex, OWNER) };
    }
    // While it is to be repaired the owner is none's number, but the futex has the one that is to do so.
    // SAFETY: the caller's promise.
    unsafe { field(mutex, FUTEX) & libc::FUTEX_TID_MASK as c_int }
}

/// Whether libc would take one green thread for another.
fn knows_its_owner(kind: c_int) -> bool {
    matches!(kind & TYPE, libc::PTHREAD_MUTEX_RECURSIVE | libc::PTHREAD_MUTEX_ERRORCHECK)
}

/// Whether a mutex was locked by a call that has answered so: also by one that tells that the owner before has died.
fn is_taken(answer: c_int) -> bool {
    matches!(answer, 0 | libc::EOWNERDEAD)
}

/// Tries to lock. Never waits.
///
/// # Safety
///
/// The mutex must be valid and of this kind, and the caller on a green thread.
unsafe fn try_on_green(worker: &Worker, mutex: *mut pthread_mutex_t, kind: c_int) -> Try {
    // SAFETY: the caller's promise.
    if kind & ROBUST != 0 && unsafe { field(mutex, OWNER) } == NOT_RECOVERABLE {
        // A try of libc's would say so and leave the futex taken, for ever.
        return Try::Done(libc::ENOTRECOVERABLE);
    }
    let busy = |answer| if answer == libc::EBUSY { Try::Busy } else { Try::Done(answer) };
    if !knows_its_owner(kind) {
        return busy(behind!(TRY_LOCK, mutex));
    }
    let is_recursive = kind & TYPE == libc::PTHREAD_MUTEX_RECURSIVE;
    let me = worker.running_id();
    with_owner(mutex, |owner| match owner {
        Some((id, _)) if *id != me => Try::Busy,
        Some(_) if !is_recursive => Try::Done(libc::EDEADLK),
        _ => {
            let answer = behind!(TRY_LOCK, mutex);
            if is_taken(answer) {
                *owner = Some((me, owner.map_or(0, |(_, count)| count) + 1));
            }
            busy(answer)
        }
    })
}

/// Locks on a green thread; `None` if libc is to do it.
///
/// # Safety
///
/// The mutex must be valid.
pub(super) unsafe fn lock_on_green(
    worker: &Worker,
    mutex: *mut pthread_mutex_t,
    deadline: &Deadline,
) -> Option<c_int> {
    // SAFETY: the caller's promise.
    let kind = unsafe { kind_of(mutex) };
    // SAFETY: the caller's promise.
    let attempt = || unsafe { try_on_green(worker, mutex, kind) };
    let key = Key { address: mutex as usize, what: What::Mutex };
    let reason = Reason::Pthread("pthread mutex", mutex as usize);
    loop {
        if let Try::Done(answer) = attempt() {
            return Some(answer);
        }
        // A system call, which a lock that is free does without.
        // SAFETY: no pointers.
        let own = unsafe { libc::gettid() };
        // SAFETY: the caller's promise.
        let owner = unsafe { holder(mutex, kind) };
        if owner == own {
            // A green thread of this OS thread has it, and gives it back through a shim.
            let answer = wait_for(worker, key, reason, deadline, None, || match attempt() {
                // SAFETY: the caller's promise.
                Try::Busy if unsafe { holder(mutex, kind) } != own => Try::Done(ELSEWHERE),
                tried => tried,
            });
            if answer == ELSEWHERE {
                continue;
            }
            return Some(answer);
        }
        if kind & SHARED == 0 {
            // SAFETY: the caller's promise.
            match unsafe { block_for(mutex, deadline, worker) } {
                Blocked::Done(answer) => return Some(answer),
                Blocked::TimedOut => return Some(libc::ETIMEDOUT),
                Blocked::StillBusy if owner == 0 || !inside::run(|| sleeps(owner)) => continue,
                Blocked::StillBusy => {}
            }
        }
        return Some(wait_for(worker, key, reason, deadline, Some(LOOK), attempt));
    }
}

/// Locks as libc does.
pub(super) fn lock_in_place(mutex: *mut pthread_mutex_t) -> c_int {
    behind!(LOCK, mutex)
}

/// No answer of libc's: it is not this OS thread's any more.
const ELSEWHERE: c_int = c_int::MIN;

enum Blocked {
    /// Over, with the function's answer.
    Done(c_int),
    StillBusy,
    TimedOut,
}

/// Blocks the OS thread for a mutex of another one, for [`PATIENCE`] at most.
///
/// # Safety
///
/// The mutex must be valid, and the caller on a green thread.
unsafe fn block_for(mutex: *mut pthread_mutex_t, deadline: &Deadline, worker: &Worker) -> Blocked {
    let left = deadline.left(worker);
    if left.is_some_and(|left| left.is_zero()) {
        return Blocked::TimedOut;
    }
    let bound = left.map_or(PATIENCE, |left| left.min(PATIENCE));
    let Some(until) = super::super::deadline::reading(libc::CLOCK_REALTIME) else {
        return Blocked::StillBusy;
    };
    let until = super::super::original::timespec_of(until + bound);
    match behind!(TIMED_LOCK, mutex, &until) {
        libc::ETIMEDOUT => Blocked::StillBusy,
        answer => {
            // SAFETY: the caller's promise.
            if is_taken(answer) && knows_its_owner(unsafe { kind_of(mutex) }) {
                with_owner(mutex, |owner| *owner = Some((worker.running_id(), 1)));
            }
            Blocked::Done(answer)
        }
    }
}

/// Unlocks a mutex that knows its owner, on a green thread.
fn unlock_owned(worker: &Worker, mutex: *mut pthread_mutex_t, unlock: impl FnOnce() -> c_int) -> c_int {
    let me = worker.running_id();
    with_owner(mutex, |owner| match owner {
        Some((id, _)) if *id != me => libc::EPERM,
        _ => {
            let answer = unlock();
            if answer == 0 {
                *owner = owner.and_then(|(id, count)| (count > 1).then(|| (id, count - 1)));
            }
            answer
        }
    })
}

/// Unlocks, on any thread.
///
/// # Safety
///
/// The mutex must be valid.
pub(super) unsafe fn unlock(mutex: *mut pthread_mutex_t) -> c_int {
    if !is_active(Group::Futex) {
        return behind!(UNLOCK, mutex);
    }
    // SAFETY: the caller's promise.
    let kind = unsafe { kind_of(mutex) };
    let answer = if knows_its_owner(kind) {
        let unlock = || behind!(UNLOCK, mutex);
        on_green_keeping_errno(|worker| Some(unlock_owned(worker, mutex, unlock))).unwrap_or_else(unlock)
    } else {
        behind!(UNLOCK, mutex)
    };
    if answer == 0 {
        // A robust one may be out of order now, which each that waits is to be told.
        given_back(mutex as usize, What::Mutex, if kind & ROBUST == 0 { 1 } else { usize::MAX });
    }
    answer
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(pthread_mutex_lock);
    // SAFETY: the caller's promise.
    let kind = unsafe { kind_of(mutex) };
    // SAFETY: the caller's promise.
    if !knows_its_owner(kind) && kind & ROBUST == 0 && unsafe { take_free(&TRY_LOCK, mutex) } {
        return 0;
    }
    // SAFETY: the caller's promise.
    let locked = on_green_keeping_errno(|worker| unsafe { lock_on_green(worker, mutex, &Deadline::never()) });
    locked.unwrap_or_else(|| behind!(LOCK, mutex))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(pthread_mutex_trylock);
    // SAFETY: the caller's promise.
    let kind = unsafe { kind_of(mutex) };
    if is_active(Group::Futex) && knows_its_owner(kind) {
        // SAFETY: the caller's promise.
        let tried = on_green_keeping_errno(|worker| match unsafe { try_on_green(worker, mutex, kind) } {
            // What a try says where a lock would.
            Try::Busy | Try::Done(libc::EDEADLK) => Some(libc::EBUSY),
            Try::Done(answer) => Some(answer),
        });
        if let Some(answer) = tried {
            return answer;
        }
    }
    behind!(TRY_LOCK, mutex)
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_mutex_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_mutex_timedlock);
    // SAFETY: the caller's promise.
    let locked = unsafe { lock_until(mutex, libc::CLOCK_REALTIME, until) };
    locked.unwrap_or_else(|| behind!(TIMED_LOCK, mutex, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_mutex_clocklock(
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_mutex_clocklock);
    let is_known = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC);
    // SAFETY: the caller's promise.
    let locked = is_known.then(|| unsafe { lock_until(mutex, clock, until) });
    locked.flatten().unwrap_or_else(|| behind!(CLOCK_LOCK, mutex, clock, until))
}

/// # Safety
///
/// The mutex and the time must be valid.
unsafe fn lock_until(mutex: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec) -> Option<c_int> {
    on_green_keeping_errno(|worker| {
        // SAFETY: null or valid, by the function's contract.
        let deadline = Deadline::at(worker, clock, unsafe { until.as_ref() }?)?;
        // SAFETY: the caller's promise.
        unsafe { lock_on_green(worker, mutex, &deadline) }
    })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(pthread_mutex_unlock);
    // SAFETY: the caller's promise.
    unsafe { unlock(mutex) }
}
