//! Documents: the definitions of owners and plans, registered programs, authorization codes.

use serde_json::json;

use super::{conflicts, fails_with, insert, ok};
use crate::audit::{Act, AuditAction, AuditFilter};
use crate::error::ErrorKind;
use crate::key::{Connection, KeyStatus, Revision, Subject, SubjectKind};
use crate::store::{AuditPage, Change, ChangeLog, Document, DocumentPage, KeyStore};
use crate::testing::act;
use crate::testing::records::{NOON, record};

fn subject(text: &str) -> Subject {
    text.parse().expect("a valid subject")
}

fn document(text: &str, number: u64) -> Document {
    Document {
        subject: subject(text),
        body: json!({"number": number, "text": "größer\u{1f511}", "none": null}),
        revision: Revision::default(),
    }
}

async fn put(store: &dyn KeyStore, document: &mut Document) {
    document.revision = ok(store.put_document(document, &act()).await);
}

/// A definition comes back as it was written, under the next revision of the one counter, with a
/// change in the log and an entry in the trail.
pub async fn keeps_definitions_under_the_same_revisions(store: &dyn KeyStore) {
    assert_eq!(ok(store.document(&subject("owner:ada")).await), None);
    insert(store, &mut record(1)).await;
    let mut ada = document("owner:ada: the first", 1);
    put(store, &mut ada).await;
    assert_eq!(ada.revision, Revision::new(2));
    let defined = Act::new(AuditAction::Defined, "root", NOON);
    ada.body = json!({"number": 2});
    ada.revision = ok(store.put_document(&ada, &defined).await);
    assert_eq!(ok(store.document(&ada.subject).await).as_ref(), Some(&ada));
    let gone = ok(store
        .remove_document(&ada.subject, ada.revision, &act())
        .await);
    assert_eq!(gone, Revision::new(4));
    assert_eq!(ok(store.document(&ada.subject).await), None);

    let changes = (2..=4).map(|revision| Change {
        revision: Revision::new(revision),
        subject: ada.subject.clone(),
        stamp: 0,
    });
    assert_eq!(
        super::changes(store, 1, 10).await,
        ChangeLog::Changes(changes.collect())
    );
    let filter = AuditFilter {
        subject: Some(ada.subject.clone()),
        ..AuditFilter::default()
    };
    let trail = ok(store.audit(&filter, AuditPage::newest(10)).await);
    assert_eq!(trail.len(), 3);
    assert_eq!(trail[1].action, AuditAction::Defined);
}

/// Who has read an older state, or none, is told; nothing is changed then.
pub async fn replaces_only_the_expected_definition(store: &dyn KeyStore) {
    let mut free = document("plan:free", 1);
    fails_with(
        ErrorKind::NotFound,
        store
            .remove_document(&free.subject, Revision::default(), &act())
            .await,
    );
    put(store, &mut free).await;
    let mut stale = document("plan:free", 2);
    conflicts(store.put_document(&stale, &act()).await);
    stale.revision = Revision::new(9);
    conflicts(store.put_document(&stale, &act()).await);
    conflicts(
        store
            .remove_document(&free.subject, stale.revision, &act())
            .await,
    );
    let unknown = Document {
        subject: subject("plan:other"),
        ..stale
    };
    fails_with(
        ErrorKind::NotFound,
        store.put_document(&unknown, &act()).await,
    );
    assert_eq!(ok(store.document(&free.subject).await), Some(free));
    assert_eq!(ok(store.revision().await), Revision::new(1));
}

