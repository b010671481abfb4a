//! The head of a request: from the bytes that came to what was asked, or to the reply that refuses it.
//!
//! Nothing here reads or waits. Whatever a client sends, [`Request::parse`] gives a request, asks for more, or names the
//! status that refuses it; it never panics.

use super::{BodyLength, Status, Target};
use std::borrow::Cow;

/// How large a request may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The request line; a longer one is refused with 414.
    pub line: usize,
    /// Line and header fields together; more is refused with 431.
    pub head: usize,
    /// The body; a longer one is refused with 413.
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { line: 8 << 10, head: 32 << 10, body: 1 << 20 }
    }
}

/// Header fields that a request may have; more are refused with 431.
const MAX_FIELDS: usize = 100;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Send it.
    Get,
    /// Send all of the reply but its body.
    Head,
    /// Anything else, by its name.
    Other(String),
}

/// The version of HTTP that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: a connection serves one request unless the client asks otherwise.
    Http10,
    /// HTTP/1.1: a connection serves requests until one side ends it.
    Http11,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub target: Target,
    /// The version that the client speaks.
    pub version: Version,
    /// How long the body is that follows the head.
    pub body: BodyLength,
    /// The request line as it came, for the log.
    pub line: String,
    /// True if the client wants to send another request on this connection.
    pub keep_alive: bool,
    /// True if the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Names as they came, and values without the space around them.
    fields: Vec<(String, Vec<u8>)>,
}

/// A head that is refused, and the connection with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to answer.
    pub status: Status,
    /// Why: a sentence for the page.
    pub reason: Cow<'static, str>,
    /// The request line as far as it came, for the log.
    pub line: String,
}

/// What the bytes that came so far amount to.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A whole head, and its length in bytes.
    Whole(Box<Request>, usize),
    /// Not yet a whole head.
    Partial,
}

