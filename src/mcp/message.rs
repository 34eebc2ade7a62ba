//! What a request's body says, as far as a key's rules must know.
//!
//! 1. One pass, and nothing is built of what is not read: arguments of tools, whatever their size
//!    and depth, are read over.
//! 2. A body that two parsers may read in two ways is refused: members twice, or in another case,
//!    in any object that is looked into; bytes behind the value; a byte order mark; invalid UTF-8.
//! 3. A member that is read has the type that MCP gives it, or is `null` and counts as absent.
//! 4. A batch is so many messages, each of which is judged. Whether a server understands batches is
//!    not known here: one of four that were tried runs a `tools/call` in a batch.
//! 5. The id is kept as it was written, so that an answer can repeat it.
//!
//! What is not looked into is not vouched for: a server may still refuse what is accepted here.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use self::seeds::{Body, ParamsOf, Text};
use super::members::{Fault, Members, members};
use super::method::Class;
use super::unreadable::Unreadable;

mod seeds;

/// The messages of one body.
#[derive(Debug)]
pub(crate) enum Peeked<'a> {
    /// A message.
    One(Message<'a>),
    /// An array of messages, at least one.
    Batch(Vec<Message<'a>>),
}

impl<'a> Peeked<'a> {
    /// The messages in their order.
    pub(crate) fn messages(&self) -> &[Message<'a>] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }
}

/// One JSON-RPC message of a client.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    kind: Kind,
    id: Option<RequestId<'a>>,
    method: Option<Cow<'a, str>>,
    params: Params<'a>,
}

/// What sort of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A method and an id. An id that is `null` is one: servers differ in whether they run such a
    /// request, so it is never taken for harmless.
    Request,
    /// A method `notifications/…` without an id.
    Notification,
    /// Any other method without an id. Servers that were tried accept a `tools/call` like this and
    /// do not run it; one that does run it must not do so beside the rules.
    RequestWithoutId,
    /// The answer to a request of the server's: no method, but a result or an error.
    Response,
}

/// The members of `params` that name what is used.
#[derive(Debug, Default)]
struct Params<'a> {
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    task_id: Option<Cow<'a, str>>,
    meta: Option<&'a RawValue>,
    asks_for_task: bool,
    reference: Option<Box<Reference<'a>>>,
    subscriptions: Subscribed<'a>,
}

/// What `subscriptions/listen` listens to: its `notifications`.
#[derive(Debug, Default)]
struct Subscribed<'a> {
    uris: Vec<Cow<'a, str>>,
    tasks: Vec<Cow<'a, str>>,
}

