//! An OS thread that runs green threads, with its run queue, timers and reactor.
//!
//! # Invariant
//!
//! The worker's own reference to each live green thread is in one place: `run_queue`, the frame of `run` that resumes it, or
//! `parked`. No `RefCell` of the worker is borrowed across a switch.

mod report;
mod turn;

use super::crew::{Crew, Report};
use super::deadlock::Waiting;
use super::remote::{Offered, Remote, abandon};
use super::run_queue::{Green, RunQueue, Stage};
use super::stacks;
use super::std_token::StdToken;
use crate::clock::{Clock, Instant};
use crate::entry;
use crate::fiber::Suspender;
use crate::limits::{self, Limits};
use crate::locals::Locals;
use crate::panic_count;
use crate::park::{Cancelled, Reason, Wake, earliest, passed};
use crate::reactor::Reactor;
use crate::sys::event::{Epoll, TimerFd};
use crate::task::{Attributes, Body, Ended, Task};
use crate::timer::Timers;
use core::cell::{Cell, RefCell};
use core::ptr;
use core::time::Duration;
use slab::Slab;
use std::sync::Arc;

/// Calls in a row that may succeed without waiting, before one yields.
const BUDGET: u32 = 128;

/// A worker. Neither `Send` nor `Sync`: whoever has a reference is on its OS thread.
pub(crate) struct Worker {
    remote: Arc<Remote>,
    crew: Arc<Crew>,
    /// It is the only one: nobody takes anything from it, and nobody needs to be told of anything.
    only: bool,
    run_queue: RefCell<RunQueue>,
    /// The green thread that runs now; null between two. Points into the `Arc` that `run` holds, which sets and clears this: a
    /// pointer, since a count taken and given back at each switch costs more than the switch.
    current: Cell<*const Task>,
    /// Why the running one leaves its stack.
    leaving: Cell<Leaving>,
    parked: RefCell<Slab<Green>>,
    timers: RefCell<Timers>,
    /// What `reactor` waits with, for a foreign loop.
    epoll: Arc<Epoll>,
    reactor: Reactor,
    clock: Arc<dyn Clock + Send + Sync>,
    /// The clock stands still until no worker can run, and there are others.
    virtual_time: bool,
    /// Resumes since the reactor was last polled.
    unpolled: Cell<usize>,
    /// What is left of the running one's budget.
    budget: Cell<u32>,
    /// Of the parked ones, those whose wait is [external](Reason::is_external).
    external: Cell<usize>,
    /// Whether whoever is born now is killed at once: the entry is ending.
    ending: Cell<bool>,
    /// Usable bytes of a stack for which nothing else was asked.
    stack_size: usize,
    /// Keeps the time for kernels that cannot do so in a wait, and for a foreign loop that polls the worker's descriptor.
    timer_fd: TimerFd,
    std_token: StdToken,
    /// A foreign loop waits for the worker's descriptor: it is to be signalled when somebody becomes ready.
    watched: Cell<bool>,
    /// The entry is over: leave the OS thread.
    dismissed: Cell<bool>,
    /// How long it may sleep when nobody can run any more, before that is looked into; `None` unless this is worker 0 and looks
    /// out for deadlocks.
    pub(super) lookout: Cell<Option<Duration>>,
}

/// Why a green thread leaves its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Done,
    Yield,
    /// Into the slot of `parked` that its task names.
    Park,
    /// It has not, and a signal handler has looked.
    #[cfg(feature = "patch")]
    Seen,
}

