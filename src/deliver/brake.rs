//! The brake: what a run may do in a destination without being asked.
//!
//! Pure. A run that would create many records, or that moves many accounts to other bands than the destination last heard of, is
//! more often a mistake in a config or a source than a morning's news. It waits as a whole, alerts too, until somebody who has
//! looked releases it. A release names what it lets through, item by item: what comes on top is weighed by itself, as ever.
//!
//! Creations are counted before anything was looked for, so a record that may be created counts even if it will be found.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::connector::Operation;
use vitalsync_core::evaluate::Evaluation;

use crate::config::Brake;

/// Fewer accounts than these never brake by their bands: one of four is a quarter and no catastrophe.
const FEWEST: u64 = 3;

/// Which account is in which band, as a destination last heard. Accounts by a hash: whoever is erased is not named here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bands(BTreeMap<String, BTreeSet<u64>>);

impl Bands {
    /// The bands of an evaluation.
    pub fn of(evaluation: &Evaluation) -> Self {
        let accounts = evaluation.accounts.iter();
        Self::from_iter(accounts.filter_map(|account| Some((account.id.as_str(), account.health.band?.name()))))
    }

    fn by_account(&self) -> BTreeMap<u64, &str> {
        self.0.iter().flat_map(|(band, accounts)| accounts.iter().map(|id| (*id, band.as_str()))).collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Bands {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(accounts: I) -> Self {
        let mut bands = Self::default();
        for (account, band) in accounts {
            bands.0.entry(band.to_owned()).or_default().insert(hash(&["account", account]));
        }
        bands
    }
}

/// A hash that stays the same from version to version: it is kept in the state.
fn hash(parts: &[&str]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(parts.join("\u{1f}").as_bytes())
}

/// A run that waits for somebody to release it, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// Records that it may create.
    pub creates: u64,
    /// Accounts that change their band, or lose it.
    pub moved: u64,
    /// Accounts that had a band.
    pub had: u64,
    /// What it would do, by item.
    pub items: BTreeSet<u64>,
    /// True: somebody released it.
    #[serde(default)]
    pub released: bool,
}

impl Held {
    /// In words, without what to do.
    pub fn said(&self) -> String {
        let Self { creates, moved, had, .. } = self;
        match (creates, moved) {
            (0, _) => format!("{moved} of {had} accounts change their band"),
            (_, 0) => format!("up to {creates} records are created"),
            _ => format!("up to {creates} records are created, {moved} of {had} accounts change their band"),
        }
    }
}

/// What a run would do of what a brake looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// All of it.
    pub held: Held,
    /// True: more of it than may be, beyond what was released.
    pub too_much: bool,
}

