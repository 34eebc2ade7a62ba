//! What the messages of MCP mean for a key: pure knowledge, without HTTP and without waiting.
//!
//! The promise: what a server may take for the use of a tool, a prompt or a resource is judged by
//! the key's rules, or refused because it cannot be judged.
//!
//! 1. [`Message::peek`] reads from the body of a request what the judgement needs, and refuses what
//!    two parsers may read in two ways.
//! 2. [`Class::of`] knows the methods of every revision from 2024-11-05 to 2026-07-28.
//! 3. [`judge`] applies the key's level and rules to one message.
//! 4. [`Sessions`] and [`Tasks`] belong to the key that began them, and do not exist for others.
//! 5. [`ListFilter`] takes out of the answer to a list what the key may not use; [`SseFilter`] does
//!    so in a stream of events. What cannot be filtered is an error and must not be sent.
//!
//! A filtered list is a courtesy: it can be had unfiltered where a server repeats old answers to
//! whoever asks. What keeps a key from using a tool is the judgement of the call.

mod begun;
mod judge;
mod list;
mod members;
mod message;
mod method;
mod session;
mod sse;
mod task;
mod unreadable;
mod uri;

pub(crate) use self::begun::Begun;
pub(crate) use self::judge::{Denied, ReadOnlyTools, is_restricted, judge, needs_filter, permits};
pub(crate) use self::list::ListFilter;
pub(crate) use self::message::{Kind, Message, Peeked, RequestId};
pub(crate) use self::method::{Class, ListKind};
pub(crate) use self::session::Sessions;
pub(crate) use self::sse::SseFilter;
pub(crate) use self::task::{OwnTasks, Tasks};
pub(crate) use self::unreadable::Unreadable;
