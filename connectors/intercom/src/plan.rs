//! Which operations make Intercom hold what is wanted. Complete and printable: `wire` decides nothing that could be decided
//! here.
//!
//! A contact is one operation, its tags included; those that get a tag are sent together. A company's attributes are one
//! operation, and each of its tag groups is another: tags of companies are written in lists, whatever else changes about them.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::Value;
use vitalsync_core::connector::{Change, Known, KnownRecord, Mode, Need, Operation, Slot, Wanted};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::section::Place;

use crate::{
    ASKED_ATTRIBUTES, ATTRIBUTE, COMPANY, COMPANY_ID, COMPANY_TAGS, CONTACT, DATA_TYPE, GROUP_PREFIX, Intercom,
    MEMBERSHIP, Mapped, TAG, TAG_FIELD, TAGGED_CONTACT, VALUES, attribute_slot, data_type, group_of, group_slot,
    is_unsure, record_slot, tag_slot,
};

/// Plans what records need first, then companies, their tags, contacts, and who belongs to which company.
pub(crate) fn plan(intercom: &Intercom, wanted: &Wanted, known: &Known) -> Vec<Operation> {
    let mut by_kind: BTreeMap<&str, BTreeMap<&str, &WantedRecord>> = BTreeMap::new();
    for record in &wanted.records {
        by_kind.entry(record.kind).or_default().entry(&record.subject).or_insert(record);
    }
    let none = BTreeMap::new();
    let of = |kind: &str| by_kind.get(kind).unwrap_or(&none);
    let planning = Planning { intercom, known, still: &wanted.still };

    let mut records: Vec<Operation> = of(COMPANY).values().filter_map(|record| planning.company(record)).collect();
    let found: BTreeSet<Slot> = records.iter().map(|operation| operation.slot.clone()).collect();
    records.extend(planning.company_tags(of(COMPANY), &found));
    let members = of(MEMBERSHIP);
    let contacts = of(CONTACT);
    let mut people: Vec<Operation> = contacts
        .values()
        .filter_map(|record| {
            let attached = members.get(record.subject.as_str()).is_some_and(|member| company_of(member).is_some());
            planning.contact(record, attached)
        })
        .collect();
    people.extend(planning.left_contacts(contacts));
    // Those that get the same tags stand together, so that lists are full.
    people.sort_by_cached_key(|operation| {
        let tags: Vec<Option<String>> = comes(operation).map(Value::as_key).collect();
        (tags, operation.subject.clone())
    });
    records.extend(people);
    let planned: BTreeSet<Slot> = records.iter().map(|operation| operation.slot.clone()).collect();
    records.extend(members.values().filter_map(|record| planning.membership(record, &planned)));

    let needs: BTreeSet<&Slot> = records.iter().flat_map(|record| &record.needs).map(|need| &need.slot).collect();
    let mut operations: Vec<Operation> = needs.into_iter().filter_map(|slot| planning.need(slot)).collect();
    operations.extend(records);
    operations
}

/// The questions whether Intercom can take the mapped attributes.
pub(crate) fn inspect(intercom: &Intercom) -> Vec<(Place, Operation)> {
    let question = |mapped: &Mapped| {
        let ensure = ensure_attribute(intercom, &Known::default(), mapped.model, &mapped.name);
        let title = format!("look for the {} attribute", mapped.model);
        (mapped.place, Operation { mode: Mode::Read, batch_key: ASKED_ATTRIBUTES.into(), title, ..ensure })
    };
    intercom.attributes.iter().map(question).collect()
}

fn ensure_attribute(intercom: &Intercom, known: &Known, model: &str, name: &str) -> Operation {
    let mut operation = Operation::new(attribute_slot(model, name), ATTRIBUTE, format!("ensure {model} attribute"));
    let mapped = intercom.attributes.iter().find(|mapped| mapped.model == model && mapped.name == name);
    let words: Vec<Value> =
        mapped.into_iter().flat_map(|mapped| &mapped.words).map(|word| Value::from(word.as_str())).collect();
    let fields = [
        (DATA_TYPE, Value::from(data_type(intercom.kind(model, name)))),
        (VALUES, if words.is_empty() { Value::Null } else { Value::List(words) }),
    ];
    for (field, new) in fields {
        let old = known.field(&operation.slot, field);
        if !(old.is_null() && new.is_null()) {
            operation.fields.insert(field.into(), Change { old, new });
        }
    }
    operation
}