/// Weighs a plan. `heard`: the bands that the destination last heard of, if it ever did; `before`: what was held last, if it
/// still stands.
pub fn weigh(
    brake: Brake,
    operations: &[Operation],
    heard: Option<&Bands>,
    now: &Bands,
    before: Option<&Held>,
    at: Timestamp,
) -> Weighed {
    let created = operations.iter().filter(|operation| operation.create.is_some() && !operation.subject.is_empty());
    let created: BTreeSet<u64> = created.map(|operation| hash(&["create", &operation.slot])).collect();
    let (heard, now) = (heard.map(Bands::by_account).unwrap_or_default(), now.by_account());
    let moved: BTreeSet<u64> = heard
        .iter()
        .filter(|(account, band)| now.get(*account) != Some(*band))
        .map(|(account, _)| hash(&["band", &account.to_string(), now.get(account).copied().unwrap_or_default()]))
        .collect();
    let had = heard.len() as u64;
    let released = before.filter(|before| before.released);
    let beyond = |items: &BTreeSet<u64>| {
        items.iter().filter(|item| released.is_none_or(|released| !released.items.contains(item))).count() as u64
    };
    let too_many = brake.creates.is_some_and(|most| beyond(&created) > u64::from(most));
    let moving = beyond(&moved);
    let too_far = brake.bands.is_some_and(|most| moving >= FEWEST && moving * 100 > u64::from(most) * had);
    let held = Held {
        since: before.filter(|before| !before.released).map_or(at, |before| before.since),
        creates: created.len() as u64,
        moved: moved.len() as u64,
        had,
        items: created.union(&moved).copied().collect(),
        released: false,
    };
    Weighed { held, too_much: too_many || too_far }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(0);

    fn creating(count: usize) -> Vec<Operation> {
        let operation = |n| Operation {
            subject: format!("a{n}"),
            create: Some(BTreeMap::new()),
            ..Operation::new(format!("company/a{n}"), "company:match", "find or create company")
        };
        (0..count).map(operation).collect()
    }

    /// So many accounts, the first of them at risk.
    fn bands(count: usize, at_risk: usize) -> Bands {
        let names: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
        names
            .iter()
            .enumerate()
            .map(|(n, name)| (name.as_str(), if n < at_risk { "at_risk" } else { "healthy" }))
            .collect()
    }

    fn too_much(brake: Brake, creates: usize, (count, moved): (usize, usize), before: Option<&Held>) -> bool {
        weigh(brake, &creating(creates), Some(&bands(count, 0)), &bands(count, moved), before, AT).too_much
    }

    #[test]
    fn the_bounds_themselves_may_pass() {
        let brake = Brake::default();
        assert_eq!([50, 51].map(|creates| too_much(brake, creates, (0, 0), None)), [false, true]);
        assert_eq!([20, 21].map(|moved| too_much(brake, 0, (100, moved), None)), [false, true]);
        // 20 % of 12 is 2.4; fewer than three accounts never brake.
        assert_eq!([2, 3].map(|moved| too_much(brake, 0, (12, moved), None)), [false, true]);
        assert_eq!([1, 2, 3].map(|moved| too_much(brake, 0, (3, moved), None)), [false, false, true]);
        let off = Brake { bands: None, creates: None };
        assert!(!too_much(off, 5000, (100, 100), None));
    }

    #[test]
    fn an_account_without_its_band_has_moved_and_a_new_one_has_not() {
        let weighed = weigh(Brake::default(), &[], Some(&bands(10, 0)), &bands(4, 0), None, AT);
        assert_eq!((weighed.held.moved, weighed.held.had, weighed.too_much), (6, 10, true));
        let weighed = weigh(Brake::default(), &[], Some(&bands(4, 0)), &bands(400, 0), None, AT);
        assert_eq!((weighed.held.moved, weighed.too_much), (0, false));
        let weighed = weigh(Brake::default(), &[], None, &bands(400, 400), None, AT);
        assert_eq!((weighed.held.had, weighed.too_much), (0, false));
    }

    #[test]
    fn a_release_lets_through_what_it_names_and_no_more() {
        let brake = Brake::default();
        let mut held = weigh(brake, &creating(60), Some(&bands(100, 0)), &bands(100, 30), None, AT).held;
        assert!(too_much(brake, 60, (100, 30), Some(&held)), "nobody released it");
        held.released = true;
        assert!(!too_much(brake, 60, (100, 30), Some(&held)));
        assert!(!too_much(brake, 110, (100, 50), Some(&held)), "what came on top is within the bounds");
        assert!(too_much(brake, 111, (100, 30), Some(&held)));
        assert!(too_much(brake, 60, (100, 51), Some(&held)));
    }

    #[test]
    fn what_waits_waits_since_it_began() {
        let first = weigh(Brake::default(), &creating(60), None, &bands(0, 0), None, AT).held;
        let later = weigh(Brake::default(), &creating(61), None, &bands(0, 0), Some(&first), Timestamp(9));
        assert_eq!((later.held.since, later.held.creates), (AT, 61));
        assert_eq!(later.held.said(), "up to 61 records are created");
    }
}
