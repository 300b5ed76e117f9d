//! Intercom's contacts and companies: what they hold in the end, how many calls it took, and what others and faults do to it.

use serde_json::{Value, json};
use vitalsync::deliver::Delivered;
use vitalsync::tick::Engine;
use vitalsync::tick::matches::Line;

use crate::site::{Site, TOKEN, Use, end};

/// Writes to Intercom alone, with the sections given.
fn config(site: &Site, sections: &str) -> String {
    let whole = site.config("");
    let common = whole.split("  crm:").next().unwrap();
    let url = site.intercom.base_url();
    format!(
        "{common}  desk:\n    type: intercom\n    mode: live\n    brake: off\n    token: \"{TOKEN}\"\n    base_url: {url}\n{sections}"
    )
}

const COMPANIES: &str = r#"
    companies:
      missing: create
      attributes: { company score: health.score, band: health.band }
      tag_groups: { health: { "Health: at risk": 'health.band == "at_risk"', "Health: healthy": 'health.band == "healthy"' } }
"#;
const CONTACTS: &str = r#"
    contacts:
      missing: create
      attributes: { health_score: account.health.score }
      tag_groups: { health: { "Health: at risk": 'account.health.band == "at_risk"', "Health: healthy": 'account.health.band == "healthy"' } }
"#;
const TAGS_ONLY: &str = r#"
    companies:
      tag_groups: { health: { "Health: at risk": 'health.band == "at_risk"', "Health: healthy": 'health.band == "healthy"' } }
"#;
const CONTACT_TAGS_ONLY: &str = r#"
    contacts:
      tag_groups: { health: { "Health: at risk": 'account.health.band == "at_risk"', "Health: healthy": 'account.health.band == "healthy"' } }
"#;
const SCORES_ONLY: &str = "    contacts: { attributes: { health_score: account.health.score } }\n";

async fn sync(site: &Site, sections: &str, offset: i32) -> Delivered {
    let engine = site.open_with(&config(site, sections));
    engine.run_once(end(offset)).await.unwrap().destinations.remove("desk").unwrap().delivered
}

/// Three accounts with a user each: good, middling, bad; the good one stops on day 20.
fn three(site: &Site) {
    let stories = [Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 40, 1), Use("a2", "Minor", 0, 40, 1)];
    site.customers("1.ndjson", &stories);
}

fn thousand(site: &Site, seed: &str) {
    let names: Vec<String> = (0..1000).map(|n| format!("c{n}")).collect();
    let stories: Vec<Use<'_>> = names.iter().map(|name| Use(name, "Core", 0, 5, 5)).collect();
    site.customers("1.ndjson", &stories);
    for name in &names {
        let user = format!("{name}-u");
        match seed {
            "companies" => _ = site.intercom.vendor().seed_company(&[("company_id", name)]),
            _ => _ = site.intercom.vendor().seed_contact(&user, &format!("{user}@x.example"), &user),
        }
    }
}

/// What Intercom holds, without what depends on the order of arrival: ids and times.
fn held(site: &Site) -> (Vec<Value>, Vec<Value>) {
    let state = site.intercom.vendor().state();
    let list = |kind: &str| state[kind].as_array().cloned().unwrap_or_default();
    let company_id = |id: &Value| {
        list("companies")
            .iter()
            .find(|company| company["id"] == *id)
            .map_or(Value::Null, |one| one["company_id"].clone())
    };
    let mut companies: Vec<Value> = list("companies")
        .iter()
        .map(|one| json!([one["company_id"], one["fields"], one["custom_attributes"], one["tags"]]))
        .collect();
    let mut contacts: Vec<Value> = list("contacts")
        .iter()
        .map(|one| {
            let companies: Vec<Value> = one["companies"].as_array().into_iter().flatten().map(company_id).collect();
            json!([one["external_id"], one["custom_attributes"], one["tags"], companies])
        })
        .collect();
    companies.sort_by_key(Value::to_string);
    contacts.sort_by_key(Value::to_string);
    (companies, contacts)
}

