//! The questions whether Intercom still holds what it confirmed.

use vitalsync_core::connector::{Change, Known, KnownRecord, Mode, Operation};

use crate::{
    COMPANY, CONTACT, GROUP_PREFIX, Intercom, MEMBERSHIP, READ_COMPANY, READ_CONTACT, READ_TAG, TAG_FIELD, group_of,
    record_slot, tag_slot,
};

/// A contact's question and that whether it is still attached stand together, and a company's and those of its tag groups, since
/// one read answers them.
pub(crate) fn questions(intercom: &Intercom, known: &Known) -> Vec<Operation> {
    let (mut contacts, mut companies, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    for (slot, record) in &known.records {
        if let Some(subject) = slot.strip_prefix(CONTACT).and_then(|rest| rest.strip_prefix('/')) {
            let question = contact(intercom, known, slot, subject, record);
            contacts.extend(question.map(|question| (subject.to_owned(), question)));
        } else if let Some(subject) = slot.strip_prefix(MEMBERSHIP).and_then(|rest| rest.strip_prefix('/')) {
            let question = membership(intercom, known, slot, subject, record);
            contacts.extend(question.map(|question| (subject.to_owned(), question)));
        } else if let Some(subject) = slot.strip_prefix(COMPANY).and_then(|rest| rest.strip_prefix('/')) {
            let mapped =
                |field: &str| intercom.set(COMPANY).is_some_and(|set| set.fields.iter().any(|map| map.field == field));
            let question = question(slot, READ_COMPANY, "read company", subject, record, mapped);
            companies.extend(question.map(|question| (subject.to_owned(), question)));
        } else if let Some((_, subject)) = group_of(slot) {
            let question =
                question(slot, READ_COMPANY, "read tags of company", subject, record, |field| field == TAG_FIELD);
            companies.extend(question.map(|question| (subject.to_owned(), question)));
        } else if slot.starts_with(&tag_slot("")) {
            // One that was deleted and made again has another id.
            tags.extend(question(slot, READ_TAG, "read tag", "", record, |_| false));
        }
    }
    let together = |mut questions: Vec<(String, Operation)>| {
        questions.sort_by(|(a, _), (b, _)| a.cmp(b));
        questions.into_iter().map(|(_, question)| question)
    };
    tags.into_iter().chain(together(contacts)).chain(together(companies)).collect()
}

fn question(
    slot: &str,
    batch_key: &str,
    title: &str,
    subject: &str,
    record: &KnownRecord,
    asks: impl Fn(&str) -> bool,
) -> Option<Operation> {
    let fields = record.fields.iter().filter(|(field, _)| asks(field));
    Some(Operation {
        mode: Mode::Read,
        subject: subject.to_owned(),
        remote_id: Some(record.remote_id.clone()?),
        fields: fields
            .map(|(field, value)| (field.clone(), Change { old: value.clone(), new: value.clone() }))
            .collect(),
        ..Operation::new(slot, batch_key, title)
    })
}

fn contact(intercom: &Intercom, known: &Known, slot: &str, subject: &str, record: &KnownRecord) -> Option<Operation> {
    let set = intercom.set(CONTACT)?;
    let mapped = |field: &str| match field.strip_prefix(GROUP_PREFIX) {
        Some(group) => set.groups.iter().any(|known| known.name == group),
        None => set.fields.iter().any(|map| map.field == field),
    };
    let mut question = question(slot, READ_CONTACT, "read contact", subject, record, mapped)?;
    // A contact's answer names its tags by their ids.
    let groups = question.fields.keys().filter_map(|field| field.strip_prefix(GROUP_PREFIX));
    let tags = groups.flat_map(|group| intercom.tags(CONTACT, group)).map(tag_slot);
    question.refs = tags.filter_map(|slot| Some((slot.clone(), known.remote_id(&slot)?.to_owned()))).collect();
    Some(question)
}

/// Whether a contact is still attached to the company that we attached it to: others who detach it hide the company.
fn membership(
    intercom: &Intercom,
    known: &Known,
    slot: &str,
    subject: &str,
    record: &KnownRecord,
) -> Option<Operation> {
    intercom.set(MEMBERSHIP)?;
    let contact = record_slot(CONTACT, subject);
    let id = known.remote_id(&contact)?.to_owned();
    let mut question =
        question(slot, READ_CONTACT, "read company of contact", subject, record, |field| field == COMPANY)?;
    question.refs.insert(contact, id);
    Some(question)
}
