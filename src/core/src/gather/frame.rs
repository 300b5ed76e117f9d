//! What is the same for all accounts while they are added up: the config under the names of today, and what was said of
//! users. Nothing here changes once counts are read.

use rustc_hash::FxHashMap;

use super::features::Features;
use super::left_out::LeftOut;
use super::steps::is_first_time;
use super::{Ask, HeldOut};
use crate::checklist::{Done, Step};
use crate::derived::MARK;
use crate::identity::Traits;
use crate::model::{Model, Profile};
use crate::time::{Day, Timestamp};
use crate::today::{Names, Structure};
use crate::usage::{Id, Stated};

/// What is the same for all accounts.
pub(super) struct Frame<'a> {
    pub model: &'a Model,
    pub ask: &'a Ask,
    pub today: Day,
    pub today_start: Timestamp,
    /// The last day of every window.
    pub over: Day,
    pub names: Names<'a>,
    pub structure: Structure,
    pub user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
    /// By profile.
    pub features: Vec<Features>,
    /// By profile, the weight of each event by its number, in millionths; 0 for others.
    pub weights: Vec<Vec<i64>>,
    /// By profile, the scored events in the order of their numbers.
    pub columns: Vec<Vec<Id>>,
    /// By profile, the days that leave its windows.
    pub left_out: Vec<LeftOut>,
    /// Scored events that are in no weights yet.
    pub held_out: Vec<HeldOut>,
    /// The milestones that are asked for, as steps.
    pub milestones: Vec<Step>,
    /// By event number, whether a step or milestone asks for more than the first of it; empty where none does.
    pub stepped: Vec<bool>,
}

impl<'a> Frame<'a> {
    pub fn new(
        names: Names<'a>,
        structure: Structure,
        user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
        model: &'a Model,
        ask: &'a Ask,
    ) -> Self {
        let (today, over) = (model.calendar.day(ask.horizon.at), ask.over(model));
        let held_in = |profile: &Profile, event: &str| held(event, profile.window, model, ask, over);
        let profiles = model.profiles.iter();
        let mut held_out: Vec<HeldOut> = profiles
            .flat_map(|profile| profile.weights.keys().filter_map(move |event| held_in(profile, event)))
            .collect();
        held_out.sort();
        held_out.dedup();
        let is_held = |profile, event: &str| held_in(profile, event).is_some();
        let profiles = || model.profiles.iter();
        let weights: Vec<_> =
            profiles().map(|profile| weights(profile, &names, |event| is_held(profile, event))).collect();
        let columns = weights.iter().map(|weights| {
            let scored = weights.iter().enumerate().filter(|(_, weight)| **weight != 0);
            scored.map(|(event, _)| event as Id).collect()
        });
        let milestone =
            |(event, count): &(String, u32)| Step::new("", Done::Event { event: event.clone(), count: *count });
        let milestones: Vec<Step> = ask.milestones.iter().map(milestone).collect();
        Self {
            columns: columns.collect(),
            weights,
            features: profiles()
                .map(|profile| Features::of(profile, model, &names, |event| is_held(profile, event)))
                .collect(),
            left_out: profiles().map(|profile| LeftOut::of(&model.gaps, &profile.name, today)).collect(),
            stepped: stepped(model.steps().chain(&milestones), &names),
            model,
            ask,
            today,
            today_start: model.calendar.start(today),
            over,
            names,
            structure,
            user_traits,
            held_out,
            milestones,
        }
    }
}

/// Whether a scored event is held out: it is derived, and the window that ends on the last day over began before it was
/// counted.
fn held(event: &str, window: i32, model: &Model, ask: &Ask, over: Day) -> Option<HeldOut> {
    let key = event.strip_prefix(MARK)?;
    let since = *ask.since.get(key)?;
    let joins = Day(since.0.saturating_add(window));
    (over.plus(1 - window) < since).then(|| HeldOut { event: model.display_event(event).to_owned(), since, joins })
}

/// The weight of each event by its number, in millionths; 0 for those that are held out or not scored.
fn weights(profile: &Profile, names: &Names<'_>, is_held: impl Fn(&str) -> bool) -> Vec<i64> {
    let mut weights = vec![0; names.events()];
    for (event, weight) in profile.weights.iter().filter(|(event, _)| !is_held(event)) {
        if let Some(event) = names.find_event(event) {
            weights[event as usize] = *weight;
        }
    }
    if !profile.wildcards.is_empty() {
        for event in names.events_of_today() {
            let name = names.event(event);
            if !profile.weights.contains_key(name) {
                weights[event as usize] = profile.weight(name);
            }
        }
    }
    weights
}

/// By event number, whether any of the steps asks for more than the first of it; empty where none does.
fn stepped<'s>(steps: impl Iterator<Item = &'s Step>, names: &Names<'_>) -> Vec<bool> {
    let mut stepped = Vec::new();
    for step in steps.filter(|step| !is_first_time(step)) {
        if let Done::Event { event, .. } = &step.done
            && let Some(event) = names.find_event(event)
        {
            stepped.resize(names.events(), false);
            stepped[event as usize] = true;
        }
    }
    stepped
}
