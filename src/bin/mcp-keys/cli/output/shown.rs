//! A key as programs see it.

use mcp_api_keys::Timestamp;
use mcp_api_keys::key::{KeyInfo, KeyStatus};
use serde::Serialize;

/// What may be shown of a key, and the key itself where it was just made. It is written straight
/// from here, so that the clear text is not copied into a tree of values.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(flatten)]
    info: &'a KeyInfo,
    /// On how many servers it is; nothing if on all.
    server_count: Option<usize>,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<&'a str>,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(info: &'a KeyInfo) -> Self {
        let (revoked_at, revoked_reason) = match &info.status {
            KeyStatus::Revoked { at, reason } => (Some(*at), reason.as_deref()),
            _ => (None, None),
        };
        Self {
            created: None,
            key: None,
            info,
            server_count: info.server_count(),
            revoked_at,
            revoked_reason,
        }
    }

    /// The same with the key in clear.
    pub(crate) fn with_key(self, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// The same, made just now.
    pub(crate) fn created(self) -> Self {
        Self {
            created: Some(true),
            ..self
        }
    }
}
