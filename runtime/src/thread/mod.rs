//! Green threads, with the names that [`std::thread`] has.
//!
//! A green thread is spawned like an OS thread and behaves like one, but its waits park it alone and let others of its
//! worker run. Every call here also works on a plain OS thread, which it then blocks; only [`spawn`] and [`scope`] need a
//! runtime.
//!
//! # Differences from std
//!
//! - [`JoinHandle::kill`], [`JoinHandle::join_timeout`] and [`JoinHandle::wait`] are there besides, and so are [`enumerate`],
//!   [`active_count`], [`catch_cancelled`] and [`Thread::display_name`].
//! - [`ThreadId`] and [`Thread`] are types of our own, since they also name green threads.
//! - [`LocalKey`] is std's, of OS threads; values of which each green thread has its own are those of [`local!`](crate::local!).
//! - A stack that cannot be had is an error that `join` reports, not `spawn`: the stack is taken when the green thread first
//!   runs.
//! - [`sleep_until`] takes an instant of std's, or of [`time`](crate::time).
//! - What still runs when [`run`](crate::run) ends is killed, unless [`Builder::wait_all`](crate::Builder::wait_all) was set.

mod builder;
mod cancelled;
mod handle;
mod join;
mod scoped;

pub use self::builder::Builder;
pub use self::cancelled::{Cancelled, catch_cancelled};
pub use self::handle::Handle;
pub use self::join::{JoinHandle, Killed, LocalJoinHandle, join_all};
pub use self::scoped::{Scope, ScopedJoinHandle, scope};
pub use std::thread::{AccessError, LocalKey, Result, available_parallelism, panicking};

use crate::clock::Instant;
use crate::os_thread::OsThread;
use crate::park::{self, Reason, Unparker, Wake};
use crate::scheduler::{self, Place};
use crate::task::Task;
pub use crate::task::ThreadId;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

/// A handle to a thread, green or OS.
#[derive(Clone)]
pub struct Thread {
    thread: Unparker,
}

impl Thread {
    pub(crate) fn green(task: Arc<Task>) -> Thread {
        Thread { thread: Unparker::Green(task) }
    }

    /// Which thread it is.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId::from_number(match &self.thread {
            Unparker::Green(task) => task.id,
            Unparker::Os(thread) => thread.id,
        })
    }

    /// Its name, if it was given one. The main green thread's is `main`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.thread {
            Unparker::Green(task) => task.attributes.name.as_deref(),
            Unparker::Os(thread) => thread.name.as_deref(),
        }
    }

    /// Its name; if it was given none, one that is made of its id: `green-thread-7`, and `os-thread-8` for an OS thread.
    ///
    /// Reports of panics, overflows and deadlocks use the same.
    ///
    /// ```
    /// osier::run(|| {
    ///     let unnamed = osier::spawn(|| ());
    ///     assert_eq!(unnamed.thread().name(), None);
    ///     assert!(unnamed.thread().display_name().starts_with("green-thread-"));
    ///     assert_eq!(osier::thread::current().display_name(), "main");
    /// });
    /// ```
    #[must_use]
    pub fn display_name(&self) -> Cow<'_, str> {
        match &self.thread {
            Unparker::Green(task) => task.display_name(),
            Unparker::Os(thread) => match &thread.name {
                Some(name) => Cow::Borrowed(name),
                None => Cow::Owned(format!("os-thread-{}", thread.id)),
            },
        }
    }

    /// Lets its [`park`], this one or the next, return. Never waits; any thread may call it.
    pub fn unpark(&self) {
        match &self.thread {
            Unparker::Green(task) => task.permit.give(),
            Unparker::Os(thread) => thread.permit.give(),
        }
        self.thread.unpark();
    }

    /// The control block, if it is a green thread.
    pub(crate) fn task(&self) -> Option<&Arc<Task>> {
        match &self.thread {
            Unparker::Green(task) => Some(task),
            Unparker::Os(_) => None,
        }
    }
}

