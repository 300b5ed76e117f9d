//! Which records a tool should hold: the config's mappings, evaluated for accounts and users.
//!
//! A record set is one section of a destination (`companies:`, `contacts:`). Connectors read it from the config in
//! their own words; evaluating it is written once, here.

use std::collections::BTreeMap;

use crate::connector::Key;
use crate::expr::{Expr, Names, Scope};

use crate::section::{Faults, Kind, Node, Place, Table, nearest};
use crate::time::{Calendar, Day, Timestamp};
use crate::value::{Type, Value};

/// Whom a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An account: names are bare (`health.score`).
    Account,
    /// A user: `user.…`, and `account.…` for the primary account.
    User,
}

/// What to do about an account or user that the tool has no record of.
#[derive(Debug, Clone)]
pub enum Missing {
    /// Leave it.
    Skip,
    /// Create it.
    Create,
    /// Create it where the rule holds.
    When(Expr),
}

impl Missing {
    /// Reads `skip`, `create` or a rule. No rule is a word alone.
    pub fn read(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Self> {
        if let Kind::Text(text) = &node.kind {
            match text.value.trim() {
                "skip" => return Some(Self::Skip),
                "create" => return Some(Self::Create),
                word if !word.is_empty() && word.chars().all(char::is_alphabetic) => {
                    let message = format!("expected missing: skip, create or a rule, found {}", node.described());
                    match nearest(word, ["skip", "create"]) {
                        Some(near) => faults.error_with_hint(node.place, message, format!("did you mean `{near}`?")),
                        None => faults.error(node.place, message),
                    }
                    return None;
                }
                _ => {}
            }
        }
        Expr::read(node, scope, Type::Bool, faults).map(Self::When)
    }
}

/// One mapped field. What it writes is made to stay still: measures are rounded half up to whole numbers, other numbers
/// to two decimals, and a time is written as its date, so that a record changes when the customer did.
#[derive(Debug, Clone)]
pub struct FieldMap {
    /// The field's name in the tool.
    pub field: String,
    /// What it holds.
    pub expr: Expr,
    /// The kind of value that is written, as far as the config shows; never [`Type::Time`].
    pub kind: Type,
    /// What is done where there is no value.
    pub when_null: WhenNull,
    /// Whose the field is where somebody else changes it; `None`: as the destination says.
    pub ownership: Option<Ownership>,
}

/// What is done with a field whose value is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenNull {
    /// What stands there is cleared.
    #[default]
    Clear,
    /// What stands there is left.
    Keep,
    /// The whole record is left as it is while there is no value.
    Skip,
}

impl WhenNull {
    /// The words of the config, in the order of the variants.
    pub const NAMES: [&str; 3] = ["clear", "keep", "skip"];
    const ALL: [Self; 3] = [Self::Clear, Self::Keep, Self::Skip];
}

/// Whose a mapped field is, once somebody else was seen to have changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// Ours: it is written again.
    #[default]
    Win,
    /// Theirs: it is left, and listed, until it holds what we would write or nothing.
    Yield,
    /// Listed, and written again when our own value changes next.
    Report,
}

impl Ownership {
    /// The words of the config, in the order of the variants.
    pub const NAMES: [&str; 3] = ["win", "yield", "report"];
    const ALL: [Self; 3] = [Self::Win, Self::Yield, Self::Report];

    /// The word of the config.
    pub fn name(self) -> &'static str {
        let [win, yields, report] = Self::NAMES;
        match self {
            Self::Win => win,
            Self::Yield => yields,
            Self::Report => report,
        }
    }

    /// Reads one of the words.
    pub fn read(node: &Node, faults: &mut Faults) -> Option<Self> {
        Self::ALL.get(node.one_of(faults, "the ownership", &Self::NAMES)?).copied()
    }
}

/// What a field may be said to hold, where its expression does not tell.
const TYPES: [(&str, Type); 4] =
    [("number", Type::Number), ("text", Type::Text), ("date", Type::Date), ("bool", Type::Bool)];

impl FieldMap {
    /// Maps a field to an expression.
    pub fn new(field: impl Into<String>, expr: Expr) -> Self {
        let kind = if expr.kind() == Type::Time { Type::Date } else { expr.kind() };
        Self { field: field.into(), expr, kind, when_null: WhenNull::default(), ownership: None }
    }

