//! Accounts of which nobody wants to hear for a while. Kept beside what rules remember of them, so that whatever erases an account
//! erases that too.

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{Alert, Snooze, What};

use super::super::Engine;
use crate::report::{AlertReport, AlertsReport, SnoozeReport};
use crate::store::{Batch, StoreError};

/// What is asked of `alerts snooze` and `alerts unsnooze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The account's id, name or domain.
    pub account: String,
    /// The rule; all, if none is named.
    pub rule: Option<String>,
    /// For how long, in milliseconds; `None` ends it.
    pub for_ms: Option<i64>,
}

impl Engine {
    /// The snoozes that last beyond a time.
    pub(in super::super) fn snoozes(&self, at: Timestamp) -> Result<Vec<Snooze>, StoreError> {
        let mut snoozes = self.store.snoozes()?;
        snoozes.retain(|snooze| snooze.until > at);
        Ok(snoozes)
    }

    /// What waits to be told, and of whom nobody wants to hear.
    pub fn alerts(&self, at: Timestamp) -> anyhow::Result<AlertsReport> {
        let mut report = AlertsReport::default();
        for destination in &self.config.destinations {
            for entry in self.store.outbox(&destination.name)? {
                let attempted = entry.attempted_at.is_some();
                let why = entry.refused.as_ref().map(|(_, why)| why.clone());
                let mut list = |alert: &Alert| {
                    report.waiting.push(AlertReport::of(&destination.name, alert, attempted, why.clone()));
                };
                match entry.alert.as_ref().map(|alert| (alert, &alert.what)) {
                    Some((_, What::Many { alerts, .. })) => alerts.iter().for_each(list),
                    Some((alert, _)) => list(alert),
                    None => {}
                }
            }
        }
        report.snoozed = self.snoozes(at)?.iter().map(SnoozeReport::of).collect();
        Ok(report)
    }

    /// Begins or ends a snooze; what it came to, in words. `None`: there is no such account.
    pub fn snooze(&self, wish: &Wish, at: Timestamp) -> anyhow::Result<Option<String>> {
        let mut rules = self.config.destinations.iter().flat_map(|to| to.connector.alert_rules());
        if let Some(wanted) = &wish.rule
            && !rules.any(|rule| rule.name == *wanted)
        {
            let all: Vec<&str> = self
                .config
                .destinations
                .iter()
                .flat_map(|to| to.connector.alert_rules())
                .map(|rule| rule.name.as_str())
                .collect();
            anyhow::bail!("there is no alert rule `{wanted}`; there are: {}", all.join(", "));
        }
        let evaluation = self.evaluate(at)?;
        let Some(account) = evaluation.named(&wish.account).and_then(|place| evaluation.accounts.get(place)) else {
            return Ok(None);
        };
        let silent = wish.rule.as_ref().map_or_else(|| "all alerts".to_owned(), |rule| format!("alerts of {rule}"));
        let mut batch = Batch::default();
        let said = match wish.for_ms {
            Some(ms) => {
                let until = at.plus_ms(ms);
                batch.put_snooze(&Snooze { account: account.id.clone(), rule: wish.rule.clone(), until });
                format!("{silent} about {} are silent until {}", account.id, self.config.model.calendar.shown(until))
            }
            None => {
                let of = |snooze: &&Snooze| {
                    snooze.account == account.id && (wish.rule.is_none() || snooze.rule == wish.rule)
                };
                let ended: Vec<Snooze> = self.store.snoozes()?.iter().filter(of).cloned().collect();
                anyhow::ensure!(!ended.is_empty(), "{silent} about {} were not silent", account.id);
                ended.iter().for_each(|snooze| batch.remove_snooze(snooze));
                format!("{silent} about {} are told again", account.id)
            }
        };
        self.store.apply(batch)?;
        Ok(Some(said))
    }
}
