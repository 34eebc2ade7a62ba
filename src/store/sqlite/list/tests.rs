use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _, query};

use super::*;
use crate::key::{CredentialId, KeyId, KeyRecord};
use crate::store::sqlite::write::Write;
use crate::store::{KeyStore, KeyUse, SqliteStore};
use crate::testing::act;
use crate::testing::records::{Dice, NOON, random_record, record};
use crate::testing::store::random_filter;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOON.as_millis() + millis)
}

/// Inserts the records as one write.
async fn fill(store: &SqliteStore, records: impl Iterator<Item = KeyRecord>) {
    let mut write = Write::begin(store).await.unwrap();
    let mut last = None;
    for record in records {
        write.insert(&record).await.unwrap();
        write.put_names(&record).await.unwrap();
        last = Some(record.id);
    }
    write.commit(&last.unwrap().into(), &act()).await.unwrap();
}

async fn use_at(store: &SqliteStore, uses: &BTreeMap<KeyId, Timestamp>) {
    let uses: Vec<_> = uses
        .iter()
        .map(|(&key, &at)| KeyUse {
            key,
            credential: CredentialId::FIRST,
            at,
        })
        .collect();
    store.note_uses(&uses).await.unwrap();
}

/// One filter for each condition there is, by its name.
fn single_conditions() -> Vec<(&'static str, KeyFilter)> {
    let with = |set: &dyn Fn(&mut KeyFilter)| {
        let mut filter = KeyFilter::default();
        set(&mut filter);
        filter
    };
    vec![
        ("in force", KeyFilter::default()),
        ("all", KeyFilter::all()),
        ("owner", with(&|f| f.owner = Some("ada".parse().unwrap()))),
        (
            "server",
            with(&|f| f.server = Some("mail".parse().unwrap())),
        ),
        ("active", with(&|f| f.status = Some(StatusKind::Active))),
        ("revoked", with(&|f| f.status = Some(StatusKind::Revoked))),
        ("name", with(&|f| f.name_contains = Some("CkUp".to_owned()))),
        ("plan", with(&|f| f.plan = Some("free".parse().unwrap()))),
        ("expires", with(&|f| f.expires_before = Some(at(1)))),
        ("created", with(&|f| f.created_before = Some(at(1)))),
        ("idle", with(&|f| f.idle_since = Some(at(1)))),
        ("connections", with(&|f| f.connections = Some(true))),
        ("no connections", with(&|f| f.connections = Some(false))),
    ]
}

async fn plan_of(store: &SqliteStore, statement: &str) -> Vec<String> {
    query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
        .fetch_all(&store.pool)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get::<String, _>("detail"))
        .collect()
}

/// Tables are searched. What is scanned is the page itself, the matches in the index of names, and
/// indexes of nothing but keys that meet a condition.
fn assert_searches(steps: &[String], what: &str) {
    const HARMLESS: [&str; 4] = [
        "SCAN h",
        "SCAN api_key_names VIRTUAL TABLE INDEX 0:M0",
        "SCAN k USING COVERING INDEX api_keys_for_all_servers",
        "SCAN k USING INDEX api_keys_with_a_nul",
    ];
    for step in steps.iter().filter(|step| step.starts_with("SCAN")) {
        assert!(HARMLESS.contains(&step.as_str()), "{what}: {steps:#?}");
    }
}

#[tokio::test]
async fn every_condition_is_answered_from_an_index() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut dice = Dice::new(11);
    fill(&store, (0..20_000).map(|n| random_record(n, &mut dice))).await;

    for analyzed in [false, true] {
        if analyzed {
            // A program may do so, and the plans must not turn worse by it.
            query("ANALYZE").execute(&store.pool).await.unwrap();
        }
        for (what, filter) in single_conditions() {
            let begins = Source::possible(&filter).chain([Source::Ids]);
            for source in begins {
                let steps = plan_of(&store, &source.listing(&filter)).await;
                assert_searches(&steps, what);
                // Rows are sorted as a page; ids only where the index has another order.
                let sorts = steps.iter().filter(|step| step.contains("TEMP B-TREE"));
                let most = if source.is_ordered() { 1 } else { 2 };
                assert!(sorts.count() <= most, "{what} from {source:?}: {steps:#?}");
                if source != Source::Ids {
                    assert_searches(&plan_of(&store, &source.counting()).await, what);
                }
            }
        }
    }
}

/// Which index is begun with must not matter, so all that are possible are.
#[tokio::test]
async fn lists_are_the_same_whatever_they_begin_with() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut dice = Dice::new(5);
    let records: Vec<_> = (0..400)
        .map(|number| {
            let mut record = random_record(number, &mut dice);
            match number % 40 {
                0 => record.name.push_str("\"'\0tail"),
                1 => record.name.push_str(&"long ".repeat(40)),
                2 => record.name.push_str("日本語 K\u{212a}"),
                _ => {}
            }
            record
        })
        .collect();
    fill(&store, records.iter().cloned()).await;
    let mut uses = BTreeMap::new();
    for record in records.iter().step_by(2) {
        // Some were used before they were made: clocks differ.
        uses.insert(record.id, at(dice.pick(&[-1, 0, 1, 2])));
    }
    use_at(&store, &uses).await;

    let long = "LONG ".repeat(39);
    let parts = [
        "\"'",
        "\"'\0t",
        "tail",
        "ackup",
        "日本語",
        "kk",
        " k\u{212a}",
        &long,
    ];
    for turn in 0..600 {
        let mut filter = random_filter(&mut dice);
        if turn % 2 == 0 {
            filter.name_contains = Some(dice.pick(&parts).to_owned());
        }
        let after = (turn % 3 == 0).then(|| record(dice.roll(400)).id);
        let matching: Vec<_> = records
            .iter()
            .filter(|record| after.is_none_or(|after| record.id > after))
            .filter(|record| filter.matches(record, uses.get(&record.id).copied()))
            .map(|record| record.id)
            .take(8)
            .collect();
        for source in Source::possible(&filter).chain([Source::Ids]) {
            let after = after.map_or_else(String::new, |id| id.to_string());
            let listing: QueryAs<'_, Sqlite, Row, SqliteArguments> =
                query_as(AssertSqlSafe(source.listing(&filter)));
            let rows = bind!(listing, filter, after, 8)
                .fetch_all(&store.pool)
                .await;
            let found: Vec<_> = rows
                .unwrap()
                .into_iter()
                .map(|row| row.into_record().unwrap().id)
                .collect();
            assert_eq!(found, matching, "{filter:?} from {source:?}");
        }
    }
}

