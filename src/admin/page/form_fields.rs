//! The fields of the form for a key.

use maud::{Markup, html};

use super::draft::{Draft, Faults};
use super::parts;
use super::times;
use super::visit::Visit;
use crate::key::KeyInfo;

/// What each field is called, in the order of the form.
pub(super) const LABELS: [(&str, &str); 24] = [
    ("name", "Name"),
    ("description", "Description"),
    ("owner", "Owner"),
    ("status", "Initial status"),
    ("client", "Program (for a connection)"),
    ("reach", "Projects"),
    ("servers", "Project names"),
    ("access", "Access level"),
    ("scopes", "Scopes"),
    ("expiry", "Expiry"),
    ("expires_at", "Date and time (UTC)"),
    ("networks_allow", "Allowed addresses"),
    ("networks_deny", "Denied addresses"),
    ("plan", "Plan"),
    ("limits", "Rate limits"),
    ("quotas", "Quotas"),
    ("tools_allow", "Allowed tools"),
    ("tools_deny", "Denied tools"),
    ("resources_allow", "Allowed resources"),
    ("resources_deny", "Denied resources"),
    ("prompts_allow", "Allowed prompts"),
    ("prompts_deny", "Denied prompts"),
    ("signing", "Signed requests"),
    ("metadata", "Metadata"),
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    New,
    Edit(&'a KeyInfo),
}

#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) visit: &'a Visit,
    pub(super) draft: &'a Draft,
    pub(super) faults: &'a Faults,
    /// Names of plans, and what they say.
    pub(super) plans: Vec<(String, String)>,
    pub(super) purpose: Purpose<'a>,
}

