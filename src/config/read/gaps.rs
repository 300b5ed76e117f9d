//! Days that leave every window, `gaps`, and what use is expected when: a profile's `calendar`.

use vitalsync_core::Day;
use vitalsync_core::cycle::Cycle;
use vitalsync_core::gaps::Yearly;
use vitalsync_core::section::{Faults, Node};

/// `gaps: [2026-03-01..2026-03-04, 2026-05-01]`: spans of days, both ends included.
pub(super) fn gaps(node: &Node, faults: &mut Faults) -> Vec<(Day, Day)> {
    let mut spans = Vec::new();
    for item in node.items() {
        let expected = "days such as 2026-03-01..2026-03-04, or one day";
        let Some(text) = item.text(faults, expected) else { continue };
        let (from, to) = text.split_once("..").unwrap_or((&text, &text));
        match (Day::parse(from.trim()), Day::parse(to.trim())) {
            (Some(from), Some(to)) if from <= to => spans.push((from, to)),
            (Some(_), Some(_)) => faults.error(item.place, format!("the span `{text}` ends before it begins")),
            _ => faults.error(item.place, format!("expected {expected}, found {}", item.described())),
        }
    }
    spans
}

/// A profile's expected use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Expected {
    /// After how long use repeats.
    pub cycle: Option<Cycle>,
    /// Spans of every year that leave its windows.
    pub quiet: Option<Vec<Yearly>>,
}

/// `calendar: {cycle: month, quiet: [12-20..01-05]}`: what comes around, and spans of every year.
pub(super) fn calendar(node: &Node, faults: &mut Faults) -> Expected {
    let Some(table) = node.table(faults, "calendar") else { return Expected::default() };
    let quiet = table.get("quiet").map(|node| {
        let mut spans = Vec::new();
        for item in node.items() {
            let expected = "a span of every year such as 12-20..01-05 (month-day)";
            let Some(text) = item.text(faults, expected) else { continue };
            match Yearly::parse(&text) {
                Some(span) => spans.push(span),
                None => faults.error(item.place, format!("expected {expected}, found {}", item.described())),
            }
        }
        spans
    });
    let cycle = table.get("cycle").and_then(|node| node.one_of(faults, "after how long use repeats", &Cycle::NAMES));
    table.finish(faults);
    Expected { cycle: cycle.and_then(|place| Cycle::ALL.get(place).copied()), quiet }
}
