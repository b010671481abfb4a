//! What a runtime calls of the user's, in the middle of its work: it can neither leave the runtime nor bring it down.

mod common;

use common::{MILLI, in_child, text};
use osier::greenlet::{self, Greenlet, SwitchError};
use osier::time::{Clock, Duration, FakeClock, Instant};
use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A clock that runs a closure whenever nobody can run.
struct Calls<F: Fn()>(FakeClock, F);

impl<F: Fn()> Clock for Calls<F> {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn idle(&self, until: Option<Instant>) -> Option<Duration> {
        (self.1)();
        self.0.idle(until)
    }
}

#[test]
fn a_clock_cannot_switch_to_a_greenlet_that_is_outside_of_the_runtime() {
    thread_local! {
        static OUTSIDE: RefCell<Option<Greenlet<()>>> = const { RefCell::new(None) };
    }
    let called = Arc::new(AtomicUsize::new(0));
    greenlet::scope(|| {
        let count = called.clone();
        let clock = Calls(FakeClock::new(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            let switched = OUTSIDE.with_borrow(|outside| outside.as_ref().unwrap().switch(()));
            assert!(matches!(switched, Err(SwitchError::NoScope(()))), "{switched:?}");
        });
        let runtime = osier::Builder::new().clock(clock).build().unwrap();
        OUTSIDE.set(Some(Greenlet::new(|()| ())));
        runtime.run(|| osier::sleep(MILLI));
        OUTSIDE.take();
    });
    assert!(called.load(Ordering::Relaxed) > 0);
}

/// Were the panic to leave `scope`, the green thread would find what it borrows gone.
#[test]
fn a_clock_that_panics_in_the_wait_of_a_scope_aborts() {
    let output = in_child("a_clock_that_panics_in_the_wait_of_a_scope_aborts", || {
        let panics = Arc::new(AtomicBool::new(false));
        let theirs = panics.clone();
        let panics_now = move || assert!(!theirs.load(Ordering::Relaxed), "the clock has panicked");
        let clock = Calls(FakeClock::new(), panics_now);
        let runtime = osier::Builder::new().clock(clock).build().unwrap();
        runtime.enter(|_driver| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let borrowed = String::from("borrowed");
                osier::thread::scope(|scope| {
                    scope.spawn(|| {
                        osier::sleep(MILLI);
                        assert_eq!(borrowed, "borrowed");
                    });
                    panics.store(true, Ordering::Relaxed);
                });
            }));
            panics.store(false, Ordering::Relaxed);
            assert!(caught.is_err());
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the clock has panicked"));
}
