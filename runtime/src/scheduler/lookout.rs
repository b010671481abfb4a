//! Driving a runtime to the end of something, and looking out for a state in which nobody can run any more.
//!
//! Worker 0 alone looks. With one worker that is a look at itself. With several it is told when all sleep, lets some time pass,
//! asks each for a report, and believes the reports only if nothing has run since each was made: so a report of a
//! deadlock, which kills everybody, is of one instant at which nobody could run, nothing was on its way, and no OS thread
//! was there that could have brought anything. From such an instant on nothing can change. How that is made sure of:
//! [`super::stillness`].

use super::crew::Report;
use super::deadlock::{Deadlock, Waiting};
use super::runtime::Runtime;
use super::stacks::Question;
use super::stillness::look_outside;
use super::unpark;
use crate::clock::Instant;
use crate::sys;
use core::time::Duration;
use std::io::Write;

/// How long nobody must have been able to run before it is looked into whether that is a deadlock. Long enough that traffic
/// between OS threads never pays for the look.
const STUCK: Duration = Duration::from_millis(50);

/// When it is looked again after it was told that nobody can run but for what other OS threads may do: they may end, and nothing shows
/// that. At first; then twice as long each time, up to the longest.
const AGAIN: Duration = Duration::from_millis(100);
const LONGEST_AGAIN: Duration = Duration::from_secs(60);

/// At the end of an entry the look is repeated, less and less often.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How long the workers have to report who is left at the end.
const REPORTS: Duration = Duration::from_millis(100);

/// How long those that wait have to say where, for a report, and how many of them are asked.
const STACKS: Duration = Duration::from_secs(1);
const MOST_STACKS: usize = 16;

/// How long those that were too late may wait for the end, before they are killed with the others: somebody may wait for them.
const LATECOMERS: Duration = Duration::from_millis(50);

/// The pause between two looks at the same state, which was told.
#[derive(Clone, Copy)]
struct Pause {
    length: Duration,
    since: Instant,
}

impl Pause {
    /// After a look that has told of what an earlier one had told of, with `before` it, or of something new.
    fn after(before: Option<Pause>) -> Pause {
        let length = before.map_or(AGAIN, |before| (before.length * 2).min(LONGEST_AGAIN));
        Pause { length, since: Instant::of_machine() }
    }

    fn left(&self) -> Duration {
        self.length.saturating_sub(Instant::of_machine().saturating_duration_since(self.since))
    }
}

impl Runtime {
    /// Takes turns until `is_over`, or until nobody can run any more: then all are killed.
    pub(super) fn drive(&self, is_over: impl Fn() -> bool) -> Option<Deadlock> {
        if self.others.is_empty() { self.drive_alone(is_over) } else { self.drive_first(is_over) }
    }

    /// [`Runtime::drive`] with one worker.
    fn drive_alone(&self, is_over: impl Fn() -> bool) -> Option<Deadlock> {
        let is_stuck = || self.worker.is_stuck() && self.crew().live() > 0;
        // Since nobody can run, and that was told.
        let mut pause: Option<Pause> = None;
        // Whether the one that waits for std's token was woken to look around; and whether none but that one has run since the report,
        // so that the state is known.
        let (mut asked, mut known) = (false, false);
        while !is_over() {
            let left = pause.map(|pause| pause.left());
            if left.is_some_and(|left| !left.is_zero()) || !is_stuck() {
                let token = self.worker.std_token();
                let bound = token.patience().into_iter().chain(left).min();
                let ran = self.worker.turn_at_most(None, bound);
                known = known && (!ran || asked);
                asked = token.ask();
                // One that has run and parked again may have left another state behind.
                pause = pause.filter(|_| !ran && is_stuck());
                continue;
            }
            if pause.is_none() {
                known = !self.worker.turn_at_most(None, Some(STUCK)) && known;
                if is_over() || !is_stuck() {
                    continue;
                }
            }
            match self.judge(self.worker.waiting(), known, || self.worker.has_heard_nothing()) {
                Verdict::Unknown => pause = None,
                Verdict::Deadlock(deadlock) => return Some(deadlock),
                Verdict::Reported => (pause, known) = (Some(Pause::after(pause)), true),
            }
        }
        None
    }

