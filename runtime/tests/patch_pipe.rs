//! Pipes, named pipes, eventfds, timers and terminals on green threads: who reads or writes them parks.

mod patching;

use patching::{answer, killed_in, neighbour_goes_on, others_go_on, timed_out_in, watchdog};
use std::ffi::CString;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// More than a pipe holds.
const MUCH: usize = 1 << 20;

fn read(fd: RawFd, len: usize) -> Result<Vec<u8>, i32> {
    let mut buffer = vec![0; len];
    // SAFETY: the buffer is valid for so many bytes.
    let count = answer(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), len) })?;
    buffer.truncate(count);
    Ok(buffer)
}

fn write(fd: RawFd, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: the bytes are valid for a read.
    answer(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}

fn owned(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the tests give descriptors that they have just made.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn flags(fd: RawFd) -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_GETFL) }
}

fn pipes() {
    let (mut reader, mut writer) = io::pipe().unwrap();
    let twin = reader.try_clone().unwrap();
    let read_some = move || read(twin.as_raw_fd(), 8);
    assert_eq!(
        neighbour_goes_on("read", read_some, || writer.write_all(b"hello").unwrap()),
        Ok(b"hello".to_vec())
    );
    let mut twin = reader.try_clone().unwrap();
    let read_parts = move || {
        let (mut one, mut two) = ([0; 2], [0; 8]);
        let count = twin.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]).unwrap();
        [&one[..], &two[..]].concat()[..count].to_vec()
    };
    assert_eq!(neighbour_goes_on("readv", read_parts, || writer.write_all(b"hello").unwrap()), b"hello");

    // A blocking write returns when all is written.
    let mut twin = writer.try_clone().unwrap();
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n / 7) as u8).collect();
    let theirs = bytes.clone();
    let mut drained = vec![0; MUCH];
    let write_all = move || twin.write(&theirs).unwrap();
    let written = neighbour_goes_on("write", write_all, || reader.read_exact(&mut drained).unwrap());
    assert_eq!(written, MUCH);
    assert!(drained == bytes, "damaged");
    let mut twin = writer.try_clone().unwrap();
    let theirs = bytes.clone();
    let write_parts = move || {
        let (one, rest) = theirs.split_at(1000);
        let (two, three) = rest.split_at(MUCH / 2);
        twin.write_vectored(&[one, two, three].map(IoSlice::new)).unwrap()
    };
    let written = neighbour_goes_on("writev", write_parts, || reader.read_exact(&mut drained).unwrap());
    assert_eq!(written, MUCH);
    assert!(drained == bytes, "damaged");
    assert_eq!(flags(reader.as_raw_fd()) & libc::O_NONBLOCK, 0, "nobody's flag was touched");

    // The end of each side.
    let twin = reader.try_clone().unwrap();
    let at_end = move || read(twin.as_raw_fd(), 8);
    assert_eq!(neighbour_goes_on("read", at_end, || drop(writer)), Ok(vec![]));
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    assert_eq!(write(writer.as_raw_fd(), b"x"), Err(libc::EPIPE));
}

/// Each byte goes to one reader, and no reader keeps the others from running when another was faster.
fn readers_share_a_pipe() {
    let (reader, mut writer) = io::pipe().unwrap();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mut reader = reader.try_clone().unwrap();
            osier::spawn(move || {
                let mut taken = 0;
                let mut byte = [0];
                while reader.read(&mut byte).unwrap() == 1 {
                    taken += 1;
                }
                taken
            })
        })
        .collect();
    for _ in 0..1000 {
        writer.write_all(b"x").unwrap();
        osier::yield_now();
    }
    drop(writer);
    assert_eq!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>(), 1000);
}

fn nonblocking_ones_are_left_alone() {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }, 0);
    let (reader, writer) = (owned(ends[0]), owned(ends[1]));
    let neighbour = osier::spawn(|| ());
    assert_eq!(read(reader.as_raw_fd(), 1), Err(libc::EAGAIN));
    let written = write(writer.as_raw_fd(), &vec![7; MUCH]).unwrap();
    assert!(written > 0 && written < MUCH);
    assert_eq!(write(writer.as_raw_fd(), &[7; 4096]), Err(libc::EAGAIN));
    assert!(!neighbour.is_finished(), "a nonblocking call has switched");
    neighbour.join().unwrap();
}

fn named_pipes() {
    let path = std::env::temp_dir().join(format!("osier-patch-pipe-{}", std::process::id()));
    let name = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let both = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let fd = both.as_raw_fd();
    assert_eq!(
        neighbour_goes_on(
            "read of a named pipe",
            move || read(fd, 8),
            || assert_eq!(write(fd, b"hello"), Ok(5))
        ),
        Ok(b"hello".to_vec())
    );
    let bytes = vec![7; MUCH];
    let written = neighbour_goes_on(
        "write to a named pipe",
        move || write(fd, &bytes),
        || (&both).read_exact(&mut vec![0; MUCH]).unwrap(),
    );
    assert_eq!(written, Ok(MUCH));
    assert_eq!(flags(fd) & libc::O_NONBLOCK, 0, "nobody's flag was touched");
    assert_eq!(killed_in("read of a named pipe", move || read(fd, 8)), Err(libc::ECANCELED));
}

