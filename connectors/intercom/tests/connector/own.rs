//! What is Intercom's own: exclusive tags, values, and faults of the config. The laws of every connector are in the program's
//! `tests/laws`.

use std::collections::BTreeMap;

use crate::companies::{company, member};
use crate::support::{self, confirm_all, fill, slots, wanted};
use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Key, Known, Method, Operation, Outcome, Request, Step, Wanted, account_operation};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::{Connector, Day, Value};

fn connector() -> Box<dyn Connector> {
    support::read(&support::config()).unwrap()
}

fn record(subject: &str, score: Value, band: Option<&str>, create: bool) -> WantedRecord {
    let create = create.then(|| {
        BTreeMap::from([
            ("email".to_owned(), "jo.qwerz@acme.example".into()),
            ("name".to_owned(), "Joanna Qwerz".into()),
        ])
    });
    WantedRecord {
        kind: "contact",
        subject: subject.into(),
        keys: vec![Key { by: "external_id".into(), value: subject.into() }],
        create,
        fields: BTreeMap::from([
            ("health_score".to_owned(), score),
            ("last_active".to_owned(), Value::Date(Day(20_000))),
            ("plan".to_owned(), "Secret Plan".into()),
        ]),
        tags: BTreeMap::from([("health".to_owned(), band.map(Into::into)), ("stage".to_owned(), None)]),
    }
}

#[test]
fn attributes_and_tags_are_made_sure_of_before_contacts() {
    let connector = connector();
    let wanted =
        wanted(vec![record("u1", 72.0.into(), Some("Health: healthy"), true), record("u2", Value::Null, None, true)]);
    let plan = connector.plan(&wanted, &Known::default());
    assert_eq!(
        slots(&plan),
        [
            "attribute/contact/health_score",
            "attribute/contact/last_active",
            "attribute/contact/plan",
            "tag/Health: at risk",
            "tag/Health: healthy",
            "tag/Trial",
            "contact/u2",
            "contact/u1",
        ]
    );
    assert_eq!(plan[0].fields["data_type"].new, "float".into());
    assert_eq!(plan[1].fields["data_type"].new, "date".into());
    assert_eq!(plan[2].fields["data_type"].new, "string".into());
    assert!(!plan[6].fields.contains_key("health_score"), "null where nothing is known is no change");
}

