//! What can be decided about a request: by its head, and by its body when that is there.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::McpLayer;
use super::answer::Refusal;
use super::holder::holder;
use super::stated::Stated;
use crate::context::{Brief, KeyContext};
use crate::gate::{Costs, Gate};
use crate::layer::ticket::Slot;
use crate::mcp::{
    Class, Denied, Kind, ListFilter, ListKind, Message, OwnTasks, Peeked, is_restricted, judge,
    needs_filter, permits,
};
use crate::rejection::{Rejection, RejectionKind};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// What a request is, by its head.
pub(super) enum Opening {
    /// It passes as it is, and costs so much.
    Pass(Costs),
    /// It passes without a body, and costs so much.
    Bare(Costs),
    /// Its headers say what it is. It passes as it is, costs so much, and may begin so much.
    Stated(Costs, Option<Begins>),
    /// Its body says what it is.
    Read,
}

/// What a request is, by its body.
pub(super) struct Verdict {
    pub(super) costs: Costs,
    /// The id of the one request, as raw JSON; none for a batch or for what is no request.
    pub(super) id: Option<Box<str>>,
    /// The ids of the requests of a batch.
    pub(super) batch: Vec<Box<str>>,
    /// What the answer must not show. Boxed, since most show nothing of the kind.
    pub(super) filter: Option<Box<ListFilter>>,
    /// What the answer may begin.
    pub(super) begins: Option<Begins>,
    /// Whether the answer has to be read, so that the server must not encode it.
    pub(super) is_plain_wanted: bool,
}

/// A request whose answer may begin tasks, which are then the key's.
pub(super) struct Begins {
    pub(super) own: OwnTasks,
    /// The ids of the requests that may, as raw JSON; without any it is one whose id was not read.
    pub(super) asked: Option<Box<[Box<str>]>>,
}

impl McpLayer {
    /// Judges the head. The session id that the server knows is put in the place of the shown one.
    ///
    /// What a restricted key sends is read, or does not reach the server.
    pub(super) fn open(&self, head: &mut Parts, key: &KeyContext) -> Result<Opening, Rejection> {
        self.unbind_session(head, key)?;
        let is_restricted = is_restricted(key.access(), key.brief().mcp);
        let is_without_message = matches!(
            head.method,
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
        );
        // To open a stream, or to fetch anything, is a request like another. To end a session must
        // always be possible.
        let cost = u32::from(matches!(head.method, Method::GET | Method::HEAD));
        match (is_without_message, is_restricted) {
            (true, false) => return Ok(Opening::Pass(Costs::Request(cost))),
            (true, true) => {
                // A connection that changes its protocol is out of sight from then on. A body has no
                // meaning here, and a server that finds one in it is not to be given it.
                for name in [UPGRADE, CONTENT_LENGTH, TRANSFER_ENCODING] {
                    head.headers.remove(name);
                }
                return Ok(Opening::Bare(Costs::Request(cost)));
            }
            (false, true) => drop(head.headers.remove(UPGRADE)),
            (false, false) => {}
        }
        match (is_plain_json(&head.headers), is_restricted) {
            (true, _) => Ok(self.open_by_headers(head, key).unwrap_or(Opening::Read)),
            (false, false) if may_be_json(&head.headers) => match self.own_tasks(&key.brief()) {
                Some(own) if own.are_not_all() => {
                    Err(Rejection::new(RejectionKind::MediaTypeUnsupported))
                }
                _ => Ok(Opening::Pass(self.unread())),
            },
            (false, false) => Ok(Opening::Pass(Costs::Request(1))),
            (false, true) => Err(Rejection::new(RejectionKind::MediaTypeUnsupported)),
        }
    }

    /// Judges what the headers state, where they are trusted. What they do not permit is for the
    /// body to be denied by, so that the answer can name the request.
    fn open_by_headers(&self, head: &Parts, key: &KeyContext) -> Option<Opening> {
        if !self.settings.trusts_headers {
            return None;
        }
        let Stated { class, name } = Stated::read(head)?;
        let info = &key.brief();
        let tools = &self.settings.read_only_tools;
        if !permits(class, name, info.access, info.mcp, tools) {
            return None;
        }
        let cost = self.cost(Some(name).filter(|_| class == Class::Call));
        let begins = self.own_tasks(info).map(|own| Begins { own, asked: None });
        Some(Opening::Stated(Costs::Calls(vec![cost]), begins))
    }

