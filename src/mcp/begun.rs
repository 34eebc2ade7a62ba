//! Which tasks an answer begins, told by looking at it on its way.
//!
//! 1. An answer is looked at and never held back: not a byte of it is changed or waits.
//! 2. A task is known before the last byte is passed on of the message that tells of it, or, in JSON
//!    whose length nobody announced, before its end is.
//! 3. Only an answer to a request that was asked begins a task: `result.task.taskId`, as revision
//!    2025-11-25 has it, or `result.taskId` where `resultType` is `task`, as its extension of
//!    2026-07-28 does. Names may be written with escapes; what stands there twice is not read.
//! 4. What is looked at is bounded: a longer message tells of no task. Those that do take a few
//!    hundred bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::list::{is_same_id, present};
use super::task::OwnTasks;

/// The longest message that is looked at.
const LONGEST: usize = 64 * 1_024;

/// Looks at the answer to one request, or to those of a batch.
#[derive(Debug)]
pub(crate) struct Begun {
    own: OwnTasks,
    /// The ids of the requests, as raw JSON; without any it was one whose id was not read.
    asked: Option<Box<[Box<str>]>>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Json(Whole),
    Events(Events),
}

impl Begun {
    /// For an answer in JSON to the requests with these ids, or to one with an id that is not known.
    pub(crate) fn in_json(own: OwnTasks, asked: Option<Box<[Box<str>]>>) -> Self {
        let form = Form::Json(Whole::default());
        Self { own, asked, form }
    }

    /// The same for an answer as a stream of events.
    pub(crate) fn in_events(own: OwnTasks, asked: Option<Box<[Box<str>]>>) -> Self {
        let form = Form::Events(Events::default());
        Self { own, asked, form }
    }

    /// Takes the next part.
    pub(crate) fn look(&mut self, part: &[u8]) {
        let Self { own, asked, form } = self;
        match form {
            Form::Json(whole) => whole.add(part),
            Form::Events(events) => {
                events.add(part, |data| note_all(data, own, asked.as_deref()));
            }
        }
    }

    /// Takes the end.
    pub(crate) fn end(&mut self) {
        let Self { own, asked, form } = self;
        let last = match form {
            Form::Json(whole) => whole.take(),
            Form::Events(events) => events.take(),
        };
        note_all(&last, own, asked.as_deref());
    }
}

/// Notes the tasks that one message begins, or those of an array of messages.
fn note_all(text: &[u8], own: &OwnTasks, asked: Option<&[Box<str>]>) {
    let is_array = text.trim_ascii_start().starts_with(b"[");
    let messages = if is_array {
        serde_json::from_slice::<Vec<&RawValue>>(text).unwrap_or_default()
    } else {
        serde_json::from_slice(text).into_iter().collect()
    };
    for message in messages {
        // Derived readers take an array for an object whose members come in order.
        if message.get().starts_with('{')
            && let Ok(answer) = serde_json::from_str::<Answer<'_>>(message.get())
        {
            answer.note(own, asked);
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    method: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow)]
    result_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    task_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    task: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seed<'a> {
    #[serde(borrow)]
    task_id: Cow<'a, str>,
}

impl Answer<'_> {
    fn note(&self, own: &OwnTasks, asked: Option<&[Box<str>]>) {
        let (Some(id), Some(result), None) = (self.id, self.result, &self.method) else {
            return;
        };
        let is_asked = |asked: &[Box<str>]| asked.iter().any(|ours| is_same_id(ours, id.get()));
        if !asked.is_none_or(is_asked) || !result.get().starts_with('{') {
            return;
        }
        let Ok(outcome) = serde_json::from_str::<Outcome<'_>>(result.get()) else {
            return;
        };
        if let Some(task) = outcome.task
            && task.get().starts_with('{')
            && let Ok(seed) = serde_json::from_str::<Seed<'_>>(task.get())
        {
            own.note(&seed.task_id);
        }
        if let (Some("task"), Some(id)) = (outcome.result_type.as_deref(), outcome.task_id) {
            own.note(&id);
        }
    }
}

/// A text that is kept while it is not too long.
#[derive(Debug, Default)]
struct Whole {
    text: Vec<u8>,
    is_too_long: bool,
}

impl Whole {
    fn add(&mut self, part: &[u8]) {
        if self.is_too_long || self.text.len() + part.len() > LONGEST {
            self.give_up();
        } else {
            self.text.extend_from_slice(part);
        }
    }

    fn give_up(&mut self) {
        self.is_too_long = true;
        self.text = Vec::new();
    }

    /// The text, or nothing if it was too long. What follows is another one.
    fn take(&mut self) -> Vec<u8> {
        self.is_too_long = false;
        std::mem::take(&mut self.text)
    }
}

/// The data of events, by the rules of the HTML standard.
#[derive(Debug, Default)]
struct Events {
    line: Whole,
    data: Whole,
    /// Whether the last byte was a CR, so that an LF that follows belongs to it.
    after_cr: bool,
    /// Whether a line has ended, so that no byte order mark can follow.
    is_under_way: bool,
}

impl Events {
    fn add(&mut self, part: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = part;
        if let (true, Some((first, tail))) = (self.after_cr, rest.split_first()) {
            self.after_cr = false;
            if *first == b'\n' {
                rest = tail;
            }
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(end);
            self.line.add(line);
            if self.end_line() {
                each(&self.data.take());
            }
            self.after_cr = tail == b"\r";
            let length = if tail.starts_with(b"\r\n") { 2 } else { 1 };
            rest = tail.get(length..).unwrap_or_default();
        }
        self.line.add(rest);
    }

    /// Whether an event has ended.
    fn end_line(&mut self) -> bool {
        let is_too_long = self.line.is_too_long;
        let line = self.line.take();
        let mut text = &*line;
        if !std::mem::replace(&mut self.is_under_way, true) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if is_too_long {
            self.data.give_up();
        } else if let Some(value) = text.strip_prefix(b"data:") {
            self.data.add(value);
            // Several lines are one text.
            self.data.add(b"\n");
        }
        text.is_empty() && !is_too_long
    }

    /// What stands in an event that the end of the stream has cut off: not all readers drop it.
    fn take(&mut self) -> Vec<u8> {
        self.end_line();
        self.data.take()
    }
}

#[cfg(test)]
mod tests;
