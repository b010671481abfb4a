//! Greenlets and generators on green threads: waits inside them, kills and timeouts that reach them, and their end.

use osier::generator::Generator;
use osier::greenlet::{self, Greenlet, SwitchError};
use osier::time::Duration;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);

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

#[test]
fn wait_inside_a_greenlet_parks_the_whole_green_thread() {
    let log = Log::default();
    osier::run(|| {
        let (ours, theirs) = (log.clone(), log.clone());
        let neighbour = osier::spawn_local(move || theirs.push("neighbour"));
        let child = Greenlet::new(move |n: u32| {
            ours.push("before");
            osier::yield_now();
            ours.push("after");
            n + 1
        });
        assert_eq!(child.switch(1).unwrap(), 2);
        log.push("main");
        neighbour.join().unwrap();
    });
    log.expect(&["before", "neighbour", "after", "main"]);
}

#[test]
fn wait_inside_a_generator_parks_the_green_thread_that_drives_it() {
    let log = Log::default();
    osier::run(|| {
        let (ours, theirs) = (log.clone(), log.clone());
        let neighbour = osier::spawn_local(move || theirs.push("neighbour"));
        let mut generator = Generator::<u32>::new(move |co| {
            ours.push("before");
            osier::yield_now();
            ours.push("after");
            co.yield_(1);
        });
        assert_eq!(generator.next(), Some(1));
        neighbour.join().unwrap();
    });
    log.expect(&["before", "neighbour", "after"]);
}

#[test]
fn each_green_thread_has_a_family_of_its_own() {
    osier::run(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(|n: u32| n);
        let other = osier::spawn_local(move || {
            assert!(matches!(child.switch(1), Err(SwitchError::Foreign(1) | SwitchError::NoScope(1))));
            // Another type than that of the family of the green thread that made it.
            let own = greenlet::current::<String>();
            assert!(own.parent().is_none());
            osier::yield_now();
            assert_eq!(greenlet::current::<String>(), own, "it is there again after a wait");
            assert!(matches!(child.switch(2), Err(SwitchError::Foreign(2))));
        });
        osier::yield_now();
        assert_eq!(greenlet::current::<u32>(), main);
        other.join().unwrap();
    });
}

#[test]
fn switch_to_a_greenlet_that_waits_is_an_error() {
    osier::run(|| {
        let slot: Rc<RefCell<Option<Greenlet<u32>>>> = Rc::default();
        let theirs = Rc::clone(&slot);
        let waits = osier::spawn_local(move || {
            let child = Greenlet::new(|n: u32| {
                osier::thread::park();
                n
            });
            *theirs.borrow_mut() = Some(child.clone());
            assert_eq!(child.switch(5).unwrap(), 5);
        });
        osier::yield_now();
        let child = slot.take().unwrap();
        let _mine = greenlet::current::<u32>();
        assert!(matches!(child.switch(1), Err(SwitchError::Foreign(1))));
        assert!(matches!(child.throw("x"), Err(SwitchError::Foreign("x"))));
        drop(child);
        waits.thread().unpark();
        waits.join().unwrap();
    });
}

#[test]
fn kill_unwinds_from_the_greenlet_that_waits_up_to_main() {
    let log = Log::default();
    osier::run(|| {
        let theirs = log.clone();
        let victim = osier::spawn_local(move || {
            let _main = on_drop(&theirs, "main");
            let inner = theirs.clone();
            let child = Greenlet::new(move |n: u32| {
                let _child = on_drop(&inner, "child");
                osier::sleep(FOR_EVER);
                n
            });
            let _ = child.switch(0);
            theirs.push("not reached");
        });
        osier::yield_now();
        victim.kill();
        assert!(victim.join().is_err());
    });
    log.expect(&["child", "main"]);
}

#[test]
fn timeout_around_the_switch_bounds_waits_inside_the_greenlet() {
    osier::run(|| {
        let child = Greenlet::new(|n: u32| {
            osier::sleep(FOR_EVER);
            n
        });
        let result = osier::time::timeout(Duration::from_millis(5), || child.switch(0).unwrap());
        assert!(result.is_err());
        assert_eq!(child.state(), greenlet::State::Dead);
    });
}

#[test]
fn timeout_around_next_bounds_waits_inside_the_generator() {
    osier::run(|| {
        let mut generator = Generator::<u32>::new(|co| {
            co.yield_(1);
            osier::sleep(FOR_EVER);
        });
        assert_eq!(generator.next(), Some(1));
        assert!(osier::time::timeout(Duration::from_millis(5), || generator.next()).is_err());
        assert!(generator.is_ended());
    });
}

#[test]
fn timeout_of_a_greenlet_that_is_switched_away_bounds_nobody_else() {
    osier::run(|| {
        let main = greenlet::current::<u32>();
        let child = Greenlet::new(move |n: u32| {
            let result = osier::time::timeout(Duration::from_millis(1), || main.switch(n).unwrap());
            result.unwrap_or(99)
        });
        child.switch(0).unwrap();
        osier::sleep(Duration::from_millis(10));
        assert_eq!(child.switch(7).unwrap(), 7, "a deadline ends a wait, never a switch");
    });
}

