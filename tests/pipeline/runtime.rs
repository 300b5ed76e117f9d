//! The delivery runtime: what holds a destination up, what it does about refusals, and what others make of its records.

use serde_json::{Value, json};
use vitalsync::report::DestinationReport;
use vitalsync::tick::Engine;
use vitalsync::tick::matches::Line;
use vitalsync::tick::quarantine::{Verdict, Which};

use crate::site::{Site, TOKEN, Use, end};

/// HubSpot alone, with more keys of its section.
fn hubspot(site: &Site, keys: &str) -> String {
    let config = site.config("");
    config.split("  desk:").next().unwrap().replace("    mode: live\n", &format!("    mode: live\n{keys}"))
}

/// HubSpot that knows so many companies by the domains of accounts; each of them used it for twenty days.
fn customers(site: &Site, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 0, 20, 3)).collect::<Vec<_>>());
    for name in &names {
        site.hubspot.vendor().seed_company(&[("name", name), ("domain", &format!("{name}.example"))]);
    }
}

async fn crm(engine: &Engine, offset: i32) -> DestinationReport {
    engine.run_once(end(offset)).await.unwrap().destinations.remove("crm").unwrap()
}

/// A daemon's sync.
async fn sync(engine: &Engine, offset: i32) -> DestinationReport {
    let evaluation = engine.take_stock(end(offset)).unwrap();
    engine.sync(&engine.config.destinations[0], &evaluation, false).await.unwrap()
}

fn calls(site: &Site) -> usize {
    site.hubspot.vendor().journal().len()
}

/// Somebody changes a company in HubSpot.
fn somebody_sets(site: &Site, account: &str, properties: Value) {
    let companies = site.hubspot.vendor().companies();
    let company =
        companies.iter().find(|one| one.properties.get("vitalsync_account_id").is_some_and(|id| id == account));
    let body = json!({"inputs": [{"id": company.unwrap().id, "properties": properties}]}).to_string();
    let request = vitalsync_sandbox::Request {
        method: "POST".into(),
        path: "/crm/objects/2026-09/companies/batch/update".into(),
        headers: vec![
            ("Authorization".into(), format!("Bearer {TOKEN}")),
            ("Content-Type".into(), "application/json".into()),
        ],
        body: body.into_bytes(),
    };
    let reply = site.hubspot.vendor().handle(&request, 0);
    assert!(reply.status < 300, "{}", reply.body);
}

#[tokio::test]
async fn a_run_that_would_create_many_records_waits_for_approval_and_the_next_one_is_braked_anew() {
    let site = Site::new().await;
    let names: Vec<String> = (0..120).map(|n| format!("a{n}")).collect();
    let stories = |names: &[String]| {
        let all: Vec<Use<'_>> = names.iter().map(|name| Use(name, "Core", 0, 5, 3)).collect();
        site.customers(&format!("{}.ndjson", names[0]), &all);
    };
    stories(&names[..60]);
    let config = hubspot(&site, "");
    let run = site.open_with(&config).run_once(end(5)).await.unwrap();
    let crm_report = &run.destinations["crm"];
    let braked = crm_report.braked.as_ref().unwrap();
    assert_eq!((braked.creates, run.exit_code()), (60, 3), "{crm_report:?}");
    assert_eq!(crm_report.delivered.waiting, crm_report.delivered.changed);
    assert!(crm_report.delivered.notes.iter().any(|note| note.contains("vitalsync approve crm")), "{crm_report:?}");
    assert!(site.hubspot.vendor().companies().is_empty());
    let engine = site.open_with(&config);
    let plan = engine.plan(end(5)).unwrap().remove(0);
    assert!(plan.braked.is_some() && plan.notes.iter().any(|note| note.contains("up to 60 records are created")));
    assert!(engine.status().unwrap().destinations["crm"].braked.is_some());
    assert!(engine.approve("crm").unwrap().contains("up to 60 records are created"));
    assert!(engine.approve("crm").unwrap().contains("already"));
    assert!(engine.status().unwrap().destinations["crm"].braked.is_none());
    assert_eq!(crm(&engine, 5).await.delivered.waiting, 0);
    assert_eq!(site.hubspot.vendor().companies().len(), 60);
    // The release is used up.
    stories(&names[60..]);
    assert_eq!(crm(&engine, 5).await.braked.unwrap().creates, 60);
    assert_eq!(site.hubspot.vendor().companies().len(), 60);
    drop(engine);
    // Bounds are the config's.
    let run = site.open_with(&hubspot(&site, "    brake: { creates: 60 }\n")).run_once(end(5)).await.unwrap();
    assert_eq!((site.hubspot.vendor().companies().len(), run.exit_code()), (120, 0));
}