// What of a thread can be reached through its handle is changed by atomic operations only.
impl UnwindSafe for Thread {}
impl RefUnwindSafe for Thread {}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Queues a green thread that will run `f`. Never switches: it runs when its turn comes, after those that are ready.
///
/// ```
/// osier::run(|| {
///     let thread = osier::thread::spawn(|| 6 * 7);
///     assert_eq!(thread.join().unwrap(), 42);
/// });
/// ```
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn_now(f)
}

/// [`spawn`] for what need not be `Send`: the green thread stays on the worker that spawns it.
///
/// ```
/// osier::run(|| {
///     let shared = std::rc::Rc::new(std::cell::Cell::new(1));
///     let theirs = shared.clone();
///     osier::spawn_local(move || theirs.set(2)).join().unwrap();
///     assert_eq!(shared.get(), 2);
/// });
/// ```
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn spawn_local<F, T>(f: F) -> LocalJoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Builder::new().spawn_local_now(f)
}

/// The thread that calls.
#[must_use]
pub fn current() -> Thread {
    // In a panic hook a green thread is still the one that panicked.
    let task = scheduler::with_worker(|worker| worker.and_then(|worker| worker.running()));
    Thread { thread: task.map_or_else(|| Unparker::Os(OsThread::current()), Unparker::Green) }
}

/// The worker of the OS thread that calls, counted from 0, the one that has entered the runtime; `None` outside of a runtime. A
/// green thread stays on its worker. See [`Builder::worker`](Builder::worker).
#[must_use]
pub fn worker() -> Option<usize> {
    scheduler::with_worker(|worker| worker.map(|worker| worker.remote().index()))
}

/// All green threads of the calling thread's runtime that have not ended, the oldest first. Empty outside of a runtime.
///
/// Those that have not started are among them, but for those that an OS thread outside of the runtime has just spawned. With
/// several workers this waits until each of them has come to its next turn.
///
/// ```
/// osier::run(|| {
///     let baker = osier::thread::Builder::new().name("baker".into()).spawn(osier::thread::park)?;
///     let names: Vec<_> = osier::thread::enumerate().iter().map(|thread| thread.display_name().into_owned()).collect();
///     assert_eq!(names, ["main", "baker"]);
///     assert_eq!(osier::thread::active_count(), 2);
///     baker.thread().unpark();
///     baker.join().unwrap();
///     assert_eq!(osier::thread::active_count(), 1);
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
#[must_use]
pub fn enumerate() -> Vec<Thread> {
    let tasks = scheduler::call_roll().unwrap_or_else(|cancelled| cancelled.raise());
    tasks.into_iter().map(Thread::green).collect()
}

/// How many green threads of the calling thread's runtime have not ended; 0 outside of a runtime. Never waits.
#[must_use]
pub fn active_count() -> usize {
    scheduler::live()
}

/// Lets the other ready green threads run first; on a plain OS thread, std's `yield_now`.
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) that has passed unwinds from here.
pub fn yield_now() {
    scheduler::yield_now().unwrap_or_else(|cancelled| cancelled.raise());
}

/// Waits until [`Thread::unpark`] is called for this thread, or has been since its last `park`; now and then for no reason.
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
pub fn park() {
    park_until(None);
}

/// [`park`], for at most `timeout`.
///
/// # Cancellation
///
/// As [`park`].
pub fn park_timeout(timeout: Duration) {
    park_until(Instant::now().checked_add(timeout));
}

fn park_until(deadline: Option<Instant>) {
    scheduler::checkpoint().unwrap_or_else(|cancelled| cancelled.raise());
    loop {
        let permitted = scheduler::with_place(|place| match place {
            Place::Green(worker) => worker.current_task().permit.take(),
            Place::Driver(_) | Place::OsThread => OsThread::current().permit.take(),
        });
        if permitted {
            return;
        }
        match park::park(Reason::Park, deadline) {
            Ok(Wake::Unparked) => {}
            Ok(Wake::Deadline) => return,
            Err(cancelled) => cancelled.raise(),
        }
    }
}

