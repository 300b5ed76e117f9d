//! What is kept how long, and about whom nothing is: `retention` and `suppress`.

use std::path::Path;

use vitalsync_core::model::{Profile, UserSpans};
use vitalsync_core::section::{Faults, Node, Place};
use vitalsync_core::time::Span;

use super::super::{Destination, Retention, Suppress};

/// Counts are kept by day for twice the longest window, to compare it with the one before, and for so many days more: a
/// quarter's benchmark and a user's membership look back so far.
const BEYOND_WINDOWS: i32 = 90;

pub(super) fn retention(
    node: &Node,
    profiles: &[Profile],
    destinations: &[Destination],
    spans: UserSpans,
    faults: &mut Faults,
) -> Option<Retention> {
    if node.is_off() {
        return Some(Retention::default());
    }
    let table = node.table(faults, "retention (or `off`)")?;
    let (days_node, months_node) = (table.get("days"), table.get("months"));
    let days = days_node.and_then(|node| node.days(faults, "how long counts are kept by day"));
    let months = months_node.and_then(|node| months(node, faults));
    table.finish(faults);
    let need = need(profiles, destinations);
    let mut check = |node: Option<&Node>, kept: Option<i32>| {
        if let (Some(node), Some(kept), Some((profile, days))) = (node, kept, need)
            && kept < days
        {
            faults.error_with_hint(
                node.place,
                format!(
                    "profile `{}` with its window of {} days needs counts by day for at least {days} days, found {}",
                    profile.name,
                    profile.window,
                    node.described()
                ),
                "keep them longer, or shorten the window",
            );
        }
        let users = spans.total(0);
        if let (Some(node), Some(kept)) = (node, kept)
            && kept < users
        {
            let message = format!("`users` needs counts by day for at least {users} days, found {}", node.described());
            faults.error_with_hint(node.place, message, "keep them longer, or shorten the spans of `users`");
        }
    };
    check(days_node, days);
    if days.is_none() {
        check(months_node, months.map(|months| months.saturating_mul(30)));
    }
    if let (Some(node), Some(days), Some(months)) = (months_node, days, months)
        && months.saturating_mul(30) <= days
    {
        let message = format!("after `months` counts go altogether: it must be longer than `days` ({days} days)");
        faults.error(node.place, message);
    }
    Some(Retention { days, months })
}

fn months(node: &Node, faults: &mut Faults) -> Option<i32> {
    match node.span(faults, "how long counts are kept by month")? {
        Span::Months(months) if months >= 1 => Some(months),
        _ => {
            let message = format!("expected a number of months from 1 up, such as 36mo, found {}", node.described());
            faults.error(node.place, message);
            None
        }
    }
}

/// The profile that needs counts by day the longest, and how many days.
fn need<'p>(profiles: &'p [Profile], destinations: &[Destination]) -> Option<(&'p Profile, i32)> {
    let rules = destinations.iter().flat_map(|destination| destination.connector.alert_rules());
    let beyond =
        rules.map(|rule| rule.trigger.within_days()).max().map_or(BEYOND_WINDOWS, |within| within.max(BEYOND_WINDOWS));
    // Of several with the same window the first.
    let longest = profiles.iter().rev().max_by_key(|profile| profile.window)?;
    Some((longest, longest.window.saturating_mul(2).saturating_add(beyond)))
}

pub(super) fn suppress(node: &Node, base: &Path, faults: &mut Faults) -> Suppress {
    let Some(table) = node.table(faults, "suppress") else { return Suppress::default() };
    let users = table.get("users").map(|node| ids(node, "a user's id", faults)).unwrap_or_default();
    let accounts = table.get("accounts").map(|node| ids(node, "an account's id", faults)).unwrap_or_default();
    let file_node = table.get("file");
    let file = file_node.and_then(|node| {
        let text = node.text(faults, "a file's path")?;
        if text.is_empty() || text.contains("://") {
            faults.error(node.place, "expected the path of a local file");
        }
        Some(base.join(text))
    });
    table.finish(faults);
    Suppress { users, accounts, file, file_place: file_node.map_or(Place::default(), |node| node.place) }
}

fn ids(node: &Node, what: &str, faults: &mut Faults) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let empty = |place: Place, faults: &mut Faults| faults.error(place, format!("expected {what}, found no text"));
    for item in node.items() {
        match item.text(faults, what) {
            Some(id) if id.is_empty() => empty(item.place, faults),
            Some(id) if !ids.contains(&id) => ids.push(id),
            _ => {}
        }
    }
    ids
}
