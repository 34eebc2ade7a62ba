//! Of the limits of one key.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn admitted(limits: &LimitSet, ticks: u64, tries: usize) -> usize {
    (0..tries)
        .filter(|_| limits.take(ticks, |_| 1).is_ok())
        .count()
}

#[test]
fn sixty_per_minute_is_sixty_a_minute_and_not_one() {
    let limits = LimitSet::new(&[RateLimit::per_minute(60)]);
    assert_eq!(admitted(&limits, SECOND, 100), 60);
    assert_eq!(admitted(&limits, 2 * SECOND, 100), 1);
    assert_eq!(admitted(&limits, 62 * SECOND, 100), 60);
}

#[test]
fn a_denied_request_spends_nothing_of_any_limit() {
    let rules = [
        RateLimit::per_minute(60).named("minute"),
        RateLimit::per_second(1).named("second"),
        RateLimit::per_hour(1_000).named("hour"),
    ];
    let limits = LimitSet::new(&rules);
    let first = limits.take(SECOND, |_| 1).unwrap().unwrap();
    let first = limits.standing_of(first).unwrap();
    assert_eq!((first.limit.name(), first.remaining), ("second", 0));
    for _ in 0..50 {
        let refused = limits.take(SECOND, |_| 1).unwrap_err();
        assert_eq!(refused.status.limit.name(), "second");
    }
    let second = limits.take(2 * SECOND, |_| 1).unwrap().unwrap();
    assert_eq!(second.remaining, 0);
    // Two were admitted and one second has passed: 59 of the minute's 60 are left.
    let by_name = |limit: &RateLimit| u32::from(limit.name() == "minute");
    let minute = limits.take(2 * SECOND, by_name).unwrap().unwrap();
    assert_eq!(minute.remaining, 58);
}

#[test]
fn a_costly_request_takes_all_it_costs_or_nothing() {
    let limits = LimitSet::new(&[
        RateLimit::per_minute(10),
        RateLimit::per_minute(7).named("tighter"),
    ]);
    assert!(limits.take(SECOND, |_| 5).is_ok());
    assert!(limits.take(SECOND, |_| 5).is_err());
    assert_eq!(limits.take(SECOND, |_| 2).unwrap().unwrap().remaining, 0);
    assert!(limits.take(SECOND, |_| 0).unwrap().is_none());
    // 7 of 10 are spent: the refused ones took nothing.
    let of_ten = |limit: &RateLimit| u32::from(limit.count() == 10);
    let first = limits.take(SECOND, of_ten).unwrap().unwrap();
    assert_eq!(first.remaining, 2);
    // No wait makes room for eleven.
    assert!(limits.take(3_600 * SECOND, |_| 11).is_err());
}

#[test]
fn the_wait_is_exact_and_the_reset_is_the_whole_burst() {
    let limits = LimitSet::new(&[RateLimit::per_minute(6).burst(2)]);
    assert_eq!(admitted(&limits, SECOND, 2), 2);
    let refused = limits.take(SECOND, |_| 1).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(10));
    assert_eq!(refused.status.resets_in, Duration::from_secs(20));
    assert!(limits.take(11 * SECOND - 1, |_| 1).is_err());
    assert!(limits.take(11 * SECOND, |_| 1).is_ok());
}

#[test]
fn changing_one_limit_gives_no_fresh_budget_under_another_name() {
    let limits = LimitSet::new(&[RateLimit::per_minute(10).named("a")]);
    assert_eq!(admitted(&limits, SECOND, 20), 10);
    let changed = limits.succeeding(&LimitRules::of(&[
        RateLimit::per_minute(10).named("a"),
        RateLimit::per_hour(100).named("b"),
    ]));
    assert!(changed.take(SECOND, |_| 1).is_err());
    assert!(!changed.is_idle(SECOND));
    assert!(changed.is_idle(62 * SECOND));
}

#[test]
fn the_ceiling_is_ten_times_as_wide_and_never_too_low_for_a_quiet_client() {
    let limits = LimitSet::new(&[
        RateLimit::per_minute(60),
        RateLimit::per_minute(1)
            .on_tool("shell".parse().unwrap())
            .named("shell"),
    ]);
    assert_eq!(admitted(limits.ceiling(), SECOND, 1_000), 600);
    // One call a day; a ping every half second goes on for hours.
    let slow = LimitSet::new(&[RateLimit::per_day(1)]);
    assert_eq!(admitted(slow.ceiling(), SECOND, 1_000), 120);
    for step in 1..10_000 {
        assert_eq!(admitted(slow.ceiling(), SECOND + step * SECOND / 2, 1), 1);
    }
    assert_eq!(
        admitted(&slow, SECOND, 2),
        1,
        "the limit itself is as it was"
    );
}

