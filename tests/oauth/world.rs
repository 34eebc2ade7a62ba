//! Two MCP servers behind keys, with OAuth beside them, a browser, and a program that wants in.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_api_keys::key::{Owner, OwnerId};
use mcp_api_keys::layer::{DenialStyle, McpLayer};
use mcp_api_keys::oauth::{KeySignIn, OAuth, OAuthBuilder, Resource};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, Argon2Params, KeyContext, NewKey, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const CALLBACK: &str = "http://127.0.0.1:4711/callback";

pub(crate) struct World {
    pub(crate) keys: ApiKeys,
    pub(crate) clock: ManualClock,
    /// The issuer, without a slash at its end.
    pub(crate) base: String,
    /// The key of an admin, and that of a member.
    pub(crate) ada: String,
    pub(crate) bob: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|oauth| oauth).await
    }

    pub(crate) async fn with(set: impl FnOnce(OAuthBuilder) -> OAuthBuilder) -> Self {
        let clock = ManualClock::at(NOW);
        let keys = ApiKeys::builder(MemoryStore::new())
            .argon2(Argon2Params::new(8, 1, 1).unwrap())
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let first = keys.manager().bootstrap("ada".parse().unwrap());
        let ada = first
            .await
            .unwrap()
            .unwrap()
            .key()
            .expose_secret()
            .to_owned();
        let bob = Owner::member("bob".parse().unwrap())
            .server("files".parse().unwrap())
            .scope("files:*".parse().unwrap());
        keys.manager().put_owner(bob).await.unwrap();
        let new = NewKey::named("laptop").owner("bob").server("files");
        let issued = keys.manager().issue(new.scope("files:*").unwrap()).await;
        let bob = issued.unwrap().key().expose_secret().to_owned();

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let files = Resource::new("/mcp")
            .server("files")
            .scopes(["files:read", "files:write"])
            .default_scopes(["files:read"])
            .name("The files");
        let mail = Resource::new("/mail").server("mail").scopes(["mail:read"]);
        let oauth = OAuth::new(&keys, &base)
            .unwrap()
            .resource(files)
            .resource(mail)
            .sign_in(KeySignIn::new(&keys));
        let oauth = set(oauth).build().unwrap();
        let app = app(&keys, &oauth).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            keys,
            clock,
            base,
            ada,
            bob,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            world: self,
            cookies: BTreeMap::new(),
        }
    }

    /// A browser whose user has signed in with a key.
    pub(crate) async fn signed_in(&self, key: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let program = self.program().await;
        let answer = browser.sign_in(&program.ask(&[]), key).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    /// A program that has registered.
    pub(crate) async fn program(&self) -> Program {
        let metadata = json!({ "client_name": "Assistant", "redirect_uris": [CALLBACK] });
        let answer = self.register(&metadata).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        Program::known_as(answer.json()["client_id"].as_str().unwrap(), &self.base)
    }

    pub(crate) async fn register(&self, metadata: &Value) -> Answer {
        let request = Request::post(format!("{}/oauth/register", self.base))
            .header(CONTENT_TYPE, "application/json")
            .body(metadata.to_string());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(format!("{}{path}", self.base));
        self.send(request.body(String::new()).unwrap()).await
    }

    /// Posts a form, as programs do.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(fields));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<String>) -> Answer {
        let answer = self
            .client
            .request(request.map(|body| Full::from(body.into_bytes())));
        let (head, body) = answer.await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Calls a server with a token or key.
    pub(crate) async fn call(&self, path: &str, token: &str) -> Answer {
        let request = Request::post(format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(String::new());
        self.send(request.unwrap()).await
    }

    /// All the way from consent to tokens.
    pub(crate) async fn connect(&self, key: &str, asked: &[(&str, &str)]) -> (Program, Value) {
        let mut browser = self.signed_in(key).await;
        let program = self.program().await;
        let code = browser.allow(&program.ask(asked), "read-only").await;
        let answer = program.redeem(self, &code, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let tokens = answer.json();
        (program, tokens)
    }

    /// Lets time pass, in which the store goes on answering.
    pub(crate) async fn later(&self, time: Duration) {
        self.clock.advance(time);
        self.keys.catch_up().await.unwrap();
    }

    pub(crate) async fn owner(&self, name: &str) -> Owner {
        let id: OwnerId = name.parse().unwrap();
        self.keys.manager().owner(&id).await.unwrap().unwrap()
    }
}

/// Servers that tell who calls.
fn app(keys: &ApiKeys, oauth: &OAuth) -> Router {
    let who = any(|key: KeyContext| async move {
        let key = key.key();
        let client = key
            .connection
            .as_ref()
            .map(|connection| connection.client.as_str());
        json!({
            "id": key.id, "owner": key.owner, "access": key.access, "scopes": key.scopes,
            "servers": key.servers, "client": client,
        })
        .to_string()
    });
    let files = keys
        .layer()
        .server("files")
        .responder(oauth.responder("/mcp").unwrap());
    let writing = files.clone().require_scope("files:write").unwrap();
    let changing = files.clone().require_full_access();
    let tools = McpLayer::new().denial_style(DenialStyle::Http);
    let mail = keys
        .layer()
        .server("mail")
        .responder(oauth.responder("/mail").unwrap());
    let with_tools = files.clone().with_mcp(tools);
    Router::new()
        .route("/mcp", who.clone().layer(files))
        .route("/mcp/write", who.clone().layer(writing))
        .route("/mcp/change", who.clone().layer(changing))
        .route("/mcp/tools", who.clone().layer(with_tools))
        .route("/mail", who.layer(mail))
        .merge(oauth.router())
}

/// A program that wants to be connected.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) id: String,
    pub(crate) verifier: String,
    base: String,
}

impl Program {
    pub(crate) fn known_as(id: &str, base: &str) -> Self {
        Self {
            id: id.to_owned(),
            verifier: "a-verifier-of-at-least-forty-three-characters-0".to_owned(),
            base: base.to_owned(),
        }
    }

    pub(crate) fn challenge(&self) -> String {
        Base64UrlUnpadded::encode_string(&Sha256::digest(&self.verifier))
    }

    /// The path that it sends people to; an empty value leaves a parameter out.
    pub(crate) fn ask(&self, other: &[(&str, &str)]) -> String {
        let challenge = self.challenge();
        let resource = format!("{}/mcp", self.base);
        let mut fields = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("state", "a state/ü&"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
        ]);
        fields.extend(other.iter().copied());
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        format!("/oauth/authorize?{}", form(&fields))
    }

    pub(crate) async fn redeem(&self, world: &World, code: &str, other: &[(&str, &str)]) -> Answer {
        let mut fields = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &self.verifier),
        ]);
        fields.extend(other.iter().copied());
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        world.post("/oauth/token", &fields).await
    }

    pub(crate) async fn refresh(&self, world: &World, token: &str) -> Answer {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &self.id),
        ];
        world.post("/oauth/token", &fields).await
    }
}