    /// [`Runtime::drive`] as the first of several workers.
    fn drive_first(&self, is_over: impl Fn() -> bool) -> Option<Deadlock> {
        let (worker, crew) = (&self.worker, self.crew());
        crew.wanted().await_stillness(true);
        worker.lookout.set(Some(STUCK));
        // The turns so far when it was last seen that nobody can run, and when that was.
        let mut suspicion: Option<(u64, Instant)> = None;
        // The turns so far of what was told last, and the pause since.
        let mut told: Option<(u64, Pause)> = None;
        let mut deadlock = None;
        while deadlock.is_none() && !is_over() {
            let noticed = crew.wanted().noticed();
            let pause = told.filter(|(turns, _)| *turns == noticed).map(|(_, pause)| pause.left());
            if pause.is_some_and(|left| left.is_zero()) {
                crew.wanted().await_stillness(true);
            }
            worker.turn_at_most(None, pause);
            let stillness = if worker.is_stuck() && !is_over() { crew.stillness(0, true) } else { None };
            let Some(turns) = stillness.filter(|turns| *turns != crew.wanted().noticed()) else {
                suspicion = None;
                worker.lookout.set(Some(STUCK));
                continue;
            };
            let now = Instant::of_machine();
            let since = match suspicion {
                Some((before, since)) if before == turns => since,
                _ => suspicion.insert((turns, now)).1,
            };
            let left = STUCK.saturating_sub(now.saturating_duration_since(since));
            worker.lookout.set(Some(left));
            if left.is_zero() {
                suspicion = None;
                worker.lookout.set(Some(STUCK));
                let before = told.filter(|(before, _)| *before == turns).map(|(_, pause)| pause);
                match self.look(before.is_some(), &is_over) {
                    Verdict::Unknown => {}
                    Verdict::Deadlock(found) => deadlock = Some(found),
                    Verdict::Reported => {
                        told = Some((turns, Pause::after(before)));
                        crew.wanted().notice(turns);
                    }
                }
            }
        }
        worker.lookout.set(None);
        crew.wanted().await_stillness(false);
        deadlock
    }

    /// Asks all other workers, of which all seem to sleep, what they know, and judges. `known`: as for `judge`.
    fn look(&self, known: bool, is_over: impl Fn() -> bool) -> Verdict {
        let crew = self.crew();
        let Ok(reports) = self.reports(STUCK) else { return Verdict::Unknown };
        // While it waited for the reports this worker has run whoever was woken, to the end it may be.
        if is_over() || !self.worker.is_stuck() || reports.iter().any(|report| !report.stuck) {
            return Verdict::Unknown;
        }
        let own = self.worker.waiting();
        let others = reports.iter().flat_map(|report| report.waiting.iter().cloned());
        let waiters = own.into_iter().chain(others).collect();
        self.judge(waiters, known, || self.worker.has_heard_nothing() && crew.still_as_reported(&reports))
    }

    /// What to think of it that only these are there, which is `known` if it was reported before. `still`: whether that is still so,
    /// as it was when they were listed.
    fn judge(&self, waiters: Vec<Waiting>, known: bool, still: impl Fn() -> bool) -> Verdict {
        let mut deadlock = Deadlock::of(waiters);
        let idle = || self.worker.remote().offload.idle_threads();
        let is_alone = |pool| self.is_alone(pool, deadlock.waiting());
        let Some(alone) = look_outside(idle, is_alone, still) else { return Verdict::Unknown };
        if alone || deadlock.circle().next().is_some() {
            self.add_stacks(&mut deadlock);
            self.kill_all();
            return Verdict::Deadlock(deadlock);
        }
        if let Some(report) = self.ending.on_stuck.as_ref().filter(|_| !known) {
            report(&deadlock);
        }
        Verdict::Reported
    }

    /// Whether no OS thread could wake one of those that wait, with `pool` idle ones of the offload pool. Other OS threads that
    /// wait for each other count only if somebody waits in a shim: for the locks of std and C, as those OS threads do.
    fn is_alone(&self, pool: usize, waiting: &[Waiting]) -> bool {
        let ours = Some(self.crew().workers() + pool);
        sys::process::threads() == ours
            || waiting.iter().any(|waiting| waiting.in_shim) && sys::process::able_threads() == ours
    }

    /// Has those that wait say where, if any does in a shim: for locks of std and C nobody knows who has them.
    fn add_stacks(&self, deadlock: &mut Deadlock) {
        if !deadlock.waiting().iter().any(|waiting| waiting.in_shim) {
            return;
        }
        let willing = deadlock.waiting_mut().iter_mut().filter(|waiting| waiting.looks_again);
        let asked = willing.filter_map(|waiting| Some((waiting.task.upgrade()?, waiting)));
        let mut asked: Vec<_> = asked.take(MOST_STACKS).collect();
        let tasks: Vec<_> = asked.iter().map(|(task, _)| task.clone()).collect();
        let question = Question::to(&tasks);
        tasks.iter().for_each(unpark);
        let started = Instant::of_machine();
        while !question.is_answered() && Instant::of_machine().saturating_duration_since(started) < STACKS {
            // Other workers do not say when one of theirs has answered.
            self.worker.turn_at_most(None, Some(STACKS / 100));
        }
        for (task, waiting) in &mut asked {
            waiting.stack = question.answer_of(task.id);
        }
    }

