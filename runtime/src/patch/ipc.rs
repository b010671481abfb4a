//! The group `ipc`: message queues and semaphores of System V, and the message queues of POSIX.
//!
//! For those of System V the kernel has no descriptor: they are tried again and again, with pauses, as [locks of
//! files](super::file_lock) are. A queue of POSIX is a descriptor, which the reactor waits for.

use super::Group;
use super::deadline::Deadline;
use super::pauses::try_again;
use super::report::count;
use super::wait::{
    answer, error, is_nonblocking, on_descriptor_of, on_green, refuse, wait, with_errno, would_block,
};
use crate::park::Wake;
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::shimmed;
use core::cell::Cell;
use core::ptr;
use core::slice;
use libc::{c_char, c_int, c_long, c_uint, c_void, mqd_t, sembuf, size_t, ssize_t, timespec};
use std::io;

/// A time that has passed, and a wait of no length.
const NONE: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

/// [`try_again`], for what may be removed meanwhile: then a further try does not find it.
fn until_done(
    worker: &Worker,
    what: &'static str,
    busy: c_int,
    deadline: &Deadline,
    attempt: impl Fn() -> io::Result<usize>,
) -> io::Result<usize> {
    let was_busy = Cell::new(false);
    try_again(worker, what, busy, deadline, || match attempt() {
        Err(gone) if was_busy.get() && gone.raw_os_error() == Some(libc::EINVAL) => Err(error(libc::EIDRM)),
        tried => {
            was_busy.set(true);
            tried
        }
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn msgrcv(
    queue: c_int,
    message: *mut c_void,
    len: size_t,
    kind: c_long,
    flags: c_int,
) -> ssize_t {
    count!(msgrcv);
    // SAFETY: the caller's promise.
    let receive = |flags| unsafe { shimmed::msgrcv(queue, message, len, kind, flags) };
    // A copy is of a message that is there, and the flag wrong in a call that may wait.
    let received = if flags & (libc::IPC_NOWAIT | libc::MSG_COPY) == 0 {
        let attempt = || receive(flags | libc::IPC_NOWAIT);
        on_green(Group::Ipc, |worker| {
            with_errno(|| until_done(worker, "msgrcv", libc::ENOMSG, &Deadline::never(), attempt))
        })
    } else {
        None
    };
    received.unwrap_or_else(|| answer(receive(flags)))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn msgsnd(
    queue: c_int,
    message: *const c_void,
    len: size_t,
    flags: c_int,
) -> c_int {
    count!(msgsnd);
    // SAFETY: the caller's promise.
    let send = |flags| unsafe { shimmed::msgsnd(queue, message, len, flags) };
    let sent = if flags & libc::IPC_NOWAIT == 0 {
        let attempt = || send(flags | libc::IPC_NOWAIT);
        on_green(Group::Ipc, |worker| {
            with_errno(|| until_done(worker, "msgsnd", libc::EAGAIN, &Deadline::never(), attempt))
        })
    } else {
        None
    };
    sent.unwrap_or_else(|| answer(send(flags))) as c_int
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn semop(semaphores: c_int, operations: *mut sembuf, count: size_t) -> c_int {
    count!(semop);
    // SAFETY: the caller's promise.
    unsafe { semtimedop(semaphores, operations, count, ptr::null()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn semtimedop(
    semaphores: c_int,
    operations: *mut sembuf,
    count: size_t,
    limit: *const timespec,
) -> c_int {
    count!(semtimedop);
    // SAFETY: the caller's promise; the time is null or valid.
    let operate = |limit| unsafe { shimmed::semtimedop(semaphores, operations, count, limit) };
    let done = on_green(Group::Ipc, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let deadline = unsafe { Deadline::within(worker, limit) }?;
        // Where one of them must not wait, the kernel's answer does not say which was in the way.
        let some_must_not_wait = || {
            // SAFETY: the kernel has read so many.
            let all = unsafe { slice::from_raw_parts(operations, count) };
            all.iter().any(|operation| c_int::from(operation.sem_flg) & libc::IPC_NOWAIT != 0)
        };
        let is_mixed = Cell::new(false);
        let attempt = || {
            let tried = operate(&NONE);
            is_mixed.set(tried.as_ref().is_err_and(would_block) && some_must_not_wait());
            if is_mixed.get() { Ok(0) } else { tried }
        };
        let done = with_errno(|| until_done(worker, "semop", libc::EAGAIN, &deadline, attempt));
        (!is_mixed.get()).then_some(done)
    });
    done.flatten().unwrap_or_else(|| answer(operate(limit))) as c_int
}

/// Waits on a green thread for a queue of POSIX; `None` if the kernel is to do it. A call whose time has passed tells a queue that its owner wants
/// to wait for (`ETIMEDOUT`) from another (`EAGAIN`), and does not wait.
///
/// # Safety
///
/// `until` must be null or valid.
unsafe fn wait_for_queue(
    queue: mqd_t,
    direction: Direction,
    until: *const timespec,
    attempt: impl Fn(*const timespec) -> io::Result<usize>,
) -> Option<ssize_t> {
    on_descriptor_of(Group::Ipc.bit(), queue, |worker| {
        // SAFETY: null or valid, says the caller.
        let deadline = match unsafe { until.as_ref() } {
            None => Deadline::never(),
            // An invalid time is for the kernel to refuse.
            Some(until) => match Deadline::at(worker, libc::CLOCK_REALTIME, until) {
                Some(deadline) => deadline,
                None => return attempt(until),
            },
        };
        if worker.spend() && !is_nonblocking(queue)? {
            worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
        }
        loop {
            match attempt(&NONE) {
                Err(late) if late.raw_os_error() == Some(libc::ETIMEDOUT) => {}
                result => return result,
            }
            let stop = deadline.next_stop(worker, None);
            if wait(worker, queue, direction, stop)? == Wake::Deadline && deadline.has_passed(stop) {
                return Err(error(libc::ETIMEDOUT));
            }
        }
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mq_receive(
    queue: mqd_t,
    message: *mut c_char,
    len: size_t,
    priority: *mut c_uint,
) -> ssize_t {
    count!(mq_receive);
    // SAFETY: the caller's promise.
    unsafe { mq_timedreceive(queue, message, len, priority, ptr::null()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mq_timedreceive(
    queue: mqd_t,
    message: *mut c_char,
    len: size_t,
    priority: *mut c_uint,
    until: *const timespec,
) -> ssize_t {
    count!(mq_timedreceive);
    // SAFETY: the caller's promise; the time is null or valid.
    let receive = |until| unsafe { shimmed::mq_timedreceive(queue, message, len, priority, until) };
    // SAFETY: the caller's promise.
    let received = unsafe { wait_for_queue(queue, Direction::Read, until, receive) };
    received.unwrap_or_else(|| answer(receive(until)))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mq_send(
    queue: mqd_t,
    message: *const c_char,
    len: size_t,
    priority: c_uint,
) -> c_int {
    count!(mq_send);
    // SAFETY: the caller's promise.
    unsafe { mq_timedsend(queue, message, len, priority, ptr::null()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mq_timedsend(
    queue: mqd_t,
    message: *const c_char,
    len: size_t,
    priority: c_uint,
    until: *const timespec,
) -> c_int {
    count!(mq_timedsend);
    // SAFETY: the caller's promise; the time is null or valid.
    let send = |until| unsafe { shimmed::mq_timedsend(queue, message, len, priority, until) };
    // SAFETY: the caller's promise.
    let sent = unsafe { wait_for_queue(queue, Direction::Write, until, send) };
    sent.unwrap_or_else(|| answer(send(until))) as c_int
}
