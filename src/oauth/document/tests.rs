//! Which documents are taken, and how often they are fetched.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::ManualClock;

const URL: &str = "https://app.example/oauth/client.json";

/// Answers with what it is given, and counts.
#[derive(Debug, Default)]
struct Script {
    fetches: AtomicUsize,
    answer: Mutex<Option<Result<Fetched, FetchFault>>>,
}

#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Script>);

impl Scripted {
    fn answers(&self, answer: Result<Fetched, FetchFault>) {
        *self.0.answer.lock().unwrap() = Some(answer);
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FetchDocument for Scripted {
    async fn fetch(&self, _: &str) -> Result<Fetched, FetchFault> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.answer.lock().unwrap().clone().unwrap()
    }
}

fn document(client_id: &str, redirect: &str) -> String {
    serde_json::json!({
        "client_id": client_id,
        "client_name": "App\u{202e}",
        "redirect_uris": [redirect],
        "token_endpoint_auth_method": "none",
        "anything": ["else"],
    })
    .to_string()
}

fn good() -> Fetched {
    Fetched::new(document(URL, "https://app.example/cb"))
}

fn documents(script: &Scripted) -> Documents {
    Documents::new(ClientDocuments::new().fetch_by(script.clone())).unwrap()
}

#[test]
fn an_id_is_the_url_of_a_document_or_it_is_none() {
    assert_eq!(Documents::host_of(URL).as_deref(), Some("app.example"));
    assert!(Documents::host_of("https://app.example:8443/client").is_some());
    for other in [
        "mcpc_0123456789",
        "http://app.example/client",
        "https://app.example",
        "https://app.example/",
        "https://app.example/a/../client",
        "https://app.example/client?x",
        "https://app.example/client#x",
        "https://user@app.example/client",
        "https://APP.example/client",
        "https://app.example:443/client",
        "https://127.0.0.1/client",
        "https://2130706433/client",
        "https://0x7f.1/client",
        "https://[::1]/client",
        "https://[::ffff:169.254.169.254]/client",
    ] {
        assert_eq!(Documents::host_of(other), None, "{other}");
    }
}

#[test]
fn a_document_says_what_it_is_known_by() {
    let described = read(URL, document(URL, "http://localhost/cb").as_bytes()).unwrap();
    assert_eq!(described.name.as_deref(), Some("App"));
    assert_eq!(described.host, "app.example");
    let with = |field: &str, value: serde_json::Value| {
        let mut whole: serde_json::Value =
            serde_json::from_str(&document(URL, "https://app.example/cb")).unwrap();
        whole[field] = value;
        whole.to_string()
    };
    for wrong in [
        String::new(),
        "[]".to_owned(),
        document("https://app.example/other", "https://app.example/cb"),
        document(&format!("{URL}/"), "https://app.example/cb"),
        document(URL, "javascript:alert(1)"),
        document(URL, "http://app.example/cb"),
        with("redirect_uris", serde_json::json!([])),
        with(
            "redirect_uris",
            serde_json::json!(vec!["https://a.example/"; 33]),
        ),
        with("token_endpoint_auth_method", "private_key_jwt".into()),
        with("client_secret", "x".into()),
    ] {
        assert!(read(URL, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_document_is_kept_for_its_time_and_a_failure_for_less() {
    let (script, clock) = (
        Scripted::default(),
        ManualClock::at(crate::clock::Timestamp::from_millis(0)),
    );
    let documents = documents(&script);
    script.answers(Ok(good().max_age(Duration::from_secs(120))));
    for _ in 0..3 {
        let known = documents.get(URL, &clock).await.unwrap();
        assert_eq!(known.redirect_uris, ["https://app.example/cb"]);
    }
    assert_eq!(script.fetches(), 1);
    assert!(documents.kept(URL, &clock).is_some());
    clock.advance(Duration::from_secs(119));
    documents.get(URL, &clock).await.unwrap();
    assert_eq!(script.fetches(), 1);
    clock.advance(Duration::from_secs(1));
    script.answers(Err(FetchFault::new("gone")));
    assert!(documents.get(URL, &clock).await.is_err());
    assert!(documents.get(URL, &clock).await.is_err());
    assert_eq!(script.fetches(), 2);
    clock.advance(AFTER_FAILURE);
    // Never is a minute, and for ever is an hour.
    for (said, held) in [(Duration::ZERO, SHORTEST), (Duration::MAX, LONGEST)] {
        script.answers(Ok(good().max_age(said)));
        let before = script.fetches();
        documents.get(URL, &clock).await.unwrap();
        clock.advance(held - Duration::from_millis(1));
        documents.get(URL, &clock).await.unwrap();
        assert_eq!(script.fetches(), before + 1);
        clock.advance(Duration::from_millis(1));
        assert!(documents.kept(URL, &clock).is_none());
    }
}

#[tokio::test]
async fn many_who_ask_at_once_fetch_once() {
    let (script, clock) = (
        Scripted::default(),
        ManualClock::at(crate::clock::Timestamp::from_millis(0)),
    );
    let documents = Arc::new(documents(&script));
    script.answers(Ok(good()));
    let asking: Vec<_> = (0..32)
        .map(|_| {
            let (documents, clock) = (Arc::clone(&documents), clock.clone());
            tokio::spawn(async move { documents.get(URL, &clock).await.is_ok() })
        })
        .collect();
    for task in asking {
        assert!(task.await.unwrap());
    }
    assert_eq!(script.fetches(), 1);
}

#[tokio::test]
async fn hosts_can_be_chosen_and_documents_do_not_pile_up() {
    let (script, clock) = (
        Scripted::default(),
        ManualClock::at(crate::clock::Timestamp::from_millis(0)),
    );
    script.answers(Ok(good()));
    let few = ClientDocuments::new().only_hosts(["App.example"]);
    let documents = Documents::new(few.fetch_by(script.clone())).unwrap();
    assert!(documents.get(URL, &clock).await.is_ok());
    assert!(
        documents
            .get("https://evil.example/x", &clock)
            .await
            .is_err()
    );
    assert_eq!(script.fetches(), 1);

    let documents = self::documents(&script);
    for number in 0..1_000 {
        let _ = documents
            .get(&format!("https://app.example/{number}"), &clock)
            .await;
    }
    let kept = (0..1_000).filter(|number| {
        documents
            .kept(&format!("https://app.example/{number}"), &clock)
            .is_some()
    });
    assert_eq!(kept.count(), 256);
}
