//! What keys were used for, as the page shows it.

use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use mcp_api_keys::key::KeyId;
use mcp_api_keys::usage::{
    LastUse, UsageBatch, UsageCounts, UsageDimension, UsageOf, UsagePoint, UsageRequest,
    UsageRetention, UsageSink,
};
use mcp_api_keys::{ApiKeysBuilder, Error, Timestamp};

use crate::world::{NOW, World};

/// Tells the same of every key: in each step as many requests as the step is old, every tenth of
/// them turned away.
#[derive(Debug)]
struct Known;

#[async_trait]
impl UsageSink for Known {
    async fn write(&self, _: &UsageBatch) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        if matches!(&request.of, UsageOf::Keys(keys) if keys.is_empty()) {
            return Ok(Vec::new());
        }
        let labels: &[Option<&str>] = match request.by {
            None => &[None],
            Some(UsageDimension::Operation) => &[Some("<b>tool</b>"), Some("read_note"), None],
            Some(_) => &[Some("allowed")],
        };
        let mut points = Vec::new();
        let mut at = request.step.start_of(request.from);
        for step in 1.. {
            if at >= request.until {
                break;
            }
            for label in labels {
                let mut counts = UsageCounts::default();
                counts.requests = step * 10;
                counts.allowed = step * 9;
                counts.denied = step;
                counts.server_errors = step;
                counts.latency.add(Duration::from_millis(5), step);
                points.push(UsagePoint::new(at, label.map(str::to_owned), counts));
            }
            at = request.step.next(at);
        }
        Ok(points)
    }

    async fn last_uses(&self, _: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        Ok(Vec::new())
    }

    async fn prune(&self, _: UsageRetention, _: Timestamp) -> Result<bool, Error> {
        Ok(false)
    }
}

async fn world() -> World {
    World::with(|builder: ApiKeysBuilder| builder.usage(Known)).await
}

#[tokio::test]
async fn a_plot_has_a_bar_for_each_step_and_a_table_says_the_same() {
    let world = world().await;
    let (mut browser, _) = world.admin().await;
    for (window, steps) in [("day", 24), ("month", 30), ("quarter", 90), ("other", 24)] {
        let page = browser.get(&format!("/usage?window={window}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let plot = page.body.split_once("<svg class=\"plot\"").unwrap().1;
        let plot = plot.split_once("</svg>").unwrap().0;
        assert_eq!(plot.matches("<g>").count(), steps, "{window}");
        let total = (1..=steps).sum::<usize>() * 10;
        assert!(
            page.shows(&format!("<dd>{total}</dd>")),
            "{window}: {total}"
        );
        assert!(page.shows("10.0 %") && page.shows("<details><summary>The same as a table"));
        assert!(
            page.shows("&lt;b&gt;tool&lt;/b&gt;") && !page.shows("<b>tool"),
            "{window}"
        );
    }
    assert!(NOW.to_string().starts_with("2026-09-21T"));
    assert!(
        browser.get("/usage").await.shows("2026-09-21 14:00"),
        "the step under way"
    );
}

#[tokio::test]
async fn a_key_tells_its_own_usage_to_whoever_may_see_it() {
    let world = world().await;
    let (_, _) = world.admin().await;
    let (mut bob, own) = world.member("bob").await;
    let page = bob.get(&format!("/keys/{own}")).await;
    assert!(
        !page.shows("<svg class=\"plot\""),
        "without the scope usage:read"
    );
    assert!(!page.shows("href=\"/usage\""));
    assert_eq!(bob.get("/usage").await.status, StatusCode::FORBIDDEN);

    let mut admin = world.admin_again().await;
    let page = admin.get(&format!("/keys/{own}?window=month")).await;
    assert!(page.shows("<svg class=\"plot\"") && page.shows("read_note"));
}

#[tokio::test]
async fn where_nothing_is_recorded_the_page_says_so() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    assert!(
        browser
            .get("/usage")
            .await
            .shows("Usage is not recorded here.")
    );
}
