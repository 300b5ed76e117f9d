//! Where usage comes from: `sources`.

use std::path::Path;

use vitalsync_core::Calendar;
use vitalsync_core::section::{Faults, Node};

use super::super::Source;
use super::{chosen_name, schedule};

/// How long a call that comes again is known, in days of `receivedAt`.
const DEDUPE_DAYS: i32 = 7;
/// Every remembered call takes 8 bytes of memory.
const LONGEST_DEDUPE: i32 = 90;

pub(super) fn sources(node: &Node, base: &Path, calendar: Calendar, faults: &mut Faults) -> Vec<Source> {
    let mut sources = Vec::new();
    for (name, place, node) in node.entries(faults, "sources") {
        chosen_name(name, *place, faults, "source");
        let Some(table) = node.table(faults, &format!("source {name}")) else { continue };
        let kind = table
            .need(faults, "type", "segment_archive")
            .and_then(|node| node.one_of(faults, "the source's type", &["segment_archive"]));
        let location = table.need(faults, "location", "the directory with the archive").and_then(|node| {
            let text = node.text(faults, "a directory")?;
            if text.contains("://") {
                faults.error(node.place, "only a local directory is supported by this version");
            }
            Some(base.join(text))
        });
        let schedule = schedule(table.get("schedule"), "*/5 * * * *", calendar, faults);
        let dedupe_days = table.get("dedupe").map_or(Some(DEDUPE_DAYS), |node| dedupe(node, faults));
        table.finish(faults);
        if let (Some(_), Some(location), Some(schedule)) = (kind, location, schedule) {
            let dedupe_days = dedupe_days.unwrap_or(DEDUPE_DAYS);
            sources.push(Source { name: name.clone(), location, schedule, dedupe_days });
        }
    }
    if sources.is_empty() && !faults.any_error() {
        faults.error(node.place, "there is no source: nothing to measure");
    }
    sources
}

fn dedupe(node: &Node, faults: &mut Faults) -> Option<i32> {
    let days = node.days(faults, "how long a call that comes again is known")?;
    if days > LONGEST_DEDUPE {
        faults.error(node.place, format!("a call that comes again is known for {LONGEST_DEDUPE} days at most"));
        return None;
    }
    Some(days)
}
