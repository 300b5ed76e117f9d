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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{faults, read};
    use crate::config::Config;

    const PROFILE: &str = "sources:\n  product: { type: segment_archive, location: ./archive }\nprofiles:\n  - events: { Report Shared: 9, Ours: { event: Report Shared, where: properties.ours == true, weight: 2 } }\n";

    #[test]
    fn events_have_labels_by_the_names_that_profiles_give_them() {
        let model = read(&format!("{PROFILE}labels: {{ Report Shared: shared reports, Ours: our own }}\n")).model;
        let named: Vec<&str> = model.profiles[0].weights.keys().map(|event| model.label(event)).collect();
        assert_eq!(named, ["our own", "shared reports"]);
        assert_eq!((model.display_event("Report Shared"), model.label("Other")), ("Report Shared", "Other"));
    }

    #[test]
    fn a_label_that_names_nothing_is_told() {
        let text = format!("{PROFILE}labels: {{ Report Sharde: shared reports }}\n");
        let config = Config::parse(&text, Path::new("v.yaml"), &|_| None).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(config.warnings.len(), 1);
        let said = format!("{:?}", config.warnings);
        assert!(said.contains("did you mean `Report Shared`?"), "{said}");
        let empty = faults(&format!("{PROFILE}labels: {{ Report Shared: ' ' }}\n"));
        assert!(empty[0].contains("a few words on one line"), "{empty:?}");
    }
}
