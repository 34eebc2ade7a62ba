//! Owners and plans: who may do what, and what keys cost them.

use super::reach::unknown_owner;
use super::{ATTEMPTS, KeyManager, Principal, too_many_changes, validate};
use crate::audit::{Act, AuditAction};
use crate::error::{Error, ErrorKind};
use crate::event::EventData;
use crate::key::{Owner, OwnerId, Plan, PlanName, Role, Subject, SubjectKind};
use crate::rights::{read_owner, read_plan};
use crate::store::{Document, DocumentPage};

impl KeyManager {
    /// Stores what an owner may do. Every key of theirs is within it from the next request on.
    ///
    /// An owner of revision zero is a new one; one that was read is replaced if nobody has changed
    /// it since.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::key::{Owner, Servers};
    /// use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let ada = Owner::member("ada".parse()?).server("files".parse()?);
    /// keys.manager().put_owner(ada).await?;
    ///
    /// let issued = keys.manager().issue(NewKey::named("laptop").owner("ada").all_servers()).await?;
    /// let rights = keys.manager().rights(issued.info().id).await?;
    /// assert_eq!(rights.servers, Servers::only(["files"])?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Forbidden` to members, and naming the field, if the owner would be given more than the key that
    /// is acted by has; `Conflict`, if there is such an owner already, or the stored one has changed, or if owners are known from a [directory](crate::ApiKeysBuilder::owner_directory):
    /// what the store says would change nothing then; `NotFound`, if it is gone; `Unavailable`: whether it was stored is unknown then.
    pub async fn put_owner(&self, owner: Owner) -> Result<Owner, Error> {
        self.principal.check_admin("only admins change owners")?;
        self.check_owners_are_stored()?;
        let before = self.definition(&Subject::Owner(owner.id.clone())).await?;
        let known = before.as_ref().map(read_owner).transpose()?;
        self.principal.check_gift(known.as_ref(), &owner)?;
        let revision = self.define(owner.id.clone().into(), &owner, before).await?;
        Ok(Owner { revision, ..owner })
    }

    /// Reads what an owner may do; nothing if they are not known. A member reads their own.
    ///
    /// # Errors
    ///
    /// `NotFound` to members who ask for somebody else; `Unavailable`.
    pub async fn owner(&self, id: &OwnerId) -> Result<Option<Owner>, Error> {
        if self.principal.confined_to().is_some_and(|own| own != id) {
            return Err(Error::new(ErrorKind::NotFound, "there is no such owner"));
        }
        if self.office.live.resolver().has_directory() {
            return self.office.live.resolver().owner(id).await;
        }
        let document = self.definition(&Subject::Owner(id.clone())).await?;
        document.as_ref().map(read_owner).transpose()
    }

    /// Reads one page of the owners that the store knows, by their ids.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members; `Unavailable`.
    pub async fn owners(&self, page: &DocumentPage) -> Result<Vec<Owner>, Error> {
        self.principal.check_admin("only admins list owners")?;
        let documents = self.office.store.documents(SubjectKind::Owner, page);
        documents.await?.iter().map(read_owner).collect()
    }

    /// Suspends an owner: none of their keys work until they are resumed.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members; `NotFound`; `Unavailable`.
    pub async fn suspend_owner(&self, id: &OwnerId) -> Result<Owner, Error> {
        self.set_active(id, false).await
    }

    /// Lets the keys of a suspended owner work again.
    ///
    /// # Errors
    ///
    /// As [`suspend_owner`](Self::suspend_owner).
    pub async fn resume_owner(&self, id: &OwnerId) -> Result<Owner, Error> {
        self.set_active(id, true).await
    }

    /// Removes an owner whom no key belongs to any more.
    ///
    /// # Errors
    ///
    /// `Conflict`, while they have a key that is not revoked: without the owner it would be bounded
    /// by nobody. `Forbidden` to members; `NotFound`; `Unavailable`.
    pub async fn remove_owner(&self, id: &OwnerId) -> Result<(), Error> {
        self.principal.check_admin("only admins change owners")?;
        self.check_owners_are_stored()?;
        self.undefine(id.clone().into()).await
    }

    /// The principal that an owner is by their role: an admin, or a member with their own keys. An
    /// owner who is not known is a member, where owners need not be known.
    ///
    /// # Errors
    ///
    /// `Forbidden`, if the owner is suspended, or has to be known and is not; `Unavailable`.
    pub async fn principal_of(&self, id: &OwnerId) -> Result<Principal, Error> {
        let resolver = self.office.live.resolver();
        match resolver.owner(id).await? {
            None if resolver.wants_known_owners() => Err(unknown_owner()),
            Some(owner) if !owner.active => {
                Err(Error::new(ErrorKind::Forbidden, "the owner is suspended"))
            }
            Some(owner) if owner.role == Role::Admin => Ok(Principal::admin(id.as_str())),
            _ => Ok(Principal::member(id.clone())),
        }
    }