/// The tags that a contact gets.
fn comes(operation: &Operation) -> impl Iterator<Item = &Value> {
    let groups = operation.fields.iter().filter(|(field, _)| field.starts_with(GROUP_PREFIX));
    groups.map(|(_, change)| &change.new).filter(|tag| !tag.is_null())
}

/// The account whose company a contact belongs to.
fn company_of(member: &WantedRecord) -> Option<&str> {
    member.fields.get(COMPANY)?.as_text()
}

/// What is known of a record's tag group, and what it is to be. Where nothing is known and no tag is wanted, that is a change,
/// too: from an empty list, since the record may carry any of them.
fn group_change(told: Option<&Value>, tag: Option<&str>) -> (Value, Value) {
    let unseen = || if tag.is_none() { Value::List(Vec::new()) } else { Value::Null };
    (told.cloned().unwrap_or_else(unseen), Value::from(tag))
}

fn need(operation: &mut Operation, slot: Slot, field: Option<&str>) {
    let need = Need { slot, field: field.map(str::to_owned) };
    if !operation.needs.contains(&need) {
        operation.needs.push(need);
    }
}

struct Planning<'a> {
    intercom: &'a Intercom,
    known: &'a Known,
    /// Records that stay as they are.
    still: &'a BTreeSet<Slot>,
}

