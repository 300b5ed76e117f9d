//! Asking a tool for what people wrote there: traits of matched accounts and users, as statements of today.
//!
//! A page's statements, what is known to have been said, and the cursor are one durable write, so a reading goes on where it
//! stopped. What did not change is not stated again: a value's age is that of its change. Once a day everything is read, which
//! mends what an index missed. A tool that can't be read holds up nobody: usage is what scores are of, and traits keep their
//! last values; the run says so.
//!
//! Deliberately not here: accounts that nothing else states, and taking values back of records that were deleted in the tool.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vitalsync_core::Timestamp;
use vitalsync_core::mapping::Level;
use vitalsync_core::message::Message;
use vitalsync_core::reader::{Found, Page};
use vitalsync_core::usage::{About, Content, Id, Stated, Subject, USER, joined};
use vitalsync_core::value::Value;

use super::ingest::generation;
use super::ingest::names::Filing;
use super::{Dated, Engine, poisoned};
use crate::config::Reading;
use crate::report::{ReadingReport, ReadingStatus};
use crate::store::records::{Kept, told};
use crate::store::suppressed::ACCOUNT;
use crate::store::{Batch, StoreError, codec, usage};

/// Everything is read again after so long.
const FULL_MS: i64 = 24 * 3_600_000;
/// No reading has more pages.
const MOST_PAGES: usize = 100_000;

/// What is remembered of a source that asks a tool.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The vendor's account that was read.
    account: String,
    /// The reader's own.
    cursor: Json,
    /// When everything was last begun to be read.
    full_at: Option<Timestamp>,
    /// When a reading last came to its end.
    done_at: Option<Timestamp>,
}

/// Whom records are, by the level and the tool's id, as destinations of the same vendor account know.
type Matches = BTreeMap<(bool, String), String>;

fn meta(name: &str) -> String {
    format!("reading:{name}")
}

/// The kind of a record in slots: what erasing somebody looks for.
fn kind(level: Level) -> &'static str {
    match level {
        Level::Account => "company",
        Level::User => "contact",
    }
}

impl Engine {
    /// Reads what is new in a tool.
    pub async fn read_tool(&self, reading: &Reading) -> anyhow::Result<ReadingReport> {
        let mut report = ReadingReport::default();
        let at = self.clock.now();
        let tool = &reading.tool;
        if let (Some(lanes), Some(reader)) = (self.lanes(tool, at), tool.connector.reader()) {
            match lanes.account(false).await? {
                Err(failed) => report.stop(failed),
                Ok((account, asked)) => {
                    report.add(&asked);
                    self.tools.know(tool, &account);
                    let mut state: State = self.store.meta(&meta(&reading.name))?.unwrap_or_default();
                    if state.account != account {
                        state = State { account, ..State::default() };
                    }
                    let full = state.full_at.is_none_or(|full| at.0 - full.0 >= FULL_MS || full > at);
                    if full || state.cursor.is_null() {
                        (state.cursor, state.full_at) = (Json::Null, Some(at));
                    }
                    let matches = self.known_by_destinations(reading, &state.account)?;
                    let mut seen = BTreeSet::new();
                    for _ in 0..MOST_PAGES {
                        self.check_stop()?;
                        let (page, took) = lanes.page(reader, &state.cursor).await?;
                        let Some(page) = page else {
                            report.stop(took);
                            break;
                        };
                        report.add(&took);
                        let more = page.more;
                        self.file_page(reading, page, &matches, at, &mut seen, &mut state, &mut report)?;
                        if !more {
                            break;
                        }
                    }
                }
            }
        }
        let mut batch = Batch::default();
        batch.put_meta(&format!("report:reading:{}", reading.name), &Dated { at, report: report.clone() });
        self.store.apply(batch)?;
        match &report.failed {
            Some(why) => {
                tracing::warn!(source = %reading.name, why, "not read to its end; traits keep their last values")
            }
            None => tracing::info!(
                source = %reading.name,
                records = report.records,
                matched = report.matched,
                changed = report.changed,
                sent_calls = report.sent_calls,
                "read"
            ),
        }
        Ok(report)
    }

