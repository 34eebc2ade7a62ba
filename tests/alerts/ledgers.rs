//! Every ledger keeps the contract of alerts.

use mcp_api_keys::Timestamp;
use mcp_api_keys::alert::{
    Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, AlertState, KeyHabits,
};
use mcp_api_keys::audit::{Act, AuditAction};
use mcp_api_keys::key::{Credential, CredentialId, KeyId, KeyRecord};
use mcp_api_keys::store::{KeyStore, MemoryStore, SqliteStore};

const NOW: i64 = 1_785_232_800_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW + seconds * 1_000)
}

async fn key(store: &impl KeyStore, handle: &str) -> KeyId {
    let id = KeyId::generate(at(0));
    let mut record = KeyRecord::new(id, handle, at(0));
    let handle = handle.parse().unwrap();
    let secret = Credential::new(CredentialId::FIRST, handle, "mcp_sk_", "a hash", at(0));
    record.credentials.push(secret);
    let act = Act::new(AuditAction::Issued, "ada", at(0));
    store.insert(&record, &act).await.unwrap();
    id
}

async fn keeps_the_contract(store: &(impl KeyStore + AlertLedger)) {
    let (one, two) = (key(store, "aaaaaaaa").await, key(store, "bbbbbbbb").await);
    let mut spike = Alert::new(one, AlertRule::Spike, at(1), 500, 300);
    spike.address = Some("192.0.2.7".parse().unwrap());
    let idle = Alert::new(two, AlertRule::Idle, at(2), 95, 90);
    let of_nobody = Alert::new(KeyId::generate(at(0)), AlertRule::Idle, at(3), 1, 1);
    store
        .put(&[spike.clone(), idle.clone(), of_nobody])
        .await
        .unwrap();

    let all = AlertRequest::latest(10);
    assert_eq!(
        store.read(&all).await.unwrap(),
        [idle.clone(), spike.clone()]
    );
    assert_eq!(
        store.read(&AlertRequest::latest(1)).await.unwrap(),
        [idle.clone()]
    );
    let of_one = all.clone().of_key(one);
    assert_eq!(store.read(&of_one).await.unwrap(), [spike.clone()]);
    let of_rule = all.clone().of_rule(AlertRule::Idle);
    assert_eq!(store.read(&of_rule).await.unwrap(), [idle.clone()]);
    let mut of_none = all.clone();
    of_none.keys = Some(Vec::new());
    assert_eq!(store.read(&of_none).await.unwrap(), []);

    // Acknowledged, resolved, and raised anew.
    let by = Acknowledged {
        by: "ada".to_owned(),
        at: at(10),
    };
    assert!(store.acknowledge(one, AlertRule::Spike, &by).await.unwrap());
    assert!(!store.acknowledge(one, AlertRule::Idle, &by).await.unwrap());
    let mut over = spike.clone();
    (over.state, over.resolved_at) = (AlertState::Resolved, Some(at(20)));
    store.put(&[over.clone()]).await.unwrap();
    let mut seen_to = over.clone();
    seen_to.acknowledged = Some(by);
    assert_eq!(store.read(&of_one).await.unwrap(), [seen_to]);
    assert_eq!(
        store.read(&all.clone().open()).await.unwrap(),
        [idle.clone()]
    );
    let again = Alert::new(one, AlertRule::Spike, at(30), 600, 300);
    store.put(&[again.clone()]).await.unwrap();
    assert_eq!(store.read(&of_one).await.unwrap(), [again.clone()]);

    // What is usual.
    let habits = |key, seconds| KeyHabits {
        key,
        seen_at: at(seconds),
        networks: vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/48".parse().unwrap(),
        ],
        per_minute: 60_000,
        minutes: 17,
    };
    let both = [habits(one, 5), habits(two, 6)];
    store.put_habits(&both).await.unwrap();
    store.put_habits(&[habits(two, 1)]).await.unwrap();
    assert_eq!(
        store.habits(10).await.unwrap(),
        [habits(two, 6), habits(one, 5)]
    );
    assert_eq!(store.habits(1).await.unwrap(), [habits(two, 6)]);

    // What is old is forgotten, what is open stays.
    store.put(&[over]).await.unwrap();
    store.forget_before(at(6)).await.unwrap();
    assert_eq!(store.habits(10).await.unwrap(), [habits(two, 6)]);
    assert_eq!(store.read(&all).await.unwrap().len(), 2);
    store.forget_before(at(21)).await.unwrap();
    assert_eq!(store.read(&all).await.unwrap(), [idle]);

    // And with the key goes all of it.
    let act = Act::new(AuditAction::Deleted, "ada", at(40));
    assert!(store.delete(two, &act).await.unwrap());
    assert_eq!(store.read(&all).await.unwrap(), []);
    assert_eq!(store.habits(10).await.unwrap(), []);

    let others = [key(store, "cccccccc").await, key(store, "dddddddd").await];
    keeps_its_order(store, others).await;
}

