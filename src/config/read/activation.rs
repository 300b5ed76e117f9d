//! The checklist: `activation`.

use vitalsync_core::model::{Done, Step};
use vitalsync_core::section::{Faults, Kind, Node};

pub(super) fn activation(node: &Node, faults: &mut Faults) -> Vec<Step> {
    let Some(table) = node.table(faults, "activation") else { return Vec::new() };
    let steps = table.need(faults, "steps", "the checklist: a name and an event each");
    let mut list = Vec::new();
    for (name, _, node) in steps.map(|node| node.entries(faults, "steps")).unwrap_or_default() {
        let done = if matches!(node.kind, Kind::Map(_)) {
            step(name, node, faults)
        } else {
            node.text(faults, "an event's name, {event: …, count: …} or {trait: …}")
                .map(|event| Done::Event { event, count: 1 })
        };
        list.extend(done.map(|done| Step { name: name.clone(), done }));
    }
    table.finish(faults);
    list
}

fn step(name: &str, node: &Node, faults: &mut Faults) -> Option<Done> {
    let table = node.table(faults, &format!("step {name}"))?;
    let event = table.get("event").and_then(|node| node.text(faults, "an event's name"));
    let count = table.get("count").and_then(|node| node.count(faults, "how often, from 1 up", 1));
    let held = table.get("trait").and_then(|node| node.text(faults, "a trait's name"));
    if let Some(node) = table.get("where") {
        faults.error(node.place, "conditions on properties are not supported by this version");
    }
    table.finish(faults);
    match (event, held) {
        (Some(event), None) => Some(Done::Event { event, count: count.unwrap_or(1) }),
        (None, Some(held)) => Some(Done::Trait(held.strip_prefix("traits.").unwrap_or(&held).to_owned())),
        _ => {
            faults.error(node.place, format!("step `{name}` is either an `event` or a `trait`"));
            None
        }
    }
}
