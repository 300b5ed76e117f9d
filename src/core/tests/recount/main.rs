//! The independent judge of the core: random histories go through the production door, and every figure is compared with a
//! naive recount of the raw calls ([`books`]). Whatever the order of reading, the split into batches and the copies, the
//! figures are the same; and the past as of T is what was known of it from the calls up to T.
//!
//! What the recount deliberately does not judge: `top_reason`, rules, alerts. `sentences` holds minimal cases where the
//! core departs from the model file; they fail until the core, or the model file, is changed.

mod books;
#[path = "../feed/mod.rs"]
mod feed;
mod said;
mod sentences;
mod setup;
mod today;
mod told;

use std::collections::BTreeMap;

use books::Books;
use chrono::NaiveDate;
use chrono_tz::Tz;
use feed::{Filed, file};
use proptest::prelude::*;
use said::{BATCHES, Said, Spot, said};
use setup::{DAYS, START, Setup, setup};
use vitalsync_core::evaluate::{Evaluation, evaluate_history};
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::model::Band;
use vitalsync_core::{Day, Timestamp};

const DAY_MS: i64 = 86_400_000;
/// How far back daily scores are compared.
const RECENT: i32 = 20;

/// When a history is looked at.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// The last second of a calendar day, as a bare date means it.
    EndOf(i64),
    /// In the middle of a day, as a run sees it: what comes later on that day has not happened.
    Within(i64, i64),
}

impl Look {
    fn at(self, zone: Tz) -> i64 {
        match self {
            Self::EndOf(day) => end_of(START + day * DAY_MS + DAY_MS / 2, zone),
            Self::Within(day, minute) => START + day * DAY_MS + minute * 60_000,
        }
    }
}

/// 23:59:59 of the day of a moment.
fn end_of(moment: i64, zone: Tz) -> i64 {
    let day = day_of(moment, zone);
    let local = day.and_hms_opt(23, 59, 59).unwrap().and_local_timezone(zone).unwrap();
    local.timestamp_millis()
}

fn day_of(moment: i64, zone: Tz) -> NaiveDate {
    chrono::DateTime::from_timestamp_millis(moment).unwrap().with_timezone(&zone).date_naive()
}

fn look() -> impl Strategy<Value = Look> {
    // Mostly late, where there is history; also in the middle, before everything and long after.
    let day = || prop_oneof![4 => 90..DAYS, 2 => 0..90i64, 1 => -3..1i64, 1 => DAYS..DAYS + 120];
    prop_oneof![2 => day().prop_map(Look::EndOf), 1 => (day(), 0..1440i64).prop_map(|(day, minute)| Look::Within(day, minute))]
}

/// Up to 14 accounts, or all of them as a few.
fn history() -> impl Strategy<Value = Vec<Said>> {
    let many = prop::collection::vec(said(), 1..140);
    let few = prop::collection::vec(said().prop_map(Said::in_few_accounts), 1..90);
    prop_oneof![2 => many, 3 => few].prop_map(|said| said.iter().flat_map(Said::often).collect())
}

/// Files calls in the order of their places, batch by batch.
fn filed(lines: &[String], mut reads: Vec<(Spot, usize)>, setup: &Setup) -> Filed {
    reads.sort();
    let batch = |number| {
        let within = reads.iter().filter(|((batch, _), _)| *batch == number);
        within.map(|(_, call)| lines[*call].as_str()).collect()
    };
    file((0..BATCHES).map(batch).collect::<Vec<_>>(), &setup.model())
}

/// Every copy of every call that `keep` keeps, with its place.
fn reads(history: &[Said], keep: impl Fn(&Said) -> bool) -> Vec<(Spot, usize)> {
    let kept = history.iter().enumerate().filter(|(_, said)| keep(said));
    kept.flat_map(|(call, said)| said.reads.iter().map(move |spot| (*spot, call))).collect()
}

