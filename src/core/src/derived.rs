//! Derived events: an event on a condition (`External Share` is a `Report Shared` with an audience outside), counted when it
//! is read beside the event itself; and which events are not counted at all.
//!
//! Properties are not kept, so a condition can only be asked when a call is read. What is counted hangs on event and
//! condition, not on the chosen name: a derived event can be renamed and keeps its counts, and a new condition starts anew.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::expr::{Expr, Names, Scope};
use crate::model::Model;
use crate::value::{Type, Value};

/// What the names begin with under which derived events are counted. [`crate::call::parse`] takes no event by such a name.
pub const MARK: char = '\u{1}';

/// Stands between the event and the condition of a key. A condition never has it: texts in it are written as JSON.
const BETWEEN: char = '\u{1f}';

/// An event on a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// What people call it: the profile's name for it, else event and condition in words.
    pub name: String,
    /// The event, by today's name.
    pub event: String,
    /// The condition on its properties.
    pub rule: Expr,
    /// What it is, whatever it is called: the event, U+001F, the condition in its canonical form.
    pub key: String,
}

impl Derived {
    /// An event on a condition under a chosen name; without one it is called by event and condition.
    pub fn new(name: Option<&str>, event: &str, rule: Expr) -> Self {
        let key = format!("{event}{BETWEEN}{}", rule.canonical());
        let name = name.map_or_else(|| format!("{event} where {}", rule.source().trim()), str::to_owned);
        Self { name, event: event.to_owned(), rule, key }
    }

    /// The event name under which it is counted; what weights and steps refer to. No real event can have it, since it
    /// begins with [`MARK`].
    pub fn counted_as(&self) -> String {
        format!("{MARK}{}", self.key)
    }

    /// Whether a call of the event with these properties, as raw JSON, is one. What is missing is null; JSON that can't be
    /// read is none, and properties that are no object (PHP writes `[]` for none) have no names.
    pub fn holds(&self, properties: Option<&str>) -> bool {
        Properties::read(properties).is_some_and(|properties| self.holds_for(&properties))
    }

    /// Like [`Derived::holds`], of properties that were read once for several conditions.
    pub fn holds_for(&self, properties: &Properties) -> bool {
        self.rule.holds(properties)
    }
}

/// The event's own name where a name is a derived event's that no config names any more; else the name.
pub(crate) fn event_of(name: &str) -> &str {
    name.strip_prefix(MARK).map_or(name, |key| key.rsplit_once(BETWEEN).map_or(key, |(event, _)| event))
}

/// The names that a condition on properties may use.
pub fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.open("properties");
    scope
}

/// A call's properties, as the names `properties.…` of a condition.
#[derive(Debug)]
pub struct Properties(serde_json::Value);

impl Properties {
    /// Reads raw JSON; `None` if it is none.
    pub fn read(raw: Option<&str>) -> Option<Self> {
        raw.map_or(Ok(serde_json::Value::Null), serde_json::from_str).ok().map(Self)
    }
}

impl Names for Properties {
    /// As with traits: the name as it is, else a path into nested values.
    fn value(&self, name: &str) -> Value {
        if name == "properties" {
            return Value::from_json(&self.0);
        }
        let Some(name) = name.strip_prefix("properties.") else { return Value::Null };
        let found = self.0.get(name).or_else(|| name.split('.').try_fold(&self.0, |json, part| json.get(part)));
        found.map(Value::from_json).unwrap_or_default()
    }
}

/// The derived events of a config, found by the event whose calls they ask.
#[derive(Debug, Default)]
pub struct Conditions<'a> {
    aliases: Option<&'a BTreeMap<String, String>>,
    by_event: FxHashMap<&'a str, Vec<(&'a Derived, String)>>,
}

impl<'a> Conditions<'a> {
    /// All of a config.
    pub fn of(model: &'a Model) -> Self {
        let mut by_event: FxHashMap<&str, Vec<(&Derived, String)>> = FxHashMap::default();
        for derived in &model.derived {
            by_event.entry(&derived.event).or_default().push((derived, derived.counted_as()));
        }
        Self { aliases: Some(&model.event_aliases), by_event }
    }

    /// Hands out the names under which a call of an event, by any of its names, counts besides.
    pub fn met(&self, event: &str, properties: Option<&str>, mut take: impl FnMut(&str)) {
        if self.by_event.is_empty() {
            return;
        }
        let today = self.aliases.and_then(|aliases| aliases.get(event)).map_or(event, String::as_str);
        let Some(conditions) = self.by_event.get(today) else { return };
        let Some(properties) = Properties::read(properties) else { return };
        conditions.iter().filter(|(derived, _)| derived.holds_for(&properties)).for_each(|(_, name)| take(name));
    }
}

