use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const START: i64 = 1_785_232_800_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1_000)
}

fn key(number: u128) -> KeyId {
    KeyId::from_u128(number)
}

fn requests(requests: u32) -> Tally {
    Tally {
        requests,
        ..Tally::default()
    }
}

fn raised(notices: &[Notice]) -> Vec<AlertRule> {
    let of = |notice: &Notice| match notice {
        Notice::Raised(alert) => Some(alert.rule),
        _ => None,
    };
    notices.iter().filter_map(of).collect()
}

fn resolved(notices: &[Notice]) -> Vec<AlertRule> {
    let of = |notice: &Notice| match notice {
        Notice::Resolved(alert) => Some(alert.rule),
        _ => None,
    };
    notices.iter().filter_map(of).collect()
}

/// Rules that know a key by an hour of so many requests a minute, and the second at which that ends.
fn rules_that_know(per_minute: u32) -> (Rules, i64) {
    let mut rules = Rules::new(AlertSettings::default());
    for minute in 0..60 {
        rules.used(key(1), requests(per_minute), at(minute * 60));
        assert_eq!(rules.tick(at(minute * 60)), []);
    }
    (rules, 3_600)
}

#[test]
fn a_spike_is_raised_once_stands_and_is_resolved_once() {
    let (mut rules, start) = rules_that_know(60);
    rules.used(key(1), requests(299), at(start));
    assert_eq!(rules.tick(at(start)), []);
    rules.used(key(1), requests(1), at(start + 1));
    let notices = rules.tick(at(start + 1));
    let [Notice::Raised(alert)] = notices.as_slice() else {
        panic!("{notices:?}");
    };
    assert_eq!(
        (alert.rule, alert.value, alert.threshold),
        (AlertRule::Spike, 300, 300)
    );
    assert_eq!(alert.raised_at, at(start + 1));
    // Somewhat less, but still far more than usual.
    for minute in 1..10 {
        rules.used(key(1), requests(200), at(start + minute * 60));
        assert_eq!(rules.tick(at(start + minute * 60)), []);
    }
    let end = start + 540;
    let mut ends = Vec::new();
    for minute in 1..30 {
        rules.used(key(1), requests(60), at(end + minute * 60));
        ends.extend(rules.tick(at(end + minute * 60)));
    }
    assert_eq!(resolved(&ends), [AlertRule::Spike]);
    assert_eq!(ends.len(), 1);
    // And not again within the cool-down.
    let again = end + 29 * 60;
    rules.used(key(1), requests(10_000), at(again));
    assert_eq!(rules.tick(at(again)), []);
}

#[test]
fn what_is_usual_is_no_spike_and_a_key_that_is_new_has_none() {
    // A key that is always busy, one that begins busily, one that is busy for a minute each night.
    let (mut rules, start) = rules_that_know(10_000);
    rules.used(key(1), requests(20_000), at(start));
    rules.used(key(2), requests(100_000), at(start));
    assert_eq!(rules.tick(at(start)), []);
    for night in 0..30 {
        let at = at(start + 86_400 * night);
        rules.used(key(3), requests(5_000), at);
        assert_eq!(raised(&rules.tick(at)), [], "night {night}");
    }
}

#[test]
fn a_new_height_becomes_usual() {
    let (mut rules, start) = rules_that_know(60);
    let mut seen = Vec::new();
    for minute in 0..240 {
        let now = at(start + minute * 60);
        rules.used(key(1), requests(600), now);
        seen.extend(rules.tick(now));
    }
    assert_eq!(raised(&seen), [AlertRule::Spike]);
    assert_eq!(resolved(&seen), [AlertRule::Spike]);
}

#[test]
fn errors_are_told_by_their_share() {
    let failing = |requests, failed| Tally {
        requests,
        failed,
        ..Tally::default()
    };
    for (tally, expected) in [
        (failing(49, 49), vec![]),
        (failing(50, 25), vec![AlertRule::Errors]),
        (failing(100, 49), vec![]),
        (failing(1_000, 1_000), vec![AlertRule::Errors]),
    ] {
        let mut rules = Rules::new(AlertSettings::default());
        rules.used(key(1), tally, at(0));
        assert_eq!(raised(&rules.tick(at(0))), expected, "{tally:?}");
    }
    // Within five minutes, and not over longer.
    let mut rules = Rules::new(AlertSettings::default());
    for minute in 0..30 {
        rules.used(key(1), failing(9, 9), at(minute * 60));
        assert_eq!(raised(&rules.tick(at(minute * 60))), []);
    }
}

