//! The part of a worker that other OS threads may use.

use super::copies;
use super::orders::Orders;
use super::roll_call::RollCall;
use super::stillness::{Pulse, Sleeper};
use super::tally::Tally;
use super::theft::Offers;
use crate::inbox::{Inbox, Push};
use crate::inside;
use crate::offload::Pool;
use crate::primitive::{Mutex, lock};
use crate::reactor::{Foreign, Key};
use crate::sys::event::{Epoll, EventFd};
use crate::task::Task;
#[cfg(feature = "patch")]
use core::ops::RangeInclusive;
use crossbeam_queue::SegQueue;
use std::os::fd::RawFd;
use std::sync::Arc;

/// A worker as others see it.
pub(crate) struct Remote {
    /// Which of its runtime's workers it is; 0 is the one that enters the runtime.
    index: usize,
    /// Green threads to be woken, to be killed, or to be born.
    inbox: Inbox<Task>,
    /// Its unstarted ones that others may take.
    pub(super) offers: Offers<Offered>,
    /// `None` when the runtime is gone: handles to its green threads may live on for long, and hold no descriptors.
    descriptors: Mutex<Option<Descriptors>>,
    /// Registrations whose sockets were closed on another OS thread.
    closed: SegQueue<Key>,
    /// Closes of descriptors that its green threads may have borrowed.
    pub(super) foreign: Arc<Foreign>,
    orders: Orders,
    /// Who wants to know which green threads it has.
    pub(super) calls: SegQueue<Arc<RollCall>>,
    pub(super) tally: Tally,
    pub(super) pulse: Pulse,
    /// Shared by the workers of a runtime.
    pub(crate) offload: Pool,
    /// The process whose it is: [`copies`].
    process: usize,
}

/// A green thread that has not started and belongs to no worker yet, with what it is to run.
pub(crate) struct Offered {
    pub(super) task: Arc<Task>,
    pub(super) body: Box<dyn FnOnce() + Send>,
}

struct Descriptors {
    /// Ends the worker's sleep.
    wake: EventFd,
    /// The epoll instance; the worker waits with it, others only take descriptors out.
    epoll: Arc<Epoll>,
}

impl Remote {
    pub(super) fn new(index: usize, wake: EventFd, epoll: Arc<Epoll>, offload: Pool) -> Remote {
        Remote {
            index,
            inbox: Inbox::new(),
            offers: Offers::new(),
            descriptors: Mutex::new(Some(Descriptors { wake, epoll })),
            closed: SegQueue::new(),
            foreign: Arc::default(),
            orders: Orders::none(),
            calls: SegQueue::new(),
            tally: Tally::new(),
            pulse: Pulse::new(),
            offload,
            process: copies(),
        }
    }

    /// Which of its runtime's workers it is.
    pub(crate) fn index(&self) -> usize {
        self.index
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
        self.with_descriptors(|descriptors| descriptors.wake.signal());
    }

    /// Has the worker forget a registration whose descriptor, `fd`, is about to be closed.
    pub(crate) fn forget(&self, key: Key, fd: RawFd, duplicated: bool) {
        if duplicated {
            // Fails only if it is gone already.
            self.with_descriptors(|descriptors| _ = descriptors.epoll.remove(fd));
        }
        // The queue may yield when it is pushed to from several sides.
        inside::run(|| self.closed.push(key));
    }

    /// `fds`, which its green threads may have borrowed, are about to be closed: a duplicate of a single one must not keep it in
    /// epoll. (Of a range only the events are lost: they name an entry that is gone.)
    #[cfg(feature = "patch")]
    pub(super) fn before_close(&self, fds: &RangeInclusive<RawFd>) {
        if fds.start() == fds.end() && self.foreign.waits() {
            // Fails if nobody waits for this one.
            self.with_descriptors(|descriptors| _ = descriptors.epoll.remove(*fds.start()));
        }
    }

    /// `fds`, which its green threads may have borrowed, were closed.
    #[cfg(feature = "patch")]
    pub(super) fn after_close(&self, fds: &RangeInclusive<RawFd>, close: u64) {
        if self.foreign.waits() {
            self.foreign.leave_close(fds.clone(), close);
            self.order(super::orders::CLOSED);
        }
    }

    /// Has the worker do something at its next turn, which is now if it sleeps.
    pub(super) fn order(&self, what: usize) {
        self.orders.give(what);
        self.rouse();
    }

    /// What the worker was ordered to do. Only the worker calls this.
    #[inline]
    pub(super) fn take_orders(&self) -> usize {
        self.orders.take()
    }

    /// Uses the descriptors, unless the worker has ended, or is the parent's of this process: they are shared with the parent, from
    /// whose epoll instance nothing must be taken.
    fn with_descriptors(&self, f: impl FnOnce(&Descriptors)) {
        if self.process == copies()
            && let Some(descriptors) = &*lock(&self.descriptors)
        {
            f(descriptors);
        }
    }

    /// Closes the descriptors; the worker has ended.
    pub(super) fn close_descriptors(&self) {
        *lock(&self.descriptors) = None;
    }

    /// Closes the descriptors in the child of a fork, as far as that has to do with them; not if an OS thread of the parent was using
    /// them.
    pub(super) fn forget_descriptors(&self) {
        if let Some(mut descriptors) = self.descriptors.try_lock() {
            *descriptors = None;
        }
    }

    pub(super) fn inbox(&self) -> &Inbox<Task> {
        &self.inbox
    }

    pub(super) fn closed_registrations(&self) -> impl Iterator<Item = Key> + '_ {
        std::iter::from_fn(|| self.closed.pop())
    }
}

impl Sleeper for Remote {
    fn is_asleep(&self) -> bool {
        self.inbox.is_asleep()
    }

    fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

/// Ends a green thread that will never be born: whoever joins it is told.
pub(super) fn abandon(task: &Arc<Task>) {
    if let Some(body) = task.take_unborn() {
        Offered { task: task.clone(), body }.abandon();
    }
}

impl Offered {
    /// Ends it, since nobody will ever take it: whoever joins it is told.
    pub(super) fn abandon(self) {
        self.task.mark_killed();
        super::drop_quietly(self.body);
        self.task.finish();
    }
}
