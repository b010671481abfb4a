//! The worker's epoll instance and what is registered with it.
//!
//! Owns an entry for each descriptor, with the green threads that wait for each of its directions. Used by one worker only,
//! on its OS thread; the exceptions are [`Remote::forget`](crate::scheduler::Remote::forget) and [`Foreign`], which leave word for it.
//!
//! A descriptor that green threads of several workers wait for is registered with each of them, and each hears of each change.
//!
//! # Two kinds of entries
//!
//! *Owned* descriptors (our sockets) are added once, edge-triggered, and removed when their owner closes them.
//!
//! *Borrowed* descriptors (a shim's) may be closed, duplicated or reused behind our back, so nothing is remembered of them
//! between waits: each wait arms the descriptor for one event, by number.
//!
//! # Edges
//!
//! For an owned descriptor `ready` says that the last try may not have taken all there was. The order is: try; on `EAGAIN`
//! clear `ready`; wait until an event sets it. No event is missed, since events are taken in only by the worker's own turn,
//! which cannot come between the try and the clearing. A short transfer on a stream says as much as `EAGAIN`, unless an
//! irregular event was seen (the end of the stream, an error, urgent data): that comes only once.
//!
//! An event wakes one waiter of its direction. It tries, and as long as `ready` stays set whoever leaves the entry hands
//! the turn to the next.
//!
//! # Generations
//!
//! An event carries its entry's key and generation; one for an entry that is gone is ignored.

use crate::clock::Instant;
use crate::inside;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::sys::event::{Direction, Epoll, Interest, Readiness};
use crate::wait_queue::WaitQueue;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use core::time::Duration;
use crossbeam_queue::SegQueue;
use slab::Slab;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Where outside events come from.
pub(crate) trait Driver {
    fn add(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()>;
    fn modify(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()>;
    fn remove(&self, fd: RawFd) -> io::Result<()>;
    /// Waits for events, at most `timeout` (`None`: as long as it takes), and hands each one on.
    fn wait(&self, timeout: Option<Duration>, each: &mut dyn FnMut(u64, Readiness)) -> io::Result<()>;
}

impl Driver for std::sync::Arc<Epoll> {
    fn add(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        (**self).add(fd, interest, token)
    }

    fn modify(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        (**self).modify(fd, interest, token)
    }

    fn remove(&self, fd: RawFd) -> io::Result<()> {
        (**self).remove(fd)
    }

    fn wait(&self, timeout: Option<Duration>, each: &mut dyn FnMut(u64, Readiness)) -> io::Result<()> {
        (**self).wait(timeout, each)
    }
}

/// Names an entry; another one never has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    fn token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    fn from_token(token: u64) -> Key {
        Key { index: token as u32, generation: (token >> 32) as u32 }
    }
}

/// The token of the descriptors that only end the wait: the worker's eventfd and timerfd. No key has this generation.
pub(crate) const WAKE_TOKEN: u64 = u64::MAX;

/// The worker's registrations.
pub(crate) struct Reactor {
    driver: Box<dyn Driver>,
    foreign: Arc<Foreign>,
    entries: RefCell<Slab<Entry>>,
    /// For each descriptor number, the entry that stands for it in epoll.
    by_fd: RefCell<Vec<Option<Key>>>,
    /// The generation of the last entry made.
    generation: Cell<u32>,
}

/// What other OS threads tell a reactor of descriptors that are borrowed.
///
/// Whoever closes one takes the next number, closes it, and tells each reactor that has waits. A wait notes the last number
/// before it arms the descriptor. So a wait that began before the close hears of it; one that began after the number was taken may be for
/// the next descriptor of that number, or armed just before the close: it is woken, and finds out by trying.
#[derive(Default)]
pub(crate) struct Foreign {
    /// Waits for borrowed descriptors that are going on. Written by the worker alone, so it is loaded and stored.
    waits: AtomicUsize,
    /// Descriptors that were closed elsewhere, with the number of the close.
    closed: SegQueue<(RangeInclusive<RawFd>, u64)>,
}

/// The number of the last close of a descriptor that anybody may have borrowed.
static CLOSES: AtomicU64 = AtomicU64::new(0);

/// The number of a close that is about to happen.
#[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "only a shim sees a stranger's close"))]
pub(crate) fn number_close() -> u64 {
    // Relaxed: the close itself orders it before whoever gets the number of the descriptor next.
    CLOSES.fetch_add(1, Ordering::Relaxed) + 1
}

