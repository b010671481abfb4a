//! The locks of pthreads on green threads: each parks, is given back by threads of both kinds, and tells green threads of one OS
//! thread apart.

mod patching;

use libc::{CLOCK_MONOTONIC, CLOCK_REALTIME, EBUSY, EDEADLK, EPERM, ETIMEDOUT, c_int, timespec};
use patching::{answer, neighbour_goes_on, others_run_until_late, watchdog};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MILLI: Duration = Duration::from_millis(1);

unsafe extern "C" {
    fn pthread_mutex_clocklock(
        mutex: *mut libc::pthread_mutex_t,
        clock: c_int,
        until: *const timespec,
    ) -> c_int;
    fn pthread_cond_clockwait(
        condvar: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        clock: c_int,
        until: *const timespec,
    ) -> c_int;
    fn sem_clockwait(semaphore: *mut libc::sem_t, clock: c_int, until: *const timespec) -> c_int;
    fn pthread_rwlock_clockwrlock(
        lock: *mut libc::pthread_rwlock_t,
        clock: c_int,
        until: *const timespec,
    ) -> c_int;
    fn pthread_rwlock_timedrdlock(lock: *mut libc::pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_timedwrlock(lock: *mut libc::pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_once(control: *mut c_int, routine: extern "C" fn()) -> c_int;
}

/// An object of C.
struct Object<T>(UnsafeCell<T>);

// SAFETY: the functions of C may be called on any thread.
unsafe impl<T> Send for Object<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Object<T> {}

impl<T> Object<T> {
    fn new(init: impl FnOnce(*mut T) -> c_int) -> Arc<Object<T>> {
        let object = Arc::new(Object(UnsafeCell::new(MaybeUninit::zeroed())));
        assert_eq!(init(object.0.get().cast()), 0);
        // SAFETY: initialised just now, and `MaybeUninit<T>` is laid out as `T`.
        unsafe { std::mem::transmute::<Arc<Object<MaybeUninit<T>>>, Arc<Object<T>>>(object) }
    }

    /// Calls one of C's functions with it.
    fn call(&self, function: unsafe extern "C" fn(*mut T) -> c_int) -> c_int {
        // SAFETY: it is valid.
        unsafe { function(self.0.get()) }
    }

    fn until(
        &self,
        function: unsafe extern "C" fn(*mut T, *const timespec) -> c_int,
        after: Duration,
    ) -> c_int {
        // SAFETY: both are valid.
        unsafe { function(self.0.get(), &time(CLOCK_REALTIME, after)) }
    }

    fn clock_until(
        &self,
        function: unsafe extern "C" fn(*mut T, c_int, *const timespec) -> c_int,
        after: Duration,
    ) -> c_int {
        // SAFETY: both are valid.
        unsafe { function(self.0.get(), CLOCK_MONOTONIC, &time(CLOCK_MONOTONIC, after)) }
    }
}

type Mutex = Arc<Object<libc::pthread_mutex_t>>;

fn mutex(kind: c_int) -> Mutex {
    Object::new(|mutex| {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: all is valid.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), kind);
            libc::pthread_mutex_init(mutex, attributes.as_ptr())
        }
    })
}

fn lock(mutex: &Mutex) -> c_int {
    mutex.call(libc::pthread_mutex_lock)
}

fn unlock(mutex: &Mutex) -> c_int {
    mutex.call(libc::pthread_mutex_unlock)
}

fn time(clock: c_int, after: Duration) -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    let nanos = now.tv_nsec + i64::from(after.subsec_nanos());
    timespec {
        tv_sec: now.tv_sec + after.as_secs() as i64 + nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    }
}

/// Asserts that `call` times out after a while, in which others run.
fn times_out(what: &str, call: impl Fn(Duration) -> c_int) {
    others_run_until_late(what, |time| {
        let start = Instant::now();
        assert_eq!(call(time), ETIMEDOUT, "{what}");
        assert!(start.elapsed() >= time, "{what} after {:?}", start.elapsed());
    });
}

#[test]
fn locks_of_pthreads_park_the_green_thread() {
    osier::patch::all();
    watchdog();
    for _ in 0..2 {
        osier::run(|| {
            for kind in [
                libc::PTHREAD_MUTEX_NORMAL,
                libc::PTHREAD_MUTEX_RECURSIVE,
                libc::PTHREAD_MUTEX_ERRORCHECK,
                3, // adaptive
            ] {
                a_mutex(kind);
            }
            what_owners_may_do();
            a_mutex_of_another_os_thread();
            for clock in [CLOCK_REALTIME, CLOCK_MONOTONIC] {
                a_condition_variable(clock);
            }
            a_semaphore();
            a_lock_for_readers();
            once();
            a_join();
            a_kill_is_deferred();
            both_kinds_at_once();
        });
    }
}

