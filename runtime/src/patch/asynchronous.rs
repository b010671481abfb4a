//! Waiting for what libc does on OS threads of its own: `aio_suspend` and `gai_suspend`, which are tried again and again with pauses;
//! `lio_listio` and `getaddrinfo_a`, which wait on OS threads of their own if they are to wait at all.

use super::Group;
use super::behind::{Behind, behind, behind_errno};
use super::deadline::Deadline;
use super::pauses::try_again;
use super::pool::function_apart;
use super::report::count;
use super::wait::{code, error, on_green, with_errno, would_block};
use crate::sys::errno;
use core::ffi::c_void;
use libc::{aiocb, c_int, sigevent, timespec};

type Suspend = unsafe extern "C" fn(*const *const aiocb, c_int, *const timespec) -> c_int;
type List = unsafe extern "C" fn(c_int, *const *mut aiocb, c_int, *mut sigevent) -> c_int;
/// Of look-ups: libc's own structure, at which nobody looks here.
type LookUps = unsafe extern "C" fn(c_int, *mut *mut c_void, c_int, *mut sigevent) -> c_int;
type SuspendLookUps = unsafe extern "C" fn(*const *const c_void, c_int, *const timespec) -> c_int;

// SAFETY: the type of the function.
static SUSPEND: Behind<Suspend> = unsafe { Behind::new(c"aio_suspend", None) };
// On x86-64 there is an older one, which does not start the signal's OS thread as this one does.
// SAFETY: the type of the function.
static LIST: Behind<List> = unsafe { Behind::new(c"lio_listio", Some(c"GLIBC_2.4")) };
// SAFETY: the type of the function.
static LOOK_UP: Behind<LookUps> = unsafe { Behind::new(c"getaddrinfo_a", None) };
// SAFETY: the type of the function.
static SUSPEND_LOOK_UPS: Behind<SuspendLookUps> = unsafe { Behind::new(c"gai_suspend", None) };

const GAI_WAIT: c_int = 0;

/// A wait of no length.
const NONE: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

/// What a look-up says that libc does not have.
fn absent() -> c_int {
    errno::set(libc::ENOSYS);
    libc::EAI_SYSTEM
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aio_suspend(
    list: *const *const aiocb,
    count: c_int,
    limit: *const timespec,
) -> c_int {
    count!(aio_suspend);
    let waited = on_green(Group::Poll, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let deadline = unsafe { Deadline::within(worker, limit) }?;
        let attempt = || {
            let done = behind_errno!(SUSPEND, list, count, &NONE);
            usize::try_from(done).map_err(|_| error(errno::last()))
        };
        Some(with_errno(|| try_again(worker, "aio_suspend", libc::EAGAIN, &deadline, attempt)))
    });
    match waited.flatten() {
        Some(waited) => waited as c_int,
        None => behind_errno!(SUSPEND, list, count, limit),
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aio_suspend64(
    list: *const *const aiocb,
    count: c_int,
    limit: *const timespec,
) -> c_int {
    count!(aio_suspend64);
    // SAFETY: the caller's promise.
    unsafe { aio_suspend(list, count, limit) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn lio_listio(
    mode: c_int,
    list: *const *mut aiocb,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    count!(lio_listio);
    let call = || behind_errno!(LIST, mode, list, count, event);
    if mode != libc::LIO_WAIT {
        return call();
    }
    // SAFETY: libc's function may be called on any OS thread, and does not panic.
    let waited = on_green(Group::Poll, |_| unsafe { function_apart(-1, call) });
    waited.unwrap_or_else(call)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn lio_listio64(
    mode: c_int,
    list: *const *mut aiocb,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    count!(lio_listio64);
    // SAFETY: the caller's promise.
    unsafe { lio_listio(mode, list, count, event) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gai_suspend(
    list: *const *const c_void,
    count: c_int,
    limit: *const timespec,
) -> c_int {
    count!(gai_suspend);
    let waited = on_green(Group::Dns, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let deadline = unsafe { Deadline::within(worker, limit) }?;
        let before = errno::last();
        let attempt = || {
            errno::set(0);
            match behind!(SUSPEND_LOOK_UPS, list, count, &NONE; or absent()) {
                libc::EAI_AGAIN => Err(error(libc::EAGAIN)),
                // What it says instead, for want of a line.
                libc::EAI_SYSTEM if errno::last() == 0 => Err(error(libc::EAGAIN)),
                answer => Ok(answer),
            }
        };
        Some(match try_again(worker, "gai_suspend", libc::EAGAIN, &deadline, attempt) {
            Err(late) if would_block(&late) => libc::EAI_AGAIN,
            Err(refused) => {
                errno::set(code(&refused));
                libc::EAI_SYSTEM
            }
            Ok(answer) => {
                errno::set(before);
                answer
            }
        })
    });
    waited.flatten().unwrap_or_else(|| behind!(SUSPEND_LOOK_UPS, list, count, limit; or absent()))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getaddrinfo_a(
    mode: c_int,
    list: *mut *mut c_void,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    count!(getaddrinfo_a);
    let call = || behind!(LOOK_UP, mode, list, count, event; or absent());
    if mode != GAI_WAIT {
        return call();
    }
    // SAFETY: libc's function may be called on any OS thread, and does not panic.
    let waited = on_green(Group::Dns, |_| unsafe { function_apart(libc::EAI_SYSTEM, call) });
    waited.unwrap_or_else(call)
}
