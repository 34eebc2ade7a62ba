//! What the page says to whoever may not do something. What they may do is decided in
//! [`rights`](crate::admin::rights), for the API as well.

use std::net::IpAddr;

use crate::admin::rights::{self, Act};
use crate::context::KeyContext;
use crate::error::{Error, ErrorKind};
use crate::key::KeyInfo;
use crate::manager::{KeyManager, Principal};

/// As whom somebody is here who has signed in with a key from this address. Nobody is, with a key that
/// does not even see keys.
///
/// # Errors
///
/// `Forbidden`, if it acts as nobody; `Unavailable`.
pub(super) async fn principal(
    manager: &KeyManager,
    key: &KeyContext,
    from: Option<IpAddr>,
) -> Result<Principal, Error> {
    if !Act::SeeKeys.is_open_to(key.key()) {
        let message = "the key may not manage keys: it lacks the scope keys:read";
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    let principal = rights::principal(manager, key, from).await?;
    principal.ok_or_else(|| {
        let message = "the key may not manage keys: it belongs to nobody, and lacks the scope \
                       keys:admin";
        Error::new(ErrorKind::Forbidden, message)
    })
}

/// Refuses `key` an act, naming the scope.
///
/// # Errors
///
/// `Forbidden`.
pub(super) fn require(act: Act, key: &KeyInfo) -> Result<(), Error> {
    if act.is_open_to(key) {
        return Ok(());
    }
    let message = format!(
        "The key that you have signed in with may not do this: it lacks the scope {} or is \
         read-only.",
        act.right().as_str()
    );
    Err(Error::new(ErrorKind::Forbidden, message))
}

/// Refuses to give the key that somebody signed in with a new secret by its old one, which may be
/// the reason for the new one.
pub(super) fn check_newest(key: &KeyContext, renewed: &KeyInfo) -> Result<(), Error> {
    if rights::is_by_replaced(key, renewed.id) {
        let message = "the key was renewed already: sign in with its new secret";
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    Ok(())
}
