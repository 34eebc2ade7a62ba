//! The API and the page let the same callers do the same things: what the scopes of their key, its
//! owner's role and whose thing it is say together.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use mcp_api_keys::admin::{AdminApi, AdminPage};
use mcp_api_keys::alert::{Alert, AlertLedger, AlertRule};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::{KeyId, Owner, Plan};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, Grace, NewKey};
use tower::ServiceExt;

use crate::world::{Browser, HERE, NOW, World, light};

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    /// Everybody: members see what is theirs.
    All,
    /// Whoever the key belongs to, and admins.
    ItsOwner,
    Admins,
}

/// Something that is asked for in both ways.
#[derive(Debug)]
struct Asked {
    scope: &'static str,
    whom: For,
    /// Method, path and body.
    api: (&'static str, &'static str, &'static str),
    /// The path, and the fields of the form if one is sent.
    page: (
        &'static str,
        Option<&'static [(&'static str, &'static str)]>,
    ),
}

impl Asked {
    fn changes(&self) -> bool {
        self.api.0 != "GET"
    }
}

/// What can be seen, under the same path in both.
const fn see(scope: &'static str, whom: For, path: &'static str) -> Asked {
    Asked {
        scope,
        whom,
        api: ("GET", path, ""),
        page: (path, None),
    }
}

const fn act(
    scope: &'static str,
    whom: For,
    api: (&'static str, &'static str, &'static str),
    page: &'static str,
    fields: &'static [(&'static str, &'static str)],
) -> Asked {
    Asked {
        scope,
        whom,
        api,
        page: (page, Some(fields)),
    }
}

/// Every act that there is in both ways.
const ACTS: [Asked; 26] = [
    see("keys:read", For::All, "/keys"),
    see("keys:read", For::ItsOwner, "/keys/{key}"),
    see("keys:read", For::All, "/connections"),
    see("keys:read", For::All, "/safety"),
    see("plans:read", For::All, "/plans"),
    see("usage:read", For::All, "/usage"),
    see("alerts:read", For::All, "/alerts"),
    see("owners:read", For::Admins, "/owners"),
    see("audit:read", For::Admins, "/audit"),
    act(
        "keys:write",
        For::All,
        ("POST", "/keys", r#"{"name": "new"}"#),
        "/keys/new",
        &[
            ("once", "{once}"),
            ("name", "new"),
            ("status", "active"),
            ("reach", "some"),
            ("access", "full"),
            ("expiry", "never"),
            ("signing", "by-layer"),
        ],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("PATCH", "/keys/{key}", r#"{"name": "changed"}"#),
        "/keys/{key}/edit",
        &[
            ("revision", "{revision}"),
            ("name", "changed"),
            ("reach", "some"),
            ("access", "full"),
            ("expiry", "keep"),
            ("signing", "by-layer"),
        ],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/keys/{key}/disable", ""),
        "/keys/{key}/disable",
        &[],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/keys/{key}/enable", ""),
        "/keys/{key}/enable",
        &[],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/keys/{key}/rotate", ""),
        "/keys/{key}/renew",
        &[("once", "{once}"), ("grace", "none")],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/keys/{key}/end-grace", ""),
        "/keys/{key}/end-grace",
        &[],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/keys/{key}/revoke", ""),
        "/keys/{key}/revoke",
        &[],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("DELETE", "/keys/{key}", ""),
        "/keys/{key}/delete",
        &[("name", "{name}")],
    ),
    act(
        "keys:write",
        For::ItsOwner,
        ("POST", "/connections/{key}/disconnect", ""),
        "/keys/{key}/disconnect",
        &[],
    ),
    act(
        "alerts:write",
        For::ItsOwner,
        ("POST", "/alerts/{key}/idle/acknowledge", ""),
        "/alerts/acknowledge",
        &[("key", "{key}"), ("rule", "idle")],
    ),
    act(
        "owners:write",
        For::Admins,
        ("PUT", "/owners/new-{name}", r#"{"role": "member"}"#),
        "/owners/edit",
        &[
            ("id", "new-{name}"),
            ("role", "member"),
            ("reach", "some"),
            ("access", "full"),
        ],
    ),
    act(
        "owners:write",
        For::Admins,
        ("POST", "/owners/{name}/suspend", ""),
        "/owners/suspend",
        &[("id", "{name}")],
    ),
    act(
        "owners:write",
        For::Admins,
        ("POST", "/owners/{name}/resume", ""),
        "/owners/resume",
        &[("id", "{name}")],
    ),
    act(
        "owners:write",
        For::Admins,
        ("DELETE", "/owners/{name}", ""),
        "/owners/remove",
        &[("id", "{name}")],
    ),
    act(
        "plans:write",
        For::Admins,
        ("PUT", "/plans/new-{name}", "{}"),
        "/plans/edit",
        &[("name", "new-{name}")],
    ),
    act(
        "plans:write",
        For::Admins,
        ("PUT", "/plans/{name}", "{}"),
        "/plans/edit",
        &[("name", "{name}"), ("revision", "{plan}")],
    ),
    act(
        "plans:write",
        For::Admins,
        ("DELETE", "/plans/{name}", ""),
        "/plans/remove",
        &[("name", "{name}")],
    ),
];

const SCOPES: [&str; 10] = [
    "keys:read",
    "keys:write",
    "owners:read",
    "owners:write",
    "plans:read",
    "plans:write",
    "usage:read",
    "audit:read",
    "alerts:read",
    "alerts:write",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum As {
    Admin,
    Bob,
    /// Neither the API nor the page does anything for them.
    Nobody,
}

/// Somebody who asks.
#[derive(Debug)]
struct Caller {
    what: &'static str,
    key: NewKey,
    scopes: Vec<&'static str>,
    reads_only: bool,
    is: As,
}

fn callers() -> Vec<Caller> {
    let caller = |what, owner: Option<&str>, scopes: &[&'static str], is| {
        let named = NewKey::named(what).all_servers();
        let owned = match owner {
            Some(owner) => named.owner(owner),
            None => named,
        };
        let with = |key: NewKey, scope: &&str| key.scope(scope).unwrap();
        Caller {
            what,
            key: scopes.iter().fold(owned, with),
            scopes: scopes.to_vec(),
            reads_only: false,
            is,
        }
    };
    let all = [&SCOPES[..], &["keys:admin"]].concat();
    let mut reader = caller("an admin who only reads", Some("ada"), &["*"], As::Admin);
    reader.key = reader.key.read_only();
    reader.reads_only = true;
    let mut of_a_server = caller("a key for one server", None, &[], As::Nobody);
    of_a_server.key = NewKey::named("star").owner("ada").server("files");
    of_a_server.key = of_a_server.key.scope("*").unwrap();
    let mut callers = vec![
        caller("an admin", Some("ada"), &["*"], As::Admin),
        caller("an admin by each scope", Some("ada"), &all, As::Admin),
        reader,
        of_a_server,
        caller("a key of no owner", None, &["*"], As::Admin),
        caller("a key of no owner and reach", None, &SCOPES, As::Nobody),
        caller("a member", Some("bob"), &SCOPES, As::Bob),
        caller("a member who would be more", Some("bob"), &all, As::Bob),
    ];
    for scope in SCOPES {
        let scopes = ["keys:read", "keys:admin", scope];
        callers.push(caller(scope, Some("ada"), &scopes, As::Admin));
    }
    callers
}

impl Caller {
    /// Whether it is to be done for them, if it is about a key of this owner's.
    fn may(&self, asked: &Asked, owner: &str) -> bool {
        let has_scope = self
            .scopes
            .iter()
            .any(|held| [asked.scope, "*"].contains(held));
        let may_change = !asked.changes() || !self.reads_only;
        let is_theirs = match self.is {
            As::Admin => true,
            As::Bob => asked.whom == For::All || asked.whom == For::ItsOwner && owner == "bob",
            As::Nobody => false,
        };
        has_scope && may_change && is_theirs
    }
}

struct Both {
    world: World,
    api: Router,
    store: MemoryStore,
    made: u32,
}

impl Both {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let clock = ManualClock::at(NOW);
        let keys = light(ApiKeys::builder(store.clone())).clock(clock.clone());
        let keys = keys.alert_ledger(store.clone()).usage(store.clone());
        let keys = keys.build().await.unwrap();
        let star = || "*".parse().unwrap();
        for owner in [
            Owner::admin("ada".parse().unwrap()).all_servers(),
            Owner::member("bob".parse().unwrap()).all_servers(),
            Owner::member("cyd".parse().unwrap()).all_servers(),
        ] {
            keys.manager().put_owner(owner.scope(star())).await.unwrap();
        }
        let page = AdminPage::new(&keys).into_router();
        let api = AdminApi::new(&keys).into_router();
        let world = World { keys, clock, page };
        Self {
            world,
            api,
            store,
            made: 0,
        }
    }

    /// Something to be asked for, which nobody has touched: a connection of `owner`'s in the grace of a
    /// rotation, with an alert, and an owner and a plan that no key names. What is to be put in for it.
    async fn thing(&mut self, owner: &str) -> Vec<(&'static str, String)> {
        self.made += 1;
        let name = format!("t{}", self.made);
        let manager = self.world.keys.manager();
        let new = NewKey::named(&*name).owner(owner).connection("a-program");
        let key: KeyId = manager.issue(new).await.unwrap().info().id;
        let grace = Grace::For(Duration::from_secs(3_600));
        let revision = manager.rotate_with(key, grace).await.unwrap();
        let revision = revision.info().revision.to_string();
        let alert = Alert::new(key, AlertRule::Idle, NOW, 95, 90);
        self.store.put(&[alert]).await.unwrap();
        let other = Owner::member(name.parse().unwrap());
        manager.put_owner(other).await.unwrap();
        let plan = manager.put_plan(Plan::new(name.parse().unwrap())).await;
        vec![
            ("{key}", key.to_string()),
            ("{revision}", revision),
            ("{plan}", plan.unwrap().revision.to_string()),
            ("{once}", format!("{name:0>64}")),
            ("{name}", name),
        ]
    }

    async fn by_api(&self, key: &str, asked: &Asked, thing: &[(&str, String)]) -> StatusCode {
        let (method, path, body) = asked.api;
        let here = PeerAddr((HERE.parse::<std::net::IpAddr>().unwrap(), 1).into());
        let mut request = Request::builder()
            .method(method)
            .uri(filled(path, thing))
            .header(AUTHORIZATION, format!("Bearer {key}"))
            .extension(here);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(body)).unwrap();
        self.api.clone().oneshot(request).await.unwrap().status()
    }

    async fn by_page(
        browser: &mut Browser,
        token: &str,
        asked: &Asked,
        thing: &[(&str, String)],
    ) -> StatusCode {
        let (path, fields) = asked.page;
        let path = filled(path, thing);
        let Some(fields) = fields else {
            return browser.get(&path).await.status;
        };
        let fields = fields
            .iter()
            .map(|(name, value)| (*name, filled(value, thing)));
        let fields: Vec<_> = [("token", token.to_owned())]
            .into_iter()
            .chain(fields)
            .collect();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        browser.post_raw(&path, &fields).await.status
    }
}

fn filled(template: &str, thing: &[(&str, String)]) -> String {
    let fill = |text: String, (name, value): &(&str, String)| text.replace(name, value);
    thing.iter().fold(template.to_owned(), fill)
}

/// Whether it was done; nothing else than a refusal keeps it from that.
fn is_done(status: StatusCode) -> bool {
    match status.as_u16() {
        200 | 201 | 303 => true,
        403 | 404 => false,
        _ => panic!("{status}"),
    }
}

#[tokio::test]
async fn both_do_the_same_for_the_same_callers() {
    let mut both = Both::new().await;
    let mut done = 0;
    for caller in callers() {
        let what = caller.what;
        let issued = both.world.keys.manager().issue(caller.key.clone()).await;
        let issued = issued.unwrap();
        let key = issued.key().expose_secret();
        let mut browser = both.world.browser();
        let sign_in = browser.sign_in(key).await.status;
        let is_in = sign_in == StatusCode::SEE_OTHER;
        assert_eq!(is_in, caller.is != As::Nobody, "{what}: {sign_in}");
        let token = match is_in {
            true => browser.token().await,
            false => String::new(),
        };
        for asked in &ACTS {
            for owner in ["bob", "cyd"] {
                let may = caller.may(asked, owner);
                let told = format!("{what}, {owner}'s: {asked:?}");
                let thing = both.thing(owner).await;
                let status = both.by_api(key, asked, &thing).await;
                assert_eq!(is_done(status), may, "API, {status}: {told}");
                if is_in {
                    let thing = both.thing(owner).await;
                    let status = Both::by_page(&mut browser, &token, asked, &thing).await;
                    assert_eq!(is_done(status), may, "page, {status}: {told}");
                }
                done += usize::from(may);
            }
        }
    }
    assert!(done > 200, "{done}");
}
