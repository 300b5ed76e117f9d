//! Where health goes: `destinations`. What is a connector's own is read by the connector.

use vitalsync_core::Calendar;
use vitalsync_core::connector::{Auth, COMMON_KEYS, Manifest};
use vitalsync_core::expr::Scopes;
use vitalsync_core::section::{Faults, Kind, Node, Place, Table};

use super::super::{Credentials, Destination, Secret};
use super::conduct::conduct;
use super::{chosen_name, schedule};
use crate::connectors;

pub(super) fn destinations(node: &Node, calendar: Calendar, scopes: &Scopes, faults: &mut Faults) -> Vec<Destination> {
    let mut destinations: Vec<Destination> = Vec::new();
    for (name, place, node) in node.entries(faults, "destinations") {
        chosen_name(name, *place, faults, "destination");
        let Some(destination) = destination(name, *place, node, calendar, scopes, faults) else { continue };
        if let Some((other, field)) =
            destinations.iter().find_map(|other| Some((other, same_field(other, &destination)?)))
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

/// A field or tag group that two destinations of one vendor account would fight over.
fn same_field(a: &Destination, b: &Destination) -> Option<String> {
    if a.manifest.name != b.manifest.name || a.base_url != b.base_url || a.credentials != b.credentials {
        return None;
    }
    for set in a.connector.record_sets() {
        for other in b.connector.record_sets().iter().filter(|other| other.kind == set.kind) {
            let mut fields =
                set.fields.iter().filter(|field| other.fields.iter().any(|found| found.field == field.field));
            if let Some(field) = fields.next() {
                return Some(format!("field `{}`", field.field));
            }
            let mut groups =
                set.groups.iter().filter(|group| other.groups.iter().any(|found| found.name == group.name));
            if let Some(group) = groups.next() {
                return Some(format!("tag group `{}`", group.name));
            }
        }
    }
    None
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
    let credentials = credentials(&table, registered.manifest, faults);
    let written_url = table.get("base_url").map(|node| base_url(node, faults));
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
    let (credentials, origin) = credentials?;
    let base_url = match written_url {
        Some(base_url) => base_url?,
        None => connector.home().map_or(origin, str::to_owned),
    };
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

/// What proves who we are, and where: exactly one of the ways that a connector knows.
fn credentials(table: &Table<'_>, manifest: &'static Manifest, faults: &mut Faults) -> Option<(Credentials, String)> {
    let keys: Vec<&str> = manifest.auth.iter().map(|auth| auth.key()).collect();
    let mut written = manifest.auth.iter().filter_map(|auth| Some((*auth, table.get(auth.key())?)));
    let Some((auth, node)) = written.next() else {
        let message = format!("`{}` is missing: what proves who we are", keys.join("` or `"));
        faults.error_with_hint(table.place, message, "best as \"${NAME}\", set in the environment");
        return None;
    };
    if let Some((other, node)) = written.next() {
        let message = format!("`{}` and `{}` are two ways to prove who we are", auth.key(), other.key());
        faults.error_with_hint(node.place, message, "leave one of them out");
        return None;
    }
    let secret = secret(node, auth.key(), faults)?;
    match auth {
        Auth::Bearer => Some((Credentials::Token(Secret::new(secret)), manifest.base_url.to_owned())),
        Auth::Address { key } => {
            let after = secret.find("://").map(|at| at + 3);
            let host = after.and_then(|from| Some((from, secret.get(from..)?.split(['/', '?', '#']).next()?.len())));
            match host {
                Some((from, length))
                    if length > 0 && (secret.starts_with("https://") || secret.starts_with("http://")) =>
                {
                    let (origin, rest) = secret.split_at(from + length);
                    Some((Credentials::Address(Secret::new(rest.to_owned())), origin.to_owned()))
                }
                _ => {
                    faults.error(node.place, format!("`{key}` is no address such as https://host/path"));
                    None
                }
            }
        }
    }
}

/// A secret of the config; a warning where it stands in the file itself.
fn secret(node: &Node, key: &str, faults: &mut Faults) -> Option<String> {
    let secret = node.text(faults, &format!("a {key}"))?;
    if let Kind::Text(text) = &node.kind
        && text.value == text.written
        && !text.written.contains("${")
        && !is_for_trying_out(&text.written)
    {
        faults.warning(
            node.place,
            format!("a {key} in the file itself ends up in git: write \"${{NAME}}\" and set it in the environment"),
        );
    }
    if secret.trim().is_empty() || secret.chars().any(|c| c.is_control() || !c.is_ascii()) {
        faults.error(node.place, format!("the {key} is empty or has characters that no {key} has"));
    }
    Some(secret.trim().to_owned())
}

/// Tokens that are no secret: the sandbox's, and words for examples.
fn is_for_trying_out(token: &str) -> bool {
    token.starts_with("sandbox") || token.starts_with("demo") || token.starts_with("test")
}

fn base_url(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = node.text(faults, "an address such as https://api.example.com")?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
            Some(text.trim_end_matches('/').to_owned())
        }
        _ => {
            faults.error_with_hint(
                node.place,
                "a base_url is scheme, host and port only",
                "as in https://api.hubapi.com or http://127.0.0.1:8080; paths are appended",
            );
            None
        }
    }
}