#[tokio::test]
async fn companies_and_contacts_are_written_and_attached() {
    let site = Site::new().await;
    three(&site);
    let both = format!("{COMPANIES}{CONTACTS}");
    let first = sync(&site, &both, 10).await;
    assert_eq!((first.rejected, first.waiting, first.absent), (0, 0, 0), "{first:?}");
    let (companies, contacts) = held(&site);
    assert_eq!(companies.len(), 3);
    assert_eq!(companies[0][1]["name"], "A0");
    assert_eq!((&companies[0][2]["band"], &companies[0][3]), (&json!("healthy"), &json!(["Health: healthy"])));
    assert_eq!((&companies[2][2]["band"], &companies[2][3]), (&json!("at_risk"), &json!(["Health: at risk"])));
    for (contact, account) in contacts.iter().zip(["a0", "a1", "a2"]) {
        assert_eq!((&contact[0], &contact[3]), (&json!(format!("{account}-u")), &json!([account])));
    }
    let second = sync(&site, &both, 10).await;
    assert_eq!((second.changed, second.sent_calls), (0, 0), "{second:?}");
}

#[tokio::test]
async fn a_thousand_companies_moving_between_two_tags_take_forty_calls() {
    let site = Site::new().await;
    thousand(&site, "companies");
    let first = sync(&site, TAGS_ONLY, 4).await;
    // Whose account, two tags; each company found; twenty lists that take the other tag away unseen, twenty that set one.
    assert_eq!((first.rejected, first.waiting, first.sent_calls), (0, 0, 3 + 1000 + 40), "{first:?}");
    let moved = sync(&site, TAGS_ONLY, 30).await;
    assert_eq!((moved.changed, moved.acknowledged, moved.sent_calls), (1000, 1000, 40), "{moved:?}");
    let tags = |site: &Site| held(site).0.into_iter().map(|company| company[3].clone()).collect::<Vec<_>>();
    assert!(tags(&site).iter().all(|tags| *tags == json!(["Health: at risk"])));
    assert_eq!(sync(&site, TAGS_ONLY, 30).await.sent_calls, 0);
}

/// So many requests, to addresses that begin and end so, were sent since a point of the journal.
fn sent(site: &Site, since: usize, begin: &str, end: &str) -> usize {
    let vendor = site.intercom.vendor();
    let said = vendor.journal().iter().skip(since).map(|entry| format!("{} {}", entry.method, entry.path));
    said.filter(|request| request.starts_with(begin) && request.ends_with(end)).count()
}

#[tokio::test]
async fn a_thousand_contacts_moving_between_two_tags_lose_one_each_and_get_one_in_twenty_lists() {
    let site = Site::new().await;
    thousand(&site, "contacts");
    let first = sync(&site, CONTACT_TAGS_ONLY, 4).await;
    // Whose account, two tags; each contact found, which shows its tags; twenty lists.
    assert_eq!((first.rejected, first.waiting, first.sent_calls), (0, 0, 3 + 1000 + 20), "{first:?}");
    let before = site.intercom.vendor().journal().len();
    let moved = sync(&site, CONTACT_TAGS_ONLY, 30).await;
    assert_eq!((moved.changed, moved.acknowledged, moved.sent_calls), (1000, 1000, 1000 + 20), "{moved:?}");
    // Taking away has no list: the specification's `untag` is for companies.
    assert_eq!(sent(&site, before, "DELETE /contacts/", ""), 1000);
    assert_eq!(sent(&site, before, "POST /tags", ""), 20);
    assert!(held(&site).1.iter().all(|contact| contact[2] == json!(["Health: at risk"])));
    assert_eq!(sync(&site, CONTACT_TAGS_ONLY, 30).await.sent_calls, 0);
}

#[tokio::test]
async fn a_thousand_changed_contacts_take_a_thousand_calls() {
    let site = Site::new().await;
    thousand(&site, "contacts");
    sync(&site, SCORES_ONLY, 4).await;
    let changed = sync(&site, SCORES_ONLY, 30).await;
    assert_eq!((changed.changed, changed.acknowledged, changed.sent_calls), (1000, 1000, 1000), "{changed:?}");
    assert_eq!(sync(&site, SCORES_ONLY, 30).await.sent_calls, 0);
}

