//! Single sentences of the model file that were once got wrong, or that it leaves open, each as its smallest case.

use crate::feed::{file, time};
use vitalsync_core::evaluate::{Evaluation, evaluate};
use vitalsync_core::model::{Checklist, Done, Model, Profile, Step};

fn model() -> Model {
    let profile = Profile { name: "all".into(), weights: [("E".to_owned(), 1_000_000)].into(), ..Profile::default() };
    Model { profiles: vec![profile], ..Model::default() }
}

fn seen(lines: &[&str], model: &Model, at: &str) -> Evaluation {
    let filed = file([lines.to_vec()], model);
    evaluate(&filed.usage, &filed.ids, model, time(at), 7)
}

/// The accounts with their raw scores.
fn raws(evaluation: &Evaluation) -> Vec<(&str, Option<f64>)> {
    evaluation.accounts.iter().map(|account| (account.id.as_str(), account.health.raw)).collect()
}

/// "An event without a stated account belongs to the user's last group call up to the end of the event's day, else to the
/// first one after." Usage keeps of one id's calls of one day only the last, so the first after may be gone.
#[test]
fn the_first_after_is_the_first_and_not_its_days_last() {
    let lines = [
        r#"{"type":"track","messageId":"1","userId":"u","event":"E","timestamp":"2026-03-01T12:00:00Z"}"#,
        r#"{"type":"group","messageId":"2","userId":"u","groupId":"first","timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"group","messageId":"3","userId":"u","groupId":"second","timestamp":"2026-03-03T18:00:00Z"}"#,
    ];
    let evaluation = seen(&lines, &model(), "2026-03-05T23:59:59Z");
    assert_eq!(raws(&evaluation), [("first", Some(1.0)), ("second", None)]);
}

/// The same for links: a device that two people used for the first time on one day was the first one's before.
#[test]
fn a_device_was_before_whose_it_was_first() {
    let lines = [
        r#"{"type":"track","messageId":"1","anonymousId":"d","event":"E","context":{"groupId":"a"},"timestamp":"2026-03-01T12:00:00Z"}"#,
        r#"{"type":"identify","messageId":"2","anonymousId":"d","userId":"one","timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"identify","messageId":"3","anonymousId":"d","userId":"two","timestamp":"2026-03-03T18:00:00Z"}"#,
    ];
    let evaluation = seen(&lines, &model(), "2026-03-05T23:59:59Z");
    let users: Vec<&str> = evaluation.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(users, ["one"]);
}

/// "Every figure is a function of (calls, config, T)": as of noon, the group call of 18:00 is not known and must not hide
/// that of 9:00.
#[test]
fn a_later_call_of_the_day_does_not_hide_what_was_known_at_noon() {
    let lines = [
        r#"{"type":"group","messageId":"1","userId":"u","groupId":"a","timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"track","messageId":"2","userId":"u","event":"E","timestamp":"2026-03-02T12:00:00Z"}"#,
        r#"{"type":"group","messageId":"3","userId":"u","groupId":"b","timestamp":"2026-03-03T18:00:00Z"}"#,
    ];
    let noon = "2026-03-03T12:00:00Z";
    assert_eq!(raws(&seen(&lines[..2], &model(), noon)), [("a", Some(1.0))]);
    assert_eq!(raws(&seen(&lines, &model(), noon)), [("a", Some(1.0))]);
}

/// "23:59:59 counts as over; a bare date means its end": an end of the day that leaves out its last 999 milliseconds loses
/// the statements and the last event made in them.
#[test]
fn the_end_of_a_day_holds_its_last_second() {
    let lines = [
        r#"{"type":"track","messageId":"1","userId":"u","event":"E","timestamp":"2026-03-03T23:59:59.400Z"}"#,
        r#"{"type":"group","messageId":"2","userId":"u","groupId":"a","timestamp":"2026-03-03T23:59:59.500Z"}"#,
    ];
    let model = model();
    let at = model.calendar.end(vitalsync_core::Day::parse("2026-03-03").unwrap()).to_string();
    let evaluation = seen(&lines, &model, &at);
    assert_eq!(raws(&evaluation), [("a", Some(1.0))]);
    assert_eq!(evaluation.accounts[0].last_active, Some(time("2026-03-03T23:59:59.400Z")));
}

