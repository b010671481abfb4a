//! Green-thread locals: each thread has its own, made when it first asks, destroyed at its end on its own stack.

mod common;

use common::{LONG, Log, MILLI, OnDrop, check, leaves_nothing};
use osier::local::{AccessError, LocalKey};
use osier::sync::mpsc;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

osier::local! {
    static NUMBER: Cell<u32> = const { Cell::new(7) };
    static LIST: RefCell<Vec<u32>> = RefCell::new(vec![1]);
    /// One that need not be `Send`, nor `Copy`.
    static SHARED: RefCell<Option<Rc<str>>> = const { RefCell::new(None) }
}

/// Runs a closure when it is destroyed; made by `at_end`.
type AtEnd = RefCell<Option<OnDrop<Box<dyn FnOnce()>>>>;

osier::local! {
    static FIRST: AtEnd = const { RefCell::new(None) };
    static SECOND: AtEnd = const { RefCell::new(None) };
    static LAST: Cell<u32> = const { Cell::new(0) };
}

fn at_end(key: &'static LocalKey<AtEnd>, f: impl FnOnce() + 'static) {
    key.set(Some(OnDrop::new(Box::new(f))));
}

#[test]
fn each_thread_has_its_own() {
    check(|| {
        NUMBER.set(1);
        let threads: Vec<_> = (10..13)
            .map(|n| {
                osier::spawn(move || {
                    assert_eq!(NUMBER.get(), 7);
                    NUMBER.with(|number| {
                        number.set(n);
                        osier::yield_now();
                        assert_eq!(number.get(), n);
                    });
                    LIST.with_borrow_mut(|list| {
                        osier::yield_now();
                        list.push(n);
                    });
                    (NUMBER.replace(0), LIST.take(), NUMBER.take())
                })
            })
            .collect();
        for (n, thread) in (10..).zip(threads) {
            assert_eq!(thread.join().unwrap(), (n, vec![1, n], 0));
        }
        assert_eq!(NUMBER.get(), 1);
        assert_eq!(std::thread::spawn(|| NUMBER.get()).join().unwrap(), 7);
    });
    // What a runtime's main green thread has is not the OS thread's.
    assert_eq!(NUMBER.get(), 7);
    NUMBER.set(8);
    leaves_nothing(|| {
        assert_eq!(osier::run(|| NUMBER.get()), 7);
        let runtime = osier::Builder::new().build().unwrap();
        assert_eq!(runtime.enter(|_| NUMBER.get()), 8, "outside of green threads");
    });
    SHARED.set(Some("ours".into()));
    assert_eq!(SHARED.replace(None).as_deref(), Some("ours"));
}

#[test]
fn what_is_set_first_needs_no_initialiser() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    fn count() -> u32 {
        RAN.fetch_add(1, Ordering::SeqCst);
        1
    }
    osier::local! {
        static CELL: Cell<u32> = Cell::new(count());
        static LIST: RefCell<Vec<u32>> = RefCell::new(vec![count()]);
    }
    check(|| {
        CELL.set(5);
        LIST.set(vec![6]);
        assert_eq!((CELL.get(), LIST.with_borrow(|list| list[0]), RAN.load(Ordering::SeqCst)), (5, 6, 0));
        let thread = osier::spawn(|| (CELL.get(), CELL.get(), LIST.replace(vec![])));
        assert_eq!(thread.join().unwrap(), (1, 1, vec![1]));
        assert_eq!(RAN.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn an_initialiser_may_wait_panic_and_use_what_it_makes() {
    osier::local! {
        static WAITS: u32 = { osier::sleep(MILLI); 3 };
        static PANICS: u32 = if NUMBER.get() == 7 { panic!("not yet") } else { 4 };
        static TWICE: u32 = DEPTH.with(|depth| {
            depth.set(depth.get() + 1);
            if depth.get() == 1 { TWICE.with(|inner| inner + 1) } else { 50 }
        });
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    check(|| {
        let neighbour = osier::spawn(|| ());
        WAITS.with(|three| assert_eq!(*three, 3));
        assert!(neighbour.is_finished());
        assert_eq!(common::panic_message(|| PANICS.with(|_| ())), "not yet");
        NUMBER.set(0);
        PANICS.with(|four| assert_eq!(*four, 4));
        TWICE.with(|value| assert_eq!(*value, 50, "the first one that was made is kept"));
    });
}

#[test]
fn values_are_destroyed_on_their_own_stack_before_the_join() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            let me = osier::thread::current().id();
            let logs = theirs.clone();
            at_end(&FIRST, move || {
                assert_eq!(osier::thread::current().id(), me);
                // The other one, which is newer, was destroyed before, and this one is about to be.
                let error: AccessError = SECOND.try_with(|_| ()).unwrap_err();
                assert_eq!(error.to_string(), "already destroyed");
                assert!(FIRST.try_with(|_| ()).is_err());
                let message = common::panic_message(|| SECOND.with(|_| ()));
                assert!(message.contains("already destroyed"), "{message}");
                osier::sleep(MILLI);
                logs.add("first");
            });
            let logs = theirs.clone();
            at_end(&SECOND, move || {
                // Older, so still there; and one that nobody has used before.
                assert!(FIRST.with_borrow(Option::is_some));
                LAST.set(5);
                osier::yield_now();
                assert_eq!(LAST.get(), 5);
                // Greenlets may be used, and none is left behind.
                let mut numbers = osier::generator::Generator::<_, ()>::new(|yields| {
                    for n in 0.. {
                        yields.yield_(n);
                    }
                });
                assert_eq!(numbers.next(), Some(0));
                logs.add("second");
            });
            theirs.add("body");
        });
        let neighbour = log.clone();
        osier::spawn_local(move || neighbour.add("neighbour"));
        thread.join_timeout(LONG).unwrap().unwrap();
        assert_eq!(log.take(), ["body", "neighbour", "second", "first"]);
    });
}

