//! The runtime's scheduler, as far as the sources that are checked know of it.

use crate::park::Cancelled;

/// Lets nobody else run: loom does.
#[allow(clippy::unnecessary_wraps, reason = "the runtime's may be cancelled")]
pub(crate) fn checkpoint() -> Result<(), Cancelled> {
    Ok(())
}

/// Drops `value`.
pub(crate) fn drop_quietly<T>(value: T) {
    drop(value);
}
