//! A family that has switched before goes a shorter way. What happens in between must still be noticed.

use osier::generator::Generator;
use osier::greenlet::{self, Greenlet, State, SwitchError};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A greenlet that gives back what it gets plus one, for ever; it has been switched to often.
fn echo() -> Greenlet<u64> {
    let main = greenlet::current::<u64>();
    let echo = Greenlet::new(move |mut number| {
        loop {
            number = main.switch(number + 1).unwrap();
        }
    });
    for number in 0..10 {
        assert_eq!(echo.switch(number).unwrap(), number + 1);
    }
    echo
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn trace_function_set_between_switches_is_called() {
    greenlet::scope(|| {
        let echo = echo();
        let seen = Rc::new(Cell::new(0));
        let count = Rc::clone(&seen);
        greenlet::settrace(Some(Rc::new(move |_| count.set(count.get() + 1))));
        assert_eq!(echo.switch(1).unwrap(), 2);
        assert_eq!(seen.get(), 2, "in and back");
        greenlet::settrace(None);
        assert_eq!(echo.switch(1).unwrap(), 2);
        assert_eq!(echo.switch(1).unwrap(), 2);
        assert_eq!(seen.get(), 2);
    });
}

#[test]
fn inner_scope_shuts_the_outer_family_out_and_its_end_lets_it_in() {
    greenlet::scope(|| {
        let outer = echo();
        greenlet::scope(|| {
            assert!(matches!(outer.switch(1), Err(SwitchError::Foreign(1))));
            let inner = echo();
            assert!(matches!(outer.switch(1), Err(SwitchError::Foreign(1))));
            assert_eq!(inner.switch(1).unwrap(), 2);
        });
        assert_eq!(outer.switch(1).unwrap(), 2);
    });
}

#[test]
fn outer_greenlet_unwound_from_an_inner_scope_leaves_the_inner_family_as_it_is() {
    greenlet::scope(|| {
        let outer = Cell::new(Some(echo()));
        greenlet::scope(|| {
            let main = greenlet::current::<u64>();
            let inner = echo();
            drop(outer.take());
            assert_eq!(greenlet::current::<u64>(), main);
            assert_eq!(inner.switch(1).unwrap(), 2);
            assert_eq!(inner.switch(2).unwrap(), 3);
        });
        assert_eq!(echo().switch(1).unwrap(), 2);
    });
}

#[test]
fn destructor_of_an_unwinding_stack_cannot_switch() {
    greenlet::scope(|| {
        let echo = echo();
        let refused = Cell::new(false);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _on_drop = OnDrop(|| refused.set(matches!(echo.switch(1), Err(SwitchError::Unwinding(1)))));
            std::panic::resume_unwind(Box::new(7));
        }));
        assert!(caught.is_err());
        assert!(refused.get());
        assert_eq!(echo.switch(1).unwrap(), 2);
    });
}

#[test]
fn greenlet_that_waited_when_its_scope_ended_is_dead() {
    let kept = greenlet::scope(echo);
    assert_eq!(kept.state(), State::Dead);
    assert!(matches!(kept.switch(1), Err(SwitchError::NoScope(1))));
    greenlet::scope(|| assert!(matches!(kept.switch(1), Err(SwitchError::Foreign(1)))));
}

#[test]
fn switch_from_within_a_generator_suspends_the_greenlet_that_drives_it() {
    greenlet::scope(|| {
        let main = greenlet::current::<u64>();
        let child = Greenlet::new(move |_| {
            let generator: Generator<u64> = Generator::new(move |co| {
                for number in 0..10 {
                    co.yield_(main.switch(number).unwrap());
                }
            });
            generator.sum()
        });
        for number in 0..10 {
            assert_eq!(child.switch(number).unwrap(), number);
        }
        assert_eq!(child.switch(10).unwrap(), (1..=10).sum());
    });
}