impl Request {
    /// Looks for a head at the start of `bytes`. Blank lines in front of it are passed over.
    ///
    /// # Errors
    ///
    /// The refusal, if the head is malformed, too large, or asks for what this server does not speak.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Parsed, Refusal> {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let head = &bytes[blank..];
        let line = request_line(head, limits.line);
        let refuse = |status, reason: &'static str| {
            Err(Refusal {
                status,
                reason: Cow::Borrowed(reason),
                line: String::from_utf8_lossy(line.unwrap_or(head)).chars().take(limits.line).collect(),
            })
        };
        if line.map_or(head.len(), <[u8]>::len) > limits.line {
            return refuse(Status::URI_TOO_LONG, "the request line is too long");
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let length = match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < limits.head => return Ok(Parsed::Partial),
            Ok(httparse::Status::Partial) => limits.head + 1,
            Err(httparse::Error::TooManyHeaders) => {
                return refuse(Status::FIELDS_TOO_LARGE, "the request has too many header fields");
            }
            Err(httparse::Error::Version) if line.is_some_and(asks_for_later_version) => {
                return refuse(Status::VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1");
            }
            Err(error) => {
                return refuse(
                    Status::BAD_REQUEST,
                    match error {
                        httparse::Error::HeaderName => "a header field has a malformed name",
                        httparse::Error::HeaderValue => "a header field has a malformed value",
                        httparse::Error::Version => "the version is not one of HTTP",
                        _ => "the request is malformed",
                    },
                );
            }
        };
        if length > limits.head {
            return refuse(Status::FIELDS_TOO_LARGE, "the header fields are too large");
        }
        let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
        match Request::from_head(&parsed, line, limits) {
            Ok(request) => Ok(Parsed::Whole(Box::new(request), blank + length)),
            Err((status, reason)) => {
                let line = String::from_utf8_lossy(request_line(head, limits.line).unwrap_or_default());
                Err(Refusal { status, reason, line: line.into_owned() })
            }
        }
    }

    fn from_head(
        head: &httparse::Request<'_, '_>,
        line: String,
        limits: &Limits,
    ) -> Result<Request, (Status, Cow<'static, str>)> {
        let bad = |reason: &'static str| (Status::BAD_REQUEST, Cow::Borrowed(reason));
        let version = if head.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let method = match head.method.unwrap_or_default() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            other => Method::Other(other.to_owned()),
        };
        let target = Target::parse(head.path.unwrap_or_default())
            .map_err(|error| (Status::BAD_REQUEST, Cow::Owned(error.to_string())))?;
        let mut request = Request {
            method,
            target,
            version,
            body: BodyLength::Exact(0),
            line,
            keep_alive: false,
            expects_continue: false,
            fields: head
                .headers
                .iter()
                .map(|field| (field.name.to_owned(), field.value.trim_ascii().to_vec()))
                .collect(),
        };
        if request.fields("host").count() > 1 {
            return Err(bad("there is more than one field Host"));
        }
        match request.field("host") {
            None if version == Version::Http11 => return Err(bad("the field Host is missing")),
            Some(host) if !is_host(host) => return Err(bad("the field Host is malformed")),
            _ => {}
        }
        request.body = request.body_length()?;
        if matches!(request.body, BodyLength::Exact(length) if length > limits.body) {
            return Err((Status::CONTENT_TOO_LARGE, Cow::Borrowed("the body is too large")));
        }
        request.keep_alive = match version {
            Version::Http11 => !request.has_token("connection", "close"),
            Version::Http10 => {
                request.has_token("connection", "keep-alive") && !request.has_token("connection", "close")
            }
        };
        request.expects_continue = version == Version::Http11 && request.has_token("expect", "100-continue");
        Ok(request)
    }

    /// The value of the field `name`, which may be written in any case; `None` if there is none, the first if several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields(name).next()
    }

    /// The values of all fields called `name`, in the order in which they came.
    pub fn fields<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// True if the list in the fields called `name` has `token`, in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.fields(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    fn body_length(&self) -> Result<BodyLength, (Status, Cow<'static, str>)> {
        let bad = |reason: &'static str| (Status::BAD_REQUEST, Cow::Borrowed(reason));
        let mut lengths = self.fields("content-length");
        let mut codings = self.fields("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(BodyLength::Exact(0)),
            (Some(_), Some(_)) => {
                Err(bad("there are both a field Content-Length and a field Transfer-Encoding"))
            }
            (Some(length), None) => {
                if lengths.next().is_some() {
                    return Err(bad("there is more than one field Content-Length"));
                }
                if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                    return Err(bad("the field Content-Length is not a number"));
                }
                let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
                length.map(BodyLength::Exact).ok_or(bad("the field Content-Length is not a number"))
            }
            (None, Some(_)) if self.version == Version::Http10 => {
                Err(bad("HTTP/1.0 has no field Transfer-Encoding"))
            }
            (None, Some(coding)) => {
                if codings.next().is_some() {
                    return Err(bad("there is more than one field Transfer-Encoding"));
                }
                if coding.eq_ignore_ascii_case(b"chunked") {
                    return Ok(BodyLength::Chunked);
                }
                let reason = Cow::Borrowed("this server knows no transfer coding but chunked");
                Err((Status::NOT_IMPLEMENTED, reason))
            }
        }
    }
}

