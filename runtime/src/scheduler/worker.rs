//! An OS thread that runs green threads, with its run queue, timers and reactor.
//!
//! # A turn
//!
//! 1. Take in what other OS threads have left: the inbox, closed registrations.
//! 2. Fire the deadlines that have passed.
//! 3. Run what is ready, at most [`BATCH`] times, so that loops of `yield_now` starve neither timers nor IO.
//! 4. If anything ran, the turn is over, but for a look at the reactor after every [`BATCH`] resumes. If nothing did, poll the
//!    reactor, until the next deadline, an event, or a wake-up, and take in what has come.
//!
//! # Invariant
//!
//! The worker's own reference to each live green thread is in one place: `run_queue`, the frame of `run` that resumes it, or
//! `parked`. No `RefCell` of the worker is borrowed across a switch.

use super::remote::{Remote, abandon};
use super::run_queue::{Green, RunQueue, Stage};
use crate::clock::{Clock, Instant};
use crate::entry;
use crate::fiber::{Fiber, State, Suspender};
use crate::limits::{self, Limits};
use crate::panic_count::{self, AbortOnUnwind};
use crate::park::{Cancelled, Reason, Wake, earliest, passed};
use crate::reactor::Reactor;
use crate::stack;
use crate::sys::event::{Epoll, TimerFd};
use crate::task::{Attributes, Body, Ended, Task};
use crate::timer::Timers;
use core::cell::{Cell, RefCell};
use core::ptr;
use core::time::Duration;
use slab::Slab;
use std::sync::Arc;

/// Resumes in a turn, and between two polls while there is work. The cost of a poll, 150 ns, is spread over so many.
const BATCH: usize = 64;

/// How long a worker must have had nothing to do before it gives the pages of unused stacks back.
const IDLE: Duration = Duration::from_millis(200);

/// Calls in a row that may succeed without waiting, before one yields.
const BUDGET: u32 = 128;

/// A worker. Neither `Send` nor `Sync`: whoever has a reference is on its OS thread.
pub(crate) struct Worker {
    remote: Arc<Remote>,
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
    clock: Box<dyn Clock>,
    /// Resumes since the reactor was last polled.
    unpolled: Cell<usize>,
    /// What is left of the running one's budget.
    budget: Cell<u32>,
    /// Green threads that have been born and are not done.
    live: Cell<usize>,
    /// Of the parked ones, those whose wait is ended by something outside of the process's green threads.
    external: Cell<usize>,
    /// Whether whoever is born now is killed at once: the entry is ending.
    ending: Cell<bool>,
    /// Usable bytes of a stack for which nothing else was asked.
    stack_size: usize,
    /// Keeps the time for kernels that cannot do so in a wait, and for a foreign loop that polls the worker's descriptor.
    timer_fd: TimerFd,
    /// A foreign loop waits for the worker's descriptor: it is to be signalled when somebody becomes ready.
    watched: Cell<bool>,
}

/// Why a green thread leaves its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Done,
    Yield,
    /// Into the slot of `parked` that its task names.
    Park,
}