#[tokio::test]
async fn many_accounts_that_change_their_band_wait_and_so_do_their_alerts() {
    let site = Site::new().await;
    customers(&site, 10);
    let others: Vec<String> = (0..10).map(|n| format!("b{n}")).collect();
    site.customers("2.ndjson", &others.iter().map(|name| Use(name, "Core", 0, 40, 3)).collect::<Vec<_>>());
    let config = site.config("");
    let run = site.open_with(&config).run_once(end(18)).await.unwrap();
    assert!(run.destinations.values().all(|report| report.braked.is_none()), "{run:?}");
    // Half of them stopped on day 20.
    for _ in 0..2 {
        let run = site.open_with(&config).run_once(end(26)).await.unwrap();
        let braked =
            |name: &str| run.destinations[name].braked.as_ref().map(|braked| (braked.moved, braked.had, braked.alerts));
        assert_eq!((braked("crm"), braked("team")), (Some((10, 20, 0)), Some((10, 20, 10))), "{run:?}");
        assert_eq!(run.exit_code(), 3);
    }
    assert_eq!(site.company("a3")["vitalsync_health_band"], "healthy");
    assert!(site.slack.vendor().messages().is_empty());
    let engine = site.open_with(&config);
    engine.approve("crm").unwrap();
    engine.run_once(end(26)).await.unwrap();
    assert_eq!(site.company("a3")["vitalsync_health_band"], "at_risk");
    assert!(site.slack.vendor().messages().is_empty(), "only what was approved");
    engine.approve("team").unwrap();
    let run = engine.run_once(end(26)).await.unwrap();
    assert_eq!(
        (run.destinations["team"].delivered.alerts_sent, site.slack.vendor().messages().len()),
        (10, 10),
        "{run:?}"
    );
    assert!(engine.run_once(end(26)).await.unwrap().destinations["team"].braked.is_none());
}

