//! Keys managed over HTTP (feature `admin`): a page for people, served by axum.
//!
//! Whoever manages keys here does so with a key of their own. What it lets them do depends on its
//! scopes, on its owner's role, and on what the key itself may reach:
//!
//! 1. The key holds the scope for the act: `keys:read` to sign in at all, `keys:write` to change
//!    keys, `owners:read`, `owners:write`, `plans:read`, `plans:write`, `audit:read`, `usage:read`.
//!    Changing anything takes a key with full access as well. A bare `*` counts as all of these in
//!    a key for all servers only.
//! 2. A key with `keys:admin` that belongs to an owner who is an admin, or to nobody, manages all
//!    keys. Every other key manages those of its owner.
//! 3. No key that is made or changed reaches further than the one that it is done with.

mod page;

pub use self::page::AdminPage;
