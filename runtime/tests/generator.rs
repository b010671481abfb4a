//! Generators: one test for each rule, named after it.

use osier::generator::{CloseError, Generator, GeneratorExit, SendError, ThrowError, Yielder};
use osier::greenlet::{self, Greenlet};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// A list that generators and their drivers write to.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, line: impl ToString) {
        self.0.borrow_mut().push(line.to_string());
    }

    #[track_caller]
    fn expect(&self, lines: &[&str]) {
        assert_eq!(*self.0.borrow(), lines);
    }
}

/// Calls its closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn on_drop(log: &Log, line: &'static str) -> OnDrop<impl FnMut() + use<>> {
    let log = log.clone();
    OnDrop(move || log.push(line))
}

/// Catches the panic of `f` and returns its payload.
fn caught<R>(f: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("there was no panic"),
        Err(payload) => payload,
    }
}

fn raise(payload: impl Any + Send) -> ! {
    resume_unwind(Box::new(payload))
}

/// Counts from 0, and logs its unwinding.
fn counter(log: &Log) -> Generator<u32> {
    let log = log.clone();
    Generator::new(move |co| {
        let _guard = on_drop(&log, "unwound");
        for n in 0.. {
            co.yield_(n);
        }
    })
}

/// Yields, and at each `GeneratorExit` yields again.
fn stubborn(log: &Log) -> Generator<u32> {
    let log = log.clone();
    Generator::new(move |co| {
        let _guard = on_drop(&log, "unwound");
        loop {
            if catch_unwind(AssertUnwindSafe(|| co.yield_(1))).is_err() {
                log.push("caught");
            }
        }
    })
}

#[test]
fn next_gives_what_the_body_yields_and_none_after_its_end() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32>::new(|co| {
            co.yield_(1);
            co.yield_(2);
        });
        assert!(!generator.is_ended());
        assert_eq!([generator.next(), generator.next(), generator.next()], [Some(1), Some(2), None]);
        assert!(generator.is_ended());
        assert_eq!(generator.next(), None);
    });
}

#[test]
fn body_does_not_begin_before_the_first_next() {
    let log = Log::default();
    greenlet::scope(|| {
        let body = log.clone();
        let mut generator = Generator::<()>::new(move |_| body.push("begun"));
        log.expect(&[]);
        assert_eq!(generator.next(), None);
        log.expect(&["begun"]);
    });
}

#[test]
fn send_makes_a_value_the_result_of_yield_and_next_makes_it_none() {
    greenlet::scope(|| {
        let mut generator = Generator::<Option<String>, String>::new(|co| {
            let mut received = None;
            loop {
                received = co.yield_(received);
            }
        });
        assert_eq!(generator.next(), Some(None));
        assert_eq!(generator.send("a".into()).unwrap(), Some(Some("a".into())));
        assert_eq!(generator.next(), Some(None));
    });
}

#[test]
fn send_before_the_first_next_is_an_error() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32, u32>::new(|co| {
            co.yield_(1);
        });
        let error = generator.send(7).unwrap_err();
        assert!(matches!(error, SendError::NotStarted(7)));
        assert_eq!(generator.next(), Some(1), "and changes nothing");
        assert_eq!(generator.send(8).unwrap(), None);
        assert!(matches!(generator.send(9), Err(SendError::Ended(9))));
    });
}

#[test]
fn throw_is_raised_at_the_yield() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32>::new(|co| {
            let payload = caught(|| co.yield_(1));
            co.yield_(*payload.downcast::<u32>().unwrap());
        });
        generator.next();
        assert_eq!(generator.throw(5_u32).unwrap(), Some(5));
        assert_eq!(generator.next(), None);
    });
}

#[test]
fn throw_that_is_not_caught_ends_the_generator_and_reaches_the_driver() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        generator.next();
        assert!(caught(|| generator.throw("x")).is::<&str>());
        log.expect(&["unwound"]);
        assert!(generator.is_ended());
        assert!(caught(|| generator.throw("y")).is::<&str>(), "and so does one thrown after the end");
    });
}

