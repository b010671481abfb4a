//! The part of a worker that other OS threads may use.

use crate::inbox::{Inbox, Push};
use crate::offload::Pool;
use crate::primitive::{Mutex, lock};
use crate::reactor::Key;
use crate::sys::event::{Epoll, EventFd};
use crate::task::Task;
use crossbeam_queue::SegQueue;
use std::os::fd::RawFd;
use std::sync::Arc;

/// A worker as others see it.
pub(crate) struct Remote {
    /// Green threads to be woken, to be killed, or to be born.
    inbox: Inbox<Task>,
    /// `None` when the runtime is gone: handles to its green threads may live on for long, and hold no descriptors.
    descriptors: Mutex<Option<Descriptors>>,
    /// Registrations whose sockets were closed on another OS thread.
    closed: SegQueue<Key>,
    /// Shared by the workers of a runtime.
    pub(crate) offload: Pool,
}

struct Descriptors {
    /// Ends the worker's sleep.
    wake: EventFd,
    /// The epoll instance; the worker waits with it, others only take descriptors out.
    epoll: Arc<Epoll>,
}

impl Remote {
    pub(super) fn new(wake: EventFd, epoll: Arc<Epoll>, offload: Pool) -> Remote {
        let descriptors = Mutex::new(Some(Descriptors { wake, epoll }));
        Remote { inbox: Inbox::new(), descriptors, closed: SegQueue::new(), offload }
    }

    /// Has the worker look at `task`; dropped, with its body, if the worker has ended.
    pub(crate) fn push(&self, task: Arc<Task>) {
        match self.inbox.push(task.clone()) {
            Push::Done => {}
            Push::MustWake => self.rouse(),
            Push::Closed => abandon(&task),
        }
    }

    /// Ends the worker's sleep for no green thread's sake.
    pub(crate) fn rouse(&self) {
        if let Some(descriptors) = &*lock(&self.descriptors) {
            descriptors.wake.signal();
        }
    }

    /// Has the worker forget a registration whose descriptor, `fd`, is about to be closed.
    pub(crate) fn forget(&self, key: Key, fd: RawFd, duplicated: bool) {
        if duplicated && let Some(descriptors) = &*lock(&self.descriptors) {
            // Fails only if it is gone already.
            let _ = descriptors.epoll.remove(fd);
        }
        self.closed.push(key);
    }

    /// Closes the descriptors; the worker has ended.
    pub(super) fn close_descriptors(&self) {
        *lock(&self.descriptors) = None;
    }

    pub(super) fn inbox(&self) -> &Inbox<Task> {
        &self.inbox
    }

    pub(super) fn closed_registrations(&self) -> impl Iterator<Item = Key> + '_ {
        std::iter::from_fn(|| self.closed.pop())
    }
}

/// Ends a green thread that will never be born: whoever joins it is told.
pub(super) fn abandon(task: &Arc<Task>) {
    if let Some(body) = task.take_unborn() {
        task.mark_killed();
        super::drop_quietly(body);
        task.finish();
    }
}
