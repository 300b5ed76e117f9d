//! Alert rules as they are written: what fires one, for whom, where it goes. Every destination that tells edges reads its
//! `alerts:` here; what is its own are the places that an alert may go to.

use std::collections::BTreeSet;

use super::when::{Digest, QuietHours, minutes};
use super::{AlertRule, Alerting, Form, Places, Route, Side, Trigger, Wording};
use crate::expr::{Expr, Scope, Scopes};
use crate::mapping::Level;
use crate::model::Band;
use crate::section::{Faults, Kind, Node, Table};
use crate::template::TextTemplate;
use crate::time::DAY_MS;
use crate::value::Type;

/// The most days that `within` may look back, and the most silent ones.
const LONGEST: i32 = 365;
/// So many silent days count as having been away, where a rule does not say.
const AWAY_DAYS: i32 = 14;

/// What can fire a rule, as keys.
const TRIGGERS: [&str; 16] = [
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
    "new_user",
    "champion_quiet",
    "data_stopped",
];

/// So many messages go in one pass, if a destination does not say.
const CAP: u32 = 20;

/// What is a destination's own in its alerts.
#[derive(Debug, Clone, Copy)]
pub struct Tells {
    /// The places that they may go to; `None`: it has one.
    pub places: Option<Places>,
    /// What a template of a message gives.
    pub form: Form,
    /// So many alerts fit into one message. 0: without bound.
    pub together: usize,
}

/// Reads all that a destination says of its alerts: `alerts:` and what goes for all of them beside it. `None` if there are no
/// rules, or one of them can't be read.
pub fn alerting(table: &Table<'_>, tells: &Tells, scopes: &Scopes, faults: &mut Faults) -> Option<Alerting> {
    let shared = Shared {
        tells,
        scopes,
        fallback: table.get("fallback"),
        digest: table.get("digest"),
        quiet: table.get("quiet_hours"),
        template: table.get("template"),
    };
    let cap = table.get("cap").map_or(Some(CAP), |node| match node.is_off() {
        true => Some(0),
        false => node.count(faults, "a number of messages from 1 up, or off", 1),
    });
    let crm_url = match table.get("crm_url") {
        Some(node) => TextTemplate::read(node, &scopes.account, link, faults).map(Some),
        None => Some(None),
    };
    let alerts = table.need(faults, "alerts", "which changes of health are told, and where")?;
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
        rules.extend(read_rule(name, node, &shared, faults));
    }
    let whole = !rules.is_empty() && rules.len() == entries.len();
    whole.then_some(())?;
    Some(Alerting { rules, cap: cap? as usize, together: tells.together, crm_url: crm_url? })
}

/// A value within an address: what would end it there is left out.
fn link(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '|' | '"')).collect()
}

/// What goes for all rules of a destination that do not say otherwise.
struct Shared<'a> {
    tells: &'a Tells,
    scopes: &'a Scopes,
    fallback: Option<&'a Node>,
    digest: Option<&'a Node>,
    quiet: Option<&'a Node>,
    template: Option<&'a Node>,
}

fn read_rule(name: &str, node: &Node, shared: &Shared<'_>, faults: &mut Faults) -> Option<AlertRule> {
    let table = node.table(faults, "an alert rule")?;
    let level = match table.get("level") {
        Some(node) => match node.one_of(faults, "whom the rule is about", &["account", "user"])? {
            0 => Level::Account,
            _ => Level::User,
        },
        // Nobody else can be meant.
        None if table.get("new_user").is_some() || table.get("champion_quiet").is_some() => Level::User,
        None => Level::Account,
    };
    let scope = if level == Level::User { &shared.scopes.user } else { &shared.scopes.account };
    let trigger = read_trigger(&table, level, &shared.scopes.account, faults);
    let only = optional(table.get("for"), |node| Expr::read(node, scope, Type::Bool, faults));
    let (to, fallback) = match &shared.tells.places {
        Some(places) => {
            let (to, own) = (table.get("to"), table.get("fallback"));
            if let Some(node) = own.filter(|_| to.is_none() && !places.needed) {
                let hint = "to: owner";
                faults.error_with_hint(
                    node.place,
                    "`fallback` stands in for a `to` that names nobody; here is none",
                    hint,
                );
            }
            let to = match to {
                None if !places.needed => Some(Route::Only),
                _ => {
                    let to = table.need(faults, "to", places.what);
                    to.and_then(|node| read_route(node, places, scope, faults))
                }
            };
            (to, optional(own.or(shared.fallback), |node| read_place(node, places, faults)))
        }
        None => {
            for node in [table.get("to"), table.get("fallback")].into_iter().flatten() {
                faults.warning(node.place, "this destination has only one place: where its address leads");
            }
            (Some(Route::Only), Some(None))
        }
    };
    let standing = |key: &'static str| table.get(key).map(|node| node.place);
    let to_at = standing("to").unwrap_or(table.place);
    let fallback_at = standing("fallback").or(shared.fallback.map(|node| node.place)).unwrap_or(table.place);
    let cooldown_ms =
        table.get("cooldown").map_or(Some(3 * DAY_MS), |node| Some(node.span(faults, "cooldown")?.millis()));
    let digest =
        table.get("digest").or(shared.digest).map_or(Some(Digest::Immediately), |node| read_digest(node, faults));
    let quiet = table.get("quiet_hours").or(shared.quiet).map_or(Some(None), |node| read_quiet(node, faults));
    let recovery = table.get("recovery").map_or(Some(false), |node| {
        let recovery = node.flag(faults, "true or false")?;
        if recovery && trigger.as_ref().is_some_and(|trigger| !trigger.can_be_over()) {
            faults.error(node.place, "what fires this rule is never over again, so there is no `recovery` to tell");
            return None;
        }
        Some(recovery)
    });
    let template = optional(table.get("template").or(shared.template), |node| {
        Wording::read(node, &super::names(scope), shared.tells.form, faults)
    });
    table.finish(faults);
    Some(AlertRule {
        name: name.trim().to_owned(),
        trigger: trigger?,
        level,
        only: only?,
        to: to?,
        to_at,
        fallback: fallback?,
        fallback_at,
        cooldown_ms: cooldown_ms?,
        digest: digest?,
        quiet: quiet?,
        recovery: recovery?,
        template: template?,
    })
}

