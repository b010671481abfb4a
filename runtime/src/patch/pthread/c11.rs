//! The functions of `<threads.h>`: in glibc they are those of pthreads, on the same objects, with answers of their own.

use super::super::report::count;
use super::super::sleep::clock_nanosleep;
use super::{
    pthread_cond_broadcast, pthread_cond_signal, pthread_cond_timedwait, pthread_cond_wait, pthread_join,
    pthread_mutex_lock, pthread_mutex_timedlock, pthread_mutex_trylock, pthread_mutex_unlock, pthread_once,
};
use core::ffi::c_void;
use core::ptr;
use libc::{c_int, pthread_cond_t, pthread_mutex_t, pthread_t, timespec};

const SUCCESS: c_int = 0;
const BUSY: c_int = 1;
const ERROR: c_int = 2;
const NO_MEMORY: c_int = 3;
const TIMED_OUT: c_int = 4;

/// What these functions say for the number of an error.
fn answer(code: c_int) -> c_int {
    match code {
        0 => SUCCESS,
        libc::EBUSY => BUSY,
        libc::ENOMEM => NO_MEMORY,
        libc::ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn mtx_lock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(mtx_lock);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_mutex_lock(mutex) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn mtx_trylock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(mtx_trylock);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_mutex_trylock(mutex) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn mtx_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    count!(mtx_timedlock);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_mutex_timedlock(mutex, until) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn mtx_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    count!(mtx_unlock);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_mutex_unlock(mutex) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn cnd_wait(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    count!(cnd_wait);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_cond_wait(condvar, mutex) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn cnd_timedwait(
    condvar: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    count!(cnd_timedwait);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_cond_timedwait(condvar, mutex, until) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn cnd_signal(condvar: *mut pthread_cond_t) -> c_int {
    count!(cnd_signal);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_cond_signal(condvar) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn cnd_broadcast(condvar: *mut pthread_cond_t) -> c_int {
    count!(cnd_broadcast);
    // SAFETY: the caller's promise.
    answer(unsafe { pthread_cond_broadcast(condvar) })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn call_once(flag: *mut c_int, routine: Option<extern "C" fn()>) {
    count!(call_once);
    // SAFETY: the caller's promise.
    unsafe { pthread_once(flag, routine) };
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn thrd_join(thread: pthread_t, value: *mut c_int) -> c_int {
    count!(thrd_join);
    let mut given: *mut c_void = ptr::null_mut();
    // SAFETY: the caller's promise; `given` is valid for a write.
    let joined = unsafe { pthread_join(thread, &raw mut given) };
    // SAFETY: null or valid for a write, says the caller.
    if let (0, Some(value)) = (joined, unsafe { value.as_mut() }) {
        // A number that travels as a pointer.
        *value = given.addr() as c_int;
    }
    answer(joined)
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn thrd_sleep(time: *const timespec, left: *mut timespec) -> c_int {
    count!(thrd_sleep);
    // SAFETY: the caller's promise.
    match unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, time, left) } {
        0 => 0,
        libc::EINTR => -1,
        _ => -2,
    }
}
