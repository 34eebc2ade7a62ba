//! Codes: good once, for a minute, for whoever asked for them.

use std::time::Duration;

use crate::world::World;

/// A program that was allowed, its world's code, and the world.
async fn allowed() -> (World, crate::world::Program, String) {
    let world = World::new().await;
    let program = world.program().await;
    let code = {
        let mut browser = world.signed_in(&world.bob).await;
        browser.allow(&program.ask(&[]), "read-only").await
    };
    (world, program, code)
}

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

#[tokio::test]
async fn a_code_that_is_used_again_ends_what_it_was_used_for() {
    let (world, program, code) = allowed().await;
    let tokens = program.redeem(&world, &code, &[]).await.json();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(world.call("/mcp", token).await.status, 200);
    // Whoever has stolen it needs no verifier for that.
    let again = program
        .redeem(&world, &code, &[("code_verifier", "")])
        .await;
    assert_eq!(again.error(), invalid_grant());
    assert_eq!(world.call("/mcp", token).await.status, 401);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(
        program.refresh(&world, refresh).await.error(),
        invalid_grant()
    );
}

#[tokio::test]
async fn a_code_that_is_presented_wrongly_is_spent() {
    for (other, error) in [
        (
            &[(
                "code_verifier",
                "another-verifier-of-at-least-forty-three-chars",
            )][..],
            "invalid_grant",
        ),
        (&[("code_verifier", "")], "invalid_grant"),
        (
            &[("redirect_uri", "https://evil.example/callback")],
            "invalid_grant",
        ),
        (
            &[("redirect_uri", "http://127.0.0.1:4712/callback")],
            "invalid_grant",
        ),
        (&[("client_id", "mcpc_another")], "invalid_grant"),
        (
            &[("resource", "https://other.example/mcp")],
            "invalid_target",
        ),
    ] {
        let (world, program, code) = allowed().await;
        let refused = program.redeem(&world, &code, other).await;
        assert_eq!(refused.error(), (400, error.to_owned()), "{other:?}");
        let late = program.redeem(&world, &code, &[]).await;
        assert_eq!(late.error(), invalid_grant(), "{other:?}");
    }
}

#[tokio::test]
async fn the_challenge_itself_is_no_verifier() {
    let (world, program, code) = allowed().await;
    let challenge = program.challenge();
    let refused = program
        .redeem(&world, &code, &[("code_verifier", &challenge)])
        .await;
    assert_eq!(refused.error(), invalid_grant());
}

#[tokio::test]
async fn what_is_no_request_spends_nothing() {
    let (world, program, code) = allowed().await;
    let verifier = program.verifier.as_str();
    let unsupported = program
        .redeem(&world, &code, &[("grant_type", "password")])
        .await;
    assert_eq!(
        unsupported.error(),
        (400, "unsupported_grant_type".to_owned())
    );
    for fields in [
        vec![("code", code.as_str()), ("client_id", program.id.as_str())],
        vec![
            ("grant_type", "authorization_code"),
            ("client_id", program.id.as_str()),
        ],
        vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
        ],
        vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("code", code.as_str()),
            ("client_id", program.id.as_str()),
            ("code_verifier", verifier),
        ],
    ] {
        let refused = world.post("/oauth/token", &fields).await;
        assert_eq!(
            refused.error(),
            (400, "invalid_request".to_owned()),
            "{fields:?}"
        );
    }
    // A client of OAuth 2.1 does not repeat where it is sent back to.
    let tokens = program.redeem(&world, &code, &[("redirect_uri", "")]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let (world, program, code) = allowed().await;
    world.later(Duration::from_secs(60)).await;
    assert_eq!(
        program.redeem(&world, &code, &[]).await.error(),
        invalid_grant()
    );
    let (world, program, code) = allowed().await;
    world.later(Duration::from_secs(59)).await;
    assert_eq!(program.redeem(&world, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn of_many_who_present_a_code_at_once_one_wins_and_the_connection_ends() {
    let (world, program, code) = allowed().await;
    let world = std::sync::Arc::new(world);
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (world, program, code) = (world.clone(), program.clone(), code.clone());
            tokio::spawn(async move { program.redeem(&world, &code, &[]).await })
        })
        .collect();
    let mut tokens = Vec::new();
    for task in racing {
        let answer = task.await.unwrap();
        match answer.status.as_u16() {
            200 => tokens.push(answer.json()),
            _ => assert_eq!(answer.error(), invalid_grant()),
        }
    }
    assert!(tokens.len() <= 1, "{}", tokens.len());
    for won in tokens {
        let called = world
            .call("/mcp", won["access_token"].as_str().unwrap())
            .await;
        assert_eq!(called.status, 401);
    }
}

#[tokio::test]
async fn guessing_is_counted_by_address() {
    let world = World::new().await;
    let program = world.program().await;
    let mut last = 0;
    for number in 0..120 {
        let code = format!("{number:051}");
        last = program.redeem(&world, &code, &[]).await.status.as_u16();
    }
    assert_eq!(last, 429);
    let answer = program.redeem(&world, "x", &[]).await;
    assert_eq!(answer.status, 429);
    assert_ne!(answer.header("retry-after"), "");
}
