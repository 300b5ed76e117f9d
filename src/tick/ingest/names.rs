//! Names of accounts, users, events and traits while calls are filed: numbered once, and bounded.
//!
//! One account must not fill the memory: beyond a number of event names or user ids that an account brought, what is new
//! counts as [`OTHER`], and the report says so; so does a name that is too long. Ids that are to be forgotten have no number
//! at all.

use rustc_hash::FxHashMap;
use vitalsync_core::call::MAX_NAME;
use vitalsync_core::usage::{About, Content, DEVICE, Id, Ids, Stated, Subject, USER};

use super::parse::Line;
use crate::store::suppressed::{ACCOUNT, Suppressed};
use crate::store::usage::{Row, Saved};
use crate::store::{Batch, Store, StoreError, keys};

/// What an account's calls count under when it has too many names.
pub const OTHER: &str = "other";
/// The number of the event [`OTHER`]: it is the first that a state learns.
pub const OTHER_EVENT: Id = 1;
/// The number of the user [`OTHER`], an id that nobody was identified by.
pub const OTHER_SUBJECT: Id = 1;
/// So many event names an account may bring.
const EVENTS: u32 = 2_000;
/// So many ids that act an account may bring …
const SUBJECTS: u32 = 100_000;
/// … and those that state no account together.
const SUBJECTS_WITHOUT: u32 = 2_000_000;
/// So many accounts there may be.
const ACCOUNTS: usize = 2_000_000;
/// So many sets of names of traits there may be.
const SHAPES: usize = 10_000;
/// Together they have at most so many bytes.
const SHAPES_BYTES: usize = 32 << 20;
/// So many accounts share a value of what they brought.
const GROUP: usize = 256;

/// Said of a statement that is not kept because it is about somebody who is to be forgotten.
pub const SUPPRESSED: &str = "suppressed";
/// Stands for a name that has no number because it is to be forgotten.
const NOBODY: Id = Id::MAX;

/// What filing needs to have in memory.
#[derive(Debug, Default)]
pub struct Filing {
    /// Names and their numbers.
    pub ids: Ids,
    /// Who is to be forgotten.
    pub suppressed: Suppressed,
    saved: Saved,
    saving: Option<Saved>,
    /// By account, how many event names and ids that act it brought.
    brought: Vec<(u32, u32)>,
    changed: std::collections::BTreeSet<usize>,
}

impl Filing {
    /// What the state has.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let (mut ids, saved) = store.load_ids()?;
        if ids.events.is_empty() {
            ids.events.id(OTHER);
            ids.subjects.id_of(DEVICE, OTHER);
        }
        let mut filing = Self { ids, saved, suppressed: Suppressed::load(store)?, ..Self::default() };
        for entry in store.scan(keys::BROUGHT) {
            let (key, value) = entry?;
            let group = key.get(1..5).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
            let pairs: Vec<(u32, u32)> = serde_json::from_slice(&value).unwrap_or_default();
            let until = group * GROUP + pairs.len();
            if pairs.len() <= GROUP && group <= ACCOUNTS {
                filing.brought.resize(filing.brought.len().max(until), (0, 0));
                filing.brought[group * GROUP..until].copy_from_slice(&pairs);
            }
        }
        Ok(filing)
    }

    /// The number of an account that is measured, given one if only the config or a roll-up knows it so far. `None`: it is to
    /// be forgotten, or there are too many.
    pub fn measured(&mut self, account: &str) -> Option<Id> {
        Some(self.account(account)).filter(|id| *id != NOBODY && *id != 0)
    }

    /// Adds what is new to a batch.
    pub fn save(
        &mut self,
        store: &Store,
        deletions: std::collections::BTreeSet<String>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        self.saving = Some(store.save_ids(&mut self.ids, self.saved, batch));
        for group in std::mem::take(&mut self.changed) {
            let until = ((group + 1) * GROUP).min(self.brought.len());
            let pairs = self.brought.get(group * GROUP..until).unwrap_or_default();
            batch.put(keys::brought(group as u32), serde_json::to_vec(pairs).unwrap_or_default());
        }
        store.ask_deletions(deletions, batch)
    }

    /// The batch that [`Self::save`] added to was written.
    pub fn saved(&mut self) {
        self.saved = self.saving.take().unwrap_or(self.saved);
    }

    /// Lets an account bring one more name, unless it has too many.
    fn brings(&mut self, account: Id, which: fn(&mut (u32, u32)) -> &mut u32, limit: u32) -> bool {
        let place = account as usize;
        if self.brought.len() <= place {
            self.brought.resize(place + 1, (0, 0));
        }
        let count = which(&mut self.brought[place]);
        if *count >= limit {
            return false;
        }
        *count += 1;
        self.changed.insert(place / GROUP);
        true
    }

    fn account(&mut self, name: &str) -> Id {
        if self.suppressed.has(ACCOUNT, name) {
            return NOBODY;
        }
        match self.ids.accounts.find(name) {
            Some(id) => id,
            // Calls of one account too many count as those without one.
            None if self.ids.accounts.len() >= ACCOUNTS || name.len() > MAX_NAME => 0,
            None => self.ids.accounts.id(name),
        }
    }

    fn event(&mut self, name: &str, account: Id) -> Id {
        match self.ids.events.find(name) {
            Some(id) => id,
            None if name.len() <= MAX_NAME && self.brings(account, |brought| &mut brought.0, EVENTS) => {
                self.ids.events.id(name)
            }
            None => OTHER_EVENT,
        }
    }

    /// `kept`: the id with its kind before it.
    fn is_nobody(&self, kept: &str) -> bool {
        let (kind, name) = parts(kept);
        self.suppressed.has(kind, name)
    }

    /// `kept`: the id with its kind before it.
    fn subject(&mut self, kept: &str, account: Id) -> Id {
        let (kind, name) = parts(kept);
        if self.suppressed.has(kind, name) {
            return NOBODY;
        }
        if let Some(id) = self.ids.subjects.find_of(kind, name) {
            return id;
        }
        let limit = if account == 0 { SUBJECTS_WITHOUT } else { SUBJECTS };
        if name.len() <= MAX_NAME && self.brings(account, |brought| &mut brought.1, limit) {
            self.ids.subjects.id_of(kind, name)
        } else {
            OTHER_SUBJECT
        }
    }
}

