//! One pass: read the sources, measure, plan, deliver. Each part returns a typed report.
//!
//! A pass takes no hints: what is to be done follows from the config, the state and the as-of time alone, so a restart is the
//! ordinary path. While a source as a whole can't be read nothing is synced: silence of the pipe is not silence of the
//! customer.

mod alerts;
pub mod attribute;
pub mod compaction;
pub mod forget;
mod history;
pub mod ingest;
mod judge;
mod look;
mod people;
pub mod read;
mod retention;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::Trigger;
use vitalsync_core::census::{self, Census};
use vitalsync_core::connector::{Known, Operation, Wanted};
use vitalsync_core::evaluate::{Evaluation, evaluate_history};
use vitalsync_core::expr::Expr;
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::mapping::{Level, WantedRecord};
use vitalsync_core::model::Model;
use vitalsync_core::names::{self, AccountNames, UserNames};
use vitalsync_core::pulse::Stopped;

use self::ingest::names::Filing;
use self::ingest::{Grain, check_time_zone, generation};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{Config, Destination};
use crate::deliver::{Lanes, PATIENCE, Work, operation_hash};
use crate::http::Client;
use crate::report::{BenchmarkReport, DestinationReport, HeldOutReport, MissedReport, RunReport, StoppedReport};
use crate::store::records::told;
use crate::store::usage::Kept;
use crate::store::{Batch, Store, StoreError};

/// A refused operation is tried again after so long.
const RETRY_REFUSED_MS: i64 = 24 * 3_600_000;

/// A config, its state, and what both need in memory.
#[derive(Debug)]
pub struct Engine {
    /// The config.
    pub config: Config,
    /// The state.
    pub store: Store,
    /// Where `now` comes from.
    pub clock: Clock,
    /// Set when the process is to end.
    pub stop: Arc<AtomicBool>,
    filing: RwLock<Filing>,
    tools: HashMap<String, (Client, Arc<Budget>)>,
    secrets: Vec<String>,
    /// How long a pass waits for a tool.
    pub patience: Duration,
    /// How finely sources are read.
    pub grain: Grain,
    /// A state of fewer bytes is not made small by itself; tests set less.
    pub compact_from: u64,
}

/// So often in one pass is planned anew what somebody else changed meanwhile.
const ROUNDS: usize = 3;

/// A report with the time it was made.
#[derive(Debug, Serialize, Deserialize)]
struct Dated<T> {
    at: Timestamp,
    report: T,
}

/// Operations, and the slots that are not tried now, with why.
type Planned = (Vec<Operation>, Vec<(String, String)>);

fn poisoned<T>(error: PoisonError<T>) -> T {
    error.into_inner()
}

/// Whether a config has something for users, or asks of an account how they are.
fn needs_users(config: &Config) -> bool {
    let connectors = || config.destinations.iter().map(|destination| &destination.connector);
    let mut sets = connectors().flat_map(|connector| connector.record_sets());
    let mut alerts = connectors().flat_map(|connector| connector.alert_rules());
    sets.any(|set| set.level == Level::User || set.exprs().any(asks_of_users))
        || alerts.any(|rule| rule.only.as_ref().is_some_and(asks_of_users))
        || config.model.segments.iter().any(|(_, rule)| asks_of_users(rule))
}

fn asks_of_users(rule: &Expr) -> bool {
    rule.names().iter().any(|name| names::OF_USERS.contains(name))
}

/// The longest span of an alert rule, and what trends need.
fn recent_days(config: &Config) -> i32 {
    let rules = config.destinations.iter().flat_map(|destination| destination.connector.alert_rules());
    rules.map(|rule| rule.trigger.within_days()).max().unwrap_or(0).max(30)
}

