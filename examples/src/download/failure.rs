//! Why a file did not arrive, and whether trying again can help.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::StatusCode;

/// Why a file did not arrive.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The URL is none that can be downloaded; says why.
    Url(String),
    /// The name that the user gave cannot be used; says why.
    Name(String),
    /// The server answered with something else than the file, and may have said after what time to ask again.
    Status(StatusCode, Option<Duration>),
    /// The server sends the client round in this circle of URLs.
    Circle(Vec<String>),
    /// More redirects than anybody needs: how many were followed.
    Redirects(usize),
    /// Nothing arrived for so long.
    Stalled(Duration),
    /// The connection ended before an answer came.
    NoAnswer,
    /// The connection ended early: bytes that arrived, and bytes that were announced if they were.
    Short(u64, Option<u64>),
    /// No connection, or it broke; after so many bytes of the file.
    Connection(io::Error, u64),
    /// The name of the host could not be resolved.
    Host(String),
    /// The server could not be trusted, or does not speak TLS.
    Tls(String),
    /// The server does not keep to HTTP.
    Protocol(String),
    /// The file could not be written.
    File(PathBuf, io::Error),
    /// Another process is at work on this `.part` file.
    Busy(PathBuf),
    /// The run was stopped meanwhile.
    Stopped,
}

impl Failure {
    /// Whether the same request may well succeed a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::Status(status, _) => matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Failure::Stalled(_) | Failure::NoAnswer | Failure::Short(..) | Failure::Connection(..) => true,
            Failure::Host(text) => text.contains("emporary"),
            _ => false,
        }
    }

    /// Binds an error to the file that it is about.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::File(path.to_owned(), error)
    }

    /// Sorts an error of the client; `arrived` bytes had come of `announced`, and `timeout` is the user's.
    pub fn of_client(error: ureq::Error, arrived: u64, announced: Option<u64>, timeout: Duration) -> Failure {
        use ureq::Error;
        match error {
            Error::StatusCode(code) => match StatusCode::from_u16(code) {
                Ok(status) => Failure::Status(status, None),
                Err(_) => Failure::Protocol(format!("status {code}")),
            },
            Error::Timeout(_) => Failure::Stalled(timeout),
            Error::HostNotFound => Failure::Host("it has no address".to_owned()),
            Error::BadUri(text) => Failure::Url(text),
            Error::Io(error) => of_io(error, arrived, announced),
            Error::Rustls(error) => Failure::Tls(error.to_string()),
            Error::Tls(text) => Failure::Tls(text.to_owned()),
            Error::Decompress(_, error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Failure::Short(arrived, announced),
                _ => Failure::Protocol(format!("the compressed body is damaged: {error}")),
            },
            Error::Protocol(error) => Failure::Protocol(error.to_string()),
            other => Failure::Protocol(other.to_string()),
        }
    }
}

fn of_io(error: io::Error, arrived: u64, announced: Option<u64>) -> Failure {
    let inner = within(&error).unwrap_or(&error).get_ref();
    if let Some(rustls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Failure::Tls(rustls.to_string());
    }
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Short(arrived, announced),
        // How `client` marks an end that is not to pass for the end of the file.
        _ if within(&error).is_some_and(|inner| inner.kind() == io::ErrorKind::UnexpectedEof) => {
            Failure::Short(arrived, announced)
        }
        _ if text.starts_with("failed to lookup address information: ") => {
            Failure::Host(text["failed to lookup address information: ".len()..].to_owned())
        }
        _ => Failure::Connection(error, arrived),
    }
}

fn within(error: &io::Error) -> Option<&io::Error> {
    error.get_ref()?.downcast_ref()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Url(why) | Failure::Name(why) => f.write_str(why),
            Failure::Status(status, _) => write!(f, "the server answered {status}"),
            Failure::Circle(urls) => write!(f, "redirected in a circle: {}", urls.join(" -> ")),
            Failure::Redirects(count) => write!(f, "redirected more than {count} times"),
            Failure::Stalled(timeout) => write!(f, "nothing arrived for {} s", timeout.as_secs_f64()),
            Failure::NoAnswer => f.write_str("the server closed the connection without an answer"),
            Failure::Short(arrived, None) => {
                write!(f, "the server closed the connection in the middle of the file, after {arrived} bytes")
            }
            Failure::Short(arrived, Some(announced)) => {
                write!(f, "the server sent only {arrived} of {announced} bytes")
            }
            Failure::Connection(error, 0) => write!(f, "no connection: {}", Plain(error)),
            Failure::Connection(error, arrived) => {
                write!(f, "the connection broke after {arrived} bytes: {}", Plain(error))
            }
            Failure::Host(why) => write!(f, "unknown host: {why}"),
            Failure::Tls(why) => write!(f, "no secure connection: {why}"),
            Failure::Protocol(why) => write!(f, "not understood: {why}"),
            Failure::File(path, error) => write!(f, "cannot write {}: {}", path.display(), Plain(error)),
            Failure::Busy(path) => write!(f, "another download is writing {}", path.display()),
            Failure::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Connection(error, _) | Failure::File(_, error) => Some(error),
            _ => None,
        }
    }
}

/// An error of the system without its number, on one line and in lower case.
struct Plain<'a>(&'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string().replace(['\n', '\r'], " ");
        if let Some(at) = text.rfind(" (os error ") {
            text.truncate(at);
        }
        let mut characters = text.chars();
        if let Some(first) = characters.next() {
            write!(f, "{}{}", first.to_lowercase(), characters.as_str())?;
        }
        match self.0.source() {
            Some(source) if !text.contains(&source.to_string()) => write!(f, ": {source}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_as_part_of_a_sentence() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(Failure::Connection(refused, 0).to_string(), "no connection: connection refused");
        let reset = io::Error::from_raw_os_error(104);
        let text = "the connection broke after 5 bytes: connection reset by peer";
        assert_eq!(Failure::Connection(reset, 5).to_string(), text);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let timeout = Duration::from_secs(1);
        assert!(Failure::Stalled(timeout).may_pass());
        assert!(Failure::Short(1, Some(2)).may_pass());
        assert!(Failure::Status(StatusCode::SERVICE_UNAVAILABLE, None).may_pass());
        assert!(!Failure::Status(StatusCode::NOT_FOUND, None).may_pass());
        assert!(!Failure::Circle(Vec::new()).may_pass());
        assert!(!Failure::Tls(String::new()).may_pass());
    }
}
