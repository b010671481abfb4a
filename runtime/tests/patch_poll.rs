//! `select`, `pselect`, `ppoll` and the calls on epoll instances, on green threads: each parks, and each keeps to its manual.

mod patching;

use libc::{epoll_event, fd_set, pollfd, sigset_t, timespec, timeval};
use patching::{answer, killed_in, neighbour_goes_on, timed_out_in, watchdog};
use std::io::{Read, Write};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn set_of(fds: &[RawFd]) -> fd_set {
    // SAFETY: all zero is an empty set.
    let mut set: fd_set = unsafe { zeroed() };
    for fd in fds {
        // SAFETY: the tests have few descriptors.
        unsafe { libc::FD_SET(*fd, &mut set) };
    }
    set
}

fn has(set: &fd_set, fd: RawFd) -> bool {
    // SAFETY: the tests have few descriptors.
    unsafe { libc::FD_ISSET(fd, set) }
}

fn select(
    count: i32,
    read: &mut fd_set,
    write: Option<&mut fd_set>,
    limit: Option<&mut timeval>,
) -> Result<usize, i32> {
    let write = write.map_or(null_mut(), |set| set);
    let limit = limit.map_or(null_mut(), |limit| limit);
    // SAFETY: valid sets, a valid time.
    answer(unsafe { libc::select(count, read, write, null_mut(), limit) } as isize)
}

fn millis(count: i64) -> timespec {
    timespec { tv_sec: count / 1000, tv_nsec: count % 1000 * 1_000_000 }
}

fn selecting() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let (two, _held) = UnixStream::pair().unwrap();
    let (fd, quiet) = (one.as_raw_fd(), two.as_raw_fd());
    let count = fd.max(quiet) + 1;
    let found = neighbour_goes_on(
        "select",
        move || {
            let mut read = set_of(&[fd, quiet]);
            let mut limit = timeval { tv_sec: 3600, tv_usec: 0 };
            let ready = select(count, &mut read, None, Some(&mut limit));
            (ready, has(&read, fd), has(&read, quiet), limit.tv_sec < 3600)
        },
        || other.write_all(b"x").unwrap(),
    );
    assert_eq!(found, (Ok(1), true, false, true), "what is left of the time is told");
    let (mut read, mut write) = (set_of(&[fd, quiet]), set_of(&[fd, quiet]));
    assert_eq!(select(count, &mut read, Some(&mut write), None), Ok(3));
    assert!(has(&read, fd) && !has(&read, quiet) && has(&write, fd) && has(&write, quiet));

    let start = Instant::now();
    let mut read = set_of(&[quiet]);
    let mut limit = timeval { tv_sec: 0, tv_usec: 20_000 };
    assert_eq!(select(count, &mut read, None, Some(&mut limit)), Ok(0));
    assert!(start.elapsed() >= Duration::from_millis(20) && !has(&read, quiet));
    assert_eq!((limit.tv_sec, limit.tv_usec), (0, 0));
    let mut limit = timeval { tv_sec: 0, tv_usec: 20_000 };
    assert_eq!(select(0, &mut set_of(&[]), None, Some(&mut limit)), Ok(0));
    assert!(start.elapsed() >= Duration::from_millis(40), "a select of nothing is a sleep");

    let closed = UnixStream::pair().unwrap().0.as_raw_fd();
    let mut read = set_of(&[quiet, closed]);
    assert_eq!(select(closed + 1, &mut read, None, None), Err(libc::EBADF));
    assert!(has(&read, quiet), "an error leaves the sets as they are");
    assert_eq!(select(-1, &mut read, None, None), Err(libc::EINVAL));
    let mut bad = timeval { tv_sec: -1, tv_usec: 0 };
    assert_eq!(select(count, &mut read, None, Some(&mut bad)), Err(libc::EINVAL));

    let wait = move || {
        let mut read = set_of(&[quiet]);
        // SAFETY: a valid set.
        answer(unsafe { libc::pselect(count, &mut read, null_mut(), null_mut(), null(), null()) } as isize)
    };
    assert_eq!(killed_in("pselect", wait), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("pselect", wait), Err(libc::ETIMEDOUT));
    let limit = millis(20);
    // SAFETY: a valid set and time.
    let ready =
        unsafe { libc::pselect(count, &mut set_of(&[quiet]), null_mut(), null_mut(), &limit, null()) };
    assert_eq!((ready, limit.tv_nsec), (0, 20_000_000), "its time is left alone");
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> Epoll {
        // SAFETY: just made.
        Epoll(unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) })
    }

    fn watch(&self, fd: RawFd, events: i32) {
        let mut event = epoll_event { events: events.cast_unsigned(), u64: fd as u64 };
        // SAFETY: a valid event.
        assert_eq!(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }, 0);
    }
}

