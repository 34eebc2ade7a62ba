//! Authorization codes: what was consented to, kept until a program exchanges the code.
//!
//! 1. A code is taken once, over all nodes: whoever marks its document as used at the revision that was
//!    read has it.
//! 2. The mark stays for ten minutes. A code that is presented again in that time ends the connection
//!    that was made from it, also one that is only just being made: whoever presents a code marks it
//!    and then looks for its connection, and whoever makes a connection stores it and then looks for
//!    the mark. One of them sees the other.
//! 3. Documents that are over are removed when others are put, a few at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::new::Wishes;
use super::{NewConnection, SYSTEM};
use crate::audit::{Act, AuditAction};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, ClientId, CodeId, OwnerId, Revision, ScopeSet, Subject, SubjectKind};
use crate::manager::{ATTEMPTS, KeyManager, too_many_changes};
use crate::store::{Document, DocumentPage};

/// How long a code that was used is remembered, and after which time it is removed in any case.
const REMEMBERED: Duration = Duration::from_secs(600);
const KEPT: Duration = Duration::from_secs(720);

/// How many documents that are over are removed with one that is put.
const PRUNED: usize = 4;

pub(super) const USED_TWICE: &str = "authorization code used twice";

/// What an owner has consented to, and what a program must show to get it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consented {
    wishes: Wishes,
    /// Where the code was sent.
    pub(crate) redirect_uri: String,
    /// The challenge of PKCE, by the method S256.
    pub(crate) challenge: String,
    /// Whether the program asked for full access, whatever it was given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asked_for_full: bool,
}

impl Consented {
    /// Consent to a connection. What `new` says of a code does not count.
    pub(crate) fn new(
        new: NewConnection,
        redirect_uri: impl Into<String>,
        challenge: impl Into<String>,
    ) -> Self {
        Self {
            wishes: new.into_parts().0,
            redirect_uri: redirect_uri.into(),
            challenge: challenge.into(),
            asked_for_full: false,
        }
    }

    pub(crate) fn owner(&self) -> &OwnerId {
        self.wishes.owner()
    }

    pub(crate) fn client(&self) -> &ClientId {
        self.wishes.client()
    }

    pub(crate) fn resource(&self) -> Option<&str> {
        self.wishes.resource()
    }

    pub(crate) fn scopes(&self) -> &ScopeSet {
        self.wishes.scopes()
    }

    pub(crate) fn access(&self) -> Access {
        self.wishes.access()
    }

    /// The connection that was consented to, made from the code that was taken.
    pub(crate) fn into_connection(self, code: &CodeId) -> NewConnection {
        self.wishes.made_from(code)
    }
}

/// What the document of a code says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum CodeState {
    Open(Box<Consented>),
    Used {
        at: Timestamp,
        /// Whether it was presented again.
        again: bool,
    },
}

/// What became of a code that was presented.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TakenCode {
    /// Nobody else has it, or will.
    Fresh(Box<Consented>),
    /// It was used before. The connection that was made from it is revoked.
    Reused,
    /// There is no such code, or none any more.
    Unknown,
}

impl KeyManager {
    /// A new code, to be sent to a program, and the name to keep it under.
    pub(crate) fn make_code(&self) -> (Zeroizing<String>, CodeId) {
        CodeId::generate(self.office.clock.now().wall)
    }

    /// Keeps what was consented to for the code of this name, for a minute. This manager acts for
    /// whoever consents, and bounds it by their rights: of the key that they act by, the connection
    /// inherits networks, rules for tools and the end.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect) would, were the connection made now.
    pub(crate) async fn put_code(&self, id: &CodeId, consented: &Consented) -> Result<(), Error> {
        let now = self.office.clock.now().wall;
        let mut consented = consented.clone();
        self.wished(&mut consented.wishes, now).await?;
        self.prune(
            SubjectKind::Code,
            &DocumentPage::first(PRUNED),
            |document| match &document.subject {
                Subject::Code(id) => id.created_at().saturating_add(KEPT) <= now,
                _ => false,
            },
        )
        .await?;
        let mut act = self.act(AuditAction::Consented, None, None);
        act.after = Some(json!({
            "client": consented.client(),
            "owner": consented.owner(),
            "resource": consented.resource(),
            "scopes": consented.scopes(),
            "access": consented.access(),
        }));
        let state = CodeState::Open(Box::new(consented));
        self.write_code(id, &state, Revision::default(), &act).await
    }

