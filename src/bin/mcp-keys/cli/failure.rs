//! What went wrong: one sentence for people or one object for programs, and an exit code.
//!
//! 1. Exit code 2 says that the command line, the environment or a value was wrong and nothing was
//!    changed; 1, that it was understood and refused, or failed.
//! 2. Bad input is named by the option it came from.
//! 3. What could be a secret is taken out: a key that was pasted into the wrong place is not
//!    repeated.

use std::borrow::Cow;
use std::error::Error as _;
use std::io::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use mcp_api_keys::{Error, ErrorKind};
use serde::Serialize;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    field: Option<Cow<'static, str>>,
    exit: u8,
}

/// Fields of the library, and the options they are set by.
const OPTIONS: &[(&str, &str)] = &[
    ("name", "--name"),
    ("description", "--description"),
    ("owner", "--owner"),
    ("servers", "--server"),
    ("scopes", "--scope"),
    ("access", "--access"),
    ("mcp", "--allow-tool, --deny-tool and the like"),
    ("networks", "--allow-ip, --deny-ip"),
    ("plan", "--plan"),
    ("limits", "--rate"),
    ("quotas", "--quota"),
    ("client", "--client"),
    ("signing", "--signing, --signed-only"),
    ("expires_at", "--expires-in, --expires-at"),
    ("metadata", "--metadata"),
    ("reason", "--reason"),
    ("grace", "--grace, --grace-from-first-use"),
    ("format", "--format"),
    ("prefix", "--prefix"),
    ("store", "--store"),
    ("url", "--store"),
    ("pepper", "MCP_KEYS_PEPPER"),
];

impl Failure {
    /// A command line that makes no sense.
    pub(super) fn usage(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: "usage",
            message: message.into(),
            field: Some(field.into()),
            exit: 2,
        }
    }

    /// Something that was understood and could not be done.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            code: "unavailable",
            message: message.into(),
            field: None,
            exit: 1,
        }
    }

    /// What clap has to say of a command line, in one line.
    pub(super) fn of_clap(error: &clap::Error) -> Self {
        let rendered = error.to_string();
        let first = rendered.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = first.split_whitespace().collect();
        let message = words.join(" ");
        let value_is_wrong = match error.kind() {
            // clap says so as well where there is no value at all.
            ClapKind::InvalidValue => !matches!(
                error.get(ContextKind::InvalidValue),
                Some(ContextValue::String(value)) if value.is_empty()
            ),
            kind => kind == ClapKind::ValueValidation,
        };
        Self {
            code: if value_is_wrong {
                "invalid_input"
            } else {
                "usage"
            },
            message: message
                .strip_prefix("error: ")
                .unwrap_or(&message)
                .to_owned(),
            field: argument(error).map(|argument| field_of(&argument)),
            exit: 2,
        }
    }

    /// Why the gateway does not serve.
    pub(super) fn of_serving(error: &crate::gateway::Error) -> Self {
        let exit = error.exit_code();
        let code = if exit == 2 { "usage" } else { "unavailable" };
        Self {
            code,
            message: with_causes(error.to_string(), error.source()),
            field: None,
            exit,
        }
    }

    /// A line of input that cannot be understood.
    pub(super) fn bad_input(message: String, field: Option<String>) -> Self {
        Self {
            code: "invalid_input",
            message,
            field: field.map(Cow::Owned),
            exit: 2,
        }
    }

    /// Why a line of input was refused: with the field as the line names it, and without what the
    /// store has to say of bad input or a conflict.
    pub(super) fn of_line(error: Error) -> Self {
        let is_plain = matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::Conflict | ErrorKind::Forbidden
        );
        let message = if is_plain {
            error.to_string()
        } else {
            with_causes(error.to_string(), error.source())
        };
        Self {
            message,
            ..Self::from(error)
        }
    }

    /// The failure as programs read it, its message cleaned by `clean`.
    pub(super) fn object(&self, clean: impl Fn(&str) -> String) -> serde_json::Value {
        let message = clean(&self.message);
        let error = Wire {
            code: self.code,
            message: &message,
            field: self.field.as_deref(),
        };
        serde_json::json!(error)
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn exit(&self) -> u8 {
        self.exit
    }

    /// Says it on stderr. That stderr is gone is no reason to fail in another way.
    pub(super) fn report(&self, json: bool) {
        let message = redacted(&self.message);
        let text = if json {
            serde_json::json!({ "error": self.object(redacted) }).to_string()
        } else {
            format!("mcp-keys: {message}")
        };
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, exit) = match error.kind() {
            ErrorKind::Conflict => ("conflict", 1),
            ErrorKind::Corrupt => ("corrupt", 1),
            ErrorKind::Forbidden => ("forbidden", 1),
            ErrorKind::InvalidInput => ("invalid_input", 2),
            ErrorKind::NotFound => ("not_found", 1),
            ErrorKind::Unavailable => ("unavailable", 1),
            _ => ("unavailable", 1),
        };
        let field = error.field().map(|field| match field {
            "url" => "store",
            other => other,
        });
        Self {
            code,
            message: sentence(&error),
            field: field.map(Cow::Borrowed),
            exit,
        }
    }
}

