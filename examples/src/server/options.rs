//! The arguments of the program `server`.

use clap::{Parser, ValueEnum};
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Serves the files of a directory over HTTP/1.1, or HTTPS with --cert and --key.
///
/// Each connection is plain blocking code on a green thread of its own: watch thousands of them share one OS thread, while
/// each reads as if it had the machine to itself. The other modes serve the same requests in the ways that were there before, and
/// --compare puts them beside each other. Ctrl-C or SIGTERM lets running requests finish; a second one ends at once.
#[derive(Clone, Debug, Parser)]
#[command(name = "server", version)]
pub struct Options {
    /// The directory whose files are served; nothing outside it ever is
    #[arg(long, value_name = "DIR", default_value = "html")]
    pub root: PathBuf,

    /// The address to listen on: HOST:PORT, or a port of this machine alone; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7890", value_parser = address)]
    pub addr: SocketAddr,

    /// How connections are served
    #[arg(long, value_enum, default_value_t = Mode::Green)]
    pub mode: Mode,

    /// Connections that are open at once; more wait until one has ended
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_conns: NonZeroUsize,

    /// Seconds that a client may take to send a request, to take a piece of a reply, and between two requests
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// OS threads that accept connections; except for thread and process they also serve them
    #[arg(long, value_name = "N", default_value = "1")]
    pub workers: NonZeroUsize,

    /// The certificate chain in PEM form; serves HTTPS
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// The private key that goes with the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// Write no access log to standard output
    #[arg(long, short)]
    pub quiet: bool,

    /// Let clients loose on each mode in turn, serving a page of 1 KiB, and print a table
    #[arg(long, conflicts_with_all = ["root", "addr", "mode", "cert", "key", "quiet"])]
    pub compare: bool,

    /// With --compare: clients that ask at once, each again as soon as it has its answer
    #[arg(long, value_name = "N", default_value = "64", requires = "compare")]
    pub clients: NonZeroUsize,

    /// With --compare: seconds that each mode is asked for
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, requires = "compare")]
    pub seconds: Duration,

    /// Serve the connections that are handed over standard input, one at a time: what --mode process starts
    #[arg(long, hide = true)]
    pub staff: bool,
}

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Mode {
    /// A green thread for each connection
    Green,
    /// An OS thread for each connection
    Thread,
    /// A process for each connection, which serves the next one after it
    Process,
    /// A loop that tries every connection in turn; without TLS
    Nonblocking,
    /// A loop that is told which connections are ready; without TLS
    Epoll,
}

impl Mode {
    /// Whether connections are served by blocking code, over which TLS can be laid.
    pub(super) fn blocks(self) -> bool {
        !matches!(self, Mode::Nonblocking | Mode::Epoll)
    }

    /// Its name as an argument.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("less than a millisecond".to_owned()),
        Err(_) => Err("not a length of time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::try_parse_from([&["server"], arguments].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_directory_html_and_port_7890() {
        let options = parse(&[]).expect("no arguments are needed");
        assert_eq!(options.root, PathBuf::from("html"));
        assert_eq!(options.addr, "127.0.0.1:7890".parse().expect("an address"));
        assert_eq!((options.mode, options.workers.get()), (Mode::Green, 1));
    }

    #[test]
    fn an_address_may_be_a_port_alone() {
        let addr = |text| parse(&["--addr", text]).map(|options| options.addr.to_string());
        assert_eq!(addr("80").as_deref(), Ok("127.0.0.1:80"));
        assert_eq!(addr("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert!(addr("99999").is_err() && addr("host").is_err() && addr("").is_err());
    }

    #[test]
    fn bad_values_are_refused() {
        for arguments in [
            &["--timeout", "0"][..],
            &["--timeout", "-1"],
            &["--timeout", "NaN"],
            &["--timeout", "1e300"],
            &["--max-conns", "0"],
            &["--workers", "0"],
            &["--mode", "poll"],
            &["--clients", "3"],
            &["--compare", "--mode", "green"],
            &["--compare", "--clients", "0"],
            &["--cert", "x"],
            &["--key", "x"],
            &["extra"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
        assert_eq!(parse(&["--timeout", "0.5"]).expect("half a second").timeout, Duration::from_millis(500));
    }
}
