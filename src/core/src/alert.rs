//! Alert rules, and the alerts that they fire: edges, not levels.
//!
//! An alert fires when a score fell by at least so much within so many days. It starts silent: the first time a rule
//! meets an account it only remembers where the account stands. It is armed again once half of the drop is regained,
//! and never fires twice for one occasion.

use serde::{Deserialize, Serialize};

use crate::evaluate::Account;
use crate::expr::{Expr, Names};
use crate::time::{Day, Timestamp};

/// A rule of a destination's `alerts:`.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name in the config.
    pub name: String,
    /// Fires when the score fell by at least so many points …
    pub drop: f64,
    /// … from the highest daily score of so many days.
    pub within_days: i32,
    /// Only for accounts where this holds.
    pub only: Option<Expr>,
    /// Where it goes: a channel's name or id.
    pub to: String,
    /// How long the same rule stays silent for the same account after it fired, in milliseconds.
    pub cooldown_ms: i64,
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The occasion: the same occasion is never sent twice.
    pub occasion: String,
    /// The rule that fired.
    pub rule: String,
    /// The account's id.
    pub account: String,
    /// The account's name, or its id where it has none.
    pub name: String,
    /// Where it goes.
    pub to: String,
    /// The score now, 1–100, unrounded.
    pub score: f64,
    /// The band now.
    pub band: Option<String>,
    /// The highest daily score of the span before, and its day.
    pub from_score: f64,
    /// The day of that score.
    pub from_day: Day,
    /// The rule's points.
    pub threshold: f64,
    /// The rule's span in days.
    pub within_days: i32,
    /// What is behind it, one line each: which events fell, who stopped.
    pub reasons: Vec<String>,
    /// The last activity of the account.
    pub last_active: Option<Timestamp>,
    /// When it fired: the run's as-of time.
    pub at: Timestamp,
}

/// What a rule remembers of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeState {
    /// False from when it fired until half of the drop is regained, or the span shows no drop any more.
    pub armed: bool,
    /// How often it fired.
    pub n: u32,
    /// When it last fired.
    pub fired_at: Option<Timestamp>,
    /// Only scores from this day on count: the day it first met the account, or was armed again.
    pub since: Day,
    /// The score that the last drop fell from.
    pub from: f64,
    /// The lowest score since.
    pub low: f64,
}

/// What became of a rule and an account in one pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    /// Nothing to say.
    Quiet,
    /// Fired.
    Fired(Box<Alert>),
    /// Would have fired, but the cooldown is not over.
    Suppressed,
}

/// One rule and one account, in one pass. `None`: the rule is not for this account, the account is new or has left, or it has
/// no score; nothing is remembered. `reasons` gives what is behind a drop from a day.
pub fn edge(
    destination: &str,
    rule: &AlertRule,
    account: &Account,
    names: &dyn Names,
    state: Option<&EdgeState>,
    at: Timestamp,
    reasons: impl FnOnce(Day) -> Vec<String>,
) -> Option<(EdgeState, Edge)> {
    // The score of a new account has yet to settle, and of one that has left no fall is news.
    if account.is_new || account.has_left || rule.only.as_ref().is_some_and(|only| !only.holds(names)) {
        return None;
    }
    let (over, now) = *account.recent.last()?;
    let Some(state) = state else {
        let first = EdgeState { armed: true, n: 0, fired_at: None, since: over, from: now, low: now };
        return Some((first, Edge::Quiet));
    };
    let mut next = state.clone();
    let drop = account.drop_since(state.since.max(over.plus(-rule.within_days)))?;
    if !state.armed {
        next.low = state.low.min(now);
        let regained = now - next.low >= (state.from - next.low) / 2.0;
        if regained || drop.points < rule.drop / 2.0 {
            next.armed = true;
            next.since = over;
        }
        return Some((next, Edge::Quiet));
    }
    if drop.points < rule.drop {
        return Some((next, Edge::Quiet));
    }
    next.armed = false;
    next.from = drop.from;
    next.low = now;
    if state.fired_at.is_some_and(|fired| at.0 - fired.0 < rule.cooldown_ms) {
        return Some((next, Edge::Suppressed));
    }
    next.n += 1;
    next.fired_at = Some(at);
    let alert = Alert {
        occasion: occasion(destination, &rule.name, &account.id, next.n),
        rule: rule.name.clone(),
        account: account.id.clone(),
        name: account.name.clone().unwrap_or_else(|| account.id.clone()),
        to: rule.to.clone(),
        score: now,
        band: account.health.band.map(|band| band.name().to_owned()),
        from_score: drop.from,
        from_day: drop.day,
        threshold: rule.drop,
        within_days: rule.within_days,
        reasons: reasons(drop.day),
        last_active: account.last_active,
        at,
    };
    Some((next, Edge::Fired(Box::new(alert))))
}

/// The name of an occasion: 16 hexadecimal digits of a hash of what makes it one.
fn occasion(destination: &str, rule: &str, subject: &str, n: u32) -> String {
    let text = format!("{destination}\u{1f}{rule}\u{1f}{subject}\u{1f}{n}");
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    struct NoNames;
    impl Names for NoNames {
        fn value(&self, _: &str) -> Value {
            Value::Null
        }
    }

    /// Runs a rule over daily scores and returns the days on which it fired or was suppressed.
    fn fired(scores: &[f64], cooldown_days: i64) -> Vec<(usize, bool)> {
        let rule = AlertRule {
            name: "drop".into(),
            drop: 15.0,
            within_days: 7,
            only: None,
            to: "#cs".into(),
            cooldown_ms: cooldown_days * crate::time::DAY_MS,
        };
        let mut account = Account { id: "acme".into(), ..Account::default() };
        let (mut state, mut fired, mut occasions) = (None, Vec::new(), Vec::new());
        for (day, score) in scores.iter().enumerate() {
            account.recent.push((Day(day as i32), *score));
            let at = Day(day as i32 + 1).midnight_utc();
            // Twice a day: a second look at the same day must not fire again.
            for _ in 0..2 {
                let (next, edge) = edge("team", &rule, &account, &NoNames, state.as_ref(), at, |_| Vec::new()).unwrap();
                state = Some(next);
                match edge {
                    Edge::Quiet => {}
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
}
