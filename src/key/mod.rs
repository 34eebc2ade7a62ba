//! The vocabulary: what a key is, without I/O, clock or HTTP.
//!
//! * [`KeyFormat`] says how a key is written, [`ApiKey`] is one in clear text.
//! * [`KeyRecord`] is what a store keeps, [`KeyInfo`] what may be shown of it.
//! * [`Scope`], [`Servers`], [`NetworkRules`], [`McpRules`], [`RateLimit`] and [`Quota`] say what a
//!   key may do; [`Plan`] and [`Owner`] say it for many keys.

mod access;
mod base62;
mod carrier;
mod code;
mod connection;
mod credential;
mod digest;
mod format;
mod grant;
mod hex;
mod id;
mod info;
mod limit;
mod owner;
mod plan;
mod quota;
mod record;
mod secret;
mod servers;
mod signing;
mod subject;
mod tools;

pub mod network;
pub mod scope;

pub use access::Access;
pub(crate) use base62::fill_random;
pub use carrier::Carrier;
pub use code::CodeId;
pub use connection::Connection;
pub use credential::{Credential, CredentialId, Tag, Verifier};
pub use format::{FormatError, KeyFormat, KeyFormats, ParseKeyError, ParsedKey};
pub use grant::Grant;
pub(crate) use grant::RefreshToken;
pub use id::{ClientId, Handle, InvalidText, KeyId, OwnerId, PlanName, ServerName};
pub(crate) use info::Grants;
pub use info::{KeyInfo, PreviousSecret};
pub use limit::{LimitStatus, LimitUnit, ParseRateLimitError, RateLimit};
pub use network::{Network, NetworkRules, ParseNetworkError};
pub use owner::{Owner, Role};
pub use plan::Plan;
pub use quota::{ParseQuotaError, Quota, QuotaPeriod, QuotaStatus};
pub use record::{KeyRecord, KeyStatus, Metadata, Revision, StatusKind};
pub use scope::{ParseScopeError, Scope, ScopeGrant, ScopeSet};
pub use secret::ApiKey;
pub use servers::{ServerSet, Servers};
pub use signing::Signing;
pub use subject::{Subject, SubjectKind};
pub use tools::{Glob, McpRules, NameRules};
