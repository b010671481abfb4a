//! Conditional requests: does the client have the current version, and does it insist on one?
//!
//! The order of the tests is the standard's (RFC 9110, 13.2.2): `If-Match`, or in its absence `If-Unmodified-Since`; then
//! `If-None-Match`, or in its absence `If-Modified-Since`. A date that cannot be read counts as absent.

use super::{Request, http_date, parse_http_date};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag with its quotes.
    tag: String,
    /// When the file was last changed, in whole seconds, as HTTP's dates are.
    modified: SystemTime,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were no conditions.
    Proceed,
    /// The client has the current version: 304.
    NotModified,
    /// The client insists on another version: 412.
    Failed,
}

impl Validators {
    /// The validators of a file of `length` bytes that was last changed `modified` seconds after the epoch. The entity
    /// tag is made as nginx makes it, so that a client may go from one to the other with what it has cached.
    #[must_use]
    pub fn of_file(modified: i64, length: u64) -> Validators {
        let shift = Duration::from_secs(modified.unsigned_abs());
        let time = if modified < 0 { UNIX_EPOCH.checked_sub(shift) } else { UNIX_EPOCH.checked_add(shift) };
        Validators { tag: format!("\"{modified:x}-{length:x}\""), modified: time.unwrap_or(UNIX_EPOCH) }
    }

    /// The value of the field `ETag`.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The value of the field `Last-Modified`.
    #[must_use]
    pub fn last_modified(&self) -> String {
        http_date(self.modified)
    }

    /// Evaluates the conditions of `request`, whose method is GET or HEAD.
    #[must_use]
    pub fn test(&self, request: &Request) -> Precondition {
        if request.field("if-match").is_some() {
            if !self.is_listed(request, "if-match", Comparison::Strong) {
                return Precondition::Failed;
            }
        } else if date(request, "if-unmodified-since").is_some_and(|date| self.modified > date) {
            return Precondition::Failed;
        }
        let has_it = if request.field("if-none-match").is_some() {
            self.is_listed(request, "if-none-match", Comparison::Weak)
        } else {
            date(request, "if-modified-since").is_some_and(|date| self.modified <= date)
        };
        if has_it { Precondition::NotModified } else { Precondition::Proceed }
    }

    /// True if a `Range` field may be followed: there is no `If-Range`, or it names exactly this version.
    #[must_use]
    pub fn allow_range(&self, request: &Request) -> bool {
        match request.field("if-range") {
            None => true,
            Some(value) if value.ends_with(b"\"") => value == self.tag.as_bytes(),
            Some(value) => parse_http_date(value) == Some(self.modified),
        }
    }

    fn is_listed(&self, request: &Request, field: &str, comparison: Comparison) -> bool {
        request.fields(field).any(|list| list == b"*" || tags(list).any(|tag| self.is(tag, comparison)))
    }

    fn is(&self, tag: Tag<'_>, comparison: Comparison) -> bool {
        tag.quoted == self.tag.as_bytes() && (comparison == Comparison::Weak || !tag.weak)
    }
}

/// How entity tags are compared: a strong comparison is never met by a weak tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// One entity tag of a list.
#[derive(Clone, Copy)]
struct Tag<'a> {
    /// With its quotes.
    quoted: &'a [u8],
    weak: bool,
}

/// The entity tags of a list, up to the first that is malformed.
fn tags(mut list: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let weak = list.starts_with(b"W/");
        let start = if weak { &list[2..] } else { list };
        let inner = start.strip_prefix(b"\"")?;
        let length = inner.iter().position(|byte| *byte == b'"')? + 2;
        let (quoted, rest) = start.split_at(length);
        list = rest;
        Some(Tag { quoted, weak })
    })
}

fn date(request: &Request, field: &str) -> Option<SystemTime> {
    request.field(field).and_then(parse_http_date)
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Parsed};
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn request(fields: &str) -> Request {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        match Request::parse(head.as_bytes(), &Limits::default()) {
            Ok(Parsed::Whole(request, _)) => *request,
            other => panic!("{head:?} gave {other:?}"),
        }
    }

    /// Its entity tag is `"2ebc98a1-10"`.
    fn validators() -> Validators {
        Validators::of_file(784_111_777, 16)
    }

    #[test]
    fn the_entity_tag_is_made_of_time_and_length() {
        assert_eq!(validators().tag(), "\"2ebc98a1-10\"");
        assert_eq!(validators().last_modified(), THEN);
        assert_eq!(Validators::of_file(-1, 0).last_modified(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Validators::of_file(i64::MAX, 0).last_modified(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_ne!(Validators::of_file(i64::MIN, 0).tag(), "");
    }

    #[test]
    fn conditions_are_tested_in_the_standards_order() {
        use Precondition::{Failed, NotModified, Proceed};
        let tag = validators().tag().to_owned();
        for (fields, expected) in [
            (String::new(), Proceed),
            (format!("If-None-Match: {tag}\r\n"), NotModified),
            (format!("If-None-Match: W/{tag}\r\n"), NotModified),
            (format!("If-None-Match: \"a,b\" , {tag}\r\n"), NotModified),
            (format!("If-None-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"), NotModified),
            ("If-None-Match: *\r\n".into(), NotModified),
            ("If-None-Match: \"a\"\r\n".into(), Proceed),
            (format!("If-None-Match: {}\r\n", tag.trim_matches('"')), Proceed),
            ("If-None-Match: \"\r\n".into(), Proceed),
            (format!("If-Modified-Since: {THEN}\r\n"), NotModified),
            (format!("If-Modified-Since: {AFTER}\r\n"), NotModified),
            (format!("If-Modified-Since: {BEFORE}\r\n"), Proceed),
            ("If-Modified-Since: yesterday\r\n".into(), Proceed),
            (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {THEN}\r\n"), Proceed),
            (format!("If-None-Match: {tag}\r\nIf-Modified-Since: {BEFORE}\r\n"), NotModified),
            (format!("If-Match: {tag}\r\n"), Proceed),
            (format!("If-Match: W/{tag}\r\n"), Failed),
            ("If-Match: *\r\n".into(), Proceed),
            ("If-Match: \"a\"\r\n".into(), Failed),
            (format!("If-Match: {tag}\r\nIf-Unmodified-Since: {BEFORE}\r\n"), Proceed),
            (format!("If-Match: {tag}\r\nIf-None-Match: {tag}\r\n"), NotModified),
            (format!("If-Unmodified-Since: {THEN}\r\n"), Proceed),
            (format!("If-Unmodified-Since: {BEFORE}\r\n"), Failed),
            ("If-Unmodified-Since: yesterday\r\n".into(), Proceed),
        ] {
            assert_eq!(validators().test(&request(&fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_range_is_followed_only_for_the_version_that_if_range_names() {
        let allows = |value: &str| validators().allow_range(&request(&format!("If-Range: {value}\r\n")));
        let tag = validators().tag().to_owned();
        assert!(validators().allow_range(&request("")));
        assert!(allows(&tag) && allows(THEN));
        for other in ["\"a\"", &format!("W/{tag}"), BEFORE, AFTER, "*", "yesterday"] {
            assert!(!allows(other), "{other}");
        }
    }
}
