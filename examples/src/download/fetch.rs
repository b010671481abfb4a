//! One download from the request to the rename, with its retries.
//!
//! A second attempt goes on where the first one stopped, by `Range` and `If-Range`, if the server gave a validator that
//! holds for every byte: a strong ETag, or a date of change that lies before the answer, on an answer with a length and
//! without compression. In all other cases it begins again; so it does when the server ignores the range (200), has
//! nothing behind it (416), or sends another one.

use super::client::REDIRECTS;
use super::failure::Failure;
use super::naming::{self, Names};
use super::part::Part;
use super::progress::Meter;
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, ResponseExt};

/// One planned download.
#[derive(Clone, Debug)]
pub struct Item {
    /// The URL, checked.
    pub url: String,
    /// Host and port, for the limit per host.
    pub host: String,
    /// The name that is claimed for it, and under which its `.part` file goes.
    pub name: String,
    /// Whether the user chose that name: then no other will do.
    pub named: bool,
}

/// A file that is there.
#[derive(Debug)]
pub struct Arrival {
    /// Its final name.
    pub name: String,
    /// Bytes received in this run.
    pub received: u64,
    /// Bytes that were there from an earlier run; the whole file when nothing had to be done.
    pub before: u64,
}

/// What all downloads of a run share.
#[derive(Debug)]
pub struct Fetcher {
    /// The client, with its pool of connections.
    pub agent: Agent,
    /// Who has claimed which name.
    pub names: Names,
    /// Attempts after the first one.
    pub retries: u32,
    /// After what time without a byte an attempt is given up: the client's setting, here for the message.
    pub timeout: Duration,
    /// Whether to go on with what an earlier run left.
    pub resume: bool,
}

/// Pause before the second attempt; doubled for each one after.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes asked of the client at a time.
const CHUNK: usize = 64 * 1024;

