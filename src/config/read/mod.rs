//! From the tree as written to the config as meant: the sections in their order, and what several of them share.

mod access;
mod accounts;
mod activation;
mod conduct;
mod destinations;
mod events;
mod features;
mod gaps;
mod hook;
mod keeping;
mod labels;
mod lifecycle;
mod measures;
mod profiles;
mod readings;
mod risk;
#[cfg(test)]
mod rules_tests;
mod scoring;
mod sources;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use vitalsync_core::Calendar;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::gaps::Gaps;
use vitalsync_core::model::{Model, Written};
use vitalsync_core::names;
use vitalsync_core::section::{Faults, Node, Place, nearest};
use vitalsync_core::segments::{in_order, ready_made};
use vitalsync_core::value::Type;

use self::accounts::{accounts, exclude};
use self::activation::activation;
use self::destinations::{destinations, idle_rules, milestones};
use self::events::{Asked, EventNames, distinct, event_aliases};
use self::features::features;
use self::keeping::{retention, suppress};
use self::labels::labels;
use self::lifecycle::{lifecycle, overrides};
use self::measures::{expansion, user_spans};
use self::profiles::profiles;
use self::readings::readings;
use self::sources::sources;
use super::{Config, Secret};
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
    let state = match table.get("state") {
        Some(node) => state(node, base, faults).unwrap_or_default(),
        None => base.join("state"),
    };

    let lifecycle = lifecycle(table.get("lifecycle"), faults);
    let stages: Vec<String> = lifecycle.stages.iter().map(|(name, _)| name.clone()).collect();
    let trait_scope = names::trait_scope(&stages);

    let accounts = accounts(table.get("accounts"), &trait_scope, faults);
    let event_aliases = event_aliases(table.get("events"), faults);
    let exclude = exclude(table.get("exclude"), &trait_scope, &event_aliases, faults);
    let names = EventNames { aliases: event_aliases, left_out: exclude.events };
    let segments_node = table.get("segments");
    let segment_names: Vec<String> = segments_node
        .map(|node| node.entries(faults, "segments").iter().map(|(name, ..)| name.clone()).collect())
        .unwrap_or_default();
    let scopes = profiles::Scopes { traits: &trait_scope, groups: names::group_scope(&stages, &segment_names) };
    let (profiles, mut derived, quiet) =
        table.get("profiles").map(|node| profiles(node, &scopes, &names, faults)).unwrap_or_default();
    let gaps = Gaps { days: table.get("gaps").map(|node| gaps::gaps(node, faults)).unwrap_or_default(), quiet };
    let mut asked = Asked::new();
    let written = profiles.iter().map(|(profile, written, _)| (profile.name.clone(), written.clone())).collect();
    let profiles = profiles.into_iter().map(|(profile, _, features)| (profile, features)).collect();
    let profiles = features(table.get("features"), profiles, &derived, &names, &mut asked, faults);
    let (activation, of_steps) = table
        .get("activation")
        .map(|node| activation(node, &trait_scope, &derived, &names, &mut asked, faults))
        .unwrap_or_default();
    derived.extend(of_steps);
    let (signals, of_signals) =
        table.get("signals").map(|node| risk::signals(node, &derived, &names, &mut asked, faults)).unwrap_or_default();
    derived.extend(of_signals);
    let risk_weights = table.get("churn_risk").and_then(|node| risk::weights(node, faults)).unwrap_or_default();
    let derived = distinct(derived);
    let scored = |counted: &String| {
        let on_condition = derived.iter().find(|one| one.counted_as() == *counted);
        on_condition.map_or_else(|| counted.clone(), |one| one.name.clone())
    };
    let scored: Vec<String> = profiles.iter().flat_map(|profile| profile.weights.keys()).map(scored).collect();
    let labels = table.get("labels").map(|node| labels(node, &names, &scored, faults)).unwrap_or_default();

    let user_spans = table.get("users").map(|node| user_spans(node, faults)).unwrap_or_default();
    let expansion = table.get("expansion").and_then(|node| expansion(node, &trait_scope, faults));

    let steps = activation.iter().flat_map(|list| &list.steps).map(|step| step.name.clone()).collect::<Vec<_>>();
    let scopes = names::scopes(&names::Vocabulary {
        profiles: &profiles,
        lifecycle: &stages,
        segments: &segment_names,
        steps: &steps,
    });
    let segments = segments_node.map(|node| segments(node, &scopes.account, faults)).unwrap_or_default();
    scoring::check_groups(&profiles, &segments, faults);
    let ready = ready_made(&segment_names, &scopes.account);
    let overrides = table.get("overrides").map(|node| overrides(node, &accounts.aliases, faults)).unwrap_or_default();

    let mut sources = match table.need(faults, "sources", "where usage comes from") {
        Some(node) => sources(node, base, &state, calendar, faults),
        None => Vec::new(),
    };
    let destinations =
        table.get("destinations").map(|node| destinations(node, calendar, &scopes, faults)).unwrap_or_default();
    milestones(table.get("destinations"), &destinations, &mut asked);
    idle_rules(table.get("destinations"), &destinations, !steps.is_empty(), &sources, faults);
    let readings = table.get("sources").map(|node| readings(node, &destinations, calendar, faults)).unwrap_or_default();
    let retention =
        table.get("retention").and_then(|node| retention(node, &profiles, &destinations, user_spans, faults));
    let suppress = table.get("suppress").map(|node| suppress(node, base, faults)).unwrap_or_default();
    let ours: Vec<PathBuf> = [&*state, file].into_iter().chain(suppress.file.as_deref()).map(Path::to_owned).collect();
    sources.iter_mut().for_each(|source| source.ours.clone_from(&ours));
    let public_url = table.get("public_url").and_then(|node| public_url(node, faults));
    table.finish(faults);
    let model = Model {
        calendar,
        name: accounts.name,
        owner: accounts.owner,
        roll_up: accounts.roll_up,
        account_aliases: accounts.aliases,
        exclude_accounts: exclude.accounts,
        exclude_users: exclude.users,
        exclude_events: names.left_out,
        event_aliases: names.aliases,
        derived,
        labels,
        gaps,
        profiles,
        activation,
        signals,
        risk_weights,
        user_spans,
        expansion,
        lifecycle: lifecycle.stages,
        churned_on: lifecycle.churned_on,
        new_days: lifecycle.new_days,
        overrides,
        segments,
        written: Written { profiles: written, asked },
        ready,
    };
    Some(Config {
        file: file.to_owned(),
        state,
        model,
        accounts: accounts.paths,
        sources,
        readings,
        destinations,
        public_url,
        retention: retention.unwrap_or_default(),
        suppress,
        warnings: Vec::new(),
        text: Secret::new(String::new()),
    })
}

