//! Whose a field is, once somebody else was seen to have changed it.
//!
//! Pure. What a tool was told and what it was seen to hold are kept apart; what follows from a difference is decided anew for
//! each plan, so that another policy in the config holds at once. *Win* plans from what the tool holds, so that ours is written
//! again. *Yield* leaves the field until it holds nothing or what we would write. *Report* leaves it until our own value
//! changes. Tags, and the property that holds our own id, are always ours: others tell our records by them.

use std::collections::BTreeMap;

use vitalsync_core::connector::{Known, Slot};
use vitalsync_core::mapping::{Ownership, RecordSet, WantedRecord};
use vitalsync_core::value::Value;

/// What others made of fields, by slot and field.
pub type Differs = BTreeMap<Slot, BTreeMap<String, Value>>;

/// The policy of a field; `None` for what no mapping names.
pub fn policy(sets: &[RecordSet], slot: &str, field: &str, default: Ownership) -> Option<Ownership> {
    let kind = slot.split('/').next()?;
    let maps = sets.iter().filter(|set| set.kind == kind).flat_map(|set| &set.fields);
    maps.into_iter().find(|map| map.field == field).map(|map| map.ownership.unwrap_or(default))
}

/// Makes what is wanted and what is known say what is to be done about differences.
pub fn settle(
    wanted: &mut [WantedRecord],
    known: &mut Known,
    differs: &Differs,
    policy: impl Fn(&str, &str) -> Option<Ownership>,
) {
    let mut by_slot: BTreeMap<String, &mut WantedRecord> = BTreeMap::new();
    for record in wanted {
        let slot = format!("{}/{}", record.kind, record.subject);
        if differs.contains_key(&slot) {
            by_slot.insert(slot, record);
        }
    }
    for (slot, fields) in differs {
        let Some(told) = known.records.get_mut(slot) else { continue };
        for (field, theirs) in fields {
            let record = by_slot.get_mut(slot);
            let ours = record.as_ref().and_then(|record| record.fields.get(field));
            let free = theirs.is_null() || ours == Some(theirs);
            match policy(slot, field) {
                Some(Ownership::Report) => {}
                Some(Ownership::Yield) if !free => {
                    if let Some(record) = record {
                        record.fields.remove(field);
                    }
                }
                Some(Ownership::Win | Ownership::Yield) | None => {
                    told.fields.insert(field.clone(), theirs.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vitalsync_core::connector::KnownRecord;

    use super::*;

    /// What a plan would see of one field: wanted, and known.
    fn settled(ours: Value, told: Value, theirs: Value, policy: Option<Ownership>) -> (Option<Value>, Value) {
        let slot = "company/acme";
        let mut wanted = [WantedRecord {
            kind: "company",
            subject: "acme".into(),
            keys: Vec::new(),
            create: None,
            fields: [("score".to_owned(), ours)].into(),
            tags: BTreeMap::new(),
        }];
        let record = KnownRecord { fields: [("score".to_owned(), told)].into(), ..KnownRecord::default() };
        let mut known = Known { records: [(slot.to_owned(), record)].into() };
        let differs = [(slot.to_owned(), [("score".to_owned(), theirs)].into())].into();
        settle(&mut wanted, &mut known, &differs, |_, _| policy);
        (wanted[0].fields.get("score").cloned(), known.field(slot, "score"))
    }

    #[test]
    fn what_is_ours_is_planned_from_what_the_tool_holds() {
        let (one, two) = (Value::from(1.0), Value::from(2.0));
        let seen = settled(one.clone(), one.clone(), two.clone(), Some(Ownership::Win));
        assert_eq!(seen, (Some(one.clone()), two.clone()));
        // What no mapping names: a tag, our own id.
        assert_eq!(settled(one.clone(), one.clone(), two.clone(), None), (Some(one), two));
    }

    #[test]
    fn what_is_theirs_is_left_until_it_holds_nothing_or_ours() {
        let (one, two, three) = (Value::from(1.0), Value::from(2.0), Value::from(3.0));
        let yields =
            |ours: &Value, theirs: &Value| settled(ours.clone(), one.clone(), theirs.clone(), Some(Ownership::Yield));
        assert_eq!(yields(&one, &two), (None, one.clone()));
        assert_eq!(yields(&three, &two), (None, one.clone()), "not even when ours changes");
        assert_eq!(yields(&three, &Value::Null), (Some(three.clone()), Value::Null));
        assert_eq!(yields(&two, &two), (Some(two.clone()), two.clone()), "there is nothing to write");
    }

    #[test]
    fn what_is_reported_is_left_until_ours_changes() {
        let (one, two) = (Value::from(1.0), Value::from(2.0));
        let seen = settled(one.clone(), one.clone(), two.clone(), Some(Ownership::Report));
        assert_eq!(seen, (Some(one.clone()), one.clone()), "planning sees no difference");
        let seen = settled(two.clone(), one.clone(), Value::from(9.0), Some(Ownership::Report));
        assert_eq!(seen, (Some(two), one), "planning writes");
    }
}
