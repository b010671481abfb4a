//! Blocking system calls that are made through libc's function `syscall`: they are made, and counted if a green thread makes them.
//!
//! Of the numbers only the futexes' are shims, the newer ones of which come here first. The others are what somebody has called who
//! does not want libc's functions, and with which arguments the kernel would have to be asked; so they block the OS thread.

use super::connect::polls;
use super::futex;
use super::report::{blocks_in_system_call, on_patched_green_thread};
use super::wait::is_nonblocking;
use crate::sys::futex::call;
use crate::sys::system_call::answer;
use libc::{c_int, c_long, timespec};
use std::os::fd::RawFd;

/// A number, its name, and when such a call waits. The descriptor, if there is one, is the first argument; arguments are counted
/// from 0.
pub(super) struct SystemCall {
    number: c_long,
    pub(super) name: &'static str,
    waits: Waits,
}

/// When a call waits, as far as its arguments and its descriptor tell.
#[derive(Clone, Copy)]
enum Waits {
    Always,
    /// While the blocking descriptor is not ready for this.
    For(libc::c_short),
    /// As before, but not with this flag in that argument.
    ForUnless(libc::c_short, usize, c_int),
    /// Unless that argument has this flag.
    Unless(usize, c_int),
    /// Unless that argument is 0: milliseconds, or how many are to be complete.
    UnlessZero(usize),
    /// Unless that argument points at a time of zero.
    UnlessNoTime(usize),
}

use Waits::{Always, For, ForUnless, Unless, UnlessNoTime, UnlessZero};

/// Fills in the name.
macro_rules! system_calls {
    ($($(#[$attribute:meta])* $number:ident $waits:expr;)*) => {
        &[$($(#[$attribute])* SystemCall {
            number: libc::$number,
            name: concat!("syscall(", stringify!($number), ", ..)"),
            waits: $waits,
        }),*]
    };
}

/// Those that are counted.
pub(super) static LIST: &[SystemCall] = system_calls! {
    SYS_read For(libc::POLLIN);
    SYS_readv For(libc::POLLIN);
    SYS_recvfrom ForUnless(libc::POLLIN, 3, libc::MSG_DONTWAIT);
    SYS_recvmsg ForUnless(libc::POLLIN, 2, libc::MSG_DONTWAIT);
    SYS_recvmmsg ForUnless(libc::POLLIN, 3, libc::MSG_DONTWAIT);
    SYS_accept For(libc::POLLIN);
    SYS_accept4 For(libc::POLLIN);
    SYS_write For(libc::POLLOUT);
    SYS_writev For(libc::POLLOUT);
    SYS_sendto ForUnless(libc::POLLOUT, 3, libc::MSG_DONTWAIT);
    SYS_sendmsg ForUnless(libc::POLLOUT, 2, libc::MSG_DONTWAIT);
    SYS_sendmmsg ForUnless(libc::POLLOUT, 3, libc::MSG_DONTWAIT);
    SYS_ppoll UnlessNoTime(2);
    SYS_pselect6 UnlessNoTime(4);
    SYS_epoll_pwait UnlessZero(3);
    SYS_epoll_pwait2 UnlessNoTime(3);
    SYS_io_uring_enter UnlessZero(2);
    SYS_nanosleep UnlessNoTime(0);
    SYS_clock_nanosleep Always;
    SYS_wait4 Unless(2, libc::WNOHANG);
    SYS_waitid Unless(3, libc::WNOHANG);
    SYS_rt_sigtimedwait UnlessNoTime(2);
    SYS_rt_sigsuspend Always;
    SYS_flock Unless(1, libc::LOCK_NB);
    SYS_msgrcv Unless(4, libc::IPC_NOWAIT);
    SYS_msgsnd Unless(3, libc::IPC_NOWAIT);
    SYS_semtimedop UnlessNoTime(3);
    SYS_mq_timedreceive For(libc::POLLIN);
    SYS_mq_timedsend For(libc::POLLOUT);
    SYS_futex_waitv UnlessNoTime(3);
    #[cfg(target_arch = "x86_64")]
    SYS_poll UnlessZero(2);
    #[cfg(target_arch = "x86_64")]
    SYS_select UnlessNoTime(4);
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait UnlessZero(3);
    #[cfg(target_arch = "x86_64")]
    SYS_pause Always;
};

/// For a number of [`futex::call_newer`].
const NEWER_FUTEX: u8 = u8::MAX;

/// For each number its place in the list, counted from 1; 0 for those that are not in it.
pub(super) static WATCHED: [u8; 512] = {
    let mut watched = [0; 512];
    watched[futex::WAKE as usize] = NEWER_FUTEX;
    watched[futex::WAIT as usize] = NEWER_FUTEX;
    watched[futex::REQUEUE as usize] = NEWER_FUTEX;
    let mut at = 0;
    while at < LIST.len() {
        watched[LIST[at].number as usize] = at as u8 + 1;
        at += 1;
    }
    watched
};

/// Makes a system call that is watched, all of which return once, and on the stack that they were made on.
pub(super) extern "C" fn watch(
    number: c_long,
    first: c_long,
    second: c_long,
    third: c_long,
    fourth: c_long,
    fifth: c_long,
    sixth: c_long,
) -> c_long {
    let arguments = [first, second, third, fourth, fifth, sixth];
    let watched = WATCHED[number as usize];
    if watched == NEWER_FUTEX {
        return futex::call_newer(number, &arguments);
    }
    if on_patched_green_thread() {
        let at = usize::from(watched) - 1;
        if LIST[at].waits.holds_for(&arguments) {
            blocks_in_system_call(at);
        }
    }
    // SAFETY: what the caller of `syscall` answers for.
    answer(unsafe { call(number, arguments) })
}

impl Waits {
    /// Whether a call with these arguments waits.
    fn holds_for(self, arguments: &[c_long; 6]) -> bool {
        let fd = arguments[0] as RawFd;
        // A descriptor that is not open is refused at once.
        let is_awaited = |events| {
            polls(fd, events).is_ok_and(|ready| !ready) && is_nonblocking(fd).is_ok_and(|is_set| !is_set)
        };
        let has = |at: usize, flag| arguments[at] as c_int & flag != 0;
        match self {
            Always => true,
            For(events) => is_awaited(events),
            ForUnless(events, at, flag) => !has(at, flag) && is_awaited(events),
            Unless(at, flag) => !has(at, flag),
            UnlessZero(at) => arguments[at] as c_int != 0,
            UnlessNoTime(at) => {
                // Both kinds of times that the kernel takes are of two numbers.
                let time = core::ptr::with_exposed_provenance::<timespec>(arguments[at] as usize);
                // SAFETY: null or valid, as the caller of `syscall` answers for.
                !unsafe { time.as_ref() }.is_some_and(|time| time.tv_sec == 0 && time.tv_nsec == 0)
            }
        }
    }
}
