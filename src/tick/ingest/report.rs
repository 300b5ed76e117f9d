//! What reading a source came to, in numbers and examples.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::names::SUPPRESSED;

/// So many examples of each kind of rejected line are kept.
const EXAMPLES: usize = 3;

/// What reading a source came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceReport {
    /// Calls that were read, repeated ones included.
    pub calls_read: u64,
    /// Of these, events (track, page, screen) that were counted.
    pub events_counted: u64,
    /// Calls that had been counted before.
    pub duplicates: u64,
    /// Events and statements of people and accounts that are to be forgotten.
    pub suppressed: u64,
    /// Users whom the source asked to forget.
    pub deletions: u64,
    /// Lines and files that were not counted, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Calls that were counted under `other`, because their account had too many names: by the kind of name.
    pub other: BTreeMap<String, u64>,
    /// Values of traits that were not kept: numbers that are not finite, and what is no text. Their calls count.
    pub unkept: u64,
    /// The first of each reason: file, line, reason.
    pub examples: Vec<String>,
    /// Files from which something was read.
    pub files_read: u64,
    /// Files that had other bytes than before.
    pub files_rewritten: u64,
    /// Days of receipt that were counted anew.
    pub days_recounted: u64,
    /// Days of receipt that were to be counted anew and were left as they were, because files of theirs are gone.
    pub days_kept: u64,
    /// The first of those files.
    pub files_gone: Vec<String>,
    /// Calls that were not counted: they came so late that their repetition can't be noticed any more, and their days, which
    /// would be counted anew, are beyond `retention`.
    pub too_old: u64,
    /// Why the source as a whole could not be read.
    pub failed: Option<String>,
    /// Files that were read to count their days anew: what is said of them is not said again.
    #[serde(skip)]
    pub(crate) told: BTreeSet<String>,
}

impl SourceReport {
    /// Adds what reading more of the source came to.
    pub fn add(&mut self, other: Self) {
        self.calls_read += other.calls_read;
        self.events_counted += other.events_counted;
        self.duplicates += other.duplicates;
        self.suppressed += other.suppressed;
        self.deletions += other.deletions;
        self.files_read += other.files_read;
        self.files_rewritten += other.files_rewritten;
        self.days_recounted += other.days_recounted;
        self.days_kept += other.days_kept;
        self.too_old += other.too_old;
        self.unkept += other.unkept;
        other.rejected.into_iter().for_each(|(reason, count)| *self.rejected.entry(reason).or_default() += count);
        other.other.into_iter().for_each(|(kind, count)| *self.other.entry(kind).or_default() += count);
        self.examples.extend(other.examples);
        self.files_gone.extend(other.files_gone);
        self.told.extend(other.told);
        self.failed = self.failed.take().or(other.failed);
    }

    pub(super) fn reject(&mut self, reason: &str, example: impl FnOnce() -> String) {
        let count = self.rejected.entry(reason.to_owned()).or_default();
        *count += 1;
        if *count <= EXAMPLES as u64 {
            self.examples.push(format!("{}: {reason}", example()));
        }
    }

    /// True if it tells something that the last report does not: what is wrong with a file is told again by every reading.
    pub(crate) fn is_news_after(&self, last: &Self) -> bool {
        let is_more = |(reason, count): (&String, &u64)| last.rejected.get(reason).is_none_or(|told| told < count);
        let brought = [self.files_read, self.files_rewritten, self.days_recounted, self.days_kept, self.deletions];
        brought.iter().any(|count| *count > 0) || self.rejected.iter().any(is_more)
    }

    /// Days that were counted anew, and such as can't be, a line each.
    pub fn said_of_days(&self) -> impl Iterator<Item = String> {
        let anew = (self.days_recounted > 0).then(|| format!("{} days of receipt counted anew", self.days_recounted));
        let kept = (self.days_kept > 0).then(|| {
            format!(
                "{} days of receipt keep what was counted before: files that held them, or calls that are repeated on them, are gone ({} …)",
                self.days_kept,
                self.files_gone.join(", ")
            )
        });
        anew.into_iter().chain(kept)
    }

    /// What was not counted, by reason, and the first of each: a line each.
    pub fn said_of_rejected(&self) -> impl Iterator<Item = String> + '_ {
        let more = self.rejected.values().sum::<u64>().saturating_sub(self.examples.len() as u64);
        let reasons = self.rejected.iter().map(|(reason, count)| format!("rejected: {count} {reason}"));
        let examples = self.examples.iter().map(|example| format!("not counted: {example}"));
        reasons.chain(examples).chain((more > 0).then(|| format!("… and {more} more")))
    }

    /// What was counted under `other`, or not kept, for want of room for names or because it is no value: a line each.
    pub fn said_of_names(&self) -> impl Iterator<Item = String> + '_ {
        let unkept = (self.unkept > 0)
            .then(|| format!("{} values of traits were not kept: no finite number, or no text", self.unkept));
        unkept.into_iter().chain(self.said_of_room())
    }

    fn said_of_room(&self) -> impl Iterator<Item = String> + '_ {
        self.other.iter().map(|(what, count)| match what.as_str() {
            "accounts" | "sets of traits" => format!("{count} statements were not kept: too many or too large {what}"),
            _ => format!("{count} calls are counted under `other`: too many or too long {what} in an account"),
        })
    }

    pub(super) fn count_other(&mut self, what: &str) {
        if what == SUPPRESSED {
            self.suppressed += 1;
        } else {
            *self.other.entry(what.to_owned()).or_default() += 1;
        }
    }
}