/// The directory of the state, which is there or can be made.
fn state(node: &Node, base: &Path, faults: &mut Faults) -> Option<PathBuf> {
    let hint = "name a directory for it, such as ./state; it is made by the first run";
    let text = node.text(faults, "the state directory")?;
    if text.trim().is_empty() {
        faults.error_with_hint(node.place, "expected the state directory, found no text", hint);
        return None;
    }
    let state = base.join(text);
    if let Some(file) = state.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir()) {
        let message = format!("the state is a directory, and {} is a file", file.display());
        faults.error_with_hint(node.place, message, hint);
    }
    Some(state)
}

/// An address that links begin with.
fn public_url(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = node.text(faults, "an address such as https://health.example.com")?;
    let good = |rest: &str| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || "<>|\"?#".contains(c));
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if !rest.is_some_and(good) {
        faults.error(node.place, "public_url is an address such as https://health.example.com, without a query");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
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

fn segments(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<(String, Expr)> {
    let mut segments: Vec<(String, Expr)> = Vec::new();
    for (name, place, node) in node.entries(faults, "segments") {
        chosen_name(name, *place, faults, "segment");
        segments.extend(Expr::read(node, scope, Type::Bool, faults).map(|rule| (name.clone(), rule)));
    }
    ordered(segments, "segments", faults)
}

/// Named rules, each after those that it uses. A ring of them would never end.
fn ordered(rules: Vec<(String, Expr)>, kind: &str, faults: &mut Faults) -> Vec<(String, Expr)> {
    let places: Vec<(String, Place)> = rules.iter().map(|(name, rule)| (name.clone(), rule.place())).collect();
    in_order(rules, &format!("{kind}.")).unwrap_or_else(|ring| {
        let place =
            places.iter().find(|(name, _)| ring.first() == Some(name)).map_or(Place::default(), |found| found.1);
        faults.error(place, format!("{kind} that need each other: {}", ring.join(" → ")));
        Vec::new()
    })
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
