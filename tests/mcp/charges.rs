//! What messages cost.

use axum::Router;
use http::Request;
use mcp_api_keys::key::{Glob, Quota};
use mcp_api_keys::{NewKey, RateLimit};
use serde_json::{Value, json};

use crate::support::{Answer, bearer};
use crate::world::{House, Log, call, careless, layer, list, notes, ping};

async fn house() -> House {
    let log = Log::default();
    let layer = layer()
        .tool_cost(glob("write_*"), 5)
        .tool_cost(glob("free_*"), 0)
        .tool_cost(glob("*"), 2);
    House::before(careless(log.clone()), log, layer).await
}

fn glob(text: &str) -> Glob {
    text.parse().unwrap()
}

/// How much is left of the limit that the answer tells of.
fn left(answer: &Answer) -> Option<(String, u32)> {
    let (name, rest) = answer.header("ratelimit").split_once(";r=")?;
    let left = rest.split(';').next()?.parse().ok()?;
    Some((name.trim_matches('"').to_owned(), left))
}

fn is_limited(answer: &Answer) -> bool {
    answer.status == 429
        || answer.header("grpc-status") == "8"
        || answer.refusal().1 == "rate_limit_exceeded"
}

#[tokio::test]
async fn each_request_costs_once_what_its_tool_costs() {
    let house = house().await;
    let new = NewKey::named("key").mcp(notes().allow_tool(glob("free_*")));
    let key = house.key(new.rate(RateLimit::per_hour(100))).await;
    let mut expected = 100;
    for (body, cost) in [
        (call("read_note"), 2),
        (call("write_note"), 5),
        (list("tools"), 1),
        (call("free_lunch"), 0),
        (ping(), 0),
        (call("shell"), 0),
        (
            Value::from(vec![call("read_note"), ping(), call("write_note")]),
            7,
        ),
        (Value::from(vec![call("read_note"), call("shell")]), 0),
        (
            json!({"jsonrpc":"2.0","method":"tools/call","params":{"name":"read_note"}}),
            2,
        ),
    ] {
        let answer = house.say(&key, &body).await;
        expected -= cost;
        let told = left(&answer);
        if cost > 0 {
            assert_eq!(told, Some(("default".to_owned(), expected)), "{body}");
        } else {
            assert_eq!(told, None, "{body}");
        }
    }
    let get = Request::get(house.server.url("/mcp")).header("authorization", bearer(&key));
    let answer = house.client.send(get.body(String::new()).unwrap()).await;
    let one_less = Some(("default".to_owned(), expected - 1));
    assert_eq!(left(&answer), one_less, "a stream is a request");
}

#[tokio::test]
async fn limits_of_a_tool_or_a_server_count_what_they_are_about() {
    let house = house().await;
    let limit = |name: &str| RateLimit::per_hour(10).named(name);
    let new = NewKey::named("key")
        .rate(limit("writing").on_tool(glob("write_*")))
        .rate(
            limit("here")
                .on_server("notes".parse().unwrap())
                .burst(1_000),
        )
        .rate(
            RateLimit::per_hour(1)
                .named("there")
                .on_server("mail".parse().unwrap()),
        );
    let key = house.key(new).await;
    // The limit of the other server is not touched, nor is its ceiling: it is ten an hour.
    for _ in 0..150 {
        let answer = house.say(&key, ping()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for (tool, told) in [
        ("read_note", Some(("here", 998))),
        ("write_note", Some(("writing", 5))),
        ("write_note", Some(("writing", 0))),
        ("read_note", Some(("here", 986))),
    ] {
        let told = told.map(|(name, left)| (name.to_owned(), left));
        assert_eq!(left(&house.say(&key, call(tool)).await), told, "{tool}");
    }
    let refused = house.say(&key, call("write_note")).await;
    assert!(is_limited(&refused));
    assert_eq!(left(&refused), Some(("writing".to_owned(), 0)));
    // Refused by one limit, it has taken nothing of the other.
    let after = house.say(&key, call("read_note")).await;
    assert_eq!(left(&after), Some(("here".to_owned(), 984)));
}

/// A body that cannot be read is no way around the limit of a tool.
#[tokio::test]
async fn what_cannot_be_read_is_paid_as_the_dearest_call() {
    let house = house().await;
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","name":"write_note"}}"#;
    let odd = [
        "application/json; charset=utf-7",
        "application/grpc+json",
        "text/json",
    ];
    for kind in ["application/json"].into_iter().chain(odd) {
        let limit = RateLimit::per_hour(12)
            .on_tool(glob("write_*"))
            .named("writing");
        let key = house.key(NewKey::named("key").rate(limit)).await;
        let body = if kind == "application/json" {
            twice.to_owned()
        } else {
            call("write_note").to_string()
        };
        let send = async || {
            let mut request = house.message(&key, &body);
            request
                .headers_mut()
                .insert("content-type", kind.parse().unwrap());
            house.client.send(request).await
        };
        for rest in [7, 2] {
            assert_eq!(
                left(&send().await),
                Some(("writing".to_owned(), rest)),
                "{kind}"
            );
        }
        assert!(is_limited(&send().await), "{kind}");
    }
    // What nobody could take for a message costs one.
    let key = house
        .key(NewKey::named("key").rate(RateLimit::per_hour(10)))
        .await;
    let mut request = house.message(&key, "a=b");
    let form = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", form);
    assert_eq!(left(&house.client.send(request).await).unwrap().1, 9);
}

#[tokio::test]
async fn quotas_and_limits_are_all_or_nothing() {
    let house = house().await;
    let new = NewKey::named("key")
        .mcp(notes())
        .quota(Quota::per_day(12))
        .rate(RateLimit::per_hour(8));
    let issued = house
        .keys
        .manager()
        .issue(new.server("notes"))
        .await
        .unwrap();
    let (key, id) = (issued.key().expose_secret(), issued.info().id);
    let code = async |tool: &str| {
        let answer = house.say(key, call(tool)).await;
        answer.json()["error"]["data"]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    assert_eq!(code("write_note").await, "");
    // Of the limit 3 are left: this is refused, and takes nothing of the quota of which 7 are.
    for _ in 0..5 {
        assert_eq!(code("write_note").await, "rate_limit_exceeded");
        assert_eq!(code("shell").await, "tool_not_allowed");
    }
    assert_eq!(code("read_note").await, "");
    let wide = mcp_api_keys::KeyUpdate::new().limits(vec![]);
    house.keys.manager().update(id, wide).await.unwrap();
    assert_eq!(code("write_note").await, "");
    assert_eq!(code("write_note").await, "quota_exceeded");
    let pings = house.say(key, ping()).await;
    assert_eq!(
        pings.json()["result"],
        json!({}),
        "free, whatever is used up"
    );
}

#[tokio::test]
async fn a_plain_layer_charges_what_it_did() {
    let house = house().await;
    let key = house
        .key(NewKey::named("key").rate(RateLimit::per_hour(10)))
        .await;
    let app: Router = careless(Log::default()).layer(house.keys.layer().server("notes"));
    let server = crate::support::serve(app).await;
    for rest in [9, 8] {
        let request = Request::get(server.url("/")).header("authorization", bearer(&key));
        let answer = house
            .client
            .send(request.body(String::new()).unwrap())
            .await;
        assert_eq!(left(&answer).unwrap().1, rest);
    }
}
