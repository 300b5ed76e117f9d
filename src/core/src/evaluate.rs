//! Evaluation: from resolved usage to the measures of every account and user, as of a time.
//!
//! Pure and repeatable: the same usage, model and time give the same figures, whatever the order of reading. Windows end
//! with the last day that is over; activation, last active and tenure run to the as-of time. What came after it is not
//! seen. Scores of past days are computed under today's config; nothing is stored here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::by_name::ByName;
use crate::checklist::share;
use crate::component::USAGE;
use crate::course::Course;
use crate::doubt;
use crate::expr::Expr;
pub use crate::figures::{Account, Evaluation, EventNames, Health, Since, User};
use crate::gather::{Ask, Gathered, History, Tally, gather};
use crate::health;
use crate::identity::{Horizon, traits_at};
use crate::model::{Model, Per};
use crate::names::{AccountNames, TraitNames};
use crate::risk;
use crate::scale::{Scale, scale};
use crate::time::{Day, Timestamp};
use crate::usage::{Id, Ids, Usage};

/// A user counts as one of an account's for so many days after the last event, or for the window if longer.
pub const MEMBER_DAYS: i32 = 90;

/// Evaluates everything as of `at`, users included. `recent_days` is how far back [`Account::recent`] goes, for alert rules.
pub fn evaluate(usage: &Usage, ids: &Ids, model: &Model, at: Timestamp, recent_days: i32) -> Evaluation {
    let ask = Ask {
        horizon: Horizon::at(at),
        recent_days,
        users: true,
        reasons: true,
        activity: false,
        deeds: false,
        since: BTreeMap::new(),
    };
    match evaluate_history(usage, ids, model, ask) {
        Ok(evaluation) => evaluation,
        Err(never) => match never {},
    }
}

/// Evaluates a history that is read through once.
pub fn evaluate_history<H: History>(history: &H, ids: &Ids, model: &Model, ask: Ask) -> Result<Evaluation, H::Error> {
    Ok(measure(gather(history, ids, model, &ask)?, model, &ask))
}

/// Measures what was added up.
fn measure(mut gathered: Gathered<'_>, model: &Model, ask: &Ask) -> Evaluation {
    let at = ask.horizon.at;
    let (today, over) = (model.calendar.day(at), model.calendar.last_over(at));
    let places = 0..model.profiles.len();
    let scales: Vec<Scale<'_>> = places.filter_map(|place| scale(place, &gathered, model, today, over)).collect();
    let mut evaluation = Evaluation {
        at,
        today,
        over,
        unassigned_events: u64::try_from(gathered.unassigned).unwrap_or(0),
        ..Evaluation::default()
    };
    for scale in &scales {
        let name = &scale.profile.name;
        if let Some(applied) = scale.peg(today, over, None) {
            evaluation.benchmarks.insert(name.clone(), applied.peg);
        }
        let groups: BTreeMap<_, _> = scale.groups(today, over).map(|(group, peg)| (group.to_owned(), peg)).collect();
        if !groups.is_empty() {
            evaluation.group_benchmarks.insert(name.clone(), groups);
        }
    }
    let names = &gathered.names;
    let scored = model.profiles.iter().flat_map(|profile| profile.weights.keys());
    evaluation.events = scored.filter_map(|event| Some((names.find_event(event)?, event.clone()))).collect();
    if ask.deeds {
        let all = (1..names.events() as Id).map(|event| (event, names.event(event).to_owned()));
        evaluation.events.extend(all);
    }
    let by_wildcard = gathered.by_wildcard.iter();
    evaluation.events.extend(by_wildcard.map(|event| (*event, names.event(*event).to_owned())));
    evaluation.counted_since = std::mem::take(&mut gathered.held_out);
    evaluation.activity = gathered.activity.take();
    let tallies = std::mem::take(&mut gathered.tallies);
    let places: FxHashMap<Id, usize> = tallies.iter().enumerate().map(|(place, tally)| (tally.id, place)).collect();
    let cx = Members { model, at, today, over, recent_days: ask.recent_days, scales: &scales, gathered: &gathered };
    evaluation.accounts = tallies.into_iter().map(|tally| account(tally, &cx)).collect();
    evaluation.doubts = doubt::of(&evaluation, &gathered, model, today);
    if ask.users {
        evaluation.users = users(&evaluation.accounts, &places, &cx);
    }
    evaluation
}

/// What the evaluation of one account needs besides its own tally.
struct Members<'a> {
    model: &'a Model,
    at: Timestamp,
    today: Day,
    over: Day,
    recent_days: i32,
    scales: &'a [Scale<'a>],
    gathered: &'a Gathered<'a>,
}