#[tokio::test]
async fn what_is_approved_while_it_is_observed_is_released_with_it() {
    let site = Site::new().await;
    let names: Vec<String> = (0..60).map(|n| format!("a{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 0, 5, 3)).collect::<Vec<_>>());
    let config = hubspot(&site, "").replace("    mode: live\n", "");
    let engine = site.open_with(&config);
    assert!(engine.run_once(end(5)).await.unwrap().destinations["crm"].braked.is_none());
    engine.approve("crm").unwrap();
    let report = crm(&engine, 5).await;
    assert_eq!((report.braked, site.hubspot.vendor().companies().len()), (None, 60));
}

#[tokio::test]
async fn a_tool_that_lets_us_in_no_more_is_left_alone_until_a_start_or_an_hour_later() {
    let site = Site::new().await;
    customers(&site, 3);
    let wrong = hubspot(&site, "").replace(TOKEN, "test-wrong");
    let engine = site.open_with(&wrong);
    assert!(sync(&engine, 10).await.parked.unwrap().why.contains("token"));
    let once = calls(&site);
    // The first look of this process was before it was known; one more, and then none.
    sync(&engine, 10).await;
    let twice = calls(&site);
    for _ in 0..5 {
        let report = sync(&engine, 10).await;
        assert!(report.parked.is_some() && report.delivered.waiting > 0, "{report:?}");
    }
    assert_eq!((once, twice, calls(&site)), (1, 2, 2));
    assert!(engine.status().unwrap().destinations["crm"].parked.is_some());
    drop(engine);
    sync(&site.open_with(&wrong), 10).await;
    assert_eq!(calls(&site), 3, "every start tries");
    let engine = site.open_with(&hubspot(&site, ""));
    let report = sync(&engine, 10).await;
    assert_eq!((report.parked, report.delivered.waiting), (None, 0));
    assert!(engine.status().unwrap().destinations["crm"].parked.is_none());
}

#[tokio::test]
async fn a_tool_that_is_down_is_asked_a_few_times_and_the_others_go_on() {
    let site = Site::new().await;
    customers(&site, 3);
    site.intercom.vendor().seed_contact("a0-u", "a0-u@x.example", "a0-u");
    let down = json!([{"match": "", "skip": 1, "times": 1_000_000, "kind": {"answer": {"status": 503, "body": ""}}}]);
    Site::fail(&site.hubspot, down);
    let mut engine = site.open();
    engine.patience = std::time::Duration::from_secs(4);
    let run = engine.run_once(end(10)).await.unwrap();
    let report = &run.destinations["crm"];
    assert!(report.circuit.as_ref().unwrap().failures >= 5, "{report:?}");
    assert_eq!((report.delivered.waiting, report.delivered.acknowledged), (report.delivered.changed, 0));
    assert!(report.delivered.waiting_why.0.values().sum::<u64>() == report.delivered.waiting, "{report:?}");
    assert!(calls(&site) < 30, "{}", calls(&site));
    assert_eq!(site.tags("a0-u"), ["Health: healthy"]);
    site.hubspot.vendor().clear_faults();
    assert!(engine.run_once(end(10)).await.unwrap().destinations["crm"].circuit.is_none());
    assert_eq!(site.company("a0")["vitalsync_health_band"], "healthy");
}

#[tokio::test]
async fn a_contact_that_seems_gone_for_a_moment_loses_its_tag_all_the_same() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 40, 3)]);
    site.intercom.vendor().seed_contact("a0-u", "a0-u@x.example", "a0-u");
    site.run(18).await;
    assert_eq!(site.tags("a0-u"), ["Health: healthy"]);
    // Neither healthy nor at risk: no tag is wanted.
    let no = json!({"type": "error.list", "errors": [{"code": "not_found", "message": "no"}]}).to_string();
    Site::fail(&site.intercom, json!([{"match": "PUT /contacts", "kind": {"answer": {"status": 404, "body": no}}}]));
    for _ in 0..2 {
        site.run(24).await;
    }
    assert_eq!(site.company("a0")["vitalsync_health_band"], "normal");
    assert!(site.tags("a0-u").is_empty(), "{:?}", site.tags("a0-u"));
}

const OWNED: &str = "{ vitalsync_health_score: health.score, vitalsync_health_band: { value: health.band, ownership: yield }, vitalsync_last_active: { value: last_active, ownership: report } }";

