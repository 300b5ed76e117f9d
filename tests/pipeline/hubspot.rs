//! HubSpot in full: contacts beside companies, what they are associated with, and records that people merge or delete.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use vitalsync::config::Config;
use vitalsync::report::DestinationReport;
use vitalsync::tick::matches::Line;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{
    Answer, Connector, Key, Known, KnownRecord, Operation, Outcome, Receipt, Reply, Step, Wanted,
};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_sandbox::{Request, Sandbox, Vendor};

use crate::site::{Site, TOKEN, Use, end};

/// A config with HubSpot alone: what is found by our own properties, what is missing.
fn config(site: &Site, missing: &str, more_ways: &str) -> String {
    let hubspot = format!(
        r##"  crm:
    type: hubspot
    mode: live
    brake: off
    token: "{TOKEN}"
    base_url: {}
    companies:
      match: [ property: vitalsync_account_id{more_ways} ]
      missing: {missing}
      properties:
        vitalsync_health_score: health.score
        vitalsync_health_band: {{ value: health.band, type: enumeration }}
    contacts:
      missing: {missing}
      properties: {{ vitalsync_account_score: account.health.score, vitalsync_days: user.frequency.active_days }}
"##,
        site.hubspot.base_url()
    );
    let all = site.config("");
    format!("{}destinations:\n{hubspot}", all.split("destinations:\n").next().unwrap())
}

async fn run(site: &Site, missing: &str, offset: i32) -> DestinationReport {
    let engine = site.open_with(&config(site, missing, ", domain: traits.domain"));
    engine.run_once(end(offset)).await.unwrap().destinations.remove("crm").unwrap()
}

fn journal(site: &Site, from: usize) -> Vec<String> {
    let vendor = site.hubspot.vendor();
    let mut calls: Vec<String> =
        vendor.journal()[from..].iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    calls.sort();
    calls
}

fn calls(site: &Site) -> usize {
    site.hubspot.vendor().journal().len()
}

fn contacts(site: &Site) -> Vec<Value> {
    let state = site.hubspot.vendor().state();
    state["contacts"].as_array().unwrap().clone()
}

fn post(vendor: &mut Sandbox, method: &str, path: &str, body: &Value, at: i64) -> vitalsync_sandbox::Reply {
    let headers = vec![("authorization".into(), format!("Bearer {TOKEN}"))];
    let body = body.to_string().into_bytes();
    vendor.handle(&Request { method: method.into(), path: path.into(), headers, body }, at)
}

/// What a person does in HubSpot.
fn send(site: &Site, method: &str, path: &str, body: &Value) -> Value {
    let mut vendor = site.hubspot.vendor();
    let now = vendor.journal().last().map_or(0, |entry| entry.at);
    let reply = post(&mut vendor, method, path, body, now);
    assert!(reply.status < 300, "{reply:?}");
    serde_json::from_str(&reply.body).unwrap_or_default()
}

#[tokio::test]
async fn who_is_ignored_is_neither_written_nor_associated_nor_read() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 20, 1), Use("a2", "Core", 0, 9, 1)]);
    run(&site, "create", 10).await;
    let engine = site.open_with(&config(&site, "create", ", domain: traits.domain"));
    let table = "destination,record,account,record_id,state\ncrm,contact,a0-u,,ignore\ncrm,company,a1,,ignore\n";
    engine.decide(&Line::read(table).unwrap(), end(10)).await.unwrap();
    let (contact, company) = (contacts(&site)[0]["properties"].clone(), site.company("a1"));
    let associated = site.hubspot.vendor().state()["associations"].clone();
    assert_eq!(engine.refresh(None).await.unwrap().remove(0).1.read, 2 + 2 + 2, "and whom the contacts belong to");
    drop(engine);
    let later = run(&site, "create", 30).await.delivered;
    assert_eq!((later.changed, later.acknowledged, later.absent), (4, 4, 0), "{later:?}");
    assert_eq!((&contacts(&site)[0]["properties"], site.company("a1")), (&contact, company));
    assert_eq!(site.hubspot.vendor().state()["associations"], associated);
}

