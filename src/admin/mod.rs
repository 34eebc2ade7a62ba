//! Administration over HTTP (feature `admin`): an API for programs, and a page for people.
//!
//! It stands above everything else and is one user of it among others: whatever it does, it does
//! through the [`KeyManager`](crate::KeyManager), in the name and within the rights of a key. What that
//! lets its holder do depends on its scopes, on its owner's role, and on what the key itself may reach:
//!
//! 1. The key holds the scope for the act: `keys:read` (the page: to sign in at all), `keys:write` to
//!    change keys, `owners:read`, `owners:write`, `plans:read`, `plans:write`, `audit:read`, `usage:read`,
//!    `alerts:read`, `alerts:write` to acknowledge them.
//!    Changing anything takes a key with full access as well. A bare `*` counts as all of these in a key
//!    for all servers only.
//! 2. A key with `keys:admin` that belongs to an owner who is an admin, or to nobody, manages all keys.
//!    Every other key manages those of its owner.
//! 3. No key that is made or changed reaches further than the one that it is done with.

mod api;
mod page;
mod redacted;
mod rights;

pub use self::api::AdminApi;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::api::read_as_each;
pub use self::page::AdminPage;
