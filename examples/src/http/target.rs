//! What a request asks for: the path in normal form, and the query as it came.
//!
//! The order matters, and is nginx's: percent signs are decoded first, once; only then are `//`, `.` and `..` taken out.
//! So `%2e%2e` and `%2f` are the same tricks as `..` and `/`, and meet the same end. What is left has no `..`, no
//! empty component and no NUL; that a symbolic link does not lead out is [`super::Root`]'s business.

use std::fmt;

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Decoded and in normal form: begins with `/`; ends with `/` if the client's did, or if it ended in a dot component. Any bytes but
    /// NUL, since file names need not be UTF-8.
    path: Vec<u8>,
    /// What followed the first `?`, still encoded; `None` if there was none.
    query: Option<String>,
}

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither a path that begins with `/` nor `http://host/path`.
    Form,
    /// A `%` that is not followed by two hexadecimal digits.
    Percent,
    /// A NUL, a control character or a space, encoded or not, where no file name has any business with one.
    Character,
    /// More `..` than there are directories to leave.
    AboveRoot,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetError::Form => "the target is neither a path nor an http address",
            TargetError::Percent => "the target has a % that is not followed by two hexadecimal digits",
            TargetError::Character => "the target has a character that it must not have",
            TargetError::AboveRoot => "the target leads above the root",
        })
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Reads a target in origin form (`/path?query`) or absolute form (`http://host/path?query`).
    ///
    /// # Errors
    ///
    /// If it is in neither form, badly encoded, contains NUL, or leads above the root.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(TargetError::Character);
        }
        let text = without_authority(text)?;
        // A fragment is the client's own affair; some send it all the same.
        let text = text.split('#').next().unwrap_or_default();
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (text, None),
        };
        Ok(Target { path: normalise(&decode(path.as_bytes())?)?, query })
    }

    /// The path, decoded and in normal form; begins with `/`.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// What followed the `?`, still encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// True if the path names a directory: it ends with `/`.
    #[must_use]
    pub fn names_directory(&self) -> bool {
        self.path.ends_with(b"/")
    }
}

/// Takes `http://host` off the front, if it is there.
fn without_authority(text: &str) -> Result<&str, TargetError> {
    if text.starts_with('/') {
        return Ok(text);
    }
    let after = ["http://", "https://"].iter().find_map(|scheme| {
        text.get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .map(|_| &text[scheme.len()..])
    });
    let after = after.ok_or(TargetError::Form)?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    if end == 0 {
        return Err(TargetError::Form);
    }
    Ok(&after[end..])
}

fn decode(text: &[u8]) -> Result<Vec<u8>, TargetError> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                // Two hexadecimal digits make a byte.
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(TargetError::Percent),
            },
            byte => byte,
        });
    }
    if decoded.contains(&0) { Err(TargetError::Character) } else { Ok(decoded) }
}

/// Takes out empty, `.` and `..` components.
fn normalise(path: &[u8]) -> Result<Vec<u8>, TargetError> {
    let mut components: Vec<&[u8]> = Vec::new();
    let mut directory = true;
    for component in path.split(|byte| *byte == b'/') {
        directory = matches!(component, b"" | b"." | b"..");
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop().ok_or(TargetError::AboveRoot)?;
            }
            name => components.push(name),
        }
    }
    let mut normal = Vec::with_capacity(path.len() + 1);
    for component in &components {
        normal.push(b'/');
        normal.extend_from_slice(component);
    }
    if directory {
        normal.push(b'/');
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn path(text: &str) -> String {
        String::from_utf8(Target::parse(text).expect(text).path).expect("UTF-8")
    }

    #[test]
    fn paths_are_decoded_once_and_brought_into_normal_form() {
        for (text, expected) in [
            ("/", "/"),
            ("/a/b.txt", "/a/b.txt"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/%2e%2e/c", "/a/c"),
            ("/a%2fb", "/a/b"),
            ("/%61%20b", "/a b"),
            ("/%252e%252e/x", "/%2e%2e/x"),
            ("/...", "/..."),
            ("/a?x=/../..", "/a"),
            ("/a#b", "/a"),
            ("http://host/a/b?c", "/a/b"),
            ("HTTP://host:80?c", "/"),
            ("https://host", "/"),
        ] {
            assert_eq!(path(text), expected, "{text}");
        }
    }

    #[test]
    fn the_query_stays_as_it_came() {
        assert_eq!(Target::parse("/a?b%20c?d").expect("a target").query(), Some("b%20c?d"));
        assert_eq!(Target::parse("/a?").expect("a target").query(), Some(""));
        assert_eq!(Target::parse("/a").expect("a target").query(), None);
    }

    #[test]
    fn tricks_are_refused() {
        for (text, expected) in [
            ("/..", TargetError::AboveRoot),
            ("/a/../../b", TargetError::AboveRoot),
            ("/%2e%2e/etc/passwd", TargetError::AboveRoot),
            ("/%2E./x", TargetError::AboveRoot),
            ("/..%2f..%2fetc/passwd", TargetError::AboveRoot),
            ("//../x", TargetError::AboveRoot),
            ("/a%00.txt", TargetError::Character),
            ("/a b", TargetError::Character),
            ("/a\u{1}", TargetError::Character),
            ("/%", TargetError::Percent),
            ("/%4", TargetError::Percent),
            ("/%zz", TargetError::Percent),
            ("a", TargetError::Form),
            ("", TargetError::Form),
            ("*", TargetError::Form),
            ("ftp://host/a", TargetError::Form),
            ("http:///a", TargetError::Form),
            ("host:443", TargetError::Form),
        ] {
            assert_eq!(Target::parse(text), Err(expected), "{text}");
        }
    }
}
