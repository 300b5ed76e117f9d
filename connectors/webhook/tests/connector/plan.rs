//! What is sent when, and by which name a receiver knows that it comes twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use vitalsync_core::connector::{Known, Outcome, Step, Wanted};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::{Connector, Value};

use crate::support;

fn wanted(score: impl Into<Value>) -> Wanted {
    let fields = BTreeMap::from([("score".to_owned(), score.into()), ("plan".to_owned(), "team".into())]);
    let record = WantedRecord {
        kind: "account",
        subject: "acme".into(),
        keys: Vec::new(),
        create: None,
        fields,
        tags: BTreeMap::new(),
    };
    Wanted { records: vec![record], ..Wanted::default() }
}

/// Its idempotency key.
fn key(connector: &dyn Connector, wanted: &Wanted, known: &Known) -> String {
    let Step::Send(request) = connector.step(&connector.plan(wanted, known), &[]) else { panic!("nothing is sent") };
    assert_eq!((request.path.as_str(), request.headers[0].0), ("", "Idempotency-Key"));
    request.headers[0].1.clone()
}

#[test]
fn a_value_that_comes_back_is_another_message_and_a_repeat_is_the_same() {
    let connector =
        support::read(&json!({"accounts": {"fields": {"score": "health.score", "plan": "traits.plan"}}})).unwrap();
    let mut known = Known::default();
    let mut keys = BTreeSet::new();
    for score in [71.0, 43.0, 71.0, 43.0] {
        let wanted = wanted(score);
        let first = key(&*connector, &wanted, &known);
        assert_eq!(first, key(&*connector, &wanted, &known), "a repeat");
        assert_ne!(first, key(&*connector, &self::wanted(50.0), &known), "another value");
        keys.insert(first);
        for operation in connector.plan(&wanted, &known) {
            known.confirm(&operation, &Outcome::Done { remote_id: None });
        }
        assert_eq!(connector.plan(&wanted, &known), []);
    }
    assert_eq!(keys.len(), 4, "43 for the second time is news");
    assert_eq!(known.field("account/acme", "sequence"), 4.0.into());
}

#[test]
fn a_refused_message_keeps_its_number_until_it_is_taken() {
    let connector =
        support::read(&json!({"accounts": {"fields": {"score": "health.score", "plan": "traits.plan"}}})).unwrap();
    let known = Known::default();
    let plan = connector.plan(&wanted(1.0), &known);
    assert_eq!(plan[0].fields["sequence"].new, 1.0.into());
    assert_eq!(connector.plan(&wanted(2.0), &known)[0].fields["sequence"].new, 1.0.into());
    assert_ne!(key(&*connector, &wanted(1.0), &known), key(&*connector, &wanted(2.0), &known));
}

/// What is in doubt is known as what was confirmed and what was sent since, as the shell has it.
#[test]
fn a_message_in_doubt_never_gives_its_number_to_another() {
    let connector =
        support::read(&json!({"accounts": {"fields": {"score": "health.score", "plan": "traits.plan"}}})).unwrap();
    let mut known = Known::default();
    for operation in connector.plan(&wanted(71.0), &known) {
        known.confirm(&operation, &Outcome::Done { remote_id: None });
    }
    let fields = &mut known.records.get_mut("account/acme").unwrap().fields;
    fields.insert("score".into(), Value::List(vec![71.0.into(), 43.0.into()]));
    fields.insert("sequence".into(), Value::List(vec![1.0.into(), 2.0.into()]));
    for score in [71.0, 43.0, 50.0] {
        let plan = connector.plan(&wanted(score), &known);
        let fields = &plan[0].fields;
        assert_eq!((&fields["sequence"].old, &fields["sequence"].new), (&1.0.into(), &3.0.into()));
        assert_eq!((&fields["score"].old, &fields["score"].new), (&71.0.into(), &score.into()));
    }
}
