//! Where health goes: `destinations`. What is a connector's own is read by the connector.

use vitalsync_core::Calendar;
use vitalsync_core::alert::Trigger;
use vitalsync_core::connector::COMMON_KEYS;
use vitalsync_core::expr::Scopes;
use vitalsync_core::pulse::Expect;
use vitalsync_core::section::{Faults, Node, Place};

use super::super::{Destination, Source};
use super::access::Address;
use super::conduct::conduct;
use super::events::Asked;
use super::{chosen_name, schedule};
use crate::connectors;

pub(super) fn destinations(node: &Node, calendar: Calendar, scopes: &Scopes, faults: &mut Faults) -> Vec<Destination> {
    let mut destinations: Vec<Destination> = Vec::new();
    for (name, place, node) in node.entries(faults, "destinations") {
        chosen_name(name, *place, faults, "destination");
        let Some(destination) = destination(name, *place, node, calendar, scopes, faults) else { continue };
        if let Some((other, field)) =
            destinations.iter().find_map(|other| Some((other, fights_over(other, &destination)?)))
        {
            faults.error_with_hint(
                *place,
                format!(
                    "`{name}` and `{}` write the same {field} to one {} account",
                    other.name, destination.manifest.title
                ),
                "let one of them own it",
            );
        }
        destinations.push(destination);
    }
    destinations
}

/// Notes where alerts ask for milestones. A connector reads its own section and keeps no places: the rules are found by their
/// names.
pub(super) fn milestones(node: Option<&Node>, destinations: &[Destination], asked: &mut Asked) {
    for destination in destinations {
        let rules = node.and_then(|node| node.key(&destination.name)).and_then(|node| node.key("alerts"));
        for rule in destination.connector.alert_rules() {
            if let Trigger::Milestone { event, .. } = &rule.trigger
                && let Some(node) = rules.and_then(|rules| rules.key(&rule.name))
            {
                asked.entry(event.clone()).or_default().insert(node.place);
            }
        }
    }
}

/// Says which alert rules can never fire, because nothing in the config gives them an occasion.
pub(super) fn idle_rules(
    node: Option<&Node>,
    destinations: &[Destination],
    steps: bool,
    sources: &[Source],
    faults: &mut Faults,
) {
    let expected = sources.iter().any(|source| source.expect != Expect::Nothing);
    for destination in destinations {
        let rules = node.and_then(|node| node.key(&destination.name)).and_then(|node| node.key("alerts"));
        for rule in destination.connector.alert_rules() {
            let (missing, hint) = match rule.trigger {
                Trigger::Step(_) | Trigger::Activated if !steps => (
                    "there are no steps of activation",
                    "list them in `activation: { steps: … }`, or take the rule out",
                ),
                Trigger::DataStopped if !expected => (
                    "no source says how often data comes",
                    "write `expect_every: 6h` or `expect_every: rhythm` at a source",
                ),
                _ => continue,
            };
            if let Some(node) = rules.and_then(|rules| rules.key(&rule.name)) {
                faults.warning_with_hint(
                    node.place,
                    format!("the alert rule `{}` never fires: {missing}", rule.name),
                    hint,
                );
            }
        }
    }
}

/// What two destinations would fight over that are let in by the same token. Two tokens of one vendor account are noticed when
/// the tool says whose they are.
fn fights_over(a: &Destination, b: &Destination) -> Option<String> {
    if a.credentials.holder() == b.credentials.holder() { a.shares_with(b) } else { None }
}

fn destination(
    name: &str,
    place: Place,
    node: &Node,
    calendar: Calendar,
    scopes: &Scopes,
    faults: &mut Faults,
) -> Option<Destination> {
    // The connector reads the same section and refuses what neither of us knows.
    let table = node.table(faults, &format!("destination {name}"))?;
    let kinds: Vec<&str> = connectors::ALL.iter().map(|connector| connector.manifest.name).collect();
    let kind = table.need(faults, "type", &kinds.join(", "))?.one_of(faults, "the destination's type", &kinds)?;
    let registered = connectors::find(kinds.get(kind)?)?;
    let address = Address::read(&table, registered.manifest, faults);
    let schedule = schedule(table.get("schedule"), "*/15 * * * *", calendar, faults);
    let live = match table.get("mode") {
        None => false,
        Some(node) => node.one_of(faults, "the mode", &["observe", "live"]) == Some(1),
    };
    if let Some(node) = table.get("on_forget")
        && node.one_of(faults, "what erasure does here", &["keep", "delete"]) == Some(1)
    {
        faults.error_with_hint(
            node.place,
            "this version deletes no record in a tool",
            "write `on_forget: keep`, or leave it out: `vitalsync forget` says which records to delete by hand",
        );
    }
    let conduct = conduct(&table, faults);
    debug_assert!(COMMON_KEYS.len() == 9, "a common key was added that is not read here");
    let connector = (registered.read)(node, scopes, faults)?;
    let (credentials, base_url) = address?.of(&*connector);
    Some(Destination {
        name: name.to_owned(),
        place,
        manifest: registered.manifest,
        connector,
        credentials,
        base_url,
        schedule: schedule?,
        live,
        conduct,
    })
}
