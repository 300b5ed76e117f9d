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
}

impl Features {
    /// The features that the profile names, else each event that it scores. An event that is held out uses none, and a
    /// feature of which nothing else is left is none.
    pub fn of(profile: &Profile, model: &Model, names: &Names<'_>, held: impl Fn(&str) -> bool) -> Self {
        let mut features = Self { names: Arc::from([]), by_event: vec![Vec::new(); names.events()] };
        let mut all: Vec<String> = Vec::new();
        if profile.features.is_empty() {
            for event in profile.weights.keys().filter(|event| !held(event)) {
                features.uses(names.find_event(event), all.len());
                all.push(model.display_event(event).to_owned());
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
