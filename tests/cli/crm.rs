//! What people write in HubSpot comes back as traits: owners, contract figures, a person's pulse.

use serde_json::{Value as Json, json};

use super::site::{Site, wait_for};

const DATE: &str = "2026-03-10";
const NEXT: &str = "2026-03-11";
const LATER: &str = "2026-03-12";

/// The story, with HubSpot read too. The companies have owners and figures.
fn site() -> Site {
    let site = Site::with_story();
    let source = "sources:\n  crm:\n    type: hubspot\n    destination: crm\n    schedule: \"* * * * *\"\n    read: [hubspot_owner_id, arr, renewal_date, csm_pulse, at_risk]\n";
    let copies = "      properties:\n        copy_arr: traits.arr\n        copy_renewal: traits.renewal_date\n        copy_pulse: traits.csm_pulse\n        copy_owner: traits.owner_email\n";
    let config = site.standard().replacen("sources:\n", source, 1).replacen("      properties:\n", copies, 1);
    site.config(&config.replace("  name: traits.name\n", "  name: traits.name\n  owner: traits.owner_email\n"));
    let property = |name: &str, kind: &str, field: &str| json!({"name": name, "label": name, "type": kind, "fieldType": field, "groupName": "companyinformation"});
    site.vendors.hubspot.seed(&json!({
        "properties": [property("arr", "number", "number"), property("renewal_date", "date", "date"), property("csm_pulse", "string", "text")],
        "owners": [{"id": "17", "email": "ada@ourselves.example"}, {"id": "18", "email": "ben@ourselves.example"}]
    }));
    site
}

/// Changes a company in HubSpot, by its name.
fn set(site: &Site, name: &str, properties: &Json) {
    let state = site.vendors.hubspot.state();
    let companies = state["companies"].as_array().expect("companies");
    let found = companies.iter().find(|one| one["properties"]["name"] == name).expect("the company");
    let body = json!({ "properties": properties });
    site.vendors.hubspot.api(
        "PATCH",
        &format!("/crm/objects/2026-09/companies/{}", found["id"].as_str().unwrap()),
        &body,
    );
}

/// What the traits of an account are, as they were told to HubSpot again: owner, figure, date, pulse.
fn copies(site: &Site, account: &str) -> [Option<String>; 4] {
    ["copy_owner", "copy_arr", "copy_renewal", "copy_pulse"].map(|property| site.company(account, property))
}

/// The owner of Acme as of a date.
fn owner(site: &Site, date: &str) -> Json {
    let accounts = site.run(&["accounts", "--format", "json", "--as-of", date]).exits(0).json();
    let accounts = accounts.as_array().expect("a list").iter();
    accounts.clone().find(|one| one["account"] == "acme").expect("acme")["owner"].clone()
}

#[test]
fn what_people_write_there_becomes_traits_and_nothing_is_said_twice() {
    let site = site();
    // The first run matches; only then companies hold our id.
    let first = site.once(DATE, 0);
    assert_eq!((&first["readings"]["crm"]["records"], &first["readings"]["crm"]["matched"]), (&2.into(), &0.into()));
    assert!(first["readings"]["crm"]["notes"][0].as_str().unwrap().contains("no property `at_risk`"), "{first}");
    set(
        &site,
        "acme",
        &json!({"hubspot_owner_id": "17", "arr": "48000", "renewal_date": "2026-09-30", "csm_pulse": "good"}),
    );
    let second = site.once(NEXT, 0);
    assert_eq!((&second["readings"]["crm"]["matched"], &second["readings"]["crm"]["changed"]), (&2.into(), &5.into()));
    let text = |text: &str| Some(text.to_owned());
    let ada = "ada@ourselves.example";
    assert_eq!(copies(&site, "acme"), [text(ada), text("48000"), text("2026-09-30"), text("good")]);
    assert_eq!(copies(&site, "beta"), [None, None, None, None]);
    assert_eq!((owner(&site, DATE), owner(&site, NEXT)), (Json::Null, ada.into()), "what was not known then is not");

    // An unchanged value writes nothing; a value that is cleared is null; a new owner has another address.
    let third = site.once(NEXT, 0);
    assert_eq!(third["readings"]["crm"]["changed"], 0, "{third}");
    set(&site, "acme", &json!({"csm_pulse": "", "hubspot_owner_id": "18"}));
    let fourth = site.once(LATER, 0);
    assert_eq!(fourth["readings"]["crm"]["changed"], 3, "{fourth}");
    assert_eq!(copies(&site, "acme"), [text("ben@ourselves.example"), text("48000"), text("2026-09-30"), None]);
    let status = site.run(&["status"]).exits(0).stdout;
    assert!(status.contains("source crm (hubspot): read") && status.contains("2 matched"), "{status}");
    assert_eq!((owner(&site, NEXT), owner(&site, LATER)), (ada.into(), "ben@ourselves.example".into()));
}

