//! The only loop that sends: claim, step, send, record.
//!
//! Connectors decide; this obeys. A few outcome words decide every retry: *Done* moves what is known, record by record;
//! *Partly* does so but for fields that were refused by name, which stand in quarantine with the reason;
//! *Retry* waits and sends the same again; *Split* tries both halves; a *rejected* record is sent once more alone, a *refused*
//! one with others like it, then kept in quarantine with its reason; *NeedsLogin* stops this destination and no other. What
//! was acknowledged is written before anything else is sent for that record, so a process that dies anywhere starts again
//! without loss, and an alert has a durable mark before it is first sent.

mod access;
pub mod brake;
pub mod breaker;
mod delivered;
mod inspect;
pub mod ownership;
mod pages;
mod record;
pub mod refresh;
mod talk;
pub mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{ACCOUNT, Mode, Operation, Outcome, Quota, account_operation, scrub};
use vitalsync_core::mapping::Level;
use vitalsync_core::usage::USER;

pub use self::delivered::{Delivered, Reasons, WAITS};
pub use self::inspect::Inspected;
use self::tool::Tool;
use crate::config::Destination;
use crate::store::records::{VendorAccount, told};
use crate::store::{Batch, Store, StoreError, suppressed};

/// So many batches of one destination are under way at once, at least and at most.
const LANES: (f64, f64) = (16.0, 64.0);
/// The way to a tool and back that they cover at its full rate: 16 keep up HubSpot's highest, 19 a second, at 0.8 s each.
const WAY: f64 = 0.8;
/// Why what was not begun before the end waits.
const STOPPED: &str = "the process was asked to end";
/// How long a pass waits for a tool in all before it leaves the rest to the next one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that a sync of one destination needs.
#[derive(Debug)]
pub struct Lanes<'a> {
    /// The state.
    pub store: &'a Store,
    /// Where to.
    pub destination: &'a Destination,
    /// What is kept in memory of the tool.
    pub tool: &'a Tool,
    /// The run's as-of time.
    pub at: Timestamp,
    /// Set when the process is to end: no further batch is begun.
    pub stop: &'a AtomicBool,
    /// How long to wait for the tool in all.
    pub patience: Duration,
    /// Which config this is, by a hash.
    pub config: u64,
    /// Every secret of the config: whatever a tool says is cleaned of them.
    pub secrets: &'a [String],
}

#[derive(Debug)]
struct Progress {
    namespace: String,
    /// Since when nothing succeeded.
    failing_since: Mutex<Option<Instant>>,
    report: Mutex<Delivered>,
    /// What a slot of this pass became.
    settled: Mutex<BTreeMap<String, Settled>>,
    /// Why nothing more is sent: *NeedsLogin*.
    parked: Mutex<Option<String>>,
    /// Operations that are to be planned again, because somebody else changed their records.
    again: Mutex<BTreeSet<String>>,
    /// True: a conflict is a refusal, it was planned anew often enough.
    last: bool,
}

/// What a slot became.
#[derive(Debug, Clone)]
enum Settled {
    Done(Option<String>),
    /// The tool has no such record, and none is created; why.
    Absent(String),
    Refused(String),
    Waiting(String),
}

/// What a pass over a destination is to do, and what it is to leave.
#[derive(Debug, Default)]
pub struct Work {
    /// What to do.
    pub operations: Vec<Operation>,
    /// Slots that were refused before and are not tried now, with why: what needs them does without.
    pub held: Vec<(String, String)>,
    /// True: what somebody else changed meanwhile is refused now, not planned again.
    pub last: bool,
}

