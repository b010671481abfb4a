//! The one way to wait, and the one way to end a wait.
//!
//! Every blocking call of the crate ends in [`park`]. What it parks is the green thread that calls it, or the OS thread
//! when there is no green thread; the caller cannot tell. Who is to be woken is named by an [`Unparker`].
//!
//! # Protocol
//!
//! An unpark that comes before the park is kept, once (std's token): the park then returns at once. A park may also end
//! for no reason. So: make it known that you wait (under the lock of what you wait for), park, and look again.
//!
//! A wait ends in exactly one way. The token of an unpark that races with a deadline or a kill stays for the next park,
//! which is why looking again is part of the protocol, and why a waiter that was chosen must take what it was given, or
//! pass it on (see [`crate::wait_queue`]).

use crate::clock::Instant;
use crate::limits::{Limits, TimeoutId};
use crate::os_thread::OsThread;
use crate::scheduler::{self, Place};
use crate::sys::event::Direction;
use crate::task::Task;
use crate::unwinding::Orderly;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::any::Any;
use std::os::fd::RawFd;
use std::panic::resume_unwind;
use std::sync::Arc;

/// Which green thread holds a lock, for the report of a deadlock.
///
/// The holder names itself after it has got the lock and takes its name back before it gives the lock away. So whoever is
/// named, and has done all that it did before somebody looks, holds it: a report never shows a circle that is none.
#[derive(Debug)]
pub(crate) struct Holder(AtomicU64);

impl Holder {
    /// Nobody.
    pub(crate) const fn nobody() -> Holder {
        Holder(AtomicU64::new(0))
    }

    /// The lock is the caller's.
    #[inline]
    pub(crate) fn name(&self) {
        // Relaxed, here and below: only a report reads it, when whoever is named is parked, and the parking orders it.
        self.0.store(scheduler::running_id(), Ordering::Relaxed);
    }

    /// The caller is about to give the lock away.
    #[inline]
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The id of the green thread that holds the lock; `None` when no green thread is known to.
    pub(crate) fn id(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&id| id != 0)
    }
}

