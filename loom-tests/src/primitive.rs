//! loom's side of the runtime's `primitive` module: the same names, as far as the sources that
//! are checked use them, made of types whose every interleaving can be explored.

pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
