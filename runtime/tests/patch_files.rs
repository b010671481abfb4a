//! Regular files, through the pool once the group is active, and the locks of files.

mod patching;

use osier::patch::Group;
use patching::{answer, killed_in, neighbour_goes_on, others_go_on, timed_out_in, watchdog};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

fn file() -> (File, std::path::PathBuf) {
    let path = std::env::temp_dir().join(format!("osier-patch-files-{}", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    (file, path)
}

/// Whether a neighbour ran during the call.
fn switches<T>(call: impl FnOnce() -> T) -> (bool, T) {
    let neighbour = osier::spawn(|| ());
    let value = call();
    let ran = neighbour.is_finished();
    neighbour.join().unwrap();
    (ran, value)
}

fn files_wait_only_with_their_group() {
    let (mut file, path) = file();
    let (ran, ()) = switches(|| {
        file.write_all(b"hello").unwrap();
        file.sync_all().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    });
    assert!(!ran, "the group is not among those of `all`");
    osier::patch::group(Group::File);
    file.set_len(0).unwrap();
    file.rewind().unwrap();
    let bytes: Vec<u8> = (0..1 << 20).map(|n| (n / 7) as u8).collect();
    assert!(switches(|| assert_eq!(file.write(&bytes).unwrap(), bytes.len())).0);
    assert!(switches(|| assert_eq!(file.write_at(b"hello", 10).unwrap(), 5)).0);
    assert!(
        switches(|| assert_eq!(
            file.write_vectored(&[b"end", b"ing"].map(|text| IoSlice::new(text))).unwrap(),
            6
        ))
        .0
    );
    assert!(switches(|| file.sync_all().unwrap()).0);
    assert!(switches(|| file.sync_data().unwrap()).0);
    file.rewind().unwrap();
    let (mut one, mut two) = (vec![0; 10], vec![0; 1 << 20]);
    let count = file.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]).unwrap();
    assert_eq!(count, 10 + (1 << 20) - 4, "as much as there is");
    assert!(one == bytes[..10] && &two[..5] == b"hello" && two[5..(1 << 20) - 10] == bytes[15..]);
    assert_eq!(&two[(1 << 20) - 10..count - 10], b"ending");
    assert_eq!(file.read(&mut one).unwrap(), 0);
    assert_eq!(file.read_at(&mut one, 10).unwrap(), 10);
    assert_eq!(&one[..5], b"hello");
    assert_eq!(file.read_at(&mut one, 1 << 30).unwrap(), 0);
    // What is not in memory any more.
    file.sync_all().unwrap();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) }, 0);
    let mut all = vec![0; 1 << 20];
    file.rewind().unwrap();
    file.read_exact(&mut all).unwrap();
    assert!(all[15..] == bytes[15..]);
    calls_with_flags(&file, &bytes);
    what_waits_for_the_disk(&file);
    // What is no file, and what is wrong.
    let mut byte = 0_u8;
    let buffer = (&raw mut byte).cast();
    let (fd, pipe) = (file.as_raw_fd(), std::io::pipe().unwrap());
    // SAFETY: valid for a byte, here and below.
    assert_eq!(answer(unsafe { libc::pread(fd, buffer, 1, -1) }), Err(libc::EINVAL));
    // SAFETY: as above.
    assert_eq!(answer(unsafe { libc::pread(pipe.0.as_raw_fd(), buffer, 1, 0) }), Err(libc::ESPIPE));
    // SAFETY: as above.
    assert_eq!(answer(unsafe { libc::read(1 << 20, buffer, 1) }), Err(libc::EBADF));
    // SAFETY: no pointers.
    assert_eq!(answer(unsafe { libc::fsync(pipe.0.as_raw_fd()) } as isize), Err(libc::EINVAL));
    assert!(std::fs::read_to_string("/proc/self/status").unwrap().starts_with("Name:"));
    std::fs::remove_file(path).unwrap();
}

type Vectored = unsafe extern "C" fn(RawFd, *const libc::iovec, i32, i64, i32) -> isize;