#[tokio::test]
async fn contacts_and_their_companies_take_the_fewest_calls() {
    let site = Site::new().await;
    let names: Vec<String> = (0..1000).map(|n| format!("c{n}")).collect();
    let stories = |from, each| names.iter().map(|name| Use(name, "Core", from, 1, each)).collect::<Vec<_>>();
    let run = |offset| {
        let engine = site.open_with(&config(&site, "create", ""));
        async move { engine.run_once(end(offset)).await.unwrap().destinations.remove("crm").unwrap().delivered }
    };
    site.customers("1.ndjson", &stories(4, 1));
    let first = run(4).await;
    assert_eq!((first.rejected, first.waiting, first.absent), (0, 0, 0), "{first:?}");
    let made = contacts(&site);
    assert_eq!((made.len(), &made[0]["properties"]["email"]), (1000, &json!("c0-u@c0.example")));
    let state = site.hubspot.vendor().state();
    assert_eq!(state["associations"].as_array().unwrap().len(), 1000);
    let associated = journal(&site, 0).iter().filter(|call| call.contains("associate")).count();
    assert_eq!(associated, 1, "a thousand associations are one call");
    let before = calls(&site);
    site.customers("2.ndjson", &stories(6, 2));
    let second = run(7).await;
    assert_eq!((second.changed, second.acknowledged), (2000, 2000), "{second:?}");
    let made = journal(&site, before);
    assert_eq!(made.iter().filter(|call| *call == "POST /crm/objects/2026-09/companies/batch/update").count(), 10);
    assert_eq!(made.iter().filter(|call| *call == "POST /crm/objects/2026-09/contacts/batch/update").count(), 10);
    assert_eq!(made.len(), 20, "{made:?}");
    let third = run(7).await;
    assert_eq!((third.changed, third.sent_calls), (0, 0));
}

#[tokio::test]
async fn what_is_refused_by_name_is_asked_once_more_together() {
    let site = Site::new().await;
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 4, 1, 1)).collect::<Vec<_>>());
    let twice = names.iter().flat_map(|name| [name, name].map(|name| json!({"domain": format!("{name}.example")})));
    site.hubspot.vendor().seed(&json!({ "companies": twice.collect::<Vec<_>>() })).unwrap();
    for _ in 0..2 {
        let before = calls(&site);
        let report = run(&site, "skip", 4).await.delivered;
        assert_eq!((report.rejected, report.waiting), (40, 0), "{report:?}");
        let made = journal(&site, before);
        let companies = |call: &String| call.contains("/companies/") && call.contains("/crm/objects/");
        assert_eq!(
            made.iter().filter(|call| companies(call)).count(),
            4,
            "twice by our property, and by domain: {made:?}"
        );
    }
}

/// Companies and contacts that are found by our own properties alone.
#[tokio::test]
async fn a_value_that_is_refused_drops_out_alone_and_is_listed() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 20, 1)]);
    let seats = json!({"name": "seats", "label": "x", "type": "number", "fieldType": "number", "groupName": "companyinformation"});
    site.hubspot.vendor().seed(&json!({"properties": [seats]})).unwrap();
    let score = "vitalsync_health_score: health.score";
    let config = config(&site, "create", "").replace(score, &format!("{score}\n        seats: traits.name"));
    let config = config.split("    contacts:").next().unwrap();
    let engine = site.open_with(config);
    let first = engine.run_once(end(10)).await.unwrap();
    let crm = &first.destinations["crm"];
    assert_eq!((crm.delivered.rejected, crm.quarantined, first.exit_code()), (2, 2, 3), "{crm:?}");
    let scores = ["a0", "a1"].map(|account| site.company(account)["vitalsync_health_score"].clone());
    assert!(scores.iter().all(|score| score.is_string()), "{scores:?}");
    let why = &engine.status().unwrap().destinations["crm"].quarantine[0].why;
    assert!(why.contains("seats: INVALID_LONG") && why.contains("all else was written"), "{why}");
    // A daemon does not try the same again at once; what else changes is written all the same.
    let sent = calls(&site);
    let evaluation = engine.evaluate(end(10)).unwrap();
    engine.sync(&engine.config.destinations[0], &evaluation, false).await.unwrap();
    assert_eq!(calls(&site), sent);
    let later = engine.run_once(end(30)).await.unwrap().destinations.remove("crm").unwrap();
    assert_eq!((later.delivered.rejected, later.quarantined), (2, 2), "{later:?}");
    assert_ne!(site.company("a0")["vitalsync_health_score"], scores[0]);
    // What is not asked for any more is listed no more.
    drop(engine);
    let mended = site.open_with(&config.replace("\n        seats: traits.name", "")).run_once(end(30)).await.unwrap();
    let crm = &mended.destinations["crm"];
    assert_eq!((crm.delivered.rejected, crm.quarantined), (0, 0), "{crm:?}");
}

