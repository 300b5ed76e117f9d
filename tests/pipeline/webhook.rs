//! A destination of type `webhook`, through the real client: what the receiver holds in the end, and what faults do to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vitalsync::demo::serve::{Served, serve};
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
    assert_eq!(state["repeats"], 2);
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
