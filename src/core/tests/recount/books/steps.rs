//! The recount of activation: which steps were done when.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{Account, Books, Done, set_since};
use crate::setup::StepSetup;

impl Books {
    pub(super) fn checklist(&self, account: &str) -> Option<&Vec<StepSetup>> {
        let found = self.setup.checklists.iter().find(|(whom, _)| self.is_for(whom, account, self.today));
        found.map(|(_, steps)| steps)
    }

    pub(super) fn activation(&self, account: &mut Account, start: Option<NaiveDate>) {
        let Some(steps) = self.checklist(&account.id) else { return };
        let users: BTreeSet<&String> = self.events_of(&account.id).map(|done| &done.user).collect();
        for step in steps {
            let done = match step {
                StepSetup::Event(event, count, by) => {
                    let reached = |whose: &dyn Fn(&Done) -> bool| {
                        let found = self.events_of(&account.id).filter(|done| done.event == *event && whose(done));
                        let mut days: Vec<NaiveDate> = found.map(|done| done.day).collect();
                        days.sort();
                        days.get(count - 1).copied()
                    };
                    let alone = users.iter().filter_map(|user| reached(&|done| done.user == **user));
                    if *by == 0 { reached(&|_| true) } else { nth(alone.collect(), *by) }
                }
                StepSetup::Trait(name, by) if *by > 0 => {
                    let theirs = users.iter().filter_map(|user| set_since(&self.user_statements(user), name));
                    nth(theirs.collect(), *by)
                }
                StepSetup::Trait(name, _) => {
                    let own = set_since(&self.account_statements(&account.id), name);
                    let theirs = users.iter().map(|user| set_since(&self.user_statements(user), name));
                    theirs.chain([own]).flatten().min()
                }
            };
            account.steps.push((step.name(), done));
        }
        let days: Vec<NaiveDate> = account.steps.iter().filter_map(|(_, day)| *day).collect();
        account.activation_percent = Some(100.0 * days.len() as f64 / account.steps.len() as f64);
        if days.len() == account.steps.len() {
            account.activated_at = days.iter().max().copied();
            account.stalled = Some(false);
        } else if let Some(last) = days.iter().copied().chain(start).max() {
            account.days_stalled = Some((self.today - last).num_days().max(0));
            account.stalled = account.days_stalled.map(|days| days >= 14);
        }
    }
}

/// The day of the n-th.
fn nth(mut days: Vec<NaiveDate>, n: usize) -> Option<NaiveDate> {
    days.sort();
    days.get(n - 1).copied()
}