    /// Reads a field's mapping: an expression, or `{value: …, type: …, when_null: …, ownership: …}`.
    pub fn read(field: &str, node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Self> {
        let Kind::Map(_) = node.kind else {
            return Expr::read(node, scope, Type::Any, faults).map(|expr| Self::new(field, expr));
        };
        let table = node.table(faults, &format!("the mapping of {field}"))?;
        let map = Self::of_table(field, &table, &[], scope, faults);
        table.finish(faults);
        map.map(|(map, _)| map)
    }

    /// Reads the long form's own keys, and leaves what a tool may say of its field besides to its connector: such as `types`
    /// of its own. With the mapping, which of these it is and where that stands.
    pub fn of_table(
        field: &str,
        table: &Table<'_>,
        types: &[&'static str],
        scope: &Scope,
        faults: &mut Faults,
    ) -> Option<(Self, Option<(usize, Place)>)> {
        let expr =
            table.need(faults, "value", "an expression").and_then(|node| Expr::read(node, scope, Type::Any, faults));
        let when_null = match table.get("when_null") {
            Some(node) => node
                .one_of(faults, "what is done where there is no value", &WhenNull::NAMES)
                .and_then(|at| WhenNull::ALL.get(at).copied()),
            None => Some(WhenNull::default()),
        };
        let ownership = match table.get("ownership") {
            Some(node) => Ownership::read(node, faults).map(Some),
            None => Some(None),
        };
        let kind = match table.get("type") {
            Some(node) => {
                let words: Vec<&str> = TYPES.iter().map(|(word, _)| *word).chain(types.iter().copied()).collect();
                Some((node.one_of(faults, "the type", &words)?, node.place))
            }
            None => None,
        };
        let own = kind.and_then(|(at, place)| Some((at.checked_sub(TYPES.len())?, place)));
        let mut map = Self { when_null: when_null?, ownership: ownership?, ..Self::new(field, expr?) };
        if let Some((_, kind)) = kind.and_then(|(at, _)| TYPES.get(at)) {
            map.kind = *kind;
        }
        Some((map, own))
    }

    /// The value to write for one account or user: of the field's type, as far as that is known, and null where it can't be.
    pub fn value(&self, names: &dyn Names, calendar: &Calendar) -> Value {
        let value = match stilled(&self.expr, self.expr.value(names)) {
            Value::Time(time) => Value::Date(calendar.day(time)),
            other => other,
        };
        match (self.kind, value) {
            (Type::Number, Value::Text(text)) => {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                number.map_or(Value::Null, Value::from)
            }
            (Type::Date, Value::Text(text)) => {
                let day = Day::parse(text.trim());
                let day = day.or_else(|| Timestamp::parse(text.trim()).map(|time| calendar.day(time)));
                day.map_or(Value::Null, Value::Date)
            }
            (Type::Text, value @ (Value::Number(_) | Value::Bool(_) | Value::Date(_))) => match value.to_json() {
                serde_json::Value::String(text) => text.into(),
                other => other.to_string().into(),
            },
            (Type::Number, Value::Bool(_) | Value::Date(_))
            | (Type::Bool, Value::Number(_) | Value::Text(_) | Value::Date(_))
            | (Type::Date, Value::Number(_) | Value::Bool(_)) => Value::Null,
            (_, value) => value,
        }
    }
}

/// A number as it is told to a tool: a measure in whole numbers, half up; what comes of traits, or is rounded by the config, to
/// two decimals. Anything else as it is.
pub(crate) fn stilled(expr: &Expr, value: Value) -> Value {
    let Value::Number(number) = value else { return value };
    let own = expr.source().contains("round(");
    let trait_like = expr.names().iter().any(|name| name.split('.').any(|part| part == "traits"));
    let scale = if own || trait_like { 100.0 } else { 1.0 };
    Value::from((number * scale + 0.5).floor() / scale)
}

/// Tags of which a record carries at most one: the first whose rule holds.
#[derive(Debug, Clone)]
pub struct TagGroup {
    /// The group's name in the config.
    pub name: String,
    /// The tags in the order of the config, each with its rule.
    pub tags: Vec<(String, Expr)>,
}

/// One section of a destination: which records it holds, how they are found, what they carry.
#[derive(Debug, Clone)]
pub struct RecordSet {
    /// The kind of record, as in slots: `company`, `contact`.
    pub kind: &'static str,
    /// Whom the records are about.
    pub level: Level,
    /// Only where this holds.
    pub only: Option<Expr>,
    /// How to find the record, in this order: the way (`domain`, `property:x`, `external_id`) and the value.
    pub keys: Vec<(String, Expr)>,
    /// What to do where there is no record.
    pub missing: Missing,
    /// Fields that only creation writes.
    pub create_fields: Vec<FieldMap>,
    /// The mapped fields.
    pub fields: Vec<FieldMap>,
    /// The exclusive tag groups.
    pub groups: Vec<TagGroup>,
}

/// A record as the config asks for it now.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedRecord {
    /// The kind of record.
    pub kind: &'static str,
    /// The account's or user's own id.
    pub subject: String,
    /// How to find it.
    pub keys: Vec<Key>,
    /// `Some`: create it if it is not there, with these fields in addition.
    pub create: Option<BTreeMap<String, Value>>,
    /// The mapped fields. Null means: no value, so nothing is written and what was written is cleared. A field that is to be
    /// left is not among them.
    pub fields: BTreeMap<String, Value>,
    /// For each tag group the tag that should be set, if any.
    pub tags: BTreeMap<String, Option<String>>,
}

impl RecordSet {
    /// Every expression of it.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let missing = if let Missing::When(rule) = &self.missing { Some(rule) } else { None };
        let fields = self.create_fields.iter().chain(&self.fields).map(|map| &map.expr);
        let tags = self.groups.iter().flat_map(|group| &group.tags).map(|(_, rule)| rule);
        let keys = self.keys.iter().map(|(_, key)| key);
        self.only.iter().chain(missing).chain(keys).chain(fields).chain(tags)
    }

