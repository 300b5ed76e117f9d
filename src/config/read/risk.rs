//! Churn risk: `signals` and `churn_risk`.

use std::collections::BTreeMap;

use vitalsync_core::derived::Derived;
use vitalsync_core::model::{Done, Evidence, Signal};
use vitalsync_core::risk::Weights;
use vitalsync_core::section::{Faults, Kind, Node, nearest};

use super::activation::Reader;
use super::events::{Asked, EventNames};

/// No weight is beyond this: its odds would be those of a certainty.
const FAR: f64 = 20.0;

/// What the config says of signals.
pub(super) type Signals = BTreeMap<Signal, Vec<Evidence>>;

/// By what each signal is known, one thing or a list, and the derived events that they need beside those of before.
pub(super) fn signals(
    node: &Node,
    before: &[Derived],
    names: &EventNames,
    asked: &mut Asked,
    faults: &mut Faults,
) -> (Signals, Vec<Derived>) {
    let mut reader = Reader::new(before, names, asked, faults);
    let mut signals = Signals::new();
    for (name, place, node) in node.entries(reader.faults, "signals") {
        let Some(at) = Signal::NAMES.iter().position(|known| known == name) else {
            let hint = nearest(name, Signal::NAMES).map_or_else(
                || format!("there are {}", Signal::NAMES.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            reader.faults.error_with_hint(*place, format!("there is no signal `{name}`"), hint);
            continue;
        };
        let evidence: Vec<Evidence> =
            node.items().into_iter().filter_map(|node| placed(&mut reader, name, node)).collect();
        signals.entry(Signal::ALL[at]).or_default().extend(evidence);
    }
    (signals, reader.derived)
}

/// One piece of evidence; where an event is named is noted.
fn placed(reader: &mut Reader<'_>, name: &str, node: &Node) -> Option<Evidence> {
    let found = evidence(reader, name, node);
    if let Some(Evidence::Event(event)) = &found {
        reader.asked.entry(event.clone()).or_default().insert(node.place);
    }
    found
}

fn evidence(reader: &mut Reader<'_>, name: &str, node: &Node) -> Option<Evidence> {
    if !matches!(node.kind, Kind::Map(_)) {
        let event = node.text(reader.faults, "an event's name, {event: …, where: …} or {trait: …}")?;
        return Some(Evidence::Event(reader.event(&event, node.place)));
    }
    let what = format!("signal {name}");
    let table = node.table(reader.faults, &what)?;
    match reader.done(&what, node, table)? {
        Done::Event { event, count: 1 } => Some(Evidence::Event(event)),
        Done::Event { .. } => {
            reader.faults.error_with_hint(
                node.place,
                "a signal has no `count`",
                "each time counts by itself, leave it out",
            );
            None
        }
        Done::Trait(name) => Some(Evidence::Trait(name)),
    }
}

/// `churn_risk`: weights that differ from the defaults.
pub(super) fn weights(node: &Node, faults: &mut Faults) -> Option<Weights> {
    let table = node.table(faults, "churn_risk")?;
    let mut weights = Weights::default();
    let entries = table.get("weights").map(|node| node.entries(faults, "churn_risk.weights")).unwrap_or_default();
    for (name, place, node) in entries {
        let Some(weight) = weights.named(name) else {
            let hint = nearest(name, Weights::names()).map_or_else(
                || format!("there are {}", Weights::names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            faults.error_with_hint(*place, format!("churn risk has no signal `{name}`"), hint);
            continue;
        };
        let expected = "a weight from -20 to 20, in log odds (0 leaves the signal out)";
        *weight = node.number_within(faults, expected, -FAR, FAR).unwrap_or(*weight);
    }
    table.finish(faults);
    Some(weights)
}
