//! Edges over whole histories: each kind fires once, the first look is silent, and what customers did not do fires nothing.

#[path = "edges/cycle.rs"]
mod cycle;
mod feed;
#[path = "edges/not_theirs.rs"]
mod not_theirs;

use std::collections::{BTreeMap, BTreeSet};

use feed::{file, time};
use proptest::prelude::*;
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{AlertRule, Edge, EdgeState, Pass, Past, Side, Trigger, Whom, edge, may_fire, settled};
use vitalsync_core::checklist::{Checklist, Done, Step};
use vitalsync_core::evaluate::{Evaluation, evaluate_history};
use vitalsync_core::expr::Expr;
use vitalsync_core::gaps::Yearly;
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::model::{Band, Bands, Benchmark, MICRO, Model, Profile, Refresh};
use vitalsync_core::names::{Vocabulary, scopes, trait_scope};
use vitalsync_core::past::{self, Days, Snapshot};
use vitalsync_core::section::{Faults, Place};
use vitalsync_core::{Day, Type};

/// Day 0.
const FIRST: &str = "2026-03-01";

fn day(offset: i32) -> Day {
    Day::parse(FIRST).unwrap().plus(offset)
}

fn end(offset: i32) -> Timestamp {
    time(&format!("{}T23:59:59Z", day(offset)))
}

/// One event of an account, received so many days later.
fn track(account: &str, event: &str, offset: i32, n: u32, lag: i32) -> String {
    let (on, received) = (day(offset), day(offset + lag));
    format!(
        r#"{{"type":"track","messageId":"{account}{event}{offset}-{n}-{lag}","userId":"{account}-u","event":"{event}","context":{{"groupId":"{account}"}},"timestamp":"{on}T10:00:00.000Z","receivedAt":"{received}T10:00:01.000Z"}}"#
    )
}

/// So many a day over a span of days.
fn used(account: &str, event: &str, days: std::ops::Range<i32>, each: u32) -> Vec<String> {
    days.flat_map(|offset| (0..each).map(move |n| track(account, event, offset, n, 0))).collect()
}

fn group(account: &str, offset: i32, traits: &str) -> String {
    format!(
        r#"{{"type":"group","messageId":"g{account}{offset}","userId":"{account}-u","groupId":"{account}","traits":{{{traits}}},"timestamp":"{}T08:00:00Z"}}"#,
        day(offset)
    )
}

fn model(segments: &[(&str, &str)]) -> Model {
    let names: Vec<String> = segments.iter().map(|(name, _)| (*name).to_owned()).collect();
    let scope = scopes(&Vocabulary { segments: &names, ..Vocabulary::default() }).account;
    let read = |rule| Expr::parse(rule, Place::default(), &scope, Type::Bool, &mut Faults::default()).unwrap();
    let step = |name: &str, event: &str| Step::new(name, Done::Event { event: event.into(), count: 1 });
    Model {
        profiles: vec![Profile {
            name: "main".into(),
            window: 7,
            weights: [("A".to_owned(), 5 * MICRO), ("B".to_owned(), MICRO)].into(),
            bands: Bands { hold_days: 1, hold_points: 0.0, ..Bands::default() },
            benchmark: Benchmark { percentile: 90.0, refresh: Refresh::Fixed(70.0) },
            ..Profile::default()
        }],
        activation: vec![checklist(vec![step("first", "A"), step("second", "C")])],
        segments: segments.iter().map(|(name, rule)| ((*name).to_owned(), read(rule))).collect(),
        ..Model::default()
    }
}

fn checklist(steps: Vec<Step>) -> Checklist {
    Checklist { name: "main".into(), only: None, steps, stalled_after: 14 }
}

fn rule(name: &str, trigger: Trigger) -> AlertRule {
    AlertRule::new(name, trigger, "#x")
}

/// A rule of every kind.
fn every_kind() -> Vec<AlertRule> {
    vec![
        rule("drop", Trigger::Drop { points: 15.0, within_days: 7 }),
        rule("rise", Trigger::Rise { points: 15.0, within_days: 7 }),
        rule("risk", Trigger::Band(Band::AtRisk, Side::Entered)),
        rule("unwell", Trigger::Band(Band::Healthy, Side::Left)),
        rule("low", Trigger::Segment("low".into(), Side::Entered)),
        rule("high", Trigger::Segment("low".into(), Side::Left)),
        rule("step", Trigger::Step("second".into())),
        rule("activated", Trigger::Activated),
        rule("value", Trigger::FirstValue),
        rule("quiet", Trigger::Quiet(14)),
        rule("back", Trigger::Back(14)),
        rule("new", Trigger::NewAccount),
        rule("thirty", Trigger::Milestone { event: "A".into(), count: 30 }),
    ]
}

