//! What holds a destination up, and what people decide about it, as they meet it on the command line.

use serde_json::json;
use vitalsync::clock;
use vitalsync_core::Timestamp;
use vitalsync_core::time::DAY_MS;

use super::site::{Site, story};

const DATE: &str = "2026-03-10";

/// HubSpot creates what is missing; so many accounts are missing.
fn many(count: usize) -> Site {
    let site = Site::new();
    site.config(
        &site
            .standard()
            .replace("      match:\n        - property", "      missing: create\n      match:\n        - property"),
    );
    for n in 0..count {
        site.archive(&format!("{n}.ndjson"), &story(&format!("c{n}"), &format!("u{n}"), 10));
    }
    site
}

#[test]
fn a_run_that_is_braked_ends_with_3_and_says_what_to_do() {
    let site = many(51);
    let summary = site.once(DATE, 3);
    assert_eq!(summary["destinations"]["crm"]["braked"]["creates"], 51, "{summary}");
    assert_eq!(site.vendors.hubspot.state()["companies"].as_array().map(Vec::len), Some(0));
    let shown = site.run(&["run", "--once", "--as-of", DATE]).exits(3).stdout;
    assert!(shown.contains("up to 51 records are created") && shown.contains("held by the brake"), "{shown}");
    let status = site.run(&["status"]).exits(0).stdout;
    assert!(status.contains("release with `vitalsync approve crm`"), "{status}");
    let plan = site.run(&["plan", "crm", "--as-of", DATE]).exits(0).stdout;
    assert!(plan.contains("braked: up to 51 records"), "{plan}");
    assert!(site.run(&["approve", "crm"]).exits(0).stdout.contains("up to 51 records are created"));
    site.once(DATE, 0);
    assert_eq!(site.vendors.hubspot.state()["companies"].as_array().map(Vec::len), Some(51));
}

#[test]
fn refusals_are_listed_shown_dropped_and_tried_again() {
    let site = Site::with_story();
    let twin = json!({"companies": [{"name": "Twin", "domain": "acme.example"}]});
    site.vendors.hubspot.seed(&twin);
    site.once(DATE, 3);
    let list = site.run(&["quarantine"]).exits(0).stdout;
    assert!(list.contains("company/acme") && list.contains("ambiguous") && list.contains("1 in quarantine"), "{list}");
    let show = site.run(&["quarantine", "show", "company/acme", "--as-of", DATE]).exits(0).stdout;
    assert!(show.contains("vitalsync_health_score: – → 100"), "{show}");
    assert!(site.run(&["quarantine", "show", "company/none"]).exits(1).stderr.contains("company/none"));
    site.run(&["quarantine", "list", "--destination", "crn"]).exits(2);
    site.run(&["quarantine", "list", "--since", "yesterday"]).exits(2);
    let none = site.run(&["quarantine", "list", "--reason", "token", "--format", "json"]).exits(0).json();
    assert_eq!(none, json!([]));
    assert!(site.run(&["quarantine", "drop", "--reason", "ambiguous"]).exits(0).stdout.contains("1 dropped"));
    site.once(DATE, 0);
    site.run(&["quarantine", "retry", "company/acme"]).exits(0);
    site.once(DATE, 3);
}

