//! What the rules of a config run into, over everybody: values that are missing, divisions by zero, unlike kinds.
//!
//! A rule over a trait that nobody has is silently false for everybody. Nothing is wrong with that at any one account, so it
//! shows only here, in a count.

use std::collections::BTreeMap;

use crate::connector::Connector;
use crate::evaluate::Evaluation;
use crate::expr::{Expr, Misses, Names};
use crate::mapping::{FieldMap, Level, Missing};
use crate::model::Model;
use crate::names::{AccountNames, TraitNames, UserNames};
use crate::section::Place;

/// What one rule ran into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many accounts or users it was asked about.
    pub asked: u64,
    /// For how many of them it ran into anything.
    pub of: u64,
    /// What, added up over them.
    pub misses: Misses,
    /// Where the rule stands.
    pub place: Place,
}

/// What rules ran into, by the place of each in the config. One that ran into nothing is not there.
pub type Census = BTreeMap<String, Missed>;

/// Asks the rules of the model, but for ready-made segments: nobody wrote these.
pub fn of_model(model: &Model, evaluation: &Evaluation) -> Census {
    let mut census = Census::new();
    let single = [("accounts.roll_up", &model.roll_up), ("exclude.accounts", &model.exclude_accounts)];
    for (place, rule) in single {
        rule.iter().for_each(|rule| accounts(&mut census, place, rule, evaluation));
    }
    if let Some(rule) = &model.exclude_users {
        let users = evaluation.users.iter();
        let names =
            users.map(|user| TraitNames { id: &user.id, id_name: "user.id", traits: &user.traits, model: None });
        ask(&mut census, "exclude.users", rule, names);
    }
    for profile in &model.profiles {
        let place = format!("profiles.{}.for", profile.name);
        profile.only.iter().for_each(|rule| accounts(&mut census, &place, rule, evaluation));
    }
    for (kind, rules) in [("lifecycle", &model.lifecycle), ("segments", &model.segments)] {
        for (name, rule) in rules {
            accounts(&mut census, &format!("{kind}.{name}"), rule, evaluation);
        }
    }
    census
}

/// Asks the rules and mappings of a destination.
pub fn of_destination(destination: &str, connector: &dyn Connector, evaluation: &Evaluation) -> Census {
    let mut census = Census::new();
    for set in connector.record_sets() {
        let mut rules: Vec<(String, &Expr)> = Vec::new();
        rules.extend(set.only.iter().map(|rule| ("only".to_owned(), rule)));
        rules.extend(match &set.missing {
            Missing::When(rule) => Some(("missing".to_owned(), rule)),
            Missing::Skip | Missing::Create => None,
        });
        rules.extend(set.fields.iter().map(|FieldMap { field, expr, .. }| (field.clone(), expr)));
        for group in &set.groups {
            rules.extend(group.tags.iter().map(|(tag, rule)| (format!("{}.{tag}", group.name), rule)));
        }
        for (name, rule) in rules {
            let place = format!("{destination}.{}.{name}", set.kind);
            match set.level {
                Level::Account => accounts(&mut census, &place, rule, evaluation),
                Level::User => {
                    let names = evaluation.users.iter().map(|user| UserNames { user, evaluation });
                    ask(&mut census, &place, rule, names);
                }
            }
        }
    }
    for rule in connector.alert_rules() {
        let place = format!("{destination}.alerts.{}.for", rule.name);
        rule.only.iter().for_each(|only| accounts(&mut census, &place, only, evaluation));
    }
    census
}

fn accounts(census: &mut Census, place: &str, rule: &Expr, evaluation: &Evaluation) {
    ask(census, place, rule, evaluation.accounts.iter().map(|account| AccountNames { account }));
}

fn ask<N: Names>(census: &mut Census, place: &str, rule: &Expr, subjects: impl Iterator<Item = N>) {
    let mut missed = Missed { place: rule.place(), ..Missed::default() };
    for names in subjects {
        let misses = rule.judged(&names).1;
        missed.asked += 1;
        missed.of += u64::from(misses != Misses::default());
        missed.misses.add(misses);
    }
    if missed.of > 0 {
        census.insert(place.to_owned(), missed);
    }
}
