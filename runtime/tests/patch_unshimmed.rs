//! What is known to block and is not made cooperative: on a green thread each does what libc does, and `patch::report` counts it. Used
//! so that it does not wait it is not counted.

mod patching;

use libc::{SIGUSR1, SIGUSR2, c_int};
use osier::patch::Group;
use patching::{answer, watchdog};
use std::io::{PipeWriter, Write};
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

const PRIORITY: &str = "syscall(SYS_futex, ..) with an operation of priority inheritance";
const SIGSUSPEND: &str = "sigsuspend that an unblocked signal's handler may end";
const PAUSE: &str = "pause that an unblocked signal's handler may end";
const YIELD: &str = "sched_yield by code that is not known to be Rust's";
const STANDARD: &str = "read or poll of the descriptors 0 to 2";

fn count(what: &str) -> u64 {
    let blocking = osier::patch::report().blocking;
    blocking.iter().find(|(name, _)| *name == what).unwrap_or_else(|| panic!("{what} is not listed")).1
}

/// Makes a call on a green thread, which waits until another OS thread, which goes by the count, has made `release`: and no other green thread
/// runs meanwhile.
fn blocks<T>(what: &'static str, call: impl FnOnce() -> T, release: impl FnOnce() + Send + 'static) -> T {
    let before = count(what);
    let neighbour = osier::spawn(|| ());
    let releaser = std::thread::spawn(move || {
        while count(what) == before {
            std::thread::sleep(MILLI);
        }
        release();
    });
    let value = call();
    assert!(!neighbour.is_finished(), "{what} let others run");
    assert_eq!(count(what), before + 1, "{what}");
    neighbour.join().unwrap();
    releaser.join().unwrap();
    value
}

fn goes_on<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let before = count(what);
    let value = call();
    assert_eq!(count(what), before, "{what} did not wait");
    value
}

/// Calls about a futex of priorities.
fn call(operation: c_int) -> Result<usize, c_int> {
    static WORD: AtomicU32 = AtomicU32::new(0);
    // SAFETY: the word is there for ever; no time.
    answer(unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 0, null::<u8>()) } as isize)
}

/// Calls what is counted, though nobody else has it.
fn lock_what_is_free() {
    assert_eq!((call(libc::FUTEX_LOCK_PI), call(libc::FUTEX_UNLOCK_PI)), (Ok(0), Ok(0)));
}

fn a_futex_of_priorities() {
    let (held, has_it) = std::sync::mpsc::channel();
    let (go, is_to_go) = std::sync::mpsc::channel();
    let holder = std::thread::spawn(move || {
        assert_eq!(call(libc::FUTEX_LOCK_PI), Ok(0));
        held.send(()).unwrap();
        is_to_go.recv().unwrap();
        assert_eq!(call(libc::FUTEX_UNLOCK_PI), Ok(0));
    });
    has_it.recv().unwrap();
    assert_eq!(goes_on(PRIORITY, || call(libc::FUTEX_TRYLOCK_PI)), Err(libc::EAGAIN));
    assert_eq!(blocks(PRIORITY, || call(libc::FUTEX_LOCK_PI), move || go.send(()).unwrap()), Ok(0));
    assert_eq!(call(libc::FUTEX_UNLOCK_PI), Ok(0));
    holder.join().unwrap();
}