fn a_mutex(kind: c_int) {
    let mutex = mutex(kind);
    assert_eq!(lock(&mutex), 0);
    let theirs = mutex.clone();
    let call = move || (lock(&theirs), unlock(&theirs));
    assert_eq!(neighbour_goes_on("pthread_mutex_lock", call, || assert_eq!(unlock(&mutex), 0)), (0, 0));

    assert_eq!(lock(&mutex), 0);
    let theirs = mutex.clone();
    let others = osier::spawn(move || {
        assert_eq!(theirs.call(libc::pthread_mutex_trylock), EBUSY);
        times_out("pthread_mutex_timedlock", |after| theirs.until(libc::pthread_mutex_timedlock, after));
        times_out("pthread_mutex_clocklock", |after| theirs.clock_until(pthread_mutex_clocklock, after));
    });
    others.join().unwrap();
    assert_eq!(unlock(&mutex), 0);
    assert_eq!(mutex.until(libc::pthread_mutex_timedlock, MILLI), 0);
    assert_eq!(unlock(&mutex), 0);
}

fn what_owners_may_do() {
    let recursive = mutex(libc::PTHREAD_MUTEX_RECURSIVE);
    assert_eq!((lock(&recursive), lock(&recursive), recursive.call(libc::pthread_mutex_trylock)), (0, 0, 0));
    let (theirs, entered) = (recursive.clone(), Rc::new(Cell::new(false)));
    let second = osier::spawn_local({
        let entered = entered.clone();
        move || {
            assert_eq!(unlock(&theirs), EPERM, "it is another green thread's");
            assert_eq!(lock(&theirs), 0);
            entered.set(true);
            assert_eq!(unlock(&theirs), 0);
            assert_eq!(unlock(&theirs), EPERM);
        }
    });
    for _ in 0..3 {
        osier::yield_now();
        assert!(!entered.get(), "the same OS thread, but another green thread");
        assert_eq!(unlock(&recursive), 0);
    }
    second.join().unwrap();
    assert!(entered.get());

    let checked = mutex(libc::PTHREAD_MUTEX_ERRORCHECK);
    assert_eq!((lock(&checked), lock(&checked)), (0, EDEADLK));
    let theirs = checked.clone();
    osier::spawn(move || assert_eq!(unlock(&theirs), EPERM)).join().unwrap();
    assert_eq!((unlock(&checked), unlock(&checked)), (0, EPERM));
}

fn a_mutex_of_another_os_thread() {
    for kind in [libc::PTHREAD_MUTEX_NORMAL, libc::PTHREAD_MUTEX_RECURSIVE] {
        let mutex = mutex(kind);
        let (theirs, locked) = (mutex.clone(), Arc::new(AtomicUsize::new(0)));
        let holder = std::thread::spawn({
            let locked = locked.clone();
            move || {
                assert_eq!(lock(&theirs), 0);
                locked.store(1, Ordering::Release);
                // Asleep with it until the neighbour has run for a while.
                while locked.load(Ordering::Acquire) == 1 {
                    std::thread::sleep(MILLI);
                }
                assert_eq!(unlock(&theirs), 0);
            }
        });
        while locked.load(Ordering::Acquire) == 0 {
            osier::yield_now();
        }
        let neighbour = osier::spawn(move || {
            (0..100).for_each(|_| osier::sleep(MILLI / 2));
            locked.store(2, Ordering::Release);
        });
        assert_eq!(lock(&mutex), 0);
        assert!(neighbour.is_finished(), "others ran while it was waited for");
        assert_eq!(unlock(&mutex), 0);
        neighbour.join().unwrap();
        holder.join().unwrap();
    }
}