/// Which events are not counted, by today's name.
#[derive(Debug, Clone, PartialEq)]
pub enum EventRule {
    /// These.
    Names(BTreeSet<String>),
    /// Those for which a rule over `event` holds.
    Rule(Expr),
}

impl EventRule {
    /// The names that a rule over an event may use.
    pub fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.name("event", Type::Text);
        scope
    }

    /// Whether an event by this name is left out. Pages and screens are asked by the name under which they count.
    pub fn excludes(&self, name: &str) -> bool {
        struct Event<'a>(&'a str);
        impl Names for Event<'_> {
            fn value(&self, name: &str) -> Value {
                if name == "event" { self.0.into() } else { Value::Null }
            }
        }
        match self {
            Self::Names(names) => names.contains(name),
            Self::Rule(rule) => rule.holds(&Event(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{Faults, Place};

    fn rule(source: &str, scope: &Scope) -> Expr {
        let mut faults = Faults::default();
        let rule = Expr::parse(source, Place::default(), scope, Type::Bool, &mut faults);
        rule.unwrap_or_else(|| panic!("{source}: {:?}", faults.into_sorted()))
    }

    fn derived(source: &str) -> Derived {
        Derived::new(None, "Report Shared", rule(source, &scope()))
    }

    #[test]
    fn a_condition_is_asked_of_a_calls_properties() {
        let properties = Some(
            r#"{"audience":"external","to":{"seats":3,"kind":null,"tags":["a","b"]},"to.kind":"x","plan name":"team","n":"3"}"#,
        );
        for (source, holds) in [
            ("properties.audience == \"external\"", true),
            ("properties.audience == 'internal'", false),
            ("properties.to.seats >= 3", true),
            ("'b' in properties.to.tags", true),
            ("properties.to.kind == 'x'", true),
            ("properties['plan name'] == 'team'", true),
            ("properties.n == 3", false),
            ("size(properties) == 5", true),
            // Missing is null: no comparison holds, so its negation does.
            ("properties.gone != 'x'", false),
            ("!(properties.gone == 'x')", true),
            ("has(properties.to.seats.deeper)", false),
            ("default(properties.gone, 0) + 1 == 1", true),
        ] {
            assert_eq!(derived(source).holds(properties), holds, "{source}");
        }
        let unless = derived("!has(properties.audience)");
        for (raw, holds) in
            [(None, true), (Some("null"), true), (Some("[]"), true), (Some("{}"), true), (Some("{"), false)]
        {
            assert_eq!(unless.holds(raw), holds, "{raw:?}");
        }
    }

    #[test]
    fn what_is_counted_hangs_on_event_and_condition_not_on_the_name() {
        let one = Derived::new(Some("External Share"), "Report Shared", rule("properties.a == \"x\"", &scope()));
        let renamed = Derived::new(Some("Ext"), "Report Shared", rule("( properties.a=='x' )", &scope()));
        let other = derived("properties.a == \"y\"");
        assert_eq!((one.key.as_str(), &one.key), ("Report Shared\u{1f}(properties.a == \"x\")", &renamed.key));
        assert_eq!(one.counted_as(), "\u{1}Report Shared\u{1f}(properties.a == \"x\")");
        assert!(one.key != other.key && other.name == "Report Shared where properties.a == \"y\"");

        let model = Model { derived: vec![one.clone(), other.clone()], ..Model::default() };
        assert_eq!(model.display_event(&one.counted_as()), "External Share");
        assert_eq!(model.display_event(&other.counted_as()), other.name);
        assert_eq!(model.display_event("Report Shared"), "Report Shared");
        assert_eq!(Model::default().display_event(&one.counted_as()), "Report Shared");
    }

    #[test]
    fn events_are_left_out_by_name_or_by_rule() {
        let names = EventRule::Names(["Heartbeat".to_owned()].into());
        let rule = EventRule::Rule(rule("event.startsWith(\"debug_\") || event == \"Heartbeat\"", &EventRule::scope()));
        for (name, by_name, by_rule) in [
            ("Heartbeat", true, true),
            ("debug_x", false, true),
            ("heartbeat", false, false),
            ("xdebug_", false, false),
        ] {
            assert_eq!((names.excludes(name), rule.excludes(name)), (by_name, by_rule), "{name}");
        }
    }
}
