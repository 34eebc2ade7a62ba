//! P26: refusals that must not be told apart.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{NewKey, Timestamp};

use crate::world::{Guarded, builder, forged, issue, request};

#[tokio::test]
async fn unknown_malformed_wrong_and_revoked_keys_get_the_same_bytes() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let guarded = Guarded::new(keys.layer());
    let [revoked, used, deleted, rotated] = [
        issue(&keys).await,
        issue(&keys).await,
        issue(&keys).await,
        issue(&keys).await,
    ];
    assert_eq!(
        guarded.send(used.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    for key in [&revoked, &used] {
        drop(
            keys.manager()
                .revoke(key.info().id, Some("a reason"))
                .await
                .unwrap(),
        );
    }
    assert!(keys.manager().delete(deleted.info().id).await.unwrap());
    drop(keys.manager().rotate(rotated.info().id).await.unwrap());
    let live = issue(&keys).await;
    let presented = [
        ("unknown", forged("Stranger", 1)),
        ("malformed", "mcp_sk_short".to_owned()),
        ("other prefix", "sk-1234567890".to_owned()),
        ("wrong secret", forged(live.info().handle.as_str(), 1)),
        (
            "revoked before use",
            revoked.key().expose_secret().to_owned(),
        ),
        ("revoked after use", used.key().expose_secret().to_owned()),
        ("deleted", deleted.key().expose_secret().to_owned()),
        ("rotated away", rotated.key().expose_secret().to_owned()),
    ];
    for headers in [
        &[][..],
        &[("accept", "application/json, text/event-stream")][..],
        &[("content-type", "application/grpc")][..],
    ] {
        let mut answers = Vec::new();
        for (what, key) in &presented {
            // Twice, so that remembered failures answer as well.
            for _ in 0..2 {
                let mut request = request(key);
                *request.method_mut() = http::Method::POST;
                for (name, value) in headers {
                    request.headers_mut().insert(*name, value.parse().unwrap());
                }
                let answer = guarded.call(request).await;
                answers.push((*what, answer.wire()));
            }
        }
        let (_, first) = answers[0].clone();
        for (what, answer) in answers {
            assert_eq!(answer, first, "{what}");
            assert!(!answer.contains("reason"));
        }
    }
}

#[tokio::test]
async fn a_status_is_named_only_to_who_proved_the_secret() {
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_000));
    let keys = builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let brief = NewKey::named("brief")
        .all_servers()
        .expires_in(Duration::from_secs(60));
    let brief = keys.manager().issue(brief).await.unwrap();
    let disabled = issue(&keys).await;
    drop(keys.manager().disable(disabled.info().id).await.unwrap());
    assert_eq!(
        guarded.send(brief.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    clock.advance(Duration::from_secs(60));
    keys.catch_up().await.unwrap();

    let unknown = guarded.send(&forged("Stranger", 1)).await.wire();
    for (issued, code) in [(&brief, "expired_api_key"), (&disabled, "disabled_api_key")] {
        let answer = guarded.send(issued.key().expose_secret()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.wire().contains(code));
        let wrong = forged(issued.info().handle.as_str(), 1);
        assert_eq!(guarded.send(&wrong).await.wire(), unknown);
    }
    // Revoked comes before disabled and expired.
    drop(
        keys.manager()
            .revoke(disabled.info().id, None)
            .await
            .unwrap(),
    );
    assert_eq!(
        guarded.send(disabled.key().expose_secret()).await.wire(),
        unknown
    );
}

#[tokio::test]
async fn no_answer_holds_any_part_of_a_secret() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let guarded = Guarded::new(keys.layer().path_keys("/mcp/{key}").unwrap());
    let issued = issue(&keys).await;
    let key = issued.key().expose_secret();
    drop(keys.manager().disable(issued.info().id).await.unwrap());
    let mut by_path = request(key);
    by_path.headers_mut().clear();
    *by_path.uri_mut() = format!("/mcp/{key}").parse().unwrap();
    let mut twice = request(key);
    twice
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    for request in [request(key), by_path, twice, request(&key[..44])] {
        let answer = guarded.call(request).await;
        assert!(answer.status().is_client_error());
        let seen = format!("{} {:?}", answer.wire(), answer.head.extensions);
        let rejection = answer
            .head
            .extensions
            .get::<mcp_api_keys::Rejection>()
            .unwrap();
        let seen = format!("{seen} {rejection:?} {rejection}");
        for part in key.as_bytes()[15..].windows(8) {
            assert!(!seen.contains(std::str::from_utf8(part).unwrap()), "{seen}");
        }
    }
}
