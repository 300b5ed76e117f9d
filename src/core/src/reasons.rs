//! What goes together with an outcome: traits, features used and first-week behaviours of one group of accounts against
//! those of another. Association, never cause: whoever leaves may have skipped a step because they were leaving.
//!
//! Each fact is compared by itself, among the accounts of which it is known. There is deliberately no model of all facts
//! together: it would need more accounts than most have, and would be believed more than it should.

use std::collections::{BTreeMap, BTreeSet};

use crate::figures::{Account, Evaluation};
use crate::model::Model;
use crate::value::{Value, plain_number};

/// A fact is compared if so many accounts have it, and as many don't.
pub const SMALLEST: usize = 10;
/// Beyond so many different numbers a trait is cut in two at its median.
const MOST_NUMBERS: usize = 12;
/// Beyond so many different texts a trait is a name or an address and says nothing of others.
const MOST_TEXTS: usize = 24;
/// The normal deviate of a 95 % interval.
const DEVIATE: f64 = 1.96;

/// What kind of fact it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A trait has a value.
    Trait,
    /// An event came in the last 90 days.
    Feature,
    /// An event came in the first seven days.
    FirstWeek,
}

impl Kind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trait => "trait",
            Self::Feature => "feature",
            Self::FirstWeek => "first_week",
        }
    }
}

/// The facts of one account.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    traits: BTreeMap<String, Value>,
    events: BTreeSet<(Kind, String)>,
}

impl Facts {
    /// The facts of an account of an evaluation that was asked for deeds.
    pub fn of(account: &Account, evaluation: &Evaluation, model: &Model) -> Self {
        let named = |kind: Kind, events: &[crate::usage::Id]| -> Vec<(Kind, String)> {
            let names = events.iter().filter_map(|event| evaluation.events.get(event));
            names.map(|name| (kind, model.display_event(name).to_owned())).collect()
        };
        let traits = account.traits.iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let mut events: BTreeSet<_> = named(Kind::Feature, &account.deeds.lately).into_iter().collect();
        events.extend(named(Kind::FirstWeek, &account.deeds.first_week));
        Self { traits: traits.collect(), events }
    }
}

/// How a fact goes together with a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Association {
    /// Its kind.
    pub kind: Kind,
    /// The trait or event.
    pub name: String,
    /// The trait's value; empty for an event.
    pub value: String,
    /// How many of the group have it, of how many of which it is known.
    pub group: (usize, usize),
    /// The same of the others.
    pub others: (usize, usize),
    /// The group's share ÷ the others', with its 95 % interval.
    pub lift: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Association {
    /// How far the nearer end of the interval is from 1, in logarithms; below 0 the interval holds 1.
    fn beyond(&self) -> f64 {
        self.low.ln().max(-self.high.ln())
    }
}

/// A comparison of two groups.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// How many accounts are in the group and in the other.
    pub sizes: (usize, usize),
    /// The clearest first.
    pub associations: Vec<Association>,
    /// How many facts are left out because fewer than [`SMALLEST`] have them, or have them not.
    pub left_out: usize,
    /// Traits that are left out because nearly everybody has a value of their own.
    pub too_various: Vec<String>,
}

/// Whether somebody has a fact; `None` where that is not known.
type Holds<'a> = Box<dyn Fn(&Facts) -> Option<bool> + 'a>;

/// A fact as a kind, a name and a value, with those who have it and those of whom it is known.
struct Told<'a> {
    kind: Kind,
    name: &'a str,
    value: String,
    holds: Holds<'a>,
}

/// Compares a group with others: true for those who are in the group.
pub fn compare(accounts: &[(Facts, bool)]) -> Comparison {
    let size = |wanted: bool| accounts.iter().filter(|(_, inside)| *inside == wanted).count();
    let mut comparison = Comparison { sizes: (size(true), size(false)), ..Comparison::default() };
    let names: BTreeSet<&str> =
        accounts.iter().flat_map(|(facts, _)| facts.traits.keys()).map(String::as_str).collect();
    let mut told: Vec<Told<'_>> = Vec::new();
    for name in names {
        match of_trait(name, accounts) {
            Some(facts) => told.extend(facts),
            None => comparison.too_various.push(name.to_owned()),
        }
    }
    let events: BTreeSet<&(Kind, String)> = accounts.iter().flat_map(|(facts, _)| &facts.events).collect();
    told.extend(events.into_iter().map(|event| Told {
        kind: event.0,
        name: &event.1,
        value: String::new(),
        holds: Box::new(move |facts| Some(facts.events.contains(event))),
    }));
    for fact in told {
        match weigh(&fact, accounts) {
            Some(association) => comparison.associations.push(association),
            None => comparison.left_out += 1,
        }
    }
    // Stable: of equals the order of kinds and names stands.
    comparison.associations.sort_by(|a, b| b.beyond().total_cmp(&a.beyond()));
    comparison
}

