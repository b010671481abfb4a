//! Explicit switching: one test for each rule, named after it.

use osier::greenlet::{self, Event, Greenlet, GreenletExit, Kind, SetParentError, State, SwitchError};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;

/// A list that several greenlets write to.
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

// Rule 1.

#[test]
fn states_are_pending_active_dead() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        assert_eq!(main.state(), State::Active);
        let child = Greenlet::new(move |n| main.switch(n).unwrap());
        assert_eq!(child.state(), State::Pending);
        child.switch(1).unwrap();
        assert_eq!(child.state(), State::Active);
        child.switch(2).unwrap();
        assert_eq!(child.state(), State::Dead);
    });
}

#[test]
fn body_can_be_set_only_while_pending() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::pending();
        assert!(matches!(child.switch(5), Err(SwitchError::NoBody(5))));
        child.set_body(|_| panic!("replaced")).unwrap();
        child.set_body(move |n| main.switch(n + 1).unwrap()).unwrap();
        assert_eq!(child.switch(1).unwrap(), 2);
        let error = child.set_body(|n| n + 40).unwrap_err();
        assert_eq!((error.0)(2), 42, "the error gives the body back");
        child.switch(0).unwrap();
        assert!(child.set_body(|n| n).is_err(), "nor when dead");
        assert!(greenlet::current::<u32>().set_body(|n| n).is_err(), "nor for main");
    });
}

// Rule 2.

#[test]
fn first_switch_feeds_the_body_and_later_ones_the_suspended_switch() {
    greenlet::scope(|| {
        let main = greenlet::current::<String>();
        let child = Greenlet::new(move |first: String| {
            let second = main.switch(format!("{first}!")).unwrap();
            let third = main.switch(format!("{second}?")).unwrap();
            format!("{third}.")
        });
        assert_eq!(child.switch("a".into()).unwrap(), "a!");
        assert_eq!(child.switch("b".into()).unwrap(), "b?");
        assert_eq!(child.switch("c".into()).unwrap(), "c.");
    });
}

#[test]
fn two_greenlets_refer_to_each_other_and_switch_directly() {
    let log = Log::default();
    greenlet::scope(|| {
        let (a, b) = (Greenlet::pending(), Greenlet::pending());
        for (name, me, other) in [("a", &a, &b), ("b", &b, &a)] {
            let (log, other) = (log.clone(), other.clone());
            let body = move |mut n: u32| {
                while n < 5 {
                    log.push(format!("{name}{n}"));
                    n = other.switch(n + 1).unwrap();
                }
                n
            };
            me.set_body(body).unwrap();
        }
        assert_eq!(a.switch(0).unwrap(), 5);
        assert_eq!((a.state(), b.state()), (State::Active, State::Dead));
    });
    log.expect(&["a0", "b1", "a2", "b3", "a4"]);
}

// Rule 3.

#[test]
fn return_value_goes_to_the_parent_not_to_the_last_switcher() {
    let log = Log::default();
    greenlet::scope(|| {
        let child = Greenlet::new(|n: u32| n + 1);
        let other = Greenlet::new({
            let (log, child) = (log.clone(), child.clone());
            move |n| {
                log.push("other");
                child.switch(n).unwrap();
                log.push("other again");
                0
            }
        });
        assert_eq!(other.switch(1).unwrap(), 2, "main is the parent of both");
        assert_eq!(child.state(), State::Dead);
        assert_eq!(other.state(), State::Active);
        assert_eq!(other.switch(0).unwrap(), 0);
    });
    log.expect(&["other", "other again"]);
}

#[test]
fn parent_is_the_creator_by_default() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(|_| {
            let me = greenlet::current::<u32>();
            let grandchild = Greenlet::new(|n| n);
            assert_eq!(grandchild.parent(), Some(me));
            grandchild.switch(7).unwrap()
        });
        assert_eq!(child.parent(), Some(main));
        assert_eq!(child.switch(0).unwrap(), 7);
    });
}

#[test]
fn pending_parent_is_started_with_the_return_value() {
    greenlet::scope(|| {
        let parent = Greenlet::new(|n: u32| n * 10);
        let child = Greenlet::new(|n| n + 1);
        child.set_parent(&parent).unwrap();
        assert_eq!(child.switch(1).unwrap(), 20);
        assert_eq!(parent.state(), State::Dead);
    });
}

