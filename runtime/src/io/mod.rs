//! Pipes and the standard streams for green threads, besides all that [`std::io`] has.
//!
//! Traits, errors, buffers and adapters are std's own types, which work with whatever reads and writes: they wait where
//! that waits.
//!
//! ```
//! use osier::io::{self, prelude::*};
//! osier::run(|| {
//!     let (mut reader, mut writer) = io::pipe()?;
//!     let twice = osier::spawn(move || {
//!         let mut text = String::new();
//!         reader.read_to_string(&mut text).map(|_| text.repeat(2))
//!     });
//!     writer.write_all(b"ab")?;
//!     drop(writer);
//!     assert_eq!(twice.join().unwrap()?, "abab");
//!     Ok::<(), io::Error>(())
//! })?;
//! # Ok::<(), osier::io::Error>(())
//! ```
//!
//! # Differences from std
//!
//! - [`stdout`] and [`stderr`] are std's own. A write to them blocks the OS thread while a slow terminal or pipe has no room,
//!   and never switches, since std holds its lock meanwhile.
//! - [`stdin`] has a buffer of its own; [`Stdin::is_terminal`] is a method instead of a trait's.
//! - [`read_to_string`] and [`copy`] are std's, and wait where what they are given waits.

mod pipe;
pub(crate) mod pipe_end;
pub(crate) mod shared;
mod stdin;

pub use self::pipe::{PipeReader, PipeWriter, pipe};
pub use self::stdin::{Stdin, StdinLock, stdin};

pub use std::io::*;
