//! Churn risk: how like an account is to one that leaves, 0–100, and why.
//!
//! `risk = 100 / (1 + e^(−z))`, `z = base + Σ weight × signal` over the signals that have a value (`signs`); one without is
//! left out, which is what a neutral account has. The weights are set by hand from what is known of subscriptions, need no
//! training data and can be set in the config; `backtest --fit` proposes others. So the figure ranks accounts and says why; it
//! is a probability only as far as a backtest of the same customers shows it to be one.
//!
//! An end that nobody wants, a payment that fails, is kept apart ([`involuntary`]): it needs another answer.

mod signs;

use crate::figures::Account;
use crate::model::Signal;

pub use self::signs::{SIGNS, Sign};

/// What is added where all signals are neutral: one in 25, about what a quarter costs a business of small customers.
const BASE: f64 = -3.2;
/// What a signal must add in log odds to be told as a reason: a tenth to the odds.
const REASON: f64 = 0.1;
/// So many reasons are told.
const REASONS: usize = 3;
/// The share of failed payments that are made good in the end, which dunning commonly reaches.
const MADE_GOOD: f64 = 0.7;

/// What each signal weighs, in log odds a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// The log odds where all signals are neutral.
    pub base: f64,
    /// In the order of [`SIGNS`].
    pub signs: [f64; SIGNS.len()],
}

impl Default for Weights {
    fn default() -> Self {
        Self { base: BASE, signs: SIGNS.map(|sign| sign.weight) }
    }
}

impl Weights {
    /// The names in the config, in their order: `base`, then the signals.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once("base").chain(SIGNS.iter().map(|sign| sign.name))
    }

    /// The weight of a name, to be read or set.
    pub fn named(&mut self, name: &str) -> Option<&mut f64> {
        match name {
            "base" => Some(&mut self.base),
            _ => self.signs.get_mut(SIGNS.iter().position(|sign| sign.name == name)?),
        }
    }
}

/// The values of the signals of one account, in the order of [`SIGNS`]; `None` where there is none.
pub type Values = [Option<f64>; SIGNS.len()];

/// One signal's part of a risk.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The signal.
    pub sign: &'static Sign,
    /// What it adds, in log odds; below 0 it speaks for staying.
    pub adds: f64,
}

/// The signals of an account; `None` for one that never did anything.
pub fn values(account: &Account) -> Option<Values> {
    let habits = account.habits.as_ref()?;
    Some(SIGNS.map(|sign| (sign.of)(account, habits)))
}

/// The risk that values come to under weights, 0–100.
pub fn risk(values: &Values, weights: &Weights) -> f64 {
    let sum: f64 = values.iter().zip(weights.signs).filter_map(|(value, weight)| Some((*value)? * weight)).sum();
    100.0 / (1.0 + (-(weights.base + sum)).exp())
}

/// What each signal that has a value adds, the greatest first.
pub fn parts(values: &Values, weights: &Weights) -> Vec<Part> {
    let signs = SIGNS.iter().zip(values).zip(weights.signs);
    let mut parts: Vec<Part> =
        signs.filter_map(|((sign, value), weight)| Some(Part { sign, adds: (*value)? * weight })).collect();
    parts.sort_by(|a, b| b.adds.total_cmp(&a.adds));
    parts
}

/// Why a risk is what it is, in words that stay the same while it does.
pub fn reasons(values: &Values, weights: &Weights) -> Vec<&'static str> {
    let told = parts(values, weights).into_iter().filter(|part| part.adds >= REASON).take(REASONS);
    told.map(|part| part.sign.says).collect()
}