/// Support's open tickets: of users and of their accounts, and none where there are none any more.
#[test]
fn open_tickets_are_counted_and_closed_ones_are_not() {
    let site = Site::with_story();
    let source =
        "sources:\n  support: { type: intercom, destination: desk, read: [open_tickets, open_conversations] }\n";
    let copies = "      properties:\n        tickets: traits.open_tickets\n        chats: traits.open_conversations\n";
    let of_users = "      attributes:\n        own_tickets: user.traits.open_tickets\n";
    let config = site.standard().replacen("sources:\n", source, 1).replacen("      properties:\n", copies, 1);
    site.config(&config.replacen("      attributes:\n", of_users, 1));
    let desk = &site.vendors.intercom;
    desk.seed(&json!({"companies": [{"company_id": "acme", "name": "Acme"}]}));
    let state = desk.state();
    let id = |list: &str, key: &str, value: &str| {
        let found = state[list].as_array().expect(list).iter().find(|one| one[key] == value).expect(value).clone();
        found["id"].as_str().expect("an id").to_owned()
    };
    let path = format!("/contacts/{}/companies", id("contacts", "external_id", "u1"));
    desk.api("POST", &path, &json!({"id": id("companies", "company_id", "acme")}));
    desk.seed(
        &json!({"tickets": [{"contacts": ["u1"]}, {"contacts": ["u1", "u2"]}, {"contacts": ["u2"], "open": false}]}),
    );

    let own = |user: &str| {
        let state = desk.state();
        let contacts = state["contacts"].as_array().expect("contacts").iter();
        contacts.clone().find(|one| one["external_id"] == user).expect("the contact")["custom_attributes"]["own_tickets"].clone()
    };
    let of = |account: &str| (site.company(account, "tickets"), site.company(account, "chats"));
    let run = site.once(DATE, 0);
    assert_eq!(run["readings"]["support"]["changed"], 6, "two of three users and accounts, of two kinds: {run}");
    assert_eq!(of("acme"), (Some("2".into()), Some("0".into())));
    assert_eq!(of("beta"), (None, None), "nobody said that beta is known there");
    assert_eq!((own("u1"), own("u2")), ("2".into(), "1".into()));

    let tickets = site.vendors.intercom.journal().len();
    let again = site.once(DATE, 0);
    assert_eq!(again["readings"]["support"]["changed"], 0);
    assert!(site.vendors.intercom.journal().len() > tickets);
    // All are closed.
    for ticket in 1..=3 {
        desk.seed(&json!({"tickets": [{"id": desk_ticket(&site, ticket), "open": false}]}));
    }
    let run = site.once(NEXT, 0);
    assert_eq!(run["readings"]["support"]["changed"], 3, "{run}");
    assert_eq!((of("acme").0, own("u1"), own("u2")), (Some("0".into()), "0".into(), "0".into()));
}

/// The id of the so-many-th ticket, which follows those of two contacts and a company.
fn desk_ticket(_site: &Site, number: usize) -> String {
    format!("6762f0dd1bb69f9f{:08x}", 0x2193_0000 + 3 + number)
}

/// A tool that can't be read holds up nobody, and the run says so.
#[test]
fn a_crm_that_refuses_does_not_stop_the_others() {
    let site = site();
    let scopes = json!({"status": 403, "body": json!({"status": "error", "category": "MISSING_SCOPES",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.owners.read"]}}]}).to_string()});
    site.vendors.hubspot.faults(&json!([{"match": "GET /crm/owners", "times": 1, "kind": {"answer": scopes}}]));
    let run = site.once(DATE, 3);
    let failed = run["readings"]["crm"]["failed"].as_str().expect("a reason");
    assert!(failed.contains("crm.objects.owners.read"), "{failed}");
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"), "usage goes on");
    let said = site.run(&["status"]).exits(0).stdout;
    assert!(said.contains("not read to its end") && said.contains("crm.objects.owners.read"), "{said}");
    let run = site.once(DATE, 0);
    assert_eq!(run["readings"]["crm"]["records"], 2);
}

/// Who is erased is not brought back by what a tool says, nor kept beside.
#[test]
fn an_account_that_was_erased_is_not_read_again() {
    let site = site();
    site.once(DATE, 0);
    set(&site, "acme", &json!({"arr": "48000"}));
    assert_eq!(site.once(NEXT, 0)["readings"]["crm"]["changed"], 1);
    site.run(&["forget", "--account", "acme", "--yes"]).exits(0);
    set(&site, "acme", &json!({"arr": "50000", "csm_pulse": "bad"}));
    let run = site.once(LATER, 0);
    assert_eq!(
        (&run["readings"]["crm"]["changed"], &run["readings"]["crm"]["unmatched"]),
        (&0.into(), &1.into()),
        "{run}"
    );
    site.run(&["state", "export", "out.gz"]).exits(0);
    let text = super::login::inflate(&site.path("out.gz"));
    assert!(!text.contains("48000") && !text.contains("50000"), "nothing of it is kept");
}

/// The daemon asks before it tells.
#[test]
fn a_daemon_reads_the_crm_before_it_syncs() {
    let site = site();
    site.once(DATE, 0);
    set(&site, "acme", &json!({"arr": "7"}));
    let _daemon = site.daemon(NEXT, "daemon.log");
    wait_for("the copy", || site.company("acme", "copy_arr").as_deref() == Some("7"));
}
