//! Acts on the keys of a store that is about to be killed, what was said of them, and whether that holds
//! afterwards.
//!
//! 1. What was acknowledged is there: in the key's record, in the trail, and at the gate.
//! 2. What was under way is there as a whole or not at all. The trail decides which, and record and
//!    gate must agree with it.
//! 3. The trail holds nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::audit::{AuditAction, AuditEntry, AuditFilter};
use mcp_api_keys::key::{KeyId, KeyStatus, Revision};
use mcp_api_keys::store::{AuditPage, KeyFilter, PageRequest};
use mcp_api_keys::testing::records::Dice;
use mcp_api_keys::{ApiKeys, Error, ErrorKind, Grace, KeyFormat, NewKey};
use serde::{Deserialize, Serialize};

use crate::world::Guarded;

/// Longer than any round lasts: no window ends while its key is looked at.
const WINDOW: Duration = Duration::from_secs(3_600);

/// What is said of an act before it begins, and when the manager has answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    Ready,
    Begins {
        task: u64,
        act: Act,
    },
    Done {
        task: u64,
        key: Option<(KeyId, String)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// The name is used once only.
    Issue(String),
    Rotate(KeyId),
    RotateWithGrace(KeyId),
    Revoke(KeyId),
    Delete(KeyId),
}

impl Act {
    pub(crate) fn action(&self) -> AuditAction {
        match self {
            Self::Issue(_) => AuditAction::Issued,
            Self::Rotate(_) | Self::RotateWithGrace(_) => AuditAction::Rotated,
            Self::Revoke(_) => AuditAction::Revoked,
            Self::Delete(_) => AuditAction::Deleted,
        }
    }
}

/// Keys that a task changes alone, and whether they were revoked.
pub(crate) type Held = Vec<(KeyId, bool)>;

/// The keys of the store, dealt to so many tasks.
pub(crate) async fn deal(keys: &ApiKeys, tasks: u64) -> Vec<Held> {
    let page = PageRequest::first(1_000);
    let found = keys.manager().list(&KeyFilter::all(), page).await.unwrap();
    let mut shares = vec![Vec::new(); tasks as usize];
    for (at, info) in found.keys.iter().enumerate() {
        let revoked = matches!(info.status, KeyStatus::Revoked { .. });
        shares[at % tasks as usize].push((info.id, revoked));
    }
    shares
}

/// The id and the text of the key that came of it, if one did.
pub(crate) async fn carry_out(
    keys: &ApiKeys,
    act: &Act,
    held: &mut Held,
) -> Result<Option<(KeyId, String)>, Error> {
    let manager = keys.manager();
    let issued = match act {
        Act::Issue(name) => {
            let new = NewKey::named(name).all_servers();
            Some(manager.issue(new).await?)
        }
        Act::Rotate(id) => Some(manager.rotate(*id).await?),
        Act::RotateWithGrace(id) => Some(manager.rotate_with(*id, Grace::For(WINDOW)).await?),
        Act::Revoke(id) => {
            manager.revoke(*id, Some("a reason")).await?;
            None
        }
        Act::Delete(id) => {
            assert!(manager.delete(*id).await?);
            None
        }
    };
    let key = issued.map(|key| (key.info().id, key.key().expose_secret().to_owned()));
    match (act, &key) {
        (Act::Issue(_), Some((id, _))) => held.push((*id, false)),
        (Act::Revoke(id), _) => held.iter_mut().for_each(|key| key.1 |= key.0 == *id),
        (Act::Delete(id), _) => held.retain(|key| key.0 != *id),
        _ => {}
    }
    Ok(key)
}

pub(crate) fn next_act(task: u64, number: u64, held: &[(KeyId, bool)], dice: &mut Dice) -> Act {
    const PLENTY: usize = 12;
    let issue = || Act::Issue(format!("{}-{task}-{number}", std::process::id()));
    if held.is_empty() {
        return issue();
    }
    let (id, revoked) = dice.pick(held);
    match dice.roll(10) {
        _ if held.len() >= PLENTY => Act::Delete(id),
        0..=2 => issue(),
        9 => Act::Delete(id),
        _ if revoked => issue(),
        3..=4 => Act::Rotate(id),
        5..=6 => Act::RotateWithGrace(id),
        _ => Act::Revoke(id),
    }
}

/// What is known of a key.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Nothing, if the process was killed before it could say it.
    newest: Option<String>,
    /// The one in its window.
    older: Option<String>,
    /// Refused from now on.
    ended: Vec<String>,
    in_window: bool,
    revoked: bool,
    pub(crate) deleted: bool,
}

impl Known {
    fn apply(&mut self, act: &Act, key: Option<String>) {
        match act {
            Act::Issue(_) => self.newest = key,
            Act::Rotate(_) | Act::RotateWithGrace(_) => {
                self.in_window = matches!(act, Act::RotateWithGrace(_));
                self.ended.extend(self.older.take());
                let old = std::mem::replace(&mut self.newest, key);
                if self.in_window {
                    self.older = old;
                } else {
                    self.ended.extend(old);
                }
            }
            Act::Revoke(_) => self.revoked = true,
            Act::Delete(_) => self.deleted = true,
        }
    }
}

/// What is known of the store.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<KeyId, Known>,
    read_to: Revision,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: BTreeMap<&'static str, usize>,
    pub(crate) written: usize,
    pub(crate) unwritten: usize,
}