/// `preadv2` and `pwritev2`, with flags and without, at an offset and at the file's own position.
fn calls_with_flags(file: &File, bytes: &[u8]) {
    let fd = file.as_raw_fd();
    let mut room = [0_u8; 4];
    let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: 4 };
    for read in [libc::preadv2 as Vectored, libc::preadv64v2] {
        // SAFETY: one part, valid for a write.
        let read = |at, flags| answer(unsafe { read(fd, &part, 1, at, flags) });
        for flags in [0, libc::RWF_HIPRI] {
            (&*file).seek(std::io::SeekFrom::Start(100)).unwrap();
            assert_eq!(switches(|| read(200, flags)).1, Ok(4));
            assert_eq!(switches(|| read(-1, flags)).1, Ok(4));
            assert_eq!((&*file).stream_position().unwrap(), 104, "the file's own position");
        }
        assert!(switches(|| read(200, libc::RWF_HIPRI)).0);
        assert!(!switches(|| read(200, libc::RWF_NOWAIT)).0);
        assert_eq!(read(200, 1 << 20), Err(libc::EOPNOTSUPP));
    }
    // SAFETY: nobody writes there.
    let found = unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), 4) };
    assert_eq!(found, &bytes[200..204]);
    for write in [libc::pwritev2 as Vectored, libc::pwritev64v2] {
        // SAFETY: one part, valid for a read.
        let write = |at, flags| answer(unsafe { write(fd, &part, 1, at, flags) });
        for flags in [0, libc::RWF_DSYNC] {
            assert_eq!(switches(|| write(200, flags)), (true, Ok(4)));
            (&*file).seek(std::io::SeekFrom::Start(200)).unwrap();
            assert_eq!(switches(|| write(-1, flags)), (true, Ok(4)));
        }
    }
    // What is no file waits as `readv` does.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let fd = reader.as_raw_fd();
    let read = move || {
        let mut byte = 0_u8;
        let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: one part, valid for a write.
        answer(unsafe { libc::preadv2(fd, &part, 1, -1, 0) }).map(|_| byte)
    };
    assert_eq!(neighbour_goes_on("preadv2", read, || writer.write_all(b"x").unwrap()), Ok(b'x'));
}

