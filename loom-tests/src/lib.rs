//! Models of what crosses OS threads in Osier: every interleaving of two or three threads, within a bound on preemptions.
//!
//! What is checked is the code that is shipped: the sources of the crate `osier` are compiled here once more, against loom's
//! types instead of std's. For that they import atomics, locks and counts from `crate::primitive` and from nowhere else.
//!
//! # How to add a model
//!
//! 1. Write it as a file in `src/models`: a function `model`, which loom runs once for each interleaving, and a constant for
//!    each thing that it asserts. It takes the sources that it checks from `super`; a mutant is of one of them.
//! 2. Name it in [`shipped`].
//! 3. Add mutants to `mutants.rs`, or to a file beside it, one at least: the same source with a mistake in it.
//! 4. Add a file to `tests`, which is a process of its own: the shipped source [`holds`], and each mutant [`fails`] in the
//!    assertion that is about its mistake. A model that checks nothing cannot pass.
//!
//! # Threads that wait
//!
//! Sources that wait do so through `crate::park`, as in the runtime; the one here makes each way in which a wait can end an action of
//! some thread of the model: to unpark, to kill, to let the time pass. Whoever waits and nobody ends that is reported by loom: a
//! mutant that loses a wake-up fails with [`FOR_EVER`].
//!
//! # Limits
//!
//! loom has no timed waits, five threads at most, and takes `SeqCst` loads and stores for weaker ones than they are. What a worker
//! sleeps on, its eventfd, is loom's `Notify`, which also wakes for no reason, as `epoll_wait` does when a signal comes.
//!
//! It remembers one access to each object, the last: a thread's load hides an earlier load of another thread from the writes that
//! follow, and interleavings are left out. So spawn the thread that looks first and acts then, the worker, last; a mutant
//! of an ordering that passes is a sign of this.
//!
//! A load never gives what is stored later, so that a reader gave a lock back too early shows only in loom's `UnsafeCell`, which knows
//! who came before whom: [`RACE`]. What is made in a `const fn` is made at its first use, which the model makes before it
//! spawns. A thread of a model cannot wait while it unwinds.
//!
//! The bound on preemptions is 2; `LOOM_MAX_PREEMPTIONS` sets another.

#![allow(missing_docs, reason = "the constants of a model are sentences")]
#![allow(clippy::missing_panics_doc, reason = "a model panics when an assertion fails, and says so there")]
#![allow(clippy::duplicate_mod, reason = "a model is compiled once for each source that it is to judge")]

mod clock;
#[allow(dead_code, reason = "models use what they check")]
#[path = "../../runtime/src/completion.rs"]
mod completion;
mod park;
mod primitive;
mod scheduler;
pub mod shipped;
mod sync;

#[allow(dead_code, reason = "models use what they check")]
#[path = "../../runtime/src/wait_queue.rs"]
mod wait_queue;

use std::process::Command;

/// The mutants, each in a module of its name, with the model that must notice it.
pub mod mutant {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// Preemptions in one interleaving, unless the environment says otherwise. Two find nearly all mistakes, in seconds.
const PREEMPTIONS: usize = 2;

/// Set in the process in which a mutant is run.
const ALONE: &str = "OSIER_LOOM_ALONE";

/// What loom says when a thread waits that nobody will wake.
pub const FOR_EVER: &str = "deadlock";

/// What loom says when a thread looks at a cell that another one writes, and neither comes before the other.
pub const RACE: &str = "Causality violation";

/// Explores `model`.
///
/// # Panics
///
/// If an assertion of the model fails in some interleaving, with that assertion.
pub fn holds(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(model);
}

/// Explores `model` in a process of its own, the test `test` of this very program: a model that fails may take the process
/// with it, since destructors run into loom's end.
///
/// # Panics
///
/// If the model does not fail, or not in `assertion`.
pub fn fails(test: &str, model: fn(), assertion: &str) {
    if std::env::var_os(ALONE).is_some() {
        return holds(model);
    }
    let program = std::env::current_exe().expect("the path of the running program");
    let output = Command::new(program)
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("the running program can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the mutant holds, or there is no test `{test}`:\n{said}");
    let first = said.split("panicked at").nth(1).unwrap_or_default();
    assert!(first.contains(assertion), "the mutant fails, but not in \"{assertion}\":\n{said}");
}
