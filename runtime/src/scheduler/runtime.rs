//! The runtime around the workers: how it is entered and ended.

use super::builder::{Builder, Ending};
use super::crew::Crew;
use super::deadlock::Deadlock;
use super::entered::Entered;
use super::others::Others;
use super::worker::Worker;
use super::{copies, end_copy, enter};
use crate::entry;
use crate::os_thread::OsThread;
use crate::panic_count::{self, AbortOnUnwind};
use crate::task::{Attributes, Body};
use core::cell::Cell;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Runs `f` as the main green thread of a new runtime with default settings, and returns what it returns.
///
/// The OS thread that calls becomes the runtime's only worker until `f` has ended. What still runs then is killed and
/// unwound first, so nothing outlives the call. See [`Runtime::run`].
///
/// ```
/// let sum = osier::run(|| {
///     let threads: Vec<_> = (1..=3).map(|n| osier::spawn(move || n * 10)).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
/// });
/// assert_eq!(sum, 60);
/// ```
///
/// # Panics
///
/// With the panic of `f`; on a deadlock; if the runtime cannot be made for want of descriptors or memory; and when called
/// inside a runtime: there use [`spawn`](crate::spawn).
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    match Builder::new().build() {
        Ok(runtime) => runtime.run(f),
        Err(error) => panic!("the runtime cannot be made: {error}"),
    }
}

/// A scheduler with its workers.
///
/// Neither `Send` nor `Sync`: the OS thread that makes it is its first worker. Other OS threads use its [`Handle`](crate::Handle).
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// send(osier::Builder::new().build().unwrap());
/// ```
///
/// Green threads run only inside [`run`](Runtime::run) and [`enter`](Runtime::enter); each ends with all of them unwound, so the
/// runtime can be used again. Dropping the runtime drops what was spawned through a handle and never ran.
pub struct Runtime {
    /// The first one, on the OS thread that calls.
    pub(super) worker: Worker,
    /// Driven by OS threads of their own inside of an entry, and by nobody outside.
    pub(super) others: Vec<Worker>,
    main_stack_size: usize,
    pub(super) ending: Ending,
    /// Which process has made it.
    process: usize,
}

impl Runtime {
    /// A runtime of these workers, one at least.
    pub(super) fn new(mut workers: Vec<Worker>, main_stack_size: usize, ending: Ending) -> Runtime {
        let others = workers.split_off(1);
        let worker = workers.pop().expect("a runtime has at least one worker");
        Runtime { worker, others, main_stack_size, ending, process: copies() }
    }

    /// Runs `f` as the main green thread, and returns what it returns.
    ///
    /// The OS thread that calls runs green threads until `f` has ended. Those that are left are then killed and unwound (or waited
    /// for, with [`Builder::wait_all`]), so that their destructors run and nothing outlives the call; `f` may therefore
    /// borrow from its surroundings, and need not be `Send`.
    ///
    /// ```
    /// let runtime = osier::Builder::new().build()?;
    /// let mut log = Vec::new();
    /// runtime.run(|| log.push(osier::spawn(|| "from a green thread").join().unwrap()));
    /// assert_eq!(log, ["from a green thread"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; with a [`Deadlock`] when nobody can run any more; if there is no memory for a stack, or no OS thread for
    /// another worker (then `f` has not begun); when called inside a runtime; and in the child of a process that has made the runtime.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T,
    {
        match self.try_run(f) {
            Ok(value) => value,
            Err(deadlock) => panic!("{deadlock}"),
        }
    }