fn what_waits_for_the_disk(file: &File) {
    let fd = file.as_raw_fd();
    let mut at = [0, 1 << 21];
    let [from, to] = &mut at;
    // SAFETY: both offsets are valid.
    let copied = switches(|| answer(unsafe { libc::copy_file_range(fd, from, fd, to, 100, 0) }));
    assert_eq!((copied, at), ((true, Ok(100)), [100, (1 << 21) + 100]));
    // SAFETY: no pointers.
    assert_eq!(switches(|| answer(unsafe { libc::syncfs(fd) } as isize)), (true, Ok(0)));
    // SAFETY: no pointers.
    assert!(switches(|| unsafe { libc::sync() }).0);
    // SAFETY: a new mapping.
    let map = unsafe { libc::mmap(null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    // SAFETY: mapped just now.
    let msync = |flags| switches(|| answer(unsafe { libc::msync(map, 4096, flags) } as isize));
    assert_eq!((msync(libc::MS_SYNC), msync(libc::MS_ASYNC)), ((true, Ok(0)), (false, Ok(0))));
    // SAFETY: mapped above, and not used any more.
    assert_eq!(unsafe { libc::munmap(map, 4096) }, 0);
    // SAFETY: the address is refused.
    assert_eq!(answer(unsafe { libc::msync(null_mut(), 4096, libc::MS_SYNC) } as isize), Err(libc::ENOMEM));
}

fn lock(fd: RawFd, command: i32, kind: i32) -> Result<usize, i32> {
    // SAFETY: all zero is a lock of the whole file.
    let mut lock: libc::flock = unsafe { zeroed() };
    lock.l_type = kind as i16;
    // SAFETY: a valid lock.
    answer(unsafe { libc::fcntl(fd, command, &lock) } as isize)
}

fn locks() {
    let (one, path) = file();
    let other = File::options().read(true).write(true).open(&path).unwrap();
    let (mine, theirs) = (one.as_raw_fd(), other.as_raw_fd());
    // SAFETY: no pointers.
    let flock = |fd, how| answer(unsafe { libc::flock(fd, how) } as isize);
    assert_eq!(flock(mine, libc::LOCK_EX), Ok(0));
    let waits = move || flock(theirs, libc::LOCK_SH);
    assert_eq!(killed_in("flock", waits), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("flock", waits), Err(libc::ETIMEDOUT));
    assert_eq!(flock(theirs, libc::LOCK_EX | libc::LOCK_NB), Err(libc::EWOULDBLOCK));
    let got = neighbour_goes_on("flock", waits, || assert_eq!(flock(mine, libc::LOCK_UN), Ok(0)));
    assert_eq!(got, Ok(0));
    assert_eq!(flock(theirs, libc::LOCK_UN), Ok(0));
    assert_eq!(flock(1 << 20, libc::LOCK_EX), Err(libc::EBADF));

    assert_eq!(lock(mine, libc::F_OFD_SETLK, libc::F_WRLCK), Ok(0));
    assert_eq!(lock(theirs, libc::F_OFD_SETLK, libc::F_WRLCK), Err(libc::EAGAIN));
    let waits = move || lock(theirs, libc::F_OFD_SETLKW, libc::F_WRLCK);
    assert_eq!(killed_in("fcntl", waits), Err(libc::ECANCELED));
    let free = || assert_eq!(lock(mine, libc::F_OFD_SETLK, libc::F_UNLCK), Ok(0));
    assert_eq!(neighbour_goes_on("fcntl, F_OFD_SETLKW", waits, free), Ok(0));
    assert_eq!(lock(theirs, libc::F_OFD_SETLK, libc::F_UNLCK), Ok(0));

    // Those of POSIX are a process's: another one has to hold it. It lets go when its input ends.
    type Lock = fn(RawFd) -> Result<usize, i32>;
    let ways: [(&str, Lock); 2] = [
        ("fcntl, F_SETLKW", |fd| lock(fd, libc::F_SETLKW, libc::F_WRLCK)),
        // SAFETY: no pointers.
        ("lockf", |fd| answer(unsafe { libc::lockf(fd, libc::F_LOCK, 0) } as isize)),
    ];
    for (name, waits) in ways {
        let (mut told, tells) = std::io::pipe().unwrap();
        let (hears, release) = std::io::pipe().unwrap();
        // SAFETY: the child makes system calls and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let locked = lock(mine, libc::F_SETLK, libc::F_WRLCK).is_ok();
            drop(release);
            let _ = (&tells).write(&[u8::from(locked)]);
            let _ = (&hears).read(&mut [0]);
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let mut locked = [0];
        told.read_exact(&mut locked).unwrap();
        assert_eq!(locked, [1]);
        // SAFETY: no pointers.
        let test = answer(unsafe { libc::lockf(mine, libc::F_TEST, 0) } as isize);
        assert_eq!(test, Err(libc::EACCES));
        // SAFETY: no pointers.
        let try_it = answer(unsafe { libc::lockf(mine, libc::F_TLOCK, 0) } as isize);
        assert_eq!(try_it, Err(libc::EAGAIN));
        assert_eq!(others_go_on(name, move || waits(theirs), || drop(release)), Ok(0), "{name}");
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::lockf(theirs, libc::F_ULOCK, 0) }, 0);
        // SAFETY: nothing is asked for.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    }
    // SAFETY: no pointers.
    assert_eq!(answer(unsafe { libc::lockf(mine, 77, 0) } as isize), Err(libc::EINVAL));
    std::fs::remove_file(path).unwrap();
}

/// The commands that do not wait are the system's.
fn other_commands() {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    // SAFETY: no pointers, here and below.
    let fcntl = |command, argument: i32| answer(unsafe { libc::fcntl(fd, command, argument) } as isize);
    let twin = fcntl(libc::F_DUPFD_CLOEXEC, 500).unwrap();
    assert!(twin >= 500);
    // SAFETY: ours.
    assert_eq!(unsafe { libc::close(twin as i32) }, 0);
    assert_eq!(fcntl(libc::F_GETFD, 0), Ok(libc::FD_CLOEXEC as usize));
    assert_eq!(fcntl(libc::F_SETFL, libc::O_NONBLOCK), Ok(0));
    assert_eq!(fcntl(libc::F_GETFL, 0).unwrap() as i32 & libc::O_NONBLOCK, libc::O_NONBLOCK);
    // SAFETY: no pointers.
    let (me, group) = unsafe { (libc::getpid(), libc::getpgrp()) };
    assert_eq!(fcntl(libc::F_SETOWN, me), Ok(0));
    assert_eq!(fcntl(libc::F_GETOWN, 0), Ok(me as usize));
    assert_eq!(fcntl(libc::F_SETOWN, -group), Ok(0));
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETOWN) }, -group);
    assert_eq!(fcntl(9999, 0), Err(libc::EINVAL));
}

#[test]
fn files_and_their_locks() {
    osier::patch::all();
    assert!(!osier::patch::is_active(Group::File));
    watchdog();
    osier::run(|| {
        locks();
        other_commands();
        files_wait_only_with_their_group();
    });
}
