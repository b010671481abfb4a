//! Waits for a word in a thread-local of the OS thread that waits.
//!
//! With such a word a library has one place for each OS thread to wait at, whatever it waits for. parking_lot links it into a list of
//! those that wait; rayon's is a latch that says that the work which was handed to the pool is done. So while a green thread waits
//! there, no other one of its OS thread must come to wait, too: it would link what is linked already, or take what was meant for the
//! first; and that happens before it asks for the futex, where nothing shows it.
//!
//! So such a wait blocks the OS thread, as without us, while another OS thread may end it: a lock is held for a moment,
//! the pool works. Where there is no such OS thread, or none that runs after a while, one of the green threads of this one is who
//! has to go on, and the one that waits is parked. One at a time can be, and that works: it goes on before another one waits. When a
//! second one comes while the first has not gone on, that is reported with both stacks, and ends the process, before anybody else runs:
//! the lists of the library may be damaged by then.
//!
//! A lock of std's may lie in a thread-local, too, and any number wait for it at once, who belong to nobody's list. Who waits for one is told by
//! the value: 2 for a `Mutex`, and one of the upper bits for an `RwLock`, in the word before if it is a writer that waits. The latches of
//! libraries have other values. (rayon's is a `Condvar`, which counts: at 2 it is known from when it was waited for at 0 or 1.) Here, too, the
//! OS thread is blocked at first, as the lock may be a part of such a latch, which another OS thread has for a moment.
//!
//! # Invariant
//!
//! A green thread that is parked here, but for a lock of std's, stands in `PARKED` until it runs again, also when it was woken long before.

use super::deadline::Deadline;
use super::write_error;
use crate::clock::Instant;
use crate::inside;
use crate::scheduler::Worker;
use crate::scheduler::stacks::Stand;
use crate::sys::process::{able_threads, others_run, threads};
use crate::sys::{futex, thread_locals};
use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use libc::c_int;

/// How long the OS thread is blocked before it is looked who may end the wait.
const MOMENT: Duration = Duration::from_millis(1);

/// How long the OS thread is blocked while others may end the wait and none of them runs; as for a mutex of pthreads.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long it is blocked at most; for a lock of std's that is [`PATIENCE`], since nothing comes of it if one is parked too early.
const LONGEST: Duration = Duration::from_secs(1);

/// What std's `Mutex` is while somebody waits for it.
const CONTENDED: u32 = 2;
/// The bits of std's `RwLock` that say that somebody waits for it.
const AWAITED: u32 = 3 << 30;

thread_local! {
    /// The words for which green threads of this OS thread are parked, and where these stand.
    static PARKED: RefCell<Vec<(usize, Stand)>> = const { RefCell::new(Vec::new()) };
    /// The words that have been waited for at a value which no lock of std's has; once for each word, for good, as they are few.
    static NO_LOCKS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Whether `word` is one that is meant.
#[inline]
pub(super) fn is_own(word: &AtomicU32) -> bool {
    thread_locals::is_own(word.as_ptr().addr())
}

/// Waits for `word`, which [`is_own`], to change from `expected`. `park` does so by parking the green thread. Gives 0 or an error's
/// number.
pub(super) fn wait(
    worker: &Worker,
    word: &AtomicU32,
    expected: u32,
    bits: u32,
    deadline: &Deadline,
    park: impl FnOnce() -> c_int,
) -> c_int {
    let address = word.as_ptr().addr();
    if is_lock(word, expected) {
        return block(worker, word, expected, bits, deadline, PATIENCE).unwrap_or_else(park);
    }
    if let Some(first) = leave(address) {
        report(first, Stand::of(&worker.current_task()));
    }
    if let Some(code) = block(worker, word, expected, bits, deadline, LONGEST) {
        return code;
    }
    let stand = Stand::of(&worker.current_task());
    // It allocates.
    inside::run(|| PARKED.with_borrow_mut(|parked| parked.push((address, stand))));
    let code = park();
    leave(address);
    code
}

/// Whether this seems to be a lock of std's, from what is waited for, and was here until now.
fn is_lock(word: &AtomicU32, expected: u32) -> bool {
    let address = word.as_ptr().addr();
    let before = word.as_ptr().wrapping_sub(1);
    let is_awaited = |word: u32| word & AWAITED != 0;
    let may_be = expected == CONTENDED
        || is_awaited(expected)
        // SAFETY: aligned as `word` is, and in a thread-local of this OS thread, which is not taken away while that runs.
        || thread_locals::is_own(before.addr()) && is_awaited(unsafe { AtomicU32::from_ptr(before) }.load(Ordering::Relaxed));
    inside::run(|| {
        NO_LOCKS.with_borrow_mut(|words| {
            let is_known = words.contains(&address);
            if !may_be && !is_known {
                words.push(address);
            }
            may_be && !is_known
        })
    })
}

/// Forgets who is parked for this word; where that stood.
fn leave(address: usize) -> Option<Stand> {
    inside::run(|| {
        PARKED.with_borrow_mut(|parked| {
            let place = parked.iter().position(|(word, _)| *word == address)?;
            Some(parked.swap_remove(place).1)
        })
    })
}

/// Blocks the OS thread as long as another one may end the wait, for `longest` at most. Gives 0 or an error's number; `None` if the
/// wait has not ended.
fn block(
    worker: &Worker,
    word: &AtomicU32,
    expected: u32,
    bits: u32,
    deadline: &Deadline,
    longest: Duration,
) -> Option<c_int> {
    let begun = Instant::of_machine();
    let mut moment = MOMENT;
    let mut is_first = true;
    while others(worker, is_first) {
        let blocked = Instant::of_machine().saturating_duration_since(begun);
        if blocked >= longest || blocked >= PATIENCE && !inside::run(others_run) {
            return None;
        }
        let limit = deadline.left(worker).map_or(moment, |left| left.min(moment));
        match futex::wait_bits(word, expected, bits, limit) {
            libc::ETIMEDOUT if deadline.is_over(worker) => return Some(libc::ETIMEDOUT),
            libc::ETIMEDOUT => {}
            libc::EAGAIN if !is_first => return Some(0),
            code => return Some(code),
        }
        is_first = false;
        moment = (moment * 2).min(PATIENCE);
    }
    None
}

/// Whether there are OS threads that may end a wait: others than those of the offload pool that have nothing to do and, unless they
/// are but to be `counted`, those that wait for others themselves.
fn others(worker: &Worker, counted: bool) -> bool {
    inside::run(|| {
        let Some(pool) = worker.remote().offload.idle_threads() else { return true };
        let able = if counted { threads() } else { able_threads() };
        able.is_none_or(|able| able > 1 + pool)
    })
}

/// Reports two that have met. Says what is most important first, and switches to nobody: other OS threads may come upon what is
/// damaged at any time.
#[cold]
fn report(first: Stand, second: Stand) -> ! {
    write_error(
        b"\nosier: two green threads of one OS thread wait for the same word in a thread-local. A library that has one such place to \
          wait for each OS thread, as parking_lot and rayon have, takes the two for one, and its lists may be damaged by now. Let \
          only one at a time wait so: use locks of std's or of `osier::sync` where a lock is held across a wait, and \
          `osier::offload` for calls of such a library that wait.\n",
    );
    write_error(first.describe().as_bytes());
    write_error(second.describe().as_bytes());
    std::process::abort();
}
