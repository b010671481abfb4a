//! TLS: the server's certificate and key, as rustls wants them.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why certificate and key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsSettingsError {
    /// A file cannot be read, or has nothing in PEM form that is wanted.
    File(PathBuf, pem::Error),
    /// The two do not go together, or are of a kind that is not known.
    Unusable(rustls::Error),
}

impl fmt::Display for TlsSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsSettingsError::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            TlsSettingsError::Unusable(error) => write!(f, "cannot use the certificate and its key: {error}"),
        }
    }
}

impl std::error::Error for TlsSettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsSettingsError::File(_, error) => Some(error),
            TlsSettingsError::Unusable(error) => Some(error),
        }
    }
}

/// Settings for a server of HTTP/1.1 with the certificate chain in `cert` and its private key in `key`, both in PEM form.
///
/// # Errors
///
/// If a file cannot be read, or has not what it should.
pub fn tls_settings(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsSettingsError> {
    let in_file = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsSettingsError::File(path, error)
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(in_file(cert))?;
    if chain.is_empty() {
        return Err(in_file(cert)(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(in_file(key))?;
    let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsSettingsError::Unusable)?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}
