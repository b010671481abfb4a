//! The body of a request, which a server of files has no use for: how long it is, and where the next request begins.
//!
//! A body must be taken off the connection all the same, or its bytes would be read as the next request. The framing is
//! read strictly (a chunk's size in hexadecimal digits and nothing else, lines ended by CR LF), since a proxy in front that reads it
//! otherwise than we do would let one client speak for another.

use std::fmt;

/// How a request says that its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// After so many bytes. 0 if the request has no body.
    Exact(u64),
    /// With a chunk of size 0, and the trailer behind it.
    Chunked,
}

/// Why a body cannot be taken off the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The chunks are not well formed.
    Malformed,
    /// The body, its trailer or a chunk's extension is larger than is allowed.
    TooLarge,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Malformed => "the chunks of the body are malformed",
            BodyError::TooLarge => "the body is too large",
        })
    }
}

impl std::error::Error for BodyError {}

/// Bytes that chunk extensions and the trailer may take in all; nobody needs them.
const EXTRA: u32 = 8 << 10;

/// Finds the end of one body, and drops what comes before.
#[derive(Debug)]
pub struct BodyDrain {
    state: State,
    /// Bytes of content that may still come in chunks.
    allowance: u64,
    /// Bytes of extensions and trailer that may still come.
    extra: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of content, then the end.
    Exact(u64),
    /// In a chunk's size; false until the first digit.
    Size(u64, bool),
    /// In a chunk's extension, which is passed over.
    Extension(u64),
    /// The LF after a chunk's size.
    SizeEnd(u64),
    /// So many bytes of a chunk, never 0.
    Data(u64),
    /// The CR LF after a chunk: true after the CR.
    DataEnd(bool),
    /// In the trailer: true if the line has a character.
    Trailer(bool),
    /// The LF after a trailer line: true if the line had a character.
    TrailerEnd(bool),
    /// The next byte belongs to the next request.
    Done,
}

impl BodyDrain {
    /// Begins a body of which at most `allowance` bytes are taken.
    #[must_use]
    pub fn new(length: BodyLength, allowance: u64) -> BodyDrain {
        let state = match length {
            BodyLength::Exact(0) => State::Done,
            BodyLength::Exact(count) => State::Exact(count),
            BodyLength::Chunked => State::Size(0, false),
        };
        BodyDrain { state, allowance, extra: EXTRA }
    }

    /// True once the whole body was seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Looks at the next bytes of the connection, and says how many of them belong to the body: fewer than all only if
    /// it has ended.
    ///
    /// # Errors
    ///
    /// If the chunks are malformed, or more than was allowed. The connection can then not be used for another request.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut taken = 0;
        while taken < bytes.len() {
            let here = (bytes.len() - taken) as u64;
            taken += match self.state {
                State::Done => break,
                State::Exact(left) => {
                    let count = left.min(here);
                    self.state = if count == left { State::Done } else { State::Exact(left - count) };
                    count as usize
                }
                State::Data(left) => {
                    let count = left.min(here);
                    self.state =
                        if count == left { State::DataEnd(false) } else { State::Data(left - count) };
                    count as usize
                }
                _ => {
                    self.step(bytes[taken])?;
                    1
                }
            };
        }
        Ok(taken)
    }

    /// Takes one byte of what is not content.
    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match (self.state, byte) {
            (State::Size(size, _), digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16).map_or(0, u64::from);
                let size = size.checked_mul(16).ok_or(BodyError::TooLarge)? + digit;
                State::Size(size, true)
            }
            (State::Size(size, true), b'\r') => State::SizeEnd(size),
            (State::Size(size, true), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(size), byte) if byte != b'\n' => {
                self.spend_extra()?;
                State::Extension(size)
            }
            (State::SizeEnd(0), b'\n') => State::Trailer(false),
            (State::SizeEnd(size), b'\n') => {
                self.allowance = self.allowance.checked_sub(size).ok_or(BodyError::TooLarge)?;
                State::Data(size)
            }
            (State::DataEnd(false), b'\r') => State::DataEnd(true),
            (State::DataEnd(true), b'\n') => State::Size(0, false),
            (State::Trailer(any), b'\r') => State::TrailerEnd(any),
            (State::Trailer(_), byte) if byte != b'\n' => {
                self.spend_extra()?;
                State::Trailer(true)
            }
            (State::TrailerEnd(true), b'\n') => State::Trailer(false),
            (State::TrailerEnd(false), b'\n') => State::Done,
            _ => return Err(BodyError::Malformed),
        };
        Ok(())
    }

    fn spend_extra(&mut self) -> Result<(), BodyError> {
        self.extra = self.extra.checked_sub(1).ok_or(BodyError::TooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of every size, and wants the same answer each time.
    #[track_caller]
    fn drain(length: BodyLength, allowance: u64, bytes: &[u8]) -> Result<(usize, bool), BodyError> {
        let run = |piece: usize| {
            let mut drain = BodyDrain::new(length, allowance);
            let mut taken = 0;
            for part in bytes.chunks(piece) {
                let count = drain.feed(part)?;
                taken += count;
                if count < part.len() {
                    break;
                }
            }
            Ok((taken, drain.is_done()))
        };
        let whole = run(bytes.len().max(1));
        for piece in 1..bytes.len() {
            assert_eq!(run(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn a_body_of_known_length_ends_where_it_says() {
        assert_eq!(drain(BodyLength::Exact(0), 9, b"GET"), Ok((0, true)));
        assert_eq!(drain(BodyLength::Exact(3), 9, b"abcGET"), Ok((3, true)));
        assert_eq!(drain(BodyLength::Exact(9), 9, b"abc"), Ok((3, false)));
    }

    #[test]
    fn chunks_end_with_the_empty_one_and_its_trailer() {
        let body = b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nSum: 1\r\n\r\n";
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(b"GET / HTTP/1.1");
        assert_eq!(drain(BodyLength::Chunked, 13, &bytes), Ok((body.len(), true)));
        assert_eq!(drain(BodyLength::Chunked, 12, &bytes), Err(BodyError::TooLarge));
        assert_eq!(drain(BodyLength::Chunked, 13, &body[..body.len() - 1]), Ok((body.len() - 1, false)));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1\n",
            b"1\r\r\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1;x\n",
            b"0\r\nx\n",
        ] {
            assert_eq!(
                drain(BodyLength::Chunked, 1 << 20, bytes),
                Err(BodyError::Malformed),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn sizes_and_extras_have_limits() {
        let too_large = Err(BodyError::TooLarge);
        assert_eq!(drain(BodyLength::Chunked, u64::MAX, b"10000000000000000\r\n"), too_large);
        let mut bytes = b"1;".to_vec();
        bytes.resize(bytes.len() + EXTRA as usize + 1, b'x');
        let mut drain = BodyDrain::new(BodyLength::Chunked, 9);
        assert_eq!(drain.feed(&bytes), Err(BodyError::TooLarge));
    }
}
