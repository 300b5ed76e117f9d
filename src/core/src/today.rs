//! Names and structure of today: which event and which account a filed number stands for now, and which account is rolled up
//! into which. All of it comes from the config and from traits as of the as-of time, so the past is measured under today's
//! names and structure, and nothing is written back.
//!
//! Every number is looked up once, in a table by number. Names that only the config or a roll-up knows get numbers after
//! those of the history.

use rustc_hash::FxHashMap;

use crate::derived::MARK;
use crate::identity::{Traits, traits_at};
use crate::model::Model;
use crate::names::TraitNames;
use crate::time::Timestamp;
use crate::usage::{Id, Ids, Interner, Stated};

/// So many levels of accounts are rolled up. In a longer chain the account below the last of them begins a chain of its own,
/// and of accounts that only a rule names no more follow each other.
pub(crate) const LEVELS: u8 = 8;

/// Numbered names that the history doesn't have.
#[derive(Debug, Default)]
struct More {
    names: Vec<String>,
    numbers: FxHashMap<String, Id>,
}

impl More {
    fn find(&self, known: &Interner, name: &str) -> Option<Id> {
        known.find(name).or_else(|| self.numbers.get(name).copied())
    }

    fn id(&mut self, known: &Interner, name: &str) -> Id {
        self.find(known, name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            let id = (known.len() + self.names.len()) as Id;
            self.numbers.insert(name.to_owned(), id);
            id
        })
    }

    fn name<'n>(&'n self, known: &'n Interner, id: Id) -> &'n str {
        let more = (id as usize).checked_sub(known.len() + 1).and_then(|place| self.names.get(place));
        more.map_or_else(|| known.name(id), String::as_str)
    }
}

/// Names by numbers, those included that only the config knows.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub ids: &'a Ids,
    more_accounts: More,
    more_events: More,
    /// By number, the number of today's event; 0: not counted.
    events: Vec<Id>,
    /// By number, whether it is counted beside an event of its own, on a condition.
    derived: Vec<bool>,
    /// By number, the number of today's account; empty where none has an alias.
    accounts: Vec<Id>,
    /// By number, whether several accounts are one now.
    merged: Vec<bool>,
}

impl<'a> Names<'a> {
    /// The names of a config.
    pub fn new(ids: &'a Ids, model: &Model) -> Self {
        let (mut more_accounts, mut more_events) = (More::default(), More::default());
        let mut events: Vec<Id> = (0..=ids.events.len() as Id).collect();
        for (old, new) in &model.event_aliases {
            if let Some(old) = ids.events.find(old) {
                events[old as usize] = more_events.id(&ids.events, new);
            }
        }
        let left_out = |name: &str| model.exclude_events.as_ref().is_some_and(|rule| rule.excludes(name));
        let mut derived = vec![false; events.len()];
        for (id, event) in events.iter_mut().enumerate() {
            let name = more_events.name(&ids.events, *event);
            let key = name.strip_prefix(MARK);
            derived[id] = key.is_some();
            let gone = match key {
                // Counted while another config named it.
                Some(key) => model.derived.iter().find(|one| one.key == key).is_none_or(|one| left_out(&one.event)),
                None => left_out(name),
            };
            *event = if gone { 0 } else { *event };
        }
        let (mut accounts, mut merged) = (Vec::new(), Vec::new());
        if !model.account_aliases.is_empty() {
            accounts = (0..=ids.accounts.len() as Id).collect();
            for (old, new) in &model.account_aliases {
                if let Some(old) = ids.accounts.find(old) {
                    let new = more_accounts.id(&ids.accounts, new);
                    accounts[old as usize] = new;
                    merged.resize(merged.len().max(new as usize + 1), false);
                    merged[new as usize] = true;
                }
            }
        }
        Self { ids, more_accounts, more_events, events, derived, accounts, merged }
    }

    /// An account's id.
    pub fn account(&self, id: Id) -> &str {
        self.more_accounts.name(&self.ids.accounts, id)
    }

    /// An event's name.
    pub fn event(&self, id: Id) -> &str {
        self.more_events.name(&self.ids.events, id)
    }

    /// The number of an event of today, if it was ever seen under any name.
    pub fn find_event(&self, name: &str) -> Option<Id> {
        self.more_events.find(&self.ids.events, name)
    }

    /// How many events have a number, 0 included.
    pub fn events(&self) -> usize {
        self.events.len() + self.more_events.names.len()
    }

    /// The numbers of all events of today, those included that were never seen.
    pub fn events_of_today(&self) -> impl Iterator<Item = Id> {
        let known = self.events.iter().enumerate().skip(1).filter(|(id, today)| **today == *id as Id);
        let more = self.events.len()..self.events();
        known.map(|(id, _)| id as Id).chain(more.map(|id| id as Id))
    }

    /// Today's event; 0: it is not counted.
    pub fn event_today(&self, id: Id) -> Id {
        self.events.get(id as usize).copied().unwrap_or_default()
    }

    /// Whether it is counted beside an event of its own.
    pub fn is_derived(&self, id: Id) -> bool {
        self.derived.get(id as usize).copied().unwrap_or_default()
    }

    /// Today's account.
    pub fn account_today(&self, id: Id) -> Id {
        self.accounts.get(id as usize).copied().unwrap_or(id)
    }

    /// True for an account whose calls state several ids.
    pub fn is_merged(&self, id: Id) -> bool {
        self.merged.get(id as usize).copied().unwrap_or_default()
    }
}

