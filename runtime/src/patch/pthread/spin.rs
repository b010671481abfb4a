//! `pthread_spin_lock`.
//!
//! It spins at first, as without us, for the reason for which a [mutex](super::mutex) of another OS thread blocks. Whoever spins for longer
//! than a lock of this kind is meant to be held may spin for a green thread of its own OS thread, which can go on only if it is let.

use super::super::behind::{Behind, behind};
use super::super::pauses::Pauses;
use super::super::report::count;
use super::on_green_keeping_errno;
use libc::{c_int, pthread_spinlock_t};

type Lock = unsafe extern "C" fn(*mut pthread_spinlock_t) -> c_int;

// SAFETY: the type of the function.
static LOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_spin_lock", None) };
// SAFETY: the type of the function.
static TRY_LOCK: Behind<Lock> = unsafe { Behind::new(c"pthread_spin_trylock", None) };

/// Tries before others are let run: a few tenths of a millisecond.
const SPINS: usize = 5000;

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_spin_lock(lock: *mut pthread_spinlock_t) -> c_int {
    count!(pthread_spin_lock);
    let locked = on_green_keeping_errno(|worker| {
        TRY_LOCK.function()?;
        let mut pauses = Pauses::new();
        let mut spins = 0;
        loop {
            match behind!(TRY_LOCK, lock) {
                libc::EBUSY => {}
                answer => return Some(answer),
            }
            spins += 1;
            if spins < SPINS {
                core::hint::spin_loop();
            } else {
                pauses.pause_shielded(worker, "pthread_spin_lock", None);
            }
        }
    });
    locked.unwrap_or_else(|| behind!(LOCK, lock))
}