    /// Stores a plan. Its keys have its limits from the next request on; what they have spent under
    /// a limit's name stays spent.
    ///
    /// A plan of revision zero is a new one; one that was read is replaced if nobody has changed it
    /// since.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field; otherwise as [`put_owner`](Self::put_owner).
    pub async fn put_plan(&self, plan: Plan) -> Result<Plan, Error> {
        self.principal.check_admin("only admins change plans")?;
        validate::plan(&plan)?;
        let before = self.definition(&Subject::Plan(plan.name.clone())).await?;
        let revision = self.define(plan.name.clone().into(), &plan, before).await?;
        Ok(Plan { revision, ..plan })
    }

    /// Reads a plan, a stored or a built-in one; nothing if there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, Error> {
        match self.definition(&Subject::Plan(name.clone())).await? {
            Some(document) => read_plan(&document).map(Some),
            None => Ok(Plan::built_in().find(|plan| plan.name == *name)),
        }
    }

    /// Reads all plans, in the order of their names: those that are stored, and those built in that
    /// no stored one replaces.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn plans(&self) -> Result<Vec<Plan>, Error> {
        let mut plans: Vec<Plan> = Vec::new();
        let mut page = DocumentPage::first(1_000);
        loop {
            let documents = self
                .office
                .store
                .documents(SubjectKind::Plan, &page)
                .await?;
            for document in &documents {
                plans.push(read_plan(document)?);
            }
            if documents.len() < page.bounded_size() {
                break;
            }
            page.after = plans.last().map(|plan| plan.name.as_str().to_owned());
        }
        for built_in in Plan::built_in() {
            if plans.iter().all(|plan| plan.name != built_in.name) {
                plans.push(built_in);
            }
        }
        plans.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(plans)
    }

    /// Removes a plan that no key is on any more. One that replaced a built-in plan brings that
    /// back.
    ///
    /// # Errors
    ///
    /// `Conflict`, while a key that is not revoked is on it; `Forbidden` to members; `NotFound`;
    /// `Unavailable`.
    pub async fn remove_plan(&self, name: &PlanName) -> Result<(), Error> {
        self.principal.check_admin("only admins change plans")?;
        self.undefine(name.clone().into()).await
    }

    fn check_owners_are_stored(&self) -> Result<(), Error> {
        if self.office.live.resolver().has_directory() {
            let message = "owners are known from a directory, and changed there";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(())
    }

    async fn set_active(&self, id: &OwnerId, active: bool) -> Result<Owner, Error> {
        self.principal.check_admin("only admins change owners")?;
        self.check_owners_are_stored()?;
        for _ in 0..ATTEMPTS {
            let known = self.owner(id).await?;
            let mut owner =
                known.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such owner"))?;
            if owner.active == active {
                self.office.live.owner_changed(id);
                return Ok(owner);
            }
            owner.active = active;
            match self.put_owner(owner).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome,
            }
        }
        Err(too_many_changes())
    }

    async fn definition(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        self.office.store.document(subject).await
    }

    async fn define(
        &self,
        subject: Subject,
        definition: &(impl serde::Serialize + Revised),
        before: Option<Document>,
    ) -> Result<crate::key::Revision, Error> {
        let body = serde_json::to_value(definition)
            .map_err(|error| Error::invalid("definition", "cannot be stored").with_source(error))?;
        let mut act = self.definition_act(AuditAction::Defined);
        act.before = before.map(|document| document.body);
        act.after = Some(body.clone());
        let document = Document {
            subject,
            body,
            revision: definition.revision(),
        };
        let written = self.office.store.put_document(&document, &act).await;
        // Also if the answer got lost: it may have been written.
        self.office.live.definition_changed(&document.subject);
        let revision = written?;
        self.tell_defined(document.subject, act);
        Ok(revision)
    }

    async fn undefine(&self, subject: Subject) -> Result<(), Error> {
        let document = self.definition(&subject).await?;
        let document = document
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such definition"))?;
        let mut act = self.definition_act(AuditAction::Deleted);
        act.before = Some(document.body);
        let store = &self.office.store;
        let removed = store
            .remove_document(&subject, document.revision, &act)
            .await;
        self.office.live.definition_changed(&subject);
        let _ = removed?;
        self.tell_defined(subject, act);
        Ok(())
    }

    /// Tells listeners of an act that is committed.
    fn tell_defined(&self, subject: Subject, act: Act) {
        let (action, actor) = (act.action, act.actor);
        let data = EventData::Defined {
            subject,
            action,
            actor,
        };
        self.office.events.tell(act.at, data);
    }

    fn definition_act(&self, action: AuditAction) -> Act {
        self.act(action, None, None)
    }
}

/// What knows which write it is.
trait Revised {
    fn revision(&self) -> crate::key::Revision;
}

impl Revised for Owner {
    fn revision(&self) -> crate::key::Revision {
        self.revision
    }
}

impl Revised for Plan {
    fn revision(&self) -> crate::key::Revision {
        self.revision
    }
}