#[tokio::test]
async fn a_company_in_a_list_that_is_gone_holds_up_no_other_and_is_not_made_anew() {
    let site = Site::new().await;
    three(&site);
    sync(&site, COMPANIES, 10).await;
    let state = site.intercom.vendor().state();
    let id = state["companies"][0]["id"].as_str().unwrap().to_owned();
    somebody(&site, "DELETE", &format!("/companies/{id}"), Value::Null);
    let gone = sync(&site, COMPANIES, 30).await;
    assert_eq!((gone.rejected, gone.waiting), (0, 0), "{gone:?}");
    assert_eq!(held(&site).0.len(), 2, "not made anew");
    let (companies, _) = held(&site);
    assert!(companies.iter().all(|company| company[3].as_array().is_some_and(|tags| tags.len() < 2)));
    let later = sync(&site, COMPANIES, 30).await;
    assert_eq!(later.sent_calls, 0, "not asked again on the same day: {later:?}");
    assert_eq!(held(&site).0.len(), 2);
}

#[tokio::test]
async fn every_kind_of_fault_ends_where_a_quiet_day_ends() {
    let both = format!("{COMPANIES}{CONTACTS}");
    let quiet = Site::new().await;
    three(&quiet);
    sync(&quiet, &both, 10).await;
    sync(&quiet, &both, 30).await;
    let expected = held(&quiet);
    let limited = json!({"type": "error.list", "errors": [{"code": "rate_limit_exceeded"}]}).to_string();
    for fault in [
        json!({"kind": {"answer": {"status": 429, "headers": {"Retry-After": "0.1"}, "body": limited}}, "times": 2}),
        json!({"kind": {"answer": {"status": 503, "body": "<html>down</html>"}}, "times": 3}),
        json!({"kind": {"answer_after": {"status": 502, "body": ""}}, "skip": 2, "times": 2}),
        json!({"kind": {"answer_after": {"status": 200, "body": "{}"}}, "match": "POST", "skip": 1, "times": 2}),
        json!({"kind": {"answer_after": {"status": 200, "body": "[]"}}, "match": "PUT", "times": 2}),
        json!({"kind": "drop_before", "match": "POST /tags", "times": 2}),
        json!({"kind": "drop_after", "match": "POST /tags", "times": 3}),
        json!({"kind": "drop_after", "match": "POST /co", "times": 3}),
        json!({"kind": "drop_after", "match": "DELETE", "times": 2}),
    ] {
        let site = Site::new().await;
        three(&site);
        for offset in [10, 30] {
            Site::fail(&site.intercom, json!([fault]));
            for _ in 0..2 {
                sync(&site, &both, offset).await;
            }
            site.intercom.vendor().clear_faults();
            let last = sync(&site, &both, offset).await;
            assert_eq!((last.rejected, last.waiting), (0, 0), "{fault}: {last:?}");
        }
        assert_eq!(held(&site), expected, "{fault}");
    }
}

/// What somebody in Intercom does.
fn somebody(site: &Site, method: &str, path: &str, body: Value) {
    let request = vitalsync_sandbox::Request {
        method: method.into(),
        path: path.into(),
        headers: vec![("authorization".into(), format!("Bearer {TOKEN}"))],
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    };
    let answer = site.intercom.vendor().handle(&request, end(10).0);
    assert_eq!(answer.status, 200, "{method} {path}");
}

