//! Owners that a system of the integrator's knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{Owner, OwnerId};
use mcp_api_keys::rights::OwnerDirectory;
use mcp_api_keys::store::{KeyFilter, MemoryStore, PageRequest};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, Error, ErrorKind, NewKey, Principal};

use crate::world::{
    NOW, SECOND, any_server, builder, everything, issue, member, of, outcome, pass, present,
};

/// A directory whose answers can be changed, held up and withheld.
#[derive(Clone, Debug, Default)]
struct Directory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    owners: Mutex<HashMap<OwnerId, Owner>>,
    good_for: Option<Duration>,
    mood: Mutex<Mood>,
    asked: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    #[default]
    Answers,
    Fails,
    Hangs,
}

impl Directory {
    fn good_for(duration: Duration) -> Self {
        Self(Arc::new(Inner {
            good_for: Some(duration),
            ..Inner::default()
        }))
    }

    fn put(&self, owner: Owner) {
        self.0
            .owners
            .lock()
            .unwrap()
            .insert(owner.id.clone(), owner);
    }

    fn remove(&self, name: &str) {
        let id: OwnerId = name.parse().unwrap();
        self.0.owners.lock().unwrap().remove(&id);
    }

    fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    async fn keys(&self, clock: &ManualClock) -> ApiKeys {
        let keys = builder(MemoryStore::new()).clock(clock.clone());
        keys.owner_directory(self.clone()).build().await.unwrap()
    }
}

#[async_trait]
impl OwnerDirectory for Directory {
    async fn owner(&self, id: &OwnerId) -> Result<Option<Owner>, Error> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.0.mood.lock().unwrap();
        match mood {
            Mood::Answers => Ok(self.0.owners.lock().unwrap().get(id).cloned()),
            Mood::Fails => Err(Error::new(ErrorKind::Unavailable, "as told")),
            Mood::Hangs => std::future::pending().await,
        }
    }

    fn good_for(&self) -> Option<Duration> {
        self.0.good_for
    }
}

/// Its answers hold until it says otherwise.
#[tokio::test]
async fn without_an_age_an_answer_holds_until_a_change_is_announced() {
    let (directory, clock) = (Directory::default(), ManualClock::at(NOW));
    directory.put(member("ada"));
    let keys = directory.keys(&clock).await;
    let gate = any_server(&keys);
    let (key, _) = issue(&keys, of("ada")).await;
    let asked = directory.asked();
    for _ in 0..100 {
        assert_eq!(outcome(&gate, &key).await, Ok(()));
    }
    assert_eq!(directory.asked(), asked + 1, "once for a hundred requests");

    let mut suspended = member("ada");
    suspended.active = false;
    directory.put(suspended);
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    keys.owner_changed(&"ada".parse().unwrap());
    assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::OwnerBarred));
}

/// Its answers hold for as long as it says, and not a moment longer.
#[tokio::test]
async fn with_an_age_an_answer_is_asked_for_again_in_time() {
    let directory = Directory::good_for(30 * SECOND);
    let clock = ManualClock::at(NOW);
    directory.put(member("ada"));
    let keys = directory.keys(&clock).await;
    let gate = any_server(&keys);
    let (key, _) = issue(&keys, of("ada")).await;
    let mail = keys.layer().server("mail").gate().clone();
    assert_eq!(outcome(&mail, &key).await, Err(RejectionKind::ServerDenied));
    directory.put(member("ada").server("mail".parse().unwrap()));
    pass(&keys, &clock, 29 * SECOND).await;
    assert_eq!(outcome(&mail, &key).await, Err(RejectionKind::ServerDenied));
    pass(&keys, &clock, SECOND).await;
    let asked = directory.asked();
    assert_eq!(outcome(&mail, &key).await, Ok(()));
    directory.remove("ada");
    for _ in 0..5 {
        assert_eq!(outcome(&gate, &key).await, Ok(()));
    }
    assert_eq!(directory.asked(), asked + 1);
    pass(&keys, &clock, 30 * SECOND).await;
    assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::OwnerBarred));
}

/// An answer that is good for no time at all serves the request that asked for it, and no other.
#[tokio::test]
async fn a_directory_that_is_asked_for_every_request_works() {
    for good_for in [Duration::ZERO, Duration::from_nanos(1)] {
        let directory = Directory::good_for(good_for);
        directory.put(member("ada"));
        let keys = builder(MemoryStore::new())
            .owner_directory(directory.clone())
            .build()
            .await
            .unwrap();
        let gate = any_server(&keys);
        let (key, _) = issue(&keys, of("ada")).await;
        let asked = directory.asked();
        for _ in 0..10 {
            assert_eq!(outcome(&gate, &key).await, Ok(()));
        }
        assert_eq!(directory.asked(), asked + 10);
        directory.remove("ada");
        assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::OwnerBarred));
    }
}