#[test]
fn the_ceiling_outlives_a_change_and_keeps_the_limits_from_being_forgotten() {
    let limits = LimitSet::new(&[RateLimit::per_minute(60)]);
    assert_eq!(admitted(limits.ceiling(), SECOND, 1_000), 600);
    assert!(
        !limits.is_idle(SECOND),
        "nothing was spent but of the ceiling"
    );
    let changed = limits.succeeding(&LimitRules::of(&[
        RateLimit::per_minute(60),
        RateLimit::per_hour(100_000).named("b"),
    ]));
    assert_eq!(admitted(changed.ceiling(), SECOND, 10), 0);
    assert!(changed.is_idle(3_700 * SECOND));
}

#[test]
fn many_threads_are_admitted_exactly_the_burst_and_the_rate() {
    for several in [false, true] {
        let mut rules = vec![RateLimit::per_second(100).burst(50)];
        if several {
            rules.push(RateLimit::per_hour(1_000_000).named("hour"));
        }
        let limits = LimitSet::new(&rules);
        let mut total = 0;
        for step in 0..200_u64 {
            let ticks = SECOND + step * 7_000_000;
            total += std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| admitted(&limits, ticks, 40)))
                    .collect();
                threads
                    .into_iter()
                    .map(|t| t.join().unwrap())
                    .sum::<usize>()
            });
            let exact = 50 + usize::try_from(step * 7 / 10).unwrap();
            assert!(
                total.abs_diff(exact) <= 1,
                "{total} against {exact} at step {step}"
            );
        }
    }
}

/// As the comment on [`LimitSet`] says: with the two counts of its `Arc` before it and the allocator's
/// own word behind it, and whatever multiple of sixteen it begins at.
#[test]
fn what_every_request_writes_shares_its_cache_line_with_nothing_of_another_key() {
    use std::mem::{offset_of, size_of};

    const LINE: usize = 64;
    let counts = 2 * size_of::<usize>();
    let own = counts + size_of::<LimitSet>() + size_of::<usize>();
    for begins_at in [0, 16, 32, 48] {
        for (field, size) in [
            (offset_of!(LimitSet, several), size_of::<Mutex<()>>()),
            (offset_of!(LimitSet, arrival), size_of::<Arrival>()),
        ] {
            let first = begins_at + counts + field;
            let last = first + size - 1;
            assert!(first / LINE * LINE >= begins_at, "{begins_at} {field}");
            assert!(
                (last / LINE + 1) * LINE <= begins_at + own,
                "{begins_at} {field}"
            );
        }
    }
    assert!(own <= 128, "{own}");
}

#[test]
fn keys_by_the_same_rules_spend_their_own() {
    let rules = LimitRules::of(&[RateLimit::per_minute(3)]);
    let [one, other] = [(); 2].map(|()| LimitSet::of(&rules));
    assert_eq!(admitted(&one, SECOND, 5), 3);
    assert_eq!(admitted(&other, SECOND, 5), 3);
    assert!(one.implements(&LimitRules::of(&[RateLimit::per_minute(3)])));
    assert!(!one.implements(&LimitRules::of(&[RateLimit::per_minute(4)])));
}

#[test]
fn more_limits_than_a_line_holds_are_all_charged() {
    let rules: Vec<_> = (0..2 * PER_LINE as u32)
        .map(|at| RateLimit::per_hour(9 - at).named(format!("n{at}")))
        .collect();
    let limits = LimitSet::new(&rules);
    let tightest = limits.take(SECOND, |_| 1).unwrap().unwrap();
    let tightest = limits.standing_of(tightest).unwrap();
    assert_eq!((tightest.limit.name(), tightest.remaining), ("n7", 1));
    assert_eq!(admitted(&limits, SECOND, 5), 1);
    for (at, rule) in rules.iter().enumerate() {
        let by_name = |limit: &RateLimit| u32::from(limit.name() == rule.name());
        let left = limits.take(SECOND, by_name).map(|left| left.unwrap());
        assert_eq!(
            left.map(|left| left.remaining).ok(),
            6_u32.checked_sub(at as u32)
        );
    }
}