fn a_condition_variable(clock: c_int) {
    type Condvar = Arc<Object<libc::pthread_cond_t>>;
    let condvar: Condvar = Object::new(|condvar| {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: all is valid.
        unsafe {
            libc::pthread_condattr_init(attributes.as_mut_ptr());
            libc::pthread_condattr_setclock(attributes.as_mut_ptr(), clock);
            libc::pthread_cond_init(condvar, attributes.as_ptr())
        }
    });
    let mutex = mutex(libc::PTHREAD_MUTEX_NORMAL);
    let value = Arc::new(AtomicUsize::new(0));
    let wait = |value: &Arc<AtomicUsize>, wanted| {
        let (condvar, mutex, value) = (condvar.clone(), mutex.clone(), value.clone());
        move || {
            assert_eq!(lock(&mutex), 0);
            while value.load(Ordering::Relaxed) != wanted {
                // SAFETY: both are valid.
                assert_eq!(unsafe { libc::pthread_cond_wait(condvar.0.get(), mutex.0.get()) }, 0);
            }
            assert_eq!(unlock(&mutex), 0);
        }
    };
    let set = |wanted, function: unsafe extern "C" fn(*mut libc::pthread_cond_t) -> c_int| {
        let (condvar, mutex, value) = (condvar.clone(), mutex.clone(), value.clone());
        move || {
            assert_eq!(lock(&mutex), 0);
            value.store(wanted, Ordering::Relaxed);
            assert_eq!(condvar.call(function), 0);
            assert_eq!(unlock(&mutex), 0);
        }
    };
    neighbour_goes_on("pthread_cond_wait", wait(&value, 1), set(1, libc::pthread_cond_signal));
    let setter = set(2, libc::pthread_cond_signal);
    neighbour_goes_on("pthread_cond_wait", wait(&value, 2), || drop(std::thread::spawn(setter)));
    let green: Vec<_> = (0..20).map(|_| osier::spawn(wait(&value, 3))).collect();
    let os: Vec<_> = (0..3).map(|_| std::thread::spawn(wait(&value, 3))).collect();
    osier::yield_now();
    set(3, libc::pthread_cond_broadcast)();
    green.into_iter().for_each(|thread| thread.join().unwrap());
    os.into_iter().for_each(|thread| thread.join().unwrap());

    assert_eq!(lock(&mutex), 0);
    times_out("pthread_cond_timedwait", |after| {
        // SAFETY: all is valid.
        unsafe { libc::pthread_cond_timedwait(condvar.0.get(), mutex.0.get(), &time(clock, after)) }
    });
    let other = if clock == CLOCK_REALTIME { CLOCK_MONOTONIC } else { CLOCK_REALTIME };
    times_out("pthread_cond_clockwait", |after| {
        // SAFETY: all is valid.
        unsafe { pthread_cond_clockwait(condvar.0.get(), mutex.0.get(), other, &time(other, after)) }
    });
    assert_eq!(mutex.call(libc::pthread_mutex_trylock), EBUSY, "it was locked again");
    assert_eq!(unlock(&mutex), 0);
}

