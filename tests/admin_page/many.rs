//! Ten thousand keys are shown as quickly as ten.

use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::ApiKeys;
use mcp_api_keys::admin::AdminPage;
use mcp_api_keys::audit::{Act, AuditAction};
use mcp_api_keys::key::{Owner, Servers};
use mcp_api_keys::store::{KeyStore, SqliteStore};
use mcp_api_keys::testing::records::full_record;

use crate::world::{Browser, NOW, light};

const KEYS: u64 = 10_000;

/// What a page may take; in the middle of five times, so that a busy machine does not decide.
const MOST: Duration = Duration::from_millis(100);

#[tokio::test]
async fn ten_thousand_keys_stay_quick() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    for number in 0..KEYS {
        let mut record = full_record(number + 1);
        record.name = format!("key {number}");
        record.status = mcp_api_keys::key::KeyStatus::Active;
        record.owner = Some(format!("owner-{}", number % 100).parse().unwrap());
        record.servers = Servers::only(["files", "mail", "notes"]).unwrap();
        let act = Act::new(AuditAction::Issued, "many", NOW);
        store.insert(&record, &act).await.unwrap();
    }
    let keys = light(ApiKeys::builder(store)).build().await.unwrap();
    let first = keys
        .manager()
        .bootstrap("ada".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    for number in 0..100 {
        let owner = Owner::member(format!("owner-{number}").parse().unwrap());
        keys.manager().put_owner(owner).await.unwrap();
    }
    let mut browser = Browser::of(AdminPage::new(&keys).into_router(), "");
    browser.sign_in(first.key().expose_secret()).await;

    let list = browser.get("/keys").await;
    let links = list.body.split("/keys/key_").skip(2);
    let id = links.map(|rest| &rest[..22]).next().unwrap().to_owned();
    let last = list
        .body
        .split("after=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let paths = [
        "/keys".to_owned(),
        format!("/keys?after={last}"),
        "/keys?name=9999".to_owned(),
        "/keys?owner=owner-7".to_owned(),
        "/keys?server=mail&status=active".to_owned(),
        "/keys?expires=30d".to_owned(),
        "/keys?idle=7d".to_owned(),
        format!("/keys/key_{id}"),
        "/connections".to_owned(),
        "/owners".to_owned(),
        "/audit".to_owned(),
        "/safety".to_owned(),
    ];
    let mut slow = Vec::new();
    for path in &paths {
        let mut times = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            let answer = browser.get(path).await;
            times.push(began.elapsed());
            assert_eq!(answer.status, StatusCode::OK, "{path}");
        }
        times.sort_unstable();
        eprintln!("{path}: {:?}", times[2]);
        if times[2] > MOST {
            slow.push((path, times[2]));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}
