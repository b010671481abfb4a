//! What a worker does between two runs of a green thread, and how it runs one.
//!
//! # A turn
//!
//! 1. Take in what other OS threads have left: the inbox, closed registrations.
//! 2. Fire the deadlines that have passed.
//! 3. Run what is ready, at most [`BATCH`] times, so that loops of `yield_now` starve neither timers nor IO.
//! 4. If anything ran, the turn is over, but for a look at the reactor after every [`BATCH`] resumes. If nothing did, poll the
//!    reactor, until the next deadline, an event, or a wake-up, and take in what has come.

use super::{BUDGET, Leaving, Worker, drop_quietly};
use crate::clock::Instant;
use crate::entry;
use crate::fiber::{Fiber, State};
use crate::locals::Locals;
use crate::panic_count::{self, AbortOnUnwind};
use crate::scheduler::run_queue::{Green, Stage};
use crate::stack;
use crate::task::{Body, Ended, Task};
use core::ptr;
use core::time::Duration;
use std::sync::Arc;

/// Resumes in a turn, and between two polls while there is work. The cost of a poll, 150 ns, is spread over so many.
const BATCH: usize = 64;

/// How long a worker must have had nothing to do before it gives the pages of unused stacks back.
const IDLE: Duration = Duration::from_millis(200);

impl Worker {
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
    pub(in crate::scheduler) fn turn_at_most(&self, until: Option<Instant>, bound: Option<Duration>) {
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
    pub(super) fn take_in(&self) {
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
    fn next_deadline(&self, until: Option<Instant>) -> Option<Instant> {
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
    pub(in crate::scheduler) fn leave_to_foreign_loop(&self) -> bool {
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
                    let locals = Locals::new();
                    crate::scheduler::with_worker(|worker| {
                        let worker = worker.expect("green threads run on workers");
                        let home = worker.current().expect("it was just resumed").home(worker);
                        home.suspender.set(Some(suspender));
                        home.locals.set(&raw const locals);
                    });
                    // The body has caught its own panics; those of greenlets that it left suspended end with them.
                    let _ = entry::fresh(body);
                    if !locals.is_empty() {
                        let _ = entry::fresh(|| locals.destroy());
                    }
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
        task.home(self).locals.set(ptr::null());
        task.finish();
    }
}
