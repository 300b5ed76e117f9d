//! Looking: plans, accounts, one account's story, how things stand. Reads the state, writes nothing, asks no tool.

use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Known, KnownRecord, Operation};
use vitalsync_core::cycle::Against;
use vitalsync_core::evaluate::{Account, Evaluation, Since};
use vitalsync_core::health;
use vitalsync_core::identity::Horizon;
use vitalsync_core::lint;
use vitalsync_core::mapping::Level;
use vitalsync_core::past::band_since;
use vitalsync_core::section::Fault;

use super::alerts::Fired;
use super::attribute::Between;
use super::{Dated, Engine, census_of};
use crate::clock;
use crate::config::{Config, Destination, WhenGone};
use crate::report::{
    AccountReport, BenchmarkReport, BrakeReport, ChampionReport, DayReport, DestinationReport, DestinationStatus,
    EventsReport, ExplainReport, HeldOutReport, ParkedReport, Part, PlanReport, PlannedOperation, Refused, RiskPart,
    SourceStatus, StatusReport, Told, Warning,
};
use crate::store::records::told;
use crate::store::{StoreError, portable};
use crate::tick::ingest::check_time_zone;

impl Engine {
    /// What the next sync of each destination would do.
    pub fn plan(&self, at: Timestamp) -> anyhow::Result<Vec<PlanReport>> {
        // Before anybody is told anything there is still time to look at the config.
        let mut first = true;
        for destination in &self.config.destinations {
            if let Some(lanes) = self.lanes(destination, at) {
                first &= lanes.known_account()?.is_none();
            }
        }
        let alerts = self.has_alerts();
        let evaluation = self.evaluate_asked(&self.config, Horizon::at(at), |ask| {
            ask.reasons = alerts;
            ask.activity = first;
        })?;
        let warnings =
            if first { Warning::all(&linted(&self.config, &evaluation), &self.config.file) } else { Vec::new() };
        let mut plans = Vec::new();
        for destination in &self.config.destinations {
            let Some(lanes) = self.lanes(destination, at) else { continue };
            let account = lanes.known_account()?;
            let view = self.view(destination, account.as_deref(), at)?;
            let (mut operations, quarantined) = self.plan_records(destination, &evaluation, &view, false)?;
            let weighed = self.weigh(destination, &operations, &evaluation)?;
            let live = self.is_live(destination)?;
            let fired = if live { self.fire(destination, &evaluation, false)? } else { Fired::default() };
            let alerts = fired.waiting.len() as u64;
            let count = operations.len() as u64 + alerts;
            let braked = (live && weighed.too_much && count > 0)
                .then(|| BrakeReport { alerts, ..BrakeReport::of(&weighed.held) });
            let outlook = self.outlook(destination, &evaluation, &fired.waiting)?;
            operations.extend(outlook.operations);
            let mut notes: Vec<String> = HeldOutReport::all(&evaluation).iter().map(HeldOutReport::said).collect();
            notes.extend(fired.notes.into_iter().chain(outlook.notes));
            // The warnings of the first plan have them with their places.
            if !first {
                notes.extend(evaluation.doubts.iter().map(ToString::to_string));
            }
            notes.extend(left_as_written(destination, &evaluation, &view.known, &operations));
            if account.is_none() && !operations.is_empty() {
                notes.push(format!(
                    "{} was not asked yet: records that are there will be found and updated",
                    destination.manifest.title
                ));
            }
            notes.extend(braked.as_ref().map(|braked| braked.said(&destination.name)));
            if !live {
                notes.push(format!("observes: nothing is written until `vitalsync approve {}`", destination.name));
            }
            plans.push(PlanReport {
                destination: destination.name.clone(),
                kind: destination.manifest.title.to_owned(),
                observing: !live,
                operations: operations.iter().map(PlannedOperation::of).collect(),
                quarantined,
                braked,
                drift: self.drift(destination, &view),
                notes,
                warnings: warnings.clone(),
            });
        }
        Ok(plans)
    }

