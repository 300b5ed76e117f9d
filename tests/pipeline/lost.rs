//! What people do to a tool between two days: whatever we keep there is made again, but for records, which they meant to delete.

use serde_json::{Value, json};
use vitalsync::demo::serve::Served;
use vitalsync::report::RunReport;

use crate::site::{Site, TOKEN, Use, end};

/// Everything is made where it is not there.
fn config(site: &Site) -> String {
    let contacts = "    contacts:\n      missing: create\n      properties: { vitalsync_days: user.frequency.active_days }\n  desk:\n";
    let desk = "    contacts:\n      missing: create\n      match: [ external_id: user.id ]\n";
    site.config("")
        .replace("mode: live\n", "mode: live\n    brake: off\n")
        .replace("  desk:\n", contacts)
        .replace("    contacts:\n      match: [ external_id: user.id ]\n", desk)
}

/// What somebody does in the tool's own API.
fn somebody(vendor: &Served, method: &str, path: &str, body: &Value) -> Value {
    let headers = [
        ("Authorization", format!("Bearer {TOKEN}")),
        ("Content-Type", "application/json".into()),
        ("Intercom-Version", "2.16".into()),
    ];
    let request = vitalsync_sandbox::Request {
        method: method.into(),
        path: path.into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    };
    let reply = vendor.vendor().handle(&request, 0);
    assert!((200..300).contains(&reply.status), "{method} {path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_default()
}

fn find(list: &Value, is: impl Fn(&Value) -> bool) -> Value {
    list.as_array().unwrap().iter().find(|one| is(one)).cloned().unwrap_or_default()
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id: {thing}"))
}

async fn site() -> Site {
    let site = Site::new().await;
    site.customers("1.ndjson", &["a0", "a1", "a2"].map(|name| Use(name, "Core", 0, 40, 3)));
    assert_eq!(run(&site, 20).await.exit_code(), 0);
    site
}

async fn run(site: &Site, offset: i32) -> RunReport {
    site.open_with(&config(site)).run_once(end(offset)).await.unwrap()
}

/// Looks what the tools hold, mends it, and finds nothing more to do.
async fn mended(site: &Site) -> RunReport {
    site.open_with(&config(site)).refresh(None).await.unwrap();
    let report = run(site, 20).await;
    assert_eq!(report.exit_code(), 0, "{report:?}");
    let calls = site.calls();
    assert_eq!(run(site, 20).await.exit_code(), 0);
    assert_eq!(site.calls(), calls, "it is mended once");
    site.open_with(&config(site)).refresh(None).await.unwrap();
    let calls = site.calls();
    run(site, 20).await;
    assert_eq!(site.calls(), calls, "what is seen is what is wanted");
    report
}

#[tokio::test]
async fn properties_and_their_group_are_made_again() {
    let site = site().await;
    let ours = || {
        let mut company = site.company("a1");
        company.as_object_mut().unwrap().retain(|name, _| name.starts_with("vitalsync"));
        company
    };
    let before = ours();
    let defined = || site.hubspot.vendor().state()["properties"]["companies"].clone();
    let definitions = defined();
    let properties = "/crm/properties/2026-09/companies";
    for name in before.as_object().unwrap().keys() {
        somebody(&site.hubspot, "DELETE", &format!("{properties}/{name}"), &Value::Null);
    }
    somebody(&site.hubspot, "DELETE", &format!("{properties}/groups/vitalsync"), &Value::Null);
    assert_ne!(defined(), definitions);
    mended(&site).await;
    assert_eq!(ours(), before);
    let names = |defined: &Value| -> Vec<Value> {
        defined.as_array().unwrap().iter().map(|one| json!([one["name"], one["groupName"], one["type"]])).collect()
    };
    assert_eq!(names(&defined()), names(&definitions));
    assert_eq!(site.hubspot.vendor().companies().len(), 3);
}

#[tokio::test]
async fn tags_are_made_and_attached_again() {
    let site = site().await;
    let state = site.intercom.vendor().state();
    let tag = find(
        &json!(
            state["tags"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(id, name)| json!({"id": id, "name": name}))
                .collect::<Vec<_>>()
        ),
        |tag| tag["name"] == "Health: healthy",
    );
    for contact in state["contacts"].as_array().unwrap() {
        somebody(&site.intercom, "DELETE", &format!("/contacts/{}/tags/{}", id(contact), id(&tag)), &Value::Null);
    }
    somebody(&site.intercom, "DELETE", &format!("/tags/{}", id(&tag)), &Value::Null);
    assert!(site.tags("a0-u").is_empty());
    mended(&site).await;
    for user in ["a0-u", "a1-u", "a2-u"] {
        assert_eq!(site.tags(user), ["Health: healthy"]);
    }
}

#[tokio::test]
async fn records_that_people_deleted_are_not_made_again() {
    let site = site().await;
    let state = site.hubspot.vendor().state();
    let company = find(&state["companies"], |one| one["properties"]["vitalsync_account_id"] == "a0");
    let contact = find(&state["contacts"], |one| one["properties"]["email"] == "a1-u@a1.example");
    let people = site.intercom.vendor().state()["contacts"].clone();
    let person = find(&people, |one| one["external_id"] == "a2-u");
    somebody(&site.hubspot, "DELETE", &format!("/crm/objects/2026-09/companies/{}", id(&company)), &Value::Null);
    somebody(&site.hubspot, "DELETE", &format!("/crm/objects/2026-09/contacts/{}", id(&contact)), &Value::Null);
    somebody(&site.intercom, "DELETE", &format!("/contacts/{}", id(&person)), &Value::Null);
    mended(&site).await;
    for offset in [21, 25, 30] {
        assert_eq!(run(&site, offset).await.exit_code(), 0);
    }
    let live = |list: &Value| list.as_array().unwrap().iter().filter(|one| one["archived"] != true).count();
    let state = site.hubspot.vendor().state();
    assert_eq!((live(&state["companies"]), live(&state["contacts"])), (2, 2), "{state}");
    let people = site.intercom.vendor().state()["contacts"].clone();
    assert_eq!(find(&people, |one| one["external_id"] == "a2-u"), Value::Null, "{people}");
    assert_eq!(site.tags("a1-u"), ["Health: healthy"]);
}

/// Nobody looked before the next day's write: the tool's refusal is how it is noticed.
#[tokio::test]
async fn what_was_not_looked_at_is_noticed_by_the_next_write() {
    let site = site().await;
    let properties = "/crm/properties/2026-09/companies";
    somebody(&site.hubspot, "DELETE", &format!("{properties}/vitalsync_last_active"), &Value::Null);
    let people = site.intercom.vendor().state()["contacts"].clone();
    let person = find(&people, |one| one["external_id"] == "a2-u");
    somebody(&site.intercom, "DELETE", &format!("/contacts/{}", id(&person)), &Value::Null);
    run(&site, 25).await;
    let report = run(&site, 25).await;
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert_eq!(site.company("a1")["vitalsync_last_active"], "2026-03-26");
    let people = site.intercom.vendor().state()["contacts"].clone();
    assert_eq!(find(&people, |one| one["external_id"] == "a2-u"), Value::Null, "{people}");
}
