//! Which account is which record in which tool: looked up, and decided by people.
//!
//! A decision names a record or says that there is none. A record that was named is verified when it is next written: where it
//! is not to be had it is refused with that reason, nothing is guessed in its place, and a match that there was stands again.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::Timestamp;
use vitalsync_core::connector::KnownRecord;
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::identity::Horizon;
use vitalsync_core::mapping::Level;
use vitalsync_core::section::nearest;

use super::Engine;
use super::ignored::Ignored;
use super::plan::View;
use crate::config::Destination;
use crate::report::{ImportReport, MatchReport};
use crate::store::Batch;
use crate::store::records::{Kept, told};

/// What may stand in `state`; only *ignore* decides anything.
const STATES: [&str; 9] = ["matched", "unmatched", "ambiguous", "refused", "gone", "ignored", "unknown", "ignore", ""];

/// One line of a file of decisions.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Its number in the file.
    pub number: u64,
    /// What it says.
    pub says: MatchReport,
}

/// Lines that can't be taken in, each with why.
#[derive(Debug)]
pub struct WrongLines(Vec<String>);

impl std::fmt::Display for WrongLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "nothing was taken in:\n  {}", self.0.join("\n  "))
    }
}

impl std::error::Error for WrongLines {}

/// What a line asks to change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Chosen(String),
    Ignored,
    LookedForAgain,
}

/// A slot, whom it is about, and what is decided.
type Decided = (String, String, Decision);

impl Line {
    /// Reads a file of decisions as a spreadsheet writes it: commas or semicolons, with or without a mark of its encoding, the
    /// columns in any order. What is wrong with the table as a whole is an error.
    pub fn read(text: &str) -> Result<Vec<Self>, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let head = text.lines().next().unwrap_or_default();
        let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
        let head = reader.headers().map_err(|error| error.to_string())?.clone();
        let column = |name: &str| head.iter().position(|column| column.eq_ignore_ascii_case(name));
        let need = |name: &str| column(name).ok_or_else(|| format!("it has no column `{name}`"));
        let (destination, account, record_id) = (need("destination")?, need("account")?, need("record_id")?);
        let (record, state) = (column("record"), column("state"));
        let mut lines = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| error.to_string())?;
            let cell = |at: usize| row.get(at).unwrap_or_default().to_owned();
            let says = MatchReport {
                destination: cell(destination),
                record: record.map(cell).unwrap_or_default(),
                account: cell(account),
                record_id: cell(record_id),
                state: state.map(cell).unwrap_or_default().to_lowercase(),
                ..MatchReport::default()
            };
            lines.push(Self { number: row.position().map_or(0, csv::Position::line), says });
        }
        Ok(lines)
    }
}

impl Engine {
    /// Which record each account and user is, in the order of the config. Asks no tool.
    pub fn matches(&self, at: Timestamp) -> anyhow::Result<Vec<MatchReport>> {
        let evaluation = self.evaluate_known(Horizon::at(at), false)?;
        let mut list = Vec::new();
        for destination in &self.config.destinations {
            list.extend(self.matches_of(destination, &evaluation)?.into_iter().map(|(report, _)| report));
        }
        Ok(list)
    }

    /// The matches of a destination, each with what is kept of it.
    fn matches_of(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
    ) -> anyhow::Result<Vec<(MatchReport, Kept)>> {
        let account = self.lanes(destination, evaluation.at).map(|lanes| lanes.known_account()).transpose()?.flatten();
        let mut kept: BTreeMap<String, Kept> = match &account {
            Some(account) => self.store.kept(&told(&destination.name, account))?.into_iter().collect(),
            None => BTreeMap::new(),
        };
        let refused = self.store.quarantine(&destination.name)?;
        let refused: BTreeMap<&str, &str> = refused.iter().map(|one| (one.slot.as_str(), one.why.as_str())).collect();
        let sets = destination.connector.record_sets();
        let level = |kind: &str| sets.iter().find(|set| set.kind == kind).map(|set| set.level);
        let left_alone = Ignored::of(sets, &kept);
        let mut list = Vec::new();
        for wanted in self.wanted(destination, evaluation, &View::default()).records {
            let slot = format!("{}/{}", wanted.kind, wanted.subject);
            let kept = kept.remove(&slot).unwrap_or_default();
            let ignored = left_alone.has(sets, wanted.kind, &wanted.subject);
            let (state, why) = match (&kept.record.remote_id, refused.get(slot.as_str())) {
                _ if ignored => ("ignored", String::new()),
                (_, Some(why)) if why.contains("ambiguous") => ("ambiguous", (*why).to_owned()),
                (_, Some(why)) => ("refused", (*why).to_owned()),
                (Some(_), None) => ("matched", String::new()),
                _ if kept.record.gone => ("gone", "it was deleted in the tool".to_owned()),
                _ => match kept.absent_since {
                    Some(since) => ("unmatched", format!("looked for in vain at {since}")),
                    None => ("unknown", "not looked for yet".to_owned()),
                },
            };
            let keys = wanted.keys.iter().map(|key| format!("{}={}", key.by, key.value));
            let candidates = candidates(state, &why, keys);
            let report = MatchReport {
                destination: destination.name.clone(),
                record: wanted.kind.to_owned(),
                name: name(evaluation, level(wanted.kind), &wanted.subject).unwrap_or_default(),
                account: wanted.subject,
                record_id: kept.record.remote_id.clone().unwrap_or_default(),
                state: state.to_owned(),
                why,
                candidates,
            };
            list.push((report, kept));
        }
        Ok(list)
    }

