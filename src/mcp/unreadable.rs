//! Why the body of a request is refused.

use std::fmt;

/// Why a body is refused. Says nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not one JSON value, or more follows it.
    NotJson,
    /// `jsonrpc` is not `2.0`.
    NotJsonRpc,
    /// It is neither request, notification nor response, or is two of them.
    NotAMessage,
    /// A batch without messages.
    EmptyBatch,
    /// Too many messages, members or URIs.
    TooMany,
    /// An id that is neither string, integer nor null.
    InvalidId,
    /// A member does not have the type that MCP gives it.
    WrongType,
    /// A member stands there twice.
    Duplicate,
    /// A member is another one but for upper and lower case.
    OtherCase,
}

impl Unreadable {
    /// Whether JSON-RPC calls it a parse error (-32700) rather than an invalid request (-32600).
    pub(crate) fn is_parse_error(self) -> bool {
        matches!(self, Self::NotUtf8 | Self::NotJson)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the body is not UTF-8",
            Self::NotJson => "the body is not one JSON value",
            Self::NotJsonRpc => "the member jsonrpc must be \"2.0\"",
            Self::NotAMessage => {
                "a message has either a method, or a result or an error, and not both"
            }
            Self::EmptyBatch => "a batch holds at least one message",
            Self::TooMany => "the body holds too many messages, members or URIs",
            Self::InvalidId => "an id is a string, an integer or null",
            Self::WrongType => "a member does not have the type it must have",
            Self::Duplicate => "a member stands twice in one object",
            Self::OtherCase => "a member differs from a known one only in upper and lower case",
        })
    }
}

impl std::error::Error for Unreadable {}
