//! The life of a key, as forms lead through it.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::audit::{AuditAction, AuditFilter};
use mcp_api_keys::key::{Access, KeyInfo, KeyStatus, Owner, Servers, Signing};
use mcp_api_keys::store::{AuditPage, KeyFilter, PageRequest};
use mcp_api_keys::{KeyUpdate, NewKey};

use crate::world::{HERE, NOW, World};

async fn named(world: &World, name: &str) -> KeyInfo {
    let found = world
        .keys
        .manager()
        .list(&KeyFilter::all(), PageRequest::first(1_000))
        .await;
    let mut keys = found.unwrap().keys.into_iter();
    keys.find(|key| key.name == name).unwrap()
}

#[tokio::test]
async fn a_key_is_made_with_all_that_the_form_says() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let answer = browser
        .create(&[
            ("name", "ci-bot"),
            ("description", "one\r\ntwo"),
            ("owner", "bob"),
            ("status", "inactive"),
            ("servers", "files, mail\nnotes"),
            ("access", "read-only"),
            ("scopes", "files:read mail:*"),
            ("expiry", "30d"),
            ("networks_allow", "203.0.113.0/24\r\n198.51.100.7"),
            ("networks_deny", "203.0.113.66"),
            ("plan", "free"),
            ("limits", "60/min:10\r\nday=5000/day"),
            ("quotas", "1000/month"),
            ("tools_allow", "read_*"),
            ("tools_deny", "read_private"),
            ("resources_allow", "note://public/*"),
            ("prompts_deny", "secret*"),
            ("signing", "required"),
            ("client", "claude"),
            ("metadata", "environment=production\r\ncontact=a=b"),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let secret = answer.secret();
    assert_eq!(answer.body.matches(&secret).count(), 1);

    let key = named(&world, "ci-bot").await;
    assert_eq!(key.description.as_deref(), Some("one\ntwo"));
    assert_eq!(key.owner, Some("bob".parse().unwrap()));
    assert_eq!(key.status, KeyStatus::Disabled);
    assert_eq!(
        key.servers,
        Servers::only(["files", "mail", "notes"]).unwrap()
    );
    assert_eq!(key.access, Access::ReadOnly);
    assert_eq!(
        serde_json::to_value(&key.scopes).unwrap().to_string(),
        r#"["files:read","mail:*"]"#
    );
    assert_eq!(
        key.expires_at,
        Some(NOW.saturating_add(Duration::from_secs(30 * 86_400)))
    );
    assert_eq!(
        (key.networks.allow().len(), key.networks.deny().len()),
        (2, 1)
    );
    assert_eq!(key.plan, Some("free".parse().unwrap()));
    assert_eq!((key.limits.len(), key.limits[0].burst_size()), (2, 10));
    assert_eq!(key.quotas.len(), 1);
    assert!(key.mcp.tools().permits("read_it") && !key.mcp.tools().permits("read_private"));
    assert!(!key.mcp.resources().permits("x") && !key.mcp.prompts().permits("secrets"));
    assert_eq!(key.signing, Signing::Required);
    assert_eq!(key.connection.unwrap().client, "claude".parse().unwrap());
    assert_eq!(key.metadata["contact"], "a=b");

    // The key is shown once, and nowhere again.
    for path in [
        "/keys".to_owned(),
        format!("/keys/{}", key.id),
        format!("/keys/{}/edit", key.id),
        "/audit".to_owned(),
        "/connections".to_owned(),
    ] {
        let page = browser.get(&path).await;
        let end = &secret[secret.len() - 30..];
        assert!(page.shows("ci-bot") && !page.shows(end), "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let answer = browser
        .create(&[
            ("name", "x"),
            ("networks_allow", "203.0.113.7/24"),
            ("limits", "60/week"),
            ("scopes", "a b"),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for id in ["networks_allow", "limits"] {
        assert!(answer.shows(&format!("id=\"f-{id}-fault\"")), "{id}");
        assert!(answer.shows(&format!("href=\"#f-{id}\"")), "{id}");
        let input = answer.body.split_once(&format!("id=\"f-{id}\"")).unwrap().1;
        let input = input.split('>').next().unwrap();
        assert!(input.contains("aria-invalid=\"true\""), "{input}");
        assert!(input.contains(&format!("f-{id}-fault\"")), "{input}");
    }
    assert!(answer.shows("the block is 203.0.113.0/24"));
    assert!(answer.shows("\n203.0.113.7/24</textarea>") && answer.shows("\na b</textarea>"));
    // What the manager finds wrong stands at its field, too.
    let answer = browser.create(&[("name", "x"), ("plan", "gold")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.shows("id=\"f-plan-fault\""), "{}", answer.body);
    let answer = browser
        .create(&[
            ("name", "x"),
            ("expiry", "at"),
            ("expires_at", "2001-01-01T00:00"),
        ])
        .await;
    assert!(answer.shows("id=\"f-expires_at-fault\""), "{}", answer.body);
}

#[tokio::test]
async fn an_edit_changes_what_was_touched_and_notes_who_did_it() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let new = NewKey::named("old name")
        .server("files")
        .metadata("a", "1\n2");
    let id = world.key(new).await;
    let path = format!("/keys/{id}/edit");
    let form = browser.get(&path).await;
    let revision = form.field("revision");
    let mut fields = vec![
        ("revision", revision.as_str()),
        ("name", "new name"),
        ("reach", "some"),
        ("servers", "files mail"),
        ("access", "full"),
        ("expiry", "keep"),
        ("signing", "by-layer"),
        ("metadata", "a=1\\n2"),
    ];
    fields.push(("status", "active"));
    let answer = browser.post(&path, &fields).await;
    assert_eq!(answer.location(), format!("/keys/{id}"), "{}", answer.body);
    let page = browser.get(&format!("/keys/{id}")).await;
    assert!(page.shows("The key was changed"));
    assert!(
        !browser
            .get(&format!("/keys/{id}"))
            .await
            .shows("The key was changed"),
        "twice"
    );

    let key = world.keys.manager().get(id).await.unwrap();
    assert_eq!(
        (key.name.as_str(), key.metadata["a"].as_str()),
        ("new name", "1\n2")
    );
    assert_eq!(key.servers, Servers::only(["files", "mail"]).unwrap());
    let mut filter = AuditFilter::default();
    filter.subject = Some(id.into());
    let trail = world
        .keys
        .manager()
        .audit(&filter, AuditPage::newest(10))
        .await
        .unwrap();
    assert_eq!(trail[0].action, AuditAction::Updated);
    assert_eq!(trail[0].actor, "ada");
    assert!(
        trail[0]
            .source
            .as_ref()
            .unwrap()
            .starts_with(&format!("{HERE}, key "))
    );
    assert!(page.shows("name, servers"), "what was changed");

    let revision = key.revision.to_string();
    fields[0] = ("revision", &revision);
    let answer = browser.post(&path, &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(
        browser
            .get(&format!("/keys/{id}"))
            .await
            .shows("Nothing was changed.")
    );
    assert_eq!(
        world.keys.manager().get(id).await.unwrap().revision,
        key.revision
    );
}

#[tokio::test]
async fn whoever_is_slower_is_told_and_loses_nothing() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let id = world.key(NewKey::named("shared").server("files")).await;
    let path = format!("/keys/{id}/edit");
    let revision = browser.get(&path).await.field("revision");
    let update = KeyUpdate::new()
        .name("theirs")
        .description(Some("new".to_owned()));
    world.keys.manager().update(id, update).await.unwrap();

    let fields = |revision| {
        [
            ("revision", revision),
            ("name", "mine"),
            ("description", ""),
            ("reach", "some"),
            ("servers", "files"),
            ("access", "full"),
            ("expiry", "keep"),
            ("signing", "by-layer"),
        ]
    };
    let answer = browser.post(&path, &fields(&revision)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.shows("Somebody else changed this key meanwhile"));
    assert!(answer.shows("theirs") && answer.shows("value=\"mine\""));
    assert_eq!(named(&world, "theirs").await.id, id);

    // Sent once more, it replaces what is there now: that is what was said.
    let answer = browser
        .post(&path, &fields(&answer.field("revision")))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(named(&world, "mine").await.description, None);
}

#[tokio::test]
async fn a_renewal_with_grace_lets_both_secrets_work_until_it_is_ended() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let old = browser
        .create(&[("name", "service"), ("servers", "files")])
        .await
        .secret();
    let id = named(&world, "service").await.id;
    let path = format!("/keys/{id}/renew");
    let renew = async |browser: &mut crate::world::Browser, grace: &str, from: &str| {
        let once = browser.get(&path).await.field("once");
        let fields = [("once", &*once), ("grace", grace), ("from", from)];
        browser.post(&path, &fields).await
    };
    let answer = renew(&mut browser, "1d", "").await;
    assert!(answer.shows("works beside it until"), "{}", answer.body);
    let new = answer.secret();
    assert!(world.admits(&old).await && world.admits(&new).await);
    let page = browser.get(&format!("/keys/{id}")).await;
    assert!(page.shows("End the old secret now"));

    let answer = browser.post(&format!("/keys/{id}/end-grace"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(!world.admits(&old).await && world.admits(&new).await);

    let newest = renew(&mut browser, "7d", "first-use").await.secret();
    world.later(Duration::from_secs(30 * 86_400)).await;
    let mut browser = world.admin_again().await;
    assert!(
        world.admits(&new).await,
        "nobody has used the newest one yet"
    );
    assert!(world.admits(&newest).await);
    let last = renew(&mut browser, "none", "").await.secret();
    assert!(!world.admits(&new).await && !world.admits(&newest).await);
    assert!(world.admits(&last).await);
    let answer = renew(&mut browser, "soon", "").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(world.admits(&last).await);
}

#[tokio::test]
async fn a_key_is_switched_off_and_on_revoked_and_deleted() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let key = browser
        .create(&[("name", "two  words"), ("servers", "files")])
        .await
        .secret();
    let id = named(&world, "two  words").await.id;
    let path = |act: &str| format!("/keys/{id}/{act}");
    assert!(world.admits(&key).await);
    browser.post(&path("disable"), &[]).await;
    assert!(!world.admits(&key).await);
    assert!(browser.get("/keys").await.shows("Inactive"));
    browser.post(&path("enable"), &[]).await;
    assert!(world.admits(&key).await);

    let long = "x".repeat(501);
    let answer = browser.post(&path("revoke"), &[("reason", &long)]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.shows("id=\"f-reason-fault\"") && answer.shows(&long));
    browser
        .post(&path("revoke"), &[("reason", "left the team")])
        .await;
    assert!(!world.admits(&key).await);
    let page = browser.get(&format!("/keys/{id}")).await;
    assert!(page.shows("left the team") && page.shows("Revoked"));
    assert!(!page.shows("/renew"), "there is nothing to renew");
    let answer = browser.post(&path("enable"), &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);

    let answer = browser.post(&path("delete"), &[("name", "two")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = browser
        .post(&path("delete"), &[("name", "two words")])
        .await;
    assert_eq!(answer.location(), "/keys");
    assert!(browser.get("/keys").await.shows("The key is deleted."));
    assert_eq!(
        browser.get(&format!("/keys/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn keys_are_found_by_what_is_asked() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    for (name, owner, server) in [("alpha", "bob", "files"), ("beta", "cyd", "mail")] {
        let new = NewKey::named(name).owner(owner).server(server).plan("free");
        world
            .key(new.expires_in(Duration::from_secs(86_400 * 5)))
            .await;
    }
    let gone = world.key(NewKey::named("gamma").server("files")).await;
    world.keys.manager().revoke(gone, None).await.unwrap();
    for (query, found, missing) in [
        ("name=ALP", "alpha", "beta"),
        ("owner=cyd", "beta", "alpha"),
        ("server=mail", "beta", "alpha"),
        ("plan=free", "alpha", "gamma"),
        ("status=revoked", "gamma", "alpha"),
        ("status=all&name=mm", "gamma", "beta"),
        ("expires=7d", "alpha", "first admin"),
        ("", "alpha", "gamma"),
    ] {
        let page = browser.get(&format!("/keys?{query}")).await;
        let shows = |name: &str| page.shows(&format!("<bdi>{name}</bdi>"));
        assert!(shows(found) && !shows(missing), "{query}");
    }
    assert!(
        browser
            .get("/keys?name=zeta")
            .await
            .shows("No key matches.")
    );
    let wrong = browser.get("/keys?server=fi/les").await;
    assert!(wrong.shows("class=\"fault\"") && wrong.shows("value=\"fi/les\""));
}

#[tokio::test]
async fn owners_and_plans_are_made_changed_and_removed() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let manager = world.keys.manager();
    let fields = [
        ("id", "bob & co"),
        ("role", "member"),
        ("reach", "some"),
        ("servers", "files"),
        ("scopes", "files:*"),
        ("access", "full"),
    ];
    let answer = browser.post("/owners/edit", &fields).await;
    assert_eq!(answer.location(), "/owners", "{}", answer.body);
    let again = browser.post("/owners/edit", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let bob = "bob & co".parse().unwrap();
    let known: Owner = manager.owner(&bob).await.unwrap().unwrap();
    assert_eq!(known.servers, Servers::only(["files"]).unwrap());

    let id = world
        .key(NewKey::named("laptop").owner("bob & co").all_servers())
        .await;
    let page = browser.get(&format!("/keys/{id}")).await;
    assert!(page.shows("Less at present."), "{}", page.body);
    browser.post("/owners/suspend", &[("id", "bob & co")]).await;
    assert!(!manager.owner(&bob).await.unwrap().unwrap().active);
    let form = browser.get("/owners/edit?id=bob+%26+co").await;
    let revision = form.field("revision");
    let fields = [
        &fields[..5],
        &[("access", "read-only"), ("revision", &revision)],
    ]
    .concat();
    assert_eq!(
        browser.post("/owners/edit", &fields).await.location(),
        "/owners"
    );
    let known = manager.owner(&bob).await.unwrap().unwrap();
    assert_eq!(
        (known.access, known.active),
        (Access::ReadOnly, false),
        "still suspended"
    );
    assert_eq!(
        browser.post("/owners/edit", &fields).await.status,
        StatusCode::CONFLICT
    );
    browser.post("/owners/resume", &[("id", "bob & co")]).await;
    let answer = browser.post("/owners/remove", &[("id", "bob & co")]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "they have a key");

    let plan = [
        ("name", "gold"),
        ("limits", "1000/min\r\nday=100000/day"),
        ("quotas", "1000000/month"),
    ];
    assert_eq!(
        browser.post("/plans/edit", &plan).await.location(),
        "/plans"
    );
    let gold = manager
        .plan(&"gold".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((gold.limits.len(), gold.quotas.len()), (2, 1));
    // A built-in plan is replaced by one of its name, and is there again without it.
    let form = browser.get("/plans/edit?name=free").await;
    let revision = form.field("revision");
    let free = [
        ("name", "free"),
        ("limits", "1/min"),
        ("revision", &revision),
    ];
    assert_eq!(
        browser.post("/plans/edit", &free).await.location(),
        "/plans"
    );
    assert!(browser.get("/plans").await.shows("1/min"));
    browser.post("/plans/remove", &[("name", "free")]).await;
    assert!(browser.get("/plans").await.shows("10/min"));
    let wrong = [("name", "gold"), ("limits", "a=1/min\na=2/min")];
    let answer = browser.post("/plans/edit", &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.shows("id=\"f-limits-fault\""), "{}", answer.body);
}

#[tokio::test]
async fn connections_are_listed_and_ended() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let new = NewKey::named("assistant")
        .owner("ada")
        .all_servers()
        .connection("claude");
    let issued = world.keys.manager().issue(new).await.unwrap();
    assert!(browser.get("/connections").await.shows("claude"));
    let path = format!("/keys/{}/disconnect", issued.info().id);
    assert_eq!(browser.post(&path, &[]).await.location(), "/connections");
    let page = browser.get("/connections").await;
    assert!(page.shows("There are no connections.") && page.shows("The connection has ended"));
    assert!(!world.admits(issued.key().expose_secret()).await);
    let other = world.key(NewKey::named("no connection")).await;
    let answer = browser
        .post(&format!("/keys/{other}/disconnect"), &[])
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);

    // By its name, and by its id, which it cannot choose.
    let new = mcp_api_keys::NewConnection::new(
        "ada".parse().unwrap(),
        "https://app.example".parse().unwrap(),
    );
    let tokens = world.keys.manager().connect(new.client_name("<App>")).await;
    let pages = [
        "/connections".to_owned(),
        format!("/keys/{}", tokens.unwrap().info().id),
    ];
    for path in pages {
        let page = browser.get(&path).await;
        assert!(
            page.shows("&lt;App&gt;") && page.shows("https://app.example"),
            "{path}"
        );
        assert!(!page.shows("<App>"), "{path}");
    }
    assert!(browser.get("/audit").await.shows("connected"));
}
