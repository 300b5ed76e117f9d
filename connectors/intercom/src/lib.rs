//! Intercom: health as custom attributes and exclusive tags of contacts.
//!
//! This file reads the `contacts:` section and plans; `wire.rs` speaks with the API. Both are pure: addresses, tokens,
//! waiting and retries belong to the shell. Deliberately not here: companies (invisible in Intercom until a contact is
//! attached), search (its index lags by minutes), the bulk endpoints (a preview without errors per record), archiving,
//! merging and deleting contacts, and a key for the region: an EU or AU workspace sets `base_url`.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vitalsync_core::connector::{
    Answer, Auth, Change, Connector, Known, Limit, Manifest, Need, Operation, Pool, Quota, Registered, Reply, Slot,
    Step, Wanted,
};
use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::mapping::{FieldMap, Level, Missing, RecordSet, TagGroup, WantedRecord};
use vitalsync_core::section::{Faults, Kind, Node, Place, Table, nearest};
use vitalsync_core::{Type, Value};

/// The window of Intercom's limits. Source: Intercom's guide *Rate limiting*.
const WINDOW: Duration = Duration::from_secs(10);
/// The kind of record in slots and record sets.
const CONTACT: &str = "contact";
/// Batch key and slot kind of a contact's data attribute.
const ATTRIBUTE: &str = "attribute";
/// Batch key and slot kind of a tag.
const TAG: &str = "tag";
/// What stands before a tag group's name where it is a field. Attribute names have no dot, so they can't collide.
const GROUP_PREFIX: &str = "tags.";
/// The one way to find a contact.
const EXTERNAL_ID: &str = "external_id";
/// The most characters of an attribute's name.
const NAME_LIMIT: usize = 190;
/// The most characters of a tag's name.
const TAG_LIMIT: usize = 255;
/// The most ways to look for one contact; bounds the requests.
const MATCH_LIMIT: usize = 4;

/// 10,000 requests a minute and app are handed out in windows of ten seconds, 1,666 each; a little is left to others.
static MANIFEST: Manifest = Manifest {
    name: "intercom",
    title: "Intercom",
    base_url: "https://api.intercom.io",
    auth: &[Auth::Bearer],
    content_type: "application/json",
    quotas: &[Quota { pool: "api", limit: 1_600, window: WINDOW, keyed: false }],
};

/// The line of the registry.
pub const INTERCOM: Registered = Registered { manifest: &MANIFEST, read };

/// A configured Intercom destination: one record set, the contacts.
#[derive(Debug, Clone)]
pub struct Intercom {
    sets: [RecordSet; 1],
}

fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "an Intercom destination")?;
    MANIFEST.leave_common(&table);
    let contacts = table.need(faults, "contacts", "which contacts carry what");
    table.finish(faults);
    let contacts = contacts?.table(faults, "contacts")?;
    Some(Box::new(Intercom { sets: [read_contacts(contacts, &scopes.user, faults)?] }))
}

/// Reads `contacts:`; `None` where a part without a default is wrong. Every fault is reported either way.
fn read_contacts(table: Table<'_>, scope: &Scope, faults: &mut Faults) -> Option<RecordSet> {
    let place = table.place;
    let mut whole = true;
    let mut optional = |node: Option<&Node>, want: Type, faults: &mut Faults| -> Option<Expr> {
        let expr = Expr::read(node?, scope, want, faults);
        whole &= expr.is_some();
        expr
    };

    let only = optional(table.get("only"), Type::Bool, faults);
    let name = optional(table.get("name"), Type::Any, faults);
    let email = match table.get("email") {
        Some(node) => optional(Some(node), Type::Any, faults),
        None => Expr::parse("user.traits.email", place, scope, Type::Any, faults),
    };
    let missing = table.get("missing");
    let missing = match missing.map(|node| (node, &node.kind)) {
        None => Missing::Skip,
        Some((_, Kind::Text(text))) if text.value == "skip" => Missing::Skip,
        Some((_, Kind::Text(text))) if text.value == "create" => Missing::Create,
        Some((node, _)) => optional(Some(node), Type::Bool, faults).map_or(Missing::Skip, Missing::When),
    };
    let keys = match table.get("match") {
        Some(node) => read_match(node, scope, faults),
        None => Expr::parse("user.id", place, scope, Type::Any, faults)
            .map(|expr| vec![(EXTERNAL_ID.to_owned(), expr)])
            .unwrap_or_default(),
    };
    let (attributes, groups) = (table.get("attributes"), table.get("tag_groups"));
    let fields = attributes.map(|node| read_attributes(node, scope, faults)).unwrap_or_default();
    let tag_groups = groups.map(|node| read_groups(node, scope, faults)).unwrap_or_default();
    table.finish(faults);

    // Where they are there and wrong, that has been said already.
    let written =
        |node: Option<&Node>| node.is_some_and(|node| !matches!(&node.kind, Kind::Map(entries) if entries.is_empty()));
    if !written(attributes) && !written(groups) {
        faults.error_with_hint(
            place,
            "contacts: nothing to write, neither `attributes` nor `tag_groups`",
            "attributes: { health_score: account.health.score }",
        );
    }
    let create = [("email", email), ("name", name)];
    let create_fields = create.into_iter().filter_map(|(field, expr)| Some(FieldMap::new(field, expr?))).collect();
    let usable = whole && !keys.is_empty() && !(fields.is_empty() && tag_groups.is_empty());
    usable.then_some(RecordSet {
        kind: CONTACT,
        level: Level::User,
        only,
        keys,
        missing,
        create_fields,
        fields,
        groups: tag_groups,
    })
}