    /// How a source that asks a tool stands.
    pub(super) fn reading_status(&self, reading: &Reading, now: Timestamp) -> Result<ReadingStatus, StoreError> {
        let last: Option<Dated<ReadingReport>> = self.store.meta(&format!("report:reading:{}", reading.name))?;
        let state: State = self.store.meta(&meta(&reading.name))?.unwrap_or_default();
        // When it was read is as of a run, as everything of the data.
        let late = state.done_at.filter(|done| self.clock.now().0 - done.0 > reading.late_ms);
        Ok(ReadingStatus {
            kind: reading.tool.manifest.name.to_owned(),
            last_run: last.as_ref().map(|last| last.at.to_string()),
            last: last.map(|last| last.report),
            late_since: late.map(|late| late.to_string()),
            next_run: reading.tool.schedule.after(now).map(|next| next.to_string()),
        })
    }

    /// Whose record is whose, as destinations of the same vendor account know.
    fn known_by_destinations(&self, reading: &Reading, account: &str) -> Result<Matches, StoreError> {
        let mut matches = Matches::new();
        let same = |name: &str| name == reading.tool.manifest.name;
        for destination in self.config.destinations.iter().filter(|one| same(one.manifest.name)) {
            for (slot, kept) in self.store.kept(&told(&destination.name, account))? {
                let Some((kind, subject)) = slot.split_once('/') else { continue };
                let set = destination.connector.record_sets().iter().find(|set| set.kind == kind);
                if let (Some(set), Some(id), false) = (set, kept.record.remote_id, kept.record.gone) {
                    matches.insert((set.level == Level::User, id), subject.to_owned());
                }
            }
        }
        Ok(matches)
    }

    /// Writes what a page says: statements of what changed, what is known now, and where to go on. `seen`: whom pages before
    /// were about.
    #[expect(clippy::too_many_arguments, reason = "what was read, by whom, and what it comes to")]
    fn file_page(
        &self,
        reading: &Reading,
        page: Page,
        matches: &Matches,
        at: Timestamp,
        seen: &mut BTreeSet<String>,
        state: &mut State,
        report: &mut ReadingReport,
    ) -> Result<(), StoreError> {
        let namespace = told(&reading.tool.name, &state.account);
        let mut filing = self.filing.write().unwrap_or_else(poisoned);
        let mut scribe = Scribe { engine: self, reading, namespace: &namespace, at, statements: Vec::new() };
        let mut batch = Batch::default();
        for found in page.found {
            report.records += 1;
            match whose(&filing, &found, matches) {
                None => report.unmatched += 1,
                Some((id, subject)) => {
                    // Two records that say they are the same account's: the first counts, by the tool's id.
                    let slot = format!("{}/{subject}", kind(found.level));
                    if seen.insert(slot.clone()) {
                        report.matched += 1;
                        scribe.state(
                            &mut filing,
                            found.level,
                            id,
                            &slot,
                            &subject,
                            Some(found.remote_id),
                            found.traits,
                            &mut batch,
                        )?;
                    } else {
                        report.unmatched += 1;
                    }
                }
            }
        }
        if !page.others.is_empty() {
            let known = self.store.kept(&namespace)?.into_iter().map(|(slot, _)| slot);
            let elsewhere = matches.iter().map(|((user, _), subject)| {
                format!("{}/{subject}", kind(if *user { Level::User } else { Level::Account }))
            });
            let others: BTreeSet<String> = known.chain(elsewhere).filter(|slot| !seen.contains(slot)).collect();
            for slot in others {
                let Some((of, subject)) = slot.split_once('/') else { continue };
                let level = if of == kind(Level::User) { Level::User } else { Level::Account };
                if let Some(id) = number(&filing, level, subject) {
                    scribe.state(&mut filing, level, id, &slot, subject, None, page.others.clone(), &mut batch)?;
                }
            }
        }
        report.changed += scribe.statements.len() as u64;
        for note in page.notes {
            if !report.notes.contains(&note) {
                report.notes.push(note);
            }
        }
        state.cursor = page.cursor;
        if !page.more {
            state.done_at = Some(at);
        }
        batch.put_meta(&meta(&reading.name), state);
        let statements = scribe.statements;
        let mut generation = generation::current(&self.store, &reading.name)?;
        generation.clear(&self.store)?;
        if !statements.is_empty() {
            let months: BTreeSet<u16> = statements.iter().map(|(subject, _)| codec::month(subject.day)).collect();
            let write = generation.write(months, &mut batch);
            self.store.put_all_new(usage::statements(generation.number, write, statements), &mut batch)?;
            generation.save(&mut batch);
        }
        let written = filing.save(&self.store, BTreeSet::new(), &mut batch).and_then(|()| self.store.apply(batch));
        if let Err(error) = written {
            // What was filed in memory is not what is on disk: begin again from there.
            *filing = Filing::load(&self.store)?;
            return Err(error);
        }
        filing.saved();
        generation.tidy(&self.store, &filing.ids)
    }
}

