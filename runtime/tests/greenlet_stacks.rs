//! Stacks of greenlets and generators are given back, or leaked and counted. Looks at figures of the whole process, so it
//! has a process of its own.

use osier::generator::Generator;
use osier::greenlet::{self, Greenlet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Suspended for good as long as nobody ends it.
fn suspended(main: &Greenlet<u32>) -> Greenlet<u32> {
    let main = main.clone();
    let child = Greenlet::new(move |n| main.switch(n).unwrap());
    child.switch(0).unwrap();
    child
}

fn stubborn(main: &Greenlet<u32>) -> Greenlet<u32> {
    let main = main.clone();
    let child = Greenlet::new(move |n| {
        loop {
            let _ = catch_unwind(AssertUnwindSafe(|| main.switch(n)));
        }
    });
    child.switch(0).unwrap();
    child
}

fn generator(stubborn: bool) -> Generator<u32> {
    let mut generator = Generator::new(move |co| {
        loop {
            let result = catch_unwind(AssertUnwindSafe(|| co.yield_(1)));
            if let (Err(payload), false) = (result, stubborn) {
                resume_unwind(payload);
            }
        }
    });
    generator.next();
    generator
}

/// Suspended in a destructor while its stack unwinds.
fn generator_in_mid_unwinding() -> Generator<u32> {
    struct Yields<'a>(&'a osier::generator::Yielder<u32>);
    impl Drop for Yields<'_> {
        fn drop(&mut self) {
            self.0.yield_(2);
        }
    }
    let mut generator = Generator::new(|co| {
        let _guard = Yields(co);
        resume_unwind(Box::new("boom"));
    });
    assert_eq!(generator.next(), Some(2));
    generator
}

/// What `f` leaves behind: stacks in use, and leaked.
fn left_by(f: impl FnOnce()) -> (usize, usize) {
    let before = osier::stacks();
    f();
    let after = osier::stacks();
    (after.in_use - before.in_use, after.leaked - before.leaked)
}

#[test]
fn every_stack_is_given_back_or_counted_as_leaked() {
    // The first helper that moves a panic count makes a stack that stays in stock.
    greenlet::scope(|| drop(generator_in_mid_unwinding()));

    let dropped = left_by(|| {
        greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            for _ in 0..10 {
                let (a, b) = (suspended(&main), generator(false));
                let in_use = osier::stacks().in_use;
                drop(a);
                drop(b);
                assert_eq!(osier::stacks().in_use, in_use - 2, "then and there");
            }
        });
    });
    assert_eq!(dropped, (0, 0));

    let forgotten = left_by(|| {
        greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            for _ in 0..10 {
                std::mem::forget(suspended(&main));
                std::mem::forget(generator(false));
            }
        });
    });
    assert_eq!(forgotten, (0, 0));

    let finished = left_by(|| {
        greenlet::scope(|| {
            let kept = Greenlet::new(|n: u32| n);
            kept.switch(0).unwrap();
            let _unused = Greenlet::new(|n: u32| n);
            let mut ended = Generator::<u32>::new(|_| ());
            ended.next();
        });
    });
    assert_eq!(finished, (0, 0));

    let caught_twice = left_by(|| {
        let _outlives = greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            drop(stubborn(&main));
            drop(generator(true));
            std::mem::forget(stubborn(&main));
            (stubborn(&main), generator(true))
        });
    });
    assert_eq!(caught_twice, (0, 5));

    let unwinding = left_by(|| {
        greenlet::scope(|| {
            drop(generator_in_mid_unwinding());
            std::mem::forget(generator_in_mid_unwinding());
        });
    });
    assert_eq!((unwinding.1, std::thread::panicking()), (2, false));

    // A generator that runs, beneath which its greenlet has switched away and cannot be unwound: both are leaked.
    let busy = left_by(|| {
        greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            let child = Greenlet::new(move |n: u32| {
                let main = main.clone();
                let mut generator = Generator::<u32>::new(move |_| {
                    loop {
                        let _ = catch_unwind(AssertUnwindSafe(|| main.switch(0)));
                    }
                });
                generator.next();
                n
            });
            child.switch(0).unwrap();
        });
    });
    assert_eq!(busy, (0, 2));
}
