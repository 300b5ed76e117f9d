//! `labels`: what events are called in words that people read. Names in JSON and rules stay what they are.

use std::collections::BTreeMap;

use vitalsync_core::section::{Faults, Node, nearest};

use super::events::EventNames;

/// By an event's name, or the name that a profile gives one on a condition. `scored`: the names that words may be about.
pub(super) fn labels(
    node: &Node,
    names: &EventNames,
    scored: &[String],
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (event, place, node) in node.entries(faults, "labels") {
        names.of_today(event, *place, faults);
        let Some(label) = node.text(faults, "what people call it, such as \"shared reports\"") else { continue };
        if label.trim().is_empty() || label.chars().any(char::is_control) {
            faults.error(node.place, "a label is a few words on one line, such as \"shared reports\"");
        }
        if !scored.contains(event) {
            let near =
                nearest(event, scored.iter().map(String::as_str)).map(|near| format!(": did you mean `{near}`?"));
            faults.warning(*place, format!("no profile scores `{event}`{}", near.unwrap_or_default()));
        }
        labels.insert(event.clone(), label.trim().to_owned());
    }
    labels
}