/// The facts that a trait gives rise to; `None` where its values are too many.
fn of_trait<'a>(name: &'a str, accounts: &[(Facts, bool)]) -> Option<Vec<Told<'a>>> {
    let values: Vec<&Value> = accounts.iter().filter_map(|(facts, _)| facts.traits.get(name)).collect();
    let mut numbers: Vec<f64> = values.iter().filter_map(|value| value.as_number()).collect();
    numbers.sort_by(f64::total_cmp);
    let mut distinct = numbers.clone();
    distinct.dedup();
    if distinct.len() > MOST_NUMBERS {
        let median = numbers[numbers.len() / 2];
        let holds = move |facts: &Facts| Some(facts.traits.get(name)?.as_number()? >= median);
        let value = format!("≥ {}", plain_number(median));
        return Some(vec![Told { kind: Kind::Trait, name, value, holds: Box::new(holds) }]);
    }
    let words: BTreeSet<String> = values.iter().filter_map(|value| word(value)).collect();
    (words.len() <= MOST_TEXTS).then(|| {
        let fact = |value: String| {
            let wanted = value.clone();
            let holds = move |facts: &Facts| Some(word(facts.traits.get(name)?)? == wanted);
            Told { kind: Kind::Trait, name, value, holds: Box::new(holds) }
        };
        words.into_iter().map(fact).collect()
    })
}

/// A value that can be told in a word; lists and nested traits can't.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Number(number) => Some(plain_number(*number)),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Counts a fact in both groups; `None` where too few have it or have it not.
///
/// The interval is that of the logarithm of a ratio of two shares (Katz et al. 1978); half an account is added to each count
/// where one is 0.
fn weigh(fact: &Told<'_>, accounts: &[(Facts, bool)]) -> Option<Association> {
    let (mut group, mut others) = ((0usize, 0usize), (0usize, 0usize));
    for (facts, inside) in accounts {
        let Some(holds) = (fact.holds)(facts) else { continue };
        let count = if *inside { &mut group } else { &mut others };
        count.0 += usize::from(holds);
        count.1 += 1;
    }
    let with = group.0 + others.0;
    let without = group.1 + others.1 - with;
    if with < SMALLEST || without < SMALLEST || group.1 == 0 || others.1 == 0 {
        return None;
    }
    let more = if group.0 == 0 || others.0 == 0 { 0.5 } else { 0.0 };
    let of = |(with, all): (usize, usize)| (with as f64 + more, all as f64 + 2.0 * more);
    let ((a, n), (c, m)) = (of(group), of(others));
    let log = (a / n / (c / m)).ln();
    let error = (1.0 / a - 1.0 / n + 1.0 / c - 1.0 / m).max(0.0).sqrt();
    Some(Association {
        kind: fact.kind,
        name: fact.name.to_owned(),
        value: fact.value.clone(),
        group,
        others,
        lift: log.exp(),
        low: (log - DEVIATE * error).exp(),
        high: (log + DEVIATE * error).exp(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(plan: Option<&str>, seats: f64, email: usize, events: &[(Kind, &str)]) -> Facts {
        let mut traits: BTreeMap<String, Value> = [
            ("seats".to_owned(), Value::Number(seats)),
            ("email".to_owned(), format!("{email}@x.example").as_str().into()),
        ]
        .into();
        traits.extend(plan.map(|plan| ("plan".to_owned(), plan.into())));
        Facts { traits, events: events.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect() }
    }

    /// 40 of a group of which 30 are on the free plan, 160 others of which 40 are; ten of whom the plan is not known.
    fn accounts() -> Vec<(Facts, bool)> {
        let invited: &[(Kind, &str)] = &[(Kind::FirstWeek, "Invited")];
        (0..200)
            .map(|number| {
                let inside = number < 40;
                let free = if inside { number < 30 } else { number < 80 };
                let plan = (number < 190).then_some(if free { "free" } else { "team" });
                let rare: &[(Kind, &str)] = if number < 9 { &[(Kind::Feature, "Rare")] } else { &[] };
                let mut facts = facts(plan, f64::from(number), number as usize, if inside { rare } else { invited });
                facts.traits.insert("internal".into(), Value::List(Vec::new()));
                (facts, inside)
            })
            .collect()
    }

    #[test]
    fn a_fact_is_told_with_counts_lift_and_interval() {
        let comparison = compare(&accounts());
        assert_eq!(comparison.sizes, (40, 160));
        let find = |name: &str, value: &str| {
            let found = comparison.associations.iter().find(|one| one.name == name && one.value == value);
            found.unwrap_or_else(|| panic!("no {name} {value} in {:?}", comparison.associations))
        };
        let free = find("plan", "free");
        assert_eq!((free.group, free.others), ((30, 40), (40, 150)), "of ten the plan is not known");
        // 0.75 ÷ 0.26667 = 2.8125; the standard error of its logarithm is √(1/30 − 1/40 + 1/40 − 1/150) = 0.16330.
        assert!((free.lift - 2.8125).abs() < 1e-9, "{free:?}");
        assert!((free.low - 2.0422).abs() < 1e-3 && (free.high - 3.8733).abs() < 1e-3, "{free:?}");
        let invited = find("Invited", "");
        assert_eq!((invited.group, invited.others), ((0, 40), (160, 160)));
        assert!(
            invited.lift > 0.0 && invited.high < 0.2,
            "a share of nothing is not said to be exactly that: {invited:?}"
        );
        assert_eq!(find("seats", "≥ 100").group, (0, 40));
    }

    #[test]
    fn small_groups_and_names_are_left_out_and_the_clearest_comes_first() {
        let comparison = compare(&accounts());
        assert_eq!(comparison.too_various, ["email"]);
        assert_eq!(comparison.left_out, 1, "nine used Rare");
        assert!(comparison.associations.iter().all(|one| one.name != "Rare"));
        let beyond: Vec<f64> = comparison.associations.iter().map(Association::beyond).collect();
        assert!(beyond.is_sorted_by(|a, b| a >= b), "{beyond:?}");
        assert!(compare(&[]).associations.is_empty());
    }
}
