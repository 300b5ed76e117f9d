//! Figures under the dotted names that rules and mappings use, as nested JSON: `health.score` is `score` in `health`, so that
//! a measure is named in one place only.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The figures of one account or user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(Map<String, Json>);

impl Figures {
    /// Puts a value under a dotted name.
    pub fn put(&mut self, name: &str, value: Json) {
        let mut path: Vec<&str> = name.split('.').collect();
        let Some(last) = path.pop() else { return };
        let mut map = &mut self.0;
        for part in path {
            let below = map.entry(part).or_insert_with(|| Map::new().into());
            let Json::Object(below) = below else { return };
            map = below;
        }
        map.insert(last.to_owned(), value);
    }

    /// What stands under a dotted name; `None` where there is nothing, or null.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let mut path = name.split('.');
        let first = self.0.get(path.next()?)?;
        path.try_fold(first, |value, part| value.get(part)).filter(|value| !value.is_null())
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// Text, a date or a time.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}
