//! Tools that refuse, hold off, or can't be reached.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::site::{Site, TOKEN, TOKEN_NAME, track};

const DATE: &str = "2026-03-10";

#[test]
fn a_wrong_token_stops_that_destination_and_no_other() {
    let site = Site::with_story();
    let wrong = site.standard().replacen("${VITALSYNC_TEST_TOKEN}", "${VITALSYNC_TEST_WRONG}", 1);
    site.config(&wrong);
    let mut command = site.command(&["run", "--once", "--format", "json", "--as-of", DATE]);
    command.env("VITALSYNC_TEST_WRONG", "pat-eu1-of-somebody-else");
    let output = site.run_command(command).exits(3);
    let summary = output.json();
    let crm = &summary["destinations"]["crm"];
    assert!(crm["waiting"].as_u64() > Some(0) && crm["acknowledged"] == 0, "{crm}");
    assert!(crm["notes"].to_string().contains("token"), "{crm}");
    assert!(!output.all().contains("pat-eu1-of-somebody-else"), "{}", output.all());
    assert_eq!(site.company("acme", "vitalsync_health_score"), None);
    assert_eq!(site.tags("u1"), ["Health: healthy"]);
    // With the right one it goes on.
    site.config(&site.standard());
    site.once(DATE, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
}

#[test]
fn a_tool_that_says_wait_is_waited_for() {
    let site = Site::with_story();
    let body = r#"{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","correlationId":"c-1","policyName":"TEN_SECONDLY_ROLLING"}"#;
    site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "times": 2,
        "kind": {"answer": {"status": 429, "headers": {"Retry-After": "1"}, "body": body}}}]));
    let summary = site.once(DATE, 0);
    let crm = &summary["destinations"]["crm"];
    assert!(crm["retried"].as_u64() >= Some(1), "{crm}");
    assert_eq!((&crm["waiting"], &crm["rejected"]), (&0.into(), &0.into()), "{crm}");
    assert_eq!(crm["acknowledged"], crm["changed"], "{crm}");
    assert!(summary["duration_ms"].as_u64() >= Some(1000), "it did not wait: {summary}");
    assert_eq!(site.company("beta", "vitalsync_health_score").as_deref(), Some("100"));
}

#[test]
fn a_broken_connection_is_no_loss_and_no_second_record() {
    let site = Site::with_story();
    site.vendors.hubspot.faults(&json!([
        {"match": "POST /crm", "skip": 1, "kind": "drop_before"}, {"match": "POST /crm", "skip": 2, "kind": "drop_after"}
    ]));
    site.vendors.intercom.faults(&json!([{"match": "PUT /contacts", "kind": "drop_after"},
        {"match": "", "skip": 3, "kind": {"answer": {"status": 503, "body": "<html>busy</html>"}}}]));
    site.once(DATE, 0);
    let companies = site.vendors.hubspot.state()["companies"].as_array().map(Vec::len);
    assert_eq!(companies, Some(2));
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
    assert_eq!((site.tags("u1"), site.tags("u2")), (vec!["Health: healthy".into()], vec!["Health: healthy".into()]));
}

#[test]
fn an_alert_whose_answer_was_lost_is_not_posted_twice() {
    let site = Site::with_story();
    site.once(DATE, 0);
    site.vendors.slack.faults(&json!([{"match": "POST /api/chat.postMessage", "kind": "drop_after"}]));
    let summary = site.once("2026-03-14", 0);
    assert_eq!((site.messages().len(), &summary["alerts"]["sent"]), (1, &1.into()), "{summary}");
    assert!(site.vendors.slack.journal().iter().any(|line| line.contains("conversations.history")), "it did not look");
}

#[test]
fn a_record_that_is_refused_is_kept_with_its_reason_and_the_others_go_on() {
    let site = Site::with_story();
    // Each of the two among others, and one of them again by itself.
    site.vendors.intercom.faults(&json!([{"match": "PUT /contacts", "times": 3, "kind": {"answer": {"status": 422,
        "body": r#"{"type":"error.list","errors":[{"code":"parameter_invalid","message":"no"}]}"#}}}]));
    let summary = site.once(DATE, 3);
    let desk = &summary["destinations"]["desk"];
    assert!(desk["rejected"].as_u64() >= Some(1), "{desk}");
    let status = site.run(&["status"]).exits(0).stdout;
    assert!(status.contains("refused contact/"), "{status}");
    // A full pass asked for by hand tries it again.
    site.once(DATE, 0);
    assert!(!site.run(&["status"]).exits(0).stdout.contains("refused contact/"));
}

/// A person who ends a single pass does not wait for what the tool asked to wait for.
#[test]
fn a_single_pass_ends_when_it_is_asked_to_while_it_waits() {
    let site = Site::with_story();
    site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "times": 5,
        "kind": {"answer": {"status": 429, "headers": {"Retry-After": "30"}, "body": "{}"}}}]));
    let mut run = site.start(&["run", "--once", "--as-of", DATE], "run.log");
    super::site::wait_for("HubSpot says wait", || {
        site.vendors.hubspot.journal().iter().any(|line| line.ends_with("429"))
    });
    let asked = Instant::now();
    run.signal("TERM");
    let code = run.ends_within(Duration::from_secs(10));
    assert!(code == Some(3) || code == Some(1), "{code:?} after {:?}: {}", asked.elapsed(), run.logged());
    // Nothing is lost.
    site.vendors.hubspot.forget_faults();
    site.once(DATE, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
}

/// What is planned for a tool takes memory in proportion to it, not to its square. The tool refuses the token after it
/// said whose it is, so all contacts wait.
#[test]
fn many_contacts_do_not_fill_the_memory() {
    let site = Site::new();
    let calls: Vec<String> =
        (0..30_000).map(|n| track(&format!("m{n}"), "acme", &format!("u{n}"), "Report Shared", DATE)).collect();
    site.archive("a.ndjson", &calls);
    site.vendors
        .intercom
        .faults(&json!([{"match": "", "skip": 1, "times": 1_000_000, "kind": {"answer": {"status": 401,
        "body": r#"{"type":"error.list","errors":[{"code":"token_unauthorized","message":"no"}]}"#}}}]));
    let mut command = Command::new("bash");
    let limited = "ulimit -v 3000000; exec \"$0\" run --once --format json --as-of 2026-03-10";
    command.args(["-c", limited]).arg(site.command(&[]).get_program());
    command.current_dir(site.path("")).env(TOKEN_NAME, TOKEN);
    let output = site.run_command(command);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    assert!(output.json()["destinations"]["desk"]["waiting"].as_u64() >= Some(30_000), "{}", output.stdout);
}

/// A device that is always full stands in for a disk that is.
#[test]
fn a_report_that_can_not_be_written_is_a_failure_and_a_reader_that_went_away_is_none() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let asked: [&[&str]; 4] =
        [&["run", "--once"], &["accounts", "--format", "json"], &["status"], &["explain", "acme"]];
    for arguments in asked {
        let command = || site.command(&[arguments, &["--as-of", DATE]].concat());
        let mut full = command();
        full.stdout(File::options().write(true).open("/dev/full").expect("the device"));
        let said = site.run_command(full).exits(1).stderr;
        assert!(said.contains("can't write to standard output: No space left"), "{arguments:?}: {said}");
        let mut gone = command();
        gone.stdout(std::io::pipe().expect("a pipe").1);
        assert_eq!(site.run_command(gone).exits(0).stderr, "", "{arguments:?}");
    }
}