/// The request line at the start of `head` without its end; `None` if neither its end nor `limit` bytes have come.
fn request_line(head: &[u8], limit: usize) -> Option<&[u8]> {
    let seen = &head[..head.len().min(limit + 2)];
    let line = seen.split(|byte| *byte == b'\n').next().filter(|line| line.len() < seen.len())?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// True if `line` ends in a version of HTTP after 1.
fn asks_for_later_version(line: &[u8]) -> bool {
    let version = line.rsplit(|byte| *byte == b' ').next().and_then(|word| word.strip_prefix(b"HTTP/"));
    version.is_some_and(|version| matches!(version.first(), Some(b'2'..=b'9')))
}

/// True if `host` has only what a name, an address or a port is made of.
fn is_host(host: &[u8]) -> bool {
    let of_a_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    !host.is_empty() && host.iter().all(of_a_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Parsed, Refusal> {
        Request::parse(text.as_bytes(), &Limits::default())
    }

    #[track_caller]
    fn whole(text: &str) -> Request {
        match parse(text) {
            Ok(Parsed::Whole(request, length)) => {
                assert_eq!(length, text.len());
                *request
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[track_caller]
    fn status(text: &str) -> u16 {
        match parse(text) {
            Err(refusal) => refusal.status.code(),
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_head_is_read_with_what_it_asks_for() {
        let request = whole("GET /a%20b?c HTTP/1.1\r\nhost: x\r\nRange:  bytes=0-1 \r\n\r\n");
        assert_eq!(request.method, Method::Get);
        assert_eq!(request.target.path(), b"/a b");
        assert_eq!(request.field("range"), Some(&b"bytes=0-1"[..]));
        assert_eq!(request.line, "GET /a%20b?c HTTP/1.1");
        assert!(request.keep_alive && !request.expects_continue);
        assert_eq!(request.body, BodyLength::Exact(0));
    }

    #[test]
    fn blank_lines_in_front_and_bare_line_feeds_are_put_up_with() {
        assert_eq!(whole("\r\n\r\nHEAD / HTTP/1.1\nHost: x\n\n").method, Method::Head);
    }

    #[test]
    fn every_beginning_of_a_head_is_partial() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..text.len() {
            assert!(matches!(parse(&text[..end]), Ok(Parsed::Partial)), "{:?}", &text[..end]);
        }
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        let keeps = |version: &str, connection: &str| {
            whole(&format!("GET / HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n")).keep_alive
        };
        assert!(keeps("1.1", "x"));
        assert!(!keeps("1.1", "TE, Close"));
        assert!(!keeps("1.0", "x"));
        assert!(keeps("1.0", "Keep-Alive"));
    }

    #[test]
    fn the_length_of_the_body_is_read_or_refused() {
        let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        assert_eq!(whole(&head("Content-Length: 12")).body, BodyLength::Exact(12));
        assert_eq!(whole(&head("Transfer-Encoding: Chunked")).body, BodyLength::Chunked);
        for (fields, expected) in [
            ("Content-Length: ", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: +1", 400),
            ("Content-Length: 1, 1", 400),
            ("Content-Length: 99999999999999999999999", 400),
            ("Content-Length: 1\r\nContent-Length: 1", 400),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Content-Length: 1048577", 413),
        ] {
            assert_eq!(status(&head(fields)), expected, "{fields}");
        }
        assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn malformed_heads_are_refused() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", 400),
            ("GET /.. HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", 400),
            ("GET / HTTQ/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("GET /\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}\u{2}\0", 400),
        ] {
            assert_eq!(status(text), expected, "{text:?}");
        }
        assert!(Request::parse(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", &Limits::default()).is_err());
    }

    #[test]
    fn sizes_have_limits() {
        let limits = Limits { line: 100, head: 300, ..Limits::default() };
        let status = |text: &str| match Request::parse(text.as_bytes(), &limits) {
            Err(refusal) => refusal.status.code(),
            Ok(Parsed::Partial) => 0,
            Ok(Parsed::Whole(..)) => 200,
        };
        let path = |length: usize| format!("/{}", "p".repeat(length - 1));
        let line = |length: usize| format!("GET {} HTTP/1.1", path(length - 13));
        assert_eq!(status(&format!("{}\r\nHost: x\r\n\r\n", line(100))), 200);
        assert_eq!(status(&format!("{}\r\nHost: x\r\n\r\n", line(101))), 414);
        assert_eq!(status(&format!("{}\r\nHost: x\r\n\r\n", line(1000))), 414);
        assert_eq!(status(&format!("GET {}", path(96))), 0);
        assert_eq!(status(&format!("GET {}", path(97))), 414);
        let head = |length: usize| format!("{:x<1$}\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nF: ", length - 4);
        assert_eq!(status(&head(300)), 200);
        assert_eq!(status(&head(301)), 431);
        assert_eq!(status(&head(400)[..299]), 0);
        assert_eq!(status(&head(400)[..300]), 431);
        assert_eq!(status(&"\r\n".repeat(200)), 431);
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS));
        assert_eq!(super::tests::status(&many), 431);
    }
}
