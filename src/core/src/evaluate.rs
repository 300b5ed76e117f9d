//! Evaluation: from resolved usage to the measures of every account and user, as of a time.
//!
//! Pure and repeatable: the same usage, model and time give the same figures, whatever the order of reading. Windows end
//! with the last day that is over; activation, last active and tenure run to the as-of time. What came after it is not
//! seen. A past day is what was said of it, where its snapshot is handed in; else it is computed under today's config.
//! Nothing is stored here.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::checklist::share;
use crate::expr::Expr;
pub use crate::figures::{Account, Daily, Evaluation, EventNames, Health, Since, User};
use crate::gather::{Ask, Gathered, History, Tally, gather};
use crate::health::{self, CURVE};
use crate::identity::{Horizon, traits_at};
use crate::model::Model;
use crate::names::{AccountNames, TraitNames};
use crate::past::{self, Snapshot};
use crate::risk;
use crate::scale::{Scale, Series, scale};
use crate::story::Reason;
use crate::time::{Day, Timestamp};
use crate::usage::{Id, Ids, Usage};
use crate::value::Value;

/// A user counts as one of an account's for so many days after the last event, or for the window if longer.
pub const MEMBER_DAYS: i32 = 90;

/// Evaluates everything as of `at`, users included. `recent_days` is how far back [`Account::recent`] goes, for alert rules.
pub fn evaluate(usage: &Usage, ids: &Ids, model: &Model, at: Timestamp, recent_days: i32) -> Evaluation {
    let ask = Ask { recent_days, users: true, reasons: true, ..Ask::of(Horizon::at(at)) };
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
        if let Some(peg) = scale.peg(today, over) {
            evaluation.benchmarks.insert(scale.profile.name.clone(), peg);
        }
    }
    let names = &gathered.names;
    let scored = model.profiles.iter().flat_map(|profile| profile.weights.keys());
    evaluation.events = scored.filter_map(|event| Some((names.find_event(event)?, event.clone()))).collect();
    if ask.deeds {
        let all = (1..names.events() as Id).map(|event| (event, names.event(event).to_owned()));
        evaluation.events.extend(all);
    }
    evaluation.counted_since = std::mem::take(&mut gathered.held_out);
    evaluation.activity = gathered.activity.take();
    let tallies = std::mem::take(&mut gathered.tallies);
    let places: FxHashMap<Id, usize> = tallies.iter().enumerate().map(|(place, tally)| (tally.id, place)).collect();
    let cx = Members { model, ask, at, today, over, scales: &scales, gathered: &gathered };
    evaluation.accounts = tallies.into_iter().map(|tally| account(tally, &cx)).collect();
    if ask.users {
        evaluation.users = users(&evaluation.accounts, &places, &cx);
    }
    evaluation
}

/// What the evaluation of one account needs besides its own tally.
struct Members<'a> {
    model: &'a Model,
    ask: &'a Ask,
    at: Timestamp,
    today: Day,
    over: Day,
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
        stopped_users: tally.stopped_users,
        who_stopped: tally
            .who_stopped
            .iter()
            .map(|user| cx.gathered.names.ids.user_id(*user).map(str::to_owned))
            .collect(),
        scored: std::mem::take(&mut tally.scored),
        habits: tally.first.map(|_| tally.habits),
        deeds: std::mem::take(&mut tally.deeds),
        ..Account::default()
    };
    let trait_names = TraitNames { id: name, id_name: "account", traits: &account.traits, model: Some(cx.model) };
    account.name = cx.model.name.as_ref().and_then(|expr| expr.value(&trait_names).as_key());
    account.owner = cx.model.owner.as_ref().map(|expr| expr.value(&trait_names)).unwrap_or_default();
    let created = ["createdAt", "created_at"].iter().find_map(|name| start_day(account.traits.get(name)?, cx.model));
    account.start = created.or(tally.first);
    account.tenure_days = account.start.map(|start| cx.today.0.saturating_sub(start.0));
    account.first_key_action = tally.first_key_action;

    let with_history = cx.ask.history_of.as_ref().is_some_and(|text| account.named(text).is_some());
    let mut recent = Vec::new();
    for scale in cx.scales {
        let series = Series::of(&tally, scale.place, scale.profile.window, cx.over);
        let told = cx.ask.past.of(&scale.profile.name, tally.id);
        let health = health_of(&tally, &series, scale, told, cx);
        if let (true, Some(score)) = (with_history && tally.chosen == Some(scale.place), health.score) {
            account.history = daily(&series, scale, told, score, cx).collect();
        }
        if tally.chosen == Some(scale.place) {
            let peg = scale.peg(cx.today, cx.over).map_or(0.0, |peg| peg.raw);
            let days = (cx.over.0 - cx.ask.recent_days).max(series.first.0)..=cx.over.0;
            let score = |day| Some((Day(day), health::score(health::points(series.at(Day(day))?), peg, CURVE)));
            recent = days.filter_map(score).collect();
        }
        account.profiles.insert(&*scale.profile.name, health);
    }
    account.recent = recent;
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