#[test]
fn refusals_at_a_limit_are_no_errors_and_tell_of_the_limit() {
    let limited = |limited| Tally {
        requests: 100,
        limited,
        ..Tally::default()
    };
    for (tally, limit, expected) in [
        (limited(9), None, vec![]),
        (limited(10), None, vec![AlertRule::NearLimit]),
        (limited(0), Some(126), vec![]),
        (limited(0), Some(125), vec![AlertRule::NearLimit]),
        (limited(0), Some(0), vec![]),
    ] {
        let mut rules = Rules::new(AlertSettings::default());
        rules.used(key(1), requests(1), at(-600));
        assert_eq!(rules.questions(10), [key(1)]);
        let facts = KeyFacts {
            per_minute: limit,
            quota_percent: None,
        };
        rules.learned(key(1), &facts, at(-600));
        rules.used(key(1), tally, at(0));
        assert_eq!(raised(&rules.tick(at(0))), expected, "{tally:?} {limit:?}");
    }
}

#[test]
fn a_quota_is_told_until_its_period_ends() {
    let mut rules = Rules::new(AlertSettings::default());
    let used = |percent| KeyFacts {
        per_minute: None,
        quota_percent: Some(percent),
    };
    for (second, percent) in [(0, 10), (600, 79)] {
        rules.learned(key(1), &used(percent), at(second));
        assert_eq!(rules.tick(at(second)), []);
    }
    rules.learned(key(1), &used(80), at(1_200));
    assert_eq!(raised(&rules.tick(at(1_200))), [AlertRule::NearQuota]);
    assert_eq!(rules.near_quota(), [key(1)]);
    // Not used for hours: it stands.
    assert_eq!(rules.tick(at(20_000)), []);
    rules.learned(key(1), &used(70), at(20_001));
    assert_eq!(rules.tick(at(20_001)), []);
    rules.learned(key(1), &used(0), at(20_002));
    assert_eq!(resolved(&rules.tick(at(20_002))), [AlertRule::NearQuota]);
}

#[test]
fn the_first_network_is_learned_and_the_next_one_told() {
    let mut rules = Rules::new(AlertSettings::default());
    let mut from = |address: &str, second| {
        rules.seen_from(key(1), address.parse().unwrap(), at(second));
        raised(&rules.tick(at(second)))
    };
    assert_eq!(from("192.0.2.7", 0), []);
    assert_eq!(from("192.0.2.250", 1), []);
    assert_eq!(from("::ffff:192.0.2.1", 2), []);
    assert_eq!(from("192.0.3.7", 3), [AlertRule::NewNetwork]);
    // Open, so that others are not told beside it, and known from now on.
    assert_eq!(from("2001:db8:1:2::3", 4), []);
    let later = 4 * 3_600;
    assert_eq!(from("2001:db8:1:ffff::", later), []);
    assert_eq!(from("192.0.2.7", later), []);
    assert_eq!(from("192.0.3.8", later), []);
    let much_later = later + 3 * 3_600;
    assert_eq!(from("2001:db8:2::", much_later), [AlertRule::NewNetwork]);
}

#[test]
fn networks_of_a_key_are_bounded_and_the_last_ones_are_kept() {
    let mut rules = Rules::new(AlertSettings::default());
    for number in 0..1_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(number << 8);
        rules.seen_from(key(1), address.into(), at(0));
    }
    let saved = rules.take_unsaved(10, at(0));
    assert_eq!(saved.len(), 1);
    assert_eq!(saved[0].networks.len(), 16);
    assert_eq!(saved[0].networks[15].to_string(), "0.3.231.0/24");
    assert_eq!(rules.take_unsaved(10, at(1)), []);
}

