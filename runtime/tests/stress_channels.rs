//! Stress of channels: each message that was sent is received once, and each message is dropped once.

mod common;
#[path = "common/stress.rs"]
mod stress;

use osier::sync::mpmc;
use osier::sync::mpsc::{self, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use osier::time::timeout;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use stress::{Random, Round, stress};

/// What has become of each message: sent, received, and dropped, each once at most.
struct Ledger {
    entries: Vec<AtomicU8>,
}

const SENT: u8 = 1;
const RECEIVED: u8 = 2;
const DROPPED: u8 = 4;
/// The send came back with an error.
const REFUSED: u8 = 8;

impl Ledger {
    fn new(messages: usize) -> Arc<Ledger> {
        Arc::new(Ledger { entries: (0..messages).map(|_| AtomicU8::new(0)).collect() })
    }

    fn enter(&self, number: usize, what: u8) {
        let before = self.entries[number].fetch_or(what, Ordering::SeqCst);
        assert_eq!(before & what, 0, "message {number} a second time: {before} and {what}");
    }

    /// Every message that was made was dropped; none that was refused was received; and if the channel was drained to its
    /// end, each that was sent was received.
    fn check(&self, drained: bool) {
        for (number, entry) in self.entries.iter().enumerate() {
            let entry = entry.load(Ordering::SeqCst);
            let (sent, received) = (entry & SENT > 0, entry & RECEIVED > 0);
            assert!(entry == 0 || entry & DROPPED > 0, "message {number} was leaked: {entry}");
            assert!(!drained || !sent || received, "message {number} was lost: {entry}");
            assert!(entry & REFUSED == 0 || !sent && !received, "message {number} was refused: {entry}");
        }
    }
}

struct Message {
    number: usize,
    ledger: Arc<Ledger>,
}

impl Message {
    fn received(&self) {
        self.ledger.enter(self.number, RECEIVED);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.ledger.enter(self.number, DROPPED);
    }
}

const EACH: usize = 30;

/// Sends its messages in all ways that there are, in order. Ends early when nobody receives.
fn send_all(channel: &mpmc::Sender<Message>, ledger: &Arc<Ledger>, who: usize, random: &mut Random) {
    for n in 0..EACH {
        let number = who * EACH + n;
        let message = Message { number, ledger: ledger.clone() };
        random.dawdle();
        let sent = match random.of(0..4) {
            0 => channel.send_timeout(message, random.short()),
            1 => channel.try_send(message).map_err(|error| match error {
                TrySendError::Full(message) => SendTimeoutError::Timeout(message),
                TrySendError::Disconnected(message) => SendTimeoutError::Disconnected(message),
            }),
            2 => match timeout(random.short(), || channel.send(message)) {
                Ok(sent) => sent.map_err(SendTimeoutError::from),
                // Sent or not: the ledger knows no more than that.
                Err(_) => continue,
            },
            _ => channel.send(message).map_err(SendTimeoutError::from),
        };
        match sent {
            Ok(()) => ledger.enter(number, SENT),
            Err(SendTimeoutError::Timeout(message)) => {
                assert_eq!(message.number, number);
                ledger.enter(number, REFUSED);
            }
            Err(SendTimeoutError::Disconnected(_)) => {
                ledger.enter(number, REFUSED);
                return;
            }
        }
    }
}

/// Receives in all ways that there are until all senders are gone, or `most` messages.
fn receive_all(channel: &mpmc::Receiver<Message>, most: usize, random: &mut Random) {
    let mut left = most;
    while left > 0 {
        random.dawdle();
        let received = match random.of(0..4) {
            0 => channel.recv_timeout(random.short()),
            1 => channel.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            2 => match timeout(random.short(), || channel.recv()) {
                Ok(received) => received.map_err(RecvTimeoutError::from),
                Err(_) => Err(RecvTimeoutError::Timeout),
            },
            _ => channel.recv().map_err(RecvTimeoutError::from),
        };
        match received {
            Ok(message) => message.received(),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        left -= 1;
    }
}

fn bound(random: &mut Random) -> usize {
    [0, 0, 1, 2, 10, usize::MAX][random.of(0..6)]
}

#[test]
fn each_message_goes_to_one_of_many_receivers() {
    stress(|random| {
        let senders = random.of(1..6);
        let ledger = Ledger::new(senders * EACH);
        let (sender, receiver) = mpmc::sync_channel(bound(random));
        // With no drain the last receivers may go while senders wait.
        let drained = !random.one_in(3);
        let mut round = Round::new();
        for who in 0..senders {
            let (sender, ledger) = (sender.clone(), ledger.clone());
            let body = move |mut random: Random| send_all(&sender, &ledger, who, &mut random);
            if random.one_in(2) { round.mortal(body) } else { round.actor(body) }
        }
        for _ in 0..random.of(1..5) {
            let (receiver, most) = (receiver.clone(), random.of(1..EACH * 3));
            round.mortal(move |mut random| receive_all(&receiver, most, &mut random));
        }
        if drained {
            round.actor(move |mut random| receive_all(&receiver, usize::MAX, &mut random));
        }
        round.check(move || ledger.check(drained));
        round
    });
}

#[test]
fn messages_of_each_sender_arrive_in_order_at_one_receiver() {
    stress(|random| {
        let senders = random.of(1..6);
        let ledger = Ledger::new(senders * EACH);
        let (sender, receiver) = mpsc::sync_channel(bound(random));
        let mut round = Round::new();
        for who in 0..senders {
            let (sender, ledger) = (sender.clone(), ledger.clone());
            round.mortal(move |mut random| {
                for n in 0..EACH {
                    let number = who * EACH + n;
                    random.dawdle();
                    if sender.send(Message { number, ledger: ledger.clone() }).is_err() {
                        return;
                    }
                    ledger.enter(number, SENT);
                }
            });
        }
        let leaves_early = random.one_in(4);
        round.actor(move |mut random| {
            let mut last: Vec<_> = (0..senders).map(|_| None).collect();
            loop {
                random.dawdle();
                match receiver.recv_timeout(random.short()) {
                    Ok(message) => {
                        message.received();
                        let (who, n) = (message.number / EACH, message.number % EACH);
                        assert!(last[who] < Some(n), "{n} of sender {who} after {:?}", last[who]);
                        last[who] = Some(n);
                    }
                    Err(RecvTimeoutError::Timeout) if leaves_early && random.one_in(10) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        round.check(move || ledger.check(!leaves_early));
        round
    });
}

/// Each asks another one and waits for the answer, so a wake-up that is lost stops all.
#[test]
fn questions_are_answered() {
    stress(|random| {
        let mut round = Round::new();
        let (ask, asked) = mpsc::channel::<(usize, mpsc::SyncSender<usize>)>();
        let bound = random.of(0..2);
        for who in 0..random.of(1..6) {
            let ask = ask.clone();
            round.mortal(move |mut random| {
                for n in 0..EACH {
                    let (answer, answered) = mpsc::sync_channel(bound);
                    ask.send((who * EACH + n, answer)).unwrap();
                    random.dawdle();
                    assert_eq!(answered.recv(), Ok(who * EACH + n + 1));
                }
            });
        }
        round.actor(move |mut random| {
            for (question, answer) in asked {
                random.dawdle();
                // Who asked may have been killed.
                let _ = answer.send(question + 1);
            }
        });
        round
    });
}
