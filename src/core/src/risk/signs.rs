//! The signals of churn risk: one line each, with its weight, its formula and what it says.
//!
//! Signals are logarithms of ratios or shares around a neutral point, so that 0 is what an unremarkable account has and what
//! is above 0 speaks for leaving. How much somebody does, how regularly, since when, and whether it falls, is what studies of
//! churn find again and again (Fader and Hardie on recency and frequency; tenure and slopes of use in subscriptions); that
//! silence is judged by the account's own rhythm is theirs, too. The slopes of days, events, features and users mostly fall
//! together: their weights add up to what one fall of all of them is worth, about the odds doubled when use falls to a third.
//! What is not here: how accounts compare with each other, which
//! is the health score's business.

use crate::figures::Account;
use crate::habits::{Habits, Lately};
use crate::model::Signal;

/// What counts as few days: an account with as many active days in 90 is neutral.
const NEUTRAL_DAYS: f64 = 20.0;
/// Where an account has no rhythm, silence is neutral at so many days.
const NEUTRAL_SILENCE: u32 = 30;
/// A tenure in days that is neutral.
const NEUTRAL_TENURE: f64 = 365.0;
/// With a shorter past there is nothing to compare the last 30 days with, in days.
const SHORTEST_PAST: i32 = 14;
/// The share of one user's use that is neutral; above it an account hangs on one person.
const NEUTRAL_SHARE: f64 = 0.6;
/// A fall of the score within 30 days that counts as one, in points.
const SCORE_UNIT: f64 = 25.0;
/// Added to both sides of a ratio: with a few days or users on either, chance alone makes ratios of two and three.
const HANDFUL: f64 = 3.0;
/// When it was that the past is looked at, where there is a cycle.
const PHASE: &str = "at the same phase of its cycle before";
/// No ratio counts for more than about seven times as much or as little.
const FAR: f64 = 2.0;

/// One signal.
#[derive(Debug, Clone, Copy)]
pub struct Sign {
    /// Its name in the config.
    pub name: &'static str,
    /// What it weighs by default, in log odds a unit.
    pub weight: f64,
    /// Its value; `None` where what it needs is not known.
    pub of: fn(&Account, &Habits) -> Option<f64>,
    /// What it says where it raises the risk, without figures that change every day.
    pub says: &'static str,
    /// The figures behind it.
    pub detail: fn(&Account, &Habits) -> String,
}