    /// Takes decisions in. If any line is wrong nothing changes, and every wrong line is named. A tool that was never asked whose
    /// account it is is asked that.
    pub async fn decide(&self, lines: &[Line], at: Timestamp) -> anyhow::Result<ImportReport> {
        let evaluation = self.evaluate_known(Horizon::at(at), false)?;
        let mut wrong = Vec::new();
        let mut decided: Vec<(&Destination, Vec<Decided>)> = Vec::new();
        let mut report = ImportReport { lines: lines.len() as u64, ..ImportReport::default() };
        let names: Vec<&str> = self.config.destinations.iter().map(|one| one.name.as_str()).collect();
        for line in lines.iter().filter(|line| !names.contains(&line.says.destination.as_str())) {
            let known = names.join(", ");
            wrong.push((
                line.number,
                format!("there is no destination `{}`; there are: {known}", line.says.destination),
            ));
        }
        for destination in &self.config.destinations {
            let those: Vec<&Line> = lines.iter().filter(|line| line.says.destination == destination.name).collect();
            if those.is_empty() {
                continue;
            }
            let matches = self.matches_of(destination, &evaluation)?;
            let decisions = decisions(&those, &matches, &mut wrong);
            decided.push((destination, decisions));
        }
        if !wrong.is_empty() {
            wrong.sort();
            let lines: Vec<String> = wrong.into_iter().map(|(line, why)| format!("line {line}: {why}")).collect();
            return Err(WrongLines(lines).into());
        }
        // All that may fail comes before the first change.
        let mut namespaces = Vec::new();
        for (destination, decisions) in decided.into_iter().filter(|(_, decisions)| !decisions.is_empty()) {
            let Some(lanes) = self.lanes(destination, at) else { continue };
            match lanes.account(false).await? {
                Ok((account, _)) => namespaces.push((told(&destination.name, &account), destination, decisions)),
                Err(failed) => anyhow::bail!(
                    "nothing was taken in: {} does not say whose account it is: {}",
                    destination.name,
                    failed.notes.join("; ")
                ),
            }
        }
        for (namespace, destination, decisions) in namespaces {
            let _one = match self.tools.of(destination) {
                Some(tool) => tool.under_way.lock().await,
                None => continue,
            };
            let mut batch = Batch::default();
            for (slot, subject, decision) in decisions {
                let before = self.store.kept_slot(&namespace, &slot)?;
                report.count(&decision);
                batch.put_kept(&namespace, &slot, &decision.applied(before, subject));
                batch.remove_quarantined(&destination.name, &slot);
            }
            self.store.apply(batch)?;
        }
        report.unchanged = report.lines - report.chosen - report.ignored - report.looked_for_again;
        Ok(report)
    }
}

impl ImportReport {
    fn count(&mut self, decision: &Decision) {
        match decision {
            Decision::Chosen(_) => self.chosen += 1,
            Decision::Ignored => self.ignored += 1,
            Decision::LookedForAgain => self.looked_for_again += 1,
        }
    }
}

impl Decision {
    /// What is kept of a record from then on. What was confirmed for another record says nothing about this one, but counts again
    /// where this one is not to be had.
    fn applied(self, before: Kept, subject: String) -> Kept {
        match self {
            Self::Chosen(id) => Kept {
                record: KnownRecord { remote_id: Some(id), instead_of: left(before), ..KnownRecord::default() },
                subject,
                chosen: true,
                ..Kept::default()
            },
            Self::Ignored => Kept { ignored: true, subject, ..before },
            Self::LookedForAgain => Kept { ignored: false, absent_since: None, ..before },
        }
    }
}

/// The record that a subject is taken from, if one was confirmed, without what is in doubt.
fn left(Kept { mut record, begun, .. }: Kept) -> Option<Box<KnownRecord>> {
    if let Some(before) = record.instead_of {
        return Some(before);
    }
    record.fields.retain(|field, _| !begun.contains_key(field));
    (record.remote_id.is_some() && !record.fields.is_empty()).then(|| Box::new(record))
}

