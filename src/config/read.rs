//! From the tree as written to the config as meant.

use std::collections::BTreeMap;
use std::path::Path;

use vitalsync_core::Calendar;
use vitalsync_core::call::AccountPaths;
use vitalsync_core::connector::COMMON_KEYS;
use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::model::{Bands, Benchmark, Done, MICRO, Model, Profile, Refresh, Step};
use vitalsync_core::names;
use vitalsync_core::section::{Faults, Kind, Node, Place, nearest};
use vitalsync_core::value::Type;

use super::{Config, Destination, Secret, Source};
use crate::connectors;
use crate::schedule::Schedule;

pub(super) fn config(root: &Node, file: &Path, faults: &mut Faults) -> Option<Config> {
    let table = root.table(faults, "the config")?;
    if let Some(version) = table.get("version")
        && version.number(faults, "the config's version, 1").is_some_and(|number| number != 1.0)
    {
        faults.error(version.place, "this program reads version 1 of the config");
    }
    let calendar = table.get("timezone").and_then(|node| timezone(node, faults)).unwrap_or_default();
    let base = file.parent().unwrap_or(Path::new(""));
    let path = |node: &Node, faults: &mut Faults, what: &str| node.text(faults, what).map(|text| base.join(text));
    let state = match table.get("state") {
        Some(node) => path(node, faults, "the state directory").unwrap_or_default(),
        None => base.join("state"),
    };

    let lifecycle_node = table.get("lifecycle");
    let lifecycle = lifecycle_node.map(|node| lifecycle(node, faults)).unwrap_or_default();
    let stages: Vec<String> = lifecycle.iter().map(|(name, _)| name.clone()).collect();
    let trait_scope = names::trait_scope(&stages);

    let (accounts, name, owner) = accounts(table.get("accounts"), &trait_scope, faults);
    let (exclude_accounts, exclude_users) = exclude(table.get("exclude"), &trait_scope, faults);
    let profiles = table.get("profiles").map(|node| profiles(node, &trait_scope, faults)).unwrap_or_default();
    let activation = table.get("activation").map(|node| activation(node, faults)).unwrap_or_default();

    let segments_node = table.get("segments");
    let segment_names: Vec<String> = segments_node
        .map(|node| node.entries(faults, "segments").iter().map(|(name, ..)| name.clone()).collect())
        .unwrap_or_default();
    let profile_names: Vec<String> = profiles.iter().map(|profile: &Profile| profile.name.clone()).collect();
    let scopes = names::scopes(&profile_names, &stages, &segment_names);
    let segments = segments_node.map(|node| segments(node, &scopes.account, faults)).unwrap_or_default();

    let sources = match table.need(faults, "sources", "where usage comes from") {
        Some(node) => sources(node, base, calendar, faults),
        None => Vec::new(),
    };
    let destinations =
        table.get("destinations").map(|node| destinations(node, calendar, &scopes, faults)).unwrap_or_default();
    table.finish(faults);
    let model =
        Model { calendar, name, owner, exclude_accounts, exclude_users, profiles, activation, lifecycle, segments };
    Some(Config { file: file.to_owned(), state, model, accounts, sources, destinations, warnings: Vec::new() })
}

