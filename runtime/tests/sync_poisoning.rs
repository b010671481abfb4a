//! What poisons a lock: a panic, and no other unwinding, on whatever stack.

mod common;

use common::{LONG, MILLI, check, leaves_nothing};
use osier::generator::{Generator, GeneratorExit, Yielder};
use osier::greenlet::{self, Greenlet, GreenletExit};
use osier::sync::Mutex;
use osier::time::timeout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A greenlet that holds the mutex when it is left, and would hold it still.
fn holder(mutex: &Rc<Mutex<()>>) -> Greenlet<()> {
    let main = greenlet::current::<()>();
    let mutex = mutex.clone();
    let child = Greenlet::new(move |()| {
        let _guard = mutex.lock().unwrap();
        main.switch(()).unwrap();
    });
    child.switch(()).unwrap();
    child
}

#[test]
fn a_greenlet_that_is_told_to_end_poisons_nothing() {
    let ends = || {
        let mutex = Rc::new(Mutex::new(()));
        greenlet::scope(|| {
            drop(holder(&mutex));
            drop(mutex.try_lock().expect("the last handle was dropped"));
            let _ = holder(&mutex).throw_exit();
            drop(mutex.try_lock().expect("it was told to end"));
            let _ = holder(&mutex).throw(GreenletExit);
            drop(mutex.try_lock().expect("it was told so in another way"));
            std::mem::forget(holder(&mutex));
        });
        drop(mutex.try_lock().expect("the scope has ended"));
        // Afterwards a panic is a panic, here and in a greenlet.
        greenlet::scope(|| {
            let failed = holder(&mutex);
            catch_unwind(AssertUnwindSafe(|| failed.throw("an error"))).unwrap_err();
            assert!(mutex.is_poisoned());
            mutex.clear_poison();
            drop(holder(&mutex));
            let _ = holder(&mutex).throw_exit();
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _guard = mutex.lock().unwrap();
                panic!("after an exit");
            }));
            assert!(mutex.is_poisoned());
        });
    };
    leaves_nothing(ends);
    check(ends);
}

/// One that has caught its exit goes on: what panics elsewhere meanwhile has failed.
#[test]
fn an_exit_that_was_caught_is_over() {
    check(|| {
        let mutex = Rc::new(Mutex::new(()));
        greenlet::scope(|| {
            let main = greenlet::current::<()>();
            let stubborn = Greenlet::new(move |()| {
                let _ = catch_unwind(AssertUnwindSafe(|| main.switch(())));
                let _ = main.switch(());
            });
            stubborn.switch(()).unwrap();
            drop(stubborn);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _guard = mutex.lock().unwrap();
                panic!("elsewhere");
            }));
            assert!(mutex.is_poisoned());
        });
    });
}

#[test]
fn a_generator_that_is_closed_poisons_nothing() {
    let ends = || {
        let mutex = Rc::new(Mutex::new(()));
        greenlet::scope(|| {
            let holder = || {
                let mutex = mutex.clone();
                let mut generator = Generator::new(move |co: &Yielder<u32>| {
                    let _guard = mutex.lock().unwrap();
                    co.yield_(1);
                });
                assert_eq!(generator.next(), Some(1));
                generator
            };
            drop(holder());
            drop(mutex.try_lock().expect("it was dropped"));
            holder().close().unwrap();
            drop(mutex.try_lock().expect("it was closed"));
            // An error that is raised in it is a failure, also this one.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(holder().throw(GeneratorExit))));
            catch_unwind(AssertUnwindSafe(|| drop(holder().throw("an error")))).unwrap_err();
            assert!(mutex.is_poisoned());
        });
    };
    leaves_nothing(ends);
    check(ends);
}

/// A destructor of a greenlet that ends waits: what panics on another green thread meanwhile has failed.
#[test]
fn a_wait_while_one_is_killed_or_ends_hides_no_panic_of_others() {
    check(|| {
        struct Waits;
        impl Drop for Waits {
            fn drop(&mut self) {
                osier::sleep(5 * MILLI);
            }
        }
        let panics = || {
            let mutex = Rc::new(Mutex::new(()));
            let theirs = mutex.clone();
            let fails = osier::spawn_local(move || {
                let _guard = theirs.lock().unwrap();
                panic!("while another one unwinds");
            });
            (mutex, fails)
        };
        // A greenlet.
        let (mutex, fails) = panics();
        greenlet::scope(|| {
            let main = greenlet::current::<()>();
            let child = Greenlet::new(move |()| {
                let _waits = Waits;
                let _ = main.switch(());
                osier::sleep(MILLI);
            });
            child.switch(()).unwrap();
            drop(child);
        });
        fails.join().unwrap_err();
        assert!(mutex.is_poisoned());
        // One that is killed, and one whose time is over.
        let killed = osier::spawn(|| {
            let _waits = Waits;
            osier::sleep(LONG);
        });
        let late = osier::spawn(|| {
            timeout(MILLI, || {
                let _waits = Waits;
                osier::sleep(LONG);
            })
        });
        osier::yield_now();
        killed.kill();
        osier::sleep(2 * MILLI);
        let (mutex, fails) = panics();
        fails.join().unwrap_err();
        assert!(mutex.is_poisoned());
        killed.join().unwrap_err();
        late.join().unwrap().unwrap_err();
    });
}
