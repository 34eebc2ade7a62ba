//! The MCP server that the suite asks for: what it can do, and where each part of it is.
//!
//! The suite prescribes the names of tools, prompts and resources and what they answer; `conformance
//! list --server` names its scenarios. Both revisions are served: sessions with `initialize` up to
//! 2025-11-25, and requests that stand for themselves from 2026-07-28 on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    CompleteRequestParams, CompleteResult, CompletionInfo, GetPromptRequestParams,
    GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, RequestStateCodec,
    ServerCapabilities, ServerConfig, SetLevelRequestMethod, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use tokio::sync::watch;

use crate::{prompts, resources};

pub(crate) type Context = RequestContext<RoleServer>;

/// How often each list has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    tools: u32,
    prompts: u32,
}

/// A list whose change clients may want to know of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Tools,
    Prompts,
}

/// One session of the older revision, or one request of the newer.
pub(crate) struct Fixture {
    tools: ToolRouter<Self>,
    changes: Arc<watch::Sender<Changes>>,
    /// The changes before this value was made, and so before a subscription was acknowledged.
    before: Changes,
    /// The least level that a session wants to read, as the number of the variant.
    level: AtomicU8,
    /// What a client is given to bring back, so that it cannot change it.
    pub(crate) state: RequestStateCodec,
}

impl Fixture {
    /// What all the sessions and requests of one server share.
    pub(crate) fn changes() -> Arc<watch::Sender<Changes>> {
        Arc::new(watch::Sender::default())
    }

    pub(crate) fn new(changes: &Arc<watch::Sender<Changes>>) -> Self {
        Self {
            tools: Self::content_tools() + Self::asking_tools() + Self::round_tools(),
            changes: changes.clone(),
            before: *changes.borrow(),
            level: AtomicU8::new(LoggingLevel::Debug as u8),
            // Nothing hangs on this secret: the suite only looks whether a seal is checked.
            state: RequestStateCodec::new(*b"the conformance fixture's secret"),
        }
    }

    /// Tells everyone who wants to know that a list has changed.
    pub(crate) async fn change(&self, list: List, context: &Context) {
        self.changes.send_modify(|changes| match list {
            List::Tools => changes.tools += 1,
            List::Prompts => changes.prompts += 1,
        });
        if !is_stateless(context) {
            // A client that is gone is no reason to fail.
            let _ = match list {
                List::Tools => context.peer.notify_tool_list_changed().await,
                List::Prompts => context.peer.notify_prompt_list_changed().await,
            };
        }
    }

    /// Sends a log message, if the client wants to read messages of this level.
    pub(crate) async fn log(&self, context: &Context, level: LoggingLevel, text: &str) {
        let wanted = if is_stateless(context) {
            context.meta.log_level().map(|least| least as u8)
        } else {
            Some(self.level.load(Ordering::Relaxed))
        };
        if wanted.is_some_and(|least| level as u8 >= least) {
            let message = LoggingMessageNotificationParam::new(level, text.into());
            let _ = context.peer.notify_logging_message(message).await;
        }
    }
}

/// Whether a request is of the revision without sessions.
pub(crate) fn is_stateless(context: &Context) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("mcp-api-keys conformance fixture", "1"))
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let values = ["test", "test value", "testimony"];
        let values = values.map(str::to_owned).to_vec();
        CompletionInfo::with_all_values(values)
            .map(CompleteResult::new)
            .map_err(|error| ErrorData::internal_error(error, None))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        if is_stateless(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.level.store(request.level as u8, Ordering::Relaxed);
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&request, &context)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = vec![resources::template()];
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri).map(Into::into)
    }

    // No resource ever changes, so there is nothing to remember.
    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        resources::read(&request.uri).map(|_| ())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        resources::read(&request.uri).map(|_| ())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        let mut seen = self.before;
        let (sink, wanted) = (subscription.sink(), subscription.accepted());
        loop {
            let now = *changes.borrow_and_update();
            if now.tools != seen.tools && wanted.tools_list_changed == Some(true) {
                let _ = sink.notify_tool_list_changed().await;
            }
            if now.prompts != seen.prompts && wanted.prompts_list_changed == Some(true) {
                let _ = sink.notify_prompt_list_changed().await;
            }
            seen = now;
            tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                changed = changes.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
        }
    }
}
