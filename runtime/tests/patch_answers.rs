//! A call on a green thread, and the same on an OS thread: both must be answered alike.

mod patching;

use libc::{
    MSG_COPY, c_int, c_long, c_uint, c_void, clockid_t, fd_set, iovec, pollfd, pthread_mutex_t, timespec,
};
use patching::watchdog;
use std::ffi::CString;
use std::mem::zeroed;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::ptr::{from_mut, null, null_mut, without_provenance_mut};

unsafe extern "C" {
    fn pthread_mutex_clocklock(
        mutex: *mut pthread_mutex_t,
        clock: clockid_t,
        until: *const timespec,
    ) -> c_int;
}

/// What `errno` is before each call.
const BEFORE: c_int = 77;

/// What a call has answered, and `errno` after it.
type Answer = (i64, c_int);

fn answer_of<T: Into<i64>>(call: impl FnOnce() -> T) -> Answer {
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = BEFORE };
    let value = call().into();
    // SAFETY: as above.
    (value, unsafe { *libc::__errno_location() })
}

/// A name, and what makes the call on any thread.
type Row = (&'static str, fn() -> Answer);

/// A pointer to nothing that is mapped.
fn nowhere<T>() -> *mut T {
    without_provenance_mut(16)
}

/// 128 bytes before memory that is not to be touched.
fn set_at_an_edge() -> *mut fd_set {
    let (page, access) = (4096, libc::PROT_READ | libc::PROT_WRITE);
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory.
    let memory = unsafe { libc::mmap(null_mut(), 2 * page, access, kind, -1, 0) }.cast::<u8>();
    // SAFETY: the second page of it.
    assert_eq!(unsafe { libc::mprotect(memory.add(page).cast(), page, libc::PROT_NONE) }, 0);
    // SAFETY: within it.
    unsafe { memory.add(page - size_of::<fd_set>()) }.cast()
}

/// Two ends of a Unix socket, which are not closed.
fn sockets() -> [c_int; 2] {
    <[UnixStream; 2]>::from(UnixStream::pair().unwrap()).map(IntoRawFd::into_raw_fd)
}

/// So many buffers of one byte.
fn bytes(count: usize) -> Vec<iovec> {
    let byte = Box::leak(Box::new(b'x'));
    vec![iovec { iov_base: from_mut(byte).cast(), iov_len: 1 }; count]
}

/// One more than a call may have.
const TOO_MANY: usize = 1025;

const SOCKETS: [Row; 5] = [
    ("accept4, with unknown flags", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: no address is asked for.
        answer_of(|| unsafe { libc::accept4(listener.as_raw_fd(), null_mut(), null_mut(), 0x4000_0000) })
    }),
    ("writev, of too many", || {
        let parts = bytes(TOO_MANY);
        // SAFETY: so many parts.
        answer_of(|| unsafe { libc::writev(sockets()[0], parts.as_ptr(), TOO_MANY as c_int) } as i64)
    }),
    ("readv, of too many", || {
        let (parts, [one, other]) = (bytes(TOO_MANY), sockets());
        // SAFETY: one byte.
        assert_eq!(unsafe { libc::send(other, parts[0].iov_base, 1, 0) }, 1);
        // SAFETY: so many parts, which are one, and nobody else's.
        answer_of(|| unsafe { libc::readv(one, parts.as_ptr(), TOO_MANY as c_int) } as i64)
    }),
    ("sendmsg, of too many", || {
        let mut parts = bytes(TOO_MANY);
        // SAFETY: of numbers and pointers: all zero is an empty message.
        let mut message: libc::msghdr = unsafe { zeroed() };
        (message.msg_iov, message.msg_iovlen) = (parts.as_mut_ptr(), TOO_MANY);
        // SAFETY: so many parts.
        answer_of(|| unsafe { libc::sendmsg(sockets()[0], &raw const message, 0) } as i64)
    }),
    ("sendmmsg, of too many", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        let mut part = bytes(1)[0];
        // SAFETY: of numbers and pointers: all zero is an empty message.
        let mut message: libc::mmsghdr = unsafe { zeroed() };
        (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (&raw mut part, 1);
        let mut messages = vec![message; TOO_MANY];
        let count = TOO_MANY as c_uint;
        // SAFETY: so many messages.
        answer_of(|| unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) })
    }),
];

const DESCRIPTORS: [Row; 3] = [
    // The kernel looks at no more than there can be; the count may be that of `getdtablesize`.
    ("select, of a large count", || {
        let (reader, _writer) = std::io::pipe().unwrap();
        let set = set_at_an_edge();
        // SAFETY: a set.
        unsafe { libc::FD_SET(reader.as_raw_fd(), set) };
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 1000 };
        // SAFETY: the kernel follows no more of the pointer than the set has.
        answer_of(|| unsafe { libc::select(1 << 20, set, null_mut(), null_mut(), &raw mut time) })
    }),
    // SAFETY: the kernel refuses the pointer.
    ("poll, of no memory", || answer_of(|| unsafe { libc::poll(nowhere(), 2, 10) })),
    ("poll, of too many", || {
        let mut entry = pollfd { fd: -1, events: 0, revents: 0 };
        // SAFETY: the kernel refuses the count.
        answer_of(|| unsafe { libc::poll(&raw mut entry, u64::MAX, 10) })
    }),
];

