//! What looks wrong about keys, as the page shows it, and the last use of a key.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::alert::{Alert, AlertLedger, AlertRequest, AlertRule, AlertState};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::{KeyId, Owner};
use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::webhook::{Webhook, WebhookSecret};
use mcp_api_keys::{ApiKeys, NewKey};

use crate::world::{Browser, HERE, NOW, World, light};

/// A page whose alerts are kept in the store that is returned.
async fn world() -> (World, MemoryStore) {
    let store = MemoryStore::new();
    let clock = ManualClock::at(NOW);
    let keys = light(ApiKeys::builder(store.clone())).clock(clock.clone());
    let keys = keys.alert_ledger(store.clone()).usage(store.clone());
    let keys = keys.build().await.unwrap();
    let page = mcp_api_keys::admin::AdminPage::new(&keys).into_router();
    (World { keys, clock, page }, store)
}

fn alert(key: KeyId, rule: AlertRule) -> Alert {
    Alert::new(key, rule, NOW, 95, 90)
}

/// The page below its navigation.
fn main_of(body: &str) -> &str {
    body.split_once("<main").unwrap().1
}

async fn member(world: &World, name: &str, scopes: &[&str]) -> (Browser, KeyId) {
    let owner = Owner::member(name.parse().unwrap()).scope("*".parse().unwrap());
    world.keys.manager().put_owner(owner).await.unwrap();
    let new = scopes
        .iter()
        .fold(NewKey::named(name).owner(name), |new, scope| {
            new.scope(scope).unwrap()
        });
    let issued = world.keys.manager().issue(new).await.unwrap();
    let browser = world.signed_in(issued.key().expose_secret()).await;
    (browser, issued.info().id)
}

#[tokio::test]
async fn open_alerts_come_first_and_are_counted_where_they_are_linked() {
    let (world, store) = world().await;
    let (mut admin, _) = world.admin().await;
    let empty = admin.get("/alerts").await;
    assert!(empty.shows("Nothing looks wrong."), "{}", empty.body);
    assert!(!empty.shows("class=\"count\""));

    let one = world.key(NewKey::named("<i>one</i>")).await;
    let two = world.key(NewKey::named("two")).await;
    let mut over = alert(two, AlertRule::Spike);
    (over.state, over.resolved_at) = (AlertState::Resolved, Some(NOW));
    let both = [
        over,
        alert(one, AlertRule::Idle),
        alert(two, AlertRule::Errors),
    ];
    store.put(&both).await.unwrap();
    let page = admin.get("/alerts").await;
    let main = main_of(&page.body);
    let place = |text: &str| {
        main.find(text)
            .unwrap_or_else(|| panic!("no {text}: {main}"))
    };
    assert!(place("Not used for 95 days") < place("Resolved</span>"));
    assert!(place("95 % of its requests fail") < place("95 requests in a minute"));
    assert!(page.shows("&lt;i&gt;one&lt;/i&gt;") && !page.shows("<i>one"));
    for path in ["/keys", "/audit", "/alerts", &format!("/keys/{one}")] {
        let page = admin.get(path).await;
        let count = page.body.split_once("class=\"count\">").unwrap().1;
        assert!(count.starts_with("2<"), "{path}: {count:.20}");
    }
    for (query, shown, hidden) in [
        ("state=open", "Not used for", "requests in a minute"),
        ("state=resolved", "requests in a minute", "Not used for"),
        ("rule=errors", "requests fail", "Not used for"),
        (&format!("key={one}"), "Not used for", "requests fail"),
    ] {
        let page = admin.get(&format!("/alerts?{query}")).await;
        let main = main_of(&page.body);
        assert!(main.contains(shown) && !main.contains(hidden), "{query}");
    }
    for query in ["state=x", "rule=x", "key=x"] {
        let page = admin.get(&format!("/alerts?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        assert!(page.shows("role=\"alert\""), "{query}");
    }
    let wrong = admin.get("/alerts?after=x").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_alert_is_acknowledged_by_a_form_of_the_session() {
    let (world, store) = world().await;
    let (mut admin, _) = world.admin().await;
    let one = world.key(NewKey::named("one")).await;
    let two = world.key(NewKey::named("two")).await;
    let both = [alert(one, AlertRule::Idle), alert(two, AlertRule::Idle)];
    store.put(&both).await.unwrap();
    let id = one.to_string();
    let fields = [("key", id.as_str()), ("rule", "idle")];
    let seen_to = async || {
        let of_one = AlertRequest::latest(1).of_key(one);
        store.read(&of_one).await.unwrap()[0].acknowledged.clone()
    };
    let forged = admin.post_raw("/alerts/acknowledge", &fields).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "without the token");
    assert_eq!(seen_to().await, None);
    for wrong in [
        [("key", "key_0"), ("rule", "idle")],
        [("key", id.as_str()), ("rule", "spike")],
        [("key", id.as_str()), ("rule", "nothing")],
    ] {
        let answer = admin.post("/alerts/acknowledge", &wrong).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{wrong:?}");
    }

    // From the page of the key, back to the page of the key.
    let page = admin.get(&format!("/keys/{one}")).await;
    assert!(page.shows("Not used for 95 days") && page.shows(">Acknowledge<"));
    let with_place = [fields[0], fields[1], ("on", "key")];
    let done = admin.post("/alerts/acknowledge", &with_place).await;
    assert_eq!(done.location(), format!("/keys/{one}"));
    let page = admin.get(&format!("/keys/{one}")).await;
    assert!(page.shows("seen to the alert") && page.shows("Seen to by"));
    assert!(!page.shows(">Acknowledge<"));
    assert_eq!(seen_to().await.unwrap().by, "ada");
    // And from the list to the list.
    let other = two.to_string();
    let fields = [("key", other.as_str()), ("rule", "idle")];
    let done = admin.post("/alerts/acknowledge", &fields).await;
    assert_eq!(done.location(), "/alerts");
    assert!(!admin.get("/alerts").await.shows(">Acknowledge<"));
}

