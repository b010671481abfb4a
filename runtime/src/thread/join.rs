//! What becomes of a green thread, and waiting for it.

use super::{Result, Thread};
use crate::clock::Instant;
use crate::park::{Cancelled, KillPayload, Reason, Wake};
use crate::primitive::{Mutex, lock};
use crate::scheduler;
use crate::task::Task;
use core::any::Any;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What `join` gives for a green thread that was killed. Raising it again, with `resume_unwind`, is an ordinary panic.
///
/// ```
/// osier::run(|| {
///     let thread = osier::spawn(|| osier::thread::park());
///     osier::yield_now();
///     thread.kill();
///     assert!(thread.join().unwrap_err().is::<osier::thread::Killed>());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the green thread was killed")
    }
}

impl std::error::Error for Killed {}

/// Where a green thread leaves its result for who joins it.
///
/// `S` is told, when the packet is dropped, whether a panic was left in it: a scope's interest.
pub(crate) struct Packet<T, S: Unclaimed = ()> {
    /// `None` until the green thread has ended, for ever if it never ran, and after the join.
    result: Mutex<Option<Result<T>>>,
    interested: S,
}

/// Somebody who wants to know of panics that nobody has joined.
pub(crate) trait Unclaimed {
    fn unclaimed_panic(&self);
}

impl Unclaimed for () {
    fn unclaimed_panic(&self) {}
}

impl<T, S: Unclaimed> Packet<T, S> {
    /// A packet, and a body that runs `f` and leaves its result there. The body never unwinds.
    pub(crate) fn new<F>(f: F, interested: S) -> (Arc<Packet<T, S>>, impl FnOnce())
    where
        F: FnOnce() -> T,
    {
        let packet = Arc::new(Packet { result: Mutex::new(None), interested });
        let theirs = packet.clone();
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(f)).map_err(|payload| -> Box<dyn Any + Send> {
                if payload.is::<KillPayload>() { Box::new(Killed) } else { payload }
            });
            scheduler::end_copy(result.is_err());
            *lock(&theirs.result) = Some(result);
            // If nobody will join, the result goes here.
            if let Some(packet) = Arc::into_inner(theirs) {
                scheduler::drop_quietly(packet);
            }
        };
        (packet, body)
    }

    fn take(&self, task: &Task) -> Result<T> {
        lock(&self.result).take().unwrap_or_else(|| {
            Err(match task.failure() {
                Some(error) => Box::new(io::Error::new(error.kind(), format!("no stack: {error}"))),
                None => Box::new(Killed),
            })
        })
    }
}

impl<T, S: Unclaimed> Drop for Packet<T, S> {
    fn drop(&mut self) {
        let result = self.result.get_mut().take();
        if let Some(Err(payload)) = &result
            && !payload.is::<Killed>()
        {
            self.interested.unclaimed_panic();
        }
        drop(result);
    }
}

/// Waits until `task` is done.
pub(crate) fn wait_done(
    task: &Arc<Task>,
    deadline: Option<Instant>,
) -> core::result::Result<Wake, Cancelled> {
    scheduler::checkpoint()?;
    task.completion.wait(Reason::Join(task.id), deadline)
}

/// A green thread that can be joined. Dropping it lets the green thread run on by itself.
pub struct JoinHandle<T> {
    join: Join<T, ()>,
}

/// What the kinds of join handles share.
pub(super) struct Join<T, S: Unclaimed> {
    thread: Thread,
    packet: Arc<Packet<T, S>>,
}

impl<T, S: Unclaimed> Join<T, S> {
    pub(super) fn new(task: Arc<Task>, packet: Arc<Packet<T, S>>) -> Join<T, S> {
        Join { thread: Thread::green(task), packet }
    }

    fn task(&self) -> &Arc<Task> {
        self.thread.task().expect("a join handle is of a green thread")
    }