/// A trait as a start: a date, a time, or seconds or milliseconds since 1970; between 1970 and 2100, else it is none.
fn start_day(value: &Value, model: &Model) -> Option<Day> {
    let years = Day(0)..Day(47_482);
    let time = match value {
        Value::Text(text) => {
            let day = Day::parse(text).or_else(|| Timestamp::parse(text).map(|time| model.calendar.day(time)));
            return day.filter(|day| years.contains(day));
        }
        Value::Number(number) if number.abs() < 1e11 => Timestamp((number * 1000.0) as i64),
        Value::Number(number) => Timestamp(*number as i64),
        _ => return None,
    };
    Some(model.calendar.day(time)).filter(|day| years.contains(day))
}

fn health_of(tally: &Tally, series: &Series, scale: &Scale<'_>, told: &[(Day, Snapshot)], cx: &Members<'_>) -> Health {
    if tally.first.is_none() {
        return Health::default();
    }
    // The first event came today: it was received, and no day with it is over, so its raw score is 0.
    let raw = series.raws.last().copied().unwrap_or(0);
    let score = scale.score(raw, cx.today, cx.over);
    let past = |days: i32| {
        let day = cx.over.plus(-days);
        let told = past::on(told, day).map(|told| told.score);
        told.or_else(|| series.at(day).map(|raw| scale.score(raw, day, day))).map(|then| score - then)
    };
    let band = daily(series, scale, told, score, cx).last().and_then(|today| today.band);
    let (reason, window) = (reason(tally, scale, cx, raw), scale.profile.window);
    Health {
        raw: Some(health::points(raw)),
        benchmark: scale.peg(cx.today, cx.over).map(|peg| peg.raw),
        score: Some(score),
        band,
        change_7d: past(7),
        change_30d: past(30),
        top_reason: Some(reason.said(window)),
        story: Some(reason.story(band, window)),
    }
}

/// What is said of each day from the first on, `score` being today's.
fn daily<'a>(
    series: &'a Series,
    scale: &'a Scale<'_>,
    told: &'a [(Day, Snapshot)],
    score: f64,
    cx: &Members<'_>,
) -> impl Iterator<Item = Daily> + 'a {
    let over = cx.over;
    past::days((series.first, over), told, scale.profile.bands, move |day| {
        if day == over { Some(score) } else { series.at(day).map(|raw| scale.score(raw, day, day)) }
    })
}

/// The event that moved the raw score most against the window before.
fn reason<'a>(tally: &Tally, scale: &Scale<'_>, cx: &Members<'a>, raw: i64) -> Reason<'a> {
    if raw == 0 {
        return Reason::Silent;
    }
    match tally.points.get(scale.place).and_then(|points| points.moved) {
        Some((part, event)) if part != 0 => {
            let event = cx.model.label(cx.gathered.names.event(event));
            if part < 0 { Reason::Less(event) } else { Reason::More(event) }
        }
        _ => Reason::Steady,
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
