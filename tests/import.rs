//! Keys of other systems: taken over by their hash, verified by its scheme, upgraded when used.

#![cfg(all(feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/backends.rs"]
mod backends;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use mcp_api_keys::audit::{AuditAction, AuditFilter};
use mcp_api_keys::key::{KeyFormat, KeyRecord, KeyStatus, Servers};
use mcp_api_keys::store::{AuditPage, KeyFilter, KeyStore, MemoryStore, PageRequest};
use mcp_api_keys::testing::{Call, Fault, FaultyStore, ManualClock, act};
use mcp_api_keys::{
    ApiKeys, ApiKeysBuilder, Argon2Params, Clock, ErrorKind, Grace, ImportKey, KeyUpdate, NewKey,
    Pepper, Principal, RateLimit, RejectionKind, Timestamp,
};
use sha2::{Digest, Sha256};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A key, and its hashes as other implementations made them.
const KEY: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
const HANDLE: &str = "ATgKlpEa";
const ARGON2ID: &str = "$argon2id$v=19$m=64,t=2,p=1$WgH7+z8tVvvDGFnZ+Eog5Q$WHwC7NHBv5Ev3yy7HgZEpDBDch/8HToat1EmGHivfDI";
const BCRYPT: &str = "$2b$05$.YVzajYc9RzE3Mx3ZDyQj.9PGee3ADPdHYqP4WmZnEN6Wt6luisom";
const SHA256: &str = "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";
const FOREIGN: [&str; 6] = [
    SHA256,
    "sha256:ou6eHTgYZLLai2OiL3eBeNXKr4lRFDsWJ4gl+hSZDuw=",
    "sha256:ou6eHTgYZLLai2OiL3eBeNXKr4lRFDsWJ4gl-hSZDuw",
    BCRYPT,
    "$2a$05$YWc2WIuCq.ih1EutTvtefeBbFreq1Znj7H6/BFcMwvyv5aZGGHqsq",
    "$2y$05$YWc2WIuCq.ih1EutTvtefeBbFreq1Znj7H6/BFcMwvyv5aZGGHqsq",
];

/// Formats of systems that keys come from.
fn plain() -> KeyFormat {
    KeyFormat::new("old_").unwrap().without_checksum()
}

fn builder(store: impl KeyStore) -> ApiKeysBuilder {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .accept_format(plain())
        .failure_limit(None)
}

/// A process that remembers nothing yet.
async fn node(store: impl KeyStore) -> ApiKeys {
    builder(store).build().await.unwrap()
}

async fn timed(store: impl KeyStore) -> (ApiKeys, ManualClock) {
    let clock = ManualClock::at(NOW);
    let keys = builder(store).clock(clock.clone()).build().await.unwrap();
    (keys, clock)
}

fn pepper() -> Pepper {
    Pepper::new("p1", &[7; 32]).unwrap()
}

async fn each_store() -> Vec<Arc<dyn KeyStore>> {
    let stores = backends::each_store().await;
    stores.into_iter().map(|(_, store)| store.into()).collect()
}

fn old_key(hash: &str) -> ImportKey {
    NewKey::named("old").all_servers().import(HANDLE, hash)
}