/// What the lines of one destination ask to change: slot, subject and decision; what is wrong with lines is added to `wrong`.
fn decisions(lines: &[&Line], matches: &[(MatchReport, Kept)], wrong: &mut Vec<(u64, String)>) -> Vec<Decided> {
    let mut by_place: BTreeMap<(&str, &str), &(MatchReport, Kept)> = BTreeMap::new();
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    let mut taken: BTreeMap<(String, String), String> = BTreeMap::new();
    for found in matches {
        let report = &found.0;
        by_place.insert((&report.record, &report.account), found);
        kinds.insert(&report.record);
        if !report.record_id.is_empty() {
            taken.insert((report.record.clone(), report.record_id.clone()), report.account.clone());
        }
    }
    let (mut seen, mut out) = (BTreeMap::new(), Vec::new());
    for line in lines {
        let says = &line.says;
        let mut fault = |why: String| wrong.push((line.number, why));
        let kind = match (says.record.as_str(), kinds.len()) {
            ("", 1) => kinds.first().copied().unwrap_or_default(),
            (kind, _) => kind,
        };
        let Some((report, kept)) = by_place.get(&(kind, says.account.as_str())) else {
            let here = by_place.keys().filter(|(of, _)| *of == kind).map(|(_, account)| *account);
            let hint = nearest(&says.account, here).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            fault(format!("{} holds no {kind} of `{}`{hint}", says.destination, says.account));
            continue;
        };
        if let Some(before) = seen.insert((kind, says.account.as_str()), line.number) {
            fault(format!("`{}` stands in line {before} already", says.account));
            continue;
        }
        if !STATES.contains(&says.state.as_str()) {
            let hint = nearest(&says.state, STATES).map(|word| format!("; did you mean `{word}`?"));
            fault(format!(
                "`{}` is no state: write `ignore`, or leave what was exported{}",
                says.state,
                hint.unwrap_or_default()
            ));
            continue;
        }
        let ignore = says.state.starts_with("ignore");
        let other = !says.record_id.is_empty() && says.record_id != report.record_id;
        if let Some(why) = spoilt(&says.record_id).filter(|_| other) {
            fault(why.to_owned());
            continue;
        }
        let decision = match (ignore, other) {
            (true, true) if says.state == "ignore" => {
                fault("it has both a record_id and `ignore`: leave one of them out".to_owned());
                continue;
            }
            (true, false) => (report.state != "ignored").then_some(Decision::Ignored),
            (_, true) => Some(Decision::Chosen(says.record_id.clone())),
            (false, false) => kept.ignored.then_some(Decision::LookedForAgain),
        };
        if let Some(Decision::Chosen(id)) = &decision {
            let place = (kind.to_owned(), id.clone());
            match taken.get(&place).filter(|holder| **holder != says.account) {
                Some(holder) => {
                    fault(format!("record {id} is that of `{holder}` already"));
                    continue;
                }
                None => drop(taken.insert(place, says.account.clone())),
            }
        }
        out.extend(decision.map(|decision| (format!("{kind}/{}", says.account), says.account.clone(), decision)));
    }
    out
}

/// Why a record's id can't be one.
fn spoilt(id: &str) -> Option<&'static str> {
    if id.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("a record_id has no spaces");
    }
    let (digits, exponent) = id.split_once(['E', 'e'])?;
    let number = digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',') && exponent.starts_with('+');
    number.then_some("a spreadsheet rounded this record_id: make its column text and paste the id again")
}

/// Which record it may be: what a tool named when it refused, and the keys that it is looked for by.
fn candidates(state: &str, why: &str, keys: impl Iterator<Item = String>) -> String {
    // What is said here, not by a tool, names days.
    let named = ["ambiguous", "refused"].contains(&state).then(|| ids(why));
    match state {
        "matched" | "ignored" => String::new(),
        _ => named.into_iter().flatten().chain(keys).collect::<Vec<_>>().join("; "),
    }
}

/// Ids of records that a reason names.
fn ids(why: &str) -> impl Iterator<Item = String> {
    let words = why.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() >= 4 && word.chars().all(|c| c.is_ascii_digit())).map(str::to_owned)
}

fn name(evaluation: &Evaluation, level: Option<Level>, subject: &str) -> Option<String> {
    match level? {
        Level::Account => evaluation.find(subject)?.name.clone(),
        Level::User => {
            let place = evaluation.users.binary_search_by(|user| user.id.as_str().cmp(subject)).ok()?;
            evaluation.users.get(place)?.traits.get("name")?.as_text().map(str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn candidates_are_keys_and_what_a_tool_named() {
        let keys = || ["domain=acme.example".to_owned()].into_iter();
        assert_eq!(candidates("refused", "record 90210 has it", keys()), "90210; domain=acme.example");
        assert_eq!(candidates("unmatched", "looked for in vain at 2026-03-01", keys()), "domain=acme.example");
        assert_eq!(candidates("matched", "", keys()), "");
    }
}
