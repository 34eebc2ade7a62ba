//! The next tokens of a connection.

use std::time::Duration;

use super::tokens::{ConnectionTokens, actor_of, is_of};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{ClientId, Credential, CredentialId, KeyRecord, KeyStatus, RefreshToken};
use crate::manager::{ATTEMPTS, KeyManager, too_many_changes};

/// How long an access token goes on once there is a next one: for calls that are under way.
const OVERLAP: Duration = Duration::from_secs(60);

/// How many access tokens a connection has at most, the newest included.
const TOKENS: usize = 4;

/// How many numbers its secrets have, in turn. When each was last used is noted by its number: a
/// connection that is renewed for years leaves no more notes than these.
const NUMBERS: u32 = 16;

const TICK: Duration = Duration::from_millis(1);

const REUSED: &str = "refresh token reused";

/// What a renewal came to.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the tokens can never be read again"]
pub enum Renewal {
    /// The next tokens.
    Tokens(Box<ConnectionTokens>),
    /// There are none. To the program all reasons are one: `invalid_grant`, or `invalid_target` for
    /// [`WrongResource`](RefusedRenewal::WrongResource).
    Refused(RefusedRenewal),
}

/// Why a connection was not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedRenewal {
    /// It is no refresh token of any connection.
    Unknown,
    /// The connection has ended or is switched off, or its owner is suspended or not known.
    Ended,
    /// The token was used before. The connection is revoked now.
    Reused,
    /// It is another program's.
    WrongClient,
    /// The connection is for another resource than was named.
    WrongResource,
}

impl RefusedRenewal {
    /// The reason as one word, for logs and statistics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Reused => "reused",
            Self::WrongClient => "wrong_client",
            Self::WrongResource => "wrong_resource",
        }
    }
}

impl KeyManager {
    /// Gives a connection its next access token and its next refresh token.
    ///
    /// The access token before goes on for a minute at most, for calls that are under way. The
    /// refresh token is used up. If it is presented again, in this moment by another or whenever
    /// later, the connection is revoked: either of the two has stolen it, and nobody can tell which.
    /// So a program whose answer got lost has to connect anew.
    ///
    /// Whose rights this manager acts with makes no difference: the token is what is asked for. The
    /// trail names the program.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::{ApiKeys, NewConnection, RefusedRenewal, Renewal, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let client = "https://assistant.example/client".parse()?;
    /// let first = keys.manager().connect(NewConnection::new("ada".parse()?, client)).await?;
    /// let client = "https://assistant.example/client".parse()?;
    ///
    /// let renewal = keys.manager().renew(&client, first.refresh_token()).await?;
    /// let Renewal::Tokens(second) = renewal else { return Err("not renewed".into()) };
    /// assert_eq!(second.info().id, first.info().id);
    ///
    /// // Used twice: somebody has stolen it.
    /// let renewal = keys.manager().renew(&client, first.refresh_token()).await?;
    /// assert!(matches!(renewal, Renewal::Refused(RefusedRenewal::Reused)));
    /// let renewal = keys.manager().renew(&client, second.refresh_token()).await?;
    /// assert!(matches!(renewal, Renewal::Refused(RefusedRenewal::Ended)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unavailable`: whether the connection was renewed is unknown then. `Conflict`, if it is being
    /// changed by others all the time.
    pub async fn renew(&self, client: &ClientId, refresh_token: &str) -> Result<Renewal, Error> {
        self.renew_at(client, refresh_token, None).await
    }

    /// [`renew`](Self::renew), for a program that names the resource that it wants the tokens for
    /// (RFC 8707). For another one than the connection's it gets none, and the token is not used up.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew).
    pub async fn renew_for(
        &self,
        client: &ClientId,
        refresh_token: &str,
        resource: &str,
    ) -> Result<Renewal, Error> {
        self.renew_at(client, refresh_token, Some(resource)).await
    }

    async fn renew_at(
        &self,
        client: &ClientId,
        refresh_token: &str,
        resource: Option<&str>,
    ) -> Result<Renewal, Error> {
        let Some(token) = RefreshToken::parse(refresh_token) else {
            return Ok(Renewal::Refused(RefusedRenewal::Unknown));
        };
        for _ in 0..ATTEMPTS {
            let now = self.office.clock.now().wall;
            let before = self.office.store.get(token.key()).await?;
            let judged = judge(before, client, &token, resource, now);
            let before = match judged {
                Ok(record) => record,
                Err((RefusedRenewal::Reused, id)) => {
                    let (id, actor) = (id.unwrap_or(token.key()), actor_of(client));
                    self.withdraw(id, REUSED, AuditAction::Reused, &actor)
                        .await?;
                    tracing::warn!(key = %id, "a refresh token was used twice; its connection is revoked");
                    return Ok(Renewal::Refused(RefusedRenewal::Reused));
                }
                Err((refused, _)) => return Ok(Renewal::Refused(refused)),
            };
            if !self.owner_permits(&before).await? {
                return Ok(Renewal::Refused(RefusedRenewal::Ended));
            }
            if let Some(tokens) = self.succeed(before, &token, now).await? {
                return Ok(Renewal::Tokens(Box::new(tokens)));
            }
        }
        Err(too_many_changes())
    }

