//! The OS threads of all workers but the first: started when an entry begins, joined when it ends.

use super::crew::Crew;
use super::worker::Worker;
use super::{arm_overflow_report, enter};
use crate::entry;
use crate::os_thread::OsThread;
use crate::panic_count::AbortOnUnwind;
use crate::primitive::{Condvar, Mutex, lock};
use core::marker::PhantomData;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The OS threads of an entry; dropping this ends them and waits for their end, thread-locals and all.
pub(super) struct Others<'a> {
    crew: &'a Crew,
    threads: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
    /// The OS threads use the workers until they are joined.
    _workers: PhantomData<&'a [Worker]>,
}

/// Keeps the OS threads from running anything before all of them are there.
struct Gate {
    /// `None` until that is known; then whether they shall run.
    open: Mutex<Option<bool>>,
    decided: Condvar,
}

/// A worker that is lent to its OS thread.
struct Lent(*const Worker);

// SAFETY: `Others` is made with workers that no other OS thread drives, and the one that it starts for a worker alone uses that
// worker until `Others` has joined it, which the entry waits for; both ends order what the two OS threads do. What a worker
// holds may be used on another OS thread, if on one at a time: the builder gives workers beside the first policies that are
// `Send`, the clock is `Send` and `Sync`, the driver is an epoll instance; and outside of an entry there are neither green
// threads nor bodies that must stay on an OS thread.
unsafe impl Send for Lent {}

impl<'a> Others<'a> {
    /// Starts an OS thread for each of `workers`, none of which is driven by anybody.
    ///
    /// # Errors
    ///
    /// What the system says when it gives no more; then nothing has been run.
    pub(super) fn start(workers: &'a [Worker], crew: &'a Crew) -> io::Result<Others<'a>> {
        crew.begin();
        let gate = Arc::new(Gate { open: Mutex::new(None), decided: Condvar::new() });
        let mut others = Others { crew, threads: Vec::new(), gate, _workers: PhantomData };
        for worker in workers {
            let (lent, gate) = (Lent(worker), others.gate.clone());
            let name = format!("osier-worker-{}", worker.remote().index());
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                let lent = lent;
                if gate.pass() {
                    // SAFETY: `others` borrows the worker, and joins this OS thread before that borrow ends.
                    serve(unsafe { &*lent.0 });
                }
            })?;
            others.threads.push(thread);
        }
        others.gate.decide(true);
        Ok(others)
    }
}

impl Drop for Others<'_> {
    fn drop(&mut self) {
        // If they run already this does nothing.
        self.gate.decide(false);
        self.crew.dismiss();
        let guard = AbortOnUnwind;
        for thread in self.threads.drain(..) {
            thread.join().expect("a worker does not unwind");
        }
        core::mem::forget(guard);
    }
}

impl Gate {
    fn decide(&self, run: bool) {
        lock(&self.open).get_or_insert(run);
        self.decided.notify_all();
    }

    /// Waits for the decision.
    fn pass(&self) -> bool {
        let mut open = lock(&self.open);
        loop {
            match *open {
                Some(run) => return run,
                None => open = self.decided.wait(open, None),
            }
        }
    }
}

/// The life of the OS thread of `worker`.
fn serve(worker: &Worker) {
    enter(worker, || {
        arm_overflow_report();
        let os_thread = OsThread::current();
        os_thread.drives(Some(worker.remote().clone()));
        AbortOnUnwind::run(|| {
            entry::apart(|| {
                while !worker.is_dismissed() {
                    worker.turn(None);
                }
            });
            worker.ended();
        });
        os_thread.drives(None);
    });
}
