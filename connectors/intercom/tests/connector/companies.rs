//! Companies: what is planned for them, their tags and their contacts, and what the config may say.

use std::collections::BTreeMap;

use crate::support::{self, confirm_all, fill, slots, wanted};
use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Key, Known, Mode, Operation, Outcome, Step};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::{Connector, Value};

pub fn company(subject: &str, score: Value, band: Option<&str>, create: bool) -> WantedRecord {
    WantedRecord {
        kind: "company",
        subject: subject.into(),
        keys: vec![Key { by: "company_id".into(), value: subject.into() }],
        create: create.then(|| BTreeMap::from([("name".to_owned(), "Acme".into())])),
        fields: BTreeMap::from([("score".to_owned(), score)]),
        tags: BTreeMap::from([("health".to_owned(), band.map(Into::into))]),
    }
}

pub fn member(user: &str, account: &str) -> WantedRecord {
    WantedRecord {
        kind: "membership",
        subject: user.into(),
        keys: Vec::new(),
        create: None,
        fields: BTreeMap::from([("company".to_owned(), account.into())]),
        tags: BTreeMap::new(),
    }
}

fn contact(subject: &str) -> WantedRecord {
    WantedRecord {
        kind: "contact",
        subject: subject.into(),
        keys: vec![Key { by: "external_id".into(), value: subject.into() }],
        create: None,
        fields: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}

fn connector() -> Box<dyn Connector> {
    support::read(&support::config()).unwrap()
}

fn find<'a>(plan: &'a [Operation], slot: &str) -> &'a Operation {
    plan.iter().find(|operation| operation.slot == slot).unwrap_or_else(|| panic!("{slot} is not in {:?}", slots(plan)))
}

#[test]
fn a_first_meeting_plans_the_company_its_tags_and_who_belongs_to_it() {
    let connector = connector();
    let asked = wanted(vec![
        contact("u1"),
        member("u1", "acme"),
        company("acme", 72.0.into(), Some("Health: healthy"), true),
        company("bolt", Value::Null, None, false),
    ]);
    let mut known = Known::default();
    let plan = connector.plan(&asked, &known);
    assert_eq!(plan, connector.plan(&asked, &known));
    assert_eq!(
        slots(&plan),
        [
            "attribute/company/score",
            "tag/Health: at risk",
            "tag/Health: healthy",
            "company/acme",
            "company/bolt",
            "company_tags/health/bolt",
            "company_tags/health/acme",
            "contact/u1",
            "membership/u1",
        ]
    );
    assert_eq!(find(&plan, "company/acme").fields.keys().collect::<Vec<_>>(), ["company_id", "score"]);
    let needs: Vec<&str> = find(&plan, "membership/u1").needs.iter().map(|need| need.slot.as_str()).collect();
    assert_eq!(needs, ["contact/u1", "company/acme"]);
    assert!(find(&plan, "contact/u1").fields.is_empty(), "only to be attached");
    confirm_all(&plan, &mut known);
    assert_eq!(connector.plan(&asked, &known), []);
}

