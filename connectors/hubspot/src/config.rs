//! The destination's section: what was written, and what it means. All faults at once, each with its place.
//!
//! The common keys (token, schedule, …) are read by the shell; they are only asked for here so that they are no
//! unknown keys.

use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::mapping::{FieldMap, Level, Missing, RecordSet};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table, nearest};
use vitalsync_core::{Connector, Type};

use crate::HubSpot;
use crate::plan::{DOMAIN, OWN, RECORD_ID};

/// What our own property is called where the config does not say.
const OWN_PROPERTY: &str = "vitalsync_account_id";

/// Properties that HubSpot keeps itself.
const READ_ONLY: [&str; 6] =
    ["hs_object_id", "createdate", "hs_createdate", "hs_lastmodifieddate", "lastmodifieddate", "hs_merged_object_ids"];

/// Reads a section `type: hubspot`; `None` if anything in it is wrong.
pub(crate) fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "the HubSpot destination")?;
    crate::MANIFEST.leave_common(&table);
    let version = match table.get("api_version") {
        Some(node) => version(node, faults),
        None => Some("2026-09".to_owned()),
    };
    let group = match table.get("property_group") {
        Some(node) => name(node, faults, "the name of a property group"),
        None => Some("vitalsync".to_owned()),
    };
    let companies = table
        .need(faults, "companies", "which companies to write, and what")
        .and_then(|node| companies(node, &scopes.account, faults));
    table.finish(faults);
    let (own, properties, set) = companies?;
    Some(Box::new(HubSpot { version: version?, group: group?, own, properties, sets: vec![set] }))
}

type Companies = (Option<String>, Vec<(String, Type)>, RecordSet);

fn companies(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Companies> {
    let table = node.table(faults, "companies")?;
    let place = node.place;
    let only = match table.get("only") {
        Some(node) => Expr::read(node, scope, Type::Bool, faults).map(Some),
        None => Some(None),
    };
    let missing = match table.get("missing") {
        Some(node) => missing(node, scope, faults),
        None => Some(Missing::Skip),
    };
    let mut ways = match table.get("match") {
        Some(node) => ways(node, scope, faults),
        None => {
            let mut ways = Ways::default();
            ways.add_own(0, place, scope, faults);
            ways.add(1, DOMAIN.to_owned(), Expr::parse("traits.domain", place, scope, Type::Any, faults));
            ways
        }
    };
    if ways.own.is_none() && ways.ok && !matches!(missing, None | Some(Missing::Skip)) {
        let at = ways.keys.iter().position(|(by, _)| by == DOMAIN).unwrap_or(ways.keys.len());
        ways.add_own(at, place, scope, faults);
        let place = table.get("missing").map_or(place, |node| node.place);
        faults.warning(
            place,
            format!(
                "companies that are created need a property of our own, or a lost answer could create one twice: \
                 `property: {OWN_PROPERTY}` is added to `match`"
            ),
        );
    }
    let create_fields = [("name", "default(traits.name, account)"), ("domain", "traits.domain")]
        .map(|(field, standard)| create_field(&table, field, standard, place, scope, faults));
    let fields = table
        .need(faults, "properties", "HubSpot property: expression")
        .and_then(|node| properties(node, ways.own.as_deref(), scope, faults));
    table.finish(faults);
    if !ways.ok {
        return None;
    }
    let [name, domain] = create_fields;
    let fields = fields?;
    let set = RecordSet {
        kind: crate::plan::COMPANY,
        level: Level::Account,
        only: only?,
        keys: ways.keys,
        missing: missing?,
        create_fields: vec![name?, domain?],
        fields,
        groups: Vec::new(),
    };
    let kinds = set.fields.iter().map(|map| (map.field.clone(), map.kind)).collect();
    Some((ways.own, kinds, set))
}

/// How companies are found, while it is read.
struct Ways {
    keys: Vec<(String, Expr)>,
    own: Option<String>,
    ok: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { keys: Vec::new(), own: None, ok: true }
    }
}

