//! The only loop that sends: claim, step, send, record.
//!
//! Connectors decide; this obeys. A few outcome words decide every retry: *Done* moves what is known, record by record;
//! *Retry* waits and sends the same again; *Split* tries both halves; a *rejected* record is sent once more alone, then kept in
//! quarantine with its reason; *NeedsLogin* stops this destination and no other. What was acknowledged is written before
//! anything else is sent for that record, so a process that dies anywhere starts again without loss, and an alert has a durable
//! mark before it is first sent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{
    ACCOUNT, Mode, Operation, Outcome, Pool, Receipt, Reply, Step, account_operation, scrub,
};

use crate::budget::Budget;
use crate::clock;
use crate::config::Destination;
use crate::http::{Client, Sent};
use crate::store::records::{Outgoing, Quarantined, VendorAccount, told};
use crate::store::{Batch, Store, StoreError};

/// So many batches of one destination are under way at once.
const LANES: usize = 4;
/// No batch takes more requests: a connector that never ends is a bug.
const MAX_REPLIES: usize = 200;
/// How long a pass waits for a tool in all before it leaves the rest to the next one.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// An occasion older than this is not sent.
pub const STALE_MS: i64 = 48 * 3_600_000;

/// What a sync of a destination came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Operations that were to be done: records to change, alerts to send.
    pub changed: u64,
    /// Requests that were sent, of any kind.
    pub sent_calls: u64,
    /// Operations that the tool confirmed.
    pub acknowledged: u64,
    /// Operations that the tool refused, now in quarantine.
    pub rejected: u64,
    /// Requests that were sent again.
    pub retried: u64,
    /// Operations left for the next pass.
    pub waiting: u64,
    /// Records that are not in the tool and are not to be created.
    pub absent: u64,
    /// Alerts that were sent.
    pub alerts_sent: u64,
    /// Alerts that were too old to send.
    pub alerts_stale: u64,
    /// Why this destination stopped, or what it waits for; what to do.
    pub notes: Vec<String>,
}

impl Delivered {
    /// Adds what another part of the same sync came to.
    pub fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.sent_calls += other.sent_calls;
        self.acknowledged += other.acknowledged;
        self.rejected += other.rejected;
        self.retried += other.retried;
        self.waiting += other.waiting;
        self.absent += other.absent;
        self.alerts_sent += other.alerts_sent;
        self.alerts_stale += other.alerts_stale;
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// Everything that a sync of one destination needs.
#[derive(Debug)]
pub struct Lanes<'a> {
    /// The state.
    pub store: &'a Store,
    /// Where to.
    pub destination: &'a Destination,
    /// The client with its address and token.
    pub client: &'a Client,
    /// Its vendor account's budgets.
    pub budget: &'a Budget,
    /// The run's as-of time.
    pub at: Timestamp,
    /// Set when the process is to end: no further batch is begun.
    pub stop: &'a AtomicBool,
    /// How long to wait for the tool in all.
    pub patience: Duration,
    /// Every secret of the config: whatever a tool says is cleaned of them.
    pub secrets: &'a [String],
}

#[derive(Debug)]
struct Progress {
    namespace: String,
    /// Since when nothing succeeded.
    failing_since: Mutex<Option<Instant>>,
    report: Mutex<Delivered>,
    /// What a slot of this pass became: the vendor's id, or refused.
    settled: Mutex<BTreeMap<String, Result<Option<String>, String>>>,
    /// Set by *NeedsLogin*: nothing more is sent.
    parked: AtomicBool,
    conflicts: AtomicU64,
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
    fn credentials(&self) -> u64 {
        let mut hasher = rustc_hash::FxHasher::default();
        (self.destination.token.expose(), &self.destination.base_url).hash(&mut hasher);
        hasher.finish()
    }

    /// The vendor account that a destination writes to, as far as it is known without asking.
    pub fn known_account(&self) -> Result<Option<String>, StoreError> {
        let kept: Option<VendorAccount> = self.store.meta(&format!("account:{}", self.destination.name))?;
        Ok(kept.filter(|kept| kept.credentials == self.credentials()).map(|kept| kept.id))
    }

    fn clean(&self, why: &str) -> String {
        let mut why = scrub(why);
        for secret in self.secrets.iter().filter(|secret| secret.len() >= 4) {
            why = why.replace(secret.as_str(), "<secret>");
        }
        why
    }

    fn progress(&self, namespace: String) -> Progress {
        Progress {
            namespace,
            failing_since: Mutex::default(),
            report: Mutex::default(),
            settled: Mutex::default(),
            parked: AtomicBool::new(false),
            conflicts: AtomicU64::new(0),
        }
    }

