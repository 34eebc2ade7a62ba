//! C: scopes, addresses, plans, metadata and migration.

use http::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::office::{Office, text};
use crate::site::{Host, Site, admitted, notes, outcome, refused, scoped};

const SCOPES: [&str; 7] = [
    "completions:create",
    "chats:create",
    "models:read",
    "contexts:read",
    "contexts:write",
    "files:read",
    "files:write",
];

#[tokio::test]
async fn c2_a_server_comes_with_a_default_key_that_has_full_access() {
    let site = Site::with(&["models", "mail"]).await;
    let made = site.office.json("default-key models");
    assert_eq!(made["created"], true);
    let key = text(&made["key"]);
    let host = Host::of(
        &site.office,
        |builder| builder,
        |keys| scoped(keys, &SCOPES),
    )
    .await;
    for scope in SCOPES {
        let path = format!("/{}", scope.replace(':', "/"));
        assert_eq!(
            host.ask(Method::POST, &path, &key).await,
            admitted(),
            "{scope}"
        );
    }
    assert_eq!(site.ask("models", &key).await, admitted());
    // Full access to its server, and to no other.
    let elsewhere = refused(403, "server_not_allowed");
    assert_eq!(site.ask("mail", &key).await, elsewhere);
    let notes_key = text(&site.office.json("default-key notes")["key"]);
    let writing = Host::of(&site.office, |builder| builder, notes).await;
    assert_eq!(
        writing.ask(Method::POST, "/notes", &notes_key).await,
        admitted()
    );
    // It is there once, and shown once.
    assert_eq!(
        site.office.json("default-key models"),
        json!({ "created": false })
    );
    assert_eq!(site.ask("models", &key).await, admitted());
}

#[tokio::test]
async fn c3_more_keys_have_limited_scopes() {
    let site = Site::with(&["models"]).await;
    let host = Host::of(
        &site.office,
        |builder| builder,
        |keys| scoped(keys, &SCOPES),
    )
    .await;
    for granted in [
        vec!["completions:create"],
        vec!["chats:create", "models:read"],
        vec![
            "contexts:read",
            "contexts:write",
            "files:read",
            "files:write",
        ],
    ] {
        let options: Vec<_> = granted
            .iter()
            .map(|scope| format!("--scope {scope}"))
            .collect();
        let made = site.create(&format!("--name k --server models {}", options.join(" ")));
        for scope in SCOPES {
            let path = format!("/{}", scope.replace(':', "/"));
            let answer = host.send(Method::POST, &path, &made.key(), json!({})).await;
            if granted.contains(&scope) {
                assert_eq!(outcome(&answer), admitted(), "{scope} of {granted:?}");
            } else {
                assert_eq!(
                    answer.refusal(),
                    refused(403, "insufficient_scope"),
                    "{scope}"
                );
                assert_eq!(answer.json()["error"]["required_scope"], scope);
            }
        }
    }
}

#[tokio::test]
async fn c4_the_expiry_is_optional() {
    let site = Site::with(&["models"]).await;
    let endless = site.create("--name endless --server models");
    let later = site.create("--name later --server models --expires-in 1h");
    let dated = site.create("--name dated --server models --expires-in 1s");
    for made in [&endless, &later] {
        assert_eq!(site.ask("models", &made.key()).await, admitted());
    }
    site.soon("models", &dated.key(), (401, "expired_api_key"))
        .await;
    assert_eq!(site.ask("models", &endless.key()).await, admitted());
    assert!(site.office.text("list --name dated").contains("expired"));
    site.office
        .json(&format!("update {} --no-expiry", dated.id()));
    site.soon("models", &dated.key(), (200, "")).await;
}

#[tokio::test]
async fn c5_a_key_works_only_from_its_addresses_and_ranges() {
    let behind_a_proxy = ["--trusted-proxy", "127.0.0.1/32"];
    let site = Site::in_office(Office::new(), &["models"], &behind_a_proxy).await;
    let made = site.create(
        "--name k --server models --allow-ip 198.51.100.7 --allow-ip 203.0.113.0/24 --allow-ip 2001:db8::/32",
    );
    for (from, status) in [
        ("198.51.100.7", 200),
        ("203.0.113.200", 200),
        ("2001:db8::1", 200),
        ("198.51.100.8", 403),
        ("203.0.114.1", 403),
        ("2001:db9::1", 403),
    ] {
        let answer = site.get_from("/models/mcp", &made.key(), from).await;
        assert_eq!(answer.status, status, "{from}");
        if status == 403 {
            assert_eq!(answer.refusal(), refused(403, "ip_not_allowed"));
        }
    }
    // Without a word of the proxy it is the proxy's own address, which is not among them.
    let answer = site.ask("models", &made.key()).await;
    assert_eq!(answer, refused(403, "ip_not_allowed"));
    let anywhere = site.create("--name anywhere --server models");
    assert_eq!(site.ask("models", &anywhere.key()).await, admitted());
}

