//! A few values by their names, in the order of the names: what every account has of traits and profiles.
//!
//! There are tens of thousands of these at once, each with a handful of names that all share: a sorted list of shared names is
//! a third of the size of a tree.

use std::sync::Arc;

/// So much room is made at most before anything is there.
const HANDFUL: usize = 32;

/// Values by name.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct ByName<T> {
    entries: Vec<(Arc<str>, T)>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> ByName<T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet, with room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self { entries: Vec::with_capacity(count) }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.find(name).ok()?;
        self.entries.get(place).map(|(_, value)| value)
    }

    /// Sets the value of a name; the one before.
    pub fn insert(&mut self, name: impl Into<Arc<str>> + AsRef<str>, value: T) -> Option<T> {
        match self.find(name.as_ref()) {
            Ok(place) => self.entries.get_mut(place).map(|entry| std::mem::replace(&mut entry.1, value)),
            Err(place) => {
                self.entries.insert(place, (name.into(), value));
                None
            }
        }
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> + DoubleEndedIterator {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// Names and values, with what the name is shared by.
    pub fn shared(&self) -> impl ExactSizeIterator<Item = &(Arc<str>, T)> {
        self.entries.iter()
    }

    /// Keeps what a test holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &T) -> bool) {
        self.entries.retain(|(name, value)| keep(name, value));
        self.entries.shrink_to_fit();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T: Clone> ByName<T> {
    /// The same as a map.
    pub fn to_map(&self) -> std::collections::BTreeMap<String, T> {
        self.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

impl<T, N: Into<Arc<str>> + AsRef<str>> FromIterator<(N, T)> for ByName<T> {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut all = Self::with_capacity(entries.size_hint().1.unwrap_or_default().min(HANDFUL));
        for (name, value) in entries {
            all.insert(name, value);
        }
        all.entries.shrink_to_fit();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_stands_and_names_are_in_order() {
        let mut names: ByName<u8> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), [("a", &2), ("b", &3)]);
        assert_eq!(
            (names.insert("c", 4), names.insert("a", 5), names.get("a"), names.get("x")),
            (None, Some(2), Some(&5), None)
        );
        names.retain(|name, _| name != "b");
        assert_eq!(names.to_map().into_iter().collect::<Vec<_>>(), [("a".to_owned(), 5), ("c".to_owned(), 4)]);
    }
}
