//! What fuzz targets and benches may see of the private room for MCP.

use crate::key::{Access, McpRules};
use crate::mcp::{ListFilter, Message, Peeked, ReadOnlyTools, SseFilter, judge};

/// What was read of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The id as JSON.
    pub id: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// `params.name`.
    pub name: Option<String>,
    /// `params.uri`.
    pub uri: Option<String>,
    /// `params.taskId`.
    pub task_id: Option<String>,
}

/// The messages of a body, unless it is refused.
pub fn peek(body: &[u8]) -> Option<Vec<Seen>> {
    let peeked = Message::peek(body).ok()?;
    let seen = |message: &Message<'_>| Seen {
        id: message.id().map(|id| id.as_json().to_owned()),
        method: message.method().map(str::to_owned),
        name: message.name().map(str::to_owned),
        uri: message.uri().map(str::to_owned),
        task_id: message.task_id().map(str::to_owned),
    };
    Some(peeked.messages().iter().map(seen).collect())
}

/// What is denied of the messages of a body, for a key and a server with these read-only tools.
/// `None` if the body is refused.
pub fn judged(
    body: &[u8],
    access: Access,
    rules: &McpRules,
    read_only_tools: &[&str],
) -> Option<Vec<Result<(), String>>> {
    let peeked = Message::peek(body).ok()?;
    let tools: ReadOnlyTools = read_only_tools.iter().copied().collect();
    let judged =
        |message| judge(message, access, rules, &tools, None).map_err(|denied| denied.to_string());
    Some(peeked.messages().iter().map(judged).collect())
}

/// Whether a body is a message or a batch; for measurements, since nothing is copied out of it.
pub fn is_readable(body: &[u8]) -> bool {
    matches!(Message::peek(body), Ok(Peeked::One(_) | Peeked::Batch(_)))
}

/// Filters the answers to the list requests of one body.
#[derive(Debug)]
pub struct Lists(ListFilter);

impl Lists {
    /// For the answers to `request`, unless that is refused.
    pub fn asked_for_by(
        request: &[u8],
        access: Access,
        rules: McpRules,
        read_only_tools: &[&str],
    ) -> Option<Self> {
        let peeked = Message::peek(request).ok()?;
        let lists = peeked.messages().iter();
        let lists = lists.filter(|message| message.class().lists().is_some());
        let tools = read_only_tools.iter().copied().collect();
        let ids = lists.filter_map(Message::id);
        Some(Self(ListFilter::new(ids, access, rules, tools)))
    }

    /// What may be sent of a JSON body; `None` if nothing may.
    pub fn filtered(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.0.apply(body).ok().map(Into::into)
    }

    /// What may be sent of a stream that comes in these chunks, and whether it stayed whole.
    pub fn streamed<'c>(
        &self,
        chunks: impl IntoIterator<Item = &'c [u8]>,
        max_event: usize,
    ) -> (Vec<u8>, bool) {
        let mut stream = SseFilter::new(self.0.clone(), max_event);
        let mut sent = Vec::new();
        for chunk in chunks {
            if stream.push(chunk, &mut sent).is_err() {
                return (sent, false);
            }
        }
        stream.finish(&mut sent);
        (sent, true)
    }
}