#[test]
fn throw_before_the_first_next_ends_the_generator_unrun() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        assert!(caught(|| generator.throw(1_u8)).is::<u8>());
        assert!(generator.is_ended());
        assert_eq!(generator.next(), None);
        log.expect(&[]);
    });
}

#[test]
fn panic_of_the_body_is_raised_in_the_driver_and_ends_the_generator() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32>::new(|_| raise("boom"));
        assert!(caught(|| generator.next()).is::<&str>());
        assert!(generator.is_ended());
        assert_eq!(generator.next(), None);
        assert_eq!(generator.take_return(), None);
    });
}

#[test]
fn close_unwinds_the_body() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        generator.next();
        generator.close().unwrap();
        log.expect(&["unwound"]);
        assert!(generator.is_ended());
        generator.close().unwrap();
    });
}

#[test]
fn close_before_the_first_next_never_runs_the_body() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        generator.close().unwrap();
        assert_eq!(generator.next(), None);
        log.expect(&[]);
    });
}

#[test]
fn close_raises_generator_exit_and_keeps_what_is_then_returned() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32, (), bool>::new(|co| {
            let payload = caught(|| co.yield_(1));
            payload.is::<GeneratorExit>()
        });
        generator.next();
        generator.close().unwrap();
        assert_eq!(generator.take_return(), Some(true));
    });
}

#[test]
fn close_of_one_that_yields_again_is_an_error() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = stubborn(&log);
        generator.next();
        assert_eq!(generator.close(), Err(CloseError::Ignored));
        assert_eq!(generator.next(), Some(1), "it goes on");
    });
}

#[test]
fn close_raises_what_the_body_raises_instead() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32>::new(|co| {
            drop(caught(|| co.yield_(1)));
            raise("other")
        });
        generator.next();
        assert!(caught(|| generator.close()).is::<&str>());
        assert!(generator.is_ended());
    });
}

#[test]
fn return_value_is_there_after_the_end() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32, (), &str>::new(|co| {
            co.yield_(1);
            "done"
        });
        generator.next();
        assert_eq!(generator.take_return(), None);
        assert_eq!(generator.next(), None);
        assert_eq!(generator.take_return(), Some("done"));
        assert_eq!(generator.take_return(), None, "once");
    });
}

#[test]
fn generator_is_an_iterator() {
    let log = Log::default();
    greenlet::scope(|| {
        let sum: u32 = counter(&log).skip(1).step_by(2).take(3).sum();
        assert_eq!(sum, 1 + 3 + 5);
        let mut seen = Vec::new();
        for n in counter(&log).take(2) {
            seen.push(n);
        }
        assert_eq!(seen, [0, 1]);
    });
    log.expect(&["unwound", "unwound"]);
}

#[test]
fn two_generators_of_one_body_are_independent() {
    let log = Log::default();
    greenlet::scope(|| {
        let (mut a, mut b) = (counter(&log), counter(&log));
        assert_eq!([a.next(), a.next(), b.next(), a.next(), b.next()].map(Option::unwrap), [0, 1, 0, 2, 1]);
    });
}

#[test]
fn yield_from_passes_values_sends_and_the_return_value() {
    greenlet::scope(|| {
        let inner = |co: &Yielder<u32, u32>| {
            let mut sum = 0;
            while let Some(n) = co.yield_(sum) {
                sum += n;
            }
            sum
        };
        let mut outer = Generator::<u32, u32, String>::new(move |co| {
            let first = co.yield_from(Generator::new(inner));
            let second = co.yield_from(Generator::new(inner));
            format!("{first} {second}")
        });
        assert_eq!(outer.next(), Some(0));
        assert_eq!(outer.send(4).unwrap(), Some(4));
        assert_eq!(outer.send(5).unwrap(), Some(9));
        assert_eq!(outer.next(), Some(0), "the second begins");
        assert_eq!(outer.send(1).unwrap(), Some(1));
        assert_eq!(outer.next(), None);
        assert_eq!(outer.take_return().as_deref(), Some("9 1"));
    });
}