impl Worker {
    #[expect(clippy::too_many_arguments, reason = "each a part that the builder has made")]
    pub(super) fn new(
        remote: Arc<Remote>,
        crew: Arc<Crew>,
        epoll: Arc<Epoll>,
        reactor: Reactor,
        clock: Arc<dyn Clock + Send + Sync>,
        run_queue: RunQueue,
        stack_size: usize,
        timer_fd: TimerFd,
    ) -> Worker {
        let only = crew.workers() == 1;
        Worker {
            remote,
            crew,
            only,
            run_queue: RefCell::new(run_queue),
            current: Cell::new(ptr::null()),
            leaving: Cell::new(Leaving::Done),
            parked: RefCell::new(Slab::new()),
            timers: RefCell::new(Timers::default()),
            epoll,
            reactor,
            virtual_time: !only && clock.stands_still(),
            clock,
            unpolled: Cell::new(0),
            budget: Cell::new(BUDGET),
            external: Cell::new(0),
            ending: Cell::new(false),
            stack_size,
            timer_fd,
            std_token: StdToken::new(),
            watched: Cell::new(false),
            dismissed: Cell::new(false),
            lookout: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    pub(crate) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How many waits the running green thread has begun; `None` between two.
    #[cfg(feature = "patch")]
    #[inline(always)]
    pub(crate) fn waits(&self) -> Option<&Cell<u64>> {
        let running = self.current()?;
        // SAFETY: a worker runs none but its own.
        Some(&unsafe { running.home_of_own() }.waits)
    }

    /// The token of `std::thread::park` of the worker's OS thread.
    #[inline]
    pub(crate) fn std_token(&self) -> &StdToken {
        &self.std_token
    }

    /// Whether nothing of it is borrowed: not so in the middle of what it does, where an allocator, a policy, a clock or a
    /// signal handler may be called.
    #[cfg(feature = "patch")]
    pub(crate) fn is_free(&self) -> bool {
        self.run_queue.try_borrow_mut().is_ok()
            && self.parked.try_borrow_mut().is_ok()
            && self.timers.try_borrow_mut().is_ok()
            && self.reactor.is_free()
    }

    /// Whether the running green thread may be parked by code that knows nothing of the runtime; see [`crate::inside`].
    #[cfg(feature = "patch")]
    pub(crate) fn may_switch(&self) -> bool {
        let prepares = |task: &Task| task.home(self).slot.get().is_some();
        !crate::inside::is_inside() && self.is_free() && self.current().is_some_and(|task| !prepares(task))
    }

    #[inline]
    pub(crate) fn runs_green_thread(&self) -> bool {
        !self.current.get().is_null()
    }

    /// The running green thread; `None` between two.
    #[inline(always)]
    fn current(&self) -> Option<&Task> {
        // SAFETY: null, or set by `run`, which holds the green thread until it has cleared this; and this is called by code that
        // runs on that green thread's stack, which keeps the reference no longer than it runs itself.
        unsafe { self.current.get().as_ref() }
    }

    /// The running green thread; `None` between two.
    pub(crate) fn running(&self) -> Option<Arc<Task>> {
        let task = self.current.get();
        if task.is_null() {
            return None;
        }
        // SAFETY: it came from the `Arc` that `run` holds, which is alive.
        unsafe { Arc::increment_strong_count(task) };
        // SAFETY: the count was taken just now.
        Some(unsafe { Arc::from_raw(task) })
    }

    /// The id of the running green thread; 0 between two.
    #[inline]
    pub(crate) fn running_id(&self) -> u64 {
        self.current().map_or(0, |task| task.id)
    }

    /// The running green thread.
    ///
    /// # Panics
    ///
    /// If none runs.
    pub(crate) fn current_task(&self) -> Arc<Task> {
        self.running().expect("a green thread runs")
    }

    /// The locals of the running green thread; `None` between two. Not to be kept.
    #[inline]
    pub(crate) fn locals(&self) -> Option<&Locals> {
        let locals = self.current()?.home(self).locals.get();
        // SAFETY: the frame in which they lie is beneath all code of the green thread, and sets this before any of that runs.
        Some(unsafe { &*locals })
    }

    #[inline]
    pub(crate) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// Queues a new green thread, which stays here. Never switches.
    pub(crate) fn spawn(&self, attributes: Attributes, body: Body) -> Arc<Task> {
        let task = Task::born(self.remote.clone(), attributes);
        self.adopt(task.clone(), body);
        task
    }

    /// Queues a new green thread, which another worker may take before it starts. Never switches.
    pub(crate) fn offer(&self, attributes: Attributes, body: Box<dyn FnOnce() + Send>) -> Arc<Task> {
        if self.only {
            return self.spawn(attributes, body);
        }
        let task = Task::offered(attributes, true);
        self.remote.tally.count_birth();
        self.make_offer(Offered { task: task.clone(), body });
        task
    }

    /// Has a green thread, which this worker's tally counts, wait for its turn or for a thief.
    fn make_offer(&self, offered: Offered) {
        let task = offered.task.clone();
        if self.ending.get() {
            task.mark_killed();
        }
        let stage = match self.remote.offers.push(offered) {
            Ok(number) => Stage::Offered(number),
            Err(refused) => {
                refused.task.owner.settle(self.remote.clone());
                Stage::Unstarted(refused.body)
            }
        };
        self.run_queue.borrow_mut().push(Green { task, stage }, Duration::ZERO);
        self.tell_foreign_loop();
        self.crew.call_one();
    }

    /// Has those dropped that were too late for the entry, each on a green thread, since destructors may wait.
    pub(super) fn abandon_latecomers(&self) {
        struct Abandons(Option<Offered>);
        impl Drop for Abandons {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(Offered::abandon);
            }
        }
        for latecomer in self.crew.take_latecomers() {
            let attributes = Attributes { worker: None, ..latecomer.task.attributes.clone() };
            let abandons = Abandons(Some(latecomer));
            // Killed before it starts, as all are by then: dropped, and not run.
            self.spawn(attributes, Box::new(move || drop(abandons)));
        }
    }

    /// Notes that a green thread will be in this worker's inbox, and lives from now on.
    pub(crate) fn count_birth(&self) {
        self.remote.tally.count_birth();
    }

    /// Queues a green thread that stays here.
    fn adopt(&self, task: Arc<Task>, body: Body) {
        self.remote.tally.count_birth();
        self.enqueue(task, body);
    }

    fn enqueue(&self, task: Arc<Task>, body: Body) {
        if self.ending.get() {
            task.mark_killed();
        }
        let green = Green { task, stage: Stage::Unstarted(body) };
        self.run_queue.borrow_mut().push(green, Duration::ZERO);
        self.tell_foreign_loop();
    }

    #[inline]
    fn tell_foreign_loop(&self) {
        if self.watched.get() {
            self.watched.set(false);
            self.remote.rouse();
        }
    }

    /// Parks the running green thread. See [`crate::park::park`].
    #[inline]
    pub(crate) fn park(&self, reason: Reason<'_>, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        let limits = Limits::now();
        let whose;
        let suspender;
        {
            let task = self.current().expect("only a green thread is parked here");
            let home = task.home(self);
            if home.token.take() {
                return Ok(Wake::Unparked);
            }
            let cancellable = !limits.shielded;
            if cancellable && task.is_killed() {
                let suspender = home.suspender.get().expect("a running green thread has a suspender");
                // One that catches its kill and waits again must not keep the others from running.
                self.let_others_run(suspender);
                return Err(Cancelled::Killed);
            }
            let until;
            (until, whose) = earliest(deadline, &limits);
            // The slot into which the worker will put it: nothing else is parked in between.
            let slot = self.parked.borrow().vacant_key();
            home.slot.set(Some(slot));
            // SAFETY: `make_ready` takes it away before this frame, whose caller borrows what it refers to, goes on. Until then the
            // frame is suspended: its stack is neither unwound nor given back. Nobody reads it but `waiting`, on this OS thread.
            let lasting = unsafe { core::mem::transmute::<Reason<'_>, Reason<'static>>(reason) };
            home.reason.set(Some(lasting));
            #[cfg(feature = "patch")]
            home.waits.set(home.waits.get() + 1);
            self.external.set(self.external.get() + usize::from(reason.is_external()));
            home.cancellable.set(cancellable);
            if let Some(until) = until {
                home.timer.set(Some(self.timers.borrow_mut().insert(until, slot)));
            }
            suspender = home.suspender.get().expect("a running green thread has a suspender");
        }
        panic_count::lend(|| {
            self.leaving.set(Leaving::Park);
            // SAFETY: this is the running green thread: we are on its stack, or on that of a greenlet inside, and its body has
            // not returned.
            entry::apart(|| unsafe { suspender.suspend() });
        });
        stacks::answer_if_asked(self);
        let home = self.current().expect("resumed as the current one").home(self);
        match home.ended.get() {
            Ended::Unparked => Ok(Wake::Unparked),
            Ended::Deadline => passed(whose),
            Ended::Killed => Err(Cancelled::Killed),
        }
    }

    /// Lets the other ready ones run first.
    #[inline]
    pub(crate) fn yield_now(&self) -> Result<(), Cancelled> {
        let task = self.current().expect("only a green thread yields here");
        let suspender = task.home(self).suspender.get().expect("a running green thread has a suspender");
        self.let_others_run(suspender);
        // Looked at afterwards, as in every wait: whoever catches this in a loop has let the others run.
        let limits = Limits::now();
        if task.is_killed() && !limits.shielded {
            return Err(Cancelled::Killed);
        }
        match limits.timeout {
            Some((at, id)) if at <= self.now() => Err(Cancelled::Elapsed(id)),
            _ => Ok(()),
        }
    }

    /// Switches away from the running green thread, whose suspender this is, until its turn comes again.
    #[inline]
    fn let_others_run(&self, suspender: Suspender) {
        panic_count::lend(|| {
            self.leaving.set(Leaving::Yield);
            // SAFETY: as in `park`.
            entry::apart(|| unsafe { suspender.suspend() });
        });
    }

    /// Takes one from the running green thread's budget. False if that is used up: then [`Worker::spend`] is due.
    #[cfg(feature = "patch")]
    #[inline]
    pub(crate) fn try_spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    /// Takes one from the running green thread's budget. True if that is used up, and it must yield.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let left = self.budget.get();
        if left == 0 {
            // Off a green thread nobody fills it up again.
            self.budget.set(BUDGET);
            return true;
        }
        self.budget.set(left - 1);
        false
    }

