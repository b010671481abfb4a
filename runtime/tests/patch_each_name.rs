//! Functions that std does not call, or not by this name: each parks the green thread that waits in it, and answers as libc's.

mod patching;

use libc::{
    AF_INET, CLOCK_MONOTONIC, c_char, c_int, c_void, hostent, iovec, msghdr, off_t, pid_t, sockaddr,
    sockaddr_in, socklen_t, timespec,
};
use osier::patch::Group;
use patching::{answer, neighbour_goes_on, others_go_on, watchdog};
use std::fs::File;
use std::io::{Read, Write};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::{from_mut, null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

unsafe extern "C" {
    fn pthread_rwlock_clockrdlock(
        lock: *mut libc::pthread_rwlock_t,
        clock: c_int,
        until: *const timespec,
    ) -> c_int;
    fn wait3(status: *mut c_int, options: c_int, usage: *mut libc::rusage) -> pid_t;
    fn fcntl64(fd: c_int, command: c_int, ...) -> c_int;
    fn lockf64(fd: c_int, command: c_int, len: off_t) -> c_int;
    fn gethostbyname2_r(
        name: *const c_char,
        family: c_int,
        host: *mut hostent,
        buf: *mut c_char,
        len: usize,
        found: *mut *mut hostent,
        failure: *mut c_int,
    ) -> c_int;
    fn gethostbyaddr_r(
        address: *const c_void,
        address_len: socklen_t,
        family: c_int,
        host: *mut hostent,
        buf: *mut c_char,
        len: usize,
        found: *mut *mut hostent,
        failure: *mut c_int,
    ) -> c_int;
}

/// A byte, to be pointed at as long as a call waits.
struct Byte(iovec);

impl Byte {
    fn new(byte: u8) -> Byte {
        Byte(iovec { iov_base: from_mut(Box::leak(Box::new(byte))).cast(), iov_len: 1 })
    }

    fn message(&self) -> msghdr {
        // SAFETY: all zero is a message of nothing.
        let mut message: msghdr = unsafe { zeroed() };
        message.msg_iov = (&raw const self.0).cast_mut();
        message.msg_iovlen = 1;
        message
    }
}

type Transfer = (&'static str, fn(RawFd, Byte) -> isize);

fn receives_and_sends() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let fd = other.as_raw_fd();
    let receives: [Transfer; 3] = [
        // SAFETY: valid for a write; no address is asked for.
        ("recvfrom", |fd, byte| unsafe { libc::recvfrom(fd, byte.0.iov_base, 1, 0, null_mut(), null_mut()) }),
        // SAFETY: one part, valid for a write.
        ("recvmsg", |fd, byte| unsafe { libc::recvmsg(fd, &mut byte.message(), 0) }),
        // SAFETY: as above.
        ("readv", |fd, byte| unsafe { libc::readv(fd, &byte.0, 1) }),
    ];
    for (name, receive) in receives {
        let received = neighbour_goes_on(
            name,
            move || {
                let byte = Byte::new(0);
                let at = byte.0.iov_base.cast::<u8>();
                // SAFETY: made just now.
                (receive(fd, byte), unsafe { *at })
            },
            || one.write_all(b"x").unwrap(),
        );
        assert_eq!(received, (1, b'x'), "{name}");
    }
    let sends: [Transfer; 3] = [
        // SAFETY: valid for a read; no address is given.
        ("sendto", |fd, byte| unsafe { libc::sendto(fd, byte.0.iov_base, 1, 0, null(), 0) }),
        // SAFETY: one part, valid for a read.
        ("sendmsg", |fd, byte| unsafe { libc::sendmsg(fd, &byte.message(), 0) }),
        // SAFETY: as above.
        ("writev", |fd, byte| unsafe { libc::writev(fd, &byte.0, 1) }),
    ];
    one.set_nonblocking(true).unwrap();
    for (name, send) in sends {
        other.set_nonblocking(true).unwrap();
        let mut count = 1;
        while other.write(&[0; 4096]).is_ok_and(|len| {
            count += len;
            true
        }) {}
        other.set_nonblocking(false).unwrap();
        let (mut room, mut last) = (vec![0; 1 << 16], 0);
        let mut take = || {
            while let Ok(len @ 1..) = one.read(&mut room) {
                count -= len;
                last = room[len - 1];
            }
        };
        assert_eq!(neighbour_goes_on(name, move || send(fd, Byte::new(b'y')), &mut take), 1, "{name}");
        take();
        assert_eq!((count, last), (0, b'y'), "{name}");
    }
}

type Accept = (&'static str, fn(RawFd, *mut sockaddr, *mut socklen_t) -> c_int);

fn address(port: u16) -> (sockaddr_in, socklen_t) {
    // SAFETY: all zero is a valid address.
    let mut address: sockaddr_in = unsafe { zeroed() };
    (address.sin_family, address.sin_port) = (AF_INET as u16, port.to_be());
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    (address, size_of::<sockaddr_in>() as socklen_t)
}

fn connections() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (fd, port) = (listener.as_raw_fd(), listener.local_addr().unwrap().port());
    let connect = || {
        // SAFETY: no pointers.
        let socket = unsafe { libc::socket(AF_INET, libc::SOCK_STREAM, 0) };
        let (address, len) = address(port);
        // SAFETY: a valid address.
        let connected = unsafe { libc::connect(socket, (&raw const address).cast(), len) };
        assert_eq!(answer(connected as isize), Ok(0));
        // SAFETY: made above, and nobody else's.
        assert_eq!(unsafe { libc::close(socket) }, 0);
    };
    let accepts: [Accept; 2] = [
        // SAFETY: valid for writes.
        ("accept", |fd, address, len| unsafe { libc::accept(fd, address, len) }),
        // SAFETY: as above.
        ("accept4", |fd, address, len| unsafe { libc::accept4(fd, address, len, libc::SOCK_CLOEXEC) }),
    ];
    for (name, accept) in accepts {
        let call = move || {
            let (mut from, mut len) = address(0);
            (accept(fd, (&raw mut from).cast(), &raw mut len), from.sin_addr.s_addr.to_ne_bytes())
        };
        let (accepted, from) = neighbour_goes_on(name, call, connect);
        assert_eq!(from, [127, 0, 0, 1], "{name}");
        // SAFETY: made just now, and nobody else's.
        assert_eq!(unsafe { libc::close(accepted) }, 0);
    }
}

fn threads_and_children() {
    struct Lock(std::cell::UnsafeCell<libc::pthread_rwlock_t>);
    // SAFETY: used by C's functions alone.
    unsafe impl Send for Lock {}
    // SAFETY: as above.
    unsafe impl Sync for Lock {}
    let lock = Arc::new(Lock(std::cell::UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER)));
    // SAFETY: it is valid.
    assert_eq!(unsafe { libc::pthread_rwlock_wrlock(lock.0.get()) }, 0);
    let until = |seconds| {
        let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::clock_gettime(CLOCK_MONOTONIC, &mut time) }, 0);
        time.tv_sec += seconds;
        time
    };
    let theirs = lock.clone();
    let read = move |seconds| {
        // SAFETY: both are valid.
        unsafe { pthread_rwlock_clockrdlock(theirs.0.get(), CLOCK_MONOTONIC, &until(seconds)) }
    };
    assert_eq!(read(0), libc::ETIMEDOUT);
    // SAFETY: it is valid, and has been locked.
    let unlock = || assert_eq!(unsafe { libc::pthread_rwlock_unlock(lock.0.get()) }, 0);
    assert_eq!(neighbour_goes_on("pthread_rwlock_clockrdlock", move || read(60), unlock), 0);

    extern "C" fn routine(go: *mut c_void) -> *mut c_void {
        // SAFETY: the flag is there for ever.
        while unsafe { &*go.cast::<AtomicUsize>() }.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        go
    }
    let go: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let (mut thread, argument) = (0, std::ptr::from_ref(go).cast_mut().cast());
    // SAFETY: valid for a write, and the argument is what the routine takes.
    assert_eq!(unsafe { libc::pthread_create(&mut thread, null(), routine, argument) }, 0);
    let join = move || {
        let mut value = null_mut();
        // SAFETY: made above, and joined once.
        (unsafe { libc::pthread_join(thread, &mut value) }, value.addr())
    };
    let joined = others_go_on("pthread_join", join, || go.store(1, Ordering::Release));
    assert_eq!(joined, (0, argument.addr()));

    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let wait = || {
        let mut status = -1;
        // SAFETY: valid for a write; the usage is not asked for.
        (unsafe { wait3(&mut status, 0, null_mut()) }, status)
    };
    assert_eq!(others_go_on("wait3", wait, || drop(stdin)), (child.id() as pid_t, 0));
    assert!(child.wait().is_err(), "it was waited for");
}

