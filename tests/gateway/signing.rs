//! Signed requests, by the gateway's setting and by that of the key.

use http::Request;
use mcp_api_keys::signing::Signer;
use mcp_api_keys::{Clock, NewKey, SystemClock, Timestamp};

use crate::notes::{Notes, call};
use crate::support::{Answer, Client, issue};
use crate::world::Gateway;

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    Not,
    Well,
    /// As if the body were another.
    Wrong,
    /// So many seconds ago.
    Ago(i64),
}

async fn ask(gateway: &Gateway, path: &str, key: &str, body: &str, signed: Signed) -> Answer {
    let mut request = Request::post(gateway.url(path))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(body.to_owned())
        .unwrap();
    let now = SystemClock::new().now().wall.as_millis();
    let sign = |ago: i64, body: &str| {
        let time = Timestamp::from_millis(now - ago * 1_000);
        Signer::new(key).sign(time, body.as_bytes())
    };
    let signature = match signed {
        Signed::Not => None,
        Signed::Well => Some(sign(0, body)),
        Signed::Wrong => Some(sign(0, "{}")),
        Signed::Ago(seconds) => Some(sign(seconds, body)),
    };
    if let Some(signature) = signature {
        signature.set(request.headers_mut());
    }
    Client::http1().send(request).await
}

fn outcome(answer: &Answer) -> (u16, String) {
    match answer.status.as_u16() {
        200 => (200, String::new()),
        _ => answer.refusal(),
    }
}

#[tokio::test]
async fn each_mode_asks_what_it_says_and_a_key_may_ask_for_more() {
    use Signed::{Ago, Not, Well, Wrong};
    let (missing, wrong, stale) = ("missing_signature", "invalid_signature", "stale_timestamp");
    let off = [(Not, ""), (Well, ""), (Wrong, ""), (Ago(400), "")];
    let optional = [
        (Not, ""),
        (Well, ""),
        (Wrong, wrong),
        (Ago(400), stale),
        (Ago(-400), stale),
    ];
    let required = [
        (Not, missing),
        (Well, ""),
        (Wrong, wrong),
        (Ago(400), stale),
        (Ago(200), ""),
    ];
    let strict = [(Not, missing), (Well, ""), (Ago(200), stale), (Ago(20), "")];
    for (arguments, cases, signed_only) in [
        (&[][..], &off[..], &required[..]),
        (&["--sign", "off"], &off, &required),
        (&["--sign", "optional"], &optional, &required),
        (&["--sign", "required"], &required, &required),
        (
            &["--sign", "required", "--sign-tolerance", "60"],
            &strict,
            &strict,
        ),
    ] {
        let (notes, gateway) = Notes::behind(arguments).await;
        let key = gateway.key().await;
        let signing = NewKey::named("signing").all_servers().signed_only();
        let signing = issue(&gateway.keys, signing).await;
        for (key, cases) in [(&key, cases), (&signing, signed_only)] {
            for (signed, code) in cases {
                let body = call("shell").to_string();
                let answer = ask(&gateway, "/mcp", key, &body, *signed).await;
                let status = if code.is_empty() { 200 } else { 401 };
                let expected = (status, (*code).to_owned());
                assert_eq!(outcome(&answer), expected, "{arguments:?} {signed:?}");
                let reached = notes.reached();
                assert_eq!(reached.len(), usize::from(code.is_empty()));
                assert!(reached.iter().all(|request| request.body == body));
            }
        }
        // Who is calling is told unsigned, but not to who must always sign.
        let me = async |key: &str| {
            let me = Client::http1().get(&gateway.url("/me"), &[("x-api-key", key)]);
            outcome(&me.await)
        };
        assert_eq!(me(&key).await.0, 200, "{arguments:?}");
        assert_eq!(me(&signing).await, (401, missing.to_owned()));
    }
}

#[tokio::test]
async fn a_signature_is_taken_once_and_at_one_server() {
    let (one, other) = (Notes::start().await, Notes::start().await);
    let routes = [&one, &other].map(|notes| notes.server.url(""));
    let routes = [format!("one={}", routes[0]), format!("other={}", routes[1])];
    let gateway = Gateway::start(&[
        "--route",
        &routes[0],
        "--route",
        &routes[1],
        "--sign",
        "optional",
        "--sign-replay-guard",
    ])
    .await;
    let key = gateway.key().await;
    let body = call("shell").to_string();
    let first = ask(&gateway, "/one/mcp", &key, &body, Signed::Ago(5)).await;
    assert_eq!(outcome(&first).0, 200);
    let time = SystemClock::new().now().wall;
    let signature = Signer::new(&key).sign(time, body.as_bytes());
    for (path, code) in [
        ("/one/mcp", ""),
        ("/one/mcp", "replayed_request"),
        ("/other/mcp", "replayed_request"),
    ] {
        let mut request = Request::post(gateway.url(path)).header("x-api-key", &key);
        signature.set(request.headers_mut().unwrap());
        let request = request.header("content-type", "application/json");
        let answer = Client::http1()
            .send(request.body(body.clone()).unwrap())
            .await;
        assert_eq!(outcome(&answer).1, code, "{path}");
    }
    assert_eq!((one.reached().len(), other.reached().len()), (2, 0));
}

#[tokio::test]
async fn a_signed_body_may_have_a_mebibyte_and_an_unsigned_one_four() {
    const MIB: usize = 1_024 * 1_024;
    let (notes, gateway) = Notes::behind(&["--sign", "optional"]).await;
    let key = gateway.key().await;
    let padded = |size: usize| {
        let call = call("shell").to_string();
        format!("{call}{}", " ".repeat(size - call.len()))
    };
    for (size, signed) in [(MIB, Signed::Well), (4 * MIB, Signed::Not)] {
        let answer = ask(&gateway, "/mcp", &key, &padded(size), signed).await;
        assert_eq!(outcome(&answer).0, 200, "{size} {signed:?}");
        let reached: Vec<_> = notes.reached().iter().map(|one| one.body.len()).collect();
        assert_eq!(reached, [size]);
        // One byte more is refused as it is announced. None of it is sent: the connection is closed
        // behind the answer, which a client that is still writing may not get to read.
        let head = announced(&gateway, &key, &padded(size + 1), signed).await;
        assert!(
            head.starts_with("HTTP/1.1 413 "),
            "{size} {signed:?}: {head}"
        );
        assert!(notes.reached().is_empty());
    }
}

/// The head of the answer to a request whose body is announced and never sent.
async fn announced(gateway: &Gateway, key: &str, body: &str, signed: Signed) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = gateway.url.trim_start_matches("http://");
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    if signed == Signed::Well {
        let signature = Signer::new(key).sign(SystemClock::new().now().wall, body.as_bytes());
        head.push_str(&format!(
            "x-mcp-timestamp: {}\r\nx-mcp-signature: {}\r\n",
            signature.timestamp(),
            signature.signature()
        ));
    }
    head.push_str("\r\n");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1_024];
    let read = connection.read(&mut answer);
    let read = tokio::time::timeout(std::time::Duration::from_secs(10), read);
    let length = read.await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
