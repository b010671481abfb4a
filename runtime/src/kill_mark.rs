//! The mark on a thread that was killed: set once and for ever.
//!
//! Setting it ends no wait. Whoever sets it tells the green thread's worker then ([`crate::scheduler::kill`]): it looks at the mark when it
//! has been told, and before each wait and each start.

use crate::primitive::{AtomicBool, Ordering};

/// Whether a green thread was killed.
pub(crate) struct KillMark {
    killed: AtomicBool,
}

impl KillMark {
    pub(crate) fn new() -> KillMark {
        KillMark { killed: AtomicBool::new(false) }
    }

    /// Sets it. True the first time: then its owner is to be told, if it has one.
    pub(crate) fn set(&self) -> bool {
        // Release: pairs with the load in `is_set`; what the killer wrote before is seen by the destructors that run. Acquire: of
        // two killers the second one leaves it to the first to tell the owner, and comes after it.
        !self.killed.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with the exchange in `set`.
        self.killed.load(Ordering::Acquire)
    }
}