fn evaluated(filed: &Filed, setup: &Setup, at: i64, received: Option<NaiveDate>) -> Evaluation {
    let received = received.map(|day| Day::parse(&day.to_string()).unwrap());
    let horizon = Horizon { at: Timestamp(at), received };
    let ask = Ask { recent_days: RECENT, users: true, reasons: true, since: setup.since(), ..Ask::of(horizon) };
    evaluate_history(&filed.usage, &filed.ids, &setup.model(), ask).unwrap()
}

/// An evaluation in full as text, without the numbers of names, which differ from reading to reading.
fn in_full(mut evaluation: Evaluation) -> String {
    let mut scored = String::new();
    for account in &mut evaluation.accounts {
        let mut named: Vec<(Day, &str, u32)> = std::mem::take(&mut account.scored)
            .into_iter()
            .map(|(day, event, count)| (day, evaluation.events[&event].as_str(), count))
            .collect();
        named.sort();
        scored += &format!("{} scored: {named:?}\n", account.id);
    }
    // The numbers of names come from the order of reading.
    evaluation.events.clear();
    format!("{evaluation:#?}\n{scored}")
}

fn near(core: Option<f64>, recount: Option<f64>) -> bool {
    match (core, recount) {
        (Some(core), Some(recount)) => (core - recount).abs() < 1e-9,
        (core, recount) => core == recount,
    }
}

fn date(day: Day) -> NaiveDate {
    day.to_string().parse().unwrap()
}

macro_rules! same {
    ($core:expr, $recount:expr, $($what:tt)+) => {
        prop_assert_eq!($core, $recount, "core ≠ recount: {}", format!($($what)+))
    };
}

macro_rules! close {
    ($core:expr, $recount:expr, $($what:tt)+) => {{
        let (core, recount) = ($core, $recount);
        prop_assert!(near(core, recount), "core {:?} ≠ recount {:?}: {}", core, recount, format!($($what)+))
    }};
}

