//! Whether a key may send a message: its level and its rules against what the message does.
//!
//! 1. A key is restricted if it may only read or has any rule. A key that is not may send anything,
//!    also what cannot be judged: the server answers that.
//! 2. A restricted key may not use methods of which nothing is known, nor leave out what a method
//!    must name.
//! 3. A key may name its own tasks and no others, whether restricted or not. Where it is not known
//!    whose they are, a restricted key may not list them, and any key may name any.
//! 4. A read-only key lists, reads, and calls the tools that the server declares to be read-only.
//! 5. The rules come on top: whatever the level, what they do not permit is denied.
//! 6. A message is judged by what it asks for, whether or not it has an id.
//! 7. A denial names what was asked for. It never says what the key may do instead.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::message::{Message, Reference};
use super::method::{Class, ListKind, Named};
use super::task::OwnTasks;
use super::uri;
use crate::key::{Access, McpRules};

/// The tools that a server declares to change nothing. A tool that is not among them may write.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOnlyTools(Arc<HashSet<Box<str>>>);

impl ReadOnlyTools {
    /// Whether the tool of this name is one.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for ReadOnlyTools {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(Into::into).collect()))
    }
}

/// Whether there is anything that a key with this level and these rules may not do. If not, no body
/// need be read on its account.
pub(crate) fn is_restricted(access: Access, rules: &McpRules) -> bool {
    access == Access::ReadOnly || !rules.is_unrestricted()
}

/// Whether a list of this kind shows such a key less than there is.
pub(crate) fn needs_filter(kind: ListKind, access: Access, rules: &McpRules) -> bool {
    match kind {
        ListKind::Tools => access == Access::ReadOnly || !rules.tools().is_empty(),
        ListKind::Prompts => !rules.prompts().is_empty(),
        ListKind::Resources | ListKind::ResourceTemplates | ListKind::Skills => {
            !rules.resources().is_empty()
        }
        // Whose they are is no matter of rules.
        ListKind::Tasks => false,
    }
}

/// Whether a key with this level and these rules may send `message`. Each message of a batch is
/// judged by itself. Without `own` it is not known whose tasks are.
///
/// # Errors
///
/// What is denied.
pub(crate) fn judge(
    message: &Message<'_>,
    access: Access,
    rules: &McpRules,
    read_only_tools: &ReadOnlyTools,
    own: Option<&OwnTasks>,
) -> Result<(), Denied> {
    if is_restricted(access, rules) {
        if own.is_none() && message.class() == Class::List(ListKind::Tasks) {
            return Err(Denied::Method(Excerpt::of(
                message.method().unwrap_or_default(),
            )));
        }
        judge_by_rules(message, access, rules, read_only_tools)?;
    }
    own.map_or(Ok(()), |own| check_tasks(message, own))
}

/// The tasks that a message names must be the key's own.
fn check_tasks(message: &Message<'_>, own: &OwnTasks) -> Result<(), Denied> {
    let listened = message.task_subscriptions().iter().map(|task| &**task);
    let is_of_task = matches!(message.class(), Class::Read(Named::Task) | Class::Write);
    let mut named = message
        .task_id()
        .filter(|_| is_of_task)
        .into_iter()
        .chain(listened);
    match named.find(|task| !own.contains(task)) {
        Some(task) => Err(Denied::Task(Excerpt::of(task))),
        None => Ok(()),
    }
}

/// Whether such a key may use what is named, by a method of this class. Only for methods of which
/// nothing but the name decides.
pub(crate) fn permits(
    class: Class,
    name: &str,
    access: Access,
    rules: &McpRules,
    read_only_tools: &ReadOnlyTools,
) -> bool {
    let rights = Rights {
        access,
        rules,
        read_only_tools,
    };
    match class {
        Class::Call => rights.check_call(name).is_ok(),
        Class::Read(Named::Prompt) => rights.check_prompt(name).is_ok(),
        Class::Read(Named::Resource) => rights.check_resource(name).is_ok(),
        _ => false,
    }
}