    /// The record for one account or user; `None` where `only` does not hold.
    pub fn wanted(&self, subject: &str, names: &dyn Names, calendar: &Calendar) -> Option<WantedRecord> {
        if self.only.as_ref().is_some_and(|only| !only.holds(names)) {
            return None;
        }
        let values = |maps: &[FieldMap]| -> BTreeMap<String, Value> {
            maps.iter().map(|map| (map.field.clone(), map.value(names, calendar))).collect()
        };
        let create = match &self.missing {
            Missing::Skip => false,
            Missing::Create => true,
            Missing::When(rule) => rule.holds(names),
        };
        let mut fields = values(&self.fields);
        for map in &self.fields {
            match map.when_null {
                WhenNull::Keep if fields.get(&map.field).is_some_and(Value::is_null) => {
                    fields.remove(&map.field);
                }
                WhenNull::Skip if fields.get(&map.field).is_some_and(Value::is_null) => return None,
                _ => {}
            }
        }
        Some(WantedRecord {
            kind: self.kind,
            subject: subject.to_owned(),
            keys: self
                .keys
                .iter()
                .filter_map(|(by, expr)| Some(Key { by: by.clone(), value: expr.value(names).as_key()? }))
                .collect(),
            create: create.then(|| values(&self.create_fields)),
            fields,
            tags: self
                .groups
                .iter()
                .map(|group| {
                    let tag = group.tags.iter().find(|(_, rule)| rule.holds(names)).map(|(tag, _)| tag.clone());
                    (group.name.clone(), tag)
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::Text;

    struct Account(Value);
    impl Names for Account {
        fn value(&self, name: &str) -> Value {
            if name == "health.score" { self.0.clone() } else { Value::Null }
        }
    }

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.name("health.score", Type::Number);
        scope.open("traits");
        scope
    }

    fn text(text: &str) -> Node {
        let text = Text { value: text.to_owned(), written: text.to_owned() };
        Node { place: Place { line: 4, column: 1 }, kind: Kind::Text(text) }
    }

    fn long(entries: &[(&str, &str)]) -> Node {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), Place { line: 4, column: 1 }, text(value));
        Node { place: Place { line: 4, column: 1 }, kind: Kind::Map(entries.iter().map(entry).collect()) }
    }

    fn read(node: &Node) -> Result<FieldMap, Vec<String>> {
        let mut faults = Faults::default();
        let map = FieldMap::read("score", node, &scope(), &mut faults);
        let said = faults.into_sorted().into_iter().map(|fault| fault.message).collect();
        map.ok_or(said)
    }

    /// An account of which only a trait is known.
    struct Trait(Value);

    impl Names for Trait {
        fn value(&self, name: &str) -> Value {
            if name == "traits.x" { self.0.clone() } else { Value::Null }
        }
    }

    fn wanted(map: &FieldMap, score: Value) -> Option<Option<Value>> {
        let set = RecordSet {
            kind: "company",
            level: Level::Account,
            only: None,
            keys: Vec::new(),
            missing: Missing::Skip,
            create_fields: Vec::new(),
            fields: vec![map.clone()],
            groups: Vec::new(),
        };
        Some(set.wanted("acme", &Account(score), &Calendar::default())?.fields.get("score").cloned())
    }

    #[test]
    fn a_field_without_a_value_is_cleared_kept_or_holds_the_record_back() {
        let there = Some(Some(Value::from(42.0)));
        for (node, without) in [
            (text("health.score"), Some(Some(Value::Null))),
            (long(&[("value", "health.score")]), Some(Some(Value::Null))),
            (long(&[("value", "health.score"), ("when_null", "clear")]), Some(Some(Value::Null))),
            (long(&[("value", "health.score"), ("when_null", "keep")]), Some(None)),
            (long(&[("value", "health.score"), ("when_null", "skip")]), None),
        ] {
            let map = read(&node).unwrap();
            assert_eq!((wanted(&map, Value::Null), wanted(&map, 42.0.into())), (without, there.clone()), "{node:?}");
        }
    }

    #[test]
    fn the_long_form_says_whose_a_field_is_and_refuses_what_it_does_not_know() {
        assert_eq!(read(&text("health.score")).unwrap().ownership, None);
        for (word, ownership) in [("win", Ownership::Win), ("yield", Ownership::Yield), ("report", Ownership::Report)] {
            let map = read(&long(&[("value", "health.score"), ("ownership", word)])).unwrap();
            assert_eq!(map.ownership, Some(ownership));
        }
        for (node, fault) in [
            (long(&[("when_null", "keep")]), "the mapping of score: `value` is missing"),
            (
                long(&[("value", "health.score"), ("when_null", "drop")]),
                "expected what is done where there is no value",
            ),
            (long(&[("value", "health.score"), ("ownership", "mine")]), "expected the ownership"),
            (long(&[("value", "health.score"), ("when_nul", "keep")]), "unknown key `when_nul`"),
        ] {
            let mut faults = Faults::default();
            FieldMap::read("score", &node, &scope(), &mut faults);
            let said = faults.into_sorted();
            assert!(said.len() == 1 && said[0].message.starts_with(fault), "{said:?}");
        }
    }

    #[test]
    fn a_field_holds_what_it_is_said_to_hold_or_nothing() {
        let told = |kind: &str, value: Value| {
            let map = read(&long(&[("value", "traits.x"), ("type", kind)])).unwrap();
            map.value(&Trait(value), &Calendar::default())
        };
        let day = Value::Date(Day::parse("2026-03-01").unwrap());
        for (kind, value, expected) in [
            ("number", Value::from(3.5), Value::from(3.5)),
            ("number", " 12 ".into(), 12.0.into()),
            ("number", "3,5".into(), Value::Null),
            ("number", "inf".into(), Value::Null),
            ("number", true.into(), Value::Null),
            ("text", 12.0.into(), "12".into()),
            ("text", true.into(), "true".into()),
            ("date", "2026-03-01".into(), day.clone()),
            ("date", "2026-03-01T23:00:00Z".into(), day.clone()),
            ("date", "soon".into(), Value::Null),
            ("bool", true.into(), true.into()),
            ("bool", "yes".into(), Value::Null),
        ] {
            assert_eq!(told(kind, value.clone()), expected, "{value:?} as {kind}");
        }
        assert_eq!(read(&long(&[("value", "traits.x"), ("type", "number")])).unwrap().kind, Type::Number);
        let refused = read(&long(&[("value", "traits.x"), ("type", "money")])).unwrap_err();
        assert!(refused[0].starts_with("expected the type: one of number, text, date, bool"), "{refused:?}");
    }
}
