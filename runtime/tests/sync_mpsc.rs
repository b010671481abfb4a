//! Channels with one receiver: order, waits that let others run, and no message lost or received twice, whoever is killed or late.

mod common;

use common::{LONG, Log, MILLI, check, check_with};
use osier::Builder;
use osier::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, SyncSender, TryRecvError,
    TrySendError, channel, sync_channel,
};
use osier::time::{Duration, FakeClock, timeout};
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A message that counts those that there are.
struct Counted {
    number: u32,
    there_are: Rc<Cell<usize>>,
}

impl Counted {
    fn new(number: u32, there_are: &Rc<Cell<usize>>) -> Counted {
        there_are.set(there_are.get() + 1);
        Counted { number, there_are: there_are.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.there_are.set(self.there_are.get() - 1);
    }
}

#[test]
fn a_neighbour_goes_on_while_a_receiver_and_senders_wait() {
    check(|| {
        let (sender, receiver) = channel();
        let received = osier::spawn_local(move || receiver.recv().unwrap());
        let neighbour = osier::spawn_local(move || sender.send("from the neighbour").unwrap());
        neighbour.join_timeout(LONG).unwrap().unwrap();
        assert_eq!(received.join().unwrap(), "from the neighbour");
        for bound in [0, 1] {
            let (sender, receiver) = sync_channel(bound);
            let waits = osier::spawn_local(move || (0..3).for_each(|n| sender.send(n).unwrap()));
            let neighbour = osier::spawn_local(move || receiver.iter().collect::<Vec<_>>());
            assert_eq!(neighbour.join_timeout(LONG).unwrap().unwrap(), [0, 1, 2]);
            waits.join().unwrap();
        }
    });
}

#[test]
fn senders_that_wait_are_served_in_the_order_in_which_they_came() {
    for bound in [0, 2] {
        check(|| {
            let (sender, receiver) = sync_channel(bound);
            let sent = Log::new();
            for n in 0..10 {
                let (sender, sent) = (sender.clone(), sent.clone());
                osier::spawn_local(move || {
                    sender.send(n).unwrap();
                    sent.add(n);
                });
            }
            osier::yield_now();
            assert_eq!(sent.take(), (0..bound).collect::<Vec<_>>(), "as many as there are places");
            for n in 0..10 {
                assert_eq!(receiver.recv(), Ok(n));
                osier::yield_now();
                assert_eq!(sent.take(), Vec::from_iter(Some(n + bound).filter(|&n| n < 10)));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            drop(sender);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        });
    }
}

#[test]
fn nobody_barges_in_where_a_sender_waits() {
    check(|| {
        let (sender, receiver) = sync_channel(1);
        sender.send(1).unwrap();
        let theirs = sender.clone();
        let waits = osier::spawn_local(move || theirs.send(2).unwrap());
        osier::yield_now();
        assert_eq!(receiver.recv(), Ok(1));
        // The one that waited has the place, although it has not run since.
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(receiver.recv(), Ok(2));
        sender.try_send(3).unwrap();
        waits.join().unwrap();
        assert_eq!(receiver.recv(), Ok(3));
    });
}

#[test]
fn a_rendezvous_needs_a_receiver_that_waits() {
    check(|| {
        let (sender, receiver) = sync_channel(0);
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
        let thread = osier::spawn_local(move || (receiver.recv(), receiver.recv(), receiver));
        osier::yield_now();
        sender.try_send(2).unwrap();
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)), "it has been given one already");
        osier::yield_now();
        sender.send(4).unwrap();
        let (first, second, receiver) = thread.join().unwrap();
        assert_eq!((first, second), (Ok(2), Ok(4)));
        drop(receiver);
        assert_eq!(sender.try_send(5), Err(TrySendError::Disconnected(5)));
    });
}

