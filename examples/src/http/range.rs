//! The field `Range`: which bytes of a file are wanted.
//!
//! The standard lets a server answer a malformed or wasteful `Range` in more than one way; the answers here are nginx's:
//! malformed is 416, and ranges that overlap so far that they come to more than the whole file get the whole file.

use std::ops::Range;

/// What a `Range` field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole file: there is no such field, its unit is unknown, or it is not worth following.
    Whole,
    /// These bytes, in the order in which they were asked for: at least one range, none of them empty.
    Some(Ranges),
    /// Nothing that the file has: 416.
    Unsatisfiable,
}

/// Ranges of bytes.
pub type Ranges = Vec<Range<u64>>;

/// More ranges than this and the whole file is sent: nobody who means well asks for so many.
const MAX_RANGES: usize = 200;

impl Selection {
    /// Reads the value of a `Range` field for a file of `length` bytes.
    ///
    /// ```
    /// use osier_examples::http::Selection;
    /// assert_eq!(Selection::parse(b"bytes=-2", 10), Selection::Some(vec![8..10]));
    /// ```
    #[must_use]
    pub fn parse(value: &[u8], length: u64) -> Selection {
        let unit = value.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
        if !unit || value.len() == 6 {
            return Selection::Whole;
        }
        let mut ranges = Ranges::new();
        let mut total: u64 = 0;
        for (count, spec) in value[6..].split(|byte| *byte == b',').enumerate() {
            let Some(range) = parse_one(spec, length) else { return Selection::Unsatisfiable };
            if range.is_empty() {
                // The first byte of an empty file: everything is nothing, and that is no error.
                if range.start == 0 {
                    return Selection::Whole;
                }
                continue;
            }
            total = total.saturating_add(range.end - range.start);
            if count >= MAX_RANGES || total > length {
                return Selection::Whole;
            }
            ranges.push(range);
        }
        if ranges.is_empty() { Selection::Unsatisfiable } else { Selection::Some(ranges) }
    }
}

/// Reads `first-last`, `first-` or `-count`. The range is cut to the file, and may come out empty; `None` if it is malformed.
fn parse_one(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (spec[..dash].trim_ascii(), spec[dash + 1..].trim_ascii());
    match (first, last) {
        (b"", b"") => None,
        (b"", count) => Some(length.saturating_sub(number(count)?)..length),
        (first, b"") => Some(number(first)?..length),
        (first, last) => Some(number(first)?..number(last)?.saturating_add(1).min(length)),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // Offsets are signed to the kernel, and to nginx.
    let number: i64 = std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()?;
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn selects(value: &str, length: u64, expected: &[(u64, u64)]) {
        assert_eq!(
            Selection::parse(value.as_bytes(), length),
            Selection::Some(expected.iter().map(|(start, end)| *start..*end).collect()),
            "{value} of {length}"
        );
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        selects("bytes=0-0", 10, &[(0, 1)]);
        selects("BYTES=2-5", 10, &[(2, 6)]);
        selects("bytes=2-", 10, &[(2, 10)]);
        selects("bytes=-3", 10, &[(7, 10)]);
        selects("bytes=-30", 10, &[(0, 10)]);
        selects("bytes=5-99999", 10, &[(5, 10)]);
        selects("bytes=0-9223372036854775807", 10, &[(0, 10)]);
        selects("bytes= 1 - 2 , 4-5", 10, &[(1, 3), (4, 6)]);
        selects("bytes=4-5,0-1,99-", 10, &[(4, 6), (0, 2)]);
    }

    #[test]
    fn what_the_file_does_not_have_is_unsatisfiable() {
        for value in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=5-3",
            "bytes=x",
            "bytes=1",
            "bytes=1-x",
            "bytes=--1",
        ] {
            assert_eq!(Selection::parse(value.as_bytes(), 10), Selection::Unsatisfiable, "{value}");
        }
        for value in ["bytes=,", "bytes=1-2,", "bytes=-", "bytes=99999999999999999999-", "bytes=+1-2"] {
            assert_eq!(Selection::parse(value.as_bytes(), 10), Selection::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn what_is_not_worth_following_gets_the_whole_file() {
        for value in ["", "bytes", "bytes=", "lines=1-2", "bytes=0-,0-", "bytes=0-5,0-5"] {
            assert_eq!(Selection::parse(value.as_bytes(), 10), Selection::Whole, "{value}");
        }
        assert_eq!(Selection::parse(b"bytes=0-", 0), Selection::Whole);
        let many = format!("bytes={}0-0", "1-1,".repeat(MAX_RANGES));
        assert_eq!(Selection::parse(many.as_bytes(), 1 << 20), Selection::Whole);
    }
}