/// The open ones first, and then the latest; page by page it is the same list.
async fn keeps_its_order(store: &(impl KeyStore + AlertLedger), [one, two]: [KeyId; 2]) {
    let mut expected = Vec::new();
    for (key, rule, raised, state) in [
        (one, AlertRule::Errors, 3, AlertState::Resolved),
        (two, AlertRule::Errors, 3, AlertState::Resolved),
        (one, AlertRule::Spike, 9, AlertState::Resolved),
        (one, AlertRule::Idle, 2, AlertState::Open),
        (two, AlertRule::Idle, 2, AlertState::Open),
        (two, AlertRule::Spike, 4, AlertState::Open),
    ] {
        let mut alert = Alert::new(key, rule, at(raised), 1, 1);
        alert.state = state;
        alert.resolved_at = (!alert.is_open()).then(|| at(10));
        expected.push(alert);
    }
    store.put(&expected).await.unwrap();
    expected.sort_by_key(|alert| {
        let name = (alert.key.to_string(), alert.rule.as_str());
        (!alert.is_open(), std::cmp::Reverse(alert.raised_at), name)
    });
    let all = AlertRequest::latest(100);
    for request in [
        all.clone(),
        all.clone().open(),
        all.clone().in_state(AlertState::Resolved),
        all.clone().of_rule(AlertRule::Spike),
        all.clone().of_key(two),
        all.clone().of_key(one).in_state(AlertState::Resolved),
    ] {
        let matching = expected.iter().filter(|alert| request.matches(alert));
        let matching: Vec<Alert> = matching.cloned().collect();
        assert!(matching.len() > 1, "{request:?}");
        assert_eq!(store.read(&request).await.unwrap(), matching, "{request:?}");
        for most in 1..4 {
            let mut page = request.clone();
            page.most = most;
            let mut paged = Vec::new();
            loop {
                let read = store.read(&page).await.unwrap();
                let Some(last) = read.last() else { break };
                page = page.clone().after(last.place());
                paged.extend(read);
            }
            assert_eq!(paged, matching, "{most} at a time: {request:?}");
        }
        // From a place that nothing stands at, open or not.
        for place in expected.iter().map(Alert::place) {
            let after = request.clone().after(place);
            let expected: Vec<_> = expected
                .iter()
                .filter(|alert| after.matches(alert))
                .cloned()
                .collect();
            assert_eq!(store.read(&after).await.unwrap(), expected, "{after:?}");
        }
    }
}

#[tokio::test]
async fn memory() {
    keeps_the_contract(&MemoryStore::new()).await;
}

#[tokio::test]
async fn sqlite() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    keeps_the_contract(&store).await;
}

#[tokio::test]
async fn postgres() {
    if let Some(store) = crate::backends::postgres().await {
        keeps_the_contract(&store).await;
    }
}