/// Segments that look at the score, and at what it was.
const OF_SCORES: [(&str, &str); 2] = [("low", "health.score < 50"), ("cold", "health.change_30d <= -10")];

/// Rules over bands and segments.
fn of_scores() -> Vec<AlertRule> {
    let mut rules: Vec<AlertRule> = every_kind()
        .into_iter()
        .filter(|rule| matches!(rule.trigger, Trigger::Band(..) | Trigger::Segment(..)))
        .collect();
    rules.push(rule("well", Trigger::Band(Band::Healthy, Side::Entered)));
    rules.push(rule("fair", Trigger::Band(Band::Normal, Side::Entered)));
    rules.push(rule("cold", Trigger::Segment("cold".into(), Side::Entered)));
    rules
}

/// What a destination remembers, as the program keeps it.
#[derive(Default)]
struct Memory {
    states: BTreeMap<(String, String), EdgeState>,
    rules: BTreeSet<String>,
    last: Option<Timestamp>,
    occasions: BTreeSet<String>,
    /// By day and account, what was said of days that are over, each once.
    said: BTreeMap<Day, BTreeMap<String, Snapshot>>,
}

impl Memory {
    /// One pass; who was told about by which rule.
    fn pass(&mut self, lines: &[String], model: &Model, rules: &[AlertRule], at: Timestamp) -> Vec<(String, String)> {
        let filed = file([lines.iter().map(String::as_str).collect()], model);
        let evaluate = |ask: Ask| -> Evaluation {
            let ask = Ask { recent_days: 30, reasons: true, milestones: vec![("A".into(), 30)], ..ask };
            evaluate_history(&filed.usage, &filed.ids, model, ask).unwrap()
        };
        let mut days = Days::default();
        for (day, said) in self.said.iter().filter(|(day, _)| **day < model.calendar.last_over(at)) {
            for (account, snapshot) in said {
                days.push(filed.ids.accounts.find(account).unwrap(), *day, *snapshot);
            }
        }
        let past = past::Past([("main".to_owned(), days)].into());
        let now = evaluate(Ask { past, ..Ask::of(Horizon::at(at)) });
        let snapshots = now
            .accounts
            .iter()
            .filter_map(|account| Some((account.id.clone(), Snapshot::of(account.profiles.get("main")?)?)));
        self.said.entry(now.over).or_insert_with(|| snapshots.collect());
        let known = |rule: &AlertRule| self.rules.contains(&rule.name);
        let key = |rule: &AlertRule, account: &str| (rule.name.clone(), account.to_owned());
        let asked = rules.iter().any(|rule| {
            let state = |account: &str| self.states.get(&key(rule, account));
            now.accounts.iter().any(|account| may_fire(rule, &Whom::Account(account), state(&account.id), known(rule)))
        });
        let past = self.last.filter(|_| asked).map(|last| {
            let seen = |at| evaluate(Ask { unrenewed_since: Some(settled(model, last)), ..Ask::of(Horizon::at(at)) });
            Past { then: seen(last), now: Some(seen(at)) }
        });
        let pass = Pass { destination: "team", model, now: &now, last: self.last, past: past.as_ref(), earlier: None };
        let mut fired = Vec::new();
        for rule in rules {
            for account in &now.accounts {
                let state = self.states.get(&key(rule, &account.id));
                let Some((next, happened)) = edge(&pass, rule, &Whom::Account(account), state, known(rule)) else {
                    continue;
                };
                if let Edge::Fired(alert) = happened {
                    assert!(self.occasions.insert(alert.occasion), "the same occasion twice");
                    fired.push((rule.name.clone(), account.id.clone()));
                }
                self.states.insert(key(rule, &account.id), next);
            }
        }
        self.rules = rules.iter().map(|rule| rule.name.clone()).collect();
        self.last = Some(at);
        fired
    }
}

