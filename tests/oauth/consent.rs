//! What a person is asked, and who may answer.

use mcp_api_keys::NewKey;
use mcp_api_keys::key::Role;
use mcp_api_keys::store::PageRequest;
use serde_json::json;

use crate::world::{Program, World, borrowed};

#[tokio::test]
async fn only_the_page_itself_can_send_the_form() {
    let world = World::new().await;
    let mut browser = world.signed_in(&world.bob).await;
    let program = world.program().await;
    let page = browser.get(&program.ask(&[])).await;
    let mut fields = page.fields();
    fields.push(("decision".to_owned(), "allow".to_owned()));
    let place = "/oauth/authorize";
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[
            ("origin", world.base.as_str()),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("sec-fetch-site", "same-site")],
    ] {
        let answer = browser.post_from(place, &borrowed(&fields), headers).await;
        answer.is_problem(403);
    }
    // Without the seal, or with one of another question, person, session or time.
    let with = |name: &str, value: &str| {
        let mut fields = fields.clone();
        let field = fields.iter_mut().find(|(known, _)| known == name).unwrap();
        value.clone_into(&mut field.1);
        fields
    };
    let other = browser
        .get(&program.ask(&[("state", "other")]))
        .await
        .field("seal");
    let resource = format!("{}/mail", world.base);
    for forged in [
        with("seal", ""),
        with("seal", "1.00"),
        with("seal", &other),
        with("state", "x"),
        with("scope", "files:write"),
        with("scope", "files:read access/full"),
        with("redirect_uri", "http://127.0.0.1:1/callback"),
        with("code_challenge", &"A".repeat(43)),
        with("client_id", &world.program().await.id),
    ] {
        let answer = browser.post(place, &borrowed(&forged)).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert_eq!(answer.location(), "");
    }
    let answer = browser
        .post(place, &borrowed(&with("resource", &resource)))
        .await;
    assert!(!answer.location().contains("code="));
    let mut others = world.signed_in(&world.ada).await;
    assert_eq!(others.post(place, &borrowed(&fields)).await.status, 403);
    let mut again = world.signed_in(&world.bob).await;
    assert_eq!(again.post(place, &borrowed(&fields)).await.status, 403);
    let mut nobody = world.browser();
    let answer = nobody.post(place, &borrowed(&fields)).await;
    assert!(answer.location().starts_with("/oauth/sign-in?back="));
    // It holds for ten minutes.
    world.later(std::time::Duration::from_secs(600)).await;
    assert_eq!(browser.post(place, &borrowed(&fields)).await.status, 403);
    let all = Default::default();
    let connections = world
        .keys
        .manager()
        .connections(&all, PageRequest::first(10));
    assert_eq!(connections.await.unwrap().keys.len(), 0);
    let fresh = browser
        .decide(&program.ask(&[]), "allow", "read-only")
        .await;
    assert!(fresh.sent_back().contains_key("code"));
}

#[tokio::test]
async fn pages_cannot_be_framed_and_run_nothing() {
    let world = World::new().await;
    let mut browser = world.signed_in(&world.bob).await;
    let program = world.program().await;
    let consent = browser.get(&program.ask(&[])).await;
    let mut stranger = world.browser();
    let to_sign_in = stranger.get(&program.ask(&[])).await;
    let sign_in = stranger.get(to_sign_in.location()).await;
    let problem = stranger.get(&program.ask(&[("redirect_uri", "x:y")])).await;
    for page in [&consent, &sign_in, &problem] {
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("base-uri 'none'"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(!page.body.contains("<script"));
    }
    // The key goes nowhere else; the answer to a question goes on to the program, and from there on.
    assert!(
        sign_in
            .header("content-security-policy")
            .contains("form-action 'self'")
    );
    assert!(
        !consent
            .header("content-security-policy")
            .contains("form-action")
    );
}

#[tokio::test]
async fn what_a_program_says_of_itself_is_text() {
    let world = World::new().await;
    let name = "<script>alert(1)</script>\u{202e}\"'&";
    let metadata =
        json!({ "client_name": name, "redirect_uris": ["http://127.0.0.1:4711/callback"] });
    let registered = world.register(&metadata).await.json();
    let program = Program::known_as(registered["client_id"].as_str().unwrap(), &world.base);
    let mut browser = world.signed_in(&world.bob).await;
    let page = browser.get(&program.ask(&[])).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("&lt;script&gt;") && !page.body.contains("<script"));
    assert!(!page.body.contains('\u{202e}'));
}

