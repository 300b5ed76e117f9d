//! What runs give back, in what order and in which values.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vitalsync_core::gather::History;
use vitalsync_core::time::{DAY_MS, Day};

use super::*;
use crate::store::usage::{Counting, Kept, Row};

/// What was counted: account, id, day, lag and event with how often.
type Counted = BTreeMap<(Id, Id, i32, i32, Id), i64>;

fn spot(account: Id, subject: Id, day: i32, lag: i32) -> Spot {
    Spot { account, subject, day: Day(20_500 + day), lag }
}

/// Each spot has a moment of its own.
fn moment(spot: &Spot) -> i64 {
    i64::from(spot.day.0) * DAY_MS + i64::from(spot.subject) * 1000 + i64::from(spot.lag)
}

fn row(spot: Spot, event: Id, count: i32) -> Row {
    Row::new(&spot, event, count, moment(&spot))
}

fn add(store: &Store, number: u32, rows: Vec<Row>) -> Option<Run> {
    let (mut rows, mut batch) = (rows, Batch::default());
    let run = store.add_counts(1, number, &mut rows, &mut batch).unwrap();
    store.apply(batch).unwrap();
    run
}

/// What is read, in whose order it came.
fn read(store: &Store, generations: &[(Generation, Vec<Run>)]) -> (Counted, Vec<Id>) {
    let counting = generations.iter().map(|(number, runs)| (*number, Counting { writes: 0, runs: runs.clone() }));
    let (mut counted, mut order) = (Counted::new(), Vec::new());
    let kept = Kept::of(store, counting);
    kept.spots(&mut |spot, last, counts| {
        assert_eq!(last, moment(spot));
        order.push(spot.account);
        for (event, count) in counts {
            let key = (spot.account, spot.subject, spot.day.0, spot.lag, *event);
            *counted.entry(key).or_default() += count;
        }
    })
    .unwrap();
    counted.retain(|_, count| *count != 0);
    (counted, order)
}

fn values(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.scan(b"c").map(Result::unwrap).collect()
}

type Raw = (Id, Id, i32, i32, Id, i32);

fn raw() -> impl Strategy<Value = Vec<Raw>> {
    prop::collection::vec((0u32..5, 1u32..9, 0i32..80, 0i32..3, 1u32..4, -2i32..4), 0..120)
}

fn rows(raw: &[Raw], counted: &mut Counted) -> Vec<Row> {
    raw.iter()
        .map(|(account, subject, day, lag, event, count)| {
            let spot = spot(*account, *subject, *day, *lag);
            *counted.entry((*account, *subject, spot.day.0, *lag, *event)).or_default() += i64::from(*count);
            row(spot, *event, *count)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_add_up_to_what_was_written(writes in prop::collection::vec(raw(), 1..7), merged in prop::collection::vec(any::<bool>(), 7)) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (mut expected, mut runs) = (Counted::new(), Vec::new());
        for (number, raw) in (1..).zip(&writes) {
            runs.extend(add(&store, number, rows(raw, &mut expected)));
        }
        expected.retain(|_, count| *count != 0);
        prop_assert_eq!(&read(&store, &[(1, runs.clone())]).0, &expected);
        let (old, mut new): (Vec<Run>, Vec<Run>) =
            runs.iter().partition(|run| merged.get(run.number as usize - 1) == Some(&true));
        new.extend(store.merge_runs(1, &old, 99).unwrap());
        prop_assert_eq!(&read(&store, &[(1, runs)]).0, &expected, "those that were put together are still there");
        let (counted, order) = read(&store, &[(1, new.clone())]);
        prop_assert_eq!(&counted, &expected);
        prop_assert!(order.is_sorted());
        store.drop_runs(1, &new).unwrap();
        let mut left: Vec<u32> = new.iter().map(|run| run.number).collect();
        left.sort_unstable();
        prop_assert_eq!(store.runs(1).unwrap(), left);
        prop_assert_eq!(read(&store, &[(1, new)]).0, expected);
        prop_assert_eq!(store.verify().problem_count, 0);
    }

    #[test]
    fn what_is_taken_out_of_values_is_gone(raw in raw()) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut expected = Counted::new();
        let runs: Vec<Run> = add(&store, 1, rows(&raw, &mut expected)).into_iter().collect();
        expected.retain(|(account, subject, ..), count| *count != 0 && *account != 2 && *subject != 3);
        let mut batch = Batch::default();
        for (key, value) in values(&store) {
            match keep(&key, &value, |spot, _| spot.account != 2 && spot.subject != 3).unwrap() {
                Left::All => {}
                Left::Some(value) => batch.put(key, value),
                Left::Nothing => batch.remove(key),
            }
        }
        store.apply(batch).unwrap();
        prop_assert_eq!(read(&store, &[(1, runs)]).0, expected);
        prop_assert_eq!(store.verify().problem_count, 0);
    }
}

#[test]
fn accounts_of_all_generations_come_in_order_those_without_one_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut generations = Vec::new();
    for generation in 1..=3u16 {
        let mut runs = Vec::new();
        for number in 1..=4u32 {
            let accounts = [9 - number, u32::from(generation), 0];
            let mut rows: Vec<Row> = accounts.map(|account| row(spot(account, number, 3, 0), 1, 1)).into();
            let mut batch = Batch::default();
            runs.extend(store.add_counts(generation, number, &mut rows, &mut batch).unwrap());
            store.apply(batch).unwrap();
        }
        generations.push((generation, runs));
    }
    let (counted, order) = read(&store, &generations);
    assert_eq!((order.len(), counted.values().sum::<i64>()), (36, 36));
    assert!(order.is_sorted() && order.starts_with(&[0; 12]), "{order:?}");
}

