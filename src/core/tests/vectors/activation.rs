//! Time to value, stalled accounts, steps by several users, several checklists.

use vitalsync_core::checklist::{Checklist, Done, Step};
use vitalsync_core::expr::Names as _;
use vitalsync_core::model::Model;
use vitalsync_core::names::AccountNames;
use vitalsync_core::value::Value;

use super::*;

fn once(name: &str) -> Step {
    Step::new(name, Done::Event { event: name.into(), count: 1 })
}

fn with(list: Checklist) -> Model {
    Model { activation: vec![list], ..of(profile(&[("Viewed", 3.9), ("Shared", 4.0)], 30, Refresh::EveryRun)) }
}

fn on(text: &str) -> Option<Day> {
    Some(Day::parse(text).unwrap())
}

#[test]
fn time_to_value_runs_from_the_start() {
    let model = with(Checklist::of(vec![once("Made"), once("Asked")]));
    let tracks: Tracks<'_> = &[
        ("a", "u", "Made", "2026-07-01", 1),
        ("a", "u", "Viewed", "2026-07-02", 1),
        ("a", "u", "Shared", "2026-07-05", 1),
        ("a", "v", "Asked", "2026-07-11", 1),
        ("a", "v", "Asked", "2026-07-20", 1),
    ];
    let account = only(tracks, &model, AT);
    assert_eq!((account.activated_at, account.days_to(account.activated_at)), (on("2026-07-11"), Some(10)));
    // A weight of 4 is core, 3.9 is not.
    assert_eq!((account.first_key_action, account.days_to(account.first_key_action)), (on("2026-07-05"), Some(4)));
    assert_eq!((account.stalled, account.days_stalled), (Some(false), None));
    // What was done before the stated start was done at once.
    let mut told = lines(tracks);
    told.push(r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{"createdAt":"2026-08-01"},"timestamp":"2026-08-01T00:00:00Z"}"#.into());
    let account = &seen(&told, &model, AT).accounts[0];
    assert_eq!((account.days_to(account.activated_at), account.days_to(account.first_key_action)), (Some(0), Some(0)));
}

#[test]
fn an_account_is_stalled_after_fourteen_days_without_a_new_step() {
    let model = with(Checklist::of(vec![once("Made"), once("Asked")]));
    let asked: Tracks<'_> = &[("a", "u", "Viewed", "2026-07-01", 1), ("a", "u", "Asked", "2026-07-04", 1)];
    for (tracks, at, days, stalled) in [
        (asked, "2026-07-17T12:00:00Z", 13, false),
        (asked, "2026-07-18T12:00:00Z", 14, true),
        // Without any step it is counted from the start.
        (&asked[..1], "2026-07-14T12:00:00Z", 13, false),
        (&asked[..1], "2026-07-15T12:00:00Z", 14, true),
    ] {
        let account = only(tracks, &model, at);
        assert_eq!((account.days_stalled, account.stalled), (Some(days), Some(stalled)), "{at}");
        assert_eq!(account.missing_step(), Some("Made"));
    }
    let patient = with(Checklist { stalled_after: 41, ..Checklist::of(vec![once("Made")]) });
    assert_eq!(only(asked, &patient, AT).stalled, Some(false));
    // Nobody knows since when.
    let group = r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","timestamp":"2026-08-01T00:00:00Z"}"#;
    let account = &seen(&[group.to_owned()], &model, AT).accounts[0];
    assert_eq!((account.activation_percent, account.days_stalled, account.stalled), (Some(0.0), None, None));
}

#[test]
fn a_step_may_take_several_users_each_alone() {
    let step = Step { by: Some(2), ..Step::new("twice", Done::Event { event: "Shared".into(), count: 2 }) };
    let model = with(Checklist::of(vec![step]));
    let tracks: Tracks<'_> = &[
        ("a", "u", "Shared", "2026-08-01", 5),
        ("a", "v", "Shared", "2026-08-02", 1),
        ("a", "w", "Shared", "2026-08-03", 1),
        ("a", "v", "Shared", "2026-08-04", 1),
        ("a", "w", "Shared", "2026-08-05", 1),
    ];
    for (count, done) in [(3, None), (4, on("2026-08-04")), (5, on("2026-08-04"))] {
        assert_eq!(only(&tracks[..count], &model, AT).steps[0].1, done, "{count}");
    }
    let step = Step { by: Some(2), ..Step::new("ready", Done::Trait("ready".into())) };
    let model = with(Checklist::of(vec![step]));
    let mut told = lines(tracks);
    for (id, user, day) in [("1", "u", "2026-08-02"), ("2", "w", "2026-08-06")] {
        told.push(format!(
            r#"{{"type":"identify","messageId":"{id}","userId":"{user}","traits":{{"ready":true}},"timestamp":"{day}T00:00:00Z"}}"#
        ));
    }
    told.push(r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{"ready":true},"timestamp":"2026-08-01T00:00:00Z"}"#.into());
    assert_eq!(seen(&told, &model, AT).accounts[0].steps[0].1, on("2026-08-06"), "the account's own trait is nobody's");
}

#[test]
fn the_first_checklist_that_is_for_it_is_an_accounts_own() {
    let rule = |source: &str| {
        let mut faults = vitalsync_core::section::Faults::default();
        let scope = vitalsync_core::names::trait_scope(&[]);
        vitalsync_core::expr::Expr::parse(source, Default::default(), &scope, vitalsync_core::Type::Bool, &mut faults)
    };
    let trial = Checklist {
        name: "trial".into(),
        only: rule("traits.plan == \"trial\""),
        ..Checklist::of(vec![once("Made"), once("Asked")])
    };
    let rest = Checklist { name: "rest".into(), ..Checklist::of(vec![once("Shared")]) };
    let model = Model { activation: vec![trial, rest], ..with(Checklist::of(Vec::new())) };
    let mut told = lines(&[("a", "u", "Asked", "2026-08-01", 1), ("b", "u", "Asked", "2026-08-01", 1)]);
    told.push(r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{"plan":"trial"},"timestamp":"2026-08-01T00:00:00Z"}"#.into());
    let accounts = seen(&told, &model, AT).accounts;
    let of = |name: &str| accounts.iter().map(|account| AccountNames { account }.value(name)).collect::<Vec<_>>();
    assert_eq!(of("activation.checklist"), ["trial".into(), "rest".into()]);
    assert_eq!(of("activation.percent"), [Value::Number(50.0), Value::Number(0.0)]);
    let day = Value::Date(Day::parse("2026-08-01").unwrap());
    assert_eq!(of("activation.steps.Asked"), [day, Value::Null], "a step of another checklist is none of its own");
    assert_eq!(of("activation.missing_step"), ["Made".into(), "Shared".into()]);
}