/// Reads `match:`, a list of maps with one key each, or one map.
fn read_match(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<(String, Expr)> {
    let mut keys = Vec::new();
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
            if by == EXTERNAL_ID {
                keys.extend(Expr::read(value, scope, Type::Any, faults).map(|expr| (by.clone(), expr)));
                continue;
            }
            let hint = match nearest(by, [EXTERNAL_ID]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("contacts are found by `{EXTERNAL_ID}` only: the search index lags by minutes"),
            };
            faults.error_with_hint(*place, format!("unknown way to match `{by}`"), hint);
        }
    }
    if before == 0 || node.items().iter().all(|item| matches!(&item.kind, Kind::Map(entries) if entries.is_empty())) {
        faults.error(node.place, "expected at least one way to match, such as external_id: user.id");
    }
    if keys.len() > MATCH_LIMIT {
        faults.error(node.place, format!("expected at most {MATCH_LIMIT} ways to match, found {}", keys.len()));
    }
    keys
}

fn read_attributes(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<FieldMap> {
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
        }
        fields.extend(FieldMap::read(name, value, scope, faults));
    }
    fields
}

fn read_groups(node: &Node, scope: &Scope, faults: &mut Faults) -> Vec<TagGroup> {
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

/// Intercom's type for what an expression gives.
fn data_type(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Number => "float",
        Type::Date | Type::Time => "date",
        Type::Any | Type::Text | Type::List | Type::Map => "string",
    }
}

fn attribute_slot(name: &str) -> Slot {
    format!("{ATTRIBUTE}/{CONTACT}/{name}")
}

fn tag_slot(name: &str) -> Slot {
    format!("{TAG}/{name}")
}

impl Intercom {
    fn set(&self) -> &RecordSet {
        let [set] = &self.sets;
        set
    }

    /// The kind of value that an attribute holds; unmapped ones hold whatever they are given.
    fn kind(&self, attribute: &str) -> Type {
        self.set().fields.iter().find(|map| map.field == attribute).map_or(Type::Any, |map| map.kind)
    }

    /// The tags of a group; none if the group is no longer in the config.
    fn tags(&self, group: &str) -> impl Iterator<Item = &str> {
        let group = self.set().groups.iter().find(|known| known.name == group);
        group.into_iter().flat_map(|group| group.tags.iter().map(|(tag, _)| tag.as_str()))
    }

