//! Calls that cannot be made nonblocking, on a pool of OS threads.
//!
//! Owns the OS threads: they are started when a call finds none idle, and end after [`KEEP_ALIVE`] without work. The pool
//! of a runtime that has ended lets its OS threads finish what they have begun and waits for none.
//!
//! Submitting never waits: a call beyond the bound on OS threads queues.

use crate::park::{Cancelled, Reason, Unparker, park};
use crate::primitive::{Arc, Condvar, Mutex, lock, start_os_thread, wait_while};
use crate::scheduler;
use core::cell::Cell;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::Result;

/// How long an idle OS thread waits for more work.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Runs a call, says that its OS thread is about to be idle, and only then tells the caller: who offloads one call after
/// the other finds the same OS thread again.
type Job = Box<dyn FnOnce(&dyn Fn()) + Send>;

/// A pool of OS threads.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    submitted: Condvar,
    /// The most OS threads at once.
    bound: usize,
}

struct State {
    jobs: VecDeque<Job>,
    /// OS threads that have been started and have not ended.
    threads: usize,
    /// Of these, those that wait for work or are about to look for some.
    idle: usize,
    /// Calls that have begun, and of which nobody has been told yet that they are done.
    running: usize,
    /// The runtime has ended, or somebody waits for idle OS threads to end.
    closed: bool,
}

impl Pool {
    /// A pool that has started nothing.
    pub(crate) fn new(bound: usize) -> Pool {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0, running: 0, closed: false };
        Pool { shared: Arc::new(Shared { state: Mutex::new(state), submitted: Condvar::new(), bound }) }
    }

    /// Queues `job`, and starts an OS thread for it if none is idle and the bound allows one more.
    ///
    /// # Errors
    ///
    /// If the machine gives no OS thread and there is none yet that could run the job.
    fn submit(&self, job: Job) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        state.jobs.push_back(job);
        // Each idle OS thread takes one job; those told already have not yet taken theirs out of the queue.
        if state.idle >= state.jobs.len() {
            self.shared.submitted.notify_one();
            return Ok(());
        }
        if state.threads == self.shared.bound {
            return Ok(());
        }
        state.threads += 1;
        let shared = self.shared.clone();
        let started = start_os_thread("osier-offload", move || shared.serve());
        if let Err(error) = started {
            state.threads -= 1;
            // With other OS threads at work the job is run by one of them.
            if state.threads == 0 {
                let unbegun = state.jobs.pop_back();
                drop(state);
                // The call's captured values are the user's: not under the lock.
                drop(unbegun);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets idle OS threads end, and drops what nobody has begun.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closed = true;
        let unbegun = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.submitted.notify_all();
        unbegun.into_iter().for_each(scheduler::drop_quietly);
    }

    /// Has OS threads end that have nothing to do; how many are left. They take a moment: to be called until there are none. To be
    /// followed by [`Pool::go_on`].
    ///
    /// # Errors
    ///
    /// If there is something to do: then they stay.
    pub(crate) fn retire(&self) -> core::result::Result<usize, Busy> {
        let mut state = lock(&self.shared.state);
        if state.running > 0 || !state.jobs.is_empty() {
            return Err(Busy);
        }
        state.closed = true;
        let idle = &self.shared.submitted;
        idle.notify_all();
        Ok(state.threads)
    }

    /// Lets OS threads be idle again.
    pub(crate) fn go_on(&self) {
        lock(&self.shared.state).closed = false;
    }

    /// The OS threads that the pool has now, if none of them has anything to do.
    pub(crate) fn idle_threads(&self) -> Option<usize> {
        let state = lock(&self.shared.state);
        (state.idle == state.threads && state.jobs.is_empty()).then_some(state.threads)
    }

    /// Runs `call` on the pool, while the green thread that calls is parked.
    ///
    /// # Errors
    ///
    /// The panic of `call` or the lack of an OS thread, inside; a kill or an enclosing deadline, outside: then the call is
    /// abandoned: it runs to its end, and its result is dropped.
    pub(crate) fn run<T, F>(&self, call: F) -> core::result::Result<io::Result<Result<T>>, Cancelled>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Pool::hand_over(Reason::Offload, call, |job| self.submit(job))
    }

    /// Has `submit` get `call` run elsewhere, and waits for it, which is told as `reason`.
    ///
    /// # Errors
    ///
    /// As [`Pool::run`].
    pub(super) fn hand_over<T, F>(
        reason: Reason<'_>,
        call: F,
        submit: impl FnOnce(Job) -> io::Result<()>,
    ) -> core::result::Result<io::Result<Result<T>>, Cancelled>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let slot = Arc::new(Mutex::new(Slot::Empty));
        let caller = Unparker::current();
        let job = {
            let slot = slot.clone();
            move |about_to_be_idle: &dyn Fn()| {
                let done = catch_unwind(AssertUnwindSafe(call));
                let mut place = lock(&slot);
                if matches!(*place, Slot::Abandoned) {
                    drop(place);
                    // What the call has returned is the user's: not under the lock, and not counted as idle.
                    drop(done);
                    return about_to_be_idle();
                }
                *place = Slot::Done(done);
                // Under the lock: the caller may look before it is unparked.
                about_to_be_idle();
                drop(place);
                caller.unpark();
            }
        };
        if let Err(error) = submit(Box::new(job)) {
            return Ok(Err(error));
        }
        loop {
            // First of all, also when the call is over already: others run meanwhile, always.
            if let Err(cancelled) = park(reason, None) {
                let done = core::mem::replace(&mut *lock(&slot), Slot::Abandoned);
                scheduler::drop_quietly(done);
                return Err(cancelled);
            }
            if let Slot::Done(done) = core::mem::replace(&mut *lock(&slot), Slot::Empty) {
                return Ok(Ok(done));
            }
        }
    }
}

/// Calls are under way.
#[derive(Debug)]
pub(crate) struct Busy;

/// Where a call leaves what it has returned.
enum Slot<T> {
    /// It has not returned yet, or the caller has taken it.
    Empty,
    Done(Result<T>),
    /// Nobody waits for it any more.
    Abandoned,
}

impl Shared {
    /// The life of one OS thread of the pool.
    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                drop(state);
                // The job has caught its own panic; one from dropping an abandoned result must not end this OS thread.
                let counted = Cell::new(false);
                let about_to_be_idle = || {
                    let mut state = lock(&self.state);
                    state.idle += 1;
                    state.running -= 1;
                    counted.set(true);
                };
                let _ = catch_unwind(AssertUnwindSafe(|| job(&about_to_be_idle)));
                state = lock(&self.state);
                state.idle -= usize::from(counted.get());
                state.running -= usize::from(!counted.get());
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            state = wait_while(&self.submitted, state, KEEP_ALIVE, |state| {
                state.jobs.is_empty() && !state.closed
            });
            state.idle -= 1;
            if state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}
