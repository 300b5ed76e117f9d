//! A rule over a course of scores, and alerts as states keep them.

use super::*;
use crate::evaluate::Evaluation;
use crate::model::Model;

/// Runs a rule over daily scores and returns the days on which it fired or was suppressed; a rise is the mirror image.
fn fired(scores: &[f64], cooldown_days: i64) -> Vec<(usize, bool)> {
    let fall = run(Trigger::Drop { points: 15.0, within_days: 7 }, scores.iter().copied(), cooldown_days);
    let rise =
        run(Trigger::Rise { points: 15.0, within_days: 7 }, scores.iter().map(|score| 100.0 - score), cooldown_days);
    assert_eq!(fall, rise);
    fall
}

fn run(trigger: Trigger, scores: impl Iterator<Item = f64>, cooldown_days: i64) -> Vec<(usize, bool)> {
    let cooldown_ms = cooldown_days * crate::time::DAY_MS;
    let rule = AlertRule { cooldown_ms, ..AlertRule::new("course", trigger, "#cs") };
    let (model, mut account) = (Model::default(), Account { id: "acme".into(), ..Account::default() });
    let (mut state, mut fired, mut occasions, mut last) = (None, Vec::new(), Vec::new(), None);
    for (day, score) in scores.enumerate() {
        account.recent.push((Day(day as i32), score));
        let at = Timestamp(Day(day as i32 + 1).midnight_utc().0 - 1000);
        let now = Evaluation { at, over: Day(day as i32), ..Evaluation::default() };
        // Twice a day: a second look at the same day must not fire again.
        for _ in 0..2 {
            let pass = Pass { destination: "team", model: &model, now: &now, last, past: None, earlier: None };
            let (next, edge) = edge(&pass, &rule, &Whom::Account(&account), state.as_ref(), true).unwrap();
            (state, last) = (Some(next), Some(at));
            match edge {
                Edge::Quiet | Edge::NotTheirs | Edge::Held | Edge::Over(_) => {}
                Edge::Fired(alert) => {
                    fired.push((day, true));
                    occasions.push(alert.occasion);
                }
                Edge::Suppressed => fired.push((day, false)),
            }
        }
    }
    occasions.sort();
    occasions.dedup();
    assert_eq!(occasions.len(), fired.iter().filter(|(_, sent)| *sent).count(), "occasions are unique");
    fired
}

#[test]
fn a_drop_fires_once_and_the_first_look_is_silent() {
    assert_eq!(fired(&[90.0, 80.0, 75.0, 70.0, 60.0, 50.0], 0), [(2, true)]);
    assert_eq!(fired(&[40.0, 40.0, 40.0], 0), []);
}

#[test]
fn a_slow_fall_outside_the_span_does_not_fire() {
    let slow: Vec<f64> = (0..40).map(|day| 90.0 - f64::from(day)).collect();
    assert_eq!(fired(&slow, 0), []);
}

#[test]
fn it_is_armed_again_once_half_is_regained_or_the_span_is_flat() {
    // 90 → 60: half regained at 75, which is no new drop by itself; the next fall counts from there.
    assert_eq!(fired(&[90.0, 60.0, 70.0, 60.0, 74.0, 58.0], 0), [(1, true)]);
    assert_eq!(fired(&[90.0, 60.0, 75.0, 60.0], 0), [(1, true), (3, true)]);
    let mut flat = vec![90.0, 60.0];
    flat.extend([60.0; 9]);
    flat.push(40.0);
    assert_eq!(fired(&flat, 0), [(1, true), (11, true)]);
}

#[test]
fn the_cooldown_keeps_it_silent() {
    assert_eq!(fired(&[90.0, 60.0, 75.0, 60.0], 3), [(1, true), (3, false)]);
}

#[test]
fn an_alert_that_an_earlier_program_kept_is_read() {
    let old = r##"{"occasion":"0a","rule":"r","account":"a","name":"A","to":"#x","score":39.5,"band":null,"from_score":60.0,
        "from_day":20000,"threshold":15.0,"within_days":7,"reasons":[],"last_active":null,"at":1}"##;
    let alert: Alert = serde_json::from_str(old).unwrap();
    let what = What::Moved { from_score: 60.0, from_day: Day(20_000), threshold: 15.0, within_days: 7 };
    assert_eq!((&alert.what, alert.score), (&what, Some(39.5)));
    let said = Alert { what: What::Said { said: "is back".into() }, ..alert };
    assert_eq!(serde_json::from_str::<Alert>(&serde_json::to_string(&said).unwrap()).unwrap(), said);
}
