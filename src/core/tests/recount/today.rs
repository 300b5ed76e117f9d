//! Names and structure of today, each sentence as its smallest case.

use crate::feed::{file, time};
use crate::setup::expr;
use vitalsync_core::alert::{AlertRule, Edge, Pass, Trigger, Whom, edge};
use vitalsync_core::derived::{self, Derived};
use vitalsync_core::evaluate::{Account, Evaluation, evaluate};
use vitalsync_core::model::{Benchmark, Model, Profile, Refresh};
use vitalsync_core::names::trait_scope;
use vitalsync_core::value::Type;

fn model(roll_up: Option<&str>) -> Model {
    let profile = Profile {
        name: "all".into(),
        window: 7,
        weights: [("E".to_owned(), 1_000_000)].into(),
        benchmark: Benchmark { percentile: 90.0, refresh: Refresh::EveryRun },
        ..Profile::default()
    };
    let roll_up = roll_up.map(|rule| expr(rule, &trait_scope(&[]), Type::Any));
    Model { profiles: vec![profile], roll_up, ..Model::default() }
}

fn seen(lines: &[String], model: &Model, at: &str) -> Evaluation {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    evaluate(&filed.usage, &filed.ids, model, time(at), 20)
}

fn used(account: &str, event: &str, days: std::ops::RangeInclusive<u32>, each: u32) -> Vec<String> {
    let call = |day: u32, n: u32| {
        format!(
            r#"{{"type":"track","userId":"u-{account}","event":"{event}","properties":{{"kind":"x"}},"context":{{"groupId":"{account}"}},"timestamp":"2026-03-{day:02}T12:00:00Z","messageId":"{account}{event}{day}-{n}"}}"#
        )
    };
    days.flat_map(|day| (0..each).map(move |n| (day, n))).map(|(day, n)| call(day, n)).collect()
}

fn under(account: &str, parent: &str, day: u32) -> String {
    format!(
        r#"{{"type":"group","userId":"u-{account}","groupId":"{account}","traits":{{"parent":"{parent}"}},"timestamp":"2026-03-{day:02}T08:00:00Z","messageId":"g{account}{day}"}}"#
    )
}

fn of<'e>(evaluation: &'e Evaluation, id: &str) -> &'e Account {
    evaluation.accounts.iter().find(|account| account.id == id).expect("the account")
}

/// A child that moves takes its history along: neither fell, and nobody is told.
#[test]
fn a_child_that_moves_to_another_parent_fires_nothing() {
    let mut model = model(Some("traits.parent"));
    model.profiles[0].benchmark.refresh = Refresh::Fixed(30.0);
    let (day_before, day_after) = ("2026-03-19T23:59:59Z", "2026-03-20T23:59:59Z");
    let mut lines = [used("child", "E", 1..=20, 4), used("old", "E", 1..=20, 1), used("new", "E", 1..=20, 1)].concat();
    lines.extend([under("child", "old", 1), under("child", "new", 20)]);
    let rule = AlertRule::new("drop", Trigger::Drop { points: 10.0, within_days: 14 }, "#x");
    let (before, after) = (seen(&lines, &model, day_before), seen(&lines, &model, day_after));
    for id in ["old", "new", "child"] {
        let met = |evaluation: &Evaluation, state| {
            let account = of(evaluation, id);
            let pass =
                Pass { destination: "team", model: &model, now: evaluation, last: None, past: None, earlier: None };
            edge(&pass, &rule, &Whom::Account(account), state, true).expect("a score")
        };
        let (state, _) = met(&before, None);
        assert_eq!(met(&after, Some(&state)).1, Edge::Quiet, "{id}");
    }
    // It would have been told, had the past been measured under the structure of then.
    let score = |evaluation: &Evaluation, id: &str| of(evaluation, id).health.score.expect("a score");
    assert!(score(&before, "old") - score(&after, "old") > 10.0);
    assert_eq!(of(&after, "old").recent.iter().map(|(_, score)| *score).fold(0.0, f64::max), score(&after, "old"));
    assert_eq!(
        (of(&before, "child").parent.as_deref(), of(&after, "child").parent.as_deref()),
        (Some("old"), Some("new"))
    );
    assert_eq!((of(&after, "new").children, of(&after, "old").children), (1, 0));
}

/// The benchmark counts use where it was done, so no account's score moves when others are rolled up, or when one that has
/// use of its own becomes a parent.
#[test]
fn a_roll_up_moves_nobody_elses_score() {
    let lines: Vec<String> = (1..=12).flat_map(|n| used(&format!("a{n:02}"), "E", 1..=n, n)).collect();
    let (alone, rolled) =
        (model(None), model(Some("account < \"a06\" ? \"a12\" : account == \"a07\" ? \"top\" : \"\"")));
    let at = "2026-03-12T23:59:59Z";
    let (alone, rolled) = (seen(&lines, &alone, at), seen(&lines, &rolled, at));
    assert_eq!(alone.benchmarks, rolled.benchmarks);
    for account in &alone.accounts {
        let now = of(&rolled, &account.id);
        assert_eq!(now.health == account.health, now.children == 0, "{}", account.id);
    }
    assert_eq!((of(&rolled, "top").children, of(&rolled, "a12").children), (1, 5));
    assert_eq!(of(&rolled, "top").health, of(&alone, "a07").health);
    assert_eq!(of(&rolled, "a12").total_users, 6);
}

/// What people read speaks of today's names, those of derived events included.
#[test]
fn reasons_speak_of_todays_names() {
    let mut model = model(None);
    let derived =
        Derived::new(Some("External Share"), "E", expr("properties.kind == \"x\"", &derived::scope(), Type::Bool));
    model.event_aliases = [("Old".to_owned(), "Report Shared".to_owned())].into();
    model.profiles[0].weights = [(derived.counted_as(), 5_000_000), ("Report Shared".to_owned(), 1_000_000)].into();
    model.derived = vec![derived];
    let lines = [used("a", "E", 1..=2, 9), used("b", "Old", 1..=2, 3)].concat();
    let (then, at) = (time("2026-03-02T23:59:59Z"), "2026-03-09T23:59:59Z");
    let evaluation = seen(&lines, &model, at);
    let reasons = |id: &str| {
        let from = model.calendar.day(then);
        of(&evaluation, id).reasons(&model, &model.profiles[0], from, evaluation.over, &evaluation.events)
    };
    assert_eq!(reasons("a"), ["External Share: 0 in the last 7 days, 18 on 2026-03-02"]);
    assert_eq!(reasons("b"), ["Report Shared: 0 in the last 7 days, 6 on 2026-03-02"]);
    let early = seen(&lines, &model, "2026-03-03T23:59:59Z");
    let told = |id: &str| of(&early, id).health.top_reason.clone().expect("a reason");
    assert_eq!(&*told("a"), "more External Share than in the 7 days before");
    assert_eq!(&*told("b"), "more Report Shared than in the 7 days before");
}

/// A rule can name an account above without end; the chain has an end all the same.
#[test]
fn a_rule_without_end_is_followed_eight_levels_up() {
    let lines = used("a", "E", 1..=3, 1);
    let evaluation = seen(&lines, &model(Some("account + \"x\"")), "2026-03-03T23:59:59Z");
    let ids: Vec<&str> = evaluation.accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids, (0..=8).map(|n| format!("a{}", "x".repeat(n))).collect::<Vec<_>>());
    assert!(evaluation.accounts.iter().all(|account| account.health.raw == Some(3.0)));
}