    /// What one contact needs to be told; `None` if nothing.
    fn plan_contact(&self, record: &WantedRecord, known: &Known) -> Option<Operation> {
        let slot = format!("{CONTACT}/{}", record.subject);
        let known = known.records.get(&slot);
        if known.is_some_and(|known| known.absent) && record.create.is_none() {
            return None;
        }
        // Without an id nothing is known of whichever contact will be found: it may be another than last time.
        let known = known.filter(|known| known.remote_id.is_some());
        let remote_id = known.and_then(|known| known.remote_id.clone());
        if remote_id.is_none() && record.keys.is_empty() {
            return None;
        }
        let told = |field: &str| known.and_then(|known| known.fields.get(field));

        let mut operation =
            Operation::new(slot, CONTACT, if remote_id.is_some() { "update contact" } else { "match contact" });
        let need = |operation: &mut Operation, slot: Slot, field: &str| {
            let need = Need { slot, field: Some(field.to_owned()) };
            if !operation.needs.contains(&need) {
                operation.needs.push(need);
            }
        };
        for (name, new) in &record.fields {
            let old = told(name).cloned().unwrap_or_default();
            if old != *new {
                operation.fields.insert(name.clone(), Change { old, new: new.clone() });
                need(&mut operation, attribute_slot(name), name);
            }
        }
        let left = known.into_iter().flat_map(|known| known.fields.keys()).filter_map(|field| {
            let group = field.strip_prefix(GROUP_PREFIX)?;
            (!record.tags.contains_key(group)).then_some((group, None))
        });
        // Tags that we set and that are no longer mapped are removed.
        for (group, tag) in record.tags.iter().map(|(group, tag)| (group.as_str(), tag.as_deref())).chain(left) {
            let field = format!("{GROUP_PREFIX}{group}");
            let (old, new) = (told(&field).cloned().unwrap_or_default(), Value::from(tag));
            if old == new {
                continue;
            }
            for tag in [old.as_text(), new.as_text()].into_iter().flatten() {
                need(&mut operation, tag_slot(tag), &field);
            }
            // Never told: the contact may carry any tag of the group, from a person or a lost state. Naming the
            // siblings asks `step` to look.
            if told(&field).is_none() {
                for tag in self.tags(group) {
                    need(&mut operation, tag_slot(tag), &field);
                }
            }
            operation.fields.insert(field, Change { old, new });
        }
        if operation.fields.is_empty() {
            return None;
        }
        operation.subject.clone_from(&record.subject);
        operation.keys.clone_from(&record.keys);
        operation.create = if remote_id.is_none() { record.create.clone() } else { None };
        operation.remote_id = remote_id;
        Some(operation)
    }

    /// The operation that makes sure of an attribute or a tag; `None` if that is known.
    fn plan_need(&self, slot: &Slot, known: &Known) -> Option<Operation> {
        let attribute = slot.strip_prefix(&attribute_slot(""));
        let (batch_key, title, field, new) = match (attribute, slot.strip_prefix(&tag_slot(""))) {
            (Some(name), _) => {
                (ATTRIBUTE, "ensure contact attribute", "data_type", Value::from(data_type(self.kind(name))))
            }
            (None, Some(name)) => (TAG, "ensure tag", "name", Value::from(name)),
            (None, None) => return None,
        };
        let old = known.field(slot, field);
        if old == new && known.remote_id(slot).is_some() {
            return None;
        }
        let mut operation = Operation::new(slot.clone(), batch_key, title);
        operation.fields.insert(field.into(), Change { old, new });
        Some(operation)
    }
}

impl Connector for Intercom {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &self.sets
    }

    /// One list of attributes serves a hundred of them; Intercom writes contacts and tags one at a time.
    fn batch_size(&self, batch_key: &str) -> usize {
        if batch_key == ATTRIBUTE { 100 } else { 1 }
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        let wanted_subjects: BTreeSet<&str> = wanted.records.iter().map(|record| record.subject.as_str()).collect();
        let mut seen = BTreeSet::new();
        let contacts: Vec<Operation> = wanted
            .records
            .iter()
            .filter(|record| record.kind == CONTACT && seen.insert(&record.subject))
            .filter_map(|record| self.plan_contact(record, known))
            .collect();
        // Contacts that are not asked for any more keep their attributes and lose the tags that we set.
        let left = known.records.iter().filter_map(|(slot, record)| {
            let subject = slot.strip_prefix(CONTACT)?.strip_prefix('/')?.to_owned();
            let tagged = record.fields.iter().any(|(field, tag)| field.starts_with(GROUP_PREFIX) && !tag.is_null());
            if !tagged || record.absent || wanted_subjects.contains(subject.as_str()) {
                return None;
            }
            let bare = WantedRecord {
                kind: CONTACT,
                subject,
                keys: Vec::new(),
                create: None,
                fields: BTreeMap::new(),
                tags: BTreeMap::new(),
            };
            self.plan_contact(&bare, known)
        });
        let contacts: Vec<Operation> = contacts.into_iter().chain(left).collect();
        let needs: BTreeSet<&Slot> =
            contacts.iter().flat_map(|contact| &contact.needs).map(|need| &need.slot).collect();
        let mut operations: Vec<Operation> = needs.into_iter().filter_map(|slot| self.plan_need(slot, known)).collect();
        operations.extend(contacts);
        operations
    }

    /// Intercom says with every answer how much a window of ten seconds allows.
    fn limit(&self, _pool: &Pool, answer: &Answer) -> Option<Limit> {
        let requests = answer.header("x-ratelimit-limit")?.trim().parse().ok().filter(|number| *number > 0)?;
        Some(Limit { requests, window: WINDOW })
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