/// A wait for a borrowed descriptor, while it goes on.
struct BorrowedWait<'a> {
    foreign: &'a Foreign,
    /// The last close that came before it.
    began: u64,
}

impl Foreign {
    fn begin_wait(&self) -> BorrowedWait<'_> {
        self.waits.store(self.waits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        // Pairs with the fence in `waits`: a close that comes after the arming is told to this one.
        fence(Ordering::SeqCst);
        BorrowedWait { foreign: self, began: CLOSES.load(Ordering::Relaxed) }
    }

    /// Whether it must be told of closes. Asked after the close.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "only a shim sees a stranger's close"))]
    pub(crate) fn waits(&self) -> bool {
        fence(Ordering::SeqCst);
        self.waits.load(Ordering::Relaxed) > 0
    }

    /// Leaves word that `fds` were closed; the worker is to be told to look.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "only a shim sees a stranger's close"))]
    pub(crate) fn leave_close(&self, fds: RangeInclusive<RawFd>, close: u64) {
        // The queue may yield when it is pushed to from several sides.
        inside::run(|| self.closed.push((fds, close)));
    }
}

impl Drop for BorrowedWait<'_> {
    fn drop(&mut self) {
        let waits = &self.foreign.waits;
        waits.store(waits.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }
}

struct Entry {
    generation: u32,
    fd: RawFd,
    owned: bool,
    /// The number of the close of a borrowed descriptor under its waiters, 0 for none: its number may already be another one's.
    closed: u64,
    /// An irregular event was seen: short transfers say nothing any more.
    irregular: bool,
    read: Side,
    write: Side,
}

/// One direction of an entry.
struct Side {
    /// Something may be there (owned descriptors), or was there when the last event came (borrowed ones).
    ready: bool,
    waiters: WaitQueue<Unparker>,
}

impl Entry {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// What a borrowed descriptor is to be armed for.
    fn interest(&self) -> Interest {
        Interest::Once { read: !self.read.waiters.is_empty(), write: !self.write.waiters.is_empty() }
    }
}

impl Side {
    fn new() -> Side {
        // Ready until a try says otherwise.
        Side { ready: true, waiters: WaitQueue::new() }
    }

    /// Hands the turn to the next waiter, if there is anything to have.
    fn wake_next(&mut self) {
        if self.ready
            && let Some(next) = self.waiters.pop()
        {
            next.unpark();
        }
    }

    fn wake_all(&mut self) {
        while let Some(waiter) = self.waiters.pop() {
            waiter.unpark();
        }
    }
}

impl Reactor {
    pub(crate) fn new(driver: Box<dyn Driver>, foreign: Arc<Foreign>) -> Reactor {
        Reactor {
            driver,
            foreign,
            entries: RefCell::new(Slab::new()),
            by_fd: RefCell::new(Vec::new()),
            generation: Cell::new(0),
        }
    }

