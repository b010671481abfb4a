//! Signals with several workers, and Ctrl-C. One test, since signals are the process's.
#![expect(unsafe_code, reason = "sends signals to itself")]

use osier::Builder;
use osier::signal::{Signal, Signals, ctrl_c};
use osier::time::{Duration, Elapsed, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a signal is raised.
const ROUNDS: usize = 500;

fn raise(signal: Signal) {
    // SAFETY: numbers only; the signal is one that is being listened for.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

#[test]
fn each_signal_is_received_once_whoever_waits() {
    let runtime = Builder::new().workers(2).build().unwrap();
    runtime.run(|| {
        let signals = Arc::new(Signals::new(&[Signal::USER1, Signal::USER2]).unwrap());
        let received = Arc::new(AtomicUsize::new(0));
        // Two on each worker, and an OS thread; USER2 tells each to end.
        let waits = |signals: Arc<Signals>, received: Arc<AtomicUsize>| {
            move || {
                while signals.wait().unwrap() == Signal::USER1 {
                    received.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let waits = waits(signals.clone(), received.clone());
                osier::thread::Builder::new().worker(n % 2).spawn(waits).unwrap()
            })
            .collect();
        let os_thread = std::thread::spawn(waits(signals.clone(), received.clone()));
        for round in 1..=ROUNDS {
            raise(Signal::USER1);
            while received.load(Ordering::SeqCst) < round {
                osier::yield_now();
            }
            assert_eq!(received.load(Ordering::SeqCst), round, "received more often than it came");
        }
        // One signal ends one of them; it is kept until somebody has taken it, so they are sent one by one.
        let left = || waiters.iter().filter(|waiter| !waiter.is_finished()).count();
        let all = || left() + usize::from(!os_thread.is_finished());
        for ended in 1..=5 {
            raise(Signal::USER2);
            while all() > 5 - ended {
                osier::yield_now();
            }
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        os_thread.join().unwrap();
        assert_eq!(received.load(Ordering::SeqCst), ROUNDS);

        // Ctrl-C: waited for with a bound, which leaves what it did before; and on the other worker, beside a neighbour.
        assert_eq!(timeout(Duration::from_millis(1), ctrl_c).unwrap_err(), Elapsed);
        let listens = Signals::new(&[Signal::INTERRUPT]).unwrap();
        let waiter = osier::thread::Builder::new().worker(1).spawn(ctrl_c).unwrap();
        let neighbour =
            osier::thread::Builder::new().worker(1).spawn(|| osier::sleep(Duration::from_millis(2))).unwrap();
        neighbour.join().unwrap();
        assert!(!waiter.is_finished());
        while !waiter.is_finished() {
            raise(Signal::INTERRUPT);
            osier::sleep(Duration::from_millis(1));
        }
        waiter.join().unwrap().unwrap();
        assert_eq!(listens.wait().unwrap(), Signal::INTERRUPT);
    });
}