    /// Everything under a config, which may be another than the one that runs: with users, and with what is done.
    pub fn used(&self, config: &Config, at: Timestamp) -> Result<Evaluation, StoreError> {
        self.evaluate_asked(config, Horizon::at(at), |ask| {
            ask.users = true;
            ask.activity = true;
        })
    }

    /// What is odd about the config in a file, by itself and by the data of this state; `None` if it has none.
    pub fn lint_file(&self, file: &Path, at: Timestamp) -> anyhow::Result<Option<Vec<Fault>>> {
        self.lint(&Config::load(file)?, at)
    }

    /// What is odd about a config, which may be another than the one that runs; `None` without any data.
    pub fn lint(&self, config: &Config, at: Timestamp) -> anyhow::Result<Option<Vec<Fault>>> {
        check_time_zone(&self.store, &config.model.calendar)?;
        let evaluation = self.evaluate_asked(config, Horizon::at(at), |ask| ask.activity = true)?;
        let is_empty = evaluation.activity.as_ref().is_none_or(|activity| activity.events.is_empty());
        Ok((!is_empty).then(|| linted(config, &evaluation)))
    }

    /// The whole state as a portable file, at its beginning. It has no name: it is gone once it is closed.
    pub fn export(&self) -> anyhow::Result<File> {
        // One at a time: the name is free again as soon as the file is open.
        static ONE: Mutex<()> = Mutex::new(());
        let path = self.config.state.join("export.tmp");
        let mut file = {
            let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
            let file = File::options().create(true).truncate(true).read(true).write(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            file
        };
        portable::export(&self.store, &mut file, clock::system())?;
        file.rewind()?;
        Ok(file)
    }

    /// All accounts, from what is known at a horizon.
    pub fn accounts(&self, horizon: Horizon) -> anyhow::Result<Vec<AccountReport>> {
        let evaluation = self.evaluate_asked(&self.config, horizon, |ask| ask.users = true)?;
        let (noted, none) = (self.store.memberships()?, Since::default());
        let report =
            |account: &Account| AccountReport::of(account, &evaluation, noted.get(&account.id).unwrap_or(&none));
        Ok(evaluation.accounts.iter().map(report).collect())
    }

    /// All events, from what is known at a horizon.
    pub fn events(&self, horizon: Horizon) -> anyhow::Result<EventsReport> {
        let evaluation = self.evaluate_asked(&self.config, horizon, |ask| ask.activity = true)?;
        Ok(EventsReport::of(&evaluation, &self.config.model))
    }

    /// One account's story; `None` if there is none by that id, name or domain.
    pub fn explain(
        &self,
        wanted: &str,
        horizon: Horizon,
        between: Option<Between>,
    ) -> anyhow::Result<Option<ExplainReport>> {
        let at = horizon.at;
        let evaluation = self.evaluate_asked(&self.config, horizon, |ask| {
            (ask.reasons, ask.users) = (true, true);
            ask.history_of = Some(wanted.to_owned());
        })?;
        let Some(index) = evaluation.named(wanted) else { return Ok(None) };
        let Some(account) = evaluation.accounts.get(index) else { return Ok(None) };
        let profile = self.config.model.profiles.iter().find(|profile| Some(&profile.name) == account.profile.as_ref());
        let (mut parts, mut history) = (Vec::new(), Vec::new());
        if let Some(profile) = profile {
            history = self.history(account, profile, horizon)?;
            let against = account.health.against.unwrap_or(Against::Before(profile.window));
            let before = against.end(evaluation.over);
            for (event, (count_before, count, weight)) in
                account.weighed(profile, before, evaluation.over, &evaluation.events)
            {
                let weight = health::points(weight);
                let event = self.config.model.display_event(&event).to_owned();
                parts.push(Part { event, count, weight, points: count as f64 * weight, count_before });
            }
            parts.sort_by(|a, b| b.points.total_cmp(&a.points).then_with(|| a.event.cmp(&b.event)));
        }
        // A person's word stands beside what is computed: since when that is so says nothing of the stated band.
        let computed = account.health.override_reason.is_none();
        let users: Vec<&str> =
            evaluation.users.iter().filter(|user| user.account == Some(index)).map(|user| user.id.as_str()).collect();
        let about = |slot: &str, subject: &str| match slot.split_once('/') {
            Some(("contact", _)) => users.contains(&subject),
            _ => subject == account.id,
        };
        let (mut told_list, mut quarantined) = (Vec::new(), Vec::new());
        for destination in &self.config.destinations {
            let Some(lanes) = self.lanes(destination, at) else { continue };
            if let Some(vendor_account) = lanes.known_account()? {
                for (slot, kept) in self.store.kept(&told(&destination.name, &vendor_account))? {
                    if !about(&slot, &kept.subject) {
                        continue;
                    }
                    told_list.push(Told {
                        destination: destination.name.clone(),
                        remote_id: kept.record.remote_id,
                        at: kept.told_at.map(|at| at.to_string()),
                        fields: kept
                            .record
                            .fields
                            .iter()
                            .map(|(name, value)| (name.clone(), value.to_json()))
                            .collect(),
                        absent: kept.absent_since.is_some(),
                        slot,
                    });
                }
            }
            for entry in self.store.quarantine(&destination.name)? {
                if about(&entry.slot, &entry.subject) {
                    quarantined.push(refused(&destination.name, entry));
                }
            }
        }
        Ok(Some(ExplainReport {
            account: AccountReport::of(account, &evaluation, &self.store.membership(&account.id)?),
            parts,
            risk: RiskPart::all(account, &self.config.model.risk_weights),
            champions: account
                .champions
                .iter()
                .map(|top| ChampionReport { user: top.user.clone(), share: top.share })
                .collect(),
            history: DayReport::all(&history),
            against: account.health.against.map(|against| against.to_string()).unwrap_or_default(),
            attribution: self.change(account, &evaluation, horizon, between)?,
            stopped: stopped(account, &evaluation),
            band_since: band_since(&history).filter(|_| computed).map(|day| day.to_string()),
            benchmark: BenchmarkReport::of_account(account, &evaluation),
            told: told_list,
            quarantined,
        }))
    }

    /// How things stand.
    pub fn status(&self) -> anyhow::Result<StatusReport> {
        let mut status = StatusReport {
            running: false,
            state_bytes: self.store.size(),
            last_evaluation: self.store.meta::<Timestamp>("evaluated")?.map(|at| at.to_string()),
            rules: self.rules()?,
            ..StatusReport::default()
        };
        let now = clock::system();
        // What is about the data goes by its clock.
        let stale = self.stale(self.clock.now())?;
        status.snoozed = self.alerts(self.clock.now())?.snoozed;
        for source in &self.config.sources {
            let last = self.last_reading(&source.name)?;
            let entry = SourceStatus {
                last_run: last.as_ref().map(|last| last.at.to_string()),
                brought_at: last.as_ref().map(|last| last.brought_at.unwrap_or(last.at).to_string()),
                last: last.map(|last| last.report),
                stale_since: stale.get(&source.name).map(Timestamp::to_string),
                next_run: source.schedule.after(now).map(|next| next.to_string()),
            };
            status.sources.insert(source.name.clone(), entry);
        }
        for reading in &self.config.readings {
            let entry = self.reading_status(reading, now)?;
            status.readings.insert(reading.name.clone(), entry);
        }
        for destination in &self.config.destinations {
            let last: Option<Dated<DestinationReport>> =
                self.store.meta(&format!("report:destination:{}", destination.name))?;
            let account = self.lanes(destination, now).map(|lanes| lanes.known_account()).transpose()?.flatten();
            let view = self.view(destination, account.as_deref(), now)?;
            let observing = !self.is_live(destination)?;
            let held = self.held(destination)?.filter(|held| !held.released && !observing);
            let entry = DestinationStatus {
                kind: destination.manifest.name.to_owned(),
                observing,
                braked: held.as_ref().map(BrakeReport::of),
                parked: self.store.parked(&destination.name)?.as_ref().map(ParkedReport::of),
                drift: self.drift(destination, &view),
                last_run: last.as_ref().map(|last| last.at.to_string()),
                last: last.map(|last| last.report),
                next_run: destination.schedule.after(now).map(|next| next.to_string()),
                outbox: self.store.outbox(&destination.name)?.len(),
                quarantine: self
                    .store
                    .quarantine(&destination.name)?
                    .into_iter()
                    .map(|entry| refused(&destination.name, entry))
                    .collect(),
            };
            status.destinations.insert(destination.name.clone(), entry);
        }
        Ok(status)
    }
}

/// What is odd about a config, by itself and by an evaluation that was asked for its activity.
fn linted(config: &Config, evaluation: &Evaluation) -> Vec<Fault> {
    let of_data = lint::of_data(&config.model, evaluation);
    config.linted().into_iter().chain(of_data).chain(lint::of_rules(&census_of(config, evaluation))).collect()
}

/// The first few users who stopped, by their names where these are known.
fn stopped(account: &Account, evaluation: &Evaluation) -> Vec<String> {
    let name = |id: &str| {
        let place = evaluation.users.binary_search_by(|user| user.id.as_str().cmp(id)).ok()?;
        evaluation.users.get(place)?.traits.get("name")?.as_text().map(str::to_owned)
    };
    let named = |id: &Option<String>| match id {
        Some(id) => name(id).unwrap_or_else(|| id.clone()),
        None => "somebody without a user id".to_owned(),
    };
    account.who_stopped.iter().map(named).collect()
}

/// Says which records were written and are of nobody who is measured now: excluded, or without any call left. They are left,
/// and only tags are taken back, as a destination does with what is no longer mapped.
fn left_as_written(
    destination: &Destination,
    evaluation: &Evaluation,
    known: &Known,
    operations: &[Operation],
) -> Option<String> {
    let sets = destination.connector.record_sets();
    let measured = |level: Level, subject: &str| match level {
        Level::Account => evaluation.accounts.binary_search_by(|account| account.id.as_str().cmp(subject)).is_ok(),
        Level::User => evaluation.users.binary_search_by(|user| user.id.as_str().cmp(subject)).is_ok(),
    };
    let is_left = |slot: &str, record: &KnownRecord| {
        let Some((kind, subject)) = slot.split_once('/') else { return false };
        let Some(set) = sets.iter().find(|set| set.kind == kind) else { return false };
        record.remote_id.is_some() && !record.absent && !measured(set.level, subject)
    };
    let left: Vec<&String> =
        known.records.iter().filter(|(slot, record)| is_left(slot, record)).map(|(slot, _)| slot).collect();
    let (records, fields) = match left.len() {
        0 => return None,
        1 => ("1 record that was written is".to_owned(), "its fields stay as they are"),
        count => (format!("{count} records that were written are"), "their fields stay as they are"),
    };
    if destination.conduct.when_gone == WhenGone::Clear {
        return Some(format!("{records} of accounts or users that are excluded or gone: its fields are cleared"))
            .filter(|_| operations.iter().any(|operation| left.contains(&&operation.slot)));
    }
    let tags = if operations.iter().any(|operation| left.contains(&&operation.slot)) {
        ", tags that were set are removed"
    } else {
        ""
    };
    Some(format!("{records} of accounts or users that are excluded or gone: {fields}{tags}"))
}

fn refused(destination: &str, entry: crate::store::records::Quarantined) -> Refused {
    Refused { destination: destination.to_owned(), slot: entry.slot, why: entry.why, at: entry.at.to_string() }
}