    async fn owner_permits(&self, record: &KeyRecord) -> Result<bool, Error> {
        let Some(id) = &record.owner else {
            return Ok(false);
        };
        let resolver = self.office.live.resolver();
        Ok(match resolver.owner(id).await? {
            Some(owner) => owner.active,
            None => !resolver.wants_known_owners(),
        })
    }

    /// Stores the next tokens; nothing if the connection was changed meanwhile.
    async fn succeed(
        &self,
        before: KeyRecord,
        token: &RefreshToken,
        now: Timestamp,
    ) -> Result<Option<ConnectionTokens>, Error> {
        let mut record = before.clone();
        let Some(grant) = record.grant.as_mut() else {
            return Ok(None);
        };
        let refresh = token.next();
        grant.renew(&refresh);
        let ends_at = grant.access_end(now);
        record.expires_at = Some(grant.refresh_end(now));
        let newest = record.credentials.last();
        let next = number_after(newest.map(|old| old.id).unwrap_or_default());
        // Numbers come again, so the times tell secrets apart, whatever the clock says.
        let made_after = newest.map(|old| old.created_at.saturating_add(TICK));
        let kept = newest.and_then(|old| old.format.clone());
        let format = kept.as_ref().unwrap_or(self.office.formats.issued());
        let owner = record.owner.as_ref();
        let (key, mut credential) = self.make_secret(owner, next, format).await?;
        credential.ends_at = Some(ends_at);
        credential.created_at = made_after.map_or(now, |after| after.max(now));
        let older = std::mem::take(&mut record.credentials);
        record.credentials = outgoing(older, now);
        record.credentials.push(credential);
        let client = record.connection.as_ref().map(|own| actor_of(&own.client));
        let actor = client.unwrap_or_default();
        let act = self.act_of(&actor, AuditAction::Renewed, Some(&before), Some(&record));
        match self.commit_act(&before, record, act).await? {
            Some(record) => ConnectionTokens::new(key, refresh, &record, ends_at, now).map(Some),
            None => Ok(None),
        }
    }
}

/// The number of the secret after this one.
fn number_after(number: CredentialId) -> CredentialId {
    CredentialId::from_u32(number.as_u32() % NUMBERS + 1)
}

/// The record of the connection that `token` renews; else why it does not, and of which connection.
///
/// Nobody learns anything of a connection, nor can do it any harm, without a token that is or was its
/// own.
fn judge(
    record: Option<KeyRecord>,
    client: &ClientId,
    token: &RefreshToken,
    resource: Option<&str>,
    now: Timestamp,
) -> Result<KeyRecord, (RefusedRenewal, Option<crate::key::KeyId>)> {
    let record = record.ok_or((RefusedRenewal::Unknown, None))?;
    let Some(grant) = record.grant.as_deref() else {
        return Err((RefusedRenewal::Unknown, None));
    };
    if !grant.has_made(token) {
        return Err((RefusedRenewal::Unknown, None));
    }
    let is_over = record.expires_at.is_some_and(|end| now >= end);
    let refused = if !is_of(&record, client) {
        RefusedRenewal::WrongClient
    } else if is_over || matches!(record.status, KeyStatus::Revoked { .. }) {
        RefusedRenewal::Ended
    } else if !grant.awaits(token) {
        RefusedRenewal::Reused
    } else if record.status != KeyStatus::Active {
        RefusedRenewal::Ended
    } else if resource.is_some_and(|asked| grant.resource() != Some(asked)) {
        RefusedRenewal::WrongResource
    } else {
        return Ok(record);
    };
    Err((refused, Some(record.id)))
}

/// What goes on of the access tokens before, and for how long.
fn outgoing(mut credentials: Vec<Credential>, now: Timestamp) -> Vec<Credential> {
    let end = now.saturating_add(OVERLAP);
    credentials.retain(|old| old.ends_at.is_none_or(|ends_at| now < ends_at));
    let surplus = credentials.len().saturating_sub(TOKENS - 1);
    credentials.drain(..surplus);
    for old in &mut credentials {
        old.ends_at = Some(old.ends_at.map_or(end, |ends_at| ends_at.min(end)));
        old.ends_after_successor_ms = None;
    }
    credentials
}
