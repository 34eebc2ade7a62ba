//! The rules of the module, one by one, then against a second reading of them.

use proptest::prelude::*;

use super::*;

const SCOPE: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,6}(:[A-Za-z0-9][A-Za-z0-9._-]{0,6}){0,4}";
// A small alphabet, so that grants and scopes meet often.
const NEAR_SCOPE: &str = "[ab](:[ab]b?){0,3}";
const NEAR_GRANT: &str = "\\*|[ab](:[ab]b?){0,3}(:\\*)?";

fn scope(text: &str) -> Scope {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn grant(text: &str) -> ScopeGrant {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn set(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

#[test]
fn neither_a_scope_nor_a_grant_may_be_malformed() {
    let refused = [
        "",
        ":",
        "files:",
        ":read",
        "files::read",
        " files",
        "files ",
        "files:read files:write",
        "files\t",
        "a\n",
        "_files",
        "-files",
        ".files",
        "files:_read",
        "files:-",
        "files/read",
        "files,read",
        "files：read",
        "fílés",
        "files:réad",
        "a\0",
        "files;read",
        "файлы:read",
        "a+b",
        "a@b",
        "%66iles",
        "\"a\"",
        "**",
        "*:*",
        "*:read",
        ":*",
        "files*",
        "files:*:read",
        "files:re*",
        "files:**",
        "files:*:*",
        "files::*",
        "* ",
        "files: *",
        "fi*les",
        "*files",
        "*:",
        "files:*:",
        "?",
        "files:?",
    ];
    for text in refused {
        assert!(text.parse::<Scope>().is_err(), "{text:?} is a scope");
        assert!(text.parse::<ScopeGrant>().is_err(), "{text:?} is a grant");
    }
}

#[test]
fn only_grants_hold_a_star() {
    for text in ["*", "files:*", "tools:call:*", "0:*"] {
        assert!(text.parse::<Scope>().is_err(), "{text}");
        assert_eq!(grant(text).to_string(), text);
    }
}

#[test]
fn the_length_limit_counts_bytes_and_the_star() {
    assert!("a".repeat(128).parse::<Scope>().is_ok());
    assert!("a".repeat(129).parse::<Scope>().is_err());
    assert!(
        format!("{}:*", "a".repeat(126))
            .parse::<ScopeGrant>()
            .is_ok()
    );
    assert!(
        format!("{}:*", "a".repeat(127))
            .parse::<ScopeGrant>()
            .is_err()
    );
    assert!(
        "a:".repeat(64)
            .trim_end_matches(':')
            .parse::<Scope>()
            .is_ok()
    );
}

#[test]
fn a_star_stands_for_one_or_more_whole_segments() {
    for (held, needed, expected) in [
        ("files:*", "files:read", true),
        ("files:*", "files:read:all", true),
        ("files:*", "files", false),
        ("files:*", "filesystem:read", false),
        ("files:*", "Files:read", false),
        ("tools:call:*", "tools:call:search", true),
        ("tools:call:*", "tools:call", false),
        ("tools:call:*", "tools:list", false),
        ("tools:call", "tools:call:search", false),
        ("files", "files", true),
        ("files", "files:read", false),
        ("*", "admin", true),
        ("*", "a:b:c", true),
        ("a.c:read", "abc:read", false),
    ] {
        assert_eq!(
            grant(held).covers_scope(&scope(needed)),
            expected,
            "{held} and {needed}"
        );
    }
}

#[test]
fn a_grant_is_handed_on_only_under_one_that_covers_it_alone() {
    for (parent, child, expected) in [
        (&["*"][..], &["*", "files:*", "a"][..], true),
        (
            &["files:*"],
            &["files:*", "files:read", "files:read:*"],
            true,
        ),
        (&["files:*"], &["files"], false),
        (&["files:*"], &["*"], false),
        (&["files:*"], &["filesystem:*"], false),
        (&["tools:call:*"], &["tools:*"], false),
        (&["files:read", "files:write"], &["files:*"], false),
        (
            &["files:read", "models:*"],
            &["models:read", "files:read"],
            true,
        ),
        (&["files:read"], &["files:read", "models:read"], false),
        (&["files"], &["files:*"], false),
        (&[], &["a"], false),
        (&[], &[], true),
        (&["a"], &[], true),
    ] {
        assert_eq!(
            set(parent).covers(&set(child)),
            expected,
            "{parent:?} and {child:?}"
        );
    }
}

#[test]
fn an_empty_requirement_allows_and_an_empty_set_grants_nothing() {
    let nothing = ScopeSet::default();
    assert!(nothing.is_empty() && nothing.grants_all(&[]) && nothing.grants_any(&[]));
    assert!(!nothing.grants_all(&[scope("a")]) && !nothing.grants_any(&[scope("a")]));
    let held = set(&["a"]);
    assert!(
        held.grants_any(&[scope("b"), scope("a")]) && !held.grants_all(&[scope("b"), scope("a")])
    );
}

#[test]
fn a_set_is_written_in_order_and_without_repetitions() {
    let set = set(&["models:read", "files:*", "models:read", "*"]);
    assert_eq!(set.len(), 3);
    assert_eq!(
        serde_json::to_string(&set).unwrap(),
        r#"["*","files:*","models:read"]"#
    );
    assert_eq!(
        serde_json::from_str::<ScopeSet>(r#"["models:read","*","files:*"]"#).unwrap(),
        set
    );
    assert!(
        set.iter()
            .map(ScopeGrant::as_str)
            .eq(["*", "files:*", "models:read"])
    );
}

#[test]
fn an_invalid_text_is_not_deserialized() {
    assert!(serde_json::from_str::<ScopeSet>(r#"["files:read","**"]"#).is_err());
    assert!(serde_json::from_str::<Scope>(r#""files:*""#).is_err());
    assert_eq!(
        serde_json::from_str::<Scope>(r#""files:read""#).unwrap(),
        scope("files:read")
    );
}

#[test]
fn an_error_says_what_is_wrong() {
    let message = |text: &str| text.parse::<ScopeGrant>().unwrap_err().to_string();
    assert_eq!(message(&"a".repeat(200)), "a scope has at most 128 bytes");
    assert!(message("files:").contains("empty"));
    assert!(message("files:**").contains("star"));
    assert!(message("files read").contains("ASCII"));
}

// What rule 2 says, word by word.
fn covers_by_segments(grant: &str, text: &str) -> bool {
    let (grant, text) = (
        Vec::from_iter(grant.split(':')),
        Vec::from_iter(text.split(':')),
    );
    match grant.split_last() {
        Some((&"*", stem)) => text.len() > stem.len() && text.starts_with(stem),
        _ => grant == text,
    }
}

proptest! {
    #[test]
    fn printing_and_parsing_a_scope_is_the_identity(text in SCOPE) {
        let parsed = scope(&text);
        prop_assert_eq!(parsed.to_string(), text);
        prop_assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
        prop_assert_eq!(parsed.to_string().parse(), Ok(ScopeGrant::from(parsed)));
    }

    #[test]
    fn covering_is_the_comparison_of_segments(
        held in NEAR_GRANT, needed in NEAR_SCOPE, child in NEAR_GRANT,
    ) {
        let held_grant = grant(&held);
        let covered = covers_by_segments(&held, &needed);
        prop_assert_eq!(held_grant.covers_scope(&scope(&needed)), covered);
        prop_assert_eq!(held_grant.covers(&grant(&child)), covers_by_segments(&held, &child));
    }

    #[test]
    fn a_child_grants_nothing_its_parent_does_not(
        parent in proptest::collection::vec(NEAR_GRANT, 0..4),
        child in proptest::collection::vec(NEAR_GRANT, 0..4),
        needed in NEAR_SCOPE,
    ) {
        let (parent, child) = (ScopeSet::parse(parent).unwrap(), ScopeSet::parse(child).unwrap());
        let exceeds = child.grants(&scope(&needed)) && !parent.grants(&scope(&needed));
        prop_assert!(!exceeds || !parent.covers(&child));
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_panic(text in "[a-z:*._ -]{0,12}|.{0,16}") {
        if let Ok(grant) = text.parse::<ScopeGrant>() {
            prop_assert_eq!(grant.as_str(), text);
        }
    }
}

#[test]
fn an_intersection_grants_what_both_grant_and_nothing_else() {
    let sets = [
        &["*"][..],
        &[],
        &["files:*", "mail:read"],
        &["files:read", "mail:*"],
        &["files:read:deep", "models:*"],
    ];
    let asked = [
        "files:read",
        "files:read:deep",
        "mail:read",
        "mail:send",
        "models:x",
        "other",
    ];
    for one in sets {
        for other in sets {
            let [one, other] = [one, other].map(|set| ScopeSet::parse(set).unwrap());
            let both = one.intersection(&other);
            assert_eq!(both, other.intersection(&one));
            assert!(one.covers(&both) && other.covers(&both));
            for scope in asked {
                let scope: Scope = scope.parse().unwrap();
                let expected = one.grants(&scope) && other.grants(&scope);
                assert_eq!(both.grants(&scope), expected, "{one:?} {other:?} {scope}");
            }
        }
    }
}
