//! The fixture: runs a body in a runtime of its own and checks that nothing is left of it afterwards.
#![allow(dead_code, unreachable_pub, reason = "a part of each test file, of which none uses all")]

use osier::time::FakeClock;
use osier::{Builder, Runtime};
use std::cell::RefCell;
use std::io::Write;
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// An hour: whoever sleeps that long is ended by something else.
pub const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

/// Long enough that a test which needs all of it has failed.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub const MILLI: std::time::Duration = std::time::Duration::from_millis(1);

/// The open descriptors, by number and what each leads to.
///
/// Not those that somebody opens and closes in passing. To read something in /proc or /sys: this function does, and the
/// C library, which looks there how much memory it may keep when a thread of the process ends. Or to find the names of
/// functions in the program and its libraries: the report of a panic with a backtrace does, in whichever test.
pub fn descriptors() -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let descriptors = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        // One that cannot be read was closed meanwhile.
        let leads_to = std::fs::read_link(&path).ok()?;
        let name = leads_to.file_name().unwrap_or_default().to_string_lossy();
        let is_library = name.ends_with(".so") || name.contains(".so.");
        let in_passing = leads_to.starts_with("/proc") || leads_to.starts_with("/sys");
        (!in_passing && !is_library && leads_to != program)
            .then(|| format!("{} {}", path.file_name().unwrap().display(), leads_to.display()))
    });
    descriptors.collect()
}

/// What of the process must be as it was: descriptors, stacks in use, stacks leaked.
pub fn resources() -> (Vec<String>, usize, usize) {
    let stacks = osier::stacks();
    (descriptors(), stacks.in_use, stacks.leaked)
}

/// Has as many stacks parked in the middle of an unwinding as any test has at once: the stacks that hold their panic
/// counts are kept for the next time.
fn fill_stock() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        osier::run(|| {
            let parked: Vec<_> = (0..32)
                .map(|_| {
                    osier::spawn(|| {
                        let _parks = OnDrop::new(osier::thread::park);
                        std::panic::resume_unwind(Box::new(()));
                    })
                })
                .collect();
            osier::yield_now();
            for thread in parked {
                thread.thread().unpark();
                let _ = thread.join();
            }
        });
    });
}

/// Keeps the other tests of the process from making and closing descriptors.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f`, one at a time in the process, and checks that descriptors and stacks are as before.
pub fn leaves_nothing<T>(f: impl FnOnce() -> T) -> T {
    let _alone = alone();
    fill_stock();
    let before = resources();
    let value = f();
    assert_eq!(resources(), before, "descriptors, stacks in use, stacks leaked; after and before");
    value
}

/// Runs `body` on the main green thread of a runtime.
pub fn check<T>(body: impl FnOnce() -> T) -> T {
    check_with(Builder::new(), |runtime| runtime.run(body))
}

/// Hands `body` a runtime with these settings.
pub fn check_with<T>(builder: Builder, body: impl FnOnce(&Runtime) -> T) -> T {
    // A destructor that waits for ever would keep the test from saying what has failed.
    let builder = builder.shutdown_grace(PATIENCE / 4, |left| {
        for waiting in left {
            let _ = writeln!(std::io::stderr(), "left at the end of the runtime: {waiting}");
        }
        std::process::abort();
    });
    leaves_nothing(|| body(&builder.build().unwrap()))
}

/// [`check`] in virtual time, which goes on only when nobody can run, or when `body` says so: however busy the machine is, no
/// deadline passes before it is to.
pub fn check_virtual<T>(body: impl FnOnce(&FakeClock) -> T) -> T {
    let clock = FakeClock::new();
    check_with(Builder::new().clock(clock.clone()), |runtime| runtime.run(|| body(&clock)))
}

/// Runs what it was given when it is dropped.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub fn new(f: F) -> OnDrop<F> {
        OnDrop(Some(f))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// What has happened, in order; clones are of one log.
#[derive(Clone)]
pub struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Log<T> {
    pub fn new() -> Log<T> {
        Log(Rc::new(RefCell::new(Vec::new())))
    }

    pub fn add(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    pub fn take(&self) -> Vec<T> {
        self.0.take()
    }
}

const CHILD: &str = "OSIER_TEST_CHILD";

/// In the test process: runs the test `name` once more, in a process of its own, in which this runs `body` and exits with
/// 0; gives what became of that process.
pub fn in_child(name: &str, body: impl FnOnce()) -> Output {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        body();
        std::process::exit(0);
    }
    let _alone = alone();
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

pub fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// The message of a panic.
pub fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a payload that is no message")
}

/// The message with which `f` panics.
pub fn panic_message(f: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it must panic");
    message(&*payload).to_string()
}
