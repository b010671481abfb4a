//! A reply: status, fields and body, and how it becomes bytes.
//!
//! A reply always knows its length before its first byte goes out, so every one is framed by `Content-Length`. Bytes are
//! pulled out piece by piece ([`Wire::fill`]), so that blocking code and an event loop send alike; only reading the
//! file can wait.

use super::disk::append_from;
use super::{Method, Request, Version, http_date};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

/// The status of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

macro_rules! statuses {
    ($($code:literal $name:ident $reason:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`", $code, " ", $reason, "`.")]
            pub const $name: Status = Status($code);)*

            /// The phrase that goes with the number.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self {
                    $(Status::$name => $reason,)*
                    _ => "Unknown",
                }
            }
        }
    };
}

statuses! {
    200 OK "OK";
    206 PARTIAL_CONTENT "Partial Content";
    301 MOVED_PERMANENTLY "Moved Permanently";
    302 FOUND "Found";
    304 NOT_MODIFIED "Not Modified";
    400 BAD_REQUEST "Bad Request";
    403 FORBIDDEN "Forbidden";
    404 NOT_FOUND "Not Found";
    405 METHOD_NOT_ALLOWED "Method Not Allowed";
    408 REQUEST_TIMEOUT "Request Timeout";
    412 PRECONDITION_FAILED "Precondition Failed";
    413 CONTENT_TOO_LARGE "Content Too Large";
    414 URI_TOO_LONG "URI Too Long";
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable";
    431 FIELDS_TOO_LARGE "Request Header Fields Too Large";
    500 INTERNAL_SERVER_ERROR "Internal Server Error";
    501 NOT_IMPLEMENTED "Not Implemented";
    503 SERVICE_UNAVAILABLE "Service Unavailable";
    505 VERSION_NOT_SUPPORTED "HTTP Version Not Supported";
}

impl Status {
    /// The number.
    #[must_use]
    pub fn code(self) -> u16 {
        self.0
    }
}

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a file, from an offset on.
    File {
        /// The file, open for reading. Shared, since several parts may be of one file.
        file: Arc<File>,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How many bytes it has.
        length: u64,
    },
}

/// The body of a reply: its parts, one after another. Empty if it has none.
pub type Body = Vec<Part>;

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { length, .. } => *length,
        }
    }
}

/// A reply.
#[derive(Clone, Debug)]
#[must_use]
pub struct Response {
    status: Status,
    /// Complete lines, each with its CR LF.
    fields: String,
    body: Body,
    /// True if the reply has a body as a matter of principle, so that its length is told even if it is 0.
    has_content: bool,
    /// True if the connection ends with this reply whatever the client wants.
    closes: bool,
    /// True if the length of the body is told, but not the body: an answer to HEAD.
    only_head: bool,
}

impl Response {
    /// A reply without a body: `Content-Length` is 0, or left out where the standard wants that (304).
    pub fn new(status: Status) -> Response {
        Response {
            status,
            fields: String::new(),
            body: Body::new(),
            has_content: status != Status::NOT_MODIFIED,
            closes: false,
            only_head: false,
        }
    }

