//! The destination's section: what was written, and what it means. All faults at once, each with its place.
//!
//! `contacts:` and `companies:` are read alike; what differs between them is in [`Sort`]. The common keys (token,
//! schedule, …) are read by the shell.

use std::collections::BTreeMap;

use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::mapping::{FieldMap, Level, Missing, RecordSet, TagGroup};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table, nearest};
use vitalsync_core::{Connector, Type};

use crate::{COMPANY, COMPANY_ID, CONTACT, EXTERNAL_ID, Intercom, MANIFEST, MEMBERSHIP, Mapped};

/// The version that the shapes here were read from; without the header the app's own setting would decide.
const VERSION: &str = "2.16";
/// Where the workspaces of each region are served. A token works in its own region only.
const REGIONS: [(&str, &str); 3] =
    [("us", "https://api.intercom.io"), ("eu", "https://api.eu.intercom.io"), ("au", "https://api.au.intercom.io")];
/// The most characters of an attribute's name.
const NAME_LIMIT: usize = 190;
/// The most characters of a tag's name.
const TAG_LIMIT: usize = 255;
/// The most ways to look for one record; bounds the requests.
const MATCH_LIMIT: usize = 4;

/// What is particular to one kind of record.
struct Sort {
    kind: &'static str,
    /// The section's key.
    section: &'static str,
    level: Level,
    /// The one way to find a record, and what is looked for where the config does not say.
    key: (&'static str, &'static str),
    /// Why there is no other.
    only_key: &'static str,
    /// Fields that only creation writes, and what they hold where the config does not say; nothing where that is empty.
    create: &'static [(&'static str, &'static str)],
}

const CONTACTS: Sort = Sort {
    kind: CONTACT,
    section: "contacts",
    level: Level::User,
    key: (EXTERNAL_ID, "user.id"),
    only_key: "contacts are found by `external_id` only: the search index lags by minutes",
    create: &[("email", "user.traits.email"), ("name", "")],
};

const COMPANIES: Sort = Sort {
    kind: COMPANY,
    section: "companies",
    level: Level::Account,
    key: (COMPANY_ID, "account"),
    only_key: "companies are found by `company_id` only, the id that your product gives them",
    create: &[("name", "default(traits.name, account)")],
};

/// Reads a section `type: intercom`; `None` if anything in it is wrong.
pub(crate) fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "an Intercom destination")?;
    MANIFEST.leave_common(&table);
    let workspace = workspace(&table, faults);
    let (contacts, companies) = (table.get(CONTACTS.section), table.get(COMPANIES.section));
    if contacts.is_none() && companies.is_none() {
        let hint = "contacts: { attributes: { health_score: account.health.score } }";
        faults.error_with_hint(table.place, "neither `contacts` nor `companies` is there: nothing to write", hint);
    }
    table.finish(faults);

    let mut reading = Reading { faults, attributes: Vec::new() };
    let mut whole = contacts.is_some() || companies.is_some();
    let mut sets = Vec::new();
    let mut attach = None;
    for (sort, node, scope) in [(CONTACTS, contacts, &scopes.user), (COMPANIES, companies, &scopes.account)] {
        let Some(node) = node else { continue };
        let read = node.table(reading.faults, sort.section).and_then(|table| {
            attach = attach.or((sort.kind == CONTACT).then(|| table.get("attach")).flatten());
            reading.set(&sort, table, scope)
        });
        whole &= read.is_some();
        sets.extend(read);
    }
    let attributes = reading.attributes;
    same_names(&attributes, faults);
    match membership(attach, contacts, companies.map(|node| node.place), &sets, &scopes.user, faults) {
        Ok(set) => sets.extend(set),
        Err(()) => whole = false,
    }
    let intercom = Intercom { sets, attributes, ..workspace? };
    whole.then(|| Box::new(intercom) as Box<dyn Connector>)
}

/// Which workspace's API, in which version, with nothing to write.
pub(crate) fn workspace(table: &Table<'_>, faults: &mut Faults) -> Option<Intercom> {
    let version = match table.get("api_version") {
        Some(node) => version(node, faults),
        None => Some(VERSION.to_owned()),
    };
    let names = REGIONS.map(|(name, _)| name);
    let region = match table.get("region") {
        Some(node) => node.one_of(faults, "the region of the workspace", &names),
        None => Some(0),
    };
    let (_, home) = REGIONS.get(region?)?;
    Some(Intercom { version: version?, home, sets: Vec::new(), attributes: Vec::new() })
}

/// `2.16`, or `Preview`. Nothing else enters a header.
fn version(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = match &node.kind {
        Kind::Number(_, written) => written.clone(),
        _ => node.text(faults, "api_version, such as \"2.16\"")?,
    };
    let numbers = text.split_once('.').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|part| !part.is_empty() && part.len() < 4 && part.bytes().all(|b| b.is_ascii_digit()))
    });
    if numbers {
        return Some(text);
    }
    faults.error(node.place, format!("expected api_version, such as \"2.16\", found {}", node.described()));
    None
}

