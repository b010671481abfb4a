//! What can go wrong with greenlets.

use super::GreenletExit;
use core::fmt;
use std::io;

/// Why [`Greenlet::switch`](super::Greenlet::switch) or [`throw`](super::Greenlet::throw) returned no value.
///
/// All but `Exit` mean that no switch was made, and give back what was passed.
#[non_exhaustive]
pub enum SwitchError<V> {
    /// The switch was made, and what came back is that a greenlet has ended by [`GreenletExit`]: no failure of anybody's.
    Exit(GreenletExit),
    /// The calling code is in no scope and on no green thread.
    NoScope(V),
    /// The greenlet is of another scope or green thread, or of one that has ended.
    Foreign(V),
    /// The calling code runs because a stack unwinds: a destructor, say, after a panic.
    Unwinding(V),
    /// The greenlet is pending, and no body was set.
    NoBody(V),
    /// The greenlet is pending, and there is no memory for its stack.
    NoStack {
        /// What was passed.
        value: V,
        /// What the system said.
        source: io::Error,
    },
}

impl<V> SwitchError<V> {
    /// What was passed; `None` if it arrived.
    pub fn into_value(self) -> Option<V> {
        match self {
            SwitchError::Exit(_) => None,
            SwitchError::NoScope(value)
            | SwitchError::Foreign(value)
            | SwitchError::Unwinding(value)
            | SwitchError::NoBody(value)
            | SwitchError::NoStack { value, .. } => Some(value),
        }
    }
}

impl<V> fmt::Debug for SwitchError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SwitchError::Exit(_) => f.write_str("Exit(GreenletExit)"),
            SwitchError::NoScope(_) => f.write_str("NoScope(..)"),
            SwitchError::Foreign(_) => f.write_str("Foreign(..)"),
            SwitchError::Unwinding(_) => f.write_str("Unwinding(..)"),
            SwitchError::NoBody(_) => f.write_str("NoBody(..)"),
            SwitchError::NoStack { source, .. } => {
                f.debug_struct("NoStack").field("source", source).finish_non_exhaustive()
            }
        }
    }
}

impl<V> fmt::Display for SwitchError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SwitchError::Exit(_) => "a greenlet ended by GreenletExit",
            SwitchError::NoScope(_) => "no greenlet scope and no green thread around the call",
            SwitchError::Foreign(_) => "the greenlet belongs to another scope or green thread",
            SwitchError::Unwinding(_) => "code that runs while its stack unwinds cannot switch",
            SwitchError::NoBody(_) => "the greenlet has no body yet",
            SwitchError::NoStack { .. } => "no memory for the greenlet's stack",
        })
    }
}

impl<V> std::error::Error for SwitchError<V> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SwitchError::NoStack { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The body of a greenlet cannot be set any more; holds the body.
pub struct SetBodyError<F>(pub F);

impl<F> fmt::Debug for SetBodyError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetBodyError(..)")
    }
}

impl<F> fmt::Display for SetBodyError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the greenlet has begun already")
    }
}

impl<F> std::error::Error for SetBodyError<F> {}

/// Why a greenlet did not get another parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetParentError {
    /// The greenlet would become its own ancestor.
    Cycle,
    /// The main greenlet has no parent.
    Main,
    /// The two are of different scopes or green threads.
    Foreign,
}

impl fmt::Display for SetParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetParentError::Cycle => "a greenlet cannot be its own ancestor",
            SetParentError::Main => "the main greenlet has no parent",
            SetParentError::Foreign => "the parent belongs to another scope or green thread",
        })
    }
}

impl std::error::Error for SetParentError {}