#[tokio::test]
async fn a_member_is_given_read_only_and_an_admin_chooses() {
    let world = World::new().await;
    let program = world.program().await;
    let mut bob = world.signed_in(&world.bob).await;
    let page = bob.get(&program.ask(&[])).await;
    assert!(!page.body.contains("value=\"full\""));
    let refused = bob.decide(&program.ask(&[]), "allow", "full").await;
    refused.is_problem(403);
    // By the page itself, before the manager would.
    assert!(
        refused
            .body
            .contains("You may connect programs that look only")
    );
    bob.decide(&program.ask(&[]), "allow", "everything")
        .await
        .is_problem(400);
    bob.decide(&program.ask(&[]), "perhaps", "read-only")
        .await
        .is_problem(400);

    let mut ada = world.signed_in(&world.ada).await;
    let page = ada.get(&program.ask(&[])).await;
    assert!(
        page.body.contains("value=\"full\"") && page.body.contains("value=\"read-only\" checked")
    );
    for access in ["full", "read-only"] {
        let code = ada.allow(&program.ask(&[]), access).await;
        let tokens = program.redeem(&world, &code, &[]).await.json();
        let called = world
            .call("/mcp", tokens["access_token"].as_str().unwrap())
            .await;
        assert_eq!(called.json()["access"], access);
        // Which it did not ask for, so it is not told.
        assert_eq!(tokens["scope"], "files:read");
    }
}

#[tokio::test]
async fn a_role_that_is_lowered_holds_for_the_next_request() {
    let world = World::new().await;
    let mut eve = world.owner("ada").await;
    eve.id = "eve".parse().unwrap();
    eve.revision = Default::default();
    let mut eve = world.keys.manager().put_owner(eve).await.unwrap();
    let new = NewKey::named("eve")
        .owner("eve")
        .all_servers()
        .scope("*")
        .unwrap();
    let key = world.keys.manager().issue(new).await.unwrap();
    let program = world.program().await;
    let mut browser = world.signed_in(key.key().expose_secret()).await;
    let code = browser
        .allow(&program.ask(&[("scope", "files:write")]), "full")
        .await;
    let tokens = program.redeem(&world, &code, &[]).await.json();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(
        world.call("/mcp/write", token).await.json()["access"],
        "full"
    );
    eve.role = Role::Member;
    let mut eve = world.keys.manager().put_owner(eve).await.unwrap();
    assert_eq!(
        world.call("/mcp/write", token).await.json()["access"],
        "read-only"
    );
    eve.scopes = ["files:read".parse().unwrap()].into_iter().collect();
    let eve = world.keys.manager().put_owner(eve).await.unwrap();
    assert_eq!(world.call("/mcp/write", token).await.status, 403);
    world.keys.manager().suspend_owner(&eve.id).await.unwrap();
    assert_eq!(world.call("/mcp", token).await.status, 401);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(
        program.refresh(&world, refresh).await.error(),
        (400, "invalid_grant".to_owned())
    );
}

#[tokio::test]
async fn nobody_gives_what_they_or_their_key_do_not_have() {
    let world = World::new().await;
    let program = world.program().await;
    let reader = NewKey::named("reader").owner("bob").server("files");
    let reader = world
        .keys
        .manager()
        .issue(reader.scope("files:read").unwrap())
        .await
        .unwrap();
    let mut browser = world.signed_in(reader.key().expose_secret()).await;
    // Of two scopes the key has one.
    let both = program.ask(&[("scope", "files:read files:write")]);
    let code = browser.allow(&both, "read-only").await;
    let tokens = program.redeem(&world, &code, &[]).await.json();
    assert_eq!(tokens["scope"], "files:read");
    // Of this one, none.
    browser
        .get(&program.ask(&[("scope", "files:write")]))
        .await
        .is_problem(403);
    let mail = format!("{}/mail", world.base);
    browser
        .get(&program.ask(&[("resource", &mail)]))
        .await
        .is_problem(403);
    // An admin by a key that may only look gives no more.
    let looker = NewKey::named("looker")
        .owner("ada")
        .all_servers()
        .scope("*")
        .unwrap();
    let looker = world
        .keys
        .manager()
        .issue(looker.read_only())
        .await
        .unwrap();
    let mut browser = world.signed_in(looker.key().expose_secret()).await;
    assert!(
        !browser
            .get(&program.ask(&[]))
            .await
            .body
            .contains("value=\"full\"")
    );
    browser
        .decide(&program.ask(&[]), "allow", "full")
        .await
        .is_problem(403);
}

#[tokio::test]
async fn a_person_may_refuse() {
    let world = World::new().await;
    let program = world.program().await;
    let mut browser = world.signed_in(&world.bob).await;
    let answer = browser.decide(&program.ask(&[]), "deny", "read-only").await;
    let sent_back = answer.sent_back();
    assert_eq!(sent_back["error"], "access_denied");
    assert_eq!(sent_back["iss"], world.base);
    assert!(!sent_back.contains_key("code"));
}