fn timezone(node: &Node, faults: &mut Faults) -> Option<Calendar> {
    let name = node.text(faults, "a time zone such as Europe/Brussels")?;
    let calendar = Calendar::of(&name);
    if calendar.is_none() {
        let near = nearest(&name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map_or_else(
            || "use a name such as Europe/Brussels, America/New_York or UTC".into(),
            |near| format!("did you mean `{near}`?"),
        );
        faults.error_with_hint(node.place, format!("there is no time zone `{name}`"), hint);
    }
    calendar
}

/// A name that the user chose for a source, destination, profile, stage, segment.
fn chosen_name(name: &str, place: Place, faults: &mut Faults, what: &str) -> bool {
    let good = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if !good {
        faults.error(
            place,
            format!("the name of a {what} begins with a letter and has letters, digits, `_` and `-`, found `{name}`"),
        );
    }
    good
}

fn lifecycle(node: &Node, faults: &mut Faults) -> Vec<(String, Expr)> {
    let scope = names::trait_scope(&[]);
    let mut stages = Vec::new();
    for (name, place, node) in node.entries(faults, "lifecycle") {
        chosen_name(name, *place, faults, "lifecycle stage");
        let rule = if matches!(node.kind, Kind::Map(_)) {
            node.table(faults, &format!("lifecycle.{name}")).and_then(|table| {
                let rule = table.need(faults, "when", "the rule")?;
                if let Some(date) = table.get("date") {
                    Expr::read(date, &scope, Type::Any, faults);
                }
                table.finish(faults);
                Expr::read(rule, &scope, Type::Bool, faults)
            })
        } else {
            Expr::read(node, &scope, Type::Bool, faults)
        };
        stages.extend(rule.map(|rule| (name.clone(), rule)));
    }
    stages
}

fn segments(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<(String, Expr)> {
    let mut segments: Vec<(String, Expr)> = Vec::new();
    for (name, place, node) in node.entries(faults, "segments") {
        chosen_name(name, *place, faults, "segment");
        segments.extend(Expr::read(node, scope, Type::Bool, faults).map(|rule| (name.clone(), rule)));
    }
    // A ring of segments would never end.
    for (name, rule) in &segments {
        let mut path = vec![name.clone()];
        if let Some(ring) = ring(&segments, rule, &mut path) {
            faults.error(rule.place(), format!("segments that need each other: {}", ring.join(" → ")));
            break;
        }
    }
    segments
}

fn ring(segments: &[(String, Expr)], rule: &Expr, path: &mut Vec<String>) -> Option<Vec<String>> {
    for used in rule.names().into_iter().filter_map(|name| name.strip_prefix("segments.")) {
        let seen = path.iter().any(|name| name == used);
        path.push(used.to_owned());
        if seen {
            return Some(path.clone());
        }
        if let Some((_, next)) = segments.iter().find(|(name, _)| name == used)
            && let Some(found) = ring(segments, next, path)
        {
            return Some(found);
        }
        path.pop();
    }
    None
}

fn accounts(node: Option<&Node>, scope: &Scope, faults: &mut Faults) -> (AccountPaths, Option<Expr>, Option<Expr>) {
    let fallback = |faults: &mut Faults| Expr::parse("traits.name", Place::default(), scope, Type::Any, faults);
    let Some(table) = node.and_then(|node| node.table(faults, "accounts")) else {
        return (AccountPaths::default(), fallback(faults), None);
    };
    let mut paths = Vec::new();
    if let Some(node) = table.get("id") {
        for item in node.items() {
            let Some(text) = item.text(faults, "a place in a call, such as context.groupId") else { continue };
            let path: Vec<String> = text.split('.').map(str::to_owned).collect();
            let roots = ["context", "properties", "traits", "groupId", "userId"];
            if path.iter().any(String::is_empty) || !path.first().is_some_and(|first| roots.contains(&first.as_str())) {
                faults.error_with_hint(
                    item.place,
                    format!("`{text}` is no place in a call"),
                    "begin with context., properties. or traits., as in context.groupId",
                );
            }
            paths.push(path);
        }
    }
    let name = match table.get("name") {
        Some(node) => Expr::read(node, scope, Type::Any, faults),
        None => fallback(faults),
    };
    let owner = table.get("owner").and_then(|node| Expr::read(node, scope, Type::Any, faults));
    table.finish(faults);
    (if paths.is_empty() { AccountPaths::default() } else { AccountPaths(paths) }, name, owner)
}

fn exclude(node: Option<&Node>, scope: &Scope, faults: &mut Faults) -> (Option<Expr>, Option<Expr>) {
    let Some(table) = node.and_then(|node| node.table(faults, "exclude")) else { return (None, None) };
    let accounts = table.get("accounts").and_then(|node| Expr::read(node, scope, Type::Bool, faults));
    let users = table.get("users").and_then(|node| Expr::read(node, &names::user_trait_scope(), Type::Bool, faults));
    table.finish(faults);
    (accounts, users)
}

/// A profile as written: what is left out comes from the one it extends, else from the defaults.
#[derive(Clone, Default)]
struct Written {
    name: String,
    only: Option<Expr>,
    window: Option<i32>,
    weights: BTreeMap<String, i64>,
    bands: Option<(Option<f64>, Option<f64>)>,
    hold: Option<(u32, f64)>,
    benchmark: Option<Benchmark>,
    extends: Option<(String, Place)>,
    /// True if an event's weight did not read, which is said at its own place.
    faulty: bool,
    place: Place,
}

fn profiles(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<Profile> {
    let items = node.items();
    let alone = items.len() == 1;
    let mut written: Vec<Written> = Vec::new();
    for item in items {
        let Some(profile) = profile(item, alone, scope, faults) else { continue };
        if written.iter().any(|other| other.name == profile.name) {
            faults.error(item.place, format!("two profiles are called `{}`", profile.name));
        }
        written.push(profile);
    }
    (0..written.len()).filter_map(|index| resolve(&written, index, faults)).collect()
}

fn profile(node: &Node, alone: bool, scope: &Scope, faults: &mut Faults) -> Option<Written> {
    let table = node.table(faults, "a profile")?;
    let mut written = Written { place: node.place, ..Written::default() };
    let name = if alone { table.get("name") } else { table.need(faults, "name", "each of several profiles has one") };
    written.name = match name {
        Some(node) => {
            let text = node.text(faults, "the profile's name").unwrap_or_default();
            chosen_name(&text, node.place, faults, "profile");
            text
        }
        None => "health".into(),
    };
    written.only = table.get("for").and_then(|node| Expr::read(node, scope, Type::Bool, faults));
    written.window = table.get("window").and_then(|node| node.days(faults, "the window"));
    written.extends = table.get("extends").and_then(|node| Some((node.text(faults, "a profile's name")?, node.place)));
    let events = match &written.extends {
        Some(_) => table.get("events"),
        None => table.need(faults, "events", "which events count, with a weight from 0 to 10"),
    };
    for (event, _, node) in events.map(|node| node.entries(faults, "events")).unwrap_or_default() {
        if let Kind::Map(_) = node.kind {
            faults.error_with_hint(
                node.place,
                format!("`{event}`: conditions on properties are not supported by this version"),
                "give the event a plain weight from 0 to 10",
            );
            written.faulty = true;
            continue;
        }
        let expected = "a weight from 0 to 10 (0 excludes the event)";
        match node.number_within(faults, expected, 0.0, 10.0) {
            Some(weight) => {
                written.weights.insert(event.clone(), (weight * MICRO as f64).round() as i64);
            }
            None => written.faulty = true,
        }
    }
    if let Some(table) = table.get("bands").and_then(|node| node.table(faults, "bands")) {
        let bound = |key, faults: &mut Faults| {
            table.get(key).and_then(|node| node.number_within(faults, "a score from 1 to 100", 1.0, 100.0))
        };
        let (healthy, at_risk) = (bound("healthy", faults), bound("at_risk", faults));
        written.bands = Some((healthy, at_risk));
        written.hold = table.get("hold").and_then(|node| hold(node, faults));
        table.finish(faults);
    }
    if let Some(node) = table.get("hold") {
        written.hold = hold(node, faults);
    }
    written.benchmark = table.get("benchmark").and_then(|node| benchmark(node, faults));
    table.finish(faults);
    Some(written)
}

fn hold(node: &Node, faults: &mut Faults) -> Option<(u32, f64)> {
    if matches!(&node.kind, Kind::Bool(false)) || matches!(&node.kind, Kind::Text(text) if text.value == "off") {
        return Some((1, 0.0));
    }
    let table = node.table(faults, "hold (or `off`)")?;
    let points = table.get("points").and_then(|node| node.number_within(faults, "points from 0 to 50", 0.0, 50.0));
    let days = table.get("days").and_then(|node| node.count(faults, "a number of days from 1 up", 1));
    table.finish(faults);
    let default = Bands::default();
    Some((days.unwrap_or(default.hold_days), points.unwrap_or(default.hold_points)))
}

const REFRESH: [(&str, Refresh); 4] = [
    ("every_run", Refresh::EveryRun),
    ("weekly", Refresh::Weekly),
    ("monthly", Refresh::Monthly),
    ("quarterly", Refresh::Quarterly),
];

fn benchmark(node: &Node, faults: &mut Faults) -> Option<Benchmark> {
    let words = REFRESH.map(|(word, _)| word);
    let refresh = |node: &Node, faults: &mut Faults| {
        node.one_of(faults, "when the benchmark is renewed", &words)
            .and_then(|at| REFRESH.get(at))
            .map(|(_, refresh)| *refresh)
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return Some(Benchmark { refresh: refresh(node, faults)?, ..Benchmark::default() });
    }
    let table = node.table(faults, "benchmark")?;
    let mut benchmark = Benchmark::default();
    if let Some(node) = table.get("percentile") {
        let percentile = node.number_within(faults, "a percentile above 0, up to 100", 0.0, 100.0);
        if percentile == Some(0.0) {
            faults.error(node.place, "a percentile of 0 would make every account perfect; 90 is usual");
        }
        benchmark.percentile = percentile.unwrap_or(90.0);
    }
    if let Some(node) = table.get("refresh") {
        benchmark.refresh = refresh(node, faults).unwrap_or(benchmark.refresh);
    }
    if let Some(node) = table.get("fixed") {
        let raw = node.number(faults, "a raw score above 0");
        if raw.is_some_and(|raw| raw <= 0.0) {
            faults.error(node.place, "a fixed benchmark is a raw score above 0");
        }
        if table.get("refresh").is_some() {
            faults.error(node.place, "a benchmark is either fixed or renewed: leave out `fixed` or `refresh`");
        }
        benchmark.refresh = Refresh::Fixed(raw.unwrap_or(1.0));
    }
    table.finish(faults);
    Some(benchmark)
}

fn resolve(all: &[Written], index: usize, faults: &mut Faults) -> Option<Profile> {
    let own = all.get(index)?;
    let mut merged = own.clone();
    let (mut current, mut seen) = (own, vec![own.name.clone()]);
    while let Some((parent, place)) = &current.extends {
        if seen.contains(parent) {
            faults.error(*place, format!("profiles that extend each other: {} → {parent}", seen.join(" → ")));
            return None;
        }
        let Some(found) = all.iter().find(|profile| profile.name == *parent) else {
            let hint = nearest(parent, all.iter().map(|profile| profile.name.as_str()))
                .map(|near| format!("did you mean `{near}`?"));
            faults.error_with_hint(
                *place,
                format!("there is no profile `{parent}`"),
                hint.unwrap_or_else(|| "name another profile of this list".into()),
            );
            return None;
        };
        seen.push(parent.clone());
        merged.window = merged.window.or(found.window);
        merged.bands = merged.bands.or(found.bands);
        merged.hold = merged.hold.or(found.hold);
        merged.benchmark = merged.benchmark.or(found.benchmark);
        for (event, weight) in &found.weights {
            merged.weights.entry(event.clone()).or_insert(*weight);
        }
        current = found;
    }
    let defaults = Bands::default();
    let (healthy, at_risk) = merged.bands.unwrap_or_default();
    let (hold_days, hold_points) = merged.hold.unwrap_or((defaults.hold_days, defaults.hold_points));
    let bands = Bands {
        healthy: healthy.unwrap_or(defaults.healthy),
        at_risk: at_risk.unwrap_or(defaults.at_risk),
        hold_days,
        hold_points,
    };
    if bands.at_risk > bands.healthy {
        faults.error(
            merged.place,
            format!("bands: at_risk ({}) must not be above healthy ({})", bands.at_risk, bands.healthy),
        );
    }
    let weights: BTreeMap<String, i64> = merged.weights.into_iter().filter(|(_, weight)| *weight > 0).collect();
    if weights.is_empty() && !merged.faulty {
        faults.error(merged.place, format!("profile `{}` scores no event", merged.name));
    }
    Some(Profile {
        name: merged.name,
        only: merged.only,
        window: merged.window.unwrap_or(30),
        weights,
        bands,
        benchmark: merged.benchmark.unwrap_or_default(),
    })
}

fn activation(node: &Node, faults: &mut Faults) -> Vec<Step> {
    let Some(table) = node.table(faults, "activation") else { return Vec::new() };
    let steps = table.need(faults, "steps", "the checklist: a name and an event each");
    let mut list = Vec::new();
    for (name, _, node) in steps.map(|node| node.entries(faults, "steps")).unwrap_or_default() {
        let done = if matches!(node.kind, Kind::Map(_)) {
            step(name, node, faults)
        } else {
            node.text(faults, "an event's name, {event: …, count: …} or {trait: …}")
                .map(|event| Done::Event { event, count: 1 })
        };
        list.extend(done.map(|done| Step { name: name.clone(), done }));
    }
    table.finish(faults);
    list
}

fn step(name: &str, node: &Node, faults: &mut Faults) -> Option<Done> {
    let table = node.table(faults, &format!("step {name}"))?;
    let event = table.get("event").and_then(|node| node.text(faults, "an event's name"));
    let count = table.get("count").and_then(|node| node.count(faults, "how often, from 1 up", 1));
    let held = table.get("trait").and_then(|node| node.text(faults, "a trait's name"));
    if let Some(node) = table.get("where") {
        faults.error(node.place, "conditions on properties are not supported by this version");
    }
    table.finish(faults);
    match (event, held) {
        (Some(event), None) => Some(Done::Event { event, count: count.unwrap_or(1) }),
        (None, Some(held)) => Some(Done::Trait(held.strip_prefix("traits.").unwrap_or(&held).to_owned())),
        _ => {
            faults.error(node.place, format!("step `{name}` is either an `event` or a `trait`"));
            None
        }
    }
}

fn schedule(node: Option<&Node>, default: &str, calendar: Calendar, faults: &mut Faults) -> Option<Schedule> {
    let Some(node) = node else { return Schedule::parse(default, calendar).ok() };
    let text = node.text(faults, "a schedule of five fields, such as \"*/15 * * * *\"")?;
    match Schedule::parse(&text, calendar) {
        Ok(schedule) => Some(schedule),
        Err(why) => {
            let hint =
                "minute hour day-of-month month weekday, as in \"*/15 * * * *\" (every 15 minutes) or \"0 7 * * 1-5\"";
            faults.error_with_hint(node.place, format!("`{text}`: {why}"), hint);
            None
        }
    }
}

fn sources(node: &Node, base: &Path, calendar: Calendar, faults: &mut Faults) -> Vec<Source> {
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

fn destinations(node: &Node, calendar: Calendar, scopes: &Scopes, faults: &mut Faults) -> Vec<Destination> {
    let mut destinations: Vec<Destination> = Vec::new();
    for (name, place, node) in node.entries(faults, "destinations") {
        chosen_name(name, *place, faults, "destination");
        let Some(destination) = destination(name, node, calendar, scopes, faults) else { continue };
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
    if a.manifest.name != b.manifest.name || a.base_url != b.base_url || a.token != b.token {
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
    let token = table.need(faults, "token", "what proves who we are, best as \"${NAME}\"").and_then(|node| {
        let token = node.text(faults, "a token")?;
        if let Kind::Text(text) = &node.kind
            && text.value == text.written
            && !text.written.contains("${")
            && !is_for_trying_out(&text.written)
        {
            faults.warning(
                node.place,
                "a token in the file itself ends up in git: write \"${NAME}\" and set it in the environment",
            );
        }
        if token.trim().is_empty() || token.chars().any(|c| c.is_control() || !c.is_ascii()) {
            faults.error(node.place, "the token is empty or has characters that no token has");
        }
        Some(Secret::new(token.trim().to_owned()))
    });
    let base_url = match table.get("base_url") {
        None => Some(registered.manifest.base_url.to_owned()),
        Some(node) => base_url(node, faults),
    };
    let schedule = schedule(table.get("schedule"), "*/15 * * * *", calendar, faults);
    let live = match table.get("mode") {
        None => false,
        Some(node) => node.one_of(faults, "the mode", &["observe", "live"]) == Some(1),
    };
    if let Some(node) = table.get("brake") {
        let off =
            matches!(&node.kind, Kind::Bool(false)) || matches!(&node.kind, Kind::Text(text) if text.value == "off");
        if !off {
            faults.error_with_hint(node.place, "this version has no brake", "write `brake: off`, or leave it out");
        }
    }
    debug_assert!(COMMON_KEYS.len() == 6, "a common key was added that is not read here");
    let connector = (registered.read)(node, scopes, faults)?;
    Some(Destination {
        name: name.to_owned(),
        manifest: registered.manifest,
        connector,
        token: token?,
        base_url: base_url?,
        schedule: schedule?,
        live,
    })
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