// Rule 4.

#[test]
fn panic_is_raised_in_the_parent() {
    let log = Log::default();
    greenlet::scope(|| {
        let parent = Greenlet::new({
            let log = log.clone();
            move |n: u32| {
                let child = Greenlet::new(|_: u32| raise("boom"));
                let payload = caught(|| child.switch(0));
                log.push(payload.downcast_ref::<&str>().unwrap());
                assert_eq!(child.state(), State::Dead);
                n
            }
        });
        assert_eq!(parent.switch(3).unwrap(), 3);
    });
    log.expect(&["boom"]);
}

#[test]
fn panic_passes_over_dead_parents_to_the_next_living_ancestor() {
    greenlet::scope(|| {
        let parent = Greenlet::new(|_: u32| {
            // A child that outlives its parent, and is handed to main.
            let child = Greenlet::new(|_: u32| raise(9_u8));
            KEEP.set(Some(Box::new(child)));
            0
        });
        thread_local!(static KEEP: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) });
        parent.switch(0).unwrap();
        assert_eq!(parent.state(), State::Dead);
        let child = KEEP.take().unwrap().downcast::<Greenlet<u32>>().unwrap();
        assert_eq!(child.parent(), Some(parent));
        let payload = caught(|| child.switch(0));
        assert!(payload.is::<u8>());
    });
}

#[test]
fn panic_of_main_leaves_the_scope() {
    let log = Log::default();
    let payload = caught(|| {
        greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            let bystander = Greenlet::new({
                let log = log.clone();
                move |n| {
                    let _guard = on_drop(&log, "unwound");
                    main.switch(n).unwrap()
                }
            });
            bystander.switch(0).unwrap();
            std::mem::forget(bystander);
            Greenlet::new(|_: u32| raise("out")).switch(0).unwrap();
        });
    });
    assert_eq!(*payload.downcast::<&str>().unwrap(), "out");
    log.expect(&["unwound"]);
}

// Rule 5.

#[test]
fn greenlet_exit_is_returned_by_the_parents_switch() {
    greenlet::scope(|| {
        let child = Greenlet::new(|_: u32| raise(GreenletExit));
        assert!(matches!(child.switch(0), Err(SwitchError::Exit(GreenletExit))));
        assert_eq!(child.state(), State::Dead);
    });
}

// Rule 6.

#[test]
fn switch_to_a_dead_greenlet_goes_to_its_nearest_living_ancestor() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let parent = Greenlet::new({
            let main = main.clone();
            move |n| {
                let n = main.switch(n + 1).unwrap();
                main.switch(n + 100).unwrap()
            }
        });
        parent.switch(0).unwrap();
        let dead = Greenlet::new(|n: u32| n);
        dead.switch(0).unwrap();
        assert_eq!(dead.switch(5).unwrap(), 5, "main is the ancestor and switches to itself");
        dead.set_parent(&parent).unwrap();
        assert_eq!(dead.switch(5).unwrap(), 105, "the parent got it");
    });
}

#[test]
fn switch_to_a_dead_greenlet_starts_a_pending_ancestor() {
    greenlet::scope(|| {
        let parent = Greenlet::new(|n: u32| n + 1);
        let dead = Greenlet::new(|n: u32| n);
        dead.switch(0).unwrap();
        dead.set_parent(&parent).unwrap();
        assert_eq!(dead.switch(1).unwrap(), 2);
        assert_eq!(parent.state(), State::Dead);
    });
}

#[test]
fn switch_to_oneself_returns_the_value_at_once() {
    greenlet::scope(|| {
        assert_eq!(greenlet::current::<u32>().switch(1).unwrap(), 1);
        let child = Greenlet::new(|n: u32| greenlet::current().switch(n).unwrap() + 1);
        assert_eq!(child.switch(2).unwrap(), 3);
    });
}

// Rule 7.

#[test]
fn throw_is_raised_in_a_suspended_greenlet() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(move |n| {
            let payload = caught(|| main.switch(n));
            *payload.downcast::<u32>().unwrap()
        });
        child.switch(0).unwrap();
        assert_eq!(child.throw(8_u32).unwrap(), 8);
    });
}

