//! What a runtime calls of the user's, in the middle of its work: it can neither leave the runtime nor bring it down.

mod common;

use common::{MILLI, in_child, text};
use osier::greenlet::{self, Greenlet, SwitchError};
use osier::time::{Clock, Duration, FakeClock, Instant};
use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

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
    let called = Rc::new(Cell::new(0));
    greenlet::scope(|| {
        let outside: Rc<RefCell<Option<Greenlet<()>>>> = Rc::default();
        let (theirs, count) = (outside.clone(), called.clone());
        let clock = Calls(FakeClock::new(), move || {
            count.set(count.get() + 1);
            let switched = theirs.borrow().as_ref().unwrap().switch(());
            assert!(matches!(switched, Err(SwitchError::NoScope(()))), "{switched:?}");
        });
        let runtime = osier::Builder::new().clock(clock).build().unwrap();
        *outside.borrow_mut() = Some(Greenlet::new(|()| ()));
        runtime.run(|| osier::sleep(MILLI));
    });
    assert!(called.get() > 0);
}

/// Were the panic to leave `scope`, the green thread would find what it borrows gone.
#[test]
fn a_clock_that_panics_in_the_wait_of_a_scope_aborts() {
    let output = in_child("a_clock_that_panics_in_the_wait_of_a_scope_aborts", || {
        let panics = Rc::new(Cell::new(false));
        let theirs = panics.clone();
        let clock = Calls(FakeClock::new(), move || assert!(!theirs.get(), "the clock has panicked"));
        let runtime = osier::Builder::new().clock(clock).build().unwrap();
        runtime.enter(|_driver| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let borrowed = String::from("borrowed");
                osier::thread::scope(|scope| {
                    scope.spawn(|| {
                        osier::sleep(MILLI);
                        assert_eq!(borrowed, "borrowed");
                    });
                    panics.set(true);
                });
            }));
            panics.set(false);
            assert!(caught.is_err());
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the clock has panicked"));
}