/// Compares every figure.
fn judge(core: &Evaluation, books: &Books) -> Result<(), TestCaseError> {
    let accounts = books.all_accounts(i64::from(RECENT));
    let ids =
        |evaluation: &Evaluation| evaluation.accounts.iter().map(|account| account.id.clone()).collect::<Vec<_>>();
    same!(ids(core), accounts.iter().map(|account| account.id.clone()).collect::<Vec<_>>(), "accounts");
    same!(core.unassigned_events, books.unassigned() as u64, "unassigned events");
    let held: Vec<_> =
        core.counted_since.iter().map(|held| (held.event.as_str(), date(held.since), date(held.joins))).collect();
    same!(held, books.held_out(), "derived events that are held out");
    let pegs = books.benchmarks();
    same!(core.benchmarks.keys().collect::<Vec<_>>(), pegs.keys().collect::<Vec<_>>(), "benchmarks");
    for (profile, peg) in &core.benchmarks {
        let (raw, accounts, is_maximum) = pegs[profile];
        close!(Some(peg.raw), Some(raw), "benchmark of {profile}");
        same!((peg.accounts, peg.is_maximum), (accounts, is_maximum), "accounts of the benchmark of {profile}");
    }
    for (core, recount) in core.accounts.iter().zip(&accounts) {
        let id = &recount.id;
        same!(&json(&core.traits), &recount.traits, "traits of {id}");
        same!(&core.profile, &recount.profile, "profile of {id}");
        same!((&core.parent, core.children as usize), (&recount.parent, recount.children), "structure of {id}");
        for (profile, health) in &recount.profiles {
            let found = core.profiles.get(profile).unwrap();
            close!(found.raw, health.raw, "{profile} raw of {id}");
            close!(found.score, health.score, "{profile} score of {id}");
            close!(found.change_7d, health.change_7d, "{profile} change in 7 days of {id}");
            close!(found.change_30d, health.change_30d, "{profile} change in 30 days of {id}");
            close!(found.change_cycle, health.change_cycle, "{profile} change since the same phase of {id}");
            same!(found.days_healthy.map(|days| days as usize), health.days_healthy, "{profile} healthy days of {id}");
            same!(found.band.map(Band::name), health.band, "{profile} band of {id}");
            close!(found.coverage, health.coverage, "{profile} coverage of {id}");
            same!(&found.benchmark_group, &health.group, "{profile} group of {id}");
        }
        same!(core.profiles.len(), recount.profiles.len(), "profiles of {id}");
        let own = core.profile.as_ref().map(|profile| core.profiles.get(profile).unwrap().clone()).unwrap_or_default();
        same!(&core.health, &own, "health is that of the chosen profile of {id}");
        let recent: Vec<NaiveDate> = core.recent.iter().map(|(day, _)| date(*day)).collect();
        same!(recent, recount.recent.iter().map(|(day, _)| *day).collect::<Vec<_>>(), "recent days of {id}");
        for ((_, core), (day, recount)) in core.recent.iter().zip(&recount.recent) {
            close!(Some(*core), Some(*recount), "score of {id} on {day}");
        }
        same!(core.usual.len(), recount.usual.len(), "days with a phase of {id}");
        for (core, recount) in core.usual.iter().zip(&recount.usual) {
            close!(core.map(|(low, _)| low), recount.map(|(low, _)| low), "lowest score around a phase of {id}");
            close!(core.map(|(_, high)| high), recount.map(|(_, high)| high), "highest score around a phase of {id}");
        }
        let phase = core.habits.map(|habits| (habits.events.phase_30, habits.phase_silent_days)).unwrap_or_default();
        let phase = (phase.0.map(|events| events as usize), phase.1.map(i64::from));
        same!(phase, recount.phase, "use at the same phase of {id}");
        same!((core.is_new, core.has_left), (recount.is_new, recount.has_left), "stages of {id}");
        close!(core.activation_percent, recount.activation_percent, "activation of {id}");
        let steps: Vec<_> = core.steps.iter().map(|(step, day)| (step.clone(), day.map(date))).collect();
        same!(&steps, &recount.steps, "steps of {id}");
        same!(core.activated_at.map(date), recount.activated_at, "activated_at of {id}");
        same!(core.days_stalled.map(i64::from), recount.days_stalled, "days without a step of {id}");
        same!(core.stalled, recount.stalled, "whether {id} is stalled");
        same!(core.first_key_action.map(date), recount.first_key_action, "first key action of {id}");
        close!(core.adoption_window, recount.adoption_window, "adoption in the window of {id}");
        close!(core.adoption_all_time, recount.adoption_all_time, "adoption of all time of {id}");
        same!(core.unused_features().collect::<Vec<_>>(), recount.unused.iter().collect::<Vec<_>>(), "unused by {id}");
        same!(core.active_users as usize, recount.active_users, "active users of {id}");
        same!(core.total_users as usize, recount.total_users, "total users of {id}");
        same!(core.healthy_users.map(|count| count as usize), recount.healthy_users, "healthy users of {id}");
        let (found, counted) = (&core.champions, &recount.champions);
        same!(
            found.iter().map(|top| &top.user).collect::<Vec<_>>(),
            counted.iter().map(|top| &top.0).collect::<Vec<_>>(),
            "champions of {id}"
        );
        for (found, counted) in found.iter().zip(counted) {
            close!(Some(found.share), Some(counted.1), "share of a champion of {id}");
        }
        same!(core.single_champion_risk(), recount.champion_risk, "champion risk of {id}");
        close!(core.expansion_readiness, recount.expansion, "expansion readiness of {id}");
        close!(core.active_percent(), recount.active_percent, "active-user % of {id}");
        same!(core.active_days as usize, recount.active_days, "active days of {id}");
        same!(i64::from(core.window_days), recount.window_days, "window of {id}");
        same!(core.last_active.map(|time| time.0), recount.last_active, "last active of {id}");
        same!(core.tenure_days.map(i64::from), recount.tenure_days, "tenure of {id}");
    }
    let users = books.all_users();
    let ids: Vec<&String> = core.users.iter().map(|user| &user.id).collect();
    same!(ids, users.iter().map(|user| &user.id).collect::<Vec<_>>(), "users");
    for (user, recount) in core.users.iter().zip(&users) {
        let id = &recount.id;
        same!(&json(&user.traits), &recount.traits, "traits of user {id}");
        close!(user.health.raw, recount.health.raw, "raw of user {id}");
        close!(user.health.score, recount.health.score, "score of user {id}");
        close!(user.health.change_7d, recount.health.change_7d, "change in 7 days of user {id}");
        close!(user.health.change_30d, recount.health.change_30d, "change in 30 days of user {id}");
        close!(user.health.change_cycle, recount.health.change_cycle, "change since the same phase of user {id}");
        same!(user.health.band.map(Band::name), recount.health.band, "band of user {id}");
        close!(user.activation_percent, recount.activation_percent, "activation of user {id}");
        close!(user.adoption_window, recount.adoption_window, "adoption of user {id}");
        same!(user.days_since_last_active.map(i64::from), recount.days_since_last_active, "days since user {id}");
        same!(user.tenure_days.map(i64::from), recount.tenure_days, "tenure of user {id}");
        same!(user.last_active.map(|time| time.0), recount.last_active, "last active of user {id}");
        same!(user.active_days as usize, recount.active_days, "active days of user {id}");
        same!(i64::from(user.window_days), recount.window_days, "window of user {id}");
        let account = user.account.map(|place| core.accounts[place].id.clone());
        same!(account, recount.account.clone(), "account of user {id}");
    }
    Ok(())
}

