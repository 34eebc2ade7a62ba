//! What needs no store: formats, completions, help.

use serde_json::{Value, json};

use crate::office::{Run, bare};

#[test]
fn formats_needs_no_store_and_prints_patterns() {
    let default = Run::of(&bare("formats").output().unwrap());
    assert_eq!(default.code, 0);
    assert!(
        default.out.contains(r"\bmcp_sk_[0-9A-Za-z]{38}\b"),
        "{default:?}"
    );
    assert!(default.out.contains(r"-[0-9A-Za-z]{8}-[0-9A-Za-z]{32}\b"));
    let args = "--json formats --format plain --prefix mgw_";
    let plain = Run::of(&bare(args).output().unwrap());
    let plain: Value = serde_json::from_str(&plain.out).unwrap();
    assert_eq!(
        plain["formats"],
        json!([{ "format": "plain", "prefix": "mgw_", "pattern": r"\bmgw_[0-9A-Za-z]{32}\b" }])
    );
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = Run::of(&bare(&format!("completions {shell}")).output().unwrap());
        assert_eq!(run.code, 0);
        assert!(
            ["rotate", "allow-ip", "default-key", "suspend"]
                .iter()
                .all(|word| run.out.contains(word)),
            "{shell}"
        );
    }
}

#[test]
fn help_and_version_need_no_store_and_tell_the_environment() {
    let help = Run::of(&bare("--help").output().unwrap());
    assert_eq!(help.code, 0);
    for word in [
        "MCP_KEYS_STORE",
        "MCP_KEYS_PEPPER",
        "MCP_KEYS_SESSION_SECRET",
        "create",
        "Exit codes",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    let version = Run::of(&bare("--version").output().unwrap());
    assert!(version.out.starts_with("mcp-keys "), "{version:?}");
    let nothing = Run::of(&bare("").output().unwrap());
    assert_eq!(nothing.code, 2);
    for command in [
        "create",
        "list",
        "show",
        "update",
        "rotate",
        "end-grace",
        "revoke",
        "delete",
        "import",
        "audit",
        "usage",
        "safety",
        "owner",
        "owner set",
        "owner list",
        "owner remove",
        "plan",
        "plan set",
        "plan show",
        "connections",
        "disconnect",
        "default-key",
        "bootstrap",
        "serve",
    ] {
        let help = Run::of(&bare(&format!("{command} --help")).output().unwrap());
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{command}");
    }
}
