//! The group `poll`: `select` and `pselect`.
//!
//! A look is the system call itself, on copies of the sets; what is waited for between two looks is the same as for `poll`.
//!
//! A count may be larger than the sets are: that of `getdtablesize` is usual, of sets with room for `FD_SETSIZE`. The kernel looks at no more
//! than the process's table of descriptors has room for, and so no more is copied.

use super::poll::{Look, limit_of, mask_of, wait_for_any};
use super::report::count;
use super::wait::{on_green, with_errno};
use super::{Group, original};
use crate::scheduler::Worker;
use crate::sys::shimmed::{self, SignalSet};
use core::slice;
use core::time::Duration;
use libc::{c_int, c_short, c_ulong, c_void, fd_set, pollfd, sigset_t, timespec, timeval};
use std::io;

/// Bits of a word of a set.
const BITS: usize = c_ulong::BITS as usize;

/// What each of the three sets asks for.
const EVENTS: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    limit: *mut timeval,
) -> c_int {
    count!(select);
    // SAFETY: null or valid, by the function's contract.
    let time = match unsafe { limit.as_ref() } {
        None => Some(None),
        Some(time) => duration(time).map(Some),
    };
    if let Some(time) = time {
        let selected = on_green(Group::Poll, |worker| {
            let start = worker.now();
            // SAFETY: the caller's promise.
            let selected = unsafe { select_green(worker, count, [read, write, except], time, None) };
            // Linux leaves what is left of the time.
            if let (Some(_), Some(time)) = (selected, time) {
                let left = time.saturating_sub(worker.now().saturating_duration_since(start));
                // SAFETY: there is a time, so it is valid, and for a write too, by the function's contract.
                unsafe { *limit = timeval_of(left) };
            }
            selected
        });
        if let Some(selected) = selected.flatten() {
            return selected;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { original::select(count, read, write, except, limit) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    count!(pselect);
    let selected = on_green(Group::Poll, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let time = unsafe { limit_of(limit) }?;
        // SAFETY: null or valid, by the function's contract.
        let set = unsafe { mask_of(mask) };
        // SAFETY: the caller's promise.
        unsafe { select_green(worker, count, [read, write, except], time, set) }
    });
    // SAFETY: the caller's promise.
    let original = || unsafe { original::pselect(count, read, write, except, limit, mask) };
    selected.flatten().unwrap_or_else(original)
}

pub(super) fn timeval_of(time: Duration) -> timeval {
    timeval {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: time.subsec_micros().into(),
    }
}

fn duration(time: &timeval) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_micros(u64::try_from(time.tv_usec).ok()?))
}

/// The call, if it may switch; errors leave the sets as they are.
///
/// # Safety
///
/// Each set must be null, or hold `count` bits, rounded up to a word, as far as there are so many descriptors.
unsafe fn select_green(
    worker: &Worker,
    count: c_int,
    sets: [*mut fd_set; 3],
    limit: Option<Duration>,
    mask: Option<SignalSet>,
) -> Option<c_int> {
    if limit == Some(Duration::ZERO) {
        return None;
    }
    let count = looked_at(count);
    let bits = usize::try_from(count).ok()?;
    let sets = sets.map(|set| {
        // SAFETY: not null, so there are so many words, says the caller.
        (!set.is_null())
            .then(|| unsafe { slice::from_raw_parts_mut(set.cast::<c_ulong>(), bits.div_ceil(BITS)) })
    });
    let wanted: [Option<Vec<c_ulong>>; 3] = core::array::from_fn(|n| sets[n].as_deref().map(<[_]>::to_vec));
    if wanted.iter().flatten().any(|set| set.first().is_some_and(|word| word & 0b111 != 0)) {
        return None;
    }
    let mut found = wanted.clone();
    let selected = with_errno(|| {
        wait_for_any(worker, limit, mask, |look| match look {
            Look::Try => {
                found.clone_from(&wanted);
                look_at(count, &mut found, mask)
            }
            Look::Entries(entries) => {
                entries.extend(entries_of(&wanted, bits));
                Ok(0)
            }
        })
    });
    if selected >= 0 {
        for (set, found) in sets.into_iter().zip(found) {
            if let (Some(set), Some(found)) = (set, found) {
                set.copy_from_slice(&found);
            }
        }
    }
    Some(selected as c_int)
}

/// How many descriptors of so many the kernel looks at.
fn looked_at(count: c_int) -> c_int {
    if count <= libc::FD_SETSIZE as c_int {
        return count;
    }
    shimmed::descriptor_room().map_or(count, |room| count.min(room))
}

fn look_at(count: c_int, sets: &mut [Option<Vec<c_ulong>>; 3], mask: Option<SignalSet>) -> io::Result<usize> {
    let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
    let sets = sets.each_mut().map(|set| set.as_mut().map_or(core::ptr::null_mut(), |set| set.as_mut_ptr()));
    let sets = sets.map(<*mut c_ulong>::cast::<c_void>);
    let mask = mask.as_ref().map_or(core::ptr::null(), core::ptr::from_ref).cast();
    // SAFETY: each set has been copied with all its words; of a mask the kernel reads what a `SignalSet` has.
    unsafe { shimmed::pselect(count, sets, &raw mut none, mask) }
}

fn entries_of(sets: &[Option<Vec<c_ulong>>; 3], bits: usize) -> impl Iterator<Item = pollfd> + '_ {
    let has = |set: &Option<Vec<c_ulong>>, n: usize| {
        set.as_ref().is_some_and(|set| set[n / BITS] >> (n % BITS) & 1 != 0)
    };
    (0..bits).filter_map(move |n| {
        let events =
            sets.iter().zip(EVENTS).filter(|(set, _)| has(set, n)).fold(0, |all, (_, one)| all | one);
        (events != 0).then_some(pollfd { fd: n as c_int, events, revents: 0 })
    })
}
