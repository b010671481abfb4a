//! The parts of Osier's example programs that are more than a few lines: each is one room, and the programs in
//! `src/bin` stay short enough to read in one sitting.
#![forbid(unsafe_code)]

pub mod cli;
pub mod download;
pub mod http;
pub mod server;
