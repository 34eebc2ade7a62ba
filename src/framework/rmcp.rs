//! rmcp: [`KeyContext`] as an argument of a tool or prompt (feature `rmcp`).
//!
//! rmcp puts the head of the HTTP request into the extensions of the MCP request, and the key layer
//! puts the context into the extensions of the head. The argument reaches through both, for each
//! request anew: in a session that several keys use, each call shows the key it came with.
//!
//! ```
//! use mcp_api_keys::KeyContext;
//! use rmcp::{tool, tool_router};
//!
//! struct Server;
//!
//! #[tool_router]
//! impl Server {
//!     #[tool(description = "Says who is calling")]
//!     async fn whoami(&self, key: KeyContext) -> String {
//!         key.name().to_owned()
//!     }
//! }
//! ```

use http::request::Parts;
use rmcp::ErrorData;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};

use crate::context::KeyContext;

impl<C: AsRequestContext> FromContextPart<C> for KeyContext {
    /// An internal error, if the server is not behind the key layer.
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        key_context(&context.as_request_context().extensions)
            .cloned()
            .ok_or_else(|| {
                tracing::error!("a tool asks for the key of a request that passed no key layer");
                ErrorData::internal_error("this server is not protected by an API key layer", None)
            })
    }
}

/// The key behind an MCP request, from the request context's extensions: for handlers that are no
/// tool functions, such as `ServerHandler::list_tools`.
pub fn key_context(extensions: &rmcp::model::Extensions) -> Option<&KeyContext> {
    extensions.get::<Parts>()?.extensions.get::<KeyContext>()
}
