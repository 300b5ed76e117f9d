//! Erasing a person or an account: whom that is, what goes, what remains elsewhere.
//!
//! One write makes it so: tombstones, by which no source brings anybody back; names blanked; what is kept of tools removed;
//! and a note, in numbers, of what is still to be taken out of counts, statements and snapshots. That follows in small
//! writes, and after a kill at the next opening. A person is a user with all ids that were ever linked to it: a device that
//! somebody else was identified on as well goes with it. What a person said of an account stays: it is the account's, until its days
//! are counted anew from files, where nothing of that person is taken any more.
//! Deliberately not here: deleting records in tools, and the sources' own archives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vitalsync_core::alert::{ABOUT, ALERT, Alert, user_of};
use vitalsync_core::mapping::Level;
use vitalsync_core::usage::{About, Content, DEVICE, Id, Ids, USER, members};
use vitalsync_core::{Timestamp, Value};

use super::ingest::names::{Filing, parts};
use super::{Engine, poisoned};
use crate::clock;
use crate::config::{Config, Suppressible};
use crate::store::compact::Compacted;
use crate::store::erase::{Erased, Said, Whom};
use crate::store::suppressed::{ACCOUNT, Tombstone};
use crate::store::{Batch, Store, StoreError};

/// The number of the device `other`, which is nobody.
const NOBODY: Id = 1;

/// What somebody is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A userId.
    User,
    /// An account's id.
    Account,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `vitalsync forget`
    Command,
    /// `suppress:`
    Config,
    /// A call of type `delete`.
    Source,
}

impl By {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Config => "config",
            Self::Source => "source",
        }
    }
}

/// A record that stays in a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The destination, with the vendor's own id of the account.
    pub destination: String,
    /// The kind of record.
    pub record: String,
    /// The vendor's id of it.
    pub id: String,
}

/// What erasing somebody came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// User or account.
    pub kind: Kind,
    /// True: nothing was changed.
    pub dry_run: bool,
    /// The first eight digits of the tombstone; nothing in a dry run.
    pub hash: String,
    /// UserIds that go.
    pub users: usize,
    /// Devices that go.
    pub devices: usize,
    /// Of these, such that somebody else was identified on, too.
    pub shared_devices: usize,
    /// Counted events taken out.
    pub counts_removed: u64,
    /// Statements taken out.
    pub statements_removed: u64,
    /// Snapshots of an account's days taken out.
    #[serde(default)]
    pub snapshots_removed: u64,
    /// What tools still hold.
    pub remains: Vec<Remains>,
    /// Messages about them that were sent.
    pub messages: u64,
    /// The copy that holds nothing of it any more, if it was made.
    pub compacted: Option<Compacted>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Erased, or what would be.
    Done(Box<Forgotten>),
    /// Was erased before.
    Before,
    /// Nobody is called so.
    Unknown,
    /// Several are: as what.
    Ambiguous(Vec<String>),
}

/// A line of the audit: that somebody was erased, not who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// `forget`
    pub what: String,
    /// User or account.
    pub kind: Kind,
    /// The first eight digits of the tombstone.
    pub hash: String,
    /// Counted events taken out.
    pub counts_removed: u64,
    /// Statements taken out.
    pub statements_removed: u64,
    /// Who asked.
    pub by: By,
}

/// An erasure under way, kept until it is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    at: Timestamp,
    kind: Kind,
    by: By,
    hash: String,
    whom: Whom,
    erased: Erased,
}

const PENDING: &str = "forgetting";

/// Somebody as found.
struct Target {
    kind: Kind,
    whom: Whom,
    /// The id that stands for all, with its kind, as tombstones name it.
    root: (u8, String),
    /// Every id, that one included.
    ids: BTreeSet<(u8, String)>,
    shared_devices: usize,
}

/// Where the audit is.
pub fn audit_file(state: &Path) -> PathBuf {
    state.join("audit.jsonl")
}

