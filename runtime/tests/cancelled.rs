//! Cancellations as values: what ends the waits of a function that must not be unwound, and that it goes on being told.

mod common;

use common::{LONG, MILLI, OnDrop, check, message};
use osier::thread::{Cancelled, catch_cancelled};
use osier::time::{Elapsed, timeout};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

const KILLED: Result<(), Cancelled> = Err(Cancelled::Killed);
const ELAPSED: Result<(), Cancelled> = Err(Cancelled::Elapsed);

#[test]
fn what_ends_nothing_is_passed_on() {
    check(|| {
        assert_eq!(catch_cancelled(|| 1), Ok(1));
        assert_eq!(catch_cancelled(|| osier::sleep(MILLI)), Ok(()));
        let panics = catch_unwind(AssertUnwindSafe(|| catch_cancelled(|| panic!("an ordinary panic"))));
        assert_eq!(message(&*panics.map(|_: Result<(), _>| ()).unwrap_err()), "an ordinary panic");
        // A timeout within is none of its business.
        assert_eq!(catch_cancelled(|| timeout(MILLI, || osier::sleep(LONG))), Ok(Err(Elapsed)));
    });
}

#[test]
fn a_kill_is_told_at_each_wait_and_others_run_in_between() {
    check(|| {
        let (turns, neighbours) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let thread = osier::spawn_local({
            let (turns, neighbours) = (turns.clone(), neighbours.clone());
            move || {
                let dropped = Cell::new(false);
                let first = catch_cancelled(|| {
                    let _unwound = OnDrop::new(|| dropped.set(true));
                    osier::thread::park();
                });
                assert_eq!((first, dropped.get()), (KILLED, true));
                // One that takes no notice.
                while neighbours.get() < 3 {
                    assert_eq!(catch_cancelled(|| osier::sleep(LONG)), KILLED);
                    turns.set(turns.get() + 1);
                    assert!(turns.get() < 100, "it keeps the worker");
                }
                assert_eq!(catch_cancelled(|| osier::shield(|| osier::sleep(MILLI))), Ok(()));
                assert!(!std::thread::panicking());
                "returned"
            }
        });
        osier::yield_now();
        thread.kill();
        for _ in 0..3 {
            osier::yield_now();
            neighbours.set(neighbours.get() + 1);
        }
        assert_eq!(thread.join().unwrap(), "returned");
        assert!(turns.get() > 0);
    });
}

#[test]
fn a_deadline_is_told_and_raised_where_nobody_asks() {
    check(|| {
        let told = Cell::new(0);
        let outcome = timeout(MILLI, || {
            for _ in 0..3 {
                assert_eq!(catch_cancelled(|| osier::sleep(LONG)), ELAPSED);
                told.set(told.get() + 1);
            }
            osier::yield_now();
            told.set(100);
        });
        assert_eq!((outcome, told.get()), (Err(Elapsed), 3));
    });
    // Off a green thread as well.
    let outcome = timeout(MILLI, || catch_cancelled(|| osier::sleep(LONG)));
    assert_eq!(outcome, Ok(ELAPSED));
}