impl Fetcher {
    /// Downloads one file, trying again as often as is allowed. Waits; on a green thread, others run meanwhile.
    ///
    /// # Errors
    ///
    /// The last attempt's failure.
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has arrived stays in the `.part` file.
    pub fn fetch(&self, item: &Item, meter: &Meter) -> Result<Arrival, Failure> {
        let part = Part::open(&self.names, &item.name, &item.url, self.resume)?;
        let mut download = Download {
            fetcher: self,
            item,
            meter,
            before: part.length(),
            part,
            received: 0,
            suggested: None,
        };
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=self.retries {
            match download.attempt() {
                Err(failure) if failure.may_pass() => {
                    let asked = match failure {
                        Failure::Status(_, after) => after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    meter.say(format!("again ({attempt}/{}): {failure}", self.retries));
                    osier::sleep(pause.max(asked).min(LONGEST_PAUSE));
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
        download.attempt()
    }
}

struct Download<'a> {
    fetcher: &'a Fetcher,
    item: &'a Item,
    meter: &'a Meter,
    part: Part,
    /// Bytes of the `.part` file that are from an earlier run.
    before: u64,
    /// Bytes received in this run, wasted ones included.
    received: u64,
    /// The name that the server suggests, once it has suggested one that is not the item's, and that is claimed.
    suggested: Option<String>,
}

/// What an answer is good for.
enum Answer {
    /// The body continues the `.part` file, which has this length when whole, if that is known.
    Body(Response<Body>, Option<u64>),
    /// The `.part` file is whole already.
    Whole,
    /// The `.part` file is of no use: ask again, for everything.
    Useless,
    /// The file is there under its final name, from an earlier run.
    There(String),
}

impl Download<'_> {
    fn attempt(&mut self) -> Result<Arrival, Failure> {
        self.meter.restart(self.part.length(), None);
        let mut answer = self.ask()?;
        if let Answer::Useless = answer {
            self.begin_again(None)?;
            answer = self.ask()?;
        }
        match answer {
            Answer::Body(response, length) => self.receive(response, length)?,
            Answer::Whole => {}
            Answer::Useless => return Err(Failure::Protocol("a range that was not asked for".to_owned())),
            Answer::There(name) => {
                let before = self.fetcher.names.path(&name).metadata().map_or(0, |metadata| metadata.len());
                return Ok(Arrival { name, received: 0, before });
            }
        }
        self.finish()
    }

    fn ask(&mut self) -> Result<Answer, Failure> {
        let mut request = self.fetcher.agent.get(&self.item.url);
        let range = self.part.resumable().map(|(length, validator)| (length, validator.to_owned()));
        if let Some((length, validator)) = &range {
            request = request
                .header(header::RANGE, format!("bytes={length}-"))
                .header(header::IF_RANGE, validator)
                .header(header::ACCEPT_ENCODING, "identity");
        } else if is_compressed(&self.item.name) {
            // Some servers label `x.tar.gz` as a compressed `x.tar`, and it would arrive unpacked.
            request = request.header(header::ACCEPT_ENCODING, "identity");
        }
        let response = request.call().map_err(|error| {
            match Failure::of_client(error, 0, None, self.fetcher.timeout) {
                Failure::Short(..) => Failure::NoAnswer,
                failure => failure,
            }
        })?;
        let status = response.status();
        match (status, range) {
            (StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION, _) => {
                if let Some(name) = self.take_suggestion(&response) {
                    return Ok(Answer::There(name));
                }
                self.begin_again(validator(response.headers()).as_deref())?;
                let length = number(response.headers(), header::CONTENT_LENGTH);
                Ok(Answer::Body(response, length))
            }
            (StatusCode::PARTIAL_CONTENT, Some((length, asked))) => {
                let (start, total) = content_range(response.headers());
                let tag = strong_tag(response.headers());
                if start != Some(length) || (asked.starts_with('"') && tag.is_some_and(|tag| tag != asked)) {
                    return Ok(Answer::Useless);
                }
                self.take_suggestion(&response);
                Ok(Answer::Body(response, total))
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some((length, _))) => {
                let (_, total) = content_range(response.headers());
                Ok(if total == Some(length) { Answer::Whole } else { Answer::Useless })
            }
            (StatusCode::PARTIAL_CONTENT, None) => Ok(Answer::Useless),
            _ if status.is_redirection() => Err(lost_way(&response, status)),
            _ => {
                let after = number(response.headers(), header::RETRY_AFTER).map(Duration::from_secs);
                Err(Failure::Status(status, after))
            }
        }
    }

    /// Claims the name that the server suggests, if it is to be used; gives it back if that file is there already.
    fn take_suggestion(&mut self, response: &Response<Body>) -> Option<String> {
        if self.item.named || self.suggested.is_some() {
            return None;
        }
        let header = response.headers().get(header::CONTENT_DISPOSITION)?;
        let name = naming::from_disposition(&String::from_utf8_lossy(header.as_bytes()))?;
        if name == self.item.name {
            return None;
        }
        let names = &self.fetcher.names;
        if self.fetcher.resume && names.exists(&name) && names.claim_exactly(&name) {
            return Some(name);
        }
        self.suggested = Some(names.claim(&name, true));
        self.meter.rename(self.suggested.as_deref().unwrap_or_default());
        None
    }

    fn begin_again(&mut self, validator: Option<&str>) -> Result<(), Failure> {
        self.before = 0;
        self.part.restart(validator)
    }

    fn receive(&mut self, response: Response<Body>, length: Option<u64>) -> Result<(), Failure> {
        self.meter.restart(self.part.length(), length);
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    let (arrived, timeout) = (self.part.length(), self.fetcher.timeout);
                    return Err(Failure::of_client(ureq::Error::from(error), arrived, length, timeout));
                }
            };
            self.part.write(&chunk[..count])?;
            self.received += count as u64;
            self.meter.advance(count as u64);
        }
        match length {
            Some(length) if self.part.length() < length => {
                Err(Failure::Short(self.part.length(), Some(length)))
            }
            Some(length) if self.part.length() > length => {
                // Never to be gone on with: it is not known which bytes are wrong.
                let text = format!("{} bytes of {length}", self.part.length());
                self.begin_again(None)?;
                Err(Failure::Protocol(text))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<Arrival, Failure> {
        let names = &self.fetcher.names;
        let wanted = self.suggested.clone().unwrap_or_else(|| self.item.name.clone());
        let mut name = wanted.clone();
        while !self.part.finish(&names.path(&name))? {
            // Somebody else made a file of this name since it was claimed.
            if self.item.named {
                return Err(exists(&name));
            }
            name = names.claim(&wanted, true);
        }
        Ok(Arrival { name, received: self.received, before: self.before })
    }
}

/// The failure of a download whose name the user chose and that is taken.
pub fn exists(name: &str) -> Failure {
    Failure::Name(format!("the file {name} exists already"))
}

/// By what the server can tell, for every byte, that the file has not changed; `None` if a part of it is of no use.
fn validator(headers: &HeaderMap) -> Option<String> {
    // The client takes the length off an answer that it decompresses: then our bytes are not the server's.
    number(headers, header::CONTENT_LENGTH)?;
    if text(headers, header::ACCEPT_RANGES).is_some_and(|ranges| ranges.eq_ignore_ascii_case("none")) {
        return None;
    }
    if let Some(tag) = strong_tag(headers) {
        return Some(tag.to_owned());
    }
    // A date counts whole seconds: one that is the answer's own may stand for two versions of the file.
    let (modified, date) = (text(headers, header::LAST_MODIFIED)?, text(headers, header::DATE)?);
    (modified != date).then(|| modified.to_owned())
}

fn strong_tag(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::ETAG).filter(|tag| tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// First byte and whole length of `bytes 5-9/10`; the length alone of `bytes */10`.
fn content_range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let parse = || {
        let (range, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
        let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
        Some((start, total.trim().parse().ok()))
    };
    parse().unwrap_or((None, None))
}

fn lost_way(response: &Response<Body>, status: StatusCode) -> Failure {
    let history = response.get_redirect_history().unwrap_or_default();
    for (end, url) in history.iter().enumerate() {
        if let Some(start) = history[..end].iter().position(|earlier| earlier == url) {
            return Failure::Circle(history[start..=end].iter().map(ToString::to_string).collect());
        }
    }
    if history.len() > REDIRECTS as usize {
        Failure::Redirects(REDIRECTS as usize)
    } else {
        Failure::Status(status, None)
    }
}

fn is_compressed(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["gz", "tgz", "svgz", "zst", "bz2", "xz", "zip", "br"].iter().any(|e| extension.eq_ignore_ascii_case(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|&(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_a_validator_for_every_byte_counts() {
        let length = ("content-length", "5");
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let earlier = ("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT");
        let same = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let strong = ("etag", "\"a\"");
        let weak = ("etag", "W/\"a\"");
        assert_eq!(validator(&headers(&[length, strong])).as_deref(), Some("\"a\""));
        assert_eq!(validator(&headers(&[strong])), None, "no length");
        assert_eq!(validator(&headers(&[length, weak])), None);
        assert_eq!(validator(&headers(&[length, weak, date, earlier])).as_deref(), Some(earlier.1));
        assert_eq!(validator(&headers(&[length, date, same])), None);
        assert_eq!(validator(&headers(&[length, strong, ("accept-ranges", "none")])), None);
    }

    #[test]
    fn content_range_is_taken_apart() {
        let cases = [
            ("bytes 5-9/10", (Some(5), Some(10))),
            ("bytes 5-9/*", (Some(5), None)),
            ("bytes */10", (None, Some(10))),
            ("lines 5-9/10", (None, None)),
        ];
        for (value, parts) in cases {
            assert_eq!(content_range(&headers(&[("content-range", value)])), parts, "{value}");
        }
    }
}
