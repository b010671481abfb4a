//! Blocking system calls made by number, through libc's `syscall`: on a green thread they block its OS thread, as the kernel does it,
//! and `patch::report` counts them.

mod patching;

use libc::{POLLIN, SIGUSR1, c_int, c_long, iovec, timespec};
use patching::{answer, watchdog};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::mem::{MaybeUninit, zeroed};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

fn counts() -> Vec<(&'static str, u64)> {
    let blocking = osier::patch::report().blocking;
    blocking
        .into_iter()
        .filter(|(what, _)| what.starts_with("syscall(SYS_") && what.ends_with(", ..)"))
        .collect()
}

fn count(name: &str) -> u64 {
    let found = counts().into_iter().find(|(what, _)| *what == format!("syscall({name}, ..)"));
    found.unwrap_or_else(|| panic!("{name} is not counted")).1
}

/// What was shown to be counted.
struct Seen(Vec<String>);

impl Seen {
    /// Makes a call that waits until another OS thread, which goes by the count, has made `release`.
    fn waits(
        &mut self,
        name: &'static str,
        call: impl FnOnce() -> c_long,
        release: impl FnOnce() + Send + 'static,
    ) -> Result<usize, i32> {
        let before = count(name);
        let releaser = std::thread::spawn(move || {
            while count(name) == before {
                std::thread::sleep(MILLI);
            }
            release();
        });
        let result = answer(call() as isize);
        releaser.join().unwrap();
        assert_eq!(count(name), before + 1, "{name}");
        self.0.push(format!("syscall({name}, ..)"));
        result
    }
}

/// Makes a call that does not wait, and so is not counted.
fn goes_on(name: &'static str, call: impl FnOnce() -> c_long) -> Result<usize, i32> {
    let before = count(name);
    let result = answer(call() as isize);
    assert_eq!(count(name), before, "{name} did not wait");
    result
}

/// Makes a system call.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the arguments are what this system call takes.
        unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: no pointers.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    while (&writer).write(&[0; 4096]).is_ok() {}
    // SAFETY: no pointers.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) };
    (reader, writer)
}

fn pipes(seen: &mut Seen) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut byte = 0_u8;
    let part = iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let fd = reader.as_raw_fd();
    let write = |mut writer: &PipeWriter| writer.write_all(b"x").unwrap();
    let theirs = writer.try_clone().unwrap();
    assert_eq!(
        seen.waits("SYS_read", || call!(SYS_read, fd, part.iov_base, 1_usize), move || write(&theirs)),
        Ok(1)
    );
    assert_eq!(byte, b'x');
    let theirs = writer.try_clone().unwrap();
    assert_eq!(
        seen.waits("SYS_readv", || call!(SYS_readv, fd, &part, 1_usize), move || write(&theirs)),
        Ok(1)
    );
    write(&writer);
    assert_eq!(goes_on("SYS_read", || call!(SYS_read, fd, part.iov_base, 1_usize)), Ok(1));
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(goes_on("SYS_read", || call!(SYS_read, fd, part.iov_base, 1_usize)), Err(libc::EAGAIN));
    assert_eq!(goes_on("SYS_read", || call!(SYS_read, -1, part.iov_base, 1_usize)), Err(libc::EBADF));

    for vectored in [false, true] {
        let (reader, writer) = full_pipe();
        let fd = writer.as_raw_fd();
        // One stays open: the count is a little ahead of the call.
        let mut theirs = reader.try_clone().unwrap();
        let drain = move || assert_eq!(theirs.read(&mut [0; 1 << 16]).unwrap(), 1 << 16);
        let written = if vectored {
            seen.waits("SYS_writev", || call!(SYS_writev, fd, &part, 1_usize), drain)
        } else {
            seen.waits("SYS_write", || call!(SYS_write, fd, part.iov_base, 1_usize), drain)
        };
        assert_eq!(written, Ok(1));
    }
}

