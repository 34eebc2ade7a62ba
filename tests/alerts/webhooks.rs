//! Webhooks, against a real receiver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use mcp_api_keys::store::{DeadLetter, MemoryStore};
use mcp_api_keys::webhook::{Webhook, WebhookSecret, WebhookStats};
use mcp_api_keys::{ApiKeys, Argon2Params, Clock as _, NewKey, SystemClock};
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What came, in order, and how it was answered.
#[derive(Clone, Default)]
struct Receiver {
    came: Arc<Mutex<Vec<(HeaderMap, Bytes, StatusCode)>>>,
    /// What to answer next; 204 when there is nothing.
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Receiver {
    async fn start(&self) -> String {
        let this = self.clone();
        let receive = move |headers: HeaderMap, body: Bytes| async move {
            let answer = this.answers.lock().unwrap().pop_front();
            let answer = answer.unwrap_or(StatusCode::NO_CONTENT);
            this.came.lock().unwrap().push((headers, body, answer));
            answer
        };
        let app = Router::new().route("/hook", post(receive));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn answer_next(&self, status: u16, times: usize) {
        let status = StatusCode::from_u16(status).unwrap();
        let answers = std::iter::repeat_n(status, times);
        self.answers.lock().unwrap().extend(answers);
    }

    /// Ids and types of what came, each with the answer, after its signature was verified.
    fn verified(&self) -> Vec<(String, String, u16)> {
        let secret: WebhookSecret = SECRET.parse().unwrap();
        let came = self.came.lock().unwrap();
        let read = |(headers, body, answer): &(HeaderMap, Bytes, StatusCode)| {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
            let timestamp: i64 = timestamp.parse().unwrap();
            let now = SystemClock::new().now().wall.as_millis() / 1_000;
            assert!((now - timestamp).abs() < 60);
            assert_eq!(
                header("webhook-signature"),
                secret.sign(&id, timestamp, body)
            );
            assert_eq!(header("content-type"), "application/json");
            let event: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(event["id"], id);
            (
                id,
                event["type"].as_str().unwrap().to_owned(),
                answer.as_u16(),
            )
        };
        came.iter().map(read).collect()
    }
}

fn hook(url: &str) -> Webhook {
    let hook = Webhook::new(url, SECRET.parse().unwrap()).unwrap();
    hook.pause(Duration::from_millis(10))
        .timeout(Duration::from_millis(500))
}

async fn keys_with(hook: Webhook) -> ApiKeys {
    ApiKeys::builder(MemoryStore::new())
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .webhook(hook)
        .build()
        .await
        .unwrap()
}

async fn wait_until(keys: &ApiKeys, done: impl Fn(&WebhookStats) -> bool) -> WebhookStats {
    for _ in 0..400 {
        let stats = keys.webhook_stats()[0];
        if done(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{:?}", keys.webhook_stats());
}

/// What was given up, the last ones at the end.
async fn dead_letters(keys: &ApiKeys) -> Vec<DeadLetter> {
    keys.flush().await.unwrap();
    let mut kept = keys.manager().dead_letters(1_000).await.unwrap();
    assert_eq!((kept.held, kept.dropped), (kept.letters.len(), 0));
    kept.letters.reverse();
    kept.letters
}

#[tokio::test]
async fn messages_are_signed_repeated_under_one_id_and_in_order() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    receiver.answer_next(500, 2);
    let keys = keys_with(hook(&url)).await;
    let issued = keys.manager().issue(NewKey::named("a")).await.unwrap();
    keys.manager().revoke(issued.info().id, None).await.unwrap();
    keys.manager().delete(issued.info().id).await.unwrap();
    let stats = wait_until(&keys, |stats| stats.delivered == 3 && stats.waiting == 0).await;
    assert_eq!((stats.failed, stats.dead), (2, 0));

    let came = receiver.verified();
    let kinds: Vec<_> = came
        .iter()
        .map(|(_, kind, status)| (kind.as_str(), *status))
        .collect();
    assert_eq!(
        kinds,
        [
            ("key.created", 500),
            ("key.created", 500),
            ("key.created", 204),
            ("key.revoked", 204),
            ("key.deleted", 204)
        ]
    );
    assert!(came[0].0 == came[1].0 && came[1].0 == came[2].0);
    assert!(came[2].0 != came[3].0 && came[3].0 != came[4].0);
    // No run of the key's or the webhook's secret is in what was sent.
    let sent: String = receiver
        .came
        .lock()
        .unwrap()
        .iter()
        .map(|(headers, body, _)| format!("{headers:?}{}", String::from_utf8_lossy(body)))
        .collect();
    let key = &issued.key().expose_secret()["mcp_sk_".len() + 8..];
    for secret in [key, &SECRET["whsec_".len()..]] {
        for start in 0..=secret.len() - 8 {
            assert!(!sent.contains(&secret[start..start + 8]));
        }
    }
}

#[tokio::test]
async fn what_is_never_taken_is_a_dead_letter_and_does_not_stop_the_rest() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    receiver.answer_next(503, 3);
    let keys = keys_with(hook(&url).attempts(3)).await;
    let issued = keys.manager().issue(NewKey::named("a")).await.unwrap();
    keys.manager().disable(issued.info().id).await.unwrap();
    let stats = wait_until(&keys, |stats| stats.delivered == 1).await;
    assert_eq!((stats.failed, stats.dead), (3, 1));
    let dead = dead_letters(&keys).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].attempts, dead[0].reason.as_str()),
        (3, "status 503")
    );
    assert_eq!(dead[0].event["type"], "key.created");
    assert_eq!(receiver.verified().last().unwrap().1, "key.disabled");

    // Gone for good: not tried again.
    receiver.answer_next(410, 1);
    keys.manager().enable(issued.info().id).await.unwrap();
    let stats = wait_until(&keys, |stats| stats.dead == 2).await;
    assert_eq!(stats.failed, 4);
    assert_eq!(dead_letters(&keys).await[1].attempts, 1);
}