#[tokio::test]
async fn reading_back_takes_few_calls_and_what_others_undid_is_mended() {
    let site = Site::new().await;
    let names: Vec<String> = (0..160).map(|n| format!("c{n}")).collect();
    let stories: Vec<Use<'_>> = names.iter().map(|name| Use(name, "Core", 0, 5, 5)).collect();
    site.customers("1.ndjson", &stories);
    let both = format!("{COMPANIES}{CONTACTS}");
    sync(&site, &both, 4).await;
    let expected = held(&site);
    let engine = site.open_with(&config(&site, &both));
    let before = site.intercom.vendor().journal().len();
    let read = engine.refresh(None).await.unwrap().remove(0).1;
    // Contacts, who is attached, companies and their tags: four questions for each of the 160.
    assert_eq!((read.read, read.drifted, read.waiting), (640, 0, 0), "{read:?}");
    assert_eq!((sent(&site, before, "GET /tags", ""), sent(&site, before, "POST /contacts/search", "")), (1, 2));
    // Four pages for the first 150; the first page for the last ten, who may be on any other.
    let lists = sent(&site, before, "POST /companies/list", "");
    let singles = sent(&site, before, "GET /companies/", "");
    assert!(lists + singles <= 16, "{lists} and {singles}");
    assert_eq!(read.sent_calls, (3 + lists + singles) as u64);

    let state = site.intercom.vendor().state();
    let contact = &state["contacts"][0];
    let (contact, company) = (contact["id"].as_str().unwrap(), contact["companies"][0].as_str().unwrap());
    somebody(&site, "DELETE", &format!("/contacts/{contact}/companies/{company}"), Value::Null);
    let tag = state["tags"].as_object().unwrap().iter().find(|(_, name)| *name == "Health: healthy").unwrap().0;
    let other = state["contacts"][1]["id"].as_str().unwrap();
    somebody(&site, "DELETE", &format!("/contacts/{other}/tags/{tag}"), Value::Null);
    somebody(&site, "PUT", &format!("/companies/{company}"), json!({"custom_attributes": {"band": "theirs"}}));
    assert_ne!(held(&site), expected);
    let read = engine.refresh(None).await.unwrap().remove(0).1;
    assert_eq!(read.drifted, 3, "{read:?}");
    drop(engine);
    let mended = sync(&site, &both, 4).await;
    assert_eq!((mended.changed, mended.acknowledged), (3, 3), "{mended:?}");
    assert_eq!(held(&site), expected);
}

/// Puts both tags of the group on everybody, as people do, or as it was when the state was lost.
fn tag_everybody(site: &Site) {
    let state = site.intercom.vendor().state();
    let ids = |kind: &str| -> Vec<Value> {
        state[kind].as_array().unwrap().iter().map(|one| json!({ "id": one["id"] })).collect()
    };
    for tag in ["Health: at risk", "Health: healthy"] {
        somebody(site, "POST", "/tags", json!({ "name": tag, "companies": ids("companies") }));
        somebody(site, "POST", "/tags", json!({ "name": tag, "users": ids("contacts") }));
    }
}

#[tokio::test]
async fn a_record_carries_one_tag_of_a_group_at_most_whoever_put_them_on_and_whatever_was_known() {
    let site = Site::new().await;
    let stories = [Use("a0", "Core", 0, 40, 3), Use("a1", "Minor", 0, 40, 3), Use("a2", "Minor", 0, 40, 1)];
    site.customers("1.ndjson", &stories);
    let both = format!("{COMPANIES}{CONTACTS}");
    sync(&site, &both, 10).await;
    let expected = held(&site);
    let tags: Vec<usize> = expected.0.iter().map(|one| one[3].as_array().unwrap().len()).collect();
    assert_eq!(tags, [1, 0, 1], "a1 is between the bands");

    // The state is lost: everybody is met for the first time.
    tag_everybody(&site);
    std::fs::remove_dir_all(site.dir.path().join("state")).unwrap();
    let met = sync(&site, &both, 10).await;
    assert_eq!((met.rejected, met.waiting), (0, 0), "{met:?}");
    assert_eq!(held(&site), expected);

    // What people put on is seen when records are read back, also where none was wanted.
    tag_everybody(&site);
    let engine = site.open_with(&config(&site, &both));
    assert_eq!(engine.refresh(None).await.unwrap().remove(0).1.drifted, 6);
    drop(engine);
    sync(&site, &both, 10).await;
    assert_eq!(held(&site), expected);

    // A group that is new in the config.
    let scores = "    companies: { attributes: { company score: health.score } }\n".to_owned() + SCORES_ONLY;
    std::fs::remove_dir_all(site.dir.path().join("state")).unwrap();
    sync(&site, &scores, 10).await;
    tag_everybody(&site);
    sync(&site, &both, 10).await;
    assert_eq!(held(&site), expected);
    assert_eq!(sync(&site, &both, 10).await.sent_calls, 0);
}

