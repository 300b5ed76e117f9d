//! A generation's runs of counts, written, put together, and left at any moment.

use proptest::prelude::*;
use vitalsync_core::gather::History;
use vitalsync_core::usage::Spot;

use super::*;
use crate::store::usage::{Kept, Row};

/// What happens to a generation.
#[derive(Debug, Clone)]
enum Step {
    /// A write of so many counts.
    Write(Vec<(u32, u32, i32, i32)>),
    /// A write that is killed before it counts.
    Killed(Vec<(u32, u32, i32, i32)>),
    /// Runs are put together, and a kill comes after so many of the steps of that; 3: none.
    Merge(usize, u8),
    /// What a pass does at its end.
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = || prop::collection::vec((0u32..4, 1u32..6, 0i32..70, -1i32..3), 0..30);
    prop_oneof![
        6 => rows().prop_map(Step::Write),
        2 => rows().prop_map(Step::Killed),
        2 => (1usize..9, 0u8..4).prop_map(|(runs, killed)| Step::Merge(runs, killed)),
        1 => Just(Step::Tidy),
    ]
}

type Counted = BTreeMap<(u32, u32, i32), i64>;

struct Case {
    dir: tempfile::TempDir,
    store: Option<Store>,
    generation: Generation,
    expected: Counted,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let generation = current(&store, "product").unwrap();
        Self { dir, store: Some(store), generation, expected: Counted::new() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn write(&mut self, raw: &[(u32, u32, i32, i32)], counts: bool) {
        let (mut batch, number) = (Batch::default(), self.generation.number);
        let write = self.generation.write([], &mut batch);
        let mut rows = Vec::new();
        for (account, subject, day, count) in raw {
            let spot = Spot { account: *account, subject: *subject, day: Day(20_500 + day), lag: 0 };
            rows.push(Row::new(&spot, 1, *count, 0));
            if counts {
                *self.expected.entry((*account, *subject, spot.day.0)).or_default() += i64::from(*count);
            }
        }
        let run = self.store().add_counts(number, write, &mut rows, &mut batch).unwrap();
        // The run is written, with or without the small write that makes it count.
        self.store().apply(std::mem::take(&mut batch)).unwrap();
        if counts {
            self.generation.runs.extend(run);
            self.generation.save(&mut batch);
            self.store().apply(batch).unwrap();
        } else {
            self.kill();
        }
    }

    /// What the next process finds, and does first.
    fn kill(&mut self) {
        drop(self.store.take());
        let store = Store::open(self.dir.path()).unwrap();
        self.generation = current(&store, "product").unwrap();
        self.store = Some(store);
        self.check();
        self.generation.clear(self.store.as_ref().unwrap()).unwrap();
        let mut live: Vec<u32> = self.generation.runs.iter().map(|run| run.number).collect();
        live.sort_unstable();
        assert_eq!(self.store().runs(self.generation.number).unwrap(), live, "leftovers");
        self.check();
    }

    fn merge(&mut self, count: usize, killed: u8) {
        let old: Vec<Run> = self.generation.runs.iter().take(count).copied().collect();
        let number = self.generation.spend();
        let new = self.store().merge_runs(self.generation.number, &old, number).unwrap();
        match killed {
            // The first half of the run is there …
            0 => {
                let keys = self.store().scan(&keys::run(self.generation.number, number)).map(|entry| entry.unwrap().0);
                let (keys, mut batch) = (keys.collect::<Vec<_>>(), Batch::default());
                keys.iter().skip(keys.len() / 2).for_each(|key| batch.remove(key.clone()));
                self.store().apply(batch).unwrap();
            }
            // … all of it, and does not count …
            1 => {}
            // … or counts, and those whose place it took are there.
            2 => {
                self.generation.runs.retain(|run| !old.contains(run));
                self.generation.runs.extend(new);
                let mut batch = Batch::default();
                self.generation.save(&mut batch);
                self.store().apply(batch).unwrap();
            }
            _ => return self.generation.swap(self.store.as_ref().unwrap(), &old, new).unwrap(),
        }
        self.kill();
    }

    #[track_caller]
    fn check(&self) {
        let (mut counted, mut order) = (Counted::new(), Vec::new());
        let kept = Kept::of(self.store(), counting(self.store(), |_| true).unwrap());
        kept.spots(&mut |spot, _, counts| {
            order.push(spot.account);
            *counted.entry((spot.account, spot.subject, spot.day.0)).or_default() +=
                counts.iter().map(|(_, count)| count).sum::<i64>();
        })
        .unwrap();
        let some = |counted: &Counted| counted.clone().into_iter().filter(|(_, count)| *count != 0).collect::<Vec<_>>();
        assert_eq!(some(&counted), some(&self.expected));
        assert!(order.is_sorted(), "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_is_what_was_written_wherever_it_was_left(steps in prop::collection::vec(step(), 1..40)) {
        let mut case = Case::new();
        for step in steps {
            match step {
                Step::Write(rows) => case.write(&rows, true),
                Step::Killed(rows) => case.write(&rows, false),
                Step::Merge(runs, killed) => case.merge(runs, killed),
                Step::Tidy => case.generation.tidy(case.store.as_ref().unwrap(), &Ids::default()).unwrap(),
            }
            case.check();
        }
        case.kill();
    }
}

#[test]
fn many_writes_leave_few_runs() {
    let mut case = Case::new();
    for day in 0..4 * runs::MANY as i32 {
        case.write(&[(1, 1, day % 60, 1), (2, day as u32 + 1, 5, 1)], true);
        case.generation.tidy(case.store.as_ref().unwrap(), &Ids::default()).unwrap();
        assert!(case.generation.runs.len() < runs::MANY, "{:?}", case.generation.runs);
    }
    case.kill();
}
