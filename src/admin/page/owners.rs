//! Owners: who keys belong to, and what they may do.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::draft::Faults;
use super::fields::Fields;
use super::form_fields::{field, summary};
use super::notation::{in_words, words};
use super::parts::{self, pager};
use super::shell::{Notice, Section};
use super::submission::{Submission, finished};
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, Owner, OwnerId, Revision, Role, ScopeSet, ServerName, Servers};
use crate::store::DocumentPage;

const SIZE: usize = 50;

const LABELS: [(&str, &str); 6] = [
    ("id", "Name"),
    ("role", "Role"),
    ("reach", "Projects"),
    ("servers", "Project names"),
    ("scopes", "Scopes"),
    ("access", "Access level"),
];

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    visit.require(Act::SeeOwners)?;
    let mut page = DocumentPage::first(SIZE);
    page.after = visit.query.some("after").map(str::to_owned);
    let owners = visit.manager.owners(&page).await?;
    let last = owners.last().filter(|_| owners.len() == SIZE);
    let next = last.map(|last| visit.link_with("/owners", [("after", last.id.as_str())]));
    let first = page.after.map(|_| visit.link("/owners"));
    let content = html! {
        div.head {
            h1 { "Owners" }
            @if visit.offers(Act::DefineOwner) {
                a.button.primary href=(visit.link("/owners/edit")) { "New owner" }
            }
        }
        p.quiet { "No key does more than its owner may at present. An owner who is not listed here bounds nothing, unless the server asks for known owners." }
        @if owners.is_empty() {
            (parts::empty("There are no owners.", &html! {}))
        } @else {
            table.list {
                caption.hidden { "Owners, by name" }
                thead { tr {
                    th scope="col" { "Name" }
                    th scope="col" { "Role" }
                    th scope="col" { "State" }
                    th scope="col" { "Projects" }
                    th scope="col" { "Scopes" }
                    th scope="col" { span.hidden { "Acts" } }
                } }
                tbody { @for owner in &owners { (row(visit, owner)) } }
            }
        }
        (pager(first.as_deref(), next.as_deref()))
    };
    Ok(visit.page(Section::Owners, "Owners", &content))
}

fn row(visit: &Visit, owner: &Owner) -> Markup {
    let id = owner.id.as_str();
    html! {
        tr {
            th scope="row" { a href=(visit.link_with("/owners/edit", [("id", id)])) { bdi { (id) } } }
            td data-label="Role" { (capital(owner.role.as_str())) }
            td data-label="State" { (state(owner)) }
            td data-label="Projects" { (parts::servers(&owner.servers)) }
            td data-label="Scopes" { (parts::scopes(&owner.scopes)) }
            td.end { a href=(visit.link_with("/keys", [("owner", id)])) { "Keys" span.hidden { " of " bdi { (id) } } } }
        }
    }
}

fn state(owner: &Owner) -> Markup {
    if owner.active {
        html! { span.badge.good { "Active" } }
    } else {
        html! { span.badge.off { "Suspended" } }
    }
}

fn capital(word: &str) -> String {
    let text = super::problem::sentence(word);
    text.trim_end_matches('.').to_owned()
}

pub(super) async fn edit(visit: Visit) -> Response {
    let shown = async {
        visit.require(Act::SeeOwners)?;
        let owner = match visit.query.some("id") {
            None => None,
            Some(id) => Some(known(&visit, id).await?),
        };
        let texts = owner.as_ref().map_or_else(Texts::of_new, Texts::of);
        Ok(form(
            &visit,
            StatusCode::OK,
            owner.as_ref(),
            &texts,
            &Faults::new(),
        ))
    };
    let shown = shown.await;
    visit.answer(shown)
}

async fn known(visit: &Visit, id: &str) -> Result<Owner, Error> {
    let id: OwnerId = id.parse().map_err(|_| no_owner())?;
    visit.manager.owner(&id).await?.ok_or_else(no_owner)
}

fn no_owner() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such owner")
}

/// An owner as the form holds them.
struct Texts {
    id: String,
    role: String,
    reach: String,
    servers: String,
    scopes: String,
    access: String,
}

