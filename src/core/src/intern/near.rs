//! Finds names by their hash alone, in one line of a core's cache each.
//!
//! Who reads millions of lines asks for hundreds of thousands of names in no order, and waits for memory each time; a table of
//! numbers that leads to a text elsewhere waits three times. This one costs 16 bytes a place, is for those who read, and has no
//! text: names are told apart by 96 bits of a hash that nobody outside the process can foresee. Of n names two are taken for
//! one with a probability of n²/2⁹⁷: 10⁻¹⁵ for ten million.

use super::{Hash, Id};

#[derive(Debug, Clone, Copy)]
struct Place {
    hash: [u32; 3],
    /// 0: nobody lives here.
    id: Id,
}

/// The number of one who lived here and was forgotten; no name has it.
const GONE: Id = Id::MAX;
const EMPTY: Place = Place { hash: [0; 3], id: 0 };

/// Hashes of names with their numbers; open addressing, at most three quarters full.
#[derive(Debug, Clone)]
pub(super) struct Near {
    places: Vec<Place>,
    used: usize,
}

impl Default for Near {
    fn default() -> Self {
        Self { places: vec![EMPTY; 64], used: 0 }
    }
}

/// What of a hash is kept.
fn kept(hash: Hash) -> [u32; 3] {
    [hash.0 as u32, (hash.0 >> 32) as u32, (hash.0 >> 64) as u32]
}

impl Near {
    /// Where a search begins; then place by place.
    fn begin(&self, hash: [u32; 3]) -> usize {
        hash[0] as usize & (self.places.len() - 1)
    }

    /// The line where a name would be. Its number says nothing; that it is asked for fetches the line.
    pub(super) fn touch(&self, hash: Hash) -> Id {
        self.places.get(self.begin(kept(hash))).map_or(0, |place| place.id)
    }

    pub(super) fn find(&self, hash: Hash) -> Option<Id> {
        let hash = kept(hash);
        let mut at = self.begin(hash);
        loop {
            let place = self.places.get(at)?;
            if place.id == 0 {
                return None;
            }
            if place.hash == hash && place.id != GONE {
                return Some(place.id);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Adds a name that is not there.
    pub(super) fn add(&mut self, hash: Hash, id: Id) {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            let larger = vec![EMPTY; self.places.len() * 2];
            for place in std::mem::replace(&mut self.places, larger) {
                if place.id != 0 && place.id != GONE {
                    self.enter(place);
                }
            }
        }
        self.enter(Place { hash: kept(hash), id });
        self.used += 1;
    }

    fn enter(&mut self, new: Place) {
        let mut at = self.begin(new.hash);
        while self.places[at].id != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = new;
    }

    /// Forgets the name of a number.
    pub(super) fn blank(&mut self, id: Id) {
        self.places.iter_mut().filter(|place| place.id == id).for_each(|place| place.id = GONE);
    }
}
