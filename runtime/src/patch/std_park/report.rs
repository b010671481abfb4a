//! What is said when a `std::thread::park` cannot end well; who says it ends the process.

use super::{SECOND, half_limit};
use crate::inside;
use crate::limits;
use crate::park::Reason;
use crate::patch::addresses::{self, Key};
use crate::patch::write_error;
use crate::scheduler::Worker;
use crate::scheduler::stacks::describe;

/// Has the one that waits already report itself and this one.
#[cold]
pub(super) fn second(worker: &Worker, key: Key) -> ! {
    let stack = describe(&worker.current_task());
    SECOND.replace(Some(stack));
    addresses::wake(key, usize::MAX, u32::MAX);
    loop {
        let _ = limits::with_shield(|| worker.park(Reason::StdToken, None));
    }
}

/// Reports two that wait at once: this one, and `second`, which has described itself.
#[cold]
pub(super) fn first(worker: &Worker, second: &str) -> ! {
    let first = describe(&worker.current_task());
    end(&format!(
        "two green threads of one OS thread wait in `std::thread::park`, and an OS thread has one token for it: \
         whom an unpark is for cannot be told. {INSTEAD}\n{second}{first}"
    ))
}

/// Reports this one, which no other OS thread will wake, if it waits in a channel that needs one for it; else returns.
#[cold]
pub(super) fn in_vain(worker: &Worker) {
    let stack = describe(&worker.current_task());
    if !CHANNELS.iter().any(|channel| stack.contains(channel)) {
        return;
    }
    let limit = half_limit().unwrap_or_default() * 2;
    end(&format!(
        "a green thread has waited in a channel of std's for {limit:?}, while all other OS threads of the process slept: \
         nobody is left that could wake it. These channels do not, if the sender's OS thread is the receiver's own. \
         {INSTEAD} If it is to wait longer, `osier::patch::std_park_limit` says so.\n{stack}"
    ))
}

/// What the names of functions have in them that wait in channels which wake nobody of the sender's own OS thread: std's, and those
/// that std has them from. [`super::super::flood`] knows the same ones as compilers write them.
const CHANNELS: [&str; 3] = ["std::sync::mpmc", "std::sync::mpsc", "crossbeam_channel"];

const INSTEAD: &str = "Use `osier::thread::park`, `osier::sync::mpsc` and `osier::thread::scope` instead of std's, or an OS \
                       thread for each.";

fn end(text: &str) -> ! {
    inside::run(|| write_error(format!("\nosier: {text}").as_bytes()));
    std::process::abort();
}
