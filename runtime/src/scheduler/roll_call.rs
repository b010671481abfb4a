//! Who is there: asking each worker for its green threads.
//!
//! No list of all is kept, since each start and end of a green thread would pay for it. A worker knows who is ready and who is
//! parked there; another one that wants to know leaves it a question, which it answers at its next turn.
//!
//! The answers are of different instants, and a green thread that is taken by another worker in between may be in none of them. But
//! that happens to each once at most, before it starts. So all are asked twice: who was missed the first time has started by
//! then, and stays where it is.

use super::crew::Crew;
use super::orders;
use super::with_worker;
use crate::inside;
use crate::park::{Cancelled, Reason, Unparker, park};
use crate::primitive::{Mutex, lock};
use crate::task::Task;
use std::sync::Arc;

/// A question to all workers but the one that asks.
pub(super) struct RollCall {
    state: Mutex<State>,
    asker: Unparker,
}

struct State {
    /// Workers that have not answered.
    missing: usize,
    /// Who is there by what has been answered; some are there more than once.
    present: Vec<Arc<Task>>,
}

impl RollCall {
    /// Adds the green threads of one worker.
    pub(super) fn answer(&self, tasks: Vec<Arc<Task>>) {
        let mut state = lock(&self.state);
        state.present.extend(tasks);
        state.missing -= 1;
        let complete = state.missing == 0;
        drop(state);
        if complete {
            self.asker.unpark();
        }
    }

    /// Waits for all answers.
    fn collect(&self) -> Result<Vec<Arc<Task>>, Cancelled> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.missing == 0 {
                    return Ok(core::mem::take(&mut state.present));
                }
            }
            park(Reason::RollCall, None)?;
        }
    }
}

impl Crew {
    /// Asks all workers but `me`, whose green threads are `present`.
    fn call_roll(&self, me: usize, present: Vec<Arc<Task>>) -> Arc<RollCall> {
        let state = Mutex::new(State { missing: self.workers() - 1, present });
        let call = Arc::new(RollCall { state, asker: Unparker::current() });
        for remote in (0..self.workers()).filter(|index| *index != me).filter_map(|index| self.remote(index))
        {
            inside::run(|| remote.calls.push(call.clone()));
            remote.order(orders::CALL_ROLL);
        }
        call
    }
}

/// The green threads of the calling OS thread's runtime that have not ended, the oldest first; empty outside of a runtime.
///
/// # Errors
///
/// As `park`: with several workers it waits for the others.
pub(crate) fn call_roll() -> Result<Vec<Arc<Task>>, Cancelled> {
    let workers = with_worker(|worker| worker.map_or(0, |worker| worker.crew().workers()));
    let mut tasks = Vec::new();
    for _ in 0..workers.min(2) {
        let call = with_worker(|worker| {
            worker.map(|worker| worker.crew().call_roll(worker.remote().index(), worker.tasks()))
        });
        if let Some(call) = call {
            tasks.extend(call.collect()?);
        }
    }
    tasks.sort_unstable_by_key(|task| task.id);
    tasks.dedup_by_key(|task| task.id);
    tasks.retain(|task| !task.is_done());
    Ok(tasks)
}

/// How many green threads of the calling OS thread's runtime have not ended; 0 outside of a runtime.
pub(crate) fn live() -> usize {
    with_worker(|worker| worker.map_or(0, |worker| worker.crew().live()))
}
