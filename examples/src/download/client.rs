//! The HTTP client: ureq as it is, set up for downloads.
//!
//! Two settings matter on green threads. There is no `timeout_resolve`: with one, ureq resolves names on an OS thread of
//! its own. And there is no limit to the whole of a download, only to the time in which nothing moves.

use super::options::Options;
use std::fs;
use std::io;
use std::sync::Arc;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

/// Redirects that are followed for one file.
pub const REDIRECTS: u32 = 10;

/// Makes the client for a run; with `local`, proxies from the environment are left aside.
///
/// # Errors
///
/// When the file of `--cacert` cannot be read or holds no certificate.
pub fn agent(options: &Options, local: bool) -> io::Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &options.cacert {
        let refuse =
            |why: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{why} in {}", path.display()));
        let pem = fs::read(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
        })?;
        let mut certificates = Vec::new();
        for item in parse_pem(&pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                Ok(_) => {}
                Err(_) => return Err(refuse("damaged PEM".to_owned())),
            }
        }
        if certificates.is_empty() {
            return Err(refuse("no certificate".to_owned()));
        }
        tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates)));
    }
    let mut config = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        // The last answer comes with the list of all, by which a circle is told from a long way.
        .max_redirects_will_error(false)
        .save_redirect_history(true)
        .timeout_connect(Some(options.timeout))
        .timeout_per_read(Some(options.timeout))
        .timeout_per_write(Some(options.timeout))
        .input_buffer_size(64 * 1024)
        .output_buffer_size(4096)
        .user_agent(concat!("osier-downloader/", env!("CARGO_PKG_VERSION")));
    if local {
        config = config.proxy(None);
    }
    Ok(Agent::with_parts(config.build(), DefaultConnector::new().chain(Frank), DefaultResolver::default()))
}

/// Keeps a broken connection from looking like the end of the file.
///
/// A body without a length ends with its connection. ureq counts a reset, and an end without TLS's goodbye, as such an
/// end; a browser may show what has come, but half a file must not be renamed as a whole one.
#[derive(Debug)]
struct Frank;

#[derive(Debug)]
struct FrankTransport<T>(T);

impl<T: Transport> Connector<T> for Frank {
    type Out = FrankTransport<T>;

    fn connect(
        &self,
        _details: &ConnectionDetails,
        chained: Option<T>,
    ) -> Result<Option<FrankTransport<T>>, ureq::Error> {
        Ok(chained.map(FrankTransport))
    }
}

impl<T: Transport> Transport for FrankTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout).map_err(|error| match error {
            ureq::Error::Io(error) if ends_connection(error.kind()) => {
                ureq::Error::Io(io::Error::other(error))
            }
            other => other,
        })
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

fn ends_connection(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, ConnectionAborted | ConnectionReset | UnexpectedEof)
}
