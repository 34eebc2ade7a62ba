//! `alerts`: what looks wrong about keys.

use mcp_api_keys::alert::{Alert, AlertRequest, AlertState};
use serde_json::json;

use super::Keys;
use super::args::Alerts;
use super::failure::Failure;
use super::find::find;
use super::output::{Output, or_dash, to_the_second};

const HEAD: [&str; 6] = ["RAISED", "STATE", "KEY", "RULE", "SEEN TO BY", "WHAT"];

/// How many are listed.
const MOST: usize = 1_000;

pub(super) fn alerts(args: &Alerts, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let mut request = AlertRequest::latest(MOST);
        request.state = args.open.then_some(AlertState::Open);
        request.rule = args.rule;
        if let Some(key) = &args.key {
            let info = find(manager, key, output).await?;
            if let Some(rule) = args.acknowledge {
                manager.acknowledge_alert(info.id, rule).await?;
                request.rule = Some(rule);
            }
            request = request.of_key(info.id);
        }
        let alerts = manager.alerts(&request).await?;
        if output.is_json() {
            return output.object(&json!({ "alerts": alerts }));
        }
        let rows = alerts.iter().map(row).collect();
        output.list(HEAD, rows, "There is no alert.")
    })
}

fn row(alert: &Alert) -> [String; 6] {
    let seen_to_by = alert.acknowledged.as_ref().map(|by| by.by.clone());
    [
        to_the_second(alert.raised_at),
        alert.state.to_string(),
        alert.key.to_string(),
        alert.rule.to_string(),
        or_dash(seen_to_by.unwrap_or_default()),
        alert.message(),
    ]
}
