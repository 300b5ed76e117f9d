//! What a source that asks a tool makes of the answers: whose they are, what is stated of whom, and where the next reading goes
//! on. The companies of the sandbox are older than any reading, unless something is written to them.

use serde_json::{Value as Json, json};
use vitalsync::clock::Clock;
use vitalsync::report::ReadingReport;
use vitalsync::tick::Engine;
use vitalsync_core::Value;

use crate::site::{Site, TOKEN, Use, end, vendor};

const HOUR: i64 = 3_600_000;

/// A site of two accounts, and its config with a source.
async fn site(source: &str) -> (Site, String) {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 5, 3), Use("a1", "Core", 0, 5, 3)]);
    let config = site.config("").replace("sources:\n", &format!("sources:\n  asked: {source}\n"));
    (site, config)
}

fn hubspot(site: &Site) -> String {
    format!("{{ type: hubspot, base_url: {}, token: {TOKEN}, read: [city] }}", site.hubspot.base_url())
}

/// HubSpot has a property with our id, which a person made: two companies may hold the same.
fn own_property(site: &Site) {
    let property = json!({"name": "vitalsync_account_id", "label": "Account", "type": "string", "fieldType": "text", "groupName": "companyinformation"});
    site.hubspot.vendor().seed(&json!({"properties": [property]})).expect("a property");
}

/// Reads as of so many hours after the end of the fifth day.
async fn read(engine: &mut Engine, hours: i64) -> ReadingReport {
    engine.clock = Clock::Fixed(end(5).plus_ms(hours * HOUR));
    engine.read_tool(&engine.config.readings[0]).await.expect("a reading")
}

/// Reads what the usage is of, so that there are accounts.
fn ingest(engine: &Engine) {
    engine.ingest(&engine.config.sources[0]).expect("usage");
}

/// A trait of an account, as it stands then.
fn of(engine: &Engine, account: &str, name: &str) -> Option<Value> {
    engine.evaluate(engine.clock.now()).expect("figures").find(account).expect("the account").traits.get(name).cloned()
}

#[tokio::test]
async fn a_company_is_an_accounts_by_our_id_or_because_a_destination_matched_it() {
    let (site, config) = site("").await;
    let source = format!("sources:\n  asked: {}\n", hubspot(&site));
    let config = config.replace("sources:\n  asked: \n", &source);
    // Our id is nothing to this destination.
    let config =
        config.replace("property: vitalsync_account_id, domain", "domain").replace("missing: create", "missing: skip");
    own_property(&site);
    site.hubspot.vendor().seed_company(&[("name", "X"), ("vitalsync_account_id", "a0"), ("city", "Ghent")]);
    site.hubspot.vendor().seed_company(&[("name", "Y"), ("domain", "a1.example"), ("city", "Bruges")]);
    site.hubspot.vendor().seed_company(&[("name", "Z"), ("vitalsync_account_id", "nobody"), ("city", "Ostend")]);
    let mut engine = site.open_with(&config);
    engine.clock = Clock::Fixed(end(5));
    let first = engine.run_once(end(5)).await.expect("a run").readings.remove("asked").expect("a reading");
    assert_eq!((first.records, first.matched, first.unmatched, first.changed), (3, 1, 2, 1), "{first:?}");
    assert_eq!(of(&engine, "a0", "city"), Some(Value::Text("Ghent".into())));
    assert_eq!(of(&engine, "a1", "city"), None);
    let second = read(&mut engine, 24).await;
    assert_eq!((second.matched, second.unmatched, second.changed), (2, 1, 1), "{second:?}");
    assert_eq!(of(&engine, "a1", "city"), Some(Value::Text("Bruges".into())));
}

#[tokio::test]
async fn of_two_companies_of_an_account_the_first_counts() {
    let (site, config) = site("HUBSPOT").await;
    own_property(&site);
    let second = |city: &str| {
        site.hubspot.vendor().seed_company(&[("name", city), ("vitalsync_account_id", "a0"), ("city", city)]);
    };
    second("Ghent");
    second("Bruges");
    // One on the next page.
    for n in 0..210 {
        site.hubspot.vendor().seed_company(&[("name", "X"), ("city", &format!("City {n}"))]);
    }
    second("Ostend");
    let mut engine = site.open_with(&config.replace("HUBSPOT", &hubspot(&site)));
    ingest(&engine);
    let report = read(&mut engine, 0).await;
    assert_eq!((report.matched, report.unmatched, report.changed), (1, 212, 1), "{report:?}");
    assert_eq!(of(&engine, "a0", "city"), Some(Value::Text("Ghent".into())));
}

