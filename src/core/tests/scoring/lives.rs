//! Stages of life, and a person's word.

use vitalsync_core::Day;
use vitalsync_core::alert::{AlertRule, Pass, Trigger, Whom, edge};
use vitalsync_core::doubt::Doubt;
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::expr::Names;
use vitalsync_core::model::{Band, Model, Override, Refresh};
use vitalsync_core::names::{AccountNames, trait_scope};
use vitalsync_core::section::Place;
use vitalsync_core::value::{Type, Value};

use crate::{AT, account, close, expr, group, of, seen, used, weighed};

fn model(refresh: Refresh) -> Model {
    let scope = trait_scope(&[]);
    Model {
        lifecycle: vec![("churned".to_owned(), expr("has(traits.cancelled_at)", &scope, Type::Bool))],
        churned_on: Some(expr("traits.cancelled_at", &scope, Type::Any)),
        new_days: 14,
        ..of(weighed(&[("A", 1)], refresh))
    }
}

fn met(account: &Account, now: &Evaluation, model: &Model) -> bool {
    let trigger = Trigger::Drop { points: 10.0, within_days: 7 };
    let rule = AlertRule::new("drop", trigger, "#x");
    let pass = Pass { destination: "team", model, now, last: None, past: None, earlier: None };
    edge(&pass, &rule, &Whom::Account(account), None, true).is_some()
}

