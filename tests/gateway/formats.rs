//! Keys that are not written in the default format.

use crate::support::{Client, bearer};
use crate::world::{Gateway, file, mirror, tells};

/// As `create` is told, and as `serve` is.
const FORMATS: [(&[&str], &str); 5] = [
    (&["--prefix", "acme_"], "default=acme_"),
    (
        &["--format", "default", "--prefix", "acme_"],
        "default=acme_",
    ),
    (&["--format", "plain", "--prefix", "mgw_"], "plain=mgw_"),
    (&["--format", "plain"], "plain"),
    (
        &["--format", "segmented", "--prefix", "ok1"],
        "segmented=ok1",
    ),
];

#[tokio::test]
async fn keys_of_another_format_pass_where_it_is_accepted_and_nowhere_else() {
    let upstream = mirror().await;
    let url = upstream.url("");
    let strict = Gateway::start(&["--upstream", &url, "--path-keys"]).await;
    for (options, format) in FORMATS {
        let arguments = ["--upstream", &url, "--path-keys", "--accept-format", format];
        let gateway = Gateway::start(&arguments).await;
        let (client, key) = (Client::http1(), gateway.created(options).await);
        for (path, headers) in [
            ("/mcp".to_owned(), vec![("authorization", bearer(&key))]),
            ("/mcp".to_owned(), vec![("x-api-key", key.clone())]),
            (format!("/mcp/{key}"), vec![]),
        ] {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = client.get(&gateway.url(&path), &headers).await;
            assert_eq!(answer.status, 200, "{format}: {answer:?}");
            assert_eq!(answer.json()["uri"], "/mcp");
            assert!(!tells(&answer.text, &key), "{answer:?}");
        }
        // Keys of the default format go on.
        let usual = gateway.key().await;
        let answer = client
            .get(&gateway.url("/mcp"), &[("x-api-key", &usual)])
            .await;
        assert_eq!(answer.status, 200);

        let there = strict.created(options).await;
        let answer = client
            .get(&strict.url("/mcp"), &[("x-api-key", &there)])
            .await;
        assert_eq!(
            answer.refusal(),
            (401, "invalid_api_key".to_owned()),
            "{format}"
        );
    }
}

#[tokio::test]
async fn no_key_of_any_accepted_format_is_left_in_a_path() {
    let upstream = mirror().await;
    let formats = ["plain=mgw_", "segmented=ok1"].map(|format| format!("\"{format}\""));
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "upstream = \"{}\"\naccept_format = [{}]\n",
        upstream.url(""),
        formats.join(", ")
    );
    let path = file(&folder, "gateway.toml", &text);
    let gateway = Gateway::start(&["--config", path.to_str().unwrap()]).await;
    let usual = gateway.key().await;
    let plain = gateway
        .created(&["--format", "plain", "--prefix", "mgw_"])
        .await;
    let segmented = ["--format", "segmented", "--prefix", "ok1"];
    let segmented = gateway.created(&segmented).await;
    for key in [&usual, &plain, &segmented] {
        for path in [format!("/mcp/{key}"), format!("/mcp/x%2F{key}/y")] {
            let answer = Client::http1()
                .get(&gateway.url(&path), &[("x-api-key", &usual)])
                .await;
            assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
        }
    }
}