#[tokio::test]
async fn what_others_change_is_seen_and_mended_as_its_ownership_says() {
    let site = Site::new().await;
    customers(&site, 3);
    let mapped = "{ vitalsync_health_score: health.score, vitalsync_health_band: health.band, vitalsync_last_active: last_active }";
    let config = hubspot(&site, "").replace(mapped, OWNED);
    assert_ne!(config, hubspot(&site, ""));
    site.open_with(&config).run_once(end(10)).await.unwrap();
    let theirs = json!({"vitalsync_health_score": "1", "vitalsync_health_band": "theirs", "vitalsync_last_active": "2020-01-01"});
    somebody_sets(&site, "a1", theirs);
    let engine = site.open_with(&config);
    assert!(engine.plan(end(10)).unwrap()[0].drift.is_empty(), "nobody looked");
    let read = engine.refresh(None).await.unwrap();
    assert_eq!((read[0].1.read, read[0].1.drifted, read[0].1.sent_calls), (3, 1, 1), "{read:?}");
    let plan = engine.plan(end(10)).unwrap().remove(0);
    let drift: Vec<(&str, &str)> = plan.drift.iter().map(|one| (one.field.as_str(), one.policy.as_str())).collect();
    let expected =
        [("vitalsync_health_band", "yield"), ("vitalsync_health_score", "win"), ("vitalsync_last_active", "report")];
    assert_eq!(drift, expected);
    let fields: Vec<&String> = plan.operations.iter().flat_map(|operation| operation.fields.keys()).collect();
    assert_eq!(fields, ["vitalsync_health_score"], "{plan:?}");
    crm(&engine, 10).await;
    let company = site.company("a1");
    assert_eq!(
        (&company["vitalsync_health_score"], &company["vitalsync_health_band"]),
        (&json!("100"), &json!("theirs"))
    );
    assert_eq!(company["vitalsync_last_active"], "2020-01-01");
    assert_eq!(engine.status().unwrap().destinations["crm"].drift.len(), 2);
    // Ours changes: what is theirs stays, what was only reported is written.
    crm(&engine, 22).await;
    let company = site.company("a1");
    assert_eq!(
        (&company["vitalsync_health_band"], &company["vitalsync_last_active"]),
        (&json!("theirs"), &json!("2026-03-20"))
    );
    // They clear it: it is ours again.
    somebody_sets(&site, "a1", json!({"vitalsync_health_band": ""}));
    engine.refresh(None).await.unwrap();
    crm(&engine, 22).await;
    assert!(["healthy", "normal", "at_risk"].contains(&site.company("a1")["vitalsync_health_band"].as_str().unwrap()));
    engine.refresh(None).await.unwrap();
    assert!(engine.status().unwrap().destinations["crm"].drift.is_empty());
}

#[tokio::test]
async fn records_of_those_who_are_gone_are_kept_or_cleared() {
    for (keys, score) in [("", "100"), ("    when_gone: clear\n", "")] {
        let site = Site::new().await;
        customers(&site, 3);
        site.open_with(&hubspot(&site, keys)).run_once(end(10)).await.unwrap();
        let without =
            hubspot(&site, keys).replace("lifecycle:", "exclude: { accounts: traits.name == \"A1\" }\nlifecycle:");
        let engine = site.open_with(&without);
        crm(&engine, 10).await;
        let company = site.company("a1");
        assert_eq!(company["vitalsync_health_score"].as_str().unwrap_or_default(), score, "{keys:?}: {company}");
        assert_eq!(site.company("a0")["vitalsync_health_score"], "100");
        let before = calls(&site);
        crm(&engine, 10).await;
        assert_eq!(calls(&site), before, "cleared once");
    }
}

