//! The stacks of green threads that wait, for a report.
//!
//! A stack can be walked only from its top, by the green thread that it belongs to. So whoever reports asks, by id, and has them
//! woken; each says where it stands and goes on waiting.

use super::worker::Worker;
use crate::inside;
use crate::primitive::Mutex;
use crate::task::Task;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Who was asked, and what each has said; `None` for nothing yet.
static ASKED: Mutex<BTreeMap<u64, Option<String>>> = Mutex::new(BTreeMap::new());

/// How many were asked and have said nothing yet. Relaxed: who is woken to answer sees it by the wake-up.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Green threads that were asked; their answers are dropped with this.
pub(super) struct Question {
    ids: Vec<u64>,
}

impl Question {
    /// Asks them. They are to be woken afterwards.
    pub(super) fn to(tasks: &[Arc<Task>]) -> Question {
        let ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
        inside::run(|| {
            let mut asked = ASKED.lock();
            let new = ids.iter().filter(|id| asked.insert(**id, None).is_none()).count();
            OPEN.fetch_add(new, Ordering::Relaxed);
        });
        Question { ids }
    }

    /// Whether all have answered.
    pub(super) fn is_answered(&self) -> bool {
        let asked = ASKED.lock();
        self.ids.iter().all(|id| matches!(asked.get(id), Some(Some(_))))
    }

    /// What this one has said.
    pub(super) fn answer_of(&self, id: u64) -> Option<String> {
        inside::run(|| ASKED.lock().get(&id).cloned().flatten())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        inside::run(|| {
            let mut asked = ASKED.lock();
            let open = self.ids.iter().filter(|id| asked.remove(id) == Some(None)).count();
            OPEN.fetch_sub(open, Ordering::Relaxed);
        });
    }
}

/// Has the running green thread answer, if it was asked. It does not switch.
#[inline]
pub(crate) fn answer_if_asked(worker: &Worker) {
    if OPEN.load(Ordering::Relaxed) > 0 {
        answer(&worker.current_task());
    }
}

#[cold]
fn answer(task: &Arc<Task>) {
    if ASKED.lock().get(&task.id) != Some(&None) {
        return;
    }
    let said = describe(task);
    inside::run(|| {
        if let Some(answer @ None) = ASKED.lock().get_mut(&task.id) {
            *answer = Some(said);
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    });
}

/// Where a green thread stood.
#[derive(Debug)]
pub(crate) struct Stand {
    who: String,
    stack: Backtrace,
}

impl Stand {
    /// Where the green thread stands that runs, which `task` must be.
    pub(crate) fn of(task: &Arc<Task>) -> Stand {
        inside::run(|| Stand {
            who: format!("green thread '{}' ({})", task.display_name(), task.id),
            stack: Backtrace::force_capture(),
        })
    }

    /// Its name and its stack.
    pub(crate) fn describe(self) -> String {
        let Stand { who, stack } = self;
        inside::run(|| {
            // To look up the names of functions takes more stack than a green thread may have.
            let told = std::thread::Builder::new().spawn(move || stack.to_string());
            match told.and_then(|told| told.join().map_err(|_| io::Error::other("the look-up has panicked")))
            {
                Ok(stack) => format!("{who}:\n{stack}\n"),
                Err(error) => format!("{who}: its stack cannot be told: {error}\n"),
            }
        })
    }
}

/// The name and the stack of the green thread that runs, which `task` must be.
pub(crate) fn describe(task: &Arc<Task>) -> String {
    Stand::of(task).describe()
}
