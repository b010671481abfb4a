//! The report that nobody can run any more.

use crate::park::Reason;
use crate::task::{DEFAULT_NAME, Task, ThreadId};
use core::panic::{RefUnwindSafe, UnwindSafe};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};

/// One green thread that waits, and for what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// Which one it is.
    pub id: ThreadId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// What it waits for, in words.
    pub reason: String,
    /// Where it waits: its stack, as a backtrace. `None` unless this is the report of a deadlock in which somebody waits for a lock
    /// of std or C through `osier::patch`, whose holders are not known.
    pub stack: Option<String>,
    /// The id of the one green thread that can end its wait; `None` if that is not known.
    waits_for: Option<u64>,
    /// Whether it waits in a shim that no kill ends.
    pub(super) in_shim: bool,
    /// Whether to wake it for no reason shows to nobody.
    pub(super) looks_again: bool,
    pub(super) task: Weak<Task>,
}

impl Waiting {
    /// One that is parked.
    pub(super) fn parked(task: &Arc<Task>, reason: Reason<'_>) -> Waiting {
        let (waits_for, in_shim) = (reason.waits_for(), reason.is_in_shim());
        let looks_again = reason.looks_again();
        Waiting { waits_for, in_shim, looks_again, ..Waiting::of(task, reason.to_string()) }
    }

    /// One that could run.
    pub(super) fn ready(task: &Arc<Task>) -> Waiting {
        Waiting::of(task, "is ready to run".into())
    }

    fn of(task: &Arc<Task>, reason: String) -> Waiting {
        let name = task.attributes.name.as_deref().map(String::from);
        Waiting {
            id: ThreadId::of(task),
            name,
            reason,
            stack: None,
            waits_for: None,
            in_shim: false,
            looks_again: false,
            task: Arc::downgrade(task),
        }
    }
}

// The green thread is reached through it by the scheduler alone.
impl UnwindSafe for Waiting {}
impl RefUnwindSafe for Waiting {}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.number();
        match &self.name {
            Some(name) => write!(f, "green thread '{name}' ({id}) {}", self.reason),
            None => write!(f, "green thread '{DEFAULT_NAME}{id}' ({id}) {}", self.reason),
        }
    }
}

/// Nobody can run any more: every green thread waits for another one.
///
/// Its `Display` lists who waits for what, and the circle if there is one; and if somebody waits for a lock of std or C,
/// through a shim, the stacks of those that wait, of sixteen at most.
#[derive(Clone, Debug)]
pub struct Deadlock {
    waiting: Vec<Waiting>,
    /// Indices into `waiting`, each of which waits for the next, and the last for the first; empty if nobody knows.
    circle: Vec<usize>,
}

impl Deadlock {
    /// What is known of green threads of which none can run.
    pub(super) fn of(waiting: Vec<Waiting>) -> Deadlock {
        let waits_for: HashMap<u64, u64> =
            waiting.iter().filter_map(|waiting| Some((waiting.id.number(), waiting.waits_for?))).collect();
        let index_of = |id: u64| waiting.iter().position(|waiting| waiting.id.number() == id);
        let circle = find_circle(&waits_for).into_iter().filter_map(index_of).collect();
        Deadlock { waiting, circle }
    }

    /// Who waits, and for what.
    #[must_use]
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    pub(super) fn waiting_mut(&mut self) -> &mut [Waiting] {
        &mut self.waiting
    }

    /// Those that wait for each other in a circle, in order: each for the next, the last for the first. Empty if it is not a
    /// circle of joins and of locks that stops the program.
    pub fn circle(&self) -> impl Iterator<Item = &Waiting> {
        self.circle.iter().map(|&index| &self.waiting[index])
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock: no green thread can run")?;
        for waiting in &self.waiting {
            write!(f, "\n  {waiting}")?;
        }
        if !self.circle.is_empty() {
            write!(f, "\n  in a circle:")?;
            for waiting in self.circle() {
                write!(f, " {} →", waiting.id.number())?;
            }
            write!(f, " {}", self.waiting[self.circle[0]].id.number())?;
        }
        for stack in self.waiting.iter().filter_map(|waiting| waiting.stack.as_ref()) {
            write!(f, "\n{}", stack.trim_end())?;
        }
        Ok(())
    }
}

impl Error for Deadlock {}

/// A circle in a graph in which everyone waits for one at most; empty if there is none.
fn find_circle(waits_for: &HashMap<u64, u64>) -> Vec<u64> {
    let mut starts: Vec<_> = waits_for.keys().copied().collect();
    starts.sort_unstable();
    let mut known_free = std::collections::HashSet::new();
    for start in starts {
        let mut path = Vec::new();
        let mut at = start;
        while !known_free.contains(&at) {
            if let Some(entry) = path.iter().position(|&seen| seen == at) {
                return path.split_off(entry);
            }
            path.push(at);
            match waits_for.get(&at) {
                Some(&next) => at = next,
                None => break,
            }
        }
        known_free.extend(path);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_may_go_anywhere() {
        fn may<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
        may::<Deadlock>();
        may::<Waiting>();
    }

    #[test]
    fn a_circle_is_found_behind_a_tail() {
        let waits_for = HashMap::from([(1, 2), (2, 3), (3, 4), (4, 2), (7, 8)]);
        assert_eq!(find_circle(&waits_for), [2, 3, 4]);
        assert_eq!(find_circle(&HashMap::from([(1, 2), (2, 3)])), []);
        assert_eq!(find_circle(&HashMap::from([(1, 1)])), [1]);
    }
}
