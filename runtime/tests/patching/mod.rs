//! What the tests of `osier::patch` share. Each test file is a process of its own.
#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

const MILLI: Duration = Duration::from_millis(1);

/// Ends the process if the test takes so long that something must block the OS thread. A look-up of a name that is not there may
/// take a minute where nobody answers, and a sync of a disk with much to write another one.
pub(crate) fn watchdog() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(300));
        let _ = writeln!(io::stderr(), "the OS thread is blocked");
        std::process::exit(101);
    });
}

/// The process's OS threads. The kernel takes its time to forget one that was joined.
pub(crate) fn os_threads() -> BTreeSet<OsString> {
    std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().file_name()).collect()
}

/// On a green thread: has another one make a call that waits, and shows that meanwhile this one goes on and that no OS thread was
/// started. Then `release` makes what is waited for. Gives what the call gave.
pub(crate) fn neighbour_goes_on<T: 'static>(
    what: &str,
    call: impl FnOnce() -> T + 'static,
    release: impl FnOnce(),
) -> T {
    let threads = os_threads();
    others_go_on(what, call, || {
        assert!(os_threads().is_subset(&threads), "{what} was handed to an OS thread");
        release();
    })
}

/// [`neighbour_goes_on`] for a call that may have an OS thread wait.
pub(crate) fn others_go_on<T: 'static>(
    what: &str,
    call: impl FnOnce() -> T + 'static,
    release: impl FnOnce(),
) -> T {
    let begun = Rc::new(Cell::new(false));
    let waiter = osier::spawn_local({
        let begun = begun.clone();
        move || {
            begun.set(true);
            call()
        }
    });
    for _ in 0..10 {
        osier::yield_now();
        assert!(begun.get(), "{what} has not begun");
        assert!(!waiter.is_finished(), "{what} did not wait");
    }
    release();
    waiter.join().unwrap_or_else(|_| panic!("{what} has panicked"))
}

/// On a green thread: makes a call that waits for as long as it is told, and shows that a neighbour ran meanwhile, and slept.
pub(crate) fn others_run_until_late(what: &str, call: impl Fn(Duration)) {
    let mut time = 5 * MILLI;
    loop {
        let neighbour = osier::spawn(|| osier::sleep(MILLI));
        let start = Instant::now();
        call(time);
        let took = start.elapsed();
        // Two clocks that do not agree about a moment.
        assert!(took + MILLI >= time, "{what} was over after {took:?} of {time:?}");
        let ran = neighbour.is_finished();
        neighbour.join().unwrap();
        if ran {
            return;
        }
        // On a busy machine the time may be over before the neighbour is awake again.
        time *= 2;
        assert!(time < Duration::from_secs(2), "{what} has blocked");
    }
}

/// What a libc call has answered: its number, or its error number.
pub(crate) fn answer(result: isize) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap())
}

/// Runs `f` on a green thread that is killed while it waits in `f`; gives what `f` gave. The wait after it unwinds.
pub(crate) fn killed_in<T: 'static>(what: &str, f: impl FnOnce() -> T + 'static) -> T {
    let given = Rc::new(Cell::new(None));
    let beyond = Rc::new(Cell::new(false));
    let waiter = osier::spawn_local({
        let (given, beyond) = (given.clone(), beyond.clone());
        move || {
            given.set(Some(f()));
            osier::yield_now();
            beyond.set(true);
        }
    });
    for _ in 0..3 {
        osier::yield_now();
    }
    assert!(!waiter.is_finished(), "{what} did not wait");
    waiter.kill();
    let killed = waiter.join().unwrap_err();
    assert!(killed.is::<osier::thread::Killed>(), "{what} ended otherwise");
    assert!(!beyond.get(), "the wait after {what} did not unwind");
    given.take().unwrap_or_else(|| panic!("{what} has unwound through C"))
}

/// Runs `f` in a `timeout` that passes while it waits; gives what `f` gave. The wait after it unwinds.
pub(crate) fn timed_out_in<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let mut given = None;
    let outcome = osier::time::timeout(Duration::from_millis(5), || {
        given = Some(f());
        osier::yield_now();
    });
    assert!(outcome.is_err(), "the wait after {what} did not unwind");
    given.unwrap_or_else(|| panic!("{what} has unwound through C"))
}

/// [`killed_in`] for a call that may be over by itself at any time: the kill comes before it.
pub(crate) fn killed_on_spot<T: 'static>(what: &str, f: impl FnOnce() -> T + 'static) -> T {
    let given = Rc::new(Cell::new(None));
    let waiter = osier::spawn_local({
        let given = given.clone();
        move || {
            osier::shield(osier::yield_now);
            given.set(Some(f()));
            osier::yield_now();
        }
    });
    osier::yield_now();
    waiter.kill();
    waiter.join().unwrap_err();
    given.take().unwrap_or_else(|| panic!("{what} has unwound through C"))
}