#[test]
fn every_kind_fires_once_and_the_first_look_is_silent() {
    let mut lines = [
        used("falls", "A", 0..20, 2),
        used("rises", "B", 0..20, 1),
        used("rises", "A", 20..60, 2),
        used("stays", "B", 0..60, 1),
    ]
    .concat();
    // Quiet from day 6 on, and back on day 40.
    lines.extend(used("sleeps", "B", 0..6, 1));
    lines.extend(used("sleeps", "B", 40..60, 1));
    lines.extend(used("young", "Page", 30..31, 1));
    lines.extend(used("young", "A", 33..34, 1));
    lines.push(track("young", "C", 35, 0, 0));
    let model = model(&[("low", "health.score < 50")]);
    let (mut memory, mut fired) = (Memory::default(), BTreeMap::new());
    assert_eq!(memory.pass(&lines, &model, &every_kind(), end(10)), []);
    for offset in 11..60 {
        for at in [end(offset), Timestamp(end(offset).0 + 100)] {
            for (rule, account) in memory.pass(&lines, &model, &every_kind(), at) {
                fired.entry(rule).or_insert_with(Vec::new).push((account, offset));
            }
        }
    }
    let told = |rule: &str| -> Vec<(&str, i32)> {
        fired.get(rule).into_iter().flatten().map(|(account, offset)| (account.as_str(), *offset)).collect()
    };
    // falls: ten points of raw score a day less from day 20 on, of 70. young: its one use leaves the window.
    assert_eq!(told("drop"), [("falls", 22), ("young", 40)]);
    assert_eq!(told("rise"), [("rises", 20), ("young", 33), ("sleeps", 44)]);
    assert_eq!(told("unwell").iter().map(|(account, _)| *account).collect::<Vec<_>>(), ["falls"]);
    assert_eq!(told("risk").iter().map(|(account, _)| *account).collect::<Vec<_>>(), ["falls"]);
    assert_eq!(told("low").iter().map(|(account, _)| *account).collect::<Vec<_>>(), ["falls"]);
    assert_eq!(told("high").iter().map(|(account, _)| *account).collect::<Vec<_>>(), ["rises"]);
    assert_eq!(told("step"), [("young", 35)]);
    assert_eq!(told("activated"), [("young", 35)]);
    assert_eq!(told("value"), [("young", 33)]);
    assert_eq!(told("quiet"), [("sleeps", 19), ("falls", 33), ("young", 49)]);
    assert_eq!(told("back"), [("sleeps", 40)]);
    assert_eq!(told("new"), [("young", 30)]);
    assert_eq!(told("thirty"), [("falls", 14), ("rises", 34)]);
}

