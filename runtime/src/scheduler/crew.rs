//! What the workers of a runtime share: who they are, what anybody may take, and whether any of them can go on.
//!
//! The last, and why no deadlock is found where there is none, nor one missed, is for [`super::stillness`] to say.
//!
//! # The end
//!
//! An entry has ended when nobody lives, which is found by counting ([`Tally`]). OS threads that are none of the runtime's may
//! spawn at any time, and must neither keep it from ending nor have a worker take somebody in after the end. So it is sealed:
//! whoever takes in one that nobody has counted yet counts it, fences, and looks for the seal; if it is there, that one is a
//! *latecomer*, which waits for the next entry. Worker 0 seals, fences, and waits until nobody is counted. The other workers
//! leave their OS threads after that.
//!
//! One that lives, under a shield or unwinding, may wait for an OS thread that waits for a latecomer. So those that have waited
//! for a while are killed with the others.

use super::deadlock::Waiting;
use super::orders;
use super::remote::{Offered, Remote};
use super::stillness::{self, Wanted};
use super::tally::{Seal, Tally};
use super::theft::{Idlers, Offers};
use crate::clock::Instant;
use crate::primitive::{Mutex, lock};
use crate::task::Task;
#[cfg(feature = "patch")]
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(feature = "patch")]
use std::os::fd::RawFd;
use std::sync::Arc;

/// The workers of a runtime.
pub(crate) struct Crew {
    /// By index.
    remotes: Box<[Arc<Remote>]>,
    /// What was spawned by OS threads that are none of the runtime's, for whoever takes it first. Unused with one worker.
    injected: Offers<Offered>,
    idlers: Idlers,
    /// The entry is ending: what starts now is killed first.
    ending: AtomicBool,
    /// What worker 0 is to be told.
    wanted: Wanted,
    /// Nobody is taken in any more who was spawned elsewhere.
    seal: Seal,
    /// Unborn ones that were too late. (Of those that anybody may take, all that are left are.)
    latecomers: Mutex<Vec<Arc<Task>>>,
    /// The number of the last request for reports.
    request: AtomicU64,
    /// By index, the last report of each worker.
    reports: Mutex<Vec<Option<Report>>>,
}

/// What a worker says of its green threads when it is asked to.
#[derive(Clone)]
pub(super) struct Report {
    /// The index of the worker.
    pub(super) worker: usize,
    /// The number of the request.
    pub(super) request: u64,
    /// Nobody is ready there, and nobody waits for a time or for anything outside.
    pub(super) stuck: bool,
    /// The turns in which green threads had run by then.
    pub(super) turns: u64,
    pub(super) waiting: Vec<Waiting>,
    pub(super) ready: Vec<Waiting>,
}

impl Crew {
    pub(super) fn new(remotes: Vec<Arc<Remote>>) -> Crew {
        Crew {
            injected: Offers::new(),
            idlers: Idlers::new(remotes.len()),
            ending: AtomicBool::new(false),
            wanted: Wanted::new(),
            seal: Seal::open(),
            latecomers: Mutex::new(Vec::new()),
            request: AtomicU64::new(0),
            reports: Mutex::new(remotes.iter().map(|_| None).collect()),
            remotes: remotes.into(),
        }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.remotes.len()
    }

    /// The worker with this index.
    pub(crate) fn remote(&self, index: usize) -> Option<&Arc<Remote>> {
        self.remotes.get(index)
    }

    /// All but worker 0.
    fn others(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.remotes.iter().skip(1)
    }

    pub(super) fn idlers(&self) -> &Idlers {
        &self.idlers
    }

    /// Green threads that have been born and are not done.
    pub(super) fn live(&self) -> usize {
        Tally::live(self.remotes.iter().map(|remote| &remote.tally))
    }

