//! What every answer tells the browser, and where links lead.

use axum::Router;
use http::StatusCode;
use http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use mcp_api_keys::NewKey;
use mcp_api_keys::admin::AdminPage;
use mcp_api_keys::key::Owner;

use crate::world::{Answer, Browser, World};

fn check(path: &str, answer: &Answer) {
    let header = |name: &str| answer.headers[name].to_str().unwrap();
    assert_eq!(
        header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        "{path}"
    );
    assert_eq!(header(CACHE_CONTROL.as_str()), "no-store", "{path}");
    assert_eq!(header(REFERRER_POLICY.as_str()), "same-origin", "{path}");
    assert_eq!(header(X_CONTENT_TYPE_OPTIONS.as_str()), "nosniff", "{path}");
    assert_eq!(header(X_FRAME_OPTIONS.as_str()), "DENY", "{path}");
    assert_eq!(
        header("cross-origin-opener-policy"),
        "same-origin",
        "{path}"
    );
    for inline in ["style=\"", "<style", "onclick", "onload", "javascript:"] {
        assert!(!answer.shows(inline), "{path} holds {inline}");
    }
    if answer.status == StatusCode::OK && answer.body.starts_with("<!DOCTYPE html>") {
        assert!(answer.shows("<html lang=\"en\">"), "{path}");
        let title = answer.body.split_once("<title>").unwrap().1;
        assert!(!title.starts_with(" · "), "{path} has no title");
        assert_eq!(answer.body.matches("<h1").count(), 1, "{path}");
        assert_eq!(answer.body.matches("<main").count(), 1, "{path}");
    }
}

/// Every page, by what an admin sees.
async fn pages(world: &World) -> Vec<String> {
    let manager = world.keys.manager();
    // They may be there already.
    let _ = manager
        .put_owner(Owner::member("bob".parse().unwrap()))
        .await;
    let id = world.key(NewKey::named("one").server("files")).await;
    let new = NewKey::named("assistant").owner("bob").connection("claude");
    let connection = world.key(new).await;
    let mut pages: Vec<_> = [
        "/keys",
        "/keys/new",
        "/connections",
        "/owners",
        "/owners/edit",
        "/owners/edit?id=bob",
        "/plans",
        "/plans/edit",
        "/plans/edit?name=free",
        "/audit",
        "/safety",
        "/usage",
        "/alerts",
        "/keys?name=nothing",
        "/keys?owner=%00",
        "/audit?since=soon",
    ]
    .map(str::to_owned)
    .into();
    for act in ["", "/edit", "/renew", "/revoke", "/delete"] {
        pages.push(format!("/keys/{id}{act}"));
    }
    pages.push(format!("/keys/{connection}"));
    pages
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_runs_nothing() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    for path in pages(&world).await {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        check(&path, &answer);
    }
    for (path, status) in [
        ("/", StatusCode::SEE_OTHER),
        ("/assets/style.css", StatusCode::OK),
        ("/assets/script.js", StatusCode::OK),
        ("/assets/other", StatusCode::NOT_FOUND),
        ("/nowhere", StatusCode::NOT_FOUND),
        ("/sign-out", StatusCode::METHOD_NOT_ALLOWED),
        ("/keys/key_0", StatusCode::NOT_FOUND),
        ("/keys?after=x", StatusCode::UNPROCESSABLE_ENTITY),
        ("/alerts/acknowledge", StatusCode::METHOD_NOT_ALLOWED),
        ("/owners/edit?id=nobody", StatusCode::NOT_FOUND),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        check(path, &answer);
    }
    let created = browser.create(&[("name", "new")]).await;
    check("a new key", &created);
    let mut stranger = world.browser();
    check("/sign-in", &stranger.get("/sign-in").await);
    check("sign-in", &stranger.sign_in("wrong").await);
    check("a form", &stranger.post_raw("/keys/new", &[]).await);
}

#[tokio::test]
async fn links_lead_to_where_the_page_is() {
    let world = World::new().await;
    let (_, key) = world.admin().await;
    let page = || AdminPage::new(&world.keys).into_router();
    let nested: [(Router, &str); 3] = [
        (Router::new().nest("/admin", page()), "/admin"),
        (Router::new().nest("/a/b", page()), "/a/b"),
        (
            Router::new().nest_service("/deep/admin", page()),
            "/deep/admin",
        ),
    ];
    for (router, base) in nested {
        let mut browser = Browser::of(router, base);
        let front = browser.get("").await;
        assert_eq!(front.location(), format!("{base}/sign-in"));
        let answer = browser.sign_in(&key).await;
        assert_eq!(answer.location(), format!("{base}/keys"));
        assert_eq!(browser.get("").await.location(), format!("{base}/keys"));
        for path in pages(&world)
            .await
            .into_iter()
            .skip(1)
            .chain(["/nowhere".to_owned()])
        {
            let answer = browser.get(&path).await;
            let links = answer
                .body
                .split(" href=\"")
                .chain(answer.body.split(" action=\""));
            for link in links.filter(|link| link.starts_with('/')) {
                assert!(
                    link.starts_with(&format!("{base}/")),
                    "{path} links to {link:.40}"
                );
            }
        }
        assert_eq!(
            browser.get("/assets/style.css").await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn a_link_of_a_page_leads_somewhere() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let mut links = std::collections::BTreeSet::new();
    for path in pages(&world).await {
        let answer = browser.get(&path).await;
        for link in answer.body.split(" href=\"").skip(1) {
            let link = link.split('"').next().unwrap().replace("&amp;", "&");
            if link.starts_with('/') {
                links.insert(link.split('#').next().unwrap().to_owned());
            } else if let Some(id) = link.strip_prefix('#') {
                assert!(
                    answer.shows(&format!("id=\"{id}\"")),
                    "{path} links to #{id}"
                );
            }
        }
    }
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        assert_eq!(browser.get(&link).await.status, StatusCode::OK, "{link}");
    }
}
