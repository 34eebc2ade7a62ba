//! Fetching from servers on this machine, by a client that may, and one that may not.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::*;

const JSON: &str = "content-type: application/json\r\n";

/// Answers every request with these bytes; gives its port.
async fn server(answer: impl Into<String>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut head = [0; 1_024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    port
}

async fn fetched(answer: impl Into<String>) -> Result<Fetched, FetchFault> {
    let url = format!("http://127.0.0.1:{}/client.json", server(answer).await);
    fetch(&client(HttpConnector::new()), &url).await
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn reason(fetched: Result<Fetched, FetchFault>) -> &'static str {
    fetched.unwrap_err().0
}

#[tokio::test]
async fn json_of_a_modest_size_is_fetched() {
    let fetched_now = fetched(answer("200 OK", JSON, "{}")).await.unwrap();
    assert_eq!(
        (&fetched_now.body[..], fetched_now.max_age),
        (&b"{}"[..], None)
    );
    let headers = "content-type: application/cimd+json; charset=utf-8\r\ncache-control: public, Max-Age=90\r\n";
    let known = fetched(answer("200 OK", headers, "{}")).await.unwrap();
    assert_eq!(known.max_age, Some(Duration::from_secs(90)));
    let largest = " ".repeat(LARGEST);
    assert!(fetched(answer("200 OK", JSON, &largest)).await.is_ok());
}

#[tokio::test]
async fn nothing_else_is() {
    let elsewhere = "location: http://169.254.169.254/latest\r\ncontent-type: application/json\r\n";
    assert_eq!(
        reason(fetched(answer("302 Found", elsewhere, "{}")).await),
        "it is somewhere else"
    );
    assert_eq!(
        reason(fetched(answer("404 Not Found", JSON, "{}")).await),
        "it is not there"
    );
    let page = "content-type: text/html\r\n";
    assert_eq!(
        reason(fetched(answer("200 OK", page, "{}")).await),
        "it is not JSON"
    );
    let large = " ".repeat(LARGEST + 1);
    assert_eq!(
        reason(fetched(answer("200 OK", JSON, &large)).await),
        "it is too large, or broke off"
    );
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n5000\r\n{}\r\n0\r\n\r\n",
        " ".repeat(0x5000)
    );
    assert_eq!(
        reason(fetched(chunked).await),
        "it is too large, or broke off"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let fetched = fetch(&client(HttpConnector::new()), &url).await;
    assert_eq!(reason(fetched), "its host did not answer in time");
    drop(listener);
}

/// Every name that leads here is refused before anything is sent.
#[tokio::test]
async fn names_that_stand_for_this_machine_are_not_asked() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut names = PublicNames;
    let name: Name = "localhost".parse().unwrap();
    let error = names.call(name).await.unwrap_err();
    assert!(error.0.contains("not asked"), "{error}");
    let url = format!("https://localhost:{port}/client.json");
    let fetched = PublicFetch::new().unwrap().fetch(&url).await;
    assert_eq!(reason(fetched), "its host does not answer");
    let waiting = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(waiting.is_err(), "a connection was made");
}

/// Names are what their owner makes of them: of all that one stands for, nothing may be private.
#[test]
fn a_name_that_leads_to_a_private_network_as_well_is_not_asked() {
    let found = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        public(addresses.collect()).map(Iterator::count)
    };
    assert_eq!(found(&["1.1.1.1:0", "[2606:4700::1]:0"]).unwrap(), 2);
    for private in [
        "127.0.0.1:0",
        "10.0.0.1:0",
        "169.254.169.254:0",
        "192.168.1.1:0",
        "[::1]:0",
        "[fe80::1]:0",
        "[fd00::1]:0",
        "[::ffff:10.0.0.1]:0",
    ] {
        assert!(found(&[private]).is_err(), "{private}");
        assert!(found(&["1.1.1.1:0", private]).is_err(), "{private}");
        assert!(found(&[private, "1.1.1.1:0"]).is_err(), "{private}");
    }
    assert!(found(&[]).is_err());
}

#[tokio::test]
async fn tls_is_not_optional() {
    let fetched = PublicFetch::new()
        .unwrap()
        .fetch("http://app.example/x")
        .await;
    assert_eq!(reason(fetched), "its host does not answer");
}
