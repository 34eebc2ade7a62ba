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

/// The names of those tools that declare to change nothing (`readOnlyHint`), for
/// [`McpLayer::read_only_tools`](crate::layer::McpLayer::read_only_tools). A tool that declares
/// nothing may change things.
///
/// ```
/// use mcp_api_keys::framework::rmcp::read_only_tools;
/// use mcp_api_keys::layer::McpLayer;
/// use rmcp::{tool, tool_router};
///
/// struct Server;
///
/// #[tool_router]
/// impl Server {
///     #[tool(description = "Reads a note", annotations(read_only_hint = true))]
///     async fn read_note(&self) -> String {
///         "a note".to_owned()
///     }
///
///     #[tool(description = "Writes a note")]
///     async fn write_note(&self) -> String {
///         "written".to_owned()
///     }
/// }
///
/// let tools = read_only_tools(&Server::tool_router().list_all());
/// assert_eq!(tools, [Box::<str>::from("read_note")]);
/// let layer = McpLayer::new().read_only_tools(tools);
/// # let _ = layer;
/// ```
pub fn read_only_tools(tools: &[rmcp::model::Tool]) -> Vec<Box<str>> {
    let declares_it = |tool: &&rmcp::model::Tool| {
        let annotations = tool.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.read_only_hint == Some(true))
    };
    tools
        .iter()
        .filter(declares_it)
        .map(|tool| Box::from(&*tool.name))
        .collect()
}
