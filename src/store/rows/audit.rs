//! An entry of the audit trail.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{corrupt, row};
use crate::audit::AuditEntry;
use crate::clock::Timestamp;
use crate::error::Error;

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
            action: self.parse(&format!("{:?}", self.action))?,
            subject: self.subject.parse().map_err(|_| self.unreadable())?,
            before: self.parse_some(self.before.as_deref())?,
            after: self.parse_some(self.after.as_deref())?,
            actor: self.actor,
            source: self.source,
        })
    }

    fn parse<T: DeserializeOwned>(&self, json: &str) -> Result<T, Error> {
        serde_json::from_str(json).map_err(|_| self.unreadable())
    }

    fn parse_some(&self, json: Option<&str>) -> Result<Option<Value>, Error> {
        json.map(|json| self.parse(json)).transpose()
    }

    fn unreadable(&self) -> Error {
        corrupt(format!(
            "the entry of the audit trail at revision {} cannot be read",
            self.revision
        ))
    }
}
