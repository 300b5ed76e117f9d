//! Named rules: the segments that everybody has without writing them, and the order in which rules that use each other are
//! evaluated.
//!
//! A ready-made segment is an expression like one's own, over measures alone, so that one's own of the same name can take its
//! place without changing another. Nothing here is written to a tool unless it is mapped.

use crate::expr::{Expr, Scope};
use crate::model::Model;
use crate::section::{Faults, Place};
use crate::value::Type;

/// A ready-made segment.
#[derive(Debug)]
pub struct Ready {
    /// Its name, below `segments.`.
    pub name: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// In words.
    pub meaning: &'static str,
}

const fn ready(name: &'static str, rule: &'static str, meaning: &'static str) -> Ready {
    Ready { name, rule, meaning }
}

/// The ready-made segments. Engagement is the share of the window's days with a scored event: five days of seven are 71 %.
pub static READY: [Ready; 16] = [
    ready("new", "tenure_days < frequency.days", "started within the window"),
    ready("most_engaged", "frequency.percent >= 70", "active on 70 % of the days or more"),
    ready("engaged", "frequency.percent >= 40 && frequency.percent < 70", "on 40 % or more"),
    ready("slightly_engaged", "frequency.percent >= 15 && frequency.percent < 40", "on 15 % or more"),
    ready("least_engaged", "frequency.percent > 0 && frequency.percent < 15", "on a day at least"),
    ready(
        "passive",
        "frequency.percent == 0 && days_since_last_active < frequency.days",
        "seen within the window, but did nothing that is scored",
    ),
    ready(
        "recently_inactive",
        "days_since_last_active >= 30 && days_since_last_active <= 60",
        "last seen 30 to 60 days ago",
    ),
    ready(
        "red_hot",
        "default(health.change_cycle, health.change_30d) >= 10",
        "gained ten points or more in 30 days, or since the same phase of its cycle",
    ),
    ready(
        "ice_cold",
        "default(health.change_cycle, health.change_30d) <= -10",
        "lost ten points or more in 30 days, or since the same phase of its cycle",
    ),
    ready("mature", "tenure_days > 180", "with us for more than half a year"),
    ready("active_today", "days_since_last_active == 0", "seen today"),
    ready("multi_user", "users.total > 1", "more than one user"),
    ready("at_risk_large", "health.band == \"at_risk\" && users.total >= 20", "at risk, with 20 users or more"),
    ready("activated", "activation.percent >= 100", "all steps of activation done"),
    ready("expansion_ready", "expansion_readiness >= 70", "ready for more, by 70 points of 100 or more"),
    ready(
        "stalled_onboarding",
        "activation.stalled",
        "not activated, and no new step for as long as its checklist says",
    ),
];

/// The rules of those ready-made segments whose name none of the config's own has.
pub fn ready_made(own: &[String], scope: &Scope) -> Vec<(String, Expr)> {
    // The table is tested: nothing is wrong with it.
    let mut faults = Faults::default();
    let left = READY.iter().filter(|ready| !own.iter().any(|name| name == ready.name));
    left.filter_map(|ready| {
        let rule = Expr::parse(ready.rule, Place::default(), scope, Type::Bool, &mut faults)?;
        Some((ready.name.to_owned(), rule))
    })
    .collect()
}

/// Rules in an order in which each comes after those that it uses below `kind` (`segments.`), else in the order given; or
/// the rules that need each other, as a path that ends where it began.
pub fn in_order(rules: Vec<(String, Expr)>, kind: &str) -> Result<Vec<(String, Expr)>, Vec<String>> {
    let mut order = Vec::with_capacity(rules.len());
    let mut done = vec![false; rules.len()];
    for place in 0..rules.len() {
        let mut path = Vec::new();
        visit(place, &rules, kind, &mut done, &mut path, &mut order)?;
    }
    let mut rules: Vec<Option<(String, Expr)>> = rules.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place: usize| rules.get_mut(place)?.take()).collect())
}

