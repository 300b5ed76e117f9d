//! Which contact belongs to which company: that of its user's account, once both are there.
//!
//! An association that was made is never taken back: a person may have come to want it.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::Value;
use vitalsync_core::connector::{Change, Known, Need, Operation, Slot, Wanted};

use super::{ASSOCIATION, CREATE, key};
use crate::kind::{COMPANY, CONTACT};

/// What is known of an association besides the account: between which two records it was made.
pub(crate) fn pair(contact: &str, company: &str) -> String {
    format!("{contact}/{company}")
}

/// Associates what is or is about to be known on both sides. `ids`: every record that is wanted, with its id where one is
/// known; `records`: what this plan does about records.
pub(super) fn plan(
    wanted: &Wanted,
    known: &Known,
    ids: &BTreeMap<Slot, Option<&str>>,
    records: &[Operation],
) -> Vec<Operation> {
    let planned: BTreeSet<&str> = records.iter().map(|operation| operation.slot.as_str()).collect();
    // `None`: it is not there, and this plan does not look for it.
    let side = |slot: &str| match ids.get(slot) {
        Some(Some(id)) => Some(Some(*id)),
        Some(None) => planned.contains(slot).then_some(None),
        None => None,
    };
    let associate = |record: &vitalsync_core::mapping::WantedRecord| {
        let account = key(record, COMPANY.name)?;
        let contact_slot = format!("{}/{}", CONTACT.name, record.subject);
        let company_slot = format!("{}/{account}", COMPANY.name);
        let (contact, company) = (side(&contact_slot)?, side(&company_slot)?);
        let slot = format!("{ASSOCIATION}/{}", record.subject);
        let old = known.field(&slot, COMPANY.name);
        let new = Value::from(account);
        let made = contact.zip(company).map(|(contact, company)| pair(contact, company));
        let same = made.is_some() && made.as_deref() == known.remote_id(&slot);
        if same && old == new {
            return None;
        }
        // What was made between other records says nothing about these.
        let old = if same { old } else { Value::Null };
        // Where one side is refused or absent nothing is left to do.
        let need = |slot: Slot| Need { slot, field: Some(COMPANY.name.to_owned()) };
        Some(Operation {
            subject: record.subject.clone(),
            fields: [(COMPANY.name.to_owned(), Change { old, new })].into(),
            needs: vec![need(contact_slot), need(company_slot)],
            ..Operation::new(slot, format!("{ASSOCIATION}:{CREATE}"), "associate contact with its company")
        })
    };
    wanted.records.iter().filter(|record| record.kind == ASSOCIATION).filter_map(associate).collect()
}