#[test]
fn yield_from_passes_throws_and_panics() {
    greenlet::scope(|| {
        let mut outer = Generator::<u32>::new(|co| {
            let payload = caught(|| {
                co.yield_from(Generator::<u32>::new(|co| {
                    let payload = caught(|| co.yield_(1));
                    co.yield_(*payload.downcast::<u32>().unwrap());
                    raise("inner")
                }));
            });
            assert!(payload.is::<&str>());
            co.yield_(99);
        });
        assert_eq!(outer.next(), Some(1));
        assert_eq!(outer.throw(7_u32).unwrap(), Some(7));
        assert_eq!(outer.next(), Some(99));
    });
}

#[test]
fn closing_closes_the_generator_that_was_delegated_to_first() {
    let log = Log::default();
    greenlet::scope(|| {
        let (inner, outer_log) = (log.clone(), log.clone());
        let mut outer = Generator::<u32>::new(move |co| {
            let _guard = on_drop(&outer_log, "outer");
            co.yield_from(counter(&inner));
        });
        outer.next();
        outer.close().unwrap();
    });
    log.expect(&["unwound", "outer"]);
}

#[test]
fn generators_nest_to_any_depth() {
    fn nest(depth: u32) -> Generator<u32, u32> {
        Generator::with_stack_size(16 * 1024, move |co| {
            if depth > 0 {
                co.yield_from(nest(depth - 1));
            } else {
                let mut n = 0;
                while let Some(sent) = co.yield_(n) {
                    n = sent + 1;
                }
            }
        })
    }
    greenlet::scope(|| {
        let mut generator = nest(200);
        assert_eq!(generator.next(), Some(0));
        assert_eq!(generator.send(41).unwrap(), Some(42));
    });
}

#[test]
fn dropping_one_unwinds_it_then_and_there() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        generator.next();
        log.expect(&[]);
        drop(generator);
        log.expect(&["unwound"]);
    });
}

#[test]
fn dropping_one_that_was_not_driven_drops_its_body_unrun() {
    let log = Log::default();
    let captured = on_drop(&log, "body dropped");
    drop(Generator::<()>::new(move |_| {
        let _captured = &captured;
        unreachable!("the body ran")
    }));
    log.expect(&["body dropped"]);
}

#[test]
fn first_next_elsewhere_panics_with_a_sentence() {
    let mut generator = Generator::<u32>::new(|co| {
        co.yield_(1);
    });
    let payload = caught(|| generator.next());
    assert!(payload.downcast::<String>().unwrap().contains("greenlet::scope"));
    greenlet::scope(|| assert_eq!(generator.next(), Some(1), "it can still be driven in a scope"));
    assert_eq!(generator.next(), None, "whose end has ended it");
}

#[test]
fn end_of_the_scope_unwinds_what_is_suspended_the_newest_first() {
    let log = Log::default();
    greenlet::scope(|| {
        for line in ["first", "second"] {
            let log = log.clone();
            let mut generator = Generator::<u32>::new(move |co| {
                let _guard = on_drop(&log, line);
                co.yield_(1);
            });
            generator.next();
            std::mem::forget(generator);
        }
        log.expect(&[]);
    });
    log.expect(&["second", "first"]);
}

#[test]
fn handle_in_a_thread_local_is_harmless_at_thread_exit() {
    thread_local!(static KEPT: RefCell<Vec<Generator<u32>>> = const { RefCell::new(Vec::new()) });
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        greenlet::scope(|| {
            let mut generator = Generator::new(move |co| {
                let _guard = OnDrop(|| sender.send("unwound").unwrap());
                co.yield_(1);
            });
            generator.next();
            KEPT.with_borrow_mut(|kept| kept.extend([generator, Generator::new(|_| ())]));
        });
    })
    .join()
    .unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["unwound"], "by the scope, once");
}

#[test]
fn it_can_be_driven_in_scopes_inside_of_its_own_but_not_elsewhere() {
    greenlet::scope(|| {
        let log = Log::default();
        let mut generator = counter(&log);
        generator.next();
        greenlet::scope(|| assert_eq!(generator.next(), Some(1)));
        assert_eq!(generator.next(), Some(2));
    });
}

#[test]
fn body_that_catches_its_exit_is_asked_once_more_at_the_end_and_then_given_up() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = stubborn(&log);
        generator.next();
        drop(generator);
        log.push("still in the scope");
    });
    log.expect(&["caught", "still in the scope", "caught"]);
}