/// The key of the plain format with this handle and the secret that people count on their fingers.
fn weak_key(handle: &str) -> (String, String) {
    let key = format!("old_{handle}000000000000000000001234");
    let hash = Sha256::digest(key.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (key, format!("sha256:{hex}"))
}

/// Presents a key; nothing if it is admitted.
async fn refusal(keys: &ApiKeys, key: &str) -> Option<RejectionKind> {
    refusal_by(keys, "files", key).await
}

async fn refusal_by(keys: &ApiKeys, server: &str, key: &str) -> Option<RejectionKind> {
    let request = http::Request::builder().header("x-api-key", key);
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let layer = keys.layer().server(server);
    let admitted = layer.gate().admit(&mut head).await;
    admitted.err().map(|rejection| rejection.kind())
}

/// Genuine but for one letter of the secret, its checksum right.
fn wrong_secret() -> String {
    let format = KeyFormat::default();
    for letter in ('a'..='z').chain('A'..='Z').chain('0'..='9') {
        // The checksum is for typos; here it is made to fit.
        let body = format!("mcp_sk_{HANDLE}{letter}S64QGLizLFNWgSzNfDmYl2D");
        let key = format!("{body}{}", checksum(&body));
        if key != KEY && format.parse(key.as_bytes()).is_ok() {
            return key;
        }
    }
    panic!("the checksum is computed wrongly");
}

fn checksum(body: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = crc32fast::hash(body.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(DIGITS[number as usize % 62]);
        number /= 62;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

/// Waits for what must happen soon.
async fn soon(event: impl Future<Output = ()>) {
    let patience = Duration::from_secs(20);
    let outcome = tokio::time::timeout(patience, event).await;
    outcome.expect("it happens soon");
}

async fn stored(store: &impl KeyStore, handle: &str) -> KeyRecord {
    store.find_by_handle(handle).await.unwrap().unwrap()
}

fn has_tag(record: &KeyRecord) -> bool {
    record.credentials.iter().any(|known| known.tag().is_some())
}

#[tokio::test]
async fn the_right_key_passes_and_upgrades_its_hash_and_wrong_ones_do_neither() {
    for hash in FOREIGN {
        for store in each_store().await {
            let keys = node(Arc::clone(&store)).await;
            let info = keys.manager().import(old_key(hash)).await.unwrap();

            let wrong = wrong_secret();
            let refused = refusal(&keys, &wrong).await;
            assert_eq!(refused, Some(RejectionKind::WrongSecret), "{hash}");
            assert_eq!(stored(&store, HANDLE).await.credentials[0].hash, hash);

            assert_eq!(refusal(&keys, KEY).await, None, "{hash}");
            let record = stored(&store, HANDLE).await;
            let credential = &record.credentials[0];
            assert!(
                credential.hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
                "{hash}"
            );
            assert!(credential.is_imported() && credential.tag().is_none());
            assert_eq!(credential.verifier, None);
            assert_eq!(record.revision, info.revision);
            assert_eq!(store.revision().await.unwrap(), info.revision);

            // It was proven once and stays proven; a cold process goes by the new hash.
            let hashes = keys.stats().slow_hashes;
            assert_eq!(refusal(&keys, KEY).await, None);
            assert_eq!(keys.stats().slow_hashes, hashes);
            let cold = node(Arc::clone(&store)).await;
            assert_eq!(refusal(&cold, KEY).await, None);
            assert_eq!(cold.stats().slow_hashes, 1);
            let refused = refusal(&cold, &wrong).await;
            assert_eq!(refused, Some(RejectionKind::WrongSecret));
            assert_eq!(stored(&store, HANDLE).await, record);
        }
    }
}

#[tokio::test]
async fn sha256_needs_the_pool_for_its_upgrade_only() {
    let store = MemoryStore::new();
    let keys = node(store.clone()).await;
    keys.manager().import(old_key(SHA256)).await.unwrap();
    refusal(&keys, &wrong_secret()).await;
    assert_eq!(keys.stats().slow_hashes, 0);
    assert_eq!(refusal(&keys, KEY).await, None);
    assert_eq!(keys.stats().slow_hashes, 1);
}

#[tokio::test]
async fn an_imported_argon2id_hash_stays_as_it_is() {
    let store = MemoryStore::new();
    let keys = node(store.clone()).await;
    keys.manager().import(old_key(ARGON2ID)).await.unwrap();
    let before = stored(&store, HANDLE).await;
    let refused = refusal(&keys, &wrong_secret()).await;
    assert_eq!(refused, Some(RejectionKind::WrongSecret));
    assert_eq!(refusal(&keys, KEY).await, None);
    assert_eq!(stored(&store, HANDLE).await, before);
    assert!(!has_tag(&before) && before.credentials[0].is_imported());
}

#[tokio::test]
async fn with_a_pepper_one_write_brings_hash_and_code() {
    for hash in FOREIGN {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let store = Arc::new(store);
        let keys = builder(Arc::clone(&store)).pepper(pepper());
        let keys = keys.build().await.unwrap();
        keys.manager().import(old_key(hash)).await.unwrap();
        assert_eq!(refusal(&keys, KEY).await, None, "{hash}");
        assert_eq!(faults.calls_of(Call::Amend), 1);
        let record = stored(&store, HANDLE).await;
        assert!(record.credentials[0].hash.starts_with("$argon2id$"));
        assert!(record.credentials[0].verifier.is_some() && !has_tag(&record));

        // Neither the right key nor a wrong one costs a slow hash from now on.
        let cold = builder(Arc::clone(&store)).pepper(pepper());
        let cold = cold.build().await.unwrap();
        assert_eq!(refusal(&cold, KEY).await, None);
        let refused = refusal(&cold, &wrong_secret()).await;
        assert_eq!(refused, Some(RejectionKind::WrongSecret));
        assert_eq!(cold.stats().slow_hashes, 0);
        assert_eq!(faults.calls_of(Call::Amend), 1);

        // And without the pepper the key is not lost.
        let without = node(Arc::clone(&store)).await;
        assert_eq!(refusal(&without, KEY).await, None);
        assert_eq!(without.stats().slow_hashes, 1);
    }
}

#[tokio::test]
async fn a_weak_key_never_has_a_tag_until_a_rotation_makes_it_a_strong_one() {
    for store in each_store().await {
        let keys = builder(Arc::clone(&store)).pepper(pepper());
        let keys = keys.build().await.unwrap();
        let (key, hash) = weak_key("Counting");
        let import = NewKey::named("weak").all_servers().import("Counting", hash);
        let id = keys.manager().import(import).await.unwrap().id;
        assert!(!has_tag(&stored(&store, "Counting").await));
        assert_eq!(refusal(&keys, &key).await, None);
        let update = KeyUpdate::new().name("still weak");
        keys.manager().update(id, update).await.unwrap();
        let mut record = store.get(id).await.unwrap().unwrap();
        assert!(!has_tag(&record) && record.credentials[0].is_imported());
        let json = serde_json::to_string(&record).unwrap();
        assert!(json.contains(r#""tag":"never""#), "{json}");

        // Not even on purpose.
        let tag = Some(mcp_api_keys::key::Tag::new(1));
        assert!(!record.credentials[0].set_tag(tag));
        store.amend(&record).await.unwrap();
        assert!(!has_tag(&store.get(id).await.unwrap().unwrap()));

        let rotated = keys
            .manager()
            .rotate_with(id, Grace::For(DAY))
            .await
            .unwrap();
        let record = store.get(id).await.unwrap().unwrap();
        let tags: Vec<_> = record
            .credentials
            .iter()
            .map(|known| (known.is_imported(), known.tag().is_some()))
            .collect();
        assert_eq!(tags, [(true, false), (false, true)]);
        let new = rotated.key().expose_secret();
        assert_eq!(refusal(&keys, new).await, None);
        assert_eq!(refusal(&keys, &key).await, None);
    }
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused_at_import_by_field() {
    let (keys, _) = timed(MemoryStore::new()).await;
    let new = || NewKey::named("k");
    let bomb = ARGON2ID.replacen("m=64", "m=4194304", 1);
    let later = NOW.saturating_add(DAY);
    let cases = [
        (new().import(HANDLE, bomb), "hash"),
        (
            new().import(HANDLE, BCRYPT.replacen("$05$", "$31$", 1)),
            "hash",
        ),
        (
            new().import(HANDLE, BCRYPT.replacen("$05$", "$15$", 1)),
            "hash",
        ),
        (new().import(HANDLE, ""), "hash"),
        (new().import(HANDLE, KEY), "hash"),
        (new().import(HANDLE, "sha256:0123"), "hash"),
        (new().import("", SHA256), "handle"),
        (new().import("short", SHA256), "handle"),
        (new().import("ATgKlpEaB", SHA256), "handle"),
        (new().import("ATgK_pEa", SHA256), "handle"),
        (old_key(SHA256).prefix("new_"), "prefix"),
        (old_key(SHA256).prefix("mcp_sk_\u{7}"), "prefix"),
        (old_key(SHA256).created_at(later), "created_at"),
        (new().expires_at(NOW).import(HANDLE, SHA256), "expires_at"),
        (NewKey::named(" ").import(HANDLE, SHA256), "name"),
        (new().owner("a\nb").import(HANDLE, SHA256), "owner"),
        (new().server("*").import(HANDLE, SHA256), "servers"),
        (
            new().rate(RateLimit::per_minute(0)).import(HANDLE, SHA256),
            "limits",
        ),
        (new().metadata("", "x").import(HANDLE, SHA256), "metadata"),
    ];
    for (import, field) in cases {
        let shown = format!("{import:?}");
        let error = keys.manager().import(import).await.expect_err(&shown);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shown}");
        assert_eq!(error.field(), Some(field), "{shown}");
        assert!(!error.to_string().contains(KEY), "{error}");
    }
    let everything = KeyFilter::all();
    let page = keys.manager().list(&everything, PageRequest::default());
    assert!(page.await.unwrap().keys.is_empty());
}

#[tokio::test]
async fn bcrypt_is_refused_where_keys_may_be_longer_than_it_reads() {
    let segmented = KeyFormat::segmented("ok1").unwrap();
    let keys = builder(MemoryStore::new()).accept_format(segmented);
    let keys = keys.build().await.unwrap();
    let import = |prefix: &str| old_key(BCRYPT).prefix(prefix);
    let too_long = format!("ok1-{}-", "o".repeat(27));
    for long in [old_key(BCRYPT), import(&too_long)] {
        let error = keys.manager().import(long).await.unwrap_err();
        assert_eq!(error.field(), Some("hash"), "{error}");
        assert!(error.to_string().contains("72"), "{error}");
    }
    // "ok1-", 26 letters, "-", 8, "-", 32: exactly what it reads.
    let longest = format!("ok1-{}-", "o".repeat(26));
    let info = keys.manager().import(import(&longest)).await.unwrap();
    assert_eq!(info.masked, format!("{longest}{HANDLE}…"));
}

#[tokio::test]
async fn an_unusable_hash_in_a_stored_row_is_503_and_never_run() {
    for bad in [
        ARGON2ID.replacen("m=64", "m=4194304", 1),
        BCRYPT.replacen("$05$", "$31$", 1),
        "sha256:".to_owned(),
        "crypt:7".to_owned(),
    ] {
        for store in each_store().await {
            let keys = node(Arc::clone(&store)).await;
            keys.manager().import(old_key(SHA256)).await.unwrap();
            let mut record = stored(&store, HANDLE).await;
            record.credentials[0].hash.clone_from(&bad);
            store
                .replace(&record, record.revision, &act())
                .await
                .unwrap();
            assert_eq!(
                refusal(&keys, KEY).await,
                Some(RejectionKind::Unavailable),
                "{bad}"
            );
            assert_eq!(keys.stats().slow_hashes, 0);
            assert_eq!(stored(&store, HANDLE).await.credentials[0].hash, bad);
        }
    }
}

#[tokio::test]
async fn a_handle_that_is_taken_is_named_and_nothing_changes() {
    for store in each_store().await {
        let keys = node(Arc::clone(&store)).await;
        keys.manager().import(old_key(SHA256)).await.unwrap();
        let before = stored(&store, HANDLE).await;
        let error = keys.manager().import(old_key(BCRYPT)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(HANDLE), "{error}");

        let issued = keys.manager().issue(NewKey::named("k")).await.unwrap();
        let taken = issued.info().handle.as_str();
        let error = keys
            .manager()
            .import(NewKey::named("k").import(taken, SHA256));
        assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(stored(&store, HANDLE).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_first_uses_at_once_verify_and_upgrade_once() {
    for hash in [SHA256, BCRYPT] {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let keys = node(store).await;
        keys.manager().import(old_key(hash)).await.unwrap();
        let uses: Vec<_> = (0..50)
            .map(|_| {
                let keys = keys.clone();
                tokio::spawn(async move { refusal(&keys, KEY).await })
            })
            .collect();
        for outcome in uses {
            assert_eq!(outcome.await.unwrap(), None);
        }
        assert_eq!(faults.calls_of(Call::Amend), 1, "{hash}");
        assert_eq!(keys.stats().lookups, 1);
    }
}

#[tokio::test]
async fn a_store_that_cannot_write_the_upgrade_still_admits() {
    for fault in [Fault::Fail, Fault::Lose] {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let store = Arc::new(store);
        let keys = node(Arc::clone(&store)).await;
        keys.manager().import(old_key(BCRYPT)).await.unwrap();
        faults.every_call_of(Call::Amend, fault);
        assert_eq!(refusal(&keys, KEY).await, None);
        faults.clear();
        let kept = stored(&store, HANDLE).await.credentials[0].hash == BCRYPT;
        assert_eq!(kept, fault == Fault::Fail);

        // The next process to verify it makes up for it.
        let cold = node(Arc::clone(&store)).await;
        assert_eq!(refusal(&cold, KEY).await, None);
        let hash = &stored(&store, HANDLE).await.credentials[0].hash;
        assert!(hash.starts_with("$argon2id$"));
    }
}

#[tokio::test]
async fn a_busy_pool_puts_the_upgrade_off_and_not_the_request() {
    let store = MemoryStore::new();
    let one = NonZeroUsize::MIN;
    let keys = builder(store.clone())
        .hash_permits(one)
        .build()
        .await
        .unwrap();
    // A secret that fits nobody: it takes as long to be refused.
    let slow = BCRYPT.replacen("$05$", "$13$", 1);
    let import = NewKey::named("slow").import("Handle02", slow);
    keys.manager().import(import).await.unwrap();
    keys.manager().import(old_key(SHA256)).await.unwrap();

    let (busy, _) = weak_key("Handle02");
    let hashing = tokio::spawn({
        let keys = keys.clone();
        async move { refusal(&keys, &busy).await }
    });
    while keys.stats().slow_hashes == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(refusal(&keys, KEY).await, None);
    assert!(!hashing.is_finished());
    assert_eq!(stored(&store, HANDLE).await.credentials[0].hash, SHA256);
    let refused = hashing.await.unwrap();
    assert_eq!(refused, Some(RejectionKind::WrongSecret));

    let cold = node(store.clone()).await;
    assert_eq!(refusal(&cold, KEY).await, None);
    let hash = &stored(&store, HANDLE).await.credentials[0].hash;
    assert!(hash.starts_with("$argon2id$"));
}

#[tokio::test]
async fn a_change_between_verification_and_upgrade_is_not_undone() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let store = Arc::new(store);
    let keys = node(Arc::clone(&store)).await;
    let id = keys.manager().import(old_key(SHA256)).await.unwrap().id;
    faults.every_call_of(Call::Amend, Fault::Hang);
    let used = tokio::spawn({
        let keys = keys.clone();
        async move { refusal(&keys, KEY).await }
    });
    soon(faults.until_held(1)).await;
    keys.manager().revoke(id, Some("meanwhile")).await.unwrap();
    faults.clear();
    assert_eq!(used.await.unwrap(), Some(RejectionKind::Revoked));
    let record = stored(&store, HANDLE).await;
    assert!(matches!(record.status, KeyStatus::Revoked { .. }));
    assert_eq!(record.credentials[0].hash, SHA256);
}

#[tokio::test]
async fn a_text_that_was_refused_a_moment_ago_works_once_it_is_imported() {
    let (keys, clock) = timed(MemoryStore::new()).await;
    assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Unknown));
    assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Unknown));
    assert_eq!(keys.stats().lookups, 1);
    keys.manager().import(old_key(SHA256)).await.unwrap();
    assert_eq!(refusal(&keys, KEY).await, None);

    // What is refused afterwards is remembered as ever, for five seconds.
    let wrong = wrong_secret();
    for _ in 0..2 {
        let refused = refusal(&keys, &wrong).await;
        assert_eq!(refused, Some(RejectionKind::WrongSecret));
    }
    assert_eq!(keys.stats().lookups, 3);
    clock.advance(Duration::from_secs(5));
    keys.catch_up().await.unwrap();
    refusal(&keys, &wrong).await;
    assert_eq!(keys.stats().lookups, 4);
}

#[tokio::test]
async fn a_lookup_that_began_before_the_import_refuses_nobody_after_it() {
    for early_is_done in [false, true] {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let keys = node(store).await;
        faults.nth_call_of(Call::FindByHandle, 1, Fault::Withhold);
        let early = tokio::spawn({
            let keys = keys.clone();
            async move { refusal(&keys, KEY).await }
        });
        soon(faults.until_held(1)).await;
        keys.manager().import(old_key(SHA256)).await.unwrap();
        if early_is_done {
            faults.release();
            assert_eq!(early.await.unwrap(), Some(RejectionKind::Unknown));
            // What it has found is not remembered against the key.
            assert_eq!(refusal(&keys, KEY).await, None);
        } else {
            // Nor is the early one joined.
            assert_eq!(refusal(&keys, KEY).await, None);
            faults.release();
            assert_eq!(early.await.unwrap(), Some(RejectionKind::Unknown));
        }
        assert_eq!(refusal(&keys, KEY).await, None);
    }
}

#[tokio::test]
async fn an_import_whose_answer_got_lost_is_forgotten_as_a_failure_too() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = node(store).await;
    assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Unknown));
    faults.nth_call_of(Call::Insert, 1, Fault::Lose);
    let error = keys.manager().import(old_key(SHA256)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(refusal(&keys, KEY).await, None);
    // Importing it again tells that it was stored.
    let error = keys.manager().import(old_key(SHA256)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_key_that_was_deleted_can_be_imported_again_and_works_at_once() {
    for store in each_store().await {
        let keys = node(store).await;
        for _ in 0..3 {
            let info = keys.manager().import(old_key(SHA256)).await.unwrap();
            assert_eq!(refusal(&keys, KEY).await, None);
            assert!(keys.manager().delete(info.id).await.unwrap());
            // Remembered as one of a key that is no more, then as one of none.
            for _ in 0..2 {
                assert!(matches!(
                    refusal(&keys, KEY).await,
                    Some(RejectionKind::Revoked | RejectionKind::Unknown)
                ));
            }
        }
    }
}

#[tokio::test]
async fn an_imported_key_is_revoked_disabled_and_expires_like_any_other() {
    for hash in [SHA256, BCRYPT, ARGON2ID] {
        let (keys, clock) = timed(MemoryStore::new()).await;
        let new = NewKey::named("old").all_servers().expires_in(DAY);
        let manager = keys.manager();
        let id = manager.import(new.import(HANDLE, hash)).await.unwrap().id;
        assert_eq!(refusal(&keys, KEY).await, None);
        manager.disable(id).await.unwrap();
        assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Disabled));
        manager.enable(id).await.unwrap();
        assert_eq!(refusal(&keys, KEY).await, None);
        clock.advance(DAY);
        keys.catch_up().await.unwrap();
        assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Expired));
        manager.revoke(id, Some("migrated")).await.unwrap();
        assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Revoked));
    }
}