#[test]
fn dead_keys_are_told_with_the_address_and_raise_nothing_else() {
    let mut rules = Rules::new(AlertSettings::default());
    let address = "192.0.2.7".parse().unwrap();
    rules.presented(key(1), AlertRule::RevokedUsed, Some(address), 1, at(0));
    let tally = Tally {
        revoked: 100_000,
        ..Tally::default()
    };
    rules.used(key(1), tally, at(0));
    let notices = rules.tick(at(0));
    let [Notice::Raised(alert)] = notices.as_slice() else {
        panic!("{notices:?}");
    };
    assert_eq!(alert.rule, AlertRule::RevokedUsed);
    assert_eq!(
        alert.message(),
        "presented from 192.0.2.7 although it is revoked"
    );
    // It goes on for half a day, with pauses.
    for round in 1..24 {
        rules.used(key(1), tally, at(round * 1_800));
        assert_eq!(rules.tick(at(round * 1_800)), []);
    }
    let end = 23 * 1_800 + 3_600;
    assert_eq!(resolved(&rules.tick(at(end))), [AlertRule::RevokedUsed]);
}

#[test]
fn what_a_sweep_does_not_find_any_more_is_resolved() {
    let mut rules = Rules::new(AlertSettings::default());
    let rule = AlertRule::ExpiringSoon;
    rules.swept(rule, &[(key(1), 160), (key(2), 5)], true, at(0));
    let notices = rules.tick(at(0));
    assert_eq!(raised(&notices), [rule, rule]);
    let Notice::Raised(alert) = &notices[0] else {
        panic!("{notices:?}");
    };
    assert_eq!((alert.value, alert.threshold), (160, 168));
    // A list that was cut off says nothing of the others.
    rules.swept(rule, &[(key(1), 159)], false, at(3_600));
    assert_eq!(rules.tick(at(3_600)), []);
    rules.swept(rule, &[(key(1), 158)], true, at(7_200));
    assert_eq!(resolved(&rules.tick(at(7_200))), [rule]);
    assert_eq!(rules.open(), 1);
}

#[test]
fn a_rule_that_is_off_says_nothing() {
    let settings = AlertRule::ALL
        .into_iter()
        .fold(AlertSettings::default(), AlertSettings::without);
    let mut rules = Rules::new(settings);
    let tally = Tally {
        requests: 1_000,
        failed: 900,
        limited: 50,
        revoked: 1,
        expired: 1,
    };
    for minute in 0..100 {
        let address = std::net::Ipv4Addr::from_bits(minute << 8);
        rules.used(key(1), tally, at(i64::from(minute) * 60));
        rules.seen_from(key(1), address.into(), at(i64::from(minute) * 60));
    }
    rules.swept(AlertRule::Idle, &[(key(1), 99)], true, at(9_000));
    assert_eq!(rules.tick(at(9_000)), []);
}

