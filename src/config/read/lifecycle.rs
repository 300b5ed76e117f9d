//! Stages of life, and a person's word on an account: `lifecycle` and `overrides`.

use std::collections::BTreeMap;

use vitalsync_core::Day;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::model::{Band, Override};
use vitalsync_core::names;
use vitalsync_core::section::{Faults, Kind, Node};
use vitalsync_core::value::Type;

use super::{chosen_name, ordered};

/// An account is new for so many days, unless the config says otherwise.
const NEW_DAYS: i32 = 14;

/// The section `lifecycle`.
pub(super) struct Lifecycle {
    pub stages: Vec<(String, Expr)>,
    pub churned_on: Option<Expr>,
    pub new_days: i32,
}

pub(super) fn lifecycle(node: Option<&Node>, faults: &mut Faults) -> Lifecycle {
    let entries = node.map(|node| node.entries(faults, "lifecycle")).unwrap_or_default();
    let chosen: Vec<String> = entries.iter().map(|(name, ..)| name.clone()).filter(|name| name != "new").collect();
    let scope = names::trait_scope(&chosen);
    let mut found = Lifecycle { stages: Vec::new(), churned_on: None, new_days: NEW_DAYS };
    for (name, place, node) in entries {
        if name == "new" {
            found.new_days = new_days(node, faults).unwrap_or(NEW_DAYS);
            continue;
        }
        chosen_name(name, *place, faults, "lifecycle stage");
        let rule = if matches!(node.kind, Kind::Map(_)) {
            node.table(faults, &format!("lifecycle.{name}")).and_then(|table| {
                let rule = table.need(faults, "when", "the rule");
                if name == "churned" {
                    found.churned_on = table.get("date").and_then(|node| date(node, &scope, faults));
                }
                table.finish(faults);
                Expr::read(rule?, &scope, Type::Bool, faults)
            })
        } else {
            Expr::read(node, &scope, Type::Bool, faults)
        };
        found.stages.extend(rule.map(|rule| (name.clone(), rule)));
    }
    found.stages = ordered(found.stages, "lifecycle", faults);
    found
}

/// `{days: 14}`, a number of days, or `off`.
fn new_days(node: &Node, faults: &mut Faults) -> Option<i32> {
    let expected = "for how many days from its start an account is new, from 0 to 3650";
    let days = |node: &Node, faults: &mut Faults| {
        let days = node.number_within(faults, expected, 0.0, 3650.0)?;
        if days.fract() != 0.0 {
            faults.error(node.place, format!("expected {expected}, found {days}"));
        }
        Some(days as i32)
    };
    match &node.kind {
        _ if node.is_off() => Some(0),
        Kind::Number(..) => days(node, faults),
        Kind::Map(_) => {
            let table = node.table(faults, "lifecycle.new")?;
            let days = table.need(faults, "days", expected).and_then(|node| days(node, faults));
            table.finish(faults);
            days
        }
        _ => {
            let hint = "an account is new by its age: {days: 14}, or off; a rule has another name";
            faults.error_with_hint(node.place, format!("expected {expected}, found {}", node.described()), hint);
            None
        }
    }
}

fn date(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Expr> {
    let date = Expr::read(node, scope, Type::Any, faults)?;
    if matches!(date.kind(), Type::Bool | Type::List | Type::Map) {
        faults.error(
            node.place,
            format!("expected the day on which it left, but `{}` gives {}", date.source(), date.kind()),
        );
    }
    Some(date)
}

/// `overrides`.
pub(super) fn overrides(node: &Node, aliases: &BTreeMap<String, String>, faults: &mut Faults) -> Vec<Override> {
    let mut list: Vec<Override> = Vec::new();
    for item in node.items() {
        let Some(found) = stated(item, aliases, faults) else { continue };
        if list.iter().any(|other| other.account == found.account) {
            faults.error(item.place, format!("two overrides of `{}`", found.account));
        }
        list.push(found);
    }
    list
}

fn stated(node: &Node, aliases: &BTreeMap<String, String>, faults: &mut Faults) -> Option<Override> {
    let table = node.table(faults, "an override")?;
    let account = table.need(faults, "account", "its id").and_then(|node| {
        let id = node.text(faults, "an account's id")?;
        if let Some(today) = aliases.get(&id) {
            let message = format!("`{id}` is an old id: `accounts.aliases` counts it as `{today}`");
            faults.error_with_hint(node.place, message, format!("write `{today}`"));
        }
        Some(id)
    });
    let band = table.need(faults, "band", "healthy, normal or at_risk").and_then(|node| {
        let at = node.one_of(faults, "a band", &Band::NAMES)?;
        [Band::Healthy, Band::Normal, Band::AtRisk].get(at).copied()
    });
    let reason = table.need(faults, "reason", "why, in words").and_then(|node| {
        let reason = node.text(faults, "why, in words")?;
        if reason.trim().is_empty() {
            faults.error(node.place, "an override has a reason: say why");
        }
        Some(reason)
    });
    let until = table.need(faults, "until", "its last day, as 2026-12-31").and_then(|node| {
        let text = node.text(faults, "its last day, as 2026-12-31")?;
        let day = Day::parse(&text);
        if day.is_none() {
            faults.error(node.place, format!("expected a day such as 2026-12-31, found {}", node.described()));
        }
        day
    });
    table.finish(faults);
    Some(Override { account: account?, band: band?, reason: reason?, until: until?, place: node.place })
}