fn a_semaphore() {
    for shared in [0, 1] {
        // SAFETY: valid for a write.
        let semaphore = Object::new(|semaphore| unsafe { libc::sem_init(semaphore, shared, 0) });
        let theirs = semaphore.clone();
        let wait = move || theirs.call(libc::sem_wait);
        if shared == 0 {
            let post = || assert_eq!(semaphore.call(libc::sem_post), 0);
            assert_eq!(neighbour_goes_on("sem_wait", wait, post), 0);
        } else {
            let waiter = osier::spawn(wait);
            osier::yield_now();
            assert_eq!(semaphore.call(libc::sem_post), 0);
            assert_eq!(waiter.join().unwrap(), 0);
        }
        let error = |result: c_int| answer(result as isize).map_or_else(|code| code, |_| 0);
        times_out("sem_timedwait", |after| error(semaphore.until(libc::sem_timedwait, after)));
        times_out("sem_clockwait", |after| error(semaphore.clock_until(sem_clockwait, after)));

        // Each post lets one in, whichever kind has posted.
        let passed = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let (semaphore, passed) = (semaphore.clone(), passed.clone());
                osier::spawn(move || {
                    assert_eq!(semaphore.call(libc::sem_wait), 0);
                    passed.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        osier::yield_now();
        (0..10).for_each(|_| assert_eq!(semaphore.call(libc::sem_post), 0));
        while passed.load(Ordering::Relaxed) < 10 {
            osier::sleep(MILLI);
        }
        osier::sleep(MILLI);
        assert_eq!(passed.load(Ordering::Relaxed), 10);
        let theirs = semaphore.clone();
        let poster =
            std::thread::spawn(move || (0..10).for_each(|_| assert_eq!(theirs.call(libc::sem_post), 0)));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        poster.join().unwrap();
    }
}

fn a_lock_for_readers() {
    // SAFETY: valid for a write.
    let this = Object::new(|this| unsafe { libc::pthread_rwlock_init(this, std::ptr::null()) });
    let release = || assert_eq!(this.call(libc::pthread_rwlock_unlock), 0);
    let then_release = |function: unsafe extern "C" fn(*mut libc::pthread_rwlock_t) -> c_int| {
        let theirs = this.clone();
        move || (theirs.call(function), theirs.call(libc::pthread_rwlock_unlock))
    };
    assert_eq!(this.call(libc::pthread_rwlock_rdlock), 0);
    // Another reader goes in.
    let reader = osier::spawn(then_release(libc::pthread_rwlock_rdlock));
    assert_eq!(reader.join().unwrap(), (0, 0));
    let write = then_release(libc::pthread_rwlock_wrlock);
    assert_eq!(neighbour_goes_on("pthread_rwlock_wrlock", write, release), (0, 0));
    assert_eq!(this.call(libc::pthread_rwlock_wrlock), 0);
    let read = then_release(libc::pthread_rwlock_rdlock);
    assert_eq!(neighbour_goes_on("pthread_rwlock_rdlock", read, release), (0, 0));
    assert_eq!(this.call(libc::pthread_rwlock_wrlock), 0);
    let theirs = this.clone();
    let others = osier::spawn(move || {
        times_out("pthread_rwlock_timedrdlock", |after| theirs.until(pthread_rwlock_timedrdlock, after));
        times_out("pthread_rwlock_timedwrlock", |after| theirs.until(pthread_rwlock_timedwrlock, after));
        times_out("pthread_rwlock_clockwrlock", |after| {
            theirs.clock_until(pthread_rwlock_clockwrlock, after)
        });
    });
    others.join().unwrap();
    let read = then_release(libc::pthread_rwlock_rdlock);
    let elsewhere = std::thread::spawn(read);
    release();
    assert_eq!(elsewhere.join().unwrap(), (0, 0));
}

fn once() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn routine() {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        (0..5).for_each(|_| osier::shield(osier::yield_now));
        DONE.fetch_add(1, Ordering::Relaxed);
    }
    let before = DONE.load(Ordering::Relaxed);
    let control = Arc::new(Object(UnsafeCell::new(0)));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let control = control.clone();
            osier::spawn(move || {
                // SAFETY: a control that has not been used, or by this function.
                assert_eq!(unsafe { pthread_once(control.0.get(), routine) }, 0);
                assert_eq!(DONE.load(Ordering::Relaxed), BEGUN.load(Ordering::Relaxed));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(DONE.load(Ordering::Relaxed), before + 1);
}

fn a_join() {
    let over = Arc::new(AtomicUsize::new(0));
    let theirs = over.clone();
    let neighbour = osier::spawn(move || {
        (0..5).for_each(|_| osier::sleep(MILLI));
        over.store(1, Ordering::Release);
    });
    let thread = std::thread::spawn(move || {
        while theirs.load(Ordering::Acquire) == 0 {
            std::thread::sleep(MILLI);
        }
        42
    });
    assert_eq!(thread.join().unwrap(), 42);
    assert!(neighbour.is_finished());
    neighbour.join().unwrap();
}

fn a_kill_is_deferred() {
    let mutex = mutex(libc::PTHREAD_MUTEX_NORMAL);
    assert_eq!(lock(&mutex), 0);
    let (theirs, beyond) = (mutex.clone(), Rc::new(Cell::new(false)));
    let waiter = osier::spawn_local({
        let beyond = beyond.clone();
        move || {
            assert_eq!((lock(&theirs), unlock(&theirs)), (0, 0));
            osier::yield_now();
            beyond.set(true);
        }
    });
    osier::yield_now();
    waiter.kill();
    for _ in 0..5 {
        osier::yield_now();
    }
    assert!(!waiter.is_finished());
    assert_eq!(unlock(&mutex), 0);
    assert!(waiter.join().unwrap_err().is::<osier::thread::Killed>());
    assert!(!beyond.get());
}

fn both_kinds_at_once() {
    const TURNS: usize = 300;
    for kind in [libc::PTHREAD_MUTEX_NORMAL, libc::PTHREAD_MUTEX_RECURSIVE] {
        let mutex = mutex(kind);
        let inside = Arc::new(AtomicUsize::new(0));
        let total = Arc::new(AtomicUsize::new(0));
        let body = |switches: bool| {
            let (mutex, inside, total) = (mutex.clone(), inside.clone(), total.clone());
            move || {
                for _ in 0..TURNS {
                    assert_eq!(lock(&mutex), 0);
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two at once");
                    if switches {
                        osier::yield_now();
                    }
                    inside.fetch_sub(1, Ordering::Relaxed);
                    total.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(unlock(&mutex), 0);
                }
            }
        };
        let os: Vec<_> = (0..3).map(|_| std::thread::spawn(body(false))).collect();
        let green: Vec<_> = (0..3).map(|_| osier::spawn(body(true))).collect();
        green.into_iter().for_each(|thread| thread.join().unwrap());
        os.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(total.load(Ordering::Relaxed), 6 * TURNS);
    }
}