#[test]
fn after_the_last_sender_the_receiver_takes_what_is_left() {
    check(|| {
        let (sender, receiver) = channel();
        let other = sender.clone();
        sender.send(1).unwrap();
        other.send(2).unwrap();
        drop((sender, other));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
        let (sender, receiver) = channel::<u8>();
        let waits = osier::spawn_local(move || receiver.recv());
        osier::yield_now();
        drop(sender);
        assert_eq!(waits.join_timeout(LONG).unwrap().unwrap(), Err(RecvError));
        // The last act of the last sender counts, although the receiver runs only after both.
        let (sender, receiver) = channel();
        let waits = osier::spawn_local(move || (receiver.recv(), receiver.recv()));
        osier::yield_now();
        sender.send(3).unwrap();
        drop(sender);
        assert_eq!(waits.join_timeout(LONG).unwrap().unwrap(), (Ok(3), Err(RecvError)));
    });
}

#[test]
fn after_the_receiver_senders_have_their_messages_back() {
    for bound in [0, 1] {
        check(|| {
            let (sender, receiver) = sync_channel(bound);
            for n in 0..bound {
                sender.send(n).unwrap();
            }
            let waiting: Vec<_> = (10..13)
                .map(|n| {
                    let sender = sender.clone();
                    osier::spawn_local(move || sender.send(n))
                })
                .collect();
            osier::yield_now();
            drop(receiver);
            for (n, thread) in (10..).zip(waiting) {
                assert_eq!(thread.join_timeout(LONG).unwrap().unwrap(), Err(SendError(n)));
            }
            assert_eq!(sender.send(20), Err(SendError(20)));
            assert_eq!(sender.send_timeout(21, LONG), Err(SendTimeoutError::Disconnected(21)));
        });
    }
    let (sender, receiver) = channel();
    drop(receiver);
    assert_eq!(sender.send(1), Err(SendError(1)));
}

/// What is dropped with the channel may use the channel.
#[test]
fn messages_are_dropped_when_the_lock_has_been_given_back() {
    struct SendsWhenDropped(SyncSender<SendsWhenDropped>, Rc<Cell<usize>>);
    impl Drop for SendsWhenDropped {
        fn drop(&mut self) {
            let count = self.1.get() + 1;
            self.1.set(count);
            if count < 5 {
                let again = SendsWhenDropped(self.0.clone(), self.1.clone());
                assert!(matches!(self.0.try_send(again), Err(TrySendError::Disconnected(_))));
            }
        }
    }
    check(|| {
        let dropped = Rc::new(Cell::new(0));
        let (sender, receiver) = sync_channel(1);
        sender.send(SendsWhenDropped(sender.clone(), dropped.clone())).ok().unwrap();
        let theirs = SendsWhenDropped(sender.clone(), dropped.clone());
        let waits = osier::spawn_local(move || drop(sender.send(theirs)));
        osier::yield_now();
        drop(receiver);
        waits.join().unwrap();
        assert_eq!(dropped.get(), 6);
    });
}

#[test]
fn a_receiver_that_is_killed_leaves_the_message_at_the_front() {
    check(|| {
        let (sender, receiver) = channel();
        let receiver = Rc::new(receiver);
        // Sent before the kill, sent after it, and killed with nothing sent.
        for (before, after) in [(Some(1), None), (None, Some(1)), (None, None)] {
            let theirs = receiver.clone();
            let killed = osier::spawn_local(move || {
                let first = theirs.recv();
                // Here at the latest.
                osier::thread::park();
                first
            });
            osier::yield_now();
            before.into_iter().for_each(|n| sender.send(n).unwrap());
            killed.kill();
            after.into_iter().for_each(|n| sender.send(n).unwrap());
            sender.send(2).unwrap();
            killed.join().unwrap_err();
            let left: Vec<_> = receiver.try_iter().collect();
            if before.is_some() {
                assert_eq!(left, [2], "it was woken before it was killed, so it has received it");
            } else {
                assert_eq!(left, Vec::from_iter(after.into_iter().chain([2])));
            }
        }
    });
}

