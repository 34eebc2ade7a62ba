//! Servers that are reached over https, with a certificate of an authority that the web does not know.

use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Client, Server};
use crate::world::{Gateway, file, header, mirroring, refused};

/// A private authority, and its certificate in a file.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        file(&folder, "ca.pem", &issuer.pem());
        Self { folder, issuer }
    }

    fn path(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// A server on this machine, with a certificate for `name`.
    async fn serve(&self, name: &str) -> Server {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Server::new(address, async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let app = TowerToHyperService::new(mirroring("private"));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), app).await;
                });
            }
        })
    }
}

fn https(server: &Server) -> String {
    format!("https://{}", server.address)
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_reached_where_the_authority_is_named() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = ours.serve("127.0.0.1").await;
    let url = https(&server);
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "upstream = \"{url}\"\nupstream_ca = [\"{}\", \"{}\"]\n",
        other.path(),
        ours.path()
    );
    let settings = file(&folder, "gateway.toml", &text);
    let both = std::fs::read_to_string(other.path()).unwrap() + &ours.issuer.pem();
    let both = file(&folder, "both.pem", &both);
    for arguments in [
        vec!["--upstream", &url, "--upstream-ca", &ours.path()],
        vec!["--upstream", &url, "--upstream-ca", both.to_str().unwrap()],
        vec!["--config", settings.to_str().unwrap()],
    ] {
        let gateway = Gateway::start(&arguments).await;
        let key = gateway.key().await;
        for _ in 0..2 {
            let answer = Client::http1()
                .get(&gateway.url("/mcp?a=b"), &[("x-api-key", &key)])
                .await;
            assert_eq!(answer.status, 200, "{arguments:?} {}", gateway.errors());
            let seen = answer.json();
            assert_eq!(seen["name"], "private");
            assert_eq!(seen["uri"], "/mcp?a=b");
            assert_eq!(header(&seen, "host"), server.address.to_string());
        }
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_is_a_502_and_the_log_says_why() {
    let (ours, other) = (Authority::new(), Authority::new());
    let genuine = ours.serve("127.0.0.1").await;
    let misnamed = ours.serve("elsewhere.test").await;
    for (server, more) in [
        (&genuine, vec![]),
        (&genuine, vec!["--upstream-ca", &other.path()]),
        (&misnamed, vec!["--upstream-ca", &ours.path()]),
    ] {
        let url = https(server);
        let gateway = Gateway::start(&[&["--upstream", url.as_str()], &more[..]].concat()).await;
        let key = gateway.key().await;
        let answer = Client::http1()
            .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
            .await;
        assert_eq!(answer.refusal(), (502, "upstream_unavailable".to_owned()));
        assert!(!answer.text.contains("certificate"), "{answer:?}");
        let log = gateway.errors();
        assert!(log.contains("certificate is not trusted"), "{log}");
        assert!(log.contains("invalid peer certificate"), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_file_without_an_authority_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = file(&folder, "nothing.pem", "nothing\n");
    let key = file(
        &folder,
        "key.pem",
        &KeyPair::generate().unwrap().serialize_pem(),
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = file(&folder, "broken.pem", broken);
    for path in [nothing, key, broken, folder.path().join("nowhere.pem")] {
        let output = refused(&[
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "https://127.0.0.1:9",
            "--upstream-ca",
            path.to_str().unwrap(),
        ])
        .await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{path:?}: {errors}");
        assert!(errors.contains("--upstream-ca"), "{path:?}: {errors}");
    }
}
