//! The daemon: beside other commands, asked to end, killed, started again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::site::{Process, Site};

const DATE: &str = "2026-03-10";

/// A daemon whose destinations have all been synced once.
fn synced(site: &Site, log: &str) -> Process {
    let daemon = site.daemon(DATE, log);
    for name in ["crm", "desk", "team"] {
        daemon.logs(&format!("synced destination={name}"));
    }
    daemon
}

/// Commands that read, and `approve`, answered by a daemon in this directory.
fn commands_work(site: &Site) {
    let status = site.run(&["status", "--format", "json"]).exits(0).json();
    assert_eq!(status["running"], true, "{status}");
    assert!(status["destinations"]["crm"]["next_run"].is_string(), "{status}");
    site.run(&["status", "--daemon"]).exits(0);
    let accounts = site.run(&["accounts", "--format", "json"]).exits(0).json();
    assert_eq!(accounts[0]["account"], "acme");
    let past = site.run(&["accounts", "--format", "json", "--as-of", "2026-02-03"]).exits(0).json();
    assert!(past[0]["health"]["raw"].as_f64() < accounts[0]["health"]["raw"].as_f64(), "{past}");
    let told = site.run(&["explain", "acme.example", "--format", "json"]).exits(0).json();
    assert_eq!(told["account"], "acme");
    assert!(site.run(&["explain", "nobody & sons?"]).exits(1).stderr.contains("nobody & sons?"));
    let plan = site.run(&["plan", "crm", "--format", "json", "--exit-code"]).exits(0).json();
    assert_eq!(plan[0]["operations"], json!([]), "{plan}");
    let approved = site.run(&["approve", "crm"]).exits(0);
    assert!(approved.stdout.contains("already"), "{}", approved.stdout);
}

#[test]
fn a_second_run_is_refused_and_questions_are_answered_beside_a_daemon() {
    let site = Site::with_story();
    assert!(site.run(&["status", "--daemon"]).exits(1).stderr.contains("no daemon"));
    let mut daemon = synced(&site, "daemon.log");
    assert_eq!(site.tags("u1"), ["Health: healthy"]);
    for arguments in [&["run", "--once"][..], &["run"][..]] {
        let output = site.run(arguments).exits(1);
        assert!(output.stderr.contains("held by another vitalsync process"), "{}", output.stderr);
        assert!(output.stderr.contains("vitalsync status"), "{}", output.stderr);
    }
    commands_work(&site);
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
    // Its socket may stay behind; that is no daemon.
    site.run(&["status", "--daemon"]).exits(1);
    let status = site.run(&["status", "--format", "json"]).exits(0).json();
    assert_eq!(status["running"], false);
    assert_eq!(site.once(DATE, 0)["destinations"]["crm"]["sent_calls"], 0);
}

#[test]
fn a_state_directory_may_have_a_long_path() {
    let site = Site::with_story();
    let long = format!("./{}/{}", "state-".repeat(15), "of-the-art-".repeat(8));
    site.config(&site.standard().replace("./state", &long));
    let mut daemon = synced(&site, "daemon.log");
    commands_work(&site);
    daemon.signal("INT");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn approval_beside_a_daemon_makes_it_write_at_once() {
    let site = Site::with_story();
    // Never on its own: only the approval can wake it.
    let config = site.standard().replace("    mode: live\n", "").replace("\"* * * * *\"", "\"0 0 1 1 *\"");
    site.config(&config);
    let daemon = site.daemon(DATE, "daemon.log");
    super::site::wait_for("the first look", || {
        let status = site.run(&["status", "--format", "json"]).exits(0).json();
        status["destinations"]["crm"]["last_run"].is_string()
    });
    assert_eq!(site.requests(), [0, 0, 0]);
    site.run(&["plan", "--exit-code"]).exits(4);
    assert!(site.run(&["approve", "crm"]).exits(0).stdout.contains("released"));
    daemon.logs("synced destination=crm");
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
    assert_eq!(site.requests()[1..], [0, 0]);
}

#[test]
fn the_daemon_ends_in_time_while_a_tool_is_slow() {
    let site = Site::with_story();
    site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "times": 9, "kind": {"slow_ms": 3000}}]));
    let mut daemon = site.daemon(DATE, "daemon.log");
    super::site::wait_for("a slow request", || {
        site.vendors.hubspot.journal().iter().any(|line| line.starts_with("POST /crm"))
    });
    let asked = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0), "{}", daemon.logged());
    assert!(asked.elapsed() < Duration::from_secs(10));
    site.vendors.hubspot.forget_faults();
    site.once(DATE, 0);
    assert_eq!(site.vendors.hubspot.state()["companies"].as_array().map(Vec::len), Some(2));
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
}

