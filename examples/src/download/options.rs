//! The command line, and the list of what is wanted.

use clap::Parser;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Downloads URLs, many at once, with a blocking HTTP client on green threads: all on one OS thread.
///
/// Without a URL it starts a file server of its own on a free port, downloads 40 files from it, each of which the
/// server delays by 100 ms, and checks their SHA-256.
#[derive(Clone, Debug, Parser)]
#[command(name = "downloader", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Options {
    /// What to download: URL, or URL=NAME to name the file; `-` reads more of them from standard input
    #[arg(value_name = "URL[=NAME]")]
    pub urls: Vec<String>,

    /// Read URLs from FILE, one a line (`-` is standard input); blank lines and lines that begin with # are skipped
    #[arg(short, long, value_name = "FILE")]
    pub input: Vec<PathBuf>,

    /// Folder for the files; it is made if need be [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Downloads at a time
    #[arg(short, long, value_name = "N", default_value = "50")]
    pub jobs: NonZeroUsize,

    /// Downloads at a time from one host and port [default: no limit but --jobs]
    #[arg(short, long, value_name = "N")]
    pub per_host: Option<NonZeroUsize>,

    /// How often to try again after a failure that may pass
    #[arg(short, long, value_name = "N", default_value = "2")]
    pub retries: u32,

    /// Give up an attempt when nothing has arrived for so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// Go on with the .part files of an earlier run, and leave out the files that are already there
    #[arg(short = 'c', long)]
    pub resume: bool,

    /// Trust the certificates in this PEM file, and no others, for https
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
An `=` in the query of a URL belongs to the query: http://host/?id=7 has no NAME, http://host/?id=7=x.bin is saved as x.bin.
A file is written to NAME.part and renamed when it is whole. No file is overwritten: a name that is taken gets a number.
Exit code: 0 all arrived, 1 some did not, 2 the command line is wrong, 130 or 143 stopped by SIGINT or SIGTERM.";

/// One thing to download, as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The URL; not yet known to be a good one.
    pub url: String,
    /// The name for the file; `None` when it is to be taken from the reply or the URL.
    pub name: Option<String>,
}

impl Options {
    /// Whether any source of URLs was named: without one, the program shows itself off.
    pub fn names_a_source(&self) -> bool {
        !self.urls.is_empty() || !self.input.is_empty()
    }

    /// Collects what is wanted from the arguments, the files and standard input, in this order.
    ///
    /// Reads to the end of each source first, so it may wait for standard input.
    ///
    /// # Errors
    ///
    /// When a source cannot be read, or when all of them together hold no URL.
    pub fn wanted(&self) -> io::Result<Vec<Wanted>> {
        let mut wanted = Vec::new();
        for argument in &self.urls {
            match argument.as_str() {
                "-" => read_list(&PathBuf::from("-"), &mut wanted)?,
                _ => wanted.push(split(argument)),
            }
        }
        for path in &self.input {
            read_list(path, &mut wanted)?;
        }
        if wanted.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no URL in the input"));
        }
        Ok(wanted)
    }
}

fn read_list(path: &PathBuf, wanted: &mut Vec<Wanted>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let (name, outcome) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), io::stdin().lock().read_to_end(&mut bytes))
    } else {
        let outcome = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
        (path.display().to_string(), outcome)
    };
    outcome.map_err(|error| io::Error::new(error.kind(), format!("cannot read {name}: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{name} is not UTF-8 text")))?;
    wanted.extend(
        text.trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(split),
    );
    Ok(())
}

/// Cuts `URL=NAME` in two.
///
/// `=` may stand in a URL, so the last one counts only where it cannot be the URL's own: not as the first one of a
/// `key=value` pair of the query, and not with a folder after it (`/date=2024-01-01/file`). A `..` or a leading `/`
/// after it is taken as a name all the same, so that it is refused as a name and not asked for as a path.
fn split(argument: &str) -> Wanted {
    let whole = Wanted { url: argument.to_owned(), name: None };
    let Some((url, name)) = argument.rsplit_once('=') else { return whole };
    let escapes = name.starts_with('/') || name.split('/').any(|piece| piece == "..");
    if name.is_empty() || (name.contains('/') && !escapes) || name.contains(['?', '&', '#']) {
        return whole;
    }
    if let Some((_, query)) = url.split_once('?') {
        let pair = query.rsplit('&').next().unwrap_or_default();
        if !pair.contains('=') {
            return whole;
        }
    }
    Wanted { url: url.to_owned(), name: Some(name.to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        _ => Err("out of range: at least 0.001".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_follows_the_last_equals_sign_unless_the_url_needs_it() {
        let cases = [
            ("http://h/a.bin", None),
            ("http://h/a.bin=b.bin", Some("b.bin")),
            ("http://h/?id=7", None),
            ("http://h/?id=7=x.bin", Some("x.bin")),
            ("http://h/?a=1&b=2", None),
            ("http://h/?a=1&b=2=x", Some("x")),
            ("http://h/?t=YWJj==", None),
            ("http://h/date=2024-01-01/part.csv", None),
            ("http://h/a=../../b", Some("../../b")),
            ("http://h/a=/etc/passwd", Some("/etc/passwd")),
            ("http://h/a=", None),
        ];
        for (argument, name) in cases {
            assert_eq!(split(argument).name.as_deref(), name, "{argument}");
            let url = split(argument).url;
            assert_eq!(url, argument.strip_suffix(&format!("={}", name.unwrap_or("\0"))).unwrap_or(argument));
        }
    }

    #[test]
    fn timeout_takes_fractions_of_a_second() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "nan", "inf", "1e300", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