/// A hash of what an operation says, to tell whether it is the same again.
pub fn operation_hash(operation: &Operation) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    let wanted: BTreeMap<_, _> =
        operation.fields.iter().map(|(name, change)| (name, change.new.to_json().to_string())).collect();
    (&operation.slot, &operation.keys, wanted, operation.create.is_some()).hash(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Lanes<'_> {
    /// A hash of what proves who we are to whom.
    pub(crate) fn credentials(&self) -> u64 {
        // Kept in the state, so a hash that stays the same from version to version.
        let both = format!("{}\u{1f}{}", self.destination.credentials.holder().expose(), self.destination.base_url);
        xxhash_rust::xxh3::xxh3_64(both.as_bytes())
    }

    /// The name of a vendor account that has none, or does not tell it: by address and token.
    fn name_by_credentials(&self) -> String {
        format!("token-{:016x}", self.credentials())
    }

    /// The vendor account that a destination writes to, as far as it is known without asking.
    pub fn known_account(&self) -> Result<Option<String>, StoreError> {
        let kept: Option<VendorAccount> = self.store.meta(&format!("account:{}", self.destination.name))?;
        Ok(kept.filter(|kept| kept.credentials == self.credentials()).map(|kept| kept.id))
    }

    fn clean(&self, why: &str) -> String {
        let mut why = scrub(why);
        let of_today = self.tool.client.secrets(self.store);
        for secret in self.secrets.iter().chain(&of_today).filter(|secret| secret.len() >= 4) {
            why = why.replace(secret.as_str(), "<secret>");
        }
        why
    }

    fn progress(&self, namespace: String, last: bool) -> Progress {
        Progress {
            namespace,
            failing_since: Mutex::default(),
            report: Mutex::default(),
            settled: Mutex::default(),
            parked: Mutex::default(),
            again: Mutex::default(),
            last,
        }
    }

    /// Asks whose account this is, once for each token and address, and whenever it is to be tried (`anew`) whether we are let
    /// in. `Err` is the report of a sync that could not begin.
    pub async fn account(&self, anew: bool) -> Result<Result<(String, Delivered), Delivered>, StoreError> {
        if let Some(id) = self.known_account()?.filter(|_| !anew) {
            return Ok(Ok((id, Delivered::default())));
        }
        let progress = self.progress(String::new(), true);
        let receipts = self.converse(vec![account_operation()], &progress).await?.receipts;
        self.park(&progress, !receipts.is_empty())?;
        let mut report = progress.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let id = receipts.into_iter().find_map(|receipt| match receipt.outcome {
            Outcome::Done { remote_id } if receipt.slot == ACCOUNT => {
                remote_id.or_else(|| Some(self.name_by_credentials()))
            }
            outcome => {
                report.notes.extend(outcome.why().map(|why| self.clean(why)));
                None
            }
        });
        match id {
            Some(id) => {
                let mut batch = Batch::default();
                let kept = VendorAccount { credentials: self.credentials(), id: id.clone() };
                batch.put_meta(&format!("account:{}", self.destination.name), &kept);
                self.store.apply(batch)?;
                Ok(Ok((id, report)))
            }
            None => {
                if report.notes.is_empty() {
                    report.notes.push(format!("{} did not say whose account this is", self.destination.manifest.title));
                }
                Ok(Err(report))
            }
        }
    }

    /// Carries out operations. Returns what it came to, and the slots that are to be planned again at once: somebody else changed
    /// their records, and they are not in the report.
    pub async fn deliver(&self, account: &str, work: Work) -> Result<(Delivered, BTreeSet<String>), StoreError> {
        let Work { operations, held, last } = work;
        let progress = self.progress(told(&self.destination.name, account), last);
        lock(&progress.settled).extend(held.into_iter().map(|(slot, why)| (slot, Settled::Refused(why))));
        lock(&progress.report).changed =
            operations.iter().filter(|operation| operation.mode != Mode::Read).count() as u64;
        let mut waiting = operations;
        while !waiting.is_empty() {
            let pending: BTreeSet<String> = waiting.iter().map(|operation| operation.slot.clone()).collect();
            let (ready, blocked): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|operation| operation.needs.iter().all(|need| !pending.contains(&need.slot)));
            // Needs that form a ring would wait for ever: they are taken as they are.
            let (ready, blocked) = if ready.is_empty() { (blocked, Vec::new()) } else { (ready, blocked) };
            waiting = blocked;
            let mut fit = Vec::new();
            for operation in ready {
                fit.extend(self.with_needs(operation, &progress)?);
            }
            let mut batches: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
            for operation in fit {
                batches.entry(operation.batch_key.clone()).or_default().push(operation);
            }
            let mut queue = Vec::new();
            for (key, operations) in batches {
                let size = self.destination.connector.batch_size(&key).max(1);
                let mut operations = operations.into_iter().peekable();
                let mut in_turn = Vec::new();
                while operations.peek().is_some() {
                    let batch: Vec<Operation> = operations.by_ref().take(size).collect();
                    if self.destination.connector.in_turn(&key) {
                        in_turn.push(batch);
                    } else {
                        queue.push(vec![batch]);
                    }
                }
                if !in_turn.is_empty() {
                    queue.push(in_turn);
                }
            }
            // Another one begins each time: a few that the tool always answers with errors must not hold up the others.
            let turn = usize::try_from(self.at.seconds()).unwrap_or(0) % queue.len().max(1);
            queue.rotate_left(turn);
            let mut queue = queue.into_iter();
            let lanes = self.abreast();
            let mut running = FuturesUnordered::new();
            loop {
                while running.len() < lanes {
                    let Some(batch) = queue.next() else { break };
                    running.push(self.batches(batch, &progress));
                }
                match running.next().await {
                    Some(done) => done?,
                    None => break,
                }
            }
        }
        let heard = lock(&progress.report).acknowledged > 0;
        self.park(&progress, heard)?;
        let again = std::mem::take(&mut *lock(&progress.again));
        let report = progress.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((report, again))
    }

    /// How many batches may be under way at once, so that the rate and not the way is what limits.
    fn abreast(&self) -> usize {
        let rate = |quota: &Quota| f64::from(quota.limit) / quota.window.as_secs_f64().max(1e-3);
        let fastest = self.destination.manifest.quotas.iter().map(rate).fold(0.0, f64::max);
        (fastest * WAY).clamp(LANES.0, LANES.1) as usize
    }

    /// Fills in the ids behind what an operation needs; fields whose need was refused drop out alone. `None`: it can't be done
    /// now, and that is recorded.
    fn with_needs(&self, mut operation: Operation, progress: &Progress) -> Result<Option<Operation>, StoreError> {
        if self.is_forgotten(&operation)? {
            let mut report = lock(&progress.report);
            report.changed = report.changed.saturating_sub(1);
            return Ok(None);
        }
        for need in operation.needs.clone() {
            let settled = lock(&progress.settled).get(&need.slot).cloned();
            let id = match (settled, &need.field) {
                (Some(Settled::Done(id)), _) => id,
                (Some(Settled::Waiting(why)), _) => {
                    self.wait(&operation, &why, progress);
                    return Ok(None);
                }
                (Some(Settled::Refused(_) | Settled::Absent(_)), Some(field)) => {
                    operation.fields.remove(field);
                    continue;
                }
                // What can be said once alone must not end in silence.
                (Some(Settled::Absent(why)), None) if operation.mode == Mode::Once => {
                    self.reject(&operation, &why, progress)?;
                    return Ok(None);
                }
                (Some(Settled::Absent(_)), None) => {
                    let mut report = lock(&progress.report);
                    report.changed = report.changed.saturating_sub(1);
                    return Ok(None);
                }
                (Some(Settled::Refused(why)), None) => {
                    self.reject(&operation, &format!("it needs {}: {why}", need.slot), progress)?;
                    return Ok(None);
                }
                (None, _) => None,
            };
            let id = match id {
                Some(id) => Some(id),
                None => self.store.kept_slot(&progress.namespace, &need.slot)?.record.remote_id,
            };
            if let Some(id) = id {
                operation.refs.insert(need.slot.clone(), id);
            }
        }
        if operation.fields.is_empty()
            && operation.create.is_none()
            && operation.mode == Mode::State
            && !operation.needs.is_empty()
        {
            // Nothing is left of it.
            let mut report = lock(&progress.report);
            report.changed = report.changed.saturating_sub(1);
            return Ok(None);
        }
        Ok(Some(operation))
    }

    /// True if an operation is about somebody who was erased after it was planned.
    fn is_forgotten(&self, operation: &Operation) -> Result<bool, StoreError> {
        let kind = operation.slot.split('/').next().unwrap_or_default();
        let sets = self.destination.connector.record_sets();
        let user = sets.iter().any(|set| set.kind == kind && set.level == Level::User);
        let letter = if user { USER } else { suppressed::ACCOUNT };
        Ok(!operation.subject.is_empty() && self.store.is_forgotten(letter, &operation.subject)?)
    }

    /// Leaves an operation for the next pass, and with it what needs it.
    fn wait(&self, operation: &Operation, why: &str, progress: &Progress) {
        if operation.mode != Mode::Read {
            lock(&progress.report).leave(1, why);
        }
        lock(&progress.settled).insert(operation.slot.clone(), Settled::Waiting(why.to_owned()));
    }

    /// Batches one after the other.
    async fn batches(&self, batches: Vec<Vec<Operation>>, progress: &Progress) -> Result<(), StoreError> {
        for batch in batches {
            self.batch(batch, progress).await?;
        }
        Ok(())
    }

    /// One batch to its end: halves it where it is refused as a whole, and sends what was refused once more, alone or with
    /// others like it.
    async fn batch(&self, operations: Vec<Operation>, progress: &Progress) -> Result<(), StoreError> {
        let mut open = vec![(operations, false)];
        while let Some((operations, once_more)) = open.pop() {
            let stopped = self.stop.load(Ordering::Relaxed).then(|| STOPPED.to_owned());
            if let Some(why) = stopped.or_else(|| lock(&progress.parked).clone()) {
                operations.iter().for_each(|operation| self.wait(operation, &why, progress));
                continue;
            }
            let alone = operations.len() == 1;
            let heard = self.converse(operations.clone(), progress).await?;
            let mut by_slot: BTreeMap<String, Outcome> =
                heard.receipts.into_iter().map(|receipt| (receipt.slot, receipt.outcome)).collect();
            let (mut confirmed, mut refused) = (Vec::new(), Vec::new());
            for operation in operations {
                match by_slot.remove(&operation.slot) {
                    None if heard.waiting.contains_key(&operation.slot) => {
                        let why = heard.waiting.get(&operation.slot).cloned().unwrap_or_default();
                        self.wait(&operation, &why, progress);
                    }
                    None if heard.again.contains(&operation.slot) => {
                        let mut report = lock(&progress.report);
                        report.changed = report.changed.saturating_sub(1);
                        lock(&progress.again).insert(operation.slot);
                    }
                    Some(Outcome::Rejected { .. }) | None if !alone => open.push((vec![operation], true)),
                    Some(Outcome::Refused { .. }) if !alone && !once_more => refused.push(operation),
                    Some(Outcome::Rejected { why } | Outcome::Refused { why }) => {
                        self.reject(&operation, &why, progress)?;
                    }
                    None => self.reject(&operation, "the tool answered without confirming this record", progress)?,
                    Some(outcome) => confirmed.push((operation, outcome)),
                }
            }
            if !refused.is_empty() {
                open.push((refused, true));
            }
            self.record(confirmed, progress)?;
        }
        Ok(())
    }
}
