//! Keys managed over HTTP (feature `admin`): a page for people, served by axum.
//!
//! Whoever manages keys here does so with a key of their own. What it lets them do depends on its
//! scopes, on its owner's role, and on what the key itself may reach:
//!
//! 1. The key holds the scope for the act: `keys:read` to sign in at all, `keys:write` to change
//!    keys, `owners:read`, `owners:write`, `plans:read`, `plans:write`, `audit:read`, `usage:read`.
//!    Changing anything takes a key with full access as well.
//! 2. A key of an owner who is an admin manages all keys, if it opens all servers; otherwise, and
//!    for everybody else, it manages the keys of its owner. A key without an owner manages keys
//!    only if it holds `keys:admin` and opens all servers: then all of them.
//! 3. No key that is made or changed reaches further than the one that it is done with.

mod page;

pub use self::page::AdminPage;
