//! Finds short names in one line of a core's cache each: hash, number and name side by side.
//!
//! Who reads millions of lines asks for hundreds of thousands of names in no order, and waits for memory each time; a table of
//! numbers that leads to a text elsewhere waits three times. This one costs 64 bytes a place and is for those who read.

use super::Id;

/// Longer names are not kept here.
pub(super) const LONGEST: usize = 54;

#[derive(Debug, Clone, Copy)]
struct Place {
    /// 0: nobody lives here.
    id: Id,
    hash: u32,
    kind: u8,
    length: u8,
    name: [u8; LONGEST],
}

/// A length that no name has: one lived here that was forgotten.
const GONE: u8 = u8::MAX;
const EMPTY: Place = Place { id: 0, hash: 0, kind: 0, length: 0, name: [0; LONGEST] };

/// Short names with their numbers; open addressing, at most three quarters full.
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

impl Near {
    /// Where a search begins; then place by place.
    fn begin(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    /// Fetches the line where a name would be.
    pub(super) fn warm(&self, hash: u32) {
        std::hint::black_box(self.places.get(self.begin(hash)).map(|place| place.id));
    }

    pub(super) fn find(&self, hash: u32, kind: u8, name: &[u8]) -> Option<Id> {
        let mut at = self.begin(hash);
        loop {
            let place = self.places.get(at)?;
            if place.id == 0 {
                return None;
            }
            if place.hash == hash
                && (place.kind, usize::from(place.length)) == (kind, name.len())
                && place.name.get(..name.len()) == Some(name)
            {
                return Some(place.id);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Adds a name that is not there, of at most [`LONGEST`] bytes.
    pub(super) fn add(&mut self, hash: u32, kind: u8, name: &[u8], id: Id) {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            let larger = vec![EMPTY; self.places.len() * 2];
            for place in std::mem::replace(&mut self.places, larger) {
                if place.id != 0 && place.length != GONE {
                    self.enter(place);
                }
            }
        }
        let mut place = Place { id, hash, kind, length: name.len() as u8, ..EMPTY };
        place.name[..name.len()].copy_from_slice(name);
        self.enter(place);
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
        for place in self.places.iter_mut().filter(|place| place.id == id) {
            place.length = GONE;
        }
    }
}
