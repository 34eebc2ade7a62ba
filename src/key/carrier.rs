//! Where a key is presented.

use serde::Serialize;

/// Where in a request a key was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Carrier {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header of its own, such as `X-API-Key`.
    Header,
    /// A segment of the path.
    Path,
    /// A place of the integrator's choosing.
    Other,
}

impl Carrier {
    /// The place as one word, as it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::Path => "path",
            Self::Other => "other",
        }
    }
}
