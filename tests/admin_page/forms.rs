//! Nothing is changed but by a form of the page itself.

use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use mcp_api_keys::NewKey;
use mcp_api_keys::key::{KeyStatus, Owner};
use mcp_api_keys::store::{KeyFilter, PageRequest};
use tower::ServiceExt;

use crate::world::World;

/// Every form that changes something, with fields that would do.
fn forms(id: &str) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let key = |act: &str| format!("/keys/{id}/{act}");
    let new = vec![
        ("name", "forged"),
        ("reach", "all"),
        ("scopes", "*"),
        ("expiry", "never"),
    ];
    vec![
        ("/keys/new".to_owned(), new),
        (key("edit"), vec![("name", "forged"), ("revision", "2")]),
        (key("renew"), vec![("grace", "none")]),
        (key("end-grace"), vec![]),
        (key("enable"), vec![]),
        (key("disable"), vec![]),
        (key("revoke"), vec![]),
        (key("delete"), vec![("name", "victim")]),
        (key("disconnect"), vec![]),
        (
            "/owners/edit".to_owned(),
            vec![("id", "mallory"), ("role", "admin"), ("access", "full")],
        ),
        ("/owners/suspend".to_owned(), vec![("id", "bob")]),
        ("/owners/resume".to_owned(), vec![("id", "bob")]),
        ("/owners/remove".to_owned(), vec![("id", "bob")]),
        (
            "/plans/edit".to_owned(),
            vec![("name", "free"), ("limits", "1/min")],
        ),
        ("/plans/remove".to_owned(), vec![("name", "free")]),
        ("/sign-out".to_owned(), vec![]),
    ]
}

async fn world() -> (World, crate::world::Browser, mcp_api_keys::key::KeyId) {
    let world = World::new().await;
    let (browser, _) = world.admin().await;
    let bob = Owner::member("bob".parse().unwrap());
    world.keys.manager().put_owner(bob).await.unwrap();
    let id = world.key(NewKey::named("victim").server("files")).await;
    (world, browser, id)
}

#[tokio::test]
async fn a_form_without_its_token_is_refused() {
    let (world, mut browser, id) = world().await;
    let before = world.keys.manager().get(id).await.unwrap();
    let other = world.admin_again().await.token().await;
    for (path, fields) in forms(&id.to_string()) {
        for token in [None, Some(""), Some("0"), Some(other.as_str())] {
            let token = token.map(|token| ("token", token));
            let fields: Vec<_> = token.into_iter().chain(fields.iter().copied()).collect();
            let answer = browser.post_raw(&path, &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert!(answer.shows("Nothing was changed"), "{path}");
        }
    }
    assert_eq!(world.keys.manager().get(id).await.unwrap(), before);
    assert_eq!(browser.get("/keys").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_from_elsewhere_is_refused_even_with_its_token() {
    let (world, mut browser, id) = world().await;
    let token = browser.token().await;
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "http://keys.test:81"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        browser.headers = vec![(name, value.to_owned())];
        for (path, fields) in forms(&id.to_string()) {
            let fields: Vec<_> = [("token", &*token)].into_iter().chain(fields).collect();
            let answer = browser.post_raw(&path, &fields).await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{path} {name}: {value}"
            );
        }
    }
    let status = world.keys.manager().get(id).await.unwrap().status;
    assert_eq!(status, KeyStatus::Active);
    // As browsers write it for this page.
    let own = [
        ("origin", "http://keys.test"),
        ("sec-fetch-site", "same-origin"),
    ];
    browser.headers = own.map(|(name, value)| (name, value.to_owned())).to_vec();
    let answer = browser.post(&format!("/keys/{id}/disable"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_who_is_not_signed_in_gets_anywhere() {
    let (world, _, id) = world().await;
    let mut stranger = world.browser();
    for (path, fields) in forms(&id.to_string()) {
        let answer = stranger.post_raw(&path, &fields).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in [
        "/",
        "/keys",
        "/keys/new",
        "/connections",
        "/owners",
        "/owners/edit",
        "/plans",
        "/plans/edit",
        "/audit",
        "/safety",
        "/usage",
    ] {
        assert_eq!(stranger.get(path).await.location(), "/sign-in", "{path}");
    }
    for act in ["", "/edit", "/renew", "/revoke", "/delete"] {
        let path = format!("/keys/{id}{act}");
        assert_eq!(stranger.get(&path).await.location(), "/sign-in", "{path}");
    }
    stranger
        .cookies
        .insert("mcp-keys-session".to_owned(), "0".repeat(64));
    assert_eq!(stranger.get("/keys").await.location(), "/sign-in");
}

#[tokio::test]
async fn only_forms_are_read_and_none_that_is_too_large() {
    let (world, browser, id) = world().await;
    let send = async |kind: &str, body: String| {
        let cookie = &browser.cookies["mcp-keys-session"];
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/keys/{id}/revoke"))
            .header("cookie", format!("mcp-keys-session={cookie}"))
            .header(CONTENT_TYPE, kind)
            .body(axum::body::Body::from(body))
            .unwrap();
        world.page.clone().oneshot(request).await.unwrap().status()
    };
    for kind in ["application/json", "text/plain", "multipart/form-data", ""] {
        let status = send(kind, "token=x".to_owned()).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let large = format!("reason={}", "x".repeat(1_024 * 1_024));
    assert_eq!(send(form, large).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        send(form, "token=x".to_owned()).await,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn what_makes_a_secret_is_done_once() {
    let (world, mut browser, id) = world().await;
    let once = browser.get("/keys/new").await.field("once");
    let fields = [
        ("name", "one"),
        ("once", &*once),
        ("reach", "some"),
        ("expiry", "never"),
    ];
    let first = browser.post("/keys/new", &fields).await;
    assert_eq!(first.status, StatusCode::OK);
    let again = browser.post("/keys/new", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let filter = KeyFilter::default();
    let listed = world.keys.manager().list(&filter, PageRequest::default());
    assert_eq!(
        listed.await.unwrap().keys.len(),
        3,
        "the admin's, the victim, and one"
    );

    let path = format!("/keys/{id}/renew");
    let once = browser.get(&path).await.field("once");
    let fields = [("once", &*once), ("grace", "none")];
    let secret = browser.post(&path, &fields).await.secret();
    assert_eq!(
        browser.post(&path, &fields).await.status,
        StatusCode::CONFLICT
    );
    assert!(world.admits(&secret).await, "the secret that was shown");

    // A form whose faults are put right is not a second one.
    let once = browser.get("/keys/new").await.field("once");
    let wrong = [("name", ""), ("once", &*once), ("expiry", "never")];
    let answer = browser.post("/keys/new", &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.field("once"), once);
    let right = [("name", "two"), ("once", &*once), ("expiry", "never")];
    assert_eq!(
        browser.post("/keys/new", &right).await.status,
        StatusCode::OK
    );
}
