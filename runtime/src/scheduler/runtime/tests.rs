//! What needs a look inside of a runtime.

use crate::clock::Instant;
use crate::park::{Reason, park};
use crate::reactor::{Driver, Reactor};
use crate::scheduler::builder::Builder;
use crate::scheduler::with_worker;
use crate::sys::event::{Direction, Interest, Readiness};
use core::cell::RefCell;
use core::time::Duration;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

/// A kernel before 5.11: the timerfd keeps the time.
#[test]
fn sleeps_are_exact_without_epoll_pwait2() {
    let runtime = Builder::new().build().unwrap();
    runtime.worker.epoll().forget_pwait2();
    let nap = Duration::from_micros(100);
    let begun = Instant::now();
    runtime.run(|| {
        loop {
            let start = Instant::now();
            crate::sleep(nap);
            let slept = start.elapsed();
            assert!(slept >= nap, "{slept:?}");
            // Rounded up to milliseconds none would be shorter than one; on a busy machine many are longer.
            if slept < Duration::from_millis(1) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{slept:?}");
        }
    });
}

/// Where events come from can be exchanged: here they are written down beforehand.
struct Scripted {
    tokens: RefCell<Vec<u64>>,
    /// What each wait brings.
    script: RefCell<Vec<Readiness>>,
}

impl Driver for Rc<Scripted> {
    fn add(&self, _: RawFd, _: Interest, token: u64) -> io::Result<()> {
        self.tokens.borrow_mut().push(token);
        Ok(())
    }

    fn modify(&self, _: RawFd, _: Interest, _: u64) -> io::Result<()> {
        unreachable!("owned descriptors are added once")
    }

    fn remove(&self, _: RawFd) -> io::Result<()> {
        Ok(())
    }

    fn wait(&self, _: Option<Duration>, each: &mut dyn FnMut(u64, Readiness)) -> io::Result<()> {
        let readiness = self.script.borrow_mut().pop().expect("nobody waits after the last event");
        self.tokens.borrow().iter().for_each(|&token| each(token, readiness));
        Ok(())
    }
}

#[test]
fn an_event_wakes_one_waiter_and_each_hands_on_while_there_is_more() {
    let readable = Readiness { read: true, ..Readiness::default() };
    let driver =
        Rc::new(Scripted { tokens: RefCell::default(), script: RefCell::new(vec![readable, readable]) });
    let runtime = Builder::new().build_on(|_| Box::new(driver.clone())).unwrap();
    let order = runtime.run(|| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let with_reactor = |f: &dyn Fn(&Reactor)| {
            with_worker(|worker| f(worker.unwrap().reactor()));
        };
        let key = with_worker(|worker| worker.unwrap().reactor().register(1_000_000)).unwrap();
        with_reactor(&|reactor| reactor.note_blocked(key, Direction::Read));
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                let order = order.clone();
                crate::spawn_local(move || {
                    with_worker(|worker| {
                        let reactor = worker.unwrap().reactor();
                        reactor.wait(key, Direction::Read, None).unwrap();
                        order.borrow_mut().push(n);
                        // The first finds more, the second finds the end: the third waits for the second event.
                        reactor.note(key, Direction::Read, n == 0);
                    });
                })
            })
            .collect();
        for waiter in waiters {
            waiter.join().unwrap();
            order.borrow_mut().push(10 + driver.script.borrow().len());
        }
        with_reactor(&|reactor| reactor.deregister(key));
        order.take()
    });
    assert_eq!(order, [0, 1, 11, 11, 2, 10]);
}

/// An answer to a roll call is on its way where nobody looks who looks for a deadlock.
#[test]
fn who_waits_for_a_roll_call_is_not_stuck() {
    Builder::new().build().unwrap().enter(|driver| {
        let is_stuck = || with_worker(|worker| worker.unwrap().is_stuck());
        for (reason, stuck) in [(Reason::Park, true), (Reason::RollCall, false)] {
            let waiting = crate::spawn_local(move || park(reason, None).map(drop));
            driver.turn(Some(Duration::ZERO));
            assert_eq!(is_stuck(), stuck, "{reason:?}");
            waiting.kill();
            assert_eq!(waiting.join().unwrap(), Err(crate::park::Cancelled::Killed));
        }
    });
}