    pub(super) fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task().is_done()
    }

    pub(super) fn kill(&self) {
        scheduler::kill(self.task());
    }

    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        match wait_done(self.task(), deadline) {
            Ok(wake) => wake == Wake::Unparked,
            Err(cancelled) => cancelled.raise(),
        }
    }

    pub(super) fn join(self) -> Result<T> {
        match wait_done(self.task(), None) {
            Ok(_) => self.packet.take(self.task()),
            Err(cancelled) => cancelled.raise(),
        }
    }

    pub(super) fn join_timeout(self, timeout: Duration) -> core::result::Result<Result<T>, Self> {
        match wait_done(self.task(), Instant::now().checked_add(timeout)) {
            Ok(Wake::Unparked) => Ok(self.packet.take(self.task())),
            Ok(Wake::Deadline) => Err(self),
            Err(cancelled) => cancelled.raise(),
        }
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: Arc<Task>, packet: Arc<Packet<T>>) -> JoinHandle<T> {
        JoinHandle { join: Join::new(task, packet) }
    }

    /// The handle to the green thread.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.join.thread()
    }

    /// Waits until it has ended. Works on green threads of any runtime and on OS threads.
    ///
    /// # Errors
    ///
    /// With the payload of its panic; with [`Killed`]; or with an [`io::Error`] if there was no memory for its stack.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) of the one that waits ends the wait and unwinds; the one that is joined
    /// runs on.
    pub fn join(self) -> Result<T> {
        self.join.join()
    }

    /// [`JoinHandle::join`], for at most `timeout`.
    ///
    /// ```
    /// use osier::time::Duration;
    /// osier::run(|| {
    ///     let thread = osier::spawn(|| osier::thread::park());
    ///     let thread = thread.join_timeout(Duration::from_millis(1)).unwrap_err();
    ///     thread.thread().unpark();
    ///     thread.join().unwrap();
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// The handle again, if the time is over first.
    ///
    /// # Cancellation
    ///
    /// As [`JoinHandle::join`].
    pub fn join_timeout(self, timeout: Duration) -> core::result::Result<Result<T>, JoinHandle<T>> {
        self.join.join_timeout(timeout).map_err(|join| JoinHandle { join })
    }

    /// [`JoinHandle::join`] without its result: waits until it has ended, and leaves the handle to whoever wants to join.
    ///
    /// ```
    /// osier::run(|| {
    ///     let thread = osier::spawn(|| 42);
    ///     thread.wait();
    ///     assert!(thread.is_finished());
    ///     assert_eq!(thread.join().unwrap(), 42);
    /// });
    /// ```
    ///
    /// # Cancellation
    ///
    /// As [`JoinHandle::join`].
    pub fn wait(&self) {
        self.join.wait(None);
    }

    /// [`JoinHandle::wait`], for at most `timeout`; whether it has ended.
    ///
    /// # Cancellation
    ///
    /// As [`JoinHandle::join`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.join.wait(Instant::now().checked_add(timeout))
    }

    /// Whether it has ended, so that `join` would not wait. Never waits.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// Has it end: its wait, this one or else every later one, unwinds it, so its destructors run. Never waits; `join`
    /// afterwards to wait for its end. Any thread may call it, more than once.
    ///
    /// One that has not started never does. One that runs, or waits under a [`shield`](crate::shield), goes on to its next wait.
    /// One that returns a value all the same has returned it. No lock is poisoned.
    pub fn kill(&self) {
        self.join.kill();
    }
}

// SAFETY: what crosses OS threads with the handle is the result, and a handle that can cross comes from a spawn that demanded that the
// result is `Send`. A `LocalJoinHandle` has one of which that is not true, keeps it to itself, and is not `Send`.
unsafe impl<T> Send for JoinHandle<T> {}
// SAFETY: as above; a shared handle gives no access to the result, and `LocalJoinHandle` is not `Sync` either.
unsafe impl<T> Sync for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// A [`JoinHandle`] of [`spawn_local`](super::spawn_local): it stays on its OS thread, as what it gives does.
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// osier::run(|| send(osier::spawn_local(|| 1)));
/// ```
pub struct LocalJoinHandle<T> {
    handle: JoinHandle<T>,
    /// Neither `Send` nor `Sync`.
    _local: PhantomData<*const ()>,
}

impl<T> LocalJoinHandle<T> {
    pub(super) fn new(handle: JoinHandle<T>) -> LocalJoinHandle<T> {
        LocalJoinHandle { handle, _local: PhantomData }
    }

    /// As [`JoinHandle::thread`].
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.handle.thread()
    }

    /// As [`JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn join(self) -> Result<T> {
        self.handle.join()
    }

    /// As [`JoinHandle::join_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn join_timeout(self, timeout: Duration) -> core::result::Result<Result<T>, LocalJoinHandle<T>> {
        self.handle.join_timeout(timeout).map_err(LocalJoinHandle::new)
    }

    /// As [`JoinHandle::wait`].
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn wait(&self) {
        self.handle.wait();
    }

    /// As [`JoinHandle::wait_timeout`].
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.handle.wait_timeout(timeout)
    }

    /// As [`JoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// As [`JoinHandle::kill`].
    pub fn kill(&self) {
        self.handle.kill();
    }
}

impl<T> fmt::Debug for LocalJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalJoinHandle").finish_non_exhaustive()
    }
}

/// Joins all of `handles`, in order, and gives their results in that order.
///
/// ```
/// osier::run(|| {
///     let threads = (0..3).map(|n| osier::spawn(move || n * n));
///     let squares: Vec<_> = osier::thread::join_all(threads).into_iter().map(Result::unwrap).collect();
///     assert_eq!(squares, [0, 1, 4]);
/// });
/// ```
///
/// # Cancellation
///
/// As [`JoinHandle::join`]; the results so far are dropped, those not yet joined run on.
pub fn join_all<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<Result<T>> {
    // All are spawned before the first is waited for, also when the iterator spawns them.
    let handles: Vec<_> = handles.into_iter().collect();
    handles.into_iter().map(JoinHandle::join).collect()
}