    /// A page in HTML that says what went wrong; `detail` is a sentence of plain text.
    pub fn page(status: Status, detail: &str) -> Response {
        let title = format!("{} {}", status.code(), status.reason());
        let detail = escape_html(detail);
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
             <body><h1>{title}</h1><p>{detail}</p></body></html>\n"
        );
        Response::new(status)
            .field("Content-Type", "text/html; charset=utf-8")
            .body(vec![Part::Bytes(page.into_bytes())])
    }

    /// The same reply with one more field. Line ends are taken out of `value`, so that nobody can smuggle in a field.
    pub fn field(mut self, name: &str, value: &str) -> Response {
        let value: String = value.chars().filter(|char| !char.is_control()).collect();
        // Writing to a string cannot fail.
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    /// The same reply with this body.
    pub fn body(mut self, body: Body) -> Response {
        self.body = body;
        self
    }

    /// The same reply, and the connection ends with it.
    pub fn closing(mut self) -> Response {
        self.closes = true;
        self
    }

    /// The same reply without its body, whose length is still told, if `only_head`. Needed only where there is no request to
    /// see that from.
    pub fn only_head(mut self, only_head: bool) -> Response {
        self.only_head = only_head;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The length of the body, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.body.iter().map(Part::len).sum()
    }

    /// Turns the reply into bytes, as an answer to `request`: `None` if that could not be read, which ends the connection.
    /// `may_continue` is false if the server does not want another request on this connection.
    #[must_use]
    pub fn into_wire(self, request: Option<&Request>, may_continue: bool) -> Wire {
        let keep_alive = may_continue && !self.closes && request.is_some_and(|request| request.keep_alive);
        let length = self.length();
        let mut head = String::with_capacity(256 + self.fields.len());
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\nServer: osier\r\nDate: {}\r\n",
            self.status.code(),
            self.status.reason(),
            http_date(SystemTime::now())
        );
        if self.has_content {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        head.push_str(&self.fields);
        head.push_str(match (keep_alive, request.map(|request| request.version)) {
            (false, _) => "Connection: close\r\n",
            (true, Some(Version::Http10)) => "Connection: keep-alive\r\n",
            (true, _) => "",
        });
        head.push_str("\r\n");
        let only_head = self.only_head || request.is_some_and(|request| request.method == Method::Head);
        let body = if only_head || !self.has_content { Body::new() } else { self.body };
        Wire {
            status: self.status,
            keep_alive,
            content: 0,
            head: head.into_bytes(),
            parts: body.into_iter(),
            current: None,
            buffer: Vec::new(),
            sent: 0,
        }
    }
}

/// How both kinds of page look: those that say what went wrong, and the listing of a directory.
pub(super) const STYLE: &str = "\
    :root{color-scheme:light dark}\
    body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2.5rem auto;padding:0 1rem}\
    h1{font-size:1.35rem;font-weight:600;overflow-wrap:anywhere}\
    a{color:light-dark(#0b57d0,#8ab4f8);text-decoration:none}a:hover{text-decoration:underline}\
    table{width:100%;border-collapse:collapse}\
    th{text-align:left;font-weight:500;color:GrayText}\
    th,td{padding:.3rem .6rem;border-bottom:1px solid light-dark(#e4e4e4,#3a3a3a)}\
    tr:hover td{background:light-dark(#f5f7fa,#26282c)}\
    h1,th:first-child,td:first-child{padding-left:.25rem}\
    td:first-child{width:100%;overflow-wrap:anywhere}\
    .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:GrayText}";

/// `text` as it stands in HTML, also inside an attribute's double quotes.
pub(super) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Bytes that are read from a file at a time.
const PIECE: usize = 64 << 10;

/// A reply on its way out.
#[derive(Debug)]
pub struct Wire {
    status: Status,
    keep_alive: bool,
    /// Bytes of the body that were given out.
    content: u64,
    /// Status line and fields; empty once given out.
    head: Vec<u8>,
    parts: std::vec::IntoIter<Part>,
    /// What is left of the file part that is being read.
    current: Option<Part>,
    /// The piece that is being sent.
    buffer: Vec<u8>,
    /// Bytes of the piece that were sent.
    sent: usize,
}