#[test]
fn a_restart_raises_nothing_anew() {
    let (mut rules, start) = rules_that_know(60);
    let address = |text: &str| text.parse().unwrap();
    rules.seen_from(key(1), address("192.0.2.1"), at(start));
    rules.seen_from(key(1), address("192.0.3.1"), at(start));
    rules.used(key(1), requests(5_000), at(start));
    rules.swept(AlertRule::Idle, &[(key(9), 100)], true, at(start));
    let notices = rules.tick(at(start));
    let kept: Vec<Alert> = notices
        .into_iter()
        .map(|notice| match notice {
            Notice::Raised(alert) => alert,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kept.len(), 3);
    let habits = rules.take_unsaved(10, at(start));

    let mut rules = Rules::new(AlertSettings::default());
    rules.remember(kept, &habits);
    assert_eq!(rules.open(), 3);
    let now = start + 60;
    rules.seen_from(key(1), address("192.0.2.1"), at(now));
    rules.seen_from(key(1), address("192.0.3.1"), at(now));
    rules.used(key(1), requests(5_000), at(now));
    rules.swept(AlertRule::Idle, &[(key(9), 100)], true, at(now));
    assert_eq!(rules.tick(at(now)), []);
    // What ended meanwhile is told.
    rules.swept(AlertRule::Idle, &[], true, at(now + 1));
    assert_eq!(resolved(&rules.tick(at(now + 1))), [AlertRule::Idle]);
    // Nor is a network new that was known.
    let later = now + 10 * 3_600;
    rules.tick(at(later));
    rules.seen_from(key(1), address("192.0.2.1"), at(later));
    assert_eq!(raised(&rules.tick(at(later))), []);
}

#[test]
fn a_storm_of_a_hundred_thousand_keys_is_told_in_few_words_and_bounded() {
    let settings = AlertSettings::default();
    let (told, keys, open) = (settings.told_per_minute, settings.keys, settings.open);
    let mut rules = Rules::new(settings);
    let all_failing = Tally {
        requests: 100,
        failed: 100,
        ..Tally::default()
    };
    let mut notices = Vec::new();
    for second in 0..10 {
        for number in 0..100_000 {
            rules.used(key(number), all_failing, at(second));
        }
        notices.extend(rules.tick(at(second)));
        let (held_keys, held_alerts) = rules.held();
        assert!(held_keys <= keys, "{held_keys}");
        assert!(held_alerts <= 2 * open, "{held_alerts}");
        assert!(rules.questions.len() <= QUESTIONS);
    }
    assert_eq!(raised(&notices).len(), told as usize);
    assert_eq!(rules.open(), open);
    let minute_later = rules.tick(at(60));
    let [Notice::HeldBack(more)] = minute_later.as_slice() else {
        panic!("{minute_later:?}");
    };
    assert!(*more >= 100_000 - u64::from(told), "{more}");
    // And its end is not a storm either.
    let end = rules.tick(at(3_600));
    assert_eq!(resolved(&end).len(), told as usize);
    assert_eq!(rules.open(), 0);
    assert!(rules.tick(at(10_000)).is_empty());
    assert_eq!(rules.held().1, 0);
}

#[test]
fn a_clock_that_is_set_back_raises_no_spike_and_does_not_silence_alerts() {
    let (mut rules, start) = rules_that_know(60);
    let back = start - 86_400;
    for minute in 0..60 {
        rules.used(key(1), requests(60), at(back + minute * 60));
        assert_eq!(rules.tick(at(back + minute * 60)), []);
    }
    rules.used(key(1), requests(60_000), at(back + 3_600));
    assert_eq!(raised(&rules.tick(at(back + 3_600))), [AlertRule::Spike]);
}

proptest! {
    /// Whatever happens: an alert is raised only when it is not open, resolved only when it is, never
    /// raised twice within the cool-down, and never are more told in a minute than may be.
    #[test]
    fn alerts_are_raised_and_resolved_in_turn(
        acts in proptest::collection::vec(
            (0_u128..4, 0_u32..400, 0_u32..400, 0_u32..3, any::<u8>(), 0_i64..2_000),
            1..200,
        ),
        told in 0_u32..4,
        cool_down in 0_u64..10_000,
    ) {
        let settings = AlertSettings::default()
            .told_per_minute(told)
            .cool_down(Duration::from_secs(cool_down));
        let mut rules = Rules::new(settings);
        let mut open: HashMap<(KeyId, AlertRule), Option<Timestamp>> = HashMap::new();
        let mut now = 0;
        let mut in_minute: HashMap<i64, u32> = HashMap::new();
        for (number, count, failed, dead, network, pause) in acts {
            now += pause;
            let tally = Tally { requests: count, failed: failed.min(count), revoked: dead, ..Tally::default() };
            rules.used(key(number), tally, at(now));
            let address = std::net::Ipv4Addr::new(192, 0, network, 1);
            rules.seen_from(key(number), address.into(), at(now));
            for notice in rules.tick(at(now)) {
                match notice {
                    Notice::Raised(ref alert) | Notice::Resolved(ref alert) | Notice::Changed(ref alert) => {
                        let name = (alert.key, alert.rule);
                        if matches!(notice, Notice::Raised(_)) {
                            prop_assert!(alert.is_open());
                            *in_minute.entry(at(now).as_millis() / 60_000).or_default() += 1;
                        }
                        if alert.is_open() {
                            let last = open.insert(name, None);
                            prop_assert!(last != Some(None), "raised while open");
                            if let Some(Some(end)) = last {
                                let pause = alert.raised_at.saturating_since(end);
                                prop_assert!(pause >= Duration::from_secs(cool_down));
                            }
                        } else {
                            let last = open.insert(name, alert.resolved_at);
                            prop_assert_eq!(last, Some(None), "resolved while not open");
                        }
                    }
                    Notice::HeldBack(count) => prop_assert!(count > 0),
                }
            }
            let standing = open.values().filter(|end| end.is_none()).count();
            prop_assert_eq!(rules.open(), standing);
        }
        prop_assert!(in_minute.values().all(|count| *count <= told));
    }
}
