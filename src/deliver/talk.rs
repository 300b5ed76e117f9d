//! One conversation with a tool: ask the connector, send, wait, ask again, until it says how it ended.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use vitalsync_core::connector::{
    ACCOUNT, KnownRecord, Mode, Operation, Outcome, Pool, Receipt, Reply, Request, Slot, Step,
};

use super::access::Told;
use super::breaker::Breaker;
use super::delivered::WAITS;
use super::{Lanes, Progress, STOPPED, lock};
use crate::budget::Budget;
use crate::clock;
use crate::http::Sent;
use crate::store::records::{Kept, Outgoing};
use crate::store::{Batch, StoreError};

/// No conversation takes more requests: a connector that never ends is a bug.
const MAX_REPLIES: usize = 200;
/// So often in a row a request is sent again before its batch is left for the next pass and makes room for others.
const MAX_ATTEMPTS: u32 = 6;
/// How often a wait looks whether the process is to end.
const NAP: Duration = Duration::from_millis(200);

/// What conversations about a batch came to.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What the tool confirmed or refused.
    pub receipts: Vec<Receipt>,
    /// Slots that are left for the next pass, with why.
    pub waiting: BTreeMap<String, String>,
    /// Slots that are to be planned again.
    pub again: Vec<String>,
}

pub(super) enum Talked {
    Done(Vec<Receipt>),
    Split,
    Waiting(String),
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

impl Lanes<'_> {
    /// A batch to its end: where it is refused as a whole, both halves.
    pub(super) async fn converse(&self, operations: Vec<Operation>, progress: &Progress) -> Result<Heard, StoreError> {
        let mut open = vec![operations];
        let mut heard = Heard::default();
        while let Some(operations) = open.pop() {
            let slots = operations.iter().map(|operation| operation.slot.clone());
            match self.talk(&operations, progress).await? {
                Talked::Done(done) => heard.receipts.extend(done),
                Talked::Waiting(why) => heard.waiting.extend(slots.map(|slot| (slot, why.clone()))),
                Talked::Again => heard.again.extend(slots),
                Talked::Split => {
                    let mut operations = operations;
                    let half = operations.split_off(operations.len() / 2);
                    open.push(half);
                    open.push(operations);
                }
            }
        }
        Ok(heard)
    }

    async fn talk(&self, operations: &[Operation], progress: &Progress) -> Result<Talked, StoreError> {
        self.talk_by(operations, |replies| self.destination.connector.step(operations, replies), progress).await
    }

