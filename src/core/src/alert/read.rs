//! Alert rules as they are written: what fires one, for whom, where it goes. Every destination that tells edges reads its
//! `alerts:` here; what is its own are the places that an alert may go to.

use std::collections::BTreeSet;

use super::{AlertRule, Side, Trigger};
use crate::expr::{Expr, Scope, Scopes};
use crate::model::Band;
use crate::section::{Faults, Kind, Node, Table};
use crate::time::DAY_MS;
use crate::value::Type;

/// Where a destination's alerts may go.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// What a place is, for people.
    pub what: &'static str,
    /// How one is written.
    pub hint: &'static str,
    /// A place as it is written, in its one form; `None`: it is none.
    pub read: fn(&str) -> Option<String>,
}

/// The most days that `within` may look back, and the most silent ones.
const LONGEST: i32 = 365;
/// So many silent days count as having been away, where a rule does not say.
const AWAY_DAYS: i32 = 14;

/// What can fire a rule, as keys.
const TRIGGERS: [&str; 14] = [
    "drop",
    "rise",
    "band",
    "left_band",
    "segment",
    "left",
    "step",
    "activated",
    "first_value",
    "quiet",
    "back",
    "new_account",
    "milestone",
    "data_stopped",
];

/// Reads all rules of a destination, its `alerts:`; `None` if there are none, or one of them can't be read.
pub fn rules(alerts: &Node, places: &Places, scopes: &Scopes, faults: &mut Faults) -> Option<Vec<AlertRule>> {
    let entries = alerts.entries(faults, "alerts");
    if entries.is_empty() && matches!(alerts.kind, Kind::Map(_)) {
        faults.error(alerts.place, "alerts: expected at least one rule");
    }
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    for (name, place, node) in entries {
        if name.trim().is_empty() {
            faults.error(*place, "an alert rule needs a name");
        } else if !names.insert(name.trim()) {
            faults.error(*place, format!("there are two alert rules named `{}`", name.trim()));
        }
        rules.extend(read_rule(name, node, places, scopes, faults));
    }
    (!rules.is_empty() && rules.len() == entries.len()).then_some(rules)
}

fn read_rule(name: &str, node: &Node, places: &Places, scopes: &Scopes, faults: &mut Faults) -> Option<AlertRule> {
    let table = node.table(faults, "an alert rule")?;
    let trigger = read_trigger(&table, &scopes.account, faults);
    let only = match table.get("for") {
        Some(node) => Expr::read(node, &scopes.account, Type::Bool, faults).map(Some),
        None => Some(None),
    };
    let to = table.need(faults, "to", places.what).and_then(|node| read_place(node, places, faults));
    let cooldown_ms =
        table.get("cooldown").map_or(Some(3 * DAY_MS), |node| Some(node.span(faults, "cooldown")?.millis()));
    table.finish(faults);
    Some(AlertRule { name: name.trim().to_owned(), trigger: trigger?, only: only?, to: to?, cooldown_ms: cooldown_ms? })
}

