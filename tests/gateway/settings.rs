//! Settings: flags, file, and what is said of wrong ones.

use crate::support::Client;
use crate::world::{Gateway, file, mirror, refused};

#[tokio::test]
async fn a_wrong_flag_is_named_and_the_program_ends_with_2() {
    let base = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
    ];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    for (arguments, named) in [
        (vec!["--upstream", "http://127.0.0.1:9"], "--listen"),
        (vec!["--listen", "x", "--upstream", "http://h"], "--listen"),
        (vec!["--listen", "127.0.0.1:0"], "--upstream"),
        (
            vec!["--listen", "127.0.0.1:0", "--upstream", "ftp://h"],
            "--upstream",
        ),
        (vec!["--listen", "127.0.0.1:0", "--route", "x"], "--route"),
        (
            vec!["--listen", "127.0.0.1:0", "--route", "a b=http://h"],
            "--route",
        ),
        (with(&["--route", "a=http://h"]), "--route"),
        (with(&["--server", "a/b"]), "--server"),
        (with(&["--require-scope", "a:*"]), "--require-scope"),
        (with(&["--accept-format", "mgw_"]), "--accept-format"),
        (with(&["--accept-format", "plain=m"]), "--accept-format"),
        (
            with(&["--accept-format", "plain=mc", "--path-keys"]),
            "--accept-format",
        ),
        (with(&["--trusted-proxy", "10.0.0.1/8"]), "--trusted-proxy"),
        (
            with(&["--client-ip-header", "X-Real-IP"]),
            "--client-ip-header",
        ),
        (with(&["--tls-cert", "x.pem"]), "--tls-cert"),
        (with(&["--config", "nowhere.toml"]), "--config"),
        (with(&["--nonsense"]), "--nonsense"),
    ] {
        let output = refused(&arguments).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(named), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_file_says_the_same_as_flags_and_flags_win() {
    let upstream = mirror().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "path_keys = true\nlisten = \"nowhere\"\n[routes]\nfiles = \"{}\"\n",
        upstream.url("")
    );
    let path = file(&folder, "gateway.toml", &text);
    let gateway = Gateway::start(&["--config", path.to_str().unwrap()]).await;
    let key = gateway.key_for("files").await;
    let url = gateway.url(&format!("/files/mcp/{key}"));
    assert_eq!(Client::http1().get(&url, &[]).await.status, 200);

    let path = file(&folder, "wrong.toml", "listne = \"x\"\n");
    let output = refused(&["--config", path.to_str().unwrap()]).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("listne"), "{errors}");
}

#[tokio::test]
async fn keys_in_clear_on_a_network_are_warned_of() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&["--upstream", &upstream.url("")]).await;
    assert_eq!(gateway.errors(), "");
    // The later of two flags would be refused, so the address comes from a file.
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "listen = \"0.0.0.0:0\"\nupstream = \"{}\"\n",
        upstream.url("")
    );
    let path = file(&folder, "gateway.toml", &text);
    let open = Gateway::start_as_told(&["--config", path.to_str().unwrap()]).await;
    assert!(
        open.errors()
            .contains("warning: keys cross the network in clear")
    );
}