#[tokio::test]
async fn a_line_of_json_becomes_the_key_it_describes() {
    let (keys, _) = timed(MemoryStore::new()).await;
    let line = r#"{"name":"ci-bot","handle":"ATgKlpEa","prefix":"mcp_sk_",
        "hash":"sha256:ou6eHTgYZLLai2OiL3eBeNXKr4lRFDsWJ4gl+hSZDuw=",
        "description":"builds","owner":"ada","active":false,"servers":["files","mail"],
        "scopes":["files:read","mail:*"],"access":"read-only",
        "networks":{"allow":["10.0.0.0/8"],"deny":["10.1.0.0/16"]},
        "limits":[{"count":60,"per":"minute","burst":10}],"metadata":{"team":"core"},
        "created_at":"2024-02-29T12:00:00Z","expires_at":"2030-01-01T00:00:00Z"}"#;
    let import: ImportKey = serde_json::from_str(line).unwrap();
    let info = keys.manager().import(import).await.unwrap();
    let shown = serde_json::to_value(&info).unwrap();
    let asked: serde_json::Value = serde_json::from_str(line).unwrap();
    for field in [
        "name",
        "handle",
        "description",
        "owner",
        "servers",
        "access",
        "metadata",
    ] {
        assert_eq!(shown[field], asked[field], "{field}");
    }
    assert_eq!(info.status, KeyStatus::Disabled);
    assert_eq!(info.masked, "mcp_sk_ATgKlpEa…");
    assert_eq!(info.limits, [RateLimit::per_minute(60).burst(10)]);
    assert_eq!(info.networks.allow().len(), 1);
    assert_eq!(info.networks.deny().len(), 1);
    assert_eq!(shown["scopes"], asked["scopes"]);
    assert_eq!(info.created_at, "2024-02-29T12:00:00Z".parse().unwrap());
    assert_eq!(
        info.expires_at,
        Some("2030-01-01T00:00:00Z".parse().unwrap())
    );
    assert_eq!(info.updated_at, NOW);

    // What is not said is not granted, and "all" has to be said.
    let (second, hash) = weak_key("Handle02");
    let line = format!(r#"{{"name":"k","handle":"Handle02","hash":"{hash}"}}"#);
    let import: ImportKey = serde_json::from_str(&line).unwrap();
    let info = keys.manager().import(import).await.unwrap();
    assert_eq!(info.servers, Servers::default());
    assert_eq!(
        refusal(&keys, &second).await,
        Some(RejectionKind::ServerDenied)
    );
    let (third, hash) = weak_key("Handle03");
    let line = format!(r#"{{"servers":"all","name":"k","handle":"Handle03","hash":"{hash}"}}"#);
    let import: ImportKey = serde_json::from_str(&line).unwrap();
    keys.manager().import(import).await.unwrap();
    assert_eq!(refusal(&keys, &third).await, None);
}

#[tokio::test]
async fn the_trail_tells_of_imports_without_hashes_and_members_may_not() {
    for store in each_store().await {
        let keys = node(store).await;
        let ops = keys.manager().acting_as(Principal::admin("ops"));
        let info = ops.import(old_key(BCRYPT)).await.unwrap();
        let everything = AuditFilter::default();
        let trail = ops.audit(&everything, AuditPage::newest(10));
        let [entry]: [_; 1] = trail.await.unwrap().try_into().unwrap();
        assert_eq!(
            (entry.action, entry.subject.key()),
            (AuditAction::Imported, Some(info.id))
        );
        assert_eq!(entry.actor, "ops");
        assert!(!serde_json::to_string(&entry).unwrap().contains("$2b$"));

        // Nor do they learn whether the handle is taken.
        let ada = Principal::member("ada".parse().unwrap());
        for handle in [HANDLE, "Handle02"] {
            let own = NewKey::named("k").owner("ada");
            let import = own.import(handle, SHA256);
            let error = keys.manager().acting_as(ada.clone()).import(import).await;
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Forbidden);
        }
    }
}

