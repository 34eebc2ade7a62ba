//! A store that holds no keys but makes up the one it is asked for: millions of keys without the
//! memory for them, so that what is measured is what the layer keeps.

use std::net::IpAddr;

use async_trait::async_trait;
use mcp_api_keys::audit::{Act, AuditEntry, AuditFilter};
use mcp_api_keys::key::{
    Credential, CredentialId, KeyId, KeyRecord, Network, NetworkRules, Revision, ScopeSet, Servers,
    Subject, SubjectKind,
};
use mcp_api_keys::store::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse,
    MemoryStore, Page, PageRequest, QuotaAccount, QuotaLedger, Taken,
};
use mcp_api_keys::testing::records::NOON;
use mcp_api_keys::{ApiKeys, Argon2Params, Error, KeyFormat};
use sha2::{Digest, Sha256};

use super::load::PEER;
use super::ours::ample;

/// The keys of this store, so many of which are remembered.
pub async fn keys(remembered: u64) -> ApiKeys {
    ApiKeys::builder(Formula(MemoryStore::new()))
        .format(format())
        .argon2(Argon2Params::new(8, 1, 1).expect("valid parameters"))
        .cached_keys(remembered)
        .build()
        .await
        .expect("the memory answers")
}

/// The text of a key.
pub fn text(number: usize) -> String {
    format!("mgw_{number:08}{:024}", number.wrapping_mul(7_919))
}

fn format() -> KeyFormat {
    let format = KeyFormat::new("mgw_").expect("a prefix");
    format.without_checksum()
}

fn record(number: usize) -> KeyRecord {
    let id = KeyId::from_u128(number as u128 + 1);
    let mut record = KeyRecord::new(id, format!("agent {number}"), NOON);
    let hash = Sha256::digest(text(number));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let handle = format!("{number:08}").parse().expect("a handle");
    let hash = format!("sha256:{hex}");
    let credential = Credential::new(CredentialId::FIRST, handle, "mgw_", hash, NOON);
    record.credentials = vec![credential.imported()];
    record.servers = Servers::only(["files"]).expect("a server");
    record.scopes = ScopeSet::parse(["files:read"]).expect("a scope");
    let network = Network::new(IpAddr::from(PEER.0), 32).expect("a network");
    record.networks = NetworkRules::new(vec![network], Vec::new());
    record.limits = vec![ample("requests")];
    record
}

/// Everything but the reading of keys is a memory's.
#[derive(Debug)]
struct Formula(MemoryStore);

#[async_trait]
impl KeyStore for Formula {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        self.0.insert(record, act).await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        let number = usize::try_from(id.as_u128()).ok();
        Ok(number.and_then(|n| n.checked_sub(1)).map(record))
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        Ok(handle.parse().ok().map(record))
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.0.replace(record, expected, act).await
    }

    async fn amend(&self, _: &KeyRecord) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        self.0.delete(id, act).await
    }

    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
        self.0.list(filter, page).await
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.0.revision().await
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        self.0.audit(filter, page).await
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        self.0.change_bell()
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        self.0.changes_since(since, limit).await
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        self.0.document(subject).await
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        self.0.put_document(document, act).await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.0.remove_document(subject, expected, act).await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        self.0.documents(kind, page).await
    }

    async fn note_uses(&self, _: &[KeyUse]) -> Result<(), Error> {
        Ok(())
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        self.0.uses(keys).await
    }
}

#[async_trait]
impl QuotaLedger for Formula {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        self.0.take(account, wanted, limit).await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        self.0.give_back(account, units).await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        self.0.taken(key).await
    }
}
