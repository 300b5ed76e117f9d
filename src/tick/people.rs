//! Looking at users one by one, and at all accounts together.

use vitalsync_core::Day;
use vitalsync_core::identity::Horizon;
use vitalsync_core::portfolio::portfolio;

use super::Engine;
use crate::report::{Portfolio, UserReport};

/// The portfolio is compared with how it stood so many days before, if nothing else is asked for.
const BEFORE: i32 = 30;

impl Engine {
    /// All identified users, or those whose primary account is one by that id, name or domain; `None` if there is none.
    pub fn users(&self, account: Option<&str>, horizon: Horizon) -> anyhow::Result<Option<Vec<UserReport>>> {
        let evaluation = self.evaluate_asked(&self.config, horizon, |ask| ask.users = true)?;
        let only = account.map(|wanted| evaluation.named(wanted));
        if only == Some(None) {
            return Ok(None);
        }
        let users = evaluation.users.iter().filter(|user| only.is_none_or(|only| user.account == only));
        Ok(Some(users.map(|user| UserReport::of(user, &evaluation)).collect()))
    }

    /// All accounts together, against how they stood at the end of a day.
    pub fn portfolio(&self, from: Option<Day>, horizon: Horizon) -> anyhow::Result<Portfolio> {
        let model = &self.config.model;
        let from = from.unwrap_or_else(|| model.calendar.day(horizon.at).plus(-BEFORE));
        let then = Horizon { at: model.calendar.end(from), ..horizon };
        if then.at >= horizon.at {
            anyhow::bail!("--from {from} is not before {}: nothing lies between", model.calendar.day(horizon.at));
        }
        let [then, now] =
            [then, horizon].map(|horizon| self.evaluate_asked(&self.config, horizon, |ask| ask.users = false));
        Ok(portfolio(&now?, &then?, model))
    }
}