#[test]
fn throw_keeps_a_boxed_payload_as_it_is() {
    greenlet::scope(|| {
        let child = Greenlet::new(|_: u32| 0);
        let boxed: Box<dyn Any + Send> = Box::new("inner");
        assert_eq!(*caught(|| child.throw(boxed)).downcast::<&str>().unwrap(), "inner");
    });
}

#[test]
fn throw_into_a_pending_greenlet_kills_it_and_its_body_never_runs() {
    let log = Log::default();
    greenlet::scope(|| {
        let captured = on_drop(&log, "body dropped");
        let child = Greenlet::new(move |_: u32| {
            let _captured = &captured;
            unreachable!("the body ran")
        });
        let payload = caught(|| child.throw("no"));
        assert!(payload.is::<&str>(), "it is raised in the parent");
        assert_eq!(child.state(), State::Dead);
        log.expect(&["body dropped"]);
    });
}

#[test]
fn throw_into_a_dead_greenlet_is_raised_through_the_parent() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let parent = Greenlet::new(move |n| {
            let payload = caught(|| main.switch(n));
            *payload.downcast::<u32>().unwrap() + 1
        });
        parent.switch(0).unwrap();
        let dead = Greenlet::new(|n: u32| n);
        dead.switch(0).unwrap();
        dead.set_parent(&parent).unwrap();
        assert_eq!(dead.throw(1_u32).unwrap(), 2);
    });
}

#[test]
fn greenlet_exit_thrown_into_a_pending_or_dead_greenlet_is_returned() {
    greenlet::scope(|| {
        let child = Greenlet::new(|n: u32| n);
        assert!(matches!(child.throw_exit(), Err(SwitchError::Exit(GreenletExit))), "pending");
        assert_eq!(child.state(), State::Dead);
        assert!(matches!(child.throw_exit(), Err(SwitchError::Exit(GreenletExit))), "dead");
    });
}

#[test]
fn throw_without_argument_throws_greenlet_exit() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let payload = caught(|| main.switch(n));
                log.push(payload.is::<GreenletExit>());
                resume_unwind(payload)
            }
        });
        child.switch(0).unwrap();
        assert!(matches!(child.throw_exit(), Err(SwitchError::Exit(_))));
        assert_eq!(child.state(), State::Dead);
    });
    log.expect(&["true"]);
}

#[test]
fn throw_into_oneself_is_raised_at_once() {
    greenlet::scope(|| {
        let me = greenlet::current::<u32>();
        assert!(caught(|| me.throw(1_i8)).is::<i8>());
    });
}

// Rule 8.

#[test]
fn parent_can_be_set_at_any_time() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let other = Greenlet::new({
            let log = log.clone();
            move |n| {
                log.push(format!("other got {n}"));
                n
            }
        });
        let child = Greenlet::new({
            let main = main.clone();
            move |n| main.switch(n).unwrap()
        });
        child.switch(0).unwrap();
        child.set_parent(&other).unwrap();
        assert_eq!(child.parent().as_ref(), Some(&other));
        assert_eq!(child.switch(4).unwrap(), 4);
        child.set_parent(&main).unwrap();
    });
    log.expect(&["other got 4"]);
}

#[test]
fn cycle_of_parents_is_an_error() {
    greenlet::scope(|| {
        let a = Greenlet::new(|n: u32| n);
        let b = Greenlet::new(|n: u32| n);
        b.set_parent(&a).unwrap();
        assert_eq!(a.set_parent(&b), Err(SetParentError::Cycle));
        assert_eq!(a.set_parent(&a), Err(SetParentError::Cycle));
    });
}

#[test]
fn main_greenlet_has_no_parent() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        assert_eq!(main.parent(), None);
        assert_eq!(main.set_parent(&Greenlet::new(|n| n)), Err(SetParentError::Main));
    });
}

// Rule 9.