    /// Takes in a descriptor that stays open until [`Reactor::deregister`].
    pub(crate) fn register(&self, fd: RawFd) -> io::Result<Key> {
        let key = self.insert(fd, true);
        let mut added = self.driver.add(fd, Interest::Edge, key.token());
        if added.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            // A shim has waited for it before it became ours.
            added = self.driver.modify(fd, Interest::Edge, key.token());
        }
        match added {
            Ok(()) => Ok(key),
            Err(error) => {
                self.deregister(key);
                Err(error)
            }
        }
    }

    /// Forgets an owned descriptor; whoever waits for it is woken. Closing the descriptor removes it from epoll, unless it
    /// was duplicated: then remove it from there before.
    pub(crate) fn deregister(&self, key: Key) {
        let mut entries = self.entries.borrow_mut();
        if entries.get(key.index as usize).is_some_and(|entry| entry.generation == key.generation) {
            let mut entry = entries.remove(key.index as usize);
            drop(entries);
            self.forget_fd(entry.fd, key);
            entry.read.wake_all();
            entry.write.wake_all();
        }
    }

    /// Whether a try in this direction is sure to be told `EAGAIN`.
    pub(crate) fn is_blocked(&self, key: Key, direction: Direction) -> bool {
        self.with(key, |entry| !entry.side(direction).ready).unwrap_or(false)
    }

    /// Notes what a try has shown: whether there may be more.
    pub(crate) fn note(&self, key: Key, direction: Direction, more: bool) {
        let _ = self.with(key, |entry| {
            let irregular = entry.irregular;
            let side = entry.side(direction);
            side.ready = more || irregular;
            side.wake_next();
        });
    }

    /// Notes that a try was told `EAGAIN`.
    pub(crate) fn note_blocked(&self, key: Key, direction: Direction) {
        let _ = self.with(key, |entry| entry.side(direction).ready = false);
    }

    /// Waits until a try on an owned descriptor may succeed.
    pub(crate) fn wait(
        &self,
        key: Key,
        direction: Direction,
        deadline: Option<Instant>,
    ) -> Result<Wake, Cancelled> {
        let queued = self.with(key, |entry| {
            let fd = entry.fd;
            let side = entry.side(direction);
            (!side.ready).then(|| (fd, side.waiters.push(Unparker::current())))
        });
        let Some(Some((fd, ticket))) = queued else {
            return Ok(Wake::Unparked);
        };
        let outcome = park(Reason::Io(fd, direction), deadline);
        let _ = self.with(key, |entry| {
            let side = entry.side(direction);
            let chosen = !side.waiters.remove(ticket);
            if chosen && outcome != Ok(Wake::Unparked) {
                side.wake_next();
            }
        });
        outcome
    }

    /// Waits until a descriptor that is somebody else's is ready, or may be. Whoever is woken tries, and finds out.
    ///
    /// # Errors
    ///
    /// What epoll says of a descriptor that it cannot watch (`EPERM` for a regular file, which is always ready, `EBADF`);
    /// `EBADF` when it was closed meanwhile ([`Reactor::closing_borrowed`]), also if its number is in use again.
    pub(crate) fn wait_borrowed(
        &self,
        reason: Reason,
        fd: RawFd,
        direction: Direction,
        deadline: Option<Instant>,
    ) -> io::Result<Result<Wake, Cancelled>> {
        let key = match self.key_of(fd) {
            Some(key) if self.with(key, |entry| entry.owned) == Some(true) => {
                // One of our own sockets, used through its number. Nothing will be noted after the try, so hand on at once.
                self.note_blocked(key, direction);
                let outcome = self.wait(key, direction, deadline);
                let _ = self.with(key, |entry| entry.side(direction).wake_next());
                return Ok(outcome);
            }
            Some(key) => key,
            None => self.insert(fd, false),
        };
        let waits = self.foreign.begin_wait();
        let ticket = self.with(key, |entry| entry.side(direction).waiters.push(Unparker::current()));
        let Some(ticket) = ticket else {
            unreachable!("the entry of a borrowed descriptor stays while it is in the table");
        };
        if let Err(error) = self.arm(key) {
            let _ = self.with(key, |entry| entry.side(direction).waiters.remove(ticket));
            self.drop_borrowed_if_idle(key);
            return Err(error);
        }
        let outcome = park(reason, deadline);
        let closed = self.with(key, |entry| {
            let side = entry.side(direction);
            let chosen = !side.waiters.remove(ticket);
            if chosen && outcome != Ok(Wake::Unparked) {
                side.wake_all();
            }
            // One that has begun since is woken for nothing, and looks again.
            waits.began < entry.closed
        });
        self.drop_borrowed_if_idle(key);
        match outcome {
            // A kill or a deadline that came first counts first.
            Ok(Wake::Unparked) if closed == Some(true) => Err(crate::sys::bad_descriptor()),
            outcome => Ok(outcome),
        }
    }

    /// Whether nothing of it is borrowed.
    #[cfg(feature = "patch")]
    pub(crate) fn is_free(&self) -> bool {
        self.entries.try_borrow_mut().is_ok() && self.by_fd.try_borrow_mut().is_ok()
    }

    /// Wakes whoever waits here for borrowed descriptors, which are about to be closed, under the number `close`. May be called from
    /// a signal handler that has interrupted the reactor; then it does nothing.
    #[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "only a shim sees a stranger's close"))]
    pub(crate) fn closing_borrowed(&self, fds: RangeInclusive<RawFd>, close: u64) {
        if self.entries.try_borrow_mut().is_ok() && self.by_fd.try_borrow_mut().is_ok() {
            self.close_borrowed(fds, close, |fd| {
                // It may have been duplicated, and its epoll entry would outlive it.
                let _ = self.driver.remove(fd);
            });
        }
    }

    /// Wakes whoever waits here for descriptors that others have closed.
    pub(crate) fn take_in_closes(&self) {
        while let Some((fds, close)) = self.foreign.closed.pop() {
            self.close_borrowed(fds, close, |_| {});
        }
    }

    fn close_borrowed(&self, fds: RangeInclusive<RawFd>, close: u64, remove: impl Fn(RawFd)) {
        let end = RawFd::try_from(self.by_fd.borrow().len()).unwrap_or(RawFd::MAX);
        for fd in *fds.start()..=(*fds.end()).min(end - 1) {
            let borrowed = |key: &Key| self.with(*key, |entry| entry.owned) == Some(false);
            let Some(key) = self.key_of(fd).filter(borrowed) else { continue };
            remove(fd);
            self.forget_fd(fd, key);
            let _ = self.with(key, |entry| {
                entry.closed = close;
                entry.read.wake_all();
                entry.write.wake_all();
            });
        }
    }

    /// Whether events can come at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Takes in events; waits for some at most `timeout`, `None` for as long as it takes.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.driver.wait(timeout, &mut |token, readiness| self.take_in(token, readiness))
    }

    fn take_in(&self, token: u64, readiness: Readiness) {
        if token == WAKE_TOKEN {
            return;
        }
        let key = Key::from_token(token);
        let rearm = self.with(key, |entry| {
            entry.irregular |= readiness.irregular;
            let owned = entry.owned;
            for (is_ready, side) in [(readiness.read, &mut entry.read), (readiness.write, &mut entry.write)] {
                if !is_ready {
                    continue;
                }
                side.ready = true;
                // Of a borrowed descriptor nothing will be noted after the try, so nobody could hand the turn on.
                if owned { side.wake_next() } else { side.wake_all() }
            }
            !owned && entry.interest() != (Interest::Once { read: false, write: false })
        });
        if rearm == Some(true) && self.arm(key).is_err() {
            // They try, and find out what is wrong.
            let _ = self.with(key, |entry| {
                entry.read.wake_all();
                entry.write.wake_all();
            });
        }
    }

    /// Arms a borrowed descriptor for what is waited for.
    fn arm(&self, key: Key) -> io::Result<()> {
        let Some((fd, interest)) = self.with(key, |entry| (entry.fd, entry.interest())) else {
            return Ok(());
        };
        match self.driver.modify(fd, interest, key.token()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.driver.add(fd, interest, key.token())
            }
            result => result,
        }
    }

    fn drop_borrowed_if_idle(&self, key: Key) {
        let idle = self.with(key, |entry| entry.read.waiters.is_empty() && entry.write.waiters.is_empty());
        if idle == Some(true) {
            self.deregister(key);
        }
    }

    fn key_of(&self, fd: RawFd) -> Option<Key> {
        *self.by_fd.borrow().get(usize::try_from(fd).ok()?)?
    }

    /// Takes the number from `key`, unless it stands for a newer entry already.
    fn forget_fd(&self, fd: RawFd, key: Key) {
        if self.key_of(fd) == Some(key) {
            self.by_fd.borrow_mut()[fd as usize] = None;
        }
    }

    fn insert(&self, fd: RawFd, owned: bool) -> Key {
        // The last generation is never reached: it would take four thousand million registrations and meet WAKE_TOKEN.
        let generation = (self.generation.get() + 1) % u32::MAX;
        self.generation.set(generation);
        let entry = Entry {
            generation,
            fd,
            owned,
            closed: 0,
            irregular: false,
            read: Side::new(),
            write: Side::new(),
        };
        let index = self.entries.borrow_mut().insert(entry);
        let key = Key { index: u32::try_from(index).expect("fewer descriptors than 2^32"), generation };
        // A negative number gets an entry too, for epoll to refuse.
        if let Ok(number) = usize::try_from(fd) {
            let mut by_fd = self.by_fd.borrow_mut();
            if by_fd.len() <= number {
                by_fd.resize(number + 1, None);
            }
            by_fd[number] = Some(key);
        }
        key
    }

    /// What `f` makes of an entry; `None` if it is gone.
    fn with<T>(&self, key: Key, f: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(key.index as usize)?;
        (entry.generation == key.generation).then(|| f(entry))
    }
}
