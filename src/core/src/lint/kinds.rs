//! Traits that the config reads as values of unlike kinds: for whatever value one has, one of the places gets nothing.

use std::collections::BTreeMap;

use crate::component::{Reads, Whose};
use crate::expr::Expr;
use crate::model::{Model, Per};
use crate::section::{Faults, Place};
use crate::value::Type;

/// By trait, as the config writes it, the places that read it and as what.
type Read<'m> = BTreeMap<String, Vec<(Place, Type)>>;

/// Warns of each place that reads a trait as another kind than the first one does.
pub(super) fn of_traits(model: &Model, faults: &mut Faults) {
    for (name, mut places) in read(model) {
        places.sort_by_key(|(place, _)| *place);
        let Some((first, kind)) = places.first().copied() else { continue };
        for (place, other) in places.into_iter().filter(|(_, other)| *other != kind) {
            let message = format!(
                "`{name}` is read as {} here and as {} in line {}: no value is both",
                described(other),
                described(kind),
                first.line
            );
            faults.warning_with_hint(place, message, "see what the source sends; `vitalsync explain` shows traits");
        }
    }
}

fn described(kind: Type) -> &'static str {
    match kind {
        Type::Number => "a number",
        Type::Text => "text",
        _ => "true or false",
    }
}

fn read(model: &Model) -> Read<'_> {
    let mut read = Read::new();
    let mut add = |name: String, place: Place, kind: Type| read.entry(name).or_default().push((place, kind));
    for rule in rules(model) {
        for (name, kind) in rule.literal_kinds() {
            if name.starts_with("traits.") {
                add(name.to_owned(), rule.place(), kind);
            }
        }
    }
    for profile in &model.profiles {
        if let Per::Seat(seats) = &profile.per
            && let [name] = seats.names()[..]
            && name == seats.source().trim()
        {
            add(name.to_owned(), seats.place(), Type::Number);
        }
        let written = model.written.profiles.get(&profile.name);
        for component in &profile.components {
            let whose = if component.whose == Whose::Account { "" } else { "users." };
            let place = written.and_then(|written| written.components.get(&component.name)).copied();
            // Words stand for flags and numbers, too.
            if let (Reads::Range(..), Some(place)) = (&component.reads, place) {
                add(format!("{whose}traits.{}", component.from), place, Type::Number);
            }
        }
    }
    read
}

/// The rules over traits of accounts.
fn rules(model: &Model) -> impl Iterator<Item = &Expr> {
    let named = model.lifecycle.iter().chain(&model.segments).map(|(_, rule)| rule);
    let of_profiles = model.profiles.iter().flat_map(|profile| profile.only.iter().chain(&profile.within));
    let of_lists = model.activation.iter().filter_map(|list| list.only.as_ref());
    model.exclude_accounts.iter().chain(named).chain(of_profiles).chain(of_lists)
}
