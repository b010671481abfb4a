//! The program `server`: serving a directory's files over HTTP/1.1, in five ways.
//!
//! What every way of serving shares is here: the arguments, what a connection needs ([`Site`]), and which connections are
//! open ([`Connections`]), so that stopping ends the idle ones and lets the others finish. How connections
//! are accepted and what runs them is one file for each way; read them in this order, and watch what each has to do itself:
//!
//! | file | who waits for a client | what one connection costs |
//! |---|---|---|
//! | `green` | a green thread | a small stack |
//! | `threads` | an OS thread | a stack, and the kernel's bookkeeping |
//! | `processes` | a process | nearly everything |
//! | `polling` | nobody: a loop tries them all, over and over | a state machine (`guest`) |
//! | `epoll` | nobody: a loop asks the kernel who is ready | a state machine, and a registration |

mod accept;
mod compare;
mod connections;
mod epoll;
mod green;
mod guest;
mod options;
mod polling;
mod processes;
mod run;
mod threads;

pub use compare::compare;
pub use connections::Connections;
pub use options::{Mode, Options};
pub use processes::work as serve_as_staff;
pub use run::Server;

use crate::http::{AccessLog, Patience, StaticFiles, tls_settings};
use rustls::ServerConfig;
use std::io;
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

impl Site {
    /// Opens the directory and the certificate that `options` name.
    ///
    /// # Errors
    ///
    /// What cannot be opened and why, in one line.
    pub fn new(options: &Options) -> Result<Site, String> {
        let files = StaticFiles::new(&options.root)
            .map_err(|error| format!("cannot open the directory {}: {error}", options.root.display()))?;
        let tls = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(tls_settings(cert, key).map_err(|error| error.to_string())?),
            _ => None,
        };
        let log = if options.quiet { AccessLog::none() } else { AccessLog::new(io::stdout()) };
        Ok(Site { files, patience: Patience::of(options.timeout), tls, log })
    }
}