fn sockets(seen: &mut Seen) {
    let (one, other) = UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    let mut byte = 0_u8;
    let mut part = iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all zero is a message of nothing.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    message.msg_hdr.msg_iov = &raw mut part;
    message.msg_hdr.msg_iovlen = 1;
    let message = &raw mut message;
    let none = (null_mut::<u8>(), null_mut::<u8>());
    let recvfrom = |flags: c_int| call!(SYS_recvfrom, fd, part.iov_base, 1_usize, flags, none.0, none.1);
    let send = || {
        let mut theirs = other.try_clone().unwrap();
        move || theirs.write_all(b"x").unwrap()
    };
    assert_eq!(seen.waits("SYS_recvfrom", || recvfrom(0), send()), Ok(1));
    assert_eq!(goes_on("SYS_recvfrom", || recvfrom(libc::MSG_DONTWAIT)), Err(libc::EAGAIN));
    assert_eq!(seen.waits("SYS_recvmsg", || call!(SYS_recvmsg, fd, message, 0), send()), Ok(1));
    let recvmmsg = || call!(SYS_recvmmsg, fd, message, 1, 0, none.0);
    assert_eq!(seen.waits("SYS_recvmmsg", recvmmsg, send()), Ok(1));

    let address = (null::<u8>(), 0);
    let sendto = |flags: c_int| call!(SYS_sendto, fd, part.iov_base, 1_usize, flags, address.0, address.1);
    let fill = || while sendto(libc::MSG_DONTWAIT) == 1 {};
    let drain = || {
        let mut theirs = other.try_clone().unwrap();
        theirs.set_nonblocking(true).unwrap();
        move || while theirs.read(&mut [0; 4096]).is_ok() {}
    };
    fill();
    assert_eq!(goes_on("SYS_sendto", || sendto(libc::MSG_DONTWAIT)), Err(libc::EAGAIN));
    assert_eq!(seen.waits("SYS_sendto", || sendto(0), drain()), Ok(1));
    fill();
    assert_eq!(seen.waits("SYS_sendmsg", || call!(SYS_sendmsg, fd, message, 0), drain()), Ok(1));
    fill();
    assert_eq!(seen.waits("SYS_sendmmsg", || call!(SYS_sendmmsg, fd, message, 1, 0), drain()), Ok(1));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fd, address) = (listener.as_raw_fd(), listener.local_addr().unwrap());
    let connect = move || drop(TcpStream::connect(address).unwrap());
    let accept = || call!(SYS_accept, fd, none.0, none.1);
    let accepted = [
        seen.waits("SYS_accept", accept, connect),
        seen.waits("SYS_accept4", || call!(SYS_accept4, fd, none.0, none.1, 0), connect),
    ];
    for fd in accepted {
        // SAFETY: opened just now, and nobody else's.
        assert_eq!(unsafe { libc::close(fd.unwrap() as c_int) }, 0);
    }
}

