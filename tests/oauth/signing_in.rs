//! Signing in with a key.

use std::time::Duration;

use mcp_api_keys::NewKey;

use crate::world::{Browser, Program, World};

async fn form(browser: &mut Browser<'_>, program: &Program) -> (String, String) {
    let away = browser.get(&program.ask(&[])).await;
    let place = away.location().to_owned();
    let token = browser.get(&place).await.field("token");
    (place, token)
}

#[tokio::test]
async fn a_cookie_is_for_the_browser_alone() {
    let world = World::new().await;
    let program = world.program().await;
    let mut browser = world.browser();
    let answer = browser.sign_in(&program.ask(&[]), &world.bob).await;
    let lines = answer.headers.get_all("set-cookie").iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    assert!(
        lines
            .iter()
            .all(|line| line.contains("; HttpOnly; SameSite=Lax")),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| !line.contains(&world.bob)));
    assert!(answer.location().starts_with("/oauth/authorize?"));
}

#[tokio::test]
async fn keys_that_are_not_good_enough_do_not_sign_in() {
    let world = World::new().await;
    let program = world.program().await;
    let nobodys = NewKey::named("nobody's").all_servers().scope("*").unwrap();
    let nobodys = world.keys.manager().issue(nobodys).await.unwrap();
    let abroad = NewKey::named("abroad").owner("bob").server("files");
    let abroad = abroad.allow_from("203.0.113.0/24".parse().unwrap());
    let abroad = world.keys.manager().issue(abroad).await.unwrap();
    let (_, tokens) = world.connect(&world.bob, &[]).await;
    for (key, status) in [
        ("", 401),
        ("mcp_sk_wrong", 401),
        (nobodys.key().expose_secret(), 403),
        (abroad.key().expose_secret(), 403),
        (tokens["access_token"].as_str().unwrap(), 403),
        (tokens["refresh_token"].as_str().unwrap(), 401),
    ] {
        let mut browser = world.browser();
        let (place, token) = form(&mut browser, &program).await;
        let answer = browser
            .post(&place, &[("token", &token), ("key", key)])
            .await;
        assert_eq!(answer.status.as_u16(), status, "{key}");
        assert!(!browser.cookies.contains_key("mcp-keys-oauth"));
        assert!(key.is_empty() || !answer.body.contains(key));
    }
}

#[tokio::test]
async fn nobody_is_signed_in_by_another_page() {
    let world = World::new().await;
    let program = world.program().await;
    let mut browser = world.browser();
    let (place, token) = form(&mut browser, &program).await;
    let fields = [("token", token.as_str()), ("key", world.bob.as_str())];
    let headers = [("origin", "https://evil.example")];
    browser
        .post_from(&place, &fields, &headers)
        .await
        .is_problem(403);
    let without = browser.post(&place, &[("key", &world.bob)]).await;
    assert_eq!(without.status, 403);
    browser.cookies.clear();
    assert_eq!(browser.post(&place, &fields).await.status, 403);
}

#[tokio::test]
async fn signing_in_leads_back_to_the_question_and_nowhere_else() {
    let world = World::new().await;
    let mut browser = world.browser();
    for back in [
        "",
        "https://evil.example/",
        "//evil.example/oauth/authorize?",
        "/oauth/authorize",
        "/oauth/authorize@evil.example",
        "/",
    ] {
        let encoded: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
        browser
            .get(&format!("/oauth/sign-in?back={encoded}"))
            .await
            .is_problem(400);
    }
    browser.get("/oauth/sign-in").await.is_problem(400);
}

#[tokio::test]
async fn a_session_ends_with_its_key_and_with_time() {
    let world = World::new().await;
    let program = world.program().await;
    let new = NewKey::named("second").owner("bob").server("files");
    let issued = world
        .keys
        .manager()
        .issue(new.scope("files:read").unwrap())
        .await
        .unwrap();
    let is_asked = async |browser: &mut Browser<'_>| {
        let answer = browser.get(&program.ask(&[])).await;
        assert!(answer.status == 200 || answer.location().starts_with("/oauth/sign-in"));
        answer.status == 200
    };
    let mut browser = world.signed_in(issued.key().expose_secret()).await;
    assert!(is_asked(&mut browser).await);
    world
        .keys
        .manager()
        .disable(issued.info().id)
        .await
        .unwrap();
    assert!(!is_asked(&mut browser).await);
    world.keys.manager().enable(issued.info().id).await.unwrap();
    assert!(!is_asked(&mut browser).await, "the session is over");

    let mut browser = world.signed_in(&world.bob).await;
    for _ in 0..4 {
        world.later(Duration::from_secs(14 * 60)).await;
        assert!(is_asked(&mut browser).await);
    }
    world.later(Duration::from_secs(5 * 60)).await;
    assert!(!is_asked(&mut browser).await, "an hour is over");
    let mut browser = world.signed_in(&world.bob).await;
    world.later(Duration::from_secs(15 * 60)).await;
    assert!(
        !is_asked(&mut browser).await,
        "nothing happened for a quarter of an hour"
    );
}

#[tokio::test]
async fn wrong_keys_are_counted_by_address() {
    let world = World::new().await;
    let program = world.program().await;
    let mut browser = world.browser();
    let (place, token) = form(&mut browser, &program).await;
    let mut last = 0;
    for number in 0..120 {
        let key = mcp_api_keys::KeyFormat::default().generate(None).unwrap();
        let _ = number;
        let fields = [("token", token.as_str()), ("key", key.expose_secret())];
        last = browser.post(&place, &fields).await.status.as_u16();
    }
    assert_eq!(last, 429);
}
