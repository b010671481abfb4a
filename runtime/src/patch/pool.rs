//! Calls on the offload pool with the caller's own memory.

use crate::limits::with_shield;
use crate::offload::run_apart;
use crate::park::{Cancelled, Reason};
use crate::scheduler::Worker;
use crate::sys::errno;
use core::ptr;
use std::io;

/// A call that refers to memory of a green thread that is parked as long as the call runs.
struct Lent<F>(F);

// SAFETY: only `on_pool` makes one, and its caller has promised that the call may be made on another OS thread.
unsafe impl<F> Send for Lent<F> {}

/// Where the other OS thread leaves the answer.
struct Slot<T>(*mut Option<T>);

// SAFETY: the slot is written by one OS thread, and read by the other after it was told.
unsafe impl<T: Send> Send for Slot<T> {}

impl<F: FnOnce() -> T, T> Lent<F> {
    fn call(self) -> T {
        (self.0)()
    }
}

impl<T> Slot<T> {
    /// # Safety
    ///
    /// What it points at must be there still, and nobody else's.
    unsafe fn fill(self, value: T) {
        // SAFETY: the caller's promise.
        unsafe { *self.0 = Some(value) };
    }
}

/// Makes `call` on an OS thread of the pool while the green thread is parked. Neither a kill nor a deadline ends that wait, for
/// the call uses memory of the green thread: they count afterwards.
///
/// # Errors
///
/// If the machine gives no OS thread.
///
/// # Safety
///
/// What `call` refers to must be usable by another OS thread as long as this one waits. It must not panic.
pub(super) unsafe fn on_pool<T: Send>(worker: &Worker, call: impl FnOnce() -> T) -> io::Result<T> {
    let pool = worker.remote().offload.clone();
    // SAFETY: the caller's promise. The pool of a runtime is closed only when its green threads have ended, so it drops no job of theirs.
    unsafe { lent(call, |job| pool.run(job)) }
}

/// Has `run` make `call` elsewhere.
///
/// # Safety
///
/// As [`on_pool`]; and `run` must have run what it is given, or have dropped it, when it returns.
unsafe fn lent<T: Send>(
    call: impl FnOnce() -> T,
    run: impl FnOnce(Box<dyn FnOnce() + Send>) -> Result<io::Result<std::thread::Result<()>>, Cancelled>,
) -> io::Result<T> {
    let mut answer = None;
    let slot = Slot(ptr::from_mut(&mut answer));
    let lent = Lent(call);
    let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
        let value = lent.call();
        // SAFETY: the caller waits below until this has returned.
        unsafe { slot.fill(value) };
    });
    // SAFETY: only the lifetime changes. The job is run or dropped before this function returns, as nothing ends the wait under a
    // shield, and the caller promises the rest.
    let job: Box<dyn FnOnce() + Send + 'static> = unsafe { core::mem::transmute(job) };
    match with_shield(|| run(job)) {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => unreachable!("nothing ends a wait under a shield"),
    }
    answer.ok_or_else(|| io::Error::from_raw_os_error(libc::EIO))
}

/// [`on_pool`] for a system call.
///
/// # Safety
///
/// As there.
pub(super) unsafe fn system_call_on_pool(
    worker: &Worker,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    // SAFETY: the caller's promise. An error of a system call is a number.
    unsafe { on_pool(worker, call) }?
}

/// [`on_pool`] for a function of libc, with its `errno`, which is the other OS thread's.
///
/// # Safety
///
/// As there.
pub(super) unsafe fn with_errno_on_pool<T: Send>(
    worker: &Worker,
    call: impl FnOnce() -> T,
) -> io::Result<(T, libc::c_int)> {
    // SAFETY: the caller's promise.
    unsafe { on_pool(worker, || and_errno(call)) }
}

fn and_errno<T>(call: impl FnOnce() -> T) -> (T, libc::c_int) {
    errno::set(0);
    let value = call();
    (value, errno::last())
}

/// As [`on_pool`], on an OS thread of its own, since it may take for ever. `reason`: what is waited for meanwhile.
///
/// # Errors
///
/// As there.
///
/// # Safety
///
/// As there.
pub(super) unsafe fn apart<T: Send>(reason: Reason<'_>, call: impl FnOnce() -> T) -> io::Result<T> {
    // SAFETY: the caller's promise. An OS thread of its own runs what it is given.
    unsafe { lent(call, |job| run_apart("osier-call", reason, job)) }
}

/// [`apart`] for a function of libc that says what has become of it by a number, and by `errno`; `failed` is what it says if there
/// is no OS thread.
///
/// # Safety
///
/// As [`on_pool`].
pub(super) unsafe fn function_apart(failed: libc::c_int, call: impl FnOnce() -> libc::c_int) -> libc::c_int {
    let before = errno::last();
    // SAFETY: the caller's promise.
    let (answer, code) = unsafe { apart(Reason::Offload, || and_errno(call)) }
        .unwrap_or_else(|error| (failed, error.raw_os_error().unwrap_or(libc::EAGAIN)));
    errno::set(if code == 0 { before } else { code });
    answer
}
