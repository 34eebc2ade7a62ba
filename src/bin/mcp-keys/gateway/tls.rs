//! TLS: towards callers a certificate chain and its key, out of two PEM files; towards servers the
//! authorities that the web trusts, and those in the files that are named.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Error;
use super::setting::Setting;

/// Where certificate and key are.
#[derive(Debug)]
pub(super) struct TlsFiles {
    pub(super) cert: Setting<PathBuf>,
    pub(super) key: Setting<PathBuf>,
}

/// Speaks HTTP/2 with those who can, and HTTP/1.1 with all others.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key.value)
        .map_err(|error| files.key.wrong(format!("cannot be read: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(set_up)?
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

/// Trusts servers whose certificate the web trusts, or an authority in one of these files.
pub(super) fn towards_servers(authorities: &[Setting<PathBuf>]) -> Result<ClientConfig, Error> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    for file in authorities {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| {
                file.wrong(format!("holds what cannot be an authority: {error}"))
            })?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(set_up)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn certificates(file: &Setting<PathBuf>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&file.value)
        .and_then(Iterator::collect)
        .map_err(|error| file.wrong(format!("cannot be read: {error}")))?;
    if certificates.is_empty() {
        return Err(file.wrong("holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn set_up(error: rustls::Error) -> Error {
    Error::failed("TLS cannot be set up", error)
}