/// A browser with cookies.
pub(crate) struct Browser<'w> {
    world: &'w World,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, "", &[]).await
    }

    /// Posts a form of the page itself.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = self.world.base.clone();
        let headers = [
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.post_from(path, fields, &headers).await
    }

    pub(crate) async fn post_from(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send(Method::POST, path, &form(fields), headers).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.world.base))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self
            .world
            .send(request.body(body.to_owned()).unwrap())
            .await;
        for line in answer.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Signs in on the way to a question.
    pub(crate) async fn sign_in(&mut self, ask: &str, key: &str) -> Answer {
        let sent_away = self.get(ask).await;
        assert_eq!(
            sent_away.status,
            StatusCode::SEE_OTHER,
            "{}",
            sent_away.body
        );
        let place = sent_away.location().to_owned();
        assert!(place.starts_with("/oauth/sign-in?back="), "{place}");
        let page = self.get(&place).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let token = page.field("token");
        self.post(&place, &[("token", &token), ("key", key)]).await
    }

    /// Answers a question.
    pub(crate) async fn decide(&mut self, ask: &str, decision: &str, access: &str) -> Answer {
        let page = self.get(ask).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let mut fields = page.fields();
        fields.retain(|(name, _)| name != "access");
        fields.push(("decision".to_owned(), decision.to_owned()));
        fields.push(("access".to_owned(), access.to_owned()));
        self.post("/oauth/authorize", &borrowed(&fields)).await
    }

    /// Answers yes; gives the code.
    pub(crate) async fn allow(&mut self, ask: &str, access: &str) -> String {
        let answer = self.decide(ask, "allow", access).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.sent_back()["code"].clone()
    }
}

pub(crate) fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// What a program is sent back with, at the place that it has named.
    pub(crate) fn sent_back(&self) -> BTreeMap<String, String> {
        let location = self.location();
        let (place, query) = location.split_once('?').expect(&self.body);
        assert_eq!(place, CALLBACK);
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    /// That nobody is sent anywhere, but told what is wrong.
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.location(), "");
        assert!(self.header("content-type").starts_with("text/html"));
    }

    /// The status, and the code of an error for programs.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        let code = json["error"].as_str().unwrap_or_default();
        assert_eq!(self.header("cache-control"), "no-store");
        (self.status.as_u16(), code.to_owned())
    }

    /// The hidden fields of the page's form.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let inputs = self.body.split("<input type=\"hidden\" name=\"").skip(1);
        let field = |input: &str| {
            let (name, rest) = input.split_once("\" value=\"")?;
            let (value, _) = rest.split_once('"')?;
            Some((name.to_owned(), unescaped(value)))
        };
        inputs.filter_map(field).collect()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let fields = self.fields();
        let found = fields.into_iter().find(|(known, _)| known == name);
        found.expect(&self.body).1
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
