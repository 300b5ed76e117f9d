//! Evaluation: from resolved usage to the measures of every account and user, as of a time.
//!
//! Pure and repeatable: the same usage, model and time give the same figures, whatever the order of reading. Windows end
//! with the last day that is over; activation, last active and tenure run to the as-of time. What came after it is not
//! seen. A past day is what was said of it, where its snapshot is handed in; else it is computed under today's config.
//! Nothing is stored here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::by_name::ByName;
use crate::checklist::share;
use crate::component::USAGE;
use crate::course::Course;
use crate::cycle::{self, Against};
use crate::doubt;
use crate::expansion;
use crate::expr::Expr;
pub use crate::figures::{Account, Champion, Daily, Evaluation, EventNames, Health, Since, User, UserHealth};
use crate::gather::{Ask, Gathered, History, Tally, gather};
use crate::health;
use crate::identity::{Horizon, start, stated_start, tenure};
use crate::model::{Band, Model, Per};
use crate::names::{AccountNames, TraitNames};
use crate::past::{self, Snapshot};
use crate::pulse::{self, Stopped};
use crate::risk;
use crate::scale::{Scale, scale};
use crate::story::{Reason, Words};
use crate::time::{Day, Timestamp};
use crate::usage::{Id, Ids, Usage};
use crate::users::Judge;

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
    let (today, over) = (model.calendar.day(at), ask.over(model));
    let places = 0..model.profiles.len();
    let scales: Vec<Scale<'_>> = places.filter_map(|place| scale(place, &gathered, model, ask, today, over)).collect();
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
    evaluation.stopped = stopped(&gathered, over);
    evaluation.stale = ask.windows_end.is_some();
    let tallies = std::mem::take(&mut gathered.tallies);
    let places = tallies.iter().enumerate().map(|(place, tally)| (tally.id, place));
    let places: FxHashMap<Id, usize> = if ask.users { places.collect() } else { FxHashMap::default() };
    let judge = ask.users.then(|| Judge::new(&gathered, &tallies, model, today, over));
    let healthy = judge.as_ref().map(|judge| judge.healthy(&tallies));
    let cx = Shared {
        model,
        today,
        over,
        ask,
        scales: &scales,
        gathered: &gathered,
        healthy,
        words: Words::default(),
        lifecycle: named("lifecycle", &model.lifecycle),
        ready: named("segments", &model.ready),
        segments: named("segments", &model.segments),
    };
    evaluation.accounts = tallies.into_iter().map(|tally| account(tally, &cx)).collect();
    evaluation.doubts = doubt::of(&evaluation, &gathered, model, ask, today);
    if let Some(judge) = judge {
        evaluation.users = judge.users(&evaluation.accounts, &places, ask);
    }
    evaluation
}

/// The events that nobody did on the last day of the windows, although they are done often on that weekday.
fn stopped(gathered: &Gathered<'_>, day: Day) -> Vec<Stopped> {
    let event = |(id, volumes): (&Id, &[i64; 5])| {
        let [now, before @ ..] = volumes.map(|count| u64::try_from(count).unwrap_or_default());
        let usual = pulse::usual(before).filter(|_| now == 0)?;
        Some(Stopped { event: gathered.names.event(*id).to_owned(), day, usual })
    };
    let mut stopped: Vec<Stopped> = gathered.volumes.iter().filter_map(event).collect();
    stopped.sort_by(|a, b| a.event.cmp(&b.event));
    stopped
}

/// What the evaluation of one account needs besides its own tally.
struct Shared<'a> {
    model: &'a Model,
    today: Day,
    over: Day,
    ask: &'a Ask,
    scales: &'a [Scale<'a>],
    gathered: &'a Gathered<'a>,
    /// How many users of an account are healthy; `None` where users are not measured.
    healthy: Option<FxHashMap<Id, u32>>,
    words: Words<'a>,
    lifecycle: Vec<Named<'a>>,
    ready: Vec<Named<'a>>,
    segments: Vec<Named<'a>>,
}

