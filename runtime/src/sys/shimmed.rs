//! The blocking system calls that only shims make, directly, as [`raw`](super::raw) does.

use super::raw::check;
use super::system_call::syscall;
use core::ffi::CStr;
use core::ptr;
use libc::{
    c_char, c_int, c_long, c_uint, c_void, epoll_event, iovec, loff_t, mmsghdr, off_t, sembuf, siginfo_t,
    sigset_t, timespec,
};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Bytes of the kernel's own signal set.
const SIGNALS: usize = 8;

/// The set of signals as the kernel has it: bit 0 is signal 1.
pub(crate) type SignalSet = u64;

/// The offset that stands for the descriptor's own position.
pub(crate) const POSITION: off_t = -1;

/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a read of its length.
pub(crate) unsafe fn pwritev2(
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_pwritev2, fd, parts, count, at, 0_usize, flags) };
    check(result)
}

pub(crate) fn fsync(fd: RawFd) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_fsync, fd) };
    check(result)
}

pub(crate) fn fdatasync(fd: RawFd) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_fdatasync, fd) };
    check(result)
}

/// What kind of thing a descriptor is: its `st_mode`, of which only the type is kept.
pub(crate) fn kind_of(fd: RawFd) -> io::Result<libc::mode_t> {
    // SAFETY: all zeroes are a valid `stat`.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: `stat` is valid for a write.
    super::check(unsafe { libc::fstat(fd, &raw mut stat) })?;
    Ok(stat.st_mode & libc::S_IFMT)
}

/// Opens what `fd` has open once more, nonblocking: flags are an open file's own, so `fd` keeps its own.
pub(crate) fn open_again(fd: RawFd, access: c_int) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{fd}\0");
    let flags = access | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: the path ends with a zero byte.
    let result = unsafe { syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) };
    // SAFETY: just opened, and nobody else's.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether the descriptor's name in /proc is `name`.
pub(crate) fn is_called(fd: RawFd, name: &CStr) -> bool {
    let path = format!("/proc/self/fd/{fd}\0");
    let mut found = [0_u8; 64];
    // SAFETY: the path ends with a zero byte, and `found` is valid for a write of its length.
    let len = unsafe {
        syscall(libc::SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), found.as_mut_ptr(), found.len())
    };
    usize::try_from(len).is_ok_and(|len| found.get(..len) == Some(name.to_bytes()))
}

/// # Safety
///
/// `messages` must point at `count` valid messages; `timeout` must be null or valid.
pub(crate) unsafe fn recvmmsg(
    fd: RawFd,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_recvmmsg, fd, messages, count, flags, timeout) };
    check(result)
}

/// # Safety
///
/// `messages` must point at `count` valid messages.
pub(crate) unsafe fn sendmmsg(
    fd: RawFd,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_sendmmsg, fd, messages, count, flags) };
    check(result)
}

/// # Safety
///
/// The offsets must each be null or valid.
pub(crate) unsafe fn splice(
    from: RawFd,
    from_at: *mut loff_t,
    to: RawFd,
    to_at: *mut loff_t,
    len: usize,
    flags: c_uint,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_splice, from, from_at, to, to_at, len, flags) };
    check(result)
}

/// How many descriptors the table has room for that this OS thread uses. It grows, and never shrinks.
pub(crate) fn descriptor_room() -> Option<c_int> {
    let status = crate::inside::run(|| std::fs::read_to_string("/proc/thread-self/status")).ok()?;
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:"))?;
    room.trim().parse().ok()
}

/// # Safety
///
/// Each set must be null or hold `count` bits, rounded up to a `long`; `timeout` must be null or valid, and the kernel's part of `mask`.
pub(crate) unsafe fn pselect(
    count: c_int,
    sets: [*mut c_void; 3],
    timeout: *mut timespec,
    mask: *const sigset_t,
) -> io::Result<usize> {
    #[repr(C)]
    struct Mask {
        set: *const sigset_t,
        len: usize,
    }
    let mask = Mask { set: mask, len: SIGNALS };
    let [read, write, except] = sets;
    // SAFETY: the caller's promise; the mask is null or of that length.
    let result = unsafe { syscall(libc::SYS_pselect6, count, read, write, except, timeout, &raw const mask) };
    check(result)
}

