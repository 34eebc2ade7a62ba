//! What a person is asked, and what they may answer.

use crate::error::{Error, ErrorKind};
use crate::key::{Access, KeyInfo, OwnerId, Scope};

use super::request::Asked;
use super::server::Server;
use super::sign_in::Person;

/// A question to a person: may this program be connected?
///
/// The page posts a form to [`action`](Self::action) with all [`fields`](Self::fields) as they are,
/// `decision` as `allow` or `deny`, and `access` as `read-only` or `full`.
#[derive(Debug)]
pub struct Question<'a> {
    pub(super) asked: &'a Asked,
    pub(super) offer: &'a Offer,
    pub(super) person: &'a Person,
    pub(super) action: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) notice: Option<&'static str>,
}

impl Question<'_> {
    /// The name that the program has given itself. It is proof of nothing.
    pub fn client_name(&self) -> Option<&str> {
        self.asked.client.name()
    }

    /// The program's id.
    pub fn client_id(&self) -> &str {
        self.asked.client.id().as_str()
    }

    /// The host whose document describes the program, if it is known by one. Nothing if it has
    /// registered itself.
    pub fn client_host(&self) -> Option<&str> {
        self.asked.client.host()
    }

    /// Where the answer is sent.
    pub fn redirect_uri(&self) -> &str {
        &self.asked.back.redirect_uri
    }

    /// What to show of where the answer is sent: a host, or the scheme of a program.
    pub fn redirect_host(&self) -> String {
        super::redirect::shown(self.redirect_uri())
    }

    /// Whether the answer is sent to a program on the person's own device.
    pub fn stays_here(&self) -> bool {
        super::redirect::stays_here(self.redirect_uri())
    }

    /// The URL of the server that is asked for.
    pub fn resource(&self) -> &str {
        &self.asked.place.url
    }

    /// What people call that server.
    pub fn resource_name(&self) -> &str {
        &self.asked.place.name
    }

    /// What the program will be granted: what it asks for and the person has.
    pub fn scopes(&self) -> &[Scope] {
        &self.offer.scopes
    }

    /// What the program asks for and the person does not have.
    pub fn lacking(&self) -> &[Scope] {
        &self.offer.lacking
    }

    /// Whether the program asks for full access: to change things, and not only look at them.
    pub fn asks_for_full(&self) -> bool {
        self.asked.wanted.full_access
    }

    /// Whether the person may choose `full`. Otherwise the connection is read-only.
    pub fn may_choose_full(&self) -> bool {
        self.offer.most == Access::Full
    }

    /// Who is asked.
    pub fn owner(&self) -> &OwnerId {
        self.person.owner()
    }

    /// Where to sign in as somebody else, if there is such a place.
    pub fn elsewhere(&self) -> Option<&str> {
        self.person.elsewhere()
    }

    /// Where the form goes: a path on this host.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What the form sends unseen, as names and values. Among it is what proves that this page was
    /// shown, for ten minutes.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (*name, value.as_str()))
    }

    /// Why the question is asked again.
    pub fn notice(&self) -> Option<&str> {
        self.notice
    }
}

/// The most that a person can consent to, of what is asked.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) scopes: Vec<Scope>,
    pub(super) lacking: Vec<Scope>,
    pub(super) most: Access,
}

impl Offer {
    /// # Errors
    ///
    /// `Forbidden`, in words for the person, if there is nothing that they can consent to;
    /// `Unavailable`.
    pub(super) async fn to(person: &Person, asked: &Asked, server: &Server) -> Result<Self, Error> {
        let key = person.key().map(|key| key.key());
        if let Some(key) = key {
            check_key(person, key)?;
        }
        let rights = server.vault().rights(person.owner()).await?;
        let is_open = rights.opens(&asked.place.server)
            && key.is_none_or(|key| key.servers.contains(&asked.place.server));
        if !is_open {
            return Err(declined("You may not use this server yourself."));
        }
        let has =
            |scope: &&Scope| rights.grants(scope) && key.is_none_or(|key| key.scopes.grants(scope));
        let (scopes, lacking): (Vec<_>, Vec<_>) = asked.wanted.scopes.iter().partition(has);
        if scopes.is_empty() && !lacking.is_empty() {
            return Err(declined(
                "The program asks for rights that you do not have yourself.",
            ));
        }
        let by_key = key.map_or(Access::Full, |key| key.access);
        Ok(Self {
            scopes: scopes.into_iter().cloned().collect(),
            lacking: lacking.into_iter().cloned().collect(),
            most: rights.most_for_connections().min(by_key),
        })
    }
}

/// Refuses a key that nobody consents by. What else bounds it is handed down to the connection.
fn check_key(person: &Person, key: &KeyInfo) -> Result<(), Error> {
    if key.owner.as_ref() != Some(person.owner()) {
        return Err(declined("The key belongs to somebody else."));
    }
    if key.connection.is_some() {
        return Err(declined(
            "A connected program cannot connect another one. Sign in with a key of your own.",
        ));
    }
    Ok(())
}

fn declined(text: &'static str) -> Error {
    Error::new(ErrorKind::Forbidden, text)
}
