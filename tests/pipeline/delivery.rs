//! Delivery: what the vendors hold in the end, how many calls it took, and what faults do to it.

use serde_json::json;

use crate::site::{Site, TOKEN, Use, end};

/// Three customers: one healthy, one middling, one barely there.
fn three(site: &Site) {
    site.customers(
        "1.ndjson",
        &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 20, 1), Use("a2", "Minor", 0, 40, 1)],
    );
    for user in ["a0-u", "a1-u", "a2-u"] {
        site.intercom.vendor().seed_contact(user, &format!("{user}@x.example"), user);
    }
    site.hubspot.vendor().seed_company(&[("name", "A zero"), ("domain", "a0.example")]);
}

#[tokio::test]
async fn health_arrives_everywhere_and_a_second_run_sends_nothing() {
    let site = Site::new().await;
    three(&site);
    let first = site.run(10).await;
    assert_eq!(first.exit_code(), 0, "{first:?}");
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
    assert_eq!(site.company("a0")["name"], "A zero", "adopted by its domain, not created again");
    assert_eq!(site.company("a1")["name"], "A1", "created");
    assert_eq!(site.company("a2")["vitalsync_health_band"], "at_risk");
    assert_eq!(site.company("a2")["vitalsync_last_active"], "2026-03-11");
    assert_eq!(site.hubspot.vendor().companies().len(), 3);
    assert_eq!(
        (site.tags("a0-u"), site.tags("a2-u")),
        (vec!["Health: healthy".to_owned()], vec!["Health: at risk".to_owned()])
    );
    assert!(site.slack.vendor().messages().is_empty(), "the first look is silent");

    let calls = site.calls();
    let second = site.run(10).await;
    assert_eq!(site.calls(), calls);
    for (name, report) in &second.destinations {
        assert_eq!((report.delivered.changed, report.delivered.sent_calls), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn a_fall_moves_the_tag_and_alerts_once() {
    let site = Site::new().await;
    three(&site);
    site.run(18).await;
    // a0 stops on day 20; by day 26 its whole week is gone.
    let run = site.run(26).await;
    assert_eq!((run.alerts.fired, run.alerts.sent), (2, 2), "{run:?}");
    assert_eq!(site.tags("a0-u"), ["Health: at risk"]);
    assert_eq!(site.company("a0")["vitalsync_health_band"], "at_risk");
    let texts: Vec<String> = site.slack.vendor().messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().any(|text| text.contains("A0")), "{texts:?}");
    assert_eq!(site.run(27).await.alerts.fired, 0);
    assert_eq!(site.slack.vendor().messages().len(), 2);
}

#[tokio::test]
async fn a_thousand_changed_companies_take_ten_calls() {
    let site = Site::new().await;
    let names: Vec<String> = (0..1000).map(|n| format!("c{n}")).collect();
    let stories = |from, days| names.iter().map(|name| Use(name, "Core", from, days, 1)).collect::<Vec<_>>();
    site.customers("1.ndjson", &stories(0, 5));
    for name in &names {
        site.hubspot.vendor().seed_company(&[("name", name), ("domain", &format!("{name}.example"))]);
    }
    let config = site.config("");
    let hubspot_only = config.split("  desk:").next().unwrap().replace("mode: live", "mode: live\n    brake: off");
    let run = |offset| {
        let engine = site.open_with(&hubspot_only);
        async move { engine.run_once(end(offset)).await.unwrap() }
    };
    let first = run(4).await.destinations.remove("crm").unwrap().delivered;
    assert_eq!((first.acknowledged, first.rejected, first.waiting), (first.changed, 0, 0), "{first:?}");
    assert_eq!(site.hubspot.vendor().companies().len(), 1000);
    site.customers("2.ndjson", &stories(6, 1));
    let second = run(7).await.destinations.remove("crm").unwrap().delivered;
    assert_eq!((second.changed, second.acknowledged, second.sent_calls), (1000, 1000, 10), "{second:?}");
    let third = run(7).await.destinations.remove("crm").unwrap().delivered;
    assert_eq!((third.changed, third.sent_calls), (0, 0));
}

#[tokio::test]
async fn every_kind_of_fault_ends_where_a_quiet_day_ends() {
    let quiet = Site::new().await;
    three(&quiet);
    quiet.run(10).await;
    let expected = |site: &Site| {
        let companies: Vec<_> = ["a0", "a1", "a2"]
            .iter()
            .map(|account| {
                let company = site.company(account);
                (
                    company["vitalsync_health_score"].clone(),
                    company["vitalsync_health_band"].clone(),
                    company["name"].clone(),
                )
            })
            .collect();
        (companies, site.tags("a0-u"), site.tags("a1-u"), site.tags("a2-u"), site.hubspot.vendor().companies().len())
    };
    let limited =
        json!({"status": "error", "policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}).to_string();
    let faults = [
        json!({"kind": {"answer": {"status": 429, "headers": {"Retry-After": "0.1"}, "body": limited}}, "times": 2}),
        json!({"kind": {"answer": {"status": 503, "body": "<html>down</html>"}}, "times": 3}),
        json!({"kind": {"answer": {"status": 500, "body": "\u{0}garbage"}}, "skip": 3, "times": 2}),
        json!({"kind": {"answer_after": {"status": 502, "body": ""}}, "skip": 2, "times": 2}),
        json!({"kind": "drop_before", "skip": 1, "times": 2}),
        json!({"kind": "drop_after", "skip": 2, "times": 3}),
        json!({"kind": {"slow_ms": 50}, "times": 5}),
        json!({"kind": {"answer_after": {"status": 200, "body": "<html>?</html>"}}, "skip": 4, "times": 1}),
        json!({"kind": "empty_results", "match": "POST /crm", "times": 2}),
    ];
    for fault in faults {
        let site = Site::new().await;
        three(&site);
        for served in [&site.hubspot, &site.intercom] {
            Site::fail(served, json!([fault]));
        }
        // A pass may leave something for the next one; the third finds all in place.
        for _ in 0..2 {
            site.run(10).await;
        }
        let last = site.run(10).await;
        assert_eq!(expected(&site), expected(&quiet), "{fault}: {last:?}");
        assert_eq!(last.exit_code(), 0, "{fault}: {last:?}");
        let calls = site.calls();
        site.run(10).await;
        assert_eq!(site.calls(), calls, "{fault}: known is what the vendors hold");
    }
}

#[tokio::test]
async fn an_alert_is_sent_once_whatever_breaks() {
    let faults = [
        json!([{"match": "POST /api/chat.postMessage", "kind": "drop_after"}]),
        json!([{"match": "POST /api/chat.postMessage", "kind": "drop_before"}]),
        json!([{"match": "POST /api/chat.postMessage", "kind": {"answer_after": {"status": 500, "body": ""}}}]),
        json!([{"match": "POST /api/chat.postMessage", "kind": {"answer_after": {"status": 200, "body": "{\"ok\":false,\"error\":\"internal_error\"}"}}}]),
        json!([{"match": "POST /api/chat.postMessage", "kind": {"answer": {"status": 200, "body": "{\"ok\":false,\"error\":\"fatal_error\"}"}}}]),
        json!([{"match": "POST /api/chat.postMessage", "kind": {"answer": {"status": 429, "headers": {"Retry-After": "1"}, "body": "{\"ok\":false,\"error\":\"ratelimited\"}"}}, "times": 1}]),
    ];
    for fault in faults {
        let site = Site::new().await;
        site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
        // The bot is in its channel, so that it can read back.
        site.slack.vendor().seed(&json!({"channels": [{"name": "cs-alerts-own", "member": true}]})).unwrap();
        let config = site.config("").replace("#cs-alerts", "#cs-alerts-own");
        for offset in [18, 25, 26] {
            site.open_with(&config).run_once(end(offset)).await.unwrap();
        }
        assert_eq!(site.slack.vendor().messages().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_wrong_token_stops_one_destination_and_no_other() {
    let site = Site::new().await;
    three(&site);
    let config = site.config("").replacen(&format!("token: \"{TOKEN}\""), "token: \"test-wrong\"", 1);
    let run = site.open_with(&config).run_once(end(10)).await.unwrap();
    let crm = &run.destinations["crm"].delivered;
    assert_eq!((crm.acknowledged, crm.sent_calls), (0, 1), "{crm:?}");
    assert_eq!(crm.waiting, crm.changed);
    assert!(crm.notes.iter().any(|note| note.contains("token")), "{:?}", crm.notes);
    assert_eq!(run.exit_code(), 3);
    assert_eq!(site.tags("a0-u"), ["Health: healthy"], "the others went on");
    assert!(!format!("{run:?}").contains("test-wrong"));
    // Mended, the same state goes on.
    assert_eq!(site.run(10).await.exit_code(), 0);
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
}

#[tokio::test]
async fn one_bad_record_does_not_hold_up_the_others() {
    let site = Site::new().await;
    three(&site);
    site.hubspot.vendor().seed_company(&[("name", "Twin"), ("domain", "a0.example")]);
    let run = site.run(10).await;
    let crm = &run.destinations["crm"];
    assert_eq!((crm.quarantined, crm.delivered.rejected), (1, 1), "{crm:?}");
    assert_eq!(run.exit_code(), 3);
    assert_eq!(site.company("a1")["vitalsync_health_band"], "healthy");
    let engine = site.open();
    let why = &engine.status().unwrap().destinations["crm"].quarantine[0];
    assert!(why.slot == "company/a0" && why.why.contains("ambiguous"), "{why:?}");
    // A daemon does not try the same again at once; once the CRM is mended, `run --once` does.
    let evaluation = engine.evaluate(end(10)).unwrap();
    let calls = site.calls();
    engine.sync(&engine.config.destinations[0], &evaluation, false).await.unwrap();
    assert_eq!(site.calls(), calls);
    drop(engine);
    let twin =
        site.hubspot.vendor().companies().into_iter().find(|company| company.properties["name"] == "Twin").unwrap();
    let body = json!({"inputs": [{"id": twin.id}]}).to_string();
    let request = vitalsync_sandbox::Request {
        method: "POST".into(),
        path: "/crm/objects/2026-09/companies/batch/archive".into(),
        headers: vec![("Authorization".into(), format!("Bearer {TOKEN}"))],
        body: body.into_bytes(),
    };
    let reply = site.hubspot.vendor().handle(&request, 0);
    assert!(reply.status < 300, "{}", reply.body);
    assert_eq!(site.run(10).await.exit_code(), 0);
    assert_eq!(site.company("a0")["name"], "A zero");
}

#[tokio::test]
async fn observing_writes_nothing_until_approved() {
    let site = Site::new().await;
    three(&site);
    let config = site.config("").replace("    mode: live\n", "");
    let run = site.open_with(&config).run_once(end(10)).await.unwrap();
    assert_eq!(site.calls(), 0);
    assert!(run.destinations["crm"].observing && run.destinations["crm"].delivered.changed > 0);
    let engine = site.open_with(&config);
    let plan = engine.plan(end(10)).unwrap();
    assert!(plan.iter().any(|plan| plan.operations.iter().any(|operation| operation.slot == "company/a1")));
    engine.approve("crm").unwrap();
    assert!(engine.approve("crn").unwrap_err().to_string().contains("crm"));
    engine.run_once(end(10)).await.unwrap();
    assert_eq!(site.company("a1")["vitalsync_health_band"], "healthy");
    assert!(site.tags("a0-u").is_empty(), "desk still observes");
    let plan = engine.plan(end(10)).unwrap();
    assert!(plan.iter().find(|plan| plan.destination == "crm").unwrap().operations.is_empty());
}

#[tokio::test]
async fn a_missing_archive_measures_and_syncs_nothing() {
    let site = Site::new().await;
    three(&site);
    site.run(10).await;
    let calls = site.calls();
    std::fs::rename(site.archive(), site.dir.path().join("gone")).unwrap();
    let run = site.run(40).await;
    assert_eq!(run.exit_code(), 1);
    assert!(run.sources["product"].failed.as_deref().unwrap().contains("location"));
    assert_eq!(site.calls(), calls, "old figures would have looked like a fall");
}

#[tokio::test]
async fn an_earlier_time_is_refused() {
    let site = Site::new().await;
    three(&site);
    site.run(10).await;
    let error = site.open().run_once(end(9)).await.unwrap_err().to_string();
    assert!(error.contains("before the last run"), "{error}");
}

#[tokio::test]
async fn an_alert_that_was_refused_for_now_is_simply_sent_later() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    site.run(18).await;
    // The bot is not in the channel, so nothing could be read back; it need not be.
    let wait =
        json!({"status": 429, "headers": {"Retry-After": "3600"}, "body": "{\"ok\":false,\"error\":\"ratelimited\"}"});
    Site::fail(&site.slack, json!([{"match": "POST /api/chat.postMessage", "kind": {"answer": wait}}]));
    let run = site.run(26).await;
    assert_eq!((run.alerts.fired, run.alerts.sent, run.destinations["team"].delivered.waiting), (1, 0, 1), "{run:?}");
    assert_eq!(run.exit_code(), 3);
    assert_eq!(site.run(26).await.alerts.sent, 1);
    assert_eq!(site.slack.vendor().messages().len(), 1);
}

#[tokio::test]
async fn an_alert_to_a_wrong_channel_goes_where_the_mended_config_says() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    let wrong = site.config("").replace("#cs-alerts", "#nowhere");
    site.open_with(&wrong).run_once(end(18)).await.unwrap();
    let run = site.open_with(&wrong).run_once(end(26)).await.unwrap();
    // The channel, and the alert that needs it: nothing was posted.
    assert_eq!((run.alerts.sent, run.destinations["team"].delivered.rejected, run.exit_code()), (0, 2, 3));
    let run = site.run(26).await;
    assert_eq!((run.alerts.sent, run.exit_code()), (1, 0), "{run:?}");
    assert_eq!(site.slack.vendor().messages().len(), 1);
}

#[tokio::test]
async fn two_accounts_never_share_a_company() {
    let site = Site::new().await;
    // Enough accounts for two batches; the first and the last of them meet one company by its two domains.
    let names: Vec<String> = (100..250).map(|n| format!("c{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 0, 3, 1)).collect::<Vec<_>>());
    for name in &names[1..149] {
        site.hubspot.vendor().seed_company(&[("domain", &format!("{name}.example"))]);
    }
    site.hubspot.vendor().seed_company(&[("domain", "c100.example"), ("hs_additional_domains", "c249.example")]);
    // The first of them is found, and its update is held up until the other one could be found as well.
    let wait = json!({"status": 429, "headers": {"Retry-After": "1.5"}, "body": "{}"});
    Site::fail(
        &site.hubspot,
        json!([{"match": "POST /crm/objects/2026-09/companies/batch/update", "kind": {"answer": wait}}]),
    );
    let config = site.config("").split("  desk:").next().unwrap().replace("mode: live", "mode: live\n    brake: off");
    let run = site.open_with(&config).run_once(end(2)).await.unwrap();
    assert_eq!(run.destinations["crm"].delivered.rejected, 1, "{run:?}");
    assert_eq!(site.company("c100")["domain"], "c100.example");
    assert_eq!(run.exit_code(), 3);
}

#[tokio::test]
async fn what_somebody_else_deleted_is_counted_once() {
    let site = Site::new().await;
    three(&site);
    site.run(10).await;
    let no = json!({"type": "error.list", "errors": [{"code": "not_found", "message": "no"}]}).to_string();
    Site::fail(
        &site.intercom,
        json!([
            {"match": "PUT /contacts", "times": 1, "kind": {"answer": {"status": 404, "body": no}}},
            {"match": "PUT /contacts", "times": 30, "kind": {"answer": {"status": 503, "body": ""}}}
        ]),
    );
    let mut engine = site.open();
    engine.patience = std::time::Duration::from_millis(300);
    let run = engine.run_once(end(13)).await.unwrap();
    let desk = &run.destinations["desk"].delivered;
    let wanted = desk.changed;
    assert!(wanted <= 3 && wanted == desk.acknowledged + desk.rejected + desk.waiting + desk.absent, "{desk:?}");
    drop(engine);
    site.intercom.vendor().clear_faults();
    assert_eq!(site.run(13).await.exit_code(), 0);
}

#[tokio::test]
async fn what_was_carried_out_and_never_confirmed_is_not_taken_for_what_was_known_before() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a0", "Core", 27, 20, 3)]);
    site.intercom.vendor().seed_contact("a0-u", "a0-u@x.example", "a0-u");
    site.run(18).await;
    let held = || (site.company("a0")["vitalsync_health_score"].clone(), site.tags("a0-u"));
    let before = held();
    // Every answer is lost, and the pass gives up.
    for vendor in [&site.hubspot, &site.intercom] {
        Site::fail(vendor, json!([{"match": "", "times": 1000, "kind": "drop_after"}]));
    }
    let mut engine = site.open();
    engine.patience = std::time::Duration::from_millis(300);
    let run = engine.run_once(end(26)).await.unwrap();
    assert!(run.destinations["crm"].delivered.waiting > 0, "{run:?}");
    drop(engine);
    assert_ne!(held(), before, "nothing was carried out");
    site.hubspot.vendor().clear_faults();
    site.intercom.vendor().clear_faults();
    // The score is again what the tools confirmed last.
    assert_eq!(site.run(36).await.exit_code(), 0);
    assert_eq!(held(), before);
    let calls = site.calls();
    site.run(36).await;
    assert_eq!(site.calls(), calls);
}

#[tokio::test]
async fn what_is_in_doubt_stays_so_until_it_is_asked_for() {
    let site = Site::new().await;
    three(&site);
    site.run(10).await;
    let with = |more: &str| site.config("").replace("properties: {", &format!("properties: {{ {more},"));
    // A property that was never told before is carried out, and the answer lost.
    let mut engine = site.open_with(&with("vitalsync_days: tenure_days"));
    engine.patience = std::time::Duration::from_millis(300);
    Site::fail(
        &site.hubspot,
        json!([{"match": "POST /crm/objects/2026-09/companies/batch/update", "times": 1000, "kind": "drop_after"}]),
    );
    engine.run_once(end(10)).await.unwrap();
    site.hubspot.vendor().clear_faults();
    assert!(!site.company("a0")["vitalsync_days"].is_null());
    // Reading back asks of what was told, and of this one nothing was.
    engine.refresh(None).await.unwrap();
    drop(engine);
    site.open_with(&with("vitalsync_days: traits.none")).run_once(end(10)).await.unwrap();
    let left = site.company("a0")["vitalsync_days"].clone();
    assert!(left.is_null() || left == "", "{left}");
}

#[tokio::test]
async fn an_alert_older_than_two_days_is_not_sent() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    site.run(18).await;
    let no =
        json!({"status": 429, "headers": {"Retry-After": "3600"}, "body": "{\"ok\":false,\"error\":\"ratelimited\"}"});
    Site::fail(&site.slack, json!([{"match": "POST /api/chat.postMessage", "kind": {"answer": no}}]));
    site.run(26).await;
    let run = site.run(29).await;
    assert_eq!((run.alerts.sent, run.alerts.suppressed), (0, 1), "{run:?}");
    assert!(site.slack.vendor().messages().is_empty());
}

#[tokio::test]
async fn a_property_of_another_type_drops_out_alone_and_stays_out() {
    let site = Site::new().await;
    three(&site);
    site.hubspot
        .vendor()
        .seed(&json!({"properties": [{"name": "vitalsync_health_score", "label": "x", "type": "datetime", "fieldType": "date", "groupName": "companyinformation"}]}))
        .unwrap();
    let run = site.run(10).await;
    assert_eq!((run.destinations["crm"].delivered.rejected, run.exit_code()), (1, 3), "{run:?}");
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
    // Another config is worth one more try; after that the daemon's next sync does not try the property again.
    let config = site.config("").replace("vitalsync_last_active: last_active", "vitalsync_users: users.active");
    let engine = site.open_with(&config);
    for rejected in [1, 0] {
        let evaluation = engine.evaluate(end(10)).unwrap();
        let report = engine.sync(&engine.config.destinations[0], &evaluation, false).await.unwrap();
        assert_eq!(report.delivered.rejected, rejected, "{report:?}");
    }
    assert_eq!(site.company("a0")["vitalsync_users"], "1");
}

#[tokio::test]
async fn what_needs_a_property_waits_with_it() {
    let site = Site::new().await;
    three(&site);
    let down = json!({"status": 500, "body": ""});
    Site::fail(&site.hubspot, json!([{"match": "POST /crm/properties", "times": 1000, "kind": {"answer": down}}]));
    let mut engine = site.open();
    engine.patience = std::time::Duration::from_millis(300);
    let run = engine.run_once(end(10)).await.unwrap();
    let crm = &run.destinations["crm"];
    assert_eq!((crm.quarantined, crm.delivered.acknowledged), (0, 0), "{crm:?}");
    assert_eq!(crm.delivered.waiting, crm.delivered.changed);
    drop(engine);
    site.hubspot.vendor().clear_faults();
    assert_eq!(site.run(10).await.exit_code(), 0);
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_told_once() {
    let site = Site::new().await;
    three(&site);
    site.run(10).await;
    for status in [400, 404, 409] {
        let body = json!({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "no"}).to_string();
        Site::fail(
            &site.hubspot,
            json!([{"match": "POST /crm/objects/2026-09/companies/batch/update", "times": 2, "kind": {"answer": {"status": status, "body": body}}}]),
        );
        let day = 11 + status / 100 + status % 10;
        let run = site.run(day).await;
        let crm = &run.destinations["crm"].delivered;
        assert!(crm.changed < 20 && crm.sent_calls < 20, "{status}: {crm:?}");
        assert_eq!(crm.changed, crm.acknowledged + crm.rejected + crm.waiting + crm.absent, "{status}: {crm:?}");
        site.hubspot.vendor().clear_faults();
        assert_eq!(site.run(day).await.exit_code(), 0, "{status}");
        assert_eq!(site.hubspot.vendor().companies().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn a_tool_that_does_not_say_whose_account_it_is_is_served_all_the_same() {
    let site = Site::new().await;
    three(&site);
    for (served, path) in [(&site.hubspot, "GET /account-info"), (&site.intercom, "GET /me")] {
        Site::fail(served, json!([{"match": path, "times": 99, "kind": {"answer": {"status": 404, "body": "{}"}}}]));
    }
    assert_eq!(site.run(10).await.exit_code(), 0);
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
    let calls = site.calls();
    site.run(10).await;
    assert_eq!(site.calls(), calls);
}

#[tokio::test]
async fn what_answers_at_a_wrong_address_stops_the_destination_and_refuses_no_record() {
    for status in [404, 301] {
        let site = Site::new().await;
        three(&site);
        let page = json!({"status": status, "body": "<html>not here</html>"});
        Site::fail(&site.hubspot, json!([{"match": "", "times": 99, "kind": {"answer": page}}]));
        let run = site.run(10).await;
        let crm = &run.destinations["crm"].delivered;
        assert_eq!((crm.rejected, crm.waiting, run.exit_code()), (0, crm.changed, 3), "{crm:?}");
        assert!(crm.waiting_why.0.keys().all(|why| why.contains("`base_url`")), "{crm:?}");
    }
}

#[tokio::test]
async fn a_tool_that_cannot_be_reached_says_so_in_few_words() {
    let site = Site::new().await;
    three(&site);
    // Nobody listens there.
    let config = site.config("").replace(&site.hubspot.base_url(), "http://127.0.0.1:1");
    let run = site.open_with(&config).run_once(end(10)).await.unwrap();
    let why: Vec<&String> = run.destinations["crm"].delivered.waiting_why.0.keys().collect();
    assert_eq!(why, ["HubSpot can't be reached at http://127.0.0.1:1: connection refused"]);
}

#[tokio::test]
async fn a_contact_that_is_not_asked_for_any_more_loses_our_tag() {
    let site = Site::new().await;
    three(&site);
    let config = site.config("").replace("    contacts:\n", "    contacts:\n      only: account.health.score > 50\n");
    site.open_with(&config).run_once(end(10)).await.unwrap();
    assert_eq!(site.tags("a0-u"), ["Health: healthy"]);
    site.open_with(&config).run_once(end(26)).await.unwrap();
    assert!(site.tags("a0-u").is_empty());
}