#[test]
fn a_new_account_is_measured_without_a_band() {
    let model = model(Refresh::Fixed(20.0));
    // Since the first event, or since what createdAt says.
    let mut lines = [used("young", "u1", "A", "2026-07-28", 20), used("old", "u2", "A", "2026-07-27", 20)].concat();
    lines.extend(used("moved", "u3", "A", "2026-08-09", 20));
    lines.push(group("moved", r#"{"createdAt":"2025-01-01"}"#, "2026-08-09"));
    let evaluation = seen(&lines, &model, AT);
    for (id, is_new) in [("young", true), ("old", false), ("moved", false)] {
        let account = account(&evaluation, id);
        close(account.health.score, 100.0);
        assert_eq!(account.health.band, (!is_new).then_some(Band::Healthy), "{id}");
        assert_eq!(account.profiles.get("main").and_then(|health| health.band), account.health.band);
        assert_eq!(met(account, &evaluation, &model), !is_new, "no alert rule meets a new one: {id}");
        let names = AccountNames { account };
        assert_eq!(names.value("lifecycle.new"), Value::Bool(is_new));
        assert_eq!(account.held("lifecycle.").collect::<Vec<_>>(), if is_new { vec!["new"] } else { vec![] });
    }
    let off = Model { new_days: 0, ..model };
    assert_eq!(account(&seen(&lines, &off, AT), "young").health.band, Some(Band::Healthy));
}

#[test]
fn a_start_in_the_future_makes_nobody_new_who_was_used_before() {
    let model = model(Refresh::Fixed(20.0));
    let ahead = r#"{"createdAt":"2036-01-01"}"#;
    let mut lines = used("wrong", "u-wrong", "A", "2026-06-01", 1);
    lines.extend(used("wrong", "u-wrong", "A", "2026-08-09", 20));
    lines.extend(["wrong", "signed"].map(|id| group(id, ahead, "2026-08-01")));
    lines.push(lines[0].replace("track", "identify").replace(r#""event""#, &format!(r#""traits":{ahead},"x""#)));
    let evaluation = seen(&lines, &model, AT);
    let [wrong, signed] = ["wrong", "signed"].map(|id| account(&evaluation, id));
    assert_eq!((wrong.start, wrong.tenure_days, wrong.is_new), (Day::parse("2026-06-01"), Some(70), false));
    assert_eq!((wrong.health.band, evaluation.users[0].tenure_days), (Some(Band::Healthy), Some(70)));
    assert_eq!((signed.start, signed.tenure_days, signed.is_new), (Day::parse("2036-01-01"), None, true));
    assert_eq!(evaluation.doubts, [Doubt::StartsAhead { accounts: 2 }]);
    assert!(evaluation.doubts[0].message().contains("in the future"), "{}", evaluation.doubts[0]);
}

#[test]
fn one_that_left_leaves_benchmark_and_alerts_on_its_day() {
    let model = model(Refresh::EveryRun);
    let mut lines = [used("a", "u1", "A", "2026-08-01", 10), used("big", "u2", "A", "2026-08-01", 90)].concat();
    lines.push(group("big", r#"{"createdAt":"2025-01-01","cancelled_at":"2026-08-08"}"#, "2026-08-05"));
    // The benchmark is the maximum of those who are there.
    for (at, raw, has_left) in [("2026-08-04", 90.0, false), ("2026-08-07", 90.0, false), ("2026-08-08", 10.0, true)] {
        let evaluation = seen(&lines, &model, &format!("{at}T23:59:59Z"));
        close(Some(evaluation.benchmarks["main"].raw), raw);
        let big = account(&evaluation, "big");
        assert_eq!((big.has_left, met(big, &evaluation, &model)), (has_left, !has_left && !big.is_new), "{at}");
        let stated = (at != "2026-08-04").then(|| Day::parse("2026-08-08").expect("a day"));
        assert_eq!(big.churned_on, stated, "{at}");
        let names = AccountNames { account: big };
        assert_eq!(names.value("lifecycle.churned"), Value::Bool(stated.is_some()), "the rule has no date");
        assert_eq!(names.value("churned_on"), stated.map(Value::Date).unwrap_or_default());
    }
    // Without a date it left when the rule was first known to hold; of a date that is none, too.
    let undated = Model { churned_on: None, ..model.clone() };
    let at = "2026-08-05T23:59:59Z";
    close(Some(seen(&lines, &undated, at).benchmarks["main"].raw), 10.0);
    lines.push(group("big", r#"{"cancelled_at":"soon"}"#, "2026-08-06"));
    let evaluation = seen(&lines, &model, "2026-08-06T23:59:59Z");
    assert_eq!((account(&evaluation, "big").has_left, account(&evaluation, "big").churned_on), (true, None));
    // It came back.
    lines.push(group("big", r#"{"cancelled_at":null}"#, "2026-08-07"));
    close(Some(seen(&lines, &model, AT).benchmarks["main"].raw), 90.0);
}

#[test]
fn a_benchmark_of_before_does_not_change_when_one_leaves_later() {
    let model = model(Refresh::Monthly);
    let mut lines = [used("a", "u1", "A", "2026-07-20", 10), used("big", "u2", "A", "2026-07-20", 90)].concat();
    lines.push(group("big", r#"{"cancelled_at":"2026-07-25"}"#, "2026-08-05"));
    // As known on 31 July it was still there.
    close(Some(seen(&lines, &model, AT).benchmarks["main"].raw), 90.0);
    lines.extend(used("a", "u1", "A", "2026-08-20", 5));
    close(Some(seen(&lines, &model, "2026-09-01T23:59:59Z").benchmarks["main"].raw), 5.0);
}

#[test]
fn a_persons_word_stands_until_its_last_day() {
    let stated = |account: &str, band, until: &str| Override {
        account: account.into(),
        band,
        reason: "the sponsor left".into(),
        until: Day::parse(until).expect("a day"),
        place: Place::default(),
    };
    let overrides = vec![
        stated("a", Band::AtRisk, "2026-08-10"),
        stated("nobody", Band::Normal, "2027-01-01"),
        stated("b", Band::Normal, "2026-08-09"),
    ];
    let model = Model { overrides, ..model(Refresh::Fixed(20.0)) };
    let lines = [used("a", "u1", "A", "2026-07-20", 20), used("b", "u2", "A", "2026-07-20", 20)].concat();
    let evaluation = seen(&lines, &model, AT);
    let health = &account(&evaluation, "a").health;
    close(health.score, 100.0);
    assert_eq!((health.band, health.override_reason.as_deref()), (Some(Band::AtRisk), Some("the sponsor left")));
    assert_eq!(account(&evaluation, "a").profiles.get("main"), Some(health));
    let b = &account(&evaluation, "b").health;
    assert_eq!((b.band, &b.override_reason), (Some(Band::Healthy), &None));
    let (until, account_b) = (Day::parse("2026-08-09").expect("a day"), "b".to_owned());
    assert_eq!(
        evaluation.doubts,
        [Doubt::OverrideOfNobody { account: "nobody".into() }, Doubt::OverrideEnded { account: account_b, until }]
    );
    let next = seen(&lines, &model, "2026-08-11T00:00:00Z");
    assert_eq!(account(&next, "a").health.band, Some(Band::Healthy));
    // Also of one that is new, or has no score at all.
    let early = seen(&lines, &model, "2026-07-22T12:00:00Z");
    assert_eq!((account(&early, "a").is_new, account(&early, "a").health.band), (true, Some(Band::AtRisk)));
}

#[test]
fn a_profile_of_nobody_is_named() {
    let mut model = model(Refresh::Fixed(20.0));
    model.profiles[0].only = Some(expr("traits.plan == \"gold\"", &trait_scope(&[]), Type::Bool));
    let evaluation = seen(&used("a", "u1", "A", "2026-08-01", 1), &model, AT);
    assert_eq!(evaluation.doubts, [Doubt::NoAccounts { profile: "main".into() }]);
    assert_eq!(seen(&[], &model, AT).doubts, [], "nobody is there at all");
}