/// Lists hold one kind, in the order of names, in pages of any size.
pub async fn lists_definitions_of_a_kind_in_pages(store: &dyn KeyStore) {
    let names = ["ada", "Bob", "zoë", "ada:2", "%", "b"];
    for (number, name) in (0..).zip(names) {
        put(store, &mut document(&format!("owner:{name}"), number)).await;
    }
    put(store, &mut document("plan:free", 0)).await;
    let sorted = ["%", "Bob", "ada", "ada:2", "b", "zoë"];
    for size in 1..=7 {
        let mut page = DocumentPage::first(size);
        let mut seen = Vec::new();
        loop {
            let found = ok(store.documents(SubjectKind::Owner, &page).await);
            let names = found.iter().map(|document| {
                let text = document.subject.to_string();
                text.trim_start_matches("owner:").to_owned()
            });
            seen.extend(names);
            if found.len() < size {
                break;
            }
            page.after = seen.last().cloned();
        }
        assert_eq!(seen, sorted, "pages of {size}");
    }
    let whole = DocumentPage::first(10);
    assert_eq!(
        ok(store.documents(SubjectKind::Plan, &whole).await).len(),
        1
    );
    assert_eq!(ok(store.documents(SubjectKind::Key, &whole).await), []);
}

/// Documents that no key depends on are kept as the others are, each kind by itself, and go whatever
/// keys there are.
pub async fn keeps_documents_of_every_kind_apart(store: &dyn KeyStore) {
    let client = "client:https://client.example/ö?a=owner:b";
    let codes = [1, 2].map(|digit: u8| format!("code:{}", digit.to_string().repeat(76)));
    let texts = [client, &codes[1], "owner:code:1", "plan:code", &codes[0]];
    let mut documents = Vec::new();
    for (number, text) in (0..).zip(texts) {
        let mut written = document(text, number);
        put(store, &mut written).await;
        documents.push(written);
    }
    for written in &documents {
        let found = ok(store.document(&written.subject).await);
        assert_eq!(found.as_ref(), Some(written));
    }
    for (kind, names) in [
        (SubjectKind::Client, &[client][..]),
        (SubjectKind::Code, &[&codes[0], &codes[1]]),
        (SubjectKind::Owner, &["owner:code:1"]),
        (SubjectKind::Plan, &["plan:code"]),
    ] {
        for size in [1, 10] {
            let page = DocumentPage::first(size);
            let found = ok(store.documents(kind, &page).await);
            let found: Vec<_> = found.iter().map(|one| one.subject.to_string()).collect();
            assert_eq!(found, names[..size.min(names.len())]);
        }
    }
    let page = DocumentPage {
        after: codes[0].strip_prefix("code:").map(str::to_owned),
        size: 10,
    };
    let rest = ok(store.documents(SubjectKind::Code, &page).await);
    assert_eq!(rest.len(), 1);

    // Names of owners, plans and programs have nothing to do with each other.
    let mut key = record(1);
    key.owner = "https://client.example/ö?a=owner:b".parse().ok();
    key.connection = "https://client.example/ö?a=owner:b"
        .parse()
        .ok()
        .map(Connection::new);
    insert(store, &mut key).await;
    for written in [&documents[0], &documents[1]] {
        ok(store
            .remove_document(&written.subject, written.revision, &act())
            .await);
        assert_eq!(ok(store.document(&written.subject).await), None);
    }
    let page = DocumentPage::first(10);
    let clients = ok(store.documents(SubjectKind::Client, &page).await);
    assert_eq!(clients, []);
}

/// What a key names stays, until the key is revoked or names something else.
pub async fn removes_no_definition_that_a_key_names(store: &dyn KeyStore) {
    let mut owner = document("owner:ada", 1);
    let mut plan = document("plan:free", 1);
    put(store, &mut owner).await;
    put(store, &mut plan).await;
    let mut key = record(1);
    key.owner = "ada".parse().ok();
    key.plan = "free".parse().ok();
    insert(store, &mut key).await;
    for named in [&owner, &plan] {
        conflicts(
            store
                .remove_document(&named.subject, named.revision, &act())
                .await,
        );
    }
    key.plan = None;
    super::replace(store, &mut key).await;
    ok(store
        .remove_document(&plan.subject, plan.revision, &act())
        .await);
    key.status = KeyStatus::Revoked {
        at: NOON,
        reason: None,
    };
    super::replace(store, &mut key).await;
    ok(store
        .remove_document(&owner.subject, owner.revision, &act())
        .await);
}
