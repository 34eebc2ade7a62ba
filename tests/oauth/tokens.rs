//! Tokens: what they open, how they are renewed, how they end.

use std::time::Duration;

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::world::{World, form};

fn text<'t>(tokens: &'t serde_json::Value, name: &str) -> &'t str {
    tokens[name].as_str().unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let world = World::new().await;
    let (program, first) = world.connect(&world.bob, &[]).await;
    let renewed = program.refresh(&world, text(&first, "refresh_token")).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    assert_eq!(renewed.header("cache-control"), "no-store");
    let second = renewed.json();
    assert_eq!(second["scope"], first["scope"]);
    let id = |called: crate::world::Answer| called.json()["id"].as_str().unwrap().to_owned();
    let before = id(world.call("/mcp", text(&first, "access_token")).await);
    let after = id(world.call("/mcp", text(&second, "access_token")).await);
    assert_eq!(before, after, "the key stays the same");
    // The token before lives on for a minute, for calls under way.
    world.later(Duration::from_secs(61)).await;
    assert_eq!(
        world
            .call("/mcp", text(&first, "access_token"))
            .await
            .status,
        401
    );
    assert_eq!(
        world
            .call("/mcp", text(&second, "access_token"))
            .await
            .status,
        200
    );
    // Somebody presents the used one: the whole connection ends.
    let stolen = program.refresh(&world, text(&first, "refresh_token")).await;
    assert_eq!(stolen.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(
        world
            .call("/mcp", text(&second, "access_token"))
            .await
            .status,
        401
    );
    let late = program
        .refresh(&world, text(&second, "refresh_token"))
        .await;
    assert_eq!(late.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn an_access_token_ends_by_itself_and_says_so() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    world.later(Duration::from_secs(3_600)).await;
    let refused = world.call("/mcp", text(&tokens, "access_token")).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.base);
    assert_eq!(
        challenge,
        format!(
            r#"Bearer error="invalid_token", resource_metadata="{metadata}", scope="files:read""#
        )
    );
    let renewed = program
        .refresh(&world, text(&tokens, "refresh_token"))
        .await
        .json();
    assert_eq!(
        world
            .call("/mcp", text(&renewed, "access_token"))
            .await
            .status,
        200
    );
    world.later(Duration::from_secs(30 * 86_400)).await;
    let abandoned = program
        .refresh(&world, text(&renewed, "refresh_token"))
        .await;
    assert_eq!(abandoned.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn more_scopes_take_another_consent() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    let refused = world
        .call("/mcp/write", text(&tokens, "access_token"))
        .await;
    assert_eq!(refused.status, 403);
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.base);
    assert_eq!(
        refused.header("www-authenticate"),
        format!(
            r#"Bearer error="insufficient_scope", scope="files:write", resource_metadata="{metadata}""#
        )
    );
    let mut browser = world.signed_in(&world.bob).await;
    let more = program.ask(&[("scope", "files:read files:write")]);
    let code = browser.allow(&more, "read-only").await;
    let tokens = program.redeem(&world, &code, &[]).await.json();
    assert_eq!(
        world
            .call("/mcp/write", text(&tokens, "access_token"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_token_opens_the_one_server_it_was_made_for() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.ada, &[]).await;
    let token = text(&tokens, "access_token");
    assert_eq!(world.call("/mcp", token).await.status, 200);
    // Its owner may use the other server; it may not.
    assert_eq!(world.call("/mail", &world.ada).await.status, 200);
    assert_eq!(world.call("/mail", token).await.status, 403);
    let mail = format!("{}/mail", world.base);
    let refused = world
        .post(
            "/oauth/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", text(&tokens, "refresh_token")),
                ("client_id", &program.id),
                ("resource", &mail),
            ],
        )
        .await;
    assert_eq!(refused.error(), (400, "invalid_target".to_owned()));
    // That was no use of the token.
    let renewed = program
        .refresh(&world, text(&tokens, "refresh_token"))
        .await;
    assert_eq!(renewed.status, 200);
}

