//! Greenlets and generators inside green threads: a wait inside one parks the whole green thread, a kill or a deadline
//! passes through it, and the green thread's end unwinds what it left suspended.

use osier::generator::Generator;
use osier::greenlet::Greenlet;
use osier::thread::Killed;
use osier::time::{Duration, timeout};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_wait_inside_parks_the_green_thread_and_a_neighbour_goes_on() {
    let log = osier::run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let driver = osier::spawn_local({
            let log = log.clone();
            move || {
                let inner = log.clone();
                let numbers = Generator::<u32, (), ()>::new(move |co| {
                    for n in 0..2 {
                        inner.borrow_mut().push(format!("before {n}"));
                        osier::sleep(Duration::from_millis(1));
                        co.yield_(n);
                    }
                });
                for n in numbers {
                    log.borrow_mut().push(format!("got {n}"));
                }
            }
        });
        let neighbour = osier::spawn_local({
            let log = log.clone();
            move || log.borrow_mut().push("neighbour".into())
        });
        neighbour.join().unwrap();
        driver.join().unwrap();
        log.take()
    });
    assert_eq!(log, ["before 0", "neighbour", "got 0", "before 1", "got 1"]);
}

#[test]
fn a_kill_unwinds_the_greenlet_that_waits_then_its_parent() {
    let log = osier::run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let victim = osier::spawn_local({
            let log = log.clone();
            move || {
                let _outer = OnDrop(|| log.borrow_mut().push("green thread"));
                let inner = log.clone();
                let greenlet = Greenlet::new(move |()| {
                    let _inner = OnDrop(|| inner.borrow_mut().push("greenlet"));
                    osier::thread::park();
                });
                let _ = greenlet.switch(());
                log.borrow_mut().push("not reached");
            }
        });
        osier::yield_now();
        victim.kill();
        assert!(victim.join().unwrap_err().is::<Killed>());
        log.take()
    });
    assert_eq!(log, ["greenlet", "green thread"]);
}

#[test]
fn an_enclosing_timeout_ends_a_wait_inside_a_generator() {
    osier::run(|| {
        let unwound = Rc::new(Cell::new(false));
        let seen = unwound.clone();
        let mut slow = Generator::<u32, (), ()>::new(move |co| {
            let _unwound = OnDrop(|| seen.set(true));
            co.yield_(1);
            osier::sleep(Duration::from_secs(3600));
        });
        assert_eq!(slow.next(), Some(1));
        assert!(timeout(Duration::from_millis(1), || slow.next()).is_err());
        assert!(unwound.get());
        assert_eq!(slow.next(), None);
    });
}

#[test]
fn what_is_left_suspended_is_unwound_with_its_green_thread_also_when_that_waits() {
    let before = osier::stacks().leaked;
    let order = osier::run(|| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let keep: Rc<RefCell<Option<Generator<u32, (), ()>>>> = Rc::default();
        osier::spawn_local({
            let (order, keep) = (order.clone(), keep.clone());
            move || {
                let inner = order.clone();
                let mut left = Generator::new(move |co| {
                    // A destructor that waits, while the generator unwinds.
                    let _late = OnDrop(|| {
                        osier::sleep(Duration::from_millis(1));
                        inner.borrow_mut().push("unwound");
                    });
                    co.yield_(1);
                });
                left.next();
                *keep.borrow_mut() = Some(left);
                order.borrow_mut().push("body has returned");
            }
        })
        .join()
        .unwrap();
        order.borrow_mut().push("joined");
        // The handle outlives its green thread, and is dead.
        assert_eq!(keep.borrow_mut().as_mut().unwrap().next(), None);
        order.take()
    });
    assert_eq!(order, ["body has returned", "unwound", "joined"]);
    assert_eq!(osier::stacks().leaked, before);
}

#[test]
fn each_green_thread_has_a_family_of_its_own() {
    osier::run(|| {
        let theirs: Rc<RefCell<Option<Greenlet<u32>>>> = Rc::default();
        let other = osier::spawn_local({
            let theirs = theirs.clone();
            move || {
                let greenlet = Greenlet::new(|n: u32| n + 1);
                *theirs.borrow_mut() = Some(greenlet.clone());
                osier::yield_now();
                assert_eq!(greenlet.switch(1).unwrap(), 2);
            }
        });
        osier::yield_now();
        let theirs = theirs.borrow().clone().unwrap();
        assert!(theirs.switch(1).is_err(), "a greenlet of another green thread");
        other.join().unwrap();
    });
}

#[test]
fn generators_run_in_the_closure_of_enter() {
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|driver| {
        let mut count = Generator::<u32, (), ()>::new(|co| {
            co.yield_(1);
        });
        assert_eq!(count.next(), Some(1));
        driver.turn(Some(Duration::ZERO));
    });
    assert_eq!(osier::stacks().leaked, 0);
}