#[test]
fn a_new_rule_and_a_rule_that_meets_an_account_start_silent() {
    let mut lines = [used("falls", "A", 0..20, 2), used("stays", "A", 0..60, 2)].concat();
    lines.push(group("falls", 0, r#""plan":"free""#));
    lines.push(group("falls", 22, r#""plan":"team""#));
    let model = model(&[("low", "health.score < 50")]);
    let scope = trait_scope(&[]);
    let team = Expr::parse("traits.plan == 'team'", Place::default(), &scope, Type::Bool, &mut Faults::default());
    let rules: Vec<AlertRule> = every_kind().into_iter().map(|rule| AlertRule { only: team.clone(), ..rule }).collect();
    let mut memory = Memory::default();
    memory.pass(&lines, &model, &every_kind()[..1], end(19));
    // At risk by then, but new to the rules that come with it.
    assert_eq!(memory.pass(&lines, &model, &every_kind()[1..], end(26)), []);
    let mut memory = Memory::default();
    memory.pass(&lines, &model, &rules, end(19));
    // Of the rules' accounts only since it had fallen.
    assert_eq!(memory.pass(&lines, &model, &rules, end(26)), []);
}

#[test]
fn what_the_customer_does_is_told_in_the_run_of_a_config_edit_too() {
    let lines = [used("falls", "A", 0..20, 2), used("stays", "A", 0..60, 2)].concat();
    let (mut memory, before) = (Memory::default(), model(&[("low", "health.score < 50")]));
    memory.pass(&lines, &before, &every_kind(), end(19));
    let mut after = model(&[("low", "health.score < 60")]);
    after.profiles[0].weights.insert("B".into(), 3 * MICRO);
    let told: BTreeSet<String> =
        memory.pass(&lines, &after, &every_kind(), end(25)).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["drop", "low", "risk", "unwell"]);
}

#[test]
fn a_renewed_benchmark_fires_nothing() {
    // Everybody does the same each day, from five days before a quarter ends: the next benchmark is of full windows.
    let lines: Vec<String> = (1..=14).flat_map(|n| used(&format!("a{n:02}"), "A", 26..140, n)).collect();
    let mut model = model(&[("low", "health.score < 50")]);
    model.profiles[0].benchmark.refresh = Refresh::Quarterly;
    let at_once = model.profiles[0].bands;
    // A band that is held is left some days after the renewal: that is no later doing of anybody either.
    for (bands, moved) in [(at_once, 122), (Bands::default(), 123)] {
        model.profiles[0].bands = bands;
        let mut memory = Memory::default();
        // 30 June is day 121.
        memory.pass(&lines, &model, &every_kind(), end(115));
        let band = |offset: i32| bands_on(&lines, &model, offset);
        assert_ne!(band(moved - 1), band(moved), "it moves bands");
        for offset in 116..=130 {
            assert_eq!(memory.pass(&lines, &model, &every_kind(), end(offset)), [], "day {offset}, {bands:?}");
        }
    }
}

fn bands_on(lines: &[String], model: &Model, offset: i32) -> Vec<Option<Band>> {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    let evaluation = evaluate_history(&filed.usage, &filed.ids, model, Ask::of(Horizon::at(end(offset)))).unwrap();
    evaluation.accounts.iter().map(|account| account.health.band).collect()
}

/// An edit of the config, by number.
fn edited(edit: u8) -> Model {
    let mut model =
        model(&[("low", if edit == 1 { "users.active < 1 || health.score < 80" } else { "health.score < 50" })]);
    let profile = &mut model.profiles[0];
    match edit {
        2 => profile.weights = [("B".to_owned(), 9 * MICRO)].into(),
        3 => profile.window = 21,
        4 => profile.bands = Bands { healthy: 95.0, at_risk: 80.0, ..profile.bands },
        5 => profile.benchmark.refresh = Refresh::Fixed(15.0),
        6 => profile.benchmark.refresh = Refresh::EveryRun,
        7 => model.activation = vec![checklist(vec![Step::new("second", Done::Event { event: "B".into(), count: 2 })])],
        8 => model.event_aliases = [("B".to_owned(), "A".to_owned())].into(),
        9 => model.profiles.insert(0, Profile { name: "other".into(), window: 14, ..model.profiles[0].clone() }),
        _ => {}
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// No time passes between the two: whatever else is different, nobody did anything.
    #[test]
    fn what_customers_did_not_do_fires_nothing(
        uses in prop::collection::vec((0..5usize, 0..2usize, 0..40i32, 1..4u32), 1..60),
        late in prop::collection::vec((0..6usize, 0..3usize, 0..39i32, 1..20u32), 0..20),
        edit in 0..10u8,
    ) {
        let name = |account: usize| format!("a{account}");
        let mut lines: Vec<String> = Vec::new();
        for (index, (account, event, offset, each)) in uses.into_iter().enumerate() {
            lines.extend((0..each).map(|n| track(&name(account), ["A", "B"][event], offset, 100 * index as u32 + n, 0)));
        }
        let mut memory = Memory::default();
        memory.pass(&lines, &edited(0), &every_kind(), end(38));
        memory.pass(&lines, &edited(0), &every_kind(), end(40));
        for (index, (account, event, offset, each)) in late.into_iter().enumerate() {
            let lag = 41 - offset;
            lines.extend((0..each).map(|n| track(&name(account), ["A", "B", "C"][event], offset, 100 * index as u32 + n, lag)));
        }
        prop_assert_eq!(memory.pass(&lines, &edited(edit), &every_kind(), Timestamp(end(40).0 + 100)), vec![]);
        // And nothing is left over for a look at the same moment.
        prop_assert_eq!(memory.pass(&lines, &edited(edit), &every_kind(), Timestamp(end(40).0 + 200)), vec![]);
    }
}

#[test]
fn days_that_leave_the_windows_count_for_nothing_there() {
    let lines = [used("a", "A", 0..10, 2), used("a", "Page", 12..13, 1)].concat();
    let filed = file([lines.iter().map(String::as_str).collect()], &model(&[]));
    let seen = |model: &Model| {
        let evaluation = evaluate_history(&filed.usage, &filed.ids, model, Ask::of(Horizon::at(end(9)))).unwrap();
        let account = evaluation.accounts[0].clone();
        (account.health.raw, account.active_days, account.window_days, account.last_active, account.adoption_all_time)
    };
    let (mut model, whole) = (model(&[]), seen(&model(&[])));
    assert_eq!((whole.0, whole.1, whole.2), (Some(70.0), 7, 7));
    // Two of the four days are in the window.
    model.gaps.days = vec![(day(1), day(4))];
    assert_eq!(seen(&model), (Some(50.0), 5, 5, whole.3, whole.4));
    model.gaps.days = vec![(day(0), day(30))];
    assert_eq!(seen(&model), (Some(0.0), 0, 0, whole.3, whole.4));
}

#[test]
fn a_quiet_span_of_the_year_fires_nothing() {
    let lines = [used("falls", "A", 0..20, 2), used("stays", "A", 0..80, 2)].concat();
    let mut model = model(&[("low", "health.score < 50")]);
    let told = |model: &Model| {
        let (mut memory, mut told) = (Memory::default(), Vec::new());
        for offset in 18..60 {
            let fired = memory.pass(&lines, model, &every_kind(), end(offset));
            told.extend(fired.into_iter().map(|(rule, account)| (rule, account, offset)));
        }
        told
    };
    let quiet = |told: Vec<(String, String, i32)>| told.into_iter().find(|(rule, ..)| rule == "quiet").map(|at| at.2);
    assert_eq!(quiet(told(&model)), Some(33));
    // From 19 March to 10 April: days 18 to 40.
    let span = Yearly::parse("03-19..04-10").unwrap();
    model.gaps.quiet = [("main".to_owned(), vec![span])].into();
    let told = told(&model);
    assert!(told.iter().all(|(_, _, offset)| *offset > 40), "{told:?}");
    assert_eq!(quiet(told), Some(54), "fourteen days after it");
}