#[test]
fn tags_move_in_lists_that_are_full() {
    let connector = connector();
    let all = |band: &dyn Fn(usize) -> Option<&'static str>| {
        wanted((0..1000).map(|n| company(&format!("c{n:04}"), 1.0.into(), band(n), false)).collect())
    };
    let mut known = Known::default();
    let odd = |n: usize| Some(if n.is_multiple_of(2) { "Health: healthy" } else { "Health: at risk" });
    confirm_all(&connector.plan(&all(&odd), &known), &mut known);
    // They swap: every other one goes each way.
    let even = |n: usize| odd(n + 1);
    let plan = connector.plan(&all(&even), &known);
    assert_eq!(plan.len(), 1000);
    let mut calls = 0;
    for batch in support::batches(&*connector, plan) {
        let mut replies = Vec::new();
        while let Step::Send(request) = connector.step(&batch, &replies) {
            let body: Json = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
            assert!(body["companies"].as_array().unwrap().len() <= 50);
            calls += 1;
            replies.push(vitalsync_cases::answer(200, &[], r#"{"type":"tag","id":"81"}"#));
        }
        assert!(matches!(connector.step(&batch, &replies), Step::Done(receipts) if receipts.len() == batch.len()));
    }
    assert_eq!(calls, 40);
}

#[test]
fn what_is_gone_is_looked_for_and_never_made_anew() {
    let connector = connector();
    let asked = wanted(vec![company("acme", 72.0.into(), Some("Health: healthy"), true)]);
    let mut known = Known::default();
    confirm_all(&connector.plan(&asked, &known), &mut known);
    let gone = Outcome::Gone { why: String::new() };
    for slot in ["company/acme", "company_tags/health/acme"] {
        known.confirm(&Operation::new(slot, "", ""), &gone);
    }
    assert_eq!(connector.plan(&asked, &known), [], "not on the same day");
    known.records.values_mut().for_each(|record| record.absent = false);
    let plan = connector.plan(&asked, &known);
    assert_eq!(slots(&plan), ["company/acme", "company_tags/health/acme"]);
    assert_eq!(plan[0].create, None);
    assert_eq!(plan[1].needs.len(), 3, "its tags are told anew: {:?}", plan[1].needs);
}

#[test]
fn an_id_that_changed_is_another_company() {
    let connector = connector();
    let mut known = Known::default();
    let before = company("acme", 72.0.into(), None, false);
    confirm_all(&connector.plan(&wanted(vec![before.clone()]), &known), &mut known);
    let mut after = before;
    after.keys[0].value = "acme-2".into();
    let plan = connector.plan(&wanted(vec![after]), &known);
    assert_eq!((plan[0].remote_id.as_deref(), plan[0].fields.len()), (None, 2));
}

#[test]
fn tags_that_are_not_asked_for_any_more_go() {
    let connector = connector();
    let mut known = Known::default();
    let asked = wanted(vec![company("acme", 72.0.into(), Some("Health: healthy"), false)]);
    confirm_all(&connector.plan(&asked, &known), &mut known);
    let plan = connector.plan(&wanted(Vec::new()), &known);
    assert_eq!(slots(&plan), ["company_tags/health/acme"]);
    assert_eq!(plan[0].fields["tag"].new, Value::Null);
    confirm_all(&plan, &mut known);
    assert_eq!(connector.plan(&wanted(Vec::new()), &known), []);
}

#[test]
fn a_group_that_somebody_else_changed_is_made_exclusive_again() {
    let connector = connector();
    let mut known = Known::default();
    let asked = wanted(vec![company("acme", 72.0.into(), Some("Health: healthy"), false)]);
    confirm_all(&connector.plan(&asked, &known), &mut known);
    let questions = connector.read_back(&known);
    assert!(questions.iter().all(|question| question.mode == Mode::Read));
    assert_eq!(
        slots(&questions),
        ["tag/Health: at risk", "tag/Health: healthy", "company/acme", "company_tags/health/acme"]
    );
    let both = Value::List(vec!["Health: at risk".into(), "Health: healthy".into()]);
    let differs = BTreeMap::from([("tag".to_owned(), both)]);
    known.confirm(&questions[3], &Outcome::Found { remote_id: None, differs });
    let mut plan = connector.plan(&asked, &known);
    fill(&mut plan, &known);
    let step = vitalsync_cases::shown(&connector.step(&plan, &[]));
    assert!(step.contains("\"untag\":true") && step.contains("Health: at risk"), "{step}");
}

#[test]
fn the_config_says_where_and_which_version_and_who_is_attached() {
    let section = |more: Json| {
        let mut config = json!({ "companies": { "attributes": { "a": "health.score" } } });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let read = |more: Json| support::read(&section(more));
    assert_eq!(read(json!({ "region": "eu" })).unwrap().home(), Some("https://api.eu.intercom.io"));
    assert_eq!(read(json!({})).unwrap().home(), Some("https://api.intercom.io"));
    assert!(read(json!({ "region": "uk" })).unwrap_err().contains("the region of the workspace"));
    let pinned = read(json!({ "api_version": "2.14" })).unwrap();
    let Step::Send(request) = pinned.step(&[vitalsync_core::connector::account_operation()], &[]) else { panic!() };
    assert!(request.headers.contains(&("Intercom-Version", "2.14".into())));
    for wrong in ["preview", "2", "2.x", "2.16\r\nx: y"] {
        assert!(read(json!({ "api_version": wrong })).unwrap_err().contains("expected api_version"), "{wrong}");
    }
    let kinds =
        |connector: Box<dyn Connector>| -> Vec<&str> { connector.record_sets().iter().map(|set| set.kind).collect() };
    let contacts = |attach: Json| json!({ "contacts": { "attributes": { "b": "1" }, "attach": attach } });
    assert_eq!(kinds(read(json!({})).unwrap()), ["company"]);
    assert_eq!(kinds(read(json!({ "contacts": { "attributes": { "b": "1" } } })).unwrap()), ["contact", "company"]);
    assert_eq!(kinds(read(contacts(true.into())).unwrap()), ["contact", "company", "membership"]);
    assert_eq!(kinds(connector()), ["contact", "company", "membership"], "where companies may be created");
    assert!(read(contacts("maybe".into())).unwrap_err().contains("whether contacts are attached"));
    let alone = json!({ "contacts": { "attributes": { "b": "1" }, "attach": true } });
    assert!(support::read(&alone).unwrap_err().contains("no `companies` here"));
    let keyed =
        json!({ "companies": { "match": { "name": "traits.name" }, "attributes": { "company_id": "account" } } });
    let faults = support::read(&keyed).map(|_| ()).unwrap_err();
    assert!(faults.contains("found by `company_id` only") && faults.contains("belongs below `match`"), "{faults}");
}