impl Shared<'_> {
    /// The id of a user; `None` for a device that was never identified.
    fn user_id(&self, user: Id) -> Option<String> {
        self.gathered.names.ids.user_id(user).map(str::to_owned)
    }
}

/// A rule with its full name.
type Named<'a> = (String, &'a Expr);

/// The rules of a kind with their full names.
fn named<'a>(kind: &str, rules: &'a [(String, Expr)]) -> Vec<Named<'a>> {
    rules.iter().map(|(name, rule)| (format!("{kind}.{name}"), rule)).collect()
}

fn account(mut tally: Tally, cx: &Shared<'_>) -> Account {
    let mut account = known(&mut tally, cx);
    account.profiles = ByName::with_capacity(cx.scales.len());
    for scale in cx.scales {
        if let Some(course) = Course::of(&tally, scale, cx.today, cx.over) {
            score(&mut account, &tally, scale, &course, cx);
        }
    }
    by_own_profile(&mut account, &mut tally, cx);
    if let Some(list) = tally.checklist.and_then(|place| cx.model.activation.get(place)) {
        list.judge(&tally.steps, &mut account, cx.today);
    }

    account.expansion_readiness = expansion::readiness(&account, cx.model);
    // Of one that has left it is no question any more.
    if let Some(values) = risk::values(&account).filter(|_| !account.has_left) {
        account.churn_risk = Some(risk::risk(&values, &cx.model.risk_weights));
        account.churn_risk_reasons = risk::reasons(&values, &cx.model.risk_weights);
        account.churn_risk_involuntary = risk::involuntary(&account);
    }

    let milestones = cx.ask.milestones.iter().zip(&tally.milestones);
    account.milestones = milestones.filter_map(|(asked, day)| Some((asked.clone(), (*day)?))).collect();

    if account.is_new {
        account.rules.insert("lifecycle.new".into());
    }
    tell(&mut account, &cx.lifecycle, |account| &mut account.rules);
    tell(&mut account, &cx.ready, |account| &mut account.ready);
    tell(&mut account, &cx.segments, |account| &mut account.rules);
    account
}

/// What is known of an account before anything is scored.
fn known(tally: &mut Tally, cx: &Shared<'_>) -> Account {
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
        who_stopped: tally.who_stopped.iter().map(|user| cx.user_id(*user)).collect(),
        scored: std::mem::take(&mut tally.scored),
        habits: tally.first.map(|_| tally.habits),
        deeds: std::mem::take(&mut tally.deeds),
        ..Account::default()
    };
    let trait_names = TraitNames { id: name, id_name: "account", traits: &account.traits, model: Some(cx.model) };
    account.name = cx.model.name.as_ref().and_then(|expr| expr.value(&trait_names).as_key());
    account.owner = cx.model.owner.as_ref().map(|expr| expr.value(&trait_names)).unwrap_or_default();
    account.start = start(stated_start(&account.traits, &cx.model.calendar), tally.first, cx.today);
    account.tenure_days = tenure(account.start, cx.today);
    account.first_key_action = tally.first_key_action;

    // Of one that was never used the start may be yet to come: where nobody is new, that one is not either.
    let begins_after = cx.today.plus(-cx.model.new_days);
    account.is_new = cx.model.new_days > 0 && account.start.is_some_and(|start| start > begins_after);
    account.has_left = tally.has_left(cx.today);
    account.churned_on = tally.left.at(cx.today).copied().filter(|day| *day > Day(i32::MIN));
    account
}