#[tokio::test]
async fn c6_rate_limits_by_plan_are_10_60_300_or_custom_a_minute_and_429_beyond() {
    let site = Site::with(&["models"]).await;
    site.office
        .json("plan set enterprise --rate 25/min --quota 20/day");
    for (plan, count) in [("free", 10), ("standard", 60), ("professional", 300)] {
        let made = site.create(&format!("--name {plan} --server models --plan {plan}"));
        // Proven before the clock starts, which the first request spends nothing less for.
        let begun = Instant::now();
        let mut passed = 0_u32;
        let beyond = loop {
            let answer = site.get("/models/mcp", &made.key()).await;
            if answer.status != 200 {
                break answer;
            }
            passed += 1;
            assert!(passed <= 2 * count, "{plan} has no limit");
        };
        assert_eq!(
            beyond.refusal(),
            refused(429, "rate_limit_exceeded"),
            "{plan}"
        );
        let seconds: u32 = beyond.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{plan}: {seconds}");
        // What has come back meanwhile may be used as well.
        let back = begun.elapsed().as_secs_f64() * f64::from(count) / 60.0;
        let most = f64::from(count) + back + 1.0;
        assert!(
            passed >= count && f64::from(passed) <= most,
            "{plan}: {passed}"
        );
    }

    // Enterprise is what it was made to be; and a key may have a limit of its own in its place.
    let made = site.create("--name e --server models --plan enterprise");
    for _ in 0..20 {
        assert_eq!(site.ask("models", &made.key()).await, admitted());
    }
    assert_eq!(
        site.ask("models", &made.key()).await,
        refused(429, "quota_exceeded")
    );
    let own = site.create("--name own --server models --plan free --rate 2/min");
    for _ in 0..2 {
        assert_eq!(site.ask("models", &own.key()).await, admitted());
    }
    let beyond = refused(429, "rate_limit_exceeded");
    assert_eq!(site.ask("models", &own.key()).await, beyond);
    // A change of the plan reaches its keys while they are in use.
    site.office
        .json("plan set enterprise --no-quotas --rate 1000/min");
    site.soon("models", &made.key(), (200, "")).await;
}

#[tokio::test]
async fn c8_revocation_is_immediate_and_permanent_and_a_401() {
    let site = Site::with(&["models"]).await;
    let made = site.create("--name k --server models");
    assert_eq!(site.ask("models", &made.key()).await, admitted());
    site.office.json(&format!("revoke {}", made.id()));
    site.soon("models", &made.key(), (401, "invalid_api_key"))
        .await;
    let answer = site.get("/models/mcp", &made.key()).await;
    let body = r#"{"error":{"code":"invalid_api_key","message":"The API key provided is invalid or has been revoked","type":"authentication_error"}}"#;
    assert_eq!(answer.text, body);
    for command in ["enable", "rotate", "update --name x"] {
        let (command, options) = command.split_once(' ').unwrap_or((command, ""));
        let line = format!("{command} {} {options}", made.id());
        assert_eq!(site.office.error(1, &line)["code"], "conflict", "{command}");
    }
    assert_eq!(
        site.ask("models", &made.key()).await,
        refused(401, "invalid_api_key")
    );
}

#[tokio::test]
async fn c11_a_key_carries_free_form_metadata() {
    let site = Site::with(&["models"]).await;
    let made = site.create("--name k --server models --metadata environment=production --metadata service=billing --metadata owner=platform --metadata contact=ops@example.com");
    let expected = json!({
        "environment": "production", "service": "billing",
        "owner": "platform", "contact": "ops@example.com",
    });
    assert_eq!(made.0["metadata"], expected);
    let shown = site.office.json(&format!("show {}", made.id()));
    assert_eq!(shown["metadata"], expected);
    // Whoever is called can know it.
    let identity = site.get("/me", &made.key()).await.json();
    assert_eq!(identity["metadata"], expected);
    let change = format!("update {} --metadata environment=staging", made.id());
    let changed = site
        .office
        .json(&format!("{change} --unset-metadata contact"));
    let expected = json!({ "environment": "staging", "service": "billing", "owner": "platform" });
    assert_eq!(changed["metadata"], expected);
}

#[tokio::test]
async fn c12_a_migration_new_key_services_one_by_one_short_expiry_then_revoked() {
    let site = Site::with(&["models"]).await;
    let rights = "--server models --scope models:read --plan professional";
    let old = site.create(&format!("--name 'the old key' {rights}"));
    let services = ["billing", "search", "reports"];
    let mut held = services.map(|service| (service, old.key()));
    let all_work = async |held: &[(&str, String)]| {
        for (service, key) in held {
            assert_eq!(site.ask("models", key).await, admitted(), "{service}");
        }
    };
    all_work(&held).await;

    // A new key with the same rights, beside the old one; then one service after the other.
    let new = site.create(&format!("--name 'the new key' {rights}"));
    for moved in 0..2 {
        held[moved].1 = new.key();
        all_work(&held).await;
    }
    // The old key gets a short expiry. The service that was forgotten is told why it is refused.
    site.office
        .json(&format!("update {} --expires-in 1s", old.id()));
    site.soon("models", &old.key(), (401, "expired_api_key"))
        .await;
    for (service, key) in &held[..2] {
        assert_eq!(site.ask("models", key).await, admitted(), "{service}");
    }
    // It is given a little longer, and moved.
    site.office
        .json(&format!("update {} --expires-in 1h", old.id()));
    site.soon("models", &old.key(), (200, "")).await;
    held[2].1 = new.key();
    all_work(&held).await;

    // Then the old key is revoked, for good.
    site.office
        .json(&format!("revoke {} --reason migrated", old.id()));
    site.soon("models", &old.key(), (401, "invalid_api_key"))
        .await;
    all_work(&held).await;
    let office = site.close().await;
    let left = office.json("list --server models");
    assert_eq!(left["keys"].as_array().unwrap().len(), 1);
    assert!(left["keys"][0]["last_used_at"].is_string(), "{left}");
}
