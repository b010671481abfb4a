//! Makes the blocking calls of code that has never heard of Osier cooperative.
//!
//! With the cargo feature `patch` this crate defines libc's blocking functions, *shims*, and the linker takes them in
//! place of libc's, for std, for Rust crates and for C libraries alike. They do what libc's do, until [`all`] (or a [`group`] of
//! them) is called; and from then on everywhere but on green threads, where a call that would block parks the green
//! thread and lets the others run.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::sync::{Arc, Mutex};
//!
//! osier::patch::all();
//! osier::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     // Both ends are std's, and both run on this OS thread.
//!     let server = osier::spawn(move || -> std::io::Result<()> {
//!         let mut stream = listener.accept()?.0;
//!         stream.write_all(b"hello")
//!     });
//!     let mut text = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut text)?;
//!     server.join().unwrap()?;
//!     assert_eq!(text, "hello");
//!     Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What a shim does
//!
//! It tries without blocking. If the call would block it looks at what the descriptor's owner wants (`O_NONBLOCK`,
//! `SO_RCVTIMEO`, `SO_SNDTIMEO`), and waits accordingly. It remembers nothing of a descriptor, so descriptors may be duplicated,
//! inherited and closed behind its back, and nonblocking ones, those of another event loop say, behave as ever.
//! A blocking `accept` or `connect` cannot be tried without the descriptor's flag `O_NONBLOCK`, which is set for the
//! length of that one system call: whoever uses the same open socket at that moment from another process, or from an OS thread
//! that runs no green threads, may be told that it would block.
//!
//! # Cancellation
//!
//! A wait in a shim may have frames of C above it, so a kill or an enclosing [`timeout`](crate::time::timeout) does not unwind it.
//! It ends with `ECANCELED` or `ETIMEDOUT` (sleeps end early and say nothing), and so does each later one; the unwinding
//! starts at the next wait that is made through this crate. Until then each such call lets the others run.
//!
//! Waits for locks are different: std's and C's know of no error. Such a wait goes on until it is woken, whatever the green
//! thread was told. So at the end of [`run`](crate::run) a green thread that waits for a lock which nobody unlocks, or in a channel of
//! std's to which nobody sends, keeps it from returning. If no OS thread is left that could change that, the process
//! ends with a report; else [`Builder::shutdown_grace`](crate::Builder::shutdown_grace) tells.
//!
//! # The calls
//!
//! | group | functions | on a green thread |
//! |---|---|---|
//! | [`Sleep`](Group::Sleep) | `nanosleep` `clock_nanosleep` `usleep` `sleep` `thrd_sleep` | by the runtime's clock |
//! | | `sched_yield` `thrd_yield` | where Rust code calls them, by `std::thread::yield_now` say; see [Yields](#yields) |
//! | [`Net`](Group::Net) | `recv` `recvfrom` `recvmsg` `recvmmsg` `send` `sendto` `sendmsg` `sendmmsg` `read` `readv` `write` `writev` `accept` `accept4` `connect` | tried, then waited for, as long as the socket's options say |
//! | | `sendfile` `splice` | to a blocking socket `sendfile` sends piece by piece |
//! | | `close` `dup2` `dup3` `close_range` `closefrom` | wake who waits for what is closed, with `EBADF` |
//! | [`Poll`](Group::Poll) | `poll` `ppoll` `select` `pselect` `epoll_wait` `epoll_pwait` `epoll_pwait2` | with signal masks; `EINTR` for signals that only the mask lets in |
//! | | `aio_suspend` `lio_listio` | the one tried again and again, with pauses of up to 5 ms; the other, if it is to wait, on an OS thread of its own |
//! | [`Pipe`](Group::Pipe) | `read` `readv` `write` `writev` `preadv2` `pwritev2` `splice` `tee` `vmsplice` of pipes, named pipes, eventfds, timers, terminals | terminals are read by the offload pool once there is something |
//! | | `open` `openat` `creat` of named pipes | on an OS thread of its own. Asks first whether it is a named pipe, unless its flags let none wait |
//! | | `tcdrain` | on the offload pool |
//! | [`Process`](Group::Process) | `wait` `waitpid` `wait3` `wait4` `waitid` | one child's end by its pidfd; others have an OS thread that waits, and takes nothing |
//! | | `system` `pclose` | by libc, on an OS thread of its own |
//! | [`Signal`](Group::Signal) | `sigwait` `sigwaitinfo` `sigtimedwait` | wait for a descriptor of the signals |
//! | | `sigsuspend` `pause` | wait for the handlers of signals that are blocked; for others see below |
//! | [`Ipc`](Group::Ipc) | `msgrcv` `msgsnd` `semop` `semtimedop` | tried again and again, with pauses of up to 5 ms |
//! | | `mq_receive` `mq_timedreceive` `mq_send` `mq_timedsend` | tried, then waited for: a queue of POSIX is a descriptor |
//! | [`Futex`](Group::Futex) | `syscall` with `SYS_futex`, `SYS_futex_wait`, `SYS_futex_wake`, `SYS_futex_requeue` | waits and wake-ups, of std's locks say; see [Locks](#locks) |
//! | | `pthread_mutex_lock` `pthread_mutex_trylock` `pthread_mutex_timedlock` `pthread_mutex_clocklock` `pthread_mutex_unlock` `mtx_lock` `mtx_trylock` `mtx_timedlock` `mtx_unlock` | normal, adaptive, recursive, error-checking; robust ones too, and those that change priorities |
//! | | `pthread_cond_wait` `pthread_cond_timedwait` `pthread_cond_clockwait` `pthread_cond_signal` `pthread_cond_broadcast` `cnd_wait` `cnd_timedwait` `cnd_signal` `cnd_broadcast` | one that processes share ends waits for no reason, too, as it may: every 5 ms |
//! | | `sem_wait` `sem_timedwait` `sem_clockwait` `sem_post` | |
//! | | `pthread_rwlock_rdlock` `pthread_rwlock_timedrdlock` `pthread_rwlock_clockrdlock` `pthread_rwlock_wrlock` `pthread_rwlock_timedwrlock` `pthread_rwlock_clockwrlock` `pthread_rwlock_unlock` | |
//! | | `pthread_once` `call_once` | |
//! | | `pthread_barrier_wait` | by libc, on an OS thread of its own |
//! | | `pthread_join` `pthread_timedjoin_np` `pthread_clockjoin_np` `thrd_join` | tried again and again, with pauses of up to 5 ms |
//! | | `pthread_spin_lock` | spins for a moment, then as above |
//! | [`Dns`](Group::Dns) | `getaddrinfo` `getnameinfo` `gethostbyname` `gethostbyname2` `gethostbyaddr` `gethostbyname_r` `gethostbyname2_r` `gethostbyaddr_r` | by libc, on the offload pool |
//! | | `getaddrinfo_a`, if it is to wait | on an OS thread of its own |
//! | | `gai_suspend` | tried again and again, with pauses of up to 5 ms |
//! | [`FileLock`](Group::FileLock) | `flock`, `fcntl` with `F_SETLKW` and `F_OFD_SETLKW`, `lockf` | tried again and again, with pauses of up to 5 ms; no `EDEADLK` |
//! | [`File`](Group::File), not in [`all`] | `read` `readv` `pread` `preadv` `preadv2` `write` `writev` `pwrite` `pwritev` `pwritev2` `fsync` `fdatasync` of files; `copy_file_range` `sync` `syncfs` `msync` | on the offload pool; what is in memory is read in place |
//!
//! Names with `64` are shimmed with those without, and so are the names by which C calls that was compiled with `_FORTIFY_SOURCE`
//! (`__read_chk`, `__open_2`). `shutdown`, `dup` and `fork` need no shim: a shutdown wakes both directions, a
//! duplicate is a descriptor like any other, and the child of a fork runs unpatched and has
//! [no runtime](crate::process#after-a-fork). What changes directories or the layout of files (`rename`,
//! `unlink`, `fallocate`) is made in place.
//!
//! Known to block, and not made cooperative. Each does what libc does, and blocks the OS thread:
//!
//! | call | on a green thread | instead |
//! |---|---|---|
//! | `sched_yield` `thrd_yield` by what is not known to be Rust code | who calls may be an allocator, in the middle of what it keeps for each OS thread; see [Yields](#yields) | a lock, a condition variable |
//! | `sigsuspend` `pause` while a signal that is not blocked has a handler | that one may run on this OS thread at any time, and nothing tells of it | signals that are blocked before, `sigwait`, [`signal`](crate::signal) |
//! | `read` `readv` `poll` of the descriptors 0 to 2 | std holds a lock of its own while it reads | [`io::stdin`](crate::io::stdin), or a duplicate of the descriptor |
//! | `syscall` with `SYS_futex` and an operation of priority inheritance | the kernel knows the owners as OS threads | a mutex of pthreads |
//! | `syscall` with the number of another call that waits (`SYS_read`, `SYS_epoll_wait`, `SYS_futex_waitv`, `SYS_io_uring_enter`...) | made as it is | libc's function of that name |
//!
//! [`report`] counts what green threads have done with each shim, and the calls of this second table that were made so that they may
//! wait.
//!
//! # Locks
//!
//! With [`Group::Futex`] std's `Mutex`, `RwLock`, `Condvar`, `Once` and `Barrier` park the green thread, since they wait by
//! `syscall(SYS_futex, ..)`; so do all that are made of them. Both kinds of threads wake each other. A wake-up that is meant for one goes to
//! green threads and OS threads in turns, within each kind to the one that came first.
//!
//! `std::thread::park` waits the same way, but its token belongs to the OS thread. One green thread of an OS thread can park so
//! (and with it use std's `mpsc`, or `std::thread::scope` for OS threads), and may be woken for no reason, as std says. When a second one
//! does so at the same time the process ends with a report that shows both stacks: an unpark would not say whom of the two it is for.
//!
//! std's channels do not wake a receiver, or a sender that waits for room, on behalf of its own OS thread: use
//! [`sync::mpsc`](crate::sync::mpsc) between green threads. Who waits in vain so is reported: if nobody is left that
//! could go on, because all other OS threads of the process wait for each other, that is a deadlock; and while green threads wait for
//! descriptors or timers, [`std_park_limit`] bounds the wait. Another green thread may do nothing but use such a channel in a loop, which never
//! waits as long as there is room, and lets nobody run. Where the program has its symbols that is found, too, by looking now and then
//! where it is; so SIGURG is caught, unless somebody else catches it.
//!
//! parking_lot, and what is made of it, waits for a word in a thread-local, and so does rayon: one place for each OS thread. While
//! another OS thread may end such a wait it blocks the OS thread, for 50 ms, and for up to a second while others run. After that, or if
//! there is nobody else, the green thread is parked. When a second one comes to wait in the same place the process ends with a report
//! that shows both stacks. For std's `Mutex` and `RwLock` in a thread-local any number may wait; the OS thread is blocked for up to
//! 50 ms before each is parked. (A `Condvar` or a `Once` there cannot be told from rayon's latch.)
//!
//! The locks of pthreads belong to the thread that has them: libc would let one green thread lock a recursive mutex that another
//! one of the same OS thread has, and each unlock it. The shims tell them apart. A mutex that *another OS thread* has locked blocks the OS
//! thread for 50 ms, and longer while that one runs: allocators wait for such mutexes, in the middle of what they keep for
//! each OS thread. Only after that the green thread is parked; for a mutex that changes priorities it then lends its own to nobody. A green
//! thread that waits for what other processes share looks every 5 ms.
//!
//! The runtime itself, panic hooks, and an allocator or a [`Policy`](crate::Policy) that the runtime calls in the middle of what it does
//! wait as without us. An allocator that keeps state for each OS thread must not wait for locks of std's; nor, if it is written in Rust, yield
//! by `std::thread::yield_now`. A signal handler that interrupts the runtime blocks the OS thread, too, for ever if it waits for a lock
//! that a green thread of it has: no handler may wait for locks, says POSIX.
//!
//! # Yields
//!
//! `std::thread::yield_now` lets the other green threads of its OS thread run, and other OS threads if there are none; so do the crates that
//! call it until somebody has done something, spin locks and crossbeam's `Backoff` say. One that is killed, or whose time is over, is told
//! so by the next wait that is made through this crate, as after a sleep. One that yields until something has happened which will not
//! happen any more keeps [`run`](crate::run) from returning; [`Builder::shutdown_grace`](crate::Builder::shutdown_grace) tells.
//!
//! What std calls for that, `sched_yield`, is also called by allocators and other libraries of C while they wait for an OS thread, in the
//! middle of what they keep for each OS thread. There it does what libc's does. Rust code is told from other code by where the call
//! returns to: by the name that the function there has among the program's symbols. Functions of Rust that have a name of
//! C's (`no_mangle`), and what is in shared libraries, are taken for C code, and so is all of a program that was stripped of its symbols:
//! `[profile.release] strip = "debuginfo"` keeps them. An allocator of C that link-time optimisation across languages makes a part of Rust
//! functions cannot be told from these.
//!
//! A green thread that does nothing but yield in a way that lets nobody run, while others of its OS thread could, ends the process with a
//! report that shows its stack, after so much processor time as [`std_park_limit`] says, unless another OS thread runs then, for which it may
//! wait. So SIGURG is caught.
//!
//! # Crates and libraries that were tried
//!
//! Up to a hundred green threads on one OS thread, against as many OS threads:
//!
//! | crates, C and C++ libraries | on green threads of one OS thread |
//! |---|---|
//! | attohttpc, isahc, lettre, memcache, minreq, mysql, native-tls, redis, rouille, rusqlite, ssh2, suppaftp, tiny_http, tungstenite, ureq, zmq; c-ares, curl, glib, hiredis, libevent, libmicrohttpd, libpq, libssh2, libuv, libzmq, SQLite | as on OS threads |
//! | arc-swap, async-io, blocking, ctrlc, duct, env_logger, indicatif, once_cell, os_pipe, pollster, rand, signal-hook, subprocess, tempfile; crossbeam's Backoff, Parker, WaitGroup and scopes; std's and C++'s locks, futures and statics | as on OS threads |
//! | parking_lot, and with it dashmap, r2d2, once_cell with its feature of that name | as long as several do not wait at once, for a lock that is held across a wait, say, or for a pool: those are reported, see [Locks](#locks) |
//! | rayon | work that computes, for less than a second: the OS thread is blocked meanwhile. Else [`offload`](crate::offload()) the call: two that wait at once are mostly reported, and may take each other's result, which ends in a panic of rayon's |
//! | crossbeam-channel, flume, oneshot, std's channels; notify and reqwest's blocking client, which wait for such a channel | one at a time waits, for an OS thread; two are reported |
//! | async-channel's and event-listener's blocking calls, futures' executor, tokio's `Runtime::block_on` and `Receiver::blocking_recv`, and postgres, which is made of it | one at a time waits; the second one panics, as these crates do when they are used inside of themselves. [`offload`](crate::offload()) the call |
//! | tracing | a span that is entered across a wait is the parent of what its neighbours log meanwhile. Say `parent:`, or enter it for what does not wait |
//! | parking_lot's `ReentrantMutex`, and what else tells owners apart by a thread-local | lets in all green threads of the OS thread that has it |
//! | thread_local, and a `RefCell` in a thread-local | one value for all of them; a borrow that lasts across a wait has the next one panic. [`local!`](crate::local!) declares values of which each has its own |
//!
//! # Limits
//!
//! - Writes to the descriptors 0 to 2, too, block the OS thread, and are not counted: that would cost a system call each.
//! - So do a `close` that lingers, a `semop` of whose operations some have `IPC_NOWAIT` and others have not, and a `preadv2` or `pwritev2` with
//!   flags of what is no file.
//! - A close is seen by those that wait on a worker of the runtime whose OS thread closes. If another OS thread closes, a wait
//!   goes on.
//! - Outside of green threads the shims make libc's system calls; unlike libc's functions they are no points of
//!   `pthread_cancel`.
//! - glibc's other names for some of these functions (`__poll`, `__read`, `__libc_system`) and `sigpause` are not defined here. Hardly anybody
//!   calls them: of the libraries of a distribution none but glibc's own.
//! - A library that was opened with `dlopen(RTLD_DEEPBIND)`, calls that glibc makes inside of itself (for `fgets`, say), system calls that are made
//!   without libc, and statically linked glibc are out of reach.
//! - On a green thread a blocking `MSG_PEEK | MSG_WAITALL` and `SO_RCVLOWAT` do not wait for more than the first bytes.
//! - A call that is not to wait lets nobody run: a loop of `try_lock`, of nonblocking reads or of `poll` with no time, until another green
//!   thread of the same OS thread has done something, holds the OS thread as one that computes does, for ever. A yield in it helps.
//! - A signal handler that runs on the OS thread ends no wait of a green thread, except as the table says; the calls end with `EINTR`
//!   less often than elsewhere.
//! - A signal handler that runs on the OS thread must not wait, as by `nanosleep`, nor, if it is written in Rust, yield: where it has interrupted
//!   a green thread the call would switch, in the middle of whatever that did. A call on a nonblocking descriptor never does, a
//!   `write` of a byte to a socket or a pipe say.
//! - A wait for one child that some thread of the process traces ends with the child, and with a stop only if that is asked for (`WUNTRACED`).
//! - A reader-writer lock that is to prefer writers does not know of green threads that wait to write; and a green thread that
//!   locks one once more that it has is a deadlock, not `EDEADLK`.
//! - A pointer to a time, a mask, a set or a futex that leads nowhere is followed on green threads, where the kernel would say `EFAULT`.
//! - Each green thread that waits at a barrier of pthreads takes an OS thread meanwhile. While the machine gives no more the next ones try again
//!   and again, with pauses of up to 5 ms; for ever, if the barrier is for more than that. Beyond about 16,000 OS threads a process
//!   has no mappings left for them (`vm.max_map_count`), and std aborts it.
//! - A call on another OS thread that uses the caller's memory (files, terminals, commands, the older look-ups) is not ended by a kill or a
//!   deadline: they count when it is over.

