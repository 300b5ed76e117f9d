//! Who is left out, what is counted since when, and what people are told of it.

use crate::site::{Site, Use, end};

fn two(site: &Site) {
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 10, 3), Use("a1", "Core", 0, 40, 3)]);
    for user in ["a0-u", "a1-u"] {
        site.intercom.vendor().seed_contact(user, &format!("{user}@x.example"), user);
    }
}

#[tokio::test]
async fn records_of_an_account_that_is_left_out_stay_and_its_tags_go() {
    let site = Site::new().await;
    two(&site);
    site.run(9).await;
    let told = site.company("a0");
    assert_eq!((told["vitalsync_health_band"].as_str(), site.tags("a0-u").len()), (Some("healthy"), 1));
    let plans = site.open().plan(end(9)).unwrap();
    assert!(plans.iter().all(|plan| plan.notes.is_empty()), "{plans:?}");

    let without =
        site.config("").replace("destinations:\n", "exclude: { accounts: account == \"a0\" }\ndestinations:\n");
    let engine = site.open_with(&without);
    let notes: Vec<String> = engine.plan(end(9)).unwrap().into_iter().map(|plan| plan.notes.join("; ")).collect();
    let left =
        "1 record that was written is of accounts or users that are excluded or gone: its fields stay as they are";
    assert_eq!(notes, [left.to_owned(), format!("{left}, tags that were set are removed"), String::new()]);
    engine.run_once(end(9)).await.unwrap();
    assert_eq!((site.company("a0"), site.tags("a0-u")), (told, Vec::new()));
    let contacts = site.intercom.vendor().contacts();
    let contact = contacts.iter().find(|contact| contact.external_id == "a0-u").unwrap();
    assert_eq!(contact.custom_attributes["health_score"], 100, "not even cleared");
    let notes: Vec<String> = engine.plan(end(9)).unwrap().into_iter().map(|plan| plan.notes.join("; ")).collect();
    assert_eq!(notes, [left, left, ""]);
}

#[tokio::test]
async fn a_derived_event_joins_the_score_when_a_whole_window_was_counted() {
    let site = Site::new().await;
    two(&site);
    site.run(8).await;
    let derived = site.config("").replace(
        "Core: 5, Minor: 1",
        "Core: 5, External Share: { event: Core, where: properties.audience == \"external\", weight: 2 }",
    );
    let engine = site.open_with(&derived);
    // What was read ends with April 9: the condition counts from the next day on.
    let call = |day: &str| {
        format!(
            r#"{{"type":"track","messageId":"{day}","userId":"a0-u","event":"Core","context":{{"groupId":"a0"}},"properties":{{"audience":"external"}},"timestamp":"{day}T09:00:00Z"}}"#
        )
    };
    site.write("2.ndjson", &format!("{}\n{}\n", call("2026-04-10"), call("2026-04-12")));
    let run = engine.run_once(end(42)).await.unwrap();
    let held = &run.counted_since[0];
    let said = "External Share is counted since 2026-04-10 and joins the score on 2026-04-17; \
                `vitalsync backfill --rebuild` counts the past";
    assert_eq!(held.said(), said);
    let raw = |day: i32| {
        let accounts = engine.accounts(vitalsync_core::identity::Horizon::at(end(day))).unwrap();
        let told = accounts[0].counted_since().iter().map(|held| held.said()).collect::<Vec<_>>();
        (accounts[0].number("health.raw"), accounts[0].number("adoption.window_percent"), told)
    };
    assert!(engine.plan(end(42)).unwrap().iter().all(|plan| plan.notes.contains(&said.to_owned())));
    // Day 46 is April 16, the last of the first whole window.
    assert_eq!(raw(45), (Some(10.0), Some(100.0), vec![said.to_owned()]));
    assert_eq!(raw(46), (Some(14.0), Some(100.0), vec![]));
    let told = engine.explain("a0", vitalsync_core::identity::Horizon::at(end(46)), None).unwrap().unwrap();
    assert_eq!(told.parts.iter().map(|part| part.event.as_str()).collect::<Vec<_>>(), ["Core", "External Share"]);
}