fn account(mut tally: Tally, cx: &Members<'_>) -> Account {
    let name = cx.gathered.names.account(tally.id);
    let mut account = Account {
        id: name.to_owned(),
        parent: Some(tally.parent).filter(|id| *id != 0).map(|id| cx.gathered.names.account(id).to_owned()),
        children: tally.children,
        traits: std::mem::take(&mut tally.traits),
        last_active: tally.last,
        days_since_last_active: tally.last.map(|last| (cx.today.0 - cx.model.calendar.day(last).0).max(0)),
        active_users: tally.active_users,
        total_users: tally.total_users,
        active_days: tally.active_days,
        scored: std::mem::take(&mut tally.scored),
        habits: tally.first.map(|_| tally.habits),
        deeds: std::mem::take(&mut tally.deeds),
        ..Account::default()
    };
    let trait_names = TraitNames { id: name, id_name: "account", traits: &account.traits, model: Some(cx.model) };
    account.name = cx.model.name.as_ref().and_then(|expr| expr.value(&trait_names).as_key());
    account.owner = cx.model.owner.as_ref().map(|expr| expr.value(&trait_names)).unwrap_or_default();
    let created = ["createdAt", "created_at"].iter().find_map(|name| account.traits.get(name)?.day(&cx.model.calendar));
    account.start = created.or(tally.first);
    account.tenure_days = account.start.map(|start| cx.today.0.saturating_sub(start.0));
    account.first_key_action = tally.first_key_action;

    account.is_new = account.tenure_days.is_some_and(|days| days < cx.model.new_days);
    account.has_left = tally.has_left(cx.today);
    account.churned_on = tally.left.at(cx.today).copied().filter(|day| *day > Day(i32::MIN));

    for scale in cx.scales {
        let Some(course) = Course::of(&tally, scale, cx.today, cx.over) else { continue };
        let mut health = health_of(&tally, &course, scale, cx);
        if account.is_new {
            health.band = None;
        }
        if tally.chosen == Some(scale.place) {
            let days = (cx.over.0 - cx.recent_days).max(course.first().unwrap_or(cx.over).0)..=cx.over.0;
            account.recent = days.filter_map(|day| Some((Day(day), course.since(Day(day))?))).collect();
            if let Some(stated) = cx.model.stated_band(&account.id, cx.today) {
                health.band = Some(stated.band);
                health.override_reason = Some(stated.reason.clone());
                health.override_until = Some(stated.until);
            }
        }
        account.profiles.insert(&*scale.profile.name, health);
    }
    let chosen = tally.chosen.and_then(|place| cx.model.profiles.get(place));
    account.window_days = chosen.map_or(30, |profile| profile.window) as u32;
    if let (Some(profile), Some(place)) = (chosen, tally.chosen) {
        account.profile = Some(profile.name.clone());
        account.health = account.profiles.get(&profile.name).cloned().unwrap_or_default();
        if let Some(features) = cx.gathered.features.get(place) {
            account.features = Arc::clone(&features.names);
            account.features_used = std::mem::take(&mut tally.features_used);
            account.adoption_window = share(account.used_features(), account.features.len());
            account.adoption_all_time = share(tally.features_ever, account.features.len());
        }
    }
    if let Some(list) = tally.checklist.and_then(|place| cx.model.activation.get(place)) {
        list.judge(&tally.steps, &mut account, cx.today);
    }

    if let Some(values) = risk::values(&account) {
        account.churn_risk = Some(risk::risk(&values, &cx.model.risk_weights));
        account.churn_risk_reasons = risk::reasons(&values, &cx.model.risk_weights);
        account.churn_risk_involuntary = risk::involuntary(&account);
    }

    if account.is_new {
        account.rules.insert("lifecycle.new".into());
    }
    let Model { lifecycle, ready, segments, .. } = cx.model;
    tell(&mut account, "lifecycle", lifecycle, |account| &mut account.rules);
    tell(&mut account, "segments", ready, |account| &mut account.ready);
    tell(&mut account, "segments", segments, |account| &mut account.rules);
    account
}

/// Notes which named rules hold. Each finds those that it uses noted already: none is evaluated twice, however often it is
/// used.
fn tell(account: &mut Account, kind: &str, rules: &[(String, Expr)], noted: fn(&mut Account) -> &mut BTreeSet<String>) {
    for (name, rule) in rules {
        if rule.holds(&AccountNames { account }) {
            noted(account).insert(format!("{kind}.{name}"));
        }
    }
}

