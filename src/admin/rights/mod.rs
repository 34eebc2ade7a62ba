//! Who may do what: the one place that the API and the page ask.
//!
//! 1. **Acts and scopes.** Each [`Act`] takes one [`Right`], which is a scope that the key must hold at
//!    present. An act that changes something takes a key with full access as well.
//! 2. **As whom.** A key acts as what [`standing`] says: as an admin, as a member, or as nobody.
//! 3. **Whose things.** An admin's manager sees all, a member's what belongs to its owner. The manager
//!    enforces that, whoever asks; [`Act::is_for_admins`] names what it shows to admins alone.
//!
//! What is said to whoever is refused is for the API and the page to word.

mod act;
mod scope;
mod standing;

pub(super) use self::act::Act;
pub(super) use self::scope::Right;
pub(super) use self::standing::{for_itself, is_by_replaced, principal};
