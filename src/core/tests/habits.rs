//! Habits from lines of JSON: what counts in which span, whose, and what only knowledge of a day may see.

mod feed;

use std::collections::BTreeMap;

use feed::{Filed, file, time};
use vitalsync_core::derived::{self, Derived};
use vitalsync_core::evaluate::{Account, evaluate_history};
use vitalsync_core::expr::{Expr, Names as _};
use vitalsync_core::gather::Ask;
use vitalsync_core::habits::{Habits, Lately, Rhythm};
use vitalsync_core::identity::Horizon;
use vitalsync_core::model::{Evidence, MICRO, Model, Profile, Signal};
use vitalsync_core::names::{AccountNames, Vocabulary};
use vitalsync_core::section::{Faults, Place};
use vitalsync_core::{Day, Type, Value};

/// The last day that is over.
const LAST: &str = "2026-08-10";
const AT: &str = "2026-08-10T23:59:59Z";

fn day(back: i32) -> Day {
    Day::parse(LAST).expect("a day").plus(-back)
}

/// A track so many days back, received so many days later.
fn track(back: i32, late: i32, user: &str, event: &str) -> String {
    let (day, received) = (day(back), day(back - late));
    format!(
        r#"{{"type":"track","messageId":"{back}-{user}-{event}","userId":"{user}","event":"{event}","context":{{"groupId":"a"}},"timestamp":"{day}T10:00:00.000Z","receivedAt":"{received}T10:00:01.000Z"}}"#
    )
}

fn model() -> Model {
    let profile = Profile {
        name: "main".into(),
        weights: [("A".to_owned(), MICRO), ("B".to_owned(), MICRO)].into(),
        ..Profile::default()
    };
    Model { profiles: vec![profile], ..Model::default() }
}

fn seen(filed: &Filed, model: &Model, horizon: Horizon, deeds: bool) -> Account {
    let ask = Ask { deeds, ..Ask::of(horizon) };
    let Ok(mut evaluation) = evaluate_history(&filed.usage, &filed.ids, model, ask);
    assert_eq!(evaluation.accounts.len(), 1);
    evaluation.accounts.remove(0)
}

fn filed(lines: &[String], model: &Model) -> Filed {
    file([lines.iter().map(String::as_str).collect()], model)
}

fn habits(lines: &[String], model: &Model) -> Habits {
    seen(&filed(lines, model), model, Horizon::at(time(AT)), false).habits.expect("habits")
}

#[test]
fn each_span_counts_its_own_days() {
    let lines: Vec<String> =
        [(0, "u", "A"), (29, "u", "A"), (30, "v", "B"), (59, "u", "C"), (60, "w", "A"), (89, "u", "A"), (90, "x", "B")]
            .map(|(back, user, event)| track(back, 0, user, event))
            .into();
    let habits = habits(&lines, &model());
    let lately = |last_30, before_30, last_90| Lately { last_30, before_30, last_90, phase_30: None };
    assert_eq!(habits.events, lately(2, 2, 6));
    assert_eq!(habits.active_days, lately(2, 2, 6));
    assert_eq!(habits.users, lately(1, 2, 3));
    assert_eq!(habits.features, lately(1, 1, 2), "C is not scored");
    assert_eq!(habits.top_user_share, Some(4.0 / 6.0));
    assert_eq!(habits.rhythm, Some(Rhythm { usual: 1, long: 29 }), "gaps of 29, 1, 29, 1, 29, 1 days: {habits:?}");
}

#[test]
fn days_that_are_left_out_are_in_no_span_and_make_no_pause_longer() {
    let mut model = model();
    model.gaps.days = vec![(day(20), day(11))];
    model.signals = BTreeMap::from([(Signal::CancelIntent, vec![Evidence::Event("Left".into())])]);
    let lines: Vec<String> = [(1, "u", "A"), (2, "u", "A"), (15, "v", "B"), (15, "v", "Left"), (25, "u", "A")]
        .map(|(back, user, event)| track(back, 0, user, event))
        .into();
    let account = seen(&filed(&lines, &model), &model, Horizon::at(time(AT)), false);
    let habits = account.habits.expect("habits");
    let count = |lately: Lately| (lately.last_30, lately.last_90);
    assert_eq!((count(habits.events), count(habits.active_days)), ((3, 3), (3, 3)));
    assert_eq!((count(habits.users), count(habits.features)), ((1, 1), (1, 1)));
    assert_eq!((account.features_used, account.adoption_all_time), (vec![true, false], Some(100.0)));
    assert_eq!(habits.signal(Signal::CancelIntent).map(count), Some((1, 1)), "trouble is no matter of windows");
    assert_eq!(habits.rhythm, None);
    let more: Vec<String> = [1, 2, 15, 25, 26, 27, 28, 29].map(|back| track(back, 0, "u", "A")).into();
    let rhythm = self::habits(&more, &model).rhythm;
    assert_eq!(rhythm, Some(Rhythm { usual: 1, long: 9 }), "of 13 days four were left out, of ten five");
}