impl Texts {
    fn of_new() -> Self {
        Self {
            id: String::new(),
            role: "member".to_owned(),
            reach: "some".to_owned(),
            servers: String::new(),
            scopes: String::new(),
            access: "full".to_owned(),
        }
    }

    fn of(owner: &Owner) -> Self {
        let (reach, servers) = match &owner.servers {
            Servers::All => ("all", String::new()),
            Servers::Only(names) => ("some", in_words(names)),
        };
        Self {
            id: owner.id.to_string(),
            role: owner.role.to_string(),
            reach: reach.to_owned(),
            servers,
            scopes: in_words(&owner.scopes),
            access: owner.access.to_string(),
        }
    }

    fn sent(fields: &Fields) -> Self {
        let [id, role, reach, servers, scopes, access] =
            LABELS.map(|(name, _)| fields.get(name).to_owned());
        Self {
            id,
            role,
            reach,
            servers,
            scopes,
            access,
        }
    }

    fn read(&self) -> Result<Owner, Faults> {
        let mut faults = Faults::new();
        let id = self.id.parse::<OwnerId>().map_err(|why| {
            faults.insert("id", why.to_string());
        });
        let role = self.role.parse::<Role>().map_err(|why| {
            faults.insert("role", why.to_string());
        });
        let access = self.access.parse::<Access>().map_err(|why| {
            faults.insert("access", why.to_string());
        });
        let servers = words::<ServerName>(&self.servers).map_err(|why| {
            faults.insert("servers", why);
        });
        let scopes = words(&self.scopes).map_err(|why| {
            faults.insert("scopes", why);
        });
        let (Ok(id), Ok(role), Ok(access), Ok(servers), Ok(scopes)) =
            (id, role, access, servers, scopes)
        else {
            return Err(faults);
        };
        let mut owner = Owner::member(id);
        owner.role = role;
        owner.access = access;
        owner.scopes = ScopeSet::from(scopes);
        owner.servers = match self.reach.as_str() {
            "all" => Servers::All,
            _ => Servers::Only(servers.into()),
        };
        Ok(owner)
    }
}

pub(super) async fn save(Submission { visit, fields }: Submission) -> Response {
    let base = visit.base.clone();
    let saved = async move {
        let saved = store(&visit, &fields).await;
        visit.answer(saved)
    };
    finished(&base, saved).await
}

async fn store(visit: &Visit, fields: &Fields) -> Result<Response, Error> {
    visit.require(Act::DefineOwner)?;
    let texts = Texts::sent(fields);
    let seen = fields
        .get("revision")
        .parse()
        .map_or(0, |revision| revision);
    let before = match seen {
        0 => None,
        _ => Some(known(visit, &texts.id).await?),
    };
    let again = |status, faults: &Faults| Ok(form(visit, status, before.as_ref(), &texts, faults));
    let mut owner = match texts.read() {
        Ok(owner) => owner,
        Err(faults) => return again(StatusCode::UNPROCESSABLE_ENTITY, &faults),
    };
    owner.revision = Revision::new(seen);
    owner.active = before.as_ref().is_none_or(|before| before.active);
    match visit.manager.put_owner(owner).await {
        Ok(_) => Ok(visit.go_with(Notice::OwnerSaved, "/owners")),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let text = match &before {
                None => "is there already, or owners are kept elsewhere",
                Some(_) => {
                    "was changed by somebody else meanwhile: look at what is stored now, \
                            then save again if it is to be replaced"
                }
            };
            again(
                StatusCode::CONFLICT,
                &Faults::from([("id", text.to_owned())]),
            )
        }
        Err(error) => {
            let mut fields = LABELS.into_iter();
            match fields.find(|(name, _)| error.field() == Some(name)) {
                Some((name, _)) => {
                    let faults = Faults::from([(name, error.to_string())]);
                    again(StatusCode::UNPROCESSABLE_ENTITY, &faults)
                }
                None => Err(error),
            }
        }
    }
}

