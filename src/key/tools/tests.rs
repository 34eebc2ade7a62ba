use proptest::prelude::*;

use super::*;

fn glob(text: &str) -> Glob {
    text.parse().unwrap()
}

fn rules(allow: &[&str], deny: &[&str]) -> NameRules {
    let globs = |list: &[&str]| list.iter().map(|text| glob(text)).collect();
    NameRules::new(globs(allow), globs(deny))
}

/// The plain definition, one pattern character at a time: which suffixes are still to be matched.
fn matches_by_definition(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for wanted in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            if wanted == '*' {
                next[at] = reached[..=at].contains(&true);
            } else if at > 0 {
                next[at] = reached[at - 1] && name[at - 1] == wanted;
            }
        }
        reached = next;
    }
    reached[name.len()]
}

#[test]
fn a_star_stands_for_any_run_and_the_rest_for_itself() {
    for (pattern, name, expected) in [
        ("read", "read", true),
        ("read", "reader", false),
        ("read", "Read", false),
        ("*", "", true),
        ("*", "anything/at all", true),
        ("**", "", true),
        ("read_*", "read_", true),
        ("read_*", "read", false),
        ("*_read", "note_read", true),
        ("*_read", "note_reader", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*ba*a", "aba", false),
        ("a*ba*a", "abaa", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("file:///*", "file:///a/b", true),
        ("na?e", "name", false),
        ("[ab]", "a", false),
        ("ü*", "über", true),
        // The same letter, written as one character and as two.
        ("\u{fc}*", "u\u{308}ber", false),
    ] {
        assert_eq!(glob(pattern).matches(name), expected, "{pattern} on {name}");
    }
}

#[test]
fn patterns_that_are_empty_too_long_or_not_printable_are_refused() {
    assert!("a".repeat(256).parse::<Glob>().is_ok());
    for text in ["", "a\n", "\0", "\u{7f}", "\u{85}", &"a".repeat(257)] {
        assert!(text.parse::<Glob>().is_err(), "{text:?}");
    }
    assert!(serde_json::from_str::<Glob>(r#""""#).is_err());
    assert!(serde_json::from_str::<Glob>("7").is_err());
    assert_eq!(serde_json::to_string(&glob("a*")).unwrap(), r#""a*""#);
}

#[test]
fn a_hostile_pair_takes_no_longer_than_a_friendly_one() {
    // Going back to earlier stars, this takes longer than the world will last; searching for a part
    // at one place after the other, the second one takes 10^9 steps a round.
    let pattern = glob(&format!("{}b*", "*a".repeat(126)));
    let name = "a".repeat(4 << 20);
    for _ in 0..100 {
        assert!(!pattern.matches(&name));
    }
    let pattern = glob(&format!("*{}b*", "a".repeat(250)));
    for _ in 0..20 {
        assert!(!pattern.matches(&name));
    }
}

#[test]
fn deny_beats_allow_and_no_allow_list_allows_all() {
    let some = rules(&["note_*"], &["*_delete"]);
    assert!(some.permits("note_read"));
    assert!(!some.permits("note_delete"));
    assert!(!some.permits("shell"));
    let most = rules(&[], &["shell"]);
    assert!(most.permits("note_delete"));
    assert!(!most.permits("shell"));
    assert!(NameRules::default().permits(""));
    assert!(NameRules::default().is_empty());
    assert!(!most.is_empty());
}

#[test]
fn json_leaves_out_what_is_empty_and_refuses_what_it_does_not_know() {
    let read = serde_json::from_str::<McpRules>;
    assert_eq!(read("{}").unwrap(), McpRules::default());
    assert!(McpRules::default().is_unrestricted());
    assert_eq!(serde_json::to_string(&McpRules::default()).unwrap(), "{}");
    let some = McpRules::default()
        .deny_tool(glob("shell"))
        .allow_prompt(glob("p*"))
        .deny_prompt(glob("pq"))
        .deny_resource(glob("r://*"));
    assert!(!some.is_unrestricted());
    let json = r#"{"tools":{"deny":["shell"]},"resources":{"deny":["r://*"]},"prompts":{"allow":["p*"],"deny":["pq"]}}"#;
    assert_eq!(serde_json::to_string(&some).unwrap(), json);
    assert_eq!(read(json).unwrap(), some);
    for wrong in [
        r#"{"tool":{}}"#,
        r#"{"tools":{"Allow":[]}}"#,
        r#"{"tools":["a"]}"#,
        r#"{"tools":{"allow":"a"}}"#,
        r#"{"tools":{"allow":[""]}}"#,
        r#"{"tools":null}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_handed_on_lies_within_what_is_held() {
    type Lists<'a> = (&'a [&'a str], &'a [&'a str]);
    let table: [(Lists<'_>, Lists<'_>, bool); 14] = [
        ((&[], &[]), (&[], &[]), true),
        ((&[], &[]), (&["a"], &["b"]), true),
        ((&["a"], &[]), (&[], &[]), false),
        ((&["*"], &[]), (&[], &[]), false),
        ((&["a*"], &[]), (&["ab*", "a"], &[]), true),
        ((&["ab*"], &[]), (&["a*"], &[]), false),
        ((&["a*c"], &[]), (&["a*b*c"], &[]), true),
        ((&["a*b*c"], &[]), (&["a*c"], &[]), false),
        ((&[], &["a*"]), (&[], &["a*"]), true),
        ((&[], &["a*"]), (&[], &["*"]), true),
        ((&[], &["a*"]), (&[], &["ab*"]), false),
        ((&[], &["delete_*"]), (&["read_*"], &[]), true),
        ((&[], &["*_delete"]), (&["read_*"], &[]), false),
        ((&[], &["*_delete"]), (&["read_all"], &[]), true),
    ];
    for ((allow, deny), (others_allow, others_deny), expected) in table {
        let (ours, theirs) = (rules(allow, deny), rules(others_allow, others_deny));
        assert_eq!(ours.covers(&theirs), expected, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn each_sort_of_rule_is_compared_by_itself() {
    let held = McpRules::default()
        .allow_tool(glob("a"))
        .allow_resource(glob("a"))
        .allow_prompt(glob("a"));
    assert!(held.covers(&held));
    let without = McpRules::default();
    for other in [
        without
            .clone()
            .allow_tool(glob("a"))
            .allow_resource(glob("a")),
        without
            .clone()
            .allow_tool(glob("a"))
            .allow_prompt(glob("a")),
        without
            .clone()
            .allow_resource(glob("a"))
            .allow_prompt(glob("a")),
    ] {
        assert!(!held.covers(&other), "{other:?}");
        assert!(without.covers(&other), "{other:?}");
    }
}

fn lists() -> impl Strategy<Value = NameRules> {
    let globs = || prop::collection::vec("[ab*]{1,4}", 0..3);
    (globs(), globs()).prop_map(|(allow, deny)| {
        let parse = |list: Vec<String>| list.iter().map(|text| glob(text)).collect();
        NameRules::new(parse(allow), parse(deny))
    })
}

proptest! {
    #[test]
    fn matching_is_as_defined(pattern in "[ab*]{1,8}", name in "[ab*]{0,10}") {
        prop_assert_eq!(
            glob(&pattern).matches(&name),
            matches_by_definition(&pattern, &name)
        );
    }

    #[test]
    fn covering_rules_permit_all_that_the_covered_ones_permit(
        ours in lists(),
        theirs in lists(),
        names in prop::collection::vec("[ab]{0,6}", 20),
    ) {
        if ours.covers(&theirs) {
            for name in names {
                prop_assert!(!theirs.permits(&name) || ours.permits(&name), "{}", name);
            }
        }
        prop_assert!(ours.covers(&ours));
    }

    #[test]
    fn patterns_survive_printing_and_parsing(text in "\\PC{1,60}") {
        let glob = glob(&text);
        prop_assert_eq!(glob.to_string(), text);
        let json = serde_json::to_string(&glob).unwrap();
        prop_assert_eq!(serde_json::from_str::<Glob>(&json).unwrap(), glob);
    }
}
