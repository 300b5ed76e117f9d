//! The checklists: `activation`.

use vitalsync_core::checklist::{Checklist, Done, STALLED_AFTER, Step};
use vitalsync_core::derived::Derived;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table};
use vitalsync_core::value::Type;

use super::chosen_name;
use super::events::{Asked, EventNames, condition};

/// The checklists, one or a list, and the derived events that they need beside those of the profiles. `scope` is of traits;
/// `asked` takes where each event is named.
pub(super) fn activation(
    node: &Node,
    scope: &Scope,
    profiles: &[Derived],
    names: &EventNames,
    asked: &mut Asked,
    faults: &mut Faults,
) -> (Vec<Checklist>, Vec<Derived>) {
    let items = node.items();
    let alone = items.len() == 1;
    let mut reader = Reader::new(profiles, names, asked, faults);
    let mut lists: Vec<Checklist> = Vec::new();
    for item in items {
        let Some(list) = reader.checklist(item, alone, scope) else { continue };
        if lists.iter().any(|other| other.name == list.name) {
            reader.faults.error(item.place, format!("two checklists are called `{}`", list.name));
        }
        lists.push(list);
    }
    (lists, reader.derived)
}

/// Reads what is done by an event or a trait: steps, and the signals of churn.
pub(super) struct Reader<'a> {
    profiles: &'a [Derived],
    names: &'a EventNames,
    /// Where each event is named.
    pub(super) asked: &'a mut Asked,
    /// The derived events that were met, beside those of the profiles.
    pub(super) derived: Vec<Derived>,
    pub(super) faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        profiles: &'a [Derived],
        names: &'a EventNames,
        asked: &'a mut Asked,
        faults: &'a mut Faults,
    ) -> Self {
        Self { profiles, names, asked, derived: Vec::new(), faults }
    }

    fn checklist(&mut self, node: &Node, alone: bool, scope: &Scope) -> Option<Checklist> {
        let table = node.table(self.faults, "a checklist")?;
        let name = match alone {
            true => table.get("name"),
            false => table.need(self.faults, "name", "each of several checklists has one"),
        };
        let mut list = Checklist::of(Vec::new());
        if let Some(node) = name {
            list.name = node.text(self.faults, "the checklist's name").unwrap_or_default();
            chosen_name(&list.name, node.place, self.faults, "checklist");
        }
        list.only = table.get("for").and_then(|node| Expr::read(node, scope, Type::Bool, self.faults));
        let stalled = table.get("stalled_after").and_then(|node| node.days(self.faults, "when an account is stalled"));
        list.stalled_after = stalled.unwrap_or(STALLED_AFTER);
        let steps = table.need(self.faults, "steps", "the checklist: a name and an event each");
        for (name, place, node) in steps.map(|node| node.entries(self.faults, "steps")).unwrap_or_default() {
            let step = if matches!(node.kind, Kind::Map(_)) {
                self.step(name, node)
            } else {
                node.text(self.faults, "an event's name, {event: …, count: …, where: …, by: …} or {trait: …, by: …}")
                    .map(|event| Step::new(name, Done::Event { event: self.event(&event, node.place), count: 1 }))
            };
            if let Some(Done::Event { event, .. }) = step.as_ref().map(|step| &step.done) {
                self.asked.entry(event.clone()).or_default().insert(*place);
            }
            list.steps.extend(step);
        }
        table.finish(self.faults);
        Some(list)
    }

    /// What a name counts by.
    pub(super) fn event(&mut self, name: &str, place: Place) -> String {
        let instead = "write the event and the condition: {event: …, where: …}";
        self.names.meant(name, place, self.profiles, instead, self.faults)
    }

    fn step(&mut self, name: &str, node: &Node) -> Option<Step> {
        let what = format!("step {name}");
        let table = node.table(self.faults, &what)?;
        let by = table.get("by").and_then(|node| node.count(self.faults, "by how many users, from 1 up", 1));
        Some(Step { by, ..Step::new(name, self.done(&what, node, table)?) })
    }

    /// Reads the rest of a section: an event with how often and on which condition, or a trait. `what` is it, for messages.
    pub(super) fn done(&mut self, what: &str, node: &Node, table: Table<'_>) -> Option<Done> {
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
