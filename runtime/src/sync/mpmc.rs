//! Channels with many senders and many receivers: each message goes to one of them.
//!
//! With the names of std's unstable `mpmc`. Otherwise as [`mpsc`](super::mpsc), on which see for kills and timeouts. Receivers that
//! wait are served in the order in which they came.
//!
//! ```
//! use osier::sync::mpmc;
//! osier::run(|| {
//!     let (orders, kitchen) = mpmc::sync_channel(4);
//!     let cooks: Vec<_> = (0..3).map(|_| {
//!         let kitchen = kitchen.clone();
//!         osier::spawn(move || kitchen.iter().count())
//!     }).collect();
//!     drop(kitchen);
//!     for dish in 0..100 {
//!         orders.send(dish).unwrap();
//!     }
//!     drop(orders);
//!     assert_eq!(cooks.into_iter().map(|cook| cook.join().unwrap()).sum::<usize>(), 100);
//! });
//! ```

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use super::channel::Channel;
use super::ends;
use crate::clock::Instant;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// A channel without a bound: a send never waits.
///
/// ```
/// let (sender, receiver) = osier::sync::mpmc::channel();
/// let other = receiver.clone();
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!((receiver.recv(), other.recv()), (Ok(1), Ok(2)));
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (channel, theirs) = ends::pair(usize::MAX);
    (Sender { channel }, Receiver { channel: theirs })
}

/// A channel that holds `bound` messages: a send waits while it is full. With a bound of 0 it waits for a receiver.
///
/// ```
/// use osier::sync::mpmc::{TrySendError, sync_channel};
/// let (sender, receiver) = sync_channel(1);
/// sender.send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!((receiver.len(), receiver.capacity()), (1, Some(1)));
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let (channel, theirs) = ends::pair(bound);
    (Sender { channel }, Receiver { channel: theirs })
}

/// A sending end. Clones are of the same channel.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// A receiving end. Clones are of the same channel, and each message goes to one of them.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends a message, waiting for a place in the channel. In a channel of bound 0 it waits until a receiver takes the message.
    ///
    /// # Errors
    ///
    /// With the message, if all receivers are gone, also if the last one goes while this waits.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds. Either the message was sent, or it is
    /// dropped.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        ends::send(&self.channel, message)
    }

    /// Sends a message if there is a place in the channel or a receiver that waits. Never waits.
    ///
    /// # Errors
    ///
    /// With the message, if there is no place or all receivers are gone.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        ends::try_send(&self.channel, message)
    }

    /// [`Sender::send`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// With the message, if the time is over first or all receivers are gone.
    ///
    /// # Cancellation
    ///
    /// As [`Sender::send`].
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        ends::send_until(&self.channel, message, Instant::now().checked_add(timeout))
    }

    /// [`Sender::send`], until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_timeout`].
    ///
    /// # Cancellation
    ///
    /// As [`Sender::send`].
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        ends::send_until(&self.channel, message, Some(deadline))
    }
}

impl<T> Receiver<T> {
    /// Receives the oldest message, waiting for one.
    ///
    /// # Errors
    ///
    /// If there is none and all senders are gone, also if the last one goes while this waits.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; a message that was meant for this receiver
    /// goes to the next.
    pub fn recv(&self) -> Result<T, RecvError> {
        ends::receive(&self.channel)
    }

    /// Receives the oldest message, if there is one. Never waits.
    ///
    /// # Errors
    ///
    /// If there is none, with whether all senders are gone.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        ends::try_receive(&self.channel)
    }

    /// [`Receiver::recv`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// If the time is over first, or all senders are gone.
    ///
    /// # Cancellation
    ///
    /// As [`Receiver::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        ends::receive_until(&self.channel, Instant::now().checked_add(timeout))
    }

    /// [`Receiver::recv`], until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Cancellation
    ///
    /// As [`Receiver::recv`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        ends::receive_until(&self.channel, Some(deadline))
    }

    /// The messages as they come, waiting for each, until all senders are gone.
    ///
    /// # Cancellation
    ///
    /// As [`Receiver::recv`].
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there. Never waits.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

/// What both ends can tell about their channel, each figure as of now. None of them waits.
macro_rules! about {
    ($end:ident, $add:ident, $remove:ident) => {
        impl<T> $end<T> {
            /// Whether there is no message.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a sender would have to wait.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.channel.is_full()
            }

            /// How many messages there are, those apart that were sent to receivers which waited.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// How many messages it holds; `None` for any number.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                Some(self.channel.capacity()).filter(|&capacity| capacity < usize::MAX)
            }

            /// Whether both are ends of one channel.
            #[must_use]
            pub fn same_channel(&self, other: &$end<T>) -> bool {
                Arc::ptr_eq(&self.channel, &other.channel)
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> $end<T> {
                self.channel.$add();
                $end { channel: self.channel.clone() }
            }
        }

        impl<T> Drop for $end<T> {
            fn drop(&mut self) {
                self.channel.$remove();
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end)).finish_non_exhaustive()
            }
        }
    };
}

about!(Sender, add_sender, remove_sender);
about!(Receiver, add_receiver, remove_receiver);

/// The messages as they come: [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T: 'a> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

/// The messages that are there: [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T: 'a> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// The messages as they come, from a receiver of its own.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

/// Why a message was not sent in time, with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no place for it.
    Timeout(T),
    /// No receiver is left.
    Disconnected(T),
}

impl<T> SendTimeoutError<T> {
    pub(super) fn into_inner(self) -> T {
        match self {
            SendTimeoutError::Timeout(message) | SendTimeoutError::Disconnected(message) => message,
        }
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendTimeoutError::Timeout(_) => "Timeout(..)",
            SendTimeoutError::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> fmt::Display for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendTimeoutError::Timeout(_) => "timed out waiting on send operation",
            SendTimeoutError::Disconnected(_) => "sending on a disconnected channel",
        })
    }
}

impl<T> std::error::Error for SendTimeoutError<T> {}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(error: SendError<T>) -> SendTimeoutError<T> {
        SendTimeoutError::Disconnected(error.0)
    }
}