#[test]
fn a_sender_that_is_killed_has_sent_its_message_or_takes_it_along() {
    for bound in [0, 1] {
        check(|| {
            let there_are = Rc::new(Cell::new(0));
            let (sender, receiver) = sync_channel(bound);
            (0..bound).for_each(|_| sender.send(Counted::new(0, &there_are)).ok().unwrap());
            let waits = |number: u32| {
                let (sender, there_are) = (sender.clone(), there_are.clone());
                let thread = osier::spawn_local(move || {
                    let sent = sender.send(Counted::new(number, &there_are));
                    assert!(sent.is_ok());
                    osier::thread::park();
                });
                osier::yield_now();
                thread
            };
            // Killed while it waits.
            let killed = waits(1);
            assert_eq!(there_are.get(), bound + 1);
            killed.kill();
            killed.join().unwrap_err();
            assert_eq!(there_are.get(), bound, "it is dropped, once");
            // Killed, and then there is a place before it has run: the next one has that.
            let (killed, next) = (waits(2), waits(3));
            killed.kill();
            let first = receiver.recv().unwrap().number;
            killed.join().unwrap_err();
            if bound == 0 {
                // It was still in the queue, so it has sent it: `recv` took it before it could take it back.
                assert_eq!(first, 2);
            } else {
                assert_eq!((first, receiver.recv().unwrap().number), (0, 2));
            }
            assert_eq!(receiver.recv().unwrap().number, 3);
            next.kill();
            next.join().unwrap_err();
            // A place first, and then the kill: sent.
            (0..bound).for_each(|_| sender.send(Counted::new(0, &there_are)).ok().unwrap());
            let killed = waits(4);
            let mut numbers = vec![receiver.recv().unwrap().number];
            killed.kill();
            killed.join().unwrap_err();
            numbers.extend(receiver.try_iter().map(|message| message.number));
            assert_eq!(numbers.last(), Some(&4));
            assert_eq!(there_are.get(), 0);
        });
    }
}

/// Whatever waits in the destructor of a message that was not sent: the kill does not end that.
#[test]
fn a_message_that_was_not_sent_is_dropped_while_the_stack_unwinds() {
    struct Waits(Rc<Cell<bool>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            osier::sleep(MILLI);
            self.0.set(true);
        }
    }
    check(|| {
        let waited = Rc::new(Cell::new(false));
        let message = Waits(waited.clone());
        let (sender, _receiver) = sync_channel(0);
        let killed = osier::spawn_local(move || sender.send(message).is_ok());
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        assert!(waited.get());
    });
}

#[test]
fn who_is_late_gets_what_was_given_at_the_last_moment() {
    const SECOND: Duration = Duration::from_secs(1);
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            let (sender, receiver) = channel::<u8>();
            assert_eq!(receiver.recv_timeout(SECOND), Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
            // Both deadlines pass at once: the sender, which is older, sends to a receiver whose wait has ended but which has not run.
            let early = osier::spawn_local(move || {
                osier::sleep(SECOND);
                sender.send(7).unwrap();
                sender
            });
            let late = osier::spawn_local(move || (receiver.recv_timeout(SECOND), receiver));
            let sender = early.join().unwrap();
            let (received, receiver) = late.join().unwrap();
            assert_eq!(received, Ok(7));
            // With an enclosing timeout, which unwinds, it stays for the next.
            let receiver = Rc::new(receiver);
            let theirs = receiver.clone();
            let early = osier::spawn_local(move || {
                osier::sleep(SECOND);
                sender.send(8).unwrap();
            });
            let late = osier::spawn_local(move || timeout(SECOND, || theirs.recv()).is_err());
            early.join().unwrap();
            assert!(late.join().unwrap());
            assert_eq!(receiver.try_recv(), Ok(8));
            // A place that becomes free at the last moment: the message was sent.
            for bound in [0, 1] {
                let (sender, receiver) = sync_channel(bound);
                (0..bound).for_each(|_| sender.send(0).unwrap());
                let early = osier::spawn_local(move || {
                    osier::sleep(SECOND);
                    (receiver.recv().unwrap(), receiver)
                });
                let late = osier::spawn_local(move || sender.send_timeout(9, SECOND));
                let (mut last, receiver) = early.join().unwrap();
                assert_eq!(late.join().unwrap(), Ok(()));
                last = receiver.try_iter().last().unwrap_or(last);
                assert_eq!(last, 9);
            }
            let (sender, receiver) = sync_channel(0);
            assert_eq!(sender.send_timeout(1, SECOND), Err(SendTimeoutError::Timeout(1)));
            assert_eq!(timeout(SECOND, || sender.send(2)), Err(osier::time::Elapsed));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "late ones have taken theirs back");
        });
    });
}