const SPLICES: [Row; 6] = [
    ("splice, to what is to be read", || {
        let (reader, _writer) = std::io::pipe().unwrap();
        let (from, to) = (sockets()[0], reader.as_raw_fd());
        // SAFETY: no offsets.
        answer_of(|| unsafe { libc::splice(from, null_mut(), to, null_mut(), 1, 0) } as i64)
    }),
    ("splice, to a pipe that nobody reads", || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (from, to) = (sockets()[0], writer.as_raw_fd());
        // SAFETY: no offsets.
        answer_of(|| unsafe { libc::splice(from, null_mut(), to, null_mut(), 1, 0) } as i64)
    }),
    ("splice, of nothing", || {
        // SAFETY: no offsets.
        answer_of(|| unsafe { libc::splice(-1, null_mut(), -1, null_mut(), 0, 0) } as i64)
    }),
    // SAFETY: no pointers.
    ("tee, of nothing", || answer_of(|| unsafe { libc::tee(-1, -1, 0, 0) } as i64)),
    ("splice, with unknown flags", || {
        let (_reader, writer) = std::io::pipe().unwrap();
        let (from, to) = (sockets()[0], writer.as_raw_fd());
        // SAFETY: no offsets.
        answer_of(|| unsafe { libc::splice(from, null_mut(), to, null_mut(), 1, 0x100) } as i64)
    }),
    ("tee, from a socket", || {
        let (_reader, writer) = std::io::pipe().unwrap();
        // SAFETY: no pointers.
        answer_of(|| unsafe { libc::tee(sockets()[0], writer.as_raw_fd(), 1, 0) } as i64)
    }),
];

const FILES: [Row; 1] = [("open, of what is not there yet", || {
    let name = format!("osier-patch-answers-{}", std::process::id());
    let path = std::env::temp_dir().join(name).into_os_string().into_string().unwrap();
    let path = CString::new(path).unwrap();
    let flags = libc::O_CREAT | libc::O_WRONLY;
    // SAFETY: a string.
    let (fd, errno) = answer_of(|| unsafe { libc::open(path.as_ptr(), flags, 0o600) });
    // SAFETY: opened just now, and nobody else's.
    assert_eq!(unsafe { libc::close(fd as c_int) }, 0);
    std::fs::remove_file(path.to_str().unwrap()).unwrap();
    (0, errno)
})];

const QUEUES: [Row; 2] = [
    // This flag is of calls that do not wait.
    ("msgrcv, of a copy", || {
        // SAFETY: no pointers.
        let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        let mut message: [c_long; 2] = [1, 2];
        let at = message.as_mut_ptr().cast::<c_void>();
        // SAFETY: a number and eight bytes.
        assert_eq!(unsafe { libc::msgsnd(queue, at, 8, 0) }, 0);
        // SAFETY: as above.
        let answer = answer_of(|| unsafe { libc::msgrcv(queue, at, 8, 0, MSG_COPY) } as i64);
        // SAFETY: asks for nothing.
        assert_eq!(unsafe { libc::msgctl(queue, libc::IPC_RMID, null_mut()) }, 0);
        answer
    }),
    ("semop, of no memory", || {
        // SAFETY: no pointers.
        let semaphores = unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) };
        // SAFETY: the kernel refuses the pointer.
        let answer = answer_of(|| unsafe { libc::semop(semaphores, nowhere(), 1) });
        // SAFETY: asks for nothing.
        assert_eq!(unsafe { libc::semctl(semaphores, 0, libc::IPC_RMID) }, 0);
        answer
    }),
];

extern "C" fn waits(gate: *mut c_void) -> *mut c_void {
    // SAFETY: a semaphore that lives for ever.
    unsafe { libc::sem_wait(gate.cast()) };
    null_mut()
}

/// An OS thread that waits until the semaphore is posted.
fn os_thread_at(gate: *mut libc::sem_t) -> libc::pthread_t {
    let mut thread = 0;
    // SAFETY: valid for a write; the body has the type that it is to have.
    let made = unsafe { libc::pthread_create(&raw mut thread, null(), waits, gate.cast()) };
    assert_eq!(made, 0);
    thread
}

/// A semaphore that nobody has posted.
fn gate() -> *mut libc::sem_t {
    // SAFETY: all zero is one.
    Box::leak(Box::new(unsafe { zeroed() }))
}

fn post(gate: *mut libc::sem_t) {
    // SAFETY: valid.
    assert_eq!(unsafe { libc::sem_post(gate) }, 0);
}

const THREADS: [Row; 3] = [
    ("pthread_join, of itself", || {
        // SAFETY: refused.
        answer_of(|| unsafe { libc::pthread_join(libc::pthread_self(), null_mut()) })
    }),
    ("pthread_join, of one that is detached", || {
        let gate = gate();
        let thread = os_thread_at(gate);
        // SAFETY: it has not ended.
        assert_eq!(unsafe { libc::pthread_detach(thread) }, 0);
        // SAFETY: refused.
        let answer = answer_of(|| unsafe { libc::pthread_join(thread, null_mut()) });
        post(gate);
        answer
    }),
    ("pthread_mutex_clocklock, by another clock", || {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        let time = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: valid.
        answer_of(|| unsafe {
            pthread_mutex_clocklock(&raw mut mutex, libc::CLOCK_BOOTTIME, &raw const time)
        })
    }),
];

#[test]
fn green_threads_are_answered_as_os_threads_are() {
    watchdog();
    let tables: [&[Row]; 6] = [&SOCKETS, &DESCRIPTORS, &SPLICES, &FILES, &QUEUES, &THREADS];
    let rows = || tables.into_iter().flatten();
    let expected: Vec<Answer> = rows().map(|(_, call)| std::thread::spawn(call).join().unwrap()).collect();
    osier::patch::all();
    osier::run(|| {
        for ((name, call), expected) in rows().zip(expected) {
            assert_eq!(osier::spawn(call).join().unwrap(), expected, "{name}");
        }
    });
}
