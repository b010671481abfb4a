//! What a worker says of its green threads, to who reports or counts.

#[cfg(feature = "patch")]
use super::Leaving;
use super::{Report, Waiting, Worker};
#[cfg(feature = "patch")]
use crate::clock::Instant;
use crate::task::Task;
use std::sync::Arc;

impl Worker {
    /// All that are here: running, ready or parked.
    pub(in crate::scheduler) fn tasks(&self) -> Vec<Arc<Task>> {
        let mut tasks = self.run_queue.borrow().tasks();
        tasks.extend(self.parked.borrow().iter().map(|(_, green)| green.task.clone()));
        tasks.extend(self.running());
        tasks
    }

    /// All that wait, for a report.
    pub(in crate::scheduler) fn waiting(&self) -> Vec<Waiting> {
        let parked = self.parked.borrow();
        let waiting = parked.iter().filter_map(|(_, green)| {
            green.task.home(self).reason.get().map(|reason| Waiting::parked(&green.task, reason))
        });
        waiting.collect()
    }

    /// All that could run, for a report.
    pub(in crate::scheduler) fn ready(&self) -> Vec<Waiting> {
        let ready = self.run_queue.borrow().tasks();
        // Those that others have taken are in their reports.
        let own = ready.iter().filter(|task| task.is_of(self) || task.owner.after_mark().is_none());
        own.map(Waiting::ready).collect()
    }

    /// Says what there is to say about this worker's green threads.
    pub(in crate::scheduler) fn report(&self, request: u64) -> Report {
        Report {
            worker: self.remote.index(),
            request,
            stuck: self.is_stuck(),
            turns: self.remote.pulse.turns(),
            waiting: self.waiting(),
            ready: self.ready(),
        }
    }

    /// Whether nobody is ready, and nobody waits for a time or for something outside of the process. Asked at each turn, so it
    /// must not look at each green thread.
    pub(in crate::scheduler) fn is_stuck(&self) -> bool {
        self.run_queue.borrow().len() == 0 && self.timers.borrow().is_empty() && self.external.get() == 0
    }

    /// Whether the same green thread has run all the time since this was last asked. For a signal handler.
    #[cfg(feature = "patch")]
    pub(crate) fn runs_without_a_switch(&self) -> bool {
        if !self.runs_green_thread() || self.leaving.get() == Leaving::Seen {
            return self.runs_green_thread();
        }
        // Whoever has said why it leaves its stack is about to.
        if self.leaving.get() == Leaving::Done {
            self.leaving.set(Leaving::Seen);
        }
        false
    }

    /// Whether others wait for the one that runs to let them. For a signal handler.
    #[cfg(feature = "patch")]
    pub(crate) fn starves_others(&self) -> bool {
        let has_ready = self.run_queue.try_borrow().is_ok_and(|queue| queue.len() > 0);
        self.std_token.is_awaited() || has_ready || self.has_unseen()
    }

    /// Whether there is something that would end the wait of others once it is looked at.
    #[cfg(feature = "patch")]
    fn has_unseen(&self) -> bool {
        // A clock of the user's must not be asked in a signal handler. One that stands still goes on when nobody runs, so what it says
        // would be of no use either.
        let next = self.timers.try_borrow().ok().and_then(|timers| timers.next());
        let is_due = next.is_some_and(|next| next <= Instant::of_machine());
        is_due || !self.has_heard_nothing() || (self.external.get() > 0 && self.epoll.has_events())
    }

    /// Whether others are ready.
    #[cfg(feature = "patch")]
    pub(crate) fn has_ready(&self) -> bool {
        self.run_queue.borrow().len() > 0
    }
}