/// The kind and the name of a subject as it is kept.
pub fn parts(kept: &str) -> (u8, &str) {
    let kind = if kept.as_bytes().first() == Some(&USER) { USER } else { DEVICE };
    (kind, kept.get(1..).unwrap_or_default())
}

/// A worker's numbers for names, and ours: a few bytes for each that is known, since all are asked for again and again.
#[derive(Debug, Default)]
struct Known {
    /// Ours; 0 for one that has none yet.
    ids: Vec<Id>,
    /// The names of those, by the worker's number.
    new: FxHashMap<Id, Box<str>>,
}

impl Known {
    fn learn(&mut self, names: Vec<Box<str>>) {
        for name in names {
            self.ids.push(0);
            self.new.insert(self.ids.len() as Id, name);
        }
    }

    /// Our number, given by `number` the first time; 0 for 0.
    fn of(&mut self, id: Id, number: impl FnOnce(&str) -> Id) -> Id {
        let Some(known) = id.checked_sub(1).and_then(|place| self.ids.get_mut(place as usize)) else { return 0 };
        if *known == 0
            && let Some(name) = self.new.remove(&id)
        {
            *known = number(&name);
        }
        *known
    }

    /// True if it stands for somebody who is to be forgotten. Gives nobody else a number.
    fn is_nobody(&mut self, id: Id, is: impl FnOnce(&str) -> bool) -> bool {
        let Some(known) = id.checked_sub(1).and_then(|place| self.ids.get_mut(place as usize)) else { return false };
        if *known == 0 && self.new.get(&id).is_some_and(|name| is(name)) {
            self.new.remove(&id);
            *known = NOBODY;
        }
        *known == NOBODY
    }
}

/// From one worker's numbers to ours.
#[derive(Debug, Default)]
pub struct Translation {
    accounts: Known,
    subjects: Known,
    events: Known,
    shapes: Known,
}

impl Translation {
    /// Takes names that are new to the worker.
    pub fn learn(&mut self, names: [Vec<Box<str>>; 4]) {
        let tables = [&mut self.accounts, &mut self.subjects, &mut self.events, &mut self.shapes];
        for (table, names) in tables.into_iter().zip(names) {
            table.learn(names);
        }
    }

    /// No more names will come.
    fn end(&mut self) {
        let Self { accounts, subjects, events, shapes } = self;
        [accounts, subjects, events, shapes].into_iter().for_each(|table| table.new.shrink_to_fit());
    }

