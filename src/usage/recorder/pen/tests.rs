use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::usage::recorder::{Ended, Keeping, KnownName};
use crate::usage::{BatchId, UsageRetention, UsageStatus, UsageStep};

/// Many more kinds of requests than there are counters.
const KINDS: u64 = 5_000;

fn ended(kind: u64) -> Ended {
    Ended {
        key: KeyId::from_u128(u128::from(kind / 2) << 64 | 7),
        credential: CredentialId::FIRST,
        carrier: Carrier::Bearer,
        server: 0,
        method: KnownName::Post,
        status: match kind % 2 {
            0 => UsageStatus::Success,
            _ => UsageStatus::ServerError,
        },
        cost: 3,
    }
}

/// A few kinds come often and many seldom, time goes on, and now and then what there is is taken: each
/// request is added once to what it was, in its hour.
#[test]
fn counted_or_written_each_request_is_added_once() {
    let (mut pen, mut queue) = ends(0);
    let mut book = Book::new(1_000_000);
    let mut expected = BTreeMap::new();
    let mut dice = 1_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % sides
    };
    let mut at = Timestamp::from_millis(1_000_000_000_000);
    for _ in 0..200_000 {
        let kind = match roll(4) {
            0 => roll(KINDS),
            _ => roll(8),
        };
        let ended = ended(kind);
        let pushed = match roll(16) {
            // As a request that is timed.
            0 => pen.push(ended.words(Some((9, 1))), at.as_millis()),
            _ => pen.count(ended.words(None), at.as_millis()),
        };
        let hour = UsageStep::Hour.start_of(at);
        if pushed != Pushed::Refused {
            *expected.entry((hour, ended.key, kind % 2)).or_insert(0) += 1_u64;
        }
        if roll(1_000) == 0 {
            at = at.saturating_add(Duration::from_millis(roll(3_000)));
        }
        if roll(20_000) == 0 {
            at = at.saturating_add(Duration::from_secs(3_600));
        }
        if roll(5_000) == 0 {
            queue.add_to(&mut book);
        }
    }
    queue.add_to(&mut book);
    let keeping = Keeping {
        retention: UsageRetention::default(),
        write_every: Duration::from_secs(1),
        rows: 1_000_000,
        reason: |_| "other",
    };
    book.close_page(at, false, &keeping, |_| None);
    let mut sums = BTreeMap::new();
    let id = BatchId {
        recorder: 1,
        number: 1,
    };
    while let Some(batch) = book.take_batch(id, at, &keeping, |_| None) {
        for row in &batch.rows {
            let kind = u64::from(row.status == UsageStatus::ServerError);
            *sums.entry((row.hour, row.key.unwrap(), kind)).or_insert(0) += row.requests;
            assert_eq!(row.cost, row.requests * 3);
        }
    }
    assert!(sums.values().sum::<u64>() > 150_000, "too few fit");
    assert_eq!(sums, expected);
}
