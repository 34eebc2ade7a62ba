//! What stands between consent and connection. What a connection is and does afterwards is tested from
//! outside, in `tests/access/`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::codes::CodeState;
use super::{Consented, NewConnection, RegisteredClient, TakenCode};
use crate::audit::{AuditAction, AuditFilter};
use crate::clock::Timestamp;
use crate::context::{Brief, KeyContext, Shown};
use crate::error::ErrorKind;
use crate::key::{
    Carrier, CodeId, CredentialId, KeyInfo, KeyStatus, McpRules, Owner, Role, ScopeSet, Servers,
    Subject, SubjectKind,
};
use crate::keys::ApiKeys;
use crate::manager::{KeyManager, NewKey, Principal, Renewal};
use crate::store::{AuditPage, DocumentPage, KeyFilter, KeyStore, MemoryStore, PageRequest};
use crate::testing::ManualClock;
use crate::verify::Argon2Params;

const NOW: Timestamp = Timestamp::from_millis(1_789_900_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Office {
    keys: ApiKeys,
    clock: ManualClock,
}

impl Office {
    async fn on(store: impl KeyStore) -> Self {
        let clock = ManualClock::at(NOW);
        let keys = ApiKeys::builder(store)
            .argon2(Argon2Params::new(8, 1, 1).unwrap())
            .clock(clock.clone());
        let keys = keys.build().await.unwrap();
        Self { keys, clock }
    }

    async fn in_memory() -> (Self, MemoryStore) {
        let store = MemoryStore::new();
        (Self::on(store.clone()).await, store)
    }

    fn manager(&self) -> &KeyManager {
        self.keys.manager()
    }

    fn code(&self) -> (String, CodeId) {
        let (code, id) = self.manager().make_code();
        (code.to_string(), id)
    }

    async fn put(&self) -> CodeId {
        let (_, id) = self.code();
        self.manager().put_code(&id, &consented()).await.unwrap();
        id
    }

    async fn take(&self, id: &CodeId) -> TakenCode {
        self.manager().take_code(id).await.unwrap()
    }

    async fn take_fresh(&self, id: &CodeId) -> NewConnection {
        match self.take(id).await {
            TakenCode::Fresh(consented) => consented.into_connection(id),
            other => panic!("{other:?}"),
        }
    }

    /// The context of a request that was admitted with this key.
    async fn context(&self, key: &str) -> KeyContext {
        let request = http::Request::builder().header("x-api-key", key);
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let here = crate::client_ip::PeerAddr("127.0.0.1:4711".parse().unwrap());
        head.extensions.insert(here);
        let layer = self.keys.layer().any_server();
        let _permit = layer.gate().admit(&mut head).await.unwrap();
        head.extensions.remove().unwrap()
    }
}

fn new() -> NewConnection {
    let client = "https://assistant.example/client".parse().unwrap();
    NewConnection::new("ada".parse().unwrap(), client)
        .servers(Servers::only(["files"]).unwrap())
        .scopes(ScopeSet::parse(["files:read"]).unwrap())
        .resource("https://mcp.example/files")
}

fn consented() -> Consented {
    Consented::new(new(), "http://127.0.0.1:1/callback", "challenge")
}

/// A key as a handler would see it.
#[derive(Debug)]
struct Presented(KeyInfo);

impl Shown for Presented {
    fn key(&self) -> &KeyInfo {
        &self.0
    }

    fn brief(&self) -> Brief<'_> {
        Brief::of(&self.0)
    }

    fn credential(&self) -> CredentialId {
        CredentialId::FIRST
    }

    fn carrier(&self) -> Carrier {
        Carrier::Bearer
    }
}

async fn names(store: &impl KeyStore, kind: SubjectKind) -> Vec<Subject> {
    let page = DocumentPage::first(1_000);
    let documents = store.documents(kind, &page).await.unwrap();
    documents.into_iter().map(|found| found.subject).collect()
}

