//! HTTP/1.1, the serving half: what arrives on a connection, what is answered, and nothing about how connections are served.
//!
//! Four layers, each usable without the next:
//!
//! 1. Pure: [`Request::parse`] takes bytes, [`BodyDrain`] eats a request's body, [`Response`] turns itself into
//!    bytes piece by piece ([`Response::into_wire`]). No IO but that of the file which is sent.
//! 2. [`Conversation`]: one connection from its first request to its last as a state machine, which says what is to be read
//!    or written next and never waits for the client. A loop over nonblocking sockets stands on this.
//! 3. [`serve_connection`]: the same over any [`Transport`], in plain blocking code with deadlines: on a green thread or on
//!    an OS thread alike.
//! 4. [`StaticFiles`]: a [`Handler`] that serves one directory.
//!
//! Where the standard leaves a choice (what a malformed `Range` gets, how an entity tag is made) the answers are
//! nginx's, with which the tests compare them.

mod access_log;
mod body;
mod conditional;
mod connection;
mod conversation;
mod date;
mod disk;
mod listing;
mod range;
mod request;
mod response;
mod root;
mod static_files;
mod target;
mod tls;
mod transport;

pub use access_log::{AccessLog, Exchange};
pub use body::{BodyDrain, BodyError, BodyLength};
pub use conditional::{Precondition, Validators};
pub use connection::{Handler, Observer, serve_connection};
pub use conversation::{Conversation, Patience, Step};
pub use date::{clf_date, http_date, parse_http_date};
pub use range::{Ranges, Selection};
pub use request::{Limits, Method, Parsed, Refusal, Request, Version};
pub use response::{Body, Part, Response, Status, Wire};
pub use root::{Entry, Found, Root};
pub use static_files::StaticFiles;
pub use target::{Target, TargetError};
pub use tls::{TlsSettingsError, tls_settings};
pub use transport::{Socket, Timed, Transport};
