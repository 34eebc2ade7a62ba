use super::*;
use crate::key::KeyId;

fn change(revision: u64, stamp: u64) -> Change {
    Change {
        revision: Revision::new(revision),
        subject: KeyId::from_u128(1).into(),
        stamp,
    }
}

fn at(revision: u64) -> Position {
    Position::at(Revision::new(revision))
}

#[test]
fn a_new_log_is_read_from_its_beginning() {
    let mut position = at(0);
    assert_eq!(position.before(), Revision::new(0));
    assert_eq!(position.follow(&[]), Some(&[][..]));
    let log = [change(1, 7), change(2, 8)];
    assert_eq!(position.follow(&log), Some(&log[..]));
    assert_eq!(position.before(), Revision::new(1));
    assert_eq!(position.follow(&log[1..]), Some(&[][..]));
}

#[test]
fn what_follows_the_known_change_is_new() {
    let mut position = at(5);
    let log = [change(5, 1), change(6, 2), change(7, 3)];
    assert_eq!(position.follow(&log), Some(&log[1..]));
    assert_eq!(position.before(), Revision::new(6));
}

#[test]
fn another_change_of_the_known_revision_is_another_log() {
    let mut position = at(5);
    assert_eq!(position.follow(&[change(5, 1)]), Some(&[][..]));
    assert_eq!(position.follow(&[change(5, 2), change(6, 3)]), None);
    // And so is a log that ends before it.
    assert_eq!(position.follow(&[]), None);
    assert_eq!(at(5).follow(&[]), None);
}

#[test]
fn a_log_that_has_forgotten_what_was_never_read_contradicts_nothing() {
    let mut position = at(5);
    assert!(position.stands_at(Revision::new(5)));
    assert!(!position.stands_at(Revision::new(4)));
    assert!(!position.stands_at(Revision::new(6)));
    position.follow(&[change(5, 1)]);
    assert!(!position.stands_at(Revision::new(5)));
}