#[test]
fn what_comes_after_the_runs_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let file = keys::file(1, "a path as long as a key of counts");
    assert_eq!(keys::read_counts(&file), None);
    let mut batch = Batch::default();
    batch.put(file, b"{}".to_vec());
    store.apply(batch).unwrap();
    assert_eq!(store.runs(1).unwrap(), [0u32; 0]);
    add(&store, 7, vec![row(spot(1, 1, 0, 0), 1, 1)]);
    assert_eq!(store.runs(1).unwrap(), [7]);
}

#[test]
fn values_are_few_and_stay_below_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut expected = Counted::new();
    let mut raw: Vec<Raw> = (1..3000).map(|account| (account, account % 700, 5, 0, 1, 1)).collect();
    // One id with more than a value holds, in one account and month.
    raw.extend((0..20_000).map(|n| (50, 7, n % 9, n / 9 % 400, 1 + n as Id / 3600, 3)));
    // Many events on one spot.
    raw.extend((1..9000).map(|event| (51, 7, 3, 2, event, 1)));
    raw.extend((0..9000).map(|n| (52, 1 + n, 8, 0, 1, 1)));
    let run = add(&store, 1, rows(&raw, &mut expected)).unwrap();
    let bytes: usize = values(&store).iter().map(|(_, value)| value.len()).sum();
    assert_eq!(bytes as u64, run.bytes);
    for (key, value) in values(&store) {
        assert!(value.len() <= VALUE + 16, "{} bytes", value.len());
        assert!(key.len() <= 17);
    }
    assert!(values(&store).len() < bytes / (VALUE / 2), "{} values for {bytes} bytes", values(&store).len());
    assert_eq!(read(&store, &[(1, vec![run])]).0, expected);
    // The same again with more, so that blocks end elsewhere, and put together: each count is there once.
    raw.extend((0..9000).map(|n| (52, 1 + n / 2, 8, 0, 1 + n % 2, 2)));
    let again = add(&store, 2, rows(&raw, &mut expected)).unwrap();
    let merged = store.merge_runs(1, &[run, again], 3).unwrap().unwrap();
    let (counted, order) = read(&store, &[(1, vec![merged])]);
    assert_eq!((counted.len(), counted == expected, order.is_sorted()), (expected.len(), true, true));
    let mut cells = Vec::new();
    let (mut merged, mut all) = (Merged::of(&store, [(1, merged.number)]).unwrap(), 0);
    while merged.block(|_, month, body| merged::read_cells(month, body, &mut cells)).unwrap() {
        all += cells.len();
        cells.clear();
    }
    assert_eq!(all, expected.len());
    assert!(values(&store).iter().all(|(_, value)| value.len() <= VALUE + 16));
}

#[test]
fn so_many_of_a_size_are_due() {
    let run = |number: usize, bytes| Run { number: number as u32, bytes, first: 24_000, small: 0 };
    let mut runs: Vec<Run> = (0..MANY - 1).map(|number| run(number, 9_000_000 + number as u64)).collect();
    runs.extend((0..MANY - 1).map(|number| run(100 + number, 3000)));
    assert_eq!(due(&runs), None);
    runs.push(run(200, 31_000));
    let due = due(&runs).unwrap();
    assert_eq!(due.len(), MANY);
    assert!(due.iter().all(|run| run.number >= 100), "{due:?}");
}

/// Of runs with older months one may take back what another one has, so they are made small together, and once.
#[test]
fn older_months_of_several_runs_are_made_small_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut written = Counted::new();
    let first = [(1, 7, 0, 0, 1, 2), (1, 7, 5, 0, 1, 3), (1, 7, 9, 0, 1, 1), (1, 7, 70, 0, 1, 4)];
    let mut runs: Vec<Run> = add(&store, 1, rows(&first, &mut written)).into_iter().collect();
    runs.extend(add(&store, 2, rows(&[(1, 7, 9, 1, 1, -1), (2, 7, 70, 0, 1, 1)], &mut written)));
    let by_day = codec::month(Day(20_500 + 70));
    let retain = |runs: &[Run], numbers, any| {
        store.retain_counts(1, runs, numbers, by_day, any, &mut Default::default()).unwrap()
    };
    let swap = retain(&runs, [3, 4], 0).unwrap();
    assert_eq!((&swap.old, swap.new.len()), (&runs, 2));
    let sums = |counted: &Counted| {
        let mut sums: BTreeMap<(Id, u16), i64> = BTreeMap::new();
        counted.iter().for_each(|(key, count)| *sums.entry((key.0, codec::month(Day(key.2)))).or_default() += count);
        sums
    };
    let small = read(&store, &[(1, swap.new.clone())]).0;
    assert_eq!(sums(&small), sums(&written));
    assert_eq!(small.keys().filter(|key| codec::month(Day(key.2)) < by_day).count(), 2, "{small:?}");
    assert_eq!(retain(&swap.new, [5, 6], 0), None, "done again");
    let gone = retain(&swap.new, [7, 8], by_day).unwrap();
    assert_eq!((gone.old.len(), gone.new.len()), (1, 0));
}