/// The other end goes, and whoever waits is killed or late before it has run, or the other way round.
#[test]
fn an_end_that_goes_and_a_kill_or_a_deadline_at_once() {
    const SECOND: Duration = Duration::from_secs(1);
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            for kill_first in [true, false] {
                // A sender that waits, and the receiver goes: the message is dropped once, with the sender.
                let there_are = Rc::new(Cell::new(0));
                let (sender, receiver) = sync_channel(0);
                let message = Counted::new(1, &there_are);
                let killed = osier::spawn_local(move || {
                    let sent = sender.send(message);
                    assert!(sent.is_err());
                    osier::thread::park();
                });
                osier::yield_now();
                if kill_first {
                    killed.kill();
                    drop(receiver);
                } else {
                    drop(receiver);
                    killed.kill();
                }
                killed.join().unwrap_err();
                assert_eq!(there_are.get(), 0);

                // A receiver that waits, and the last sender goes, with and without a last message.
                for last_message in [None, Some(5)] {
                    let (sender, receiver) = channel();
                    let receiver = Rc::new(receiver);
                    let theirs = receiver.clone();
                    let killed = osier::spawn_local(move || {
                        let received = theirs.recv().ok();
                        assert_eq!(received, last_message);
                        osier::thread::park();
                    });
                    osier::yield_now();
                    if kill_first {
                        killed.kill();
                    }
                    last_message.into_iter().for_each(|message| sender.send(message).unwrap());
                    drop(sender);
                    killed.kill();
                    killed.join().unwrap_err();
                    let left = last_message.filter(|_| kill_first);
                    assert_eq!(receiver.recv().ok(), left);
                    assert_eq!(receiver.recv(), Err(RecvError));
                }
            }
            // The last sender goes at the last moment, with and without a last message.
            for last_message in [None, Some(6)] {
                let (sender, receiver) = channel();
                osier::spawn_local(move || {
                    osier::sleep(SECOND);
                    last_message.into_iter().for_each(|message| sender.send(message).unwrap());
                });
                let late = osier::spawn_local(move || (receiver.recv_timeout(SECOND), receiver.recv()));
                let gone = Err(RecvTimeoutError::Disconnected);
                assert_eq!(late.join().unwrap(), (last_message.map_or(gone, Ok), Err(RecvError)));
            }
            // The receiver goes at the last moment.
            let (sender, receiver) = sync_channel(0);
            osier::spawn_local(move || {
                osier::sleep(SECOND);
                drop(receiver);
            });
            let late = osier::spawn_local(move || sender.send_timeout(7, SECOND));
            assert_eq!(late.join().unwrap(), Err(SendTimeoutError::Disconnected(7)));
        });
    });
}

#[test]
fn many_sends_in_a_row_let_others_run_and_tries_do_not() {
    check(|| {
        let (sender, receiver) = channel();
        let ran = Rc::new(Cell::new(0));
        let theirs = ran.clone();
        osier::spawn_local(move || theirs.set(1));
        for n in 0..1000 {
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(ran.get(), 0, "after {n} tries");
        }
        (0..200).for_each(|n| sender.send(n).unwrap());
        assert_eq!(ran.get(), 1, "sends");
        let theirs = ran.clone();
        osier::spawn_local(move || theirs.set(2));
        (0..200).for_each(|n| assert_eq!(receiver.recv(), Ok(n)));
        assert_eq!(ran.get(), 2, "receives");
    });
}