#[test]
fn values_of_one_who_is_killed_or_panics_are_destroyed_too() {
    check(|| {
        let log = Log::new();
        for how in ["kill", "panic", "end of the runtime"] {
            let theirs = log.clone();
            let thread = osier::spawn_local(move || {
                at_end(&FIRST, move || {
                    osier::yield_now();
                    osier::sleep(MILLI);
                    theirs.add(how);
                });
                if how == "panic" {
                    std::panic::resume_unwind(Box::new(()));
                }
                osier::thread::park();
            });
            osier::yield_now();
            match how {
                "kill" => {
                    thread.kill();
                    assert!(thread.join().unwrap_err().is::<osier::thread::Killed>());
                }
                "panic" => drop(thread.join().unwrap_err()),
                _ => {}
            }
        }
        log
    })
    .take()
    .iter()
    .zip(["kill", "panic", "end of the runtime"])
    .for_each(|(found, how)| assert_eq!(*found, how));
}

#[test]
fn a_destructor_that_panics_does_not_keep_the_others_from_running() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            at_end(&FIRST, move || theirs.add("first"));
            at_end(&SECOND, || std::panic::resume_unwind(Box::new(())));
            1
        });
        assert_eq!(thread.join().unwrap(), 1);
        assert_eq!(log.take(), ["first"]);
    });
}

#[test]
fn generators_and_greenlets_share_the_locals_of_their_green_thread() {
    check(|| {
        NUMBER.set(1);
        let mut numbers = osier::generator::Generator::<_, ()>::new(|yields| {
            loop {
                NUMBER.set(NUMBER.get() * 2);
                yields.yield_(NUMBER.get());
            }
        });
        assert_eq!(numbers.next(), Some(2));
        NUMBER.set(5);
        assert_eq!(numbers.next(), Some(10));
        assert_eq!(NUMBER.get(), 10);
    });
}

#[test]
fn on_an_os_thread_they_are_destroyed_at_its_end() {
    let (sender, receiver) = mpsc::channel();
    leaves_nothing(|| {
        std::thread::spawn(move || {
            let theirs = sender.clone();
            at_end(&FIRST, move || {
                assert!(SECOND.try_with(|_| ()).is_err());
                LAST.set(2);
                theirs.send(("first", LAST.get())).unwrap();
            });
            at_end(&SECOND, move || {
                FIRST.with(|_| ());
                sender.send(("second", 0)).unwrap();
            });
            // Its runtime's green threads have their own.
            osier::run(|| assert!(FIRST.with_borrow(Option::is_none)));
        })
        .join()
        .unwrap();
    });
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [("second", 0), ("first", 2)]);
}

#[test]
fn a_key_may_be_used_first_by_many_at_once() {
    osier::local! {
        static RACED: Cell<usize> = const { Cell::new(0) };
    }
    let barrier = std::sync::Barrier::new(4);
    leaves_nothing(|| {
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    osier::run(|| {
                        let other = osier::spawn(move || RACED.replace(n));
                        RACED.set(100 * n);
                        assert_eq!((other.join().unwrap(), RACED.get()), (0, 100 * n));
                    });
                });
            }
        });
    });
}

/// A generator that does not let itself be unwound is leaked, in the middle of its use of a value: so that is leaked with it.
#[test]
fn a_value_in_use_on_a_leaked_stack_is_not_destroyed() {
    let output = common::in_child("a_value_in_use_on_a_leaked_stack_is_not_destroyed", || {
        osier::run(|| {
            let dropped = Rc::new(Cell::new(false));
            let theirs = dropped.clone();
            let thread = osier::spawn_local(move || {
                at_end(&FIRST, move || theirs.set(true));
                let mut stubborn = osier::generator::Generator::<_, ()>::new(|yields| {
                    FIRST.with(|_in_use| {
                        loop {
                            let yields = std::panic::AssertUnwindSafe(yields);
                            let _ = std::panic::catch_unwind(|| yields.yield_(()));
                        }
                    });
                });
                assert_eq!(stubborn.next(), Some(()));
                LAST.set(1);
            });
            thread.join().unwrap();
            assert_eq!((osier::stacks().leaked, dropped.get()), (1, false));
        });
    });
    assert!(output.status.success(), "{}", common::text(&output.stderr));
}
