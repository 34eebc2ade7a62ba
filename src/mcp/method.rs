//! The methods of MCP and what they do, for every revision from 2024-11-05 to 2026-07-28.
//!
//! | class | methods |
//! |---|---|
//! | always | `initialize`, `server/discover`, `ping`, `logging/setLevel`; all notifications and responses |
//! | list | `tools/list`, `prompts/list`, `resources/list`, `resources/templates/list`, `skills/list`, `tasks/list` |
//! | read | `prompts/get`, `resources/read`, `resources/subscribe`, `resources/unsubscribe`, `resources/directory/read`, `skills/get`, `completion/complete`, `subscriptions/listen`, `tasks/get`, `tasks/result` |
//! | call | `tools/call` |
//! | write | `tasks/cancel`, `tasks/update` |
//! | unknown | all others |
//!
//! A method is what it is in every revision that has it, so the revision of a request is not asked
//! for: a server may understand more than its client says it speaks.

/// What a method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing that a rule could forbid to a valid key.
    Always,
    /// Lists what there is; the answer is filtered.
    List(ListKind),
    /// Reads what is named.
    Read(Named),
    /// Runs the tool that `params.name` names.
    Call,
    /// Changes the task that `params.taskId` names.
    Write,
    /// Nothing is known of it. A restricted key may not use it.
    Unknown,
}

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// `result.tools`, by `name`.
    Tools,
    /// `result.prompts`, by `name`.
    Prompts,
    /// `result.resources`, by `uri`.
    Resources,
    /// `result.resourceTemplates`, by `uriTemplate`.
    ResourceTemplates,
    /// `result.skills`, by `uri`.
    Skills,
    /// `result.tasks`, by `taskId`.
    Tasks,
}

/// What a read names, and in which member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A prompt, in `params.name`.
    Prompt,
    /// A resource, in `params.uri`.
    Resource,
    /// A resource, in `params.uri`, whose children the answer lists as `result.resources`.
    Directory,
    /// A prompt or a resource, in `params.ref`.
    Reference,
    /// Any number of resources and tasks, in `params.notifications`: `resourceSubscriptions` and
    /// `taskIds`.
    Subscriptions,
    /// A task, in `params.taskId`.
    Task,
}

impl Class {
    /// The class of a request's method. Methods are compared as they are written.
    pub(crate) fn of(method: &str) -> Self {
        match method {
            "initialize" | "server/discover" | "ping" | "logging/setLevel" => Self::Always,
            "tools/list" => Self::List(ListKind::Tools),
            "prompts/list" => Self::List(ListKind::Prompts),
            "resources/list" => Self::List(ListKind::Resources),
            "resources/templates/list" => Self::List(ListKind::ResourceTemplates),
            "skills/list" => Self::List(ListKind::Skills),
            "tasks/list" => Self::List(ListKind::Tasks),
            "prompts/get" => Self::Read(Named::Prompt),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" | "skills/get" => {
                Self::Read(Named::Resource)
            }
            "resources/directory/read" => Self::Read(Named::Directory),
            "completion/complete" => Self::Read(Named::Reference),
            "subscriptions/listen" => Self::Read(Named::Subscriptions),
            "tasks/get" | "tasks/result" => Self::Read(Named::Task),
            "tools/call" => Self::Call,
            "tasks/cancel" | "tasks/update" => Self::Write,
            _ => Self::Unknown,
        }
    }

    /// What the answer lists, if it lists something that a key's rules are about.
    pub(crate) fn lists(self) -> Option<ListKind> {
        match self {
            Self::List(kind) => Some(kind),
            Self::Read(Named::Directory) => Some(ListKind::Resources),
            _ => None,
        }
    }

    /// Whether revision 2026-07-28, its extensions included, has this method.
    pub(crate) fn is_of_2026(method: &str) -> bool {
        let removed = [
            "initialize",
            "ping",
            "logging/setLevel",
            "resources/subscribe",
            "resources/unsubscribe",
            "tasks/list",
            "tasks/result",
        ];
        Self::of(method) != Self::Unknown && !removed.contains(&method)
    }

    /// Whether the answer may say that it goes on as a task. So far that is of tool calls alone, and
    /// revisions to come may allow it for more.
    pub(crate) fn may_begin_task(self) -> bool {
        match self {
            Self::Call | Self::Unknown => true,
            Self::Read(named) => !matches!(named, Named::Subscriptions | Named::Task),
            Self::Always | Self::List(_) | Self::Write => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every method a client may send, by revision, from the published schemas.
    const METHODS: &[(&str, Class)] = &[
        // 2024-11-05
        ("initialize", Class::Always),
        ("ping", Class::Always),
        ("logging/setLevel", Class::Always),
        ("tools/list", Class::List(ListKind::Tools)),
        ("tools/call", Class::Call),
        ("prompts/list", Class::List(ListKind::Prompts)),
        ("prompts/get", Class::Read(Named::Prompt)),
        ("resources/list", Class::List(ListKind::Resources)),
        (
            "resources/templates/list",
            Class::List(ListKind::ResourceTemplates),
        ),
        ("resources/read", Class::Read(Named::Resource)),
        ("resources/subscribe", Class::Read(Named::Resource)),
        ("resources/unsubscribe", Class::Read(Named::Resource)),
        ("completion/complete", Class::Read(Named::Reference)),
        // 2025-11-25
        ("tasks/list", Class::List(ListKind::Tasks)),
        ("tasks/get", Class::Read(Named::Task)),
        ("tasks/result", Class::Read(Named::Task)),
        ("tasks/cancel", Class::Write),
        // 2026-07-28 and its extensions
        ("server/discover", Class::Always),
        ("subscriptions/listen", Class::Read(Named::Subscriptions)),
        ("tasks/update", Class::Write),
        ("skills/list", Class::List(ListKind::Skills)),
        ("skills/get", Class::Read(Named::Resource)),
        ("resources/directory/read", Class::Read(Named::Directory)),
    ];

    #[test]
    fn every_method_of_the_schemas_has_its_class() {
        for (method, class) in METHODS {
            assert_eq!(Class::of(method), *class, "{method}");
        }
    }

    #[test]
    fn everything_else_is_unknown() {
        for method in [
            "",
            "Tools/Call",
            "tools/call ",
            " tools/call",
            "tools\\/call",
            "tools//call",
            "tools/call\0",
            "prompts",
            "notifications/initialized",
            "sampling/createMessage",
            "elicitation/create",
            "roots/list",
        ] {
            assert_eq!(Class::of(method), Class::Unknown, "{method:?}");
        }
    }

    #[test]
    fn the_last_revision_has_fewer_methods_than_all_together() {
        for method in ["tools/call", "server/discover", "tasks/get", "skills/list"] {
            assert!(Class::is_of_2026(method), "{method}");
        }
        for method in ["initialize", "resources/subscribe", "tasks/list", "x/y"] {
            assert!(!Class::is_of_2026(method), "{method}");
        }
    }

    #[test]
    fn the_answers_that_list_something_are_known() {
        assert_eq!(Class::of("tools/list").lists(), Some(ListKind::Tools));
        let directory = Class::of("resources/directory/read");
        assert_eq!(directory.lists(), Some(ListKind::Resources));
        assert_eq!(Class::of("tasks/list").lists(), Some(ListKind::Tasks));
        assert_eq!(Class::of("tools/call").lists(), None);
    }
}
