//! Names and their numbers.
//!
//! All names of a kind lie in one text, and the table that finds them holds numbers only: hundreds of thousands of users
//! cost their names and some twenty bytes each.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

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

/// A name that was asked for lately, whole, with its number: one line of a core's cache.
#[derive(Debug, Clone, Copy)]
struct Recent {
    id: Id,
    kind: u8,
    length: u8,
    name: [u8; RECENT],
}

/// Longer names are not held so.
const RECENT: usize = 58;
/// So many names are held so, each in one place.
const RECENTS: usize = 1 << 16;

/// Names, numbered from 1 in the order of their coming. Numbers never leave the program.
#[derive(Debug, Default, Clone)]
pub struct Interner {
    /// Names that were asked for lately, if they are held.
    recent: Vec<Recent>,
    text: String,
    /// Where each name lies in `text`: its begin and its length.
    spans: Vec<(u32, u32)>,
    table: HashTable<Slot>,
}

fn hash(kind: Option<u8>, name: &str) -> u32 {
    xxh3_64_with_seed(name.as_bytes(), kind.map_or(0, u64::from)) as u32
}

/// The table takes its place from the first bits of a hash and a tag from the last.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The hash of a name as it is kept, its kind being its first byte if the interner has kinds.
fn hash_kept(kinds: bool, kept: &str) -> u32 {
    match kept.as_bytes().first() {
        Some(kind) if kinds => hash(Some(*kind), kept.get(1..).unwrap_or_default()),
        _ => hash(None, kept),
    }
}

impl Interner {
    fn look(&self, kind: Option<u8>, name: &str) -> Option<Id> {
        let hash = hash(kind, name);
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

    fn add(&mut self, kind: Option<u8>, name: &str) -> Id {
        let from = self.text.len();
        let whole = from + name.len() + 1;
        // Names are given up, not the program, where four billion bytes of them are full: all others are one.
        if u32::try_from(whole).is_err() || self.spans.len() >= Id::MAX as usize - 1 {
            return self.spans.len() as Id;
        }
        self.text.extend(kind.map(char::from));
        self.text.push_str(name);
        self.enter(from, hash(kind, name))
    }

    /// Makes what was added to the text the next name.
    fn enter(&mut self, from: usize, hash: u32) -> Id {
        let (from, length) = (from as u32, (self.text.len() - from) as u32);
        self.spans.push((from, length));
        let id = self.spans.len() as Id;
        self.table.insert_unique(spread(hash), Slot { hash, from, length, id }, |slot| spread(slot.hash));
        id
    }

    /// The number of a name, given one if it has none.
    pub fn id(&mut self, name: &str) -> Id {
        self.look(None, name).unwrap_or_else(|| self.add(None, name))
    }

    /// Holds names that are asked for often where they are found at once, in 4 MiB.
    #[must_use]
    pub fn with_recent(mut self) -> Self {
        self.recent = vec![Recent { id: 0, kind: 0, length: 0, name: [0; RECENT] }; RECENTS];
        self
    }

    /// The number of a name of a kind, an ASCII letter. It is kept as the letter and the name. An interner is used with kinds or
    /// without, not both.
    pub fn id_of(&mut self, kind: u8, name: &str) -> Id {
        if self.recent.is_empty() || name.len() > RECENT {
            return self.look(Some(kind), name).unwrap_or_else(|| self.add(Some(kind), name));
        }
        let place = hash(Some(kind), name) as usize % RECENTS;
        if let Some(recent) = self.recent.get(place)
            && recent.id != 0
            && (recent.kind, usize::from(recent.length)) == (kind, name.len())
            && recent.name.get(..name.len()) == Some(name.as_bytes())
        {
            return recent.id;
        }
        let id = self.look(Some(kind), name).unwrap_or_else(|| self.add(Some(kind), name));
        if let Some(recent) = self.recent.get_mut(place) {
            (recent.id, recent.kind, recent.length) = (id, kind, name.len() as u8);
            recent.name[..name.len()].copy_from_slice(name.as_bytes());
        }
        id
    }

    /// The number of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<Id> {
        self.look(None, name)
    }

    /// The number of a name of a kind, if it has one.
    pub fn find_of(&self, kind: u8, name: &str) -> Option<Id> {
        self.look(Some(kind), name)
    }

    /// How many bytes all names have.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The name of a number; empty for 0.
    pub fn name(&self, id: Id) -> &str {
        let Some((from, length)) = id.checked_sub(1).and_then(|index| self.spans.get(index as usize)) else {
            return "";
        };
        self.text.get(*from as usize..(*from + *length) as usize).unwrap_or_default()
    }

    /// Forgets a name: its number stays, and nothing leads to it.
    pub fn blank(&mut self, id: Id, kinds: bool) {
        self.recent.iter_mut().filter(|recent| recent.id == id).for_each(|recent| recent.id = 0);
        let hash = hash_kept(kinds, self.name(id));
        if let Ok(entry) = self.table.find_entry(spread(hash), |slot| slot.id == id) {
            entry.remove();
        }
        if let Some(span) = id.checked_sub(1).and_then(|index| self.spans.get_mut(index as usize)) {
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

    /// How many names there are; they are numbered from 1 to this.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
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
    fn what_is_held_changes_nothing() {
        let (mut plain, mut held) = (Interner::default(), Interner::default().with_recent());
        let name = |n: u32| format!("{}{n}", "x".repeat((n % 67) as usize));
        for n in (0..90_000).chain((0..90_000).rev()) {
            let kind = if n % 3 == 0 { b'u' } else { b'a' };
            assert_eq!(plain.id_of(kind, &name(n)), held.id_of(kind, &name(n)), "{n}");
        }
        let id = held.id_of(b'u', &name(0));
        held.blank(id, true);
        assert_eq!(held.id_of(b'u', &name(0)) as usize, held.len(), "a forgotten name is not held");
    }
}
