//! A timer of one OS thread's processor time, whose signal interrupts that OS thread and nobody else.
//!
//! The signal is SIGURG, which does nothing unless somebody asks for it. If somebody does there is no such timer.

use super::check;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use libc::{c_int, c_void, siginfo_t};
use std::io;

/// The signal.
pub(crate) const SIGNAL: c_int = libc::SIGURG;

/// Whether [`install`] has been successful. Relaxed: nothing else hangs on it.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Fires while it exists.
pub(crate) struct CpuTimer(libc::timer_t);

impl CpuTimer {
    /// Fires each time that the calling OS thread has run for `every`, more than zero.
    ///
    /// # Errors
    ///
    /// If the machine has no more timers.
    pub(crate) fn start(every: Duration) -> io::Result<CpuTimer> {
        // SAFETY: all zeroes are valid.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        // SAFETY: no pointers.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = ptr::null_mut();
        // SAFETY: `event` is valid, and `timer` for a write.
        check(unsafe { libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut event, &raw mut timer) })?;
        let timer = CpuTimer(timer);
        let every = super::event::timespec(every);
        let time = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the timer is there, `time` is valid, and the old one is not wanted.
        check(unsafe { libc::timer_settime(timer.0, 0, &raw const time, ptr::null_mut()) })?;
        Ok(timer)
    }
}

impl Drop for CpuTimer {
    fn drop(&mut self) {
        // SAFETY: made by `start`, and not deleted before.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Has `handler` called for the signal, in a signal handler, when it is a timer's, with the address of the code that was interrupted.
/// False if the signal is somebody else's.
pub(crate) fn install(handler: fn(usize)) -> bool {
    static HANDLER: std::sync::OnceLock<fn(usize)> = std::sync::OnceLock::new();
    extern "C" fn handle(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel's, here and below.
        let is_timer = unsafe { (*info).si_code } == libc::SI_TIMER;
        if let Some(handler) = HANDLER.get().filter(|_| is_timer) {
            // SAFETY: as above.
            let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
            #[cfg(target_arch = "x86_64")]
            let at = machine.gregs[libc::REG_RIP as usize] as usize;
            #[cfg(target_arch = "aarch64")]
            let at = machine.pc as usize;
            let before = super::errno::last();
            handler(at);
            super::errno::set(before);
        }
    }
    if HANDLER.set(handler).is_err() {
        return INSTALLED.load(Ordering::Relaxed);
    }
    // SAFETY: all zeroes are a valid action.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: valid for a write; the action is not changed.
    let asked = unsafe { libc::sigaction(SIGNAL, ptr::null(), &raw mut old) };
    if asked != 0 || !matches!(old.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
        return false;
    }
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a valid action, whose handler calls what may be called in one.
    let set = unsafe { libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) };
    INSTALLED.store(set == 0, Ordering::Relaxed);
    set == 0
}

/// Bytes that are left of the stack that signal handlers have, to a handler; as good as endless where they have none of their own.
pub(crate) fn room() -> usize {
    // SAFETY: all zeroes are valid.
    let mut stack: libc::stack_t = unsafe { mem::zeroed() };
    // SAFETY: valid for a write; no new stack is given.
    unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) };
    let here = (&raw const stack).addr();
    if stack.ss_flags & libc::SS_ONSTACK == 0 { usize::MAX } else { here.saturating_sub(stack.ss_sp.addr()) }
}

/// Whether the signal is caught here, for those who ask which signals are caught.
pub(crate) fn is_installed() -> bool {
    INSTALLED.load(Ordering::Relaxed)
}
