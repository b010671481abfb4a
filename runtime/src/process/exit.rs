//! The end of the process, from anywhere.

use crate::entry;
use crate::inside;
use crate::scheduler;
use crate::sys;
use core::time::Duration;
use std::io::Write;
use std::sync::mpsc;
use std::thread;

/// How long the end waits for stdout, which somebody else may have locked for ever.
const FLUSH: Duration = Duration::from_secs(1);

/// Ends the process with this code; [`std::process::exit`] for green threads.
///
/// Runs no destructors of any stack. What std's stdout has buffered is written, and the functions that C libraries have
/// registered for the end are called.
///
/// Std's own function also runs the destructors of the OS thread's thread-locals, here on a green thread's stack, while
/// other stacks that may refer to them are suspended: one that drops a generator, or waits, would let such a stack run on.
/// So on an OS thread that runs green threads, and inside of a [`greenlet::scope`](crate::greenlet::scope), this blocks the
/// caller for ever and has std's function called by a fresh OS thread, which has no thread-locals and no stacks. Those
/// destructors are then not run. Elsewhere it is std's.
///
/// In a process that [`multiprocess`](crate::multiprocess) has made, the functions that were registered for the end are the
/// parent's, and are not called.
///
/// ```no_run
/// osier::run(|| {
///     osier::spawn(|| osier::process::exit(3));
///     osier::sleep(osier::time::Duration::from_secs(3600));
/// });
/// ```
pub fn exit(code: i32) -> ! {
    if sys::process::is_forked() {
        // What was registered for the end, was so by the parent and for the parent.
        let _ = std::io::stdout().flush();
        sys::process::exit_at_once(code);
    }
    if scheduler::with_worker(|worker| worker.is_none()) && entry::current_address().is_null() {
        std::process::exit(code);
    }
    // Nobody else runs on this OS thread any more.
    inside::run(|| {
        let (flushed, is_flushed) = mpsc::channel::<()>();
        let ends = thread::Builder::new().name("osier-exit".into()).spawn(move || {
            let _ = is_flushed.recv_timeout(FLUSH);
            std::process::exit(code)
        });
        // Here: std's function passes over a stdout that this OS thread has locked.
        let _ = std::io::stdout().flush();
        if ends.is_err() {
            // No OS thread to be had: at least what was printed is not lost.
            sys::process::exit_at_once(code);
        }
        drop(flushed);
        loop {
            thread::park();
        }
    })
}