impl Wire {
    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// True if another request may follow on this connection.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Bytes of the body that were sent, with those of the piece that is being sent.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.content
    }

    /// What is left to send of the piece that [`Wire::fill`] has taken; empty if it is all sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// The first `count` bytes of [`Wire::unsent`] were sent.
    pub fn advance(&mut self, count: usize) {
        self.sent = self.buffer.len().min(self.sent + count);
    }

    /// Takes the next piece, of at most about 64 KiB; what is unsent of the last one is dropped. False at the end. The head comes together
    /// with the first of the body, so that a small reply is one packet.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is shorter than it was: the connection must then be broken off, since the length
    /// that was promised cannot be kept.
    pub fn fill(&mut self) -> io::Result<bool> {
        self.sent = 0;
        self.buffer.clear();
        self.buffer.append(&mut self.head);
        let head = self.buffer.len();
        while self.buffer.len() < PIECE {
            let Some(part) = self.current.take().or_else(|| self.parts.next()) else { break };
            match part {
                Part::Bytes(mut bytes) => {
                    if self.buffer.is_empty() {
                        self.buffer = bytes;
                    } else {
                        self.buffer.append(&mut bytes);
                    }
                }
                Part::File { length: 0, .. } => {}
                Part::File { file, offset, length } => {
                    let wanted = usize::try_from(length).unwrap_or(PIECE).min(PIECE - self.buffer.len());
                    let count = append_from(&file, &mut self.buffer, offset, wanted)?;
                    if count == 0 {
                        return Err(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            format!("the file ends {length} bytes before it should"),
                        ));
                    }
                    let count = count as u64;
                    self.current = Some(Part::File { file, offset: offset + count, length: length - count });
                }
            }
        }
        self.content += (self.buffer.len() - head) as u64;
        Ok(!self.buffer.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Parsed};
    use super::*;
    use std::io::Write;

    fn request(line: &str) -> Request {
        let head = format!("{line}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        match Request::parse(head.as_bytes(), &Limits::default()) {
            Ok(Parsed::Whole(request, _)) => *request,
            other => panic!("{head:?} gave {other:?}"),
        }
    }

    fn all(mut wire: Wire) -> io::Result<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        while wire.fill()? {
            while !wire.unsent().is_empty() {
                // As a socket might that is nearly full.
                let count = wire.unsent().len().div_ceil(2);
                bytes.extend_from_slice(&wire.unsent()[..count]);
                wire.advance(count);
            }
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an end of the head") + 4;
        let body = bytes.split_off(end);
        assert_eq!(wire.content(), body.len() as u64);
        Ok((String::from_utf8(bytes).expect("a head in ASCII"), body))
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("writing a temporary file");
        Arc::new(file)
    }

    #[test]
    fn a_body_of_bytes_and_files_comes_out_whole() {
        let content: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        let file = file(&content);
        let body = vec![
            Part::Bytes(b"<".to_vec()),
            Part::File { file: Arc::clone(&file), offset: 1, length: 150_000 },
            Part::File { file: Arc::clone(&file), offset: 0, length: 0 },
            Part::Bytes(b"|".to_vec()),
            Part::File { file, offset: 199_999, length: 1 },
            Part::Bytes(b">".to_vec()),
        ];
        let get = request("GET / HTTP/1.1");
        let (head, body) =
            all(Response::new(Status::OK).body(body).into_wire(Some(&get), true)).expect("a reply");
        assert!(head.contains("\r\nContent-Length: 150004\r\n"), "{head}");
        assert!(!head.contains("Connection"), "{head}");
        let expected = [b"<", &content[1..150_001], b"|", &content[199_999..], b">"].concat();
        assert!(body == expected, "the body differs");
    }

    #[test]
    fn head_has_the_length_but_not_the_body() {
        let reply = Response::page(Status::NOT_FOUND, "no <b> here");
        let length = reply.length();
        let (head, body) = all(reply.into_wire(Some(&request("HEAD / HTTP/1.1")), true)).expect("a reply");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")), "{head}");
        assert_eq!(body, b"");
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let body = vec![Part::File { file: file(b"abc"), offset: 0, length: 4 }];
        let wire = Response::new(Status::OK).body(body).into_wire(None, true);
        assert_eq!(all(wire).expect_err("too short").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_connection_is_kept_only_if_both_sides_want_it() {
        let old = request("GET / HTTP/1.0");
        let new = request("GET / HTTP/1.1");
        let wire = |request, may| Response::new(Status::OK).into_wire(request, may);
        assert!(wire(Some(&new), true).keep_alive());
        assert!(!wire(Some(&new), false).keep_alive());
        assert!(!wire(None, true).keep_alive());
        assert!(!Response::new(Status::OK).closing().into_wire(Some(&new), true).keep_alive());
        let (head, _) = all(wire(Some(&old), true)).expect("a reply");
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
        let (head, _) = all(wire(Some(&new), false)).expect("a reply");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_field() {
        let reply = Response::new(Status::FOUND).field("Location", "/a\r\nEvil: yes");
        let (head, _) = all(reply.into_wire(None, true)).expect("a reply");
        assert!(head.contains("\r\nLocation: /aEvil: yes\r\n"), "{head}");
    }

    #[test]
    fn a_reply_of_304_has_no_length() {
        let (head, _) = all(Response::new(Status::NOT_MODIFIED).into_wire(None, true)).expect("a reply");
        assert!(!head.contains("Content-Length"), "{head}");
    }

    #[test]
    fn pages_escape_what_they_quote() {
        let (_, body) =
            all(Response::page(Status::NOT_FOUND, "<script>&\"'").into_wire(None, true)).expect("a page");
        let body = String::from_utf8(body).expect("UTF-8");
        assert!(body.contains("&lt;script&gt;&amp;&quot;&#39;"), "{body}");
    }
}
