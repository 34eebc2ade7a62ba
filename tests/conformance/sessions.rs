//! Sessions whose tools can close the stream that their own answer is awaited on.
//!
//! rmcp can close such a stream, and a client then comes back for the rest with `Last-Event-ID`.
//! But only the session manager knows which stream belongs to which request, so this one tells
//! the request. Everything else is rmcp's own manager.

use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionHandle, LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Debug, Default)]
pub(crate) struct Sessions(LocalSessionManager);

/// The stream that the answer to a request goes to: an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct AnswerStream {
    session: LocalSessionHandle,
    number: u64,
}

impl AnswerStream {
    /// Closes the connection. What is sent later is kept until the client asks for it.
    pub(crate) async fn close(&self) -> Result<(), ErrorData> {
        let closed = self.session.close_sse_stream(self.number, None).await;
        closed.map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.0.create_session().await
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.0.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.0.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.0.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let session = self.0.sessions.read().await.get(id).cloned();
        let session = session.ok_or_else(|| Self::Error::SessionNotFound(id.clone()))?;
        let receiver = session.establish_request_wise_channel().await?;
        if let Some(number) = receiver.http_request_id {
            let session = session.clone();
            message.insert_extension(AnswerStream { session, number });
        }
        session
            .push_message(message, receiver.http_request_id)
            .await?;
        Ok(ReceiverStream::new(receiver.inner))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.0.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.resume(id, last_event_id).await
    }
}
