//! What the kernel says of this process and of its children.

use super::check;
use super::system_call::syscall;
use crate::inside;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::OsString;
use std::io;
#[cfg(feature = "patch")]
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::OnceLock;

/// This process has been forked, with [`fork`] or, once [`at_fork`] was called, by whomever; or is what came of it. Relaxed: set by
/// who forks, and what it is asked about is shared with it.
static HAS_FORKED: AtomicBool = AtomicBool::new(false);

/// This process was made by [`fork`].
static IS_FORKED: AtomicBool = AtomicBool::new(false);

/// Has `in_child` called in the child of each fork from now on, also of those that others make. Calling this again does nothing.
///
/// # Safety
///
/// `in_child` may find any lock taken for ever, by an OS thread that is not there, the allocator's among them: it must take none.
///
/// # Errors
///
/// If there is no memory.
pub(crate) unsafe fn at_fork(in_child: extern "C" fn()) -> io::Result<()> {
    static REGISTERED: OnceLock<libc::c_int> = OnceLock::new();
    extern "C" fn in_parent() {
        HAS_FORKED.store(true, Ordering::Relaxed);
    }
    // SAFETY: the caller's promise; the other one sets a flag.
    let register = || unsafe { libc::pthread_atfork(Some(in_parent), None, Some(in_child)) };
    match inside::run(|| *REGISTERED.get_or_init(register)) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The OS threads of the process; `None` if `/proc` cannot be read.
pub(crate) fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// The OS threads of the process that can still do anything: all but those that wait, without a time limit, for another thread of
/// the process to wake them. `None` if `/proc` does not tell.
pub(crate) fn able_threads() -> Option<usize> {
    let before = Sleepers::now();
    // Counted in between: one that waits at both looks starts nobody that is not counted.
    let all = threads()?;
    let still = if before == Sleepers::now() { before.map_or(0, |sleepers| sleepers.len()) } else { 0 };
    Some(all - still.min(all))
}

/// Whether an OS thread of this process waits for something; true also if it has ended.
#[cfg(feature = "patch")]
pub(crate) fn sleeps(id: libc::c_int) -> bool {
    let mut state = [0; 512];
    let read =
        std::fs::File::open(format!("/proc/self/task/{id}/stat")).and_then(|mut file| file.read(&mut state));
    let Ok(read) = read else { return true };
    // After the name, which is in brackets and may hold any character.
    let text = &state[..read];
    let name_end = text.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    !matches!(text.get(name_end + 2), Some(b'R' | b'D'))
}

/// Whether another OS thread of the process than the one that calls runs, or waits for a disk; false if `/proc` cannot be read.
#[cfg(feature = "patch")]
pub(crate) fn others_run() -> bool {
    // SAFETY: no pointers.
    let own = unsafe { libc::gettid() };
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return false };
    let mut ids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.any(|id| id != own && !sleeps(id))
}

/// The OS threads that wait for a futex of this process, without a time limit: each with what the kernel says of that, and how
/// often it has waited. If they are the same at two looks, all have waited from the one to the other.
#[derive(PartialEq, Eq)]
pub(crate) struct Sleepers(Vec<(OsString, String, String)>);

