//! Programs that are known by a document, and documents that are not fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_api_keys::oauth::{ClientDocuments, FetchDocument, FetchFault, Fetched};
use serde_json::json;
use tokio::net::TcpListener;

use crate::world::{CALLBACK, Program, World};

const URL: &str = "https://app.example/oauth/client.json";

/// A site with one document.
#[derive(Clone, Debug, Default)]
struct Site(Arc<AtomicUsize>);

#[async_trait]
impl FetchDocument for Site {
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchFault> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if url != URL {
            return Err(FetchFault::new("it is not there"));
        }
        let document = json!({
            "client_id": URL, "client_name": "App", "redirect_uris": [CALLBACK],
        });
        Ok(Fetched::new(document.to_string()))
    }
}

#[tokio::test]
async fn a_program_is_known_by_its_document() {
    let site = Site::default();
    let documents = ClientDocuments::new().fetch_by(site.clone());
    let world = World::with(|oauth| oauth.client_documents(documents)).await;
    let server = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(server["client_id_metadata_document_supported"], true);
    let program = Program::known_as(URL, &world.base);
    let mut browser = world.signed_in(&world.bob).await;
    let page = browser.get(&program.ask(&[])).await;
    assert!(page.body.contains("app.example") && page.body.contains(URL));
    let code = browser.allow(&program.ask(&[]), "read-only").await;
    let tokens = program.redeem(&world, &code, &[]).await.json();
    let called = world
        .call("/mcp", tokens["access_token"].as_str().unwrap())
        .await;
    assert_eq!(called.json()["client"], URL);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(program.refresh(&world, refresh).await.status, 200);
    assert_eq!(site.0.load(Ordering::SeqCst), 1);
    browser
        .get(&program.ask(&[("redirect_uri", "https://evil.example/")]))
        .await
        .is_problem(400);
}

#[tokio::test]
async fn one_address_does_not_have_documents_fetched_without_end() {
    let site = Site::default();
    let documents = ClientDocuments::new().fetch_by(site.clone());
    let world = World::with(|oauth| oauth.client_documents(documents)).await;
    for number in 0..40 {
        let program = Program::known_as(&format!("https://app.example/{number}"), &world.base);
        world.get(&program.ask(&[])).await.is_problem(400);
    }
    assert_eq!(site.0.load(Ordering::SeqCst), 30);
}

/// With the fetching that comes with the crate: nothing on this machine or its network is asked.
#[tokio::test]
async fn documents_on_this_machine_or_network_are_not_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with(|oauth| oauth.client_documents(ClientDocuments::new())).await;
    for id in [
        format!("https://localhost:{port}/client.json"),
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://[::1]:{port}/client.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/client.json".to_owned(),
        format!("http://localhost:{port}/client.json"),
        format!("https://localhost:{port}/"),
        format!("https://user:pw@localhost:{port}/client.json"),
    ] {
        let program = Program::known_as(&id, &world.base);
        world.get(&program.ask(&[])).await.is_problem(400);
    }
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept());
    assert!(waiting.await.is_err(), "somebody connected");
}
