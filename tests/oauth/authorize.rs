//! Requests that nobody is asked about.

use crate::world::{Answer, CALLBACK, World};

async fn asked(world: &World, other: &[(&str, &str)]) -> Answer {
    let program = world.program().await;
    let mut browser = world.signed_in(&world.bob).await;
    browser.get(&program.ask(other)).await
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_was_not_registered() {
    let world = World::new().await;
    for place in [
        "https://evil.example/callback",
        "http://127.0.0.1:4711/callback/",
        "http://127.0.0.1:4711/callback?next=https://evil.example",
        "http://127.0.0.1:4711/callback#x",
        "http://127.0.0.1:4711@evil.example/callback",
        "http://127.0.0.1:4711.evil.example/callback",
        "//evil.example/callback",
        "/callback",
        "javascript:alert(1)",
        "https://127.0.0.1:4711/callback",
        "http://localhost:4711/callback",
        "",
    ] {
        asked(&world, &[("redirect_uri", place)])
            .await
            .is_problem(400);
    }
    asked(&world, &[("client_id", "mcpc_unknown")])
        .await
        .is_problem(400);
    asked(&world, &[("client_id", "")]).await.is_problem(400);
    // Whatever else is wrong.
    let answer = asked(
        &world,
        &[
            ("redirect_uri", "https://evil.example/"),
            ("response_type", ""),
        ],
    );
    answer.await.is_problem(400);
    let program = world.program().await;
    let twice = format!("{}&redirect_uri=https://evil.example/", program.ask(&[]));
    world.get(&twice).await.is_problem(400);
    let twice = format!("{}&client_id=x", program.ask(&[]));
    world.get(&twice).await.is_problem(400);
    let long = program.ask(&[("state", &"x".repeat(9_000))]);
    world.get(&long).await.is_problem(414);
}

#[tokio::test]
async fn the_port_of_a_loopback_address_is_the_programs_own() {
    let world = World::new().await;
    let answer = asked(
        &world,
        &[("redirect_uri", "http://127.0.0.1:50505/callback")],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("127.0.0.1:50505"));
}

#[tokio::test]
async fn what_else_is_wrong_is_told_to_the_program_and_by_whom() {
    let world = World::new().await;
    let plain = "a-verifier-of-at-least-forty-three-characters-0";
    for (other, error) in [
        (&[("response_type", "")][..], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (
            &[("code_challenge", ""), ("code_challenge_method", "")],
            "invalid_request",
        ),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (
            &[
                ("code_challenge_method", "plain"),
                ("code_challenge", plain),
            ],
            "invalid_request",
        ),
        (&[("code_challenge", plain)], "invalid_request"),
        (&[("resource", "")], "invalid_target"),
        (
            &[("resource", "https://other.example/mcp")],
            "invalid_target",
        ),
        (&[("scope", "files:read admin")], "invalid_scope"),
        (&[("scope", "files:*")], "invalid_scope"),
        (&[("scope", "mail:read")], "invalid_scope"),
    ] {
        let answer = asked(&world, other).await;
        assert_eq!(answer.status, 303, "{other:?} {}", answer.body);
        let sent_back = answer.sent_back();
        assert_eq!(sent_back["error"], error, "{other:?}");
        assert_eq!(sent_back["state"], "a state/ü&");
        // Whoever is asked about two servers at once knows which of them answers.
        assert_eq!(sent_back["iss"], world.base);
        assert!(!sent_back.contains_key("code"));
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let program = world.program().await;
    for twice in ["scope=files:read", "state=x", "anything=1&anything=2"] {
        let answer = world
            .get(&format!("{}&scope=files:read&{twice}", program.ask(&[])))
            .await;
        assert_eq!(answer.sent_back()["error"], "invalid_request", "{twice}");
    }
    let answer = world.get(&format!("{}&resource=x", program.ask(&[]))).await;
    assert_eq!(answer.sent_back()["error"], "invalid_target");
}

#[tokio::test]
async fn a_program_that_asks_for_nothing_is_asked_about_with_the_usual_scopes() {
    let world = World::new().await;
    let answer = asked(&world, &[]).await;
    assert!(answer.body.contains("files:read") && !answer.body.contains("files:write"));
    let answer = asked(&world, &[("scope", "offline_access files:write")]).await;
    assert!(answer.body.contains("files:write") && !answer.body.contains("files:read"));
    assert!(answer.body.contains(CALLBACK));
}
