//! How a request ended.

/// Whether a request was let through; if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UsageOutcome {
    /// It was let through.
    Allowed,
    /// It was turned away, for a reason that [`RejectionKind::as_str`](crate::RejectionKind::as_str)
    /// names.
    Denied(&'static str),
}

impl UsageOutcome {
    /// `allowed`, or the name of the reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied(reason) => reason,
        }
    }

    /// Whether it was let through.
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UsageStatus {
    /// It was turned away, so that there is no answer to speak of.
    Denied,
    /// By a status of 1xx, such as a change of protocol.
    Informational,
    /// By a status of 2xx.
    Success,
    /// By a status of 3xx.
    Redirection,
    /// By a status of 4xx.
    ClientError,
    /// By a status of 5xx.
    ServerError,
    /// Not at all: the caller went before the answer began.
    Cancelled,
    /// Not at all: the service behind the layer failed.
    Failed,
}

impl UsageStatus {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Denied,
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Cancelled,
        Self::Failed,
    ];

    /// The class of a status code of HTTP.
    pub fn of_code(code: u16) -> Self {
        match code {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The class as text: `2xx` and the like, `denied`, `cancelled` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