#[tokio::test]
async fn an_account_moves_to_the_record_that_a_person_named_and_stays_where_there_is_none() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    run(&site, "create", 10).await;
    let config = config(&site, "create", "");
    let engine = site.open_with(&config);
    let old = |site: &Site| site.hubspot.vendor().companies().remove(0).properties;
    let decide = async |id: &str, offset| {
        let table = format!("destination,record,account,record_id,state\ncrm,company,a0,{id},\n");
        engine.decide(&Line::read(&table).unwrap(), end(offset)).await.unwrap();
        engine.run_once(end(offset)).await.unwrap().destinations.remove("crm").unwrap().delivered
    };
    let nowhere = decide("424242", 10).await;
    let why: Vec<&String> = nowhere.rejected_why.0.keys().collect();
    assert_eq!(
        why,
        [
            "the record that `vitalsync match import` named is not to be had: no company has this id; the record before it stands again"
        ]
    );
    assert_eq!(old(&site)["vitalsync_account_id"], "a0");
    let kept = engine.run_once(end(30)).await.unwrap().destinations.remove("crm").unwrap();
    assert_eq!((kept.delivered.rejected, kept.quarantined), (0, 0), "{kept:?}");
    let before = old(&site);
    let other = site.hubspot.vendor().seed_company(&[("name", "Other"), ("domain", "other.example")]);
    let moved = decide(&other, 30).await;
    assert_eq!((moved.rejected, moved.waiting), (0, 0), "{moved:?}");
    assert_eq!(site.company("a0")["name"], "Other");
    assert_eq!(site.company("a0")["vitalsync_health_score"], before["vitalsync_health_score"]);
    assert_ne!(old(&site).get("vitalsync_account_id").map(String::as_str), Some("a0"));
}

fn both_kinds() -> Config {
    let text = include_str!("../../config/vitalsync.yaml").split("destinations:").next().unwrap();
    let text = format!(
        "{text}destinations:\n  crm:\n    type: hubspot\n    token: {TOKEN}\n    companies:\n      match: [ property: vitalsync_account_id ]\n      missing: create\n      properties: {{ score: health.score }}\n    contacts:\n      match: [ property: vitalsync_user_id ]\n      missing: create\n      properties: {{ score: account.health.score }}\n"
    );
    Config::parse(&text, Path::new("vitalsync.yaml"), &|_| Some(TOKEN.into()))
        .unwrap_or_else(|refused| panic!("{refused}"))
}

/// So many companies, each with a contact; two contacts belong to one of them.
fn wanted(count: u32, score: f64) -> Wanted {
    let record = |kind, n: u32, score: f64, key: (&str, String), create: &[(&str, String)]| WantedRecord {
        kind,
        subject: format!("{kind}-{n}"),
        keys: vec![Key { by: key.0.into(), value: key.1 }],
        create: Some(create.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()),
        fields: [("score".to_owned(), score.into())].into(),
        tags: BTreeMap::new(),
    };
    let company = |n: u32| {
        let id = format!("company-{n}");
        record("company", n, score, ("property:vitalsync_account_id", id.clone()), &[("name", id)])
    };
    let contact = |n: u32| {
        let id = format!("contact-{n}");
        record("contact", n, score, ("property:vitalsync_user_id", id), &[("email", format!("u{n}@x.example"))])
    };
    let association = |n: u32| WantedRecord {
        subject: format!("contact-{n}"),
        create: None,
        fields: BTreeMap::new(),
        ..record("association", n, score, ("company", format!("company-{}", n / 2)), &[])
    };
    let all = 0..count;
    let records = all.clone().map(company).chain(all.clone().map(contact)).chain(all.map(association)).collect();
    Wanted { records, ..Wanted::default() }
}

