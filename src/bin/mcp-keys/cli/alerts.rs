//! `alerts`: what looks wrong about keys, and what could not be told of it.

use mcp_api_keys::KeyManager;
use mcp_api_keys::alert::{Alert, AlertRequest, AlertState};
use mcp_api_keys::store::DeadLetter;
use serde_json::{Value, json};

use super::Keys;
use super::args::Alerts;
use super::failure::Failure;
use super::find::find;
use super::output::{Output, or_dash, to_the_second};

const HEAD: [&str; 6] = ["RAISED", "STATE", "KEY", "RULE", "SEEN TO BY", "WHAT"];

const HEAD_OF_LETTERS: [&str; 5] = ["GIVEN UP", "MESSAGE", "ABOUT", "TRIED", "WHY"];

/// How many are listed.
const MOST: usize = 1_000;

pub(super) fn alerts(args: &Alerts, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        if args.dead_letters {
            return letters(manager, output).await;
        }
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

async fn letters(manager: &KeyManager, output: Output) -> Result<(), Failure> {
    let kept = manager.dead_letters(MOST).await?;
    if output.is_json() {
        let (letters, held, dropped) = (kept.letters, kept.held, kept.dropped);
        return output.object(&json!({ "letters": letters, "held": held, "dropped": dropped }));
    }
    let rows = kept.letters.iter().map(row_of_letter).collect();
    output.list(HEAD_OF_LETTERS, rows, "No message was given up.")
}

fn row_of_letter(letter: &DeadLetter) -> [String; 5] {
    let said = |place: &str| {
        let said = letter.event.pointer(place).and_then(Value::as_str);
        or_dash(said.unwrap_or_default().to_owned())
    };
    [
        to_the_second(letter.at),
        said("/type"),
        said("/data/key"),
        letter.attempts.to_string(),
        letter.reason.clone(),
    ]
}