    /// [`Runtime::run`], but a deadlock is returned.
    ///
    /// # Errors
    ///
    /// When nobody can run any more and nobody outside could change that: green threads wait for each other in a circle of joins and locks, or all
    /// are parked without a deadline while the process has no OS thread but the runtime's. All were killed and unwound.
    ///
    /// # Panics
    ///
    /// As [`Runtime::run`], but for the deadlock.
    pub fn try_run<F, T>(&self, f: F) -> Result<T, Deadlock>
    where
        F: FnOnce() -> T,
    {
        let outcome: Cell<Option<std::thread::Result<T>>> = Cell::new(None);
        let mut deadlock = None;
        let (main, left) = self.entered(|| {
            let attributes = Attributes {
                name: Some("main".into()),
                stack_size: Some(self.main_stack_size),
                ..Attributes::default()
            };
            let body: Box<dyn FnOnce() + '_> = Box::new(|| {
                let ended = catch_unwind(AssertUnwindSafe(f));
                end_copy(ended.is_err());
                outcome.set(Some(ended));
            });
            // SAFETY: the body is run or dropped before `entered` returns, which waits for all green threads, and which does not
            // unwind; so what it borrows is still there.
            let body = unsafe { core::mem::transmute::<Box<dyn FnOnce() + '_>, Body>(body) };
            let main = self.worker.spawn(attributes, body);
            // The user's callbacks in between must not switch to a greenlet of whoever called us.
            deadlock = entry::apart(|| self.drive(|| main.is_done()));
            main
        });
        if let Some(error) = main.failure() {
            panic!("no stack of {} bytes for the main green thread: {error}", self.main_stack_size);
        }
        match (deadlock.or(left), outcome.take()) {
            (Some(deadlock), _) => Err(deadlock),
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(payload))) => resume_unwind(payload),
            (None, None) => unreachable!("the main green thread has ended without an outcome"),
        }
    }

    /// Runs `f` on the OS thread itself, which drives the runtime by calling [`Entered::turn`]: for a program that has a loop of
    /// its own. What is left at the end is killed and unwound, as by [`Runtime::run`].
    ///
    /// Only the first worker needs the turns: others run on OS threads of their own all the time.
    ///
    /// In `f`, outside of green threads, [`spawn`](crate::spawn) works, and a blocking call of this crate runs green threads while it
    /// waits. Deadlocks are not looked for.
    ///
    /// ```
    /// let runtime = osier::Builder::new().build()?;
    /// runtime.enter(|driver| {
    ///     let thread = osier::spawn(|| 42);
    ///     while !thread.is_finished() {
    ///         driver.turn(None);
    ///     }
    ///     assert_eq!(thread.join().unwrap(), 42);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; if there is no OS thread for another worker; when called inside a runtime; and in the child of a
    /// process that has made the runtime.
    pub fn enter<F, T>(&self, f: F) -> T
    where
        F: FnOnce(&mut Entered<'_>) -> T,
    {
        let (outcome, _) = self.entered(|| {
            let mut entered = Entered { worker: &self.worker };
            // What a handle has spawned before makes the descriptor readable.
            self.worker.leave_to_foreign_loop();
            let ended = entry::nested(|| f(&mut entered));
            end_copy(ended.is_err());
            ended
        });
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// What the workers share.
    pub(crate) fn crew(&self) -> &Arc<Crew> {
        self.worker.crew()
    }

    /// An entry: all stacks that are suspended in it are unwound before it returns, and the OS threads of the other workers
    /// have ended. Gives what [`Runtime::end`] has to say besides.
    fn entered<T>(&self, f: impl FnOnce() -> T) -> (T, Option<Deadlock>) {
        assert!(self.process == copies(), "the runtime is the parent process's: make one after the fork");
        enter(&self.worker, || {
            super::arm_overflow_report();
            let others = match Others::start(&self.others, self.crew()) {
                Ok(others) => others,
                Err(error) => panic!("no OS thread for a worker: {error}"),
            };
            let os_thread = OsThread::current();
            os_thread.drives(Some(self.worker.remote().clone()));
            let guard = AbortOnUnwind;
            let mut value = None;
            // Green threads do not unwind because the destructor that has entered does.
            panic_count::lend(|| {
                value = Some((f(), entry::apart(|| self.end())));
                drop(others);
                self.worker.ended();
                self.crew().send_back_latecomers();
            });
            core::mem::forget(guard);
            os_thread.drives(None);
            value.expect("set above")
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let workers = || core::iter::once(&self.worker).chain(&self.others);
        self.crew().close();
        workers().for_each(Worker::close);
        self.worker.remote().offload.close();
        workers().for_each(|worker| worker.remote().close_descriptors());
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("workers", &(1 + self.others.len()))
            .field("green_threads", &self.crew().live())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
