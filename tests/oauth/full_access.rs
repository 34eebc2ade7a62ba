//! Full access: how programs are told to ask for it, and who may let them have it.

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use mcp_api_keys::NewKey;
use mcp_api_keys::key::Role;
use serde_json::{Value, json};

use crate::world::{Answer, Browser, Program, World};

const FULL: &str = "access/full";
/// What changes things: by a layer that asks for full access, and by a tool that is not known to only
/// read.
const PLACES: [&str; 2] = ["/mcp/change", "/mcp/tools"];

/// Calls a tool there, which is what changes things.
async fn change(world: &World, place: &str, token: &Value) -> Answer {
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "write_note" },
    });
    let request = Request::post(format!("{}{place}", world.base))
        .header(AUTHORIZATION, format!("Bearer {}", token.as_str().unwrap()))
        .header(CONTENT_TYPE, "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(call.to_string());
    world.send(request.unwrap()).await
}

/// What a program gets that asks for these scopes, and a person who chooses this.
async fn granted(
    world: &World,
    browser: &mut Browser<'_>,
    program: &Program,
    asked: (&str, &str),
) -> Value {
    let (scope, access) = asked;
    let code = browser
        .allow(&program.ask(&[("scope", scope)]), access)
        .await;
    let answer = program.redeem(world, &code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn to_ask_for(world: &World, scope: &str) -> String {
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.base);
    format!(r#"Bearer error="insufficient_scope", scope="{scope}", resource_metadata="{metadata}""#)
}

#[tokio::test]
async fn a_connection_that_reads_is_told_how_to_ask_for_more_and_gets_it() {
    let world = World::new().await;
    let program = world.program().await;
    let mut ada = world.signed_in(&world.ada).await;
    let asked = ("files:read files:write", "read-only");
    let tokens = granted(&world, &mut ada, &program, asked).await;
    assert_eq!(tokens["scope"], "files:read files:write");
    for place in PLACES {
        let refused = change(&world, place, &tokens["access_token"]).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        let wanted = "files:read files:write access/full";
        assert_eq!(
            refused.header("www-authenticate"),
            to_ask_for(&world, wanted)
        );
        // What a program asks for is not chosen for the person, who has to choose.
        let page = ada.get(&program.ask(&[("scope", wanted)])).await;
        assert!(page.body.contains("It asks to look and change"));
        assert!(page.body.contains(r#"value="read-only" required"#));
        assert!(page.body.contains(r#"value="full""#) && !page.body.contains("checked"));
        assert!(page.body.contains(r#"value="deny" formnovalidate"#));
        assert_eq!(page.field("scope"), wanted);

        let more = granted(&world, &mut ada, &program, (wanted, "full")).await;
        assert_eq!(more["scope"], wanted);
        let changed = change(&world, place, &more["access_token"]).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let renewed = program
            .refresh(&world, more["refresh_token"].as_str().unwrap())
            .await
            .json();
        assert_eq!(renewed["scope"], wanted);
        let changed = change(&world, place, &renewed["access_token"]).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    }
}

#[tokio::test]
async fn a_person_may_allow_less_than_a_program_asks_for() {
    let world = World::new().await;
    let program = world.program().await;
    let mut ada = world.signed_in(&world.ada).await;
    // The word alone asks for what a program gets that asks for nothing, and for full access.
    let tokens = granted(&world, &mut ada, &program, (FULL, "read-only")).await;
    assert_eq!(tokens["scope"], "files:read");
    for place in PLACES {
        let refused = change(&world, place, &tokens["access_token"]).await;
        assert_eq!(refused.status, 403);
        let told = to_ask_for(&world, "files:read access/full");
        assert_eq!(refused.header("www-authenticate"), told);
    }
    // To say nothing is to allow nothing.
    let page = ada.get(&program.ask(&[("scope", FULL)])).await;
    let mut fields = page.fields();
    fields.push(("decision".to_owned(), "allow".to_owned()));
    let answer = ada
        .post("/oauth/authorize", &crate::world::borrowed(&fields))
        .await;
    answer.is_problem(400);
}

#[tokio::test]
async fn nobody_is_sent_to_ask_for_what_they_may_not_have() {
    let world = World::new().await;
    let program = world.program().await;
    let mut bob = world.signed_in(&world.bob).await;
    let asked = "files:read access/full";
    let page = bob.get(&program.ask(&[("scope", asked)])).await;
    assert!(!page.body.contains(r#"value="full""#));
    assert!(page.body.contains("It asked to change things"));
    bob.decide(&program.ask(&[("scope", asked)]), "allow", "full")
        .await
        .is_problem(403);
    let tokens = granted(&world, &mut bob, &program, (asked, "read-only")).await;
    assert_eq!(tokens["scope"], "files:read");
    for place in PLACES {
        let refused = change(&world, place, &tokens["access_token"]).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert_eq!(refused.header("www-authenticate"), "");
    }
}

#[tokio::test]
async fn a_role_that_is_lowered_takes_full_access_and_the_way_to_it() {
    let world = World::new().await;
    let mut eve = world.owner("ada").await;
    eve.id = "eve".parse().unwrap();
    eve.revision = Default::default();
    let mut eve = world.keys.manager().put_owner(eve).await.unwrap();
    let new = NewKey::named("eve").owner("eve").all_servers();
    let key = world.keys.manager().issue(new.scope("*").unwrap()).await;
    let program = world.program().await;
    let key = key.unwrap();
    let mut browser = world.signed_in(key.key().expose_secret()).await;
    let asked = ("files:read access/full", "full");
    let tokens = granted(&world, &mut browser, &program, asked).await;
    for (role, challenge) in [
        (Role::Admin, None),
        (Role::Member, Some("")),
        (Role::Admin, None),
    ] {
        eve.role = role;
        eve = world.keys.manager().put_owner(eve).await.unwrap();
        for place in PLACES {
            let answer = change(&world, place, &tokens["access_token"]).await;
            let refused = (answer.status == 403).then(|| answer.header("www-authenticate"));
            assert_eq!(refused, challenge, "{role} {place}");
        }
    }
}

/// Keys are no matter of consent, and the word is no scope of theirs.
#[tokio::test]
async fn keys_have_nothing_to_do_with_it() {
    let world = World::new().await;
    let new = || NewKey::named("looker").owner("ada").all_servers();
    let key = new().scope("*").unwrap().read_only();
    let key = world.keys.manager().issue(key).await.unwrap();
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.base);
    for place in PLACES {
        let refused = change(&world, place, &json!(key.key().expose_secret())).await;
        assert_eq!(refused.status, 403);
        assert_eq!(
            refused.header("www-authenticate"),
            format!(r#"Bearer error="insufficient_scope", resource_metadata="{metadata}""#)
        );
    }
    assert!(new().scope(FULL).is_err());
}