#[test]
fn timeouts_follow_the_parent_that_was_set() {
    osier::run(|| {
        let main = greenlet::current::<u32>();
        let waits = Greenlet::new(|n: u32| {
            osier::sleep(Duration::from_millis(20));
            n
        });
        // Its parent is switched away inside of a timeout of its own, which therefore bounds `waits`.
        let to_main = main.clone();
        let parent = Greenlet::new(move |n: u32| {
            match osier::time::timeout(Duration::from_millis(1), || to_main.switch(n)) {
                Ok(value) => value.unwrap(),
                Err(_) => 1000,
            }
        });
        parent.switch(0).unwrap();
        waits.set_parent(&parent).unwrap();
        assert_eq!(waits.switch(3).unwrap(), 1000, "the parent's timeout has ended the sleep");
        // And one whose parent is main sleeps undisturbed.
        let free = Greenlet::new(|n: u32| {
            osier::sleep(Duration::from_millis(5));
            n
        });
        assert_eq!(free.switch(4).unwrap(), 4);
    });
}

#[test]
fn end_of_a_green_thread_unwinds_what_is_suspended_in_it() {
    let log = Log::default();
    osier::run(|| {
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            let main = greenlet::current::<u32>();
            let inner = theirs.clone();
            let child = Greenlet::new(move |n: u32| {
                let _guard = OnDrop(move || {
                    inner.push("waits");
                    osier::yield_now();
                    inner.push("unwound");
                });
                main.switch(n).unwrap()
            });
            child.switch(0).unwrap();
            let mut generator = Generator::<u32>::new({
                let log = theirs.clone();
                move |co| {
                    let _guard = on_drop(&log, "generator");
                    co.yield_(1);
                }
            });
            generator.next();
            std::mem::forget(child);
            theirs.push("end");
            generator
        });
        let mut kept = thread.join().unwrap();
        log.push("joined");
        assert_eq!(kept.next(), None);
    });
    log.expect(&["end", "generator", "waits", "unwound", "joined"]);
}

#[test]
fn handles_dropped_on_another_green_thread_leave_the_unwinding_to_their_own() {
    let log = Log::default();
    osier::run(|| {
        let slot = Rc::new(RefCell::new(None));
        let (theirs, put) = (log.clone(), Rc::clone(&slot));
        let owner = osier::spawn_local(move || {
            let main = greenlet::current::<u32>();
            let inner = theirs.clone();
            let child = Greenlet::new(move |n: u32| {
                let _guard = on_drop(&inner, "greenlet unwound");
                main.switch(n).unwrap()
            });
            child.switch(0).unwrap();
            let mut generator = Generator::<u32>::new({
                let log = theirs.clone();
                move |co| {
                    let _guard = on_drop(&log, "generator unwound");
                    co.yield_(1);
                }
            });
            generator.next();
            *put.borrow_mut() = Some((child, generator));
            osier::thread::park();
            theirs.push("owner ends");
        });
        osier::yield_now();
        let (child, mut generator) = slot.take().unwrap();
        let refused = catch_unwind(AssertUnwindSafe(|| generator.next()));
        assert!(refused.unwrap_err().downcast::<&str>().unwrap().contains("first driven"));
        drop((child, generator));
        log.expect(&[]);
        owner.thread().unpark();
        owner.join().unwrap();
    });
    log.expect(&["owner ends", "generator unwound", "greenlet unwound"]);
}

#[test]
fn scope_lies_in_a_green_thread_and_survives_its_waits() {
    osier::run(|| {
        let outer = greenlet::current::<u32>();
        let neighbour = osier::spawn_local(|| {
            greenlet::scope(|| {
                let mine = greenlet::current::<u8>();
                osier::yield_now();
                assert_eq!(greenlet::current::<u8>(), mine);
            });
        });
        greenlet::scope(|| {
            let child = Greenlet::new(|s: String| {
                osier::yield_now();
                s + "!"
            });
            assert_eq!(child.switch("a".into()).unwrap(), "a!");
        });
        assert_eq!(greenlet::current::<u32>(), outer);
        neighbour.join().unwrap();
    });
}

#[test]
fn destructor_that_waits_while_a_dropped_greenlet_unwinds_harms_no_bystander() {
    let log = Log::default();
    osier::run(|| {
        let lock = Rc::new(std::sync::Mutex::new(()));
        let theirs = Rc::clone(&lock);
        let bystander = osier::spawn_local(move || {
            assert!(!std::thread::panicking());
            drop(theirs.lock().unwrap());
        });
        let main = greenlet::current::<u32>();
        let ours = log.clone();
        let child = Greenlet::new(move |n: u32| {
            let _guard = OnDrop(|| {
                ours.push("waits");
                osier::yield_now();
                assert!(std::thread::panicking(), "this stack still unwinds");
                ours.push("done");
            });
            main.switch(n).unwrap()
        });
        child.switch(0).unwrap();
        drop(child);
        assert!(!std::thread::panicking());
        bystander.join().unwrap();
        assert!(!lock.is_poisoned());
    });
    log.expect(&["waits", "done"]);
}
