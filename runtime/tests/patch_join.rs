//! Joins of OS threads with a time, and spin locks, on green threads.

mod patching;

use libc::{CLOCK_MONOTONIC, CLOCK_REALTIME, ETIMEDOUT, c_int, c_void, pthread_t, timespec};
use patching::{neighbour_goes_on, others_go_on, others_run_until_late, watchdog};
use std::cell::UnsafeCell;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

unsafe extern "C" {
    fn pthread_clockjoin_np(
        thread: pthread_t,
        value: *mut *mut c_void,
        clock: c_int,
        until: *const timespec,
    ) -> c_int;
}

fn after(clock: c_int, time: Duration) -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    let nanos = now.tv_nsec + i64::from(time.subsec_nanos());
    timespec {
        tv_sec: now.tv_sec + time.as_secs() as i64 + nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    }
}

/// An OS thread that gives 7 once it is let go.
fn thread() -> (pthread_t, &'static AtomicUsize) {
    extern "C" fn routine(go: *mut c_void) -> *mut c_void {
        // SAFETY: the flag is there for ever.
        let go = unsafe { &*go.cast::<AtomicUsize>() };
        while go.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        std::ptr::without_provenance_mut(7)
    }
    let go: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut thread = 0;
    let argument = std::ptr::from_ref(go).cast_mut().cast();
    // SAFETY: valid for a write, and the argument is what the routine takes.
    assert_eq!(unsafe { libc::pthread_create(&mut thread, null(), routine, argument) }, 0);
    (thread, go)
}

/// Joins with what is to be waited at most.
type Join = fn(pthread_t, *mut *mut c_void, Option<Duration>) -> c_int;

fn timed(thread: pthread_t, value: *mut *mut c_void, limit: Option<Duration>) -> c_int {
    let until = limit.map(|limit| after(CLOCK_REALTIME, limit));
    // SAFETY: a thread to be joined; the time is null or valid.
    unsafe { libc::pthread_timedjoin_np(thread, value, until.as_ref().map_or(null(), std::ptr::from_ref)) }
}

fn by_clock(thread: pthread_t, value: *mut *mut c_void, limit: Option<Duration>) -> c_int {
    let until = limit.map(|limit| after(CLOCK_MONOTONIC, limit));
    let until = until.as_ref().map_or(null(), std::ptr::from_ref);
    // SAFETY: as above.
    unsafe { pthread_clockjoin_np(thread, value, CLOCK_MONOTONIC, until) }
}

fn joins() {
    for (name, join) in [("pthread_timedjoin_np", timed as Join), ("pthread_clockjoin_np", by_clock)] {
        for limit in [Some(Duration::from_secs(60)), None] {
            let (thread, go) = thread();
            let late = |time| assert_eq!(join(thread, null_mut(), Some(time)), ETIMEDOUT, "{name}");
            others_run_until_late(name, late);
            let wait = move || {
                let mut value = null_mut();
                (join(thread, &mut value, limit), value.addr())
            };
            let joined = others_go_on(name, wait, || go.store(1, Ordering::Release));
            assert_eq!(joined, (0, 7), "{name}");
        }
    }
}

struct SpinLock(UnsafeCell<libc::pthread_spinlock_t>);

// SAFETY: used by C's functions alone.
unsafe impl Send for SpinLock {}
// SAFETY: as above.
unsafe impl Sync for SpinLock {}

fn spin_locks() {
    let lock = Arc::new(SpinLock(UnsafeCell::new(0)));
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::pthread_spin_init(lock.0.get(), 0) }, 0);
    // SAFETY: it is valid, here and below.
    assert_eq!(unsafe { libc::pthread_spin_lock(lock.0.get()) }, 0);
    let unlock = |lock: &SpinLock| {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::pthread_spin_unlock(lock.0.get()) }, 0);
    };
    let theirs = lock.clone();
    let wait = move || {
        // SAFETY: as above.
        let locked = unsafe { libc::pthread_spin_lock(theirs.0.get()) };
        unlock(&theirs);
        locked
    };
    assert_eq!(neighbour_goes_on("pthread_spin_lock", wait, || unlock(&lock)), 0);
    // One that an OS thread has for a moment is waited for, too.
    // SAFETY: as above.
    assert_eq!(unsafe { libc::pthread_spin_lock(lock.0.get()) }, 0);
    let theirs = lock.clone();
    let holder = std::thread::spawn(move || unlock(&theirs));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::pthread_spin_lock(lock.0.get()) }, 0);
    unlock(&lock);
    holder.join().unwrap();
}

#[test]
fn joins_and_spin_locks_let_others_run() {
    watchdog();
    osier::patch::all();
    osier::run(|| {
        joins();
        spin_locks();
    });
}
