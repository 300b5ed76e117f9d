//! Names and their numbers.
//!
//! All names of a kind lie in one text, and the table that finds them holds numbers only: hundreds of thousands of users
//! cost their names and some twenty bytes each.

mod near;

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The number of an interned name; 0 stands for *none*.
pub type Id = u32;

/// Where a name lies, with enough of its hash to find it: one look tells nearly always.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    from: u32,
    length: u32,
    id: Id,
}

/// Names, numbered from 1 in the order of their coming. Numbers never leave the program.
#[derive(Debug, Default, Clone)]
pub struct Interner {
    /// Where names are found by those who read; else they are in `table`.
    near: Option<near::Near>,
    text: String,
    /// Where each name lies in `text`: its begin and its length. Of those that were forgotten nothing is left.
    spans: Vec<(u32, u32)>,
    forgotten: usize,
    /// So many names were told.
    told: usize,
    table: HashTable<Slot>,
}

/// A name's hash, with its kind if it has one: of this process only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(u128);

impl Hash {
    /// The hash of a name of a kind, or of none.
    #[must_use]
    pub fn of(kind: Option<u8>, name: &str) -> Self {
        // Whoever could foresee it could choose names that are taken for others.
        static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0u8));
        Self(xxh3_128_with_seed(name.as_bytes(), SEED.wrapping_add(kind.map_or(0, u64::from))))
    }

    fn short(self) -> u32 {
        self.0 as u32
    }
}

/// The table takes its place from the first bits of a hash and a tag from the last.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The hash of a name as it is kept, its kind being its first byte if the interner has kinds.
fn hash_kept(kinds: bool, kept: &str) -> Hash {
    match kept.as_bytes().first() {
        Some(kind) if kinds => Hash::of(Some(*kind), kept.get(1..).unwrap_or_default()),
        _ => Hash::of(None, kept),
    }
}

impl Interner {
    fn look(&self, kind: Option<u8>, name: &str, hash: Hash) -> Option<Id> {
        if let Some(near) = &self.near {
            return near.find(hash);
        }
        let hash = hash.short();
        let text = self.text.as_bytes();
        let found = self.table.find(spread(hash), |slot| {
            let from = slot.from as usize;
            slot.hash == hash
                && slot.length as usize == name.len() + usize::from(kind.is_some())
                && match kind {
                    None => text.get(from..from + name.len()) == Some(name.as_bytes()),
                    Some(kind) => {
                        text.get(from) == Some(&kind)
                            && text.get(from + 1..from + 1 + name.len()) == Some(name.as_bytes())
                    }
                }
        });
        found.map(|slot| slot.id)
    }

    fn add(&mut self, kind: Option<u8>, name: &str, hash: Hash) -> Id {
        let from = self.text.len();
        let whole = from + name.len() + 1;
        // Names are given up, not the program, where four billion bytes of them are full: all others are one.
        if u32::try_from(whole).is_err() || self.len() >= Id::MAX as usize - 1 {
            return self.len() as Id;
        }
        self.text.extend(kind.map(char::from));
        self.text.push_str(name);
        self.enter(from, hash)
    }

    /// Makes what was added to the text the next name.
    fn enter(&mut self, from: usize, hash: Hash) -> Id {
        let length = (self.text.len() - from) as u32;
        self.spans.push((from as u32, length));
        let id = self.len() as Id;
        match &mut self.near {
            Some(near) => near.add(hash, id),
            None => {
                let slot = Slot { hash: hash.short(), from: from as u32, length, id };
                self.table.insert_unique(spread(slot.hash), slot, |slot| spread(slot.hash));
            }
        }
        id
    }

    /// The number of a name, given one if it has none.
    pub fn id(&mut self, name: &str) -> Id {
        self.id_hashed(None, name, Hash::of(None, name))
    }

    /// For those who read: names are found at once, for 16 bytes each.
    #[must_use]
    pub fn for_reading() -> Self {
        Self { near: Some(near::Near::default()), ..Self::default() }
    }

    /// The number of a name of a kind, an ASCII letter, given one if it has none. It is kept as the letter and the name. An
    /// interner is used with kinds or without, not both.
    pub fn id_of(&mut self, kind: u8, name: &str) -> Id {
        self.id_hashed(Some(kind), name, Hash::of(Some(kind), name))
    }

    /// The number of a name, of a kind or none, whose hash is known; given one if it has none.
    pub fn id_hashed(&mut self, kind: Option<u8>, name: &str, hash: Hash) -> Id {
        self.look(kind, name, hash).unwrap_or_else(|| self.add(kind, name, hash))
    }

    /// Fetches what searches for names will need, which wait for memory together and not one after the other.
    pub fn warm(&self, hashes: impl Iterator<Item = Hash>) {
        if let Some(near) = &self.near {
            // A sum, since nothing waits for its parts before it is whole.
            std::hint::black_box(hashes.fold(0, |sum: Id, hash| sum.wrapping_add(near.touch(hash))));
        }
    }

