//! A destination of type `webhook`, through the real client: what the receiver holds in the end, and what faults do to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vitalsync::demo::serve::{Served, serve};
use vitalsync::tick::Wish;
use vitalsync::tick::matches::Line;
use vitalsync_sandbox::{Sandbox, Vendor};

use crate::site::{Site, TOKEN, Use, end};

const SECRET: &str = "a secret of the tests";

async fn receiver() -> Served {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), Sandbox::new(Vendor::Webhook, TOKEN)).unwrap()
}

fn config(site: &Site, hook: &Served, more: &str) -> String {
    let common = site.config("");
    let common = common.split("  crm:").next().unwrap();
    format!(
        "{common}  hook:
    type: webhook
    mode: live
    url: \"{}/hooks/{TOKEN}\"
    secret: \"{SECRET}\"
    headers: {{ X-From: vitalsync }}
{more}",
        hook.base_url()
    )
}

const BOTH: &str = "    batch: 2
    accounts: { fields: { score: health.score, band: health.band } }
    users: { fields: { score: account.health.score }, body: '{\"type\": \"user\", \"id\": {{ id }}, \"sequence\": {{ sequence }}, \"score\": {{ fields.score }}}' }
";

fn customers(site: &Site) {
    site.customers(
        "1.ndjson",
        &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 20, 1), Use("a2", "Minor", 0, 40, 1)],
    );
}

fn held(hook: &Served) -> Value {
    hook.vendor().state()["records"].clone()
}

#[tokio::test]
async fn records_arrive_whole_signed_and_once() {
    let (site, hook) = (Site::new().await, receiver().await);
    customers(&site);
    let engine = || site.open_with(&config(&site, &hook, BOTH));
    let first = engine().run_once(end(10)).await.unwrap();
    assert_eq!(first.exit_code(), 0, "{first:?}");
    let delivered = &first.destinations["hook"].delivered;
    assert_eq!((delivered.acknowledged, delivered.sent_calls), (6, 4), "two lists of each kind: {delivered:?}");
    let records = held(&hook);
    assert_eq!(records.as_object().unwrap().len(), 6);
    assert_eq!(records["account/a0"]["fields"]["band"], "healthy");
    assert_eq!(records["account/a0"]["changed"]["band"], json!({"old": null, "new": "healthy"}));
    assert_eq!(records["user/a2-u"]["sequence"], 1);

    // Each request is signed over its key, its time and its very bytes, by the secret of the config.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    for taken in hook.vendor().state()["taken"].as_array().unwrap() {
        let header = |name: &str| taken["headers"][name].as_str().unwrap().to_owned();
        assert_eq!((header("webhook-id"), header("x-from")), (header("idempotency-key"), "vitalsync".into()));
        let text =
            format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), taken["text"].as_str().unwrap());
        let tag = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        ring::hmac::verify(&key, text.as_bytes(), &tag).unwrap();
    }

    let again = engine().run_once(end(10)).await.unwrap();
    assert_eq!(again.destinations["hook"].delivered.sent_calls, 0);
    // By day 26 the week of a0 and a1 is gone, a2 stays: who did not change is not told.
    engine().run_once(end(26)).await.unwrap();
    let records = held(&hook);
    assert_eq!(records["account/a0"]["sequence"], 2);
    assert_eq!(records["account/a0"]["changed"]["band"], json!({"old": "healthy", "new": "at_risk"}));
    assert_eq!(records["account/a2"]["sequence"], 1);
}