    /// Judges the body.
    ///
    /// What it asks for is left in `word`, whether it is permitted or not.
    pub(super) fn judge(
        &self,
        body: &Bytes,
        key: &KeyContext,
        word: Option<(&Slot, &Gate)>,
    ) -> Result<Verdict, Refusal> {
        let info = &key.brief();
        let own = self.own_tasks(info);
        let peeked = match Message::peek(body) {
            Ok(peeked) => peeked,
            // A key without restrictions may send anything; the server answers it. But it may not
            // be about the task of another key.
            Err(_)
                if !is_restricted(info.access, info.mcp)
                    && !own.as_ref().is_some_and(OwnTasks::are_not_all) =>
            {
                return Ok(Verdict {
                    costs: self.unread(),
                    id: None,
                    batch: Vec::new(),
                    filter: None,
                    begins: None,
                    is_plain_wanted: false,
                });
            }
            Err(fault) => return Err(Refusal::Unreadable(fault)),
        };
        let messages = peeked.messages();
        if let Some((slot, gate)) = word {
            slot.asks_for(gate, operation_of(messages));
        }
        self.judge_messages(&peeked, info, own.as_ref())?;
        let (id, batch) = match &peeked {
            Peeked::One(message) => (answerable_id(message), Vec::new()),
            Peeked::Batch(messages) => (None, messages.iter().filter_map(answerable_id).collect()),
        };
        let filter = self.filter(messages, info, own.as_ref());
        let begins = own.and_then(|own| begins(messages, own));
        Ok(Verdict {
            costs: self.costs(messages),
            id,
            batch,
            is_plain_wanted: filter.is_some()
                || (begins.is_some() && messages.iter().any(Message::knows_tasks)),
            filter,
            begins,
        })
    }

    /// The key's tasks, unless tasks are bound to none.
    pub(super) fn own_tasks(&self, info: &Brief<'_>) -> Option<OwnTasks> {
        let tasks = self.settings.tasks.as_ref();
        tasks.map(|tasks| OwnTasks::new(tasks, holder(info)))
    }

    fn judge_messages(
        &self,
        peeked: &Peeked<'_>,
        info: &Brief<'_>,
        own: Option<&OwnTasks>,
    ) -> Result<(), Refusal> {
        let tools = &self.settings.read_only_tools;
        let judge = |message: &Message<'_>| judge(message, info.access, info.mcp, tools, own);
        match peeked {
            Peeked::One(message) => judge(message).map_err(|denied| Refusal::Denied {
                id: answerable_id(message),
                method: message.method().unwrap_or_default().into(),
                denied,
            }),
            Peeked::Batch(messages) => {
                let denied: Vec<Option<Denied>> = messages
                    .iter()
                    .map(|message| judge(message).err())
                    .collect();
                if denied.iter().all(Option::is_none) {
                    return Ok(());
                }
                let entries = messages.iter().zip(denied);
                Err(Refusal::DeniedBatch(
                    entries
                        .filter_map(|(message, denied)| {
                            let method = message.method().unwrap_or_default().into();
                            answerable_id(message).map(|id| (id, method, denied))
                        })
                        .collect(),
                ))
            }
        }
    }

    /// What cannot be read may be a call of the dearest tool, and is paid as one.
    fn unread(&self) -> Costs {
        let costs = self.settings.tool_costs.iter().map(|(_, cost)| *cost);
        Costs::Unread(costs.fold(1, u32::max))
    }