    /// The number of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<Id> {
        self.look(None, name, Hash::of(None, name))
    }

    /// The number of a name of a kind, if it has one.
    pub fn find_of(&self, kind: u8, name: &str) -> Option<Id> {
        self.look(Some(kind), name, Hash::of(Some(kind), name))
    }

    /// How many bytes the names have that are not forgotten.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Where a number's name lies among those that are left.
    fn place(&self, id: Id) -> Option<usize> {
        (id as usize).checked_sub(1 + self.forgotten)
    }

    /// The name of a number; empty for 0, and for one that was told by who finds names without it.
    pub fn name(&self, id: Id) -> &str {
        let Some((from, length)) = self.place(id).and_then(|place| self.spans.get(place)) else { return "" };
        self.text.get(*from as usize..(*from + *length) as usize).unwrap_or_default()
    }

    /// Forgets a name: its number stays, and nothing leads to it.
    pub fn blank(&mut self, id: Id, kinds: bool) {
        if let Some(near) = &mut self.near {
            near.blank(id);
        }
        let hash = hash_kept(kinds, self.name(id));
        if let Ok(entry) = self.table.find_entry(spread(hash.short()), |slot| slot.id == id) {
            entry.remove();
        }
        if let Some(span) = self.place(id).and_then(|place| self.spans.get_mut(place)) {
            span.1 = 0;
        }
    }

    /// Adds a name as it is kept, as the next number, even if it is empty: how a state is read back.
    pub fn restore(&mut self, kept: &str, kinds: bool) {
        let from = self.text.len();
        self.text.push_str(kept);
        if kept.is_empty() {
            self.spans.push((from as u32, 0));
        } else {
            self.enter(from, hash_kept(kinds, kept));
        }
    }

    /// The names that came since the last time, in the order of their numbers. Who reads finds them by their hash and keeps no
    /// text of what was told.
    pub fn tell(&mut self) -> Vec<Box<str>> {
        let new = (self.told + 1..=self.len()).map(|id| Box::from(self.name(id as Id))).collect();
        self.told = self.len();
        if self.near.is_some() {
            self.forgotten = self.told;
            self.text.clear();
            self.spans.clear();
        }
        new
    }

    /// How many names there are; they are numbered from 1 to this.
    pub fn len(&self) -> usize {
        self.forgotten + self.spans.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let mut names = Interner::default();
        for round in 0..2 {
            for n in 0..5000u32 {
                assert_eq!(names.id(&format!("name {n}")), n + 1, "round {round}");
            }
        }
        assert_eq!(
            (names.len(), names.name(7), names.find("name 6"), names.find("x")),
            (5000, "name 6", Some(7), None)
        );
        assert_eq!(names.name(0), "");
    }

    #[test]
    fn kinds_keep_names_apart_and_are_kept_with_them() {
        let mut names = Interner::default();
        let (user, device) = (names.id_of(b'u', "7"), names.id_of(b'a', "7"));
        assert_ne!(user, device);
        assert_eq!((names.name(user), names.name(device), names.find_of(b'a', "7")), ("u7", "a7", Some(device)));
        let mut again = Interner::default();
        ["u7", "", "a7"].into_iter().for_each(|name| again.restore(name, true));
        assert_eq!((again.find_of(b'u', "7"), again.find_of(b'a', "7"), again.name(2)), (Some(1), Some(3), ""));
        again.blank(1, true);
        assert_eq!((again.find_of(b'u', "7"), again.name(1)), (None, ""));
        assert_eq!(again.id_of(b'u', "7"), 4, "who comes back is somebody new");
    }

    #[test]
    fn where_names_are_found_changes_nothing() {
        let (mut plain, mut near) = (Interner::default(), Interner::for_reading());
        let name = |n: u32| format!("{}{n}", "x".repeat((n % 67) as usize));
        for n in (0..90_000).chain((0..90_000).rev()) {
            let kind = if n % 3 == 0 { b'u' } else { b'a' };
            assert_eq!(plain.id_of(kind, &name(n)), near.id_of(kind, &name(n)), "{n}");
        }
        for interner in [&mut plain, &mut near] {
            assert_eq!(interner.tell().len(), interner.len());
            let new = interner.id_of(b'u', "new");
            assert_eq!(interner.name(new), "unew");
            assert_eq!(*interner.tell(), ["unew".into()]);
        }
        assert_eq!((plain.name(1), near.name(1), near.bytes(), plain.len()), ("u0", "", 0, near.len()));
        let id = near.id_of(b'u', &name(0));
        near.blank(id, true);
        assert_eq!(near.id_of(b'u', &name(0)) as usize, near.len(), "a forgotten name is not found");
    }
}
