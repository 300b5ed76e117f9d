//! `components`: what a score is made of beside usage.

use vitalsync_core::component::{Combine, Component, Reads, Whose};
use vitalsync_core::doubt::Doubt;
use vitalsync_core::expr::Names;
use vitalsync_core::health::{CURVE, score};
use vitalsync_core::model::{Model, Profile, Refresh};
use vitalsync_core::names::{AccountNames, Vocabulary, scopes, trait_scope};
use vitalsync_core::value::{Type, Value};

use crate::{AT, account, close, expr, group, of, seen, used, weighed};

/// What a user says of itself on a day.
fn identify(user: &str, traits: &str, day: &str) -> String {
    format!(
        r#"{{"type":"identify","messageId":"i-{user}-{day}","userId":"{user}","traits":{traits},"timestamp":"{day}T08:00:00Z"}}"#
    )
}

fn nps(combine: Combine) -> Component {
    Component {
        name: "nps".into(),
        whose: Whose::Users(combine),
        from: "nps".into(),
        reads: Reads::Range(0.0, 10.0),
        weight: 20.0,
        max_age: Some(180),
    }
}

fn pulse() -> Component {
    let words = [("green", 1.0), ("yellow", 0.5), ("red", 0.0)].map(|(word, share)| (word.to_owned(), share));
    let (name, from) = ("pulse".to_owned(), "csm.pulse".to_owned());
    Component { name, whose: Whose::Account, from, reads: Reads::Words(words.into()), weight: 10.0, max_age: None }
}

fn model(components: Vec<Component>) -> Model {
    of(Profile { components, usage_weight: 70.0, ..weighed(&[("A", 1)], Refresh::Fixed(100.0)) })
}

/// 50 of 100 points of use, by two users.
fn half() -> Vec<String> {
    [used("a", "u1", "A", "2026-08-01", 30), used("a", "u2", "A", "2026-08-02", 20)].concat()
}

