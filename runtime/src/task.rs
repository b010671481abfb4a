//! The control block of a green thread.
//!
//! A task is shared by everybody who has a handle. What others may do to it goes through atomics and its worker's inbox;
//! its scheduling state belongs to its worker alone, and can be reached only with a `&Worker` in hand, which exists only
//! on that worker's OS thread.
//!
//! # States
//!
//! ```text
//! unborn ──receive──► ready ──resume──► running ──return──► done
//! offered ───take─────► ▲                │   │
//!                       └──wake── parked ◄───┘ park
//!                       ▲────────────────────┘ yield
//! ```
//!
//! *Unborn* is a green thread that was spawned from elsewhere for a certain worker and has not reached it. *Offered* is one that
//! any worker may take: it has no owner yet. The owner's reference to a live task is always in exactly one place: the inbox
//! (unborn), the run queue (ready), the worker's `current` (running), or a slot of its slab (parked).

use crate::completion::Completion;
use crate::fiber::Suspender;
use crate::inbox::{Link, Linked};
use crate::kill_mark::KillMark;
use crate::locals::Locals;
use crate::park::Reason;
use crate::permit::Permit;
use crate::primitive::{Mutex, lock};
use crate::scheduler::{Owner, Remote, Worker};
use crate::timer::TimerKey;
use crate::unwinding::Count;
use core::cell::Cell;
use core::fmt;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::borrow::Cow;
use std::io;
use std::sync::{Arc, OnceLock};

/// Which thread, green or OS: no two of a process are alike, also after one has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadId(NonZeroU64);

impl ThreadId {
    pub(crate) fn of(task: &Arc<Task>) -> ThreadId {
        ThreadId::from_number(task.id)
    }

    pub(crate) fn from_number(number: u64) -> ThreadId {
        // Numbers begin with 1: an `Option` of an id is as small as an id, as std's.
        ThreadId(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }

    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    /// The number by which reports call it, and that [`Thread::display_name`](crate::thread::Thread::display_name) ends with.
    ///
    /// ```
    /// osier::run(|| {
    ///     let unnamed = osier::spawn(|| ());
    ///     let (name, id) = (unnamed.thread().display_name().into_owned(), unnamed.thread().id());
    ///     assert_eq!(name, format!("green-thread-{}", id.as_u64()));
    /// });
    /// ```
    #[must_use]
    pub fn as_u64(self) -> NonZeroU64 {
        self.0
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadId").field(&self.0).finish()
    }
}

/// What the name of a green thread that was given none begins with, where it must have one; its id follows.
pub(crate) const DEFAULT_NAME: &str = "green-thread-";

/// What a green thread runs. It catches its own panics.
pub(crate) type Body = Box<dyn FnOnce()>;

/// What a green thread is told at its spawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) name: Option<Box<str>>,
    /// Usable bytes of its stack; `None` for the runtime's default.
    pub(crate) stack_size: Option<usize>,
    /// For policies: higher is more urgent; 0 unless set.
    pub(crate) priority: i32,
    /// For policies: how long it is expected to run in all; zero unless set.
    pub(crate) cost: Duration,
    /// The worker that it is to run on; `None` for whichever comes to it first.
    pub(crate) worker: Option<usize>,
}

/// The control block.
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) attributes: Attributes,
    /// The worker it belongs to; nobody while it is offered.
    pub(crate) owner: Owner<Remote>,
    /// A worker of its runtime has counted its birth; else the one that first gets it does.
    pub(crate) counted: bool,
    /// Its place in the worker's inbox.
    link: Link<Task>,
    /// What it is to run, while it is unborn.
    unborn: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    killed: KillMark,
    /// The token of `thread::park`.
    pub(crate) permit: Permit,
    /// Why it never ran: no stack could be had.
    failure: OnceLock<io::Error>,
    /// Over when it will never run again and its stack has been given back.
    pub(crate) completion: Completion,
    /// Unwindings that are no failure.
    pub(crate) orderly: Count,
    home: Home,
}

/// The part that belongs to the worker.
pub(crate) struct Home {
    /// False while the task is unborn.
    pub(crate) born: Cell<bool>,
    /// An unpark came while it was not parked; the next park takes it and returns.
    pub(crate) token: Cell<bool>,
    /// Where it is parked; `None` unless parked.
    pub(crate) slot: Cell<Option<usize>>,
    /// What it waits for; `None` unless parked. What it refers to is borrowed by the parked frame: not to be kept longer.
    pub(crate) reason: Cell<Option<Reason<'static>>>,
    /// How many waits it has begun.
    #[cfg(feature = "patch")]
    pub(crate) waits: Cell<u64>,
    /// The pending deadline of its wait.
    pub(crate) timer: Cell<Option<TimerKey>>,
    /// Whether a kill ends its wait.
    pub(crate) cancellable: Cell<bool>,
    /// How its last wait ended.
    pub(crate) ended: Cell<Ended>,
    /// How it leaves its stack; `None` before its first run.
    pub(crate) suspender: Cell<Option<Suspender>>,
    /// Where the guard of its stack begins; 0 before its first run.
    pub(crate) stack_limit: Cell<usize>,
    /// Its locals, in the frame at the bottom of its stack; null before its first run and after its end.
    pub(crate) locals: Cell<*const Locals>,
    /// How long it has run; measured only when a policy is set.
    pub(crate) ran: Cell<Duration>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Unparked,
    Deadline,
    Killed,
}

