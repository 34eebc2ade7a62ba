//! Who changes keys by the command line, for the audit trail: the name that `--actor` or
//! `MCP_KEYS_ACTOR` says, else `cli:` and the name of the user. Where: the name of the host.

use std::{env, fs};

use mcp_api_keys::Principal;

/// The longest name of a host that there may be.
const LONGEST: usize = 253;

/// Whoever has the store has all rights; it is the name that matters.
pub(super) fn principal(named: Option<&str>) -> Principal {
    let actor = match named {
        Some(name) => name.to_owned(),
        None => user().map_or_else(|| "cli".to_owned(), |user| format!("cli:{user}")),
    };
    let principal = Principal::admin(actor);
    match host() {
        Some(host) => principal.from_source(host),
        None => principal,
    }
}

fn user() -> Option<String> {
    let variables = ["USER", "LOGNAME", "USERNAME"].into_iter();
    variables
        .filter_map(|name| env::var(name).ok())
        .find_map(|value| word(&value))
}

fn host() -> Option<String> {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"].into_iter();
    let variables = ["HOSTNAME", "COMPUTERNAME"].into_iter();
    files
        .filter_map(|path| fs::read_to_string(path).ok())
        .chain(variables.filter_map(|name| env::var(name).ok()))
        .find_map(|value| word(&value))
}

/// The text as a name: not empty, not endless, all in one word.
fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let is_odd = |c: char| c.is_control() || c.is_whitespace();
    let fits = !text.is_empty() && text.len() <= LONGEST && !text.contains(is_odd);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word() {
        assert_eq!(word("build-7\n").as_deref(), Some("build-7"));
        for odd in ["", " \n", "a b", "a\u{1b}b", &"a".repeat(254)] {
            assert_eq!(word(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_name_that_is_given_is_taken_as_it_is() {
        assert_eq!(principal(Some("deploy")).actor(), "deploy");
        assert!(principal(None).actor().starts_with("cli"));
    }
}
