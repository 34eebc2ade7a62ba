//! Withdrawing many keys at once.

use super::KeyManager;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, Servers};
use crate::store::{KeyFilter, PageRequest};

/// How many keys are read at once.
const PAGE: usize = 500;

/// What withdrawing many keys came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Withdrawn {
    /// The keys that are revoked now.
    pub revoked: Vec<KeyInfo>,
    /// Keys that matched by opening all servers, where a server was asked for. They open others
    /// too, so they were left as they are.
    pub spared: Vec<KeyInfo>,
    /// Keys that could not be revoked, and why.
    pub failed: Vec<(KeyId, Error)>,
}

impl KeyManager {
    /// Revokes every key that matches: those of an owner who leaves, those of a server that was
    /// broken into, those made before a leak. Each is an act of its own in the audit trail.
    ///
    /// A key that is issued meanwhile may be missed; asking again finds it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::{ApiKeys, NewKey, store::{KeyFilter, MemoryStore}};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let _ = keys.manager().issue(NewKey::named("laptop").owner("ada")).await?;
    ///
    /// let mut of_ada = KeyFilter::default();
    /// of_ada.owner = Some("ada".parse()?);
    /// let withdrawn = keys.manager().revoke_all(&of_ada, Some("left the company")).await?;
    /// assert_eq!(withdrawn.revoked.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if the filter names nothing by which to choose: that would be all keys.
    /// `Forbidden` to members, where only admins change keys.
    /// `Unavailable`, if the keys cannot be listed; some may be revoked by then. A key that cannot
    /// be revoked is no error of the whole; see [`Withdrawn::failed`].
    pub async fn revoke_all(
        &self,
        filter: &KeyFilter,
        reason: Option<&str>,
    ) -> Result<Withdrawn, Error> {
        self.check_may_change()?;
        super::validate::reason(reason)?;
        if chooses_nothing(filter) {
            let message = "must name an owner, a server, a plan, a name or a time";
            return Err(Error::invalid("filter", message));
        }
        let filter = KeyFilter {
            include_revoked: false,
            ..filter.clone()
        };
        let mut withdrawn = Withdrawn::default();
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.list(&filter, page).await?;
            for info in found.keys {
                if filter.server.is_some() && info.servers == Servers::All {
                    withdrawn.spared.push(info);
                    continue;
                }
                match self.revoke(info.id, reason).await {
                    Ok(info) => withdrawn.revoked.push(info),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => withdrawn.failed.push((info.id, error)),
                }
            }
            match found.next {
                Some(last) => page = page.after(last),
                None => return Ok(withdrawn),
            }
        }
    }
}

fn chooses_nothing(filter: &KeyFilter) -> bool {
    filter.owner.is_none()
        && filter.server.is_none()
        && filter.plan.is_none()
        && filter.name_contains.as_ref().is_none_or(String::is_empty)
        && filter.expires_before.is_none()
        && filter.created_before.is_none()
        && filter.idle_since.is_none()
        && filter.connections.is_none()
}
