//! The group `process`: waiting for children.
//!
//! A wait for the end of one child waits for a descriptor that stands for it. For any other wait (any child, a process group,
//! children that stop or go on) the kernel has no descriptor; a signal it has, but that is the program's. So for each such
//! wait there is an OS thread that waits with `WNOWAIT`: it tells, and takes nothing. If the wait is given up it stays until a
//! child changes, or there is none.
//!
//! Each is followed by a try with `WNOHANG`, for another may have been faster.
//!
//! `system` and `pclose`, which wait inside of libc, run on OS threads of their own.

use super::behind::{Behind, behind_errno};
use super::pool::function_apart;
use super::report::count;
use super::wait::{error, on_green, refuse, wait, with_errno};
use super::{Group, original};
use crate::scheduler::Worker;
use crate::sys::event::{Direction, EventFd};
use crate::sys::process::{Pidfd, pidfd};
use crate::sys::shimmed::{self, blocked_signals, blocking_signals};
use core::ptr;
use libc::{FILE, c_char, c_int, id_t, idtype_t, pid_t, rusage, siginfo_t};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// Bytes of the stack of an OS thread that waits for children.
const STACK: usize = 64 * 1024;

#[unsafe(export_name = "wait")]
pub(super) unsafe extern "C" fn wait_any(status: *mut c_int) -> pid_t {
    count!(wait);
    // SAFETY: the caller's promise.
    unsafe { wait4(-1, status, 0, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    count!(waitpid);
    // SAFETY: the caller's promise.
    unsafe { wait4(pid, status, options, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn wait3(status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    count!(wait3);
    // SAFETY: the caller's promise.
    unsafe { wait4(-1, status, options, usage) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn wait4(
    pid: pid_t,
    status: *mut c_int,
    options: c_int,
    usage: *mut rusage,
) -> pid_t {
    count!(wait4);
    if options & libc::WNOHANG == 0 {
        let events = libc::WEXITED
            | if options & libc::WUNTRACED != 0 { libc::WSTOPPED } else { 0 }
            | options & (libc::WCONTINUED | CLONES);
        let waited = on_green(Group::Process, |worker| {
            with_errno(|| {
                until_changed(worker, &Children::of_pid(pid), events, || {
                    // SAFETY: the caller's promise.
                    unsafe { shimmed::wait4(pid, status, options | libc::WNOHANG, usage) }
                })
            })
        });
        if let Some(waited) = waited {
            return waited as pid_t;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { original::wait4(pid, status, options, usage) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn waitid(
    kind: idtype_t,
    id: id_t,
    info: *mut siginfo_t,
    options: c_int,
) -> c_int {
    count!(waitid);
    if options & libc::WNOHANG == 0 {
        let events = options & !libc::WNOWAIT;
        let waited = on_green(Group::Process, |worker| {
            with_errno(|| {
                let mut own = None;
                until_changed(worker, &Children { kind, id }, events, || {
                    // SAFETY: all zeroes are a valid `siginfo_t`.
                    let found = own.insert(unsafe { core::mem::zeroed::<siginfo_t>() });
                    // SAFETY: valid for a write.
                    unsafe { shimmed::waitid(kind, id, found, options | libc::WNOHANG) }?;
                    // SAFETY: what the kernel has filled, or zeroes, has this field.
                    Ok(unsafe { found.si_pid() }.unsigned_abs() as usize)
                })?;
                if let (Some(found), false) = (own, info.is_null()) {
                    // SAFETY: not null, so valid for a write, says the caller.
                    unsafe { *info = found };
                }
                Ok(0)
            })
        });
        if let Some(waited) = waited {
            return waited as c_int;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { original::waitid(kind, id, info, options) }
}

type System = unsafe extern "C" fn(*const c_char) -> c_int;
type PClose = unsafe extern "C" fn(*mut FILE) -> c_int;

// SAFETY: the type of the function.
static SYSTEM: Behind<System> = unsafe { Behind::new(c"system", None) };
// SAFETY: the type of the function.
static PCLOSE: Behind<PClose> = unsafe { Behind::new(c"pclose", None) };

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn system(command: *const c_char) -> c_int {
    count!(system);
    let call = || behind_errno!(SYSTEM, command);
    let ended = on_green(Group::Process, |_| {
        // The child inherits what its maker blocks, which is to be what the caller does.
        let blocked = blocked_signals();
        // SAFETY: libc's function may be called on any OS thread, and does not panic.
        unsafe { function_apart(-1, || blocking_signals(blocked, call)) }
    });
    ended.unwrap_or_else(call)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pclose(stream: *mut FILE) -> c_int {
    count!(pclose);
    let call = || behind_errno!(PCLOSE, stream);
    // SAFETY: libc's function may be called on any OS thread, and does not panic.
    let ended = on_green(Group::Process, |_| unsafe { function_apart(-1, call) });
    ended.unwrap_or_else(call)
}

/// Linux's options about threads that are children.
const CLONES: c_int = libc::__WALL | libc::__WCLONE | libc::__WNOTHREAD;

/// Children as `waitid` names them.
struct Children {
    kind: idtype_t,
    id: id_t,
}

impl Children {
    /// As `waitpid` names them.
    fn of_pid(pid: pid_t) -> Children {
        let (kind, id) = match pid {
            -1 => (libc::P_ALL, 0),
            // The group of the caller.
            0 => (libc::P_PGID, 0),
            1.. => (libc::P_PID, pid.unsigned_abs()),
            _ => (libc::P_PGID, pid.unsigned_abs()),
        };
        Children { kind, id }
    }
}

/// Tries until the answer is not 0, which says that no child has changed.
fn until_changed(
    worker: &Worker,
    children: &Children,
    events: c_int,
    mut attempt: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    loop {
        match attempt()? {
            0 => wait_for_change(worker, children, events)?,
            changed => return Ok(changed),
        }
    }
}

/// Waits until a child may have changed.
fn wait_for_change(worker: &Worker, children: &Children, events: c_int) -> io::Result<()> {
    if events & (libc::WSTOPPED | libc::WCONTINUED) == 0 {
        match children.kind {
            libc::P_PIDFD => {
                let fd = children.id.cast_signed();
                if super::wait::is_nonblocking(fd)? {
                    return Err(error(libc::EAGAIN));
                }
                return wait(worker, fd, Direction::Read, None).map(drop);
            }
            libc::P_PID => match pidfd(children.id)? {
                Pidfd::Open(fd) => return wait(worker, fd.as_raw_fd(), Direction::Read, None).map(drop),
                // Somebody has waited for it since: the next try says so.
                Pidfd::Gone => return Ok(()),
                Pidfd::Unsupported => {}
            },
            _ => {}
        }
    }
    let changed = Arc::new(EventFd::new()?);
    let (theirs, kind, id) = (changed.clone(), children.kind, children.id);
    let watch = move || {
        loop {
            // SAFETY: nothing is asked for.
            let waited = unsafe { shimmed::waitid(kind, id, ptr::null_mut(), events | libc::WNOWAIT) };
            if !waited.is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                break;
            }
        }
        theirs.signal();
    };
    std::thread::Builder::new().name("osier-child".into()).stack_size(STACK).spawn(watch)?;
    wait(worker, changed.as_fd().as_raw_fd(), Direction::Read, None).map(drop)
}