/// The number of an account or user that something was heard of, unless it is to be forgotten.
fn number(filing: &Filing, level: Level, name: &str) -> Option<Id> {
    match level {
        Level::Account if !filing.suppressed.has(ACCOUNT, name) => filing.ids.accounts.find(name),
        Level::User if !filing.suppressed.has(USER, name) => filing.ids.subjects.find_of(USER, name),
        Level::Account | Level::User => None,
    }
}

/// Whose record it is: by our id that it holds, else by what a destination knows of it.
fn whose(filing: &Filing, found: &Found, matches: &Matches) -> Option<(Id, String)> {
    let known = matches.get(&(found.level == Level::User, found.remote_id.clone()));
    [found.subject.as_ref(), known]
        .into_iter()
        .flatten()
        .find_map(|name| Some((number(filing, found.level, name)?, name.clone())))
}

/// Puts what is new of records into statements.
struct Scribe<'a> {
    engine: &'a Engine,
    reading: &'a Reading,
    namespace: &'a str,
    at: Timestamp,
    statements: Vec<(Subject, Stated<Content>)>,
}

impl Scribe<'_> {
    /// One statement for each trait that changed, so that no other grows younger by it.
    #[expect(clippy::too_many_arguments, reason = "whose record it is, and what it holds")]
    fn state(
        &mut self,
        filing: &mut Filing,
        level: Level,
        id: Id,
        slot: &str,
        subject: &str,
        remote_id: Option<String>,
        traits: BTreeMap<String, Value>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let mut kept: Kept = self.engine.store.kept_slot(self.namespace, slot)?;
        let before = (kept.record.remote_id.clone(), self.statements.len());
        kept.subject = subject.to_owned();
        kept.record.remote_id = remote_id.or(kept.record.remote_id);
        let about = match level {
            Level::Account => About::AccountTraits,
            Level::User => About::UserTraits,
        };
        let day = self.engine.config.model.calendar.day(self.at);
        for (name, value) in traits {
            // What was never there is not stated as gone.
            if kept.record.fields.get(&name).unwrap_or(&Value::Null) == &value {
                continue;
            }
            let (names, values) = joined([(name.as_str(), value.to_json().to_string().as_str())].into_iter());
            let part = filing.ids.shapes.id(&names);
            let stated = Stated {
                at: self.at.0,
                message: Message::of(&self.reading.tool.name),
                value: Content::Traits(values.into()),
            };
            self.statements.push((Subject { about, id, day, lag: 0, part }, stated));
            kept.record.fields.insert(name, value);
        }
        if before != (kept.record.remote_id.clone(), self.statements.len()) {
            kept.told_at = Some(self.at);
            batch.put_kept(self.namespace, slot, &kept);
        }
        Ok(())
    }
}