/// What `completion/complete` completes: its `ref`.
#[derive(Debug, Default)]
pub(crate) struct Reference<'a> {
    /// `ref/prompt` or `ref/resource`.
    pub(crate) sort: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) uri: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// If it is no JSON-RPC message or batch, or one that can be read in two ways.
    pub(crate) fn peek(body: &'a [u8]) -> Result<Peeked<'a>, Unreadable> {
        // Here and not in serde_json, which does not look at the text that it reads over.
        let text = simdutf8::basic::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
        let fault = Fault::default();
        let mut json = serde_json::Deserializer::from_str(text);
        Body(&fault)
            .deserialize(&mut json)
            .and_then(|peeked| json.end().map(|()| peeked))
            .map_err(|error| match fault.reason() {
                Some(reason) => reason,
                None if error.is_data() => Unreadable::WrongType,
                None => Unreadable::NotJson,
            })
    }

    /// What sort of message it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The id, if there is one; `null` is one.
    pub(crate) fn id(&self) -> Option<RequestId<'a>> {
        self.id
    }

    /// The method, unless this is a response.
    pub(crate) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// What the message does, by its method.
    pub(crate) fn class(&self) -> Class {
        match (&self.method, self.kind) {
            (None, _) | (_, Kind::Notification) => Class::Always,
            (Some(method), _) => Class::of(method),
        }
    }

    /// `params.name`: of a tool or a prompt.
    pub(crate) fn name(&self) -> Option<&str> {
        self.params.name.as_deref()
    }

    /// `params.uri`: of a resource.
    pub(crate) fn uri(&self) -> Option<&str> {
        self.params.uri.as_deref()
    }

    /// `params.taskId`.
    pub(crate) fn task_id(&self) -> Option<&str> {
        self.params.task_id.as_deref()
    }

    /// Whether the answer may well begin a task: the message asks for one, as in revision 2025-11-25,
    /// or its client says that it knows them, as in 2026-07-28. One that says so in other letters
    /// is not found out.
    pub(crate) fn knows_tasks(&self) -> bool {
        let meta = self.params.meta.map(RawValue::get);
        self.class().may_begin_task()
            && (self.params.asks_for_task
                || meta.is_some_and(|meta| meta.contains("io.modelcontextprotocol/tasks")))
    }

    /// `params.ref`: what is to be completed.
    pub(crate) fn reference(&self) -> Option<&Reference<'a>> {
        self.params.reference.as_deref()
    }

    /// `params.notifications.resourceSubscriptions`: the URIs to listen to.
    pub(crate) fn subscriptions(&self) -> &[Cow<'a, str>] {
        &self.params.subscriptions.uris
    }

    /// `params.notifications.taskIds`: the tasks to listen to.
    pub(crate) fn task_subscriptions(&self) -> &[Cow<'a, str>] {
        &self.params.subscriptions.tasks
    }

    fn read<A: MapAccess<'a>>(mut map: A, fault: &Fault) -> Result<Self, A::Error> {
        let mut members = Members::<Top>::new(fault);
        let (mut version, mut id, mut method, mut answers) = (None, None, None, false);
        let mut params = Params::default();
        while let Some(member) = members.next(&mut map)? {
            match member {
                Top::Version => version = map.next_value_seed(Text)?,
                Top::Id => {
                    let read = RequestId::read(map.next_value()?);
                    id = Some(read.ok_or_else(|| fault.raise(Unreadable::InvalidId))?);
                }
                Top::Method => {
                    let read = map.next_value_seed(Text)?;
                    method = Some(read.ok_or_else(|| fault.raise(Unreadable::WrongType))?);
                }
                Top::Params => params = map.next_value_seed(ParamsOf(fault))?,
                Top::Result | Top::Error => {
                    map.next_value::<IgnoredAny>()?;
                    answers = true;
                }
            }
        }
        if version.as_deref() != Some("2.0") {
            return Err(fault.raise(Unreadable::NotJsonRpc));
        }
        let kind = match (&method, id) {
            (None, _) if answers => Kind::Response,
            (None, _) => return Err(fault.raise(Unreadable::NotAMessage)),
            (Some(_), _) if answers => return Err(fault.raise(Unreadable::NotAMessage)),
            (Some(_), Some(_)) => Kind::Request,
            (Some(method), None) if method.starts_with("notifications/") => Kind::Notification,
            (Some(_), None) => Kind::RequestWithoutId,
        };
        Ok(Self {
            kind,
            id,
            method,
            params,
        })
    }
}

/// The id of a request as it was written: a JSON string, an integer of any length, or `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// The JSON text, to be repeated in an answer.
    pub(crate) fn as_json(self) -> &'a str {
        self.0
    }

    fn read(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        let legal = match text.as_bytes() {
            // An escape may stand for half a character, which is no text to compare.
            [b'"', ..] => !text.contains('\\') || serde_json::from_str::<String>(text).is_ok(),
            [b'-' | b'0'..=b'9', ..] => !text.contains(['.', 'e', 'E']),
            other => other == b"null",
        };
        legal.then_some(Self(text))
    }
}

members!(
    /// Members of a message.
    Top {
        Version = "jsonrpc",
        Id = "id",
        Method = "method",
        Params = "params",
        Result = "result",
        Error = "error",
    }
);

#[cfg(test)]
mod tests;
