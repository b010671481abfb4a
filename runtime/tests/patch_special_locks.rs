//! Mutexes of pthreads that are robust or change priorities, and condition variables that processes share: on green threads they
//! let the others run, as the others of their kinds do.

mod common;
mod patching;

use common::{in_child, text};
use libc::{EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD, ETIMEDOUT, c_int, pthread_cond_t, pthread_mutex_t};
use patching::{neighbour_goes_on, watchdog};
use std::mem::{MaybeUninit, zeroed};
use std::ptr::null_mut;
use std::sync::mpsc::channel;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

/// A mutex, and a condition variable that is shared, in memory that forked processes share. There for ever.
#[derive(Clone, Copy)]
struct Locks(*mut (pthread_mutex_t, pthread_cond_t, c_int));

// SAFETY: the functions of C may be called on any thread.
unsafe impl Send for Locks {}

type Set = unsafe fn(*mut libc::pthread_mutexattr_t) -> c_int;

impl Locks {
    fn new(set: &[Set]) -> Locks {
        let (len, rights) =
            (size_of::<(pthread_mutex_t, pthread_cond_t, c_int)>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: new memory.
        let memory =
            unsafe { libc::mmap(null_mut(), len, rights, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED);
        let locks = Locks(memory.cast());
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) }, 0);
        for set in set {
            // SAFETY: valid attributes.
            assert_eq!(unsafe { set(attributes.as_mut_ptr()) }, 0);
        }
        // SAFETY: both are valid.
        assert_eq!(unsafe { libc::pthread_mutex_init(locks.mutex(), attributes.as_ptr()) }, 0);
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::pthread_condattr_init(attributes.as_mut_ptr()) }, 0);
        // SAFETY: valid attributes.
        let shared = unsafe {
            libc::pthread_condattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
        };
        assert_eq!(shared, 0);
        // SAFETY: both are valid.
        assert_eq!(unsafe { libc::pthread_cond_init(locks.condvar(), attributes.as_ptr()) }, 0);
        locks
    }

    fn mutex(self) -> *mut pthread_mutex_t {
        // SAFETY: within the memory.
        unsafe { &raw mut (*self.0).0 }
    }

    fn condvar(self) -> *mut pthread_cond_t {
        // SAFETY: within the memory.
        unsafe { &raw mut (*self.0).1 }
    }

    /// What the mutex guards.
    fn value(self) -> *mut c_int {
        // SAFETY: within the memory.
        unsafe { &raw mut (*self.0).2 }
    }

    fn call(self, function: unsafe extern "C" fn(*mut pthread_mutex_t) -> c_int) -> c_int {
        // SAFETY: it is valid.
        unsafe { function(self.mutex()) }
    }

    fn lock(self) -> c_int {
        self.call(libc::pthread_mutex_lock)
    }

    fn unlock(self) -> c_int {
        self.call(libc::pthread_mutex_unlock)
    }

    fn wait_until_set(self) {
        assert_eq!(self.lock(), 0);
        // SAFETY: valid, and guarded by the mutex.
        while unsafe { self.value().read_volatile() } == 0 {
            // SAFETY: both are valid.
            assert_eq!(unsafe { libc::pthread_cond_wait(self.condvar(), self.mutex()) }, 0);
        }
        assert_eq!(self.unlock(), 0);
    }

    fn set(self, value: c_int) {
        assert_eq!(self.lock(), 0);
        // SAFETY: valid, and guarded by the mutex.
        unsafe { self.value().write_volatile(value) };
        // SAFETY: it is valid.
        assert_eq!(unsafe { libc::pthread_cond_broadcast(self.condvar()) }, 0);
        assert_eq!(self.unlock(), 0);
    }
}

fn robust(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    // SAFETY: valid attributes, says the only caller.
    unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) }
}

fn inherits(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutexattr_setprotocol(attributes, libc::PTHREAD_PRIO_INHERIT) }
}

fn recursive(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_RECURSIVE) }
}

fn checks(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK) }
}

fn shared(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) }
}

/// Held across a wait by one green thread, and wanted by another one of its OS thread.
fn a_neighbour_waits(locks: Locks) {
    assert_eq!(locks.lock(), 0);
    let call = move || (locks.lock(), locks.unlock());
    assert_eq!(neighbour_goes_on("pthread_mutex_lock", call, || assert_eq!(locks.unlock(), 0)), (0, 0));

    assert_eq!(locks.lock(), 0);
    let others = osier::spawn(move || {
        assert_eq!(locks.call(libc::pthread_mutex_trylock), EBUSY);
        // SAFETY: all zero is a time, which is long over.
        let past: libc::timespec = unsafe { zeroed() };
        // SAFETY: both are valid.
        assert_eq!(unsafe { libc::pthread_mutex_timedlock(locks.mutex(), &past) }, ETIMEDOUT);
    });
    others.join().unwrap();
    assert_eq!(locks.unlock(), 0);
}