/// How many of so many takers at once, spread over these offices, had the code.
async fn race(offices: &[&Office], id: CodeId, takers: usize) -> usize {
    let start = Arc::new(tokio::sync::Barrier::new(takers));
    let tasks: Vec<_> = (0..takers)
        .map(|number| {
            let manager = offices[number % offices.len()].manager().clone();
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                manager.take_code(&id).await
            })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(TakenCode::Fresh(_)) => fresh += 1,
            Ok(TakenCode::Reused) => {}
            // All the time somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => panic!("{other:?}"),
        }
    }
    fresh
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_is_taken_once_however_many_try() {
    let (office, _) = Office::in_memory().await;
    for _ in 0..20 {
        let id = office.put().await;
        assert_eq!(race(&[&office], id, 64).await, 1);
        assert_eq!(office.take(&id).await, TakenCode::Reused);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_is_taken_once_on_one_of_two_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let open = async || crate::store::SqliteStore::connect(&url).await.unwrap();
    let one = Office::on(open().await).await;
    let other = Office::on(open().await).await;
    for _ in 0..3 {
        let id = one.put().await;
        assert_eq!(race(&[&one, &other], id, 64).await, 1);
        assert_eq!(other.take(&id).await, TakenCode::Reused);
    }
}

#[tokio::test]
async fn a_code_that_is_presented_again_ends_its_connection() {
    let (office, _) = Office::in_memory().await;
    let manager = office.manager();
    let id = office.put().await;
    let tokens = manager.connect(office.take_fresh(&id).await).await.unwrap();
    let key = tokens.info().id;
    assert_eq!(key, id.key());
    office.clock.advance(9 * MINUTE);
    assert_eq!(office.take(&id).await, TakenCode::Reused);
    let revoked = manager.get(key).await.unwrap();
    let KeyStatus::Revoked { reason, .. } = revoked.status else {
        panic!("{revoked:?}");
    };
    assert_eq!(reason.as_deref(), Some("authorization code used twice"));
    // And again: it stays so.
    assert_eq!(office.take(&id).await, TakenCode::Reused);

    // Ten minutes after it was used nothing is known of it any more, nor any harm done.
    let id = office.put().await;
    let tokens = manager.connect(office.take_fresh(&id).await).await.unwrap();
    office.clock.advance(10 * MINUTE);
    assert_eq!(office.take(&id).await, TakenCode::Unknown);
    let info = manager.get(tokens.info().id).await.unwrap();
    assert_eq!(info.status, KeyStatus::Active);
}

#[tokio::test]
async fn a_code_that_is_presented_again_while_its_connection_is_made_ends_that_too() {
    let (office, _) = Office::in_memory().await;
    let id = office.put().await;
    let new = office.take_fresh(&id).await;
    assert_eq!(office.take(&id).await, TakenCode::Reused);
    let refused = office.manager().connect(new).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let info = office.manager().get(id.key()).await.unwrap();
    assert!(matches!(info.status, KeyStatus::Revoked { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_connection_outlives_a_second_presentation_of_its_code() {
    let (office, _) = Office::in_memory().await;
    for _ in 0..50 {
        let id = office.put().await;
        let new = office.take_fresh(&id).await;
        let (maker, thief) = (office.manager().clone(), office.manager().clone());
        let making = tokio::spawn(async move { maker.connect(new).await });
        let taking = tokio::spawn(async move { thief.take_code(&id).await });
        let made = making.await.unwrap();
        assert_eq!(taking.await.unwrap().unwrap(), TakenCode::Reused);
        let info = office.manager().get(id.key()).await.unwrap();
        assert!(
            matches!(info.status, KeyStatus::Revoked { .. }),
            "{:?}",
            made.map(|tokens| tokens.info().id)
        );
    }
}

#[tokio::test]
async fn a_code_lives_for_a_minute_and_makes_one_connection() {
    let (office, _) = Office::in_memory().await;
    let late = office.put().await;
    office.clock.advance(59 * SECOND);
    let in_time = office.put().await;
    office.clock.advance(SECOND);
    assert_eq!(office.take(&late).await, TakenCode::Unknown);
    assert_eq!(office.take(&office.code().1).await, TakenCode::Unknown);
    let new = office.take_fresh(&in_time).await;
    let _first = office.manager().connect(new.clone()).await.unwrap();
    let second = office.manager().connect(new).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    // A second consent of the same name there is none either.
    let twice = office.manager().put_code(&in_time, &consented()).await;
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn codes_that_are_over_are_removed_a_few_at_a_time() {
    let (office, store) = Office::in_memory().await;
    for _ in 0..10 {
        let id = office.put().await;
        let _ = office.take(&id).await;
    }
    office.clock.advance(11 * MINUTE);
    office.put().await;
    assert_eq!(names(&store, SubjectKind::Code).await.len(), 11);
    office.clock.advance(MINUTE);
    for left in [8, 5, 4, 5] {
        office.put().await;
        assert_eq!(names(&store, SubjectKind::Code).await.len(), left);
    }
}

#[tokio::test]
async fn nobody_consents_to_more_than_they_may() {
    let (office, _) = Office::in_memory().await;
    let manager = office.manager();
    let files = "files".parse().unwrap();
    let owner = Owner::member("ada".parse().unwrap()).server(files);
    let owner = owner.scope("files:*".parse().unwrap());
    let owner = manager.put_owner(owner).await.unwrap();
    let ada = manager.principal_of(&owner.id).await.unwrap();
    let field = async |manager: &KeyManager, new: NewConnection| {
        let consented = Consented::new(new, "http://127.0.0.1:1/", "c");
        let refused = manager.put_code(&office.code().1, &consented).await;
        refused.map_err(|error| (error.kind(), error.field()))
    };
    let forbidden = |field| Err((ErrorKind::Forbidden, Some(field)));
    let as_ada = manager.acting_as(ada.clone());
    assert_eq!(field(&as_ada, new()).await, Ok(()));
    for manager in [&as_ada, manager] {
        assert_eq!(
            field(manager, new().full_access()).await,
            forbidden("access")
        );
    }
    let wide = new().scopes(ScopeSet::parse(["*"]).unwrap());
    assert_eq!(field(&as_ada, wide).await, forbidden("scopes"));
    let wide = new().servers(Servers::only(["files", "mail"]).unwrap());
    assert_eq!(field(&as_ada, wide).await, forbidden("servers"));
    let bob = manager.acting_as(Principal::member("bob".parse().unwrap()));
    assert_eq!(field(&bob, new()).await, forbidden("owner"));

    // By a key: no more than that key.
    let key = NewKey::named("narrow").owner("ada").server("files");
    let key = key.scope("files:read").unwrap().read_only();
    let key = manager.issue(key).await.unwrap();
    let context = office.context(key.key().expose_secret()).await;
    let narrow = manager.acting_as(ada.clone().by_key(&context));
    assert_eq!(field(&narrow, new()).await, Ok(()));
    let wide = new().scopes(ScopeSet::parse(["files:*"]).unwrap());
    assert_eq!(field(&as_ada, wide.clone()).await, Ok(()));
    assert_eq!(field(&narrow, wide).await, forbidden("scopes"));
    let wide = new().servers(Servers::All);
    assert_eq!(field(&as_ada, wide.clone()).await, Ok(()));
    assert_eq!(field(&narrow, wide).await, forbidden("servers"));

    // What cannot be refused to a program is handed down to it.
    let end = NOW.saturating_add(60 * MINUTE);
    let rules = McpRules::default().deny_tool("rm_*".parse().unwrap());
    let key = NewKey::named("bounded").owner("ada").server("files");
    let key = key.scope("files:read").unwrap().expires_at(end);
    let key = key.mcp(rules.clone());
    let key = key.allow_from("127.0.0.0/8".parse().unwrap());
    let key = manager.issue(key).await.unwrap();
    let context = office.context(key.key().expose_secret()).await;
    let bounded = manager.acting_as(ada.clone().by_key(&context));
    let (_, id) = office.code();
    bounded.put_code(&id, &consented()).await.unwrap();
    let tokens = as_ada.connect(office.take_fresh(&id).await).await.unwrap();
    assert_eq!(tokens.info().mcp, rules);
    assert_eq!(tokens.info().networks, key.info().networks);
    assert_eq!(tokens.info().expires_at, Some(end));
    office.clock.advance(30 * MINUTE);
    let client = tokens.info().connection.as_ref().unwrap().client.clone();
    let renewal = manager.renew(&client, tokens.refresh_token()).await;
    let Renewal::Tokens(next) = renewal.unwrap() else {
        panic!("not renewed");
    };
    assert_eq!(next.info().expires_at, Some(end));
    assert_eq!(next.expires_in(), 30 * MINUTE);
    // One that must sign its requests can hand that down to no program.
    let key = NewKey::named("signing").owner("ada").server("files");
    let key = manager.issue(key.scope("*").unwrap().signed_only()).await;
    let by = Presented(key.unwrap().info().clone());
    let by = ada.by_key(&KeyContext::new(Arc::new(by)));
    assert_eq!(
        field(&manager.acting_as(by), new()).await,
        forbidden("signing")
    );

    // Whoever is suspended after they consented gets nothing.
    let (_, id) = office.code();
    as_ada.put_code(&id, &consented()).await.unwrap();
    let new = office.take_fresh(&id).await;
    manager.suspend_owner(&owner.id).await.unwrap();
    let refused = manager.connect(new).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn whoever_is_no_admin_any_more_does_not_get_the_full_access_they_chose() {
    let (office, _) = Office::in_memory().await;
    let manager = office.manager();
    let ada = Owner::admin("ada".parse().unwrap());
    let mut ada = manager.put_owner(ada).await.unwrap();
    let (_, id) = office.code();
    let consented = Consented::new(new().full_access(), "http://127.0.0.1:1/", "c");
    manager.put_code(&id, &consented).await.unwrap();
    let new = office.take_fresh(&id).await;
    ada.role = Role::Member;
    manager.put_owner(ada).await.unwrap();
    let refused = manager.connect(new).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (ErrorKind::Forbidden, Some("access"))
    );
}

#[tokio::test]
async fn programs_are_kept_until_they_expire_counted_and_removed() {
    let (office, store) = Office::in_memory().await;
    let manager = office.manager();
    let register = async |lifetime| {
        let now = office.keys.clock().now().wall;
        let mut client = RegisteredClient::new(vec!["http://127.0.0.1/".into()], now, lifetime);
        client.name = Some("Assistant".to_owned());
        client
            .metadata
            .insert("grant_types".into(), json!(["authorization_code"]));
        manager.put_client(&client).await.unwrap();
        client
    };
    assert_eq!(manager.count_clients(10).await.unwrap(), 0);
    let mut first = register(60 * MINUTE).await;
    assert_eq!(
        manager.client(&first.id).await.unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(
        manager.client(&"other".parse().unwrap()).await.unwrap(),
        None
    );
    for _ in 0..20 {
        register(MINUTE).await;
    }
    // Those of this node are counted at once.
    assert_eq!(manager.count_clients(100).await.unwrap(), 21);
    assert_eq!(manager.count_clients(5).await.unwrap(), 5);
    first.name = None;
    manager.put_client(&first).await.unwrap();
    assert_eq!(manager.count_clients(100).await.unwrap(), 21);
    assert_eq!(
        manager.client(&first.id).await.unwrap().as_ref(),
        Some(&first)
    );

    office.clock.advance(2 * MINUTE);
    for _ in 0..6 {
        register(60 * MINUTE).await;
    }
    assert_eq!(names(&store, SubjectKind::Client).await.len(), 7);
    assert_eq!(manager.count_clients(100).await.unwrap(), 7);
    office.clock.advance(60 * MINUTE);
    assert_eq!(manager.client(&first.id).await.unwrap(), None);
}

/// The whole way, with everything that could be read afterwards.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn neither_codes_nor_tokens_nor_their_hashes_are_to_be_found_anywhere() {
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = Arc::new(crate::store::SqliteStore::connect(&url).await.unwrap());
    let office = Office::on(Arc::clone(&store)).await;
    let manager = office.manager();
    let (code, id) = office.code();
    manager.put_code(&id, &consented()).await.unwrap();
    let first = manager.connect(office.take_fresh(&id).await).await.unwrap();
    let key = first.info().id;
    let client = first.info().connection.clone().unwrap().client;
    let renewal = manager.renew(&client, first.refresh_token()).await.unwrap();
    let Renewal::Tokens(second) = renewal else {
        panic!("{renewal:?}");
    };
    assert!(
        manager
            .drop_token(&client, second.key().expose_secret())
            .await
            .unwrap()
    );
    let record = store.get(key).await.unwrap().unwrap();
    let grant = serde_json::to_value(record.grant.as_deref().unwrap()).unwrap();
    let shown = format!("{first:?} {second:?} {record:?}");
    let _ = manager.renew(&client, first.refresh_token()).await.unwrap();
    let _ = manager.take_code(&id).await.unwrap();

    let all = AuditFilter::default();
    let trail = manager.audit(&all, AuditPage::newest(100));
    let trail = trail.await.unwrap();
    let acts: Vec<_> = trail.iter().rev().map(|entry| entry.action).collect();
    use AuditAction::{Connected, Consented, Exchanged, Renewed, Reused, Updated};
    assert_eq!(
        acts,
        [
            Consented, Exchanged, Connected, Renewed, Updated, Reused, Reused
        ]
    );
    let trail = serde_json::to_string(&trail).unwrap();
    let all = KeyFilter::all();
    let listed = manager.list(&all, PageRequest::default()).await.unwrap();
    let listed = serde_json::to_string(&listed.keys).unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("used twice"));

    let places = [trail, listed, shown, log];
    for hash in ["root", "secret"] {
        let hash = grant[hash].as_str().unwrap();
        assert_eq!(hash.len(), 64);
        assert!(places.iter().all(|place| !place.contains(&hash[..16])));
    }
    let mut secrets = vec![code[8..].to_owned()];
    for tokens in [&first, &*second] {
        let key = tokens.key().expose_secret();
        secrets.push(key["mcp_sk_".len() + 8..key.len() - 6].to_owned());
        secrets.extend(tokens.refresh_token()[27..].split('_').map(str::to_owned));
    }
    let mut places: Vec<_> = places.map(String::into_bytes).into();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        places.push(std::fs::read(file.unwrap().path()).unwrap());
    }
    for secret in secrets {
        for run in secret.as_bytes().windows(8) {
            for place in &places {
                assert!(!place.windows(8).any(|other| other == run), "{run:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_renewed_for_years_leaves_few_notes_of_its_use() {
    let (office, store) = Office::in_memory().await;
    let manager = office.manager();
    let first = manager.connect(new()).await.unwrap();
    let client = first.info().connection.clone().unwrap().client;
    let mut token = first.refresh_token().to_owned();
    let mut keys = vec![first.key().expose_secret().to_owned()];
    for _ in 0..40 {
        // The clock stands still: a number that comes again is another secret all the same.
        let renewal = manager.renew(&client, &token).await.unwrap();
        let Renewal::Tokens(next) = renewal else {
            panic!("{renewal:?}");
        };
        next.refresh_token().clone_into(&mut token);
        keys.push(next.key().expose_secret().to_owned());
        office.context(&keys[keys.len() - 1]).await;
        office.keys.flush().await.unwrap();
    }
    let id = first.info().id;
    assert_eq!(store.uses(&[id]).await.unwrap().len(), 16);
    let gate = office.keys.layer().any_server().gate().clone();
    for (number, key) in keys.iter().enumerate() {
        let request = http::Request::builder().header("x-api-key", key);
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(gate.admit(&mut head).await.is_ok(), number > 36, "{number}");
    }
}

#[tokio::test]
async fn the_document_of_a_used_code_says_nothing_of_what_was_consented_to() {
    let (office, store) = Office::in_memory().await;
    let id = office.put().await;
    let _ = office.take(&id).await;
    let document = store.document(&Subject::Code(id)).await.unwrap().unwrap();
    let used = CodeState::Used {
        at: NOW,
        again: false,
    };
    assert_eq!(document.body, serde_json::to_value(&used).unwrap());
}
