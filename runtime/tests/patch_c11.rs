//! The functions of C's `<threads.h>` on green threads.

mod patching;

use libc::{c_int, c_void, pthread_t, timespec};
use patching::{neighbour_goes_on, others_go_on, others_run_until_late, watchdog};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Mutex = Arc<Object<libc::pthread_mutex_t>>;

/// An object of C, large enough for what it is used for: glibc's `mtx_t` and `cnd_t` are no larger than those of pthreads.
struct Object<T>(UnsafeCell<T>);

// SAFETY: the functions of C may be called on any thread.
unsafe impl<T> Send for Object<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Object<T> {}

unsafe extern "C" {
    fn mtx_init(mutex: *mut libc::pthread_mutex_t, kind: c_int) -> c_int;
    fn mtx_lock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn mtx_trylock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn mtx_timedlock(mutex: *mut libc::pthread_mutex_t, until: *const timespec) -> c_int;
    fn mtx_unlock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn cnd_init(condvar: *mut libc::pthread_cond_t) -> c_int;
    fn cnd_wait(condvar: *mut libc::pthread_cond_t, mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn cnd_timedwait(
        condvar: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        until: *const timespec,
    ) -> c_int;
    fn cnd_signal(condvar: *mut libc::pthread_cond_t) -> c_int;
    fn cnd_broadcast(condvar: *mut libc::pthread_cond_t) -> c_int;
    fn call_once(flag: *mut c_int, routine: extern "C" fn());
    fn thrd_create(
        thread: *mut pthread_t,
        routine: extern "C" fn(*mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn thrd_join(thread: pthread_t, value: *mut c_int) -> c_int;
    fn thrd_sleep(time: *const timespec, left: *mut timespec) -> c_int;
}

const SUCCESS: c_int = 0;
const BUSY: c_int = 1;
const ERROR: c_int = 2;
const TIMED_OUT: c_int = 4;
const PLAIN: c_int = 0;
const RECURSIVE: c_int = 1;

fn mutex(kind: c_int) -> Mutex {
    let mutex = Arc::new(Object(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)));
    // SAFETY: valid for a write.
    assert_eq!(unsafe { mtx_init(mutex.0.get(), kind) }, SUCCESS);
    mutex
}

fn lock(mutex: &Mutex) -> c_int {
    // SAFETY: it is valid.
    unsafe { mtx_lock(mutex.0.get()) }
}

fn try_lock(mutex: &Mutex) -> c_int {
    // SAFETY: it is valid.
    unsafe { mtx_trylock(mutex.0.get()) }
}

fn unlock(mutex: &Mutex) -> c_int {
    // SAFETY: it is valid.
    unsafe { mtx_unlock(mutex.0.get()) }
}

fn after(time: Duration) -> timespec {
    let until = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + time;
    timespec { tv_sec: until.as_secs() as i64, tv_nsec: until.subsec_nanos().into() }
}

/// Runs a call that ends at a time, during which a neighbour runs.
fn times_out(what: &str, call: impl Fn(&timespec) -> c_int) {
    others_run_until_late(what, |time| assert_eq!(call(&after(time)), TIMED_OUT, "{what}"));
}

fn mutexes() {
    let plain = mutex(PLAIN);
    assert_eq!((lock(&plain), try_lock(&plain)), (SUCCESS, BUSY));
    let theirs = plain.clone();
    let waits = move || (lock(&theirs), unlock(&theirs));
    let both = neighbour_goes_on("mtx_lock", waits, || assert_eq!(unlock(&plain), SUCCESS));
    assert_eq!(both, (SUCCESS, SUCCESS));
    assert_eq!(lock(&plain), SUCCESS);
    let theirs = plain.clone();
    let other = osier::spawn(move || {
        // SAFETY: both are valid.
        times_out("mtx_timedlock", |until| unsafe { mtx_timedlock(theirs.0.get(), until) });
    });
    other.join().unwrap();
    assert_eq!(unlock(&plain), SUCCESS);

    let recursive = mutex(RECURSIVE);
    assert_eq!((lock(&recursive), lock(&recursive)), (SUCCESS, SUCCESS));
    let theirs = recursive.clone();
    osier::spawn(move || assert_eq!((try_lock(&theirs), unlock(&theirs)), (BUSY, ERROR))).join().unwrap();
    assert_eq!((unlock(&recursive), unlock(&recursive)), (SUCCESS, SUCCESS));
}

fn condition_variables() {
    let condvar = Arc::new(Object(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER)));
    // SAFETY: valid for a write.
    assert_eq!(unsafe { cnd_init(condvar.0.get()) }, SUCCESS);
    let (mutex, passed) = (mutex(PLAIN), Arc::new(AtomicUsize::new(0)));
    let wait = || {
        let (condvar, mutex, passed) = (condvar.clone(), mutex.clone(), passed.clone());
        move || {
            assert_eq!(lock(&mutex), SUCCESS);
            // SAFETY: both are valid. Nobody wakes for no reason here.
            assert_eq!(unsafe { cnd_wait(condvar.0.get(), mutex.0.get()) }, SUCCESS);
            passed.fetch_add(1, Ordering::Relaxed);
            assert_eq!(unlock(&mutex), SUCCESS);
        }
    };
    // SAFETY: it is valid.
    neighbour_goes_on("cnd_wait", wait(), || assert_eq!(unsafe { cnd_signal(condvar.0.get()) }, SUCCESS));
    let waiters: Vec<_> = (0..3).map(|_| osier::spawn(wait())).collect();
    (0..3).for_each(|_| osier::yield_now());
    // SAFETY: it is valid.
    assert_eq!(unsafe { cnd_broadcast(condvar.0.get()) }, SUCCESS);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(passed.load(Ordering::Relaxed), 4);
    assert_eq!(lock(&mutex), SUCCESS);
    // SAFETY: all are valid.
    times_out("cnd_timedwait", |until| unsafe { cnd_timedwait(condvar.0.get(), mutex.0.get(), until) });
    assert_eq!((try_lock(&mutex), unlock(&mutex)), (BUSY, SUCCESS));
}

fn once() {
    static HAPPENED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn routine() {
        (0..5).for_each(|_| osier::shield(osier::yield_now));
        HAPPENED.fetch_add(1, Ordering::Relaxed);
    }
    let flag = Arc::new(Object(UnsafeCell::new(0)));
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let flag = flag.clone();
            osier::spawn(move || {
                // SAFETY: a flag that was used for nothing else.
                unsafe { call_once(flag.0.get(), routine) };
                assert_eq!(HAPPENED.load(Ordering::Relaxed), 1);
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

fn threads() {
    extern "C" fn routine(go: *mut c_void) -> c_int {
        // SAFETY: the flag outlives the thread.
        let go = unsafe { &*go.cast::<AtomicUsize>() };
        while go.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        -7
    }
    let go: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut thread = 0;
    // SAFETY: valid for a write; the argument is what the routine takes.
    let created = unsafe { thrd_create(&mut thread, routine, std::ptr::from_ref(go).cast_mut().cast()) };
    assert_eq!(created, SUCCESS);
    let join = move || {
        let mut value = 0;
        // SAFETY: made above, and joined once.
        (unsafe { thrd_join(thread, &mut value) }, value)
    };
    assert_eq!(others_go_on("thrd_join", join, || go.store(1, Ordering::Release)), (SUCCESS, -7));

    let (start, neighbour) = (Instant::now(), osier::spawn(|| ()));
    let time = timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    // SAFETY: valid; what is left is not asked for.
    assert_eq!(unsafe { thrd_sleep(&time, std::ptr::null_mut()) }, 0);
    assert!(start.elapsed() >= Duration::from_millis(5) && neighbour.is_finished());
    neighbour.join().unwrap();
    let invalid = timespec { tv_sec: 0, tv_nsec: -1 };
    // SAFETY: as above.
    assert!(unsafe { thrd_sleep(&invalid, std::ptr::null_mut()) } < -1);
}

#[test]
fn the_threads_of_c11_are_those_of_pthreads() {
    watchdog();
    osier::patch::all();
    osier::run(|| {
        mutexes();
        condition_variables();
        once();
        threads();
    });
}