/// One conversation to its end.
fn converse(connector: &dyn Connector, vendor: &mut Sandbox, batch: &[Operation]) -> Vec<Receipt> {
    let mut replies = Vec::new();
    loop {
        match connector.step(batch, &replies) {
            Step::Send(request) => {
                let path = request.path.clone();
                let body = request.body.map_or(Value::Null, |body| serde_json::from_str(&body).unwrap());
                // Ten a second: neither limit is ever met.
                let at = (vendor.journal().len() as i64) * 250;
                let reply = post(vendor, request.method.as_str(), &path, &body, at);
                let headers = reply.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
                let answer = Answer { status: reply.status, headers, body: reply.body, at: Timestamp(at) };
                replies.push(Reply::Answer(answer));
            }
            Step::Done(receipts) => return receipts,
            other => panic!("{other:?}"),
        }
    }
}

/// What a sync asks of the vendor, without the shell's evaluation: from a plan to what is known, by the vendor's own answers.
fn tell(connector: &dyn Connector, vendor: &mut Sandbox, wanted: &Wanted, known: &mut Known) -> (usize, usize) {
    let before = vendor.journal().len();
    let operations = connector.plan(wanted, known);
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in &operations {
        by_key.entry(operation.batch_key.clone()).or_default().push(operation.clone());
    }
    // Groups, then properties, then records, then what needs them.
    let order =
        |key: &str| ["group", "property", "update", "match", "create"].iter().position(|what| key.ends_with(what));
    let mut by_key: Vec<(String, Vec<Operation>)> = by_key.into_iter().collect();
    by_key.sort_by_key(|(key, _)| order(key));
    for (key, operations) in by_key {
        for batch in operations.chunks(connector.batch_size(&key)) {
            let mut batch = batch.to_vec();
            for operation in &mut batch {
                let ids =
                    operation.needs.iter().filter_map(|need| Some((need.slot.clone(), known.remote_id(&need.slot)?)));
                operation.refs = ids.map(|(slot, id)| (slot, id.to_owned())).collect();
            }
            let receipts = converse(connector, vendor, &batch);
            for (operation, receipt) in batch.iter().zip(receipts) {
                assert!(matches!(receipt.outcome, Outcome::Done { .. }), "{receipt:?}");
                known.confirm(operation, &receipt.outcome);
            }
        }
    }
    (operations.len(), vendor.journal().len() - before)
}

#[test]
fn ten_thousand_changed_companies_and_contacts_take_a_hundred_calls_each() {
    let config = both_kinds();
    let connector = &*config.destinations[0].connector;
    let mut vendor = Sandbox::new(Vendor::HubSpot, TOKEN);
    let mut known = Known::default();
    let (first, calls) = tell(connector, &mut vendor, &wanted(10_000, 1.0), &mut known);
    // For each hundred of both kinds a read and an upsert; 5 for the associations, 4 for groups, and 6 for properties.
    assert_eq!((first, calls <= 400 + 5 + 10), (30_000 + 6, true), "{calls}");
    assert_eq!(tell(connector, &mut vendor, &wanted(10_000, 2.0), &mut known), (20_000, 200));
    assert_eq!(tell(connector, &mut vendor, &wanted(10_000, 2.0), &mut known), (0, 0));
}

