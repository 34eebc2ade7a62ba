//! Programs that register themselves, and those that do it too often.

use std::time::Duration;

use mcp_api_keys::RateLimit;
use mcp_api_keys::oauth::Registration;
use serde_json::json;

use crate::world::{CALLBACK, Program, World};

#[tokio::test]
async fn a_program_is_told_what_was_taken() {
    let world = World::new().await;
    let metadata = json!({
        "client_name": " Assistant\n",
        "client_uri": "https://evil.example",
        "logo_uri": "https://evil.example/logo.png",
        "redirect_uris": [CALLBACK, "cursor://anysphere/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "files:read",
    });
    let answer = world.register(&metadata).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let taken = answer.json();
    let id = taken["client_id"].as_str().unwrap();
    assert_eq!(
        taken,
        json!({
            "client_id": id,
            "client_id_issued_at": 1_790_000_000,
            "client_name": "Assistant",
            "redirect_uris": [CALLBACK, "cursor://anysphere/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    );
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused() {
    let world = World::new().await;
    let long = vec![CALLBACK; 17];
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": long }), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": ["http://evil.example/"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": [CALLBACK, "javascript:alert(1)"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://app.example/#x"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": CALLBACK }),
            "invalid_client_metadata",
        ),
        (json!([]), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": [CALLBACK], "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [CALLBACK], "response_types": ["token"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [CALLBACK], "client_name": "x".repeat(20_000) }),
            "invalid_client_metadata",
        ),
    ] {
        let answer = world.register(&metadata).await;
        assert_eq!(answer.error(), (400, error.to_owned()), "{metadata}");
    }
    let form = world
        .post("/oauth/register", &[("redirect_uris", CALLBACK)])
        .await;
    assert_eq!(form.error(), (400, "invalid_client_metadata".to_owned()));
}

#[tokio::test]
async fn one_address_does_not_register_without_end() {
    let rate = Registration::new().per_address(RateLimit::per_hour(60).burst(5));
    let world = World::with(|oauth| oauth.registration(rate)).await;
    let metadata = json!({ "redirect_uris": [CALLBACK] });
    for _ in 0..5 {
        assert_eq!(world.register(&metadata).await.status, 201);
    }
    let refused = world.register(&metadata).await;
    assert_eq!(refused.error(), (429, "temporarily_unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), "60");
    world.later(Duration::from_secs(60)).await;
    assert_eq!(world.register(&metadata).await.status, 201);
}

#[tokio::test]
async fn there_are_never_more_programs_than_were_allowed_for() {
    let few = Registration::new().at_most(3);
    let world = World::with(|oauth| oauth.registration(few)).await;
    let metadata = json!({ "redirect_uris": [CALLBACK] });
    for _ in 0..3 {
        assert_eq!(world.register(&metadata).await.status, 201);
    }
    for _ in 0..3 {
        let refused = world.register(&metadata).await;
        assert_eq!(refused.error(), (503, "temporarily_unavailable".to_owned()));
    }
    // Those that nobody was connected to are forgotten after a day.
    world.later(Duration::from_secs(24 * 3_600 + 60)).await;
    assert_eq!(world.register(&metadata).await.status, 201);
}

#[tokio::test]
async fn a_program_that_is_used_is_remembered() {
    let world = World::new().await;
    let (program, _) = world.connect(&world.bob, &[]).await;
    let unused = world.program().await;
    world.later(Duration::from_secs(25 * 3_600)).await;
    let shown = world.get(&program.ask(&[])).await;
    assert!(
        shown.location().starts_with("/oauth/sign-in"),
        "{}",
        shown.body
    );
    world.get(&unused.ask(&[])).await.is_problem(400);
}

#[tokio::test]
async fn a_program_that_was_forgotten_is_told_to_register_again() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    let token = tokens["refresh_token"].as_str().unwrap();
    world.later(Duration::from_secs(31 * 24 * 3_600)).await;
    let over = program.refresh(&world, token).await;
    assert_eq!(
        over.error(),
        (400, "invalid_grant".to_owned()),
        "it is known"
    );
    world.later(Duration::from_secs(90 * 24 * 3_600)).await;
    let forgotten = program.refresh(&world, token).await;
    assert_eq!(forgotten.error(), (401, "invalid_client".to_owned()));
    world.get(&program.ask(&[])).await.is_problem(400);
}

#[tokio::test]
async fn registration_can_be_switched_off() {
    let world = World::with(|oauth| oauth.without_registration()).await;
    let metadata = json!({ "redirect_uris": [CALLBACK] });
    assert_eq!(world.register(&metadata).await.status, 404);
    let server = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(server.get("registration_endpoint"), None);
    // A URL is no id where documents are not taken.
    let program = Program::known_as("https://app.example/client.json", &world.base);
    world.get(&program.ask(&[])).await.is_problem(400);
}
