//! Where usage comes from: `sources`.

use std::path::Path;

use vitalsync_core::Calendar;
use vitalsync_core::section::{Faults, Node};

use super::super::Source;
use super::{chosen_name, schedule};

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
        table.finish(faults);
        if let (Some(_), Some(location), Some(schedule)) = (kind, location, schedule) {
            sources.push(Source { name: name.clone(), location, schedule });
        }
    }
    if sources.is_empty() && !faults.any_error() {
        faults.error(node.place, "there is no source: nothing to measure");
    }
    sources
}
