//! Signals are events that a green thread waits for. One test, since signals are the process's.
#![expect(unsafe_code, reason = "sends signals to itself")]

mod common;

use common::descriptors;
use osier::signal::{Signal, Signals};
use osier::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

fn raise(signal: Signal) {
    // SAFETY: no pointers; the signal is one that is being listened for.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

/// The disposition that the kernel has for a signal.
fn disposition(signal: Signal) -> usize {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks, and `action` is valid for the answer.
    assert_eq!(unsafe { libc::sigaction(signal.as_raw(), std::ptr::null(), &mut action) }, 0);
    action.sa_sigaction
}

#[test]
fn signals_wake_who_listens_and_are_restored_afterwards() {
    let before = (descriptors(), disposition(Signal::USER1));

    osier::run(|| {
        let signals = Rc::new(Signals::new(&[Signal::USER1, Signal::USER2]).unwrap());
        let went_on = Rc::new(Cell::new(false));

        // A neighbour goes on while one waits, and it is the neighbour that ends the wait.
        let waiter = osier::spawn_local({
            let signals = signals.clone();
            move || signals.wait().unwrap()
        });
        let neighbour = osier::spawn_local({
            let went_on = went_on.clone();
            move || {
                went_on.set(true);
                raise(Signal::USER1);
            }
        });
        assert_eq!(waiter.join().unwrap(), Signal::USER1);
        neighbour.join().unwrap();
        assert!(went_on.get());

        // What comes while nobody waits is kept; each listener gets its own.
        let other = Signals::new(&[Signal::USER2]).unwrap();
        raise(Signal::USER2);
        raise(Signal::USER1);
        // The kernel delivers them when it likes.
        let mut both = [signals.wait().unwrap(), signals.wait().unwrap()];
        both.sort_by_key(|signal| signal.as_raw());
        assert_eq!(both, [Signal::USER1, Signal::USER2]);
        assert_eq!(other.wait().unwrap(), Signal::USER2);
        assert_eq!(other.wait_timeout(Duration::from_millis(1)).unwrap(), None);

        // A kill ends the wait and loses no signal.
        let killed = osier::spawn_local({
            let signals = signals.clone();
            move || signals.wait().unwrap()
        });
        osier::yield_now();
        killed.kill();
        assert!(killed.join().is_err());
        raise(Signal::USER1);
        assert_eq!(signals.wait().unwrap(), Signal::USER1);
    });

    // A plain OS thread blocks.
    let signals = Signals::new(&[Signal::USER1]).unwrap();
    let waiter = std::thread::spawn(move || signals.wait().unwrap());
    raise(Signal::USER1);
    assert_eq!(waiter.join().unwrap(), Signal::USER1);

    assert_eq!((descriptors(), disposition(Signal::USER1)), before);

    for bad in [0, -1, 65, libc::SIGKILL, libc::SIGSEGV, libc::SIGFPE] {
        let error = Signals::new(&[Signal::from_raw(bad)]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(&bad.to_string()), "{error}");
    }
    assert_eq!((descriptors(), disposition(Signal::USER1)), before);
}