fn names() {
    let hints = null();
    let mut list = null_mut();
    // SAFETY: a name, and a place for the list.
    assert_eq!(unsafe { libc::getaddrinfo(c"localhost".as_ptr(), null(), hints, &mut list) }, 0);
    // SAFETY: made just now, and freed once.
    unsafe { libc::freeaddrinfo(list) };
    // SAFETY: all zero is a host without anything.
    let mut host: hostent = unsafe { zeroed() };
    let (mut buf, mut found, mut failure) = ([0 as c_char; 4096], null_mut(), 0);
    // SAFETY: all are valid for writes.
    let by_name = unsafe {
        gethostbyname2_r(
            c"127.0.0.1".as_ptr(),
            AF_INET,
            &mut host,
            buf.as_mut_ptr(),
            buf.len(),
            &mut found,
            &mut failure,
        )
    };
    assert_eq!((by_name, found.is_null(), host.h_length), (0, false, 4));
    let address = [127_u8, 0, 0, 1];
    let neighbour = osier::spawn(|| ());
    // SAFETY: an address, and the rest is valid for writes.
    let by_address = unsafe {
        gethostbyaddr_r(
            address.as_ptr().cast(),
            4,
            AF_INET,
            &mut host,
            buf.as_mut_ptr(),
            buf.len(),
            &mut found,
            &mut failure,
        )
    };
    assert_eq!((by_address, found.is_null(), host.h_length), (0, false, 4));
    assert!(neighbour.is_finished(), "gethostbyaddr_r lets others run");
    neighbour.join().unwrap();
}

