//! Ten thousand keys.

use std::time::{Duration, Instant};

use mcp_api_keys::Timestamp;
use mcp_api_keys::audit::{Act, AuditAction};
use mcp_api_keys::key::{Credential, CredentialId, Handle, KeyId, KeyRecord};
use mcp_api_keys::store::{KeyStore, SqliteStore};

use crate::world::Api;

const MANY: usize = 10_000;
const QUICK: Duration = Duration::from_millis(100);

async fn filled() -> SqliteStore {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    for number in 0..MANY {
        let at = Timestamp::from_millis(1_789_900_000_000 + i64::try_from(number).unwrap());
        let mut record = KeyRecord::new(KeyId::generate(at), format!("key {number}"), at);
        record.owner = Some(format!("owner-{}", number % 100).parse().unwrap());
        let handle: Handle = format!("h{number:07}").parse().unwrap();
        record.credentials = vec![Credential::new(
            CredentialId::FIRST,
            handle,
            "mcp_sk_",
            "x",
            at,
        )];
        let act = Act::new(AuditAction::Imported, "test", at);
        store.insert(&record, &act).await.unwrap();
    }
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_ten_thousand_keys_are_quick() {
    let api = Api::on(filled().await).await;
    let root = api.root().await;
    let first = api.read(&root, "/keys?limit=1000").await;
    let middle = first["next"].as_str().unwrap().to_owned();
    for path in [
        "/keys".to_owned(),
        format!("/keys?after={middle}"),
        "/keys?owner=owner-7".to_owned(),
        "/keys?name=key%209999".to_owned(),
        "/keys?idle_since=2100-01-01T00:00:00Z".to_owned(),
        "/safety".to_owned(),
        "/connections".to_owned(),
        "/audit".to_owned(),
        "/audit?subject=owner:ada".to_owned(),
    ] {
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            api.read(&root, &path).await;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!("{path}: {:?}, at worst {:?}", times[2], times[4]);
        assert!(times[2] <= QUICK, "{path}: {times:?}");
    }
    let mut path = "/keys?limit=1000".to_owned();
    let mut seen = 0;
    loop {
        let page = api.read(&root, &path).await;
        seen += page["keys"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => path = format!("/keys?limit=1000&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, MANY + 1);
}
