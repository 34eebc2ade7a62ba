//! What can go wrong behind the request path: in a store, in the manager, while building.
//!
//! One opaque type with a [kind](ErrorKind) to act on, the name of the offending field for bad
//! input, and the cause kept as [`source`](std::error::Error::source). Refusals of requests are
//! not errors; they are [`Rejection`](crate::rejection::Rejection)s.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// Why a store or manager call failed.
///
/// ```
/// use mcp_api_keys::{Error, ErrorKind};
///
/// let error = Error::invalid("name", "must not be empty");
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert_eq!(error.field(), Some("name"));
/// assert_eq!(error.to_string(), "invalid name: must not be empty");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    field: Option<&'static str>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What an [`Error`] means to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else was faster, or the name is taken: read again, then decide.
    Conflict,
    /// What is stored cannot be understood; repeating the call will not help.
    Corrupt,
    /// The caller may not do this; [`Error::field`] names what reaches too far. Nothing was
    /// changed.
    Forbidden,
    /// The caller's input is at fault; [`Error::field`] names it. Nothing was changed.
    InvalidInput,
    /// There is no such key.
    NotFound,
    /// The store (or the hashing pool) did not answer in time; the call may be repeated.
    Unavailable,
}

impl Error {
    /// An error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            field: None,
            message: message.into(),
            source: None,
        }
    }

    /// Bad input in `field`.
    pub fn invalid(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(field),
            ..Self::new(ErrorKind::InvalidInput, message)
        }
    }

    /// The same error with the cause that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, about an input field.
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// What the error means to a caller.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The input field at fault, for [`ErrorKind::InvalidInput`] and [`ErrorKind::Forbidden`].
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_temporary(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) if self.kind == ErrorKind::Forbidden => {
                write!(f, "not allowed: {field} {}", self.message)
            }
            Some(field) => write!(f, "invalid {field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
