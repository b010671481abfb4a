//! Channels with many senders and one receiver, with the names that [`std::sync::mpsc`] has.
//!
//! Senders and receivers may be on green threads of any runtime and on OS threads; whoever waits lets others run. Messages arrive in the
//! order in which they were sent; who waits first is served first.
//!
//! ```
//! use osier::sync::mpsc;
//! osier::run(|| {
//!     let (sender, receiver) = mpsc::channel();
//!     for cook in 0..3 {
//!         let sender = sender.clone();
//!         osier::spawn(move || sender.send(cook * 10).unwrap());
//!     }
//!     drop(sender);
//!     assert_eq!(receiver.iter().sum::<i32>(), 30);
//! });
//! ```
//!
//! # Kills and timeouts
//!
//! A green thread that is killed in a send has either sent its message or takes it with it, to be dropped as it unwinds. One
//! that is killed in a receive leaves the message to the next. The same holds for an enclosing [`timeout`](crate::time::timeout); a
//! receive that reaches its own deadline when a message was just sent to it takes that.
//!
//! # Differences from std
//!
//! - The place of a message is given up when it is sent to a receiver that waits, not only when that has run.
//! - The buffer of a bounded channel grows as it is used, and is not allocated at once.
//! - [`SyncSender::send_timeout`] and [`Receiver::recv_deadline`], which std has not yet made stable, are there.

mod iter;

pub use self::iter::{IntoIter, Iter, TryIter};
pub use super::mpmc::SendTimeoutError;
pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use super::channel::Channel;
use super::ends;
use crate::clock::Instant;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::panic::RefUnwindSafe;
use core::time::Duration;
use std::sync::Arc;

/// A channel without a bound: a send never waits.
///
/// As [`std::sync::mpsc::channel`].
///
/// ```
/// let (sender, receiver) = osier::sync::mpsc::channel();
/// sender.send("hello").unwrap();
/// assert_eq!(receiver.recv(), Ok("hello"));
/// drop(sender);
/// assert!(receiver.recv().is_err());
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (channel, theirs) = ends::pair(usize::MAX);
    (Sender { channel }, Receiver::new(theirs))
}

/// A channel that holds `bound` messages: a send waits while it is full. With a bound of 0 it waits for the receiver.
///
/// As [`std::sync::mpsc::sync_channel`].
///
/// ```
/// use osier::sync::mpsc::{TrySendError, sync_channel};
/// let (sender, receiver) = sync_channel(1);
/// sender.send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (channel, theirs) = ends::pair(bound);
    (SyncSender { channel }, Receiver::new(theirs))
}

/// The sending end of a [`channel`]. Clones are of the same channel.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends a message. Waits for nobody, but counts as a call that succeeded without waiting: after many of these in a row it lets
    /// others run.
    ///
    /// # Errors
    ///
    /// With the message, if the receiver is gone. That there is one now does not say that it will receive it.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) may unwind from here when others are let run; then the message was
    /// not sent.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        ends::send(&self.channel, message)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.channel.add_sender();
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The sending end of a [`sync_channel`]. Clones are of the same channel.
pub struct SyncSender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> SyncSender<T> {
    /// Sends a message, waiting for a place in the channel. In a channel of bound 0 it waits until a receiver takes the message.
    ///
    /// # Errors
    ///
    /// With the message, if the receiver is gone, also if it goes while this waits.
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
    /// With the message, if there is no place or the receiver is gone.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        ends::try_send(&self.channel, message)
    }

    /// [`SyncSender::send`], for at most `timeout`.
    ///
    /// ```
    /// use osier::sync::mpsc::{SendTimeoutError, sync_channel};
    /// use osier::time::Duration;
    /// let (sender, _receiver) = sync_channel(0);
    /// let late = sender.send_timeout("hello", Duration::from_millis(1));
    /// assert_eq!(late, Err(SendTimeoutError::Timeout("hello")));
    /// ```
    ///
    /// # Errors
    ///
    /// With the message, if the time is over first or the receiver is gone.
    ///
    /// # Cancellation
    ///
    /// As [`SyncSender::send`].
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        ends::send_until(&self.channel, message, Instant::now().checked_add(timeout))
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        self.channel.add_sender();
        SyncSender { channel: self.channel.clone() }
    }
}

impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

/// The receiving end of a channel: `Send`, but not `Sync`, as std's.
///
/// ```compile_fail
/// fn sync<T: Sync>(_: T) {}
/// sync(osier::sync::mpsc::channel::<()>().1);
/// ```
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// Not `Sync`.
    _single: PhantomData<Cell<()>>,
}

impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    fn new(channel: Arc<Channel<T>>) -> Receiver<T> {
        Receiver { channel, _single: PhantomData }
    }

    /// Receives the oldest message, waiting for one.
    ///
    /// # Errors
    ///
    /// If there is none and all senders are gone, also if the last one goes while this waits.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no message is lost.
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
    /// ```
    /// use osier::sync::mpsc::{RecvTimeoutError, channel};
    /// use osier::time::Duration;
    /// let (sender, receiver) = channel::<u8>();
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// drop(sender);
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Disconnected));
    /// ```
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

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.remove_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::panic::UnwindSafe;

    #[test]
    fn auto_traits_are_those_of_std() {
        fn sender<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
        fn receiver<T: Send + Unpin + UnwindSafe + RefUnwindSafe>() {}
        // A message that is `Send` and nothing else, once with std's ends and once with ours.
        type Message = Cell<u8>;
        sender::<std::sync::mpsc::Sender<Message>>();
        sender::<std::sync::mpsc::SyncSender<Message>>();
        receiver::<std::sync::mpsc::Receiver<Message>>();
        sender::<Sender<Message>>();
        sender::<SyncSender<Message>>();
        receiver::<Receiver<Message>>();
        receiver::<IntoIter<Message>>();
    }

    #[test]
    fn debug_is_that_of_std() {
        let (sender, receiver) = channel::<u8>();
        assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
        assert_eq!(format!("{:?}", sync_channel::<u8>(0).0), "SyncSender { .. }");
        let (sender, theirs) = std::sync::mpsc::channel::<u8>();
        assert_eq!(format!("{sender:?} {theirs:?}"), "Sender { .. } Receiver { .. }");
        assert_eq!(
            format!("{:?}", receiver.iter()).replace("receiver", "rx"),
            format!("{:?}", theirs.iter())
        );
    }
}
