//! What is known of one key in use, in little room.
//!
//! A [`KeyInfo`] is made for reading: every fact has a place of its own, and most places of most keys
//! are empty. A node may have a million keys in use, so here what is rare stands aside and what many
//! keys share is shared.

use std::sync::Arc;

use smol_str::SmolStr;

use super::charter::Charter;
use crate::clock::Timestamp;
use crate::context::Brief;
use crate::key::{
    Connection, Handle, KeyId, KeyInfo, KeyStatus, Metadata, OwnerId, PreviousSecret, Revision,
};

/// All that may be shown of a key. [`Card::info`] writes it out.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// The number of the id in two halves: as a whole it would be placed at every sixteenth byte.
    id: [u64; 2],
    charter: Arc<Charter>,
    handle: Handle,
    name: SmolStr,
    owner: Option<OwnerId>,
    created_at: Timestamp,
    updated_at: Timestamp,
    expires_at: End,
    revision: Revision,
    rare: Option<Box<Rare>>,
}

/// What most keys have nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    /// None if it is active.
    status: Option<KeyStatus>,
    held: bool,
    description: Option<String>,
    connection: Option<Connection>,
    metadata: Metadata,
    last_used_at: Option<Timestamp>,
    previous: Option<PreviousSecret>,
}

static NO_METADATA: Metadata = Metadata::new();

impl Card {
    /// What is known, with the charter that follows from it.
    pub(super) fn of(info: &KeyInfo, charter: Arc<Charter>) -> Self {
        let rare = Rare {
            status: Some(info.status.clone()).filter(|status| *status != KeyStatus::Active),
            held: info.held,
            description: info.description.clone(),
            connection: info.connection.clone(),
            metadata: info.metadata.clone(),
            last_used_at: info.last_used_at,
            previous: info.previous.clone(),
        };
        let number = info.id.as_u128();
        Self {
            id: [(number >> 64) as u64, number as u64],
            charter,
            handle: info.handle.clone(),
            name: info.name.as_str().into(),
            owner: info.owner.clone(),
            created_at: info.created_at,
            updated_at: info.updated_at,
            expires_at: info.expires_at.into(),
            revision: info.revision,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        }
    }

    /// Everything, as it was.
    pub(super) fn info(&self) -> KeyInfo {
        let charter = &*self.charter;
        let rare = self.rare.as_deref().cloned().unwrap_or_default();
        KeyInfo {
            id: self.id(),
            masked: format!("{}{}…", charter.prefix, self.handle),
            handle: self.handle.clone(),
            name: self.name.as_str().to_owned(),
            description: rare.description,
            owner: self.owner.clone(),
            status: rare.status.unwrap_or(KeyStatus::Active),
            held: rare.held,
            servers: charter.servers.clone(),
            scopes: charter.scopes.clone(),
            access: charter.access,
            mcp: charter.mcp.clone(),
            signing: charter.signing,
            networks: charter.networks.clone(),
            plan: charter.plan.clone(),
            limits: charter.limits.to_vec(),
            quotas: charter.quotas.to_vec(),
            connection: rare.connection,
            metadata: rare.metadata,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at.time(),
            last_used_at: rare.last_used_at,
            previous: rare.previous,
            revision: self.revision,
        }
    }

    pub(super) fn id(&self) -> KeyId {
        let [high, low] = self.id;
        KeyId::from_u128(u128::from(high) << 64 | u128::from(low))
    }

    pub(super) fn charter(&self) -> &Arc<Charter> {
        &self.charter
    }

    pub(super) fn owner(&self) -> Option<&OwnerId> {
        self.owner.as_ref()
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.time()
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn is_connection(&self) -> bool {
        self.connection().is_some()
    }

    fn connection(&self) -> Option<&Connection> {
        self.rare.as_ref().and_then(|rare| rare.connection.as_ref())
    }

    /// What handlers ask for most.
    pub(super) fn brief(&self) -> Brief<'_> {
        let charter = &*self.charter;
        let metadata = self.rare.as_ref().map(|rare| &rare.metadata);
        Brief {
            id: self.id(),
            handle: self.handle.as_str(),
            name: &self.name,
            owner: self.owner.as_ref(),
            servers: &charter.servers,
            scopes: &charter.scopes,
            access: charter.access,
            mcp: &charter.mcp,
            signing: charter.signing,
            connection: self.connection(),
            metadata: metadata.unwrap_or(&NO_METADATA),
        }
    }
}

/// When something ends, if it does, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End(i64);

impl End {
    /// No time is as late as this: see [`Timestamp::from_millis`].
    const NEVER: i64 = i64::MAX;

    pub(super) fn time(self) -> Option<Timestamp> {
        (self.0 != Self::NEVER).then(|| Timestamp::from_millis(self.0))
    }
}

impl From<Option<Timestamp>> for End {
    fn from(time: Option<Timestamp>) -> Self {
        Self(time.map_or(Self::NEVER, Timestamp::as_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::super::charter::Charters;
    use super::*;
    use crate::key::{CredentialId, McpRules, Quota, RateLimit, Signing};
    use crate::testing::records::record;

    fn through_a_card(info: &KeyInfo) -> KeyInfo {
        Card::of(info, Charters::default().of(info)).info()
    }

    #[test]
    fn everything_is_written_out_as_it_was() {
        let plain = KeyInfo::of(&record(1)).unwrap();
        assert_eq!(through_a_card(&plain), plain);
        let time = Timestamp::from_millis(i64::MAX);
        let mut full = plain;
        full.id = KeyId::from_u128(u128::MAX - 7);
        full.name = "a name that is longer than what fits into the place for it".to_owned();
        full.description = Some("for tests".to_owned());
        full.owner = Some("ada".parse().unwrap());
        full.status = KeyStatus::Disabled;
        full.held = true;
        full.mcp = McpRules::default().allow_tool("note_*".parse().unwrap());
        full.signing = Signing::Required;
        full.plan = Some("free".parse().unwrap());
        full.limits = vec![RateLimit::per_day(3), RateLimit::per_hour(0).named("none")];
        full.quotas = vec![Quota::per_month(3)];
        full.connection = Some(Connection::new("claude".parse().unwrap()).named("Claude"));
        full.metadata = Metadata::from([("a".to_owned(), "b".to_owned())]);
        full.updated_at = time;
        full.expires_at = Some(time);
        full.last_used_at = Some(time);
        full.previous = Some(PreviousSecret {
            credential: CredentialId::FIRST,
            handle: full.handle.clone(),
            ends_at: Some(time),
            last_used_at: None,
        });
        full.revision = Revision::new(9);
        assert_eq!(through_a_card(&full), full);
    }

    #[test]
    fn the_brief_says_what_the_whole_says() {
        let mut info = KeyInfo::of(&record(1)).unwrap();
        let charters = Charters::default();
        for metadata in [Metadata::new(), Metadata::from([("a".into(), "b".into())])] {
            info.metadata = metadata;
            let card = Card::of(&info, charters.of(&info));
            assert_eq!(card.brief(), Brief::of(&info));
        }
    }
}
