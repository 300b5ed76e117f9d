//! The checklist: `activation`.

use std::collections::BTreeMap;

use vitalsync_core::derived::Derived;
use vitalsync_core::model::{Done, Step};
use vitalsync_core::section::{Faults, Kind, Node, Place};

use super::events::{EventNames, condition, distinct};

/// The steps, where each of them stands, and the derived events that they need beside those of the profiles.
pub(super) fn activation(
    node: &Node,
    profiles: &[Derived],
    names: &EventNames,
    faults: &mut Faults,
) -> (Vec<Step>, BTreeMap<String, Place>, Vec<Derived>) {
    let Some(table) = node.table(faults, "activation") else { return Default::default() };
    let steps = table.need(faults, "steps", "the checklist: a name and an event each");
    let mut reader = Reader { profiles, names, derived: Vec::new(), faults };
    let (mut list, mut places) = (Vec::new(), BTreeMap::new());
    for (name, place, node) in steps.map(|node| node.entries(reader.faults, "steps")).unwrap_or_default() {
        let done = if matches!(node.kind, Kind::Map(_)) {
            reader.step(&format!("step {name}"), node)
        } else {
            node.text(reader.faults, "an event's name, {event: …, count: …, where: …} or {trait: …}")
                .map(|event| Done::Event { event: reader.event(&event, node.place), count: 1 })
        };
        places.insert(name.clone(), *place);
        list.extend(done.map(|done| Step { name: name.clone(), done }));
    }
    let derived = reader.derived;
    table.finish(faults);
    (list, places, derived)
}

/// Reads what is done by an event or a trait: steps, and the signals of churn.
pub(super) struct Reader<'a> {
    pub(super) profiles: &'a [Derived],
    pub(super) names: &'a EventNames,
    /// The derived events that were met, beside those of the profiles.
    pub(super) derived: Vec<Derived>,
    pub(super) faults: &'a mut Faults,
}

impl Reader<'_> {
    /// What a name counts by: a profile's derived event of that name, else the event itself.
    pub(super) fn event(&mut self, name: &str, place: Place) -> String {
        let named = |derived: &&Derived| derived.name == name && derived.event != name;
        let found = distinct(self.profiles.iter().filter(named).cloned().collect());
        match found.as_slice() {
            [] => self.names.counted(name, place, self.faults),
            [derived] => return derived.counted_as(),
            _ => self.faults.error_with_hint(
                place,
                format!("`{name}` means different things in different profiles"),
                "write the event and the condition: {event: …, where: …}",
            ),
        }
        name.to_owned()
    }

    /// Reads a section; `what` is it, for messages.
    pub(super) fn step(&mut self, what: &str, node: &Node) -> Option<Done> {
        let table = node.table(self.faults, what)?;
        let event = table.get("event").and_then(|node| Some((node.text(self.faults, "an event's name")?, node.place)));
        let count = table.get("count").and_then(|node| node.count(self.faults, "how often, from 1 up", 1));
        let held = table.get("trait").and_then(|node| node.text(self.faults, "a trait's name"));
        let rule_node = table.get("where");
        let rule = rule_node.and_then(|node| condition(node, self.faults));
        table.finish(self.faults);
        match (event, held) {
            (Some((event, place)), None) => {
                let event = match rule_node {
                    None => self.event(&event, place),
                    Some(_) => {
                        self.names.counted(&event, place, self.faults);
                        let derived = Derived::new(None, &event, rule?);
                        let counted = derived.counted_as();
                        self.derived.push(derived);
                        counted
                    }
                };
                Some(Done::Event { event, count: count.unwrap_or(1) })
            }
            (None, Some(held)) => {
                if let Some(node) = rule_node {
                    self.faults.error(node.place, "a trait has no properties: `where` goes with an `event`");
                }
                Some(Done::Trait(held.strip_prefix("traits.").unwrap_or(&held).to_owned()))
            }
            _ => {
                self.faults.error(node.place, format!("{what} is either an `event` or a `trait`"));
                None
            }
        }
    }
}