/// What is kept beside the records follows them through every kind of write.
#[tokio::test]
async fn lists_follow_what_is_written() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut key = record(1);
    "nightly backup".clone_into(&mut key.name);
    key.created_at = at(0);
    key.revision = store.insert(&key, &act()).await.unwrap();
    let named = |part: &str| KeyFilter {
        name_contains: Some(part.to_owned()),
        ..KeyFilter::all()
    };
    let idle = |millis| KeyFilter {
        idle_since: Some(at(millis)),
        ..KeyFilter::all()
    };
    let page = PageRequest::default();
    let count = async |filter: KeyFilter| store.list(&filter, page).await.unwrap().records.len();
    assert_eq!(
        choose(&store.pool, &named("backup")).await.unwrap(),
        Source::Name
    );
    assert_eq!(
        choose(&store.pool, &idle(1)).await.unwrap(),
        Source::Idleness
    );
    assert_eq!(
        (
            count(named("BACKUP")).await,
            count(idle(0)).await,
            count(idle(1)).await
        ),
        (1, 0, 1)
    );

    // Renamed and redated.
    "daily report".clone_into(&mut key.name);
    key.created_at = at(5);
    key.revision = store.replace(&key, key.revision, &act()).await.unwrap();
    assert_eq!(
        (count(named("backup")).await, count(named("report")).await),
        (0, 1)
    );
    assert_eq!((count(idle(5)).await, count(idle(6)).await), (0, 1));

    // Used, used again, and used earlier than is known already.
    for (used, until) in [(3, 4), (9, 10), (7, 10)] {
        use_at(&store, &BTreeMap::from([(key.id, at(used))])).await;
        assert_eq!(
            (count(idle(until - 1)).await, count(idle(until)).await),
            (0, 1)
        );
    }
    // A date that changes does not count any more.
    key.created_at = at(20);
    key.revision = store.replace(&key, key.revision, &act()).await.unwrap();
    assert_eq!((count(idle(9)).await, count(idle(10)).await), (0, 1));

    // Numbers survive a VACUUM, which gives rows of other tables new ones.
    let mut other = record(2);
    "another backup".clone_into(&mut other.name);
    store.insert(&other, &act()).await.unwrap();
    assert!(store.delete(key.id, &act()).await.unwrap());
    query("VACUUM").execute(&store.pool).await.unwrap();
    assert_eq!(
        (count(named("report")).await, count(named("backup")).await),
        (0, 1)
    );
    assert!(store.delete(other.id, &act()).await.unwrap());
    for (part, rest) in [("api_key_listing", 0), ("api_keys", 0)] {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {part}"));
        let rows: i64 = query_scalar(sql).fetch_one(&store.pool).await.unwrap();
        assert_eq!(rows, rest, "{part}");
    }
    let check = "INSERT INTO api_key_names (api_key_names) VALUES ('integrity-check')";
    query(check).execute(&store.pool).await.unwrap();
}

/// A database of the version before has its keys in the new indexes after it was opened.
#[tokio::test]
async fn an_older_database_is_indexed_when_it_is_opened() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut dice = Dice::new(3);
    let records: Vec<_> = (0..100).map(|n| random_record(n, &mut dice)).collect();
    fill(&store, records.iter().cloned()).await;
    let uses: BTreeMap<_, _> = records.iter().step_by(3).map(|r| (r.id, at(2))).collect();
    use_at(&store, &uses).await;
    for sql in without_the_indexes() {
        query(AssertSqlSafe(sql))
            .execute(&store.pool)
            .await
            .unwrap();
    }
    let forget = "DELETE FROM api_key_migrations WHERE version = 5";
    query(forget).execute(&store.pool).await.unwrap();
    let store = SqliteStore::with_pool(store.pool).await.unwrap();
    for (what, filter) in single_conditions() {
        let found = store
            .list(&filter, PageRequest::first(1_000))
            .await
            .unwrap();
        let found: Vec<_> = found.records.iter().map(|record| record.id).collect();
        let matching: Vec<_> = records
            .iter()
            .filter(|record| filter.matches(record, uses.get(&record.id).copied()))
            .map(|record| record.id)
            .collect();
        assert_eq!(found, matching, "{what}");
    }
}

/// Takes a database back to the version before lists had their indexes.
fn without_the_indexes() -> Vec<String> {
    let text = include_str!("../migrations/0005_lists.sql");
    let mut drops: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line
                .strip_prefix("CREATE ")?
                .trim_start_matches("VIRTUAL ")
                .split(' ');
            let (kind, name) = (words.next()?, words.next()?);
            Some(format!("DROP {kind} {name}"))
        })
        .collect();
    // A table's indexes and triggers go before the table.
    drops.reverse();
    drops
}