/// Intercom keeps a name in people's data or in companies', not in both, and refuses to create the second.
fn same_names(attributes: &[Mapped], faults: &mut Faults) {
    for Mapped { name, place, .. } in attributes.iter().filter(|mapped| mapped.model == COMPANY) {
        let same = |mapped: &&Mapped| mapped.model == CONTACT && mapped.name.eq_ignore_ascii_case(name);
        if let Some(other) = attributes.iter().find(same) {
            faults.warning_with_hint(
                *place,
                format!("the attribute `{name}` is one of contacts, too (line {})", other.place.line),
                "Intercom creates a name for people or for companies, not for both: choose another name for one of them, \
                 unless both are there already",
            );
        }
    }
}

/// The records that say which contact belongs to which company. A company without a contact can't be seen in Intercom, so by
/// default contacts are attached where companies may be created.
fn membership(
    attach: Option<&Node>,
    contacts: Option<&Node>,
    companies: Option<Place>,
    sets: &[RecordSet],
    scope: &Scope,
    faults: &mut Faults,
) -> Result<Option<RecordSet>, ()> {
    let set = |kind| sets.iter().find(|set| set.kind == kind);
    let creates = set(COMPANY).is_some_and(|set| !matches!(set.missing, Missing::Skip));
    let wanted = match attach {
        Some(node) => node.flag(faults, "whether contacts are attached to their company").ok_or(())?,
        None => creates,
    };
    match (contacts, companies) {
        (_, None) if attach.is_some() && wanted => {
            let place = attach.map(|node| node.place).unwrap_or_default();
            faults.error(place, "attach: there are no `companies` here to attach contacts to");
            return Err(());
        }
        (None, Some(place)) if creates => faults.warning_with_hint(
            place,
            "companies that are created can't be seen in Intercom before a contact is attached",
            "add `contacts`, or let your product's own Messenger code attach them",
        ),
        _ => {}
    }
    let Some(contacts) = set(CONTACT).filter(|_| wanted && set(COMPANY).is_some()) else { return Ok(None) };
    let place = attach.map(|node| node.place).unwrap_or_default();
    let company = Expr::parse("account.id", place, scope, Type::Any, faults).ok_or(())?;
    Ok(Some(RecordSet {
        kind: MEMBERSHIP,
        level: Level::User,
        only: contacts.only.clone(),
        keys: Vec::new(),
        missing: Missing::Skip,
        create_fields: Vec::new(),
        fields: vec![FieldMap::new(COMPANY, company)],
        groups: Vec::new(),
    }))
}

struct Reading<'f> {
    faults: &'f mut Faults,
    attributes: Vec<Mapped>,
}

