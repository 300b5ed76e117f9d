//! What is said of one user: its figures under the names that mappings use, without the `user.` before them.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use vitalsync_core::evaluate::{Evaluation, User};
use vitalsync_core::names;
use vitalsync_core::value::Value;

use super::figures::Figures;

/// One user's figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserReport(Figures);

impl UserReport {
    /// The report of a user of an evaluation.
    pub fn of(user: &User, evaluation: &Evaluation) -> Self {
        let mut figures = Figures::default();
        for measure in names::USER {
            figures.put(measure.name, (measure.of)(user).to_json());
        }
        let account = user.account.and_then(|place| evaluation.accounts.get(place));
        figures.put("account", account.map(|account| account.id.as_str()).into());
        figures.put("traits", Value::Map(user.traits.to_map()).to_json());
        Self(figures)
    }
}

impl Deref for UserReport {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.0
    }
}
