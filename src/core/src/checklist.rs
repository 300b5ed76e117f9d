//! Activation: checklists of what a new customer does once, and what follows from the days on which that was done. On which
//! day a step was done is found where counts are gathered.
//!
//! Steps are done in any order. There is deliberately no undoing: an event that was done stays done; only a trait that is unset
//! takes its step back.

use crate::expr::Expr;
use crate::figures::Account;
use crate::identity::Traits;
use crate::model::Model;
use crate::names::TraitNames;
use crate::time::Day;

/// An account is stalled after so many days without a new step, unless the checklist says otherwise.
pub const STALLED_AFTER: i32 = 14;

/// What is to be done once.
#[derive(Debug, Clone, PartialEq)]
pub struct Checklist {
    /// Its name.
    pub name: String,
    /// The accounts that it is for; everyone, if left out.
    pub only: Option<Expr>,
    /// The steps, at least one.
    pub steps: Vec<Step>,
    /// Days without a new step after which an account that is not activated is stalled.
    pub stalled_after: i32,
}

/// One step of a checklist.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What completes it.
    pub done: Done,
    /// How many users must have done it, each for themselves; `None`: all users of the account together.
    pub by: Option<u32>,
}

impl Step {
    /// A step that all users of an account do together.
    pub fn new(name: impl Into<String>, done: Done) -> Self {
        Self { name: name.into(), done, by: None }
    }
}

/// What completes a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// An event, so often.
    Event {
        /// The event's name; a derived event's [`crate::derived::Derived::counted_as`].
        event: String,
        /// How often, at least 1.
        count: u32,
    },
    /// A trait of the account or of one of its users that is set.
    Trait(String),
}

impl Checklist {
    /// A checklist for everyone.
    pub fn of(steps: Vec<Step>) -> Self {
        Self { name: "activation".into(), only: None, steps, stalled_after: STALLED_AFTER }
    }

    /// Sets an account's figures by the days on which each step was done. Its start must be known.
    pub(crate) fn judge(&self, done: &[Option<Day>], account: &mut Account, today: Day) {
        account.checklist = Some(self.name.clone());
        account.steps = self.steps.iter().zip(done).map(|(step, done)| (step.name.clone(), *done)).collect();
        account.activation_percent = share(account.steps_done(), self.steps.len());
        if account.missing_step().is_none() {
            account.activated_at = account.last_step_on();
            account.stalled = Some(false);
        } else if let Some(since) = account.last_step_on().max(account.start) {
            let days = (today.0 - since.0).max(0);
            account.days_stalled = Some(days);
            account.stalled = Some(days >= self.stalled_after);
        }
    }
}

/// The place of the checklist of an account with these traits: the first that is for it.
pub(crate) fn checklist_of(model: &Model, id: &str, traits: &Traits) -> Option<usize> {
    let names = TraitNames { id, id_name: "account", traits, model: Some(model) };
    model.activation.iter().position(|list| list.only.as_ref().is_none_or(|only| only.holds(&names)))
}

/// A part of a whole in percent; `None` of nothing.
pub(crate) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}
