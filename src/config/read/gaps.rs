//! Days that leave every window: `gaps`, and a profile's `calendar`.

use vitalsync_core::Day;
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

/// `calendar: {quiet: [12-20..01-05]}`: spans of every year.
pub(super) fn calendar(node: &Node, faults: &mut Faults) -> Vec<Yearly> {
    let Some(table) = node.table(faults, "calendar") else { return Vec::new() };
    let mut spans = Vec::new();
    for item in table.get("quiet").map(Node::items).unwrap_or_default() {
        let expected = "a span of every year such as 12-20..01-05 (month-day)";
        let Some(text) = item.text(faults, expected) else { continue };
        match Yearly::parse(&text) {
            Some(span) => spans.push(span),
            None => faults.error(item.place, format!("expected {expected}, found {}", item.described())),
        }
    }
    if let Some(node) = table.get("cycle") {
        faults.error_with_hint(
            node.place,
            "this version does not compare with the same phase of a cycle",
            "take `cycle` out; a window of a whole cycle, such as 30d, evens out a month",
        );
    }
    table.finish(faults);
    spans
}
