//! The answer to a list in a stream of server-sent events, without what the key may not use.
//!
//! 1. An event is held back until it is complete, and no longer. A comment between events passes
//!    with the end of its line.
//! 2. An event whose data is changed by the [`ListFilter`] gets the new data. Its other lines, its
//!    line ends and everything else in the stream stay as they were, byte for byte.
//! 3. A stream is split by the rules of the HTML standard: lines end with LF, CRLF or CR, a byte
//!    order mark may stand at its very start, several `data` lines are one text.
//! 4. The data of a message (an event without a name, or named `message`) must be JSON that can be
//!    read. Events with other names may hold anything, and are filtered if they hold an answer.
//! 5. What is held back is bounded. A longer event is an error.
//! 6. A stream that ends within an event: readers by the standard drop the event, others do not.
//!    It passes if it can be filtered, and is dropped if not.
//!
//! After an error nothing more must be sent of the stream, and nothing more comes out of it.

use std::borrow::Cow;

use super::list::{ListFilter, Unfilterable};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Filters one stream of events as it comes.
#[derive(Debug)]
pub(crate) struct SseFilter {
    list: ListFilter,
    max_event: usize,
    /// The event that is not complete yet, from its first line on.
    held: Vec<u8>,
    /// Where in `held` the line begins that is not complete yet.
    line: usize,
    /// Whether the last byte was a CR, so that an LF that follows belongs to it.
    after_cr: bool,
    /// Whether nothing was sent yet, so that what is held begins with the stream.
    at_start: bool,
    failed: Option<Unfilterable>,
}

impl SseFilter {
    /// The most that is held back of one event, unless told otherwise: 4 MiB.
    pub(crate) const MAX_EVENT: usize = 4 << 20;

    /// A filter that holds back at most `max_event` bytes.
    pub(crate) fn new(list: ListFilter, max_event: usize) -> Self {
        Self {
            list,
            max_event,
            held: Vec::new(),
            line: 0,
            after_cr: false,
            at_start: true,
            failed: None,
        }
    }