#[tokio::test]
async fn members_see_and_acknowledge_what_is_about_their_own_keys() {
    let (world, store) = world().await;
    let (mut admin, _) = world.admin().await;
    let all = ["keys:read", "alerts:read", "alerts:write"];
    let (mut bob, bobs) = member(&world, "bob", &all).await;
    let (mut eve, eves) = member(&world, "eve", &["keys:read", "alerts:read"]).await;
    let (mut kim, _) = member(&world, "kim", &["keys:read"]).await;
    let both = [alert(bobs, AlertRule::Idle), alert(eves, AlertRule::Errors)];
    store.put(&both).await.unwrap();

    let page = bob.get("/alerts").await;
    assert!(page.shows("Not used for") && !main_of(&page.body).contains("requests fail"));
    assert!(page.shows("class=\"count\">1<"));
    let foreign = eves.to_string();
    let fields = [("key", foreign.as_str()), ("rule", "errors")];
    let refused = bob.post("/alerts/acknowledge", &fields).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let looked = bob.get(&format!("/alerts?key={foreign}")).await;
    assert_eq!(looked.status, StatusCode::NOT_FOUND);

    let page = eve.get("/alerts").await;
    assert!(page.shows("requests fail") && !page.shows(">Acknowledge<"));
    let refused = eve.post("/alerts/acknowledge", &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "it may only read");

    assert_eq!(kim.get("/alerts").await.status, StatusCode::FORBIDDEN);
    assert!(!kim.get("/keys").await.shows("href=\"/alerts\""));
    let seen = admin.get(&format!("/keys/{bobs}")).await;
    assert!(seen.shows("Not used for"));
    let own = kim.get(&format!("/keys/{bobs}")).await;
    assert_eq!(own.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_long_list_is_paged_and_a_large_number_is_cut() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let keys = light(ApiKeys::builder(store.clone())).alert_ledger(store.clone());
    let keys = keys.clock(ManualClock::at(NOW)).build().await.unwrap();
    let page = mcp_api_keys::admin::AdminPage::new(&keys).into_router();
    let world = World {
        keys,
        clock: ManualClock::at(NOW),
        page,
    };
    let (mut admin, _) = world.admin().await;
    let mut alerts = Vec::new();
    for number in 0..120 {
        let key = world.key(NewKey::named(format!("key {number}"))).await;
        alerts.push(alert(key, AlertRule::Idle));
    }
    store.put(&alerts).await.unwrap();
    let mut path = "/alerts".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = admin.get(&path).await;
        let count = page.body.split_once("class=\"count\">").unwrap().1;
        assert!(count.starts_with("99+<"), "{count:.20}");
        let main = main_of(&page.body);
        seen.extend(
            main.split("/keys/key_")
                .skip(1)
                .map(|rest| rest[..22].to_owned()),
        );
        let next = main
            .split("href=\"")
            .find(|rest| rest.contains("rel=\"next\""));
        let Some(next) = next.filter(|next| next.starts_with("/alerts?")) else {
            break;
        };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    let mut expected: Vec<_> = alerts.iter().map(|alert| alert.key.to_string()).collect();
    expected.sort_unstable();
    let seen: Vec<_> = seen.iter().map(|id| format!("key_{id}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn where_alerts_are_not_kept_the_page_says_so() {
    let world = World::new().await;
    let (mut admin, _) = world.admin().await;
    assert!(
        admin
            .get("/alerts")
            .await
            .shows("Alerts are not kept here.")
    );
}

#[tokio::test]
async fn messages_that_were_given_up_are_shown_to_admins() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks-hidden", listener.local_addr().unwrap());
    drop(listener);
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let webhook = Webhook::new(&url, secret).unwrap().attempts(1);
    let world = World::with(|builder| builder.webhook(webhook)).await;
    let (mut admin, _) = world.admin().await;
    let shown = async {
        loop {
            let page = admin.get("/alerts").await;
            if page.shows("key.created") {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(20), shown).await;
    let page = shown.unwrap();
    assert!(
        page.shows("key.created") && page.shows("1 time"),
        "{}",
        page.body
    );
    assert!(!page.shows("hooks-hidden"));
    let (mut bob, _) = member(&world, "bob", &["keys:read", "alerts:read"]).await;
    assert!(!bob.get("/alerts").await.shows("given up"));
}

#[tokio::test]
async fn the_last_use_tells_from_where_and_by_which_secret() {
    let (world, _) = world().await;
    let (mut admin, _) = world.admin().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::named("agent").all_servers());
    let issued = issued.await.unwrap();
    let (key, id) = (issued.key().expose_secret().to_owned(), issued.info().id);
    assert!(admin.get(&format!("/keys/{id}")).await.shows("Never"));
    let peer = PeerAddr((HERE.parse::<std::net::IpAddr>().unwrap(), 1).into());
    let layer = world.keys.layer().server("files");
    let service = tower::service_fn(|_: http::Request<String>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(
            String::new(),
        )))
    });
    let service = tower::Layer::layer(&layer, service);
    let used = async |key: &str| {
        let request = http::Request::get("/")
            .header("x-api-key", key)
            .extension(peer);
        let request = request.body(String::new()).unwrap();
        let answer = tower::ServiceExt::oneshot(service.clone(), request)
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer);
        world.keys.flush().await.unwrap();
    };
    used(&key).await;
    let page = admin.get(&format!("/keys/{id}")).await;
    for text in [
        HERE,
        "in a header of its own",
        "secret number 1",
        "GET",
        "files",
    ] {
        assert!(page.shows(text), "{text}: {}", page.body);
    }
    let grace = mcp_api_keys::Grace::For(Duration::from_secs(3_600));
    let renewed = world.keys.manager().rotate_with(id, grace).await.unwrap();
    used(&key).await;
    assert!(
        admin
            .get(&format!("/keys/{id}"))
            .await
            .shows("with the old secret")
    );
    world.later(Duration::from_secs(60)).await;
    used(renewed.key().expose_secret()).await;
    assert!(
        admin
            .get(&format!("/keys/{id}"))
            .await
            .shows("with the new secret")
    );

    let (mut bob, own) = member(&world, "bob", &["keys:read"]).await;
    let page = bob.get(&format!("/keys/{own}")).await;
    assert!(!page.shows("secret number"), "it may not read usage");
}