impl Worker {
    pub(super) fn new(
        remote: Arc<Remote>,
        epoll: Arc<Epoll>,
        reactor: Reactor,
        clock: Box<dyn Clock>,
        run_queue: RunQueue,
        stack_size: usize,
        timer_fd: TimerFd,
    ) -> Worker {
        Worker {
            remote,
            run_queue: RefCell::new(run_queue),
            current: Cell::new(ptr::null()),
            leaving: Cell::new(Leaving::Done),
            parked: RefCell::new(Slab::new()),
            timers: RefCell::new(Timers::default()),
            epoll,
            reactor,
            clock,
            unpolled: Cell::new(0),
            budget: Cell::new(BUDGET),
            live: Cell::new(0),
            external: Cell::new(0),
            ending: Cell::new(false),
            stack_size,
            timer_fd,
            watched: Cell::new(false),
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

    #[inline]
    pub(crate) fn runs_green_thread(&self) -> bool {
        !self.current.get().is_null()
    }

    /// The running green thread; `None` between two.
    #[inline]
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

    /// The running green thread.
    ///
    /// # Panics
    ///
    /// If none runs.
    pub(crate) fn current_task(&self) -> Arc<Task> {
        self.running().expect("a green thread runs")
    }

    /// Green threads that have been born and are not done.
    pub(super) fn live(&self) -> usize {
        self.live.get()
    }

    /// Queues a new green thread. Never switches.
    pub(crate) fn spawn(&self, attributes: Attributes, body: Body) -> Arc<Task> {
        let task = Task::born(self.remote.clone(), attributes);
        self.adopt(task.clone(), body);
        task
    }

    fn adopt(&self, task: Arc<Task>, body: Body) {
        self.live.set(self.live.get() + 1);
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

    // --- waiting and waking ---

    /// Parks the running green thread. See [`crate::park::park`].
    #[inline]
    pub(crate) fn park(&self, reason: Reason, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
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
            home.reason.set(Some(reason));
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

    // --- turns ---

    /// Turns until `turns` returns, for code that runs outside of green threads; true if more can run at once. That code may be
    /// a destructor that runs because its stack unwinds: green threads do not unwind with it. Leaves the worker's
    /// descriptor ready for a foreign loop.
    pub(crate) fn drive(&self, turns: impl FnOnce(&Worker)) -> bool {
        // Whoever drives may be waiting for green threads that borrow from it.
        AbortOnUnwind::run(|| panic_count::lend(|| turns(self)));
        !self.leave_to_foreign_loop()
    }

    /// One turn. If nobody is ready it waits: until `until` at most, `None` for as long as it takes.
    pub(crate) fn turn(&self, until: Option<Instant>) {
        self.turn_at_most(until, None);
    }

    /// [`Worker::turn`]; waits at most `bound` of real time, whatever the clock says.
    pub(super) fn turn_at_most(&self, until: Option<Instant>, bound: Option<Duration>) {
        self.watched.set(false);
        self.take_in();
        let measures = self.run_queue.borrow().measures();
        let mut ran = 0;
        while ran < BATCH {
            let next = self.run_queue.borrow_mut().pop();
            let Some(green) = next else { break };
            self.run(green, measures);
            ran += 1;
        }
        if ran == 0 {
            self.wait(until, bound);
            self.take_in();
        } else {
            self.glance(ran);
        }
    }

    /// Steps 1 and 2 of a turn.
    fn take_in(&self) {
        for key in self.remote.closed_registrations() {
            self.reactor.deregister(key);
        }
        for task in self.remote.inbox().drain() {
            self.receive(task);
        }
        self.fire();
    }

    /// Looks at a green thread that another OS thread has pushed.
    fn receive(&self, task: Arc<Task>) {
        let home = task.home(self);
        if !home.born.replace(true) {
            if let Some(body) = task.take_unborn() {
                self.adopt(task, body);
            }
            return;
        }
        if task.is_done() {
            return;
        }
        if task.is_killed() {
            self.receive_kill(&task);
        }
        // Pushes are not counted, so there may have been an unpark among them.
        self.unpark(&task);
    }

    fn fire(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = self.now();
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            let Some(slot) = due else { break };
            self.make_ready(slot, Ended::Deadline);
        }
    }

    /// Step 4 of a turn in which green threads have run, so many times: looks at the reactor now and then.
    fn glance(&self, ran: usize) {
        let unpolled = self.unpolled.get() + ran;
        if unpolled < BATCH {
            self.unpolled.set(unpolled);
            return;
        }
        self.unpolled.set(0);
        if !self.reactor.is_empty() {
            self.wait_for_events(Some(Duration::ZERO));
        }
    }

    /// Step 4 of a turn in which nobody was ready.
    fn wait(&self, until: Option<Instant>, bound: Option<Duration>) {
        self.unpolled.set(0);
        if !self.remote.inbox().sleep() {
            return;
        }
        let timeout = self.clock.idle(self.next_deadline(until));
        let timeout =
            timeout.map_or(bound, |timeout| Some(bound.map_or(timeout, |bound| timeout.min(bound))));
        if !self.epoll.is_exact() && timeout.is_some_and(|timeout| !timeout.is_zero()) {
            self.timer_fd.set(timeout);
        }
        if timeout.is_none_or(|timeout| timeout > IDLE) && stack::has_idle_pages() {
            self.wait_for_events(Some(IDLE));
            // Still asleep, as others see it, and nobody ready: idle.
            if self.run_queue.borrow().len() == 0 && self.remote.inbox().sleep() {
                stack::trim();
            }
            return;
        }
        self.wait_for_events(timeout);
    }

    /// The earlier of the next timer and `until`.
    pub(super) fn next_deadline(&self, until: Option<Instant>) -> Option<Instant> {
        let timer = self.timers.borrow().next();
        match (timer, until) {
            (Some(timer), Some(until)) => Some(timer.min(until)),
            (timer, until) => timer.or(until),
        }
    }

    fn wait_for_events(&self, timeout: Option<Duration>) {
        if let Err(error) = self.reactor.poll(timeout) {
            // The arguments are ours and the descriptor is open: only a bug, or one in the process that closed it, leads here.
            panic!("the worker's epoll instance has failed: {error}");
        }
    }

    /// Announces sleep to other OS threads, and has the worker's descriptor become readable when there is something to do, also
    /// when code outside of green threads spawns or wakes some: for a foreign loop. False if there is already.
    pub(super) fn leave_to_foreign_loop(&self) -> bool {
        self.take_in();
        let idle = self.run_queue.borrow().len() == 0 && self.remote.inbox().sleep();
        let next = self.next_deadline(None);
        let next = next.map(|at| at.saturating_duration_since(self.now()));
        self.timer_fd.set(if idle { next } else { Some(Duration::ZERO) });
        self.watched.set(idle);
        idle
    }

    /// Runs a green thread until it leaves its stack.
    #[inline]
    fn run(&self, mut green: Green, measures: bool) {
        // It stays where it is while it runs: to take it apart and to put it together again costs more than the switch.
        let fiber = match &mut green.stage {
            Stage::Started(fiber) => fiber,
            Stage::Unstarted(_) => {
                let Some(started) = self.start(green) else { return };
                green = started;
                let Stage::Started(fiber) = &mut green.stage else { unreachable!("it was started just now") };
                fiber
            }
        };
        self.budget.set(BUDGET);
        self.leaving.set(Leaving::Done);
        let started = measures.then(|| self.now());
        self.current.set(Arc::as_ptr(&green.task));
        let state = entry::apart(|| fiber.resume());
        self.current.set(ptr::null());
        if let Some(started) = started {
            let home = green.task.home(self);
            home.ran.set(home.ran.get() + self.now().saturating_duration_since(started));
        }
        if state == State::Finished {
            let Green { task, stage } = green;
            if let Stage::Started(fiber) = stage {
                drop(fiber.into_stack());
            }
            return self.finish(&task);
        }
        match self.leaving.get() {
            Leaving::Yield => {
                let ran = green.task.home(self).ran.get();
                self.run_queue.borrow_mut().push(green, ran);
            }
            Leaving::Park => {
                let planned = green.task.home(self).slot.get();
                let slot = self.parked.borrow_mut().insert(green);
                debug_assert_eq!(planned, Some(slot), "somebody else was parked in between");
            }
            Leaving::Done => unreachable!("a suspended green thread has said why"),
        }
    }

    /// Gives a green thread its stack; `None`, and it has ended, if there is none to be had. One that was killed gets one too, to
    /// drop its body on: destructors may wait.
    fn start(&self, green: Green) -> Option<Green> {
        let Green { task, stage: Stage::Unstarted(body) } = green else { return Some(green) };
        let killed = task.is_killed();
        let body: Body = if killed { Box::new(move || drop_quietly(body)) } else { body };
        match stack::acquire(task.attributes.stack_size.unwrap_or(self.stack_size)) {
            Ok(stack) => {
                task.home(self).stack_limit.set(stack.limit());
                let fiber = Fiber::new(stack, move |suspender| {
                    super::with_worker(|worker| {
                        let worker = worker.expect("green threads run on workers");
                        let home = worker.current().expect("it was just resumed").home(worker);
                        home.suspender.set(Some(suspender));
                    });
                    // The body has caught its own panics; those of greenlets that it left suspended end with them.
                    let _ = entry::fresh(body);
                });
                Some(Green { task, stage: Stage::Started(fiber) })
            }
            Err(error) => {
                drop_quietly(body);
                if !killed {
                    task.fail(error);
                }
                self.finish(&task);
                None
            }
        }
    }

    fn finish(&self, task: &Arc<Task>) {
        self.live.set(self.live.get() - 1);
        task.finish();
    }

    // --- the end ---

    /// Kills every green thread that there is.
    pub(super) fn kill_all(&self) {
        self.ending.set(true);
        self.take_in();
        for task in self.ready() {
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
    }

    /// All that wait, for a report.
    pub(super) fn waiting(&self) -> Vec<(Arc<Task>, Reason)> {
        let parked = self.parked.borrow();
        let waiting = parked.iter().filter_map(|(_, green)| {
            green.task.home(self).reason.get().map(|reason| (green.task.clone(), reason))
        });
        waiting.collect()
    }

    /// All that could run.
    pub(super) fn ready(&self) -> Vec<Arc<Task>> {
        self.run_queue.borrow().tasks()
    }

    /// Whether nobody is ready, and nobody waits for a time or for something outside of the process. Asked at each turn, so it
    /// must not look at each green thread.
    pub(super) fn is_stuck(&self) -> bool {
        self.run_queue.borrow().len() == 0
            && self.timers.borrow().is_empty()
            && self.live.get() > 0
            && self.external.get() == 0
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
