//! What a profile says of scores beside the weights of events: sizes, groups, components.

use std::collections::BTreeMap;

use vitalsync_core::component::{Combine, Component, Reads, USAGE, Whose};
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::model::{Per, Profile};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table};
use vitalsync_core::value::Type;

use super::chosen_name;

/// The components of a profile, and the weight of usage where it is said.
#[derive(Clone)]
pub(super) struct Components {
    pub list: Vec<Component>,
    pub usage: Option<f64>,
    pub place: Place,
    /// Where each of the list stands, by its name.
    pub places: BTreeMap<String, Place>,
}

/// `per`.
pub(super) fn per(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Per> {
    if !matches!(node.kind, Kind::Map(_)) {
        let words = ["account", "active_user"];
        let word = node.one_of(faults, "by what raw scores are divided, or {seat: traits.seats}", &words)?;
        return Some(if word == 0 { Per::Account } else { Per::ActiveUser });
    }
    let table = node.table(faults, "per")?;
    let seats = table.need(faults, "seat", "the number of seats, such as traits.seats");
    let seats = seats.and_then(|node| Expr::read(node, scope, Type::Number, faults));
    table.finish(faults);
    seats.map(Per::Seat)
}

/// Refuses groups that are not known as of a benchmark's own day: those that ask for measures.
pub(super) fn check_groups(profiles: &[Profile], segments: &[(String, Expr)], faults: &mut Faults) {
    for within in profiles.iter().filter_map(|profile| profile.within.as_ref()) {
        let mut seen: Vec<&str> = Vec::new();
        let mut left = within.names();
        while let Some(name) = left.pop() {
            let segment = name.strip_prefix("segments.");
            if let Some((name, rule)) = segment.and_then(|name| segments.iter().find(|(known, _)| known == name)) {
                if !seen.contains(&name.as_str()) {
                    seen.push(name);
                    left.extend(rule.names());
                }
                continue;
            }
            let is_known = segment.is_some()
                || name == "account"
                || name == "traits"
                || name.starts_with("traits.")
                || name.starts_with("lifecycle.") && name != "lifecycle.new";
            if !is_known {
                let message =
                    format!("`{}` asks for {name}, which is not known as of a benchmark's own day", within.source());
                faults.error_with_hint(
                    within.place(),
                    message,
                    "use traits, lifecycle rules, or segments over these alone",
                );
                break;
            }
        }
    }
}

/// `components`.
pub(super) fn components(node: &Node, faults: &mut Faults) -> Option<Components> {
    let mut components = Components { list: Vec::new(), usage: None, place: node.place, places: BTreeMap::new() };
    let entries = node.entries(faults, "components");
    let mut good = !entries.is_empty();
    if !good && matches!(node.kind, Kind::Map(_) | Kind::Null) {
        faults.error(node.place, "components: expected at least one, such as nps: {from: users.traits.nps, …}");
    }
    for (name, place, node) in entries {
        good &= chosen_name(name, *place, faults, "component");
        let Some(table) = node.table(faults, &format!("component {name}")) else {
            good = false;
            continue;
        };
        if name == USAGE {
            components.usage = weight(&table, faults);
            good &= components.usage.is_some();
            table.finish(faults);
            continue;
        }
        match component(name, &table, faults) {
            Some(component) => {
                components.places.insert(name.clone(), *place);
                components.list.push(component);
            }
            None => good = false,
        }
        table.finish(faults);
    }
    good.then_some(components)
}

/// The weight of usage beside components: as said, else what they leave of 100; 0 where no event is scored.
pub(super) fn usage_weight(components: &Components, scores_no_event: bool, faults: &mut Faults) -> f64 {
    let others: f64 = components.list.iter().map(|component| component.weight).sum();
    let usage = components.usage.unwrap_or(if scores_no_event { 0.0 } else { 100.0 - others });
    if scores_no_event && usage > 0.0 {
        faults.error(components.place, "usage has a weight, but no event is scored: give it 0, or score `events`");
    } else if usage < 0.0 || usage == 0.0 && components.usage.is_none() && !scores_no_event {
        let message = format!("the weights of the components add up to {others} and leave nothing of 100 for usage");
        faults.error_with_hint(components.place, message, "give it its own, as usage: {weight: 70}; 0 leaves it out");
    } else if usage + others <= 0.0 {
        faults.error(components.place, "no component has a weight above 0");
    }
    usage
}

fn weight(table: &Table<'_>, faults: &mut Faults) -> Option<f64> {
    let expected = "a weight from 0 to 100 (0: shown, and counts for nothing)";
    table.need(faults, "weight", expected)?.number_within(faults, expected, 0.0, 100.0)
}

fn component(name: &str, table: &Table<'_>, faults: &mut Faults) -> Option<Component> {
    let weight = weight(table, faults);
    let from = table.need(faults, "from", "a trait, as traits.NAME or users.traits.NAME");
    let combine = table.get("combine");
    let from = from.and_then(|node| {
        let text = node.text(faults, "a trait, as traits.NAME or users.traits.NAME")?;
        let (of_users, name) = match (text.strip_prefix("users.traits."), text.strip_prefix("traits.")) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => (false, ""),
        };
        if name.is_empty() {
            let hint = "traits.NAME is the account's own, users.traits.NAME that of its users";
            faults.error_with_hint(node.place, format!("`{text}` is no trait"), hint);
            return None;
        }
        Some((of_users, name.to_owned()))
    });
    let whose = match (&from, combine) {
        (Some((true, _)), combine) => {
            let words = COMBINE.map(|(word, _)| word);
            let of_word = |word: usize| COMBINE.get(word).map(|(_, combine)| *combine);
            let combine = match combine {
                Some(node) => node.one_of(faults, "how the users' values become one", &words).and_then(of_word),
                None => Some(Combine::default()),
            };
            combine.map(Whose::Users)
        }
        (Some((false, _)), Some(node)) => {
            faults.error_with_hint(
                node.place,
                "an account's trait has one value",
                "leave `combine` out, or take users.traits.NAME",
            );
            None
        }
        _ => Some(Whose::Account),
    };
    let reads = reads(name, table, faults);
    let max_age = match table.get("max_age") {
        Some(node) => Some(node.days(faults, "how long a value counts")?),
        None => None,
    };
    let (_, from) = from?;
    Some(Component { name: name.to_owned(), whose: whose?, from, reads: reads?, weight: weight?, max_age })
}