fn event_loops() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let epoll = Epoll::new();
    epoll.watch(one.as_raw_fd(), libc::EPOLLIN | libc::EPOLLET);
    let (fd, token) = (epoll.0.as_raw_fd(), one.as_raw_fd() as u64);
    type Wait = fn(RawFd, &mut [epoll_event], i32) -> i32;
    let ways: [(&str, Wait); 3] = [
        // SAFETY: room for so many events, here and below.
        ("epoll_wait", |fd, events, limit| unsafe { libc::epoll_wait(fd, events.as_mut_ptr(), 4, limit) }),
        ("epoll_pwait", |fd, events, limit| {
            // SAFETY: as above.
            unsafe { libc::epoll_pwait(fd, events.as_mut_ptr(), 4, limit, null()) }
        }),
        ("epoll_pwait2", |fd, events, limit| {
            let time = millis(limit.into());
            let time = if limit < 0 { null() } else { &raw const time };
            // SAFETY: as above, and a valid time.
            unsafe { libc::epoll_pwait2(fd, events.as_mut_ptr(), 4, time, null()) }
        }),
    ];
    for (name, wait) in ways {
        let none = epoll_event { events: 0, u64: 0 };
        let call = move |limit| {
            let mut events = [none; 4];
            let ready = answer(wait(fd, &mut events, limit) as isize);
            (ready, events[0].u64)
        };
        let ready = neighbour_goes_on(name, move || call(-1), || other.write_all(b"x").unwrap());
        assert_eq!(ready, (Ok(1), token), "{name}");
        let start = Instant::now();
        assert_eq!(call(20).0, Ok(0), "{name}: an edge is told once");
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(call(0).0, Ok(0));
        assert_eq!(killed_in(name, move || call(-1).0), Err(libc::ECANCELED), "{name}");
        assert_eq!(timed_out_in(name, || call(3_600_000).0), Err(libc::ETIMEDOUT), "{name}");
    }
    let mut events = [epoll_event { events: 0, u64: 0 }; 1];
    // SAFETY: room for no event.
    let no_room = unsafe { libc::epoll_wait(fd, events.as_mut_ptr(), 0, -1) };
    assert_eq!(answer(no_room as isize), Err(libc::EINVAL));
    // SAFETY: room for an event.
    let no_epoll = unsafe { libc::epoll_wait(one.as_raw_fd(), events.as_mut_ptr(), 1, -1) };
    assert_eq!(answer(no_epoll as isize), Err(libc::EINVAL));
    // One instance in another.
    let outer = Epoll::new();
    outer.watch(fd, libc::EPOLLIN);
    let outer_fd = outer.0.as_raw_fd();
    let nested = move || {
        let mut events = [epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: room for so many events.
        unsafe { libc::epoll_wait(outer_fd, events.as_mut_ptr(), 4, -1) }
    };
    assert_eq!(neighbour_goes_on("nested epoll_wait", nested, || other.write_all(b"x").unwrap()), 1);
    assert!((&one).read(&mut [0; 64]).unwrap() > 0);
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// The usual pattern: a signal is blocked, but for the time of the call.
fn masks() {
    // SAFETY: all zero is an empty set, and an action without flags.
    let (mut blocked, mut open, mut action): (sigset_t, sigset_t, libc::sigaction) =
        unsafe { (zeroed(), zeroed(), zeroed()) };
    action.sa_sigaction = count_signal as *const () as usize;
    // SAFETY: valid sets and actions.
    unsafe {
        libc::sigaction(libc::SIGUSR1, &action, null_mut());
        libc::sigemptyset(&mut blocked);
        libc::sigaddset(&mut blocked, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, &mut open);
    }
    let (one, _other) = UnixStream::pair().unwrap();
    let epoll = Epoll::new();
    epoll.watch(one.as_raw_fd(), libc::EPOLLIN);
    let (fd, set) = (one.as_raw_fd(), epoll.0.as_raw_fd());
    type Wait = Box<dyn Fn(*const sigset_t) -> i32>;
    let ways: [(&str, Wait); 4] = [
        (
            "ppoll",
            Box::new(move |mask| {
                let mut entry = pollfd { fd, events: libc::POLLIN, revents: 0 };
                // SAFETY: one entry, a valid mask.
                unsafe { libc::ppoll(&mut entry, 1, null(), mask) }
            }),
        ),
        (
            "pselect",
            Box::new(move |mask| {
                // SAFETY: a valid set and mask.
                unsafe { libc::pselect(fd + 1, &mut set_of(&[fd]), null_mut(), null_mut(), null(), mask) }
            }),
        ),
        (
            "epoll_pwait",
            Box::new(move |mask| {
                let mut events = [epoll_event { events: 0, u64: 0 }; 1];
                // SAFETY: room for one event, a valid mask.
                unsafe { libc::epoll_pwait(set, events.as_mut_ptr(), 1, -1, mask) }
            }),
        ),
        (
            "epoll_pwait2",
            Box::new(move |mask| {
                let mut events = [epoll_event { events: 0, u64: 0 }; 1];
                // SAFETY: room for one event, a valid mask.
                unsafe { libc::epoll_pwait2(set, events.as_mut_ptr(), 1, null(), mask) }
            }),
        ),
    ];
    for (name, wait) in ways {
        let before = HANDLED.load(Ordering::Relaxed);
        let call = move || answer(wait(&raw const open) as isize);
        let ended = neighbour_goes_on(name, call, || {
            // SAFETY: no pointers. To this OS thread, since the test's other ones would handle it.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            osier::yield_now();
            assert_eq!(HANDLED.load(Ordering::Relaxed), before, "{name}: the others keep their mask");
        });
        assert_eq!(ended, Err(libc::EINTR), "{name}");
        assert_eq!(HANDLED.load(Ordering::Relaxed), before + 1, "{name}");
    }
    // SAFETY: a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &open, null_mut()) };
}

/// With no descriptor left for a set of its own a call looks now and then.
fn without_descriptors() {
    let ((one, mut other), (two, _held)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let entries =
        [one.as_raw_fd(), two.as_raw_fd()].map(|fd| pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: all zero is a valid limit.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    let poll = move || {
        let mut entries = entries;
        // SAFETY: two entries.
        (answer(unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) } as isize), entries[0].revents)
    };
    let waiter = osier::spawn(poll);
    let none = libc::rlimit { rlim_cur: 3, ..limit };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
    for _ in 0..3 {
        osier::yield_now();
    }
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    assert!(!waiter.is_finished());
    other.write_all(b"x").unwrap();
    assert_eq!(waiter.join().unwrap(), (Ok(1), libc::POLLIN));
}

/// Epoll instances in each other, as deep as the kernel lets them be.
fn nested() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let mut epolls = Vec::new();
    let mut innermost = one.as_raw_fd();
    loop {
        // SAFETY: no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        // SAFETY: just made, and nobody else's.
        epolls.push(unsafe { OwnedFd::from_raw_fd(epoll) });
        let mut event = epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: a valid event.
        if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, innermost, &mut event) } == -1 {
            break;
        }
        innermost = epoll;
    }
    let poll = move || {
        let mut entry = pollfd { fd: innermost, events: libc::POLLIN, revents: 0 };
        // SAFETY: an entry.
        (answer(unsafe { libc::poll(&mut entry, 1, -1) } as isize), entry.revents)
    };
    let polled = neighbour_goes_on("poll", poll, || other.write_all(b"x").unwrap());
    assert_eq!(polled, (Ok(1), libc::POLLIN));
}

