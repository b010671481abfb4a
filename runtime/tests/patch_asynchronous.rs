//! Waiting for what libc does on OS threads of its own: asynchronous reads, and look-ups of names.

mod patching;

use libc::{aiocb, c_char, c_int, sigevent, timespec};
use patching::{answer, others_go_on, timed_out_in, watchdog};
use std::io::Write;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::ptr::{from_mut, null, null_mut};

/// glibc's `struct gaicb`.
#[repr(C)]
struct LookUp {
    name: *const c_char,
    service: *const c_char,
    request: *const libc::addrinfo,
    result: *mut libc::addrinfo,
    answer: c_int,
    reserved: [c_int; 5],
}

unsafe extern "C" {
    fn aio_suspend64(list: *const *const aiocb, count: c_int, limit: *const timespec) -> c_int;
    fn lio_listio64(mode: c_int, list: *const *mut aiocb, count: c_int, event: *mut sigevent) -> c_int;
    fn getaddrinfo_a(mode: c_int, list: *mut *mut LookUp, count: c_int, event: *mut sigevent) -> c_int;
    fn gai_suspend(list: *const *const LookUp, count: c_int, limit: *const timespec) -> c_int;
    fn gai_error(look_up: *mut LookUp) -> c_int;
}

const WAIT: c_int = 0;
const NO_WAIT: c_int = 1;
const ALL_DONE: c_int = -103;
const MILLIS_5: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// A read of a byte.
fn read_of(fd: c_int) -> &'static mut aiocb {
    // SAFETY: of numbers and pointers: all zero is valid.
    let read: &mut aiocb = Box::leak(Box::new(unsafe { zeroed() }));
    (read.aio_fildes, read.aio_nbytes) = (fd, 1);
    read.aio_buf = from_mut(Box::leak(Box::new(0_u8))).cast();
    read.aio_sigevent.sigev_notify = libc::SIGEV_NONE;
    read.aio_lio_opcode = libc::LIO_READ;
    read
}

type Suspend = unsafe extern "C" fn(*const *const aiocb, c_int, *const timespec) -> c_int;
type List = unsafe extern "C" fn(c_int, *const *mut aiocb, c_int, *mut sigevent) -> c_int;

fn reads() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let fd = reader.as_raw_fd();
    for (name, suspend) in [("aio_suspend", libc::aio_suspend as Suspend), ("aio_suspend64", aio_suspend64)] {
        let read = read_of(fd);
        // SAFETY: it stays where it is.
        assert_eq!(unsafe { libc::aio_read(read) }, 0);
        let address = from_mut(read).expose_provenance();
        let wait = move |limit: *const timespec| {
            let list = [std::ptr::with_exposed_provenance::<aiocb>(address)];
            // SAFETY: a list of one; the time is null or valid.
            answer(unsafe { suspend(list.as_ptr(), 1, limit) } as isize)
        };
        let neighbour = osier::spawn(|| ());
        assert_eq!(wait(&MILLIS_5), Err(libc::EAGAIN), "{name}");
        assert!(neighbour.is_finished());
        neighbour.join().unwrap();
        assert_eq!(timed_out_in(name, || wait(null())), Err(libc::ETIMEDOUT));
        let waited = others_go_on(name, move || wait(null()), || writer.write_all(b"x").unwrap());
        assert_eq!(waited, Ok(0), "{name}");
        // SAFETY: it is done.
        assert_eq!(unsafe { libc::aio_return(std::ptr::with_exposed_provenance_mut(address)) }, 1);
    }
    for (name, list_io) in [("lio_listio", libc::lio_listio as List), ("lio_listio64", lio_listio64)] {
        let read = from_mut(read_of(fd)).expose_provenance();
        let wait = move || {
            let list = [std::ptr::with_exposed_provenance_mut::<aiocb>(read)];
            // SAFETY: a list of one, and no signal.
            answer(unsafe { list_io(libc::LIO_WAIT, list.as_ptr(), 1, null_mut()) } as isize)
        };
        assert_eq!(others_go_on(name, wait, || writer.write_all(b"x").unwrap()), Ok(0), "{name}");
        // SAFETY: it is done.
        assert_eq!(unsafe { libc::aio_return(std::ptr::with_exposed_provenance_mut(read)) }, 1);
    }
    // SAFETY: of nothing.
    assert_eq!(answer(unsafe { libc::lio_listio(9, null(), 0, null_mut()) } as isize), Err(libc::EINVAL));
}

fn look_up(name: &'static std::ffi::CStr) -> *mut LookUp {
    Box::leak(Box::new(LookUp {
        name: name.as_ptr(),
        service: null(),
        request: null(),
        result: null_mut(),
        answer: 0,
        reserved: [0; 5],
    }))
}

fn look_ups() {
    let first = look_up(c"127.0.0.1");
    let neighbour = osier::spawn(|| ());
    // SAFETY: a list of one, and no signal.
    assert_eq!(unsafe { getaddrinfo_a(WAIT, [first].as_mut_ptr(), 1, null_mut()) }, 0);
    assert!(neighbour.is_finished(), "others ran meanwhile");
    neighbour.join().unwrap();
    // SAFETY: it is done.
    assert_eq!((unsafe { gai_error(first) }, unsafe { (*first).result }.is_null()), (0, false));

    let second = look_up(c"127.0.0.2");
    // SAFETY: as above.
    assert_eq!(unsafe { getaddrinfo_a(NO_WAIT, [second].as_mut_ptr(), 1, null_mut()) }, 0);
    // SAFETY: a list of one.
    let waited = unsafe { gai_suspend([second.cast_const()].as_ptr(), 1, null()) };
    assert!(matches!(waited, 0 | ALL_DONE), "{waited}");
    // SAFETY: it is done.
    assert_eq!(unsafe { gai_error(second) }, 0);
    // SAFETY: a list of one.
    assert_eq!(unsafe { gai_suspend([second.cast_const()].as_ptr(), 1, null()) }, ALL_DONE);
    for done in [first, second] {
        // SAFETY: made by libc, and freed once.
        unsafe { libc::freeaddrinfo((*done).result) };
    }
}

#[test]
fn libc_s_own_threads_are_waited_for_while_others_run() {
    watchdog();
    osier::patch::all();
    osier::run(|| {
        reads();
        look_ups();
    });
}
