//! `errno` belongs to the OS thread: what other green threads do to it while a call waits, the caller of a call that
//! succeeds, or that says by its answer what is wrong, is not to see.

mod patching;

use libc::{c_int, c_void};
use patching::watchdog;
use std::cell::UnsafeCell;
use std::ptr::null_mut;

const MINE: c_int = 77;
const THEIRS: c_int = 33;

fn errno() -> &'static mut c_int {
    // SAFETY: this OS thread's own, and not used across a switch.
    unsafe { &mut *libc::__errno_location() }
}

/// An object of C, for threads that meet there.
struct Object<T>(UnsafeCell<T>);

// SAFETY: libc's functions use it, which are made for that.
unsafe impl<T> Sync for Object<T> {}

impl<T> Object<T> {
    const fn new(value: T) -> Object<T> {
        Object(UnsafeCell::new(value))
    }

    fn at(&self) -> *mut T {
        self.0.get()
    }
}

/// Makes a call that waits until another green thread has spoilt `errno`, and has released it.
fn spoilt(what: &str, call: impl FnOnce() -> c_int, release: fn()) {
    let other = osier::spawn(move || {
        *errno() = THEIRS;
        release();
        *errno() = THEIRS;
    });
    *errno() = MINE;
    let answer = call();
    let after = *errno();
    assert!(other.is_finished(), "{what} did not wait");
    assert_eq!((answer, after), (0, MINE), "{what}");
    other.join().unwrap();
}

fn mutexes() {
    static MUTEX: Object<libc::pthread_mutex_t> = Object::new(libc::PTHREAD_MUTEX_INITIALIZER);
    static CONDVAR: Object<libc::pthread_cond_t> = Object::new(libc::PTHREAD_COND_INITIALIZER);
    // SAFETY: valid.
    let lock = || unsafe { libc::pthread_mutex_lock(MUTEX.at()) };
    let unlock = || {
        // SAFETY: valid.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(MUTEX.at()) }, 0);
    };
    let signal = || {
        // SAFETY: valid.
        assert_eq!(unsafe { libc::pthread_cond_signal(CONDVAR.at()) }, 0);
    };
    assert_eq!(lock(), 0);
    spoilt("pthread_mutex_lock", lock, unlock);
    // SAFETY: valid.
    spoilt("pthread_cond_wait", || unsafe { libc::pthread_cond_wait(CONDVAR.at(), MUTEX.at()) }, signal);
    unlock();
}

fn other_locks() {
    static LOCK: Object<libc::pthread_rwlock_t> = Object::new(libc::PTHREAD_RWLOCK_INITIALIZER);
    let unlock = || {
        // SAFETY: valid.
        assert_eq!(unsafe { libc::pthread_rwlock_unlock(LOCK.at()) }, 0);
    };
    // SAFETY: valid.
    assert_eq!(unsafe { libc::pthread_rwlock_rdlock(LOCK.at()) }, 0);
    // SAFETY: valid.
    spoilt("pthread_rwlock_wrlock", || unsafe { libc::pthread_rwlock_wrlock(LOCK.at()) }, unlock);
    unlock();

    // SAFETY: all zero is a semaphore that nobody has posted.
    static SEMAPHORE: Object<libc::sem_t> = Object::new(unsafe { std::mem::zeroed() });
    let post = || {
        // SAFETY: valid.
        assert_eq!(unsafe { libc::sem_post(SEMAPHORE.at()) }, 0);
    };
    // SAFETY: valid.
    spoilt("sem_wait", || unsafe { libc::sem_wait(SEMAPHORE.at()) }, post);
}

fn joins() {
    static GATE: Object<libc::sem_t> = Object::new(
        // SAFETY: as above.
        unsafe { std::mem::zeroed() },
    );
    extern "C" fn body(_: *mut c_void) -> *mut c_void {
        // SAFETY: valid.
        unsafe { libc::sem_wait(GATE.at()) };
        null_mut()
    }
    let mut thread = 0;
    // SAFETY: valid for a write; the body has the type that it is to have.
    assert_eq!(unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), body, null_mut()) }, 0);
    let open = || {
        // SAFETY: valid.
        assert_eq!(unsafe { libc::sem_post(GATE.at()) }, 0);
    };
    // SAFETY: to be joined, and nobody else does.
    spoilt("pthread_join", || unsafe { libc::pthread_join(thread, null_mut()) }, open);
}

#[test]
fn locks_and_joins_of_pthreads_leave_it_as_it_was() {
    watchdog();
    osier::patch::all();
    osier::run(|| {
        mutexes();
        other_locks();
        joins();
    });
}