fn eventfds_and_timers() {
    // SAFETY: no pointers.
    let event = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) });
    let fd = event.as_raw_fd();
    let count = neighbour_goes_on(
        "read of an eventfd",
        move || read(fd, 8),
        || {
            assert_eq!(write(fd, &3_u64.to_ne_bytes()), Ok(8));
        },
    );
    assert_eq!(count, Ok(3_u64.to_ne_bytes().to_vec()));
    // A counter that is full.
    assert_eq!(write(fd, &(u64::MAX - 1).to_ne_bytes()), Ok(8));
    let written = neighbour_goes_on(
        "write to an eventfd",
        move || write(fd, &1_u64.to_ne_bytes()),
        || {
            assert_eq!(read(fd, 8), Ok((u64::MAX - 1).to_ne_bytes().to_vec()));
        },
    );
    assert_eq!(written, Ok(8));
    assert_eq!(read(fd, 4), Err(libc::EINVAL), "too short a buffer is refused");

    // SAFETY: no pointers.
    let timer = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) });
    let fd = timer.as_raw_fd();
    let expired = neighbour_goes_on(
        "read of a timer",
        move || read(fd, 8),
        || {
            let soon = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let time = libc::itimerspec { it_interval: never, it_value: soon };
            // SAFETY: a valid time.
            assert_eq!(unsafe { libc::timerfd_settime(fd, 0, &time, std::ptr::null_mut()) }, 0);
        },
    );
    assert_eq!(expired, Ok(1_u64.to_ne_bytes().to_vec()));
}

/// Nothing keeps a read of a terminal from waiting, so an OS thread makes it when something is there.
fn terminals() {
    let (mut main, mut other) = (0, 0);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: valid for writes, or null.
    assert_eq!(unsafe { libc::openpty(&mut main, &mut other, name, settings, size) }, 0);
    let (main, other) = (owned(main), owned(other));
    let (fd, user) = (other.as_raw_fd(), main.as_raw_fd());
    let line = others_go_on(
        "read of a terminal",
        move || read(fd, 80),
        || {
            assert_eq!(write(user, b"hello\n"), Ok(6));
        },
    );
    assert_eq!(line, Ok(b"hello\n".to_vec()));
    assert_eq!(killed_in("read of a terminal", move || read(fd, 80)), Err(libc::ECANCELED));
    assert_eq!(write(fd, b"and back"), Ok(8));
    let neighbour = osier::spawn(|| ());
    // SAFETY: no pointers.
    assert_eq!(answer(unsafe { libc::tcdrain(fd) } as isize), Ok(0));
    assert!(neighbour.is_finished(), "tcdrain lets others run");
    neighbour.join().unwrap();
    let no_terminal = io::pipe().unwrap().0;
    // SAFETY: no pointers.
    let drained = unsafe { libc::tcdrain(no_terminal.as_raw_fd()) };
    assert_eq!(answer(drained as isize), Err(libc::ENOTTY));
    assert_eq!(flags(fd) & libc::O_NONBLOCK, 0);
}

fn cancelled() {
    let (reader, writer) = io::pipe().unwrap();
    let (fd, sink) = (reader.as_raw_fd(), writer.as_raw_fd());
    assert_eq!(killed_in("read", move || read(fd, 8)), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("read", move || read(fd, 8)), Err(libc::ETIMEDOUT));
    // What was written by then counts, and the next call says so.
    let (part, refused) =
        killed_in("write", move || (write(sink, &vec![7; MUCH]), write(sink, &vec![7; MUCH])));
    let part = part.unwrap();
    assert!(part > 0 && part < MUCH);
    assert_eq!(refused, Err(libc::ECANCELED));
    assert_eq!(read(fd, MUCH).unwrap().len(), part);
    let closed = neighbour_goes_on("read", move || read(fd, 8), || drop(reader));
    assert_eq!(closed, Err(libc::EBADF));
}

const OLDER: &str = "OSIER_TEST_OLDER_KERNEL";

/// Has this process's kernel know no flag for a call that does not wait, as before Linux 6.4 for pipes.
fn forget_flag() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
    let mut filter = [
        // The number of the system call is the first word of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, libc::SYS_preadv2 as u32),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_pwritev2 as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let all_threads = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: `program` describes `filter`, and both are valid for the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, all_threads, &raw const program)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    let mut byte = 0_u8;
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one part, valid for a byte.
    let told = answer(unsafe { libc::preadv2(0, &part, 1, -1, libc::RWF_NOWAIT) });
    assert_eq!(told, Err(libc::EOPNOTSUPP));
}

#[test]
fn pipes_are_cooperative() {
    if std::env::var_os(OLDER).is_some() {
        forget_flag();
    } else {
        // The same, on an older kernel, in a process of its own.
        let older = std::process::Command::new(std::env::current_exe().unwrap()).env(OLDER, "1").output();
        let older = older.unwrap();
        assert!(older.status.success(), "{}", String::from_utf8_lossy(&older.stdout));
    }
    osier::patch::all();
    watchdog();
    osier::run(|| {
        pipes();
        readers_share_a_pipe();
        nonblocking_ones_are_left_alone();
        named_pipes();
        eventfds_and_timers();
        cancelled();
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        assert_eq!(read(null.as_raw_fd(), 8), Ok(vec![]));
        assert_eq!(write(null.as_raw_fd(), b"x"), Ok(1));
        assert_eq!(
            std::fs::File::open("/").unwrap().read(&mut [0]).unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
    });
    osier::run(terminals);
}