/// All signals.
pub static SIGNS: [Sign; 14] = [
    Sign {
        name: "activity",
        weight: 1.1,
        of: |account, habits| {
            // Of a young account what 90 days at the same pace would be.
            let lived = account.tenure_days.unwrap_or(90).clamp(SHORTEST_PAST, 90);
            let days = f64::from(habits.active_days.last_90) * 90.0 / f64::from(lived);
            // Nobody is held to more days than they had at the same season.
            let neutral = habits.phase_days_90.map_or(NEUTRAL_DAYS, |then| NEUTRAL_DAYS.min(then.into()));
            Some(((neutral + 1.0) / (days + 1.0)).ln())
        },
        says: "active on few days",
        detail: |_, habits| {
            let then = habits.phase_days_90.map(|then| format!(", {then} {PHASE}")).unwrap_or_default();
            format!("active on {} of the last 90 days{then}", habits.active_days.last_90)
        },
    },
    Sign {
        name: "recency",
        weight: 0.6,
        of: |account, habits| {
            let silent = account.days_since_last_active?;
            let usual = habits.rhythm.map_or(NEUTRAL_SILENCE, |rhythm| rhythm.long);
            let usual = habits.phase_silent_days.map_or(usual, |then| usual.max(then.unsigned_abs()));
            Some((f64::from(silent + 1) / f64::from(usual + 1)).ln().clamp(-1.0, FAR))
        },
        says: "silent for longer than it usually is",
        detail: |account, habits| {
            let silent = account.days_since_last_active.unwrap_or_default();
            let then = habits.phase_silent_days.map(|then| format!("; {then} {PHASE}")).unwrap_or_default();
            match habits.rhythm {
                Some(rhythm) => format!(
                    "silent for {silent} days; usually {}, one pause in ten is {} or longer{then}",
                    rhythm.usual, rhythm.long
                ),
                None => format!("silent for {silent} days; too few active days for a rhythm{then}"),
            }
        },
    },
    Sign {
        name: "frequency",
        weight: 0.4,
        of: |account, habits| slope(&habits.active_days, account),
        says: "active on fewer days than before",
        detail: |_, habits| slope_said("active days", &habits.active_days),
    },
    Sign {
        name: "volume",
        weight: 0.2,
        of: |account, habits| slope(&habits.events, account),
        says: "less use than before",
        detail: |_, habits| slope_said("events", &habits.events),
    },
    Sign {
        name: "breadth",
        weight: 0.2,
        of: |account, habits| fewer(&habits.features, account),
        says: "fewer features used than before",
        detail: |_, habits| fewer_said("features", &habits.features),
    },
    Sign {
        name: "users",
        weight: 0.2,
        of: |account, habits| fewer(&habits.users, account),
        says: "fewer people use it than before",
        detail: |_, habits| fewer_said("users", &habits.users),
    },
    Sign {
        name: "tenure",
        weight: 0.3,
        of: |account, _| {
            let tenure = f64::from(account.tenure_days?.max(0));
            Some(((NEUTRAL_TENURE + 1.0) / (tenure + 1.0)).ln().clamp(-FAR, FAR))
        },
        says: "a young account",
        detail: |account, _| format!("customer for {} days", account.tenure_days.unwrap_or_default()),
    },
    Sign {
        name: "activation",
        weight: 1.0,
        of: |account, _| Some(0.5 - account.activation_percent? / 100.0),
        says: "activation is not finished",
        detail: |account, _| match account.missing_step() {
            Some(step) => format!("{} of {} steps; {step} is missing", account.steps_done(), account.steps.len()),
            None => "all steps of the activation done".into(),
        },
    },
    Sign {
        name: "champion",
        weight: 1.0,
        of: |_, habits| Some(habits.top_user_share? - NEUTRAL_SHARE),
        says: "one person makes most of the use",
        detail: |_, habits| {
            let share = habits.top_user_share.unwrap_or_default() * 100.0;
            format!("the busiest of {} users makes {share:.0} % of the use", habits.users.last_90)
        },
    },
    Sign {
        name: "score",
        weight: 0.2,
        of: |account, _| Some((-account.health.trend()? / SCORE_UNIT).clamp(-FAR, FAR)),
        says: "the health score is falling",
        detail: |account, _| match account.health.change_cycle {
            Some(change) => format!("health score {change:+.1} against what it was {PHASE}"),
            None => format!("health score {:+.1} in 30 days", account.health.change_30d.unwrap_or_default()),
        },
    },
    Sign {
        name: "cancel_intent",
        weight: 2.5,
        of: |_, habits| happened(habits.signal(Signal::CancelIntent)?.last_30),
        says: "signs of cancelling",
        detail: |_, habits| times(habits, Signal::CancelIntent, |told| told.last_30, 30),
    },
    Sign {
        name: "downgrade",
        weight: 1.0,
        of: |_, habits| happened(habits.signal(Signal::Downgrade)?.last_90),
        says: "went to a smaller plan",
        detail: |_, habits| times(habits, Signal::Downgrade, |told| told.last_90, 90),
    },
    Sign {
        name: "ticket",
        weight: 0.5,
        of: |_, habits| {
            let told = habits.signal(Signal::Ticket)?;
            // Fewer than usual is no sign of staying: who leaves asks no more.
            let before = told.phase_30.map_or_else(|| before(&told, 60), f64::from);
            Some((-log_ratio(told.last_30.into(), before)).max(0.0))
        },
        says: "more tickets than usual",
        detail: |_, habits| slope_said("tickets", &habits.signal(Signal::Ticket).unwrap_or_default()),
    },
    Sign {
        name: "negative_feedback",
        weight: 0.8,
        of: |_, habits| happened(habits.signal(Signal::NegativeFeedback)?.last_90),
        says: "said that it is not content",
        detail: |_, habits| times(habits, Signal::NegativeFeedback, |told| told.last_90, 90),
    },
];

/// How much less there is now than before; above 0 it falls.
fn log_ratio(now: f64, before: f64) -> f64 {
    ((before + HANDFUL) / (now + HANDFUL)).ln().clamp(-FAR, FAR)
}

/// What 30 days had before the last 30, of a past of so many days.
fn before(lately: &Lately, days: i32) -> f64 {
    f64::from(lately.last_90.saturating_sub(lately.last_30)) * 30.0 / f64::from(days)
}

/// The last 30 days against those at the same phase of the account's cycle; without one against its own 60 before, or as many
/// as it had.
fn slope(lately: &Lately, account: &Account) -> Option<f64> {
    if let Some(then) = lately.phase_30 {
        return Some(log_ratio(lately.last_30.into(), then.into()));
    }
    let days = account.tenure_days?.min(90) - 30;
    (days >= SHORTEST_PAST).then(|| log_ratio(lately.last_30.into(), before(lately, days)))
}

/// Distinct things of the last 30 days against those of the 30 before, or at the same phase: over unlike spans they do not
/// compare.
fn fewer(lately: &Lately, account: &Account) -> Option<f64> {
    let before = match lately.phase_30 {
        None => (account.tenure_days? >= 60).then_some(lately.before_30)?,
        Some(then) => then,
    };
    Some(log_ratio(lately.last_30.into(), before.into()))
}

fn happened(times: u32) -> Option<f64> {
    Some(f64::from(times.min(1)))
}

fn slope_said(what: &str, lately: &Lately) -> String {
    let Lately { last_30, last_90, .. } = lately;
    let before = || format!("{} in the 60 before", last_90.saturating_sub(*last_30));
    said(what, lately, before)
}

fn fewer_said(what: &str, lately: &Lately) -> String {
    said(what, lately, || format!("{} in the 30 before", lately.before_30))
}

fn said(what: &str, lately: &Lately, before: impl FnOnce() -> String) -> String {
    let before = lately.phase_30.map_or_else(before, |then| format!("{then} {PHASE}"));
    format!("{} {what} in the last 30 days, {before}", lately.last_30)
}

fn times(habits: &Habits, signal: Signal, count: fn(&Lately) -> u32, days: u32) -> String {
    let count = habits.signal(signal).as_ref().map(count).unwrap_or_default();
    format!("{count} times in the last {days} days")
}