    /// Takes a code that somebody presents.
    ///
    /// # Errors
    ///
    /// `Unavailable`: the code may be used up then. `Corrupt`, if what is stored of it cannot be read.
    pub(crate) async fn take_code(&self, id: &CodeId) -> Result<TakenCode, Error> {
        for _ in 0..ATTEMPTS {
            let now = self.office.clock.now().wall;
            let Some((state, revision)) = self.code_state(id).await? else {
                return Ok(TakenCode::Unknown);
            };
            let (used, taken) = match state {
                CodeState::Open(_) if now >= id.expires_at() => return Ok(TakenCode::Unknown),
                CodeState::Open(consented) => {
                    let used = CodeState::Used {
                        at: now,
                        again: false,
                    };
                    (used, TakenCode::Fresh(consented))
                }
                CodeState::Used { at, .. } if now >= at.saturating_add(REMEMBERED) => {
                    return Ok(TakenCode::Unknown);
                }
                CodeState::Used { again: true, .. } => return self.end_reused(id).await,
                CodeState::Used { at, .. } => {
                    (CodeState::Used { at, again: true }, TakenCode::Reused)
                }
            };
            let action = match taken {
                TakenCode::Fresh(_) => AuditAction::Exchanged,
                _ => AuditAction::Reused,
            };
            let act = self.act_of(SYSTEM, action, None, None);
            match self.write_code(id, &used, revision, &act).await {
                Ok(()) if taken == TakenCode::Reused => return self.end_reused(id).await,
                Ok(()) => return Ok(taken),
                // Somebody else was faster: look again.
                Err(error) if is_outrun(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_many_changes())
    }

    /// Ends the connection that was made from a code that was presented again.
    async fn end_reused(&self, id: &CodeId) -> Result<TakenCode, Error> {
        let key = id.key();
        let reused = AuditAction::Reused;
        if self
            .withdraw(key, USED_TWICE, reused, SYSTEM)
            .await?
            .is_some()
        {
            tracing::warn!(%key, "an authorization code was used twice; its connection is revoked");
        }
        Ok(TakenCode::Reused)
    }

    /// What is known of a code, and as of which write.
    pub(super) async fn code_state(
        &self,
        id: &CodeId,
    ) -> Result<Option<(CodeState, Revision)>, Error> {
        let document = self.office.store.document(&Subject::Code(*id)).await?;
        let Some(document) = document else {
            return Ok(None);
        };
        let state = CodeState::deserialize(&document.body)
            .map_err(|_| Error::new(ErrorKind::Corrupt, "an authorization code cannot be read"))?;
        Ok(Some((state, document.revision)))
    }

    async fn write_code(
        &self,
        id: &CodeId,
        state: &CodeState,
        revision: Revision,
        act: &Act,
    ) -> Result<(), Error> {
        let document = Document {
            subject: Subject::Code(*id),
            body: body("code", state)?,
            revision,
        };
        self.office.store.put_document(&document, act).await?;
        Ok(())
    }

    /// Removes those of a page of documents that are over, and says where the next page begins;
    /// nothing after the last one.
    pub(super) async fn prune(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
        is_over: impl Fn(&Document) -> bool,
    ) -> Result<Option<String>, Error> {
        let documents = self.office.store.documents(kind, page).await?;
        for document in documents.iter().filter(|document| is_over(document)) {
            let act = self.act_of(SYSTEM, AuditAction::Deleted, None, None);
            let (subject, revision) = (&document.subject, document.revision);
            match self
                .office
                .store
                .remove_document(subject, revision, &act)
                .await
            {
                Err(error) if !is_outrun(&error) => return Err(error),
                // Another node does the same.
                _ => {}
            }
        }
        let last = documents
            .last()
            .filter(|_| documents.len() >= page.bounded_size());
        Ok(last.map(|last| {
            let name = last.subject.to_string();
            name.strip_prefix(kind.prefix())
                .unwrap_or_default()
                .to_owned()
        }))
    }
}

fn is_outrun(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound)
}

pub(super) fn body(field: &'static str, content: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(content)
        .map_err(|error| Error::invalid(field, "cannot be stored").with_source(error))
}