const COMBINE: [(&str, Combine); 5] = [
    ("mean", Combine::Mean),
    ("min", Combine::Min),
    ("max", Combine::Max),
    ("median", Combine::Median),
    ("latest", Combine::Latest),
];

/// How values are read: `range`, or `map`.
fn reads(name: &str, table: &Table<'_>, faults: &mut Faults) -> Option<Reads> {
    match (table.get("range"), table.get("map")) {
        (Some(node), None) => {
            let mut end = |node: &Node| node.number_within(faults, "a number between -1e15 and 1e15", -1e15, 1e15);
            let ends: Option<Vec<f64>> = match &node.kind {
                Kind::List(items) => items.iter().map(&mut end).collect(),
                _ => Some(Vec::new()),
            };
            match ends?.as_slice() {
                [worst, best] if worst != best => Some(Reads::Range(*worst, *best)),
                [_, _] => {
                    faults.error(node.place, "the ends of a range differ: the worst value and the best");
                    None
                }
                _ => {
                    faults.error(node.place, "expected a range as [worst, best], such as [0, 10] or [30, 0]");
                    None
                }
            }
        }
        (None, Some(node)) => {
            let share = |(word, _, node): &(String, Place, Node)| {
                let share = node.number_within(faults, "a share from 0, the worst, to 1, the best", 0.0, 1.0);
                share.map(|share| (word.clone(), share))
            };
            let words: Vec<Option<(String, f64)>> =
                node.entries(&mut Faults::default(), "map").iter().map(share).collect();
            if words.is_empty() {
                faults.error(node.place, "expected words with their shares, as {green: 1, yellow: 0.5, red: 0}");
                return None;
            }
            words.into_iter().collect::<Option<_>>().map(Reads::Words)
        }
        _ => {
            let message = format!("component {name}: either a `range` of numbers or a `map` of words");
            faults.error(table.place, message);
            None
        }
    }
}
