//! A page over keys in memory, and a browser to look at it with.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use mcp_api_keys::admin::AdminPage;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::{KeyId, Owner};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, Argon2Params, NewKey, Timestamp};
use tower::ServiceExt;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const HERE: &str = "198.51.100.7";

pub(crate) struct World {
    pub(crate) keys: ApiKeys,
    pub(crate) clock: ManualClock,
    pub(crate) page: Router,
}

pub(crate) fn light(builder: ApiKeysBuilder) -> ApiKeysBuilder {
    builder.argon2(Argon2Params::new(8, 1, 1).unwrap())
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(set: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder) -> Self {
        let clock = ManualClock::at(NOW);
        let builder = light(ApiKeys::builder(MemoryStore::new())).clock(clock.clone());
        let keys = set(builder).build().await.unwrap();
        let page = AdminPage::new(&keys).into_router();
        Self { keys, clock, page }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::of(self.page.clone(), "")
    }

    /// The first admin, who has signed in, and their key.
    pub(crate) async fn admin(&self) -> (Browser, String) {
        let first = self.keys.manager().bootstrap("ada".parse().unwrap());
        let key = first
            .await
            .unwrap()
            .unwrap()
            .key()
            .expose_secret()
            .to_owned();
        (self.signed_in(&key).await, key)
    }

    /// A member with the scopes to manage their own keys, who has signed in.
    pub(crate) async fn member(&self, name: &str) -> (Browser, KeyId) {
        let scope = |text: &str| text.parse().unwrap();
        let owner = Owner::member(name.parse().unwrap())
            .server("files".parse().unwrap())
            .scope(scope("files:read"))
            .scope(scope("keys:read"))
            .scope(scope("keys:write"))
            .scope(scope("audit:read"))
            .scope(scope("plans:read"));
        self.keys.manager().put_owner(owner).await.unwrap();
        let new = NewKey::named(format!("key of {name}"))
            .owner(name)
            .server("files");
        let scopes = [
            "files:read",
            "keys:read",
            "keys:write",
            "audit:read",
            "plans:read",
        ];
        let issued = self
            .keys
            .manager()
            .issue(new.scopes(scopes.map(scope)))
            .await
            .unwrap();
        let browser = self.signed_in(issued.key().expose_secret()).await;
        (browser, issued.info().id)
    }

    pub(crate) async fn signed_in(&self, key: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(key).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    /// Another session of the admin who has signed in with this browser.
    pub(crate) async fn admin_again(&self) -> Browser {
        let new = NewKey::named("second")
            .owner("ada")
            .all_servers()
            .scope("*")
            .unwrap();
        let issued = self.keys.manager().issue(new).await.unwrap();
        self.signed_in(issued.key().expose_secret()).await
    }

    /// Whether a layer that asks for no server admits the key, from the browser's place.
    pub(crate) async fn admits(&self, key: &str) -> bool {
        let here = PeerAddr((HERE.parse::<std::net::IpAddr>().unwrap(), 1).into());
        let request = Request::builder().header("x-api-key", key).extension(here);
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let layer = self.keys.layer().any_server();
        layer.gate().admit(&mut head).await.is_ok()
    }

    /// Makes a key in whose name there is nothing special.
    pub(crate) async fn key(&self, new: NewKey) -> KeyId {
        let issued = self.keys.manager().issue(new).await.unwrap();
        issued.info().id
    }

    /// Lets time pass, in which the store goes on answering.
    pub(crate) async fn later(&self, duration: Duration) {
        self.clock.advance(duration);
        self.keys.catch_up().await.unwrap();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }

    /// The value of the field with this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let at = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&at).unwrap_or_else(|| {
            panic!("no field {name} in {}", self.body);
        });
        rest.split('"').next().unwrap().to_owned()
    }

    /// The key that the answer shows in clear.
    pub(crate) fn secret(&self) -> String {
        let (_, rest) = self.body.split_once("id=\"secret\"").unwrap();
        let (_, rest) = rest.split_once("value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

/// Keeps cookies and sends them back, as browsers do.
#[derive(Clone)]
pub(crate) struct Browser {
    page: Router,
    base: String,
    pub(crate) address: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Browser {
    pub(crate) fn of(page: Router, base: &str) -> Self {
        Self {
            page,
            base: base.to_owned(),
            address: HERE.to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = Request::builder().method(Method::GET);
        self.send(request, path, Body::empty()).await
    }

    /// Sends a form with these fields and no others.
    pub(crate) async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, path, Body::from(body.finish())).await
    }

    /// Sends a form of the session.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token().await;
        let fields: Vec<_> = [("token", token.as_str())]
            .iter()
            .chain(fields)
            .copied()
            .collect();
        self.post_raw(path, &fields).await
    }

    /// What the forms of the session carry.
    pub(crate) async fn token(&mut self) -> String {
        self.get("/keys").await.field("token")
    }

    pub(crate) async fn sign_in(&mut self, key: &str) -> Answer {
        let token = self.get("/sign-in").await.field("token");
        self.post_raw("/sign-in", &[("token", &token), ("key", key)])
            .await
    }

    /// Makes a key by the form; `fields` are what is not as it is at first.
    pub(crate) async fn create(&mut self, fields: &[(&str, &str)]) -> Answer {
        let once = self.get("/keys/new").await.field("once");
        let mut all = BTreeMap::from([
            ("once", once.as_str()),
            ("status", "active"),
            ("reach", "some"),
            ("access", "full"),
            ("expiry", "never"),
            ("signing", "by-layer"),
        ]);
        all.extend(fields.iter().copied());
        let all: Vec<_> = all.into_iter().collect();
        self.post("/keys/new", &all).await
    }

    async fn send(&mut self, request: http::request::Builder, path: &str, body: Body) -> Answer {
        let address = (self.address.parse::<std::net::IpAddr>().unwrap(), 50_000);
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = request
            .uri(format!("{}{path}", self.base))
            .header(HOST, "keys.test")
            .extension(PeerAddr(address.into()));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = self
            .page
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        for line in head.headers.get_all(SET_COOKIE) {
            let (pair, rest) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}