/// Who was erased, as far as that is written down.
pub fn audits(state: &Path) -> std::io::Result<Vec<Audit>> {
    match std::fs::read_to_string(audit_file(state)) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn audit(state: &Path, pending: &Pending) -> std::io::Result<()> {
    let line = Audit {
        at: pending.at,
        what: "forget".to_owned(),
        kind: pending.kind,
        hash: pending.hash.clone(),
        counts_removed: pending.erased.counts,
        statements_removed: pending.erased.statements,
        by: pending.by,
    };
    // A kill between this and the end of the erasure must not make it two.
    if audits(state)?.contains(&line) {
        return Ok(());
    }
    let mut file = std::fs::File::options().create(true).append(true).open(audit_file(state))?;
    file.write_all(format!("{}\n", serde_json::to_string(&line)?).as_bytes())?;
    file.sync_all()
}

/// All links, both ways.
struct Links {
    to: BTreeMap<Id, BTreeSet<Id>>,
    from: BTreeMap<Id, BTreeSet<Id>>,
}

fn links(store: &Store) -> Result<Links, StoreError> {
    let mut links = Links { to: BTreeMap::new(), from: BTreeMap::new() };
    store.each_statement(About::Link, |subject, stated| {
        if let Content::Id(value) = stated.value
            && value != NOBODY
            && subject.id != NOBODY
        {
            links.to.entry(subject.id).or_default().insert(value);
            links.from.entry(value).or_default().insert(subject.id);
        }
    })?;
    Ok(links)
}

/// The ids of a person: whatever was linked to them, and whom their ids were aliased to. A device leads to nobody: somebody
/// else may have used it.
fn person(ids: &Ids, links: &Links, root: Id) -> BTreeSet<Id> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let before = links.from.get(&id).into_iter().flatten();
        let after = links.to.get(&id).into_iter().flatten().filter(|_| ids.user_id(id).is_some());
        for next in before.chain(after) {
            if found.insert(*next) {
                open.push(*next);
            }
        }
    }
    found
}

impl Target {
    fn user(ids: &Ids, links: &Links, root: Id) -> Self {
        let subjects = person(ids, links, root);
        let device = |id: &&Id| ids.user_id(**id).is_none();
        let others = |id: &&Id| links.to.get(id).into_iter().flatten().any(|user| !subjects.contains(user));
        let shared_devices = subjects.iter().filter(device).filter(others).count();
        let name = |id: Id| {
            let (kind, name) = parts(ids.subjects.name(id));
            (kind, name.to_owned())
        };
        let root = name(root);
        let ids = subjects.iter().copied().map(name).collect();
        Self { kind: Kind::User, whom: Whom { subjects, accounts: BTreeSet::new() }, root, ids, shared_devices }
    }

    /// An account with all ids that the config says are its: today's and those of old.
    fn account(ids: &Ids, aliases: &BTreeMap<String, String>, name: &str) -> Self {
        let today = |name: &str| aliases.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let names: BTreeSet<String> = aliases
            .keys()
            .filter(|old| today(old) == today(name))
            .cloned()
            .chain([name.to_owned(), today(name)])
            .collect();
        let accounts = names.iter().filter_map(|name| ids.accounts.find(name)).collect();
        let whom = Whom { subjects: BTreeSet::new(), accounts };
        let ids = names.into_iter().map(|name| (ACCOUNT, name)).collect();
        Self { kind: Kind::Account, whom, root: (ACCOUNT, name.to_owned()), ids, shared_devices: 0 }
    }

    /// A user of whom the state knows nothing.
    fn unknown(name: &str) -> Self {
        let root = (USER, name.to_owned());
        let ids = BTreeSet::from([root.clone()]);
        Self { kind: Kind::User, whom: Whom::default(), root, ids, shared_devices: 0 }
    }

    fn count(&self, kind: u8) -> usize {
        self.ids.iter().filter(|(found, _)| *found == kind).count()
    }
}

/// Users with an email, as roots of persons, one for each person.
fn by_email(store: &Store, ids: &Ids, links: &Links, email: &str) -> Result<Vec<Id>, StoreError> {
    let mut found = BTreeSet::new();
    store.each_statement(About::UserTraits, |subject, stated| {
        let Content::Traits(values) = &stated.value else { return };
        let is = |value: &str| {
            serde_json::from_str::<String>(value).is_ok_and(|value| value.eq_ignore_ascii_case(email.trim()))
        };
        if members(ids.shapes.name(subject.part), values).any(|(name, value)| name == "email" && is(value)) {
            found.insert(subject.id);
        }
    })?;
    let mut roots: Vec<Id> = Vec::new();
    for id in found {
        if !roots.iter().any(|root| person(ids, links, *root).contains(&id)) {
            roots.push(id);
        }
    }
    Ok(roots)
}

