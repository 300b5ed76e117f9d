//! Whom people said to leave alone in a tool: with them everything that is kept of them there, their record, its tags, and who
//! belongs to which company.

use std::collections::BTreeSet;

use vitalsync_core::mapping::{Level, RecordSet};

use crate::store::records::Kept;

/// Accounts and users by their own ids.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    accounts: BTreeSet<String>,
    users: BTreeSet<String>,
}

impl Ignored {
    /// Those of a destination, by its record sets and what is kept of them.
    pub fn of<'a>(sets: &[RecordSet], kept: impl IntoIterator<Item = (&'a String, &'a Kept)>) -> Self {
        let mut ignored = Self::default();
        for (slot, kept) in kept.into_iter().filter(|(_, kept)| kept.ignored) {
            let subjects = if is_of_user(sets, slot) { &mut ignored.users } else { &mut ignored.accounts };
            subjects.insert(kept.subject.clone());
        }
        ignored
    }

    /// Whether a slot, or a kind of record, is about one of them.
    pub fn has(&self, sets: &[RecordSet], slot: &str, subject: &str) -> bool {
        if is_of_user(sets, slot) { self.users.contains(subject) } else { self.accounts.contains(subject) }
    }
}

fn is_of_user(sets: &[RecordSet], slot: &str) -> bool {
    let kind = slot.split('/').next().unwrap_or_default();
    sets.iter().any(|set| set.kind == kind && set.level == Level::User)
}
