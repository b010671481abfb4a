//! The group `futex`: the locks of pthreads, for C code and for what is written like it.
//!
//! libc's functions wait by system calls of their own, which nobody can see. So on a green thread such a function first tries
//! what it wants, by libc's function that does not wait; if that must not be had the green thread waits in the table of
//! [`addresses`](super::addresses), until the function that gives it back has been called on any thread. What an object holds is
//! libc's alone: threads of both kinds use it side by side, and what was locked before the activation is unlocked after it.
//!
//! # What may be missed
//!
//! An object that processes share may be given back by another process, and a mutex by libc itself, when an OS thread waits for a
//! condition variable. Whoever waits for one of these looks again now and then.

mod barrier;
mod c11;
mod condvar;
mod join;
mod mutex;
mod once;
mod rwlock;
mod semaphore;
mod spin;

pub(super) use self::barrier::*;
pub(super) use self::c11::*;
pub(super) use self::condvar::*;
pub(super) use self::join::*;
pub(super) use self::mutex::*;
pub(super) use self::once::*;
pub(super) use self::rwlock::*;
pub(super) use self::semaphore::*;
pub(super) use self::spin::*;

use super::Group;
use super::addresses::{self, Key, Outcome, What};
use super::behind::{Behind, behind};
use super::deadline::Deadline;
use super::wait::on_green;
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::sys::errno;
use core::time::Duration;
use libc::c_int;

/// How often is looked at what may be given back unseen.
const LOOK: Duration = Duration::from_millis(5);

/// Takes what is free, on any thread, by libc's function that does not wait. Not while the group is not active.
///
/// Whoever would wait for it would have it just so. Nearly always this is all there is to a call, so that who calls, and whether
/// it may be parked, is only asked when this was in vain.
///
/// # Safety
///
/// The object must be valid.
#[inline(always)]
unsafe fn take_free<T>(attempt: &Behind<unsafe extern "C" fn(*mut T) -> c_int>, object: *mut T) -> bool {
    if !super::is_active(Group::Futex) {
        return false;
    }
    match attempt.function() {
        // SAFETY: the caller's promise.
        Some(function) => unsafe { function(object) == 0 },
        None => false,
    }
}

/// Runs `f` if the call was made on a green thread that may be parked here. `errno` is afterwards as it was: functions of pthreads
/// do not use it.
fn on_green_keeping_errno<T>(f: impl FnOnce(&Worker) -> Option<T>) -> Option<T> {
    on_green(Group::Futex, |worker| {
        let before = errno::last();
        let answer = f(worker);
        errno::set(before);
        answer
    })
    .flatten()
}

/// What a try has come to.
enum Try {
    /// Over, with the function's answer.
    Done(c_int),
    /// Somebody else has it.
    Busy,
}

/// Tries until it is done, and waits in between; `ETIMEDOUT` after the deadline.
fn wait_for(
    worker: &Worker,
    key: Key,
    reason: Reason<'_>,
    deadline: &Deadline,
    look: Option<Duration>,
    mut attempt: impl FnMut() -> Try,
) -> c_int {
    if let Try::Done(answer) = attempt() {
        return answer;
    }
    loop {
        let stop = deadline.next_stop(worker, look);
        let mut answer = None;
        let outcome = addresses::wait_unless(worker, key, reason, stop, || match attempt() {
            Try::Done(done) => {
                answer = Some(done);
                false
            }
            Try::Busy => true,
        });
        if let Some(answer) = answer {
            return answer;
        }
        if outcome == Outcome::Deadline && deadline.has_passed(stop) {
            return match attempt() {
                Try::Done(answer) => answer,
                Try::Busy => libc::ETIMEDOUT,
            };
        }
    }
}

/// After an object was given back: wakes so many of the green threads that wait for it.
#[inline]
fn given_back(address: usize, what: What, count: usize) {
    if super::is_active(Group::Futex) && addresses::anybody_waits() {
        addresses::wake(Key { address, what }, count, u32::MAX);
    }
}

/// The number at this offset of an object of libc's.
///
/// # Safety
///
/// The object must be valid, and larger than that.
unsafe fn field<T>(object: *const T, offset: usize) -> c_int {
    // SAFETY: within the object, says the caller.
    let field = unsafe { object.cast::<u8>().add(offset) }.cast::<c_int>();
    // SAFETY: valid and aligned, as the object is; volatile, since others change it at any time.
    unsafe { field.read_volatile() }
}
