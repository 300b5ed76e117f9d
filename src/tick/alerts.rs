//! Alerts of a pass: which rules fire, what they remember, what waits to be sent. What a rule remembers and what it sends are
//! one write.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{
    self, Alert, AlertRule, Edge, EdgeState, Pass, Past, Trigger, data_stopped, edge, may_fire, renewals, settled,
    stopped_subject,
};
use vitalsync_core::connector::{Known, Operation, Wanted};
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;

use super::sync::RETRY_REFUSED_MS;
use super::{Engine, asks_of_users, poisoned};
use crate::config::Destination;
use crate::report::Alerts;
use crate::store::records::{Outgoing, edge_name};
use crate::store::suppressed::ACCOUNT;
use crate::store::{Batch, StoreError};

/// What is remembered of a destination's last pass of alert rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LastPass {
    /// Its as-of time.
    at: Timestamp,
    /// The rules that there were.
    rules: Vec<String>,
    /// The benchmarks in force, in raw points by profile.
    benchmarks: BTreeMap<String, f64>,
}

/// What the alert rules of a destination came to.
#[derive(Debug, Default)]
pub(super) struct Fired {
    /// In numbers.
    pub alerts: Alerts,
    /// The messages.
    pub operations: Vec<Operation>,
    /// What fired nothing although it changed much, in words.
    pub notes: Vec<String>,
}

impl Engine {
    /// Runs the alert rules of a destination.
    pub(super) fn fire(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        write: bool,
    ) -> Result<Fired, StoreError> {
        let mut fired = Fired::default();
        let rules = destination.connector.alert_rules();
        if rules.is_empty() {
            return Ok(fired);
        }
        let place = format!("alerts:{}", destination.name);
        let last: Option<LastPass> = self.store.meta(&place)?;
        // States of old know rules without a last pass.
        let known = |rule: &AlertRule| last.as_ref().is_none_or(|last| last.rules.contains(&rule.name));
        let remembered: HashMap<String, EdgeState> = self.store.edges(&destination.name)?.into_iter().collect();
        let state = |rule: &AlertRule, account: &Account| remembered.get(&edge_name(&rule.name, &account.id));
        let mut accounts: Vec<&Account> = evaluation.accounts.iter().collect();
        {
            // Erased while it was measured.
            let filing = self.filing.read().unwrap_or_else(poisoned);
            accounts.retain(|account| !filing.suppressed.has(ACCOUNT, &account.id));
        }
        let asks = |rule: &&AlertRule| {
            let known = known(rule);
            accounts.iter().any(|account| may_fire(rule, account, state(rule, account), known))
        };
        let asking: Vec<&AlertRule> = rules.iter().filter(asks).collect();
        let past = match &last {
            Some(last) if !asking.is_empty() => Some(self.looked_at_anew(evaluation.at, last.at, &asking)?),
            _ => None,
        };
        let pass = Pass {
            destination: &destination.name,
            model: &self.config.model,
            now: evaluation,
            last: last.as_ref().map(|last| last.at),
            past: past.as_ref(),
        };
        let mut batch = Batch::default();
        let mut alerts: Vec<Alert> = Vec::new();
        for rule in rules {
            for account in &accounts {
                let before = state(rule, account);
                let Some((next, happened)) = edge(&pass, rule, account, before, known(rule)) else { continue };
                if before != Some(&next) {
                    batch.put_edge(&destination.name, &rule.name, &account.id, &next);
                }
                count(&mut fired.alerts, &mut alerts, happened);
            }
        }
        let stale = self.stale(evaluation.at)?;
        for rule in rules.iter().filter(|rule| rule.trigger == Trigger::DataStopped) {
            for source in &self.config.sources {
                let subject = stopped_subject(&source.name);
                let before = remembered.get(&edge_name(&rule.name, &subject));
                let since = stale.get(&source.name).copied();
                let (next, happened) =
                    data_stopped(&destination.name, rule, &source.name, since, evaluation.at, before);
                if before != Some(&next) {
                    batch.put_edge(&destination.name, &rule.name, &subject, &next);
                }
                count(&mut fired.alerts, &mut alerts, happened);
            }
        }
        fired.notes = self.summed_up(evaluation, last.as_ref(), fired.alerts.not_theirs);
        let wanted = Wanted { records: Vec::new(), alerts };
        fired.operations = destination.connector.plan(&wanted, &Known::default());
        if write {
            for operation in &fired.operations {
                let alert = wanted.alerts.iter().find(|alert| operation.slot.ends_with(&alert.occasion)).cloned();
                let (at, operation) = (evaluation.at, operation.clone());
                let entry = Outgoing { operation, alert, at, attempted_at: None, refused: None };
                batch.put_outgoing(&destination.name, &entry);
            }
            let this = LastPass {
                at: evaluation.at,
                rules: rules.iter().map(|rule| rule.name.clone()).collect(),
                benchmarks: evaluation.benchmarks.iter().map(|(profile, peg)| (profile.clone(), peg.raw)).collect(),
            };
            batch.put_meta(&place, &this);
            self.store.apply(batch)?;
        }
        Ok(fired)
    }

