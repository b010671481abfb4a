//! What a worker does between two runs of a green thread, and how it runs one.
//!
//! # A turn
//!
//! 1. Take in what other OS threads have left: the inbox, closed registrations.
//! 2. Fire the deadlines that have passed.
//! 3. Run what is ready, at most [`BATCH`] times, so that loops of `yield_now` starve neither timers nor IO.
//! 4. If nothing was ready, take one that another worker has not started, and run it.
//! 5. If anything ran, the turn is over, but for a look at the reactor after every [`BATCH`] resumes. If nothing did, poll the
//!    reactor, until the next deadline, an event, or a wake-up, and take in what has come.
//!
//! A worker that has others beside it sleeps in this order: announce itself as idle, look once more at what may be taken
//! ([`crate::scheduler::theft`]), announce the sleep in the inbox, look whether all others sleep ([`crate::scheduler::stillness`]).

use super::{BUDGET, Leaving, Offered, Worker, drop_quietly};
use crate::clock::Instant;
use crate::entry;
use crate::fiber::{Fiber, State};
use crate::locals::Locals;
use crate::panic_count::{self, AbortOnUnwind};
use crate::scheduler::end_copy;
use crate::scheduler::orders;
use crate::scheduler::run_queue::{Green, Stage};
use crate::scheduler::std_token;
use crate::scheduler::stillness;
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
        if !self.only {
            self.crew.first_returns();
        }
        self.std_token.foreign_loop_returns();
        // Whoever drives may be waiting for green threads that borrow from it.
        AbortOnUnwind::run(|| panic_count::lend(|| turns(self)));
        !self.leave_to_foreign_loop()
    }

    /// One turn. If nobody is ready it waits: until `until` at most, `None` for as long as it takes. Whether any has run.
    pub(crate) fn turn(&self, until: Option<Instant>) -> bool {
        self.turn_at_most(until, None)
    }

    /// [`Worker::turn`]; waits at most `bound` of real time, whatever the clock says.
    pub(in crate::scheduler) fn turn_at_most(&self, until: Option<Instant>, bound: Option<Duration>) -> bool {
        // What is called in between, a report or a policy, may have forked.
        end_copy(false);
        self.watched.set(false);
        self.take_in();
        let measures = self.run_queue.borrow().measures();
        let mut ran = 0;
        while ran < BATCH {
            let mut next = self.run_queue.borrow_mut().pop();
            if next.is_none() && ran == 0 && !self.only {
                next = self.rob();
            }
            let Some(green) = next else { break };
            // The one place that runs: a function of its own around the switch would cost a wrong return prediction.
            self.run(green, measures);
            ran += 1;
        }
        if ran > 0 {
            self.glance(ran);
        } else if self.only {
            self.wait(until, bound);
            self.take_in();
        } else {
            self.wait_among_others(until, bound);
        }
        ran > 0
    }

    /// Steps 1 and 2 of a turn.
    pub(super) fn take_in(&self) {
        for key in self.remote.closed_registrations() {
            self.reactor.deregister(key);
        }
        let ordered = self.remote.take_orders();
        if ordered & orders::KILL != 0 {
            self.kill_all();
        }
        for task in self.remote.inbox().drain() {
            self.receive(task);
        }
        if !self.only {
            self.share_injected();
        }
        if ordered & orders::CLOSED != 0 {
            self.reactor.take_in_closes();
        }
        if ordered & orders::CALL_ROLL != 0 {
            while let Some(call) = self.remote.calls.pop() {
                call.answer(self.tasks());
            }
        }
        if ordered & orders::REPORT != 0 {
            self.crew.report(self.report(self.crew.request()));
        }
        if ordered & orders::LEAVE != 0 {
            self.dismissed.set(true);
        }
        self.std_token.wake_up();
        self.std_token.look();
        self.fire();
    }

    /// Offers what other OS threads have spawned as if it had been spawned here, a bounded number of times, since more may come all
    /// the time.
    fn share_injected(&self) {
        for _ in 0..BATCH {
            let Some(offered) = self.crew.take_injected() else { break };
            if !self.admit(&offered.task) {
                return self.crew.put_back(offered);
            }
            self.make_offer(offered);
        }
    }

    /// Counts the birth of one that has come here, unless that was done where it was spawned. False if it must wait for the next
    /// entry.
    fn admit(&self, task: &Task) -> bool {
        if task.counted {
            return true;
        }
        self.remote.tally.count_birth();
        let admitted = self.crew.admits();
        if !admitted {
            self.remote.tally.count_end();
        }
        admitted
    }

    /// Looks at a green thread that another OS thread has pushed.
    fn receive(&self, task: Arc<Task>) {
        let home = task.home(self);
        if task.is_done() {
            return;
        }
        if !home.born.get() {
            if !self.admit(&task) {
                self.crew.put_aside(task);
            } else if let Some(body) = task.take_unborn() {
                home.born.set(true);
                self.enqueue(task, body);
            } else {
                // One that was too late, and is being dropped.
                self.remote.tally.count_end();
            }
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

    /// Takes a green thread that another worker, or an OS thread, has spawned and nobody has started.
    #[cold]
    #[inline(never)]
    fn rob(&self) -> Option<Green> {
        let offered = match self.crew.take_injected() {
            Some(injected) if self.admit(&injected.task) => Some(injected),
            Some(latecomer) => {
                self.crew.put_back(latecomer);
                None
            }
            None => self.crew.rob_for(self.remote.index()),
        };
        let Offered { task, body } = offered?;
        if self.crew.has_offers() {
            self.crew.call_one();
        }
        self.settle(&task);
        Some(Green { task, stage: Stage::Unstarted(body) })
    }

    /// Becomes the owner of a green thread that it has taken and is about to start.
    fn settle(&self, task: &Task) {
        task.owner.settle(self.remote.clone());
        if self.crew.is_ending() {
            task.mark_killed();
        }
    }

    /// Step 5 of a turn in which green threads have run, so many times: looks at the reactor now and then.
    fn glance(&self, ran: usize) {
        if !self.only {
            self.remote.pulse.count_turn();
            if self.virtual_time {
                self.crew.rouse_due(self.now());
            }
        }
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

    /// Step 5 of a turn in which nobody was ready, with other workers: sleeps unless there is something to take.
    fn wait_among_others(&self, until: Option<Instant>, bound: Option<Duration>) {
        let me = self.remote.index();
        self.crew.idlers().announce(me);
        if !self.crew.has_offers() {
            let deadline = self.next_deadline(until).map_or(u64::MAX, Instant::nanos);
            self.remote.pulse.publish(self.is_stuck(), deadline);
            self.wait(until, bound);
        }
        let called = self.crew.idlers().withdraw(me);
        self.take_in();
        if self.run_queue.borrow().len() == 0 {
            if let Some(green) = self.rob() {
                self.run_queue.borrow_mut().push(green, Duration::ZERO);
            }
        } else if called && self.crew.has_offers() {
            // Has work of its own, so somebody else must.
            self.crew.call_one();
        }
    }

    /// How long it may sleep, having announced it to other workers; tells worker 0 if all sleep now.
    fn patience(
        &self,
        until: Option<Instant>,
        bound: Option<Duration>,
    ) -> (Option<Duration>, Option<Duration>) {
        let me = self.remote.index();
        if me != 0 {
            self.crew.told_of_sleep(me, self.virtual_time);
            let timeout = if self.virtual_time { None } else { self.clock.idle(self.next_deadline(until)) };
            return (timeout, bound);
        }
        stillness::announced();
        let timeout = if self.virtual_time {
            // Who turns for no time waits for no other worker to be still.
            let is_due = self.next_deadline(until).is_some_and(|own| own <= self.now());
            let still = || self.crew.stillness(me, false).and_then(|_| self.advance(until));
            if is_due { Some(Duration::ZERO) } else { still() }
        } else {
            self.clock.idle(self.next_deadline(until))
        };
        let look = self.lookout.get().filter(|_| {
            let stuck = self.is_stuck().then(|| self.crew.stillness(me, true)).flatten();
            stuck.is_some_and(|turns| turns != self.crew.wanted().noticed())
        });
        let bound = look.map_or(bound, |look| Some(bound.map_or(look, |bound| bound.min(look))));
        (timeout, bound)
    }

    /// Moves a clock that stands still, now that nobody can run, to the earliest deadline of all workers. How long to sleep.
    fn advance(&self, until: Option<Instant>) -> Option<Duration> {
        let deadline = self.crew.earliest_deadline();
        let deadline = (deadline != u64::MAX).then(|| Instant::from_nanos(deadline));
        let now = self.now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            // Somebody is due already; worker 0 is told when that one sleeps again.
            self.crew.rouse_due(now);
            return self.next_deadline(until).filter(|own| *own <= now).map(|_| Duration::ZERO);
        }
        self.clock.idle(deadline)
    }

    /// Step 5 of a turn in which nobody was ready. To be followed by [`Worker::take_in`].
    fn wait(&self, until: Option<Instant>, bound: Option<Duration>) {
        if self.std_token.fall_asleep() {
            self.sleep(until, bound);
        }
    }

    fn sleep(&self, until: Option<Instant>, bound: Option<Duration>) {
        self.unpolled.set(0);
        if !self.remote.inbox().sleep() {
            return;
        }
        let (timeout, bound) = if self.only {
            (self.clock.idle(self.next_deadline(until)), bound)
        } else {
            self.patience(until, bound)
        };
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
        } else {
            self.wait_for_events(timeout);
        }
        if self.virtual_time && self.remote.index() == 0 {
            self.crew.rouse_due(self.now());
        }
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
        let has_nothing = || self.run_queue.borrow().len() == 0 && (self.only || self.crew.first_leaves());
        let idle = has_nothing() && self.remote.inbox().sleep();
        let next = self.next_deadline(None);
        let next = next.map(|at| at.saturating_duration_since(self.now()));
        // That loop may itself call `std::thread::park`.
        let look = self.std_token.is_awaited().then_some(std_token::LOOK);
        let next = next.map_or(look, |next| Some(look.map_or(next, |look| look.min(next))));
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
            Stage::Unstarted(_) | Stage::Offered(_) => {
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
            #[cfg(feature = "patch")]
            Leaving::Seen => unreachable!("whoever leaves its stack says why after any look"),
            Leaving::Done => unreachable!("a suspended green thread has said why"),
        }
    }

    /// Gives a green thread its stack; `None` if another worker has taken it, or if there is none to be had: then it has ended. One
    /// that was killed gets one too, to drop its body on: destructors may wait.
    fn start(&self, green: Green) -> Option<Green> {
        let (task, body): (_, Body) = match green {
            Green { task, stage: Stage::Unstarted(body) } => (task, body),
            Green { task, stage: Stage::Offered(number) } => {
                // Another worker may have been faster.
                let offered = self.remote.offers.take(number)?;
                self.settle(&task);
                (task, offered.body)
            }
            started => return Some(started),
        };
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
                    // The body has looked already, and knows more; but destructors have run since.
                    end_copy(false);
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
        self.remote.tally.count_end();
        task.home(self).locals.set(ptr::null());
        task.finish();
    }
}
