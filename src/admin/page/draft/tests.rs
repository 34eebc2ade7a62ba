use super::*;
use crate::testing::records::full_record;

const NOW: Timestamp = Timestamp::from_millis(1_785_232_800_000);

/// A key with something in every field.
fn full() -> KeyInfo {
    KeyInfo::of(&full_record(1)).unwrap()
}

#[test]
fn what_was_not_touched_is_not_changed() {
    let before = Draft::of(&full());
    assert!(before.to_update(&before, NOW).unwrap().is_none());

    let mut sent = before.clone();
    sent.set("name", "ci-bot-2".to_owned());
    let text = format!("{:?}", sent.to_update(&before, NOW).unwrap().unwrap());
    assert!(text.contains("ci-bot-2"), "{text}");
    assert_eq!(text.matches("Some(").count(), 1, "{text}");
}

#[test]
fn what_a_key_has_is_read_again_as_it_is_shown() {
    let key = full();
    let mut draft = Draft::of(&key);
    draft.set("expiry", "at".to_owned());
    let text = format!("{:?}", draft.to_new(NOW).unwrap());
    let mut reading = Reading::of(&draft);
    assert_eq!(reading.servers(), key.servers);
    assert_eq!(reading.networks(), key.networks);
    assert_eq!(reading.mcp(), key.mcp);
    assert_eq!(reading.metadata(), key.metadata);
    assert_eq!(reading.limits(), key.limits);
    assert_eq!(reading.quotas(), key.quotas);
    assert_eq!(reading.one::<crate::key::PlanName>("plan"), key.plan);
    assert!(reading.end().is_ok(), "{text}");
}

#[test]
fn each_fault_stands_at_its_field() {
    let mut draft = Draft::of_new();
    for (name, text) in [
        ("servers", "fi/les"),
        ("scopes", "files::read"),
        ("networks_allow", "203.0.113.7/24"),
        ("limits", "60/week"),
        ("quotas", "many"),
        ("tools_deny", "a\u{7}b"),
        ("metadata", "a=1\na=2"),
        ("expiry", "at"),
    ] {
        draft.set(name, text.to_owned());
    }
    let faults = draft.to_new(NOW).unwrap_err();
    let names: Vec<_> = faults.keys().copied().collect();
    assert_eq!(
        names,
        [
            "expires_at",
            "limits",
            "metadata",
            "networks_allow",
            "quotas",
            "scopes",
            "servers",
            "tools_deny"
        ]
    );
    assert!(faults["networks_allow"].contains("203.0.113.0/24"));
}

#[test]
fn an_expiry_changes_only_if_another_is_asked_for() {
    let mut key = full();
    key.expires_at = Some(NOW);
    let before = Draft::of(&key);
    let with = |expiry: &str, at: &str| {
        let mut draft = before.clone();
        draft.set("expiry", expiry.to_owned());
        draft.set("expires_at", at.to_owned());
        draft.to_update(&before, NOW)
    };
    let same = before.get("expires_at").to_owned();
    assert!(with("keep", &same).unwrap().is_none());
    assert!(with("at", &same).unwrap().is_none());
    assert!(with("keep", "2030-01-01T00:00").unwrap().is_none());
    assert!(with("at", "2030-01-01T00:00").unwrap().is_some());
    assert!(with("never", &same).unwrap().is_some());
    assert!(with("7d", &same).unwrap().is_some());
    assert!(with("at", "soon").is_err());
    assert!(with("7y", &same).is_err());
}