mod addresses;
mod asynchronous;
mod behind;
mod close;
mod connect;
mod deadline;
mod epoll;
mod file;
mod file_lock;
mod flood;
mod fortified;
mod futex;
mod hosts;
mod ipc;
mod local_word;
mod messages;
mod names;
mod open;
pub mod original;
mod pauses;
mod pipe;
mod poll;
mod pool;
mod process;
mod pthread;
mod read_write;
mod report;
mod select;
mod sendfile;
mod signals;
mod single_thread;
mod sleep;
mod splice;
mod std_park;
mod symbols;
mod sync;
mod system_calls;
mod transfer;
mod wait;
mod yields;

pub use self::report::{Report, Shim, report};
pub use self::std_park::std_park_limit;
pub use self::symbols::{Symbol, symbols};

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Once;

/// Functions that are patched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Group {
    /// `nanosleep`, `clock_nanosleep`, `usleep`, `sleep`; and `sched_yield`, where Rust code calls it.
    Sleep,
    /// The calls on sockets.
    Net,
    /// Waiting for descriptors to be ready, `poll`, `select`, `epoll_wait` and their kin; and for libc's asynchronous calls.
    Poll,
    /// Reading and writing what is neither a socket nor a file: pipes, eventfds, terminals; and opening named pipes.
    Pipe,
    /// What locks are made of: `syscall(SYS_futex)`, and the locks of pthreads.
    Futex,
    /// Waiting for child processes.
    Process,
    /// Waiting for a signal that is blocked: `sigwait` and its kin, `sigsuspend`, `pause`.
    Signal,
    /// Message queues and semaphores of System V, and message queues of POSIX.
    Ipc,
    /// Looking up names, on the offload pool.
    Dns,
    /// Waiting for the lock of a file.
    FileLock,
    /// Reading, writing and syncing regular files, on the offload pool. Not among those that [`all`] activates: a file answers
    /// soon, and a call on the pool costs more than most of them take.
    File,
}

