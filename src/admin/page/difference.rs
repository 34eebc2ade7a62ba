//! What an act changed, out of what the trail holds of before and after.

use maud::{Markup, html};
use serde_json::Value;

/// Facts that change with every act, or that say nothing beside the others.
const SILENT: [&str; 4] = ["updated_at", "revision", "last_used_at", "masked"];

/// The facts that differ; all of them for something new or gone.
pub(super) fn changes(
    before: Option<&Value>,
    after: Option<&Value>,
) -> Vec<(String, String, String)> {
    let facts = |value: Option<&Value>| {
        let object = value.and_then(Value::as_object);
        object.cloned().unwrap_or_default()
    };
    let (before, after) = (facts(before), facts(after));
    let mut names: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| !SILENT.contains(&name.as_str()))
        .filter_map(|name| {
            let (old, new) = (text(before.get(&name)), text(after.get(&name)));
            (old != new).then_some((name, old, new))
        })
        .collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) if values.is_empty() => String::new(),
        Some(Value::Object(values)) if values.is_empty() => String::new(),
        Some(Value::Array(values)) if values.iter().all(Value::is_string) => {
            let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            texts.join(" ")
        }
        Some(value) => value.to_string(),
    }
}

/// The facts that differ, folded.
pub(super) fn shown(before: Option<&Value>, after: Option<&Value>) -> Markup {
    let changes = changes(before, after);
    let (was, is) = (before.is_some(), after.is_some());
    html! {
        @if changes.is_empty() {
            span.quiet { "\u{2013}" }
        } @else {
            details {
                summary {
                    @if !was || !is { "all " (changes.len()) " facts" }
                    @else { (names(&changes)) }
                }
                dl.changes {
                    @for (name, old, new) in &changes {
                        dt { (name) }
                        dd {
                            @if was { del { span.hidden { "before: " } bdi { (or_nothing(old)) } } " " }
                            @if is { ins { span.hidden { "after: " } bdi { (or_nothing(new)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// The first names, and how many more there are.
fn names(changes: &[(String, String, String)]) -> String {
    const SHOWN: usize = 3;
    let first: Vec<_> = changes
        .iter()
        .take(SHOWN)
        .map(|change| change.0.as_str())
        .collect();
    match changes.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"name": "a", "scopes": ["x"], "revision": 1, "owner": null});
        let after = json!({"name": "b", "scopes": ["x"], "revision": 2, "owner": null});
        let told = changes(Some(&before), Some(&after));
        assert_eq!(told, [("name".to_owned(), "a".to_owned(), "b".to_owned())]);
        assert_eq!(changes(None, Some(&after)).len(), 2);
        assert!(changes(None, None).is_empty());
    }
}
