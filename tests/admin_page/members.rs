//! Members see their own keys and reach no further, whatever they send.

use http::StatusCode;
use mcp_api_keys::key::{Access, KeyStatus, Servers};
use mcp_api_keys::store::KeyFilter;
use mcp_api_keys::{ApiKeysBuilder, NewKey};

use crate::world::World;

#[tokio::test]
async fn a_member_sees_their_own_keys_and_nobody_elses() {
    let world = World::new().await;
    let (_, _) = world.admin().await;
    let (mut bob, own) = world.member("bob").await;
    let (_, hers) = world.member("cyd").await;
    let page = bob.get("/keys").await;
    assert!(page.shows("My keys") && page.shows("key of bob"));
    assert!(!page.shows("key of cyd") && !page.shows("first admin"));
    for query in ["owner=cyd", "name=cyd", "status=all"] {
        let page = bob.get(&format!("/keys?{query}")).await;
        assert!(!page.shows("<bdi>key of cyd"), "{query}");
    }
    assert_eq!(
        bob.get(&format!("/keys/{own}")).await.status,
        StatusCode::OK
    );
    for act in ["", "/edit", "/renew", "/revoke", "/delete"] {
        let answer = bob.get(&format!("/keys/{hers}{act}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{act}");
    }
    for path in ["/owners", "/audit"] {
        assert_eq!(bob.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert!(!page.shows(&format!("href=\"{path}\"")), "{path}");
    }
    assert_eq!(
        bob.get("/owners/edit?id=cyd").await.status,
        StatusCode::FORBIDDEN
    );
    assert!(!bob.get("/safety").await.shows("key of cyd"));
    assert!(bob.get("/plans").await.shows("free"));
}

#[tokio::test]
async fn a_member_changes_nothing_of_others_by_forged_forms() {
    let world = World::new().await;
    let (mut bob, own) = world.member("bob").await;
    let (_, hers) = world.member("cyd").await;
    let manager = world.keys.manager();
    let before = manager.get(hers).await.unwrap();
    let revision = before.revision.to_string();
    let acts: [(&str, &[(&str, &str)]); 8] = [
        (
            "edit",
            &[
                ("name", "mine"),
                ("revision", &revision),
                ("expiry", "keep"),
            ],
        ),
        ("renew", &[("grace", "none")]),
        ("end-grace", &[]),
        ("enable", &[]),
        ("disable", &[]),
        ("revoke", &[]),
        ("delete", &[("name", "key of cyd")]),
        ("disconnect", &[]),
    ];
    for (act, fields) in acts {
        let answer = bob.post(&format!("/keys/{hers}/{act}"), fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{act}");
    }
    assert_eq!(manager.get(hers).await.unwrap(), before);

    let owner = [
        ("id", "bob"),
        ("role", "admin"),
        ("reach", "all"),
        ("scopes", "*"),
        ("access", "full"),
    ];
    assert_eq!(
        bob.post("/owners/edit", &owner).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        bob.post("/owners/suspend", &[("id", "cyd")]).await.status,
        StatusCode::FORBIDDEN
    );
    let plan = [("name", "free"), ("limits", "9999/min")];
    assert_eq!(
        bob.post("/plans/edit", &plan).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        bob.post("/plans/remove", &[("name", "free")]).await.status,
        StatusCode::FORBIDDEN
    );
    let bob_now = manager
        .owner(&"bob".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bob_now.role.as_str(), "member");

    // Their own key they may change, within what they have.
    let revision = manager.get(own).await.unwrap().revision.to_string();
    let mut fields = vec![
        ("revision", &*revision),
        ("name", "renamed"),
        ("reach", "some"),
        ("servers", "files"),
        ("access", "full"),
        ("expiry", "keep"),
        ("signing", "by-layer"),
    ];
    fields.push((
        "scopes",
        "audit:read files:read keys:read keys:write plans:read",
    ));
    // As the form has it: whose key it is is not asked.
    assert!(
        !bob.get(&format!("/keys/{own}/edit"))
            .await
            .shows("name=\"owner\"")
    );
    let answer = bob.post(&format!("/keys/{own}/edit"), &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
}

#[tokio::test]
async fn a_member_gives_no_key_more_than_they_have() {
    let world = World::new().await;
    let (mut bob, own) = world.member("bob").await;
    let manager = world.keys.manager();
    for (field, value, fault) in [
        ("owner", "cyd", "owner"),
        ("servers", "mail", "servers"),
        ("reach", "all", "servers"),
        ("scopes", "*", "scopes"),
        ("scopes", "keys:admin", "scopes"),
        ("scopes", "owners:write", "scopes"),
    ] {
        let answer = bob.create(&[("name", "more"), (field, value)]).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}={value}"
        );
        assert!(
            answer.shows(&format!("f-{fault}-fault")) || fault == "owner",
            "{field}={value}"
        );

        let revision = manager.get(own).await.unwrap().revision.to_string();
        let mut fields = vec![
            ("revision", &*revision),
            ("name", "more"),
            ("reach", "some"),
            ("servers", "files"),
            ("access", "full"),
            ("expiry", "keep"),
            ("owner", "bob"),
        ];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let answer = bob.post(&format!("/keys/{own}/edit"), &fields).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}={value}"
        );
    }
    let mut of_bob = KeyFilter::all();
    of_bob.owner = Some("bob".parse().unwrap());
    let keys = manager
        .list(&of_bob, Default::default())
        .await
        .unwrap()
        .keys;
    assert_eq!(keys.len(), 1);

    let answer = bob
        .create(&[
            ("name", "less"),
            ("servers", "files"),
            ("scopes", "files:read"),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let keys = manager
        .list(&of_bob, Default::default())
        .await
        .unwrap()
        .keys;
    let less = keys.iter().find(|key| key.name == "less").unwrap();
    assert_eq!(less.servers, Servers::only(["files"]).unwrap());
    assert_eq!(less.owner, Some("bob".parse().unwrap()));
}

#[tokio::test]
async fn a_key_that_may_only_read_changes_nothing() {
    let world = World::new().await;
    let (_, _) = world.admin().await;
    let victim = world.key(NewKey::named("victim")).await;
    let reading = NewKey::named("auditor")
        .owner("ada")
        .all_servers()
        .scope("*")
        .unwrap();
    let narrow = NewKey::named("viewer").owner("ada").all_servers();
    let narrow = narrow
        .scope("keys:read")
        .unwrap()
        .scope("keys:admin")
        .unwrap();
    for new in [reading.read_only(), narrow] {
        let issued = world.keys.manager().issue(new).await.unwrap();
        assert!([Access::ReadOnly, Access::Full].contains(&issued.info().access));
        let mut browser = world.signed_in(issued.key().expose_secret()).await;
        let page = browser.get("/keys").await;
        assert!(page.shows("victim") && !page.shows("/keys/new"));
        let page = browser.get(&format!("/keys/{victim}")).await;
        assert!(
            !page.shows("/revoke") && !page.shows("/edit"),
            "no dead ends"
        );
        for act in ["disable", "revoke", "delete", "renew", "edit"] {
            let fields = [("name", "victim"), ("revision", "1"), ("once", "x")];
            let answer = browser
                .post(&format!("/keys/{victim}/{act}"), &fields)
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{act}");
            assert!(answer.shows("keys:write"), "{act}");
        }
        assert_eq!(browser.get("/keys/new").await.status, StatusCode::FORBIDDEN);
        assert_eq!(
            browser.post("/keys/new", &[("name", "x")]).await.status,
            StatusCode::FORBIDDEN
        );
    }
    let status = world.keys.manager().get(victim).await.unwrap().status;
    assert_eq!(status, KeyStatus::Active);
}

#[tokio::test]
async fn where_only_admins_change_keys_members_look_at_theirs() {
    let set = |builder: ApiKeysBuilder| builder.only_admins_change_keys(true);
    let world = World::with(set).await;
    let (mut bob, own) = world.member("bob").await;
    assert_eq!(
        bob.get(&format!("/keys/{own}")).await.status,
        StatusCode::OK
    );
    let answer = bob.post(&format!("/keys/{own}/disable"), &[]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.shows("Only admins"), "{}", answer.body);
}

#[tokio::test]
async fn what_an_admin_has_switched_off_no_member_switches_on() {
    let world = World::new().await;
    let (mut admin, _) = world.admin().await;
    let (mut bob, _) = world.member("bob").await;
    let key = world.key(NewKey::named("laptop").owner("bob")).await;
    let (path, enable) = (format!("/keys/{key}"), format!("/keys/{key}/enable"));
    let disable = format!("/keys/{key}/disable");
    assert_eq!(bob.post(&disable, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(bob.get(&path).await.shows(&enable));
    assert_eq!(
        admin.post(&disable, &[]).await.status,
        StatusCode::SEE_OTHER
    );

    let page = bob.get(&path).await;
    assert!(
        page.shows("An admin has switched this key off."),
        "{}",
        page.body
    );
    assert!(!page.shows(&enable), "no dead ends");
    let answer = bob.post(&enable, &[]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.shows("only an admin switches it on"),
        "{}",
        answer.body
    );
    assert_eq!(
        world.keys.manager().get(key).await.unwrap().status,
        KeyStatus::Disabled
    );

    assert!(admin.get(&path).await.shows(&enable));
    assert_eq!(admin.post(&enable, &[]).await.status, StatusCode::SEE_OTHER);
    let page = bob.get(&path).await;
    assert!(page.shows(&disable) && !page.shows("An admin has switched"));
}