/// "The order of reading … never changes what the same set of calls means": two group calls at the same time without a
/// messageId are told apart by the numbers of their accounts, which come from the order of reading.
#[test]
fn equal_times_without_ids_do_not_depend_on_the_order_of_reading() {
    let mut lines = [
        r#"{"type":"group","userId":"u","groupId":"a","timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"group","userId":"u","groupId":"b","timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"track","userId":"u","event":"E","timestamp":"2026-03-03T12:00:00Z"}"#,
    ];
    let at = "2026-03-05T23:59:59Z";
    let one = seen(&lines, &model(), at);
    lines.reverse();
    let other = seen(&lines, &model(), at);
    assert_eq!(raws(&one), raws(&other));
}

/// A trait that was taken back and set again on one day: since when it is set must not depend on which other traits the
/// calls named beside it.
#[test]
fn since_when_a_trait_is_set_does_not_depend_on_its_neighbours() {
    let step = Step::new("ready", Done::Trait("ready".into()));
    let model = Model { activation: vec![Checklist::of(vec![step])], ..model() };
    let since = |beside: &str| {
        let again = format!(
            r#"{{"type":"group","messageId":"3","userId":"u","groupId":"a","traits":{{"ready":true{beside}}},"timestamp":"2026-03-05T18:00:00Z"}}"#
        );
        let lines = [
            r#"{"type":"group","messageId":"1","userId":"u","groupId":"a","traits":{"ready":true},"timestamp":"2026-03-03T09:00:00Z"}"#,
            r#"{"type":"group","messageId":"2","userId":"u","groupId":"a","traits":{"ready":false},"timestamp":"2026-03-05T09:00:00Z"}"#,
            &again,
        ];
        seen(&lines, &model, "2026-03-05T23:59:59Z").accounts[0].steps[0].1
    };
    assert_eq!(since(""), since(r#","seats":5"#));
}

/// A step that takes an event several times counts those of all users of the account together.
#[test]
fn a_step_that_takes_three_times_counts_all_users_together() {
    let step = Step::new("thrice", Done::Event { event: "E".into(), count: 3 });
    let model = Model { activation: vec![Checklist::of(vec![step])], ..model() };
    let line = |user: &str, id: &str| {
        format!(
            r#"{{"type":"track","messageId":"{id}","userId":"{user}","event":"E","context":{{"groupId":"a"}},"timestamp":"2026-03-03T09:00:00Z"}}"#
        )
    };
    let done = |users: &[&str]| {
        let lines: Vec<String> = users.iter().zip(["1", "2", "3"]).map(|(user, id)| line(user, id)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        seen(&lines, &model, "2026-03-05T23:59:59Z").accounts[0].activation_percent
    };
    assert_eq!(done(&["u", "u", "u"]), Some(100.0));
    assert_eq!(done(&["u", "v", "w"]), Some(100.0));
    assert_eq!(done(&["u", "v"]), Some(0.0));
}

/// "Last active: time of the latest event", of users too: also of one who belongs to no account.
#[test]
fn a_user_without_an_account_has_a_last_event() {
    let lines = [
        r#"{"type":"identify","messageId":"1","userId":"u","traits":{"role":"admin"},"timestamp":"2026-03-03T09:00:00Z"}"#,
        r#"{"type":"track","messageId":"2","userId":"u","event":"E","timestamp":"2026-03-03T12:00:00Z"}"#,
    ];
    let evaluation = seen(&lines, &model(), "2026-03-05T23:59:59Z");
    assert_eq!(evaluation.users[0].last_active, Some(time("2026-03-03T12:00:00Z")));
}

/// "No event ever received for the account → no score (unknown), not 1", and "raw 0 → score 1": an account whose first
/// event came today has had one, though no day with it is over.
#[test]
fn an_account_whose_first_event_came_today_has_raw_0() {
    let lines = [
        r#"{"type":"track","messageId":"1","userId":"u","event":"E","context":{"groupId":"a"},"timestamp":"2026-03-03T09:00:00Z"}"#,
    ];
    let evaluation = seen(&lines, &model(), "2026-03-03T12:00:00Z");
    assert_eq!((evaluation.accounts[0].health.raw, evaluation.accounts[0].health.score), (Some(0.0), Some(1.0)));
}
