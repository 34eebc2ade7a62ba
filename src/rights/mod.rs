//! What a key may do at present: its own record, within its owner's rights, under its plan.
//!
//! 1. A key never reaches further than its owner, whatever its record says. What the owner gains a
//!    key for "all servers" gains too; what the owner loses every key loses.
//! 2. A key without an owner, or with one that the directory does not know and need not know, is
//!    judged by its record alone.
//! 3. A key on a plan has the plan's limits, but for those that it has of the same name itself. A
//!    plan that is gone is an error and no freedom.
//! 4. A connection does no more than the role of its owner lets connections do.

mod directory;
mod effective;
mod resolver;

pub use self::directory::OwnerDirectory;
pub(crate) use self::resolver::{Resolver, Rights, Terms, read_owner, read_plan};
