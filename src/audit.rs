//! The trail of acts on keys, owners, plans and what connections are made from: who did what to which, when, and from where.
//!
//! Every write to a store carries the [`Act`] that it is, and the store keeps both in one
//! transaction: there is no change without an entry and no entry without a change.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::key::{KeyInfo, Revision, Subject};

/// An act on a key, an owner or a plan, as the store is told of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Act {
    /// What is done.
    pub action: AuditAction,
    /// Who does it: a user, a program, or `system` for the crate itself.
    pub actor: String,
    /// From where, such as an address or a host name.
    pub source: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What could be shown before; nothing for what is new.
    pub before: Option<Value>,
    /// What can be shown after; nothing for what is deleted.
    pub after: Option<Value>,
}

impl Act {
    /// An act without source, before and after.
    pub fn new(action: AuditAction, actor: impl Into<String>, at: Timestamp) -> Self {
        Self {
            action,
            actor: actor.into(),
            source: None,
            at,
            before: None,
            after: None,
        }
    }

    /// The same act with what it changed. What may be shown of a key holds no secret and no hash.
    #[must_use]
    pub fn changing(mut self, before: Option<&KeyInfo>, after: Option<&KeyInfo>) -> Self {
        let shown = |info: Option<&KeyInfo>| info.and_then(|info| serde_json::to_value(info).ok());
        self.before = shown(before);
        self.after = shown(after);
        self
    }
}

/// What is done to a key, an owner or a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// It was made.
    Issued,
    /// It was taken over from another system.
    Imported,
    /// Its name, rights or other facts were changed.
    Updated,
    /// It was switched on.
    Enabled,
    /// It was switched off.
    Disabled,
    /// It was given a new secret.
    Rotated,
    /// The end of its old secret was set, since the new one was presented for the first time.
    GraceStarted,
    /// Its old secret was ended early.
    GraceEnded,
    /// It was withdrawn.
    Revoked,
    /// It was removed with its record.
    Deleted,
    /// An owner's or a plan's definition was stored, as a new one or in place of an earlier one.
    Defined,
    /// It was made as a connection, for a program that uses it on its owner's behalf.
    Connected,
    /// Its program was given the next access token and the next refresh token.
    Renewed,
    /// It was withdrawn, since a refresh token or an authorization code was presented that had been
    /// used before: somebody may have got hold of it.
    Reused,
    /// A program registered to be connected.
    Registered,
    /// An owner consented to a connection, for which an authorization code was made.
    Consented,
    /// The authorization code was taken.
    Exchanged,
}

impl AuditAction {
    /// The action in a word, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Imported => "imported",
            Self::Updated => "updated",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Rotated => "rotated",
            Self::GraceStarted => "grace_started",
            Self::GraceEnded => "grace_ended",
            Self::Revoked => "revoked",
            Self::Deleted => "deleted",
            Self::Defined => "defined",
            Self::Connected => "connected",
            Self::Renewed => "renewed",
            Self::Reused => "reused",
            Self::Registered => "registered",
            Self::Consented => "consented",
            Self::Exchanged => "exchanged",
        }
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct AuditEntry {
    /// The revision of the write that the act was.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub source: Option<String>,
    /// What.
    pub action: AuditAction,
    /// To what.
    pub subject: Subject,
    /// What could be shown before.
    pub before: Option<Value>,
    /// What could be shown after.
    pub after: Option<Value>,
}

impl AuditEntry {
    /// The entry of `act` on `subject`, written as `revision`.
    pub fn new(revision: Revision, subject: Subject, act: &Act) -> Self {
        Self {
            revision,
            at: act.at,
            actor: act.actor.clone(),
            source: act.source.clone(),
            action: act.action,
            subject,
            before: act.before.clone(),
            after: act.after.clone(),
        }
    }
}

/// Which entries to read. The default matches all.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuditFilter {
    /// Only acts on this key, owner or plan.
    pub subject: Option<Subject>,
    /// Only acts of this actor.
    pub actor: Option<String>,
    /// Only acts at or after this time.
    pub since: Option<Timestamp>,
    /// Only acts before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether `entry` matches: the definition that every store's queries must agree with.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        self.subject
            .as_ref()
            .is_none_or(|subject| entry.subject == *subject)
            && self
                .actor
                .as_ref()
                .is_none_or(|actor| entry.actor == *actor)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}