#[tokio::test]
async fn only_what_changed_is_read_and_everything_once_a_day() {
    let (site, config) = site("HUBSPOT").await;
    site.hubspot.vendor().seed_company(&[("name", "X")]);
    let mut engine = site.open_with(&config.replace("HUBSPOT", &hubspot(&site)));
    ingest(&engine);
    let mut records = Vec::new();
    for hours in [0, 1, 23, 24, 25, 48] {
        records.push(read(&mut engine, hours).await.records);
    }
    assert_eq!(records, [1, 0, 0, 1, 0, 1]);
}

#[tokio::test]
async fn a_reading_that_broke_off_goes_on_where_it_stopped() {
    let (site, config) = site("HUBSPOT").await;
    for n in 0..250 {
        site.hubspot.vendor().seed_company(&[("name", &format!("c{n}"))]);
    }
    let refused = json!({"match": "POST /crm/objects", "skip": 1, "kind": {"answer": {"status": 400, "body": "{}"}}});
    Site::fail(&site.hubspot, json!([refused]));
    let config = config.replace("HUBSPOT", &hubspot(&site));
    let mut engine = site.open_with(&config);
    let broken = read(&mut engine, 0).await;
    assert!(broken.records == 200 && broken.failed.is_some(), "{broken:?}");
    drop(engine);
    let rest = read(&mut site.open_with(&config), 1).await;
    assert_eq!((rest.records, rest.failed), (50, None));
}

#[tokio::test]
async fn another_account_of_the_tool_is_read_from_its_beginning() {
    let (site, config) = site("HUBSPOT").await;
    let other = vendor(vitalsync_sandbox::Vendor::HubSpot).await;
    let portal =
        json!({"match": "GET /account-info", "kind": {"answer": {"status": 200, "body": "{\"portalId\": 4711}"}}});
    Site::fail(&other, json!([portal]));
    for tool in [&site.hubspot, &other] {
        tool.vendor().seed_company(&[("name", "X")]);
    }
    let first = hubspot(&site);
    assert_eq!(read(&mut site.open_with(&config.replace("HUBSPOT", &first)), 0).await.records, 1);
    let second = first.replace(&site.hubspot.base_url(), &other.base_url());
    assert_eq!(read(&mut site.open_with(&config.replace("HUBSPOT", &second)), 1).await.records, 1);
}

/// Whoever a destination knows in the tool and who never had a ticket has none: that is a figure, not a gap.
#[tokio::test]
async fn who_is_known_there_and_has_no_ticket_has_0() {
    let (site, config) = site("{ type: intercom, destination: desk }").await;
    site.intercom.vendor().seed_contact("a0-u", "a0-u@x.example", "a0-u");
    let mut engine = site.open_with(&config);
    engine.clock = Clock::Fixed(end(5));
    let first = engine.run_once(end(5)).await.expect("a run").readings.remove("asked").expect("a reading");
    assert_eq!((first.records, first.changed), (0, 0), "{first:?}");
    assert_eq!(read(&mut engine, 0).await.changed, 1);
    assert_eq!(read(&mut engine, 1).await.changed, 0);
    let users = engine.users(None, vitalsync_core::identity::Horizon::at(end(5))).expect("users").expect("all");
    let users = serde_json::to_value(users).expect("JSON");
    let traits = |user: &str| {
        let found = users.as_array().expect("a list").iter().find(|one| one["id"] == user);
        found.expect("the user")["traits"]["open_tickets"].clone()
    };
    assert_eq!((traits("a0-u"), traits("a1-u")), (json!(0), Json::Null));
}

#[tokio::test]
async fn a_source_that_was_not_read_for_long_is_late() {
    let (site, config) = site("HUBSPOT").await;
    let source = hubspot(&site).replace("read:", "expect_every: 6h, read:");
    let mut engine = site.open_with(&config.replace("HUBSPOT", &source));
    read(&mut engine, 0).await;
    let mut late = |hours: i64| {
        engine.clock = Clock::Fixed(end(5).plus_ms(hours * HOUR));
        engine.status().expect("how things stand").readings["asked"].late_since.clone()
    };
    assert_eq!((late(6), late(7)), (None, Some(end(5).to_string())));
}