impl Form<'_> {
    pub(super) fn shown(&self, action: &str, hidden: &Markup) -> Markup {
        let (send, back) = match self.purpose {
            Purpose::New => ("Create key", "/keys".to_owned()),
            Purpose::Edit(key) => ("Save changes", format!("/keys/{}", key.id)),
        };
        html! {
            (summary(self.faults, &LABELS))
            form.sheet method="post" action=(action) {
                (parts::token(self.visit))
                (hidden)
                (self.what())
                (self.reach())
                (self.lifetime())
                (self.addresses())
                (self.limits())
                (self.tools())
                (self.more())
                div.acts {
                    button.primary type="submit" { (send) }
                    a.button href=(self.visit.link(&back)) { "Cancel" }
                }
            }
        }
    }

    fn is_new(&self) -> bool {
        matches!(self.purpose, Purpose::New)
    }

    fn what(&self) -> Markup {
        html! {
            fieldset {
                legend { "What it is" }
                (self.line("name", "Up to 200 characters; shown wherever the key is.", true))
                (self.area("description", 2, ""))
                @if self.visit.is_admin {
                    (self.line("owner", "A user, team or service. The key never does more than its owner may at present. Empty: nobody.", false))
                }
                @if self.is_new() {
                    input type="hidden" name="once" value=(self.draft.get("once"));
                    (self.choice("status", &[("active", "Active"), ("inactive", "Inactive, until it is switched on")]))
                }
            }
        }
    }

    fn reach(&self) -> Markup {
        html! {
            fieldset {
                legend { "What it opens" }
                (self.radios("reach", "", &[
                    ("some", "Only these projects or servers"),
                    ("all", "All, those that are added later included"),
                ]))
                (self.area("servers", 2, "Names with spaces between them. Without any the key opens nothing."))
                (self.radios("access", "", &[
                    ("full", "Full: query, read, create and update"),
                    ("read-only", "Read-only: query and read, whatever its scopes say"),
                ]))
                (self.area("scopes", 2, "Such as files:read, files:* or *, with spaces between them."))
            }
        }
    }

    fn lifetime(&self) -> Markup {
        let mut choices = vec![
            ("never", "Never: valid until it is revoked"),
            ("7d", "In 7 days"),
            ("30d", "In 30 days"),
            ("90d", "In 90 days"),
            ("365d", "In a year"),
            ("at", "On a date"),
        ];
        let keep = match self.purpose {
            Purpose::New => None,
            Purpose::Edit(key) => Some(key.expires_at.map_or_else(
                || "Unchanged: never".to_owned(),
                |end| format!("Unchanged: {}", times::exact(end)),
            )),
        };
        if let Some(keep) = &keep {
            choices.insert(0, ("keep", keep));
        }
        html! {
            fieldset {
                legend { "How long it lasts" }
                (self.choice("expiry", &choices))
                (self.field("expires_at", "Only for \u{201c}On a date\u{201d}.", |attributes| html! {
                    input id=(attributes.id) name="expires_at" type="datetime-local"
                        value=(self.draft.get("expires_at")) aria-invalid=[attributes.invalid]
                        aria-describedby=[&attributes.described];
                }))
            }
        }
    }

    fn addresses(&self) -> Markup {
        let lists = ["networks_allow", "networks_deny"];
        self.group("Where it may be used from", &lists, &html! {
            (self.area("networks_allow", 3, "Addresses or blocks such as 203.0.113.0/24, one a line. Empty: everywhere."))
            (self.area("networks_deny", 2, "Refused even where they are allowed."))
        })
    }

    fn limits(&self) -> Markup {
        let mut plans = vec![("", "No plan".to_owned())];
        plans.extend(self.plans.iter().map(|(name, limits)| {
            (
                name.as_str(),
                format!(
                    "{name} ({})",
                    if limits.is_empty() {
                        "no limits"
                    } else {
                        limits
                    }
                ),
            )
        }));
        let plan = self.draft.get("plan");
        if plans.iter().all(|(name, _)| *name != plan) {
            plans.push((plan, plan.to_owned()));
        }
        let plans: Vec<_> = plans
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        self.group("How much it may be used", &["plan", "limits", "quotas"], &html! {
            (self.choice("plan", &plans))
            (self.area("limits", 2, "Such as 60/min, 60/min:10 with a burst, day=5000/day under a name, a=60/min@files for one server, b=5/min#export_* for some tools; one a line. One of the same name as the plan\u{2019}s replaces it."))
            (self.area("quotas", 2, "By the calendar: 1000/day, tokens=100000/month; one a line."))
        })
    }

    fn tools(&self) -> Markup {
        let lists = [
            "tools_allow",
            "tools_deny",
            "resources_allow",
            "resources_deny",
            "prompts_allow",
            "prompts_deny",
        ];
        self.group("Tools, resources and prompts", &lists, &html! {
            p.hint { "Patterns, one a line; * stands for any characters. An empty list of what is allowed allows all, and what is denied is denied even where it is allowed." }
            div.pairs {
                @for list in lists { (self.area(list, 3, "")) }
            }
        })
    }

    fn more(&self) -> Markup {
        self.group("More", &["signing", "client", "metadata"], &html! {
            (self.choice("signing", &[
                ("by-layer", "As the server asks"),
                ("required", "Required: every request must be signed"),
            ]))
            @if self.is_new() {
                (self.line("client", "Makes it a connection: a key that this program uses on behalf of its owner. Read-only unless the owner is an admin.", false))
            }
            (self.area("metadata", 3, "Facts such as environment=production, one a line."))
        })
    }

    /// Fields that most keys do without: folded until one of them holds something.
    fn group(&self, title: &str, names: &[&str], fields: &Markup) -> Markup {
        let usual = |name: &str| {
            let text = self.draft.get(name);
            text.is_empty() || name == "signing" && text == "by-layer"
        };
        let open = names
            .iter()
            .any(|name| !usual(name) || self.faults.contains_key(name));
        html! {
            details.group open[open] {
                summary { (title) }
                (fields)
            }
        }
    }

    fn line(&self, name: &'static str, hint: &str, required: bool) -> Markup {
        self.field(name, hint, |attributes| {
            html! {
                input id=(attributes.id) name=(name) type="text" value=(self.draft.get(name))
                    autocomplete="off" required[required] aria-invalid=[attributes.invalid]
                    aria-describedby=[&attributes.described];
            }
        })
    }

    fn area(&self, name: &'static str, rows: usize, hint: &str) -> Markup {
        let prose = name == "description";
        self.field(name, hint, |attributes| {
            html! {
                textarea.code[!prose] id=(attributes.id) name=(name) rows=(rows) spellcheck=(prose)
                    aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described] {
                    // A browser leaves out a line feed at the very beginning.
                    "\n" (self.draft.get(name))
                }
            }
        })
    }

    fn choice(&self, name: &'static str, choices: &[(&str, &str)]) -> Markup {
        self.field(name, "", |attributes| {
            html! {
                select id=(attributes.id) name=(name) aria-invalid=[attributes.invalid]
                    aria-describedby=[&attributes.described] {
                    @for (value, text) in choices {
                        option value=(value) selected[*value == self.draft.get(name)] { (text) }
                    }
                }
            }
        })
    }

    fn radios(&self, name: &'static str, hint: &str, choices: &[(&str, &str)]) -> Markup {
        let first = choices.first().map_or("", |(value, _)| value);
        let is_first = |value: &str| value == first;
        html! {
            div.field role="radiogroup" aria-labelledby={ "l-" (name) } {
                span.label id={ "l-" (name) } { (label(name)) }
                @for (value, text) in choices {
                    @let id = if is_first(value) { format!("f-{name}") } else { format!("f-{name}-{value}") };
                    div.choice {
                        input id=(id) type="radio" name=(name) value=(value)
                            checked[*value == self.draft.get(name)];
                        label for=(id) { (text) }
                    }
                }
                @if !hint.is_empty() { p.hint { (hint) } }
                (fault(self.faults, name))
            }
        }
    }

    fn field(
        &self,
        name: &'static str,
        hint: &str,
        input: impl FnOnce(&Attributes) -> Markup,
    ) -> Markup {
        field(name, label(name), hint, self.faults, input)
    }
}