/// A descriptor that is named twice, and is ready for what it is not asked for, ends the wait once.
fn named_twice() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let entry = pollfd { fd: one.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries = [entry, pollfd { events: libc::POLLPRI, ..entry }];
    let waits = || {
        let report = osier::patch::report();
        report.shims.iter().find(|shim| shim.symbol.name() == "poll").unwrap().waits
    };
    let before = waits();
    // SAFETY: two entries.
    let poll =
        move || (unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) }, entries.map(|entry| entry.revents));
    let polled = neighbour_goes_on("poll", poll, || {
        // The reactor looks meanwhile.
        osier::sleep(Duration::from_millis(1));
        other.write_all(b"x").unwrap();
    });
    assert_eq!(polled, (1, [libc::POLLIN, 0]));
    assert_eq!(waits() - before, 1);
}

#[test]
fn calls_for_readiness_are_cooperative() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        selecting();
        named_twice();
        nested();
        event_loops();
        without_descriptors();
        masks();
    });
}

/// What is pointed at is for the kernel to read, and to refuse.
#[test]
fn off_green_threads_pointers_that_lead_nowhere_are_refused() {
    osier::patch::all();
    let (one, _other) = UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    // SAFETY: no pointers.
    let set = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let set = set.as_raw_fd();
    let mut event = epoll_event { events: 0, u64: 0 };
    let event = &raw mut event;
    // SAFETY: all zero is a message of nothing.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    let message = &raw mut message;
    let nowhere = std::ptr::without_provenance_mut::<timespec>(8);
    let mask: *const sigset_t = nowhere.cast_const().cast();
    let short = millis(1);
    let calls: [(&str, &dyn Fn() -> libc::c_int); 8] = [
        // SAFETY: the kernel reads what it is given, here and below.
        ("nanosleep", &|| unsafe { libc::nanosleep(nowhere, null_mut()) }),
        // SAFETY: as above.
        ("ppoll", &|| unsafe { libc::ppoll(null_mut(), 0, &short, mask) }),
        // SAFETY: as above.
        ("pselect", &|| unsafe { libc::pselect(0, null_mut(), null_mut(), null_mut(), &short, mask) }),
        // SAFETY: as above.
        ("epoll_pwait", &|| unsafe { libc::epoll_pwait(set, event, 1, 1, mask) }),
        // SAFETY: as above.
        ("epoll_pwait2", &|| unsafe { libc::epoll_pwait2(set, event, 1, nowhere, null()) }),
        // SAFETY: as above.
        ("recvmmsg", &|| unsafe { libc::recvmmsg(fd, message, 1, 0, nowhere) }),
        // SAFETY: as above.
        ("sigsuspend", &|| unsafe { libc::sigsuspend(mask) }),
        // SAFETY: as above.
        ("sigtimedwait", &|| unsafe { libc::sigtimedwait(mask, null_mut(), &short) }),
    ];
    for (name, call) in calls {
        assert_eq!(answer(call() as isize), Err(libc::EFAULT), "{name}");
    }
}
