//! What can go wrong with generators.

use core::fmt;

/// Why a value could not be sent; holds the value.
#[non_exhaustive]
pub enum SendError<S> {
    /// The generator has not been driven to its first `yield_`, so nothing would receive the value.
    NotStarted(S),
    /// The generator has ended.
    Ended(S),
}

/// Why nothing could be raised in a generator.
#[non_exhaustive]
pub enum ThrowError<E> {
    /// It was left in a destructor, while its stack unwinds; holds what was to be raised.
    Unwinding(E),
}

/// Why a generator did not close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// It has caught its [`GeneratorExit`](super::GeneratorExit) and yielded again; the value was dropped.
    Ignored,
    /// It was left in a destructor, while its stack unwinds.
    Unwinding,
}

impl<S> SendError<S> {
    /// What was to be sent.
    pub fn into_value(self) -> S {
        match self {
            SendError::NotStarted(value) | SendError::Ended(value) => value,
        }
    }
}

impl<S> fmt::Debug for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NotStarted(_) => "NotStarted(..)",
            SendError::Ended(_) => "Ended(..)",
        })
    }
}

impl<S> fmt::Display for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NotStarted(_) => "a value was sent to a generator that was not started",
            SendError::Ended(_) => "a value was sent to a generator that has ended",
        })
    }
}

impl<S> std::error::Error for SendError<S> {}

impl<E> ThrowError<E> {
    /// What was to be raised.
    pub fn into_error(self) -> E {
        match self {
            ThrowError::Unwinding(error) => error,
        }
    }
}

impl<E> fmt::Debug for ThrowError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unwinding(..)")
    }
}

impl<E> fmt::Display for ThrowError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing can be raised in a generator while its stack unwinds")
    }
}

impl<E> std::error::Error for ThrowError<E> {}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseError::Ignored => "the generator ignored GeneratorExit",
            CloseError::Unwinding => "a generator cannot be closed while its stack unwinds",
        })
    }
}

impl std::error::Error for CloseError {}
