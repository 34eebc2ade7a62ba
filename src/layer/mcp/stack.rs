//! The key layer, perhaps with signatures, with the MCP layer inside it, in the one right order.

use std::sync::Arc;

use super::{McpLayer, McpService};

/// An [`ApiKeyLayer`](crate::ApiKeyLayer), or one
/// [with signatures](crate::layer::SignedApiKeyLayer), with an [`McpLayer`] inside.
///
/// Made by `with_mcp`. Limits are charged by the inner layer.
#[derive(Clone, Debug)]
#[must_use]
pub struct McpApiKeyLayer<L> {
    outer: L,
    inner: McpLayer,
}

impl<L> McpApiKeyLayer<L> {
    pub(in crate::layer) fn new(
        outer: L,
        inner: McpLayer,
        responder: &Arc<dyn crate::layer::Respond>,
    ) -> Self {
        let inner = inner.with(|settings| {
            settings
                .responder
                .get_or_insert_with(|| Arc::clone(responder));
        });
        Self { outer, inner }
    }
}

impl<S, L> tower_layer::Layer<S> for McpApiKeyLayer<L>
where
    L: tower_layer::Layer<McpService<S>>,
{
    type Service = L::Service;

    fn layer(&self, inner: S) -> Self::Service {
        self.outer.layer(self.inner.layer(inner))
    }
}