    /// A conversation in which `step` says what comes next.
    pub(super) async fn talk_by(
        &self,
        operations: &[Operation],
        mut step: impl FnMut(&[Reply]) -> Step + Send,
        progress: &Progress,
    ) -> Result<Talked, StoreError> {
        let mut replies = self.begin(operations)?;
        let (mut attempt, mut heard) = (0u32, replies.len());
        let (mut sent, mut begun): (Option<Request>, bool) = (None, false);
        loop {
            if replies.len() > MAX_REPLIES {
                return Ok(Talked::reject_all(
                    operations,
                    "the conversation did not come to an end; please report this",
                ));
            }
            if let Some(id) = self.nameless(operations, &replies) {
                let slot = ACCOUNT.to_owned();
                return Ok(Talked::Done(vec![Receipt { slot, outcome: Outcome::Done { remote_id: Some(id) } }]));
            }
            match step(&replies) {
                Step::Send(request) => {
                    // Only an unbroken row of failures makes the pauses longer.
                    if replies.len() > heard {
                        heard = replies.len();
                        attempt = 0;
                    }
                    if let Err(why) = self.turn(&request.pool, attempt > 0, progress).await {
                        return Ok(Talked::Waiting(why));
                    }
                    self.mark_attempted(operations)?;
                    if !begun {
                        self.mark_begun(operations, progress)?;
                        begun = true;
                    }
                    {
                        let mut report = lock(&progress.report);
                        report.sent_calls += 1;
                        report.retried += u64::from(attempt > 0);
                    }
                    match self.tool.client.send(&request, self.store).await? {
                        Told::Sent(Sent::Reply(reply)) => {
                            self.heed(&request.pool, &reply, progress);
                            replies.push(reply);
                        }
                        Told::NeedsLogin(why) => {
                            lock(&self.tool.breaker).gave_up();
                            lock(&progress.report).sent_calls -= 1;
                            if replies.is_empty() {
                                self.unmark_attempted(operations)?;
                            }
                            return Ok(self.locked_out(&why, progress));
                        }
                        Told::Sent(Sent::Unreachable(why)) => {
                            lock(&self.tool.breaker).failed(Instant::now());
                            if replies.is_empty() {
                                self.unmark_attempted(operations)?;
                            }
                            let (title, url) = (self.destination.manifest.title, &self.destination.base_url);
                            let why = format!("{title} can't be reached at {url}: {why}");
                            if let Err(why) = self.pause(None, attempt, &why, Some(&request.pool), progress).await {
                                return Ok(Talked::Waiting(why));
                            }
                            attempt += 1;
                        }
                    }
                    sent = Some(request);
                }
                Step::Done(receipts) => {
                    *lock(&progress.failing_since) = None;
                    return Ok(Talked::Done(receipts));
                }
                Step::Retry { after, why } => {
                    self.unmark_if_refused(operations, &replies)?;
                    let answered = replies.pop();
                    let pool = sent.as_ref().map(|request| &request.pool);
                    if let (Some(Reply::Answer(answer)), Some(pool)) = (answered, pool)
                        && answer.status == 429
                    {
                        self.budget(pool).refused(pool);
                    }
                    if let Err(why) = self.pause(after, attempt, &why, pool, progress).await {
                        return Ok(Talked::Waiting(why));
                    }
                    attempt += 1;
                }
                Step::Split { why } if operations.len() > 1 => {
                    tracing::debug!(destination = %self.destination.name, operations = operations.len(), why, "split");
                    return Ok(Talked::Split);
                }
                Step::Split { why } | Step::Reject { why } => {
                    self.unmark_if_refused(operations, &replies)?;
                    return Ok(Talked::reject_all(operations, &why));
                }
                Step::Conflict { .. } if operations.len() > 1 => return Ok(Talked::Split),
                Step::Conflict { why } => return self.forget(operations, &why, progress),
                Step::Missing { slots, why } => return self.forget_needs(operations, &slots, &why, progress),
                Step::NeedsLogin { why } => {
                    self.unmark_if_refused(operations, &replies)?;
                    return Ok(self.locked_out(&why, progress));
                }
            }
        }
    }

    /// Nothing more is sent to this destination: somebody must log in, or mend the token.
    fn locked_out(&self, why: &str, progress: &Progress) -> Talked {
        let why = self.clean(why);
        let mut parked = lock(&progress.parked);
        if parked.is_none() {
            tracing::error!(destination = %self.destination.name, why, "stopped");
            lock(&progress.report).notes.push(why.clone());
            *parked = Some(why.clone());
        }
        Talked::Waiting(why)
    }

    /// Somebody else changed a record: what was known of it is forgotten, and it is planned again.
    fn forget(&self, operations: &[Operation], why: &str, progress: &Progress) -> Result<Talked, StoreError> {
        let why = self.clean(why);
        tracing::info!(destination = %self.destination.name, why, "changed by somebody else; planned again");
        let mut batch = Batch::default();
        let (mut chosen, mut stays) = (false, "");
        for operation in operations {
            let before = self.store.kept_slot(&progress.namespace, &operation.slot)?;
            chosen |= before.chosen && before.record.remote_id.is_some();
            if !before.chosen {
                batch.put_kept(&progress.namespace, &operation.slot, &self.without_id(operation, before));
            } else if let Some(left) = before.record.instead_of {
                stays = "; the record before it stands again";
                let kept = Kept { record: *left, subject: before.subject, ..Kept::default() };
                batch.put_kept(&progress.namespace, &operation.slot, &kept);
            }
        }
        self.store.apply(batch)?;
        if chosen {
            let why = format!("the record that `vitalsync match import` named is not to be had: {why}{stays}");
            return Ok(Talked::reject_all(operations, &why));
        }
        Ok(if progress.last { Talked::reject_all(operations, &why) } else { Talked::Again })
    }

