//! A plan carried out as the shell does it, against the vendor's sandbox: what is known afterwards is what the vendor confirmed.

use std::collections::BTreeSet;

use vitalsync_core::connector::{Answer, Auth, Known, Operation, Outcome, Reply, Request, Step};
use vitalsync_core::{Connector, Timestamp};
use vitalsync_sandbox::{Sandbox, Vendor};

/// When the first request is sent: 2026-08-13T12:00:00Z.
const START: i64 = 1_786_622_400_000;
const TOKEN: &str = "token";

/// A vendor, and what it confirmed.
pub struct Told {
    vendor: Sandbox,
    now: i64,
    pub known: Known,
    /// What the vendor refused: it is wanted still, and would be planned again.
    pub refused: BTreeSet<String>,
}

impl Told {
    /// An empty account.
    pub fn of(name: &str) -> Self {
        let vendor = Vendor::named(name).unwrap_or_else(|| panic!("there is no sandbox of {name}"));
        let mut vendor = Sandbox::new(vendor, TOKEN);
        if name == "slack" {
            ["cs-alerts", "cs", "sales", "ops"].iter().for_each(|channel| drop(vendor.add_channel(channel)));
        }
        Self { vendor, now: START, known: Known::default(), refused: BTreeSet::new() }
    }

    /// Carries out a plan, what is needed first.
    pub fn carry_out(&mut self, connector: &dyn Connector, plan: Vec<Operation>) {
        let mut waiting = plan;
        while !waiting.is_empty() {
            let pending: BTreeSet<String> = waiting.iter().map(|operation| operation.slot.clone()).collect();
            let (ready, blocked): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|one| one.needs.iter().all(|need| !pending.contains(&need.slot)));
            assert!(!ready.is_empty(), "needs in a ring");
            waiting = blocked;
            let mut open = crate::batches(connector, self.fit(ready), &self.known);
            while let Some(mut batch) = open.pop() {
                match self.converse(connector, &batch) {
                    Step::Done(receipts) => {
                        for receipt in receipts {
                            let operation = batch.iter().find(|one| one.slot == receipt.slot).expect("its operation");
                            self.settle(operation, &receipt.outcome);
                        }
                    }
                    Step::Split { .. } => {
                        open.push(batch.split_off(batch.len() / 2));
                        open.push(batch);
                    }
                    Step::Reject { why } | Step::Conflict { why } => {
                        batch.iter().for_each(|one| self.settle(one, &Outcome::Rejected { why: why.clone() }));
                    }
                    other => panic!("{other:?} to {batch:?}"),
                }
            }
        }
    }

    /// Leaves out the fields whose need was refused, and operations that depend on one.
    fn fit(&mut self, operations: Vec<Operation>) -> Vec<Operation> {
        let mut fit = Vec::new();
        for mut operation in operations {
            let refused: Vec<_> =
                operation.needs.iter().filter(|need| self.refused.contains(&need.slot)).cloned().collect();
            if !refused.is_empty() {
                self.refused.insert(operation.slot.clone());
            }
            refused
                .iter()
                .filter_map(|need| need.field.as_ref())
                .for_each(|field| drop(operation.fields.remove(field)));
            let nothing = operation.fields.is_empty() && operation.create.is_none() && !operation.needs.is_empty();
            if refused.iter().all(|need| need.field.is_some()) && !nothing {
                fit.push(operation);
            }
        }
        fit
    }

    fn settle(&mut self, operation: &Operation, outcome: &Outcome) {
        self.known.confirm(operation, outcome);
        if matches!(outcome, Outcome::Rejected { .. } | Outcome::Refused { .. }) {
            self.refused.insert(operation.slot.clone());
        }
    }

    /// How a conversation ends.
    fn converse(&mut self, connector: &dyn Connector, batch: &[Operation]) -> Step {
        let mut kept = Vec::new();
        for _ in 0..200 {
            match connector.step(batch, &kept) {
                Step::Send(request) => kept.push(self.send(connector, &request)),
                Step::Retry { .. } => {
                    kept.pop();
                    self.now += 60_000;
                }
                end => return end,
            }
        }
        panic!("no end: {batch:?}")
    }

    fn send(&mut self, connector: &dyn Connector, request: &Request) -> Reply {
        self.now += 2_000;
        let manifest = connector.manifest();
        let own = matches!(manifest.auth, [Auth::Hook { .. }]);
        let path = if own { format!("/hooks/{TOKEN}{}", request.path) } else { request.path.clone() };
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))];
        headers.extend(request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if request.body.is_some() {
            headers.push(("content-type".to_owned(), manifest.content_type.to_owned()));
        }
        let body = request.body.clone().unwrap_or_default().into_bytes();
        let request = vitalsync_sandbox::Request { method: request.method.as_str().into(), path, headers, body };
        let reply = self.vendor.handle(&request, self.now);
        let headers = reply.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        Reply::Answer(Answer { status: reply.status, headers, body: reply.body, at: Timestamp(self.now) })
    }
}
