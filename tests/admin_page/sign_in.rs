//! Getting in and out.

use http::StatusCode;
use http::header::{RETRY_AFTER, SET_COOKIE};
use mcp_api_keys::admin::AdminPage;
use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
use mcp_api_keys::key::Owner;
use mcp_api_keys::{NewKey, RateLimit};

use crate::world::{Browser, World};

#[tokio::test]
async fn a_key_that_may_manage_keys_gets_in_and_out_again() {
    let world = World::new().await;
    let (mut browser, key) = world.admin().await;
    let page = browser.get("/keys").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.shows("first admin") && page.shows("ada"));
    assert!(!page.shows(&key), "the key is shown");

    let out = browser.post("/sign-out", &[]).await;
    assert_eq!(out.location(), "/sign-in?because=out");
    assert!(!browser.cookies.contains_key("mcp-keys-session"));
    assert_eq!(browser.get("/keys").await.location(), "/sign-in");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let mut copy = browser.clone();
    browser.post("/sign-out", &[]).await;
    assert_eq!(copy.get("/keys").await.location(), "/sign-in");
}

#[tokio::test]
async fn the_cookie_is_for_this_page_alone() {
    let world = World::new().await;
    let (_, key) = world.admin().await;
    let mut plain = world.browser();
    let answer = plain.sign_in(&key).await;
    let cookie = answer.headers.get_all(SET_COOKIE).iter().next().unwrap();
    let cookie = cookie.to_str().unwrap();
    assert!(cookie.starts_with("mcp-keys-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );

    let page = AdminPage::new(&world.keys).https(true).into_router();
    let mut secure = Browser::of(page, "");
    let answer = secure.sign_in(&key).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let cookie = answer.headers.get_all(SET_COOKIE).iter().next().unwrap();
    let cookie = cookie.to_str().unwrap();
    assert!(cookie.starts_with("__Host-mcp-keys-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    assert_eq!(secure.get("/keys").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_proxy_tells_of_tls_only_if_it_is_trusted() {
    let here = crate::world::HERE.parse().unwrap();
    let behind = ClientIp::behind([here], ClientIpSource::XForwardedFor);
    let world = World::with(|builder| builder.client_ip(behind)).await;
    let mut browser = world.browser();
    browser
        .headers
        .push(("x-forwarded-proto", "https".to_owned()));
    browser.get("/sign-in").await;
    assert!(browser.cookies.contains_key("__Host-mcp-keys-sign-in"));

    let mut stranger = world.browser();
    stranger.address = "203.0.113.9".to_owned();
    stranger
        .headers
        .push(("x-forwarded-proto", "https".to_owned()));
    stranger.get("/sign-in").await;
    assert!(stranger.cookies.contains_key("mcp-keys-sign-in"));
}

#[tokio::test]
async fn unknown_wrong_malformed_and_revoked_keys_are_told_the_same() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let revoked = manager
        .issue(NewKey::named("old").all_servers())
        .await
        .unwrap();
    manager.revoke(revoked.info().id, None).await.unwrap();
    let known = manager.issue(NewKey::named("known")).await.unwrap();
    let other = manager.issue(NewKey::named("other")).await.unwrap();
    manager.delete(other.info().id).await.unwrap();

    let mut pages = Vec::new();
    let wrong = known.key().expose_secret().replace("mcp_sk_", "mcp_sk_A");
    let keys = [
        revoked.key().expose_secret(),
        other.key().expose_secret(),
        &wrong,
        "nonsense",
        "",
        "two words",
        "caf\u{e9}\n",
    ];
    for key in keys {
        let mut browser = world.browser();
        let answer = browser.sign_in(key).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{key}");
        let token = answer.field("token");
        pages.push(answer.body.replace(&token, ""));
        assert_eq!(browser.get("/keys").await.location(), "/sign-in");
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    assert!(pages[0].contains("This is not a valid key."));
}

#[tokio::test]
async fn whoever_proves_a_key_is_told_what_is_wrong_with_it() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let admin = |name: &str| {
        let new = NewKey::named(name).all_servers();
        new.scope("*").unwrap()
    };
    let disabled = manager.issue(admin("disabled").inactive()).await.unwrap();
    let elsewhere = admin("elsewhere").allow_from("203.0.113.0/24".parse().unwrap());
    let elsewhere = manager.issue(elsewhere).await.unwrap();
    let signed = manager.issue(admin("signed").signed_only()).await.unwrap();
    for (issued, status, text) in [
        (&disabled, StatusCode::UNAUTHORIZED, "is switched off"),
        (
            &elsewhere,
            StatusCode::FORBIDDEN,
            "may not be used from this address",
        ),
        (&signed, StatusCode::FORBIDDEN, "must be signed"),
    ] {
        let answer = world.browser().sign_in(issued.key().expose_secret()).await;
        assert_eq!(answer.status, status);
        assert!(answer.shows(text), "{text}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_key_for_other_things_manages_no_keys() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let ada = Owner::admin("ada".parse().unwrap());
    manager.put_owner(ada).await.unwrap();
    let scoped = |name: &str, scope: &str| NewKey::named(name).scope(scope).unwrap();
    for new in [
        // Without the scope; with a star that is meant for one server; without an owner.
        scoped("a", "files:*").owner("ada").all_servers(),
        scoped("b", "*").owner("ada").server("files"),
        scoped("c", "*").server("files"),
        scoped("d", "keys:read").all_servers(),
        scoped("e", "keys:write").owner("ada").all_servers(),
    ] {
        let issued = manager.issue(new).await.unwrap();
        let answer = world.browser().sign_in(issued.key().expose_secret()).await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{}",
            issued.info().name
        );
        assert!(answer.shows("may not manage keys"), "{}", answer.body);
    }
    // With an admin's key that holds less than `keys:admin`, one manages one's own keys.
    let new = scoped("own", "keys:read").owner("ada").all_servers();
    let issued = manager.issue(new).await.unwrap();
    let mut browser = world.signed_in(issued.key().expose_secret()).await;
    assert!(browser.get("/keys").await.shows("My keys"));
}

#[tokio::test]
async fn attempts_are_counted_by_address() {
    let limit = Some(RateLimit::per_minute(3));
    let world = World::with(|builder| builder.failure_limit(limit)).await;
    let (_, good) = world.admin().await;
    let new = NewKey::named("fresh")
        .owner("ada")
        .all_servers()
        .scope("*")
        .unwrap();
    let fresh = world.keys.manager().issue(new).await.unwrap();
    let unknown = |world: &World| {
        let manager = world.keys.manager().clone();
        async move {
            let gone = manager.issue(NewKey::named("gone")).await.unwrap();
            manager.delete(gone.info().id).await.unwrap();
            gone.key().expose_secret().to_owned()
        }
    };
    for _ in 0..3 {
        let answer = world.browser().sign_in(&unknown(&world).await).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let answer = world.browser().sign_in(fresh.key().expose_secret()).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.contains_key(RETRY_AFTER));
    // Whoever is elsewhere, or known already, goes on.
    let mut elsewhere = world.browser();
    elsewhere.address = "203.0.113.9".to_owned();
    let answer = elsewhere.sign_in(fresh.key().expose_secret()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    world.signed_in(&good).await;
}

#[tokio::test]
async fn the_form_can_be_sent_from_the_form_only() {
    let world = World::new().await;
    let (_, key) = world.admin().await;
    let mut browser = world.browser();
    let answer = browser.post_raw("/sign-in", &[("key", &key)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let other = world.browser().get("/sign-in").await.field("token");
    let answer = browser
        .post_raw("/sign-in", &[("token", &other), ("key", &key)])
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(!browser.cookies.contains_key("mcp-keys-session"));

    browser
        .headers
        .push(("origin", "https://evil.test".to_owned()));
    let answer = browser.sign_in(&key).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_is_no_key_and_a_key_no_session() {
    let world = World::new().await;
    let (mut browser, key) = world.admin().await;
    let session = browser.cookies["mcp-keys-session"].clone();

    let mut bare = world.browser();
    bare.headers
        .push(("authorization", format!("Bearer {key}")));
    assert_eq!(bare.get("/keys").await.location(), "/sign-in");

    let layer = world.keys.layer().any_server();
    for name in ["authorization", "x-api-key", "cookie"] {
        let value = match name {
            "authorization" => format!("Bearer {session}"),
            "cookie" => format!("mcp-keys-session={session}"),
            _ => session.clone(),
        };
        let request = http::Request::builder().header(name, value);
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        assert!(layer.gate().admit(&mut head).await.is_err(), "{name}");
    }
    assert_eq!(browser.get("/keys").await.status, StatusCode::OK);
}
