//! Channels with many receivers: each message goes to one of them, and to the next if that one is killed.

mod common;

use common::{LONG, Log, MILLI, check, check_with};
use osier::Builder;
use osier::sync::mpmc::{
    RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, channel, sync_channel,
};
use osier::time::{Duration, FakeClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn receivers_that_wait_are_served_in_the_order_in_which_they_came() {
    check(|| {
        for bound in [usize::MAX, 0, 3] {
            let (sender, receiver) = sync_channel(bound);
            let log = Log::new();
            for n in 0..5 {
                let (receiver, log) = (receiver.clone(), log.clone());
                osier::spawn_local(move || log.add((n, receiver.recv().unwrap())));
            }
            osier::yield_now();
            // While they wait a neighbour goes on.
            assert!(!sender.is_full(), "somebody waits");
            (0..5).for_each(|n| sender.try_send(n).unwrap());
            assert_eq!((receiver.len(), receiver.is_empty()), (0, true), "all are given away");
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            osier::yield_now();
            assert_eq!(log.take(), (0..5).map(|n| (n, n)).collect::<Vec<_>>());
        }
    });
}

#[test]
fn what_was_given_to_one_who_is_then_killed_goes_to_the_next() {
    check(|| {
        for bound in [usize::MAX, 0, 1] {
            let (sender, receiver) = sync_channel(bound);
            let waits = || {
                let receiver = receiver.clone();
                let thread = osier::spawn_local(move || receiver.recv());
                osier::yield_now();
                thread
            };
            let (killed, next, last) = (waits(), waits(), waits());
            // Killed first, so that its wait ends as killed; then it is chosen, before it has run.
            killed.kill();
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            killed.join().unwrap_err();
            assert_eq!(next.join_timeout(LONG).unwrap().unwrap(), Ok(1));
            assert_eq!(last.join_timeout(LONG).unwrap().unwrap(), Ok(2));
            // With nobody else it stays, also where there is no room for it, and after the last sender.
            let killed = waits();
            killed.kill();
            sender.send(3).unwrap();
            killed.join().unwrap_err();
            assert_eq!(sender.len(), 1);
            drop(sender);
            assert_eq!((receiver.recv(), receiver.recv()), (Ok(3), Err(RecvError)));
        }
    });
}

#[test]
fn a_receiver_that_comes_late_takes_nothing_from_one_that_was_chosen() {
    check(|| {
        let (sender, receiver) = sync_channel(0);
        let theirs = receiver.clone();
        let first = osier::spawn_local(move || theirs.recv());
        osier::yield_now();
        sender.send(1).unwrap();
        let theirs = sender.clone();
        let second_sender = osier::spawn_local(move || theirs.send(2));
        let leaves = osier::spawn_local(move || sender.send_timeout(3, MILLI));
        let theirs = receiver.clone();
        // Runs after those three: finds the second sender, which waits.
        let second = osier::spawn_local(move || theirs.recv());
        let received = [first.join().unwrap(), second.join_timeout(LONG).unwrap().unwrap()];
        assert_eq!(received, [Ok(1), Ok(2)]);
        assert_eq!(second_sender.join().unwrap(), Ok(()));
        assert_eq!(leaves.join().unwrap(), Err(SendTimeoutError::Timeout(3)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

/// A rendezvous: a receiver is chosen and has not run, and another one takes what was sent to it. It gets the message of the
/// sender that waits, which counts as sent from then on.
#[test]
fn what_is_promised_cannot_be_withdrawn() {
    check(|| {
        let (sender, receiver) = sync_channel(0);
        let theirs = receiver.clone();
        let chosen = osier::spawn_local(move || theirs.recv());
        osier::yield_now();
        let theirs = sender.clone();
        let waits = osier::spawn_local(move || {
            let sent = theirs.send(2);
            osier::thread::park();
            sent
        });
        let takes = osier::spawn_local(move || {
            let taken = receiver.recv();
            waits.kill();
            waits.join().unwrap_err();
            taken
        });
        // Runs after those two.
        sender.send(1).unwrap();
        assert_eq!(takes.join().unwrap(), Ok(1));
        assert_eq!(chosen.join_timeout(LONG).unwrap().unwrap(), Ok(2));
    });
}

#[test]
fn when_the_last_end_goes_all_who_wait_are_told() {
    check(|| {
        let (sender, receiver) = channel::<u8>();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                osier::spawn_local(move || receiver.recv())
            })
            .collect();
        osier::yield_now();
        drop(sender.clone());
        sender.send(1).unwrap();
        drop(sender);
        let received: Vec<_> =
            waiting.into_iter().map(|thread| thread.join_timeout(LONG).unwrap().unwrap()).collect();
        assert_eq!(received, [Ok(1), Err(RecvError), Err(RecvError)]);
        let (sender, receiver) = sync_channel(0);
        let waiting: Vec<_> = (0..3)
            .map(|n| {
                let sender = sender.clone();
                osier::spawn_local(move || sender.send(n).unwrap_err().0)
            })
            .collect();
        osier::yield_now();
        drop(receiver.clone());
        drop(receiver);
        let back = waiting.into_iter().map(|thread| thread.join_timeout(LONG).unwrap().unwrap());
        assert_eq!(back.collect::<Vec<_>>(), [0, 1, 2]);
    });
}

/// The last message is promised to a receiver that was killed: who receives meanwhile is not told that all is over.
#[test]
fn nobody_is_sent_away_while_a_message_may_come_back() {
    check(|| {
        let (sender, receiver) = channel();
        let theirs = receiver.clone();
        let killed = osier::spawn_local(move || theirs.recv());
        osier::yield_now();
        // These run before the killed one does.
        let late: Vec<_> = (0..2)
            .map(|_| {
                let receiver = receiver.clone();
                osier::spawn_local(move || (receiver.try_recv(), receiver.recv()))
            })
            .collect();
        killed.kill();
        sender.send(1).unwrap();
        drop(sender);
        let received: Vec<_> =
            late.into_iter().map(|thread| thread.join_timeout(LONG).unwrap().unwrap()).collect();
        let empty = Err(TryRecvError::Empty);
        assert_eq!(received[0], (empty, Ok(1)));
        assert_eq!(received[1].1, Err(RecvError));
        killed.join().unwrap_err();
    });
}

#[test]
fn its_ends_tell_about_the_channel() {
    let (sender, receiver) = sync_channel(2);
    assert_eq!(
        (sender.capacity(), sender.len(), sender.is_empty(), sender.is_full()),
        (Some(2), 0, true, false)
    );
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!((receiver.len(), receiver.is_empty(), receiver.is_full()), (2, false, true));
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(channel::<u8>().0.capacity(), None);
    let (other, _receiver) = channel();
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
    assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
    drop(sender);
    assert_eq!(receiver.into_iter().next(), None);
}

#[test]
fn deadlines_pass_and_what_came_in_time_is_received() {
    const SECOND: Duration = Duration::from_secs(1);
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            let (sender, receiver) = sync_channel::<u8>(0);
            let deadline = osier::time::Instant::now() + SECOND;
            assert_eq!(receiver.recv_deadline(deadline), Err(RecvTimeoutError::Timeout));
            assert_eq!(sender.send_deadline(1, deadline), Err(SendTimeoutError::Timeout(1)));
            // Two whose deadline passes at the same time; what the older one was given it takes, although it is late.
            let late: Vec<_> = (0..2)
                .map(|_| {
                    let receiver = receiver.clone();
                    osier::spawn_local(move || receiver.recv_timeout(SECOND))
                })
                .collect();
            osier::yield_now();
            let theirs = sender.clone();
            osier::spawn_local(move || theirs.send(5).unwrap());
            osier::sleep(SECOND - MILLI);
            let received: Vec<_> = late.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(received, [Ok(5), Err(RecvTimeoutError::Timeout)]);
        });
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    const EACH: usize = 200;
    check(|| {
        for bound in [0, 1, usize::MAX] {
            let (sender, receiver) = sync_channel(bound);
            let (sum, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (theirs, counts) = (sum.clone(), count.clone());
            let sends = move || (0..EACH).for_each(|n| sender.send(n).unwrap());
            let receives = move || {
                for n in &receiver {
                    theirs.fetch_add(n, Ordering::SeqCst);
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            };
            let os_threads = [
                std::thread::spawn(sends.clone()),
                std::thread::spawn(receives.clone()),
                std::thread::spawn({
                    let (sends, receives) = (sends.clone(), receives.clone());
                    move || {
                        osier::run(|| {
                            let threads = [osier::spawn(receives), osier::spawn(sends)];
                            threads.into_iter().for_each(|thread| thread.join().unwrap());
                        });
                    }
                }),
            ];
            let here = [osier::spawn(receives), osier::spawn(sends)];
            here.into_iter().for_each(|thread| thread.join().unwrap());
            for thread in os_threads {
                while !thread.is_finished() {
                    osier::sleep(MILLI);
                }
                thread.join().unwrap();
            }
            assert_eq!(count.load(Ordering::SeqCst), 3 * EACH);
            assert_eq!(sum.load(Ordering::SeqCst), 3 * EACH * (EACH - 1) / 2);
        }
    });
}
