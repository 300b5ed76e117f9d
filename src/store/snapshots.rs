//! Snapshots in the state: what was said of each account on each day that was over, and the profiles as they were then.
//!
//! A day under a profile is a few values, each of 512 accounts in the order of their numbers, and is written once: trends read
//! a day of all accounts, and an account's page as many values as it shows days. By account and month, the other way to lay
//! them, every day would read and write again a value of every account. Nothing here changes one that is there, but for
//! erasing an account and for dropping whole days that are older than the config keeps.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::past::{Days, Snapshot};
use vitalsync_core::time::Day;
use vitalsync_core::usage::Id;

use super::codec::{self, Made};
use super::{Batch, Store, StoreError, keys};

/// So many accounts share a value.
const GROUP: Id = 512;
/// How far back a last snapshot is looked for, in days.
const BACK: i32 = 31;

impl Batch {
    /// Adds the snapshots of a day that has none yet under a profile, by account, and the version that they were made with.
    pub fn put_snapshots(&mut self, profile: (&str, &str), day: Day, made: Made, snapshots: &BTreeMap<Id, Snapshot>) {
        let (name, version) = profile;
        let entries: Vec<(Id, Snapshot)> = snapshots.iter().map(|(id, snapshot)| (*id, *snapshot)).collect();
        for group in entries.chunk_by(|a, b| a.0 / GROUP == b.0 / GROUP) {
            let Some((first, _)) = group.first() else { continue };
            self.put_new(keys::snapshots(name, day, first / GROUP), codec::encode_snapshots(made, group));
        }
        self.put(keys::version(made.config), version.as_bytes().to_vec());
    }
}

impl Store {
    /// Whether a day has snapshots under a profile.
    pub fn has_snapshots(&self, profile: &str, day: Day) -> Result<bool, StoreError> {
        let prefix = keys::snapshots_on(profile, day);
        Ok(self.first_from(&prefix)?.is_some_and(|key| key.starts_with(&prefix)))
    }

    /// The last day before a day that has snapshots under a profile, not more than a month before.
    pub fn last_snapshots(&self, profile: &str, before: Day) -> Result<Option<Day>, StoreError> {
        for back in 1..=BACK {
            let day = before.plus(-back);
            if self.has_snapshots(profile, day)? {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }

    /// The snapshots of some days under a profile.
    pub fn snapshots(&self, profile: &str, days: &BTreeSet<Day>) -> Result<Days, StoreError> {
        let mut found = Days::default();
        for day in days {
            for entry in self.raw_scan(&keys::snapshots_on(profile, *day)) {
                let (_, value) = entry?;
                self.read_snapshots(&value, |account, snapshot| found.push(account, *day, snapshot))?;
            }
        }
        Ok(found)
    }

    /// What is kept of one account under a profile from a day on and before another, with what each was made with.
    pub fn snapshots_of(
        &self,
        profile: &str,
        account: Id,
        days: std::ops::Range<Day>,
    ) -> Result<Vec<(Day, Snapshot, Made)>, StoreError> {
        let mut found = Vec::new();
        for day in (days.start.0..days.end.0).map(Day) {
            let Some(value) = self.get(&keys::snapshots(profile, day, account / GROUP))? else { continue };
            let mut own = None;
            let made = self.read_snapshots(&value, |id, snapshot| own = own.or((id == account).then_some(snapshot)))?;
            found.extend(own.map(|own| (day, own, made)));
        }
        Ok(found)
    }

    /// A profile as it was, by the hash of its version.
    pub fn version(&self, hash: u64) -> Result<Option<String>, StoreError> {
        Ok(self.get(&keys::version(hash))?.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    fn read_snapshots(&self, value: &[u8], take: impl FnMut(Id, Snapshot)) -> Result<Made, StoreError> {
        codec::read_snapshots(value, take).map_err(|_| self.broken("a value of snapshots"))
    }

    /// A value of snapshots without some accounts, and how many it had of them; an empty one is to go.
    pub(super) fn without(
        &self,
        value: &[u8],
        goes: impl Fn(Id) -> bool,
    ) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let (mut kept, mut gone) = (Vec::new(), 0);
        let made = self.read_snapshots(value, |account, snapshot| {
            if goes(account) {
                gone += 1;
            } else {
                kept.push((account, snapshot));
            }
        })?;
        Ok((gone, (!kept.is_empty()).then(|| codec::encode_snapshots(made, &kept))))
    }

    /// Drops the snapshots of days before a day. How many days of a profile those were.
    pub fn drop_snapshots(&self, before: Day) -> Result<u64, StoreError> {
        let mut batch = Batch::default();
        for entry in self.raw_scan(keys::SNAPSHOTS) {
            let (key, _) = entry?;
            if keys::read_snapshots(&key).ok_or_else(|| self.broken("a key of snapshots"))? < before {
                batch.remove(key.to_vec());
            }
        }
        let dropped = batch.len() as u64;
        self.apply(batch)?;
        Ok(dropped)
    }
}

#[cfg(test)]
mod tests {
    use vitalsync_core::Timestamp;

    use super::*;

    fn snapshot(raw: i64) -> Snapshot {
        Snapshot { raw, divisor: None, benchmark: 10.0, usage: 1.0, score: 50.0, band: None }
    }

    #[test]
    fn a_day_is_read_whole_or_for_one_account_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let made = Made { config: 7, at: Timestamp(99), forgotten: 0 };
        for day in [5, 6, 8].map(Day) {
            let mut batch = Batch::default();
            let all = [1, 511, 512, 3000].map(|id| (id, snapshot(i64::from(id) * 10 + i64::from(day.0))));
            batch.put_snapshots(("a", "{}"), day, made, &all.into());
            store.apply(batch).unwrap();
        }
        let days = store.snapshots("a", &[5, 7, 8].map(Day).into()).unwrap();
        assert_eq!(days.of(512), [(Day(5), snapshot(5125)), (Day(8), snapshot(5128))]);
        assert_eq!(days.of(2), []);
        let own = store.snapshots_of("a", 3000, Day(6)..Day(8)).unwrap();
        assert_eq!(own, [(Day(6), snapshot(30006), made)]);
        assert_eq!(store.last_snapshots("a", Day(8)).unwrap(), Some(Day(6)));
        assert_eq!(store.last_snapshots("ab", Day(8)).unwrap(), None, "another profile");
        assert_eq!(store.version(7).unwrap().as_deref(), Some("{}"));
        assert_eq!(store.drop_snapshots(Day(6)).unwrap(), 3);
        assert!(!store.has_snapshots("a", Day(5)).unwrap() && store.has_snapshots("a", Day(6)).unwrap());
        assert_eq!(store.verify().problems, Vec::<String>::new());
    }
}