impl Ways {
    fn add(&mut self, at: usize, by: String, expr: Option<Expr>) {
        match expr {
            Some(expr) => self.keys.insert(at.min(self.keys.len()), (by, expr)),
            None => self.ok = false,
        }
    }

    /// Adds the property of our own that the config does not spell out.
    fn add_own(&mut self, at: usize, place: Place, scope: &Scope, faults: &mut Faults) {
        self.own = Some(OWN_PROPERTY.to_owned());
        let expr = Expr::parse("account", place, scope, Type::Any, faults);
        self.add(at, format!("{OWN}{OWN_PROPERTY}"), expr);
    }
}

fn ways(node: &Node, scope: &Scope, faults: &mut Faults) -> Ways {
    let mut ways = Ways::default();
    for item in node.items() {
        for (word, place, value) in item.entries(faults, "a way to find a company") {
            let key = match word.as_str() {
                RECORD_ID => Expr::read(value, scope, Type::Any, faults).map(|expr| (RECORD_ID.to_owned(), expr)),
                DOMAIN => Expr::read(value, scope, Type::Any, faults).map(|expr| (DOMAIN.to_owned(), expr)),
                "property" => {
                    let named = name(value, faults, "the name of a property of our own");
                    let expr = Expr::parse("account", value.place, scope, Type::Any, faults);
                    if ways.own.is_some() {
                        faults.error(*place, "match: only one `property` can be our own");
                        ways.ok = false;
                        continue;
                    }
                    ways.own.clone_from(&named);
                    named.zip(expr).map(|(named, expr)| (format!("{OWN}{named}"), expr))
                }
                _ => {
                    let known = [RECORD_ID, "property", DOMAIN];
                    let message = format!("unknown way `{word}` to find a company");
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
        ways.ok &= matches!(item.kind, Kind::Map(_));
    }
    if ways.ok && ways.keys.is_empty() {
        faults.error(node.place, "match needs at least one way: record_id, property or domain");
        ways.ok = false;
    }
    ways
}

fn missing(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Missing> {
    if let Kind::Text(text) = &node.kind {
        match text.value.trim() {
            "skip" => return Some(Missing::Skip),
            "create" => return Some(Missing::Create),
            word if word.chars().all(char::is_alphabetic) => {
                if let Some(near) = nearest(word, ["skip", "create"]) {
                    let message = format!("expected missing: skip, create or a rule, found {}", node.described());
                    faults.error_with_hint(node.place, message, format!("did you mean `{near}`?"));
                    return None;
                }
            }
            _ => {}
        }
    }
    Expr::read(node, scope, Type::Bool, faults).map(Missing::When)
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

fn properties(node: &Node, own: Option<&str>, scope: &Scope, faults: &mut Faults) -> Option<Vec<FieldMap>> {
    let entries = node.entries(faults, "properties");
    if entries.is_empty() {
        if matches!(node.kind, Kind::Map(_)) {
            faults.error(node.place, "properties needs at least one HubSpot property");
        }
        return None;
    }
    let mut fields: Vec<FieldMap> = Vec::new();
    let mut ok = true;
    for (field, place, value) in entries {
        let wrong = if !is_name(field) {
            Some(format!("`{}` is no internal name of a HubSpot property: {NAME_FORM}", short(field)))
        } else if own == Some(field) {
            Some(format!("`{field}` is our own property of `match`: it holds the account's id"))
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
        match FieldMap::read(field, value, scope, faults) {
            Some(map) => fields.push(map),
            None => ok = false,
        }
    }
    ok.then_some(fields)
}

const NAME_FORM: &str = "small letters, digits and _, a letter first, at most 100 characters";

fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn name(node: &Node, faults: &mut Faults, expected: &str) -> Option<String> {
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
fn version(node: &Node, faults: &mut Faults) -> Option<String> {
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

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