/// The risk of an end that nobody wants, 0–100: `1 − 0.7^n` of `n` payments that failed in the last 30 days. `None` where the
/// config does not say how a failed payment shows.
pub fn involuntary(account: &Account) -> Option<f64> {
    let failed = account.habits.as_ref()?.signal(Signal::PaymentFailed)?.last_30;
    Some(100.0 * (1.0 - MADE_GOOD.powf(f64::from(failed))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::habits::{Habits, Lately, Rhythm};

    fn lately(last_30: u32, before_30: u32, last_90: u32) -> Lately {
        Lately { last_30, before_30, last_90, phase_30: None }
    }

    /// An account whose every signal is neutral.
    fn neutral() -> Account {
        let steady = lately(6, 6, 18);
        let habits = Habits {
            events: steady,
            active_days: lately(6, 7, 20),
            users: lately(3, 3, 4),
            features: lately(4, 4, 5),
            top_user_share: Some(0.6),
            rhythm: Some(Rhythm { usual: 2, long: 9 }),
            signals: [None; Signal::ALL.len()],
            ..Habits::default()
        };
        Account { habits: Some(habits), tenure_days: Some(365), days_since_last_active: Some(9), ..Account::default() }
    }

    fn risk_of(account: &Account) -> f64 {
        risk(&values(account).expect("signals"), &Weights::default())
    }

    fn told(account: &Account) -> Vec<&'static str> {
        reasons(&values(account).expect("signals"), &Weights::default())
    }

    #[test]
    fn a_neutral_account_has_the_base_rate_and_no_reason() {
        let account = neutral();
        assert!((risk_of(&account) - 3.9).abs() < 0.5, "{}", risk_of(&account));
        assert_eq!(told(&account), Vec::<&str>::new());
    }

    #[test]
    fn every_signal_raises_the_risk_when_things_get_worse_and_says_so() {
        let base = risk_of(&neutral());
        let mut seen = Vec::new();
        let mut check = |worse: &dyn Fn(&mut Account, &mut Habits), says: &'static str| {
            let mut account = neutral();
            let mut habits = account.habits.take().expect("habits");
            worse(&mut account, &mut habits);
            account.habits = Some(habits);
            assert!(risk_of(&account) > base, "{says}");
            assert!(told(&account).contains(&says), "{says}: {:?}", told(&account));
            seen.push(says);
        };
        check(&|_, habits| habits.active_days = lately(1, 1, 3), "active on few days");
        check(&|account, _| account.days_since_last_active = Some(40), "silent for longer than it usually is");
        check(&|_, habits| habits.active_days = lately(1, 9, 24), "active on fewer days than before");
        check(&|_, habits| habits.events = lately(1, 9, 40), "less use than before");
        check(&|_, habits| habits.features = lately(1, 9, 9), "fewer features used than before");
        check(&|_, habits| habits.users = lately(1, 9, 9), "fewer people use it than before");
        check(&|account, _| account.tenure_days = Some(90), "a young account");
        check(&|account, _| account.activation_percent = Some(0.0), "activation is not finished");
        check(&|_, habits| habits.top_user_share = Some(1.0), "one person makes most of the use");
        check(&|account, _| account.health.change_30d = Some(-30.0), "the health score is falling");
        for (signal, says) in [
            (Signal::CancelIntent, "signs of cancelling"),
            (Signal::Downgrade, "went to a smaller plan"),
            (Signal::Ticket, "more tickets than usual"),
            (Signal::NegativeFeedback, "said that it is not content"),
        ] {
            check(&|_, habits| habits.signals[signal as usize] = Some(lately(3, 0, 3)), says);
        }
        assert_eq!(seen, SIGNS.map(|sign| sign.says), "each signal of the table, in its order");
    }

    #[test]
    fn what_is_missing_is_neutral_and_who_never_did_anything_has_no_risk() {
        let mut account = neutral();
        account.tenure_days = None;
        account.days_since_last_active = None;
        let known = values(&account).expect("signals").iter().flatten().count();
        assert!(known < SIGNS.len() && risk_of(&account).is_finite());
        assert!(values(&Account::default()).is_none());
        assert_eq!(involuntary(&account), None, "no signal named");
    }

    #[test]
    fn failed_payments_stand_apart() {
        let mut account = neutral();
        let mut at = |failed: u32| {
            let told = Some(lately(failed, 0, failed));
            account.habits.as_mut().expect("habits").signals[Signal::PaymentFailed as usize] = told;
            (involuntary(&account).expect("a risk"), risk_of(&account))
        };
        let (none, once, twice) = (at(0), at(1), at(2));
        assert!(none.0 == 0.0 && (once.0 - 30.0).abs() < 1e-9 && (twice.0 - 51.0).abs() < 1e-9);
        assert_eq!(none.1, twice.1, "the voluntary risk is not moved");
    }
}
