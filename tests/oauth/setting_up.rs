//! What is noticed when it is set up, and where it is served.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mcp_api_keys::oauth::{KeySignIn, OAuth, OAuthBuilder, Resource};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, ErrorKind};
use serde_json::{Value, json};
use tower::ServiceExt;

fn files() -> Resource {
    Resource::new("/mcp").server("files").scopes(["files:read"])
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
    let begun = || OAuth::new(&keys, "https://mcp.example.com").unwrap();
    let whole = || begun().resource(files()).sign_in(KeySignIn::new(&keys));
    let second = Duration::from_secs(1);
    let fault = |builder: OAuthBuilder| builder.build().unwrap_err().field();
    assert!(whole().build().is_ok());
    assert_eq!(fault(begun().resource(files())), Some("sign_in"));
    assert_eq!(
        fault(begun().sign_in(KeySignIn::new(&keys))),
        Some("resource")
    );
    assert_eq!(fault(whole().resource(files())), Some("resource"));
    // A token for one of them would open the other.
    assert_eq!(
        fault(whole().resource(Resource::new("/other").server("files"))),
        Some("resource")
    );
    assert_eq!(
        fault(whole().resource(Resource::new("/mcp/").server("mail"))),
        Some("resource")
    );
    for (access, refresh) in [(0, 9), (9, 8), (86_401, 90_000), (1, 367 * 86_400)] {
        let builder = whole().lifetimes(second * access, second * refresh);
        assert_eq!(fault(builder), Some("lifetimes"), "{access} {refresh}");
    }
    assert_eq!(fault(whole().longest(Some(second))), Some("lifetimes"));
    assert_eq!(
        whole().secret(b"short").unwrap_err().field(),
        Some("secret")
    );
    assert!(OAuth::new(&keys, "http://mcp.example.com").is_err());
    let oauth = whole().build().unwrap();
    assert_eq!(
        oauth.responder("/other").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(oauth.responder("/mcp/").is_ok());
}

#[tokio::test]
async fn an_issuer_may_have_a_path_and_is_served_where_it_says() {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
    let oauth = OAuth::new(&keys, "https://example.com/tenant/").unwrap();
    let oauth = oauth
        .resource(files())
        .sign_in(KeySignIn::new(&keys))
        .build()
        .unwrap();
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        oauth.router().oneshot(request).await.unwrap()
    };
    let document = async |path: &str| -> Value {
        let answer = get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    };
    let resource = document("/.well-known/oauth-protected-resource/tenant/mcp").await;
    assert_eq!(resource["resource"], "https://example.com/tenant/mcp");
    assert_eq!(
        resource["authorization_servers"],
        json!(["https://example.com/tenant"])
    );
    // There is one: who asks for none means it.
    assert_eq!(
        document("/.well-known/oauth-protected-resource").await,
        resource
    );
    let server = document("/.well-known/oauth-authorization-server/tenant").await;
    assert_eq!(server["issuer"], "https://example.com/tenant");
    assert_eq!(
        server["token_endpoint"],
        "https://example.com/tenant/oauth/token"
    );
    assert_eq!(
        get("/.well-known/oauth-authorization-server")
            .await
            .status(),
        404
    );
    assert_eq!(get("/oauth/authorize").await.status(), 404);
    assert_eq!(get("/tenant/oauth/authorize").await.status(), 400);
    // Over TLS the cookies are for this host, and never sent without.
    let back = "%2Ftenant%2Foauth%2Fauthorize%3Fa%3Db";
    let answer = get(&format!("/tenant/oauth/sign-in?back={back}")).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-mcp-keys-oauth-form="),
        "{cookie}"
    );
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}