    /// Ends the wait of a green thread of this worker, or its next one.
    pub(crate) fn unpark(&self, task: &Arc<Task>) {
        let home = task.home(self);
        match home.slot.get() {
            Some(slot) => self.make_ready(slot, Ended::Unparked),
            None => home.token.set(true),
        }
    }

    /// Ends the wait of a killed green thread of this worker, unless it is one that kills do not end.
    pub(crate) fn receive_kill(&self, task: &Arc<Task>) {
        let home = task.home(self);
        if let Some(slot) = home.slot.get()
            && home.cancellable.get()
        {
            self.make_ready(slot, Ended::Killed);
        }
    }

    fn make_ready(&self, slot: usize, ended: Ended) {
        let green = self.parked.borrow_mut().remove(slot);
        let home = green.task.home(self);
        home.slot.set(None);
        if home.reason.take().is_some_and(Reason::is_external) {
            self.external.set(self.external.get() - 1);
        }
        home.ended.set(ended);
        if let Some(timer) = home.timer.take()
            && ended != Ended::Deadline
        {
            self.timers.borrow_mut().cancel(timer);
        }
        let ran = home.ran.get();
        self.run_queue.borrow_mut().push(green, ran);
        self.tell_foreign_loop();
    }

    /// Kills every green thread of this worker, and those that come to it until [`Worker::ended`].
    pub(super) fn kill_all(&self) {
        self.ending.set(true);
        // Those that wait are killed before they can be woken by what other killed ones leave behind.
        self.kill_those_here();
        self.take_in();
        self.kill_those_here();
    }