#[test]
fn each_scope_has_a_family_of_its_own() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(|n: u32| n);
        greenlet::scope(|| {
            let inner = greenlet::current::<u32>();
            assert_ne!(inner, main);
            assert_eq!(inner.parent(), None);
            assert!(matches!(child.switch(1), Err(SwitchError::Foreign(1))));
            assert!(matches!(main.switch(2), Err(SwitchError::Foreign(2))));
            assert!(matches!(child.throw("e"), Err(SwitchError::Foreign("e"))));
            let mine = Greenlet::new(|n: u32| n);
            assert_eq!(mine.set_parent(&main), Err(SetParentError::Foreign));
            assert_eq!(child.set_parent(&mine), Err(SetParentError::Foreign));
            assert_eq!(mine.switch(3).unwrap(), 3);
        });
        assert_eq!(greenlet::current::<u32>(), main, "the outer family is back");
        assert_eq!(child.switch(4).unwrap(), 4);
    });
}

#[test]
fn nested_scope_may_exchange_another_type_and_lie_in_a_greenlet() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(move |n: u32| {
            let length = greenlet::scope(|| {
                assert!(matches!(main.switch(0), Err(SwitchError::Foreign(0))));
                let inner = Greenlet::new(|s: String| s + "b");
                inner.switch("a".into()).unwrap().len()
            });
            main.switch(n + u32::try_from(length).unwrap()).unwrap()
        });
        assert_eq!(child.switch(1).unwrap(), 3);
        assert_eq!(child.switch(9).unwrap(), 9);
    });
}

#[test]
fn another_type_in_one_family_panics_with_a_sentence() {
    greenlet::scope(|| {
        let _first = greenlet::current::<u32>();
        let payload = caught(|| Greenlet::new(|s: String| s));
        assert!(payload.downcast::<String>().unwrap().contains("exchange another type"));
    });
}

#[test]
fn outside_of_scopes_there_are_no_greenlets() {
    let payload = caught(|| Greenlet::new(|n: u32| n));
    assert!(payload.downcast::<String>().unwrap().contains("greenlet::scope"));
    let kept = greenlet::scope(|| Greenlet::new(|n: u32| n));
    assert_eq!(kept.state(), State::Dead, "its scope has ended");
    assert!(matches!(kept.switch(1), Err(SwitchError::NoScope(1))));
    greenlet::scope(|| {
        let _now = greenlet::current::<u32>();
        assert!(matches!(kept.switch(1), Err(SwitchError::Foreign(1))));
    });
}

#[test]
fn values_of_any_type_pass_in_a_family_of_boxes() {
    greenlet::scope(|| {
        let child = Greenlet::new(|value: Box<dyn Any>| -> Box<dyn Any> {
            Box::new(value.downcast::<u32>().unwrap().to_string())
        });
        let answer = child.switch(Box::new(12_u32)).unwrap();
        assert_eq!(*answer.downcast::<String>().unwrap(), "12");
    });
}

// Rule 10.

#[test]
fn dropping_the_last_handle_unwinds_then_and_there() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let _guard = on_drop(&log, "unwound");
                main.switch(n).unwrap()
            }
        });
        child.switch(0).unwrap();
        let second = child.clone();
        drop(child);
        log.expect(&[]);
        drop(second);
        log.expect(&["unwound"]);
    });
}

#[test]
fn dropping_the_last_handle_in_another_greenlet_unwinds_then_and_there() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let victim = Greenlet::new({
            let (log, main) = (log.clone(), main.clone());
            move |n| {
                let _guard = on_drop(&log, "unwound");
                main.switch(n).unwrap()
            }
        });
        victim.switch(0).unwrap();
        let killer = Greenlet::new({
            let log = log.clone();
            move |n| {
                log.push("before");
                drop(victim);
                log.push("after");
                main.switch(n).unwrap()
            }
        });
        killer.switch(0).unwrap();
        log.expect(&["before", "unwound", "after"]);
    });
}

#[test]
fn unwinding_drops_the_last_handles_of_others_in_turn() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let mut inner = None;
        for line in ["third", "second", "first"] {
            let (log, main, held) = (log.clone(), main.clone(), inner.take());
            let next = Greenlet::new(move |n| {
                let _held = held;
                let _guard = on_drop(&log, line);
                main.switch(n).unwrap()
            });
            next.switch(0).unwrap();
            inner = Some(next);
        }
        drop(inner);
        log.expect(&["first", "second", "third"]);
    });
}