    /// Somebody took away what records need: it is forgotten and planned again, with the records.
    fn forget_needs(
        &self,
        operations: &[Operation],
        slots: &[Slot],
        why: &str,
        progress: &Progress,
    ) -> Result<Talked, StoreError> {
        let why = self.clean(why);
        tracing::info!(destination = %self.destination.name, why, "taken away by somebody; made again");
        let mut batch = Batch::default();
        slots.iter().for_each(|slot| batch.put_kept(&progress.namespace, slot, &Kept::default()));
        self.store.apply(batch)?;
        Ok(if progress.last { Talked::reject_all(operations, &why) } else { Talked::Again })
    }

    /// What is kept of a record whose id is forgotten: what it was told, by which its tags are found again. Of schema nothing.
    fn without_id(&self, operation: &Operation, before: Kept) -> Kept {
        let kind = operation.slot.split('/').next().unwrap_or_default();
        if !self.destination.connector.record_sets().iter().any(|set| set.kind == kind) {
            return Kept::default();
        }
        let record = KnownRecord { fields: before.record.fields, ..KnownRecord::default() };
        Kept { record, subject: before.subject, begun: before.begun, ..Kept::default() }
    }

    /// A tool that won't say whose account this is, though it may take everything else (a token without that scope, a proxy):
    /// the account is named by its address and token.
    fn nameless(&self, operations: &[Operation], replies: &[Reply]) -> Option<String> {
        let (operation, Some(Reply::Answer(answer))) = (operations.first()?, replies.last()) else { return None };
        let unknown = answer.status == 200 && answer.body.contains("unknown_method");
        let refused = unknown || matches!(answer.status, 403..=405 | 410 | 501);
        (operation.slot == ACCOUNT && refused).then(|| self.name_by_credentials())
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
        if operations.iter().all(|operation| operation.mode == Mode::State) {
            return Ok(Vec::new());
        }
        let outbox = self.store.outbox(&self.destination.name)?;
        let ours = |entry: &Outgoing| operations.iter().any(|operation| operation.slot == entry.operation.slot);
        Ok(outbox.into_iter().filter(ours).collect())
    }

    /// From here on nobody knows whether it was sent, until the tool says so.
    fn mark_attempted(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for mut entry in self.outgoing(operations)?.into_iter().filter(|entry| entry.attempted_at.is_none()) {
            entry.attempted_at = Some(self.at);
            batch.put_outgoing(&self.destination.name, &entry);
        }
        self.store.apply(batch)
    }

