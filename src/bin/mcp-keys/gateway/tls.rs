//! TLS towards callers: a certificate chain and its key, out of two PEM files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Error;
use super::config::Setting;

/// Where certificate and key are.
#[derive(Debug)]
pub(super) struct TlsFiles {
    pub(super) cert: Setting<PathBuf>,
    pub(super) key: Setting<PathBuf>,
}

/// Speaks HTTP/2 with those who can, and HTTP/1.1 with all others.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert.value)
        .and_then(Iterator::collect)
        .map_err(|error| files.cert.wrong(format!("cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(files.cert.wrong("holds no certificate in PEM form"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key.value)
        .map_err(|error| files.key.wrong(format!("cannot be read: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::failed("TLS cannot be set up", error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            files
                .cert
                .wrong(format!("does not go with its key: {error}"))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