#[test]
fn a_band_change_removes_the_old_tag_and_sets_the_new() {
    let connector = connector();
    let mut known = Known::default();
    let before = wanted(vec![record("u1", 72.0.into(), Some("Health: healthy"), false)]);
    confirm_all(&connector.plan(&before, &known), &mut known);
    let after = wanted(vec![record("u1", 72.0.into(), Some("Health: at risk"), false)]);
    let mut plan = connector.plan(&after, &known);
    fill(&mut plan, &known);
    assert_eq!(slots(&plan), ["contact/u1"]);
    assert_eq!(plan[0].fields.keys().collect::<Vec<_>>(), ["tags.health"], "only what changed");
    let mut replies = Vec::new();
    let mut lines = Vec::new();
    loop {
        let step = connector.step(&plan, &replies);
        lines.push(vitalsync_cases::shown(&step));
        if !matches!(step, Step::Send(_)) {
            break;
        }
        replies.push(vitalsync_cases::answer(200, &[], r#"{"id":"t"}"#));
    }
    assert_eq!(
        lines,
        [
            "> DELETE /contacts/id%20of%20contact%2Fu1/tags/id%20of%20tag%2FHealth%3A%20healthy",
            r#"> POST /contacts/id%20of%20contact%2Fu1/tags {"id":"id of tag/Health: at risk"}"#,
            "= done; contact/u1 is id of contact/u1",
        ]
    );
    confirm_all(&plan, &mut known);
    // Back to no tag: only a removal; and a tag after that needs no look at the contact, whose tags are known.
    let none = wanted(vec![record("u1", 72.0.into(), None, false)]);
    let plan = connector.plan(&none, &known);
    assert_eq!(plan[0].needs.len(), 1);
    confirm_all(&plan, &mut known);
    assert_eq!(connector.plan(&before, &known)[0].needs.len(), 1);
}

#[test]
fn a_record_that_is_met_first_loses_what_it_carries_of_a_group_of_which_it_is_to_have_none() {
    let connector = connector();
    let mut known = Known::default();
    let asked = wanted(vec![
        WantedRecord { fields: BTreeMap::new(), ..record("u1", Value::Null, None, false) },
        WantedRecord { fields: BTreeMap::new(), ..company("acme", Value::Null, None, false) },
    ]);
    let mut plan: Vec<Operation> = connector.plan(&asked, &known);
    let ids =
        [("tag/Health: at risk", "81"), ("tag/Health: healthy", "82"), ("tag/Trial", "83"), ("company/acme", "k1")];
    for (operation, id) in plan.iter().filter_map(|one| Some((one, ids.iter().find(|(slot, _)| *slot == one.slot)?.1)))
    {
        known.confirm(operation, &Outcome::Done { remote_id: Some(id.into()) });
    }
    fill(&mut plan, &known);
    let find = |slot: &str| plan.iter().find(|one| one.slot == slot).cloned().into_iter().collect::<Vec<_>>();
    let both = r#"{"id":"c1","tags":{"data":[{"id":"81"},{"id":"82"},{"id":"7"}],"total_count":3,"has_more":false}}"#;
    let said = |operations: &[Operation], answers: &[&str]| {
        let replies: Vec<_> = answers.iter().map(|body| vitalsync_cases::answer(200, &[], *body)).collect();
        let lines = (0..=replies.len()).map(|n| vitalsync_cases::shown(&connector.step(operations, &replies[..n])));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        said(&find("contact/u1"), &[both, r#"{"id":"81"}"#, r#"{"id":"82"}"#]),
        [
            "> GET /contacts/find_by_external_id/u1",
            "> DELETE /contacts/c1/tags/81",
            "> DELETE /contacts/c1/tags/82",
            "= done; contact/u1 is c1",
        ]
    );
    let none = r#"{"type":"tag","id":"82","companies":[]}"#;
    assert_eq!(
        said(&find("company_tags/health/acme"), &[r#"{"type":"tag","id":"81"}"#, none]),
        [
            r#"> POST /tags {"companies":[{"id":"k1","untag":true}],"name":"Health: at risk"}"#,
            r#"> POST /tags {"companies":[{"id":"k1","untag":true}],"name":"Health: healthy"}"#,
            "= done; company_tags/health/acme is k1",
        ]
    );
    confirm_all(&plan, &mut known);
    assert_eq!(connector.plan(&asked, &known), [], "once");
}

#[test]
fn a_contact_of_which_nothing_is_to_be_said_is_looked_for_and_not_created() {
    let connector = connector();
    let mut known = Known::default();
    let nothing = wanted(vec![WantedRecord { fields: BTreeMap::new(), ..record("u1", Value::Null, None, true) }]);
    let plan = connector.plan(&nothing, &known);
    let contact = plan.last().unwrap();
    assert_eq!((contact.slot.as_str(), &contact.create), ("contact/u1", &None));
    known.confirm(contact, &Outcome::Absent { why: String::new() });
    assert!(!slots(&connector.plan(&nothing, &known)).contains(&"contact/u1"), "once a day");
    let tagged = wanted(vec![record("u1", Value::Null, Some("Health: healthy"), true)]);
    assert!(connector.plan(&tagged, &known).last().unwrap().create.is_some());
}

#[test]
fn an_absent_contact_is_not_planned_unless_it_may_be_created() {
    let connector = connector();
    let mut known = Known::default();
    let skip = wanted(vec![record("u1", 72.0.into(), None, false)]);
    let plan = connector.plan(&skip, &known);
    known.confirm(plan.last().unwrap(), &Outcome::Absent { why: String::new() });
    assert_eq!(connector.plan(&skip, &known), []);
    let create = wanted(vec![record("u1", 72.0.into(), None, true)]);
    assert!(slots(&connector.plan(&create, &known)).contains(&"contact/u1"));
}

#[test]
fn a_forgotten_id_means_that_everything_is_told_again() {
    let connector = connector();
    let mut known = Known::default();
    let wanted = wanted(vec![record("u1", 72.0.into(), Some("Health: healthy"), false)]);
    confirm_all(&connector.plan(&wanted, &known), &mut known);
    known.records.get_mut("contact/u1").unwrap().remote_id = None;
    let plan = connector.plan(&wanted, &known);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].fields.len(), 5, "its other group, too");
}

#[test]
fn the_tag_of_a_group_that_left_the_config_is_removed() {
    let mut known = Known::default();
    let before = wanted(vec![record("u1", 72.0.into(), Some("Health: healthy"), false)]);
    confirm_all(&connector().plan(&before, &known), &mut known);
    let mut config = support::config();
    config["contacts"]["tag_groups"].as_object_mut().unwrap().remove("health");
    let mut now = record("u1", 72.0.into(), None, false);
    now.tags.remove("health");
    let mut plan = support::read(&config).unwrap().plan(&wanted(vec![now]), &known);
    fill(&mut plan, &known);
    assert_eq!(plan[0].fields["tags.health"].new, Value::Null);
    let step = vitalsync_cases::shown(&connector().step(&plan, &[]));
    assert_eq!(step, "> DELETE /contacts/id%20of%20contact%2Fu1/tags/id%20of%20tag%2FHealth%3A%20healthy");
}

#[test]
fn every_request_names_the_version() {
    let Step::Send(Request { method, path, headers, body, pool }) = connector().step(&[account_operation()], &[])
    else {
        panic!("the account is asked for");
    };
    assert_eq!((method, path.as_str(), body), (Method::Get, "/me", None));
    assert!(headers.contains(&("Intercom-Version", "2.16".into())));
    assert_eq!((pool.name, pool.key), ("api", None));
}

#[test]
fn faults_are_all_found_and_say_what_to_do() {
    let faults = |contacts: Json| support::read(&json!({ "contacts": contacts })).map(|_| ()).unwrap_err();
    assert!(support::read(&json!({ "token": "t" })).unwrap_err().contains("neither `contacts` nor `companies`"));
    assert!(support::read(&json!({ "contact": {} })).unwrap_err().contains("did you mean `contacts`?"));
    assert!(faults(json!({})).contains("nothing to write"));
    let several = faults(json!({
        "match": [{ "email": "user.traits.email" }, { "external": "user.id" }],
        "missing": "crate",
        "attributes": { "health.score": "account.health.score", "plan": "account.helth.score" },
        "tag_groups": { "a": { "Hot": "account.health.score" }, "b": { "hot": "true" }, "c": {} },
        "fields": {},
    }));
    for part in [
        "unknown way to match `email`",
        "found by `external_id` only",
        "skip, create or a rule, found the text `crate` (did you mean `create`?)",
        "`health.score` can't name an attribute",
        "unknown name `account.helth.score`",
        "expected true or false",
        "the tag `hot` is in the group `a` already",
        "the tag group `c` has no tags",
        "unknown key `fields`",
    ] {
        assert!(several.contains(part), "{part} is not in:\n{several}");
    }
    assert!(faults(json!({ "match": [], "attributes": { "a": "1" } })).contains("at least one way to match"));
    assert!(faults(json!({ "attributes": { "a".repeat(191): "1" } })).contains("at most 190 characters"));
    let fine =
        json!({ "contacts": { "match": { "external_id": "user.traits.uid" }, "attributes": { "Größe 2_-": "1" } } });
    let connector = support::read(&fine).unwrap();
    assert_eq!(connector.record_sets()[0].keys[0].1.source(), "user.traits.uid");
    let defaults = json!({ "contacts": { "attributes": { "a": "1" } } });
    assert_eq!(support::read(&defaults).unwrap().record_sets()[0].keys[0].1.source(), "user.id");
}

/// Everything that is asked of one user and the user's company.
fn whole(score: Value, band: &str, create: bool) -> Wanted {
    let user = record("user-4711", score.clone(), Some(band), create);
    wanted(vec![user, company("acme", score, Some(band), create), member("user-4711", "acme")])
}

#[test]
fn a_record_about_which_nothing_is_to_be_said_keeps_its_tags_and_one_that_left_loses_them() {
    let connector = connector();
    let mut known = Known::default();
    for _ in 0..2 {
        confirm_all(&connector.plan(&whole(72.0.into(), "Health: healthy", true), &known), &mut known);
    }
    let left = connector.plan(&Wanted::default(), &known);
    assert_eq!(left.len(), 2, "the contact and the company lose their tags: {:?}", slots(&left));
    let still = ["contact/user-4711", "company/acme"].map(str::to_owned).into();
    assert_eq!(connector.plan(&Wanted { still, ..Wanted::default() }, &known), []);
}
