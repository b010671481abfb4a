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

mod pipe;
pub(crate) mod pipe_end;

pub use self::pipe::{PipeReader, PipeWriter, pipe};

pub use std::io::*;
