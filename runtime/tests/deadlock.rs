//! When nobody can run any more: circles of joins. (All parked for ever needs a process with one OS thread: see `alone.rs`.)

mod common;

use common::{Log, MILLI, OnDrop, check_with, leaves_nothing, panic_message};
use osier::thread::JoinHandle;
use osier::{Builder, Deadlock, Runtime};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// Has some green threads join each other in a circle, and main wait for the first of them.
fn circle(runtime: &Runtime, names: [&'static str; 3], unwound: &Log<&'static str>) -> Result<(), Deadlock> {
    runtime.try_run(|| {
        let handles: Arc<Mutex<Vec<Option<JoinHandle<()>>>>> = Arc::default();
        for (n, name) in names.into_iter().enumerate() {
            let theirs = handles.clone();
            let builder = osier::thread::Builder::new().name(name.into());
            let thread = builder
                .spawn(move || {
                    let next = theirs.lock().unwrap()[(n + 1) % 3].take().unwrap();
                    next.join().unwrap();
                })
                .unwrap();
            handles.lock().unwrap().push(Some(thread));
        }
        let _unwound = OnDrop::new(|| unwound.add("main"));
        osier::thread::park();
    })
}

#[test]
fn a_circle_of_joins_is_found_and_named() {
    check_with(Builder::new(), |runtime| {
        let unwound = Log::new();
        for _ in 0..2 {
            let deadlock = circle(runtime, ["baker", "miller", "farmer"], &unwound).unwrap_err();
            assert_eq!(unwound.take(), ["main"]);
            assert_eq!(deadlock.waiting().len(), 4);
            let circle: Vec<_> = deadlock.circle().map(|waiting| waiting.name.clone().unwrap()).collect();
            let start = circle.iter().position(|name| name == "baker").unwrap();
            let in_order: Vec<_> = (0..3).map(|n| circle[(start + n) % 3].as_str()).collect();
            assert_eq!(in_order, ["baker", "miller", "farmer"]);
            let text = deadlock.to_string();
            assert!(text.starts_with("deadlock: no green thread can run\n"), "{text}");
            for part in
                ["green thread 'miller' (", "joins green thread ", "'main' (", "parked, waits for unpark"]
            {
                assert!(text.contains(part), "{text}");
            }
            assert!(text.contains("in a circle:"), "{text}");
        }
        assert_eq!(runtime.run(|| osier::spawn(|| 5).join().unwrap()), 5, "and the runtime goes on");
    });
}

#[test]
fn run_panics_with_the_report() {
    let message = leaves_nothing(|| {
        panic_message(|| {
            osier::run(|| {
                let own: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
                let theirs = own.clone();
                let suicidal = osier::thread::Builder::new().name("ouroboros".into());
                let thread = suicidal.spawn(move || {
                    let own = theirs.lock().unwrap().take().unwrap();
                    own.join().unwrap();
                });
                *own.lock().unwrap() = Some(thread.unwrap());
                osier::thread::park();
            });
        })
    });
    assert!(message.contains("deadlock") && message.contains("'ouroboros'"), "{message}");
}

#[test]
fn who_only_waits_long_is_not_deadlocked() {
    check_with(Builder::new().on_stuck(|stuck| panic!("{stuck}")), |runtime| {
        runtime.run(|| {
            let sleeper = osier::spawn(|| osier::sleep(120 * MILLI));
            sleeper.join().unwrap();
            osier::offload(|| std::thread::sleep(120 * MILLI));
        });
    });
}

/// There are other OS threads in this process, one of which wakes main, once it was told of.
#[test]
fn while_other_os_threads_could_wake_somebody_only_the_hook_is_told() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let (sender, stuck) = std::sync::mpsc::channel();
    let theirs = told.clone();
    let builder = Builder::new().on_stuck(move |deadlock| {
        theirs.borrow_mut().push(deadlock.to_string());
        sender.send(()).unwrap();
    });
    check_with(builder, |runtime| {
        runtime.run(|| {
            let me = osier::thread::current();
            let os_thread = std::thread::spawn(move || {
                for _ in 0..2 {
                    stuck.recv().unwrap();
                    me.unpark();
                }
            });
            osier::thread::park();
            osier::thread::park();
            os_thread.join().unwrap();
        });
    });
    let told = told.take();
    assert_eq!(told.len(), 2, "once each time");
    assert!(told[0].contains("'main'") && told[0].contains("parked"), "{told:?}");
}

#[test]
fn the_wait_for_all_runs_into_one_too() {
    check_with(Builder::new().wait_all(true), |runtime| {
        let unwound = Log::new();
        let outcome = runtime.try_run(|| {
            let theirs = unwound.clone();
            let handles: Arc<Mutex<Vec<Option<JoinHandle<()>>>>> = Arc::default();
            for n in 0..2 {
                let theirs = handles.clone();
                let thread = osier::spawn(move || {
                    let other = theirs.lock().unwrap()[1 - n].take().unwrap();
                    other.join().unwrap();
                });
                handles.lock().unwrap().push(Some(thread));
            }
            osier::spawn_local(move || {
                let _unwound = OnDrop::new(|| theirs.add("bystander"));
                osier::thread::park();
            });
        });
        assert_eq!(outcome.unwrap_err().circle().count(), 2);
        assert_eq!(unwound.take(), ["bystander"]);
    });
}