    fn kill_all(&self) {
        if !self.others.is_empty() {
            self.crew().kill_all();
        }
        self.worker.kill_all();
    }

    /// Ends all green threads; the deadlock, if it was to wait for them and could not.
    pub(super) fn end(&self) -> Option<Deadlock> {
        let (worker, crew) = (&self.worker, self.crew());
        crew.await_end();
        let deadlock = if self.ending.wait_all { self.drive(|| crew.is_empty()) } else { None };
        self.kill_all();
        crew.seal();
        let started = Instant::of_machine();
        let mut reported = false;
        let mut late_since = None;
        let mut look = STUCK;
        while !crew.is_empty() {
            let now = Instant::of_machine();
            let left_of = |span: Duration, since| span.saturating_sub(now.saturating_duration_since(since));
            late_since = crew.has_latecomers().then(|| late_since.unwrap_or(now));
            let patience = late_since.map(|since| left_of(LATECOMERS, since));
            let grace = self.ending.grace.as_ref().filter(|_| !reported);
            let left = grace.map(|(grace, _)| left_of(*grace, started));
            if let Some((_, report)) = grace.filter(|_| left == Some(Duration::ZERO)) {
                report(&self.everybody());
                reported = true;
            } else if patience == Some(Duration::ZERO) {
                worker.abandon_latecomers();
                late_since = None;
            } else {
                let bound = patience.into_iter().chain(left).min();
                self.turn_or_give_up(bound, left.is_none(), &mut look);
            }
        }
        deadlock
    }

    /// All green threads of all workers that report in time.
    fn everybody(&self) -> Vec<Waiting> {
        let reports = self.reports(REPORTS).unwrap_or_else(|some| some);
        let all = core::iter::once(self.worker.report(0)).chain(reports);
        all.flat_map(|report| report.waiting.into_iter().chain(report.ready)).collect()
    }

    /// A turn at the end of an entry, in which all have been killed. Kills do not end waits in shims, for the locks of std and C;
    /// if nobody is left that could, and it `may_give_up`, this ends the process, which would wait for ever. Waits at most `bound`;
    /// `look`: how long nobody must have been able to run before that is looked into, the next time.
    fn turn_or_give_up(&self, bound: Option<Duration>, may_give_up: bool, look: &mut Duration) {
        let (worker, crew) = (&self.worker, self.crew());
        if !may_give_up || !worker.is_stuck() || crew.live() == 0 {
            worker.turn_at_most(None, bound);
            return;
        }
        worker.turn_at_most(None, bound.into_iter().chain([*look]).min());
        if !worker.is_stuck() || crew.live() == 0 {
            return;
        }
        *look = LONGEST_LOOK.min(*look * 2);
        let Ok(reports) = self.reports(REPORTS) else { return };
        let waiting = worker.waiting().into_iter();
        let waiting: Vec<_> =
            waiting.chain(reports.iter().flat_map(|report| report.waiting.iter().cloned())).collect();
        if reports.iter().any(|report| !report.stuck) || !waiting.iter().any(|waiting| waiting.in_shim) {
            return;
        }
        let idle = || worker.remote().offload.idle_threads();
        let still = || worker.has_heard_nothing() && crew.still_as_reported(&reports);
        if look_outside(idle, |pool| self.is_alone(pool, &waiting), still) == Some(true) {
            let mut deadlock = Deadlock::of(waiting);
            self.add_stacks(&mut deadlock);
            let text = format!(
                "\nosier: {deadlock}\nThe entry is to end, but a kill does not end a wait for a lock of std or C.\n"
            );
            // Nothing is left to be done if there is no standard error.
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        }
    }

    /// What the other workers report.
    ///
    /// # Errors
    ///
    /// Some of it, if not all have come to it within `patience`.
    fn reports(&self, patience: Duration) -> Result<Vec<Report>, Vec<Report>> {
        let crew = self.crew();
        let request = crew.request_reports();
        let started = Instant::of_machine();
        loop {
            let reports = crew.reports(request);
            if reports.len() == self.others.len() {
                return Ok(reports);
            }
            let left = patience.saturating_sub(Instant::of_machine().saturating_duration_since(started));
            if left.is_zero() {
                return Err(reports);
            }
            self.worker.turn_at_most(None, Some(left));
        }
    }
}

/// What came of a look.
enum Verdict {
    /// It has changed meanwhile, or will: look again.
    Unknown,
    /// All have been killed.
    Deadlock(Deadlock),
    /// Somebody outside could still wake somebody.
    Reported,
}