#[test]
fn dropping_the_last_handle_of_a_pending_greenlet_drops_its_body_unrun() {
    let log = Log::default();
    greenlet::scope(|| {
        let captured = on_drop(&log, "body dropped");
        let child = Greenlet::new(move |_: u32| {
            let _captured = &captured;
            unreachable!("the body ran")
        });
        drop(child);
        log.expect(&["body dropped"]);
    });
}

#[test]
fn greenlet_that_loses_its_last_handle_while_it_runs_is_unwound_when_it_switches_away() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        // main switches to `way`, whose end leads to `owner`, whose stack holds the only handle to `child`.
        let way = Greenlet::new(|n: u32| n);
        let slot: Rc<RefCell<Option<Greenlet<u32>>>> = Rc::default();
        let child = Greenlet::new({
            let (log, main, way, slot) = (log.clone(), main.clone(), way.clone(), Rc::clone(&slot));
            move |n| {
                let _guard = on_drop(&log, "child unwound");
                way.set_parent(&main).unwrap();
                drop(slot.take());
                log.push("child goes on");
                main.switch(n + 1).unwrap()
            }
        });
        let owner = Greenlet::new({
            let (log, main) = (log.clone(), main.clone());
            move |n| {
                let child = child;
                let _guard = on_drop(&log, "owner unwound");
                let n = main.switch(n).unwrap();
                child.switch(n).unwrap()
            }
        });
        owner.switch(0).unwrap();
        way.set_parent(&owner).unwrap();
        *slot.borrow_mut() = Some(owner);
        assert_eq!(way.switch(8).unwrap(), 9);
        log.expect(&["owner unwound", "child goes on", "child unwound"]);
    });
}

#[test]
fn handle_dropped_in_a_nested_scope_unwinds_then_and_there() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let _guard = on_drop(&log, "unwound");
                main.switch(n).unwrap()
            }
        });
        child.switch(0).unwrap();
        greenlet::scope(|| drop(child));
        log.expect(&["unwound"]);
    });
}

// Rule 11.

#[test]
fn end_of_scope_unwinds_what_is_suspended_the_newest_first() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        for line in ["first", "second", "third"] {
            let child = Greenlet::new({
                let (log, main) = (log.clone(), main.clone());
                move |n| {
                    let _guard = on_drop(&log, line);
                    main.switch(n).unwrap()
                }
            });
            child.switch(0).unwrap();
            std::mem::forget(child);
        }
        log.expect(&[]);
    });
    log.expect(&["third", "second", "first"]);
}

#[test]
fn end_of_scope_breaks_cycles_of_handles() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        // Two that run and hold each other, and two that have never run.
        for runs in [true, false] {
            let (a, b) = (Greenlet::pending(), Greenlet::pending());
            for (me, other) in [(&a, &b), (&b, &a)] {
                let guard = on_drop(&log, if runs { "unwound" } else { "dropped" });
                let (other, main) = (other.clone(), main.clone());
                let body = move |n| {
                    let (_guard, _other) = (&guard, &other);
                    main.switch(n).unwrap()
                };
                me.set_body(body).unwrap();
            }
            if runs {
                a.switch(0).unwrap();
                b.switch(0).unwrap();
            }
        }
        log.expect(&[]);
    });
    log.expect(&["dropped", "dropped", "unwound", "unwound"]);
}

#[test]
fn handle_that_outlives_its_scope_never_resumes() {
    let log = Log::default();
    let kept = greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let _guard = on_drop(&log, "unwound");
                main.switch(n).unwrap();
                log.push("resumed");
                0
            }
        });
        child.switch(0).unwrap();
        child
    });
    log.expect(&["unwound"]);
    assert_eq!(kept.state(), State::Dead);
    assert!(matches!(kept.switch(1), Err(SwitchError::NoScope(1))));
    drop(kept);
    log.expect(&["unwound"]);
}

#[test]
fn handle_in_a_thread_local_is_harmless_at_thread_exit() {
    thread_local! {
        static KEPT: RefCell<Vec<Greenlet<u32>>> = const { RefCell::new(Vec::new()) };
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        greenlet::scope(|| {
            let main = greenlet::current::<u32>();
            let child = Greenlet::new(move |n| {
                let _guard = OnDrop(|| sender.send("unwound").unwrap());
                main.switch(n).unwrap()
            });
            child.switch(0).unwrap();
            KEPT.with_borrow_mut(|kept| kept.extend([child, Greenlet::new(|n| n), greenlet::current()]));
        });
    })
    .join()
    .unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["unwound"], "by the scope, once");
}