fn readiness(seen: &mut Seen) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let fd = reader.as_raw_fd();
    let mut entry = libc::pollfd { fd, events: POLLIN, revents: 0 };
    let entry = &raw mut entry;
    // SAFETY: no pointers.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    // SAFETY: the event is valid.
    assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) }, 0);
    let event = &raw mut event;
    let for_ever = null_mut::<timespec>();
    let mut no_time = timespec { tv_sec: 0, tv_nsec: 0 };
    let no_time = &raw mut no_time;
    let none = null_mut::<u8>();
    let set = || {
        let mut set = MaybeUninit::<libc::fd_set>::zeroed();
        // SAFETY: all zero is a set.
        unsafe { libc::FD_SET(fd, set.as_mut_ptr()) };
        set
    };
    let ppoll = |limit: *mut timespec| call!(SYS_ppoll, entry, 1_usize, limit, none, 8_usize);
    let pselect =
        |limit: *mut timespec| call!(SYS_pselect6, fd + 1, set().as_mut_ptr(), none, none, limit, none);
    let pwait = |millis: c_int| call!(SYS_epoll_pwait, epoll, event, 1, millis, none, 8_usize);
    let pwait2 = |limit: *mut timespec| call!(SYS_epoll_pwait2, epoll, event, 1, limit, none, 8_usize);
    let mut each = |name, call: &dyn Fn(bool) -> c_long| {
        assert_eq!(goes_on(name, || call(false)), Ok(0));
        let mut theirs = writer.try_clone().unwrap();
        assert_eq!(seen.waits(name, || call(true), move || theirs.write_all(b"x").unwrap()), Ok(1));
        reader.read_exact(&mut [0]).unwrap();
    };
    let limit = |waits| if waits { for_ever } else { no_time };
    let millis = |waits| if waits { -1 } else { 0 };
    each("SYS_ppoll", &|waits| ppoll(limit(waits)));
    each("SYS_pselect6", &|waits| pselect(limit(waits)));
    each("SYS_epoll_pwait", &|waits| pwait(millis(waits)));
    each("SYS_epoll_pwait2", &|waits| pwait2(limit(waits)));
    #[cfg(target_arch = "x86_64")]
    {
        each("SYS_poll", &|waits| call!(SYS_poll, entry, 1_usize, millis(waits)));
        each("SYS_select", &|waits| call!(SYS_select, fd + 1, set().as_mut_ptr(), none, none, limit(waits)));
        each("SYS_epoll_wait", &|waits| call!(SYS_epoll_wait, epoll, event, 1, millis(waits)));
    }
    // SAFETY: opened above, and nobody else's.
    unsafe { libc::close(epoll) };

    // No such ring.
    let enter = |complete: c_int| call!(SYS_io_uring_enter, -1, 0, complete, 1, none, 0_usize);
    assert!(goes_on("SYS_io_uring_enter", || enter(0)).is_err());
    assert!(seen.waits("SYS_io_uring_enter", || enter(1), || ()).is_err());
}

fn times(seen: &mut Seen) {
    let time = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let (time, none) = (&raw const time, null_mut::<timespec>());
    assert_eq!(seen.waits("SYS_nanosleep", || call!(SYS_nanosleep, time, none), || ()), Ok(0));
    let sleep = || call!(SYS_clock_nanosleep, libc::CLOCK_MONOTONIC, 0, time, none);
    assert_eq!(seen.waits("SYS_clock_nanosleep", sleep, || ()), Ok(0));

    let word: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    // `struct futex_waitv`: the value, the address, the flags (32 bits), and room.
    let waiter = [0, word.as_ptr().expose_provenance() as u64, 2];
    let wake = move || {
        while call!(SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) == 0 {
            std::thread::sleep(MILLI);
        }
    };
    let wait = || call!(SYS_futex_waitv, waiter.as_ptr(), 1, 0, none, libc::CLOCK_MONOTONIC);
    assert_eq!(seen.waits("SYS_futex_waitv", wait, wake), Ok(0));
    word.store(1, Ordering::Relaxed);
}

#[expect(clippy::zombie_processes, reason = "they are waited for by number")]
fn children_and_locks(seen: &mut Seen) {
    for flagged in [false, true] {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (pid, stdin) = (child.id(), child.stdin.take());
        let (none, no_info) = (null_mut::<u8>(), null_mut::<u8>());
        let wait4 = |options: c_int| call!(SYS_wait4, pid, none, options, none);
        let waitid = |options: c_int| call!(SYS_waitid, libc::P_PID, pid, no_info, options, none);
        let waited = if flagged {
            assert_eq!(goes_on("SYS_wait4", || wait4(libc::WNOHANG)), Ok(0));
            seen.waits("SYS_wait4", || wait4(0), || drop(stdin))
        } else {
            assert_eq!(goes_on("SYS_waitid", || waitid(libc::WEXITED | libc::WNOHANG)), Ok(0));
            seen.waits("SYS_waitid", || waitid(libc::WEXITED), || drop(stdin))
        };
        assert_eq!(waited, Ok(if flagged { pid as usize } else { 0 }));
    }

    let path = std::env::temp_dir().join(format!("osier-patch-system-calls-{}", std::process::id()));
    let (one, other) = (File::create(&path).unwrap(), File::create(&path).unwrap());
    one.lock().unwrap();
    let fd = other.as_raw_fd();
    let flock = |flags: c_int| call!(SYS_flock, fd, libc::LOCK_EX | flags);
    assert_eq!(goes_on("SYS_flock", || flock(libc::LOCK_NB)), Err(libc::EAGAIN));
    assert_eq!(seen.waits("SYS_flock", || flock(0), move || one.unlock().unwrap()), Ok(0));
    std::fs::remove_file(path).unwrap();
}