    /// Fetches the numbers of who acted in many lines, which wait for memory together and not one after the other.
    pub fn warm(&self, lines: &[Line]) {
        let numbers =
            lines.iter().filter_map(|line| self.subjects.ids.get((line.spot.subject as usize).wrapping_sub(1)));
        // A sum, since nothing waits for its parts before it is whole.
        std::hint::black_box(numbers.fold(0, |sum: Id, number| sum.wrapping_add(*number)));
    }

    /// The row of a line that counts an event; `None` if it is to be forgotten.
    pub fn row(&mut self, filing: &mut Filing, line: &Line) -> Option<Row> {
        let mut spot = line.spot;
        // What a call of somebody who is to be forgotten names is not learnt from it.
        if self.subjects.is_nobody(spot.subject, |name| filing.is_nobody(name)) {
            return None;
        }
        spot.account = self.accounts.of(spot.account, |name| filing.account(name));
        if spot.account == NOBODY {
            return None;
        }
        let account = spot.account;
        spot.subject = self.subjects.of(spot.subject, |name| filing.subject(name, account));
        if spot.subject == NOBODY {
            return None;
        }
        let event = self.events.of(line.event, |name| filing.event(name, account));
        Some(Row::new(&spot, event, 1, line.at))
    }

    /// Puts our numbers into a statement; says why it is not kept, if it is not.
    pub fn statement(
        &mut self,
        filing: &mut Filing,
        subject: &mut Subject,
        stated: &mut Stated<Content>,
    ) -> Option<&'static str> {
        let accounts = subject.about == About::AccountTraits;
        let forgotten = |name: &str| filing.is_nobody(name);
        let account_forgotten = |name: &str| filing.suppressed.has(ACCOUNT, name);
        let leads_to_nobody = match (subject.about, &stated.value) {
            (About::Membership, Content::Id(account)) => self.accounts.is_nobody(*account, account_forgotten),
            (About::Link, Content::Id(user)) => self.subjects.is_nobody(*user, forgotten),
            _ => false,
        };
        let (table, is): (_, &dyn Fn(&str) -> bool) =
            if accounts { (&mut self.accounts, &account_forgotten) } else { (&mut self.subjects, &forgotten) };
        if leads_to_nobody || table.is_nobody(subject.id, is) {
            return Some(SUPPRESSED);
        }
        subject.id = if accounts {
            self.accounts.of(subject.id, |name| filing.account(name))
        } else {
            self.subjects.of(subject.id, |name| filing.subject(name, 0))
        };
        if let Content::Id(value) = &mut stated.value {
            *value = match subject.about {
                About::Membership => self.accounts.of(*value, |name| filing.account(name)),
                _ => self.subjects.of(*value, |name| filing.subject(name, 0)),
            };
            if *value == NOBODY {
                return Some(SUPPRESSED);
            }
            if *value == 0 {
                return Some("accounts");
            }
        } else {
            subject.part = self.shapes.of(subject.part, |names| {
                let shapes = &mut filing.ids.shapes;
                match shapes.find(names) {
                    Some(id) => id,
                    None if shapes.len() >= SHAPES || shapes.bytes() + names.len() > SHAPES_BYTES => NOBODY,
                    None => shapes.id(names),
                }
            });
            if subject.part == NOBODY {
                return Some("sets of traits");
            }
        }
        match subject.id {
            NOBODY => Some(SUPPRESSED),
            0 => Some("accounts"),
            OTHER_SUBJECT if !accounts => Some("user ids"),
            _ => None,
        }
    }
}

/// Numbers of workers' names, one after the other.
#[derive(Debug, Default)]
pub struct Translations {
    all: Vec<Translation>,
    current: FxHashMap<usize, usize>,
}

impl Translations {
    /// Takes a worker's new names; the place of its numbers' translation. `anew`: the worker began to count from 1 again.
    pub fn learn(&mut self, worker: usize, anew: bool, names: [Vec<Box<str>>; 4]) -> usize {
        if anew && let Some(translation) = self.current.remove(&worker).and_then(|place| self.all.get_mut(place)) {
            translation.end();
        }
        let place = *self.current.entry(worker).or_insert_with(|| {
            self.all.push(Translation::default());
            self.all.len() - 1
        });
        if let Some(translation) = self.all.get_mut(place) {
            translation.learn(names);
        }
        place
    }

    /// A translation by its place.
    pub fn get(&mut self, place: usize) -> Option<&mut Translation> {
        self.all.get_mut(place)
    }
}