#[test]
fn matches_go_to_a_spreadsheet_and_come_back() {
    let site = Site::with_story();
    let seeded = json!({"companies": [{"name": "Twin, \"the\" other", "domain": "acme.example"}]});
    site.vendors.hubspot.seed(&seeded);
    site.once(DATE, 3);
    let shown = site.run(&["match", "--as-of", DATE]).exits(0).stdout;
    assert!(shown.contains("ambiguous") && shown.contains("3 matched, 1 not"), "{shown}");
    site.run(&["match", "export", "matches.csv", "--as-of", DATE]).exits(0);
    let exported = std::fs::read_to_string(site.path("matches.csv")).expect("it is written");
    assert!(exported.starts_with("destination,record,account,name,record_id,state,why,candidates\n"), "{exported}");
    // What was exported changes nothing.
    let same = site.run(&["match", "import", "matches.csv", "--as-of", DATE, "--format", "json"]).exits(0).json();
    assert_eq!((&same["lines"], &same["unchanged"]), (&json!(4), &json!(4)), "{same}");
    let companies = site.vendors.hubspot.state()["companies"].clone();
    let twin = companies.as_array().and_then(|all| {
        all.iter().find(|one| one["properties"]["name"] != "acme" && one["properties"]["name"] != "beta")
    });
    let id = twin.expect("the twin")["id"].as_str().expect("an id").to_owned();
    let line = exported.lines().find(|line| line.contains("ambiguous")).expect("a line");
    let decided = line.replacen("crm,company,acme,acme,,", &format!("crm,company,acme,acme,{id},"), 1);
    assert_ne!(line, decided);
    std::fs::write(site.path("matches.csv"), exported.replace(line, &decided)).expect("it is written");
    let said = site.run(&["match", "import", "matches.csv", "--as-of", DATE]).exits(0).stdout;
    assert!(said.contains("1 records named"), "{said}");
    site.once(DATE, 0);
    assert_eq!(site.company("Twin, \"the\" other", "vitalsync_health_score").as_deref(), Some("100"));
    std::fs::write(site.path("bad.csv"), "destination,account,record_id\ncrm,nobody,1\n").expect("it is written");
    let refused = site.run(&["match", "import", "bad.csv", "--as-of", DATE]).exits(2);
    assert!(refused.stderr.contains("line 2: crm holds no company of `nobody`"), "{}", refused.stderr);
}

#[test]
fn a_plan_that_reads_back_shows_what_others_changed() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let state = site.vendors.hubspot.state();
    let acme = state["companies"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["properties"]["name"] == "acme"))
        .cloned();
    let id = acme.expect("acme")["id"].as_str().expect("an id").to_owned();
    site.vendors.hubspot.api(
        "POST",
        "/crm/objects/2026-09/companies/batch/update",
        &json!({"inputs": [{"id": id, "properties": {"vitalsync_health_score": "7"}}]}),
    );
    let plan = site.run(&["plan", "crm", "--exit-code", "--as-of", DATE]).exits(0);
    assert!(!plan.stdout.contains("changed by others"), "{}", plan.stdout);
    let plan = site.run(&["plan", "crm", "--refresh", "--exit-code", "--as-of", DATE]).exits(4);
    assert!(plan.stderr.contains("1 changed by others"), "{}", plan.stderr);
    assert!(plan.stdout.contains("told 100, holds 7: written again"), "{}", plan.stdout);
    site.once(DATE, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
}

#[test]
fn a_run_as_of_a_time_to_come_is_refused_and_a_clock_before_the_last_run_is_called_so() {
    let site = Site::with_story();
    for command in [&["run", "--once"][..], &["run"]] {
        let refused = site.run(&[command, &["--as-of", "2099-01-01"]].concat()).exits(2).stderr;
        assert!(refused.contains("--as-of 2099-01-01") && refused.contains("more than a day ahead"), "{refused}");
    }
    assert!(!site.path("state").exists(), "nothing was begun");
    // To look ahead spoils nothing.
    site.run(&["accounts", "--as-of", "2099-01-01"]).exits(0);
    let soon = Timestamp(clock::system().0 + DAY_MS / 2).to_string();
    let ahead = site.run(&["run", "--once", "--as-of", &soon]).all();
    assert!(ahead.contains("which is yet to come"), "{ahead}");
    for command in [&["run", "--once"][..], &["run"]] {
        let refused = site.run(command).exits(1).stderr;
        assert!(refused.contains("the clock says") && !refused.contains("--as-of 2"), "{refused}");
    }
    assert!(site.run(&["alerts"]).exits(0).stdout.contains("no alert waits"));
}

#[test]
fn a_source_that_was_renamed_is_named_and_counts_once() {
    let site = Site::with_story();
    let raw = || site.run(&["accounts", "--format", "json", "--as-of", DATE]).exits(0).json();
    site.once(DATE, 0);
    let before = raw();
    site.config(&site.standard().replace("  product:", "  events:"));
    let said = site.run(&["run", "--once", "--as-of", DATE]).exits(0).stdout;
    assert!(said.contains("calls of a source product, which the config does not have"), "{said}");
    assert_eq!(raw(), before);
}
