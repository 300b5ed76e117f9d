//! Expansion readiness: how much speaks for a larger plan, 0–100.
//!
//! The mean, all weighing the same, of what is known of five things, each from 0 to 100: adoption in the window; active users of
//! all users; the trend, a change of the score ([`crate::figures::Health::trend`]) of −10 to +10; activation; and nearness to
//! the plan's limit, from half of it used to all of it. With fewer than three of them known it says nothing.

use crate::expr::{Expr, Names};
use crate::figures::Account;
use crate::model::Model;
use crate::names::TraitNames;

/// Fewer parts are no ground for a figure.
const ENOUGH: usize = 3;

/// How much of its plan an account uses: numbers from its traits.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What is used.
    pub used: Expr,
    /// What the plan allows, in the same unit.
    pub limit: Expr,
}

impl Limit {
    /// The part that is used; `None` where either is no number or the limit is not above 0.
    fn part(&self, names: &dyn Names) -> Option<f64> {
        let number = |expr: &Expr| expr.value(names).as_number();
        let limit = number(&self.limit).filter(|limit| *limit > 0.0)?;
        Some(number(&self.used)? / limit)
    }
}

/// Where a value stands between two bounds, 0–100.
fn between(value: f64, low: f64, high: f64) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0) * 100.0
}

/// The readiness of an account whose other figures are known.
pub(crate) fn readiness(account: &Account, model: &Model) -> Option<f64> {
    let names = TraitNames { id: &account.id, id_name: "account", traits: &account.traits, model: Some(model) };
    let parts = [
        account.adoption_window,
        account.active_percent(),
        account.health.trend().map(|change| between(change, -10.0, 10.0)),
        account.activation_percent,
        model.expansion.as_ref().and_then(|limit| limit.part(&names)).map(|part| between(part, 0.5, 1.0)),
    ];
    let known: Vec<f64> = parts.into_iter().flatten().collect();
    (known.len() >= ENOUGH).then(|| known.iter().sum::<f64>() / known.len() as f64)
}