    /// Takes the next bytes of the stream, and appends to `out` what may be sent.
    ///
    /// # Errors
    ///
    /// If an event cannot be filtered or is too long. What was appended before may be sent.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Unfilterable> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let pushed = self.push_lines(chunk, out);
        if let Err(failed) = pushed {
            self.failed = Some(failed);
            self.held = Vec::new();
        }
        pushed
    }

    /// Takes the end of the stream, and appends to `out` what may still be sent.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        let event = Event::new(&self.held, self.at_start);
        match event.filtered(&self.list) {
            Ok(Some(filtered)) => out.extend_from_slice(&filtered),
            Ok(None) => out.extend_from_slice(&self.held),
            Err(_) => {}
        }
    }

    fn push_lines(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Unfilterable> {
        let mut rest = chunk;
        if let (true, Some((&first, tail))) = (self.after_cr, rest.split_first()) {
            self.after_cr = false;
            if first == b'\n' {
                self.complete_line_end(out);
                rest = tail;
            }
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(end);
            let length = if tail.starts_with(b"\r\n") { 2 } else { 1 };
            let (line_end, tail) = tail.split_at(length);
            self.hold(line)?;
            self.end_line(line_end, out)?;
            self.after_cr = line_end == b"\r" && tail.is_empty();
            rest = tail;
        }
        self.hold(rest)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Unfilterable> {
        if self.held.len() + bytes.len() > self.max_event {
            return Err(Unfilterable::TooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The LF of a CRLF that came in two pieces. It belongs to what the CR has ended.
    fn complete_line_end(&mut self, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            out.push(b'\n');
        } else {
            self.held.push(b'\n');
            self.line = self.held.len();
        }
    }

    fn end_line(&mut self, line_end: &[u8], out: &mut Vec<u8>) -> Result<(), Unfilterable> {
        let line = self.held.get(self.line..).unwrap_or_default();
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.at_start && self.line == 0 => rest,
            _ => line,
        };
        let (blank, comment) = (line.is_empty(), line.starts_with(b":"));
        self.held.extend_from_slice(line_end);
        if blank {
            let event = Event::new(&self.held, self.at_start);
            match event.filtered(&self.list) {
                Ok(None) => {}
                Ok(Some(filtered)) => self.held = filtered,
                Err(error) if event.is_message() => return Err(error),
                Err(_) => {}
            }
        }
        if blank || (comment && self.line == 0) {
            out.extend_from_slice(&self.held);
            self.held.clear();
            self.at_start = false;
        }
        self.line = self.held.len();
        Ok(())
    }
}

/// The lines of one event.
struct Event<'e> {
    /// A byte order mark, or nothing.
    mark: &'e [u8],
    lines: &'e [u8],
}

impl<'e> Event<'e> {
    fn new(text: &'e [u8], at_start: bool) -> Self {
        let mark = if at_start && text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let (mark, lines) = text.split_at(mark);
        Self { mark, lines }
    }

    /// The event with other data, if the list filter wants that.
    fn filtered(&self, list: &ListFilter) -> Result<Option<Vec<u8>>, Unfilterable> {
        let Some(data) = self.data() else {
            return Ok(None);
        };
        match list.apply(&data) {
            Ok(Cow::Borrowed(_)) => Ok(None),
            Ok(Cow::Owned(filtered)) => Ok(Some(self.with_data(&filtered))),
            Err(error) => Err(error),
        }
    }

    fn fields(&self) -> impl Iterator<Item = Field<'e>> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let (field, behind) = Field::split_from(rest)?;
            rest = behind;
            Some(field)
        })
    }

    /// The values of all data lines, one a line.
    fn data(&self) -> Option<Cow<'e, [u8]>> {
        let mut values = self
            .fields()
            .filter(Field::is_data)
            .map(|field| field.value);
        let mut data = Cow::Borrowed(values.next()?);
        for value in values {
            let data = data.to_mut();
            data.push(b'\n');
            data.extend_from_slice(value);
        }
        Some(data)
    }

    fn is_message(&self) -> bool {
        let named = self.fields().filter(|field| field.name == b"event");
        let name = named.last().map_or(&b""[..], |field| field.value);
        matches!(name, b"" | b"message")
    }

    fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let mut event = self.mark.to_vec();
        let mut data = Some(data);
        for field in self.fields() {
            if !field.is_data() {
                // The line in between is gone, and these two would be one line end.
                if event.ends_with(b"\r") && field.text.is_empty() && field.line_end == b"\n" {
                    event.push(b'\n');
                }
                event.extend_from_slice(field.text);
                event.extend_from_slice(field.line_end);
                continue;
            }
            for line in data
                .take()
                .into_iter()
                .flat_map(|data| data.split(|&byte| byte == b'\n'))
            {
                event.extend_from_slice(b"data: ");
                event.extend_from_slice(line);
                event.extend_from_slice(match field.line_end {
                    // Nothing but the end of the stream ends the line.
                    b"" => b"\n",
                    line_end => line_end,
                });
            }
        }
        event
    }
}

/// One line of an event.
struct Field<'e> {
    text: &'e [u8],
    line_end: &'e [u8],
    name: &'e [u8],
    value: &'e [u8],
}

impl<'e> Field<'e> {
    /// The first line of `text`, and what stands behind it.
    fn split_from(text: &'e [u8]) -> Option<(Self, &'e [u8])> {
        if text.is_empty() {
            return None;
        }
        let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, rest) = text.split_at(end.unwrap_or(text.len()));
        let length = if rest.starts_with(b"\r\n") {
            2
        } else {
            rest.len().min(1)
        };
        let (line_end, behind) = rest.split_at(length);
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let field = Self {
            text: line,
            line_end,
            name,
            value: value.strip_prefix(b" ").unwrap_or(value),
        };
        Some((field, behind))
    }

    fn is_data(&self) -> bool {
        self.name == b"data"
    }
}

#[cfg(test)]
mod tests;