#[test]
fn an_event_on_a_condition_is_a_feature_of_its_own_and_not_another_event() {
    let mut model = model();
    let rule =
        Expr::parse("has(properties.x)", Place::default(), &derived::scope(), Type::Bool, &mut Faults::default());
    let derived = Derived::new(Some("A with x"), "A", rule.expect("a good rule"));
    model.profiles[0].weights.insert(derived.counted_as(), MICRO);
    model.derived = vec![derived];
    let with_x = track(1, 0, "u", "A").replace("\"event\"", "\"properties\":{\"x\":1},\"event\"");
    let habits = habits(&[with_x, track(2, 0, "u", "A")], &model);
    assert_eq!((habits.events.last_30, habits.features.last_30, habits.top_user_share), (2, 2, Some(1.0)));
}

#[test]
fn signals_come_from_events_and_traits() {
    let mut model = model();
    model.signals = BTreeMap::from([
        (Signal::CancelIntent, vec![Evidence::Event("Left".into()), Evidence::Trait("renewal_off".into())]),
        (Signal::Ticket, vec![Evidence::Trait("tickets.open".into())]),
        (Signal::Downgrade, vec![Evidence::Event("Never Seen".into())]),
    ]);
    let group = r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{"renewal_off":true,"tickets":{"open":4}},"timestamp":"2026-08-01T10:00:00.000Z","receivedAt":"2026-08-01T10:00:01.000Z"}"#;
    let habits = habits(&[track(3, 0, "u", "Left"), track(70, 0, "u", "Left"), group.into()], &model);
    let told = |signal| habits.signal(signal).map(|told| (told.last_30, told.last_90));
    assert_eq!(told(Signal::CancelIntent), Some((2, 3)), "one of 30 days, one of 90, and the trait");
    assert_eq!(told(Signal::Ticket), Some((4, 4)));
    assert_eq!(told(Signal::Downgrade), Some((0, 0)), "named, and never came");
    assert_eq!(told(Signal::PaymentFailed), None, "not named");
}

#[test]
fn what_came_late_is_not_known_before() {
    let lines = [track(40, 0, "u", "A"), track(20, 15, "v", "B")];
    let model = model();
    let filed = filed(&lines, &model);
    let known = |back: i32| {
        let horizon = Horizon { at: model.calendar.end(day(10)), received: Some(day(back)) };
        seen(&filed, &model, horizon, false).habits.expect("habits").events.last_30
    };
    assert_eq!((known(10), known(5)), (0, 1));
}

#[test]
fn deeds_are_told_by_name_and_day_where_they_are_asked_for() {
    let lines = [track(100, 0, "u", "A"), track(94, 0, "v", "B"), track(93, 0, "v", "C"), track(5, 0, "v", "D")];
    let model = model();
    let filed = filed(&lines, &model);
    let account = seen(&filed, &model, Horizon::at(time(AT)), true);
    let event = |name: &str| filed.ids.events.find(name).expect("an event");
    assert_eq!(account.deeds.days, [100, 94, 93, 5].map(day));
    assert_eq!(account.deeds.first_week, [event("A"), event("B")]);
    assert_eq!(account.deeds.lately, [event("D")]);
    assert!(seen(&filed, &model, Horizon::at(time(AT)), false).deeds.days.is_empty());
}

#[test]
fn rules_and_mappings_see_habits_and_risk() {
    let model = model();
    let account =
        seen(&filed(&[track(3, 0, "u", "A"), track(40, 0, "u", "A")], &model), &model, Horizon::at(time(AT)), false);
    let names = AccountNames { account: &account };
    assert_eq!(names.value("trend_30_30"), Value::Number(1.0));
    assert_eq!(names.value("active_days_90d"), Value::Number(2.0));
    assert_eq!(names.value("rhythm.usual_gap_days"), Value::Null);
    let scope = vitalsync_core::names::scopes(&Vocabulary::default()).account;
    let mut faults = Faults::default();
    let rule = Expr::parse(
        "churn_risk > 20 && \"active on few days\" in churn_risk_reasons && !has(churn_risk_involuntary)",
        Place::default(),
        &scope,
        Type::Bool,
        &mut faults,
    );
    assert!(rule.expect("a good rule").holds(&names), "{:?} {:?}", account.churn_risk, account.churn_risk_reasons);
}