impl Group {
    /// All groups.
    pub const ALL: [Group; 11] = [
        Group::Sleep,
        Group::Net,
        Group::Poll,
        Group::Pipe,
        Group::Futex,
        Group::Process,
        Group::Signal,
        Group::Ipc,
        Group::Dns,
        Group::FileLock,
        Group::File,
    ];

    #[inline(always)]
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The bits of the groups that are active.
static ACTIVE: AtomicU32 = AtomicU32::new(0);

/// Activates every group of shims but [`Group::File`], for the whole process and for good. Calling it again does nothing.
///
/// Never waits, and may be called anywhere: a call that is already blocked stays so.
///
/// ```
/// osier::patch::all();
/// assert!(osier::patch::is_active(osier::patch::Group::Sleep));
/// let start = std::time::Instant::now();
/// osier::run(|| {
///     let nap = || std::thread::sleep(std::time::Duration::from_millis(50));
///     let threads: Vec<_> = (0..100).map(|_| osier::spawn(nap)).collect();
///     threads.into_iter().for_each(|thread| thread.join().unwrap());
/// });
/// assert!(start.elapsed() < std::time::Duration::from_secs(5));
/// ```
pub fn all() {
    for group in Group::ALL.into_iter().filter(|group| *group != Group::File) {
        self::group(group);
    }
}

/// Activates one group of shims, for the whole process and for good. Calling it again does nothing.
///
/// ```
/// use osier::patch::Group;
/// osier::patch::group(Group::Sleep);
/// assert!(osier::patch::is_active(Group::Sleep));
/// ```
pub fn group(group: Group) {
    static AT_FORK: Once = Once::new();
    AT_FORK.call_once(|| {
        // The child of a fork shares its parent's epoll instance: what it did there would take away the parent's events.
        // SAFETY: `deactivate` takes no lock that might be taken, and allocates nothing. If there is no memory for the entry, forked
        // children stay patched.
        unsafe { libc::pthread_atfork(None, None, Some(deactivate)) };
        // The linker takes an object out of our library only for a symbol that is referred to: refer to all of them.
        core::hint::black_box(symbols::TABLE);
    });
    if group == Group::Sleep {
        yields::prepare();
    }
    if group == Group::Futex {
        single_thread::deny();
    }
    if matches!(group, Group::Futex | Group::Sleep) {
        flood::watch();
    }
    // Relaxed: the bit says nothing about other memory.
    ACTIVE.fetch_or(group.bit(), Ordering::Relaxed);
}

/// Writes to standard error, as far as that can be; also in a signal handler.
fn write_error(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: valid for a read of its length.
        match unsafe { crate::sys::raw::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) } {
            Ok(written @ 1..) => text = &text[written..],
            _ => return,
        }
    }
}

extern "C" fn deactivate() {
    ACTIVE.store(0, Ordering::Relaxed);
    addresses::forget_all();
}

/// Whether a group of these bits was activated.
#[inline(always)]
fn is_any_active(bits: u32) -> bool {
    ACTIVE.load(Ordering::Relaxed) & bits != 0
}

/// Whether a group was activated.
#[must_use]
#[inline(always)]
pub fn is_active(group: Group) -> bool {
    is_any_active(group.bit())
}