impl Engine {
    /// Opens the state of a config.
    pub fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let store = Store::open(&config.state)?;
        check_time_zone(&store, &config.model.calendar)?;
        // An erasure that a kill broke off.
        forget::finish(&store, &config)?;
        let filing = Filing::load(&store)?;
        let mut budgets: HashMap<(String, String), Arc<Budget>> = HashMap::new();
        let mut tools = HashMap::new();
        for destination in &config.destinations {
            let client = Client::new(destination).map_err(anyhow::Error::msg)?;
            // Destinations of one vendor account share its budgets.
            let key = (destination.base_url.clone(), destination.token.expose().to_owned());
            let budget = budgets.entry(key).or_insert_with(|| Arc::new(Budget::new(destination.manifest.quotas)));
            tools.insert(destination.name.clone(), (client, Arc::clone(budget)));
        }
        let secrets = config.destinations.iter().map(|destination| destination.token.expose().to_owned()).collect();
        Ok(Self {
            config,
            store,
            clock,
            stop: Arc::default(),
            filing: RwLock::new(filing),
            tools,
            secrets,
            patience: PATIENCE,
            grain: Grain::default(),
            compact_from: compaction::WORTH,
        })
    }

    /// Measures everything as of a time. Reads the state only.
    pub fn evaluate(&self, at: Timestamp) -> Result<Evaluation, StoreError> {
        self.evaluate_known(Horizon::at(at), self.has_alerts())
    }

    fn has_alerts(&self) -> bool {
        self.config.destinations.iter().any(|to| !to.connector.alert_rules().is_empty())
    }

    /// Measures everything from what is known at a horizon; `reasons`: what moved scores too.
    pub fn evaluate_known(&self, horizon: Horizon, reasons: bool) -> Result<Evaluation, StoreError> {
        self.evaluate_asked(&self.config, horizon, |ask| {
            ask.reasons = reasons;
            ask.milestones = self.milestones();
        })
    }

    /// Measures everything under a config, which may be another than the one that runs. `more` says what is to be found out
    /// besides.
    fn evaluate_asked(
        &self,
        config: &Config,
        horizon: Horizon,
        more: impl FnOnce(&mut Ask),
    ) -> Result<Evaluation, StoreError> {
        let past = self.past(&config.model, horizon)?;
        let mut ask = Ask { recent_days: recent_days(config), users: needs_users(config), past, ..Ask::of(horizon) };
        more(&mut ask);
        self.ask(&config.model, ask)
    }

    /// Measures what is asked for under a model, and nothing besides. Whoever looks, windows end where a source fell silent.
    fn ask(&self, model: &Model, mut ask: Ask) -> Result<Evaluation, StoreError> {
        let filing = self.filing.read().unwrap_or_else(poisoned);
        let history = Kept::of(&self.store, generation::counting(&self.store)?);
        ask.since = generation::counted_since(&self.store, model)?;
        // What was not known then can't have been missed.
        if ask.horizon.received.is_none() {
            let stale = self.stale(ask.horizon.at)?;
            ask.windows_end = stale.values().min().map(|last| model.calendar.day(last.plus_ms(-1)));
        }
        evaluate_history(&history, &filing.ids, model, ask)
    }

    /// The sources that are stale at a time, each with when it was last heard of.
    pub fn stale(&self, at: Timestamp) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut stale = BTreeMap::new();
        for source in &self.config.sources {
            let heard = generation::current(&self.store, &source.name)?.heard;
            stale.extend(heard.stale_since(source.expect, at).map(|since| (source.name.clone(), since)));
        }
        Ok(stale)
    }

    /// The milestones that alert rules ask for.
    fn milestones(&self) -> Vec<(String, u32)> {
        let rules = self.config.destinations.iter().flat_map(|destination| destination.connector.alert_rules());
        let milestone = |trigger: &Trigger| match trigger {
            Trigger::Milestone { event, count } => Some((event.clone(), *count)),
            _ => None,
        };
        rules.filter_map(|rule| milestone(&rule.trigger)).collect()
    }

    /// Refuses an as-of time before the last evaluation: it would tell the tools old figures.
    pub fn check_order(&self, at: Timestamp) -> anyhow::Result<()> {
        if let Some(last) = self.store.meta::<Timestamp>("evaluated")?
            && at < last
        {
            anyhow::bail!(
                "--as-of {at} is before the last run's {last}: the tools were told newer figures; use a later time, another state directory, or `accounts --as-of` to only look"
            );
        }
        Ok(())
    }

    /// True if a destination writes: by its mode, or because its plan was approved.
    pub fn is_live(&self, destination: &Destination) -> Result<bool, StoreError> {
        Ok(destination.live || self.store.meta::<bool>(&format!("approved:{}", destination.name))? == Some(true))
    }

    /// Releases a destination.
    pub fn approve(&self, name: &str) -> anyhow::Result<String> {
        let Some(destination) = self.config.destinations.iter().find(|destination| destination.name == name) else {
            let names: Vec<&str> =
                self.config.destinations.iter().map(|destination| destination.name.as_str()).collect();
            anyhow::bail!("there is no destination `{name}`; there are: {}", names.join(", "));
        };
        if self.is_live(destination)? {
            return Ok(format!("{name} writes already"));
        }
        let mut batch = Batch::default();
        batch.put_meta(&format!("approved:{name}"), &true);
        self.store.apply(batch)?;
        Ok(format!("{name} is released: the next sync writes"))
    }

    /// The records that a destination should hold.
    fn wanted(&self, destination: &Destination, evaluation: &Evaluation) -> Vec<WantedRecord> {
        let model = &self.config.model;
        let mut records = Vec::new();
        for set in destination.connector.record_sets() {
            match set.level {
                Level::Account => records.extend(
                    evaluation
                        .accounts
                        .iter()
                        .filter_map(|account| set.wanted(&account.id, &AccountNames { account }, &model.calendar)),
                ),
                Level::User => records.extend(
                    evaluation
                        .users
                        .iter()
                        .filter_map(|user| set.wanted(&user.id, &UserNames { user, evaluation }, &model.calendar)),
                ),
            }
        }
        records
    }

    /// What is to be done in a destination for its records, without what was refused and is not to be tried now.
    fn plan_records(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        known: &Known,
        retry_refused: bool,
    ) -> Result<Planned, StoreError> {
        let wanted = Wanted { records: self.wanted(destination, evaluation), alerts: Vec::new() };
        let mut operations = destination.connector.plan(&wanted, known);
        let mut held = Vec::new();
        if !retry_refused {
            let refused: HashMap<String, _> = self
                .store
                .quarantine(&destination.name)?
                .into_iter()
                .map(|entry| (entry.slot.clone(), entry))
                .collect();
            operations.retain(|operation| match refused.get(&operation.slot) {
                Some(entry)
                    if entry.hash == operation_hash(operation) && evaluation.at.0 - entry.at.0 < RETRY_REFUSED_MS =>
                {
                    held.push((entry.slot.clone(), entry.why.clone()));
                    false
                }
                _ => true,
            });
        }
        Ok((operations, held))
    }

    fn lanes<'a>(&'a self, destination: &'a Destination, at: Timestamp) -> Option<Lanes<'a>> {
        let (client, budget) = self.tools.get(&destination.name)?;
        Some(Lanes {
            store: &self.store,
            destination,
            client,
            budget,
            at,
            stop: &self.stop,
            patience: self.patience,
            secrets: &self.secrets,
        })
    }

    /// Brings a destination into step. `retry_refused`: also what it refused before.
    pub async fn sync(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        retry_refused: bool,
    ) -> anyhow::Result<DestinationReport> {
        let at = evaluation.at;
        let mut report = DestinationReport { observing: !self.is_live(destination)?, ..DestinationReport::default() };
        let Some(lanes) = self.lanes(destination, at) else { return Ok(report) };
        let account = lanes.known_account()?;
        let known = self.known(destination, account.as_deref(), at)?;
        if report.observing {
            let (operations, _) = self.plan_records(destination, evaluation, &known, true)?;
            report.delivered.changed = operations.len() as u64;
            let name = &destination.name;
            report.delivered.notes.push(format!(
                "observes: {} changes planned and none written; look with `vitalsync plan`, release with `vitalsync approve {name}`",
                operations.len()
            ));
            self.save_report(destination, &report)?;
            return Ok(report);
        }
        self.check_stop()?;
        let fired = self.fire(destination, evaluation, true)?;
        report.alerts = fired.alerts;
        let (mut due, stale) = self.due(destination, at, retry_refused)?;
        report.alerts.suppressed += stale;
        report.delivered.alerts_stale = stale;
        let (mut operations, mut held) = self.plan_records(destination, evaluation, &known, retry_refused)?;
        if !operations.is_empty() || !due.is_empty() {
            match lanes.account().await? {
                Err(failed) => {
                    report.delivered = failed;
                    report.delivered.changed = (operations.len() + due.len()) as u64;
                    report.delivered.waiting = report.delivered.changed;
                }
                Ok((account_id, asked)) => {
                    if account.as_deref() != Some(account_id.as_str()) {
                        // Another account than the plan was made for, or the first look at it.
                        let known = self.known(destination, Some(&account_id), at)?;
                        (operations, held) = self.plan_records(destination, evaluation, &known, retry_refused)?;
                    }
                    operations.append(&mut due);
                    report.delivered.add(asked);
                    for round in 0..ROUNDS {
                        let work = Work { operations, held, last: round + 1 == ROUNDS };
                        let (delivered, again) = lanes.deliver(&account_id, work).await?;
                        report.delivered.add(delivered);
                        if again.is_empty() {
                            break;
                        }
                        let known = self.known(destination, Some(&account_id), at)?;
                        (operations, held) = self.plan_records(destination, evaluation, &known, false)?;
                        // The rest of it is waiting or refused, and counted.
                        let needed: HashSet<String> = operations
                            .iter()
                            .filter(|operation| again.contains(&operation.slot))
                            .flat_map(|operation| &operation.needs)
                            .map(|need| need.slot.clone())
                            .collect();
                        operations
                            .retain(|operation| again.contains(&operation.slot) || needed.contains(&operation.slot));
                    }
                }
            }
        }
        report.alerts.sent = report.delivered.alerts_sent;
        report.delivered.notes.extend(fired.notes);
        report.quarantined = self.clear_quarantine(destination, evaluation, lanes.known_account()?.as_deref())?;
        self.save_report(destination, &report)?;
        tracing::info!(
            destination = %destination.name,
            changed = report.delivered.changed,
            sent_calls = report.delivered.sent_calls,
            acknowledged = report.delivered.acknowledged,
            rejected = report.delivered.rejected,
            waiting = report.delivered.waiting,
            alerts_sent = report.alerts.sent,
            "synced"
        );
        Ok(report)
    }

    /// Forgets refusals of what is not asked for any more; the number of those that stand.
    fn clear_quarantine(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        account: Option<&str>,
    ) -> Result<u64, StoreError> {
        let refused = self.store.quarantine(&destination.name)?;
        if refused.is_empty() {
            return Ok(0);
        }
        let known = self.known(destination, account, evaluation.at)?;
        let (operations, _) = self.plan_records(destination, evaluation, &known, true)?;
        let outbox = self.store.outbox(&destination.name)?;
        let mut batch = Batch::default();
        let mut left = 0;
        for entry in refused {
            let asked = operations.iter().any(|operation| operation.slot == entry.slot)
                || outbox.iter().any(|waiting| waiting.operation.slot == entry.slot);
            if asked {
                left += 1;
            } else {
                batch.remove_quarantined(&destination.name, &entry.slot);
            }
        }
        self.store.apply(batch)?;
        Ok(left)
    }

    fn known(&self, destination: &Destination, account: Option<&str>, at: Timestamp) -> Result<Known, StoreError> {
        match account {
            Some(account) => self.store.known(&told(&destination.name, account), at),
            None => Ok(Known::default()),
        }
    }

    fn save_report(&self, destination: &Destination, report: &DestinationReport) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let dated = Dated { at: self.clock.now(), report: report.clone() };
        batch.put_meta(&format!("report:destination:{}", destination.name), &dated);
        self.store.apply(batch)
    }

    /// An error if the process is to end: what was read in part must not be measured.
    pub fn check_stop(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.stop.load(Ordering::Relaxed), "interrupted: the next run goes on where this one stopped");
        Ok(())
    }

    fn stopped(&self, stopped: &Stopped) -> StoppedReport {
        StoppedReport {
            event: self.config.model.display_event(&stopped.event).to_owned(),
            day: stopped.day.to_string(),
            usual: stopped.usual,
        }
    }

    /// What the rules of the config run into.
    fn census(&self, evaluation: &Evaluation) -> Census {
        let mut census = census::of_model(&self.config.model, evaluation);
        for destination in &self.config.destinations {
            census.extend(census::of_destination(&destination.name, &*destination.connector, evaluation));
        }
        census
    }

    /// One full pass.
    pub async fn run_once(&self, at: Timestamp) -> anyhow::Result<RunReport> {
        self.check_order(at)?;
        let started = Instant::now();
        let mut run = RunReport { as_of: at.to_string(), ..RunReport::default() };
        for source in &self.config.sources {
            run.sources.insert(source.name.clone(), self.ingest(source)?);
            self.check_stop()?;
        }
        if run.sources.values().all(|source| source.failed.is_none()) {
            let evaluation = self.take_stock(at)?;
            run.accounts = evaluation.accounts.len();
            run.unassigned_events = evaluation.unassigned_events;
            run.counted_since = HeldOutReport::all(&evaluation);
            run.stale = self.stale(at)?.into_iter().map(|(source, last)| (source, last.to_string())).collect();
            run.stopped = evaluation.stopped.iter().map(|stopped| self.stopped(stopped)).collect();
            run.rules = MissedReport::all(self.census(&evaluation));
            run.benchmarks = BenchmarkReport::all(&evaluation);
            run.doubts.clone_from(&evaluation.doubts);
            let syncs = self.config.destinations.iter().map(|destination| async {
                (destination.name.clone(), self.sync(destination, &evaluation, true).await)
            });
            for (name, report) in futures_util::future::join_all(syncs).await {
                let report = report?;
                run.alerts.add(report.alerts);
                run.destinations.insert(name, report);
            }
        }
        run.compacted = self.compact()?;
        run.duration_ms = started.elapsed().as_millis() as u64;
        Ok(run)
    }
}
