//! How programs find their way, and the whole of it.

use http::{Method, Request};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_program_finds_everything_and_is_connected() {
    let world = World::new().await;
    // A call without a token says where to begin.
    let request = Request::post(format!("{}/mcp", world.base)).body(String::new());
    let refused = world.send(request.unwrap()).await;
    assert_eq!(refused.status, 401);
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.base);
    assert_eq!(
        refused.header("www-authenticate"),
        format!(r#"Bearer resource_metadata="{metadata}", scope="files:read""#)
    );
    let resource = world.get("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(
        resource.json(),
        json!({
            "resource": format!("{}/mcp", world.base),
            "authorization_servers": [world.base],
            "scopes_supported": ["files:read", "files:write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "The files",
        })
    );
    let server = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(
        server,
        json!({
            "issuer": world.base,
            "authorization_endpoint": format!("{}/oauth/authorize", world.base),
            "token_endpoint": format!("{}/oauth/token", world.base),
            "registration_endpoint": format!("{}/oauth/register", world.base),
            "revocation_endpoint": format!("{}/oauth/revoke", world.base),
            "scopes_supported": ["files:read", "files:write", "mail:read", "access/full"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    );
    let program = world.program().await;
    let mut browser = world.browser();
    let ask = program.ask(&[("scope", "files:read files:write")]);
    let signed_in = browser.sign_in(&ask, &world.bob).await;
    let back = signed_in.location().to_owned();
    let page = browser.get(&back).await;
    for word in [
        "Assistant",
        &program.id,
        "127.0.0.1:4711",
        "The files",
        "files:write",
        "bob",
    ] {
        assert!(page.body.contains(word), "{word}");
    }
    let answer = browser.decide(&back, "allow", "read-only").await;
    let sent_back = answer.sent_back();
    assert_eq!(sent_back["state"], "a state/ü&");
    assert_eq!(sent_back["iss"], world.base);
    let answer = program.redeem(&world, &sent_back["code"], &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3_600);
    assert_eq!(tokens["scope"], "files:read files:write");
    let token = tokens["access_token"].as_str().unwrap();
    let called = world.call("/mcp", token).await.json();
    assert_eq!(called["owner"], "bob");
    assert_eq!(called["client"], program.id.as_str());
    assert_eq!(called["access"], "read-only");
    assert_eq!(called["servers"], json!(["files"]));
    // Keys work as ever, at the same place.
    assert_eq!(world.call("/mcp", &world.bob).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_may_read_metadata_and_speak_for_programs() {
    let world = World::new().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.header("cache-control").contains("max-age"));
    }
    for path in ["/oauth/token", "/oauth/register", "/oauth/revoke"] {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(format!("{}{path}", world.base))
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST");
        let answer = world.send(request.body(String::new()).unwrap()).await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(
            answer
                .header("access-control-allow-headers")
                .contains("mcp-protocol-version")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let answer = world.get(&world.program().await.ask(&[])).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    // Two resources: the document at the root would be of neither.
    assert_eq!(
        world
            .get("/.well-known/oauth-protected-resource")
            .await
            .status,
        404
    );
}