/// The health of an account under a profile; under its own one also how it came about.
fn score<'a>(account: &mut Account, tally: &Tally, scale: &Scale<'a>, course: &Course<'_>, cx: &Shared<'a>) {
    let told = cx.ask.past.of(&scale.profile.name, tally.id);
    let mut health = health_of(tally, course, scale, told, account.is_new, cx);
    if tally.chosen == Some(scale.place) {
        if cx.ask.history_of.as_ref().is_some_and(|text| account.named(text).is_some()) {
            account.history = daily(course, scale, told, cx).collect();
        }
        let days = (cx.over.0 - cx.ask.recent_days).max(course.first().unwrap_or(cx.over).0)..=cx.over.0;
        account.recent.reserve_exact(days.clone().count());
        account.recent.extend(days.filter_map(|day| Some((Day(day), course.since(Day(day))?))));
        let usual = |cycle| cycle::scores(cycle, &account.recent, |day| course.since(day));
        account.usual = scale.profile.cycle.map(usual).unwrap_or_default();
        if let Some(stated) = cx.model.stated_band(&account.id, cx.today) {
            health.band = Some(stated.band);
            health.override_reason = Some(stated.reason.clone());
            health.override_until = Some(stated.until);
        }
    }
    let asked = cx.ask.reasons_of.as_ref();
    if asked.is_some_and(|(id, profile)| *id == account.id && *profile == scale.profile.name) {
        account.measured = cx.ask.measured_on.and_then(|day| course.measured(day));
    }
    account.profiles.insert(&*scale.profile.name, health);
}

/// What is measured by the windows, weights and features of the profile that is an account's health, if it has one.
fn by_own_profile(account: &mut Account, tally: &mut Tally, cx: &Shared<'_>) {
    let chosen = tally.chosen.and_then(|place| cx.model.profiles.get(place));
    account.window_days = chosen.map_or(30, |profile| profile.window) as u32;
    account.stale = cx.ask.windows_end.is_some();
    account.silent_days = account.days_since_last_active;
    if let Some(profile) = chosen {
        let left_out = |from: Day, to: Day| cx.model.gaps.within(&profile.name, from, to);
        account.window_days -= left_out(cx.over.plus(1 - profile.window), cx.over);
        account.silent_days = account.silent_days.map(|days| days - left_out(cx.today.plus(1 - days), cx.today) as i32);
        account.profile = Some(profile.name.clone());
        account.health = account.profiles.get(&profile.name).cloned().unwrap_or_default();
        account.healthy_users = cx.healthy.as_ref().map(|healthy| healthy.get(&tally.id).copied().unwrap_or_default());
    }
    if let Some(features) = tally.chosen.and_then(|place| cx.gathered.features.get(place)) {
        account.features = Arc::clone(&features.names);
        account.features_used = std::mem::take(&mut tally.features_used);
        account.adoption_window = share(account.used_features(), account.features.len());
        account.adoption_all_time = share(tally.features_ever, account.features.len());
    }
    let champion = |(user, points): &(Id, i64)| Champion {
        user: cx.user_id(*user),
        share: *points as f64 / tally.window_points as f64 * 100.0,
    };
    account.champions = tally.champions.iter().map(champion).collect();
}