/// What is there is read; what is not there is none.
fn optional<T>(node: Option<&Node>, read: impl FnOnce(&Node) -> Option<T>) -> Option<Option<T>> {
    node.map_or(Some(None), |node| read(node).map(Some))
}

fn read_digest(node: &Node, faults: &mut Faults) -> Option<Digest> {
    let expected = "a digest: immediately, hourly, daily [at 09:00] or weekly [on monday] [at 09:00]";
    let text = node.text(faults, expected)?;
    let digest = Digest::parse(text.trim());
    if digest.is_none() {
        faults.error(node.place, format!("expected {expected}, found {}", node.described()));
    }
    digest
}

fn read_quiet(node: &Node, faults: &mut Faults) -> Option<Option<QuietHours>> {
    if node.is_off() {
        return Some(None);
    }
    let table = node.table(faults, "quiet hours")?;
    let mut time = |key: &'static str| {
        let node = table.need(faults, key, "a time of day such as \"20:00\"")?;
        let text = node.text(faults, "a time of day")?;
        let read = minutes(text.trim());
        if read.is_none() {
            let hint = "in quotes, as in \"20:00\": without them some readers of YAML take it for a number";
            faults.error_with_hint(node.place, format!("expected a time of day, found {}", node.described()), hint);
        }
        read
    };
    let (from, to) = (time("from"), time("to"));
    let weekends = table.get("weekends").map_or(Some(false), |node| node.flag(faults, "true or false"));
    let place = table.place;
    table.finish(faults);
    let quiet = QuietHours { from: from?, to: to?, weekends: weekends? };
    if quiet.from == quiet.to {
        faults.error(place, "quiet hours that end when they begin");
        return None;
    }
    Some(Some(quiet))
}

fn read_trigger(table: &Table<'_>, level: Level, scope: &Scope, faults: &mut Faults) -> Option<Trigger> {
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
    let trigger = match key {
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
        "back" if matches!(node.kind, Kind::Bool(..)) => yes(Trigger::Back(AWAY_DAYS), faults),
        "back" => read_days(node, "back", faults).map(Trigger::Back),
        "data_stopped" => yes(Trigger::DataStopped, faults),
        "new_account" => yes(Trigger::NewAccount, faults),
        "new_user" => yes(Trigger::NewUser, faults),
        "champion_quiet" if matches!(node.kind, Kind::Bool(..)) => yes(Trigger::ChampionQuiet(AWAY_DAYS), faults),
        "champion_quiet" => read_days(node, "champion_quiet", faults).map(Trigger::ChampionQuiet),
        _ => read_milestone(node, faults),
    }?;
    if !trigger.is_of(level) {
        let of = if level == Level::User { "users" } else { "accounts" };
        faults.error(node.place, format!("`{key}` can't be asked of {of}"));
        return None;
    }
    Some(trigger)
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

/// Reads `to`: a place, `owner`, or an expression that gives a place.
fn read_route(node: &Node, places: &Places, scope: &Scope, faults: &mut Faults) -> Option<Route> {
    let written = node.text(faults, places.what)?;
    let written = written.trim();
    if written == "owner" {
        return Some(Route::Owner(*places));
    }
    if let Some(place) = (places.read)(written) {
        return Some(Route::Place(place));
    }
    // No place is written with any of these.
    if written.contains(['.', '(', '?', '[']) {
        return Expr::read(node, scope, Type::Text, faults).map(|expr| Route::Rule(expr, *places));
    }
    read_place(node, places, faults).map(Route::Place)
}

fn read_place(node: &Node, places: &Places, faults: &mut Faults) -> Option<String> {
    let written = node.text(faults, places.what)?;
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
