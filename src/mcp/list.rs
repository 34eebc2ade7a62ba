//! The answer to a list, without what the key may not use.
//!
//! 1. Of an answer with a list, the entries go that the key may not use: tools and prompts by
//!    `name`, resources and skills by `uri`, templates by `uriTemplate`, and tasks that are not the
//!    key's own, by `taskId`. An entry whose name cannot be read goes too. Whatever a read-only key
//!    may not call is not shown to it.
//! 2. `cacheScope` becomes `private`, and is added to lists of a restricted kind, also where nothing
//!    was taken out: another key may see another list, and all pages of a list have the same scope.
//!    It is not added to lists of tasks, which no revision has that knows it.
//! 3. Everything else stays as it was written, byte for byte: order, spacing, numbers, `nextCursor`,
//!    members that are not known here.
//! 4. Messages that are no answers, and answers that are errors, pass as they are.
//! 5. An answer counts as one to a list if its id is that of a list request, and also if its result
//!    holds a list, whatever its id: servers have been seen to answer with `"1"` to `1`.
//! 6. What cannot be read is an error. It must not be sent, nor anything in its place but an error.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::judge::{ReadOnlyTools, Rights, needs_filter};
use super::message::RequestId;
use super::method::ListKind;
use super::task::OwnTasks;
use crate::key::{Access, McpRules};

const PRIVATE: &str = "\"private\"";

/// Filters the answers to the list requests of one body, for one key.
#[derive(Clone, Debug)]
pub(crate) struct ListFilter {
    ids: Box<[Box<str>]>,
    access: Access,
    rules: McpRules,
    read_only_tools: ReadOnlyTools,
    /// None if tasks are shown to whoever asks.
    own_tasks: Option<OwnTasks>,
}

impl ListFilter {
    /// A filter for the answers to the list requests with these ids.
    pub(crate) fn new<'a>(
        ids: impl IntoIterator<Item = RequestId<'a>>,
        access: Access,
        rules: McpRules,
        read_only_tools: ReadOnlyTools,
    ) -> Self {
        Self {
            ids: ids.into_iter().map(|id| id.as_json().into()).collect(),
            access,
            rules,
            read_only_tools,
            own_tasks: None,
        }
    }

    /// The same filter, which also shows no tasks but these.
    pub(crate) fn of_tasks(self, own_tasks: Option<OwnTasks>) -> Self {
        Self { own_tasks, ..self }
    }

    /// What the key may see of `body`: one message, or an array of messages.
    ///
    /// # Errors
    ///
    /// If it cannot be told what stands in `body`.
    pub(crate) fn apply<'b>(&self, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Unfilterable> {
        let text = std::str::from_utf8(body).map_err(|_| Unfilterable::Malformed)?;
        let mut edits = Edits::of(text);
        match text.trim_ascii_start().as_bytes() {
            [] => {}
            [b'[', ..] => {
                for message in read::<Vec<&RawValue>>(text)? {
                    self.edit_message(message.get(), &mut edits)?;
                }
            }
            _ => self.edit_message(text, &mut edits)?,
        }
        Ok(edits.apply())
    }

    fn edit_message(&self, text: &str, edits: &mut Edits<'_>) -> Result<(), Unfilterable> {
        let message: Envelope<'_> = read_object(text)?;
        let Some(result) = message.result else {
            return Ok(());
        };
        if message.method.is_some() {
            return Err(Unfilterable::Malformed);
        }
        let expected = message
            .id
            .is_some_and(|id| self.ids.iter().any(|ours| is_same_id(ours, id.get())));
        if !expected && !result.get().starts_with('{') {
            return Ok(());
        }
        self.edit_result(result.get(), expected, edits)
    }

    fn edit_result(
        &self,
        text: &str,
        expected: bool,
        edits: &mut Edits<'_>,
    ) -> Result<(), Unfilterable> {
        let result: ListResult<'_> = read_object(text)?;
        let lists = [
            (ListKind::Tools, result.tools),
            (ListKind::Prompts, result.prompts),
            (ListKind::Resources, result.resources),
            (ListKind::ResourceTemplates, result.resource_templates),
            (ListKind::Skills, result.skills),
            (ListKind::Tasks, result.tasks),
        ];
        let (mut listed, mut filtered) = (expected, false);
        for (kind, list) in lists {
            let Some(list) = list else { continue };
            listed = true;
            let is_of_tasks = kind == ListKind::Tasks && self.own_tasks.is_some();
            if is_of_tasks || needs_filter(kind, self.access, &self.rules) {
                filtered |= !is_of_tasks;
                if let Some(rest) = self.permitted_of(kind, list.get())? {
                    edits.replace(list.get(), rest);
                }
            }
        }
        match result.cache_scope {
            Some(scope) if listed && scope.get() != PRIVATE => {
                edits.replace(scope.get(), PRIVATE.to_owned());
            }
            None if filtered => edits.append_member(text, format!(",\"cacheScope\":{PRIVATE}")),
            _ => {}
        }
        Ok(())
    }

    /// The list without what is not permitted, unless all of it is.
    fn permitted_of(&self, kind: ListKind, list: &str) -> Result<Option<String>, Unfilterable> {
        let entries = read::<Vec<&RawValue>>(list)?;
        let permitted: Vec<&str> = entries
            .iter()
            .map(|entry| entry.get())
            .filter(|entry| self.permits(kind, entry))
            .collect();
        if permitted.len() == entries.len() {
            return Ok(None);
        }
        Ok(Some(format!("[{}]", permitted.join(","))))
    }

    fn permits(&self, kind: ListKind, entry: &str) -> bool {
        let Ok(entry) = read_object::<Entry<'_>>(entry) else {
            return false;
        };
        let rights = Rights {
            access: self.access,
            rules: &self.rules,
            read_only_tools: &self.read_only_tools,
        };
        let text = |raw: Option<&RawValue>| read::<String>(raw?.get()).ok();
        match kind {
            ListKind::Tools => {
                text(entry.name).is_some_and(|name| rights.check_call(&name).is_ok())
            }
            ListKind::Prompts => {
                text(entry.name).is_some_and(|name| rights.check_prompt(&name).is_ok())
            }
            ListKind::Resources | ListKind::Skills => {
                text(entry.uri).is_some_and(|uri| rights.check_resource(&uri).is_ok())
            }
            ListKind::ResourceTemplates => {
                text(entry.uri_template).is_some_and(|uri| rights.check_resource(&uri).is_ok())
            }
            ListKind::Tasks => text(entry.task_id)
                .zip(self.own_tasks.as_ref())
                .is_some_and(|(task, own)| own.contains(&task)),
        }
    }
}

