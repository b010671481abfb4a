//! The token of `std::thread::park`, of which an OS thread has one, while one of its green threads waits for it.
//!
//! std keeps the token in a word of the OS thread's handle: `EMPTY`, `NOTIFIED`, or `PARKED` while the OS thread waits, in which
//! case an unpark wakes whoever waits for the word. Its park counts the word down and waits if it was `EMPTY` before.
//!
//! # Invariant
//!
//! While a green thread waits for the token the word is `PARKED` only as long as the worker sleeps. Otherwise it is `EMPTY`, so that
//! another one which calls `std::thread::park` comes to wait for the word, too, and is noticed: with `PARKED` it would count the
//! word down to a value that std knows nothing of, and spin for ever. The price is that an unpark meanwhile leaves
//! `NOTIFIED` and wakes nobody; so the worker looks at the word in each turn and before it sleeps.
//!
//! As long as others may find the worker asleep the word is `PARKED`, so that an unpark shows there, too: it becomes so before the worker
//! announces its sleep, and `EMPTY` again after that was taken back. Otherwise a token would lie beside a worker that seems to sleep with
//! nothing on its way, and those that it was meant for would be killed in a deadlock ([`super::stillness`]). (Where a foreign loop sleeps
//! for the worker the word stays `EMPTY`; nobody looks for deadlocks there.)
//!
//! # Who else takes it
//!
//! Code that drives the runtime by turns may park its OS thread in between, and so take a token that was meant for the green
//! thread. Nothing shows that. A park may end for no reason, so the green thread is woken when that code comes back, and
//! looks for itself.

use crate::clock::Instant;
use crate::primitive::{AtomicU32, Ordering};
use core::cell::Cell;
use core::ptr;
use core::time::Duration;

/// No token, and nobody waits.
pub(crate) const EMPTY: u32 = 0;
/// The token is there.
pub(crate) const NOTIFIED: u32 = 1;
/// Somebody waits, and is to be woken.
pub(crate) const PARKED: u32 = u32::MAX;

/// How often a word is looked at that nobody watches, since a foreign loop has the OS thread; and how often, at most, whoever waits
/// is woken since that loop may have taken the token.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Wakes whoever waits for the word.
pub(crate) type WakeAll = fn(&AtomicU32);

/// The word for which a green thread of this worker waits.
#[derive(Debug)]
pub(crate) struct StdToken {
    /// Null while nobody waits.
    word: Cell<*const AtomicU32>,
    wake_all: Cell<WakeAll>,
    /// When whoever waits is to look around the next time; `None` for never.
    look_around: Cell<Option<Instant>>,
    /// Whoever waits was woken to look around.
    asked: Cell<bool>,
    /// When a foreign loop last came back while somebody waited; `None` if it has not.
    returned: Cell<Option<Instant>>,
}

impl StdToken {
    pub(crate) fn new() -> StdToken {
        StdToken {
            word: Cell::new(ptr::null()),
            wake_all: Cell::new(|_| {}),
            look_around: Cell::new(None),
            asked: Cell::new(false),
            returned: Cell::new(None),
        }
    }

    fn word(&self) -> Option<&AtomicU32> {
        // SAFETY: `watch`'s caller keeps the word valid until it calls `leave`.
        unsafe { self.word.get().as_ref() }
    }

    /// Whether a green thread of this worker waits for the token.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        !self.word.get().is_null()
    }

    /// A green thread is about to wait for the token in `word`. False if the token has come.
    ///
    /// # Safety
    ///
    /// `word` must be valid until [`StdToken::leave`] is called.
    pub(crate) unsafe fn watch(&self, word: &AtomicU32, wake_all: WakeAll) -> bool {
        // Acquire, here and below: what came before the unpark is seen by the one that is unparked.
        match word.compare_exchange(PARKED, EMPTY, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) | Err(EMPTY) => {}
            Err(_) => return false,
        }
        self.wake_all.set(wake_all);
        self.word.set(word);
        true
    }

    /// The one that has waited goes on.
    pub(crate) fn leave(&self) {
        self.word.set(ptr::null());
        self.look_no_more();
    }

    /// The one that waits is to be woken after this time, if it still waits then, to look around.
    pub(crate) fn look_around_after(&self, time: Duration) {
        self.asked.set(false);
        self.look_around.set(Instant::of_machine().checked_add(time));
    }

    /// The one that waits is not to be woken to look around any more.
    pub(crate) fn look_no_more(&self) {
        self.asked.set(false);
        self.look_around.set(None);
    }

    /// Whether the one that waits was woken to look around.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.get()
    }

    /// How long it is until the one that waits is to look around; `None` for ever.
    #[inline]
    pub(crate) fn patience(&self) -> Option<Duration> {
        let at = self.look_around.get()?;
        Some(at.saturating_duration_since(Instant::of_machine()))
    }

    /// Wakes the one that waits if it is to look around now. Whether it has.
    #[inline]
    pub(crate) fn ask(&self) -> bool {
        if self.patience().is_some_and(|left| left.is_zero())
            && let Some(word) = self.word()
        {
            self.look_around.set(None);
            self.asked.set(true);
            (self.wake_all.get())(word);
            return true;
        }
        false
    }

    /// A foreign loop, which may have taken the token, has come back.
    pub(crate) fn foreign_loop_returns(&self) {
        let Some(word) = self.word() else { return };
        let now = Instant::of_machine();
        if self.returned.get().is_none_or(|last| now.saturating_duration_since(last) >= LOOK) {
            self.returned.set(Some(now));
            (self.wake_all.get())(word);
        }
    }

    /// Wakes the one that waits if the token has come.
    #[inline]
    pub(crate) fn look(&self) {
        if let Some(word) = self.word()
            && self.has_come()
        {
            (self.wake_all.get())(word);
        }
    }

    /// The worker is about to announce its sleep. False if the token has come: look first.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.word().is_none_or(|word| {
            word.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_ok()
        })
    }

    /// Whether the token has come, and nobody has been woken for it yet.
    pub(crate) fn has_come(&self) -> bool {
        self.word().is_some_and(|word| word.load(Ordering::Acquire) == NOTIFIED)
    }

    /// The worker does not sleep any more, and has taken back the announcement that it does. It must look then.
    #[inline]
    pub(crate) fn wake_up(&self) {
        if let Some(word) = self.word() {
            // If it is not `PARKED` any more the token has come, and stays for `look`. Release: pairs with the fence in
            // `Idlers::announce`; a worker that has found the word `EMPTY`, and is found asleep after that, shows that this one is up.
            let _ = word.compare_exchange(PARKED, EMPTY, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}
