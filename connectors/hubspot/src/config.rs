//! The destination's section: what was written, and what it means. All faults at once, each with its place.
//!
//! The common keys (token, schedule, …) are read by the shell; they are only asked for here so that they are no
//! unknown keys.

use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::mapping::{FieldMap, Level, Missing, RecordSet};
use vitalsync_core::section::{Faults, Kind as Written, Node, Place, Table, nearest};
use vitalsync_core::{Connector, Type};

use crate::kind::{COMPANY, CONTACT, Kind};
use crate::plan::{ASSOCIATION, OWN, RECORD_ID};
use crate::{HubSpot, Property, Section};

/// The API version where the config names none: the newest that is stable.
pub(crate) const VERSION: &str = "2026-09";

/// Properties that HubSpot keeps itself.
const READ_ONLY: [&str; 7] = [
    "hs_object_id",
    "createdate",
    "hs_createdate",
    "hs_lastmodifieddate",
    "lastmodifieddate",
    "hs_merged_object_ids",
    "hs_calculated_merged_vids",
];

/// Reads a section `type: hubspot`; `None` if anything in it is wrong.
pub(crate) fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "the HubSpot destination")?;
    crate::MANIFEST.leave_common(&table);
    let version = match table.get("api_version") {
        Some(node) => version(node, faults),
        None => Some(VERSION.to_owned()),
    };
    let group = match table.get("property_group") {
        Some(node) => name(node, faults, "the name of a property group"),
        None => Some("vitalsync".to_owned()),
    };
    let (companies, contacts) = (table.get(COMPANY.plural), table.get(CONTACT.plural));
    if companies.is_none() && contacts.is_none() {
        faults.error_with_hint(
            table.place,
            "the HubSpot destination: nothing to write, neither `companies` nor `contacts`",
            "companies: { properties: { vitalsync_health_score: health.score } }",
        );
    }
    let both = companies.is_some() && contacts.is_some();
    let companies = companies.map(|node| section(&COMPANY, node, &scopes.account, both, faults));
    let contacts = contacts.map(|node| section(&CONTACT, node, &scopes.user, both, faults));
    let associate = match &contacts {
        Some(Some(read)) if read.associate => associations(&scopes.user, read.section.place, faults).map(Some),
        _ => Some(None),
    };
    table.finish(faults);
    let read: Vec<Read> = companies.into_iter().chain(contacts).collect::<Option<_>>()?;
    let associate = associate?;
    let mut hubspot = HubSpot {
        version: version?,
        group: group?,
        sections: Vec::new(),
        associate: associate.is_some(),
        sets: Vec::new(),
    };
    for Read { section, set, .. } in read {
        hubspot.sections.push(section);
        hubspot.sets.push(set);
    }
    hubspot.sets.extend(associate);
    (!hubspot.sections.is_empty()).then(|| Box::new(hubspot) as Box<dyn Connector>)
}

/// Which contact belongs to which account: what is not said in the config, but follows from it.
fn associations(scope: &Scope, place: Place, faults: &mut Faults) -> Option<RecordSet> {
    let account = Expr::parse("account.id", place, scope, Type::Any, faults)?;
    Some(RecordSet {
        kind: ASSOCIATION,
        level: Level::User,
        only: None,
        keys: vec![(COMPANY.name.to_owned(), account)],
        missing: Missing::Skip,
        create_fields: Vec::new(),
        fields: Vec::new(),
        groups: Vec::new(),
    })
}

/// A section as it was read.
struct Read {
    section: Section,
    set: RecordSet,
    associate: bool,
}