fn json(traits: &vitalsync_core::identity::Traits) -> BTreeMap<String, serde_json::Value> {
    traits.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn lines(history: &[Said]) -> Vec<String> {
    history.iter().enumerate().map(|(index, said)| said.line(index)).collect()
}

proptest! {
    #![proptest_config(config(320))]

    #[test]
    fn every_figure_is_what_a_naive_recount_gives(
        history in history(),
        setup in setup(),
        look in look(),
        known in prop::option::weighted(0.3, -3..DAYS + 40),
    ) {
        let at = look.at(setup.zone);
        let lines = lines(&history);
        let has_happened = |said: &Said| match look {
            Look::EndOf(_) => true,
            Look::Within(..) => said.time() <= at || day_of(said.time(), setup.zone) != day_of(at, setup.zone),
        };
        let reads = reads(&history, has_happened);
        let told = reads.iter().map(|(_, call)| lines[*call].as_str());
        let received = known.map(|day| day_of(START + day * DAY_MS, Tz::UTC));
        let books = Books::open(told, &setup, at, received);
        judge(&evaluated(&filed(&lines, reads, &setup), &setup, at, received), &books)?;
    }

    #[test]
    fn order_batches_and_copies_change_nothing(
        history in history(),
        places in prop::collection::vec((0..BATCHES, any::<u16>()), 1..200),
        setup in setup(),
        look in look(),
    ) {
        let at = look.at(setup.zone);
        let lines = lines(&history);
        let reads = reads(&history, |_| true);
        let otherwise = reads.iter().zip(places.iter().cycle()).map(|((_, call), place)| (*place, *call)).collect();
        let as_told = (0..history.len()).map(|call| ((0, call as u16), call)).collect();
        let [one, two, three] = [reads, otherwise, as_told].map(|reads| {
            in_full(evaluated(&filed(&lines, reads, &setup), &setup, at, None))
        });
        prop_assert_eq!(&one, &two);
        prop_assert_eq!(&one, &three);
    }

    #[test]
    fn the_past_is_what_the_calls_up_to_then_give(history in history(), setup in setup(), day in 0..DAYS) {
        let at = Look::EndOf(day).at(setup.zone);
        let lines = lines(&history);
        let [all, known] = [i64::MAX, at].map(|until| {
            in_full(evaluated(&filed(&lines, reads(&history, |said| said.time() <= until), &setup), &setup, at, None))
        });
        prop_assert_eq!(all, known);
    }
}
