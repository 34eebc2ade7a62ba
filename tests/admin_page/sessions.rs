//! How long a session lasts.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::admin::AdminPage;
use mcp_api_keys::key::{NetworkRules, Owner, ScopeSet};
use mcp_api_keys::store::{KeyFilter, PageRequest, SqliteStore};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, Grace, KeyUpdate, NewKey};

use crate::world::{Browser, NOW, World, light};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_session_ends_after_half_an_hour_without_a_request() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    for _ in 0..3 {
        world.later(29 * MINUTE).await;
        assert_eq!(browser.get("/keys").await.status, StatusCode::OK);
    }
    world.later(30 * MINUTE).await;
    assert_eq!(browser.get("/keys").await.location(), "/sign-in");
}

#[tokio::test]
async fn a_session_ends_after_half_a_day_whatever_happens() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    for _ in 0..12 * 60 / 20 - 1 {
        world.later(20 * MINUTE).await;
        assert_eq!(browser.get("/keys").await.status, StatusCode::OK);
    }
    world.later(20 * MINUTE).await;
    assert_eq!(browser.get("/keys").await.location(), "/sign-in");
}

/// What is done to a key, and what is said to whoever is signed in with it.
#[tokio::test]
async fn a_session_dies_with_its_key() {
    let acts = [
        "revoke", "delete", "disable", "rotate", "suspend", "expire", "move", "narrow",
    ];
    for act in acts {
        let world = World::new().await;
        let manager = world.keys.manager();
        let ada = manager
            .put_owner(Owner::admin("ada".parse().unwrap()))
            .await
            .unwrap();
        let new = NewKey::named("laptop").owner("ada").all_servers();
        let new = new.scope("*").unwrap().expires_in(20 * MINUTE);
        let issued = manager.issue(new).await.unwrap();
        let id = issued.info().id;
        let mut browser = world.signed_in(issued.key().expose_secret()).await;
        let mut open = world.signed_in(issued.key().expose_secret()).await;
        let token = open.token().await;

        let because = match act {
            "revoke" => manager.revoke(id, None).await.map(|_| "ended"),
            "delete" => manager.delete(id).await.map(|_| "ended"),
            "disable" => manager.disable(id).await.map(|_| "disabled"),
            "rotate" => manager.rotate(id).await.map(|_| "ended"),
            "suspend" => manager.suspend_owner(&ada.id).await.map(|_| "disabled"),
            "move" => {
                let rules = NetworkRules::new(vec!["203.0.113.0/24".parse().unwrap()], Vec::new());
                let update = KeyUpdate::new().networks(rules);
                manager.update(id, update).await.map(|_| "address")
            }
            "narrow" => {
                let update = KeyUpdate::new().scopes(ScopeSet::parse(["files:*"]).unwrap());
                manager.update(id, update).await.map(|_| "rights")
            }
            _ => {
                world.later(20 * MINUTE).await;
                Ok("expired")
            }
        };
        let because = format!("/sign-in?because={}", because.unwrap());

        // A form that was open is refused, not quietly forgotten.
        let fields = [("token", token.as_str()), ("name", "x")];
        let answer = open.post_raw("/keys/new", &fields).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{act}");
        assert!(answer.shows("Nothing was changed"), "{act}");

        // Whoever follows a link is told why they have to sign in again.
        assert_eq!(browser.get("/keys").await.location(), because, "{act}");
        assert_eq!(browser.get("/keys").await.location(), "/sign-in", "{act}");
    }
}

#[tokio::test]
async fn whoever_is_signed_out_is_told_why() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let (mut bob, id) = world.member("bob").await;
    world.keys.manager().disable(id).await.unwrap();
    let answer = bob.get("/keys").await;
    assert_eq!(answer.location(), "/sign-in?because=disabled");
    assert!(
        bob.get("/sign-in?because=disabled")
            .await
            .shows("is switched off")
    );
    assert!(!bob.get("/sign-in?because=%3Cb%3E").await.shows("<b>"));
    assert_eq!(
        browser.get("/keys").await.status,
        StatusCode::OK,
        "somebody else"
    );
}

#[tokio::test]
async fn an_old_secret_goes_on_for_as_long_as_its_grace_and_renews_nothing() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let filter = KeyFilter::default();
    let found = world.keys.manager().list(&filter, PageRequest::default());
    let id = found.await.unwrap().keys[0].id;
    world
        .keys
        .manager()
        .rotate_with(id, Grace::For(10 * MINUTE))
        .await
        .unwrap()
        .into_parts();
    let asked = browser.get(&format!("/keys/{id}/renew")).await;
    assert_eq!(asked.status, StatusCode::OK);
    let fields = [("once", &*asked.field("once")), ("grace", "none")];
    let answer = browser.post(&format!("/keys/{id}/renew"), &fields).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    world.later(10 * MINUTE).await;
    assert_eq!(
        browser.get("/keys").await.location(),
        "/sign-in?because=ended"
    );
}

#[tokio::test]
async fn a_change_by_another_node_ends_a_session_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let clock = ManualClock::at(NOW);
    let node = || async {
        let store = SqliteStore::connect(&url).await.unwrap();
        let poll = Duration::from_secs(3_600);
        let builder = light(ApiKeys::builder(store))
            .clock(clock.clone())
            .poll_interval(poll);
        builder.build().await.unwrap()
    };
    let (here, there) = (node().await, node().await);
    let first = here
        .manager()
        .bootstrap("ada".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut browser = Browser::of(AdminPage::new(&here).into_router(), "");
    browser.sign_in(first.key().expose_secret()).await;
    assert_eq!(browser.get("/keys").await.status, StatusCode::OK);

    there.manager().revoke(first.info().id, None).await.unwrap();
    here.catch_up().await.unwrap();
    assert_eq!(
        browser.get("/keys").await.location(),
        "/sign-in?because=ended"
    );
}

#[tokio::test]
async fn there_are_so_many_sessions_of_a_key_and_no_more() {
    let world = World::new().await;
    let (mut other, _) = world.member("bob").await;
    let (mut first, key) = world.admin().await;
    let mut second = world.signed_in(&key).await;
    for _ in 0..15 {
        world.later(Duration::from_millis(10)).await;
        // The second one goes on being used, the first one does not.
        assert_eq!(second.get("/keys").await.status, StatusCode::OK);
        world.signed_in(&key).await;
    }
    assert_eq!(first.get("/keys").await.location(), "/sign-in");
    assert_eq!(second.get("/keys").await.status, StatusCode::OK);
    assert_eq!(
        other.get("/keys").await.status,
        StatusCode::OK,
        "another key's"
    );
}
