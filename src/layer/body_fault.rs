//! What a body can be refused for, in the words of HTTP, JSON-RPC and gRPC.

use http::StatusCode;

use crate::rejection::{Rejection, RejectionKind};

/// What can be wrong with a body or its place, which has its own statuses.
#[derive(Clone, Copy)]
pub(super) enum BodyFault {
    Size,
    Time,
    Message,
    MediaType,
    /// The one 404: MCP clients begin a new session then, which is what they are to do.
    Session,
}

impl BodyFault {
    pub(super) fn of(rejection: &Rejection) -> Option<Self> {
        match rejection.kind() {
            RejectionKind::BodyTooLarge => Some(Self::Size),
            // HTTP knows one word for both: no complete request while the server waited for it.
            RejectionKind::BodyTimeout | RejectionKind::BodyIncomplete => Some(Self::Time),
            RejectionKind::MessageUnreadable => Some(Self::Message),
            RejectionKind::MediaTypeUnsupported => Some(Self::MediaType),
            RejectionKind::SessionUnknown => Some(Self::Session),
            _ => None,
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Time => StatusCode::REQUEST_TIMEOUT,
            Self::Message => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Session => StatusCode::NOT_FOUND,
        }
    }

    pub(super) fn json_rpc_code(self) -> i32 {
        match self {
            Self::Time => -31_008,
            Self::Size => -31_013,
            Self::MediaType => -31_015,
            Self::Session => -31_004,
            // JSON-RPC's own: invalid request.
            Self::Message => -32_600,
        }
    }

    pub(super) fn grpc_status(self) -> &'static str {
        match self {
            Self::Time => "4",
            Self::Size => "8",
            Self::Message | Self::MediaType => "3",
            Self::Session => "5",
        }
    }
}