fn form(
    visit: &Visit,
    status: StatusCode,
    owner: Option<&Owner>,
    texts: &Texts,
    faults: &Faults,
) -> Response {
    let title = owner.map_or_else(
        || "New owner".to_owned(),
        |owner| format!("Owner {}", owner.id),
    );
    let choice = |name: &'static str, label: &str, value: &str, choices: &[(&str, &str)]| {
        field(name, label, "", faults, |attributes| {
            html! {
                select id=(attributes.id) name=(name) aria-invalid=[attributes.invalid]
                    aria-describedby=[&attributes.described] {
                    @for (word, text) in choices { option value=(word) selected[*word == value] { (text) } }
                }
            }
        })
    };
    let area = |name: &'static str, label: &str, value: &str, hint: &str| {
        field(name, label, hint, faults, |attributes| {
            html! {
                textarea.code id=(attributes.id) name=(name) rows="2" spellcheck="false"
                    aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described] { "\n" (value) }
            }
        })
    };
    let content = html! {
        nav.trail aria-label="Breadcrumb" { ol { li { a href=(visit.link("/owners")) { "Owners" } } } }
        div.head {
            h1 { @match owner { None => "New owner", Some(owner) => { bdi { (owner.id) } " " (state(owner)) } } }
            @if let Some(owner) = owner { (acts(visit, owner)) }
        }
        (summary(faults, &LABELS))
        form.sheet method="post" action=(visit.link("/owners/edit")) {
            (parts::token(visit))
            @if let Some(owner) = owner { input type="hidden" name="revision" value=(owner.revision); }
            (field("id", "Name", "As your system names them: a user, a team, a service.", faults, |attributes| html! {
                input id=(attributes.id) name="id" type="text" value=(texts.id) required readonly[owner.is_some()]
                    autocomplete="off" aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described];
            }))
            (choice("role", "Role", &texts.role, &[
                ("member", "Member: manages their own keys"), ("admin", "Admin: manages all keys"),
            ]))
            (choice("reach", "Projects", &texts.reach, &[
                ("some", "Only these"), ("all", "All, those that are added later included"),
            ]))
            (area("servers", "Project names", &texts.servers, "With spaces between them."))
            (area("scopes", "Scopes", &texts.scopes, "Such as files:read, files:* or *, with spaces between them. To sign in here a key needs keys:read, to change keys keys:write."))
            (choice("access", "Access level", &texts.access, &[
                ("full", "Full: query, read, create and update"), ("read-only", "Read-only: query and read"),
            ]))
            @if visit.offers(Act::DefineOwner) {
                div.acts {
                    button.primary type="submit" { (if owner.is_some() { "Save changes" } else { "Create owner" }) }
                    a.button href=(visit.link("/owners")) { "Cancel" }
                }
            }
        }
    };
    visit.page_as(status, Section::Owners, &title, &content)
}

fn acts(visit: &Visit, owner: &Owner) -> Markup {
    let act = |path: &str, name: &str, class: &str| {
        html! {
            form.inline method="post" action=(visit.link(path)) {
                (parts::token(visit))
                input type="hidden" name="id" value=(owner.id);
                button class=(class) type="submit" { (name) }
            }
        }
    };
    html! {
        div.acts {
            a.button href=(visit.link_with("/keys", [("owner", owner.id.as_str())])) { "Keys" }
            @if visit.offers(Act::DefineOwner) {
                @if owner.active { (act("/owners/suspend", "Suspend", "button danger")) }
                @else { (act("/owners/resume", "Resume", "button")) }
                (act("/owners/remove", "Remove", "button danger"))
            }
        }
    }
}

/// One of the acts that need no word but the press of the button.
macro_rules! plain_act {
    ($name:ident, $kind:ident, $act:ident, $notice:ident) => {
        pub(super) async fn $name(Submission { visit, fields }: Submission) -> Response {
            let base = visit.base.clone();
            let acted = async move {
                let done = async {
                    visit.require(Act::$kind)?;
                    let id: OwnerId = fields.get("id").parse().map_err(|_| no_owner())?;
                    visit.manager.$act(&id).await?;
                    Ok(visit.go_with(Notice::$notice, "/owners"))
                };
                let done = done.await;
                visit.answer(done)
            };
            finished(&base, acted).await
        }
    };
}

plain_act!(suspend, SuspendOwner, suspend_owner, OwnerSuspended);
plain_act!(resume, SuspendOwner, resume_owner, OwnerResumed);
plain_act!(remove, RemoveOwner, remove_owner, OwnerRemoved);