/// The way from one system to another, as a team would go it.
#[tokio::test]
async fn a_migration_without_a_moment_in_which_nothing_works() {
    let (keys, clock) = timed(MemoryStore::new()).await;
    let manager = keys.manager();
    let services = ["files", "mail", "search"];

    // The old system's key is taken over: every service goes on with it.
    let new = services
        .iter()
        .fold(NewKey::named("old"), |new, name| new.server(*name));
    let import = new.clone().import(HANDLE, BCRYPT).prefix("mcp_sk_");
    let old = manager.import(import).await.unwrap();
    for service in services {
        assert_eq!(refusal_by(&keys, service, KEY).await, None);
    }

    // A new key, and the services move to it one by one; both work all the time.
    let issued = manager.issue(new.clone()).await.unwrap();
    let key = issued.key().expose_secret();
    for moved in 0..=services.len() {
        for (at, service) in services.iter().enumerate() {
            let used = if at < moved { key } else { KEY };
            assert_eq!(refusal_by(&keys, service, used).await, None);
        }
        clock.advance(Duration::from_secs(3_600));
        keys.catch_up().await.unwrap();
    }

    // A short expiry on the old key finds whoever was forgotten, while it can still be moved back.
    let soon = clock.now().wall.saturating_add(Duration::from_secs(60));
    let update = KeyUpdate::new().expires_at(Some(soon));
    manager.update(old.id, update).await.unwrap();
    assert_eq!(refusal(&keys, KEY).await, None);
    clock.advance(Duration::from_secs(60));
    keys.catch_up().await.unwrap();
    assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Expired));
    assert_eq!(refusal(&keys, key).await, None);

    // Nobody called: it goes for good.
    manager.revoke(old.id, Some("moved")).await.unwrap();
    assert_eq!(refusal(&keys, KEY).await, Some(RejectionKind::Revoked));
    assert_eq!(refusal(&keys, key).await, None);
    let active = KeyFilter::default();
    let active = manager.list(&active, PageRequest::default());
    let names: Vec<_> = active
        .await
        .unwrap()
        .keys
        .into_iter()
        .map(|key| key.id)
        .collect();
    assert_eq!(names, [issued.info().id]);
}