/// A directory that fails or hangs is no reason to say that a key is wrong.
#[tokio::test(start_paused = true)]
async fn a_directory_that_does_not_answer_is_a_503_and_never_a_401() {
    for mood in [Mood::Fails, Mood::Hangs] {
        let directory = Directory::good_for(30 * SECOND);
        let clock = ManualClock::at(NOW);
        directory.put(member("ada"));
        let keys = directory.keys(&clock).await;
        let gate = any_server(&keys);
        let (known, _) = issue(&keys, of("ada")).await;
        let (fresh, _) = issue(&keys, of("ada")).await;
        let (nobodys, _) = issue(&keys, everything("ci")).await;
        assert_eq!(outcome(&gate, &known).await, Ok(()));

        directory.set(mood);
        assert_eq!(outcome(&gate, &known).await, Ok(()), "it is remembered");
        for key in [&fresh, &known] {
            let begun = tokio::time::Instant::now();
            let refused = present(&gate, key).await.unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::Unavailable, "{mood:?}");
            assert!(refused.retry_after().is_some());
            assert!(begun.elapsed() <= 3 * SECOND, "{:?}", begun.elapsed());
            // Then the one that is remembered grows old.
            pass(&keys, &clock, 30 * SECOND).await;
        }
        // Others' keys have nothing to do with it.
        assert_eq!(outcome(&gate, &nobodys).await, Ok(()));

        directory.set(Mood::Answers);
        for key in [&fresh, &known] {
            assert_eq!(outcome(&gate, key).await, Ok(()), "{mood:?}");
        }
    }
}

/// Whom the directory does not know has no rights: neither do their keys, nor may they make any.
#[tokio::test]
async fn whom_the_directory_does_not_know_may_nothing() {
    let (directory, clock) = (Directory::default(), ManualClock::at(NOW));
    directory.put(member("ada"));
    directory.put(Owner::admin("root".parse().unwrap()));
    let keys = directory.keys(&clock).await;
    let manager = keys.manager();
    let refused = manager.issue(of("eve")).await.unwrap_err();
    assert_eq!(refused.field(), Some("owner"));

    let ada = "ada".parse().unwrap();
    let acting = manager.acting_as(manager.principal_of(&ada).await.unwrap());
    let laptop = acting.issue(NewKey::named("laptop")).await.unwrap();
    let laptop = laptop.info().id;
    let root = manager.principal_of(&"root".parse().unwrap()).await;
    let root = manager.acting_as(root.unwrap());
    let everything = KeyFilter::default();
    let all = root.list(&everything, PageRequest::default());
    assert_eq!(all.await.unwrap().keys.len(), 1);

    directory.remove("ada");
    let forbidden = |error: Error| assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    forbidden(manager.principal_of(&ada).await.unwrap_err());
    // Nor does it help to be a principal still.
    acting.issue(NewKey::named("laptop")).await.unwrap_err();
    let update = mcp_api_keys::KeyUpdate::new().name("mine still");
    forbidden(acting.update(laptop, update).await.unwrap_err());
    let made_up = manager.acting_as(Principal::member("eve".parse().unwrap()));
    made_up.issue(NewKey::named("k")).await.unwrap_err();
}

/// What is written to the store would change nothing, so it is not written.
#[tokio::test]
async fn owners_of_a_directory_are_not_changed_in_the_store() {
    let (directory, clock) = (Directory::default(), ManualClock::at(NOW));
    directory.put(member("ada"));
    directory.put(Owner::admin("root".parse().unwrap()));
    let keys = directory.keys(&clock).await;
    let manager = keys.manager();
    let ada = "ada".parse().unwrap();
    for error in [
        manager.put_owner(member("ada")).await.unwrap_err(),
        manager.suspend_owner(&ada).await.unwrap_err(),
        manager.resume_owner(&ada).await.unwrap_err(),
        manager.remove_owner(&ada).await.unwrap_err(),
        manager.bootstrap(ada.clone()).await.unwrap_err(),
        manager.bootstrap("eve".parse().unwrap()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    assert_eq!(manager.owner(&ada).await.unwrap(), Some(member("ada")));
    let first = manager.bootstrap("root".parse().unwrap()).await.unwrap();
    let first = first.unwrap();
    assert_eq!(
        outcome(&any_server(&keys), first.key().expose_secret()).await,
        Ok(())
    );
}