impl Engine {
    /// Erases somebody, named by an id or, where no kind is given, perhaps by a user's email.
    pub fn forget(&self, kind: Option<Kind>, name: &str, dry_run: bool) -> anyhow::Result<Answer> {
        let mut filing = self.filing.write().unwrap_or_else(poisoned);
        let mut found: Vec<(String, Target)> = Vec::new();
        let links = links(&self.store)?;
        if kind != Some(Kind::Account)
            && let Some(id) = filing.ids.subjects.find_of(USER, name)
        {
            found.push((format!("user `{name}`"), Target::user(&filing.ids, &links, id)));
        }
        if kind != Some(Kind::User) {
            let target = Target::account(&filing.ids, &self.config.model.account_aliases, name);
            if !target.whom.accounts.is_empty() {
                found.push((format!("account `{name}`"), target));
            }
        }
        if kind.is_none() && name.contains('@') {
            for root in by_email(&self.store, &filing.ids, &links, name)? {
                let target = Target::user(&filing.ids, &links, root);
                if !found.iter().any(|(_, other)| other.whom == target.whom) {
                    let (kind, id) = parts(filing.ids.subjects.name(root));
                    let what = if kind == USER { "user" } else { "a device without a user," };
                    found.push((format!("{what} `{id}`"), target));
                }
            }
        }
        let before = |letter: u8| filing.suppressed.has(letter, name);
        let target = match found.len() {
            0 => {
                let before = kind != Some(Kind::Account) && before(USER) || kind != Some(Kind::User) && before(ACCOUNT);
                return Ok(if before { Answer::Before } else { Answer::Unknown });
            }
            1 => found.remove(0).1,
            _ => return Ok(Answer::Ambiguous(found.into_iter().map(|(what, _)| what).collect())),
        };
        Ok(Answer::Done(Box::new(self.erase(&mut filing, &target, By::Command, dry_run, |_| Ok(()))?)))
    }

    /// Erases whom the config suppresses and who has no tombstone yet. How many that were.
    pub fn forget_suppressed(&self) -> anyhow::Result<u64> {
        let suppressed = self.config.suppressed()?;
        let named = suppressed
            .into_iter()
            .map(|Suppressible { account, id }| (if account { Kind::Account } else { Kind::User }, id));
        self.forget_all(named.collect(), By::Config)
    }

    /// Erases whom sources asked to forget.
    pub fn forget_asked(&self) -> anyhow::Result<u64> {
        let asked = self.store.deletions()?;
        self.forget_all(asked.into_iter().map(|user| (Kind::User, user)).collect(), By::Source)
    }

    fn forget_all(&self, named: Vec<(Kind, String)>, by: By) -> anyhow::Result<u64> {
        let (mut count, mut unknown) = (0, 0_u64);
        if named.is_empty() {
            return Ok(count);
        }
        let mut filing = self.filing.write().unwrap_or_else(poisoned);
        for (kind, name) in named {
            let letter = if kind == Kind::User { USER } else { ACCOUNT };
            let taken_off = |batch: &mut Batch| match by {
                By::Source => self.store.deletion_done(&name, batch),
                _ => Ok(()),
            };
            if filing.suppressed.has(letter, &name) {
                let mut batch = Batch::default();
                taken_off(&mut batch)?;
                self.store.apply(batch)?;
                continue;
            }
            let target = match kind {
                Kind::User => match filing.ids.subjects.find_of(USER, &name) {
                    Some(id) => Target::user(&filing.ids, &links(&self.store)?, id),
                    None => Target::unknown(&name),
                },
                Kind::Account => Target::account(&filing.ids, &self.config.model.account_aliases, &name),
            };
            unknown += u64::from(target.whom == Whom::default());
            let done = self.erase(&mut filing, &target, by, false, taken_off)?;
            for Remains { destination, record, id } in &done.remains {
                tracing::warn!(hash = %done.hash, %destination, record, id, "erased here; the tool still holds the record: delete it there");
            }
            count += 1;
        }
        if count > 0 {
            tracing::warn!(
                count,
                unknown,
                "erased; of `unknown` of them nothing was here; the log of the state holds old bytes until `vitalsync state compact` writes it anew"
            );
        }
        Ok(count)
    }

