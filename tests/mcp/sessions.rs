//! A session belongs to the key that began it.

use http::{Method, Request};
use serde_json::json;

use crate::support::tools::{initialize, initialized};
use crate::support::{Answer, bearer};
use crate::world::{House, Mode, call, layer};

async fn say(house: &House, key: &str, sessions: &[&str], body: serde_json::Value) -> Answer {
    let mut request = house.message(key, body);
    for session in sessions {
        request
            .headers_mut()
            .append("mcp-session-id", session.parse().unwrap());
    }
    house.client.send(request).await
}

async fn with_method(house: &House, method: Method, key: &str, session: &str) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(house.server.url("/mcp"))
        .header("authorization", bearer(key))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session)
        .body(String::new())
        .unwrap();
    house.client.open(request).await.status().as_u16()
}

#[tokio::test]
async fn to_other_keys_it_does_not_exist() {
    let house = House::new(Mode::Sessions).await;
    let (ada, bob) = (house.free_key().await, house.free_key().await);
    let begun = say(&house, &ada, &[], initialize()).await;
    let session = begun.header("mcp-session-id").to_owned();
    assert!(session.contains('.'), "{session}");
    say(&house, &ada, &[&session], initialized()).await;

    for (sessions, status) in [
        (&[session.as_str()][..], 404),
        (&[&session, &session], 404),
        (&["", &session], 404),
        (&["made-up"], 404),
        (&["made-up."], 404),
        (&[session.split('.').next().unwrap()], 404),
    ] {
        let answer = say(&house, &bob, sessions, call("read_note")).await;
        assert_eq!(answer.status, status, "{sessions:?}");
        assert_eq!(answer.json()["error"]["data"]["code"], "session_not_found");
    }
    let raw = session.rsplit_once('.').unwrap().0;
    assert_eq!(
        say(&house, &ada, &[raw], call("read_note")).await.status,
        404
    );
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(with_method(&house, method, &bob, &session).await, 404);
    }
    assert!(house.log.take().is_empty());

    // Its own key goes on, also on the stream, and ends it.
    let answer = say(&house, &ada, &[&session], call("read_note")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(house.log.take(), ["read_note"]);
    let echoed = answer.header("mcp-session-id");
    assert!(echoed.is_empty() || echoed == session, "{echoed}");
    assert_eq!(with_method(&house, Method::GET, &ada, &session).await, 200);
    let ended = with_method(&house, Method::DELETE, &ada, &session).await;
    assert!((200..300).contains(&ended), "{ended}");
    let after = say(&house, &ada, &[&session], call("read_note")).await;
    assert_eq!(after.status, 404, "the server's own 404 passes");
}

#[tokio::test]
async fn a_rotated_key_keeps_its_sessions() {
    let house = House::new(Mode::Sessions).await;
    let issued = house.keys.manager();
    let new = mcp_api_keys::NewKey::named("rotates").server("notes");
    let first = issued.issue(new).await.unwrap();
    let begun = say(&house, first.key().expose_secret(), &[], initialize()).await;
    let session = begun.header("mcp-session-id").to_owned();
    let next = issued.rotate(first.info().id).await.unwrap();
    let key = next.key().expose_secret();
    say(&house, key, &[&session], initialized()).await;
    assert_eq!(
        say(&house, key, &[&session], call("read_note"))
            .await
            .status,
        200
    );
    assert_eq!(house.log.take(), ["read_note"]);
}

#[tokio::test]
async fn layers_with_one_secret_share_sessions_and_others_do_not() {
    let secret = b"thirty-two bytes of a shared one";
    let shared = House::with(Mode::Sessions, layer().session_secret(secret).unwrap()).await;
    let key = shared.free_key().await;
    let begun = say(&shared, &key, &[], initialize()).await;
    let session = begun.header("mcp-session-id").to_owned();
    say(&shared, &key, &[&session], initialized()).await;
    assert_eq!(
        say(
            &shared,
            &key,
            &[&session],
            json!({"jsonrpc":"2.0","id":1,"method":"ping"})
        )
        .await
        .status,
        200
    );
    let short = layer().session_secret(&secret[..15]);
    assert_eq!(short.unwrap_err().field(), Some("session_secret"));
    assert!(layer().session_secret(&secret[..16]).is_ok());
    // The same server under another secret, as after a restart.
    let unbound = House::with(Mode::Sessions, layer().unbound_sessions()).await;
    let key = unbound.free_key().await;
    let begun = say(&unbound, &key, &[], initialize()).await;
    assert!(!begun.header("mcp-session-id").contains('.'));
}
