//! Who is there: what the numbers mean by which C names threads.
//!
//! Owns a record of each thread that C can name: green threads until they are joined, or are detached and have ended; the main
//! green thread while it runs; OS threads, from when they ask for their name until they end. A number is never given twice.
//!
//! The lock is held across no call of Osier's that may drop what a green thread was to run: that comes back here, by [`Ends`]. The
//! one call that it is held across is the spawn, so that no green thread runs before it is known.

use crate::function::Value;
use crate::number;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use osier::thread::{JoinHandle, Thread};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `osier_thread_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadName {
    /// 0 for none.
    pub id: u64,
}

impl ThreadName {
    pub(crate) fn of(thread: &Thread) -> ThreadName {
        ThreadName { id: thread.id().as_u64().get() }
    }
}

static RECORDS: Mutex<BTreeMap<u64, Record>> = Mutex::new(BTreeMap::new());

fn records() -> MutexGuard<'static, BTreeMap<u64, Record>> {
    // To wait for it may set `errno`, which the functions of the header leave alone.
    number::keeping_errno(|| RECORDS.lock()).unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a thread.
#[derive(Clone)]
pub(crate) enum Record {
    /// One that C has spawned.
    Spawned(Arc<Spawned>),
    /// The main green thread of a runtime.
    Main(Thread),
    Os(Thread),
}

/// A green thread that C has spawned.
pub(crate) struct Spawned {
    pub(crate) handle: JoinHandle<Value>,
    life: Arc<Life>,
}

/// How far a spawned green thread has come, and who waits for it.
pub(crate) struct Life {
    /// Bits of those below.
    state: AtomicU8,
    /// Its number; 0 until it has one, which is before anybody can detach it.
    id: AtomicU64,
}

/// Its function has returned, or will never be called.
const ENDED: u8 = 1;
/// Nobody will join it.
const DETACHED: u8 = 2;
/// Somebody joins it.
const JOINING: u8 = 4;

/// In the hands of what a green thread runs: dropped when that has returned, or is dropped itself without having run.
pub(crate) struct Ends(Arc<Life>);

impl Drop for Ends {
    fn drop(&mut self) {
        // When both have happened it is taken out, by the one that is second. Acquire: pairs with `claim`, before which the
        // number was stored. Release: for `claim`.
        if self.0.state.fetch_or(ENDED, Ordering::AcqRel) & DETACHED != 0 {
            forget(self.0.id.load(Ordering::Relaxed));
        }
    }
}

impl Record {
    pub(crate) fn thread(&self) -> &Thread {
        match self {
            Record::Spawned(spawned) => spawned.handle.thread(),
            Record::Main(thread) | Record::Os(thread) => thread,
        }
    }

    /// # Errors
    ///
    /// `EINVAL` if it is not one that C has spawned.
    pub(crate) fn spawned(&self) -> Result<&Arc<Spawned>, c_int> {
        match self {
            Record::Spawned(spawned) => Ok(spawned),
            Record::Main(_) | Record::Os(_) => Err(libc::EINVAL),
        }
    }
}

impl Spawned {
    /// Claims it for the caller's join.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it was detached or somebody joins it.
    pub(crate) fn begin_join(&self) -> Result<(), c_int> {
        self.claim(JOINING).map(|_| ())
    }

    /// The join was given up.
    pub(crate) fn give_up_join(&self) {
        // Release: pairs with the next `claim`.
        self.life.state.fetch_and(!JOINING, Ordering::Release);
    }

    /// Nobody will join it.
    ///
    /// # Errors
    ///
    /// As [`Spawned::begin_join`].
    pub(crate) fn detach(&self) -> Result<(), c_int> {
        if self.claim(DETACHED)? & ENDED != 0 {
            forget(self.life.id.load(Ordering::Relaxed));
        }
        Ok(())
    }

    /// Sets `bit`, and gives the state before.
    fn claim(&self, bit: u8) -> Result<u8, c_int> {
        let claimed = |state: u8| (state & (DETACHED | JOINING) == 0).then_some(state | bit);
        // Release: pairs with the drop of `Ends`, which then sees the number. Acquire: with the same, and with whoever has
        // given up a join.
        self.life.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, claimed).map_err(|_| libc::EINVAL)
    }
}

/// Takes in a green thread that `spawn` makes, with what is to be dropped when it ends.
///
/// # Errors
///
/// Those of `spawn`. It drops what it was given then, which takes no lock: nobody has detached it.
pub(crate) fn spawned<E>(
    spawn: impl FnOnce(Ends) -> Result<JoinHandle<Value>, E>,
) -> Result<(ThreadName, Arc<Spawned>), E> {
    let life = Arc::new(Life { state: AtomicU8::new(0), id: AtomicU64::new(0) });
    // It may begin on another OS thread at once, and ask for its name there.
    let mut records = records();
    let handle = spawn(Ends(life.clone()))?;
    let name = ThreadName::of(handle.thread());
    life.id.store(name.id, Ordering::Relaxed);
    let spawned = Arc::new(Spawned { handle, life });
    records.insert(name.id, Record::Spawned(spawned.clone()));
    Ok((name, spawned))
}

/// Takes in the main green thread, which calls, until what this gives is dropped.
pub(crate) fn main() -> Known {
    let thread = osier::thread::current();
    let name = ThreadName::of(&thread);
    records().insert(name.id, Record::Main(thread));
    Known(name)
}

/// Somebody who is known as long as this exists.
pub(crate) struct Known(ThreadName);

impl Drop for Known {
    fn drop(&mut self) {
        forget(self.0.id);
    }
}

thread_local! {
    /// That this OS thread is known.
    static KNOWN: Cell<Option<Known>> = const { Cell::new(None) };
}

/// The name of the thread that calls. An OS thread is known from then on.
pub(crate) fn current() -> ThreadName {
    let thread = osier::thread::current();
    let name = ThreadName::of(&thread);
    if find(name).is_none() {
        // Every green thread is known: this is an OS thread. One whose destructors run is not taken in: nothing would take it out.
        let _ = KNOWN.try_with(|known| {
            records().insert(name.id, Record::Os(thread));
            known.set(Some(Known(name)));
        });
    }
    name
}

/// What is known of a thread, if it is.
pub(crate) fn find(name: ThreadName) -> Option<Record> {
    records().get(&name.id).cloned()
}

/// [`find`] for functions that need one.
///
/// # Errors
///
/// `ESRCH` if there is none.
pub(crate) fn look_up(name: ThreadName) -> Result<Record, c_int> {
    find(name).ok_or(libc::ESRCH)
}

/// Takes a thread out: its name means nothing from now on.
pub(crate) fn forget(id: u64) {
    let record = records().remove(&id);
    // Not under the lock.
    drop(record);
}
