//! Alerts of a pass: which rules fire, what they remember, what waits to be sent. What a rule remembers and what it sends are
//! one write.

mod links;
mod outbox;
mod snooze;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{
    Alert, AlertRule, Edge, EdgeState, Pass, Past, Trigger, Whom, data_stopped, edge, may_fire, news_since, renewals,
    settled, stopped_subject, tell,
};
use vitalsync_core::connector::{Known, Operation, Wanted};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::mapping::Level;
use vitalsync_core::usage::USER;

pub use self::snooze::Wish;
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
    /// The version of the config; `None` in states of old.
    #[serde(default)]
    config: Option<u64>,
    /// Whether a source had fallen silent, so that windows ended early.
    #[serde(default)]
    stale: bool,
    /// The benchmarks in force, in raw points by profile.
    benchmarks: BTreeMap<String, f64>,
}

/// What the alert rules of a destination came to.
#[derive(Debug, Default)]
pub(super) struct Fired {
    /// In numbers.
    pub alerts: Alerts,
    /// The messages, as if each were told by itself.
    pub operations: Vec<Operation>,
    /// What waits to be told since.
    pub waiting: Vec<Outgoing>,
    /// What fired nothing although it changed much, in words.
    pub notes: Vec<String>,
}

/// What became of a rule, and for whom; nobody where it is about a source.
type Happening<'a> = (&'a AlertRule, Option<Whom<'a>>, Edge);

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
        let state = |rule: &AlertRule, whom: &Whom<'_>| remembered.get(&edge_name(&rule.name, &whom.key()));
        let subjects = |level: Level| {
            let mut all = Whom::all(level, evaluation);
            // Erased while it was measured.
            let filing = self.filing.read().unwrap_or_else(poisoned);
            all.retain(|whom| {
                let account = whom.account().is_some_and(|account| filing.suppressed.has(ACCOUNT, &account.id));
                !account && !whom.user().is_some_and(|user| filing.suppressed.has(USER, &user.id))
            });
            all
        };
        let has_users = rules.iter().any(|rule| rule.level == Level::User);
        let (accounts, users) = (subjects(Level::Account), if has_users { subjects(Level::User) } else { Vec::new() });
        let of = |rule: &AlertRule| if rule.level == Level::User { &users } else { &accounts };
        let asks = |rule: &&AlertRule| {
            let known = known(rule);
            of(rule).iter().any(|whom| may_fire(rule, whom, state(rule, whom), known))
        };
        let asking: Vec<&AlertRule> = rules.iter().filter(asks).collect();
        let past = match &last {
            Some(last) if !asking.is_empty() => Some(self.looked_at_anew(evaluation.at, last.at, &asking)?),
            _ => None,
        };
        let model = &self.config.model;
        let news = |rule: &AlertRule| {
            // Whoever comes back after a silence of the pipe has a hole in their past.
            let last = last.as_ref().filter(|last| !last.stale)?;
            news_since(model, rule, last.config == Some(self.config.version()), last.at, evaluation.at)
        };
        let edges = |earlier: Option<&Past>| {
            let (mut batch, mut happenings) = (Batch::default(), Vec::<Happening<'_>>::new());
            for rule in rules {
                let pass = Pass {
                    destination: &destination.name,
                    model,
                    now: evaluation,
                    last: last.as_ref().map(|last| last.at),
                    past: past.as_ref(),
                    earlier: earlier.filter(|_| news(rule).is_some()),
                };
                for whom in of(rule) {
                    let before = state(rule, whom);
                    let Some((next, happened)) = edge(&pass, rule, whom, before, known(rule)) else { continue };
                    if before != Some(&next) {
                        batch.put_edge(&destination.name, &rule.name, &whom.key(), &next);
                    }
                    happenings.push((rule, Some(*whom), happened));
                }
            }
            (batch, happenings)
        };
        let (mut batch, mut happenings) = edges(None);
        // What was so by the last pass already, as all is known now, may have come about shortly before.
        let doubtful = happenings.iter().filter(|(.., happened)| *happened == Edge::NotTheirs).map(|(rule, ..)| *rule);
        let doubtful: Vec<&AlertRule> = doubtful.filter(|rule| news(rule).is_some()).collect();
        if let Some(since) = doubtful.first().and_then(|rule| news(rule)) {
            let earlier = self.looked_at_anew(evaluation.at, since, &doubtful)?;
            (batch, happenings) = edges(Some(&earlier));
        }
        self.silences(destination, evaluation.at, &remembered, &mut batch, &mut happenings)?;
        let (alerts, mut notes) = self.told(destination, evaluation.at, happenings, &mut fired.alerts)?;
        fired.notes = self.summed_up(evaluation, last.as_ref(), fired.alerts.not_theirs);
        fired.notes.append(&mut notes);
        let wanted = Wanted { alerts, ..Wanted::default() };
        if !wanted.alerts.is_empty() {
            fired.operations = destination.connector.plan(&wanted, &Known::default());
        }
        for alert in wanted.alerts {
            let Some(operation) = fired.operations.iter().find(|operation| operation.slot.ends_with(&alert.occasion))
            else {
                continue;
            };
            let (at, operation) = (evaluation.at, operation.clone());
            fired.waiting.push(Outgoing { operation, alert: Some(alert), at, attempted_at: None, refused: None });
        }
        if write {
            for entry in &fired.waiting {
                batch.put_outgoing(&destination.name, entry);
            }
            let this = LastPass {
                at: evaluation.at,
                rules: rules.iter().map(|rule| rule.name.clone()).collect(),
                config: Some(self.config.version()),
                stale: evaluation.stale,
                benchmarks: evaluation.benchmarks.iter().map(|(profile, peg)| (profile.clone(), peg.raw)).collect(),
            };
            batch.put_meta(&place, &this);
            self.store.apply(batch)?;
        }
        Ok(fired)
    }

    /// The rules about sources that fell silent.
    fn silences<'a>(
        &self,
        destination: &'a Destination,
        now: Timestamp,
        remembered: &HashMap<String, EdgeState>,
        batch: &mut Batch,
        happenings: &mut Vec<Happening<'a>>,
    ) -> Result<(), StoreError> {
        let stale = self.stale(now)?;
        let rules = destination.connector.alert_rules().iter();
        for rule in rules.filter(|rule| rule.trigger == Trigger::DataStopped) {
            for source in &self.config.sources {
                let subject = stopped_subject(&source.name);
                let before = remembered.get(&edge_name(&rule.name, &subject));
                let since = stale.get(&source.name).copied();
                let (next, happened) = data_stopped(&destination.name, rule, &source.name, since, now, before);
                if before != Some(&next) {
                    batch.put_edge(&destination.name, &rule.name, &subject, &next);
                }
                happenings.push((rule, None, happened));
            }
        }
        Ok(())
    }

    /// What is told of all that happened, what did not come to be told in numbers, and what could not be put as asked.
    fn told(
        &self,
        destination: &Destination,
        now: Timestamp,
        happenings: Vec<Happening<'_>>,
        counts: &mut Alerts,
    ) -> Result<(Vec<Alert>, Vec<String>), StoreError> {
        let (mut alerts, mut notes) = (Vec::new(), Vec::new());
        for (rule, whom, happened) in happenings {
            let fired = match happened {
                Edge::Quiet => None,
                Edge::Held => {
                    counts.undecided += 1;
                    None
                }
                Edge::NotTheirs => {
                    counts.not_theirs += 1;
                    None
                }
                Edge::Suppressed => {
                    counts.suppressed += 1;
                    None
                }
                Edge::Fired(alert) => Some(*alert),
                // Whoever was not told that it began is not told that it is over.
                Edge::Over(alert) => self.told_before(destination, *alert, now)?,
            };
            let Some(mut alert) = fired else { continue };
            counts.fired += 1;
            alert.links = self.links(destination, whom.as_ref(), now)?;
            if let Err(why) = tell(&mut alert, rule, whom.as_ref()) {
                let note = format!("the alerts of {} are put as usual: {why}", rule.name);
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            alerts.push(alert);
        }
        Ok((alerts, notes))
    }

    /// The last pass looked at anew, and the present where a rule that may fire is about scores.
    fn looked_at_anew(&self, now: Timestamp, last: Timestamp, rules: &[&AlertRule]) -> Result<Past, StoreError> {
        let model = &self.config.model;
        let unrenewed_since = Some(settled(model, last));
        let users = rules.iter().any(|rule| rule.level == Level::User || rule.exprs().any(asks_of_users))
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
}
