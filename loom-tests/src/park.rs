//! The runtime's `park` for threads of a model: what ends a wait besides an unpark is done by other threads of the model.
//!
//! loom has neither kills nor time. So [`spawn`] gives a [`Victim`] with the thread, and whoever has that kills the thread, or lets its
//! time pass, at any point of its own: each order of these among the unparks and the thread's own steps is explored, with no
//! clock. As at a worker, what comes first while the thread waits ends the wait, and the token of an unpark that comes later
//! stays for the next one.

use crate::clock::Instant;
use loom::sync::{Condvar, Mutex};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// As the runtime's, as far as the sources that are checked name it.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "nobody reports deadlocks here but loom")]
pub(crate) enum Reason<'a> {
    Park,
    Offload,
    Join(u64),
    Semaphore(usize),
    Mutex(usize, &'a Holder),
    Condvar(usize),
    Send(usize),
    Receive(usize),
    Event(usize),
    WaitGroup(usize),
    Read(usize, &'a Holder),
    Write(usize, &'a Holder),
    Once(usize, &'a Holder),
    Barrier(usize),
}

/// As the runtime's, which the report of a deadlock needs.
#[derive(Debug)]
pub(crate) struct Holder(());

impl Holder {
    pub(crate) const fn nobody() -> Holder {
        Holder(())
    }
}

/// As the runtime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Unparked,
    Deadline,
}

/// As the runtime's; an outer deadline would end a wait just as a kill does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Cancelled {
    Killed,
}

impl Cancelled {
    /// Unwinds, as far as [`until_killed`].
    pub(crate) fn raise(self) -> ! {
        resume_unwind(Box::new(self))
    }
}

/// Runs `f`; `Err` if a kill has unwound from it.
///
/// loom cannot have a thread that unwinds wait, so nothing on the way may do that in its destructor.
pub(crate) fn until_killed<T>(f: impl FnOnce() -> T) -> Result<T, Cancelled> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Cancelled>() {
        Ok(cancelled) => *cancelled,
        Err(other) => resume_unwind(other),
    })
}

/// A thread of a model, as one that waits.
struct Thread {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// An unpark that came when the thread did not wait, or had just been told to end its wait.
    token: bool,
    killed: bool,
    /// The deadline of every wait that has one is past.
    late: bool,
    /// `None` unless the thread waits.
    wait: Option<Wait>,
}

struct Wait {
    has_deadline: bool,
    /// The first thing that has ended it.
    ended: Option<Result<Wake, Cancelled>>,
}

impl Thread {
    fn new() -> Arc<Thread> {
        Arc::new(Thread { state: Mutex::new(State::default()), ended: Condvar::new() })
    }

    /// Ends the wait that it is in, if `ends` says so. False if there was none to end.
    fn end(
        &self,
        state: &mut State,
        outcome: Result<Wake, Cancelled>,
        ends: impl FnOnce(&Wait) -> bool,
    ) -> bool {
        match &mut state.wait {
            Some(wait) if wait.ended.is_none() && ends(wait) => {
                wait.ended = Some(outcome);
                self.ended.notify_one();
                true
            }
            _ => false,
        }
    }
}

loom::thread_local! {
    /// `None` until the thread first waits, unless it was made by [`spawn`].
    static CURRENT: RefCell<Option<Arc<Thread>>> = RefCell::new(None);
}

fn current() -> Arc<Thread> {
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(Thread::new).clone())
}

/// As the runtime's.
#[derive(Clone)]
pub(crate) struct Unparker {
    thread: Arc<Thread>,
}

impl Unparker {
    pub(crate) fn current() -> Unparker {
        Unparker { thread: current() }
    }

    pub(crate) fn unpark(&self) {
        let mut state = self.thread.state.lock().expect("loom's locks are not poisoned");
        if !self.thread.end(&mut state, Ok(Wake::Unparked), |_| true) {
            state.token = true;
        }
    }
}

/// As the runtime's, but for waking up without a reason.
pub(crate) fn park(_: Reason<'_>, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
    let thread = current();
    let mut state = thread.state.lock().expect("loom's locks are not poisoned");
    if std::mem::take(&mut state.token) {
        return Ok(Wake::Unparked);
    }
    if state.killed {
        return Err(Cancelled::Killed);
    }
    if deadline.is_some() && state.late {
        return Ok(Wake::Deadline);
    }
    state.wait = Some(Wait { has_deadline: deadline.is_some(), ended: None });
    loop {
        if let Some(ended) = state.wait.as_ref().and_then(|wait| wait.ended) {
            state.wait = None;
            return ended;
        }
        state = thread.ended.wait(state).expect("loom's locks are not poisoned");
    }
}

/// A thread of a model, for those that kill it or let its time pass.
#[derive(Clone)]
pub(crate) struct Victim {
    thread: Arc<Thread>,
}

impl Victim {
    /// Ends its wait, this one or each later one.
    pub(crate) fn kill(&self) {
        let mut state = self.thread.state.lock().expect("loom's locks are not poisoned");
        state.killed = true;
        self.thread.end(&mut state, Err(Cancelled::Killed), |_| true);
    }

    /// Ends its wait, this one or the next, as the unpark does that an earlier wait has left behind.
    pub(crate) fn unpark_for_nothing(&self) {
        Unparker { thread: self.thread.clone() }.unpark();
    }

    /// Ends its wait, this one or each later one, if it has a deadline.
    pub(crate) fn let_time_pass(&self) {
        let mut state = self.thread.state.lock().expect("loom's locks are not poisoned");
        state.late = true;
        self.thread.end(&mut state, Ok(Wake::Deadline), |wait| wait.has_deadline);
    }
}

/// A thread that can be killed and whose time may pass.
pub(crate) fn spawn<T: 'static>(body: impl FnOnce() -> T + 'static) -> (Victim, loom::thread::JoinHandle<T>) {
    let thread = Thread::new();
    let theirs = thread.clone();
    let handle = loom::thread::spawn(move || {
        CURRENT.with(|current| current.replace(Some(theirs)));
        body()
    });
    (Victim { thread }, handle)
}