impl Planning<'_> {
    /// The attributes of a record that changed.
    fn attributes(&self, operation: &mut Operation, record: &WantedRecord, known: Option<&KnownRecord>) {
        for (name, new) in &record.fields {
            let old = known.and_then(|known| known.fields.get(name)).cloned().unwrap_or_default();
            if old != *new {
                operation.fields.insert(name.clone(), Change { old, new: new.clone() });
                need(operation, attribute_slot(record.kind, name), Some(name));
            }
        }
    }

    /// What one contact needs to be told; `None` if nothing. `attached`: it must be found even so, to be attached to its company.
    fn contact(&self, record: &WantedRecord, attached: bool) -> Option<Operation> {
        let slot = record_slot(CONTACT, &record.subject);
        let before = self.known.records.get(&slot);
        // Without an id nothing is known of whichever contact will be found: it may be another than last time.
        let known = before.filter(|before| before.remote_id.is_some());
        let remote_id = known.and_then(|known| known.remote_id.clone());
        if remote_id.is_none() && record.keys.is_empty() {
            return None;
        }
        let told = |field: &str| known.and_then(|known| known.fields.get(field));

        let title = if remote_id.is_some() { "update contact" } else { "match contact" };
        let mut operation = Operation::new(slot, CONTACT, title);
        self.attributes(&mut operation, record, known);
        let left = known.into_iter().flat_map(|known| known.fields.keys()).filter_map(|field| {
            let group = field.strip_prefix(GROUP_PREFIX)?;
            (!record.tags.contains_key(group)).then_some((group, None))
        });
        // Tags that we set and that are no longer mapped are removed.
        for (group, tag) in record.tags.iter().map(|(group, tag)| (group.as_str(), tag.as_deref())).chain(left) {
            let field = format!("{GROUP_PREFIX}{group}");
            let (old, new) = group_change(told(&field), tag);
            if old == new {
                continue;
            }
            for tag in [old.as_text(), new.as_text()].into_iter().flatten() {
                need(&mut operation, tag_slot(tag), Some(&field));
            }
            // The contact may carry any tag of the group, from a person or a lost state. Naming the siblings asks `step` to look.
            if is_unsure(told(&field)) {
                for tag in self.intercom.tags(CONTACT, group) {
                    need(&mut operation, tag_slot(tag), Some(&field));
                }
            }
            // Where their ids are known already, siblings that somebody else put on are seen in passing.
            for slot in self.intercom.tags(CONTACT, group).map(tag_slot) {
                operation.refs.extend(self.known.remote_id(&slot).map(|id| (slot.clone(), id.to_owned())));
            }
            operation.fields.insert(field, Change { old, new });
        }
        if operation.fields.is_empty() && !(attached && remote_id.is_none()) {
            return None;
        }
        // What somebody deleted is looked for, and never created again; nor is a contact of which there is nothing to say.
        let gone = before.is_some_and(|before| before.gone);
        let says = attached || operation.fields.values().any(|change| !change.new.is_null());
        let create = record.create.as_ref().filter(|_| says && !gone);
        if before.is_some_and(|before| before.absent) && create.is_none() {
            return None;
        }
        if comes(&operation).next().is_some() {
            operation.batch_key = TAGGED_CONTACT.into();
        }
        operation.subject.clone_from(&record.subject);
        operation.keys.clone_from(&record.keys);
        operation.create = create.filter(|_| remote_id.is_none()).cloned();
        operation.remote_id = remote_id;
        Some(operation)
    }

    /// Contacts that are not asked for any more keep their attributes and lose the tags that we set.
    fn left_contacts(&self, wanted: &BTreeMap<&str, &WantedRecord>) -> impl Iterator<Item = Operation> {
        self.known.records.iter().filter_map(|(slot, record)| {
            let subject = slot.strip_prefix(CONTACT)?.strip_prefix('/')?;
            let tagged = record.fields.iter().any(|(field, tag)| field.starts_with(GROUP_PREFIX) && !tag.is_null());
            if !tagged || record.absent || wanted.contains_key(subject) || self.still.contains(slot) {
                return None;
            }
            let bare = WantedRecord {
                kind: CONTACT,
                subject: subject.to_owned(),
                keys: Vec::new(),
                create: None,
                fields: BTreeMap::new(),
                tags: BTreeMap::new(),
            };
            self.contact(&bare, false)
        })
    }

    /// What is known of an account's company: nothing where it was found by another id than now.
    fn known_company(&self, record: &WantedRecord) -> Option<&KnownRecord> {
        let known = self.known.records.get(&record_slot(COMPANY, &record.subject))?;
        known.remote_id.as_ref()?;
        let found_by = known.fields.get(COMPANY_ID).and_then(Value::as_text);
        let key = record.keys.first().map(|key| key.value.as_str());
        (found_by.is_none() || key.is_none() || found_by == key).then_some(known)
    }

    /// What one company needs to be told beside its tags; `None` if nothing.
    fn company(&self, record: &WantedRecord) -> Option<Operation> {
        let slot = record_slot(COMPANY, &record.subject);
        let before = self.known.records.get(&slot);
        let create = record.create.as_ref().filter(|_| !before.is_some_and(|before| before.gone));
        if before.is_some_and(|before| before.absent) && create.is_none() {
            return None;
        }
        let known = self.known_company(record);
        let remote_id = known.and_then(|known| known.remote_id.clone());
        let mut operation = match (&remote_id, create) {
            (Some(_), _) => Operation::new(slot, COMPANY, "update company"),
            (None, None) => Operation::new(slot, COMPANY, "match company"),
            (None, Some(_)) => Operation::new(slot, COMPANY, "match or create company"),
        };
        self.attributes(&mut operation, record, known);
        if let Some(key) = record.keys.first() {
            let old = known.and_then(|known| known.fields.get(COMPANY_ID)).cloned().unwrap_or_default();
            let new = Value::from(key.value.as_str());
            if old != new {
                operation.fields.insert(COMPANY_ID.into(), Change { old, new });
            }
        } else if remote_id.is_none() {
            return None;
        }
        if operation.fields.is_empty() {
            return None;
        }
        operation.subject.clone_from(&record.subject);
        operation.keys.clone_from(&record.keys);
        operation.create = create.filter(|_| remote_id.is_none()).cloned();
        operation.remote_id = remote_id;
        Some(operation)
    }

    /// The tag groups of companies, in an order that fills lists: by group, by the tag that goes and the one that comes.
    fn company_tags(&self, wanted: &BTreeMap<&str, &WantedRecord>, found: &BTreeSet<Slot>) -> Vec<Operation> {
        let mut operations = Vec::new();
        for record in wanted.values() {
            for (group, tag) in &record.tags {
                operations.extend(self.company_tag(record, group, tag.as_deref(), found));
            }
        }
        // Tags that we set and that are not asked for any more are removed.
        for (slot, told) in &self.known.records {
            let Some((group, subject)) = group_of(slot) else { continue };
            let asked = wanted.get(subject).is_some_and(|record| record.tags.contains_key(&group))
                || self.still.contains(&record_slot(COMPANY, subject));
            let old = told.fields.get(TAG_FIELD).filter(|tag| !tag.is_null());
            if let (false, Some(old), Some(id)) = (asked, old, &told.remote_id) {
                let mut operation = Operation::new(slot.clone(), COMPANY_TAGS, "untag company");
                operation.fields.insert(TAG_FIELD.into(), Change { old: old.clone(), new: Value::Null });
                operation.subject = subject.to_owned();
                operation.remote_id = Some(id.clone());
                operations.push(operation);
            }
        }
        operations.sort_by_cached_key(|operation| {
            let group = group_of(&operation.slot).map(|(group, _)| group);
            let tags = operation.fields.values().map(|change| [change.old.as_key(), change.new.as_key()]).next();
            (group, tags, operation.subject.clone())
        });
        operations
    }

    fn company_tag(
        &self,
        record: &WantedRecord,
        group: &str,
        tag: Option<&str>,
        found: &BTreeSet<Slot>,
    ) -> Option<Operation> {
        let slot = group_slot(group, &record.subject);
        let company_slot = record_slot(COMPANY, &record.subject);
        let company = self.known_company(record).and_then(|known| known.remote_id.clone());
        if company.is_none() && !found.contains(&company_slot) {
            return None;
        }
        let before = self.known.records.get(&slot);
        if before.is_some_and(|before| before.absent) {
            return None;
        }
        // What another company was told says nothing about the one that will be found.
        let told = before.filter(|_| company.is_some());
        let told = told.and_then(|told| told.fields.get(TAG_FIELD));
        let (old, new) = group_change(told, tag);
        if old == new {
            return None;
        }
        let title = match (&old, &new) {
            (Value::Null, _) => "tag company",
            (_, Value::Null) => "untag company",
            _ => "change company tag",
        };
        let mut operation = Operation::new(slot, COMPANY_TAGS, title);
        // Naming the siblings asks `step` to take them away: the company may carry any of them.
        if is_unsure(told) {
            self.intercom.tags(COMPANY, group).for_each(|tag| need(&mut operation, tag_slot(tag), None));
        }
        if company.is_none() {
            need(&mut operation, company_slot, None);
        }
        operation.fields.insert(TAG_FIELD.into(), Change { old, new });
        operation.subject.clone_from(&record.subject);
        operation.keys.clone_from(&record.keys);
        operation.remote_id = company;
        Some(operation)
    }

    /// Attaches a contact to its account's company. Contacts are never detached: nobody knows who attached them.
    fn membership(&self, record: &WantedRecord, planned: &BTreeSet<Slot>) -> Option<Operation> {
        let account = company_of(record)?;
        let slot = record_slot(MEMBERSHIP, &record.subject);
        let before = self.known.records.get(&slot);
        if before.is_some_and(|before| before.absent) {
            return None;
        }
        let mut operation = Operation::new(slot, MEMBERSHIP, "attach contact to company");
        for slot in [record_slot(CONTACT, &record.subject), record_slot(COMPANY, account)] {
            match self.known.remote_id(&slot) {
                Some(id) => _ = operation.refs.insert(slot, id.to_owned()),
                None if planned.contains(&slot) => need(&mut operation, slot, None),
                None => return None,
            }
        }
        // Who was attached before is not who will be found.
        let told = before.filter(|_| operation.needs.is_empty());
        let old = told.and_then(|told| told.fields.get(COMPANY)).cloned().unwrap_or_default();
        let new = Value::from(account);
        if old == new {
            return None;
        }
        operation.fields.insert(COMPANY.into(), Change { old, new });
        operation.subject.clone_from(&record.subject);
        Some(operation)
    }

    /// The operation that makes sure of an attribute or a tag; `None` if that is known, or if it is a record.
    fn need(&self, slot: &Slot) -> Option<Operation> {
        let ensure = [CONTACT, COMPANY]
            .iter()
            .find_map(|model| Some((model, slot.strip_prefix(&attribute_slot(model, ""))?)))
            .map(|(model, name)| ensure_attribute(self.intercom, self.known, model, name));
        let tag = || {
            let name = slot.strip_prefix(&tag_slot(""))?;
            let mut operation = Operation::new(slot.clone(), TAG, "ensure tag");
            let change = Change { old: self.known.field(slot, "name"), new: name.into() };
            operation.fields.insert("name".into(), change);
            Some(operation)
        };
        let operation = ensure.or_else(tag)?;
        let settled = operation.fields.values().all(|change| change.old == change.new);
        (!settled || self.known.remote_id(slot).is_none()).then_some(operation)
    }
}