#[test]
fn the_daemon_ends_in_time_while_a_tool_hangs_or_says_wait() {
    for kind in
        [json!({"slow_ms": 25_000}), json!({"answer": {"status": 429, "headers": {"Retry-After": "40"}, "body": "{}"}})]
    {
        let site = Site::with_story();
        site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "times": 9, "kind": kind}]));
        let mut daemon = site.daemon(DATE, "daemon.log");
        super::site::wait_for("a slow request", || {
            site.vendors.hubspot.journal().iter().any(|line| line.starts_with("POST /crm"))
        });
        daemon.signal("TERM");
        assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0), "{kind}: {}", daemon.logged());
    }
}

#[test]
fn a_killed_daemon_starts_again_and_sends_nothing_again() {
    let site = Site::with_story();
    site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "times": 9, "kind": {"slow_ms": 20_000}}]));
    let mut daemon = site.daemon(DATE, "first.log");
    daemon.logs("synced destination=desk");
    super::site::wait_for("a slow request", || {
        site.vendors.hubspot.journal().iter().any(|line| line.starts_with("POST /crm"))
    });
    daemon.signal("KILL");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), None);
    let acknowledged = site.vendors.intercom.journal();
    site.vendors.hubspot.forget_faults();

    let mut daemon = synced(&site, "second.log");
    assert_eq!(site.vendors.intercom.journal(), acknowledged, "what was acknowledged is not sent again");
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
    assert_eq!(site.vendors.hubspot.state()["companies"].as_array().map(Vec::len), Some(2));
    let accounts = site.run(&["accounts", "--format", "json"]).exits(0).json();
    assert_eq!(accounts[0]["health"]["raw"], 14.0, "nothing is counted twice");
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
}

/// A process that is killed again and again at any moment of its start never spoils the state.
#[test]
fn kills_during_the_start_do_no_harm() {
    let site = Site::with_story();
    for attempt in 0..12 {
        let mut daemon = site.start(&["run", "--as-of", DATE], "killed.log");
        super::site::within(Duration::from_millis(15 * attempt), || false);
        daemon.signal("KILL");
        daemon.ends_within(Duration::from_secs(10));
    }
    let _daemon = synced(&site, "last.log");
    let accounts = site.run(&["accounts", "--format", "json"]).exits(0).json();
    assert_eq!(accounts[0]["health"]["raw"], 14.0, "{accounts}");
    assert_eq!(site.tags("u1"), ["Health: healthy"]);
    assert_eq!(site.vendors.hubspot.state()["companies"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_daemon_waits_for_an_archive_that_is_not_there() {
    let site = Site::with_story();
    std::fs::rename(site.path("archive"), site.path("elsewhere")).expect("it is moved");
    let mut daemon = site.daemon(DATE, "daemon.log");
    daemon.logs("not synced");
    let status = site.run(&["status"]).exits(0).stdout;
    assert!(status.contains("FAILED") && status.contains("check `location`"), "{status}");
    assert_eq!(site.requests(), [0, 0, 0]);
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn the_daemon_closes_a_day_by_itself_and_says_what_rules_ran_into() {
    let site = Site::with_story();
    let standard = site.standard();
    let without = standard.split("destinations:").next().expect("sources and profiles");
    site.config(&format!("{without}segments:\n  large: traits.seats > 10\n"));
    let mut daemon = site.daemon("2026-03-10", "daemon.log");
    let status = || site.run(&["status", "--format", "json"]).exits(0).json();
    super::site::wait_for("the end of the day", || status()["last_evaluation"].is_string());
    let rules = json!({"segments.large": {"asked": 2, "of": 2, "compared_null": 2, "counted_null": 0,
        "divided_by_zero": 0, "unlike": 0}});
    assert_eq!(status()["rules"], rules);
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
    assert_eq!(status()["rules"], rules, "and without a daemon");
    let later = site.run(&["explain", "acme", "--format", "json", "--as-of", "2026-03-11"]).exits(0).json();
    let days = later["history"].as_array().expect("days").iter();
    let said: Vec<&str> = days.filter(|day| day["stored"] == true).filter_map(|day| day["day"].as_str()).collect();
    assert_eq!(said, ["2026-03-10"]);
}

#[test]
fn validate_refuses_a_time_zone_that_the_state_was_not_counted_in() {
    let site = Site::with_story();
    let here = site.standard();
    let elsewhere = here.replace("timezone: UTC", "timezone: Asia/Tokyo");
    site.once(DATE, 0);
    let refused = || {
        site.config(&elsewhere);
        let said = site.run(&["validate"]).exits(2).stderr;
        site.config(&here);
        site.run(&["validate"]).exits(0);
        said
    };
    let alone = refused();
    assert!(alone.contains("counted in the time zone UTC, the config says Asia/Tokyo"), "{alone}");
    let mut daemon = synced(&site, "daemon.log");
    assert_eq!(refused(), alone);
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
}
