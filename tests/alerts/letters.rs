//! Messages that were given up: every ledger keeps its contract, and what a process gave up is there when
//! it is not any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_api_keys::audit::AuditFilter;
use mcp_api_keys::key::OwnerId;
use mcp_api_keys::store::{
    AuditPage, DeadLetter, DeadLetters, KeyStore, LetterLedger, MemoryStore, PostgresStore,
    SqliteStore,
};
use mcp_api_keys::webhook::{Webhook, WebhookStats};
use mcp_api_keys::{ApiKeys, Argon2Params, Error, ErrorKind, NewKey, Principal, Timestamp};
use serde_json::json;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A letter with so many characters in its message.
fn letter(number: usize, length: usize) -> DeadLetter {
    DeadLetter {
        id: format!("ltr_{number}"),
        event: json!({ "type": "key.created", "data": { "text": "\u{fc}".repeat(length / 2) } }),
        attempts: 6,
        reason: "status 503".to_owned(),
        at: Timestamp::from_millis(1_785_232_800_123 + i64::try_from(number).unwrap()),
    }
}

fn numbers(kept: &DeadLetters) -> Vec<&str> {
    let ids = kept.letters.iter().map(|letter| &letter.id["ltr_".len()..]);
    ids.collect()
}

async fn keeps_the_contract(ledger: &impl LetterLedger) {
    assert_eq!(ledger.letters(10).await.unwrap(), DeadLetters::default());
    ledger.keep(&[]).await.unwrap();
    let mut odd = letter(1, 0);
    odd.event = json!({ "type": "\u{0}\u{1f511}", "data": null });
    ledger.keep(&[letter(0, 10), odd.clone()]).await.unwrap();
    // Once more, after an answer that got lost, and one that is new.
    let again = [letter(0, 10), odd.clone(), letter(2, 10)];
    ledger.keep(&again).await.unwrap();
    let kept = ledger.letters(10).await.unwrap();
    assert_eq!(kept.letters, [letter(2, 10), odd, letter(0, 10)]);
    assert_eq!((kept.held, kept.dropped), (3, 0));
    let two = ledger.letters(2).await.unwrap();
    assert_eq!((numbers(&two), two.held), (vec!["2", "1"], 3));
    let none = ledger.letters(0).await.unwrap();
    assert_eq!((none.letters.len(), none.held), (0, 3));

    // Too many: the oldest go, and are counted.
    for start in (3..1_003).step_by(100) {
        let batch: Vec<_> = (start..start + 100)
            .map(|number| letter(number, 10))
            .collect();
        ledger.keep(&batch).await.unwrap();
    }
    let kept = ledger.letters(2_000).await.unwrap();
    assert_eq!(
        (kept.letters.len(), kept.held, kept.dropped),
        (1_000, 1_000, 3)
    );
    assert_eq!(
        (&*kept.letters[0].id, &*kept.letters[999].id),
        ("ltr_1002", "ltr_3")
    );

    // Too large together.
    let large = DeadLetters::MOST_BYTES / 3;
    for number in 2_000..2_003 {
        ledger.keep(&[letter(number, large)]).await.unwrap();
    }
    let kept = ledger.letters(10).await.unwrap();
    assert_eq!(
        (numbers(&kept), kept.dropped),
        (vec!["2002", "2001"], 1_004)
    );
    // The last one is there, however large it is.
    let huge = letter(3_000, 2 * DeadLetters::MOST_BYTES);
    ledger.keep(&[huge.clone()]).await.unwrap();
    let kept = ledger.letters(10).await.unwrap();
    assert_eq!((&kept.letters[..], kept.dropped), (&[huge][..], 1_006));
    ledger.keep(&[letter(3_001, 10)]).await.unwrap();
    let kept = ledger.letters(10).await.unwrap();
    assert_eq!(
        (numbers(&kept), kept.held, kept.dropped),
        (vec!["3001"], 1, 1_007)
    );
}

/// Two that share a database number their letters together.
async fn is_shared(one: &impl LetterLedger, two: &impl LetterLedger) {
    let many = |start: usize| (start..start + 30).map(|number| letter(number, 10));
    let keep = async |ledger: &dyn LetterLedger, start| {
        for letter in many(start) {
            ledger.keep(&[letter]).await.unwrap();
        }
    };
    tokio::join!(keep(one, 10_000), keep(two, 20_000));
    let (seen_by_one, seen_by_two) = (one.letters(60).await, two.letters(60).await);
    let kept = seen_by_one.unwrap();
    assert_eq!(kept, seen_by_two.unwrap());
    for start in [10_000, 20_000] {
        for letter in many(start) {
            assert!(kept.letters.contains(&letter), "{}", letter.id);
        }
    }
}

#[tokio::test]
async fn memory() {
    let store = MemoryStore::new();
    keeps_the_contract(&store).await;
    is_shared(&store, &store.clone()).await;
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let open = async || SqliteStore::connect(&url).await.unwrap();
    let store = open().await;
    keeps_the_contract(&store).await;
    is_shared(&store, &open().await).await;
    survives(open).await;
}

#[tokio::test]
async fn postgres() {
    let Some(schema) = crate::backends::schema().await else {
        return;
    };
    let open = async || PostgresStore::connect(&schema.url).await.unwrap();
    let store = open().await;
    keeps_the_contract(&store).await;
    is_shared(&store, &open().await).await;
    survives(open).await;
}

/// A webhook to where nobody listens.
fn in_vain() -> Webhook {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks-hidden", listener.local_addr().unwrap());
    let hook = Webhook::new(&url, SECRET.parse().unwrap()).unwrap();
    hook.attempts(1)
}