fn waits_for_handlers() {
    extern "C" fn handle(_: c_int) {}
    let handler: extern "C" fn(c_int) = handle;
    for signal in [SIGUSR1, SIGUSR2] {
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    // SAFETY: no pointers.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: all zero is a set, and an OS thread that waits for this one.
    let send = move || assert_eq!(unsafe { libc::pthread_kill(own, SIGUSR1) }, 0);
    // SAFETY: all zero is the set of nothing.
    let (mut blocked, nothing): (libc::sigset_t, libc::sigset_t) = unsafe { zeroed() };
    // SAFETY: the set is valid.
    assert_eq!(unsafe { libc::sigaddset(&mut blocked, SIGUSR1) }, 0);
    // SAFETY: the set is valid.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &blocked, null_mut()) }, 0);
    // SAFETY: the set is valid.
    let suspend = || answer(unsafe { libc::sigsuspend(&nothing) } as isize);
    assert_eq!(blocks(SIGSUSPEND, suspend, send), Err(libc::EINTR));
    // SAFETY: the set is valid.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &nothing, null_mut()) }, 0);

    // Sent until it has come: the count is a little ahead of the call.
    static OVER: AtomicU32 = AtomicU32::new(0);
    let send = move || {
        while OVER.load(Ordering::SeqCst) == 0 {
            send();
            std::thread::sleep(MILLI);
        }
    };
    let pause = || {
        // SAFETY: no pointers.
        let paused = answer(unsafe { libc::pause() } as isize);
        OVER.store(1, Ordering::SeqCst);
        paused
    };
    assert_eq!(blocks(PAUSE, pause, send), Err(libc::EINTR));
}

/// Has a name of C's, and so is taken for C code.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn osier_test_yields_until(done: &AtomicU32) {
    while done.load(Ordering::SeqCst) == 0 {
        // SAFETY: no arguments.
        assert_eq!(unsafe { libc::sched_yield() }, 0);
        // The first one is counted, and the others are not to be.
        while done.load(Ordering::SeqCst) == 0 {
            std::hint::spin_loop();
        }
    }
}

fn yields_of_c() {
    static DONE: AtomicU32 = AtomicU32::new(0);
    blocks(YIELD, || osier_test_yields_until(&DONE), || DONE.store(1, Ordering::SeqCst));
    DONE.store(0, Ordering::SeqCst);
    goes_on(YIELD, std::thread::yield_now);
}

/// Has descriptor 0 be a pipe's end; gives the other.
fn new_standard_input() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: nothing of the test's needs its standard input.
    assert_eq!(unsafe { libc::dup2(reader.as_raw_fd(), 0) }, 0);
    writer
}

fn standard_input(writer: &PipeWriter) {
    let write = |mut writer: &PipeWriter| writer.write_all(b"x").unwrap();
    let read = || {
        let mut byte = 0_u8;
        // SAFETY: valid for a write.
        answer(unsafe { libc::read(0, (&raw mut byte).cast(), 1) })
    };
    let readv = || {
        let mut byte = 0_u8;
        let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: one part, valid for a write.
        answer(unsafe { libc::readv(0, &part, 1) })
    };
    let poll = |timeout| {
        let mut entry = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        answer(unsafe { libc::poll(&mut entry, 1, timeout) } as isize)
    };
    let theirs = || writer.try_clone().unwrap();
    let other = theirs();
    assert_eq!(blocks(STANDARD, read, move || write(&other)), Ok(1));
    let other = theirs();
    assert_eq!(blocks(STANDARD, readv, move || write(&other)), Ok(1));
    assert_eq!(goes_on(STANDARD, || poll(0)), Ok(0));
    let other = theirs();
    assert_eq!(blocks(STANDARD, || poll(-1), move || write(&other)), Ok(1));
    assert_eq!(goes_on(STANDARD, read), Ok(1), "there is something");
}

#[test]
fn known_blocking_calls_are_made_and_counted() {
    watchdog();
    let writer = new_standard_input();
    osier::run(|| goes_on(PRIORITY, lock_what_is_free));
    [Group::Net, Group::Poll, Group::Pipe, Group::Signal].into_iter().for_each(osier::patch::group);
    osier::run(|| {
        waits_for_handlers();
        standard_input(&writer);
    });
    osier::patch::group(Group::Sleep);
    osier::run(yields_of_c);
    osier::patch::group(Group::Futex);
    goes_on(PRIORITY, lock_what_is_free);
    osier::run(|| {
        a_futex_of_priorities();
    });
    let text = osier::patch::report().to_string();
    assert!(text.contains("blocked the OS thread, 1 times: sigsuspend that an unblocked"), "{text}");
}
