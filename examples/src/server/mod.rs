//! The program `server`: serving a directory's files over HTTP/1.1.
//!
//! What every way of serving shares is here: the arguments, what a connection needs ([`Site`]), and which connections are
//! open ([`Connections`]), so that stopping ends the idle ones and lets the others finish. How connections
//! are accepted and what runs them is one file for each way.

mod accept;
mod connections;
mod green;
mod options;
mod run;

pub use connections::Connections;
pub use options::{Mode, Options};
pub use run::Server;

use crate::http::{AccessLog, Patience, StaticFiles};
use rustls::ServerConfig;
use std::sync::Arc;

/// What every connection needs.
#[derive(Debug)]
pub struct Site {
    /// The files.
    pub files: StaticFiles,
    /// How long a client may take, and how much it may send.
    pub patience: Patience,
    /// Certificate and key; `None` serves without TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where requests are noted.
    pub log: AccessLog,
}
