//! temp docs
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod client_ip;
mod clock;
mod context;
mod error;
pub mod extract;
pub mod framework;
mod gate;
pub mod key;
mod keys;
pub mod layer;
mod limit;
mod live;
mod manager;
pub mod policy;
mod rejection;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;

pub use self::clock::{Clock, Moment, ParseTimestampError, SystemClock, Timestamp};
pub use self::context::KeyContext;
pub use self::error::{Error, ErrorKind};
pub use self::gate::{Gate, Permit};
pub use self::key::{ApiKey, Carrier, KeyFormat, RateLimit};
pub use self::keys::{ApiKeys, ApiKeysBuilder};
pub use self::layer::{ApiKeyLayer, RequireScopeLayer};
pub use self::manager::{IssuedKey, KeyManager, KeyPage, KeyUpdate, NewKey};
pub use self::rejection::{Rejection, RejectionKind, RejectionType};
pub use self::verify::{Argon2Params, InvalidArgon2Params, Pepper};
