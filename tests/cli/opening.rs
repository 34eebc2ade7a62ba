//! What the keys open.

use mcp_api_keys::ApiKeyLayer;
use serde_json::Value;

use crate::office::{HOME, Office, admitted, ask, refused, text};

#[tokio::test]
async fn a_created_key_opens_what_it_was_given_and_nothing_else() {
    let office = Office::new();
    let made = office.create("--name k --server files --scope files:read --allow-ip 203.0.113.0/24 --deny-ip 203.0.113.66 --rate 3/h");
    let key = text(&made["key"]);
    let keys = office.keys().await;
    let files = keys
        .layer()
        .server("files")
        .require_scope("files:read")
        .unwrap();
    let good = "203.0.113.7";
    let ask = async |layer: &ApiKeyLayer, from| ask(layer.clone(), &key, from).await;

    assert_eq!(ask(&files, good).await, admitted());
    let mail = keys.layer().server("mail");
    assert_eq!(ask(&mail, good).await, refused(403, "server_not_allowed"));
    let write = keys
        .layer()
        .server("files")
        .require_scope("files:write")
        .unwrap();
    assert_eq!(ask(&write, good).await, refused(403, "insufficient_scope"));
    assert_eq!(
        ask(&files, "203.0.113.66").await,
        refused(403, "ip_not_allowed")
    );
    assert_eq!(ask(&files, HOME).await, refused(403, "ip_not_allowed"));
    // What was refused has spent nothing of the three.
    assert_eq!(ask(&files, good).await, admitted());
    assert_eq!(ask(&files, good).await, admitted());
    assert_eq!(ask(&files, good).await, refused(429, "rate_limit_exceeded"));
}

#[tokio::test]
async fn keys_of_every_format_open_a_layer_that_accepts_them() {
    let office = Office::new();
    for writing in [
        "--format default",
        "--format plain --prefix mgw_",
        "--format segmented --prefix ok1 --owner ada",
    ] {
        let args = format!("--name k --all-servers {writing}");
        let made = office.create(&args);
        let keys = office.keys().await;
        assert_eq!(
            ask(keys.layer(), &text(&made["key"]), HOME).await,
            admitted(),
            "{writing:?}"
        );
    }
}

#[test]
fn a_rotated_key_keeps_its_prefix_and_a_segmented_one_its_form() {
    let office = Office::new();
    let made = office.create("--name k --prefix acme_");
    let run = office.run(&format!("--json rotate {}", text(&made["id"])));
    let rotated: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(text(&rotated["key"]).len(), "acme_".len() + 38);
    assert!(text(&rotated["key"]).starts_with("acme_"));
    assert_eq!(run.err, "");

    let args = "--name k --format segmented --prefix ok1 --owner ada-l";
    let made = office.create(args);
    let rotated = office.json(&format!("rotate {}", text(&made["id"])));
    assert!(text(&rotated["key"]).starts_with("ok1-ada-l-"), "{rotated}");
    assert_eq!(text(&rotated["key"]).len(), text(&made["key"]).len());

    let plain = office.json(&format!("rotate {} --format plain", text(&made["id"])));
    assert!(text(&plain["key"]).starts_with("mcp_sk_"), "{plain}");
    assert_eq!(text(&plain["key"]).len(), 39);

    // And a plain one stays plain.
    let again = office.json(&format!("rotate {}", text(&made["id"])));
    assert_eq!(text(&again["key"]).len(), 39);

    // The new owner stands in the new key.
    let made = office.create("--name k --format segmented --prefix ok1 --owner ada-l");
    let id = text(&made["id"]);
    office.json(&format!("update {id} --owner bob"));
    let asked = office.json(&format!("rotate {id}"));
    assert!(text(&asked["key"]).starts_with("ok1-bob-"), "{asked}");
}

#[tokio::test]
async fn an_expired_key_is_refused_and_said_to_be_expired() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --expires-in 1h");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    office.json(&format!("update {} --expires-in 1s", text(&made["id"])));
    keys.catch_up().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "expired_api_key")
    );
    assert!(office.text("list").contains("expired"));
    assert_eq!(
        office.error(1, &format!("rotate {}", text(&made["id"])))["code"],
        "conflict"
    );
    office.json(&format!("update {} --no-expiry", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
}

#[tokio::test]
async fn a_key_works_only_from_its_addresses() {
    let office = Office::new();
    let made =
        office.create("--name k --all-servers --allow-ip 198.51.100.7 --allow-ip 2001:db8::/32");
    let keys = office.keys().await;
    for (from, expected) in [
        ("198.51.100.7", admitted()),
        ("[2001:db8::9]", admitted()),
        ("[::ffff:198.51.100.7]", admitted()),
        ("198.51.100.8", refused(403, "ip_not_allowed")),
        ("[2001:db9::9]", refused(403, "ip_not_allowed")),
    ] {
        assert_eq!(
            ask(keys.layer(), &text(&made["key"]), from).await,
            expected,
            "{from}"
        );
    }
}