impl Reading<'_> {
    /// Reads one section; `None` where a part without a default is wrong. Every fault is reported either way.
    fn set(&mut self, sort: &Sort, table: Table<'_>, scope: &Scope) -> Option<RecordSet> {
        let place = table.place;
        let faults = &mut *self.faults;
        let mut whole = true;
        let mut optional = |node: Option<&Node>, want: Type, faults: &mut Faults| -> Option<Expr> {
            let expr = Expr::read(node?, scope, want, faults);
            whole &= expr.is_some();
            expr
        };
        let only = optional(table.get("only"), Type::Bool, faults);
        let mut create_fields = Vec::new();
        for (field, standard) in sort.create {
            let expr = match table.get(field) {
                Some(node) => optional(Some(node), Type::Any, faults),
                None if standard.is_empty() => None,
                None => Expr::parse(standard, place, scope, Type::Any, faults),
            };
            create_fields.extend(expr.map(|expr| FieldMap::new(*field, expr)));
        }
        let missing = table.get("missing").and_then(|node| Missing::read(node, scope, faults)).unwrap_or(Missing::Skip);
        let keys = match table.get("match") {
            Some(node) => ways(sort, node, scope, faults),
            None => Expr::parse(sort.key.1, place, scope, Type::Any, faults)
                .map(|expr| vec![(sort.key.0.to_owned(), expr)])
                .unwrap_or_default(),
        };
        let (attributes, groups) = (table.get("attributes"), table.get("tag_groups"));
        let fields = attributes.map(|node| self.attributes(sort, node, scope)).unwrap_or_default();
        let faults = &mut *self.faults;
        let tag_groups = groups.map(|node| tag_groups(node, scope, faults)).unwrap_or_default();
        table.finish(faults);

        // Where they are there and wrong, that has been said already.
        let written = |node: Option<&Node>| {
            node.is_some_and(|node| !matches!(&node.kind, Kind::Map(entries) if entries.is_empty()))
        };
        if !written(attributes) && !written(groups) {
            faults.error_with_hint(
                place,
                format!("{}: nothing to write, neither `attributes` nor `tag_groups`", sort.section),
                match sort.level {
                    Level::User => "attributes: { health_score: account.health.score }",
                    Level::Account => "attributes: { health_score: health.score }",
                },
            );
        }
        let usable = whole && !keys.is_empty() && !(fields.is_empty() && tag_groups.is_empty());
        usable.then_some(RecordSet {
            kind: sort.kind,
            level: sort.level,
            only,
            keys,
            missing,
            create_fields,
            fields,
            groups: tag_groups,
        })
    }

    fn attributes(&mut self, sort: &Sort, node: &Node, scope: &Scope) -> Vec<FieldMap> {
        let faults = &mut *self.faults;
        let mut fields: Vec<FieldMap> = Vec::new();
        for (name, place, value) in node.entries(faults, "attributes") {
            let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-');
            if name.is_empty() || name.trim() != name || !name.chars().all(fits) {
                faults.error_with_hint(
                    *place,
                    format!("`{name}` can't name an attribute in Intercom"),
                    "letters, digits, spaces, `_` and `-`, without a space at either end",
                );
            } else if name.chars().count() > NAME_LIMIT {
                faults.error(*place, format!("an attribute's name has at most {NAME_LIMIT} characters"));
            } else if fields.iter().any(|field| field.field == *name) {
                faults.error(*place, format!("the attribute `{name}` is mapped twice"));
            } else if name == COMPANY_ID && sort.kind == COMPANY {
                faults.error(*place, "`company_id` is how companies are found: it belongs below `match`");
            }
            let Some(map) = FieldMap::read(name, value, scope, faults) else { continue };
            let words = map.expr.words(scope).unwrap_or_default();
            self.attributes.push(Mapped { model: sort.kind, name: name.clone(), place: *place, words });
            fields.push(map);
        }
        fields
    }
}

/// Reads `match:`, a list of maps with one key each, or one map.
fn ways(sort: &Sort, node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<(String, Expr)> {
    let mut keys = Vec::new();
    let (way, standard) = sort.key;
    let before = node.items().len();
    for item in node.items() {
        let entries = item.entries(faults, "a way to match");
        if entries.len() > 1 && matches!(node.kind, Kind::List(_)) {
            faults.error_with_hint(
                item.place,
                "expected one way to match in each item",
                "begin each way with its own `-`",
            );
        }
        for (by, place, value) in entries {
            if by == way {
                keys.extend(Expr::read(value, scope, Type::Any, faults).map(|expr| (by.clone(), expr)));
                continue;
            }
            let hint = match nearest(by, [way]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => sort.only_key.into(),
            };
            faults.error_with_hint(*place, format!("unknown way to match `{by}`"), hint);
        }
    }
    if before == 0 || node.items().iter().all(|item| matches!(&item.kind, Kind::Map(entries) if entries.is_empty())) {
        faults.error(node.place, format!("expected at least one way to match, such as {way}: {standard}"));
    }
    if keys.len() > MATCH_LIMIT {
        faults.error(node.place, format!("expected at most {MATCH_LIMIT} ways to match, found {}", keys.len()));
    }
    keys
}

fn tag_groups(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<TagGroup> {
    let mut groups = Vec::new();
    // Intercom compares tags without regard to case, so a tag that differs by case only is the same tag.
    let mut seen: BTreeMap<String, (String, Place)> = BTreeMap::new();
    for (group, place, value) in node.entries(faults, "tag_groups") {
        let entries = value.entries(faults, "a tag group");
        if entries.is_empty() && matches!(value.kind, Kind::Null | Kind::Map(_)) {
            faults.error(*place, format!("the tag group `{group}` has no tags"));
        }
        let mut tags = Vec::new();
        for (tag, place, rule) in entries {
            if tag.is_empty() || tag.trim() != tag || tag.chars().any(char::is_control) {
                faults.error(*place, "a tag needs a name, without spaces at either end or line breaks");
            } else if tag.chars().count() > TAG_LIMIT {
                faults.error(*place, format!("a tag's name has at most {TAG_LIMIT} characters"));
            }
            if let Some((other, at)) = seen.insert(tag.to_lowercase(), (group.clone(), *place)) {
                faults.error_with_hint(
                    *place,
                    format!("the tag `{tag}` is in the group `{other}` already (line {})", at.line),
                    "Intercom takes tags that differ by case only for one tag; a tag belongs to one group",
                );
            }
            tags.extend(Expr::read(rule, scope, Type::Bool, faults).map(|expr| (tag.clone(), expr)));
        }
        groups.push(TagGroup { name: group.clone(), tags });
    }
    groups
}