fn health_of(tally: &Tally, course: &Course<'_>, scale: &Scale<'_>, cx: &Members<'_>) -> Health {
    let profile = scale.profile;
    let (Some(first), now) = (course.first().or(tally.first), course.now()) else { return Health::default() };
    let past = |days: i32| Some(now.score? - course.on(cx.over.plus(-days)).score?);
    let earlier = (first.0..cx.over.0).filter_map(|day| course.on(Day(day)).score);
    let band = now.score.and_then(|score| profile.bands.held(earlier.chain([score])));
    let peg = course.peg();
    let components =
        profile.components.iter().enumerate().map(|(index, of)| (&*of.name, course.component(index, cx.over)));
    let all = components.chain((!profile.components.is_empty()).then_some((USAGE, now.usage)));
    let mut components = ByName::new();
    all.filter_map(|(name, points)| Some((name, points?))).for_each(|(name, points)| {
        components.insert(name, points);
    });
    Health {
        raw: course.raw().map(health::points),
        score: now.score,
        band,
        change_7d: past(7),
        change_30d: past(30),
        top_reason: Some(top_reason(tally, course, scale, cx)),
        size: course.size(cx.over).filter(|_| profile.per != Per::Account),
        benchmark: peg.map(|applied| applied.peg.raw),
        benchmark_group: peg.and_then(|applied| applied.group).map(str::to_owned),
        coverage: now.score.map(|_| now.coverage),
        components,
        ..Health::default()
    }
}

/// The event that moved the raw score most against the window before, without figures: a text that is written to a CRM must
/// not change every day.
fn top_reason(tally: &Tally, course: &Course<'_>, scale: &Scale<'_>, cx: &Members<'_>) -> String {
    let profile = scale.profile;
    let (window, before) = (profile.window, cx.over.plus(-profile.window));
    let moved = |index: usize| Some(course.component(index, cx.over)? - course.component(index, before)?);
    let components = profile.components.iter().enumerate();
    let components = components.filter_map(|(index, of)| Some((of.weight * moved(index)?, of.name.as_str())));
    // Of two that moved as much the one whose name comes first.
    let most = components
        .filter(|(part, _)| *part != 0.0)
        .max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()).then_with(|| b.1.cmp(a.1)));
    if let Some((part, name)) = most {
        let usage = course.now().usage.zip(course.on(before).usage).map_or(0.0, |(now, then)| now - then);
        if part.abs() > (profile.usage_weight * usage).abs() {
            return format!("{} {name} than {window} days before", if part < 0.0 { "lower" } else { "higher" });
        }
    }
    let Some(raw) = course.raw() else { return "no usage yet".into() };
    if raw == 0 {
        return format!("no scored activity in the last {window} days");
    }
    match tally.points.get(scale.place).and_then(|points| points.moved) {
        Some((part, event)) if part != 0 => {
            let event = cx.model.display_event(cx.gathered.names.event(event));
            let way = if part < 0 { "less" } else { "more" };
            format!("{way} {event} than in the {window} days before")
        }
        _ => "steady use".into(),
    }
}

fn users(accounts: &[Account], places: &FxHashMap<Id, usize>, cx: &Members<'_>) -> Vec<User> {
    let gathered = cx.gathered;
    let mut latest: FxHashMap<Id, (Timestamp, usize)> = FxHashMap::default();
    for (user, last, account) in &gathered.user_last {
        let Some(place) = places.get(account).copied() else { continue };
        let entry = latest.entry(*user).or_insert((*last, place));
        // Accounts are in the order of their ids: of two with the same latest event the first stays.
        if (*last, std::cmp::Reverse(place)) > (entry.0, std::cmp::Reverse(entry.1)) {
            *entry = (*last, place);
        }
    }
    let mut days: Vec<(Id, Day)> = gathered.user_days.clone();
    days.sort_unstable();
    days.dedup();
    let active_days = |user: Id| {
        let from = days.partition_point(|(other, _)| *other < user);
        days.iter().skip(from).take_while(|(other, _)| *other == user).count() as u32
    };
    // Who only used accounts that are left out is left out with them.
    let excluded = |user: &Id| {
        gathered.excluded.get(user).copied().unwrap_or(false)
            || (gathered.of_excluded.contains(user) && !latest.contains_key(user))
    };
    let mut everyone: Vec<Id> = latest.keys().chain(gathered.user_traits.keys()).copied().collect();
    everyone.sort_unstable();
    everyone.dedup();
    let mut users: Vec<User> = everyone
        .into_iter()
        .filter(|user| !excluded(user))
        .filter_map(|id| {
            let place = latest.get(&id).map(|(_, place)| *place);
            Some(User {
                id: gathered.names.ids.user_id(id)?.to_owned(),
                traits: gathered
                    .user_traits
                    .get(&id)
                    .map(|statements| traits_at(statements, cx.at))
                    .unwrap_or_default(),
                last_active: latest.get(&id).map(|(last, _)| *last).max(gathered.unassigned_last.get(&id).copied()),
                active_days: active_days(id),
                window_days: place.and_then(|place| accounts.get(place)).map_or(30, |account| account.window_days),
                account: place,
            })
        })
        .collect();
    users.sort_by(|a, b| a.id.cmp(&b.id));
    users
}
