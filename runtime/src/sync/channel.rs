//! What all channels stand on: messages in order, with those who wait to send and to receive.
//!
//! Owns the messages between send and receipt. Who has an end of the channel counts itself in and out.
//!
//! # Invariants
//!
//! A receiver that waits and is chosen is *promised* a message; the message stays at the front of the buffer until it comes. So
//! one that is killed meanwhile has nothing to put back: the promise goes to the next. A sender that waits has its message in the
//! queue of senders; once it is taken out of there it counts as sent. So one that is killed finds it there, and takes it back, or
//! has sent it.
//!
//! Under the lock, always:
//!
//! 1. No more messages are promised than there are in the buffer. Those that are not are *free*.
//! 2. A receiver waits only while nothing is free, no sender waits, and the channel is not over.
//! 3. A sender waits only while the capacity is used up by free messages.
//! 4. Each receiver that was chosen and has not come back to the lock has one promise.
//!
//! The channel is over when no sender is left and the buffer is empty: not while a message is promised, since who has the promise
//! may be killed, and somebody else must be there then.
//!
//! A rendezvous is a capacity of 0: a sender either finds a receiver that waits, or waits for one.
//!
//! Messages are dropped, and threads unparked, when the lock has been given back.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{Mutex, lock};
use crate::scheduler::checkpoint;
use crate::wait_queue::{Ticket, WaitQueue};
use std::collections::VecDeque;

/// The core of a channel.
pub(crate) struct Channel<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    /// What was sent and not received, the oldest first.
    messages: VecDeque<T>,
    /// How many of these receivers that were chosen are still to come for.
    promised: usize,
    /// How many free messages a sender does not wait for; `usize::MAX` for any number.
    capacity: usize,
    /// Sending ends that there are. Once it is 0 it stays so.
    senders: usize,
    /// Receiving ends that there are. Once it is 0 it stays so.
    receivers: usize,
    waiting_senders: WaitQueue<WaitingSender<T>>,
    waiting_receivers: WaitQueue<Unparker>,
}

struct WaitingSender<T> {
    unparker: Unparker,
    message: T,
}

/// Why a message was not sent, with the message.
pub(crate) enum Unsent<T> {
    /// There is no place for it.
    Full(T),
    /// No receiver is left.
    Disconnected(T),
    /// The deadline has passed.
    Late(T),
    /// The sender was cancelled; it was sent all the same if there is no message. To be dropped while the stack unwinds.
    Cancelled(Cancelled, Option<T>),
}

/// Why nothing was received.
pub(crate) enum Nothing {
    /// There is no message.
    Empty,
    /// There is none, and no sender is left.
    Disconnected,
    /// The deadline has passed.
    Late,
    /// The receiver was cancelled.
    Cancelled(Cancelled),
}

/// Messages that the buffer keeps room for when it is empty; what a burst took beyond that is given back.
const KEPT: usize = 1024;

impl<T> State<T> {
    fn free(&self) -> usize {
        self.messages.len() - self.promised
    }

    fn is_over(&self) -> bool {
        self.senders == 0 && self.messages.is_empty()
    }

    /// The receivers that wait although the channel is over, which are to be unparked.
    fn left_waiting(&self) -> Vec<Unparker> {
        if self.is_over() { self.waiting_receivers.iter().cloned().collect() } else { Vec::new() }
    }

    /// Promises a free message to the receiver that came first, which is then to be unparked.
    fn promise(&mut self) -> Option<Unparker> {
        debug_assert!(self.free() > 0, "a message is promised that is not there");
        let receiver = self.waiting_receivers.pop();
        self.promised += usize::from(receiver.is_some());
        receiver
    }

    /// Sends without waiting; gives the receiver that is to be unparked, if any.
    fn put(&mut self, message: T) -> Result<Option<Unparker>, Unsent<T>> {
        if self.receivers == 0 {
            return Err(Unsent::Disconnected(message));
        }
        if self.waiting_receivers.is_empty() && self.free() >= self.capacity {
            return Err(Unsent::Full(message));
        }
        self.messages.push_back(message);
        Ok(self.promise())
    }

    fn pop(&mut self) -> Option<T> {
        let message = self.messages.pop_front();
        if self.messages.is_empty() && self.messages.capacity() > KEPT {
            self.messages = VecDeque::new();
        }
        message
    }

    /// Receives without waiting, for one to whom nothing is promised; gives the sender that is to be unparked, too, if any.
    fn take(&mut self) -> Result<(T, Option<Unparker>), Nothing> {
        if self.free() > 0
            && let Some(message) = self.pop()
        {
            return Ok((message, self.admit()));
        }
        // Nothing is free: a sender waits only in a rendezvous. Those to whom something was promised came first.
        if let Some(sender) = self.waiting_senders.pop() {
            self.messages.push_back(sender.message);
            if let Some(message) = self.pop() {
                return Ok((message, Some(sender.unparker)));
            }
        }
        Err(if self.is_over() { Nothing::Disconnected } else { Nothing::Empty })
    }

    /// Lets the sender that came first in if there is a place.
    fn admit(&mut self) -> Option<Unparker> {
        if self.free() >= self.capacity {
            return None;
        }
        let sender = self.waiting_senders.pop()?;
        self.messages.push_back(sender.message);
        Some(sender.unparker)
    }

    /// Receives what was promised.
    fn take_promised(&mut self) -> T {
        self.promised -= 1;
        self.pop().expect("what is promised is there")
    }

    /// Passes on what was promised; gives the receiver that is to be unparked, if any.
    fn decline_promised(&mut self) -> Option<Unparker> {
        self.promised -= 1;
        self.promise()
    }
}

