//! How entries end: nothing outlives them, whatever is left; and the runtime can be entered again.

mod common;

use common::{LONG, Log, MILLI, OnDrop, check, check_with, leaves_nothing, message, panic_message};
use osier::Builder;
use osier::thread::Killed;
use osier::time::FakeClock;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts its drop.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A count, and what makes values whose drops it counts.
fn counter() -> (Arc<AtomicUsize>, impl Fn() -> Counted) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    (count, move || Counted(counted.clone()))
}

#[test]
fn what_is_left_is_killed_and_its_destructors_run() {
    let (dropped, counts) = counter();
    check(|| {
        let waits: [fn(); 4] =
            [|| osier::sleep(LONG), osier::thread::park, || osier::offload(|| ()), osier::yield_now];
        for wait in waits {
            let counted = counts();
            osier::spawn(move || {
                let _counted = counted;
                loop {
                    wait();
                }
            });
        }
        osier::yield_now();
        // Never started.
        let counted = counts();
        osier::spawn(move || drop(counted));
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
}

#[test]
fn what_destructors_spawn_at_the_end_is_killed_too() {
    let (dropped, counts) = counter();
    common::check(move || {
        let counted = counts();
        osier::spawn(move || {
            let _spawns = OnDrop::new(move || {
                let thread = osier::spawn(move || {
                    let _counted = counted;
                    osier::sleep(LONG);
                });
                assert!(thread.join().unwrap_err().is::<Killed>());
            });
            osier::sleep(LONG);
        });
        osier::yield_now();
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn a_shield_is_waited_for() {
    let done = Rc::new(Cell::new(false));
    let theirs = done.clone();
    common::check(move || {
        osier::spawn_local(move || {
            osier::shield(|| osier::sleep(5 * MILLI));
            theirs.set(true);
            osier::sleep(LONG);
            unreachable!("killed at its first wait after the shield");
        });
        osier::yield_now();
    });
    assert!(done.get());
}

#[test]
fn with_wait_all_everybody_is_waited_for() {
    let log = Log::new();
    check_with(Builder::new().wait_all(true).clock(FakeClock::new()), |runtime| {
        let theirs = log.clone();
        let value = runtime.run(move || {
            osier::spawn_local(move || {
                osier::sleep(LONG);
                let log = theirs.clone();
                osier::spawn_local(move || {
                    osier::sleep(LONG);
                    log.add("spawned by one who was waited for");
                });
                theirs.add("left by main");
            });
            5
        });
        assert_eq!(value, 5);
    });
    assert_eq!(log.take(), ["left by main", "spawned by one who was waited for"]);
}

#[test]
fn after_the_grace_those_who_are_left_are_named_and_the_end_goes_on() {
    let reported = Rc::new(RefCell::new(Vec::new()));
    let (theirs, told) = (reported.clone(), Arc::new(AtomicBool::new(false)));
    let tells = told.clone();
    let builder = Builder::new().shutdown_grace(5 * MILLI, move |left| {
        theirs.borrow_mut().extend(left.iter().map(|left| (left.name.clone(), left.reason.clone())));
        tells.store(true, Ordering::Relaxed);
    });
    leaves_nothing(|| {
        let runtime = builder.build().unwrap();
        runtime.run(|| {
            let named = |name: &str| osier::thread::Builder::new().name(name.into());
            // Until long after the grace, on a busy machine, too.
            named("sleeper").spawn(|| osier::shield(|| osier::sleep(500 * MILLI))).unwrap();
            let told = told.clone();
            named("loop")
                .spawn(move || {
                    while !told.load(Ordering::Relaxed) {
                        let _ = catch_unwind(osier::yield_now);
                    }
                })
                .unwrap();
            named("obedient").spawn(|| osier::sleep(LONG)).unwrap();
            osier::yield_now();
        });
    });
    let mut reported = reported.take();
    reported.sort();
    let expected =
        [(Some("loop".into()), "is ready to run".into()), (Some("sleeper".into()), "sleeps".into())];
    assert_eq!(reported, expected);
}

#[test]
fn a_panic_of_the_body_comes_after_everybody_has_unwound() {
    let (dropped, counts) = counter();
    leaves_nothing(|| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            osier::run(|| {
                let counted = counts();
                osier::spawn(move || {
                    let _counted = counted;
                    osier::sleep(LONG);
                });
                osier::yield_now();
                resume_unwind(Box::new("from the body"));
            })
        }));
        assert_eq!(message(&*caught.unwrap_err()), "from the body");
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn a_runtime_can_be_entered_again_also_after_a_panic() {
    check_with(Builder::new(), |runtime| {
        for round in 0..3 {
            assert_eq!(runtime.run(|| osier::spawn(move || round).join().unwrap()), round);
            let caught = catch_unwind(AssertUnwindSafe(|| runtime.run(|| resume_unwind(Box::new(round)))));
            assert!(caught.is_err());
            runtime.enter(|driver| {
                let thread = osier::spawn(|| ());
                while driver.turn(None) {}
                assert!(thread.is_finished());
            });
        }
    });
}

#[test]
fn the_body_borrows_from_outside_and_need_not_be_send() {
    let mut numbers = vec![1, 2];
    let shared = Rc::new(Cell::new(0));
    let length = check(|| {
        numbers.push(3);
        shared.set(numbers.len());
        &numbers[..]
    })
    .len();
    assert_eq!((length, shared.get()), (3, 3));
}

#[test]
fn a_nested_run_is_refused_and_does_no_harm() {
    check(|| {
        let refused = "a runtime is already running on this OS thread";
        assert!(panic_message(|| osier::run(|| ())).starts_with(refused));
        let other = Builder::new().build().unwrap();
        assert!(panic_message(|| other.run(|| ())).starts_with(refused));
        assert!(panic_message(|| other.enter(|_| ())).starts_with(refused));
        assert_eq!(osier::spawn(|| 1).join().unwrap(), 1);
        let inside = osier::spawn(move || panic_message(|| osier::run(|| ())));
        assert!(inside.join().unwrap().starts_with(refused));
    });
    check_with(Builder::new(), |runtime| {
        runtime.enter(|_| {
            assert!(panic_message(|| runtime.run(|| ())).starts_with("a runtime is already running"));
        });
        assert_eq!(runtime.run(|| 2), 2);
    });
}

#[test]
fn a_spawn_outside_of_a_runtime_says_what_to_do() {
    let messages = [
        panic_message(|| drop(osier::spawn(|| ()))),
        panic_message(|| drop(osier::spawn_local(|| ()))),
        panic_message(|| osier::thread::scope(|scope| drop(scope.spawn(|| ())))),
        osier::thread::Builder::new().spawn(|| ()).unwrap_err().to_string(),
    ];
    for message in messages {
        assert!(message.contains("spawn inside `osier::run` or `Runtime::enter`"), "{message}");
        assert!(message.contains("`Runtime::handle`"), "{message}");
    }
    let error = osier::thread::Builder::new().spawn(|| ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let kind = |builder: Builder| builder.build().unwrap_err().kind();
    assert_eq!(kind(Builder::new().workers(0)), std::io::ErrorKind::InvalidInput);
    assert_eq!(kind(Builder::new().workers(usize::MAX)), std::io::ErrorKind::InvalidInput);
    assert_eq!(kind(Builder::new().offload_threads(0)), std::io::ErrorKind::InvalidInput);
}

#[test]
fn stacks_of_any_size_that_is_asked_for_or_an_error_that_join_reports() {
    check(|| {
        let with =
            |size| osier::thread::Builder::new().stack_size(size).spawn(osier::yield_now).unwrap().join();
        with(0).unwrap();
        with(1).unwrap();
        with(100_000).unwrap();
        for size in [usize::MAX, usize::MAX / 2, 1 << 46] {
            let payload = with(size).unwrap_err();
            let error = payload.downcast_ref::<std::io::Error>().expect("an error of the system");
            assert!(error.to_string().starts_with("no stack: "), "{error}");
        }
        with(0).unwrap();
    });
    let message = leaves_nothing(|| {
        panic_message(|| Builder::new().main_stack_size(usize::MAX).build().unwrap().run(|| ()))
    });
    assert!(message.starts_with("no stack of "), "{message}");
}

#[test]
fn handles_spawn_before_during_and_after_an_entry() {
    check_with(Builder::new(), |runtime| {
        let handle = runtime.handle();
        let before = std::thread::spawn({
            let handle = handle.clone();
            move || handle.spawn(|| "before")
        })
        .join()
        .unwrap();
        let during = {
            let handle = handle.clone();
            std::thread::spawn(move || handle.spawn(|| "during").join().unwrap())
        };
        runtime.run(|| {
            assert_eq!(before.join().unwrap(), "before");
            while !during.is_finished() {
                osier::sleep(MILLI);
            }
        });
        assert_eq!(during.join().unwrap(), "during");
        let after = handle.spawn(|| "after");
        assert!(!after.is_finished());
        runtime.run(|| assert_eq!(after.join().unwrap(), "after"));
    });
}

#[test]
fn what_a_handle_spawned_for_a_runtime_that_is_dropped_is_dropped_once() {
    let (dropped, counts) = counter();
    leaves_nothing(|| {
        let runtime = Builder::new().build().unwrap();
        let handle = runtime.handle();
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let counted = counts();
                handle.spawn(move || {
                    let _counted = counted;
                    unreachable!("number {n} runs");
                })
            })
            .collect();
        // A destructor that panics keeps nobody waiting.
        let panics = OnDrop::new(|| resume_unwind(Box::new("in a destructor")));
        let panics = handle.spawn(move || drop(panics));
        let last = handle.spawn(|| ());
        drop(runtime);
        for thread in threads {
            let thread: osier::thread::JoinHandle<()> = thread;
            assert!(thread.join().unwrap_err().is::<Killed>());
        }
        assert!(panics.join().unwrap_err().is::<Killed>());
        assert!(last.join().unwrap_err().is::<Killed>());
        let counted = counts();
        let too_late = handle.spawn(move || drop(counted));
        assert!(too_late.is_finished());
        assert!(too_late.join().unwrap_err().is::<Killed>());
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 4);
}

#[test]
fn os_threads_that_spawn_while_the_runtime_ends_lose_nothing() {
    let (dropped, counts) = counter();
    let spawned = 2_000;
    leaves_nothing(|| {
        let runtime = Builder::new().build().unwrap();
        let handle = runtime.handle();
        let os_thread = std::thread::spawn(move || {
            let handles: Vec<_> = (0..spawned)
                .map(|_| {
                    let counted = counts();
                    handle.spawn(move || drop(counted))
                })
                .collect();
            handles.into_iter().for_each(|thread| drop(thread.join()));
        });
        for _ in 0..20 {
            runtime.run(osier::yield_now);
        }
        drop(runtime);
        os_thread.join().unwrap();
    });
    assert_eq!(dropped.load(Ordering::Relaxed), spawned);
}

#[test]
fn handles_that_outlive_the_runtime_hold_nothing_of_it() {
    let mut kept = None;
    leaves_nothing(|| {
        osier::run(|| {
            std::mem::forget(osier::spawn(osier::thread::park));
            std::mem::forget(osier::spawn(|| String::from("never joined")));
            let parked = osier::spawn(osier::thread::park);
            kept = Some((parked, osier::thread::current()));
            osier::yield_now();
        });
    });
    let (parked, main) = kept.unwrap();
    main.unpark();
    parked.thread().unpark();
    parked.kill();
    assert!(parked.join().unwrap_err().is::<Killed>());
}

/// At the exit of an OS thread its thread-locals are destroyed, and handles in them with them.
#[test]
fn handles_in_thread_locals_at_the_exit_of_their_os_thread() {
    struct JoinOnDrop(Option<osier::thread::JoinHandle<i32>>, std::sync::mpsc::Sender<i32>);
    impl Drop for JoinOnDrop {
        fn drop(&mut self) {
            let value = self.0.take().unwrap().join().unwrap();
            self.1.send(value).unwrap();
        }
    }
    thread_local! {
        static FINISHED: RefCell<Option<JoinOnDrop>> = const { RefCell::new(None) };
        static ELSEWHERE: RefCell<Option<JoinOnDrop>> = const { RefCell::new(None) };
        static RUNTIME: RefCell<Option<osier::Runtime>> = const { RefCell::new(None) };
    }
    leaves_nothing(|| {
        let (sender, joined) = std::sync::mpsc::channel();
        let runtime = Builder::new().build().unwrap();
        let (handle, sender_elsewhere) = (runtime.handle(), sender.clone());
        let exits = std::thread::spawn(move || {
            // The first to be used is the last to be destroyed.
            ELSEWHERE.set(None);
            let own = Builder::new().build().unwrap();
            own.run(|| {
                let finished = osier::spawn(|| 1);
                osier::yield_now();
                FINISHED.set(Some(JoinOnDrop(Some(finished), sender)));
            });
            RUNTIME.set(Some(own));
            // Its join has to wait, after the thread-locals of the crate itself may have been destroyed.
            let elsewhere = handle.spawn(|| {
                osier::sleep(20 * MILLI);
                2
            });
            ELSEWHERE.set(Some(JoinOnDrop(Some(elsewhere), sender_elsewhere)));
        });
        let mut values = Vec::new();
        runtime.run(|| {
            while values.len() < 2 {
                osier::sleep(MILLI);
                values.extend(joined.try_iter());
            }
        });
        exits.join().unwrap();
        values.sort_unstable();
        assert_eq!(values, [1, 2]);
    });
}
