//! C2 and the first admin: keys that are there before anybody asks.

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{KeyId, Owner, Role, Servers};
use mcp_api_keys::store::{KeyFilter, PageRequest};
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{ApiKeys, Error, ErrorKind, IssuedKey};

use crate::world::{Database, any_server, faulty, in_database, member, node, outcome};

/// Runs `make` thirty-two times at once on two stores of one database, and returns the one key.
async fn race<F>(database: &Database, make: impl Fn(ApiKeys, usize) -> F) -> (ApiKeys, IssuedKey)
where
    F: Future<Output = Result<Option<IssuedKey>, Error>> + Send + 'static,
{
    let nodes = [node(database).await, node(database).await];
    let making: Vec<_> = (0..32)
        .map(|number| tokio::spawn(make(nodes[number % 2].clone(), number)))
        .collect();
    let mut made = Vec::new();
    for outcome in making {
        made.extend(outcome.await.unwrap().unwrap());
    }
    assert_eq!(made.len(), 1);
    let [here, _] = nodes;
    (here, made.remove(0))
}

async fn all(keys: &ApiKeys) -> Vec<KeyId> {
    let everything = KeyFilter::all();
    let page = keys.manager().list(&everything, PageRequest::default());
    page.await.unwrap().keys.iter().map(|key| key.id).collect()
}

/// C2: a default key for each server, shown to one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_of_many_that_start_at_once_one_makes_the_default_key() {
    let database = Database::new().await;
    let (keys, issued) = race(&database, |keys, _| async move {
        keys.manager().ensure_default_key("files").await
    })
    .await;
    assert_eq!(all(&keys).await, [issued.info().id]);
    let files = keys.layer().server("files");
    let files = files.require_scope("files:write").unwrap();
    let key = issued.key().expose_secret();
    let gate = files.require_full_access().gate().clone();
    assert_eq!(outcome(&gate, key).await, Ok(()));
    let mail = keys.layer().server("mail").gate().clone();
    // What one gate has found out about the key is nothing to the other.
    for _ in 0..3 {
        assert_eq!(outcome(&mail, key).await, Err(RejectionKind::ServerDenied));
        assert_eq!(outcome(&gate, key).await, Ok(()));
    }
    // Each server has one of its own.
    let mail = keys.manager().ensure_default_key("mail").await.unwrap();
    assert!(mail.is_some());
    assert_eq!(all(&keys).await.len(), 2);
}

#[tokio::test]
async fn c2_a_default_key_that_is_revoked_stays_so_and_one_that_is_deleted_is_made_anew() {
    for keys in [in_database().await, faulty().await.0] {
        let manager = keys.manager();
        let gate = any_server(&keys);
        let first = manager.ensure_default_key("files").await.unwrap().unwrap();
        let id = first.info().id;
        let first = first.key().expose_secret();
        assert_eq!(outcome(&gate, first).await, Ok(()));
        manager.revoke(id, Some("leaked")).await.unwrap();
        assert!(manager.ensure_default_key("files").await.unwrap().is_none());
        assert_eq!(outcome(&gate, first).await, Err(RejectionKind::Revoked));

        assert!(manager.delete(id).await.unwrap());
        let second = manager.ensure_default_key("files").await.unwrap().unwrap();
        assert_eq!(second.info().id, id, "it is the one of this server");
        let second = second.key().expose_secret();
        // The new one works at once, on this node as well, and the old one does not come back.
        assert_eq!(outcome(&gate, second).await, Ok(()));
        outcome(&gate, first).await.unwrap_err();
        assert!(manager.delete(id).await.unwrap());
        outcome(&gate, second).await.unwrap_err();
    }
}

#[tokio::test]
async fn c2_a_default_key_needs_a_valid_server() {
    let keys = in_database().await;
    for name in ["", "a b", "\u{1f511}\u{0}"] {
        let refused = keys.manager().ensure_default_key(name).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.field()),
            (ErrorKind::InvalidInput, Some("servers")),
            "{name:?}"
        );
    }
    assert!(all(&keys).await.is_empty());
}

/// The answer to the one write is lost: the key would be nobody's.
#[tokio::test]
async fn a_first_key_whose_answer_was_lost_is_shown_all_the_same() {
    let (keys, faults, _) = faulty().await;
    faults.nth_call_of(Call::Insert, 1, Fault::Lose);
    let issued = keys.manager().ensure_default_key("files").await.unwrap();
    let issued = issued.expect("it was stored, and nobody else has it");
    let gate = any_server(&keys);
    assert_eq!(outcome(&gate, issued.key().expose_secret()).await, Ok(()));
    let again = keys.manager().ensure_default_key("files").await.unwrap();
    assert!(again.is_none());

    // If it was not stored, it is an error, and made the next time.
    faults.nth_call_of(Call::Insert, 1, Fault::Fail);
    let error = keys.manager().ensure_default_key("mail").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let made = keys.manager().ensure_default_key("mail").await.unwrap();
    assert!(made.is_some());
}

/// The first admin: one, whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_start_at_once_one_makes_the_first_admin() {
    for several_names in [false, true] {
        let database = Database::new().await;
        let (keys, issued) = race(&database, |keys, number| async move {
            let name = if several_names { number % 4 } else { 0 };
            let owner = format!("admin-{name}").parse().unwrap();
            keys.manager().bootstrap(owner).await
        })
        .await;
        assert_eq!(all(&keys).await, [issued.info().id]);
        let page = mcp_api_keys::store::DocumentPage::first(10);
        let owners = keys.manager().owners(&page).await.unwrap();
        assert_eq!(owners.len(), 1, "who has no key is no admin");
        assert_eq!(owners[0].role, Role::Admin);
        assert_eq!(Some(&owners[0].id), issued.info().owner.as_ref());

        let gate = keys.layer().server("anything").require_full_access();
        let gate = gate.require_scope("any:thing").unwrap().gate().clone();
        assert_eq!(outcome(&gate, issued.key().expose_secret()).await, Ok(()));
        let again = keys.manager().bootstrap("eve".parse().unwrap()).await;
        assert!(again.unwrap().is_none());
        let eve = keys.manager().owner(&"eve".parse().unwrap()).await;
        assert_eq!(eve.unwrap(), None);
    }
}

#[tokio::test]
async fn the_first_admin_is_nobody_who_is_something_else_already() {
    let keys = in_database().await;
    let manager = keys.manager();
    manager.put_owner(member("ada")).await.unwrap();
    let refused = manager.bootstrap("ada".parse().unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    // One who is an admin already gets the key.
    let root = Owner::admin("root".parse().unwrap());
    manager.put_owner(root).await.unwrap();
    let issued = manager.bootstrap("root".parse().unwrap()).await.unwrap();
    assert_eq!(issued.unwrap().info().servers, Servers::All);
}
