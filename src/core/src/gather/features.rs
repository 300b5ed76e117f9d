//! The features of a profile: which events use which of them.

use std::sync::Arc;

use crate::model::{Model, Profile};
use crate::today::Names;
use crate::usage::Id;

/// The features of one profile, by their places.
pub(crate) struct Features {
    /// Their names.
    pub names: Arc<[String]>,
    /// By the number of an event, the features that it uses.
    by_event: Vec<Vec<u32>>,
    /// The events that the last of them are, where a wildcard scores these.
    by_wildcard: Vec<Id>,
}

impl Features {
    /// The features that the profile names, else each event that it scores, of those by a wildcard the ones
    /// that are seen ([`Features::settle`]). An event that is held out uses none, and a
    /// feature of which nothing else is left is none.
    pub fn of(profile: &Profile, model: &Model, names: &Names<'_>, held: impl Fn(&str) -> bool) -> Self {
        let by_event = vec![Vec::new(); names.events()];
        let mut features = Self { names: Arc::from([]), by_event, by_wildcard: Vec::new() };
        let mut all: Vec<String> = Vec::new();
        if profile.features.is_empty() {
            for event in profile.weights.keys().filter(|event| !held(event)) {
                features.uses(names.find_event(event), all.len());
                all.push(model.display_event(event).to_owned());
            }
            let is_new = |event: &Id| {
                let name = names.event(*event);
                !profile.weights.contains_key(name) && profile.weight(name) > 0
            };
            if !profile.wildcards.is_empty() {
                features.by_wildcard = names.events_of_today().filter(is_new).collect();
                features.by_wildcard.sort_unstable_by_key(|event| names.event(*event));
            }
            for event in features.by_wildcard.clone() {
                features.uses(Some(event), all.len());
                all.push(names.event(event).to_owned());
            }
        }
        for feature in &profile.features {
            let exact: Vec<&String> = feature.events.iter().filter(|event| !held(event)).collect();
            if exact.is_empty() && feature.wildcards.is_empty() {
                continue;
            }
            for event in exact {
                features.uses(names.find_event(event), all.len());
            }
            for event in names.events_of_today() {
                if feature.wildcards.iter().any(|wildcard| wildcard.matches(names.event(event))) {
                    features.uses(Some(event), all.len());
                }
            }
            all.push(feature.name.clone());
        }
        features.names = all.into();
        features
    }

    /// Leaves out the events that a wildcard scores and that nobody did. By place which are left, if any is not.
    pub fn settle(&mut self, is_seen: impl Fn(Id) -> bool) -> Option<Vec<bool>> {
        let exact = self.names.len() - self.by_wildcard.len();
        let left = std::iter::repeat_n(true, exact).chain(self.by_wildcard.iter().map(|event| is_seen(*event)));
        let left: Vec<bool> = left.collect();
        if left.iter().all(|left| *left) {
            return None;
        }
        self.names = self.names.iter().zip(&left).filter(|(_, left)| **left).map(|(name, _)| name.clone()).collect();
        Some(left)
    }

    fn uses(&mut self, event: Option<Id>, feature: usize) {
        if let Some(uses) = event.and_then(|event| self.by_event.get_mut(event as usize)) {
            uses.push(feature as u32);
        }
    }

    /// The places of the features that an event uses.
    pub fn used_by(&self, event: Id) -> &[u32] {
        self.by_event.get(event as usize).map(Vec::as_slice).unwrap_or_default()
    }
}
