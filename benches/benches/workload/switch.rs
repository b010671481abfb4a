//! Into a coroutine and back, by hand: one operation is two switches.
//!
//! A switch by call and return costs next to nothing when all of it is inlined into one loop, and many times as much when it is
//! made in a function that was called, since it then defeats the processor's return prediction. Programs call functions. So
//! every contestant switches in through one function that is not inlined (`into`) and out through another (`back`): the
//! same number of real frames on both sides, of which the library's own count as part of its cost.

use super::{Contestant, Question};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub const QUESTION: Question = Question {
    name: "switch by hand",
    unit: "in and back",
    operations: 400_000,
    contestants: &[
        Contestant { name: "osier greenlet", run: greenlet },
        Contestant { name: "osier generator", run: generator },
        Contestant { name: "corosensei", run: corosensei },
        Contestant { name: "generator-rs (may's)", run: generator_rs },
    ],
};

fn measure(operations: u64, mut operation: impl FnMut(u64) -> u64) -> Duration {
    let start = Instant::now();
    let mut sum = 0;
    for number in 0..operations {
        sum += operation(number);
    }
    black_box(sum);
    start.elapsed()
}

fn greenlet(operations: u64) -> Duration {
    use osier::greenlet::{self, Greenlet};

    #[inline(never)]
    fn into(child: &Greenlet<u64>, number: u64) -> u64 {
        child.switch(number).expect("a switch to a suspended greenlet of this scope")
    }
    #[inline(never)]
    fn back(parent: &Greenlet<u64>, number: u64) -> u64 {
        parent.switch(number).expect("a switch to the main greenlet of this scope")
    }
    greenlet::scope(|| {
        let parent = greenlet::current::<u64>();
        let child = Greenlet::new(move |mut number| {
            loop {
                number = back(&parent, number + 1);
            }
        });
        child.switch(0).expect("the first switch");
        measure(operations, |number| into(&child, number))
    })
}

fn generator(operations: u64) -> Duration {
    use osier::generator::{Generator, Yielder};

    #[inline(never)]
    fn into(generator: &mut Generator<u64>) -> u64 {
        generator.next().expect("it does not end")
    }
    #[inline(never)]
    fn back(driver: &Yielder<u64>, number: u64) {
        driver.yield_(number);
    }
    osier::greenlet::scope(|| {
        let mut generator: Generator<u64> = Generator::new(|driver: &Yielder<u64>| {
            let mut number = 0;
            loop {
                number += 1;
                back(driver, number);
            }
        });
        into(&mut generator);
        measure(operations, |_| into(&mut generator))
    })
}

fn corosensei(operations: u64) -> Duration {
    use corosensei::stack::DefaultStack;
    use corosensei::{Coroutine, Yielder};

    type Child = Coroutine<u64, u64, (), DefaultStack>;

    #[inline(never)]
    fn into(child: &mut Child, number: u64) -> u64 {
        child.resume(number).as_yield().expect("it does not end")
    }
    #[inline(never)]
    fn back(parent: &Yielder<u64, u64>, number: u64) -> u64 {
        parent.suspend(number)
    }
    let stack = DefaultStack::new(256 * 1024).expect("a stack");
    let mut child = Coroutine::with_stack(stack, |parent: &Yielder<u64, u64>, mut number| {
        loop {
            number = back(parent, number + 1);
        }
    });
    into(&mut child, 0);
    let took = measure(operations, |number| into(&mut child, number));
    child.force_unwind();
    took
}

fn generator_rs(operations: u64) -> Duration {
    use generator::{Generator, Gn, Scope, done};

    #[inline(never)]
    fn into(child: &mut Generator<'_, u64, u64>, number: u64) -> u64 {
        child.send(number)
    }
    #[inline(never)]
    fn back(parent: &mut Scope<'_, 'static, u64, u64>, number: u64) -> Option<u64> {
        parent.yield_(number)
    }
    let mut child = Gn::new_scoped(|mut parent: Scope<'_, 'static, u64, u64>| {
        let mut number = 0;
        while let Some(next) = back(&mut parent, number + 1) {
            number = next;
        }
        done!()
    });
    child.raw_send(Some(0));
    measure(operations, |number| into(&mut child, number))
}
