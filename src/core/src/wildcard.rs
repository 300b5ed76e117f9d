//! Names with wildcards: `Report *` stands for every event whose name begins so. They are expanded at evaluation over the
//! events that were seen, so an event that is new next month is scored from its first day.
//!
//! `*` is any text, also none; there is no other sign, no escape and no letter case that is ignored. Events on a condition are
//! counted beside an event of their own and are never meant.

use crate::derived::MARK;

/// What stands for any text.
const ANY: char = '*';

/// A name that may stand for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard {
    text: String,
}

impl Wildcard {
    /// A name as written. Without a `*` it stands for itself alone.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// Whether a name would be one.
    pub fn is_one(text: &str) -> bool {
        text.contains(ANY)
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What decides between two that match: an exact name goes before one with a `*`, then the one with more characters of its
    /// own, then the one that comes first. Sorts ascending.
    pub fn precedence(&self) -> (bool, std::cmp::Reverse<usize>, &str) {
        let own = self.text.chars().filter(|c| *c != ANY).count();
        (Self::is_one(&self.text), std::cmp::Reverse(own), &self.text)
    }

    /// Whether it stands for an event of this name.
    pub fn matches(&self, name: &str) -> bool {
        if name.starts_with(MARK) {
            return false;
        }
        let mut parts = self.text.split(ANY);
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // Each part where it is found first leaves the most room for those after it.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, matching, other) in [
            ("Report *", vec!["Report Shared", "Report ", "Report *"], vec!["Report", "A Report Shared", "report x"]),
            ("*", vec!["", "x", "Ünïcode"], vec!["\u{1}Report\u{1f}true"]),
            ("*Shared", vec!["Shared", "Report Shared"], vec!["Shared x"]),
            ("a*b*a", vec!["aba", "abba", "a-b-b-a"], vec!["ab", "aa", "abab"]),
            ("ab*ba", vec!["abba"], vec!["aba"]),
            ("**", vec!["x", ""], vec![]),
            ("Exact", vec!["Exact"], vec!["Exactly", "exact", ""]),
        ] {
            let pattern = Wildcard::new(pattern);
            matching.iter().for_each(|name| assert!(pattern.matches(name), "{pattern:?} {name}"));
            other.iter().for_each(|name| assert!(!pattern.matches(name), "{pattern:?} {name}"));
        }
    }

    #[test]
    fn the_more_exact_one_goes_first() {
        let mut all = ["*", "Report *", "* Shared", "Report S*", "Report Shared"].map(Wildcard::new);
        all.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        assert_eq!(all.map(|one| one.text), ["Report Shared", "Report S*", "* Shared", "Report *", "*"]);
    }
}
