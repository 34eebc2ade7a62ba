//! The key layer with the signing layer inside it, in the one right order.

use std::sync::Arc;

use super::{SignedRequestLayer, SignedRequestService};
use crate::layer::{ApiKeyLayer, ApiKeyService, McpApiKeyLayer, McpLayer};

/// An [`ApiKeyLayer`] with a [`SignedRequestLayer`] directly inside.
///
/// Made by [`ApiKeyLayer::with_signing`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SignedApiKeyLayer {
    outer: ApiKeyLayer,
    inner: SignedRequestLayer,
}

impl SignedApiKeyLayer {
    pub(in crate::layer) fn new(outer: ApiKeyLayer, mut inner: SignedRequestLayer) -> Self {
        let responder = inner.responder.take();
        inner.responder = Some(responder.unwrap_or_else(|| Arc::clone(&outer.responder)));
        Self { outer, inner }
    }

    /// Puts an [`McpLayer`] inside: a message is judged once its signature is verified, and charged
    /// after that.
    pub fn with_mcp(mut self, layer: McpLayer) -> McpApiKeyLayer<Self> {
        let responder = Arc::clone(&self.outer.responder);
        self.outer = self.outer.charged_inside();
        McpApiKeyLayer::new(self, layer, &responder)
    }
}

impl<S> tower_layer::Layer<S> for SignedApiKeyLayer {
    type Service = ApiKeyService<SignedRequestService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.outer.layer(self.inner.layer(inner))
    }
}
