//! What is told of keys: risks, usage, the trail.

use async_trait::async_trait;
use mcp_api_keys::key::{Carrier, CredentialId, KeyId};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::usage::{
    LastUse, UsageBatch, UsageCounts, UsageOf, UsagePoint, UsageRequest, UsageRetention, UsageSink,
};
use mcp_api_keys::{Error, Timestamp};
use serde_json::json;

use crate::support::light;
use crate::world::{Api, id};

/// A sink that knows one point, and whose it is asked for.
#[derive(Debug)]
struct OnePoint;

#[async_trait]
impl UsageSink for OnePoint {
    async fn write(&self, _: &UsageBatch) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        let mut counts = UsageCounts::default();
        counts.requests = match &request.of {
            UsageOf::All => 100,
            UsageOf::Keys(keys) => keys.len() as u64,
        };
        Ok(vec![UsagePoint::new(request.from, None, counts)])
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        let at = Timestamp::from_millis(0);
        let used = |key: &KeyId| (*key, LastUse::new(at, Carrier::Bearer, CredentialId::FIRST));
        Ok(keys.iter().map(used).collect())
    }

    async fn prune(&self, _: UsageRetention, _: Timestamp) -> Result<bool, Error> {
        Ok(false)
    }
}

#[tokio::test]
async fn usage_is_told_to_those_whose_it_is() {
    let keys = light(MemoryStore::new())
        .usage(OnePoint)
        .build()
        .await
        .unwrap();
    let api = Api::of(keys).await;
    let root = api.root().await;
    let ada = api.key_of("ada", &["usage:read"]).await;
    let series = api
        .read(
            &root,
            "/usage?from=2026-07-28T10:30:00Z&until=2026-07-28T12:00:00Z&by=outcome",
        )
        .await;
    assert_eq!(series["points"][0]["requests"], 100);
    assert_eq!(series["points"][0]["at"], "2026-07-28T10:00:00Z");
    assert_eq!(
        (&series["step"], &series["by"]),
        (&json!("hour"), &json!("outcome"))
    );
    let days = api.read(&root, "/usage?step=day&owner=ada").await;
    assert_eq!(days["points"][0]["requests"], 1, "one key: {days}");
    let own = api.read(&ada, "/usage").await;
    assert_eq!(own["points"][0]["requests"], 1, "their own");
    let me = id(&api.read(&ada, "/me").await);
    let last = api.read(&ada, &format!("/keys/{me}/last-use")).await;
    assert_eq!(last["last_use"]["carrier"], "bearer");
    let roots = id(&api.read(&root, "/me").await);
    let key = api.read(&root, &format!("/keys/{me}")).await;
    assert_eq!(key["last_use"]["carrier"], "bearer");
    assert_eq!(key["last_use"]["credential"], 1);
    let reader = api.key_with(&["keys:admin", "keys:read"]).await;
    let key = api.read(&reader, &format!("/keys/{me}")).await;
    assert_eq!(key.get("last_use"), None, "it may not read usage");
    for path in [
        format!("/keys/{roots}/last-use"),
        format!("/usage?key={roots}"),
    ] {
        assert_eq!(api.get(&ada, &path).await.refusal().0, 404, "{path}");
    }
}

#[tokio::test]
async fn where_nothing_is_recorded_there_is_no_usage() {
    let api = Api::new().await;
    let root = api.root().await;
    assert_eq!(
        api.get(&root, "/usage").await.refusal(),
        (404, "not_found".to_owned())
    );
    let me = id(&api.read(&root, "/me").await);
    assert_eq!(
        api.read(&root, &format!("/keys/{me}/last-use")).await["last_use"],
        json!(null)
    );
}

#[tokio::test]
async fn risky_keys_are_told() {
    let api = Api::new().await;
    let root = api.root().await;
    let found = api.read(&root, "/safety?limit=1&idle_for=1").await;
    let risks = json!(["never_expires", "unrestricted", "unlimited"]);
    assert_eq!(found["keys"][0]["risks"], risks);
    let careful = json!({ "name": "c", "plan": "free", "expires_in": 600 });
    api.create(&root, &careful).await;
    let found = api.read(&root, "/safety").await;
    assert_eq!(found["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_trail_is_filtered_and_paged() {
    let api = Api::new().await;
    let root = api.root().await;
    for number in 0..4 {
        api.create(&root, &json!({ "name": format!("{number}") }))
            .await;
    }
    let me = id(&api.read(&root, "/me").await);
    let mut path = format!("/audit?actor={me}&limit=2");
    let mut seen = 0;
    loop {
        let page = api.read(&root, &path).await;
        seen += page["entries"].as_array().unwrap().len();
        match page["next"].as_u64() {
            Some(next) => path = format!("/audit?actor={me}&limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 4);
    let none = api.read(&root, "/audit?until=2001-01-01T00:00:00Z").await;
    assert_eq!(
        (&none["entries"], &none["next"]),
        (&json!([]), &json!(null))
    );
}
