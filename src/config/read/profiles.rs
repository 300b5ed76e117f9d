//! Scoring models: `profiles`, with what one takes over from another.

use std::collections::BTreeMap;

use vitalsync_core::derived::Derived;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::gaps::Yearly;
use vitalsync_core::model::{Bands, Benchmark, MICRO, Per, Profile, Refresh, WrittenProfile};
use vitalsync_core::section::{Faults, Kind, Node, Place, nearest};
use vitalsync_core::value::Type;
use vitalsync_core::wildcard::Wildcard;

use super::chosen_name;
use super::events::{EventNames, condition};
use super::gaps::{Expected, calendar};
use super::scoring::{Components, components, per, usage_weight};

/// The longest window in days, ten years: as long as any account is new, too. Tables and walks are as long as a window.
const LONGEST_WINDOW: i32 = 3650;

/// A scored event as written.
#[derive(Clone)]
struct Scored {
    weight: i64,
    /// What it is, if it is one on a condition.
    derived: Option<Derived>,
    place: Place,
}

/// A profile as written: what is left out comes from the one it extends, else from the defaults.
#[derive(Clone, Default)]
struct Written<'n> {
    name: String,
    only: Option<Expr>,
    window: Option<i32>,
    /// By the name in the profile.
    events: BTreeMap<String, Scored>,
    bands: Option<(Option<f64>, Option<f64>)>,
    bands_place: Option<Place>,
    hold: Option<(u32, f64)>,
    features: Option<&'n Node>,
    calendar: Expected,
    /// With what puts accounts into groups.
    benchmark: Option<(Benchmark, Option<Expr>)>,
    per: Option<Per>,
    components: Option<Components>,
    extends: Option<(String, Place)>,
    /// True if an event's weight or the components did not read, which is said at their own place.
    faulty: bool,
    place: Place,
}

/// What the rules of profiles may use.
pub(super) struct Scopes<'s> {
    pub traits: &'s Scope,
    pub groups: Scope,
}

/// A profile, where its parts stand, and its own features.
pub(super) type Resolved<'n> = (Profile, WrittenProfile, Option<&'n Node>);

/// The quiet spans of the profiles that have some, by name.
type Quiet = BTreeMap<String, Vec<Yearly>>;

/// The profiles with their places and each its own `features`, the derived events of all of them under each name that they
/// have, and their quiet spans.
pub(super) fn profiles<'n>(
    node: &'n Node,
    scopes: &Scopes<'_>,
    names: &EventNames,
    faults: &mut Faults,
) -> (Vec<Resolved<'n>>, Vec<Derived>, Quiet) {
    let items = node.items();
    let alone = items.len() == 1;
    let mut written: Vec<Written<'_>> = Vec::new();
    for item in items {
        let Some(profile) = profile(item, alone, scopes, names, faults) else { continue };
        if written.iter().any(|other| other.name == profile.name) {
            faults.error(item.place, format!("two profiles are called `{}`", profile.name));
        }
        written.push(profile);
    }
    // Counted with any weight, also 0: with another one later the window is already there.
    let all = written.iter().flat_map(|profile| profile.events.values());
    let derived = all.filter_map(|scored| scored.derived.clone()).collect();
    let quiet = (0..written.len()).filter_map(|index| quiet(&written, index)).collect();
    let all = (0..written.len()).filter_map(|index| resolve(&written, index, faults)).collect();
    (all, derived, quiet)
}