/// # Safety
///
/// `events` must have room for `room` of them; `mask` must be null or have the kernel's part of a set.
pub(crate) unsafe fn epoll_pwait(
    epoll: RawFd,
    events: *mut epoll_event,
    room: c_int,
    millis: c_int,
    mask: *const sigset_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise; the mask is null or of that length.
    let result = unsafe { syscall(libc::SYS_epoll_pwait, epoll, events, room, millis, mask, SIGNALS) };
    check(result)
}

/// # Safety
///
/// As [`epoll_pwait`]; `timeout` must be null or valid.
pub(crate) unsafe fn epoll_pwait2(
    epoll: RawFd,
    events: *mut epoll_event,
    room: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise; the mask is null or of that length.
    let result = unsafe { syscall(libc::SYS_epoll_pwait2, epoll, events, room, timeout, mask, SIGNALS) };
    check(result)
}

/// The signals that this OS thread blocks.
pub(crate) fn blocked_signals() -> SignalSet {
    let mut set: SignalSet = 0;
    let no_change = ptr::null::<SignalSet>();
    // SAFETY: `set` is valid for a write of the kernel's set, and nothing is changed.
    unsafe { syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, no_change, &raw mut set, SIGNALS) };
    set
}

/// A descriptor that is readable while one of the signals is pending. It takes none.
pub(crate) fn pending_signal(set: SignalSet) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is valid for a read.
    let result = unsafe { syscall(libc::SYS_signalfd4, -1, &raw const set, SIGNALS, flags) };
    // SAFETY: just created, and nobody else's.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// # Safety
///
/// `status` and `usage` must each be null or valid for a write.
pub(crate) unsafe fn wait4(
    pid: libc::pid_t,
    status: *mut c_int,
    options: c_int,
    usage: *mut libc::rusage,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_wait4, pid, status, options, usage) };
    check(result)
}

/// # Safety
///
/// `info` must be null or valid for a write.
pub(crate) unsafe fn waitid(
    kind: libc::idtype_t,
    id: libc::id_t,
    info: *mut siginfo_t,
    options: c_int,
) -> io::Result<usize> {
    let no_usage = ptr::null_mut::<libc::rusage>();
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_waitid, kind, id, info, options, no_usage) };
    check(result)
}

pub(crate) fn flock(fd: RawFd, operation: c_int) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_flock, fd, operation) };
    check(result)
}

/// # Safety
///
/// `argument` must be what the command takes.
pub(crate) unsafe fn fcntl(fd: RawFd, command: c_int, argument: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_fcntl, fd, command, argument) };
    check(result)
}

/// Makes the number `new` stand for what `old` has open.
pub(crate) fn dup3(old: RawFd, new: RawFd, flags: c_int) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_dup3, old, new, flags) };
    check(result)
}

/// Closes the descriptors from `first` to `last`, or what the flags say.
pub(crate) fn close_range(first: c_uint, last: c_uint, flags: c_uint) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_close_range, first, last, flags) };
    check(result)
}

/// # Safety
///
/// `path` must be null or a string that ends with a zero byte.
pub(crate) unsafe fn openat(
    directory: RawFd,
    path: *const c_char,
    flags: c_int,
    mode: libc::mode_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_openat, directory, path, flags, mode) };
    check(result)
}

/// [`kind_of`] what has this name; of a link, of what it leads to.
///
/// # Safety
///
/// As [`openat`].
pub(crate) unsafe fn kind_at(directory: RawFd, path: *const c_char) -> io::Result<libc::mode_t> {
    // SAFETY: all zeroes are a valid `stat`.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: the caller's promise, and `stat` is valid for a write.
    super::check(unsafe { libc::fstatat(directory, path, &raw mut stat, 0) })?;
    Ok(stat.st_mode & libc::S_IFMT)
}

pub(crate) fn tee(from: RawFd, to: RawFd, len: usize, flags: c_uint) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_tee, from, to, len, flags) };
    check(result)
}