/// Which account is rolled up into which.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    /// By number, the account above; 0: none.
    parents: Vec<Id>,
    /// By number, how many are above.
    depths: Vec<u8>,
    /// By number, whether counts come from elsewhere too.
    gathers: Vec<bool>,
}

impl Structure {
    /// The structure as of a time. Nothing is rolled up into an account that is left out, nor is it itself. Of accounts in a
    /// ring the one whose name comes first is the highest.
    pub fn new(names: &mut Names<'_>, model: &Model, book: &FxHashMap<Id, Vec<Stated<Traits>>>, at: Timestamp) -> Self {
        let mut structure = Self { gathers: names.merged.clone(), ..Self::default() };
        let Some(rule) = &model.roll_up else { return structure };
        let ids = names.ids;
        let known = ids.accounts.len() + names.more_accounts.names.len() + 1;
        let mut parents = vec![0; known];
        let (mut gone, mut named_by_rule) = (vec![false; known], vec![0u8; known]);
        let mut next = 1;
        while next < parents.len() {
            let id = next as Id;
            next += 1;
            if names.account_today(id) != id {
                continue;
            }
            let traits = traits_at(book.get(&id).map(Vec::as_slice).unwrap_or_default(), at);
            let about = TraitNames { id: names.account(id), id_name: "account", traits: &traits, model: Some(model) };
            gone[id as usize] = model.exclude_accounts.as_ref().is_some_and(|rule| rule.holds(&about));
            let above = rule.value(&about).as_key().filter(|above| !above.is_empty());
            let Some(above) = above.filter(|_| !gone[id as usize] && named_by_rule[id as usize] < LEVELS) else {
                continue;
            };
            let today = model.account_aliases.get(&above).unwrap_or(&above);
            let above = names.more_accounts.id(&ids.accounts, today);
            if above as usize >= parents.len() {
                parents.push(0);
                gone.push(false);
                named_by_rule.push(named_by_rule[id as usize] + 1);
            }
            if above != id {
                parents[id as usize] = above;
            }
        }
        parents.iter_mut().for_each(|above| *above = if gone[*above as usize] { 0 } else { *above });
        structure.depths = levels(&mut parents, |id| names.account(id));
        structure.gathers.resize(parents.len(), false);
        parents.iter().filter(|above| **above != 0).for_each(|above| structure.gathers[*above as usize] = true);
        structure.parents = parents;
        structure
    }

    /// The account above; 0: none.
    pub fn parent(&self, id: Id) -> Id {
        self.parents.get(id as usize).copied().unwrap_or_default()
    }

    /// How many accounts are above.
    pub fn depth(&self, id: Id) -> u8 {
        self.depths.get(id as usize).copied().unwrap_or_default()
    }

    /// True for an account that may get counts from others.
    pub fn gathers(&self, id: Id) -> bool {
        self.gathers.get(id as usize).copied().unwrap_or_default()
    }

    /// Accounts that others name as the one above.
    pub fn named(&self) -> impl Iterator<Item = Id> {
        self.parents.iter().copied().filter(|above| *above != 0)
    }
}

/// How many accounts are above each. Rings, and chains that are too long, are cut.
fn levels<'n>(parents: &mut [Id], name: impl Fn(Id) -> &'n str) -> Vec<u8> {
    let mut depths: Vec<Option<u8>> = vec![None; parents.len()];
    let (mut seen, mut round) = (vec![0u32; parents.len()], 0);
    let mut path: Vec<Id> = Vec::new();
    for id in 1..parents.len() as Id {
        let above = loop {
            round += 1;
            path.clear();
            let mut at = id;
            while at != 0 && depths[at as usize].is_none() && seen[at as usize] != round {
                seen[at as usize] = round;
                path.push(at);
                at = parents[at as usize];
            }
            if at == 0 || depths[at as usize].is_some() {
                break depths[at as usize];
            }
            let ring = path.iter().copied().skip_while(|passed| *passed != at);
            let first = ring.min_by_key(|id| name(*id)).unwrap_or(at);
            parents[first as usize] = 0;
        };
        path.iter().rev().fold(above, |above, id| {
            let depth = above.map_or(0, |above| above + 1);
            if depth > LEVELS {
                parents[*id as usize] = 0;
            }
            depths[*id as usize] = Some(if depth > LEVELS { 0 } else { depth });
            depths[*id as usize]
        });
    }
    depths.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 14] = ["", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];

    fn cut(mut parents: Vec<Id>) -> (Vec<Id>, Vec<u8>) {
        let depths = levels(&mut parents, |id| NAMES[id as usize]);
        (parents, depths)
    }

    #[test]
    fn a_ring_ends_at_the_one_whose_name_comes_first() {
        // d → c → b → c: of b and c, b is the highest; a stands alone.
        assert_eq!(cut(vec![0, 0, 3, 2, 3]), (vec![0, 0, 0, 2, 3], vec![0, 0, 0, 1, 2]));
        assert_eq!(cut(vec![0, 2, 3, 1]), (vec![0, 0, 3, 1], vec![0, 0, 2, 1]));
    }

    #[test]
    fn a_chain_has_at_most_so_many_levels() {
        let chain: Vec<Id> = (0..14).map(|id: Id| id.saturating_sub(1)).collect();
        let (parents, depths) = cut(chain);
        assert_eq!(depths, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3]);
        assert_eq!((parents[10], parents[11]), (0, 10));
    }
}