    /// Requests cost; what asks for nothing does not.
    fn costs(&self, messages: &[Message<'_>]) -> Costs {
        let calls = messages.iter().filter_map(|message| {
            let is_request = matches!(message.kind(), Kind::Request | Kind::RequestWithoutId);
            if !is_request || message.method() == Some("ping") {
                return None;
            }
            let tool = message.name().filter(|_| message.class() == Class::Call);
            Some(self.cost(tool))
        });
        Costs::Calls(calls.collect())
    }

    fn cost(&self, tool: Option<&str>) -> (Option<Box<str>>, u32) {
        let cost = tool.and_then(|tool| {
            let mut costs = self.settings.tool_costs.iter();
            costs.find(|(tools, _)| tools.matches(tool))
        });
        (tool.map(Box::from), cost.map_or(1, |(_, cost)| *cost))
    }

    fn filter(
        &self,
        messages: &[Message<'_>],
        info: &Brief<'_>,
        own: Option<&OwnTasks>,
    ) -> Option<Box<ListFilter>> {
        let is_filtered = |message: &&Message<'_>| match message.class().lists() {
            Some(ListKind::Tasks) => own.is_some(),
            Some(kind) => needs_filter(kind, info.access, info.mcp),
            None => false,
        };
        let mut lists = messages.iter().filter(is_filtered).peekable();
        lists.peek()?;
        let ids = lists.filter_map(Message::id);
        Some(self.filter_of(ids.collect::<Vec<_>>(), info))
    }

    /// What a stream that is no answer to one request must not show: a server may send answers to
    /// lists again on it.
    pub(super) fn stream_filter(&self, info: &Brief<'_>) -> Option<Box<ListFilter>> {
        is_restricted(info.access, info.mcp).then(|| self.filter_of(Vec::new(), info))
    }

    fn filter_of(&self, ids: Vec<crate::mcp::RequestId<'_>>, info: &Brief<'_>) -> Box<ListFilter> {
        let tools = self.settings.read_only_tools.clone();
        let filter = ListFilter::new(ids, info.access, info.mcp.clone(), tools);
        Box::new(filter.of_tasks(self.own_tasks(info)))
    }

    fn unbind_session(&self, head: &mut Parts, key: &KeyContext) -> Result<(), Rejection> {
        let Some(sessions) = &self.settings.sessions else {
            return Ok(());
        };
        let unknown = || Rejection::new(RejectionKind::SessionUnknown);
        let mut shown = head.headers.get_all(SESSION_ID).iter();
        let Some(first) = shown.next() else {
            return Ok(());
        };
        if shown.next().is_some() {
            return Err(unknown());
        }
        let text = first.to_str().map_err(|_| unknown())?;
        let session = sessions
            .unbind(text, holder(&key.brief()))
            .ok_or_else(unknown)?;
        let session = HeaderValue::from_str(session).map_err(|_| unknown())?;
        head.headers.insert(SESSION_ID, session);
        Ok(())
    }
}

/// What messages ask for: the tool, or the method of what calls none.
fn operation_of<'m>(messages: &'m [Message<'_>]) -> &'m str {
    match messages {
        [one] if one.class() == Class::Call => one.name().unwrap_or_default(),
        [one] => one.method().unwrap_or("response"),
        _ => "batch",
    }
}

/// The requests among `messages` whose answers may begin tasks.
fn begins(messages: &[Message<'_>], own: OwnTasks) -> Option<Begins> {
    let asked: Box<[_]> = messages
        .iter()
        .filter(|message| message.class().may_begin_task())
        .filter_map(answerable_id)
        .collect();
    let asked = Some(asked).filter(|asked| !asked.is_empty())?;
    Some(Begins {
        own,
        asked: Some(asked),
    })
}

/// The id to answer to; none for a message that wants no answer.
fn answerable_id(message: &Message<'_>) -> Option<Box<str>> {
    let id = message.id().filter(|_| message.kind() == Kind::Request);
    id.map(|id| id.as_json().into())
}

/// Whether every server takes the body for JSON in UTF-8, or refuses it: one content type, no charset
/// but that one, no encoding. Servers differ in which of two content types counts, and there are some
/// that read JSON in UTF-7 if told so.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else {
        return false;
    };
    let mut parts = one.as_bytes().split(|byte| *byte == b';');
    let is_json = parts
        .next()
        .is_some_and(|essence| is(essence, "application/json"));
    let is_utf8 = |part: &[u8]| {
        ["", "charset=utf-8", "charset=\"utf-8\""]
            .iter()
            .any(|harmless| is(part, harmless))
    };
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    is_json && parts.all(is_utf8) && encodings.all(|coding| is(coding.as_bytes(), "identity"))
}

fn is(part: &[u8], text: &str) -> bool {
    part.trim_ascii().eq_ignore_ascii_case(text.as_bytes())
}

/// Whether some server may take the body for JSON.
fn may_be_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter().peekable();
    types.peek().is_none()
        || types.any(|value| {
            let mut windows = value.as_bytes().windows(4);
            windows.any(|window| window.eq_ignore_ascii_case(b"json"))
        })
}

/// Says once that the layer does not stand where it can work.
#[derive(Debug, Default)]
pub(super) struct Misplaced(AtomicBool);

impl Misplaced {
    pub(super) fn report(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "requests are refused because no key reaches McpLayer; use \
                 `ApiKeyLayer::with_mcp`, which puts it inside"
            );
        }
    }
}
