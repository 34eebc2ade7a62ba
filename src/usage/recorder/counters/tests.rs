use std::cell::RefCell;

use super::super::counters::*;

const WORDS: [u64; 4] = [1, 2, 3, 4];

fn read(readings: &mut Readings, counters: &Counters) -> Vec<([u64; 4], u64, u64)> {
    let mut all = Vec::new();
    readings.read(counters, |words, time, more| all.push((words, time, more)));
    all
}

#[test]
fn what_is_alike_is_counted_and_read_once() {
    let counters = Counters::new(4);
    let mut readings = Readings::of(&counters);
    assert!(!counters.count(&WORDS, 7_001));
    assert!(counters.begin(&WORDS, 7_001, |_| unreachable!()));
    assert!(counters.count(&WORDS, 7_999));
    assert_eq!(read(&mut readings, &counters), [(WORDS, 7_000, 2)]);
    assert_eq!(read(&mut readings, &counters), []);
    assert!(counters.count(&WORDS, 7_500));
    assert_eq!(read(&mut readings, &counters), [(WORDS, 7_000, 1)]);
    for other in [[0, 2, 3, 4], [1, 0, 3, 4], [1, 2, 0, 4], [1, 2, 3, 0]] {
        assert!(!counters.count(&other, 7_500));
    }
    assert!(!counters.count(&WORDS, 8_000));
    assert!(!counters.count(&WORDS, 6_999));
}

#[test]
fn a_counter_is_handed_over_when_its_time_is_over_and_it_is_taken() {
    let counters = Counters::new(1);
    let mut readings = Readings::of(&counters);
    let other = [5, 6, 7, 8];
    assert!(counters.begin(&WORDS, 3_000, |_| unreachable!()));
    assert!(counters.count(&WORDS, 3_000));
    assert_eq!(read(&mut readings, &counters), [(WORDS, 3_000, 2)]);
    assert!(counters.count(&WORDS, 3_000));
    assert!(!counters.begin(&other, 3_999, |_| unreachable!()));
    assert!(!counters.begin(&other, 4_000, |_| false));
    assert!(counters.count(&WORDS, 3_000));
    let handed = RefCell::new(None);
    let hand_over = |total: &Total| handed.replace(Some(*total)).is_none();
    assert!(counters.begin(&other, 4_000, hand_over));
    assert!(counters.count(&other, 4_000));
    let total = handed.take().unwrap();
    let told = (total.words, total.time, total.counter, total.count);
    assert_eq!(told, (WORDS, 3_000, 0, 4));
    // Before the total was settled nobody knows what the count is to be compared with.
    assert_eq!(read(&mut readings, &counters), []);
    assert_eq!(readings.settle(total.counter, total.count), 2);
    assert_eq!(read(&mut readings, &counters), [(other, 4_000, 2)]);
}
