//! Dates as HTTP and access logs write them. Always UTC, whole seconds.

use std::time::SystemTime;

/// `time` as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// ```
/// use osier_examples::http::http_date;
/// assert_eq!(http_date(std::time::UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT");
/// ```
#[must_use]
pub fn http_date(time: SystemTime) -> String {
    // The formatter panics outside the years 1970 to 9999, and a file's time may be anything.
    let earliest = SystemTime::UNIX_EPOCH;
    let latest = earliest + std::time::Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(time.clamp(earliest, latest))
}

/// Reads a date in any of the three forms that HTTP allows, `None` if it is in none of them.
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

/// `time` as the common log format writes it, without the brackets: `06/Nov/1994:08:49:37 +0000`.
#[must_use]
pub fn clf_date(time: SystemTime) -> String {
    let date = http_date(time);
    let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    format!("{day}/{month}/{year}:{clock} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const THEN: Duration = Duration::from_secs(784_111_777);

    #[test]
    fn all_three_forms_are_read() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text.as_bytes()), Some(UNIX_EPOCH + THEN), "{text}");
        }
        assert_eq!(parse_http_date(b"yesterday"), None);
        assert_eq!(parse_http_date(b"\xff"), None);
    }

    #[test]
    fn dates_are_written_in_both_forms() {
        assert_eq!(http_date(UNIX_EPOCH + THEN), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(clf_date(UNIX_EPOCH + THEN), "06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn a_time_outside_the_calendar_is_moved_into_it() {
        assert_eq!(http_date(UNIX_EPOCH - Duration::from_secs(5)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(1 << 40)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
