//! The token of `thread::park`: the user's, apart from the one with which the runtime's own waits are ended.

use crate::primitive::{AtomicBool, Ordering};

/// A token that is there or not.
pub(crate) struct Permit {
    /// True from a `give` to the next `take`.
    given: AtomicBool,
}

impl Permit {
    pub(crate) const fn new() -> Permit {
        Permit { given: AtomicBool::new(false) }
    }

    /// Puts the token there. Whoever gives it then ends the wait of the one that takes.
    pub(crate) fn give(&self) {
        // Release: pairs with `take`; what came before the unpark is seen after the park. A swap, also where the token is there
        // already: a store would hide what the one who put it there did before.
        self.given.swap(true, Ordering::Release);
    }

    /// Takes the token, if it is there.
    pub(crate) fn take(&self) -> bool {
        // The load spares a read-modify-write when there is none. Acquire: pairs with `give`.
        self.given.load(Ordering::Relaxed) && self.given.swap(false, Ordering::Acquire)
    }
}
