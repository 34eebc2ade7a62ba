//! What every [`KeyStore`] promises, as tests.
//!
//! One function for each promise; each wants a store that is empty. [`run_all`] calls them all:
//!
//! ```
//! use mcp_api_keys::store::MemoryStore;
//! use mcp_api_keys::testing::store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! store::run_all(|| async { MemoryStore::new() }).await;
//! # }
//! ```

mod documents;
mod keys;
mod lists;
mod log;
mod together;
mod trail;
mod usage;

use std::sync::Arc;

pub use self::documents::*;
pub use self::keys::*;
pub use self::lists::*;
pub use self::log::*;
pub use self::together::*;
pub use self::trail::*;
pub use self::usage::*;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision};
use crate::store::{Change, ChangeLog, KeyFilter, KeyStore, PageRequest, QuotaAccount};
use crate::testing::act;

/// Checks every promise, each on a fresh store.
///
/// # Panics
///
/// If a promise is broken.
pub async fn run_all<S, F>(mut empty_store: impl FnMut() -> F)
where
    S: KeyStore,
    F: Future<Output = S>,
{
    macro_rules! check {
        (alone: $($promise:ident)+; together: $($shared:ident)+;) => {
            $($promise(&empty_store().await).await;)+
            $($shared(Arc::new(empty_store().await)).await;)+
        };
    }
    check! {
        alone:
            begins_empty
            inserts_and_reads_back_every_field
            keeps_unusual_texts
            refuses_a_taken_id
            refuses_a_taken_handle_and_changes_nothing
            finds_handles_exactly
            keeps_a_handle_that_one_key_has_twice
            replaces_only_the_expected_revision
            amends_without_a_revision
            follows_a_rotation
            deletes_for_good_and_frees_the_names
            logs_every_write_without_gaps
            takes_no_revision_for_a_failed_write
            reads_changes_in_order_and_in_batches
            says_that_a_revision_is_out_of_reach
            keeps_one_entry_of_the_trail_for_each_write
            reads_the_trail_newest_first_and_filtered
            lists_in_pages_without_gaps_or_repeats
            filters_as_the_filter_says
            keeps_definitions_under_the_same_revisions
            replaces_only_the_expected_definition
            lists_definitions_of_a_kind_in_pages
            removes_no_definition_that_a_key_names
            keeps_documents_of_every_kind_apart
            notes_the_latest_use_of_each_secret
            forgets_the_uses_and_quotas_of_a_deleted_key
            counts_a_quota_by_its_period
            takes_no_revision_for_use;
        together:
            lets_one_of_many_replaces_win
            lets_one_of_many_writes_of_a_document_win
            lets_one_of_many_inserts_win
            commits_in_the_order_of_revisions
            never_gives_more_of_a_quota_than_there_is
            leaves_an_abandoned_write_whole_or_absent;
    }
}

fn account(key: KeyId, quota: &str, period: Timestamp) -> QuotaAccount {
    QuotaAccount {
        key,
        quota: quota.to_owned(),
        period,
    }
}

async fn insert(store: &dyn KeyStore, key: &mut KeyRecord) {
    key.revision = ok(store.insert(key, &act()).await);
}

async fn replace(store: &dyn KeyStore, key: &mut KeyRecord) {
    key.revision = ok(store.replace(key, key.revision, &act()).await);
}

async fn all(store: &dyn KeyStore) -> Vec<KeyRecord> {
    ok(store
        .list(&KeyFilter::all(), PageRequest::first(1_000))
        .await)
    .records
}

/// The log without the stamps, which nobody can foretell.
async fn changes(store: &dyn KeyStore, since: u64, limit: usize) -> ChangeLog {
    let mut log = ok(store.changes_since(Revision::new(since), limit).await);
    if let ChangeLog::Changes(changes) = &mut log {
        changes.iter_mut().for_each(|change| change.stamp = 0);
    }
    log
}

fn log_of(first: u64, keys: &[KeyId]) -> ChangeLog {
    let revisions = (first..).map(Revision::new);
    let changes = revisions.zip(keys).map(|(revision, key)| Change {
        revision,
        subject: (*key).into(),
        stamp: 0,
    });
    ChangeLog::Changes(changes.collect())
}

#[track_caller]
fn ok<T>(result: Result<T, Error>) -> T {
    result.expect("the store answers")
}

#[track_caller]
fn conflicts<T>(result: Result<T, Error>) {
    fails_with(ErrorKind::Conflict, result);
}

#[track_caller]
fn fails_with<T>(kind: ErrorKind, result: Result<T, Error>) {
    assert_eq!(result.map(drop).map_err(|error| error.kind()), Err(kind));
}