#[test]
fn destructor_may_yield_while_its_stack_unwinds() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = Generator::<&str>::new(|co| {
            let _guard = OnDrop(|| {
                assert!(std::thread::panicking());
                co.yield_("from the destructor");
                assert!(std::thread::panicking());
            });
            raise("boom");
        });
        assert_eq!(generator.next(), Some("from the destructor"));
        assert!(!std::thread::panicking(), "the driver does not unwind");
        assert!(matches!(generator.throw(1), Err(ThrowError::Unwinding(1))));
        assert_eq!(generator.close(), Err(CloseError::Unwinding));
        assert!(caught(|| generator.next()).is::<&str>());
        assert!(!std::thread::panicking());
        log.push("end");
    });
    log.expect(&["end"]);
}

#[test]
fn destructor_may_drive_a_generator_while_its_stack_unwinds() {
    let log = Log::default();
    greenlet::scope(|| {
        let mut generator = counter(&log);
        let never = Greenlet::new(|n: u32| n);
        let mut switcher = Generator::<bool>::new(move |co| {
            co.yield_(std::thread::panicking());
            co.yield_(never.switch(1).is_err());
        });
        let payload = caught(|| {
            let _guard = OnDrop(|| {
                assert_eq!([generator.next(), generator.next()], [Some(0), Some(1)]);
                assert_eq!(switcher.next(), Some(false), "the generator does not unwind");
                assert_eq!(switcher.next(), Some(true), "but must not switch");
                assert!(std::thread::panicking());
            });
            raise("driver")
        });
        assert!(payload.is::<&str>());
        assert!(!std::thread::panicking());
        assert_eq!(generator.next(), Some(2));
    });
}

#[test]
fn dropping_one_while_unwinding_unwinds_it() {
    let log = Log::default();
    greenlet::scope(|| {
        drop(caught(|| {
            let mut generator = counter(&log);
            generator.next();
            raise("driver")
        }));
        log.expect(&["unwound"]);
        assert!(!std::thread::panicking());
    });
}

#[test]
fn yield_inside_a_scope_of_the_body_is_refused() {
    greenlet::scope(|| {
        let mut generator = Generator::<u32>::new(|co| {
            let payload = caught(|| greenlet::scope(|| co.yield_(1)));
            assert!(payload.downcast::<&str>().unwrap().contains("own stack"));
            co.yield_(2);
        });
        assert_eq!(generator.next(), Some(2));
    });
}

#[test]
fn greenlet_may_switch_away_inside_of_a_generator() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let body = log.clone();
        let child = Greenlet::new(move |_: u32| {
            let switch = main.clone();
            let mut generator = Generator::<u32>::new(move |co| {
                let n = switch.switch(10).unwrap();
                co.yield_(n);
            });
            body.push(format!("{:?}", generator.next()));
            main.switch(20).unwrap()
        });
        assert_eq!(child.switch(0).unwrap(), 10);
        assert_eq!(child.switch(11).unwrap(), 20);
    });
    log.expect(&["Some(11)"]);
}

#[test]
fn end_of_the_scope_unwinds_a_generator_beneath_which_its_greenlet_has_switched_away() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let body = log.clone();
        let child = Greenlet::new(move |n: u32| {
            let switch = main.clone();
            let (inner, outer) = (body.clone(), body.clone());
            let _guard = on_drop(&outer, "greenlet");
            let mut generator = Generator::<u32>::new(move |_| {
                let _guard = on_drop(&inner, "generator");
                switch.switch(10).unwrap();
            });
            generator.next();
            n
        });
        assert_eq!(child.switch(0).unwrap(), 10);
        std::mem::forget(child);
    });
    log.expect(&["generator", "greenlet"]);
}

#[test]
fn main_greenlet_switches_inside_of_a_generator() {
    greenlet::scope(|| {
        let child = Greenlet::new(|n: u32| n * 2);
        let mut generator = Generator::<u32>::new(move |co| {
            co.yield_(child.switch(4).unwrap());
        });
        assert_eq!(generator.next(), Some(8));
    });
}
