//! Destructors that panic, or start something new, while greenlets and generators are being ended. Each in a process of
//! its own, since what is tested for is memory that is used after its end.

mod common;

use common::{OnDrop, in_child, text};
use osier::generator::{Generator, Yielder};
use osier::greenlet::{self, Greenlet, State};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// Runs `body` in a process of its own, in which it must come to its end.
#[track_caller]
fn survives(name: &str, body: impl FnOnce()) {
    let output = in_child(name, body);
    assert!(output.status.success(), "{:?}: {}", output.status, text(&output.stderr));
}

#[test]
fn of_a_pending_body_that_another_ones_panic_passes_over() {
    survives("of_a_pending_body_that_another_ones_panic_passes_over", || {
        greenlet::scope(|| {
            let bomb = OnDrop::new(|| panic!("the body of the parent was dropped"));
            let parent = Greenlet::new(move |n: u32| {
                let _bomb = &bomb;
                n
            });
            let child = Greenlet::new(|_| resume_unwind(Box::new("the child's own")));
            child.set_parent(&parent).unwrap();
            let caught = catch_unwind(AssertUnwindSafe(|| child.switch(1))).unwrap_err();
            assert_eq!(caught.downcast_ref(), Some(&"the child's own"));
            assert_eq!((parent.state(), child.state()), (State::Dead, State::Dead));
        });
    });
}

/// What a generator yields though it was asked to end; `None` is harmless.
type Yielded = Option<OnDrop<fn()>>;

/// Suspends, and forgets the handles of, a generator that runs beneath a greenlet which has switched away: the end of the
/// scope must end the greenlet first. The generator then yields `give()` until it is given up.
fn generator_beneath_a_greenlet(give: fn() -> Yielded) {
    let main = greenlet::current::<()>();
    let carrier = Greenlet::new(move |()| {
        let mut beneath = Generator::new(move |co: &Yielder<Yielded>| {
            let _ = catch_unwind(AssertUnwindSafe(|| main.switch(())));
            while catch_unwind(AssertUnwindSafe(|| co.yield_(give()))).is_err() {}
        });
        // Yields when the carrier is unwound.
        let _ = beneath.next().flatten().map(std::mem::forget);
        std::mem::forget(beneath);
    });
    carrier.switch(()).unwrap();
    std::mem::forget(carrier);
}

#[test]
fn of_what_a_generator_yields_instead_of_ending() {
    survives("of_what_a_generator_yields_instead_of_ending", || {
        let leaked = osier::stacks().leaked;
        for _ in 0..2 {
            greenlet::scope(|| {
                generator_beneath_a_greenlet(|| Some(OnDrop::new(|| panic!("what was yielded"))));
            });
        }
        assert_eq!(osier::stacks().leaked, leaked + 2);
        assert!(catch_unwind(greenlet::current::<()>).is_err(), "no scope is left behind");
    });
}

#[test]
fn a_generator_that_is_started_at_the_very_end_of_a_scope_ends_with_it() {
    survives("a_generator_that_is_started_at_the_very_end_of_a_scope_ends_with_it", || {
        let late: Rc<RefCell<Option<Generator<u32>>>> = Rc::default();
        let slot = late.clone();
        greenlet::scope(|| {
            let main = greenlet::current::<()>();
            let carrier = Greenlet::new(move |()| {
                let mut beneath = Generator::new(move |co: &Yielder<()>| {
                    let _starts = OnDrop::new(move || {
                        let mut generator = Generator::new(|_co: &Yielder<u32>| ());
                        generator.start().unwrap();
                        *slot.borrow_mut() = Some(generator);
                    });
                    let _ = catch_unwind(AssertUnwindSafe(|| main.switch(())));
                    co.yield_(());
                });
                let _ = beneath.next();
                std::mem::forget(beneath);
            });
            carrier.switch(()).unwrap();
            std::mem::forget(carrier);
        });
        let late = late.take().expect("the destructor has run");
        assert!(late.is_ended());
        drop(late);
    });
}

/// A value that may hold a greenlet.
struct Carries(#[expect(dead_code, reason = "only dropped")] Option<Greenlet<Carries>>);

/// While main is switched away, a greenlet is unwound that nobody can switch to, and what it returns then holds the last
/// handle of another one. Neither is the one that runs next, whose limits on waiting must stay its own.
#[test]
fn of_a_returned_handle_leaves_the_limits_of_who_runs_next() {
    const NOTHING: Carries = Carries(None);
    survives("of_a_returned_handle_leaves_the_limits_of_who_runs_next", || {
        greenlet::scope(|| {
            let main = greenlet::current::<Carries>();
            let new = |body: Box<dyn FnOnce(Greenlet<Carries>) -> Carries>| {
                let main = main.clone();
                Greenlet::new(move |_| body(main))
            };
            let waits = |main: Greenlet<Carries>| main.switch(NOTHING).ok().unwrap();
            let carried = new(Box::new(waits));
            carried.switch(NOTHING).unwrap();
            let next = new(Box::new(move |main| {
                osier::shield(|| {
                    waits(main);
                    osier::sleep(20 * common::MILLI);
                });
                NOTHING
            }));
            next.switch(NOTHING).unwrap();
            // As in the test of greenlets that lose their last handle while they run: main switches to `way`, whose end leads to
            // `owner`, whose stack holds the only handle to `child`.
            let way = Greenlet::new(|_| NOTHING);
            let slot: Rc<RefCell<Option<Greenlet<Carries>>>> = Rc::default();
            let (theirs, their_way, to) = (slot.clone(), way.clone(), next.clone());
            let child = new(Box::new(move |main| {
                their_way.set_parent(&main).unwrap();
                drop(theirs.take());
                let _ = catch_unwind(AssertUnwindSafe(|| to.switch(NOTHING).map(drop)));
                Carries(Some(carried))
            }));
            let owner = new(Box::new(move |main| {
                let child = child;
                waits(main);
                child.switch(NOTHING).ok().unwrap()
            }));
            owner.switch(NOTHING).unwrap();
            way.set_parent(&owner).unwrap();
            *slot.borrow_mut() = Some(owner);
            let ended = osier::time::timeout(common::MILLI, || way.switch(NOTHING).map(drop).is_ok());
            assert_eq!(ended, Ok(true), "a shield was not kept");
            assert_eq!(next.state(), State::Dead);
        });
    });
}