#[tokio::test]
async fn what_broke_off_is_sent_again_and_dropped_as_a_repeat() {
    let (site, hook) = (Site::new().await, receiver().await);
    customers(&site);
    Site::fail(
        &hook,
        json!([{"kind": "drop_after"}, {"kind": {"answer_after": {"status": 502}}}, {"kind": "drop_before"}]),
    );
    let run = site.open_with(&config(&site, &hook, BOTH)).run_once(end(10)).await.unwrap();
    assert_eq!((run.exit_code(), run.destinations["hook"].delivered.acknowledged), (0, 6), "{run:?}");
    let state = hook.vendor().state();
    assert_eq!((state["records"].as_object().unwrap().len(), state["taken"].as_array().unwrap().len()), (6, 4));
    assert_eq!(state["repeats"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_refused_record_holds_up_no_other() {
    for whole in [false, true] {
        let (site, hook) = (Site::new().await, receiver().await);
        customers(&site);
        hook.vendor().seed(&json!({"refuse": {"a1": "no such account"}, "refuse_whole": whole})).unwrap();
        let run = site.open_with(&config(&site, &hook, BOTH)).run_once(end(10)).await.unwrap();
        assert_eq!(run.exit_code(), 3);
        let delivered = &run.destinations["hook"].delivered;
        assert_eq!((delivered.acknowledged, delivered.rejected), (5, 1), "{delivered:?}");
        assert!(held(&hook).get("account/a1").is_none() && held(&hook).get("account/a2").is_some());
    }
}

#[tokio::test]
async fn a_wrong_address_stops_the_destination_and_another_one_is_told_everything() {
    let (site, hook) = (Site::new().await, receiver().await);
    customers(&site);
    let right = config(&site, &hook, BOTH);
    let wrong = right.replace("/hooks/", "/nothing/");
    let run = site.open_with(&wrong).run_once(end(10)).await.unwrap();
    let delivered = &run.destinations["hook"].delivered;
    assert_eq!((run.exit_code(), delivered.acknowledged, delivered.rejected), (3, 0, 0), "{delivered:?}");
    assert!(delivered.notes.iter().any(|note| note.contains("nothing at the address (404)")), "{delivered:?}");
    assert!(!format!("{run:?}").contains(TOKEN) && !format!("{run:?}").contains(SECRET));
    let run = site.open_with(&right).run_once(end(10)).await.unwrap();
    assert_eq!((run.exit_code(), held(&hook).as_object().unwrap().len()), (0, 6));
    // Another address is another receiver, who knows nothing yet.
    let other = receiver().await;
    let run = site.open_with(&config(&site, &other, BOTH)).run_once(end(10)).await.unwrap();
    assert_eq!((run.exit_code(), held(&other).as_object().unwrap().len()), (0, 6));
}

/// A destination with nothing but alerts.
fn alerts(site: &Site, hook: &Served, more: &str) -> String {
    let rules = "    brake: off
    alerts:
      drop: { drop: 15, within: 7d, for: account != \"a2\" }
      away: { quiet: 3d, for: account == \"a2\", to: owner, fallback: the team, template: '{\"type\": \"alert\", \"id\": {{ alert.occasion }}, \"who\": {{ account }}, \"to\": {{ alert.to }}, \"edge\": {{ alert.edge }}, \"score\": {{ health.score }}}' }
";
    config(site, hook, &format!("{more}{rules}"))
}

fn falling(site: &Site) {
    site.customers("1.ndjson", &["a0", "a1", "a2"].map(|name| Use(name, "Core", 0, 20, 3)));
}

#[tokio::test]
async fn alerts_arrive_by_themselves_signed_under_their_occasion() {
    let (site, hook) = (Site::new().await, receiver().await);
    falling(&site);
    let config = alerts(&site, &hook, "");
    let engine = || site.open_with(&config);
    let first = engine().run_once(end(18)).await.unwrap();
    assert_eq!((first.exit_code(), first.alerts.fired, hook.vendor().journal().len()), (0, 0, 0), "{first:?}");
    let plan = engine().plan(end(26)).unwrap();
    let titles: Vec<&str> = plan[0].operations.iter().map(|one| one.title.as_str()).collect();
    assert_eq!(titles.iter().filter(|title| **title == "post alert drop").count(), 2, "{titles:?}");
    let run = engine().run_once(end(26)).await.unwrap();
    assert_eq!((run.exit_code(), run.alerts.fired, run.alerts.sent), (0, 3, 3), "{run:?}");
    let records = held(&hook);
    let alerts: Vec<&Value> = records.as_object().unwrap().values().collect();
    let fell = alerts.iter().find(|alert| alert["account"] == "a0").unwrap();
    assert_eq!((&fell["edge"], &fell["rule"], &fell["band"]), (&json!("drop"), &json!("drop"), &json!("at_risk")));
    let figures = ["before", "change", "score"].map(|name| fell[name].as_i64().unwrap());
    assert_eq!(figures[0] + figures[1], figures[2]);
    assert!(fell["said"].as_str().unwrap().starts_with("A0's health fell ") && !fell["reasons"][0].is_null(), "{fell}");
    let away = alerts.iter().find(|alert| alert["who"] == "a2").unwrap();
    assert_eq!((&away["edge"], &away["to"]), (&json!("quiet"), &json!("the team")));
    assert!(away["score"].is_i64(), "{away}");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    for taken in hook.vendor().state()["taken"].as_array().unwrap() {
        let header = |name: &str| taken["headers"][name].as_str().unwrap().to_owned();
        let text = taken["text"].as_str().unwrap();
        let body: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&body["id"], header("webhook-id")), (&json!(header("idempotency-key")), header("idempotency-key")));
        let tag = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        let signed = format!("{}.{}.{text}", header("webhook-id"), header("webhook-timestamp"));
        ring::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    }
    let calls = hook.vendor().journal().len();
    let again = engine().run_once(end(26)).await.unwrap();
    assert_eq!((again.alerts.fired, hook.vendor().journal().len()), (0, calls));
}

#[tokio::test]
async fn an_alert_in_doubt_is_sent_again_only_where_that_is_wanted() {
    // Dropped by the way, taken and broken off, answered by a proxy.
    let faults = [
        json!({"kind": "drop_before"}),
        json!({"kind": "drop_after"}),
        json!({"kind": {"answer_after": {"status": 502}}}),
        json!({"kind": {"answer_after": {"status": 408}}}),
    ];
    for fault in faults {
        for (delivery, codes, repeats) in [("at_most_once", [3, 3], 0), ("at_least_once", [0, 0], 1)] {
            let (site, hook) = (Site::new().await, receiver().await);
            falling(&site);
            let config = alerts(&site, &hook, &format!("    delivery: {delivery}\n"));
            site.open_with(&config).run_once(end(18)).await.unwrap();
            Site::fail(&hook, json!([fault]));
            let run = site.open_with(&config).run_once(end(26)).await.unwrap();
            let waiting = site.open_with(&config).alerts(end(26)).unwrap().waiting;
            assert_eq!((run.exit_code(), waiting.len()), (codes[0], usize::from(codes[0] > 0)), "{fault}: {run:?}");
            // A pass by hand tries again what was refused; what is in doubt was not.
            let again = site.open_with(&config).run_once(end(26)).await.unwrap();
            let state = hook.vendor().state();
            let taken = state["taken"].as_array().unwrap().len();
            let lost = usize::from(fault["kind"] == "drop_before" && codes[0] > 0);
            let came_twice = if fault["kind"] == "drop_before" { 0 } else { repeats };
            assert_eq!(
                (again.exit_code(), taken, state["repeats"].as_array().unwrap().len()),
                (codes[1], 3 - lost, came_twice),
                "{fault}"
            );
        }
    }
}

#[tokio::test]
async fn a_refused_alert_is_told_once_it_is_taken_and_what_is_snoozed_never() {
    let (site, hook) = (Site::new().await, receiver().await);
    falling(&site);
    let config = alerts(&site, &hook, "    cap: 1\n");
    site.open_with(&config).run_once(end(18)).await.unwrap();
    let engine = site.open_with(&config);
    let wish = Wish { account: "A1".into(), rule: None, for_ms: Some(7 * 86_400_000) };
    engine.snooze(&wish, end(25)).unwrap().unwrap();
    drop(engine);
    Site::fail(&hook, json!([{"times": 2, "kind": {"answer": {"status": 422, "body": "{\"error\": \"not now\"}"}}}]));
    let run = site.open_with(&config).run_once(end(26)).await.unwrap();
    assert_eq!((run.alerts.fired, run.alerts.snoozed, run.exit_code()), (3, 1, 3), "{run:?}");
    let waiting = site.open_with(&config).alerts(end(26)).unwrap().waiting;
    assert!(
        waiting.iter().any(|alert| alert.refused.as_ref().is_some_and(|why| why.contains("not now"))),
        "{waiting:?}"
    );
    let run = site.open_with(&config).run_once(end(26)).await.unwrap();
    assert_eq!(run.exit_code(), 0, "{run:?}");
    let records = held(&hook);
    assert!(!records.to_string().contains("A1"), "{records}");
    assert_eq!(records.as_object().unwrap().len(), 2, "{records}");
}

#[tokio::test]
async fn who_is_ignored_is_not_told() {
    let (site, hook) = (Site::new().await, receiver().await);
    customers(&site);
    let engine = site.open_with(&config(&site, &hook, BOTH));
    engine.run_once(end(10)).await.unwrap();
    let before = held(&hook);
    let table = "destination,record,account,record_id,state\nhook,account,a0,,ignore\n";
    engine.decide(&Line::read(table).unwrap(), end(10)).await.unwrap();
    engine.run_once(end(30)).await.unwrap();
    let after = held(&hook);
    assert_eq!(after["account/a0"], before["account/a0"]);
    assert_ne!(after["account/a1"], before["account/a1"]);
}