/// A kill that comes when a send only lets others run, not waits.
#[test]
fn a_sender_that_never_waits_is_killed_all_the_same_and_takes_its_message_along() {
    check(|| {
        let there_are = Rc::new(Cell::new(0));
        let (sender, receiver) = channel();
        let counts = there_are.clone();
        let killed = osier::spawn_local(move || {
            for number in 0.. {
                assert!(sender.send(Counted::new(number, &counts)).is_ok());
            }
        });
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        let numbers: Vec<_> = receiver.iter().map(|message| message.number).collect();
        assert!(!numbers.is_empty() && numbers.iter().copied().eq(0..numbers.len() as u32));
        assert_eq!(there_are.get(), 0);
    });
}

/// Outside of green threads, on the OS thread that drives a runtime by hand.
#[test]
fn a_wait_between_turns_has_green_threads_run() {
    check_with(Builder::new(), |runtime| {
        runtime.enter(|_| {
            let (sender, receiver) = sync_channel(0);
            osier::spawn(move || sender.send(osier::thread::current().id()).unwrap());
            assert_ne!(receiver.recv().unwrap(), osier::thread::current().id());
            let (sender, receiver) = sync_channel(0);
            let receives = osier::spawn(move || receiver.recv());
            sender.send(3).unwrap();
            assert_eq!(receives.join().unwrap(), Ok(3));
        });
    });
}

#[test]
fn a_wait_for_a_message_that_never_comes_is_a_deadlock_with_a_name() {
    let output = common::in_child("a_wait_for_a_message_that_never_comes_is_a_deadlock_with_a_name", || {
        let (sender, receiver) = channel::<u8>();
        // The harness has an OS thread besides this one, so only the hook is told.
        let runtime = Builder::new()
            .on_stuck(|report| {
                let _ = write!(std::io::stdout(), "{report}");
                std::process::exit(0);
            })
            .build()
            .unwrap();
        runtime.run(|| receiver.recv().unwrap());
        drop(sender);
    });
    let said = common::text(&output.stdout);
    assert!(said.contains("'main'") && said.contains("waits to receive from the channel at 0x"), "{said}");
}

/// All kinds of threads send to all kinds of threads.
#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    const EACH: usize = 300;
    fn receive(receiver: Receiver<usize>, sum: &AtomicUsize, count: &AtomicUsize) {
        loop {
            match receiver.recv_timeout(Duration::from_micros(200)) {
                Ok(n) => {
                    sum.fetch_add(n, Ordering::SeqCst);
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
    check(|| {
        for bound in [0, 1, 50] {
            let (sum, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (sender, receiver) = sync_channel(bound);
            let sends = move || (0..EACH).for_each(|n| sender.send(n).unwrap());
            let (theirs, green) = (sends.clone(), sends.clone());
            let mut os_threads = vec![
                std::thread::spawn(theirs),
                std::thread::spawn(move || {
                    osier::run(|| {
                        osier::thread::join_all((0..2).map(|_| osier::spawn(green.clone())))
                            .into_iter()
                            .for_each(Result::unwrap);
                    });
                }),
            ];
            let here: Vec<_> = (0..2).map(|_| osier::spawn(sends.clone())).collect();
            drop(sends);
            let (theirs, counts) = (sum.clone(), count.clone());
            if bound == 1 {
                os_threads.push(std::thread::spawn(move || receive(receiver, &theirs, &counts)));
            } else {
                osier::spawn(move || receive(receiver, &theirs, &counts)).join().unwrap();
            }
            here.into_iter().for_each(|thread| thread.join().unwrap());
            for thread in os_threads {
                while !thread.is_finished() {
                    osier::sleep(MILLI);
                }
                thread.join().unwrap();
            }
            assert_eq!(count.load(Ordering::SeqCst), 5 * EACH);
            assert_eq!(sum.load(Ordering::SeqCst), 5 * EACH * (EACH - 1) / 2);
        }
    });
}