    fn kill_those_here(&self) {
        for task in self.run_queue.borrow().tasks() {
            task.mark_killed();
        }
        let parked: Vec<_> = self.parked.borrow().iter().map(|(_, green)| green.task.clone()).collect();
        for task in parked {
            task.mark_killed();
            self.receive_kill(&task);
        }
    }

    /// Takes new green threads again, after all have ended.
    pub(super) fn ended(&self) {
        self.ending.set(false);
        self.watched.set(false);
        self.dismissed.set(false);
        // What is left was taken by others.
        while let Some(green) = { self.run_queue.borrow_mut().pop() } {
            debug_assert!(
                matches!(green.stage, Stage::Offered(_)),
                "the entry has ended, and somebody is ready"
            );
        }
        debug_assert!(self.parked.borrow().is_empty(), "the entry has ended, and somebody is parked");
    }

    /// Whether it is to leave its OS thread.
    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.get()
    }

    /// Whether nothing has come from other OS threads since it last looked.
    pub(super) fn has_heard_nothing(&self) -> bool {
        self.remote.inbox().is_empty() && !self.std_token.has_come()
    }

    /// Refuses green threads from other OS threads from now on, and drops those that were never born.
    pub(super) fn close(&self) {
        for task in self.remote.inbox().close() {
            abandon(&task);
        }
    }
}

/// Drops what a user gave us, whose destructors may panic; the panic hook has reported it by then. They may wait, too, and
/// nothing ends these waits, as if a stack unwound.
pub(crate) fn drop_quietly<T>(value: T) {
    limits::with_shield(|| entry::quietly(|| drop(value)));
}
