//! What stands around every page: its head, the way around, who has signed in.

use maud::{DOCTYPE, Markup, html};

use crate::key::KeyInfo;

/// Up to how many open alerts are counted.
pub(super) const COUNTED: usize = 100;

/// The parts of the page that its navigation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Keys,
    Connections,
    Owners,
    Plans,
    Usage,
    Alerts,
    Audit,
    Safety,
}

/// What was done, told on the page after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Saved,
    NothingChanged,
    Enabled,
    Disabled,
    GraceEnded,
    Revoked,
    Deleted,
    Disconnected,
    OwnerSaved,
    OwnerSuspended,
    OwnerResumed,
    OwnerRemoved,
    PlanSaved,
    PlanRemoved,
    Acknowledged,
}

impl Notice {
    fn text(self) -> &'static str {
        match self {
            Self::Saved => "The key was changed. The next request with it is judged by this.",
            Self::NothingChanged => "Nothing was changed.",
            Self::Enabled => "The key is switched on.",
            Self::Disabled => "The key is switched off. Nobody gets in with it.",
            Self::GraceEnded => "The old secret has ended. Only the new one works.",
            Self::Revoked => "The key is revoked for good.",
            Self::Deleted => "The key is deleted.",
            Self::Disconnected => "The connection has ended: its key is revoked.",
            Self::OwnerSaved => "The owner is stored.",
            Self::OwnerSuspended => "The owner is suspended. None of their keys work.",
            Self::OwnerResumed => "The owner\u{2019}s keys work again.",
            Self::OwnerRemoved => "The owner is removed.",
            Self::PlanSaved => "The plan is stored. Its keys have its limits from now on.",
            Self::PlanRemoved => "The plan is removed.",
            Self::Acknowledged => "It is noted that you have seen to the alert.",
        }
    }
}

/// Who has signed in, and where they may go.
#[derive(Debug)]
pub(super) struct SignedIn<'a> {
    pub(super) actor: &'a str,
    pub(super) key: &'a KeyInfo,
    pub(super) is_admin: bool,
    pub(super) token: &'a str,
    pub(super) sees_owners: bool,
    pub(super) sees_plans: bool,
    pub(super) sees_usage: bool,
    pub(super) sees_alerts: bool,
    /// How many alerts are open, if that is known.
    pub(super) open_alerts: Option<usize>,
    pub(super) sees_audit: bool,
}

#[derive(Debug)]
pub(super) struct Shell<'a> {
    pub(super) base: &'a str,
    pub(super) title: &'a str,
    pub(super) section: Option<Section>,
    pub(super) notice: Option<Notice>,
    pub(super) signed_in: Option<SignedIn<'a>>,
}

impl Shell<'_> {
    pub(super) fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex, nofollow";
                    title { (self.title) " · API keys" }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href={ (self.base) "/assets/style.css" };
                    script src={ (self.base) "/assets/script.js" } defer {}
                }
                body {
                    a.skip href="#content" { "Skip to content" }
                    @match &self.signed_in {
                        Some(signed_in) => (self.top(signed_in)),
                        None => header.top { div.bar { (brand()) } },
                    }
                    main #content tabindex="-1" {
                        @if let Some(notice) = self.notice {
                            p.notice role="status" { (notice.text()) }
                        }
                        (content)
                    }
                }
            }
        }
    }

    fn top(&self, signed_in: &SignedIn<'_>) -> Markup {
        let key = signed_in.key;
        html! {
            header.top {
                div.bar {
                    (brand())
                    nav aria-label="Main" {
                        ul {
                            (self.entry(Section::Keys, "/keys", if signed_in.is_admin { "Keys" } else { "My keys" }))
                            (self.entry(Section::Connections, "/connections", "Connections"))
                            @if signed_in.sees_owners { (self.entry(Section::Owners, "/owners", "Owners")) }
                            @if signed_in.sees_plans { (self.entry(Section::Plans, "/plans", "Plans")) }
                            @if signed_in.sees_usage { (self.entry(Section::Usage, "/usage", "Usage")) }
                            @if signed_in.sees_alerts { (self.alerts(signed_in.open_alerts)) }
                            (self.entry(Section::Safety, "/safety", "Safety"))
                            @if signed_in.sees_audit { (self.entry(Section::Audit, "/audit", "Audit")) }
                        }
                    }
                    div.who {
                        span title={ "Signed in with the key " (key.name) " (" (key.masked) ")" } {
                            span.hidden { "Signed in as " }
                            bdi { (signed_in.actor) }
                            " " span.role { (if signed_in.is_admin { "admin" } else { "member" }) }
                        }
                        form method="post" action={ (self.base) "/sign-out" } {
                            input type="hidden" name="token" value=(signed_in.token);
                            button.plain type="submit" { "Sign out" }
                        }
                    }
                }
            }
        }
    }

    /// The way to the alerts, with how many there are to look at.
    fn alerts(&self, open: Option<usize>) -> Markup {
        let current = (self.section == Some(Section::Alerts)).then_some("page");
        html! {
            li {
                a href={ (self.base) "/alerts" } aria-current=[current] {
                    "Alerts"
                    @if let Some(open) = open.filter(|open| *open > 0) {
                        " "
                        span.count {
                            @if open < COUNTED { (open) } @else { (COUNTED - 1) "+" }
                            span.hidden { " open" }
                        }
                    }
                }
            }
        }
    }

    fn entry(&self, section: Section, path: &str, name: &str) -> Markup {
        let current = (self.section == Some(section)).then_some("page");
        html! { li { a href={ (self.base) (path) } aria-current=[current] { (name) } } }
    }
}

fn brand() -> Markup {
    html! {
        span.brand {
            svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true" {
                circle cx="6.5" cy="10" r="4" fill="none" stroke="currentColor" stroke-width="2.2" {}
                path d="M10.5 10H18M15 10v3.5" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" {}
            }
            "API keys"
        }
    }
}
