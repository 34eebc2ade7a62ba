//! What an answer has to go through on its way out.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, response};
use http_body::Body;

use super::answer::unfilterable;
use super::holder::holder;
use super::judge::{Begins, SESSION_ID};
use super::{EventStream, McpLayer};
use crate::context::KeyContext;
use crate::gate::Admission;
use crate::key::LimitStatus;
use crate::layer::ResponseBody;
use crate::layer::guard::{Ending, EventData, Guard};
use crate::layer::respond::Charged;
use crate::mcp::{Begun, ListFilter};

/// What is known of a request that was passed on.
pub(super) struct Exchange {
    pub(super) layer: McpLayer,
    /// None once the answer is watched.
    pub(super) admission: Option<Admission>,
    pub(super) key: KeyContext,
    pub(super) method: Method,
    pub(super) id: Option<Box<str>>,
    pub(super) filter: Option<Box<ListFilter>>,
    pub(super) begins: Option<Begins>,
    pub(super) limit: Option<LimitStatus>,
}

/// What is to be done with an answer.
pub(super) enum Reply<R> {
    /// It can go.
    Ready(Response<ResponseBody<R>>),
    /// Its body has to be read first.
    Collect(response::Parts, R, Box<ListFilter>),
}

impl Exchange {
    pub(super) fn reply<R: Body>(&mut self, mut response: Response<R>) -> Reply<R> {
        self.bind_session(&mut response);
        self.tell_limit(&mut response);
        let filter = match self.filter.take() {
            None if self.method == Method::GET => self.layer.stream_filter(&self.key.brief()),
            filter => filter,
        };
        let Some(filter) = filter else {
            return Reply::Ready(self.watched(response.map(ResponseBody::inner)));
        };
        let kind = content_type(&response);
        let is_whole = !response.headers().contains_key(CONTENT_ENCODING);
        match kind {
            ContentType::Events if is_whole => {
                response.headers_mut().remove(CONTENT_LENGTH);
                let events =
                    EventStream::new(*filter, self.layer.settings.max_list, self.id.clone());
                let response = response.map(|body| ResponseBody::filtered(body, events));
                Reply::Ready(self.watched(response))
            }
            // What a GET answers with is no list unless it is a stream.
            _ if self.method == Method::GET && kind != ContentType::Events => {
                Reply::Ready(self.watched(response.map(ResponseBody::inner)))
            }
            ContentType::Json if is_whole => {
                let (head, body) = response.into_parts();
                Reply::Collect(head, body, filter)
            }
            // What was accepted without an answer, or failed.
            _ if is_empty(response.body()) || !response.status().is_success() => {
                Reply::Ready(self.watched(response.map(ResponseBody::inner)))
            }
            _ => {
                tracing::warn!("a list in a type or encoding that cannot be filtered is held back");
                Reply::Ready(unfilterable(self.id.as_deref()).map(ResponseBody::own))
            }
        }
    }

    /// The answer with a body that was read to its end, or could not be.
    pub(super) fn collected<R>(
        &mut self,
        mut head: response::Parts,
        body: Option<&Bytes>,
        filter: &ListFilter,
    ) -> Response<ResponseBody<R>> {
        let filtered = body.and_then(|body| filter.apply(body).ok());
        let Some(filtered) = filtered else {
            tracing::warn!("a list that cannot be read is held back");
            return unfilterable(self.id.as_deref()).map(ResponseBody::own);
        };
        let body = Bytes::from(filtered.into_owned());
        // They are of the body as the server made it, which nobody gets.
        for name in [
            "etag",
            "content-md5",
            "digest",
            "content-digest",
            "repr-digest",
        ] {
            head.headers.remove(name);
        }
        if head.headers.contains_key(CONTENT_LENGTH) {
            head.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let response = Response::from_parts(head, ResponseBody::own(body));
        self.looked_at(response)
    }

    /// The same answer, looked at on its way for tasks that it begins.
    fn looked_at<R>(&mut self, response: Response<ResponseBody<R>>) -> Response<ResponseBody<R>> {
        let Some(Begins { own, asked }) = self.begins.take() else {
            return response;
        };
        let begun = match content_type(&response) {
            _ if response.headers().contains_key(CONTENT_ENCODING) => return response,
            ContentType::Json => Begun::in_json(own, asked),
            ContentType::Events => Begun::in_events(own, asked),
            ContentType::Other => return response,
        };
        response.map(|body| body.looked_at(begun))
    }

    /// Ends a stream when the key is no longer admitted, with an answer to the request if that has
    /// an id.
    fn watched<R>(&mut self, response: Response<ResponseBody<R>>) -> Response<ResponseBody<R>> {
        let response = self.looked_at(response);
        let Some(admission) = self.admission.take() else {
            return response;
        };
        let ending = match &self.id {
            Some(id) => {
                let data = EventData::JsonRpc(id.clone());
                Ending::of(response.headers(), data)
            }
            None => Ending::of(response.headers(), EventData::Api),
        };
        let guard = Guard::new(admission, ending);
        response.map(|body| body.guarded(guard))
    }

    fn bind_session<R>(&self, response: &mut Response<R>) {
        let Some(sessions) = &self.layer.settings.sessions else {
            return;
        };
        let headers = response.headers_mut();
        let Some(session) = headers.get(SESSION_ID) else {
            return;
        };
        let bound = session.to_str().ok().and_then(|session| {
            HeaderValue::from_str(&sessions.bind(session, holder(&self.key.brief()))).ok()
        });
        match bound {
            Some(bound) => headers.insert(SESSION_ID, bound),
            None => headers.remove(SESSION_ID),
        };
    }

    fn tell_limit<R>(&mut self, response: &mut Response<R>) {
        if let Some(limit) = self.limit.take() {
            response.extensions_mut().insert(Charged(limit));
        }
    }
}

fn is_empty(body: &impl Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentType {
    Json,
    Events,
    Other,
}

fn content_type<R>(response: &Response<R>) -> ContentType {
    let value = response.headers().get(CONTENT_TYPE);
    let essence = value
        .and_then(|value| value.as_bytes().split(|byte| *byte == b';').next())
        .unwrap_or_default()
        .trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        ContentType::Json
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        ContentType::Events
    } else {
        ContentType::Other
    }
}
