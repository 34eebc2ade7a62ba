//! As whom a key acts.
//!
//! | the key | acts as |
//! |---|---|
//! | has an owner who is an admin, and `keys:admin` | that admin |
//! | has an owner, otherwise | a member, with the owner's own keys |
//! | has no owner, and `keys:admin` | an admin of its own name |
//! | has no owner, otherwise | nobody: it may ask about itself alone |
//!
//! 1. Whoever acts by a key gives no key and no owner more than that key has at present.
//! 2. The audit trail names the owner, or the key's id where there is none; as the place, the
//!    caller's address and the handle of the key.
//! 3. A secret that a rotation has replaced does not make a new one, though it still works for a
//!    while: it may be the reason for the rotation.

use std::net::IpAddr;

use super::Right;
use crate::context::KeyContext;
use crate::error::Error;
use crate::key::KeyId;
use crate::manager::{KeyManager, Principal};

/// As whom the key acts that is presented from `address`; nothing, if it acts as nobody.
///
/// # Errors
///
/// `Unavailable`.
pub(in crate::admin) async fn principal(
    manager: &KeyManager,
    key: &KeyContext,
    address: Option<IpAddr>,
) -> Result<Option<Principal>, Error> {
    let reaches_all = Right::KeysAdmin.is_held_by(key.key());
    let principal = match key.owner() {
        Some(owner) => {
            let known = manager.principal_of(owner).await?;
            if reaches_all {
                known
            } else {
                Principal::member(owner.clone())
            }
        }
        None if reaches_all => Principal::admin(key.key_id().to_string()),
        None => return Ok(None),
    };
    Ok(Some(
        principal.by_key(key).from_source(source(key, address)),
    ))
}

/// As whom the key acts on itself alone. It is not held within its own bounds there: its record may say
/// more than its owner leaves of it.
///
/// # Errors
///
/// `Unavailable`.
pub(in crate::admin) async fn for_itself(
    manager: &KeyManager,
    key: &KeyContext,
    address: Option<IpAddr>,
) -> Result<Principal, Error> {
    let principal = match key.owner() {
        Some(owner) => manager.principal_of(owner).await?,
        None => Principal::admin(key.key_id().to_string()),
    };
    Ok(principal.from_source(source(key, address)))
}

/// Whether a new secret for `rotated` is asked for by the secret of it that was replaced already.
pub(in crate::admin) fn is_by_replaced(key: &KeyContext, rotated: KeyId) -> bool {
    let previous = key.key().previous.as_ref();
    rotated == key.key_id() && previous.is_some_and(|old| old.credential == key.credential())
}

fn source(key: &KeyContext, address: Option<IpAddr>) -> String {
    let handle = key.handle();
    match address {
        Some(address) => format!("{address}, key {handle}"),
        None => format!("key {handle}"),
    }
}