#[tokio::test]
async fn a_refusal_is_listed_tried_again_and_dropped() {
    let site = Site::new().await;
    customers(&site, 3);
    site.hubspot.vendor().seed_company(&[("name", "Twin"), ("domain", "a0.example")]);
    let engine = site.open_with(&hubspot(&site, ""));
    assert_eq!(crm(&engine, 10).await.quarantined, 1);
    let list = engine.refusals(&Which::default()).unwrap();
    assert_eq!((list.len(), list[0].slot.as_str(), list[0].dropped), (1, "company/a0", false));
    let none = Which { reason: Some("no such words".into()), ..Which::default() };
    assert!(engine.refusals(&none).unwrap().is_empty());
    let later = Which { since: Some(end(11)), ..Which::default() };
    assert!(engine.refusals(&later).unwrap().is_empty());
    let all = Which { reason: Some("AMBIGUOUS".into()), ..Which::default() };
    let full = engine.refusals_in_full(&all, end(10)).unwrap();
    assert!(full[0].operation.as_ref().unwrap().fields.contains_key("vitalsync_health_score"), "{full:?}");
    assert!(engine.refusals(&Which { destination: Some("crn".into()), ..Which::default() }).is_err());
    // A daemon's sync leaves it, until somebody says so.
    let before = calls(&site);
    sync(&engine, 10).await;
    assert_eq!(calls(&site), before);
    engine.judge_refusals(&all, Verdict::Retry).unwrap();
    sync(&engine, 10).await;
    assert!(calls(&site) > before);
    // Dropped, not even a run by hand tries it, and it is no fault any more.
    engine.judge_refusals(&all, Verdict::Drop).unwrap();
    let before = calls(&site);
    let run = engine.run_once(end(10)).await.unwrap();
    assert_eq!((calls(&site), run.exit_code()), (before, 0), "{run:?}");
    assert!(engine.refusals(&all).unwrap()[0].dropped);
    // It changes: it is tried again.
    let run = engine.run_once(end(22)).await.unwrap();
    assert_eq!(run.destinations["crm"].delivered.rejected, 1, "{run:?}");
    assert!(!engine.refusals(&all).unwrap()[0].dropped);
}

fn lines(text: &str) -> Vec<Line> {
    Line::read(text).unwrap()
}

#[tokio::test]
async fn people_say_which_record_an_account_is() {
    let site = Site::new().await;
    customers(&site, 3);
    let twin = site.hubspot.vendor().seed_company(&[("name", "Twin"), ("domain", "a0.example")]);
    let config = hubspot(&site, "").replace("missing: create", "missing: skip");
    let engine = site.open_with(&config);
    crm(&engine, 10).await;
    let states = |engine: &Engine| -> Vec<(String, String)> {
        let all = engine.matches(end(10)).unwrap();
        all.into_iter().map(|one| (one.account, one.state)).collect()
    };
    let expected = [("a0", "ambiguous"), ("a1", "matched"), ("a2", "matched")];
    assert_eq!(states(&engine), expected.map(|(account, state)| (account.to_owned(), state.to_owned())));
    // Any wrong line, and nothing is taken in.
    let a1 = engine.matches(end(10)).unwrap()[1].record_id.clone();
    let wrong = format!(
        "destination,account,record_id,state\ncrm,a0,{a1},\ncrm,a9,5,\ncrn,a0,5,\ncrm,a2,,ignor\ncrm,a0,7,\ncrm,a1,1.23E+11,\n"
    );
    let error = engine.decide(&lines(&wrong), end(10)).await.unwrap_err().to_string();
    for part in ["line 2: record", "line 3:", "line 4:", "did you mean `ignore`?", "line 6:", "line 7: a spreadsheet"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(states(&engine)[0].1, "ambiguous");
    // As a spreadsheet of another country writes it.
    let right = format!(
        "\u{feff}destination;record;account;name;record_id;state\ncrm;company;a0;A0;{twin};ambiguous\ncrm;company;a2;A2;;ignore\n"
    );
    let report = engine.decide(&lines(&right), end(10)).await.unwrap();
    assert_eq!((report.chosen, report.ignored, report.unchanged), (1, 1, 0), "{report:?}");
    let run = engine.run_once(end(22)).await.unwrap();
    assert_eq!(run.exit_code(), 0, "{run:?}");
    assert_eq!(site.company("a0")["name"], "Twin");
    let a2 = site.company("a2");
    assert_eq!(a2["vitalsync_last_active"], "2026-03-11", "ignored: left as it was");
    // A record that is not to be had is said, and nothing is guessed in its place.
    engine.decide(&lines("destination,account,record_id,state\ncrm,a2,987654321,\n"), end(22)).await.unwrap();
    let run = engine.run_once(end(23)).await.unwrap();
    assert_eq!(run.exit_code(), 3, "{run:?}");
    let why = &engine.refusals(&Which::default()).unwrap()[0];
    assert!(why.slot == "company/a2" && why.why.contains("match import"), "{why:?}");
}