#[tokio::test]
async fn contacts_that_are_there_are_taken_by_their_address_and_never_twice() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 5, 1), Use("a1", "Core", 0, 5, 1), Use("a2", "Core", 0, 5, 1)]);
    let old = send(&site, "POST", "/crm/v3/objects/contacts", &json!({"properties": {"email": "A0-U@a0.example"}}));
    let seeded = |properties: Value| site.hubspot.vendor().seed(&json!({"contacts": [properties]})).unwrap();
    seeded(json!({"email": "other@a1.example", "hs_additional_emails": "a1-u@a1.example"}));
    let report = run(&site, "skip", 4).await.delivered;
    // No company of theirs is there, and the user of a2 is not.
    assert_eq!((report.absent, report.rejected), (4, 0), "{report:?}");
    let found = contacts(&site);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["id"], old["id"]);
    for (contact, user) in found.iter().zip(["a0-u", "a1-u"]) {
        assert_eq!(contact["properties"]["vitalsync_user_id"], user);
    }
    assert_eq!(found[1]["properties"]["email"], "other@a1.example", "what only creation writes");
    let before = calls(&site);
    assert_eq!((run(&site, "skip", 4).await.delivered.changed, calls(&site)), (0, before));
}

#[tokio::test]
async fn merged_records_are_followed_and_deleted_ones_never_made_again() {
    let site = Site::new().await;
    site.customers(
        "1.ndjson",
        &[
            Use("a0", "Core", 0, 5, 1),
            Use("a1", "Core", 0, 5, 1),
            Use("a2", "Core", 0, 5, 1),
            Use("a3", "Core", 0, 5, 1),
        ],
    );
    run(&site, "create", 4).await;
    let id = |account: &str| site.company(account)["hs_object_id"].as_str().unwrap().to_owned();
    let (merged, deleted) = (id("a0"), id("a1"));
    let score = site.company("a0")["vitalsync_health_score"].clone();
    // Somebody merges the company of a0 into another one, and deletes that of a1.
    let other = site.hubspot.vendor().seed_company(&[("name", "The real A0")]);
    send(
        &site,
        "POST",
        "/crm/v3/objects/companies/merge",
        &json!({"primaryObjectId": other, "objectIdToMerge": merged}),
    );
    send(&site, "DELETE", &format!("/crm/v3/objects/companies/{deleted}"), &Value::Null);
    site.customers("2.ndjson", &[Use("a0", "Core", 6, 1, 9), Use("a1", "Core", 6, 1, 9)]);
    let report = run(&site, "create", 7).await.delivered;
    assert_eq!((report.rejected, report.waiting), (0, 0), "{report:?}");
    let company = site.company("a0");
    assert_eq!((&company["hs_object_id"], &company["name"]), (&json!(other), &json!("The real A0")));
    assert!(company["vitalsync_health_score"].is_string() && company["vitalsync_health_score"] != score, "{company}");
    assert_eq!(site.company("a1"), Value::Null, "deleted is deleted");
    let state = site.hubspot.vendor().state();
    let of_other = state["associations"].as_array().unwrap().iter().filter(|pair| pair[1] == json!(other)).count();
    assert_eq!(of_other, 1, "the contact belongs to the company that is left");
    // The contact is associated with the new id once more, and nothing else is told or asked.
    assert_eq!(run(&site, "create", 7).await.delivered.changed, 1);
    // The deleted one is not asked for again at once, nor made again a day later.
    let before = calls(&site);
    assert_eq!((run(&site, "create", 7).await.delivered.changed, calls(&site)), (0, before));
    run(&site, "create", 9).await;
    assert_eq!(site.hubspot.vendor().companies().len(), 3);
    // It is found again once it is there again.
    let again = site.hubspot.vendor().seed_company(&[("name", "A1 again"), ("domain", "a1.example")]);
    run(&site, "create", 11).await;
    assert_eq!(site.company("a1")["hs_object_id"], json!(again));
}