// Rules 12 and 13.

#[test]
fn trace_function_is_called_after_every_switch() {
    let seen = Rc::new(RefCell::new(Vec::<Event>::new()));
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let a = Greenlet::new({
            let main = main.clone();
            move |n: u32| {
                let payload = caught(|| main.switch(n));
                resume_unwind(payload)
            }
        });
        let b = Greenlet::new({
            let a = a.clone();
            move |n: u32| a.switch(n).unwrap()
        });
        let log = Rc::clone(&seen);
        let before = greenlet::settrace(Some(Rc::new(move |event| log.borrow_mut().push(event))));
        assert!(before.is_none());
        b.switch(0).unwrap();
        drop(caught(|| a.throw("x")));
        let mine = greenlet::settrace(None);
        assert!(mine.is_some(), "the previous one is returned");
        main.switch(0).unwrap();
        let events: Vec<_> = seen.borrow().iter().map(|e| (e.kind, e.origin, e.target)).collect();
        let (main, a, b) = (main.id(), a.id(), b.id());
        let expected = [
            (Kind::Switch, main, b),
            (Kind::Switch, b, a),
            (Kind::Switch, a, main),
            (Kind::Throw, main, a),
            (Kind::Throw, a, main),
        ];
        assert_eq!(events, expected);
    });
}

#[test]
fn panic_in_the_trace_function_removes_it_and_is_raised_in_the_target() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let payload = caught(|| main.switch(n));
                log.push(payload.downcast_ref::<&str>().unwrap());
                n
            }
        });
        child.switch(1).unwrap();
        greenlet::settrace(Some(Rc::new(|_| raise("trace"))));
        assert_eq!(child.switch(2).unwrap(), 1);
        assert!(greenlet::settrace(None).is_none(), "it was removed");
    });
    log.expect(&["trace"]);
}

#[test]
fn trace_function_may_switch() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let count = Rc::new(Cell::new(0));
        let side = Greenlet::new({
            let (main, count) = (main.clone(), Rc::clone(&count));
            move |mut n: u32| {
                loop {
                    count.set(count.get() + 1);
                    n = main.switch(n).unwrap();
                }
            }
        });
        let child = Greenlet::new(|n: u32| n + 1);
        let (target, inside) = (main.clone(), Cell::new(false));
        let switcher = side.clone();
        greenlet::settrace(Some(Rc::new(move |event| {
            if event.target == target.id() && !inside.replace(true) {
                assert_eq!(switcher.switch(77).unwrap(), 77);
                inside.set(false);
            }
        })));
        assert_eq!(child.switch(1).unwrap(), 2, "what the outer switch brought is not lost");
        greenlet::settrace(None);
        assert_eq!(count.get(), 1);
    });
}

// Rule 14.

#[test]
fn body_that_catches_its_exit_and_switches_is_asked_once_more_at_the_end_of_the_scope() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let _guard = on_drop(&log, "unwound");
                let payload = caught(|| main.switch(n));
                assert!(payload.is::<GreenletExit>());
                log.push("caught");
                main.switch(1).unwrap()
            }
        });
        child.switch(0).unwrap();
        drop(child);
        log.push("still in the scope");
    });
    log.expect(&["caught", "still in the scope", "unwound"]);
}

#[test]
fn body_that_catches_its_exit_twice_is_given_up() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new({
            let log = log.clone();
            move |n| {
                let _guard = on_drop(&log, "unwound");
                loop {
                    drop(caught(|| main.switch(n)));
                    log.push("caught");
                }
            }
        });
        child.switch(0).unwrap();
        drop(child);
        log.push("still in the scope");
    });
    log.expect(&["caught", "still in the scope", "caught"]);
}

