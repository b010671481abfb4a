//! The files of one directory as replies.

use super::listing::listing;
use super::{
    Found, Handler, Method, Part, Precondition, Request, Response, Root, Selection, Status, Validators,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// Serves one directory. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    root: Root,
}

impl StaticFiles {
    /// Serves the directory `root`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is not a directory.
    pub fn new(root: &Path) -> io::Result<StaticFiles> {
        Ok(StaticFiles { root: Root::open(root)? })
    }
}

/// The page that stands for a directory, if the directory has it.
const INDEX: &[u8] = b"index.html";

impl Handler for StaticFiles {
    fn respond(&self, request: &Request) -> Response {
        if let Method::Other(name) = &request.method {
            let detail = format!("Files here can be fetched with GET and HEAD, but not with {name}.");
            return Response::page(Status::METHOD_NOT_ALLOWED, &detail).field("Allow", "GET, HEAD");
        }
        let path = request.target.path();
        let found = match self.root.find(path) {
            Ok(Found::Directory(_)) if !request.target.names_directory() => return redirect(request),
            Ok(Found::Directory(opened)) => match self.root.find(&[path, INDEX].concat()) {
                // A directory of that name is no page.
                Ok(Found::Directory(_)) => return self.list(opened, path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return self.list(opened, path),
                found => found.map(|found| (found, INDEX)),
            },
            found => found.map(|found| (found, path)),
        };
        match found {
            Ok((Found::File { file, length, modified }, name)) => {
                file_reply(request, file, length, &Validators::of_file(modified, length), content_type(name))
            }
            Ok((Found::Directory(opened), _)) => self.list(opened, path),
            Err(error) => failure(&error, path),
        }
    }
}

impl StaticFiles {
    fn list(&self, opened: OwnedFd, path: &[u8]) -> Response {
        match self.root.entries(opened, path) {
            Ok(entries) => listing(path, entries),
            Err(error) => failure(&error, path),
        }
    }
}

/// What must be encoded in a path; bytes outside ASCII always are.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// `path` as it stands in an address.
pub(super) fn encode_path(path: &[u8]) -> String {
    percent_encode(path, ENCODED).to_string()
}

/// Sends the client to the same path with a slash at its end, so that relative links work.
fn redirect(request: &Request) -> Response {
    // A path in normal form begins with one slash, so this cannot name another host.
    let mut location = encode_path(request.target.path()) + "/";
    if let Some(query) = request.target.query() {
        location = location + "?" + query;
    }
    Response::page(Status::MOVED_PERMANENTLY, &format!("The directory is at {location}"))
        .field("Location", &location)
}

fn file_reply(
    request: &Request,
    file: File,
    length: u64,
    validators: &Validators,
    content_type: String,
) -> Response {
    let validated = |status| {
        Response::new(status)
            .field("Last-Modified", &validators.last_modified())
            .field("ETag", validators.tag())
    };
    match validators.test(request) {
        Precondition::Proceed => {}
        Precondition::NotModified => return validated(Status::NOT_MODIFIED),
        Precondition::Failed => {
            return Response::page(
                Status::PRECONDITION_FAILED,
                "The file is not the version that was asked for.",
            );
        }
    }
    let file = Arc::new(file);
    let part = |range: &Range<u64>| Part::File {
        file: Arc::clone(&file),
        offset: range.start,
        length: range.end - range.start,
    };
    let selection = match request.field("range").filter(|_| validators.allow_range(request)) {
        Some(range) => Selection::parse(range, length),
        None => Selection::Whole,
    };
    match selection {
        Selection::Whole => validated(Status::OK)
            .field("Content-Type", &content_type)
            .field("Accept-Ranges", "bytes")
            .body(vec![part(&(0..length))]),
        Selection::Unsatisfiable => {
            Response::page(Status::RANGE_NOT_SATISFIABLE, &format!("The file has {length} bytes."))
                .field("Content-Range", &format!("bytes */{length}"))
        }
        Selection::Some(ranges) => match &*ranges {
            [range] => validated(Status::PARTIAL_CONTENT)
                .field("Content-Type", &content_type)
                .field("Content-Range", &content_range(range, length))
                .body(vec![part(range)]),
            ranges => {
                let boundary = boundary(validators);
                let mut body = Vec::with_capacity(2 * ranges.len() + 1);
                for range in ranges {
                    let head = format!(
                        "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
                        content_range(range, length)
                    );
                    body.extend([Part::Bytes(head.into_bytes()), part(range)]);
                }
                body.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
                validated(Status::PARTIAL_CONTENT)
                    .field("Content-Type", &format!("multipart/byteranges; boundary={boundary}"))
                    .body(body)
            }
        },
    }
}

fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

/// What stands between the parts of a reply with several ranges: 20 digits that the author of a file cannot foresee.
fn boundary(validators: &Validators) -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:020}", RandomState::new().hash_one(validators.tag()))
}

/// The type that goes with the name of a file. Text is called UTF-8: left to itself, a browser takes it for Windows-1252.
fn content_type(name: &[u8]) -> String {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let extension = file.iter().rposition(|byte| *byte == b'.').map_or(&b""[..], |dot| &file[dot + 1..]);
    let guess = mime_guess::from_ext(&String::from_utf8_lossy(extension)).first_or_octet_stream();
    if guess.type_() == mime_guess::mime::TEXT {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    }
}

fn failure(error: &io::Error, path: &[u8]) -> Response {
    use rustix::io::Errno;
    let path = String::from_utf8_lossy(path);
    let (status, detail) = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP) => {
            (Status::FORBIDDEN, format!("{path} may not be read."))
        }
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            (Status::SERVICE_UNAVAILABLE, "The server is too busy. Try again in a moment.".to_owned())
        }
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO) => not_found(&path),
        _ if error.kind() == io::ErrorKind::NotFound => not_found(&path),
        _ => (Status::INTERNAL_SERVER_ERROR, format!("{path} cannot be read.")),
    };
    Response::page(status, &detail)
}

fn not_found(path: &str) -> (Status, String) {
    (Status::NOT_FOUND, format!("There is no {path} here."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_last_extension() {
        for (name, expected) in [
            (&b"/a.html"[..], "text/html; charset=utf-8"),
            (b"/a.tar.GZ", "application/gzip"),
            (b"/a.PNG", "image/png"),
            (b"/a.json", "application/json"),
            (b"/html", "application/octet-stream"),
            (b"/x.html/file", "application/octet-stream"),
            (b"/a.\xff", "application/octet-stream"),
            (b"/a.", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn failures_have_the_status_that_says_whose_they_are() {
        use rustix::io::Errno;
        for (errno, expected) in [
            (Errno::NOENT, Status::NOT_FOUND),
            (Errno::NOTDIR, Status::NOT_FOUND),
            (Errno::NAMETOOLONG, Status::NOT_FOUND),
            (Errno::ACCESS, Status::FORBIDDEN),
            (Errno::XDEV, Status::FORBIDDEN),
            (Errno::LOOP, Status::FORBIDDEN),
            (Errno::MFILE, Status::SERVICE_UNAVAILABLE),
            (Errno::IO, Status::INTERNAL_SERVER_ERROR),
        ] {
            assert_eq!(failure(&errno.into(), b"/a").status(), expected, "{errno}");
        }
        assert_eq!(failure(&io::ErrorKind::NotFound.into(), b"/a").status(), Status::NOT_FOUND);
    }
}
