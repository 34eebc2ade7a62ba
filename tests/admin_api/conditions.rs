//! "Only if nobody has changed it."

use serde_json::{Value, json};

use crate::support::Answer;
use crate::world::{Api, id};

fn mismatch(answer: &Answer) {
    assert_eq!(
        answer.refusal(),
        (412, "revision_mismatch".to_owned()),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_key_is_changed_only_as_it_was_read() {
    let api = Api::new().await;
    let root = api.root().await;
    let key = api.create(&root, &json!({ "name": "key" })).await;
    let path = format!("/keys/{}", id(&key));
    let change = |tag: &str, name: &str| {
        let asking = api.ask("PATCH", &path).key(&root).header("if-match", tag);
        asking.json(&json!({ "name": name })).send()
    };
    let tag = api.get(&root, &path).await.header("etag").to_owned();
    let first = change(&tag, "one").await;
    assert_eq!(first.json()["name"], "one");
    assert_ne!(first.header("etag"), tag);
    mismatch(&change(&tag, "two").await);
    mismatch(&change(&format!("W/{}", first.header("etag")), "two").await);
    assert_eq!(api.read(&root, &path).await["name"], "one");
    assert_eq!(change("*", "three").await.status, 200);
    assert_eq!(
        change("three", "four").await.refusal(),
        (400, "malformed_request".to_owned())
    );
    for act in ["disable", "enable", "rotate", "end-grace", "revoke"] {
        let asking = api.ask("POST", &format!("{path}/{act}")).key(&root);
        mismatch(&asking.header("if-match", &tag).send().await);
    }
    mismatch(
        &api.ask("DELETE", &path)
            .key(&root)
            .header("if-match", &tag)
            .send()
            .await,
    );
    assert_eq!(api.read(&root, &path).await["status"], "active");
}

#[tokio::test]
async fn of_many_who_change_what_they_read_one_does() {
    let api = Api::new().await;
    let root = api.root().await;
    let key = api.create(&root, &json!({ "name": "key" })).await;
    let path = format!("/keys/{}", id(&key));
    let tag = api.get(&root, &path).await.header("etag").to_owned();
    let changes = (0..16).map(|number| {
        let asking = api.ask("PATCH", &path).key(&root).header("if-match", &tag);
        asking
            .json(&json!({ "name": format!("name {number}") }))
            .send()
    });
    let mut statuses = Vec::new();
    for change in futures(changes).await {
        statuses.push(change.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [412; 15]);
}

/// Waits for all of them at once.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, place) in all.iter_mut().zip(&mut done) {
            if place.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *place = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn definitions_are_replaced_only_as_they_were_read() {
    let api = Api::new().await;
    let root = api.root().await;
    for (path, body) in [
        ("/owners/ada", json!({ "role": "member" })),
        (
            "/plans/free",
            json!({ "limits": [{ "count": 1, "per": "day" }] }),
        ),
        ("/plans/team", json!({})),
    ] {
        let put = |condition: Option<(&str, &str)>| {
            let mut asking = api.ask("PUT", path).key(&root);
            if let Some((name, value)) = condition {
                asking = asking.header(name, value);
            }
            asking.json(&body).send()
        };
        mismatch(&put(Some(("if-match", "*"))).await);
        let first = put(Some(("if-none-match", "*"))).await;
        assert_eq!(first.status, 201, "{path}: {first:?}");
        mismatch(&put(Some(("if-none-match", "*"))).await);
        let tag = first.header("etag").to_owned();
        assert_eq!(api.get(&root, path).await.header("etag"), tag);
        let second = put(Some(("if-match", &tag))).await;
        assert_eq!(second.status, 200, "{path}: {second:?}");
        mismatch(&put(Some(("if-match", &tag))).await);
        assert_eq!(put(None).await.status, 200, "whatever it was");
        mismatch(
            &api.ask("DELETE", path)
                .key(&root)
                .header("if-match", &tag)
                .send()
                .await,
        );
        let gone = api.ask("DELETE", path).key(&root).send().await;
        assert_eq!(gone.json()["removed"], true);
        let again = api.ask("DELETE", path).key(&root).send().await;
        assert_eq!(again.refusal().0, 404, "{path}");
    }
    let free = api.read(&root, "/plans/free").await;
    assert_eq!(
        (&free["built_in"], &free["revision"]),
        (&Value::Bool(true), &json!(0))
    );
}