#[test]
fn body_that_caught_its_exit_can_be_switched_to_again() {
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let slot: Rc<RefCell<Option<Greenlet<u32>>>> = Rc::default();
        let child = Greenlet::new({
            let (main, slot) = (main.clone(), Rc::clone(&slot));
            move |n| {
                drop(caught(|| main.switch(n)));
                *slot.borrow_mut() = Some(greenlet::current());
                main.switch(1).unwrap() + 1
            }
        });
        child.switch(0).unwrap();
        drop(child);
        let again = slot.take().unwrap();
        assert_eq!(again.state(), State::Active);
        assert_eq!(again.switch(5).unwrap(), 6);
    });
}

// Rule 15.

#[test]
fn debug_names_the_state() {
    greenlet::scope(|| {
        let child = Greenlet::new(|n: u32| n);
        assert!(format!("{child:?}").contains("state: Pending"));
        child.switch(0).unwrap();
        assert!(format!("{child:?}").contains("state: Dead"));
    });
}

// Rule 16.

/// A greenlet, suspended, with a destructor on its stack that tries to switch.
fn tries_to_switch_while_unwinding(log: &Log) -> Greenlet<u32> {
    let main = greenlet::current::<u32>();
    let other = Greenlet::new(|n: u32| n);
    let log = log.clone();
    let child = Greenlet::new(move |n| {
        let switch = main.clone();
        let _guard = OnDrop(move || {
            assert!(matches!(other.switch(3), Err(SwitchError::Unwinding(3))));
            assert!(matches!(switch.switch(3), Err(SwitchError::Unwinding(3))));
            assert!(matches!(other.throw("t"), Err(SwitchError::Unwinding("t"))));
            log.push("refused");
        });
        main.switch(n).unwrap();
        raise("by itself")
    });
    child.switch(0).unwrap();
    child
}

#[test]
fn destructor_cannot_switch_after_a_panic() {
    let log = Log::default();
    greenlet::scope(|| {
        let child = tries_to_switch_while_unwinding(&log);
        assert!(caught(|| child.switch(1)).is::<&str>());
    });
    log.expect(&["refused"]);
}

#[test]
fn destructor_cannot_switch_after_a_throw() {
    let log = Log::default();
    greenlet::scope(|| {
        let child = tries_to_switch_while_unwinding(&log);
        assert!(caught(|| child.throw(1_u8)).is::<u8>());
    });
    log.expect(&["refused"]);
}

#[test]
fn destructor_cannot_switch_after_a_drop() {
    let log = Log::default();
    greenlet::scope(|| {
        drop(tries_to_switch_while_unwinding(&log));
        log.expect(&["refused"]);
    });
}

#[test]
fn destructor_of_the_main_greenlet_cannot_switch() {
    let log = Log::default();
    greenlet::scope(|| {
        let child = Greenlet::new(|n: u32| n);
        drop(caught(|| {
            let _guard = OnDrop(|| {
                assert!(matches!(child.switch(3), Err(SwitchError::Unwinding(3))));
                log.push("refused");
            });
            raise("main")
        }));
        assert_eq!(child.switch(1).unwrap(), 1);
    });
    log.expect(&["refused"]);
}

#[test]
fn dropping_a_handle_while_unwinding_unwinds_its_stack() {
    let log = Log::default();
    greenlet::scope(|| {
        let main = greenlet::current::<u32>();
        let payload = caught(|| {
            let child = Greenlet::new({
                let log = log.clone();
                move |n| {
                    let _guard = on_drop(&log, "unwound");
                    let lock = std::sync::Mutex::new(());
                    drop(caught(|| main.switch(n)));
                    // The stack that drops unwinds; this one does not any more.
                    assert!(!std::thread::panicking());
                    drop(lock.lock().unwrap());
                    assert!(!lock.is_poisoned());
                    raise(GreenletExit)
                }
            });
            child.switch(0).unwrap();
            panic_any("out");
        });
        assert!(payload.is::<&str>());
        assert!(!std::thread::panicking());
        log.expect(&["unwound"]);
    });
}

#[test]
fn switch_keeps_working_after_many_unwindings() {
    greenlet::scope(|| {
        let main = greenlet::current::<usize>();
        for round in 0..200 {
            let child = Greenlet::new({
                let main = main.clone();
                move |n| main.switch(n).unwrap()
            });
            assert_eq!(child.switch(round).unwrap(), round);
        }
    });
}