/// The error and its causes in one line, each said once.
fn sentence(error: &Error) -> String {
    let own = error.to_string();
    let text = match error.field() {
        Some(field) => {
            let what = own.strip_prefix(&format!("invalid {field}: "));
            format!("{}: {}", option_of(field), what.unwrap_or(&own))
        }
        None => own,
    };
    with_causes(text, error.source())
}

fn with_causes(mut text: String, mut cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = error.source();
    }
    text
}

fn option_of(field: &str) -> &str {
    let known = OPTIONS.iter().find(|(known, _)| *known == field);
    known.map_or(field, |(_, option)| option)
}

/// The argument that clap complains of, such as `--scope <SCOPE>`.
fn argument(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(several) => several.first().cloned(),
        _ => None,
    }
}

/// The library's name for what an argument sets, or the argument's own.
fn field_of(argument: &str) -> Cow<'static, str> {
    let option = argument.split([' ', '=']).next().unwrap_or_default();
    let known = OPTIONS
        .iter()
        .find(|(_, options)| options.split(", ").any(|known| known == option));
    match known {
        Some((field, _)) => Cow::Borrowed(field),
        None => {
            let bare = option.trim_matches(|c| matches!(c, '-' | '<' | '>' | '.' | '[' | ']'));
            Cow::Owned(redacted(&bare.to_lowercase().replace('-', "_")))
        }
    }
}

/// The text with every run of letters and digits taken out that is long enough to be a secret.
/// Ids of keys are shorter, and so are words.
pub(super) fn redacted(text: &str) -> String {
    const SECRET: usize = 24;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(run);
        clean.push_str(if word.len() >= SECRET { "…" } else { word });
        let between = tail
            .find(|c: char| c.is_ascii_alphanumeric())
            .unwrap_or(tail.len());
        let (gap, next) = tail.split_at(between);
        clean.push_str(gap);
        rest = next;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_messages_and_ids_are_not() {
        let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
        assert_eq!(redacted(&format!("what is {key}?")), "what is mcp_sk_…?");
        let id = "key_00VZwwy0Fq9zX3Uvt4pS0L: é — ok";
        assert_eq!(redacted(id), id);
        assert_eq!(redacted(""), "");
    }

    #[test]
    fn bad_input_is_named_by_option_and_by_field() {
        let failure = Failure::from(Error::invalid("limits", "must be at most 16"));
        assert_eq!(failure.message, "--rate: must be at most 16");
        assert_eq!(failure.field.as_deref(), Some("limits"));
        assert_eq!(failure.exit, 2);
        assert_eq!(field_of("--allow-ip <NET>"), "networks");
        assert_eq!(field_of("--limit <N>"), "limit");
        assert_eq!(field_of("<KEY>"), "key");
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = Error::new(ErrorKind::Unavailable, "the store did not answer")
            .with_source("disk on fire");
        assert_eq!(sentence(&error), "the store did not answer: disk on fire");
        let twice = Error::invalid("owner", "needs a name").with_source("needs a name");
        assert_eq!(sentence(&twice), "--owner: needs a name");
    }
}