/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a read of its length, or for a write if the pipe is read.
pub(crate) unsafe fn vmsplice(
    fd: RawFd,
    parts: *const iovec,
    count: usize,
    flags: c_uint,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_vmsplice, fd, parts, count, flags) };
    check(result)
}

/// Waits until a terminal has sent what was written to it.
pub(crate) fn drain(fd: RawFd) -> io::Result<usize> {
    const TCSBRK: c_int = 0x5409;
    // SAFETY: the command takes a number.
    let result = unsafe { syscall(libc::SYS_ioctl, fd, TCSBRK, 1) };
    check(result)
}

/// # Safety
///
/// The offsets must each be null or valid.
pub(crate) unsafe fn copy_file_range(
    from: RawFd,
    from_at: *mut loff_t,
    to: RawFd,
    to_at: *mut loff_t,
    len: usize,
    flags: c_uint,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_copy_file_range, from, from_at, to, to_at, len, flags) };
    check(result)
}

pub(crate) fn sync() {
    // SAFETY: no pointers. It does not fail.
    unsafe { syscall(libc::SYS_sync) };
}

pub(crate) fn syncfs(fd: RawFd) -> io::Result<usize> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_syncfs, fd) };
    check(result)
}

/// # Safety
///
/// With `MS_INVALIDATE` what is mapped there may change.
pub(crate) unsafe fn msync(address: *mut c_void, len: usize, flags: c_int) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_msync, address, len, flags) };
    check(result)
}

/// # Safety
///
/// `message` must be valid for a write of a number and `len` bytes.
pub(crate) unsafe fn msgrcv(
    queue: c_int,
    message: *mut c_void,
    len: usize,
    kind: c_long,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_msgrcv, queue, message, len, kind, flags) };
    check(result)
}

/// # Safety
///
/// `message` must be valid for a read of a number and `len` bytes.
pub(crate) unsafe fn msgsnd(
    queue: c_int,
    message: *const c_void,
    len: usize,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_msgsnd, queue, message, len, flags) };
    check(result)
}

/// # Safety
///
/// `operations` must point at `count` of them; `limit` must be null or valid.
pub(crate) unsafe fn semtimedop(
    semaphores: c_int,
    operations: *const sembuf,
    count: usize,
    limit: *const timespec,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_semtimedop, semaphores, operations, count, limit) };
    check(result)
}

/// # Safety
///
/// `message` must be valid for a write of `len` bytes, `priority` null or valid for one; `until` must be null or valid.
pub(crate) unsafe fn mq_timedreceive(
    queue: RawFd,
    message: *mut c_char,
    len: usize,
    priority: *mut c_uint,
    until: *const timespec,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_mq_timedreceive, queue, message, len, priority, until) };
    check(result)
}

/// # Safety
///
/// `message` must be valid for a read of `len` bytes; `until` must be null or valid.
pub(crate) unsafe fn mq_timedsend(
    queue: RawFd,
    message: *const c_char,
    len: usize,
    priority: c_uint,
    until: *const timespec,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_mq_timedsend, queue, message, len, priority, until) };
    check(result)
}

/// # Safety
///
/// `mask` must be null or valid.
pub(crate) unsafe fn rt_sigsuspend(mask: *const sigset_t) -> io::Result<usize> {
    // SAFETY: the caller's promise; the kernel reads its part of the set.
    let result = unsafe { syscall(libc::SYS_rt_sigsuspend, mask, SIGNALS) };
    check(result)
}

/// Runs `f` while this OS thread blocks just these signals.
pub(crate) fn blocking_signals<T>(set: SignalSet, f: impl FnOnce() -> T) -> T {
    let mut before: SignalSet = 0;
    let (new, old) = (&raw const set, &raw mut before);
    // SAFETY: both are sets of the kernel's.
    unsafe { syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, SIGNALS) };
    let value = f();
    let none = ptr::null_mut::<SignalSet>();
    // SAFETY: as above; what it was is not asked for.
    unsafe { syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, old.cast_const(), none, SIGNALS) };
    value
}