// SAFETY: all fields but `home` are `Sync`, and `home` is reached only through `Task::home`, which checks that the caller has
// the task's own worker: a `Worker` is neither `Send` nor `Sync`, so that is on one OS thread. What `home` holds has no
// destructor and no tie to the OS thread that drops it.
unsafe impl Sync for Task {}
// SAFETY: as above.
unsafe impl Send for Task {}

impl Linked for Task {
    fn link(&self) -> &Link<Task> {
        &self.link
    }
}

/// A number that no other thread of this process has had.
pub(crate) fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only uniqueness counts.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Task {
    /// A task that is still to be pushed into the inbox of `remote`, and will run `body`. `counted`: see [`Task::counted`].
    pub(crate) fn unborn(
        remote: Arc<Remote>,
        attributes: Attributes,
        body: Box<dyn FnOnce() + Send>,
        counted: bool,
    ) -> Arc<Task> {
        Task::new(Owner::of(remote), attributes, Some(body), counted)
    }

    /// A task whose worker has its body.
    pub(crate) fn born(remote: Arc<Remote>, attributes: Attributes) -> Arc<Task> {
        Task::new(Owner::of(remote), attributes, None, true)
    }

    /// A task that whoever takes its body owns.
    pub(crate) fn offered(attributes: Attributes, counted: bool) -> Arc<Task> {
        Task::new(Owner::nobody(), attributes, None, counted)
    }

    fn new(
        owner: Owner<Remote>,
        attributes: Attributes,
        unborn: Option<Box<dyn FnOnce() + Send>>,
        counted: bool,
    ) -> Arc<Task> {
        Arc::new(Task {
            id: next_id(),
            attributes,
            owner,
            counted,
            link: Link::new(),
            killed: KillMark::new(),
            permit: Permit::new(),
            failure: OnceLock::new(),
            completion: Completion::new(),
            orderly: Count::new(),
            home: Home {
                born: Cell::new(unborn.is_none()),
                token: Cell::new(false),
                slot: Cell::new(None),
                reason: Cell::new(None),
                #[cfg(feature = "patch")]
                waits: Cell::new(0),
                timer: Cell::new(None),
                cancellable: Cell::new(false),
                ended: Cell::new(Ended::Unparked),
                suspender: Cell::new(None),
                stack_limit: Cell::new(0),
                locals: Cell::new(core::ptr::null()),
                ran: Cell::new(Duration::ZERO),
            },
            unborn: Mutex::new(unborn),
        })
    }

    /// The part that belongs to `worker`.
    ///
    /// # Panics
    ///
    /// If the task belongs to another worker.
    #[inline]
    pub(crate) fn home(&self, worker: &Worker) -> &Home {
        assert!(self.is_of(worker), "a green thread was handled by a worker that is not its own");
        &self.home
    }

    /// [`Task::home`] where nobody can doubt whose it is.
    ///
    /// # Safety
    ///
    /// The caller must be the worker that the task belongs to.
    #[cfg(feature = "patch")]
    #[inline(always)]
    pub(crate) unsafe fn home_of_own(&self) -> &Home {
        &self.home
    }

    #[inline]
    pub(crate) fn is_of(&self, worker: &Worker) -> bool {
        self.owner.is(Arc::as_ptr(worker.remote()))
    }

    /// The name that it was given, else a default.
    pub(crate) fn display_name(&self) -> Cow<'_, str> {
        match &self.attributes.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("{DEFAULT_NAME}{}", self.id)),
        }
    }

    /// What it shall run, which its worker takes as the first thing.
    pub(crate) fn take_unborn(&self) -> Option<Box<dyn FnOnce() + Send>> {
        lock(&self.unborn).take()
    }

    /// Marks it as killed. True the first time: then its owner is to be told, if it has one.
    pub(crate) fn mark_killed(&self) -> bool {
        self.killed.set()
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.is_set()
    }

    /// Notes why it will never run.
    pub(crate) fn fail(&self, error: io::Error) {
        let first = self.failure.set(error);
        debug_assert!(first.is_ok(), "a green thread fails at most once");
    }

    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }

    /// Notes that it will never run again, and wakes who waits for that.
    pub(crate) fn finish(&self) {
        self.completion.finish();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.completion.is_done()
    }
}