    fn erase(
        &self,
        filing: &mut Filing,
        target: &Target,
        by: By,
        dry_run: bool,
        also: impl FnOnce(&mut Batch) -> Result<(), StoreError>,
    ) -> anyhow::Result<Forgotten> {
        let mut done = Forgotten {
            kind: target.kind,
            dry_run,
            hash: String::new(),
            users: target.count(USER),
            devices: target.count(DEVICE),
            shared_devices: target.shared_devices,
            counts_removed: 0,
            statements_removed: 0,
            snapshots_removed: 0,
            remains: Vec::new(),
            messages: 0,
            compacted: None,
        };
        let mut batch = Batch::default();
        self.erase_records(target, &mut done, &mut batch)?;
        let erased = if dry_run {
            let mut erased = Erased::default();
            self.store.erase_usage(&target.whom, &mut erased, true, |_, _| ())?;
            erased
        } else {
            for id in &target.ids {
                let tombstone = filing.suppressed.add(id.0, &id.1, &mut batch);
                if *id == target.root {
                    done.hash = short(&tombstone);
                }
            }
            self.store.blank_names(&mut filing.ids, &target.whom, &mut batch);
            let pending = Pending {
                // Not the as-of time: this is about when it was done.
                at: clock::system(),
                kind: target.kind,
                by,
                hash: done.hash.clone(),
                whom: target.whom.clone(),
                erased: Erased::default(),
            };
            batch.put_meta(PENDING, &Some(&pending));
            also(&mut batch)?;
            let finished =
                self.store.apply(batch).map_err(anyhow::Error::from).and_then(|()| finish(&self.store, &self.config));
            // Memory held the names, too; and after a failure it is not what is on disk.
            *filing = Filing::load(&self.store)?;
            // What was confirmed meanwhile.
            let mut late = Batch::default();
            self.erase_records(target, &mut done, &mut late)?;
            self.store.apply(late)?;
            finished?.unwrap_or_default()
        };
        (done.counts_removed, done.statements_removed) = (erased.counts, erased.statements);
        done.snapshots_removed = erased.snapshots;
        Ok(done)
    }

    /// What is kept of tools.
    fn erase_records(&self, target: &Target, done: &mut Forgotten, batch: &mut Batch) -> Result<(), StoreError> {
        let sets = self.config.destinations.iter().flat_map(|destination| destination.connector.record_sets());
        let levels: BTreeMap<&str, Level> = sets.map(|set| (set.kind, set.level)).collect();
        // Records of a destination that is not in the config any more are known by the kinds that there are.
        let level = |kind: &str| match (levels.get(kind), kind) {
            (None, "contact") => Some(Level::User),
            (None, "company") => Some(Level::Account),
            (level, _) => level.copied(),
        };
        let named =
            |letter: u8, subject: &str| target.ids.iter().any(|(kind, name)| *kind == letter && name == subject);
        // What was only looked for has no subject yet; what is no record is at most about an account.
        let is = |slot: &str, subject: &str| {
            let (kind, name) = slot.split_once('/').unwrap_or_default();
            match level(kind) {
                Some(Level::User) => named(USER, subject) || named(USER, name),
                Some(Level::Account) => named(ACCOUNT, subject) || named(ACCOUNT, name),
                None => named(ACCOUNT, subject),
            }
        };
        let is_about = |alert: &Alert| {
            let user = alert.user.as_ref().is_some_and(|user| named(USER, user));
            user || named(ACCOUNT, &alert.account)
                || alert.about().iter().any(|id| named(ACCOUNT, id) || named(USER, id))
        };
        // A message may be about several.
        let told_of = |fields: &BTreeMap<String, Value>| match fields.get(ABOUT) {
            Some(Value::List(about)) => {
                about.iter().filter_map(Value::as_text).any(|id| named(ACCOUNT, id) || named(USER, id))
            }
            _ => false,
        };
        self.store.erase_records(
            |destination, slot, said| match said {
                Said::Told(kept) => {
                    let goes = is(slot, &kept.subject) || told_of(&kept.record.fields);
                    if goes && slot.starts_with(&format!("{ALERT}/")) {
                        done.messages += 1;
                    } else if goes && let Some(id) = &kept.record.remote_id {
                        let record = slot.split('/').next().unwrap_or_default().to_owned();
                        done.remains.push(Remains { destination: destination.to_owned(), record, id: id.clone() });
                    }
                    goes
                }
                Said::Refused(entry) => is(slot, &entry.subject),
                Said::Waits(entry) => is(slot, &entry.operation.subject) || entry.alert.as_ref().is_some_and(is_about),
                Said::Alert(alert) => is_about(alert),
                Said::Edge(key) => user_of(key).map_or_else(|| named(ACCOUNT, key), |user| named(USER, user)),
            },
            batch,
        )
    }
}

/// The first digits of a tombstone.
fn short(tombstone: &Tombstone) -> String {
    tombstone.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Carries an erasure that was begun to its end, if one was: counts and statements, the audit, the note.
pub(super) fn finish(store: &Store, config: &Config) -> anyhow::Result<Option<Erased>> {
    let Some(mut pending) = store.meta::<Option<Pending>>(PENDING)?.flatten() else { return Ok(None) };
    let mut erased = pending.erased;
    let note = pending.clone();
    store.erase_usage(&note.whom, &mut erased, false, |erased, batch| {
        batch.put_meta(PENDING, &Some(Pending { erased: *erased, ..note.clone() }));
    })?;
    pending.erased = erased;
    audit(&config.state, &pending)?;
    let mut batch = Batch::default();
    batch.put_meta(PENDING, &None::<Pending>);
    store.apply(batch)?;
    Ok(Some(erased))
}