/// Reads `companies:` or `contacts:`; `both`: the other one is there too.
fn section(kind: &'static Kind, node: &Node, scope: &Scope, both: bool, faults: &mut Faults) -> Option<Read> {
    let table = node.table(faults, kind.plural)?;
    let place = node.place;
    let only = match table.get("only") {
        Some(node) => Expr::read(node, scope, Type::Bool, faults).map(Some),
        None => Some(None),
    };
    let missing = match table.get("missing") {
        Some(node) => Missing::read(node, scope, faults),
        None => Some(Missing::Skip),
    };
    let natural = &kind.natural;
    let mut ways = match table.get("match") {
        Some(node) => ways(kind, node, scope, faults),
        None => {
            let mut ways = Ways::new(kind);
            ways.add_own(0, place, scope, faults);
            ways.add(1, natural.by.to_owned(), Expr::parse(natural.expr, place, scope, Type::Any, faults));
            ways
        }
    };
    if ways.own.is_none() && ways.ok && !matches!(missing, None | Some(Missing::Skip)) {
        let at = ways.keys.iter().position(|(by, _)| by == natural.by).unwrap_or(ways.keys.len());
        ways.add_own(at, place, scope, faults);
        let place = table.get("missing").map_or(place, |node| node.place);
        faults.warning(
            place,
            format!(
                "{} that are created need a property of our own, or a lost answer could create one twice: \
                 `property: {}` is added to `match`",
                kind.plural, kind.own
            ),
        );
    }
    let create_fields: Vec<Option<FieldMap>> = kind
        .create
        .iter()
        .map(|(field, standard)| create_field(&table, field, standard, place, scope, faults))
        .collect();
    let associate = match (kind.level == Level::User).then(|| table.get("associate")) {
        None => Some(false),
        Some(None) => Some(both),
        Some(Some(node)) => {
            let wanted = node.flag(faults, "associate: true or false");
            if wanted == Some(true) && !both {
                faults.error_with_hint(
                    node.place,
                    "contacts can only be associated with companies that are written too",
                    "add `companies`, or leave `associate` out",
                );
            }
            wanted.map(|wanted| wanted && both)
        }
    };
    let own = ways.own.as_ref().map(|(name, _)| name.as_str());
    let fields = table
        .need(faults, "properties", "HubSpot property: expression")
        .and_then(|node| properties(kind, node, own, scope, faults));
    table.finish(faults);
    if !ways.ok {
        return None;
    }
    let (fields, properties) = fields?;
    let set = RecordSet {
        kind: kind.name,
        level: kind.level,
        only: only?,
        keys: ways.keys,
        missing: missing?,
        create_fields: create_fields.into_iter().collect::<Option<_>>()?,
        fields,
        groups: Vec::new(),
    };
    let own =
        ways.own.map(|(name, place)| Property { name, kind: Type::Text, words: Vec::new(), enumeration: false, place });
    let ways = set.keys.iter().map(|(by, _)| by.clone()).collect();
    Some(Read { section: Section { kind, place, ways, own, properties }, set, associate: associate? })
}

/// How records are found, while it is read.
struct Ways {
    kind: &'static Kind,
    keys: Vec<(String, Expr)>,
    own: Option<(String, Place)>,
    ok: bool,
}

impl Ways {
    fn new(kind: &'static Kind) -> Self {
        Self { kind, keys: Vec::new(), own: None, ok: true }
    }

    fn add(&mut self, at: usize, by: String, expr: Option<Expr>) {
        match expr {
            Some(expr) => self.keys.insert(at.min(self.keys.len()), (by, expr)),
            None => self.ok = false,
        }
    }

    /// Adds the property of our own that the config does not spell out.
    fn add_own(&mut self, at: usize, place: Place, scope: &Scope, faults: &mut Faults) {
        self.own = Some((self.kind.own.to_owned(), place));
        let expr = Expr::parse(self.kind.subject, place, scope, Type::Any, faults);
        self.add(at, format!("{OWN}{}", self.kind.own), expr);
    }
}

