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

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

/// No token, and nobody waits.
pub(crate) const EMPTY: u32 = 0;
/// The token is there.
pub(crate) const NOTIFIED: u32 = 1;
/// Somebody waits, and is to be woken.
pub(crate) const PARKED: u32 = u32::MAX;

/// How often a word is looked at that nobody watches, since a foreign loop has the OS thread.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Wakes whoever waits for the word.
pub(crate) type WakeAll = fn(&AtomicU32);

/// The word for which a green thread of this worker waits.
#[derive(Debug)]
pub(crate) struct StdToken {
    /// Null while nobody waits.
    word: Cell<*const AtomicU32>,
    wake_all: Cell<WakeAll>,
}

impl StdToken {
    pub(super) fn new() -> StdToken {
        StdToken { word: Cell::new(ptr::null()), wake_all: Cell::new(|_| {}) }
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
    }

    /// Wakes the one that waits if the token has come.
    #[inline]
    pub(super) fn look(&self) {
        if let Some(word) = self.word()
            && word.load(Ordering::Acquire) == NOTIFIED
        {
            (self.wake_all.get())(word);
        }
    }

    /// The worker is about to sleep. False if the token has come: look first.
    pub(super) fn fall_asleep(&self) -> bool {
        self.word().is_none_or(|word| {
            word.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_ok()
        })
    }

    /// The worker does not sleep any more.
    pub(super) fn wake_up(&self) {
        if let Some(word) = self.word() {
            // If it is not `PARKED` any more the token has come, and stays for `look`.
            let _ = word.compare_exchange(PARKED, EMPTY, Ordering::Acquire, Ordering::Acquire);
        }
    }
}
