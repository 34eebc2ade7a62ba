//! The reasons to turn a request away, and what each is called.

/// The reasons to turn a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// No key was presented.
    Missing,
    /// A key was presented twice or in two places.
    Ambiguous,
    /// What was presented is no key of an accepted format.
    Malformed,
    /// No key has the presented handle.
    Unknown,
    /// The handle is known, the secret is not its own.
    WrongSecret,
    /// The key was withdrawn, or its secret was replaced.
    Revoked,
    /// The key's time is over.
    Expired,
    /// The secret is one of a [connection](crate::key::Connection) whose time is over; the connection
    /// itself goes on, and its program gets a new one.
    TokenExpired,
    /// The key is switched off.
    Disabled,
    /// The key's owner is suspended, or not known.
    OwnerBarred,
    /// The key may not be used from the caller's address, or the address is unknown.
    AddressDenied,
    /// The key does not open this server.
    ServerDenied,
    /// The key lacks a scope.
    ScopeMissing,
    /// The key may only read, and this is no read.
    ReadOnly,
    /// The key's rules do not permit this tool, prompt, resource or method of an MCP server.
    ToolDenied,
    /// A policy of the integrator refused.
    Policy,
    /// The request must be signed, and has no signature or half of one.
    SignatureMissing,
    /// A signing header stands in the request more than once.
    SignatureAmbiguous,
    /// The signature is not one of this request under this key, or cannot be read.
    SignatureInvalid,
    /// The request was signed too long ago, or in the future.
    TimestampStale,
    /// The signature was used before.
    Replayed,
    /// The body is larger than what is read before it is passed on.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off.
    BodyIncomplete,
    /// The body is no message that could be judged.
    MessageUnreadable,
    /// The body is not of a type, or in an encoding, that could be judged.
    MediaTypeUnsupported,
    /// The session is not one of this key.
    SessionUnknown,
    /// A rate limit of the key is used up.
    RateLimited,
    /// A quota of the key is used up.
    QuotaExceeded,
    /// The caller's address failed too often with unproven keys.
    TooManyFailures,
    /// The store, the hashing pool or the replay guard did not answer, or had no room.
    Unavailable,
}

/// The families of [kinds](RejectionKind), as answers name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionType {
    /// `authentication_error`: who is calling was not established.
    Authentication,
    /// `permission_error`: the key is genuine, and may not do this.
    Permission,
    /// `rate_limit_error`: not now.
    RateLimit,
    /// `invalid_request_error`: the request itself is at fault.
    InvalidRequest,
    /// `api_error`: the fault is on this side.
    Api,
}

impl RejectionType {
    /// The type as answers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_error",
            Self::InvalidRequest => "invalid_request_error",
            Self::Api => "api_error",
        }
    }
}