fn read_trigger(table: &Table<'_>, scope: &Scope, faults: &mut Faults) -> Option<Trigger> {
    let written: Vec<(&'static str, &Node)> =
        TRIGGERS.into_iter().filter_map(|key| Some((key, table.get(key)?))).collect();
    let within = table.get("within");
    let &[(key, node)] = written.as_slice() else {
        let keys: Vec<&str> = written.iter().map(|(key, _)| *key).collect();
        match keys.as_slice() {
            [] => {
                faults.error(table.place, format!("an alert rule needs what fires it: one of {}", TRIGGERS.join(", ")))
            }
            several => faults.error_with_hint(
                table.place,
                format!("an alert rule is fired by one thing, found {}", several.join(", ")),
                "write a rule for each",
            ),
        }
        return None;
    };
    if let Some(within) = within.filter(|_| !matches!(key, "drop" | "rise")) {
        faults.error(within.place, format!("`within` goes with drop and rise, not with {key}"));
    }
    let course = |faults: &mut Faults| {
        let points = node.number_within(faults, "points from 1 to 99", 1.0, 99.0);
        let within_days = within.map_or(Some(7), |node| read_days(node, "within", faults));
        Some((points?, within_days?))
    };
    let yes = |trigger: Trigger, faults: &mut Faults| match node.flag(faults, "true")? {
        true => Some(trigger),
        false => {
            faults.error_with_hint(node.place, format!("a rule with `{key}: false` never fires"), "take the rule out");
            None
        }
    };
    match key {
        "drop" => course(faults).map(|(points, within_days)| Trigger::Drop { points, within_days }),
        "rise" => course(faults).map(|(points, within_days)| Trigger::Rise { points, within_days }),
        "band" => read_band(node, faults).map(|band| Trigger::Band(band, Side::Entered)),
        "left_band" => read_band(node, faults).map(|band| Trigger::Band(band, Side::Left)),
        "segment" => read_segment(node, scope, faults).map(|name| Trigger::Segment(name, Side::Entered)),
        "left" => read_segment(node, scope, faults).map(|name| Trigger::Segment(name, Side::Left)),
        "step" => {
            let step = node.text(faults, "a step of activation")?;
            // The steps are the words of this name.
            let rule = format!("activation.missing_step == {}", serde_json::Value::from(step.as_str()));
            Expr::parse(&rule, node.place, scope, Type::Bool, faults).map(|_| Trigger::Step(step))
        }
        "activated" => yes(Trigger::Activated, faults),
        "first_value" => yes(Trigger::FirstValue, faults),
        "quiet" => read_days(node, "quiet", faults).map(Trigger::Quiet),
        "back" if matches!(node.kind, Kind::Bool(_)) => yes(Trigger::Back(AWAY_DAYS), faults),
        "back" => read_days(node, "back", faults).map(Trigger::Back),
        "data_stopped" => yes(Trigger::DataStopped, faults),
        "new_account" => yes(Trigger::NewAccount, faults),
        _ => read_milestone(node, faults),
    }
}

fn read_days(node: &Node, key: &str, faults: &mut Faults) -> Option<i32> {
    let days = node.days(faults, key)?;
    if days > LONGEST {
        faults.error(node.place, format!("{key} looks back {LONGEST} days at most"));
        return None;
    }
    Some(days)
}

fn read_band(node: &Node, faults: &mut Faults) -> Option<Band> {
    let name = *Band::NAMES.get(node.one_of(faults, "a band", &Band::NAMES)?)?;
    [Band::Healthy, Band::Normal, Band::AtRisk].into_iter().find(|band| band.name() == name)
}

fn read_segment(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<String> {
    let written = node.text(faults, "a segment's name")?;
    let name = written.trim().trim_start_matches("segments.");
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        let hint = "a rule of your own is a segment first: give it a name under `segments:`";
        faults.error_with_hint(node.place, format!("expected a segment's name, found {}", node.described()), hint);
        return None;
    }
    Expr::parse(&format!("segments.{name}"), node.place, scope, Type::Bool, faults).map(|_| name.to_owned())
}

fn read_milestone(node: &Node, faults: &mut Faults) -> Option<Trigger> {
    let table = node.table(faults, "a milestone")?;
    let event = table.need(faults, "event", "an event's name").and_then(|node| node.text(faults, "an event's name"));
    let count = table.need(faults, "count", "how often").and_then(|node| node.count(faults, "a count from 1 up", 1));
    table.finish(faults);
    Some(Trigger::Milestone { event: event?, count: count? })
}

fn read_place(node: &Node, places: &Places, faults: &mut Faults) -> Option<String> {
    let written = node.text(faults, places.what)?;
    if written.trim() == "owner" {
        faults.error_with_hint(
            node.place,
            "alerts to an account's owner are not supported by this version",
            "name a channel, as in \"#cs-alerts\"; a channel that is really called owner is \"#owner\"",
        );
        return None;
    }
    let place = (places.read)(written.trim());
    if place.is_none() {
        faults.error_with_hint(
            node.place,
            format!("expected {}, found {}", places.what, node.described()),
            places.hint,
        );
    }
    place
}
