//! Lists: pages and filters.

use std::collections::{BTreeMap, BTreeSet};

use super::{all, insert, ok};
use crate::clock::Timestamp;
use crate::key::{CredentialId, StatusKind};
use crate::store::{KeyFilter, KeyStore, KeyUse, PageRequest};
use crate::testing::records::{Dice, NOON, random_record, record};

/// Pages follow each other without gaps or repeats, in the order of ids; the last one says so.
pub async fn lists_in_pages_without_gaps_or_repeats(store: &dyn KeyStore) {
    // Numbers of very different size, inserted out of order.
    let numbers = [5, 61, 62, 1, 3_843, 3_844, 2, u64::MAX, 100];
    for number in numbers {
        insert(store, &mut record(number)).await;
    }
    let sorted: Vec<_> = BTreeSet::from(numbers)
        .into_iter()
        .map(|n| record(n).id)
        .collect();
    for size in 1..=numbers.len() + 1 {
        let mut page = PageRequest::first(size);
        let mut seen = Vec::new();
        loop {
            let found = ok(store.list(&KeyFilter::all(), page).await);
            seen.extend(found.records.iter().map(|record| record.id));
            assert!(found.records.len() <= size);
            let Some(next) = found.next else { break };
            assert_eq!(found.records.len(), size);
            page = page.after(next);
        }
        assert_eq!(seen, sorted, "pages of {size}");
    }
    // It starts after an id that is not there, too, and bounds sizes that make no sense.
    let odd = PageRequest::first(0).after(record(63).id);
    assert_eq!(
        ok(store.list(&KeyFilter::all(), odd).await).records[0].id,
        record(100).id
    );
    let huge = PageRequest::first(usize::MAX);
    assert_eq!(
        ok(store.list(&KeyFilter::all(), huge).await).records.len(),
        numbers.len()
    );
}

/// A list holds exactly what [`KeyFilter::matches`] matches.
pub async fn filters_as_the_filter_says(store: &dyn KeyStore) {
    let mut dice = Dice::new(7);
    for number in 0..60 {
        insert(store, &mut random_record(number, &mut dice)).await;
    }
    let everything = all(store).await;
    let mut used = BTreeMap::new();
    for record in &everything {
        if dice.roll(2) == 0 {
            continue;
        }
        let at = Timestamp::from_millis(NOON.as_millis() + dice.pick(&[0, 1, 2]));
        let credential = CredentialId::FIRST;
        let key = record.id;
        let one = KeyUse {
            key,
            credential,
            at,
        };
        ok(store.note_uses(&[one]).await);
        used.insert(key, at);
    }
    for _ in 0..600 {
        let filter = random_filter(&mut dice);
        let found = ok(store.list(&filter, PageRequest::first(1_000)).await);
        let matching: Vec<_> = everything
            .iter()
            .filter(|record| filter.matches(record, used.get(&record.id).copied()))
            .collect();
        assert_eq!(
            found.records.iter().collect::<Vec<_>>(),
            matching,
            "{filter:?}"
        );

        let short = ok(store.list(&filter, PageRequest::first(3)).await);
        assert_eq!(
            short.records.iter().collect::<Vec<_>>(),
            matching[..matching.len().min(3)]
        );
        assert_eq!(short.next.is_some(), matching.len() > 3, "{filter:?}");
    }
}

/// A filter with some of its fields set, to values that [`random_record`] uses and others.
pub fn random_filter(dice: &mut Dice) -> KeyFilter {
    const OWNERS: [&str; 4] = ["ada", "Ada", "bob%", "nobody"];
    const SERVERS: [&str; 3] = ["files", "mail", "billing"];
    const STATUS: [StatusKind; 3] = [
        StatusKind::Active,
        StatusKind::Disabled,
        StatusKind::Revoked,
    ];
    const PARTS: [&str; 8] = ["BACK", "back", "%", "_", "", "ß", "i\u{307}", "SS"];

    let owner = maybe(dice, &OWNERS).map(|owner| owner.parse().expect("a valid owner"));
    let server = maybe(dice, &SERVERS).map(|server| server.parse().expect("a valid name"));
    let time = |dice: &mut Dice| {
        let millis = maybe(dice, &[0, 1, 2, 3]);
        millis.map(|millis| Timestamp::from_millis(NOON.as_millis() + millis))
    };
    let plan = maybe(dice, &["free", "Free", "none"]).and_then(|plan| plan.parse().ok());
    KeyFilter {
        owner,
        server,
        status: maybe(dice, &STATUS),
        name_contains: maybe(dice, &PARTS).map(str::to_owned),
        plan,
        expires_before: time(dice),
        created_before: time(dice),
        idle_since: time(dice),
        connections: maybe(dice, &[true, false]),
        include_revoked: dice.roll(2) == 0,
    }
}

fn maybe<T: Copy>(dice: &mut Dice, choices: &[T]) -> Option<T> {
    (dice.roll(3) == 0).then(|| dice.pick(choices))
}