impl RejectionKind {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 31] = [
        Self::Missing,
        Self::Ambiguous,
        Self::Malformed,
        Self::Unknown,
        Self::WrongSecret,
        Self::Revoked,
        Self::Expired,
        Self::TokenExpired,
        Self::Disabled,
        Self::OwnerBarred,
        Self::AddressDenied,
        Self::ServerDenied,
        Self::ScopeMissing,
        Self::ReadOnly,
        Self::ToolDenied,
        Self::Policy,
        Self::SignatureMissing,
        Self::SignatureAmbiguous,
        Self::SignatureInvalid,
        Self::TimestampStale,
        Self::Replayed,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::BodyIncomplete,
        Self::MessageUnreadable,
        Self::MediaTypeUnsupported,
        Self::SessionUnknown,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::TooManyFailures,
        Self::Unavailable,
    ];

    /// Its place among all.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The kind as one word, as statistics name it. Answers say less: see [`Rejection::code`](crate::Rejection::code).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::TokenExpired => "token_expired",
            Self::Disabled => "disabled",
            Self::OwnerBarred => "owner_barred",
            Self::AddressDenied => "address_denied",
            Self::ServerDenied => "server_denied",
            Self::ScopeMissing => "scope_missing",
            Self::ReadOnly => "read_only",
            Self::ToolDenied => "tool_denied",
            Self::Policy => "policy",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureAmbiguous => "signature_ambiguous",
            Self::SignatureInvalid => "signature_invalid",
            Self::TimestampStale => "timestamp_stale",
            Self::Replayed => "replayed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyIncomplete => "body_incomplete",
            Self::MessageUnreadable => "message_unreadable",
            Self::MediaTypeUnsupported => "media_type_unsupported",
            Self::SessionUnknown => "session_unknown",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooManyFailures => "too_many_failures",
            Self::Unavailable => "unavailable",
        }
    }

    /// The family of the kind.
    pub fn rejection_type(self) -> RejectionType {
        match self {
            Self::Missing
            | Self::Malformed
            | Self::Unknown
            | Self::WrongSecret
            | Self::Revoked
            | Self::Expired
            | Self::TokenExpired
            | Self::Disabled
            | Self::OwnerBarred
            | Self::SignatureMissing
            | Self::SignatureInvalid
            | Self::TimestampStale
            | Self::Replayed => RejectionType::Authentication,
            Self::AddressDenied
            | Self::ServerDenied
            | Self::ScopeMissing
            | Self::ReadOnly
            | Self::ToolDenied
            | Self::Policy => RejectionType::Permission,
            Self::RateLimited | Self::QuotaExceeded | Self::TooManyFailures => {
                RejectionType::RateLimit
            }
            Self::Ambiguous
            | Self::SignatureAmbiguous
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyIncomplete
            | Self::MessageUnreadable
            | Self::MediaTypeUnsupported
            | Self::SessionUnknown => RejectionType::InvalidRequest,
            Self::Unavailable => RejectionType::Api,
        }
    }

    /// The stable word that answers carry.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Ambiguous => "ambiguous_credentials",
            Self::Malformed | Self::Unknown | Self::WrongSecret | Self::Revoked => {
                "invalid_api_key"
            }
            Self::Expired | Self::TokenExpired => "expired_api_key",
            Self::Disabled | Self::OwnerBarred => "disabled_api_key",
            Self::AddressDenied => "ip_not_allowed",
            Self::ServerDenied => "server_not_allowed",
            Self::ScopeMissing => "insufficient_scope",
            Self::ReadOnly => "read_only_key",
            Self::ToolDenied => "tool_not_allowed",
            Self::Policy => "not_allowed",
            Self::SignatureMissing => "missing_signature",
            Self::SignatureAmbiguous => "ambiguous_signature",
            Self::SignatureInvalid => "invalid_signature",
            Self::TimestampStale => "stale_timestamp",
            Self::Replayed => "replayed_request",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyIncomplete => "body_incomplete",
            Self::MessageUnreadable => "invalid_message",
            Self::MediaTypeUnsupported => "unsupported_media_type",
            Self::SessionUnknown => "session_not_found",
            Self::RateLimited => "rate_limit_exceeded",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooManyFailures => "too_many_failures",
            Self::Unavailable => "unavailable",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Missing => "No API key was provided",
            Self::Ambiguous => "More than one API key was provided; send exactly one",
            Self::Malformed | Self::Unknown | Self::WrongSecret | Self::Revoked => {
                "The API key provided is invalid or has been revoked"
            }
            Self::Expired | Self::TokenExpired => "The API key provided has expired",
            Self::Disabled | Self::OwnerBarred => "The API key provided is disabled",
            Self::AddressDenied => "The API key may not be used from this address",
            Self::ServerDenied => "The API key does not open this server",
            Self::ScopeMissing => "The API key lacks a required scope",
            Self::ReadOnly => "The API key may only read",
            Self::ToolDenied => "The API key may not use this tool",
            Self::Policy => "The API key may not be used for this request",
            Self::SignatureMissing => {
                "The request is not signed; send both X-MCP-Timestamp and X-MCP-Signature"
            }
            Self::SignatureAmbiguous => {
                "X-MCP-Timestamp or X-MCP-Signature was sent more than once; send each exactly once"
            }
            Self::SignatureInvalid => "The signature of the request is invalid",
            Self::TimestampStale => {
                "The timestamp of the request is too far from the server's time"
            }
            Self::Replayed => "The signature was used before; sign each request anew",
            Self::BodyTooLarge => "The request body is too large",
            Self::BodyTimeout => "The request body did not arrive in time",
            Self::BodyIncomplete => "The request body broke off",
            Self::MessageUnreadable => "The request body is not a message that can be read",
            Self::MediaTypeUnsupported => {
                "The request body must be application/json, without a content encoding"
            }
            Self::SessionUnknown => "Session not found",
            Self::RateLimited => "The rate limit of the API key is used up",
            Self::QuotaExceeded => "The quota of the API key is used up",
            Self::TooManyFailures => "Too many failed attempts from this address",
            Self::Unavailable => "API keys cannot be verified at the moment",
        }
    }
}