#[tokio::test]
async fn the_last_calls_of_a_day_are_left_to_others() {
    let site = Site::new().await;
    let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 4, 1, 1)).collect::<Vec<_>>());
    let today = vitalsync::clock::system().0;
    {
        let mut vendor = site.hubspot.vendor();
        vendor.set_limits(&serde_json::from_value(json!({"daily": 100, "ten_secondly": 1000})).unwrap());
        for _ in 0..80 {
            post(&mut vendor, "GET", "/account-info/2026-09/details", &Value::Null, today);
        }
    }
    let run = || {
        let engine = site.open_with(&config(&site, "create", ""));
        async move { engine.run_once(end(4)).await.unwrap().destinations.remove("crm").unwrap().delivered }
    };
    let first = run().await;
    assert!(first.waiting > 0 && first.rejected == 0, "{first:?}");
    assert!(first.notes.iter().any(|note| note.contains("are kept for others")), "{first:?}");
    let refused = || site.hubspot.vendor().journal().iter().filter(|entry| entry.status == 429).count();
    assert_eq!(refused(), 0);
    let before = calls(&site);
    assert!((94..=99).contains(&before), "{before}");
    assert!(run().await.sent_calls <= 4, "one call of each lane tells that it is still today");
    // Tomorrow the rest of it is told.
    site.hubspot.vendor().set_limits(&serde_json::from_value(json!({"daily": 1000})).unwrap());
    let last = run().await;
    assert_eq!((last.waiting, last.rejected, contacts(&site).len()), (0, 0, 300), "{last:?}");
}

#[test]
fn what_people_changed_is_read_back() {
    let config = both_kinds();
    let connector = &*config.destinations[0].connector;
    let mut vendor = Sandbox::new(Vendor::HubSpot, TOKEN);
    let mut known = Known::default();
    tell(connector, &mut vendor, &wanted(150, 1.5), &mut known);
    let questions = |known: &Known, vendor: &mut Sandbox| {
        let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
        for question in connector.read_back(known) {
            by_key.entry(question.batch_key.clone()).or_default().push(question);
        }
        let mut answers = Vec::new();
        for (key, questions) in by_key {
            for batch in questions.chunks(connector.batch_size(&key)) {
                let receipts = converse(connector, vendor, batch);
                answers.extend(batch.iter().cloned().zip(receipts.into_iter().map(|receipt| receipt.outcome)));
            }
        }
        answers
    };
    let before = vendor.journal().len();
    let quiet = questions(&known, &mut vendor);
    assert_eq!(quiet.len(), 450);
    let same = |outcome: &Outcome| matches!(outcome, Outcome::Found { differs, .. } if differs.is_empty());
    assert!(quiet.iter().all(|(_, outcome)| same(outcome)), "{quiet:?}");
    assert_eq!(vendor.journal().len() - before, 5, "a hundred records a call, a thousand associations");

    let id = |slot: &str| known.remote_id(slot).unwrap().to_owned();
    let companies = "/crm/v3/objects/companies";
    let at = |n: i64| 1_000_000 + n;
    post(
        &mut vendor,
        "PATCH",
        &format!("{companies}/{}", id("company/company-3")),
        &json!({"properties": {"score": "9"}}),
        at(1),
    );
    post(&mut vendor, "DELETE", &format!("{companies}/{}", id("company/company-4")), &Value::Null, at(2));
    let merge = json!({"primaryObjectId": id("company/company-6"), "objectIdToMerge": id("company/company-5")});
    post(&mut vendor, "POST", &format!("{companies}/merge"), &merge, at(3));
    let apart = json!({"inputs": [{"from": {"id": id("contact/contact-0")}, "to": [{"id": id("company/company-0")}]}]});
    post(&mut vendor, "POST", "/crm/v4/associations/contacts/companies/batch/archive", &apart, at(4));
    let mut said: BTreeMap<String, Outcome> = BTreeMap::new();
    for (question, outcome) in questions(&known, &mut vendor) {
        if !same(&outcome) {
            known.confirm(&question, &outcome);
            said.insert(question.slot, outcome);
        }
    }
    let differs = |slot: &str| match &said[slot] {
        Outcome::Found { differs, .. } => differs.values().next().cloned().unwrap_or_default(),
        other => panic!("{slot}: {other:?}"),
    };
    assert_eq!(differs("company/company-3"), 9.0.into());
    assert_eq!(differs("association/contact-0"), vitalsync_core::Value::Null);
    assert!(matches!(said["company/company-4"], Outcome::Gone { .. }), "{said:?}");
    assert!(matches!(said["company/company-5"], Outcome::Gone { .. }), "merged into another account's: {said:?}");
    // What was taken away from contacts 8 to 11 went with the companies; the rest is mended by the next plan.
    let (planned, _) = tell(connector, &mut vendor, &wanted(150, 1.5), &mut known);
    assert!(planned > 0);
    assert_eq!(tell(connector, &mut vendor, &wanted(150, 1.5), &mut known).0, 0);
    assert_eq!(vendor.companies().len(), 148, "none is made again");
}