/// What ties a field to its label, its hint and its fault.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) id: String,
    pub(super) invalid: Option<&'static str>,
    pub(super) described: Option<String>,
}

/// A field with its label, its hint and what is wrong with it.
pub(super) fn field(
    name: &'static str,
    label: &str,
    hint: &str,
    faults: &Faults,
    input: impl FnOnce(&Attributes) -> Markup,
) -> Markup {
    let is_wrong = faults.contains_key(name);
    let described: Vec<_> = [(!hint.is_empty(), "hint"), (is_wrong, "fault")]
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, part)| format!("f-{name}-{part}"))
        .collect();
    let attributes = Attributes {
        id: format!("f-{name}"),
        invalid: is_wrong.then_some("true"),
        described: (!described.is_empty()).then(|| described.join(" ")),
    };
    html! {
        div.field {
            label for=(attributes.id) { (label) }
            (input(&attributes))
            @if !hint.is_empty() { p.hint id={ "f-" (name) "-hint" } { (hint) } }
            (fault(faults, name))
        }
    }
}

fn fault(faults: &Faults, name: &str) -> Markup {
    html! {
        @if let Some(text) = faults.get(name) {
            p.fault id={ "f-" (name) "-fault" } { (super::problem::sentence(text)) }
        }
    }
}

/// All that is wrong, with the way to each field.
pub(super) fn summary(faults: &Faults, labels: &[(&str, &str)]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.summary role="alert" tabindex="-1" {
                h2 { "Nothing was saved yet" }
                p { "Please look at:" }
                ul {
                    @for (name, label) in labels {
                        @if let Some(text) = faults.get(name) {
                            li { a href={ "#f-" (name) } { (label) ": " (text) } }
                        }
                    }
                }
            }
        }
    }
}

fn label(name: &str) -> &'static str {
    let found = LABELS.iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, label)| label)
}