/// An attribute that somebody archives later drops out alone, as it does where it was archived before.
#[tokio::test]
async fn an_attribute_that_is_archived_later_holds_up_nothing_else() {
    let site = Site::new().await;
    three(&site);
    sync(&site, CONTACTS, 18).await;
    let state = site.intercom.vendor().state();
    let attributes = state["data_attributes"].as_array().unwrap();
    let id = &attributes.iter().find(|one| one["name"] == "health_score").unwrap()["id"];
    let path = format!("/data_attributes/{}", id.to_string().trim_matches('"'));
    somebody(&site, "PUT", &path, json!({ "archived": true }));
    let before = held(&site).1;
    // The good one falls silent: the score can't be told, the band's tag can.
    let delivered = sync(&site, CONTACTS, 40).await;
    assert_ne!(held(&site).1, before, "{delivered:?}");
    assert_eq!(delivered.rejected, 1, "the attribute alone: {delivered:?}");
}

#[tokio::test]
async fn who_is_ignored_is_left_as_it_is() {
    let site = Site::new().await;
    three(&site);
    let both = format!("{COMPANIES}{CONTACTS}");
    sync(&site, &both, 10).await;
    let (companies, contacts) = held(&site);
    // What somebody undid is not done again either.
    let state = site.intercom.vendor().state();
    let contact = state["contacts"].as_array().unwrap().iter().find(|one| one["external_id"] == "a0-u").unwrap();
    let path = format!(
        "/contacts/{}/companies/{}",
        contact["id"].as_str().unwrap(),
        contact["companies"][0].as_str().unwrap()
    );
    somebody(&site, "DELETE", &path, Value::Null);
    let engine = site.open_with(&config(&site, &both));
    let table = "destination,record,account,record_id,state\ndesk,contact,a0-u,,ignore\ndesk,company,a1,,ignore\n";
    let report = engine.decide(&Line::read(table).unwrap(), end(10)).await.unwrap();
    assert_eq!((report.ignored, report.unchanged), (2, 0), "{report:?}");
    let ignored = |engine: &Engine| -> Vec<String> {
        let all = engine.matches(end(30)).unwrap().into_iter().filter(|one| one.state == "ignored");
        all.map(|one| format!("{}/{}", one.record, one.account)).collect()
    };
    assert_eq!(ignored(&engine), ["contact/a0-u", "company/a1", "membership/a0-u"]);
    let read = engine.refresh(None).await.unwrap().remove(0).1;
    // Two contacts, and who of them is attached; two companies and their tags.
    assert_eq!((read.read, read.drifted), (8, 0), "{read:?}");
    drop(engine);
    // a0 falls and leaves its band; whoever is not ignored follows.
    sync(&site, &both, 30).await;
    let (later_companies, later_contacts) = held(&site);
    let without = |one: &Value| json!([one[0], one[1], one[2], []]);
    assert_eq!(later_contacts[0], without(&contacts[0]), "neither written, nor its tags taken away, nor attached");
    assert_eq!(later_companies[1], companies[1]);
    assert_ne!(later_companies[0], companies[0]);
    // What was exported is taken in unchanged; without the word they are followed again.
    let engine = site.open_with(&config(&site, &both));
    let again = "destination,record,account,record_id,state\ndesk,membership,a0-u,,ignored\ndesk,contact,a0-u,,\ndesk,company,a1,,\n";
    let report = engine.decide(&Line::read(again).unwrap(), end(30)).await.unwrap();
    assert_eq!((report.unchanged, report.ignored), (1, 0), "{report:?}");
    assert_eq!(ignored(&engine), Vec::<String>::new());
    drop(engine);
    sync(&site, &both, 30).await;
    let (last_companies, last_contacts) = held(&site);
    assert_ne!(last_contacts[0], later_contacts[0]);
    assert_eq!(last_companies.len(), 3);
}
