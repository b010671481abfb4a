//! What the sources that are checked import from the runtime's `sync`.

#[allow(dead_code, reason = "models use what they check")]
#[path = "../../runtime/src/sync/mutex_core.rs"]
pub(crate) mod mutex_core;