#[tokio::test]
async fn redirections_are_not_followed_and_silence_and_nobody_are_failures() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    receiver.answer_next(307, 1);
    let keys = keys_with(hook(&url).attempts(1)).await;
    let _ = keys.manager().issue(NewKey::named("a")).await.unwrap();
    wait_until(&keys, |stats| stats.dead == 1).await;
    assert_eq!(dead_letters(&keys).await[0].reason, "status 307");

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let keys = keys_with(hook(&url).attempts(1)).await;
    let _ = keys.manager().issue(NewKey::named("a")).await.unwrap();
    wait_until(&keys, |stats| stats.dead == 1).await;
    assert_eq!(dead_letters(&keys).await[0].reason, "no answer in time");
    drop(silent);
    let keys = keys_with(hook(&url).attempts(2)).await;
    let _ = keys.manager().issue(NewKey::named("a")).await.unwrap();
    let stats = wait_until(&keys, |stats| stats.dead == 1).await;
    assert_eq!(stats.failed, 2);
}

#[tokio::test]
async fn the_queue_is_bounded_and_the_oldest_that_wait_give_way() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let keys = keys_with(hook(&url).timeout(Duration::from_secs(60)).queue(5)).await;
    let issued = keys.manager().issue(NewKey::named("a")).await.unwrap();
    let id = issued.info().id;
    for _ in 0..20 {
        keys.manager().disable(id).await.unwrap();
        keys.manager().enable(id).await.unwrap();
    }
    let stats = wait_until(&keys, |stats| stats.dead == 36).await;
    assert_eq!((stats.waiting, stats.missed), (5, 0));
    let dead = dead_letters(&keys).await;
    assert!(
        dead.iter()
            .all(|letter| letter.reason == "there was no room to wait")
    );
    assert_eq!(dead[0].event["type"], "key.disabled");
}
