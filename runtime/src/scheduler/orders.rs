//! What another worker, most often worker 0, wants of one.
//!
//! Orders are bits, so each is given once however often it is given before the worker looks. Whoever gives one ends the worker's
//! sleep then, always: the worker announces its sleep without a look at its orders.

use crate::primitive::{AtomicUsize, Ordering};

/// Kill all green threads.
pub(crate) const KILL: usize = 1;
/// Report who waits, and who is ready.
pub(crate) const REPORT: usize = 2;
/// Leave the OS thread: the entry is over.
pub(crate) const LEAVE: usize = 4;
/// Answer what stands in [`Remote::calls`](super::Remote).
pub(crate) const CALL_ROLL: usize = 8;
/// Wake who waits for a descriptor that was closed.
pub(crate) const CLOSED: usize = 16;

/// The orders that a worker has not taken yet.
pub(crate) struct Orders {
    /// 0 for none.
    bits: AtomicUsize,
}

impl Orders {
    pub(crate) fn none() -> Orders {
        Orders { bits: AtomicUsize::new(0) }
    }

    /// Gives an order. The worker is to be woken after that.
    pub(crate) fn give(&self, what: usize) {
        // Release: pairs with the exchange in `take`; what belongs to the order was written before.
        self.bits.fetch_or(what, Ordering::Release);
    }

    /// Takes all of them. Only the worker calls this.
    #[inline]
    pub(crate) fn take(&self) -> usize {
        // The load spares the exchange in the common case; the wake-up that follows an order has the worker look again.
        if self.bits.load(Ordering::Relaxed) == 0 { 0 } else { self.bits.swap(0, Ordering::Acquire) }
    }
}
