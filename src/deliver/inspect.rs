//! Asking a tool whether it can take what the config asks for, before anything is written.
//!
//! What it answers is not kept: the tool may be mended a minute later, and the sync makes sure of everything again.

use std::collections::BTreeMap;

use vitalsync_core::connector::{Operation, account_operation};
use vitalsync_core::section::{Fault, Place};

use super::{Lanes, Progress, lock};
use crate::store::StoreError;

/// What a tool said.
#[derive(Debug, Default)]
pub struct Inspected {
    /// What it can't take, each at its place.
    pub faults: Vec<Fault>,
    /// Why it could not be asked, if it could not.
    pub unasked: Option<String>,
}

impl Lanes<'_> {
    /// Asks whose account it is, then the connector's own questions. What concerns the destination as a whole, such as its
    /// token, is a fault of its place.
    pub async fn inspect(&self) -> Result<Inspected, StoreError> {
        let mut inspected = Inspected::default();
        let here = self.destination.place;
        self.put(vec![(here, account_operation())], &mut inspected).await?;
        if !inspected.faults.is_empty() || inspected.unasked.is_some() {
            return Ok(inspected);
        }
        let mut by_key: BTreeMap<String, Vec<(Place, Operation)>> = BTreeMap::new();
        for (place, question) in self.destination.connector.inspect() {
            by_key.entry(question.batch_key.clone()).or_default().push((place, question));
        }
        for (key, mut questions) in by_key {
            while !questions.is_empty() && inspected.unasked.is_none() {
                let size = self.destination.connector.batch_size(&key).clamp(1, questions.len());
                let rest = questions.split_off(size);
                self.put(questions, &mut inspected).await?;
                questions = rest;
            }
        }
        Ok(inspected)
    }

    /// Puts questions of one kind.
    async fn put(&self, questions: Vec<(Place, Operation)>, inspected: &mut Inspected) -> Result<(), StoreError> {
        let places: BTreeMap<String, Place> =
            questions.iter().map(|(place, question)| (question.slot.clone(), *place)).collect();
        let progress: Progress = self.progress(String::new(), true);
        let heard = self.converse(questions.into_iter().map(|(_, question)| question).collect(), &progress).await?;
        let fault =
            |place: Place, message: String| Fault { place, message: self.clean(&message), hint: None, warning: false };
        for receipt in heard.receipts {
            if let Some(why) = receipt.outcome.why() {
                let place = places.get(&receipt.slot).copied().unwrap_or(self.destination.place);
                inspected.faults.push(fault(place, why.to_owned()));
            }
        }
        if !heard.waiting.is_empty() {
            let notes = std::mem::take(&mut lock(&progress.report).notes).join("; ");
            // What is denied is denied to what was asked for.
            let place = match places.values().next() {
                Some(only) if places.len() == 1 => *only,
                _ => self.destination.place,
            };
            // A token that is refused is for the config to mend; a tool that can't be reached is not.
            match lock(&progress.parked).is_some() {
                true => inspected.faults.push(fault(place, notes)),
                false => inspected.unasked = Some(notes),
            }
        }
        Ok(())
    }
}