    /// Asks whose account this is, once for each token and address. `Err` is the report of a sync that could not begin.
    pub async fn account(&self) -> Result<Result<(String, Delivered), Delivered>, StoreError> {
        if let Some(id) = self.known_account()? {
            return Ok(Ok((id, Delivered::default())));
        }
        let progress = self.progress(String::new());
        let receipts = self.converse(vec![account_operation()], &progress).await?;
        let mut report = progress.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let id = receipts.into_iter().find_map(|receipt| match receipt.outcome {
            Outcome::Done { remote_id } if receipt.slot == ACCOUNT => remote_id,
            Outcome::Rejected { why } | Outcome::Absent { why } => {
                report.notes.push(self.clean(&why));
                None
            }
            Outcome::Done { .. } => None,
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

    /// Carries out operations. Returns what it came to, and how many of them are to be planned again at once: somebody else changed
    /// their records, and they are not in the report.
    pub async fn deliver(&self, account: &str, operations: Vec<Operation>) -> Result<(Delivered, u64), StoreError> {
        let progress = self.progress(told(&self.destination.name, account));
        lock(&progress.report).changed = operations.len() as u64;
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
            for (key, mut operations) in batches {
                let size = self.destination.connector.batch_size(&key).max(1);
                while operations.len() > size {
                    let rest = operations.split_off(size);
                    queue.push(std::mem::replace(&mut operations, rest));
                }
                queue.push(operations);
            }
            let mut queue = queue.into_iter();
            let mut running = FuturesUnordered::new();
            loop {
                while running.len() < LANES {
                    let Some(batch) = queue.next() else { break };
                    running.push(self.batch(batch, &progress));
                }
                match running.next().await {
                    Some(done) => done?,
                    None => break,
                }
            }
        }
        let again = progress.conflicts.load(Ordering::Relaxed);
        let report = progress.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((report, again))
    }

    /// Fills in the ids behind what an operation needs; fields whose need was refused drop out alone. `None`: it can't be done
    /// now, and that is recorded.
    fn with_needs(&self, mut operation: Operation, progress: &Progress) -> Result<Option<Operation>, StoreError> {
        for need in operation.needs.clone() {
            let settled = lock(&progress.settled).get(&need.slot).cloned();
            let id = match settled {
                Some(Ok(id)) => id,
                Some(Err(why)) => {
                    match &need.field {
                        Some(field) => {
                            operation.fields.remove(field);
                        }
                        None => {
                            self.reject(&operation, &format!("it needs {}: {why}", need.slot), progress)?;
                            return Ok(None);
                        }
                    }
                    continue;
                }
                None => None,
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
            lock(&progress.report).changed -= 1;
            return Ok(None);
        }
        Ok(Some(operation))
    }

    /// One batch to its end: halves it where it is refused as a whole, and sends a refused record once more alone.
    async fn batch(&self, operations: Vec<Operation>, progress: &Progress) -> Result<(), StoreError> {
        let mut open = vec![operations];
        while let Some(operations) = open.pop() {
            if self.stop.load(Ordering::Relaxed) || progress.parked.load(Ordering::Relaxed) {
                lock(&progress.report).waiting += operations.len() as u64;
                continue;
            }
            let alone = operations.len() == 1;
            let receipts = self.converse(operations.clone(), progress).await?;
            let mut by_slot: BTreeMap<String, Outcome> =
                receipts.into_iter().map(|receipt| (receipt.slot, receipt.outcome)).collect();
            if by_slot.is_empty() {
                continue;
            }
            let mut confirmed = Vec::new();
            for operation in operations {
                match by_slot.remove(&operation.slot) {
                    Some(Outcome::Rejected { .. }) | None if !alone => open.push(vec![operation]),
                    Some(Outcome::Rejected { why }) => self.reject(&operation, &why, progress)?,
                    None => self.reject(&operation, "the tool answered without confirming this record", progress)?,
                    Some(outcome) => confirmed.push((operation, outcome)),
                }
            }
            self.record(confirmed, progress)?;
        }
        Ok(())
    }

    /// Writes what a tool confirmed.
    fn record(&self, confirmed: Vec<(Operation, Outcome)>, progress: &Progress) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (operation, outcome) in &confirmed {
            let mut kept = self.store.kept_slot(&progress.namespace, &operation.slot)?;
            match outcome {
                Outcome::Done { remote_id } => {
                    if remote_id.is_some() {
                        kept.record.remote_id.clone_from(remote_id);
                    }
                    for (name, change) in &operation.fields {
                        kept.record.fields.insert(name.clone(), change.new.clone());
                    }
                    kept.absent_since = None;
                    kept.told_at = Some(self.at);
                    kept.subject.clone_from(&operation.subject);
                }
                _ => kept.absent_since = Some(self.at),
            }
            batch.put_kept(&progress.namespace, &operation.slot, &kept);
            batch.remove_quarantined(&self.destination.name, &operation.slot);
            if operation.mode == Mode::Once {
                batch.remove_outgoing(&self.destination.name, &operation.slot);
            }
        }
        self.store.apply(batch)?;
        let mut report = lock(&progress.report);
        let mut settled = lock(&progress.settled);
        for (operation, outcome) in confirmed {
            match outcome {
                Outcome::Done { remote_id } => {
                    report.acknowledged += 1;
                    report.alerts_sent += u64::from(operation.mode == Mode::Once);
                    settled.insert(operation.slot, Ok(remote_id));
                }
                _ => report.absent += 1,
            }
        }
        Ok(())
    }

    /// Puts an operation into quarantine.
    fn reject(&self, operation: &Operation, why: &str, progress: &Progress) -> Result<(), StoreError> {
        let why = self.clean(why);
        tracing::warn!(destination = %self.destination.name, slot = %operation.slot, why, "refused");
        let mut batch = Batch::default();
        batch.put_quarantined(
            &self.destination.name,
            &Quarantined {
                slot: operation.slot.clone(),
                subject: operation.subject.clone(),
                why: why.clone(),
                at: self.at,
                hash: operation_hash(operation),
            },
        );
        if operation.mode == Mode::Once {
            let outbox = self.store.outbox(&self.destination.name)?;
            if let Some(mut entry) = outbox.into_iter().find(|entry| entry.operation.slot == operation.slot) {
                entry.refused = Some(why.clone());
                batch.put_outgoing(&self.destination.name, &entry);
            }
        }
        self.store.apply(batch)?;
        lock(&progress.report).rejected += 1;
        lock(&progress.settled).insert(operation.slot.clone(), Err(why));
        Ok(())
    }

    /// One conversation about a batch. An empty answer means: left for the next pass, and counted so.
    async fn converse(&self, operations: Vec<Operation>, progress: &Progress) -> Result<Vec<Receipt>, StoreError> {
        let mut open = vec![operations];
        let mut receipts = Vec::new();
        while let Some(operations) = open.pop() {
            match self.talk(&operations, progress).await? {
                Talked::Done(done) => receipts.extend(done),
                Talked::Split if operations.len() > 1 => {
                    let mut operations = operations;
                    let half = operations.split_off(operations.len() / 2);
                    open.push(half);
                    open.push(operations);
                }
                Talked::Split => {
                    let slot = operations.into_iter().next().map(|operation| operation.slot).unwrap_or_default();
                    receipts
                        .push(Receipt { slot, outcome: Outcome::Rejected { why: "refused, without a reason".into() } });
                }
                Talked::Waiting => lock(&progress.report).waiting += operations.len() as u64,
                Talked::Again => {
                    lock(&progress.report).changed -= operations.len() as u64;
                    progress.conflicts.fetch_add(operations.len() as u64, Ordering::Relaxed);
                }
            }
        }
        Ok(receipts)
    }

    async fn talk(&self, operations: &[Operation], progress: &Progress) -> Result<Talked, StoreError> {
        let mut replies = self.begin(operations)?;
        let (mut attempt, mut heard) = (0u32, replies.len());
        let mut pool = None;
        let title = self.destination.manifest.title;
        loop {
            if replies.len() > MAX_REPLIES {
                return Ok(Talked::reject_all(
                    operations,
                    "the conversation did not come to an end; please report this",
                ));
            }
            match self.destination.connector.step(operations, &replies) {
                Step::Send(request) => {
                    // Only an unbroken row of failures makes the pauses longer.
                    if replies.len() > heard {
                        heard = replies.len();
                        attempt = 0;
                    }
                    if progress.parked.load(Ordering::Relaxed) || self.out_of_patience(&request.pool, progress) {
                        return Ok(Talked::Waiting);
                    }
                    self.budget.draw(&request.pool).await;
                    self.mark_attempted(operations)?;
                    {
                        let mut report = lock(&progress.report);
                        report.sent_calls += 1;
                        report.retried += u64::from(attempt > 0);
                    }
                    pool = Some(request.pool.clone());
                    match self.client.send(&request).await {
                        Sent::Reply(reply) => replies.push(reply),
                        Sent::Unreachable(why) => {
                            let why = format!("{title} can't be reached at {}: {why}", self.destination.base_url);
                            if !self.pause(None, attempt, &why, pool.as_ref(), progress).await {
                                return Ok(Talked::Waiting);
                            }
                            attempt += 1;
                            continue;
                        }
                    }
                }
                Step::Done(receipts) => {
                    *lock(&progress.failing_since) = None;
                    return Ok(Talked::Done(receipts));
                }
                Step::Retry { after, why } => {
                    replies.pop();
                    if !self.pause(after, attempt, &why, pool.as_ref(), progress).await {
                        return Ok(Talked::Waiting);
                    }
                    attempt += 1;
                }
                Step::Split { why } => {
                    tracing::debug!(destination = %self.destination.name, operations = operations.len(), why, "split");
                    if operations.len() == 1 {
                        return Ok(Talked::reject_all(operations, &why));
                    }
                    return Ok(Talked::Split);
                }
                Step::Reject { why } => return Ok(Talked::reject_all(operations, &why)),
                Step::Conflict { why } => {
                    tracing::info!(destination = %self.destination.name, why = self.clean(&why), "changed by somebody else; planned again");
                    if operations.len() > 1 {
                        return Ok(Talked::Split);
                    }
                    let mut batch = Batch::default();
                    for operation in operations {
                        batch.put_kept(&progress.namespace, &operation.slot, &Default::default());
                    }
                    self.store.apply(batch)?;
                    return Ok(Talked::Again);
                }
                Step::NeedsLogin { why } => {
                    let why = self.clean(&why);
                    if !progress.parked.swap(true, Ordering::Relaxed) {
                        tracing::error!(destination = %self.destination.name, why, "stopped");
                        lock(&progress.report).notes.push(why);
                    }
                    return Ok(Talked::Waiting);
                }
            }
        }
    }

    /// An alert that an earlier process began, or that broke off: nobody knows whether it was sent.
    fn begin(&self, operations: &[Operation]) -> Result<Vec<Reply>, StoreError> {
        let once = operations.iter().any(|operation| operation.mode == Mode::Once);
        if once && self.outgoing(operations)?.iter().any(|entry| entry.attempted_at.is_some()) {
            return Ok(vec![Reply::Lost { at: clock::system() }]);
        }
        Ok(Vec::new())
    }

    fn outgoing(&self, operations: &[Operation]) -> Result<Vec<Outgoing>, StoreError> {
        let outbox = self.store.outbox(&self.destination.name)?;
        Ok(outbox
            .into_iter()
            .filter(|entry| operations.iter().any(|operation| operation.slot == entry.operation.slot))
            .collect())
    }

    fn mark_attempted(&self, operations: &[Operation]) -> Result<(), StoreError> {
        if operations.iter().all(|operation| operation.mode == Mode::State) {
            return Ok(());
        }
        let mut batch = Batch::default();
        for mut entry in self.outgoing(operations)?.into_iter().filter(|entry| entry.attempted_at.is_none()) {
            entry.attempted_at = Some(self.at);
            batch.put_outgoing(&self.destination.name, &entry);
        }
        self.store.apply(batch)
    }

    /// When this pass gives up on the tool: so long after it last succeeded.
    fn deadline(&self, progress: &Progress) -> Instant {
        lock(&progress.failing_since).unwrap_or_else(Instant::now) + self.patience
    }

    fn out_of_patience(&self, pool: &Pool, progress: &Progress) -> bool {
        let deadline = self.deadline(progress);
        Instant::now() > deadline || self.budget.blocked_until(pool).is_some_and(|until| until > deadline)
    }

    /// Waits before the same request is sent again: as long as the tool said, else longer each time, with jitter. False: not in
    /// this pass any more.
    async fn pause(
        &self,
        after: Option<Duration>,
        attempt: u32,
        why: &str,
        pool: Option<&Pool>,
        progress: &Progress,
    ) -> bool {
        let mut hasher = rustc_hash::FxHasher::default();
        (attempt, clock::system().0).hash(&mut hasher);
        let jitter = 0.5 + (hasher.finish() % 1000) as f64 / 2000.0;
        let backoff = Duration::from_secs_f64((0.25 * 2f64.powi(attempt.min(8) as i32)).min(30.0) * jitter);
        let wait = after.unwrap_or(backoff);
        if let (Some(after), Some(pool)) = (after, pool) {
            self.budget.block(pool, after);
        }
        lock(&progress.failing_since).get_or_insert_with(Instant::now);
        let late = Instant::now() + wait > self.deadline(progress);
        if late || self.stop.load(Ordering::Relaxed) {
            let note = format!("waits: {}", self.clean(why));
            let mut report = lock(&progress.report);
            if !report.notes.contains(&note) {
                report.notes.push(note);
            }
            return false;
        }
        tracing::debug!(destination = %self.destination.name, wait_ms = wait.as_millis() as u64, why = self.clean(why), "sent again later");
        tokio::time::sleep(wait).await;
        !self.stop.load(Ordering::Relaxed)
    }
}

enum Talked {
    Done(Vec<Receipt>),
    Split,
    Waiting,
    Again,
}

impl Talked {
    fn reject_all(operations: &[Operation], why: &str) -> Self {
        let receipt = |operation: &Operation| Receipt {
            slot: operation.slot.clone(),
            outcome: Outcome::Rejected { why: why.to_owned() },
        };
        Self::Done(operations.iter().map(receipt).collect())
    }
}