    /// Whether nobody lives; for worker 0, which is told otherwise once it has asked to be ([`Crew::await_end`]).
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.has_ended(|| self.live())
    }

    /// Has nobody taken in any more who was spawned elsewhere.
    pub(super) fn seal(&self) {
        self.seal.close();
    }

    fn is_sealed(&self) -> bool {
        self.seal.is_closed()
    }

    /// Whether one may be taken in whose birth the caller has counted just now.
    pub(super) fn admits(&self) -> bool {
        self.seal.admits()
    }

    /// Leaves a green thread for whoever takes it; for OS threads that are none of the runtime's.
    pub(crate) fn inject(&self, task: Arc<Task>, body: Box<dyn FnOnce() + Send>) {
        if let Err(refused) = self.injected.push(Offered { task, body }) {
            return refused.abandon();
        }
        // Either worker 0, which seals, sees the latecomer, or it is told of it.
        if self.seal.admits() { self.call_one() } else { self.remotes[0].rouse() }
    }

    /// Has an unborn one that was not admitted wait for the next entry.
    pub(super) fn put_aside(&self, latecomer: Arc<Task>) {
        lock(&self.latecomers).push(latecomer);
        self.remotes[0].rouse();
    }

    /// The same, of one that anybody may take.
    pub(super) fn put_back(&self, latecomer: Offered) {
        if let Err(refused) = self.injected.push(latecomer) {
            refused.abandon();
        }
        self.remotes[0].rouse();
    }

    /// Whether somebody was too late.
    pub(super) fn has_latecomers(&self) -> bool {
        !self.injected.is_empty() || !lock(&self.latecomers).is_empty()
    }

    /// Takes those that were too late, with their bodies.
    pub(super) fn take_latecomers(&self) -> Vec<Offered> {
        let unborn = std::mem::take(&mut *lock(&self.latecomers));
        let unborn = unborn.into_iter().filter_map(|task| {
            let body = task.take_unborn()?;
            Some(Offered { task, body })
        });
        unborn.chain(std::iter::from_fn(|| self.injected.take_oldest())).collect()
    }

    /// Has those that were too late wait at their workers, all of which have left.
    pub(super) fn send_back_latecomers(&self) {
        let unborn = std::mem::take(&mut *lock(&self.latecomers));
        for task in unborn {
            if let Some(remote) = task.owner.after_mark() {
                remote.push(task.clone());
            }
        }
    }

    /// Whether anybody waits who was spawned from elsewhere and may be taken in.
    fn has_injected(&self) -> bool {
        !self.injected.is_empty() && !self.is_sealed()
    }

    /// Takes what other OS threads have left. Nobody has counted its birth yet.
    pub(super) fn take_injected(&self) -> Option<Offered> {
        if self.has_injected() { self.injected.take_oldest() } else { None }
    }

    /// Takes what has waited longest at one of the other workers.
    pub(super) fn rob_for(&self, thief: usize) -> Option<Offered> {
        let workers = self.remotes.len();
        (1..workers).find_map(|ahead| self.remotes[(thief + ahead) % workers].offers.take_oldest())
    }

    /// Whether there is anything that may be taken.
    pub(super) fn has_offers(&self) -> bool {
        self.has_injected() || self.remotes.iter().any(|remote| !remote.offers.is_empty())
    }

    /// Wakes an idle worker, after something was offered.
    pub(super) fn call_one(&self) {
        if let Some(idle) = self.idlers.call() {
            self.remotes[idle].rouse();
        }
    }

    /// Worker 0, which has nothing to do, is about to leave its OS thread to a foreign loop. False if there is something to take.
    pub(super) fn first_leaves(&self) -> bool {
        self.idlers.first_leaves();
        !self.has_offers()
    }

    /// Worker 0 looks by itself again.
    pub(super) fn first_returns(&self) {
        self.idlers.first_returns();
    }

    /// Refuses what comes from elsewhere from now on, and drops what nobody has taken.
    pub(super) fn close(&self) {
        self.injected.close().for_each(Offered::abandon);
    }

    /// An entry begins. No other worker runs.
    pub(super) fn begin(&self) {
        // Relaxed: the start of the OS threads orders it.
        self.ending.store(false, Ordering::Relaxed);
        self.wanted.begin();
        self.idlers.first_returns();
        self.seal.reopen();
        // An entry that could not begin has left some.
        for remote in &self.remotes {
            let _ = remote.take_orders();
        }
    }

    /// Whether what starts now is to be killed first.
    pub(super) fn is_ending(&self) -> bool {
        // Relaxed: a worker that has not heard of it yet does by order.
        self.ending.load(Ordering::Relaxed)
    }

    /// Has all other workers kill what they have, and whatever starts from now on be killed first.
    pub(super) fn kill_all(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.others().for_each(|remote| remote.order(orders::KILL));
    }

    /// Has worker 0 told from now on when nobody lives any more.
    pub(super) fn await_end(&self) {
        self.wanted.await_end();
    }

    /// What worker 0 is to be told.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Tells worker 0 what it wants to know when `me`, another one, has announced its sleep. `virtual_time`: the clock stands
    /// still until nobody can run.
    pub(super) fn told_of_sleep(&self, me: usize, virtual_time: bool) {
        let none_injected = || self.injected.is_empty();
        if self.wanted.is_met(&self.remotes, me, virtual_time, || self.live(), none_injected) {
            self.remotes[0].rouse();
        }
    }

    /// If all but `me` sleep with nothing on its way to them: the turns so far of all taken together. With `stuck`, only if nothing
    /// but an OS thread that is none of the runtime's could end it. One that is about to sleep has called [`stillness::announced`].
    pub(super) fn stillness(&self, me: usize, stuck: bool) -> Option<u64> {
        stillness::stillness(&self.remotes, me, stuck, || self.injected.is_empty())
    }

    /// The earliest deadline of the workers that sleep, in the clock's nanoseconds; `u64::MAX` for none.
    pub(super) fn earliest_deadline(&self) -> u64 {
        self.remotes.iter().map(|remote| remote.pulse.deadline()).min().unwrap_or(u64::MAX)
    }

    /// Wakes the workers that sleep past their deadline: with a clock that is no clock of the machine's, they do not notice.
    pub(super) fn rouse_due(&self, now: Instant) {
        for remote in &self.remotes {
            if remote.pulse.deadline() <= now.nanos() && remote.inbox().is_asleep() {
                remote.rouse();
            }
        }
    }

    /// Asks all other workers to report; gives the number of the request.
    pub(super) fn request_reports(&self) -> u64 {
        let request = self.request.fetch_add(1, Ordering::Relaxed) + 1;
        // The order carries the number.
        self.others().for_each(|remote| remote.order(orders::REPORT));
        request
    }

    /// The number that a report now answers.
    pub(super) fn request(&self) -> u64 {
        self.request.load(Ordering::Relaxed)
    }

    /// Leaves a report, and tells worker 0.
    pub(super) fn report(&self, report: Report) {
        let worker = report.worker;
        lock(&self.reports)[worker] = Some(report);
        self.remotes[0].rouse();
    }

    /// The reports that answer `request` by now.
    pub(super) fn reports(&self, request: u64) -> Vec<Report> {
        let reports = lock(&self.reports);
        reports.iter().flatten().filter(|report| report.request == request).cloned().collect()
    }

    /// Whether each of `reports` still holds: its worker sleeps, and has run nothing since; and nothing has come from elsewhere.
    pub(super) fn still_as_reported(&self, reports: &[Report]) -> bool {
        let reported = reports.iter().map(|report| (report.worker, report.turns));
        stillness::still_as_reported(&self.remotes, reported, || self.injected.is_empty())
    }

    /// `fds` are about to be closed by `me`; all others may have green threads that have borrowed them.
    #[cfg(feature = "patch")]
    pub(crate) fn before_close(&self, me: usize, fds: &RangeInclusive<RawFd>) {
        self.all_but(me).for_each(|remote| remote.before_close(fds));
    }

    /// `fds` were closed by `me`; whoever waits for one on another worker is woken.
    #[cfg(feature = "patch")]
    pub(crate) fn after_close(&self, me: usize, fds: &RangeInclusive<RawFd>, close: u64) {
        self.all_but(me).for_each(|remote| remote.after_close(fds, close));
    }

    #[cfg(feature = "patch")]
    fn all_but(&self, me: usize) -> impl Iterator<Item = &Arc<Remote>> {
        self.remotes.iter().filter(move |remote| remote.index() != me)
    }

    /// Has all other workers leave their OS threads.
    pub(super) fn dismiss(&self) {
        self.others().for_each(|remote| remote.order(orders::LEAVE));
    }
}
