//! What waits to be told, and of whom nobody wants to hear.

use serde::{Deserialize, Serialize};
use vitalsync_core::alert::{Alert, Snooze};

/// What waits, and what is silent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AlertsReport {
    /// Alerts that were not told yet.
    pub waiting: Vec<AlertReport>,
    /// Accounts that are silent.
    pub snoozed: Vec<SnoozeReport>,
}

/// An alert that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertReport {
    /// The destination.
    pub destination: String,
    /// The rule that fired.
    pub rule: String,
    /// The account.
    pub account: String,
    /// The user, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// What happened.
    pub said: String,
    /// Where it goes.
    pub to: String,
    /// When it fired.
    pub at: String,
    /// True: it may have arrived; the tool is asked first.
    pub attempted: bool,
    /// Why it was refused, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

impl AlertReport {
    /// The report of an alert.
    pub fn of(destination: &str, alert: &Alert, attempted: bool, refused: Option<String>) -> Self {
        Self {
            destination: destination.to_owned(),
            rule: alert.rule.clone(),
            account: alert.account.clone(),
            user: alert.user.clone(),
            said: alert.said(),
            to: alert.to.clone(),
            at: alert.at.to_string(),
            attempted,
            refused,
        }
    }
}

/// An account of which nobody wants to hear for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnoozeReport {
    /// The account.
    pub account: String,
    /// The rule; all, if none is named.
    pub rule: Option<String>,
    /// Until when.
    pub until: String,
}

impl SnoozeReport {
    /// The report of a snooze.
    pub fn of(snooze: &Snooze) -> Self {
        Self { account: snooze.account.clone(), rule: snooze.rule.clone(), until: snooze.until.to_string() }
    }

    /// In words.
    pub fn said(&self) -> String {
        let rule = self.rule.as_ref().map(|rule| format!(" of {rule}")).unwrap_or_default();
        format!("alerts{rule} about {} are silent until {}", self.account, self.until)
    }
}