fn messages(seen: &mut Seen) {
    let none = null_mut::<u8>();
    let queue = call!(SYS_msgget, libc::IPC_PRIVATE, 0o600) as c_int;
    let message: [c_long; 2] = [1, 7];
    let mut room: [c_long; 2] = [0; 2];
    let into = room.as_mut_ptr();
    let send = move |flags: c_int| call!(SYS_msgsnd, queue, message.as_ptr(), 8_usize, flags);
    let receive = |flags: c_int| call!(SYS_msgrcv, queue, into, 8_usize, 0_i64, flags);
    assert_eq!(goes_on("SYS_msgrcv", || receive(libc::IPC_NOWAIT)), Err(libc::ENOMSG));
    assert_eq!(seen.waits("SYS_msgrcv", || receive(0), move || assert_eq!(send(0), 0)), Ok(8));
    assert_eq!(room, message);
    while send(libc::IPC_NOWAIT) == 0 {}
    let take = move || {
        let mut room: [c_long; 2] = [0; 2];
        assert_eq!(call!(SYS_msgrcv, queue, room.as_mut_ptr(), 8_usize, 0_i64, 0), 8);
    };
    assert_eq!(seen.waits("SYS_msgsnd", || send(0), take), Ok(0));
    assert_eq!(call!(SYS_msgctl, queue, libc::IPC_RMID, none), 0);

    let semaphores = call!(SYS_semget, libc::IPC_PRIVATE, 1, 0o600) as c_int;
    let operate = move |by, limit: *const timespec| {
        let operation = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: 0 };
        call!(SYS_semtimedop, semaphores, &operation, 1_usize, limit)
    };
    let no_time = timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(goes_on("SYS_semtimedop", || operate(-1, &no_time)), Err(libc::EAGAIN));
    let post = move || assert_eq!(operate(1, null()), 0);
    assert_eq!(seen.waits("SYS_semtimedop", || operate(-1, null()), post), Ok(0));
    assert_eq!(call!(SYS_semctl, semaphores, 0, libc::IPC_RMID, none), 0);

    let name = std::ffi::CString::new(format!("/osier-system-calls-{}", std::process::id())).unwrap();
    // SAFETY: of numbers: all zero is valid.
    let mut attributes: libc::mq_attr = unsafe { zeroed() };
    (attributes.mq_maxmsg, attributes.mq_msgsize) = (1, 8);
    // SAFETY: the name is a string, and the attributes are valid.
    let queue =
        unsafe { libc::mq_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600, &raw const attributes) };
    // SAFETY: a string.
    assert_eq!(unsafe { libc::mq_unlink(name.as_ptr()) }, 0);
    let send = move || call!(SYS_mq_timedsend, queue, b"x".as_ptr(), 1_usize, 0, null::<u8>());
    let receive = move || {
        let mut room = [0_u8; 8];
        call!(SYS_mq_timedreceive, queue, room.as_mut_ptr(), 8_usize, null::<u8>(), null::<u8>())
    };
    assert_eq!(seen.waits("SYS_mq_timedreceive", receive, move || assert_eq!(send(), 0)), Ok(1));
    assert_eq!(goes_on("SYS_mq_timedsend", send), Ok(0));
    assert_eq!(seen.waits("SYS_mq_timedsend", send, move || assert_eq!(receive(), 1)), Ok(0));
    // SAFETY: opened above, and nobody else's.
    unsafe { libc::mq_close(queue) };
}

