//! Sources that ask a tool: `sources` of a tool's type. What is a connector's own is read by the connector.

use vitalsync_core::Calendar;
use vitalsync_core::reader::{RegisteredSource, SOURCE_KEYS};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table, nearest};

use super::super::{Conduct, Credentials, Destination, Reading};
use super::access::Address;
use super::schedule;
use crate::connectors;

/// A source is asked so often where the config does not say.
const SCHEDULE: &str = "*/15 * * * *";
/// A source that was not read for so long is late, where the config does not say.
const LATE_MS: i64 = 24 * 3_600_000;

/// The registry's line of a source's `type`, if that is a tool's.
fn registered(node: &Node) -> Option<&'static RegisteredSource> {
    let Kind::Map(entries) = &node.kind else { return None };
    let (_, _, kind) = entries.iter().find(|(name, _, _)| name == "type")?;
    let Kind::Text(kind) = &kind.kind else { return None };
    connectors::SOURCES.iter().find(|source| source.manifest.name == kind.value)
}

pub(super) fn readings(
    node: &Node,
    destinations: &[Destination],
    calendar: Calendar,
    faults: &mut Faults,
) -> Vec<Reading> {
    let entries = node.entries(faults, "sources").iter();
    let of_tools = entries.filter_map(|(name, place, node)| Some((name, *place, node, registered(node)?)));
    of_tools
        .filter_map(|(name, place, node, registered)| {
            reading(name, place, node, registered, destinations, calendar, faults)
        })
        .collect()
}

fn reading(
    name: &str,
    place: Place,
    node: &Node,
    registered: &'static RegisteredSource,
    destinations: &[Destination],
    calendar: Calendar,
    faults: &mut Faults,
) -> Option<Reading> {
    // The connector reads the same section and refuses what neither of us knows.
    let table = node.table(faults, &format!("source {name}"))?;
    let schedule = schedule(table.get("schedule"), SCHEDULE, calendar, faults);
    let late_ms = match table.get("expect_every") {
        None => Some(LATE_MS),
        Some(node) => node.span(faults, "how long a source may go unread").map(|span| span.millis()),
    };
    let borrowed = table.get("destination").map(|node| borrowed(node, &table, registered, destinations, faults));
    let own = match &borrowed {
        None => Address::read(&table, registered.manifest, faults),
        Some(_) => None,
    };
    debug_assert!(SOURCE_KEYS.len() == 5, "a common key was added that is not read here");
    let connector = (registered.read)(node, faults)?;
    let (credentials, base_url) = match borrowed {
        None => own?.of(&*connector),
        Some(destination) => {
            let destination = destination?;
            let mut credentials = destination.credentials.clone();
            if let (Credentials::OAuth(app), Some(login)) = (&mut credentials, connector.oauth()) {
                app.scopes = login.scopes;
            }
            (credentials, destination.base_url.clone())
        }
    };
    let tool = Destination {
        // No destination can be called so.
        name: format!("sources.{name}"),
        place,
        manifest: registered.manifest,
        connector,
        credentials,
        base_url,
        schedule: schedule?,
        live: true,
        conduct: Conduct::default(),
    };
    Some(Reading { name: name.to_owned(), tool, late_ms: late_ms? })
}

/// The destination whose token and address a source shares.
fn borrowed<'d>(
    node: &Node,
    table: &Table<'_>,
    registered: &RegisteredSource,
    destinations: &'d [Destination],
    faults: &mut Faults,
) -> Option<&'d Destination> {
    let wanted = node.text(faults, "the name of a destination")?;
    for key in registered.manifest.auth.iter().map(|auth| auth.key()).chain(["base_url"]) {
        if let Some(node) = table.get(key) {
            faults.error(
                node.place,
                format!("`{key}` is that of the destination `{wanted}` here: leave one of them out"),
            );
        }
    }
    let kind = registered.manifest.name;
    let found = destinations.iter().find(|destination| destination.name == wanted);
    match found {
        Some(found) if found.manifest.name == kind => return Some(found),
        Some(found) => {
            let message = format!("the destination `{wanted}` is of type {}, not {kind}", found.manifest.name);
            faults.error(node.place, message);
        }
        None => {
            let all = destinations.iter().filter(|destination| destination.manifest.name == kind);
            let near = nearest(&wanted, all.map(|destination| destination.name.as_str()));
            let hint =
                near.map_or_else(|| format!("name one of type {kind}"), |near| format!("did you mean `{near}`?"));
            faults.error_with_hint(node.place, format!("there is no destination `{wanted}`"), hint);
        }
    }
    None
}