fn judge_by_rules(
    message: &Message<'_>,
    access: Access,
    rules: &McpRules,
    read_only_tools: &ReadOnlyTools,
) -> Result<(), Denied> {
    let rights = Rights {
        access,
        rules,
        read_only_tools,
    };
    let method = message.method().unwrap_or_default();
    let named = |member: Option<_>| member.ok_or_else(|| Denied::Unnamed(Excerpt::of(method)));
    match message.class() {
        Class::Always | Class::List(_) => Ok(()),
        Class::Read(Named::Prompt) => rights.check_prompt(named(message.name())?),
        Class::Read(Named::Resource | Named::Directory) => {
            rights.check_resource(named(message.uri())?)
        }
        Class::Read(Named::Reference) => match message.reference() {
            Some(reference) => rights.check_reference(reference, method),
            None => Err(Denied::Unnamed(Excerpt::of(method))),
        },
        Class::Read(Named::Subscriptions) => message
            .subscriptions()
            .iter()
            .try_for_each(|uri| rights.check_resource(uri)),
        Class::Read(Named::Task) => named(message.task_id()).map(|_| ()),
        Class::Call => rights.check_call(named(message.name())?),
        Class::Write if access == Access::ReadOnly => {
            Err(Denied::ReadOnlyMethod(Excerpt::of(method)))
        }
        Class::Write => named(message.task_id()).map(|_| ()),
        Class::Unknown => Err(Denied::Method(Excerpt::of(method))),
    }
}

/// What a key may do, and what it must be measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights<'a> {
    pub(super) access: Access,
    pub(super) rules: &'a McpRules,
    pub(super) read_only_tools: &'a ReadOnlyTools,
}

impl Rights<'_> {
    pub(super) fn check_call(self, tool: &str) -> Result<(), Denied> {
        if !self.rules.tools().permits(tool) {
            return Err(Denied::Tool(Excerpt::of(tool)));
        }
        if self.access == Access::ReadOnly && !self.read_only_tools.contains(tool) {
            return Err(Denied::ReadOnlyTool(Excerpt::of(tool)));
        }
        Ok(())
    }

    pub(super) fn check_prompt(self, name: &str) -> Result<(), Denied> {
        if self.rules.prompts().permits(name) {
            Ok(())
        } else {
            Err(Denied::Prompt(Excerpt::of(name)))
        }
    }

    pub(super) fn check_resource(self, uri: &str) -> Result<(), Denied> {
        if uri::is_permitted(self.rules.resources(), uri) {
            Ok(())
        } else {
            Err(Denied::Resource(Excerpt::of(uri)))
        }
    }

    // Servers go by the type. What else is named is checked too, for one that does not.
    fn check_reference(self, reference: &Reference<'_>, method: &str) -> Result<(), Denied> {
        let (name, uri) = (reference.name.as_deref(), reference.uri.as_deref());
        let complete = match reference.sort.as_deref() {
            Some("ref/prompt") => name.is_some(),
            Some("ref/resource") => uri.is_some(),
            _ => false,
        };
        if !complete {
            return Err(Denied::Unnamed(Excerpt::of(method)));
        }
        name.map_or(Ok(()), |name| self.check_prompt(name))?;
        uri.map_or(Ok(()), |uri| self.check_resource(uri))
    }
}

/// What a key may not do. Prints a sentence for whoever holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The rules do not permit this tool.
    Tool(Excerpt),
    /// The rules do not permit this prompt.
    Prompt(Excerpt),
    /// The rules do not permit this resource.
    Resource(Excerpt),
    /// The key may only read, and this tool is not declared to do no more than that.
    ReadOnlyTool(Excerpt),
    /// The key may only read, and this method does more.
    ReadOnlyMethod(Excerpt),
    /// This task is none of the key's own, or is not known.
    Task(Excerpt),
    /// Nothing is known of this method, or it shows what belongs to others.
    Method(Excerpt),
    /// The message leaves out what this method must name.
    Unnamed(Excerpt),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "Tool {name} is not permitted for this key"),
            Self::Prompt(name) => write!(f, "Prompt {name} is not permitted for this key"),
            Self::Resource(uri) => write!(f, "Resource {uri} is not permitted for this key"),
            Self::ReadOnlyTool(name) => {
                write!(f, "This key may only read, and tool {name} may do more")
            }
            Self::ReadOnlyMethod(method) => {
                write!(f, "This key may only read, and {method} does more")
            }
            Self::Task(task) => write!(f, "Task {task} is not found"),
            Self::Method(method) => write!(f, "Method {method} is not permitted for this key"),
            Self::Unnamed(method) => {
                write!(f, "Method {method} does not say what it is to be used on")
            }
        }
    }
}

/// A name as a caller wrote it, fit for an answer or a log: at most 128 characters, the rest cut
/// off, and no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt(Box<str>);

impl Excerpt {
    const MAX_CHARS: usize = 128;

    fn of(text: &str) -> Self {
        let clean = |character: char| match character {
            control if control.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        };
        let mut excerpt: String = text.chars().take(Self::MAX_CHARS).map(clean).collect();
        if text.chars().nth(Self::MAX_CHARS).is_some() {
            excerpt.push('…');
        }
        Self(excerpt.into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
