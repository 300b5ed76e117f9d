//! One pass: read the sources, measure, plan, deliver (`sync`). Each part returns a typed report.
//!
//! A pass takes no hints: what is to be done follows from the config, the state and the as-of time alone, so a restart is the
//! ordinary path. While a source as a whole can't be read nothing is synced: silence of the pipe is not silence of the
//! customer.

mod alerts;
pub mod attribute;
mod brake;
pub mod compaction;
mod drift;
pub mod forget;
mod history;
mod ignored;
pub mod ingest;
mod inspect;
mod judge;
pub mod logins;
mod look;
pub mod matches;
mod people;
mod plan;
pub mod quarantine;
pub mod read;
mod reading;
mod retention;
mod sync;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::Trigger;
use vitalsync_core::census::{self, Census};
use vitalsync_core::evaluate::{Evaluation, evaluate_history};
use vitalsync_core::expr::Expr;
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::mapping::Level;
use vitalsync_core::model::Model;
use vitalsync_core::names;
use vitalsync_core::pulse::Stopped;

pub use self::alerts::Wish;
use self::ingest::names::Filing;
use self::ingest::{Grain, check_time_zone, generation};
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::PATIENCE;
use crate::deliver::tool::Tools;
use crate::login::Login;
use crate::report::{BenchmarkReport, HeldOutReport, MissedReport, RunReport, StoppedReport};
use crate::store::usage::Kept;
use crate::store::{Store, StoreError};

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
    tools: Tools,
    /// By their name in the state.
    logins: BTreeMap<String, Arc<Login>>,
    secrets: Vec<String>,
    /// How long a pass waits for a tool.
    pub patience: Duration,
    /// How finely sources are read.
    pub grain: Grain,
    /// A state of fewer bytes is not made small by itself; tests set less.
    pub compact_from: u64,
}

/// A report with the time it was made.
#[derive(Debug, Serialize, Deserialize)]
struct Dated<T> {
    at: Timestamp,
    report: T,
}

fn poisoned<T>(error: PoisonError<T>) -> T {
    error.into_inner()
}

/// Whether a config has something for users, or asks of an account how they are.
fn needs_users(config: &Config) -> bool {
    let connectors = || config.destinations.iter().map(|destination| &destination.connector);
    let mut sets = connectors().flat_map(|connector| connector.record_sets());
    let mut alerts = connectors().flat_map(|connector| connector.alert_rules());
    sets.any(|set| set.level == Level::User || set.exprs().any(asks_of_users))
        || alerts.any(|rule| rule.level == Level::User || rule.exprs().any(asks_of_users))
        || config.model.segments.iter().any(|(_, rule)| asks_of_users(rule))
}

/// What the rules of a config run into.
fn census_of(config: &Config, evaluation: &Evaluation) -> Census {
    let mut census = census::of_model(&config.model, evaluation);
    for destination in &config.destinations {
        census.extend(census::of_destination(&destination.name, &*destination.connector, evaluation));
    }
    census
}

fn asks_of_users(rule: &Expr) -> bool {
    rule.names().iter().any(|name| names::OF_USERS.contains(name))
}

/// The longest span of an alert rule about accounts, and what trends need.
fn recent_days(config: &Config) -> i32 {
    longest_span(config, Level::Account).max(30)
}

/// The longest span of an alert rule about those at a level; 0 if there is none.
fn longest_span(config: &Config, level: Level) -> i32 {
    let rules = config.destinations.iter().flat_map(|destination| destination.connector.alert_rules());
    rules.filter(|rule| rule.level == level).map(|rule| rule.trigger.within_days()).max().unwrap_or(0)
}

impl Engine {
    /// Opens the state of a config.
    pub fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let store = Store::open(&config.state)?;
        check_time_zone(&store, &config.model.calendar)?;
        // An erasure that a kill broke off.
        forget::finish(&store, &config)?;
        let filing = Filing::load(&store)?;
        let logins = logins::of(&config)?;
        let tools = Tools::new(config.tools(), &logins).map_err(anyhow::Error::msg)?;
        let secrets = config.tools().flat_map(|destination| destination.credentials.secrets());
        let secrets = secrets.map(|secret| secret.expose().to_owned()).collect();
        Ok(Self {
            config,
            store,
            clock,
            stop: Arc::default(),
            filing: RwLock::new(filing),
            tools,
            logins,
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
        ask.recent_user_days = longest_span(config, Level::User);
        more(&mut ask);
        self.ask(&config.model, ask)
    }

    /// Measures what is asked for under a model, and nothing besides. Whoever looks, windows end where a source fell silent.
    fn ask(&self, model: &Model, mut ask: Ask) -> Result<Evaluation, StoreError> {
        let filing = self.filing.read().unwrap_or_else(poisoned);
        let known = |name: &str| self.config.has_source(name);
        let history = Kept::of(&self.store, generation::counting(&self.store, known)?);
        ask.since = generation::counted_since(&self.store, known, model)?;
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
        if let Some(last) = self.last_evaluated()?
            && at < last
        {
            anyhow::ensure!(
                self.clock != Clock::System,
                "the clock says {at}, before the last run's {last}: either that run had a later --as-of, or a clock was wrong. The tools were told its figures, so nothing is run before then: set the clock right, wait, or begin with another `state` directory"
            );
            anyhow::bail!(
                "--as-of {at} is before the last run's {last}: the tools were told newer figures; use a later time, another state directory, or `accounts --as-of` to only look"
            );
        }
        Ok(())
    }

    /// As of when everything was last evaluated to be told.
    pub fn last_evaluated(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.meta::<Timestamp>("evaluated")
    }

    /// An error if the process is to end: what was read in part must not be measured.
    pub fn check_stop(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.stop.load(Ordering::Relaxed), "interrupted: the next run goes on where this one stopped");
        Ok(())
    }

    /// What the rules of the config ran into when everything was last evaluated.
    fn rules(&self) -> Result<BTreeMap<String, MissedReport>, StoreError> {
        Ok(self.store.meta("report:rules")?.unwrap_or_default())
    }

    fn stopped(&self, stopped: &Stopped) -> StoppedReport {
        StoppedReport {
            event: self.config.model.display_event(&stopped.event).to_owned(),
            day: stopped.day.to_string(),
            usual: stopped.usual,
        }
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
            // Those that can't be read hold up nobody.
            let readings = self
                .config
                .readings
                .iter()
                .map(|reading| async { (reading.name.clone(), self.read_tool(reading).await) });
            for (name, report) in futures_util::future::join_all(readings).await {
                run.readings.insert(name, report?);
            }
            let evaluation = self.take_stock(at)?;
            run.accounts = evaluation.accounts.len();
            run.unassigned_events = evaluation.unassigned_events;
            run.counted_since = HeldOutReport::all(&evaluation);
            run.unknown_sources = generation::sources(&self.store)?.into_keys().collect();
            run.unknown_sources.retain(|name| !self.config.has_source(name));
            run.stale = self.stale(at)?.into_iter().map(|(source, last)| (source, last.to_string())).collect();
            run.stopped = evaluation.stopped.iter().map(|stopped| self.stopped(stopped)).collect();
            run.rules = self.rules()?;
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