#[test]
fn a_score_is_the_weighted_mean_of_what_has_a_value() {
    let usage = score(50.0, 100.0, CURVE);
    let model = model(vec![nps(Combine::Mean), pulse()]);
    let health = |lines: &[String]| account(&seen(lines, &model, AT), "a").health.clone();
    let mut lines = half();
    let alone = health(&lines);
    close(alone.score, usage);
    close(alone.coverage, 0.7);
    // Mean of 6 and 9; who has no account, or is none of this one's users, has no say.
    lines.extend([identify("u1", r#"{"nps":6}"#, "2026-06-01"), identify("u2", r#"{"nps":9}"#, "2026-06-02")]);
    lines.push(identify("stranger", r#"{"nps":0}"#, "2026-06-02"));
    // Who did nothing for 90 days is none of its users any more.
    lines.extend(used("a", "gone", "Unscored", "2026-05-12", 1));
    lines.push(identify("gone", r#"{"nps":0}"#, "2026-06-02"));
    let with_nps = health(&lines);
    close(with_nps.components.get("nps").copied(), 1.0 + 99.0 * 0.75);
    close(with_nps.score, (70.0 * usage + 20.0 * 75.25) / 90.0);
    close(with_nps.coverage, 0.9);
    lines.push(group("a", r#"{"csm":{"pulse":"yellow"}}"#, "2026-08-01"));
    let all = health(&lines);
    close(all.score, (70.0 * usage + 20.0 * 75.25 + 10.0 * 50.5) / 100.0);
    close(all.coverage, 1.0);
    let names: Vec<&str> = all.components.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["nps", "pulse", "usage"]);
    close(all.components.get("usage").copied(), usage);
}

#[test]
fn users_values_become_one_in_five_ways() {
    let mut lines = [half(), used("a", "u3", "A", "2026-08-02", 1)].concat();
    for (user, nps, day) in [("u1", 2, "2026-07-03"), ("u2", 10, "2026-07-01"), ("u3", 3, "2026-07-02")] {
        lines.push(identify(user, &format!(r#"{{"nps":{nps}}}"#), day));
    }
    for (combine, value) in [
        (Combine::Mean, 5.0),
        (Combine::Min, 2.0),
        (Combine::Max, 10.0),
        (Combine::Median, 3.0),
        (Combine::Latest, 2.0),
    ] {
        let evaluation = seen(&lines, &model(vec![nps(combine)]), AT);
        close(account(&evaluation, "a").health.components.get("nps").copied(), 1.0 + 9.9 * value);
    }
    // Of a reversed range the least is still the least: of 3 open tickets in at most 10.
    let tickets = Component { reads: Reads::Range(10.0, 0.0), ..nps(Combine::Max) };
    let evaluation = seen(&lines, &model(vec![tickets]), AT);
    close(account(&evaluation, "a").health.components.get("nps").copied(), 1.0);
}

#[test]
fn a_value_that_is_too_old_is_left_out_and_one_said_again_is_not() {
    let model = model(vec![nps(Combine::Mean)]);
    let mut lines = half();
    lines.push(identify("u1", r#"{"nps":9}"#, "2026-02-11"));
    // 180 days later it is there for the last time.
    for (at, coverage) in [("2026-08-10T23:59:59Z", 1.0), ("2026-08-11T23:59:59Z", 70.0 / 90.0)] {
        close(account(&seen(&lines, &model, at), "a").health.coverage, coverage);
    }
    // No end of a value is anybody's fall.
    let after = seen(&lines, &model, "2026-08-12T23:59:59Z");
    let a = account(&after, "a");
    assert!(a.health.change_7d.is_some_and(|change| change < -1.0), "the score fell with it: {:?}", a.health);
    assert_eq!(a.drop_since(after.over.plus(-9)).map(|drop| drop.points), Some(0.0));
    // Said again without a change it is new.
    lines.push(identify("u1", r#"{"nps":9}"#, "2026-03-01"));
    close(account(&seen(&lines, &model, "2026-08-12T23:59:59Z"), "a").health.coverage, 1.0);
}

#[test]
fn past_days_have_the_values_of_then() {
    let model = model(vec![Component { weight: 30.0, max_age: None, ..pulse() }]);
    let mut lines = used("a", "u1", "A", "2026-08-01", 50);
    lines.push(group("a", r#"{"csm":{"pulse":"green"}}"#, "2026-08-01"));
    lines.push(group("a", r#"{"csm":{"pulse":"red"}}"#, "2026-08-06"));
    let usage = score(50.0, 100.0, CURVE);
    let (before, now) = (0.7 * usage + 30.0, 0.7 * usage + 0.3);
    let evaluation = seen(&lines, &model, AT);
    let a = account(&evaluation, "a");
    close(a.health.score, now);
    close(a.health.change_7d, now - before);
    // A new value is the customer's part of the change: edges see it.
    close(a.drop_since(evaluation.over.plus(-7)).map(|drop| drop.points), before - now);
    assert_eq!(a.health.top_reason.as_deref(), Some("more A than in the 30 days before"));
    lines.extend(used("a", "u1", "A", "2026-08-20", 50));
    let later = seen(&lines, &model, "2026-09-02T12:00:00Z");
    assert_eq!(account(&later, "a").health.top_reason.as_deref(), Some("lower pulse than 30 days before"));
    // Taken back, it is missing.
    lines.push(group("a", r#"{"csm":{"pulse":null}}"#, "2026-08-07"));
    let gone = account(&seen(&lines, &model, AT), "a").health.clone();
    close(gone.score, usage);
    close(gone.coverage, 0.7);
}

#[test]
fn without_any_use_a_score_is_of_what_there_is() {
    let model = model(vec![pulse()]);
    let lines = [group("a", r#"{"csm":{"pulse":"green"}}"#, "2026-07-01"), group("b", r#"{"x":1}"#, "2026-07-01")];
    let evaluation = seen(&lines, &model, AT);
    let health = &account(&evaluation, "a").health;
    assert_eq!((health.raw, health.components.get("usage")), (None, None));
    close(health.score, 100.0);
    close(health.coverage, 0.125);
    assert!(health.band.is_some() && health.change_30d == Some(0.0), "{health:?}");
    assert_eq!(health.top_reason.as_deref(), Some("no usage yet"));
    let none = &account(&evaluation, "b").health;
    assert_eq!((none.score, none.coverage, &none.band), (None, None, &None));
}

#[test]
fn what_can_not_be_read_is_left_out_counted_and_named() {
    let model = model(vec![nps(Combine::Mean), pulse()]);
    let mut lines = half();
    lines.extend([identify("u1", r#"{"nps":"9"}"#, "2026-07-01"), identify("u2", r#"{"nps":8}"#, "2026-07-01")]);
    lines.push(group("a", r#"{"csm":{"pulse":"blue"}}"#, "2026-08-01"));
    let evaluation = seen(&lines, &model, AT);
    close(account(&evaluation, "a").health.components.get("nps").copied(), 80.2);
    assert_eq!(account(&evaluation, "a").health.components.get("pulse"), None);
    let unreadable =
        |component: &str| Doubt::Unreadable { profile: "main".into(), component: component.into(), values: 1 };
    assert_eq!(evaluation.doubts, [unreadable("nps"), unreadable("pulse")]);
    // Once it is said in a way that can be read, nothing is odd.
    lines
        .extend([identify("u1", r#"{"nps":9}"#, "2026-07-02"), group("a", r#"{"csm":{"pulse":"red"}}"#, "2026-08-02")]);
    assert_eq!(seen(&lines, &model, AT).doubts, []);
}

/// A parent has its own traits, and the users of all below.
#[test]
fn both_levels_of_a_roll_up_have_components() {
    let mut model = model(vec![nps(Combine::Mean), pulse()]);
    model.roll_up = Some(expr("traits.up", &trait_scope(&[]), Type::Any));
    let mut lines = [used("eu", "u1", "A", "2026-08-01", 1), used("us", "u2", "A", "2026-08-01", 1)].concat();
    lines.extend([identify("u1", r#"{"nps":10}"#, "2026-07-01"), identify("u2", r#"{"nps":0}"#, "2026-07-01")]);
    lines.push(group("eu", r#"{"up":"top","csm":{"pulse":"red"}}"#, "2026-07-01"));
    lines.push(group("us", r#"{"up":"top"}"#, "2026-07-01"));
    lines.push(group("top", r#"{"csm":{"pulse":"green"}}"#, "2026-07-01"));
    let evaluation = seen(&lines, &model, AT);
    let of = |id: &str, name: &str| account(&evaluation, id).health.components.get(name).copied();
    assert_eq!([of("eu", "nps"), of("us", "nps"), of("top", "nps")], [Some(100.0), Some(1.0), Some(50.5)]);
    assert_eq!([of("eu", "pulse"), of("us", "pulse"), of("top", "pulse")], [Some(1.0), None, Some(100.0)]);
}

#[test]
fn components_are_measures_by_name() {
    let model = model(vec![pulse()]);
    let lines = [half(), vec![group("a", r#"{"csm":{"pulse":"red"}}"#, "2026-08-01")]].concat();
    let evaluation = seen(&lines, &model, AT);
    let names = AccountNames { account: account(&evaluation, "a") };
    assert_eq!(names.value("health.components.pulse"), Value::Number(1.0));
    assert_eq!(names.value("profiles.main.components.pulse"), Value::Number(1.0));
    assert_eq!(names.value("health.components.gone"), Value::Null);
    let scope = scopes(&Vocabulary { profiles: &model.profiles, ..Vocabulary::default() }).account;
    let rule = expr(
        "health.components.pulse < 50 && profiles.main.components.usage > 0 && health.coverage == 1",
        &scope,
        Type::Bool,
    );
    assert!(rule.holds(&names));
}
