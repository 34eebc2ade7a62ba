//! Where owners are known.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::key::{Owner, OwnerId};

/// Tells what owners may do at present.
///
/// Without one, owners are known from the store of the keys: see
/// [`KeyManager::put_owner`](crate::KeyManager::put_owner). Implement it to take them from a system
/// of your own, such as a user database.
///
/// ```
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use mcp_api_keys::Error;
/// use mcp_api_keys::key::{Owner, OwnerId};
/// use mcp_api_keys::rights::OwnerDirectory;
///
/// /// Everybody whose name begins with "svc-" may use the server "files".
/// #[derive(Debug)]
/// struct Services;
///
/// #[async_trait]
/// impl OwnerDirectory for Services {
///     async fn owner(&self, id: &OwnerId) -> Result<Option<Owner>, Error> {
///         let is_service = id.as_str().starts_with("svc-");
///         let owner = Owner::member(id.clone());
///         let (Ok(files), Ok(all)) = ("files".parse(), "*".parse()) else { return Ok(None) };
///         Ok(is_service.then(|| owner.server(files).scope(all)))
///     }
///
///     fn good_for(&self) -> Option<Duration> {
///         Some(Duration::from_secs(30))
///     }
/// }
/// ```
#[async_trait]
pub trait OwnerDirectory: fmt::Debug + Send + Sync + 'static {
    /// What the owner may do; nothing if there is no such owner, whose keys are then refused.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if that cannot be found out now. Keys of the owner that are to be judged anew
    /// get a 503 then.
    async fn owner(&self, id: &OwnerId) -> Result<Option<Owner>, Error>;

    /// How long an answer may be relied upon. Nothing means until
    /// [`ApiKeys::owner_changed`](crate::ApiKeys::owner_changed) is called, on every node.
    fn good_for(&self) -> Option<Duration>;
}