/// Waits for `duration`, and not less. Zero lets the others run.
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
///
/// ```
/// use osier::time::{Duration, Instant};
/// osier::run(|| {
///     let start = Instant::now();
///     osier::thread::sleep(Duration::from_millis(1));
///     assert!(start.elapsed() >= Duration::from_millis(1));
/// });
/// ```
pub fn sleep(duration: Duration) {
    // What cannot be represented is for ever.
    sleep_deadline(Instant::now().checked_add(duration));
}

/// Waits until `deadline`, and not less. One that has passed lets the others run. An instant of std's is one of the same distance
/// from now by the runtime's clock.
///
/// # Cancellation
///
/// As [`sleep`].
///
/// ```
/// use std::time::{Duration, Instant};
/// osier::run(|| {
///     let deadline = Instant::now() + Duration::from_millis(1);
///     osier::thread::sleep_until(deadline);
///     assert!(Instant::now() >= deadline);
/// });
/// ```
pub fn sleep_until(deadline: impl Into<Instant>) {
    sleep_deadline(Some(deadline.into()));
}

fn sleep_deadline(deadline: Option<Instant>) {
    sleep_checked(deadline).unwrap_or_else(|cancelled| cancelled.raise());
}

/// The sleep behind `sleep` and its shims.
pub(crate) fn sleep_checked(deadline: Option<Instant>) -> core::result::Result<(), park::Cancelled> {
    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return scheduler::yield_now();
    }
    while park::park(Reason::Sleep, deadline)? != Wake::Deadline {}
    Ok(())
}

/// [`sleep`], in milliseconds.
///
/// # Cancellation
///
/// As [`sleep`].
#[deprecated(since = "0.1.0", note = "replaced by `osier::thread::sleep`")]
pub fn sleep_ms(milliseconds: u32) {
    sleep(Duration::from_millis(milliseconds.into()));
}

/// [`park_timeout`], in milliseconds.
///
/// # Cancellation
///
/// As [`park`].
#[deprecated(since = "0.1.0", note = "replaced by `osier::thread::park_timeout`")]
pub fn park_timeout_ms(milliseconds: u32) {
    park_timeout(Duration::from_millis(milliseconds.into()));
}

/// Runs `f`; a kill or an enclosing [`timeout`](crate::time::timeout) does not end its waits, but the first wait after it.
///
/// For what must not be left half done, and for waits in a callback that was called from C (or else [`catch_cancelled`]). Also at
/// the end of a runtime, which waits for it.
///
/// ```
/// osier::run(|| {
///     let thread = osier::spawn(|| {
///         osier::shield(|| osier::sleep(osier::time::Duration::from_millis(1)));
///         "finished"
///     });
///     osier::yield_now();
///     thread.kill();
///     assert_eq!(thread.join().unwrap(), "finished");
/// });
/// ```
pub fn shield<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    crate::limits::with_shield(f)
}

#[cfg(test)]
mod tests {
    use core::panic::{RefUnwindSafe, UnwindSafe};

    /// Instantiates the same check with std's types and with ours.
    macro_rules! both {
        ($check:ident, $($type:tt)*) => {{
            $check::<std::thread::$($type)*>();
            $check::<super::$($type)*>();
        }};
    }

    #[test]
    fn auto_traits_are_those_of_std() {
        fn shared<T: Send + Sync + Unpin>() {}
        fn safe<T: UnwindSafe + RefUnwindSafe>() {}
        both!(shared, Thread);
        both!(safe, Thread);
        both!(shared, ThreadId);
        both!(safe, ThreadId);
        // Also for results that are not `Send` themselves, which no spawn lets be.
        both!(shared, JoinHandle<*const ()>);
        both!(shared, ScopedJoinHandle<'static, u8>);
        both!(shared, Scope<'static, 'static>);
        both!(shared, Builder);
        both!(safe, Builder);
    }
}