    /// The last pass looked at anew, and the present where a rule that may fire is about scores.
    fn looked_at_anew(&self, now: Timestamp, last: Timestamp, rules: &[&AlertRule]) -> Result<Past, StoreError> {
        let model = &self.config.model;
        let unrenewed_since = Some(settled(model, last));
        let users = rules.iter().any(|rule| rule.only.as_ref().is_some_and(asks_of_users))
            || model.segments.iter().any(|(_, rule)| asks_of_users(rule));
        let seen = |at| {
            self.ask(model, Ask { milestones: self.milestones(), users, unrenewed_since, ..Ask::of(Horizon::at(at)) })
        };
        let about_scores = rules.iter().any(|rule| rule.is_about_scores(model));
        Ok(Past { then: seen(last)?, now: about_scores.then(|| seen(now)).transpose()? })
    }

    /// What moved scores and fired nothing, in words.
    fn summed_up(&self, evaluation: &Evaluation, last: Option<&LastPass>, not_theirs: u64) -> Vec<String> {
        let Some(last) = last else { return Vec::new() };
        let mut notes: Vec<String> = renewals(&self.config.model, evaluation, &last.benchmarks)
            .into_iter()
            .map(|renewal| {
                format!(
                    "benchmark of {} renewed: {} scores moved by {:+.1} on average, {} into other bounds; no alert was sent for it",
                    renewal.profile, renewal.scores, renewal.mean, renewal.bands
                )
            })
            .collect();
        if not_theirs > 0 {
            notes.push(format!(
                "{not_theirs} changes come of a config, a benchmark, seats, a value that grew too old, late data or another profile, not of what customers did: no alert was sent for them"
            ));
        }
        notes
    }

    /// The alerts that wait and may still be sent. Those that are too old are dropped and counted.
    pub(super) fn due(
        &self,
        destination: &Destination,
        at: Timestamp,
        retry_refused: bool,
    ) -> Result<(Vec<Operation>, u64), StoreError> {
        let mut due = Vec::new();
        let mut stale = 0;
        let mut batch = Batch::default();
        let rules = destination.connector.alert_rules();
        for mut entry in self.store.outbox(&destination.name)? {
            // Certainly not sent: it goes where its rule sends it now, and nowhere if the rule is gone.
            let unsent = entry.attempted_at.is_none();
            let rule = entry.alert.as_ref().map(|alert| rules.iter().find(|rule| rule.name == alert.rule));
            let gone = unsent && matches!(rule, Some(None));
            if let (true, Some(Some(rule)), Some(alert)) = (unsent, rule, &mut entry.alert)
                && rule.to != alert.to
            {
                alert.to.clone_from(&rule.to);
                let wanted = Wanted { records: Vec::new(), alerts: vec![alert.clone()] };
                if let Some(anew) = destination.connector.plan(&wanted, &Known::default()).pop() {
                    entry.operation = anew;
                    entry.refused = None;
                    batch.put_outgoing(&destination.name, &entry);
                }
            }
            if gone || at.0 - entry.at.0 > alert::STALE_MS {
                batch.remove_outgoing(&destination.name, &entry.operation.slot);
                batch.remove_quarantined(&destination.name, &entry.operation.slot);
                stale += 1;
            } else if retry_refused || entry.refused.is_none_or(|(when, _)| at.0 - when.0 >= RETRY_REFUSED_MS) {
                due.push(entry.operation);
            }
        }
        self.store.apply(batch)?;
        Ok((due, stale))
    }
}

fn count(counts: &mut Alerts, alerts: &mut Vec<Alert>, happened: Edge) {
    match happened {
        Edge::Quiet => {}
        Edge::Held => counts.held += 1,
        Edge::NotTheirs => counts.not_theirs += 1,
        Edge::Suppressed => counts.suppressed += 1,
        Edge::Fired(alert) => {
            counts.fired += 1;
            alerts.push(*alert);
        }
    }
}