/// What a parked thread waits for, and on which object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason<'a> {
    /// Nothing but its deadline.
    Sleep,
    /// An `unpark`.
    Park,
    /// The end of the green thread with this id.
    Join(u64),
    /// The end of the green threads of a scope.
    Scope,
    /// A descriptor.
    Io(RawFd, Direction),
    /// The end of the child process with this id.
    Child(u32),
    /// The lock of the file that this descriptor has open.
    FileLock(RawFd),
    /// The end of a pause, after which this call is tried again.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "shims alone wait for it"))]
    NextTry(&'static str),
    /// A call that runs on the offload pool.
    Offload,
    /// Permits of the semaphore at this address.
    Semaphore(usize),
    /// The other workers, each of which is to say who is there.
    RollCall,
    /// A place in the channel at this address, or a receiver.
    Send(usize),
    /// A message of the channel at this address.
    Receive(usize),
    /// The event at this address.
    Event(usize),
    /// The members of the wait group at this address.
    WaitGroup(usize),
    /// The mutex at this address.
    Mutex(usize, &'a Holder),
    /// A notification of the condition variable at this address.
    Condvar(usize),
    /// To read what the reader-writer lock at this address guards; who writes it.
    Read(usize, &'a Holder),
    /// To write it.
    Write(usize, &'a Holder),
    /// The reentrant lock at this address.
    ReentrantLock(usize, &'a Holder),
    /// What is to happen once, at this address; in whom it happens.
    Once(usize, &'a Holder),
    /// The others that the barrier at this address is for.
    Barrier(usize),
    /// A change of the word at this address, of which a lock of std's or of C is made.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "shims alone wait for it"))]
    Futex(usize),
    /// What `std::thread::unpark` gives, of which the OS thread has one.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "shims alone wait for it"))]
    StdToken,
    /// An object of pthreads, of this kind, at this address.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "shims alone wait for it"))]
    Pthread(&'static str, usize),
}

impl Reason<'_> {
    /// Whether something ends this wait that is brought neither by a green thread nor by an OS thread outside: nobody who waits so is
    /// stuck.
    pub(crate) fn is_external(self) -> bool {
        matches!(
            self,
            Reason::Sleep
                | Reason::Io(..)
                | Reason::Child(_)
                | Reason::FileLock(_)
                | Reason::NextTry(_)
                | Reason::Offload
                // Workers answer between two turns, on an order, so that neither their turns nor their inboxes tell of it.
                | Reason::RollCall
        )
    }

    /// Whether code that knows nothing of kills waits: std's locks and C's, through a shim.
    pub(crate) fn is_in_shim(self) -> bool {
        matches!(self, Reason::Futex(_) | Reason::StdToken | Reason::Pthread(..))
    }

    /// Whether code of ours or of a lock's waits, which looks again when it is woken for no reason. Others may hand that on to their
    /// callers.
    pub(crate) fn looks_again(self) -> bool {
        !self.is_external() && !matches!(self, Reason::Park | Reason::Condvar(_))
    }

    /// The id of the one green thread that can end this wait; `None` if that is not known.
    pub(crate) fn waits_for(self) -> Option<u64> {
        match self {
            Reason::Join(id) => Some(id),
            Reason::Mutex(_, holder)
            | Reason::Read(_, holder)
            | Reason::Write(_, holder)
            | Reason::ReentrantLock(_, holder)
            | Reason::Once(_, holder) => holder.id(),
            _ => None,
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |f: &mut fmt::Formatter<'_>, what, address: usize, holder: &Holder| {
            write!(f, "waits {what} at {address:#x}")?;
            holder.id().map_or(Ok(()), |id| write!(f, ", which green thread {id} has"))
        };
        match *self {
            Reason::Sleep => write!(f, "sleeps"),
            Reason::Park => write!(f, "parked, waits for unpark"),
            Reason::Join(id) => write!(f, "joins green thread {id}"),
            Reason::Scope => write!(f, "waits for the green threads of its scope"),
            Reason::Io(fd, Direction::Read) => write!(f, "waits to read descriptor {fd}"),
            Reason::Io(fd, Direction::Write) => write!(f, "waits to write descriptor {fd}"),
            Reason::Child(id) => write!(f, "waits for the end of process {id}"),
            Reason::FileLock(fd) => write!(f, "waits for the lock of the file of descriptor {fd}"),
            Reason::NextTry(what) => write!(f, "tries again and again: {what}"),
            Reason::Offload => write!(f, "waits for an offloaded call"),
            Reason::Semaphore(address) => write!(f, "waits for the semaphore at {address:#x}"),
            Reason::RollCall => write!(f, "waits for the other workers to say who is there"),
            Reason::Send(address) => write!(f, "waits to send into the channel at {address:#x}"),
            Reason::Receive(address) => write!(f, "waits to receive from the channel at {address:#x}"),
            Reason::Event(address) => write!(f, "waits for the event at {address:#x}"),
            Reason::WaitGroup(address) => {
                write!(f, "waits for the members of the wait group at {address:#x}")
            }
            Reason::Mutex(address, holder) => held(f, "for the mutex", address, holder),
            Reason::Condvar(address) => {
                write!(f, "waits for a notification of the condition variable at {address:#x}")
            }
            Reason::Read(address, holder) => held(f, "to read the lock", address, holder),
            Reason::Write(address, holder) => held(f, "to write the lock", address, holder),
            Reason::ReentrantLock(address, holder) => held(f, "for the reentrant lock", address, holder),
            Reason::Once(address, holder) => held(f, "for the `Once`", address, holder),
            Reason::Futex(address) => {
                write!(f, "waits for the futex at {address:#x}, a lock of std's or of C")
            }
            Reason::StdToken => write!(
                f,
                "parked by `std::thread::park`; std's channels wake no receiver of the sender's own OS thread"
            ),
            Reason::Pthread(what, address) => write!(f, "waits for the {what} at {address:#x}"),
            Reason::Barrier(address) => write!(f, "waits for the others at the barrier at {address:#x}"),
        }
    }
}

/// How a wait ended that was not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Somebody unparked it, or for no reason: look again.
    Unparked,
    /// Its own deadline has passed.
    Deadline,
}

/// Why a wait was ended from outside. Whoever gets it puts its own house in order and then raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the green thread was told to end: raise it"]
pub(crate) enum Cancelled {
    /// The green thread was killed.
    Killed,
    /// The deadline of an enclosing `timeout` has passed.
    Elapsed(TimeoutId),
}

/// The payload that unwinds a killed green thread.
pub(crate) struct KillPayload {
    _orderly: Orderly,
}

/// The payload that unwinds to the `timeout` that it names.
pub(crate) struct ElapsedPayload {
    pub(crate) timeout: TimeoutId,
    _orderly: Orderly,
}

impl Cancelled {
    /// Unwinds the stack, without the panic hook: nobody has panicked.
    #[cold]
    pub(crate) fn raise(self) -> ! {
        let _orderly = Orderly::begin();
        let payload: Box<dyn Any + Send> = match self {
            Cancelled::Killed => Box::new(KillPayload { _orderly }),
            Cancelled::Elapsed(timeout) => Box::new(ElapsedPayload { timeout, _orderly }),
        };
        resume_unwind(payload)
    }
}

/// Ends the waits of one green thread or OS thread.
#[derive(Clone)]
pub(crate) enum Unparker {
    Green(Arc<Task>),
    Os(Arc<OsThread>),
}

impl Unparker {
    /// Of the thread that calls.
    pub(crate) fn current() -> Unparker {
        scheduler::with_place(|place| match place {
            Place::Green(worker) => Unparker::Green(worker.current_task()),
            Place::Driver(_) | Place::OsThread => Unparker::Os(OsThread::current()),
        })
    }

    /// Ends its wait, or its next one. Never waits.
    pub(crate) fn unpark(&self) {
        match self {
            Unparker::Green(task) => scheduler::unpark(task),
            Unparker::Os(thread) => thread.unpark(),
        }
    }
}

/// Waits until unparked or until `deadline`, whichever comes first; for no reason at times.
///
/// # Errors
///
/// `Cancelled` if the green thread was killed or an enclosing timeout has passed, unless a `shield` or an unwinding stack
/// stands between. An unpark that comes first counts first.
// Inlined, as all on the way to the switch: each function that returns after a switch is one wrong return prediction.
#[inline]
pub(crate) fn park(reason: Reason<'_>, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
    scheduler::with_place(|place| match place {
        Place::Green(worker) => worker.park(reason, deadline),
        Place::Driver(worker) => OsThread::current().park_driving(worker, deadline),
        Place::OsThread => OsThread::current().park(deadline),
    })
}

/// The deadline that a wait keeps, and the `timeout` that set it if that was not the wait's own.
pub(crate) fn earliest(own: Option<Instant>, limits: &Limits) -> (Option<Instant>, Option<TimeoutId>) {
    match limits.timeout {
        Some((at, id)) if own.is_none_or(|own| at < own) => (Some(at), Some(id)),
        _ => (own, None),
    }
}

/// How a wait ended whose deadline, [`earliest`], has passed.
pub(crate) fn passed(whose: Option<TimeoutId>) -> Result<Wake, Cancelled> {
    whose.map_or(Ok(Wake::Deadline), |id| Err(Cancelled::Elapsed(id)))
}