fn ways(kind: &'static Kind, node: &Node, scope: &Scope, faults: &mut Faults) -> Ways {
    let mut ways = Ways::new(kind);
    let natural = kind.natural.by;
    let known = [RECORD_ID, "property", natural];
    for item in node.items() {
        for (word, place, value) in item.entries(faults, &format!("a way to find a {}", kind.name)) {
            let key = match word.as_str() {
                RECORD_ID => Expr::read(value, scope, Type::Any, faults).map(|expr| (RECORD_ID.to_owned(), expr)),
                word if word == natural => {
                    Expr::read(value, scope, Type::Any, faults).map(|expr| (natural.to_owned(), expr))
                }
                "property" => {
                    let named = name(value, faults, "the name of a property of our own");
                    let expr = Expr::parse(kind.subject, value.place, scope, Type::Any, faults);
                    if ways.own.is_some() {
                        faults.error(*place, "match: only one `property` can be our own");
                        ways.ok = false;
                        continue;
                    }
                    ways.own = named.clone().map(|named| (named, value.place));
                    named.zip(expr).map(|(named, expr)| (format!("{OWN}{named}"), expr))
                }
                _ => {
                    let message = format!("unknown way `{word}` to find a {}", kind.name);
                    let hint = match nearest(word, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    faults.error_with_hint(*place, message, hint);
                    None
                }
            };
            match key {
                Some((by, _)) if ways.keys.iter().any(|(other, _)| *other == by) => {
                    faults.error(*place, format!("match: `{word}` stands there twice"));
                    ways.ok = false;
                }
                Some(key) => ways.keys.push(key),
                None => ways.ok = false,
            }
        }
        ways.ok &= matches!(item.kind, Written::Map(_));
    }
    if ways.ok && ways.keys.is_empty() {
        faults.error(node.place, format!("match needs at least one way: record_id, property or {natural}"));
        ways.ok = false;
    }
    ways
}

fn create_field(
    table: &Table<'_>,
    field: &'static str,
    standard: &str,
    place: Place,
    scope: &Scope,
    faults: &mut Faults,
) -> Option<FieldMap> {
    let expr = match table.get(field) {
        Some(node) => Expr::read(node, scope, Type::Any, faults),
        None => Expr::parse(standard, place, scope, Type::Any, faults),
    };
    Some(FieldMap::new(field, expr?))
}

/// The mapped fields, and the same as properties.
type Mapped = (Vec<FieldMap>, Vec<Property>);

fn properties(kind: &Kind, node: &Node, own: Option<&str>, scope: &Scope, faults: &mut Faults) -> Option<Mapped> {
    let entries = node.entries(faults, "properties");
    if entries.is_empty() {
        if matches!(node.kind, Written::Map(_)) {
            faults.error(node.place, "properties needs at least one HubSpot property");
        }
        return None;
    }
    let (mut fields, mut properties): Mapped = (Vec::new(), Vec::new());
    let mut ok = true;
    for (field, place, value) in entries {
        let wrong = if !is_name(field) {
            Some(format!("`{}` is no internal name of a HubSpot property: {NAME_FORM}", short(field)))
        } else if own == Some(field) {
            Some(format!("`{field}` is our own property of `match`: it holds the {}'s id", kind.whose))
        } else if READ_ONLY.contains(&field.as_str()) {
            Some(format!("`{field}` is kept by HubSpot and can't be written"))
        } else if fields.iter().any(|map| map.field == *field) {
            Some(format!("`{field}` is mapped twice"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            faults.error(*place, wrong);
            ok = false;
        }
        match mapping(field, *place, value, scope, faults) {
            Some((map, property)) => {
                fields.push(map);
                properties.push(property);
            }
            None => ok = false,
        }
    }
    ok.then_some((fields, properties))
}

/// Reads a property's mapping, whose long form may say `type: enumeration`, too.
fn mapping(field: &str, place: Place, node: &Node, scope: &Scope, faults: &mut Faults) -> Option<(FieldMap, Property)> {
    let (map, enumeration) = match &node.kind {
        Written::Map(_) => {
            let table = node.table(faults, &format!("the mapping of {field}"))?;
            let map = FieldMap::of_table(field, &table, &["enumeration"], scope, faults);
            table.finish(faults);
            map?
        }
        _ => (FieldMap::read(field, node, scope, faults)?, None),
    };
    let words = map.expr.words(scope).unwrap_or_default();
    match enumeration {
        Some((_, place)) if words.is_empty() => {
            faults.error_with_hint(
                place,
                format!("an enumeration needs to know its options, and what `{field}` holds is not known beforehand"),
                "such as health.band, or health.score < 40 ? \"red\" : \"green\"; or create the property in HubSpot",
            );
            return None;
        }
        _ => {}
    }
    let property =
        Property { name: field.to_owned(), kind: map.kind, words, enumeration: enumeration.is_some(), place };
    Some((map, property))
}

pub(crate) const NAME_FORM: &str = "small letters, digits and _, a letter first, at most 100 characters";

pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

pub(crate) fn name(node: &Node, faults: &mut Faults, expected: &str) -> Option<String> {
    let text = node.text(faults, expected)?;
    if is_name(&text) {
        if READ_ONLY.contains(&text.as_str()) {
            faults.error(node.place, format!("`{text}` is kept by HubSpot and can't be written"));
            return None;
        }
        return Some(text);
    }
    faults.error(node.place, format!("expected {expected} ({NAME_FORM}), found {}", node.described()));
    None
}

/// `v3`, or a dated version. Nothing else enters a path.
pub(crate) fn version(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = node.text(faults, "api_version, such as \"2026-09\" or v3")?;
    let dated = text.len() == 7
        && text.bytes().enumerate().all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() });
    if dated || text == "v3" {
        return Some(text);
    }
    let message = format!("expected api_version, such as \"2026-09\", \"2026-03\" or v3, found {}", node.described());
    faults.error(node.place, message);
    None
}

pub(crate) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