#[tokio::test]
async fn a_token_counts_in_the_header_alone_and_a_refresh_token_nowhere() {
    let world = World::new().await;
    let (_, tokens) = world.connect(&world.bob, &[]).await;
    let token = text(&tokens, "access_token");
    for query in [format!("access_token={token}"), format!("key={token}")] {
        let request = Request::post(format!("{}/mcp?{query}", world.base)).body(String::new());
        assert_eq!(world.send(request.unwrap()).await.status, 401);
    }
    let body = Request::post(format!("{}/mcp", world.base))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&[("access_token", token)]));
    assert_eq!(world.send(body.unwrap()).await.status, 401);
    assert_eq!(
        world
            .call("/mcp", text(&tokens, "refresh_token"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn the_token_endpoint_takes_forms_and_no_secrets() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens, "refresh_token")),
        ("client_id", program.id.as_str()),
    ];
    let request = |query: &str, kind: &str| {
        Request::post(format!("{}/oauth/token{query}", world.base))
            .header(CONTENT_TYPE, kind.to_owned())
    };
    let kind = "application/x-www-form-urlencoded";
    let in_query = request(&format!("?{}", form(&fields)), kind).body(String::new());
    let json = request("", "application/json").body("{}".to_owned());
    let large = request("", kind).body("x".repeat(20_000));
    for wrong in [in_query, json, large] {
        let refused = world.send(wrong.unwrap()).await;
        assert_eq!(refused.error(), (400, "invalid_request".to_owned()));
    }
    let basic = request("", kind)
        .header(AUTHORIZATION, "Basic eDp5")
        .body(form(&fields));
    let refused = world.send(basic.unwrap()).await;
    assert_eq!(refused.error(), (401, "invalid_client".to_owned()));
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    assert_eq!(world.get("/oauth/token").await.status, 405);
    assert_eq!(world.post("/oauth/token", &fields).await.status, 200);
}

#[tokio::test]
async fn another_program_can_neither_renew_nor_end_a_connection() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    let other = world.program().await;
    let (token, refresh) = (
        text(&tokens, "access_token"),
        text(&tokens, "refresh_token"),
    );
    let refused = other.refresh(&world, refresh).await;
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
    for stolen in [token, refresh, "mrt_x", ""] {
        let fields = [("token", stolen), ("client_id", other.id.as_str())];
        let answer = world.post("/oauth/revoke", &fields).await;
        assert_eq!(
            answer.status.as_u16(),
            if stolen.is_empty() { 400 } else { 200 }
        );
    }
    assert_eq!(world.call("/mcp", token).await.status, 200);
    // A forged token of the right connection does it no harm either.
    let random = "A".repeat(43);
    let forged = format!("{}{random}_{random}", &refresh[..27]);
    assert_eq!(forged.len(), refresh.len());
    assert_eq!(program.refresh(&world, &forged).await.status, 400);
    assert_eq!(program.refresh(&world, refresh).await.status, 200);
}

#[tokio::test]
async fn a_program_gives_back_what_it_has() {
    let world = World::new().await;
    let (program, tokens) = world.connect(&world.bob, &[]).await;
    let revoke = async |token: &str| {
        let fields = [("token", token), ("client_id", program.id.as_str())];
        world.post("/oauth/revoke", &fields).await
    };
    let token = text(&tokens, "access_token");
    assert_eq!(revoke(token).await.status, 200);
    assert_eq!(world.call("/mcp", token).await.status, 401);
    // The connection goes on by its refresh token, until that is given back.
    let tokens = program
        .refresh(&world, text(&tokens, "refresh_token"))
        .await
        .json();
    assert_eq!(revoke(text(&tokens, "refresh_token")).await.status, 200);
    assert_eq!(
        world
            .call("/mcp", text(&tokens, "access_token"))
            .await
            .status,
        401
    );
    let ended = program
        .refresh(&world, text(&tokens, "refresh_token"))
        .await;
    assert_eq!(ended.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(revoke(text(&tokens, "refresh_token")).await.status, 200);
}
