//! Features over several events: `features`, of all profiles or of one.

use std::collections::BTreeSet;

use vitalsync_core::derived::Derived;
use vitalsync_core::model::{Feature, Profile};
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::wildcard::Wildcard;

use super::events::{Asked, EventNames};

/// Gives each profile its own features, else those of all; without any, each event that it scores is one. `asked` takes where
/// each event is named.
pub(super) fn features(
    of_all: Option<&Node>,
    profiles: Vec<(Profile, Option<&Node>)>,
    derived: &[Derived],
    names: &EventNames,
    asked: &mut Asked,
    faults: &mut Faults,
) -> Vec<Profile> {
    let mut read = |node: &Node| list(node, derived, names, asked, faults);
    let of_all = of_all.map(&mut read).unwrap_or_default();
    let with = |(profile, own): (Profile, Option<&Node>)| Profile {
        features: own.map_or_else(|| of_all.clone(), &mut read),
        ..profile
    };
    profiles.into_iter().map(with).collect()
}

fn list(node: &Node, derived: &[Derived], names: &EventNames, asked: &mut Asked, faults: &mut Faults) -> Vec<Feature> {
    let mut features = Vec::new();
    for (name, place, node) in node.entries(faults, "features") {
        let mut feature = Feature { name: name.clone(), events: BTreeSet::new(), wildcards: Vec::new() };
        for item in node.items() {
            let Some(event) = item.text(faults, "an event's name, or one with a `*` such as \"Report *\"") else {
                continue;
            };
            if Wildcard::is_one(&event) {
                feature.wildcards.push(Wildcard::new(&event));
            } else {
                let instead = "call them differently in the profiles, or give each profile its own `features`";
                let counted = names.meant(&event, item.place, derived, instead, faults);
                asked.entry(counted.clone()).or_default().insert(item.place);
                feature.events.insert(counted);
            }
        }
        if node.items().is_empty() {
            faults.error(*place, format!("feature `{name}` has no event"));
        }
        features.push(feature);
    }
    features
}