/// HubSpot may refuse record by record (the requests have trace ids): what was deleted is made again in the same pass.
#[tokio::test]
async fn a_property_or_an_option_that_somebody_deleted_is_made_again() {
    let of_companies = "/crm/v3/properties/companies";
    let refused = json!({"category": "VALIDATION_ERROR", "message": "Property values were not valid: [{\"error\":\"PROPERTY_DOESNT_EXIST\",\"name\":\"vitalsync_health_score\"}]"});
    let body = json!({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [refused]}).to_string();
    let healthy = json!({"options": [{"label": "x", "value": "healthy", "displayOrder": 0, "hidden": false}]});
    for property in [true, false] {
        let site = Site::new().await;
        site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
        run(&site, "create", 18).await;
        if property {
            send(&site, "DELETE", &format!("{of_companies}/vitalsync_health_score"), &Value::Null);
            let answer = json!({"answer": {"status": 200, "body": body}});
            let update = "POST /crm/objects/2026-09/companies/batch/update";
            Site::fail(&site.hubspot, json!([{"match": update, "kind": answer}]));
        } else {
            send(&site, "PATCH", &format!("{of_companies}/vitalsync_health_band"), &healthy);
        }
        let report = run(&site, "create", 40).await;
        assert_eq!((report.delivered.rejected, report.quarantined), (0, 0), "{report:?}");
        let a0 = site.company("a0");
        assert_eq!(a0["vitalsync_health_band"], "at_risk");
        assert!(a0["vitalsync_health_score"].is_string(), "{a0}");
    }
}

#[tokio::test]
async fn a_group_that_somebody_deleted_is_made_again_for_a_new_property() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    // HubSpot says that the name is taken, and there is no such group: as after somebody deleted it.
    let taken =
        json!({"status": "error", "category": "CONFLICT", "message": "taken", "correlationId": "c"}).to_string();
    let answer = json!({"answer": {"status": 409, "body": taken}});
    Site::fail(&site.hubspot, json!([{"match": "POST /crm/properties/2026-09/companies/groups", "kind": answer}]));
    site.run(18).await;
    assert_eq!(site.run(18).await.exit_code(), 0);
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
    let calls = site.calls();
    site.run(18).await;
    assert_eq!(site.calls(), calls);
}

/// Five hundred companies are a page.
#[test]
fn a_contact_of_many_companies_is_read_until_ours_is_seen() {
    let config = both_kinds();
    let connector = &*config.destinations[0].connector;
    let mut vendor = Sandbox::new(Vendor::HubSpot, TOKEN);
    let contact = vendor.seed_contact("u@x.example", "u@x.example", "u");
    let companies: Vec<String> = (0..501).map(|n| vendor.seed_company(&[("name", &format!("c{n}"))])).collect();
    let ends: Vec<Value> = companies.iter().map(|id| json!({"from": {"id": contact}, "to": {"id": id}})).collect();
    let associations = "/crm/associations/2026-09/contacts/companies/batch";
    post(&mut vendor, "POST", &format!("{associations}/associate/default"), &json!({"inputs": ends}), 0);
    for (company, calls) in [(&companies[0], 1), (&companies[500], 2), (&"1".to_owned(), 2)] {
        let record = KnownRecord {
            remote_id: Some(format!("{contact}/{company}")),
            fields: [("company".to_owned(), "acme".into())].into(),
            ..KnownRecord::default()
        };
        let known = Known { records: [("association/u".to_owned(), record)].into() };
        let before = vendor.journal().len();
        let outcome = converse(connector, &mut vendor, &connector.read_back(&known)).remove(0).outcome;
        let gone = company == "1";
        assert!(matches!(&outcome, Outcome::Found { differs, .. } if differs.is_empty() != gone), "{outcome:?}");
        assert_eq!(vendor.journal().len() - before, calls);
    }
}
