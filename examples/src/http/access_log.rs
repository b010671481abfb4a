//! The access log: one line a request, in the common log format.

use super::{Status, clf_date};
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// A request that was answered, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request line as it came; empty if none did.
    pub line: String,
    /// What was answered.
    pub status: Status,
    /// Bytes of the body that were sent.
    pub content: u64,
    /// When the answer was sent.
    pub time: SystemTime,
}

/// Where the lines go.
pub struct AccessLog {
    out: Mutex<Box<dyn Write + Send>>,
}

impl AccessLog {
    /// A log that writes each line to `out` at once.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static) -> AccessLog {
        AccessLog { out: Mutex::new(Box::new(out)) }
    }

    /// A log that drops every line.
    #[must_use]
    pub fn none() -> AccessLog {
        AccessLog::new(io::sink())
    }

    /// Writes the line of one exchange with the client at `peer`. A line that cannot be written is lost: a server does not
    /// stop serving because nobody reads its log.
    pub fn write(&self, peer: IpAddr, exchange: &Exchange) {
        let line = format!("{peer} - - {exchange}\n");
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

/// The line without the client's address.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] \"", clf_date(self.time))?;
        // What the client sent must not be able to end the line or the quotes, or to move a terminal's cursor.
        for char in self.line.chars() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                ' '..='~' => write!(f, "{char}")?,
                char => write!(f, "{}", char.escape_default())?,
            }
        }
        write!(f, "\" {} {}", self.status.code(), self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_in_the_common_log_format_and_cannot_be_forged() {
        let written = Arc::default();
        let log = AccessLog::new(Shared(Arc::clone(&written)));
        log.write(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            &Exchange {
                line: "GET /\"\n\u{1b}[2J\\ü HTTP/1.1".into(),
                status: Status::OK,
                content: 12,
                time: SystemTime::UNIX_EPOCH,
            },
        );
        let written = String::from_utf8(written.lock().expect("no panic").clone()).expect("UTF-8");
        let expected =
            r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /\"\n\u{1b}[2J\\\u{fc} HTTP/1.1" 200 12"#;
        assert_eq!(written, format!("{expected}\n"));
    }
}