impl Sleepers {
    /// `None` if `/proc` does not tell; and as long as signals are caught that are no faults, since a handler may wake anybody
    /// (ours does not).
    pub(crate) fn now() -> Option<Sleepers> {
        let field = |status: &str, name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        if super::signal::caught(u64::MAX) != 0 {
            return None;
        }
        let mut waiting = Vec::new();
        for entry in std::fs::read_dir("/proc/self/task").ok()? {
            let entry = entry.ok()?;
            let Ok(call) = std::fs::read_to_string(entry.path().join("syscall")) else { continue };
            // The number, the address, the operation, the value, the time.
            let mut words = call.split_whitespace();
            let number = words.next().and_then(|word| word.parse().ok());
            let arguments: Vec<_> =
                words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
            let [_, operation, _, 0, ..] = arguments[..] else { continue };
            let operation = operation as libc::c_int;
            let waits =
                matches!(operation & libc::FUTEX_CMD_MASK, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
            if number != Some(libc::SYS_futex) || !waits || operation & libc::FUTEX_PRIVATE_FLAG == 0 {
                continue;
            }
            let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
            let Some(count) = field(&status, "voluntary_ctxt_switches:") else { continue };
            waiting.push((entry.file_name(), call, count));
        }
        Some(Sleepers(waiting))
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What becomes of a request for a descriptor that stands for a child.
#[derive(Debug)]
pub(crate) enum Pidfd {
    /// Readable once the child has ended. Closed in programs that are executed.
    Open(OwnedFd),
    /// There is no such child any more.
    Gone,
    /// The kernel has none (before Linux 5.3), or a sandbox does not allow it.
    Unsupported,
}

/// A descriptor that stands for the child `pid`, which must not have been waited for.
///
/// # Errors
///
/// If no descriptors are left.
pub(crate) fn pidfd(pid: u32) -> io::Result<Pidfd> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_pidfd_open, pid, 0_u32) };
    match check(result as libc::c_int) {
        // SAFETY: just created, and nobody else's.
        Ok(fd) => Ok(Pidfd::Open(unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(error) => match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(Pidfd::Gone),
            Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::EACCES) => Ok(Pidfd::Unsupported),
            _ => Err(error),
        },
    }
}

/// Blocks the OS thread until the child `pid` has ended, and leaves it to be waited for. Returns early if there is no such
/// child.
pub(crate) fn wait_ended(pid: u32) {
    loop {
        // SAFETY: all zeroes are a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
        // SAFETY: `info` is valid for a write.
        let result = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
        match check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// Ends the process. Nothing that was registered for its end is called, and nothing that is buffered is written.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: ends the process, and returns to nobody.
    unsafe { libc::_exit(code) }
}

/// Whether other processes may have duplicates of any descriptor.
pub(crate) fn has_forked() -> bool {
    HAS_FORKED.load(Ordering::Relaxed)
}

/// Whether this process is a copy of another one.
pub(crate) fn is_forked() -> bool {
    IS_FORKED.load(Ordering::Relaxed)
}

/// Makes a copy of this process with this OS thread alone; the child's id, or `None` in the child.
///
/// # Safety
///
/// If the process has other OS threads, only what is async-signal-safe may be called in the child. If parts of its memory are
/// shared with the child (`MAP_SHARED`), whoever uses them must expect that.
pub(crate) unsafe fn fork() -> io::Result<Option<u32>> {
    HAS_FORKED.store(true, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        IS_FORKED.store(true, Ordering::Relaxed);
        return Ok(None);
    }
    Ok(Some(pid.cast_unsigned()))
}

/// How the child `pid` has ended; `None` if it has not. Afterwards the number may be another process's.
pub(crate) fn try_wait(pid: u32) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for a write.
        match check(unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, libc::WNOHANG) }) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(ExitStatus::from_raw(status))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a signal to the child `pid`, which must not have been waited for.
pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid.cast_signed(), signal) }).map(drop)
}

/// Has this process end when its parent, which was `parent` when it was forked, does.
pub(crate) fn end_with_parent(parent: u32) {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0) };
    // It may have ended before.
    if std::os::unix::process::parent_id() != parent {
        exit_at_once(1);
    }
}

/// Puts `/dev/null` in the place of these descriptors, so that their numbers stay taken.
pub(crate) fn replace_with_nothing(fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.is_empty() {
        return Ok(());
    }
    let nothing = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    for fd in fds {
        // SAFETY: no pointers; both are open.
        check(unsafe { libc::dup3(nothing.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) })?;
    }
    Ok(())
}

/// The first mapping that this process can write and shares with its children: not a copy in them. `None` if there is none.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub(crate) fn shared_mapping() -> io::Result<Option<String>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let is_shared = |line: &&str| {
        let rights = line.split(' ').nth(1).unwrap_or_default().as_bytes();
        rights.get(1) == Some(&b'w') && rights.get(3) == Some(&b's')
    };
    Ok(maps.lines().find(is_shared).map(String::from))
}
