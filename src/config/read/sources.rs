//! Where usage comes from: `sources`.

use std::path::{Path, PathBuf};

use vitalsync_core::Calendar;
use vitalsync_core::pulse::Expect;
use vitalsync_core::section::{Faults, Kind, Node};

use super::super::Source;
use super::{chosen_name, schedule};
use crate::connectors;

/// How long a call that comes again is known, in days of `receivedAt`.
const DEDUPE_DAYS: i32 = 7;
/// Every remembered call takes 8 bytes of memory.
const LONGEST_DEDUPE: i32 = 90;

pub(super) fn sources(node: &Node, base: &Path, state: &Path, calendar: Calendar, faults: &mut Faults) -> Vec<Source> {
    let mut sources = Vec::new();
    for (name, place, node) in node.entries(faults, "sources") {
        chosen_name(name, *place, faults, "source");
        let Some(table) = node.table(faults, &format!("source {name}")) else { continue };
        let kinds: Vec<&str> = std::iter::once("segment_archive").chain(tools()).collect();
        let kind = table
            .need(faults, "type", &kinds.join(", "))
            .and_then(|node| node.one_of(faults, "the source's type", &kinds));
        // Those are read when destinations are known.
        if kind.is_some_and(|kind| kind > 0) {
            continue;
        }
        let location = table.need(faults, "location", "the directory with the archive").and_then(|node| {
            let text = node.text(faults, "a directory")?;
            if text.trim().is_empty() {
                faults.error(node.place, "expected the directory with the archive, found no text");
            } else if text.contains("://") {
                faults.error(node.place, "only a local directory is supported by this version");
            }
            let location = base.join(text);
            // One below the other are told apart; in one directory nobody could.
            if resolved(&location) == resolved(state) {
                faults.error_with_hint(
                    node.place,
                    "the state is in this directory, too: its files would be read as usage",
                    "give one of them a directory of its own, as in `state: ./state`",
                );
            }
            Some(location)
        });
        let schedule = schedule(table.get("schedule"), "*/5 * * * *", calendar, faults);
        let dedupe_days = table.get("dedupe").map_or(Some(DEDUPE_DAYS), |node| dedupe(node, faults));
        let expect = table.get("expect_every").and_then(|node| expect(node, faults)).unwrap_or_default();
        table.finish(faults);
        let within = |a: &Path, b: &Path| a.starts_with(b) || b.starts_with(a);
        let twice = |other: &&Source| location.as_ref().is_some_and(|location| within(location, &other.location));
        if let Some(other) = sources.iter().find(twice) {
            let what = format!("{name} and {} read the same files: their calls would count twice", other.name);
            faults.error(*place, what);
        }
        if let (Some(_), Some(location), Some(schedule)) = (kind, location, schedule) {
            let dedupe_days = dedupe_days.unwrap_or(DEDUPE_DAYS);
            sources.push(Source { name: name.clone(), location, ours: Vec::new(), schedule, dedupe_days, expect });
        }
    }
    if sources.is_empty() && !faults.any_error() {
        faults.error(node.place, "there is no source of usage: nothing to measure");
    }
    sources
}

/// Where a path leads, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// The types of sources that ask a tool.
fn tools() -> impl Iterator<Item = &'static str> {
    connectors::SOURCES.iter().map(|source| source.manifest.name)
}

/// How long a source may be silent: a span, `rhythm` or `off`.
fn expect(node: &Node, faults: &mut Faults) -> Option<Expect> {
    match &node.kind {
        _ if node.is_off() => return Some(Expect::Nothing),
        Kind::Text(text) if text.value == "rhythm" => return Some(Expect::Rhythm),
        _ => {}
    }
    let ms = node.span(faults, "how long a source may be silent (or `rhythm`, or `off`),")?.millis();
    if ms <= 0 {
        faults.error(node.place, "a source may be silent for a while: write a span above 0, `rhythm` or `off`");
    }
    Some(Expect::Every(ms))
}

fn dedupe(node: &Node, faults: &mut Faults) -> Option<i32> {
    let days = node.days(faults, "how long a call that comes again is known")?;
    if days > LONGEST_DEDUPE {
        faults.error(node.place, format!("a call that comes again is known for {LONGEST_DEDUPE} days at most"));
        return None;
    }
    Some(days)
}