fn an_os_thread_has_it(locks: Locks) {
    let (held, has_it) = channel();
    let (go, is_to_go) = channel();
    let holder = std::thread::spawn(move || {
        assert_eq!(locks.lock(), 0);
        held.send(()).unwrap();
        is_to_go.recv().unwrap();
        assert_eq!(locks.unlock(), 0);
    });
    has_it.recv().unwrap();
    assert_eq!(locks.call(libc::pthread_mutex_trylock), EBUSY);
    // Nobody lets it go on but a green thread that runs while this one waits.
    let neighbour = osier::spawn(move || go.send(()).unwrap());
    assert_eq!((locks.lock(), locks.unlock()), (0, 0));
    neighbour.join().unwrap();
    holder.join().unwrap();
}

fn owners_are_told_apart() {
    for kind in [robust, inherits] {
        let locks = Locks::new(&[recursive, kind]);
        assert_eq!((locks.lock(), locks.lock(), locks.unlock()), (0, 0, 0));
        let call = move || (locks.lock(), locks.unlock());
        assert_eq!(neighbour_goes_on("pthread_mutex_lock", call, || assert_eq!(locks.unlock(), 0)), (0, 0));
        let locks = Locks::new(&[checks, kind]);
        assert_eq!((locks.lock(), locks.lock(), locks.unlock()), (0, EDEADLK, 0));
    }
}

fn an_owner_dies() {
    for kind in [recursive, checks] {
        let locks = Locks::new(&[kind, robust]);
        std::thread::spawn(move || assert_eq!(locks.lock(), 0)).join().unwrap();
        assert_eq!(locks.lock(), EOWNERDEAD);
        // What several wait for is not to be had any more: all are told.
        let waiters: Vec<_> = (0..3).map(|_| osier::spawn_local(move || locks.lock())).collect();
        osier::yield_now();
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        assert_eq!(locks.unlock(), 0);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ENOTRECOVERABLE);
        }
    }
    let locks = Locks::new(&[robust]);
    std::thread::spawn(move || assert_eq!(locks.lock(), 0)).join().unwrap();
    assert_eq!(locks.lock(), EOWNERDEAD);
    assert_eq!(locks.call(libc::pthread_mutex_consistent), 0);
    assert_eq!((locks.unlock(), locks.lock(), locks.unlock()), (0, 0, 0));
}

fn a_shared_condition_variable() {
    let locks = Locks::new(&[shared, robust]);
    let wait = move || locks.wait_until_set();
    neighbour_goes_on("pthread_cond_wait", wait, || locks.set(1));
    locks.set(0);
    assert_eq!(locks.lock(), 0);
    // SAFETY: all zero is a time, which is long over.
    let past: libc::timespec = unsafe { zeroed() };
    // SAFETY: all is valid.
    let waited = unsafe { libc::pthread_cond_timedwait(locks.condvar(), locks.mutex(), &past) };
    assert_eq!(waited, ETIMEDOUT);
    assert_eq!(locks.unlock(), 0);
}

#[test]
fn special_locks_park_the_green_thread() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        for set in [&[robust as Set][..], &[inherits], &[robust, inherits], &[shared, robust]] {
            let locks = Locks::new(set);
            a_neighbour_waits(locks);
            an_os_thread_has_it(locks);
        }
        owners_are_told_apart();
        an_owner_dies();
        a_shared_condition_variable();
    });
}

/// A process of its own, which is copied.
#[test]
fn another_process_sets_it() {
    let output = in_child("another_process_sets_it", || {
        osier::patch::all();
        watchdog();
        osier::run(|| {
            let locks = Locks::new(&[shared]);
            // Has libc's functions looked up, which the copy must not.
            locks.set(0);
            let waiter = osier::spawn(move || locks.wait_until_set());
            osier::sleep(MILLI);
            // SAFETY: the copy calls what needs no lock, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                locks.set(1);
                // SAFETY: ends the process.
                unsafe { libc::_exit(0) };
            }
            waiter.join().unwrap();
            let mut status = 0;
            // SAFETY: valid for a write.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}