fn profile<'n>(
    node: &'n Node,
    alone: bool,
    scopes: &Scopes<'_>,
    names: &EventNames,
    faults: &mut Faults,
) -> Option<Written<'n>> {
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
    written.only = table.get("for").and_then(|node| Expr::read(node, scopes.traits, Type::Bool, faults));
    written.window = table.get("window").and_then(|node| window(node, faults));
    written.extends = table.get("extends").and_then(|node| Some((node.text(faults, "a profile's name")?, node.place)));
    if let Some(node) = table.get("components") {
        written.components = components(node, faults);
        written.faulty |= written.components.is_none();
    }
    written.per = table.get("per").and_then(|node| per(node, scopes.traits, faults));
    let events = match (&written.extends, &written.components) {
        (Some(_), _) | (_, Some(_)) => table.get("events"),
        (None, None) => table.need(faults, "events", "which events count, with a weight from 0 to 10"),
    };
    for (name, place, node) in events.map(|node| node.entries(faults, "events")).unwrap_or_default() {
        match scored(name, *place, node, names, faults) {
            Some(scored) => {
                written.events.insert(name.clone(), scored);
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
        written.bands_place = Some(table.place);
        written.hold = table.get("hold").and_then(|node| hold(node, faults));
        table.finish(faults);
    }
    if let Some(node) = table.get("hold") {
        written.hold = hold(node, faults);
    }
    written.features = table.get("features");
    written.calendar = table.get("calendar").map(|node| calendar(node, faults)).unwrap_or_default();
    written.benchmark = table.get("benchmark").and_then(|node| benchmark(node, &scopes.groups, faults));
    table.finish(faults);
    Some(written)
}

/// A weight, or `{event: …, where: …, weight: …}`.
fn scored(name: &str, place: Place, node: &Node, names: &EventNames, faults: &mut Faults) -> Option<Scored> {
    let expected = "a weight from 0 to 10 (0 excludes the event)";
    let weight = |node: &Node, faults: &mut Faults| {
        node.number_within(faults, expected, 0.0, 10.0).map(|weight| (weight * MICRO as f64).round() as i64)
    };
    // What is not scored may be left out, too.
    let check = |event: &str, place: Place, weight: i64, faults: &mut Faults| match weight {
        _ if Wildcard::is_one(event) => {}
        0 => names.of_today(event, place, faults),
        _ => names.counted(event, place, faults),
    };
    if !matches!(node.kind, Kind::Map(_)) {
        let weight = weight(node, faults)?;
        check(name, place, weight, faults);
        return Some(Scored { weight, derived: None, place });
    }
    let table = node.table(faults, &format!("event {name}"))?;
    let event = match table.get("event") {
        Some(node) => node.text(faults, "an event's name").map(|event| (event, node.place)),
        None => Some((name.to_owned(), place)),
    };
    let meaning = "the condition, such as properties.audience == \"external\"; without one an event has a plain weight";
    let rule = table.need(faults, "where", meaning).and_then(|node| condition(node, faults));
    let weight = table.need(faults, "weight", "from 0 to 10").and_then(|node| weight(node, faults));
    table.finish(faults);
    if let Some((event, place)) = &event {
        if Wildcard::is_one(event) {
            let message = format!("a condition is asked of one event: `{event}` may stand for several");
            faults.error_with_hint(*place, message, "name the event in full");
        }
        check(event, *place, weight.unwrap_or_default(), faults);
    }
    Some(Scored { weight: weight?, derived: Some(Derived::new(Some(name), &event?.0, rule?)), place })
}

fn window(node: &Node, faults: &mut Faults) -> Option<i32> {
    let days = node.days(faults, "the window")?;
    if days > LONGEST_WINDOW {
        let message = format!("the window is {LONGEST_WINDOW} days (ten years) at most, found {}", node.described());
        faults.error_with_hint(node.place, message, "a score is about what customers do these days: 30d, 90d or 1mo");
        return None;
    }
    Some(days)
}

fn hold(node: &Node, faults: &mut Faults) -> Option<(u32, f64)> {
    if node.is_off() {
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

fn benchmark(node: &Node, groups: &Scope, faults: &mut Faults) -> Option<(Benchmark, Option<Expr>)> {
    let words = REFRESH.map(|(word, _)| word);
    let refresh = |node: &Node, faults: &mut Faults| {
        node.one_of(faults, "when the benchmark is renewed", &words)
            .and_then(|at| REFRESH.get(at))
            .map(|(_, refresh)| *refresh)
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return Some((Benchmark { refresh: refresh(node, faults)?, ..Benchmark::default() }, None));
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
    let within = table.get("within");
    if let (Some(node), true) = (within, matches!(benchmark.refresh, Refresh::Fixed(_))) {
        faults.error(node.place, "a fixed benchmark is the same for all: leave out `fixed` or `within`");
    }
    let within = within.and_then(|node| Expr::read(node, groups, Type::Any, faults));
    table.finish(faults);
    Some((benchmark, within))
}

/// A profile's quiet spans, its own or of the nearest one that it extends. Rings are refused in [`resolve`].
fn quiet(all: &[Written<'_>], index: usize) -> Option<(String, Vec<Yearly>)> {
    let own = all.get(index)?;
    let mut at = own;
    for _ in 0..all.len() {
        if let Some(quiet) = &at.calendar.quiet {
            return Some((own.name.clone(), quiet.clone()));
        }
        let (parent, _) = at.extends.as_ref()?;
        at = all.iter().find(|profile| profile.name == *parent)?;
    }
    None
}

fn resolve<'n>(all: &[Written<'n>], index: usize, faults: &mut Faults) -> Option<Resolved<'n>> {
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
        merged.bands_place = merged.bands_place.or(found.bands_place);
        merged.hold = merged.hold.or(found.hold);
        merged.calendar.cycle = merged.calendar.cycle.or(found.calendar.cycle);
        merged.features = merged.features.or(found.features);
        merged.benchmark = merged.benchmark.or_else(|| found.benchmark.clone());
        merged.per = merged.per.or_else(|| found.per.clone());
        merged.components = merged.components.or_else(|| found.components.clone());
        merged.faulty |= found.faulty;
        for (name, scored) in &found.events {
            let own = merged.events.entry(name.clone()).or_insert_with(|| scored.clone());
            // A plain weight is only another weight: the condition is as there.
            if own.derived.is_none() {
                own.derived.clone_from(&scored.derived);
            }
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
    let mut weights: BTreeMap<String, i64> = BTreeMap::new();
    let mut written = WrittenProfile { place: merged.place, bands: merged.bands_place, ..WrittenProfile::default() };
    written.components = merged.components.as_ref().map(|all| all.places.clone()).unwrap_or_default();
    let mut wildcards: Vec<(Wildcard, i64)> = Vec::new();
    let any_wildcard = merged.events.iter().any(|(name, scored)| scored.derived.is_none() && Wildcard::is_one(name));
    let mut conditions: BTreeMap<String, &String> = BTreeMap::new();
    for (name, scored) in &merged.events {
        let counted = scored.derived.as_ref().map_or_else(|| name.clone(), Derived::counted_as);
        if let (Some(_), Some(other)) = (&scored.derived, conditions.insert(counted.clone(), name)) {
            let message = format!("`{other}` and `{name}` are the same event on the same condition");
            faults.error_with_hint(scored.place, message, "keep one of them");
        }
        let plain = scored.derived.is_none();
        if plain && (Wildcard::is_one(name) || any_wildcard && scored.weight == 0) {
            wildcards.push((Wildcard::new(name), scored.weight));
        } else if scored.weight > 0 {
            written.events.insert(counted.clone(), scored.place);
            weights.insert(counted, scored.weight);
        } else {
            written.excluded.insert(counted, scored.place);
        }
    }
    wildcards.sort_by(|(a, _), (b, _)| a.precedence().cmp(&b.precedence()));
    let scores_nothing = weights.is_empty() && wildcards.iter().all(|(_, weight)| *weight == 0);
    if scores_nothing && merged.components.is_none() && !merged.faulty {
        faults.error(merged.place, format!("profile `{}` scores no event", merged.name));
    }
    let usage_weight = merged.components.as_ref().map_or(100.0, |all| usage_weight(all, scores_nothing, faults));
    let (benchmark, within) = merged.benchmark.unwrap_or_default();
    let profile = Profile {
        name: merged.name,
        only: merged.only,
        window: merged.window.unwrap_or(30),
        weights,
        wildcards,
        bands,
        features: Vec::new(),
        benchmark,
        within,
        per: merged.per.unwrap_or_default(),
        components: merged.components.map(|all| all.list).unwrap_or_default(),
        usage_weight,
        cycle: merged.calendar.cycle,
    };
    Some((profile, written, merged.features))
}