fn signals(seen: &mut Seen) {
    extern "C" fn handle(_: c_int) {}
    let handler: extern "C" fn(c_int) = handle;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(SIGUSR1, handler as libc::sighandler_t) };
    let (blocked, nothing) = (1_u64 << (SIGUSR1 - 1), 0_u64);
    let (pid, thread) = (std::process::id(), call!(SYS_gettid));
    let send = move || assert_eq!(call!(SYS_tgkill, pid, thread, SIGUSR1), 0);
    let set = |set: &u64| call!(SYS_rt_sigprocmask, libc::SIG_SETMASK, set, null::<u64>(), 8_usize);
    assert_eq!(set(&blocked), 0);
    let none = null::<u8>();
    let take = |limit: *const timespec| call!(SYS_rt_sigtimedwait, &blocked, none, limit, 8_usize);
    assert_eq!(
        goes_on("SYS_rt_sigtimedwait", || take(&timespec { tv_sec: 0, tv_nsec: 0 })),
        Err(libc::EAGAIN)
    );
    assert_eq!(seen.waits("SYS_rt_sigtimedwait", || take(null()), send), Ok(SIGUSR1 as usize));
    let suspend = || call!(SYS_rt_sigsuspend, &nothing, 8_usize);
    assert_eq!(seen.waits("SYS_rt_sigsuspend", suspend, send), Err(libc::EINTR));
    assert_eq!(set(&nothing), 0);
    #[cfg(target_arch = "x86_64")]
    {
        // Sent until it has come: the count is a little ahead of the call.
        let over = &*Box::leak(Box::new(AtomicU32::new(0)));
        let send = move || {
            while over.load(Ordering::SeqCst) == 0 {
                send();
                std::thread::sleep(MILLI);
            }
        };
        let pause = || {
            let paused = call!(SYS_pause);
            over.store(1, Ordering::SeqCst);
            paused
        };
        assert_eq!(seen.waits("SYS_pause", pause, send), Err(libc::EINTR));
    }
}

fn neither_before_nor_elsewhere() {
    let time = timespec { tv_sec: 0, tv_nsec: 1000 };
    let sleep = || call!(SYS_nanosleep, &time, null_mut::<timespec>());
    osier::run(|| assert_eq!(goes_on("SYS_nanosleep", sleep), Ok(0)));
    osier::patch::group(osier::patch::Group::Sleep);
    assert_eq!(goes_on("SYS_nanosleep", sleep), Ok(0));
}

/// A call that returns twice, of which one is of a child's.
fn a_fork() {
    let pid = call!(SYS_clone, libc::SIGCHLD, 0_usize, 0_usize, 0_usize, 0_usize);
    if pid == 0 {
        // SAFETY: ends the process.
        unsafe { libc::_exit(7) };
    }
    let mut status = 0;
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::waitpid(pid as c_int, &mut status, 0) }, pid as c_int);
    assert_eq!(libc::WEXITSTATUS(status), 7);
}

#[test]
fn blocking_system_calls_are_made_and_counted() {
    watchdog();
    neither_before_nor_elsewhere();
    let mut seen = Seen(Vec::new());
    osier::run(|| {
        a_fork();
        pipes(&mut seen);
        sockets(&mut seen);
        readiness(&mut seen);
        times(&mut seen);
        children_and_locks(&mut seen);
        messages(&mut seen);
        signals(&mut seen);
    });
    for (what, count) in counts().into_iter().filter(|(what, _)| !what.contains("operation")) {
        assert!(seen.0.iter().any(|name| name == what), "{what} has no test");
        assert!(count > 0, "{what}");
    }
}
