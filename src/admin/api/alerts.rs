//! What looks wrong about keys.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer;
use super::caller::{Caller, finished};
use super::choice::size;
use super::fault::Fault;
use super::read::Asked;
use super::schema::{AlertPlaceText, KeyIdText, TimeText};
use crate::admin::rights::Act;
use crate::alert::{Acknowledged, Alert, AlertPlace, AlertRequest, AlertRule, AlertState};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// Which alerts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedAlerts {
    /// Only those about this key.
    #[param(value_type = Option<KeyIdText>)]
    key: Option<KeyId>,
    /// Only those of this rule.
    #[param(value_type = Option<RuleWord>)]
    rule: Option<AlertRule>,
    /// Only those in this state.
    #[param(value_type = Option<StateWord>)]
    state: Option<AlertState>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only alerts after this place: the `next` of the page before.
    #[param(value_type = Option<AlertPlaceText>)]
    after: Option<String>,
}

/// What may look wrong about a key.
#[derive(Debug, ToSchema)]
#[schema(as = AlertRule, rename_all = "snake_case")]
#[allow(dead_code, reason = "describes what is read and written elsewhere")]
pub(super) enum RuleWord {
    Spike,
    Errors,
    NewNetwork,
    RevokedUsed,
    ExpiredUsed,
    NearLimit,
    NearQuota,
    ExpiringSoon,
    Idle,
}

/// Whether an alert's reason still stands.
#[derive(Debug, ToSchema)]
#[schema(as = AlertState, rename_all = "snake_case")]
#[allow(dead_code, reason = "describes what is read and written elsewhere")]
pub(super) enum StateWord {
    Open,
    Resolved,
}

/// That something looks wrong about a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
pub(super) struct ShownAlert {
    #[schema(value_type = KeyIdText)]
    key: KeyId,
    #[schema(value_type = RuleWord)]
    rule: AlertRule,
    #[schema(value_type = StateWord)]
    state: AlertState,
    /// What it says, in a sentence without the key.
    #[schema(example = "not used for 95 days (told from 90 days on)")]
    message: String,
    /// Since when.
    #[schema(value_type = TimeText)]
    raised_at: Timestamp,
    /// When it was seen last.
    #[schema(value_type = TimeText)]
    seen_at: Timestamp,
    /// Until when, if it is over.
    #[schema(value_type = Option<TimeText>)]
    resolved_at: Option<Timestamp>,
    /// What was measured when it was raised, in the unit of the rule.
    value: u64,
    /// From what on it is raised.
    threshold: u64,
    /// The address that it is about, if it is about one.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// Who has seen to it.
    #[schema(value_type = Option<AcknowledgedValue>)]
    acknowledged: Option<Acknowledged>,
}

/// That somebody has seen to an alert.
#[derive(Debug, ToSchema)]
#[schema(as = Acknowledged)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
struct AcknowledgedValue {
    /// Who.
    by: String,
    /// When.
    #[schema(value_type = TimeText)]
    at: String,
}

impl From<Alert> for ShownAlert {
    fn from(alert: Alert) -> Self {
        Self {
            message: alert.message(),
            key: alert.key,
            rule: alert.rule,
            state: alert.state,
            raised_at: alert.raised_at,
            seen_at: alert.seen_at,
            resolved_at: alert.resolved_at,
            value: alert.value,
            threshold: alert.threshold,
            address: alert.address,
            acknowledged: alert.acknowledged,
        }
    }
}

/// One page of alerts: the open ones first, and of either kind the latest raised first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertList)]
pub(super) struct ShownAlerts {
    alerts: Vec<ShownAlert>,
    /// Where the next page starts, for `after`; nothing if this is the last.
    next: Option<String>,
}

/// List alerts
///
/// The last alert of each key and rule, the open ones first. A member is told of those about their own
/// keys. There is nothing here where alerts are not kept.
#[utoipa::path(
    get, path = "/alerts", tag = "alerts", operation_id = "listAlerts",
    params(AskedAlerts),
    responses((status = 200, description = "One page of alerts.", body = ShownAlerts)),
    extensions(("x-required-scope" = json!("alerts:read"))),
)]
pub(super) async fn list(
    caller: Caller,
    Asked(asked): Asked<AskedAlerts>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeAlerts).await?;
    let wanted = size(asked.limit)?;
    let mut request = AlertRequest::latest(wanted);
    request.keys = asked.key.map(|key| vec![key]);
    (request.rule, request.state) = (asked.rule, asked.state);
    if let Some(after) = asked.after {
        let place = after.parse::<AlertPlace>();
        let place = place.map_err(|error| {
            Fault::malformed(format!("invalid after: {error}")).in_field("after")
        })?;
        request.after = Some(place);
    }
    let alerts = manager.alerts(&request).await?;
    let last = alerts.last().map(Alert::place);
    let next = match last.filter(|_| alerts.len() == wanted) {
        Some(last) => {
            request.most = 1;
            let rest = manager.alerts(&request.after(last)).await?;
            (!rest.is_empty()).then(|| last.to_string())
        }
        None => None,
    };
    let alerts = alerts.into_iter().map(ShownAlert::from).collect();
    Ok(answer::json(StatusCode::OK, &ShownAlerts { alerts, next }))
}

/// Which alert a path names. There is none under a name that cannot be one.
#[derive(Debug)]
pub(super) struct NamedAlert {
    key: KeyId,
    rule: AlertRule,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedAlert {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Fault> {
        let path = Path::<(String, String)>::from_request_parts(head, state).await;
        let named = path.ok().and_then(|Path((key, rule))| {
            let (key, rule) = (key.parse().ok()?, rule.parse().ok()?);
            Some(Self { key, rule })
        });
        named.ok_or_else(no_alert)
    }
}

fn no_alert() -> Fault {
    Fault::not_found("there is no such alert")
}

/// Acknowledge an alert
///
/// Notes that whoever asks has seen to it. It stays in the list until it is raised anew.
#[utoipa::path(
    post, path = "/alerts/{id}/{rule}/acknowledge", tag = "alerts",
    operation_id = "acknowledgeAlert",
    params(("id" = KeyIdText, Path, description = "The key that it is about."),
        ("rule" = RuleWord, Path, description = "What it says about the key.")),
    responses((status = 200, description = "The alert as it is now.", body = ShownAlert)),
    extensions(("x-required-scope" = json!("alerts:write"))),
)]
pub(super) async fn acknowledge(caller: Caller, named: NamedAlert) -> Result<Response, Fault> {
    let manager = caller.may(Act::AcknowledgeAlert).await?;
    let NamedAlert { key, rule } = named;
    finished(async move {
        manager.acknowledge_alert(key, rule).await?;
        let request = AlertRequest::latest(1).of_key(key).of_rule(rule);
        let alert = manager.alerts(&request).await?.pop();
        let alert = alert.ok_or_else(no_alert)?;
        Ok(answer::json(StatusCode::OK, &ShownAlert::from(alert)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing that an alert holds is left out, under whatever name a later version gives it.
    #[test]
    fn an_alert_is_shown_as_a_whole() {
        let now = Timestamp::from_millis(1);
        let alert = Alert::new(KeyId::from_u128(7), AlertRule::Idle, now, 95, 90);
        let expected = serde_json::to_value(&alert).unwrap();
        let shown = serde_json::to_value(ShownAlert::from(alert)).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(shown.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn every_rule_is_in_the_document() {
        let schema = serde_json::to_value(<RuleWord as utoipa::PartialSchema>::schema()).unwrap();
        let words = AlertRule::ALL.map(AlertRule::as_str);
        assert_eq!(schema["enum"], serde_json::json!(words));
    }
}
