//! Taking somebody out of the state: counts, statements, snapshots and names by their numbers, records of tools by whom they
//! are about.
//!
//! Numbers say nothing about anybody, so what is still to be done can be written down and carried on after a kill. Whom to
//! forget is decided elsewhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vitalsync_core::alert::{Alert, What};
use vitalsync_core::usage::{About, Content, Id, Ids};

use super::records::{Kept, Outgoing, Quarantined};
use super::runs::{self, Left};
use super::usage::{NAMES, interner};
use super::{Batch, Store, StoreError, codec, keys};

/// So many changed keys are one write.
const KEYS: usize = 500;

/// The numbers of those who are to be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whom {
    /// Ids that act.
    pub subjects: BTreeSet<Id>,
    /// Accounts, as stated.
    pub accounts: BTreeSet<Id>,
}

impl Whom {
    fn acts(&self, subject: Id) -> bool {
        self.subjects.contains(&subject)
    }

    fn is(&self, account: Id) -> bool {
        self.accounts.contains(&account)
    }

    /// True if a statement is about them, or leads to them.
    fn concerns(&self, about: About, id: Id, value: &Content) -> bool {
        let value = if let Content::Id(value) = value { *value } else { 0 };
        match about {
            About::Membership => self.acts(id) || self.is(value),
            About::Link => self.acts(id) || self.acts(value),
            About::UserTraits => self.acts(id),
            About::AccountTraits => self.is(id),
        }
    }
}

/// What was taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Events that had been counted.
    pub counts: u64,
    /// Statements.
    pub statements: u64,
    /// Snapshots of an account's days.
    #[serde(default)]
    pub snapshots: u64,
}

/// One thing that is kept of a tool.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Confirmed.
    Told(&'a Kept),
    /// Refused.
    Refused(&'a Quarantined),
    /// Waits.
    Waits(&'a Outgoing),
    /// Waits, and is told with others.
    Alert(&'a Alert),
    /// What a rule remembers, and under which name: of an account or a user.
    Edge(&'a str),
}

impl Store {
    /// Takes counts, statements and snapshots out, in all generations, in several writes of which each leaves a usable state. Goes on where
    /// `erased` stood; `mark` may add to each write. `dry`: only counts them.
    pub fn erase_usage(
        &self,
        whom: &Whom,
        erased: &mut Erased,
        dry: bool,
        mark: impl Fn(&Erased, &mut Batch),
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut changed = 0;
        let mut write = |batch: &mut Batch, erased: &Erased, force: bool| -> Result<(), StoreError> {
            changed += 1;
            if !force && changed % KEYS != 0 {
                return Ok(());
            }
            let mut changes = std::mem::take(batch);
            if dry {
                return Ok(());
            }
            mark(erased, &mut changes);
            self.apply(changes)
        };
        for entry in self.raw_scan(b"c") {
            let (key, value) = entry?;
            let left = runs::keep(&key, &value, |spot, counts| {
                let goes = whom.is(spot.account) || whom.acts(spot.subject);
                if goes {
                    erased.counts += counts.iter().map(|(_, count)| count.unsigned_abs()).sum::<u64>();
                }
                !goes
            });
            match left.map_err(|_| self.broken("a value of counts"))? {
                Left::All => continue,
                Left::Some(value) => batch.put(key.to_vec(), value),
                Left::Nothing => batch.remove(key.to_vec()),
            }
            write(&mut batch, erased, false)?;
        }
        for entry in self.raw_scan(b"s") {
            let (key, value) = entry?;
            let (about, _, _, month, _) =
                keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
            let (mut kept, mut gone) = (Vec::new(), 0);
            self.read_entries(about, month, &value, |subject, stated| {
                if whom.concerns(about, subject.id, &stated.value) {
                    gone += 1;
                } else {
                    kept.push((subject, stated));
                }
            })?;
            if gone == 0 {
                continue;
            }
            erased.statements += gone;
            if kept.is_empty() {
                batch.remove(key.to_vec());
            } else {
                batch.put(key.to_vec(), codec::encode_statements(month, &kept));
            }
            write(&mut batch, erased, false)?;
        }
        for entry in self.raw_scan(keys::SNAPSHOTS) {
            let (key, value) = entry?;
            let (gone, left) = self.without(&value, |account| whom.is(account))?;
            if gone == 0 {
                continue;
            }
            erased.snapshots += gone;
            match left {
                Some(value) => batch.put(key.to_vec(), value),
                None => batch.remove(key.to_vec()),
            }
            write(&mut batch, erased, false)?;
        }
        write(&mut batch, erased, true)
    }

    /// Blanks names: their numbers stay, and nothing leads to them. `ids` are the names as they are saved.
    pub fn blank_names(&self, ids: &mut Ids, whom: &Whom, batch: &mut Batch) {
        for (kind, kinds, numbers) in [(b's', true, &whom.subjects), (b'a', false, &whom.accounts)] {
            let names = interner(ids, kind);
            numbers.iter().for_each(|id| names.blank(*id, kinds));
            let groups: BTreeSet<usize> = numbers.iter().map(|id| (*id as usize).saturating_sub(1) / NAMES).collect();
            for group in groups {
                let those = group * NAMES + 1..=((group + 1) * NAMES).min(names.len());
                let value = codec::encode_names(those.map(|id| names.name(id as Id)));
                batch.put(keys::name(kind, group as u32), value);
            }
        }
    }

    /// Removes what is kept of tools where `about` says so, given the destination (with the vendor's account, if it is
    /// what a tool was told), the slot or name, and what it is.
    pub fn erase_records(
        &self,
        mut about: impl FnMut(&str, &str, Said<'_>) -> bool,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        for kind in [b'k', b'q', b'o', b'e'] {
            for entry in self.scan(&[kind]) {
                let (key, value) = entry?;
                let Some(end) = key.iter().position(|byte| *byte == 0xff) else { continue };
                let destination = String::from_utf8_lossy(key.get(1..end).unwrap_or_default());
                let name = String::from_utf8_lossy(key.get(end + 1..).unwrap_or_default());
                let goes = match kind {
                    b'k' => {
                        serde_json::from_slice(&value).is_ok_and(|kept| about(&destination, &name, Said::Told(&kept)))
                    }
                    b'q' => serde_json::from_slice(&value)
                        .is_ok_and(|entry| about(&destination, &name, Said::Refused(&entry))),
                    b'o' => serde_json::from_slice(&value).is_ok_and(|mut entry: Outgoing| {
                        let unsent = entry.attempted_at.is_none();
                        let Some(What::Many { alerts, .. }) =
                            entry.alert.as_mut().map(|alert| &mut alert.what).filter(|_| unsent)
                        else {
                            return about(&destination, &name, Said::Waits(&entry));
                        };
                        // The others are told all the same; the message is put together anew.
                        let count = alerts.len();
                        alerts.retain(|alert| !about(&destination, &name, Said::Alert(alert)));
                        let left = alerts.len();
                        if (1..count).contains(&left) {
                            entry.operation.fields.clear();
                            batch.put_outgoing(&destination, &entry);
                        }
                        left == 0
                    }),
                    _ => name
                        .split_once('\u{1f}')
                        .is_some_and(|(_, account)| about(&destination, &name, Said::Edge(account))),
                };
                if goes {
                    batch.remove(key);
                }
            }
        }
        Ok(())
    }
}