fn file() -> (File, std::path::PathBuf) {
    let path = std::env::temp_dir().join(format!("osier-patch-each-name-{}", std::process::id()));
    (File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap(), path)
}

fn locks_of_files() {
    let (file, path) = file();
    // Another process has it, which those are who have the lock of an open file description.
    let mut whole = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    let other = File::options().write(true).open(&path).unwrap();
    for (name, by_fcntl) in [("fcntl64", true), ("lockf64", false)] {
        // SAFETY: a valid lock.
        assert_eq!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &whole) }, 0);
        let (fd, mut wanted) = (file.as_raw_fd(), whole);
        let lock = move || {
            wanted.l_type = libc::F_WRLCK as i16;
            // SAFETY: a valid lock.
            let by_fcntl = by_fcntl.then(|| unsafe { fcntl64(fd, libc::F_SETLKW, &wanted) });
            // SAFETY: no pointers.
            by_fcntl.unwrap_or_else(|| unsafe { lockf64(fd, libc::F_LOCK, 0) })
        };
        whole.l_type = libc::F_UNLCK as i16;
        // SAFETY: a valid lock.
        let release = || assert_eq!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &whole) }, 0);
        assert_eq!(neighbour_goes_on(name, lock, release), 0, "{name}");
        // SAFETY: no pointers.
        assert_eq!(unsafe { lockf64(fd, libc::F_ULOCK, 0) }, 0);
        whole.l_type = libc::F_WRLCK as i16;
    }
    std::fs::remove_file(path).unwrap();
}

type AtPlace = (&'static str, fn(RawFd, &Byte, off_t) -> isize);

/// Each reads what the one before has written.
fn files() {
    let (file, path) = file();
    let fd = file.as_raw_fd();
    let writes: [AtPlace; 4] = [
        // SAFETY: valid for a read.
        ("pwrite", |fd, byte, at| unsafe { libc::pwrite(fd, byte.0.iov_base, 1, at) }),
        // SAFETY: as above.
        ("pwrite64", |fd, byte, at| unsafe { libc::pwrite64(fd, byte.0.iov_base, 1, at) }),
        // SAFETY: one part, valid for a read.
        ("pwritev", |fd, byte, at| unsafe { libc::pwritev(fd, &byte.0, 1, at) }),
        // SAFETY: as above.
        ("pwritev64", |fd, byte, at| unsafe { libc::pwritev64(fd, &byte.0, 1, at) }),
    ];
    let reads: [AtPlace; 4] = [
        // SAFETY: valid for a write.
        ("pread", |fd, byte, at| unsafe { libc::pread(fd, byte.0.iov_base, 1, at) }),
        // SAFETY: as above.
        ("pread64", |fd, byte, at| unsafe { libc::pread64(fd, byte.0.iov_base, 1, at) }),
        // SAFETY: one part, valid for a write.
        ("preadv", |fd, byte, at| unsafe { libc::preadv(fd, &byte.0, 1, at) }),
        // SAFETY: as above.
        ("preadv64", |fd, byte, at| unsafe { libc::preadv64(fd, &byte.0, 1, at) }),
    ];
    for (at, (write, read)) in (100..).zip(writes.into_iter().zip(reads)) {
        let neighbour = osier::spawn(|| ());
        assert_eq!(write.1(fd, &Byte::new(at as u8), at), 1, "{}", write.0);
        assert!(neighbour.is_finished(), "{} lets others run", write.0);
        neighbour.join().unwrap();
        let byte = Byte::new(0);
        assert_eq!(read.1(fd, &byte, at), 1, "{}", read.0);
        // SAFETY: made above.
        assert_eq!(unsafe { *byte.0.iov_base.cast::<u8>() }, at as u8, "{}", read.0);
    }
    let neighbour = osier::spawn(|| ());
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::fdatasync(fd) }, 0);
    assert!(neighbour.is_finished(), "fdatasync lets others run");
    neighbour.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn each_parks_the_green_thread() {
    watchdog();
    osier::patch::all();
    osier::patch::group(Group::File);
    osier::run(|| {
        receives_and_sends();
        connections();
        threads_and_children();
        names();
        locks_of_files();
        files();
    });
}