impl<T> Channel<T> {
    /// A channel with one end of each kind. `capacity` messages are sent without a wait for a receiver.
    pub(crate) fn new(capacity: usize) -> Channel<T> {
        let state = State {
            messages: VecDeque::new(),
            promised: 0,
            capacity,
            senders: 1,
            receivers: 1,
            waiting_senders: WaitQueue::new(),
            waiting_receivers: WaitQueue::new(),
        };
        Channel { state: Mutex::new(state) }
    }

    /// Sends, waiting for a place if need be.
    pub(crate) fn send(&self, message: T, deadline: Option<Instant>) -> Result<(), Unsent<T>> {
        if let Err(cancelled) = checkpoint() {
            return Err(Unsent::Cancelled(cancelled, Some(message)));
        }
        let mut state = lock(&self.state);
        let message = match state.put(message) {
            Err(Unsent::Full(message)) => message,
            sent => {
                drop(state);
                return sent.map(unpark);
            }
        };
        let ticket = state.waiting_senders.push(WaitingSender { unparker: Unparker::current(), message });
        drop(state);
        self.wait_to_send(ticket, deadline)
    }

    fn wait_to_send(&self, ticket: Ticket, deadline: Option<Instant>) -> Result<(), Unsent<T>> {
        loop {
            let outcome = park(Reason::Send(self.address()), deadline);
            let mut state = lock(&self.state);
            let disconnected = state.receivers == 0;
            if outcome == Ok(Wake::Unparked) && !disconnected && state.waiting_senders.contains(ticket) {
                continue;
            }
            let taken_back = state.waiting_senders.withdraw(ticket).map(|sender| sender.message);
            drop(state);
            return match (outcome, taken_back) {
                (Err(cancelled), message) => Err(Unsent::Cancelled(cancelled, message)),
                (Ok(_), None) => Ok(()),
                (Ok(_), Some(message)) if disconnected => Err(Unsent::Disconnected(message)),
                (Ok(_), Some(message)) => Err(Unsent::Late(message)),
            };
        }
    }

    /// Sends if there is a place or a receiver that waits. Never waits.
    pub(crate) fn try_send(&self, message: T) -> Result<(), Unsent<T>> {
        let sent = lock(&self.state).put(message);
        sent.map(unpark)
    }

    /// Receives, waiting for a message if need be.
    pub(crate) fn receive(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        checkpoint().map_err(Nothing::Cancelled)?;
        let mut state = lock(&self.state);
        match state.take() {
            Err(Nothing::Empty) => {}
            taken => {
                drop(state);
                return taken.map(unpark_sender);
            }
        }
        let ticket = state.waiting_receivers.push(Unparker::current());
        drop(state);
        self.wait_to_receive(ticket, deadline)
    }

    fn wait_to_receive(&self, ticket: Ticket, deadline: Option<Instant>) -> Result<T, Nothing> {
        loop {
            let outcome = park(Reason::Receive(self.address()), deadline);
            let mut state = lock(&self.state);
            let over = state.is_over();
            if outcome == Ok(Wake::Unparked) && !over && state.waiting_receivers.contains(ticket) {
                continue;
            }
            let chosen = !state.waiting_receivers.remove(ticket);
            return match outcome {
                Ok(_) if chosen => {
                    let message = state.take_promised();
                    let left = state.left_waiting();
                    drop(state);
                    left.iter().for_each(Unparker::unpark);
                    Ok(message)
                }
                Ok(_) if over => Err(Nothing::Disconnected),
                Ok(_) => Err(Nothing::Late),
                Err(cancelled) => {
                    let next = if chosen { state.decline_promised() } else { None };
                    drop(state);
                    unpark(next);
                    Err(Nothing::Cancelled(cancelled))
                }
            };
        }
    }

    /// Receives if there is a message or a sender that waits. Never waits.
    pub(crate) fn try_receive(&self) -> Result<T, Nothing> {
        let taken = lock(&self.state).take();
        taken.map(unpark_sender)
    }

    /// One more sending end, made from another.
    pub(crate) fn add_sender(&self) {
        lock(&self.state).senders += 1;
    }

    /// One less sending end. After the last one receivers take what is left, and wait no more.
    pub(crate) fn remove_sender(&self) {
        let mut state = lock(&self.state);
        state.senders -= 1;
        let left = state.left_waiting();
        drop(state);
        left.iter().for_each(Unparker::unpark);
    }

    /// One more receiving end, made from another.
    pub(crate) fn add_receiver(&self) {
        lock(&self.state).receivers += 1;
    }

    /// One less receiving end. After the last one what is left is dropped, and senders that wait take theirs back.
    pub(crate) fn remove_receiver(&self) {
        let mut state = lock(&self.state);
        state.receivers -= 1;
        if state.receivers > 0 {
            return;
        }
        debug_assert_eq!(state.promised, 0, "a message is promised to a receiver that is gone");
        let waiting: Vec<_> = state.waiting_senders.iter().map(|sender| sender.unparker.clone()).collect();
        let messages = core::mem::take(&mut state.messages);
        drop(state);
        waiting.iter().for_each(Unparker::unpark);
        drop(messages);
    }

    /// Free messages in the buffer.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).free()
    }

    /// Whether a sender would wait.
    pub(crate) fn is_full(&self) -> bool {
        let state = lock(&self.state);
        state.waiting_receivers.is_empty() && state.free() >= state.capacity
    }

    /// How many messages a sender does not wait for; `usize::MAX` for any number.
    pub(crate) fn capacity(&self) -> usize {
        lock(&self.state).capacity
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

fn unpark(thread: Option<Unparker>) {
    if let Some(thread) = thread {
        thread.unpark();
    }
}

fn unpark_sender<T>((message, sender): (T, Option<Unparker>)) -> T {
    unpark(sender);
    message
}
