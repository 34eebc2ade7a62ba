//! The tokens of a connection, handed out and taken back.

use std::fmt;
use std::time::Duration;

use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{
    ApiKey, ClientId, CredentialId, KeyId, KeyInfo, KeyRecord, KeyStatus, RefreshToken,
};
use crate::manager::{ATTEMPTS, KeyManager, shown, too_many_changes};
use crate::verify::{Outcome, Presented};

/// The tokens of a connection, which were just made, and what is known of it.
///
/// Both wipe themselves when this is dropped, and `Debug` shows neither.
#[must_use = "the tokens can never be read again"]
pub struct ConnectionTokens {
    key: ApiKey,
    refresh: RefreshToken,
    info: KeyInfo,
    expires_in: Duration,
}

impl ConnectionTokens {
    pub(super) fn new(
        key: ApiKey,
        refresh: RefreshToken,
        record: &KeyRecord,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Error> {
        Ok(Self {
            key,
            refresh,
            info: shown(record)?,
            expires_in: ends_at.saturating_since(now),
        })
    }

    /// The access token: a secret of the connection's key. This is the only chance to read it.
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// The refresh token, by which the connection is renewed next, once. This is the only chance to
    /// read it.
    pub fn refresh_token(&self) -> &str {
        self.refresh.expose_secret()
    }

    /// What may be shown of the connection, now and later.
    pub fn info(&self) -> &KeyInfo {
        &self.info
    }

    /// How long the access token lives from now on.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl fmt::Debug for ConnectionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionTokens")
            .field("key", &self.key)
            .field("info", &self.info)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

impl KeyManager {
    /// Takes back a token that its program has no more use for (RFC 7009): by a refresh token of a
    /// connection, the newest or an earlier one, the whole connection ends; by an access token, that
    /// one alone does. Returns whether there was such a token of this program that was still good.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn drop_token(&self, client: &ClientId, token: &str) -> Result<bool, Error> {
        let actor = actor_of(client);
        if let Some(token) = RefreshToken::parse(token) {
            let record = self.office.store.get(token.key()).await?;
            let Some(record) = record.filter(|record| is_of(record, client)) else {
                return Ok(false);
            };
            let is_known = record
                .grant
                .as_ref()
                .is_some_and(|own| own.has_made(&token));
            if !is_known || matches!(record.status, KeyStatus::Revoked { .. }) {
                return Ok(false);
            }
            let revoked = AuditAction::Revoked;
            let record = self
                .withdraw(record.id, "its program disconnected", revoked, &actor)
                .await?;
            return Ok(record.is_some());
        }
        match self.proven(token).await? {
            Some((id, secret)) => self.end_secret(id, secret, client, &actor).await,
            None => Ok(false),
        }
    }

    /// Whose secret a text is, if it is one.
    async fn proven(&self, text: &str) -> Result<Option<(KeyId, CredentialId)>, Error> {
        let Ok(parsed) = self.office.formats.parse(text.as_bytes()) else {
            return Ok(None);
        };
        let verifier = &self.office.verifier;
        let fingerprint = verifier.fingerprint(text.as_bytes());
        match verifier.prove(fingerprint, Presented::from(parsed)).await {
            Outcome::Proven(proof) => {
                let id = proof.live().state().id();
                Ok(Some((id, proof.secret().id)))
            }
            Outcome::Unavailable => Err(crate::live::timed_out()),
            Outcome::Unknown | Outcome::WrongSecret => Ok(None),
        }
    }

    /// Ends one secret of a connection now.
    async fn end_secret(
        &self,
        id: KeyId,
        secret: CredentialId,
        client: &ClientId,
        actor: &str,
    ) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let now = self.office.clock.now().wall;
            let before = self.office.store.get(id).await?;
            let Some(before) = before.filter(|record| is_of(record, client)) else {
                return Ok(false);
            };
            let mut record = before.clone();
            let mut secrets = record.credentials.iter_mut();
            let Some(ended) = secrets.find(|known| known.id == secret) else {
                return Ok(false);
            };
            if before.grant.is_none() || ended.ends_at.is_none_or(|end| end <= now) {
                return Ok(false);
            }
            ended.ends_at = Some(now);
            let act = self.act_of(actor, AuditAction::Updated, Some(&before), Some(&record));
            if self.commit_act(&before, record, act).await?.is_some() {
                return Ok(true);
            }
        }
        Err(too_many_changes())
    }

    /// Revokes a key, whoever it is of. Nothing, if there is no such key; one that is revoked stays
    /// as it is.
    pub(super) async fn withdraw(
        &self,
        id: KeyId,
        reason: &str,
        action: AuditAction,
        actor: &str,
    ) -> Result<Option<KeyRecord>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.office.store.get(id).await? else {
                return Ok(None);
            };
            if matches!(before.status, KeyStatus::Revoked { .. }) {
                // By another node perhaps, of which this one has not heard yet.
                self.office.live.changed(&before);
                return Ok(Some(before));
            }
            let mut record = before.clone();
            record.status = KeyStatus::Revoked {
                at: self.office.clock.now().wall,
                reason: Some(reason.to_owned()),
            };
            let act = self.act_of(actor, action, Some(&before), Some(&record));
            if let Some(record) = self.commit_act(&before, record, act).await? {
                return Ok(Some(record));
            }
        }
        Err(too_many_changes())
    }
}

/// How the trail calls a program.
pub(super) fn actor_of(client: &ClientId) -> String {
    format!("client:{client}")
}

pub(super) fn is_of(record: &KeyRecord, client: &ClientId) -> bool {
    let connection = record.connection.as_ref();
    connection.is_some_and(|connection| connection.client == *client)
}