/// Whether a server that was asked with one id may have written the other.
///
/// Numbers are compared as the floating-point numbers that JavaScript makes of them.
pub(super) fn is_same_id(ours: &str, theirs: &str) -> bool {
    let text = |id: &str| serde_json::from_str::<String>(id).ok();
    let number = |id: &str| id.parse::<f64>().ok();
    ours == theirs
        || text(ours).is_some_and(|ours| text(theirs) == Some(ours))
        || number(ours).is_some_and(|ours| number(theirs) == Some(ours))
}

// Derived readers refuse a known member that stands there twice, and do not care how it is written.

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    method: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListResult<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    prompts: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_templates: Option<&'a RawValue>,
    #[serde(borrow)]
    skills: Option<&'a RawValue>,
    #[serde(borrow)]
    tasks: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    cache_scope: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    uri_template: Option<&'a RawValue>,
    #[serde(borrow)]
    task_id: Option<&'a RawValue>,
}

/// A member that is there although it may be `null`.
pub(super) fn present<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unfilterable> {
    serde_json::from_str(text).map_err(|_| Unfilterable::Malformed)
}

// Derived readers take an array for an object whose members come in order.
fn read_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unfilterable> {
    if text.trim_ascii_start().starts_with('{') {
        read(text)
    } else {
        Err(Unfilterable::Malformed)
    }
}

/// Changes to a text, made all at once so that the rest of it stays as it is.
struct Edits<'t> {
    text: &'t str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    /// Puts `with` in the place of `part`, which is a part of the text and not merely equal to one.
    fn replace(&mut self, part: &str, with: String) {
        let start = self.offset(part);
        self.edits.push((start..start + part.len(), with));
    }

    /// Puts `member` behind the last member of `object`, which has one.
    fn append_member(&mut self, object: &str, member: String) {
        let end = self.offset(object) + object.len() - 1;
        self.edits.push((end..end, member));
    }

    fn offset(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.text.as_ptr() as usize
    }

    fn apply(mut self) -> Cow<'t, [u8]> {
        if self.edits.is_empty() {
            return Cow::Borrowed(self.text.as_bytes());
        }
        self.edits.sort_by_key(|(at, _)| at.start);
        let mut edited = Vec::with_capacity(self.text.len() + 32);
        let mut done = 0;
        for (at, with) in self.edits {
            edited.extend_from_slice(self.text.get(done..at.start).unwrap_or_default().as_bytes());
            edited.extend_from_slice(with.as_bytes());
            done = at.end;
        }
        edited.extend_from_slice(self.text.get(done..).unwrap_or_default().as_bytes());
        Cow::Owned(edited)
    }
}

/// Why an answer cannot be filtered, and so must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfilterable {
    /// It is not what JSON-RPC and MCP make of an answer to a list.
    Malformed,
    /// It is longer than there is room for.
    TooLong,
}

impl fmt::Display for Unfilterable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the server's answer to a list cannot be read",
            Self::TooLong => "the server's answer to a list is too long to be filtered",
        })
    }
}

impl std::error::Error for Unfilterable {}

#[cfg(test)]
mod tests;