fn visit(
    place: usize,
    rules: &[(String, Expr)],
    kind: &str,
    done: &mut [bool],
    path: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), Vec<String>> {
    if done[place] {
        return Ok(());
    }
    if let Some(from) = path.iter().position(|passed| *passed == place) {
        return Err(path[from..].iter().chain([&place]).map(|place| rules[*place].0.clone()).collect());
    }
    path.push(place);
    for used in rules[place].1.names().into_iter().filter_map(|name| name.strip_prefix(kind)) {
        if let Some(next) = rules.iter().position(|(name, _)| name == used) {
            visit(next, rules, kind, done, path, order)?;
        }
    }
    path.pop();
    done[place] = true;
    order.push(place);
    Ok(())
}

/// What scores are in rules, or what is made of them, as the beginnings of names.
const SCORES: [&str; 5] = ["health.", "profiles.", "churn_risk", "expansion_readiness", "users.healthy"];

/// Whether a segment asks for a score or what is made of one, itself or through others.
pub fn rests_on_scores(model: &Model, segment: &str) -> bool {
    let rules = model.segments.iter().chain(&model.ready);
    rules.filter(|(name, _)| name == segment).any(|(_, rule)| {
        rule.names().into_iter().any(|name| {
            SCORES.iter().any(|begin| name.starts_with(begin))
                || name.strip_prefix("segments.").is_some_and(|used| rests_on_scores(model, used))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{self, Vocabulary};

    fn rules(sources: &[(&str, &str)]) -> Vec<(String, Expr)> {
        let names: Vec<String> = sources.iter().map(|(name, _)| (*name).to_owned()).collect();
        let scope = names::scopes(&Vocabulary { segments: &names, ..Vocabulary::default() }).account;
        let read = |source| Expr::parse(source, Place::default(), &scope, Type::Bool, &mut Faults::default());
        sources.iter().map(|(name, source)| ((*name).to_owned(), read(source).unwrap())).collect()
    }

    #[test]
    fn each_rule_comes_after_those_that_it_uses() {
        let order = |sources: &[(&str, &str)]| {
            in_order(rules(sources), "segments.")
                .map(|rules| rules.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let apart = order(&[("a", "segments.c && segments.b"), ("b", "segments.c"), ("c", "true")]);
        assert_eq!(apart.unwrap(), ["c", "b", "a"]);
        let ring = order(&[("x", "segments.b"), ("a", "segments.b"), ("b", "segments.c"), ("c", "segments.a")]);
        assert_eq!(ring.unwrap_err(), ["b", "c", "a", "b"]);
        assert_eq!(order(&[("a", "!segments.a")]).unwrap_err(), ["a", "a"]);
    }

    #[test]
    fn rules_that_use_each_other_often_are_looked_at_once() {
        let names: Vec<String> = (0..60).map(|n| format!("s{n}")).collect();
        let last = |n: usize| n.checked_sub(1).map_or("true".to_owned(), |n| format!("segments.s{n} || segments.s{n}"));
        let sources: Vec<String> = (0..names.len()).map(last).collect();
        let pairs: Vec<(&str, &str)> =
            names.iter().zip(&sources).rev().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(in_order(rules(&pairs), "segments.").unwrap()[0].0, "s0");
    }

    #[test]
    fn every_ready_made_segment_reads_and_gives_way() {
        let scope = names::scopes(&Vocabulary::default()).account;
        assert_eq!(ready_made(&[], &scope).len(), READY.len());
        assert!(ready_made(&["new".to_owned()], &scope).iter().all(|(name, _)| name != "new"));
    }

    #[test]
    fn the_readme_shows_each_definition() {
        let readme = include_str!("../../../README.md");
        for Ready { name, rule, meaning } in &READY {
            let line = format!("| `{name}` | `{rule}` | {meaning} |");
            assert!(readme.contains(&line), "not in the README: {line}");
        }
    }
}
