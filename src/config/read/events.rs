//! Names: which of old stand for which of today, which events are left out, and events on a condition.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::derived::{Derived, EventRule, MARK, scope};
use vitalsync_core::expr::Expr;
use vitalsync_core::section::{Faults, Kind, Node, Place};
use vitalsync_core::value::Type;

/// Where the config asks for events other than by a weight, by the names that they are counted by.
pub(super) type Asked = BTreeMap<String, BTreeSet<Place>>;

/// What is known of events by their names before any is scored.
#[derive(Default)]
pub(super) struct EventNames {
    /// Names of old, each with today's.
    pub aliases: BTreeMap<String, String>,
    /// Events that are not counted.
    pub left_out: Option<EventRule>,
}

impl EventNames {
    /// Refuses a name under which nothing is counted: one of old, or one that is left out.
    pub fn counted(&self, name: &str, place: Place, faults: &mut Faults) {
        self.of_today(name, place, faults);
        if self.left_out.as_ref().is_some_and(|rule| rule.excludes(name)) {
            faults.error_with_hint(
                place,
                format!("`{name}` is never counted: `exclude.events` leaves it out"),
                "take it out here or there",
            );
        }
    }

    /// What a name counts by: a profile's derived event of that name, else the event itself. `instead` says what to write
    /// where profiles call different things so.
    pub fn meant(&self, name: &str, place: Place, derived: &[Derived], instead: &str, faults: &mut Faults) -> String {
        let named = |derived: &&Derived| derived.name == name && derived.event != name;
        let found = distinct(derived.iter().filter(named).cloned().collect());
        match found.as_slice() {
            [] => self.counted(name, place, faults),
            [derived] => return derived.counted_as(),
            _ => {
                let message = format!("`{name}` means different things in different profiles");
                faults.error_with_hint(place, message, instead);
            }
        }
        name.to_owned()
    }

    /// Refuses a name of old.
    pub fn of_today(&self, name: &str, place: Place, faults: &mut Faults) {
        if name.is_empty() || name.starts_with(MARK) {
            faults.error(place, "expected an event's name");
        }
        if let Some(today) = self.aliases.get(name) {
            let message = format!("`{name}` is an old name: `events.aliases` counts it as `{today}`");
            faults.error_with_hint(place, message, format!("write `{today}`"));
        }
    }
}

/// `events`.
pub(super) fn event_aliases(node: Option<&Node>, faults: &mut Faults) -> BTreeMap<String, String> {
    let Some(table) = node.and_then(|node| node.table(faults, "events")) else { return BTreeMap::new() };
    let found = table.get("aliases").map(|node| aliases(node, "events.aliases", "an event's name of today", faults));
    table.finish(faults);
    found.unwrap_or_default()
}

/// Names or ids of old, each with today's. Chains are followed to their end; rings have none.
pub(super) fn aliases(node: &Node, section: &str, what: &str, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut next: BTreeMap<&str, String> = BTreeMap::new();
    let mut places: Vec<(&str, Place)> = Vec::new();
    for (old, place, node) in node.entries(faults, section) {
        let Some(new) = node.text(faults, what) else { continue };
        if old.is_empty() || new.is_empty() {
            faults.error(if old.is_empty() { *place } else { node.place }, format!("expected {what}, found no text"));
        } else if *old == new {
            faults.error_with_hint(*place, format!("`{old}` is an alias of itself"), "leave it out");
        } else {
            next.insert(old, new);
            places.push((old, *place));
        }
    }
    let (mut found, mut rings) = (BTreeMap::new(), BTreeSet::new());
    for (old, place) in places {
        let mut path = vec![old];
        while let Some(new) = path.last().and_then(|last| next.get(last)) {
            let seen = path.contains(&new.as_str());
            path.push(new);
            // A ring is told once, where the first of it stands; what only leads into it has nothing of its own to say.
            if seen && new == old && rings.is_disjoint(&path.iter().copied().collect()) {
                faults.error(place, format!("{section}: names that stand for each other: {}", path.join(" → ")));
                rings.extend(path.iter().copied());
            }
            if seen {
                break;
            }
        }
        found.extend(path.last().map(|new| (old.to_owned(), (*new).to_owned())));
    }
    found
}

/// `exclude.events`: names, or a rule over `event`.
pub(super) fn left_out(node: &Node, aliases: &BTreeMap<String, String>, faults: &mut Faults) -> Option<EventRule> {
    let Kind::List(items) = &node.kind else {
        return Some(EventRule::Rule(Expr::read(node, &EventRule::scope(), Type::Bool, faults)?));
    };
    let known = EventNames { aliases: aliases.clone(), left_out: None };
    let mut names = BTreeSet::new();
    for item in items {
        if let Some(name) = item.text(faults, "an event's name") {
            known.of_today(&name, item.place, faults);
            names.insert(name);
        }
    }
    Some(EventRule::Names(names))
}

/// The condition of an event: over `properties.…`.
pub(super) fn condition(node: &Node, faults: &mut Faults) -> Option<Expr> {
    Expr::read(node, &scope(), Type::Bool, faults)
}

/// Each derived event once, under the name that it has first.
pub(super) fn distinct(all: Vec<Derived>) -> Vec<Derived> {
    let mut found: Vec<Derived> = Vec::new();
    for derived in all {
        if found.iter().all(|known| known.key != derived.key) {
            found.push(derived);
        }
    }
    found
}
