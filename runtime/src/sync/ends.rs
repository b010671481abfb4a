//! What the ends of the public channels have in common: the core's outcomes in std's words, and cancellations raised.

use super::channel::{Channel, Nothing, Unsent};
use super::mpmc::SendTimeoutError;
use crate::clock::Instant;
use std::sync::Arc;
use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// A channel, for a sending and a receiving end.
pub(super) fn pair<T>(capacity: usize) -> (Arc<Channel<T>>, Arc<Channel<T>>) {
    let channel = Arc::new(Channel::new(capacity));
    (channel.clone(), channel)
}

pub(super) fn send<T>(channel: &Channel<T>, message: T) -> Result<(), SendError<T>> {
    send_until(channel, message, None).map_err(|unsent| SendError(unsent.into_inner()))
}

pub(super) fn send_until<T>(
    channel: &Channel<T>,
    message: T,
    deadline: Option<Instant>,
) -> Result<(), SendTimeoutError<T>> {
    match channel.send(message, deadline) {
        Ok(()) => Ok(()),
        Err(Unsent::Disconnected(message)) => Err(SendTimeoutError::Disconnected(message)),
        Err(Unsent::Late(message) | Unsent::Full(message)) => Err(SendTimeoutError::Timeout(message)),
        // The message, if it is there, is dropped as this frame unwinds: nothing ends the waits of its destructor.
        Err(Unsent::Cancelled(cancelled, _message)) => cancelled.raise(),
    }
}

pub(super) fn try_send<T>(channel: &Channel<T>, message: T) -> Result<(), TrySendError<T>> {
    match channel.try_send(message) {
        Ok(()) => Ok(()),
        Err(Unsent::Disconnected(message)) => Err(TrySendError::Disconnected(message)),
        Err(Unsent::Full(message) | Unsent::Late(message)) => Err(TrySendError::Full(message)),
        Err(Unsent::Cancelled(cancelled, _message)) => cancelled.raise(),
    }
}

pub(super) fn receive<T>(channel: &Channel<T>) -> Result<T, RecvError> {
    receive_until(channel, None).map_err(|_| RecvError)
}

pub(super) fn receive_until<T>(
    channel: &Channel<T>,
    deadline: Option<Instant>,
) -> Result<T, RecvTimeoutError> {
    channel.receive(deadline).map_err(|nothing| match nothing {
        Nothing::Disconnected => RecvTimeoutError::Disconnected,
        Nothing::Late | Nothing::Empty => RecvTimeoutError::Timeout,
        Nothing::Cancelled(cancelled) => cancelled.raise(),
    })
}

pub(super) fn try_receive<T>(channel: &Channel<T>) -> Result<T, TryRecvError> {
    channel.try_receive().map_err(|nothing| match nothing {
        Nothing::Disconnected => TryRecvError::Disconnected,
        Nothing::Empty | Nothing::Late => TryRecvError::Empty,
        Nothing::Cancelled(cancelled) => cancelled.raise(),
    })
}