async fn keys(store: impl KeyStore, ledger: impl LetterLedger, hook: Option<Webhook>) -> ApiKeys {
    let builder = ApiKeys::builder(store)
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .letter_ledger(ledger);
    let builder = match hook {
        Some(hook) => builder.webhook(hook),
        None => builder,
    };
    builder.build().await.unwrap()
}

async fn until(keys: &ApiKeys, holds: impl Fn(&WebhookStats) -> bool) -> WebhookStats {
    for _ in 0..400 {
        let stats = keys.webhook_stats()[0];
        if holds(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{:?}", keys.webhook_stats());
}

/// What a process gave up is seen by another one beside it, and by the next one.
async fn survives<S>(open: impl AsyncFn() -> S)
where
    S: KeyStore + LetterLedger + Clone,
{
    let store = open().await;
    let before = store.letters(1_000).await.unwrap();
    let posting = keys(store.clone(), store.clone(), Some(in_vain())).await;
    let issued = posting.manager().issue(NewKey::named("a")).await.unwrap();
    until(&posting, |stats| stats.dead == 1).await;
    posting.flush().await.unwrap();
    let other = open().await;
    let beside = keys(other.clone(), other, None).await;
    let told = beside.manager().dead_letters(1).await.unwrap();
    assert_eq!(told.held, before.held + 1);
    let letter = &told.letters[0];
    assert_eq!(letter.event["type"], "key.created");
    assert_eq!(letter.event["data"]["key"], issued.info().id.to_string());
    assert_eq!(letter.attempts, 1);
    assert_eq!(told, posting.manager().dead_letters(1).await.unwrap());
    // A letter is no act, and no change to be followed.
    let revision = store.revision().await.unwrap();
    assert_eq!(revision, issued.info().revision);
    let trail = store
        .audit(&AuditFilter::default(), AuditPage::newest(1))
        .await;
    assert_eq!(trail.unwrap()[0].subject, issued.info().id.into());

    drop((posting, beside, store));
    let store = open().await;
    let next = keys(store.clone(), store, None).await;
    assert_eq!(next.manager().dead_letters(1).await.unwrap(), told);
    let told = format!("{told:?}");
    for secret in [SECRET, "MfKQ9r8G", "hooks-hidden"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn members_are_not_told() {
    let keys = keys(MemoryStore::new(), MemoryStore::new(), None).await;
    let ada: OwnerId = "ada".parse().unwrap();
    let ada = keys.manager().acting_as(Principal::member(ada));
    let refused = ada.dead_letters(10).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}

/// A ledger that is away, or forgets to answer.
#[derive(Clone, Debug, Default)]
struct Away {
    inner: MemoryStore,
    is_away: Arc<AtomicBool>,
    loses_answers: Arc<AtomicBool>,
}

#[async_trait]
impl LetterLedger for Away {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let away = || Error::new(ErrorKind::Unavailable, "the ledger is away");
        if self.is_away.load(Ordering::SeqCst) {
            return Err(away());
        }
        self.inner.keep(letters).await?;
        match self.loses_answers.load(Ordering::SeqCst) {
            true => Err(away()),
            false => Ok(()),
        }
    }

    async fn letters(&self, most: usize) -> Result<DeadLetters, Error> {
        self.inner.letters(most).await
    }
}

#[tokio::test]
async fn what_the_ledger_does_not_take_is_held_and_tried_again() {
    let ledger = Away::default();
    ledger.is_away.store(true, Ordering::SeqCst);
    let keys = keys(MemoryStore::new(), ledger.clone(), Some(in_vain())).await;
    for _ in 0..3 {
        let _ = keys.manager().issue(NewKey::named("a")).await.unwrap();
    }
    until(&keys, |stats| stats.dead == 3).await;
    assert_eq!(
        keys.flush().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(keys.manager().dead_letters(10).await.unwrap().held, 0);
    // It takes them, and the answer is lost: nothing is listed twice.
    ledger.is_away.store(false, Ordering::SeqCst);
    ledger.loses_answers.store(true, Ordering::SeqCst);
    assert!(keys.flush().await.is_err());
    ledger.loses_answers.store(false, Ordering::SeqCst);
    keys.flush().await.unwrap();
    let kept = keys.manager().dead_letters(10).await.unwrap();
    assert_eq!((kept.held, kept.dropped), (3, 0));
    assert_eq!(keys.webhook_stats()[0].unlisted, 0);
}

#[tokio::test]
async fn what_is_held_for_a_ledger_is_bounded_and_what_goes_is_counted() {
    let ledger = Away::default();
    ledger.is_away.store(true, Ordering::SeqCst);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let hook = Webhook::new(&url, SECRET.parse().unwrap()).unwrap();
    let hook = hook.timeout(Duration::from_secs(60)).queue(1);
    let keys = keys(MemoryStore::new(), ledger.clone(), Some(hook)).await;
    let id = keys
        .manager()
        .issue(NewKey::named("a"))
        .await
        .unwrap()
        .info()
        .id;
    for _ in 0..510 {
        keys.manager().disable(id).await.unwrap();
        keys.manager().enable(id).await.unwrap();
    }
    let stats = until(&keys, |stats| stats.dead == 1_020).await;
    assert_eq!((stats.unlisted, stats.missed), (20, 0));
    ledger.is_away.store(false, Ordering::SeqCst);
    keys.flush().await.unwrap();
    let kept = keys.manager().dead_letters(1_000).await.unwrap();
    assert_eq!((kept.held, kept.dropped), (1_000, 0));
    assert_eq!(kept.letters[0].event["type"], "key.enabled");
}