/// Notes which named rules hold. Each finds those that it uses noted already: none is evaluated twice, however often it is
/// used.
fn tell(account: &mut Account, rules: &[Named<'_>], noted: fn(&mut Account) -> &mut BTreeSet<String>) {
    for (name, rule) in rules {
        if rule.holds(&AccountNames { account }) {
            noted(account).insert(name.clone());
        }
    }
}

fn health_of<'a>(
    tally: &Tally,
    course: &Course<'_>,
    scale: &Scale<'a>,
    told: &[(Day, Snapshot)],
    is_new: bool,
    cx: &Shared<'a>,
) -> Health {
    let (profile, now) = (scale.profile, course.now());
    if course.first().or(tally.first).is_none() {
        return Health::default();
    }
    let change = |day: Day| {
        let told = past::on(told, day).map(|told| told.score);
        Some(now.score? - told.or_else(|| course.on(day).score)?)
    };
    let around = profile.cycle.map(|cycle| cycle.around(cx.over));
    let (mut band, mut days_healthy, mut phase_bands) = (None, 0u32, Vec::new());
    let mut before = None;
    if now.score.is_none() || is_new {
        // It has no band.
    } else if around.is_none() && profile.bands.forgets() {
        // Days before the row are not looked at.
        let said = |day: Day| past::day(day, cx.over, told, profile.bands, |day| score_on(course, day, cx.over));
        band = said(cx.over).and_then(|day| day.band);
        let row = (0..).map_while(|ago: i32| said(cx.over.plus(-ago)));
        days_healthy = row.take_while(|day| day.band == Some(Band::Healthy)).count() as u32;
    } else {
        for day in daily(course, scale, told, cx) {
            band = day.band;
            // A day without a score is none in the healthy band.
            let in_a_row = if before.replace(day.day) == Some(day.day.plus(-1)) { days_healthy } else { 0 };
            days_healthy = if band == Some(Band::Healthy) { in_a_row.saturating_add(1) } else { 0 };
            phase_bands.extend(band.filter(|_| around.as_ref().is_some_and(|around| around.contains(&day.day))));
        }
    }
    phase_bands.sort_unstable();
    phase_bands.dedup();
    let peg = course.peg();
    let components =
        profile.components.iter().enumerate().map(|(index, of)| (&*of.name, course.component(index, cx.over)));
    let all = components.chain((!profile.components.is_empty()).then_some((USAGE, now.usage)));
    let mut components = ByName::new();
    all.filter_map(|(name, points)| Some((name, points?))).for_each(|(name, points)| {
        components.insert(name, points);
    });
    let against = Against::of(profile, tally.first, cx.over);
    let reason = reason(tally, course, scale, against, cx);
    let (top_reason, story) = cx.words.of(reason, band, profile.window, against);
    Health {
        raw: course.raw().map(health::points),
        score: now.score,
        band,
        days_healthy: band.map(|_| days_healthy),
        change_7d: change(cx.over.plus(-7)),
        change_30d: change(cx.over.plus(-30)),
        change_cycle: profile.cycle.and_then(|cycle| change(cycle.before(cx.over))),
        phase_bands,
        against: Some(against),
        top_reason: Some(top_reason),
        story: Some(story),
        size: course.size(cx.over).filter(|_| profile.per != Per::Account),
        benchmark: peg.map(|applied| applied.peg.raw),
        benchmark_group: peg.and_then(|applied| applied.group).map(str::to_owned),
        coverage: now.score.map(|_| now.coverage),
        usage_share: now.score.filter(|_| !profile.components.is_empty()).map(|_| now.usage_share),
        components,
        ..Health::default()
    }
}

/// What is said of each day from the first on.
fn daily<'a>(
    course: &'a Course<'_>,
    scale: &Scale<'_>,
    told: &'a [(Day, Snapshot)],
    cx: &Shared<'_>,
) -> impl Iterator<Item = Daily> + 'a {
    let over = cx.over;
    past::days((course.first().unwrap_or(over), over), told, scale.profile.bands, move |day| {
        score_on(course, day, over)
    })
}

/// The score that is computed of a day.
fn score_on(course: &Course<'_>, day: Day, over: Day) -> Option<f64> {
    if day == over { course.now().score } else { course.on(day).score }
}

/// What moved the score most against another window.
fn reason<'a>(tally: &Tally, course: &Course<'_>, scale: &Scale<'a>, against: Against, cx: &Shared<'a>) -> Reason<'a> {
    let (profile, before) = (scale.profile, against.end(cx.over));
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
            return if part < 0.0 { Reason::Lower(name) } else { Reason::Higher(name) };
        }
    }
    let Some(raw) = course.raw() else { return Reason::Unused };
    if raw == 0 {
        let rested = matches!(against, Against::Phase(_)) && course.raw_on(before) == Some(0);
        return if rested { Reason::Rests } else { Reason::Silent };
    }
    match tally.points.get(scale.place).and_then(|points| points.moved) {
        Some((part, event)) if part != 0 => {
            let event = cx.model.label(cx.gathered.names.event(event));
            if part < 0 { Reason::Less(event) } else { Reason::More(event) }
        }
        _ => Reason::Steady,
    }
}