impl Model {
    fn apply(&mut self, act: &Act, key: Option<(KeyId, String)>) -> KeyId {
        let (id, text) = match (act, key) {
            (Act::Issue(_), Some((id, text))) => (id, Some(text)),
            (Act::Issue(_), None) => panic!("an issued key has a text"),
            (Act::Rotate(id) | Act::RotateWithGrace(id), key) => {
                assert_eq!(key.as_ref().map(|key| key.0), Some(*id));
                (*id, key.map(|key| key.1))
            }
            (Act::Revoke(id) | Act::Delete(id), _) => (*id, None),
        };
        self.keys.entry(id).or_default().apply(act, text);
        id
    }

    /// Takes in what was said and what the trail tells of the acts under way, and holds one against
    /// the other.
    pub(crate) fn settle(&mut self, said: Vec<Said>, trail: &[AuditEntry], figures: &mut Figures) {
        let mut under_way = BTreeMap::new();
        let mut expected: BTreeMap<KeyId, Vec<AuditAction>> = BTreeMap::new();
        for said in said {
            match said {
                Said::Ready => {}
                Said::Begins { task, act } => assert_eq!(under_way.insert(task, act), None),
                Said::Done { task, key } => {
                    let act = under_way.remove(&task).unwrap();
                    let id = self.apply(&act, key);
                    expected.entry(id).or_default().push(act.action());
                    *figures
                        .acknowledged
                        .entry(act.action().as_str())
                        .or_default() += 1;
                }
            }
        }
        let mut found: BTreeMap<KeyId, Vec<AuditAction>> = BTreeMap::new();
        for entry in trail {
            found
                .entry(entry.subject.key().unwrap())
                .or_default()
                .push(entry.action);
        }
        for act in under_way.into_values() {
            let id = match &act {
                Act::Issue(name) => trail
                    .iter()
                    .find(|entry| named(entry, name))
                    .and_then(|e| e.subject.key()),
                Act::Rotate(id) | Act::RotateWithGrace(id) => Some(*id),
                Act::Revoke(id) | Act::Delete(id) => Some(*id),
            };
            let before = id.and_then(|id| expected.get(&id)).map_or(0, Vec::len);
            match id.filter(|id| found.get(id).map_or(0, Vec::len) > before) {
                None => figures.unwritten += 1,
                Some(id) => {
                    figures.written += 1;
                    self.keys.entry(id).or_default().apply(&act, None);
                    expected.entry(id).or_default().push(act.action());
                }
            }
        }
        assert_eq!(found, expected, "the trail and what was acknowledged");
    }

    /// Holds what is known of the keys against their records and the gate.
    pub(crate) async fn check(&self, keys: &ApiKeys) {
        let guarded = Guarded::new(keys.layer());
        for (id, known) in &self.keys {
            match keys.manager().get(*id).await {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{id}");
                    assert!(known.deleted, "{id} is gone: {known:?}");
                }
                Ok(info) => {
                    assert!(!known.deleted, "{id} is back");
                    let revoked = matches!(info.status, KeyStatus::Revoked { .. });
                    assert_eq!(revoked, known.revoked, "{id}");
                    let older = info.previous.as_ref().map(|old| old.handle.as_str());
                    assert_eq!(older.is_some(), known.in_window, "{id}");
                    assert!(
                        known
                            .older
                            .as_ref()
                            .is_none_or(|key| older == Some(handle(key)))
                    );
                    let newest = info.handle.as_str();
                    match &known.newest {
                        Some(key) => assert_eq!(newest, handle(key), "{id}"),
                        None => {
                            let mut others = known.ended.iter().chain(&known.older);
                            assert!(others.all(|key| newest != handle(key)), "{id}");
                        }
                    }
                }
            }
            let in_force = known.newest.iter().chain(&known.older);
            let expected = if known.revoked || known.deleted {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::OK
            };
            for key in in_force {
                let status = guarded.send(key).await.status();
                assert_eq!(status, expected, "{id}: {known:?}");
            }
            for key in &known.ended {
                let status = guarded.send(key).await.status();
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{id}: {known:?}");
            }
        }
        let page = PageRequest::first(1_000);
        let found = keys.manager().list(&KeyFilter::all(), page).await.unwrap();
        let known = self.keys.values().filter(|known| !known.deleted).count();
        assert_eq!(found.keys.len(), known, "keys that nobody was told of");
    }

    /// The entries since the last round, oldest first.
    pub(crate) async fn trail(&mut self, keys: &ApiKeys) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        let mut page = AuditPage::newest(500);
        loop {
            let filter = AuditFilter::default();
            let more = keys.manager().audit(&filter, page).await.unwrap();
            let Some(last) = more.last() else { break };
            page = page.before(last.revision);
            let known = more.partition_point(|entry| entry.revision > self.read_to);
            let is_all = known < more.len();
            entries.extend(more.into_iter().take(known));
            if is_all {
                break;
            }
        }
        entries.reverse();
        if let Some(last) = entries.last() {
            self.read_to = last.revision;
        }
        entries
    }
}

fn named(entry: &AuditEntry, name: &str) -> bool {
    let after = entry.after.as_ref();
    after.is_some_and(|key| key["name"] == *name) && entry.action == AuditAction::Issued
}

fn handle(key: &str) -> &str {
    KeyFormat::default().parse(key.as_bytes()).unwrap().handle()
}
