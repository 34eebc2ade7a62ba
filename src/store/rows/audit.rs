//! An entry of the audit trail.

use serde::de::DeserializeOwned;

use super::row;
use crate::audit::AuditEntry;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};

row! {
    pub(in crate::store) struct AuditRow {
        revision: i64,
        at: i64,
        actor: String,
        source: Option<String>,
        action: String,
        subject: String,
        before: Option<String>,
        after: Option<String>,
    }
}

impl AuditRow {
    pub(in crate::store) fn into_entry(self) -> Result<AuditEntry, Error> {
        Ok(AuditEntry {
            revision: super::revision(self.revision)?,
            at: Timestamp::from_millis(self.at),
            actor: self.actor,
            source: self.source,
            action: parse(&format!("{:?}", self.action))?,
            subject: self.subject.parse().map_err(|_| unreadable())?,
            before: self.before.as_deref().map(parse).transpose()?,
            after: self.after.as_deref().map(parse).transpose()?,
        })
    }
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "an entry of the audit trail cannot be read",
    )
}