    /// From here on the fields hold what is known or what is sent, until the tool says which: a process that dies now, or an
    /// answer that never comes, must not leave what is known for true.
    fn mark_begun(&self, operations: &[Operation], progress: &Progress) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for operation in operations.iter().filter(|operation| operation.mode == Mode::State) {
            let mut kept = self.store.kept_slot(&progress.namespace, &operation.slot)?;
            let told = kept.record.fields.clone();
            let changed = operation.fields.iter().map(|(field, change)| (field.clone(), change.new.clone()));
            let before = kept.begun.clone();
            kept.begun.extend(changed.filter(|(field, new)| told.get(field) != Some(new)));
            if kept.begun != before {
                kept.subject.clone_from(&operation.subject);
                batch.put_kept(&progress.namespace, &operation.slot, &kept);
            }
        }
        self.store.apply(batch)
    }

    /// It was certainly not sent.
    fn unmark_attempted(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for mut entry in self.outgoing(operations)? {
            entry.attempted_at = None;
            batch.put_outgoing(&self.destination.name, &entry);
        }
        self.store.apply(batch)
    }

    /// The only thing that was ever sent of it was refused in so many words, so it is not there.
    fn unmark_if_refused(&self, operations: &[Operation], replies: &[Reply]) -> Result<(), StoreError> {
        match replies {
            [Reply::Answer(answer)] if answer.status < 500 => self.unmark_attempted(operations),
            _ => Ok(()),
        }
    }

    /// When this pass gives up on the tool: so long after it last succeeded.
    fn deadline(&self, progress: &Progress) -> Instant {
        lock(&progress.failing_since).unwrap_or_else(Instant::now) + self.patience
    }

    pub(super) fn budget(&self, pool: &Pool) -> Arc<Budget> {
        self.tool.budget(self.destination, pool)
    }

    /// What an answer says besides what it answers: whether the tool works, and how fast it may be asked.
    fn heed(&self, pool: &Pool, reply: &Reply, progress: &Progress) {
        let mut breaker = lock(&self.tool.breaker);
        if Breaker::is_failure(reply) {
            breaker.failed(Instant::now())
        } else {
            breaker.succeeded()
        }
        let Reply::Answer(answer) = reply else { return };
        if let Some(limit) = self.destination.connector.limit(pool, answer) {
            self.budget(pool).learn(pool, limit);
        }
        // The last calls of a long span are left to others.
        if let Some((rest, why)) = self.destination.connector.rest(answer) {
            self.budget(pool).block(pool, rest);
            let note = format!("{WAITS}{why}");
            let mut report = lock(&progress.report);
            if !report.notes.contains(&note) {
                report.notes.push(note);
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until the process is to end.
    async fn stopped(&self) {
        while !self.stopping() {
            tokio::time::sleep(NAP).await;
        }
    }

    /// Waits until one request may be sent; `Err`: not in this pass, and why.
    async fn turn(&self, pool: &Pool, again: bool, progress: &Progress) -> Result<(), String> {
        let budget = self.budget(pool);
        let turn = (self.destination.name.clone(), again);
        let impatient = || format!("{} asks for more patience than a pass has", self.destination.manifest.title);
        loop {
            if let Some(why) = lock(&progress.parked).clone() {
                return Err(why);
            }
            let deadline = self.deadline(progress);
            if budget.blocked_until(pool).is_some_and(|until| until > deadline) {
                return Err(impatient());
            }
            let asked = lock(&self.tool.breaker).ask(Instant::now());
            let until = match asked {
                Ok(()) if Instant::now() <= deadline => break,
                Ok(()) => {
                    lock(&self.tool.breaker).gave_up();
                    return Err(format!("{} gave no good answer in time", self.destination.manifest.title));
                }
                Err(until) if until > deadline => return Err(self.broken()),
                Err(until) => until,
            };
            tokio::select! {
                biased;
                () = self.stopped() => return Err(STOPPED.to_owned()),
                () = tokio::time::sleep_until(until) => {}
            }
        }
        tokio::select! {
            biased;
            () = self.stopped() => {
                lock(&self.tool.breaker).gave_up();
                Err(STOPPED.to_owned())
            }
            drawn = budget.draw(pool, &turn, || self.deadline(progress)) => match drawn {
                true => Ok(()),
                false => {
                    lock(&self.tool.breaker).gave_up();
                    Err(impatient())
                }
            },
        }
    }

    /// That the breaker is open, in words.
    fn broken(&self) -> String {
        let title = self.destination.manifest.title;
        match lock(&self.tool.breaker).state(Instant::now()) {
            Some((failures, _)) => format!("{title} failed {failures} times in a row; it is tried again now and then"),
            None => format!("{title} failed"),
        }
    }

    /// Waits before the same request is sent again: as long as the tool said, else longer each time, with jitter. `Err`: not
    /// in this pass any more, and why.
    async fn pause(
        &self,
        after: Option<Duration>,
        attempt: u32,
        why: &str,
        pool: Option<&Pool>,
        progress: &Progress,
    ) -> Result<(), String> {
        let mut hasher = rustc_hash::FxHasher::default();
        (attempt, clock::system().0).hash(&mut hasher);
        let jitter = 0.5 + (hasher.finish() % 1000) as f64 / 2000.0;
        let backoff = Duration::from_secs_f64((0.25 * 2f64.powi(attempt.min(8) as i32)).min(30.0) * jitter);
        let wait = after.unwrap_or(backoff);
        if let (Some(after), Some(pool)) = (after, pool) {
            self.budget(pool).block(pool, after);
        }
        lock(&progress.failing_since).get_or_insert_with(Instant::now);
        let late = Instant::now() + wait > self.deadline(progress) || attempt >= MAX_ATTEMPTS;
        if !late && !self.stopping() {
            tracing::debug!(destination = %self.destination.name, wait_ms = wait.as_millis() as u64, why = self.clean(why), "sent again later");
            tokio::select! {
                () = self.stopped() => {}
                () = tokio::time::sleep(wait) => return Ok(()),
            }
        }
        let why = self.clean(why);
        lock(&progress.report).note(format!("{WAITS}{why}"));
        Err(why)
    }
}
