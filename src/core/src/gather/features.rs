//! The features of a profile: which events use which of them.

use std::sync::Arc;

use crate::model::{Model, Profile};
use crate::today::Names;
use crate::usage::Id;

/// The features of one profile, by their places.
pub(crate) struct Features {
    /// Their names.
    pub names: Arc<[String]>,
    /// By the number of an event, the features that it uses: from, until in `uses`.
    by_event: Vec<(u32, u32)>,
    uses: Vec<u32>,
    /// The events that the last of them are, where a wildcard scores these.
    by_wildcard: Vec<Id>,
}

impl Features {
    /// The features that the profile names, else each event that it scores, of those by a wildcard the ones
    /// that are seen ([`Features::settle`]). An event that is held out uses none, and a
    /// feature of which nothing else is left is none.
    pub fn of(profile: &Profile, model: &Model, names: &Names<'_>, held: impl Fn(&str) -> bool) -> Self {
        let mut features =
            Self { names: Arc::from([]), by_event: Vec::new(), uses: Vec::new(), by_wildcard: Vec::new() };
        // Each with an event that uses it.
        let mut uses: Vec<(Id, u32)> = Vec::new();
        let mut used = |event: Option<Id>, feature: usize| uses.extend(event.map(|event| (event, feature as u32)));
        let mut all: Vec<String> = Vec::new();
        if profile.features.is_empty() {
            for event in profile.weights.keys().filter(|event| !held(event)) {
                used(names.find_event(event), all.len());
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
                used(Some(event), all.len());
                all.push(names.event(event).to_owned());
            }
        }
        for feature in &profile.features {
            let exact: Vec<&String> = feature.events.iter().filter(|event| !held(event)).collect();
            if exact.is_empty() && feature.wildcards.is_empty() {
                continue;
            }
            for event in exact {
                used(names.find_event(event), all.len());
            }
            for event in names.events_of_today() {
                if feature.wildcards.iter().any(|wildcard| wildcard.matches(names.event(event))) {
                    used(Some(event), all.len());
                }
            }
            all.push(feature.name.clone());
        }
        features.names = all.into();
        uses.sort_by_key(|(event, _)| *event);
        for event in 0..names.events() as Id {
            let [from, until] = [event, event + 1].map(|end| uses.partition_point(|(of, _)| *of < end) as u32);
            features.by_event.push((from, until));
        }
        features.uses = uses.into_iter().map(|(_, feature)| feature).collect();
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

    /// The places of the features that an event uses.
    pub fn used_by(&self, event: Id) -> &[u32] {
        let (from, until) = self.by_event.get(event as usize).copied().unwrap_or_default();
        self.uses.get(from as usize..until as usize).unwrap_or_default()
    }
}
