//! What people decide while the daemon runs, and what it makes of it: the brake, refusals, matches, drift, silence, a token that
//! is no longer accepted.
//!
//! Schedules never come here, so a sync is one that something woke: the start, a decision, or `approve` of what writes already.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::site::{Process, Site, story, wait_for};

const DATE: &str = "2026-03-10";
/// A week after Acme stopped.
const LATER: &str = "2026-03-17";

/// The config, with every schedule far away.
fn quiet(site: &Site) -> String {
    site.standard().replace("\"* * * * *\"", "\"0 0 1 1 *\"")
}

/// The story, with a HubSpot company more that has Acme's domain.
fn with_twin() -> Site {
    let site = Site::with_story();
    site.config(&quiet(&site));
    site.vendors.hubspot.seed(&json!({"companies": [{"name": "Twin", "domain": "acme.example"}]}));
    site
}

fn status(site: &Site) -> Json {
    site.run(&["status", "--format", "json"]).exits(0).json()
}

/// Waits until a destination was synced so often.
#[track_caller]
fn synced(daemon: &Process, destination: &str, times: usize) {
    let line = format!("synced destination={destination} ");
    wait_for(&format!("sync {times} of {destination}"), || daemon.logged().matches(&line).count() >= times);
}

#[track_caller]
fn ends(mut daemon: Process) {
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0), "{}", daemon.logged());
}

/// The id of a company in HubSpot.
fn id(site: &Site, name: &str) -> String {
    let companies = site.vendors.hubspot.state()["companies"].clone();
    let found = companies.as_array().and_then(|all| all.iter().find(|one| one["properties"]["name"] == name).cloned());
    found.expect("the company")["id"].as_str().expect("an id").to_owned()
}

/// Somebody writes a score into a company in HubSpot.
fn somebody_scores(site: &Site, name: &str, score: &str) {
    let body = json!({"properties": {"vitalsync_health_score": score}});
    site.vendors.hubspot.api("PATCH", &format!("/crm/objects/2026-09/companies/{}", id(site, name)), &body);
}

fn score(site: &Site, name: &str) -> Option<String> {
    site.company(name, "vitalsync_health_score")
}

#[test]
fn a_release_lets_go_what_was_held_and_not_what_came_after() {
    let site = Site::new();
    site.config(&quiet(&site).replacen("      match:\n", "      missing: create\n      match:\n", 1));
    let arrive = |from: usize| {
        for n in from..from + 51 {
            site.archive(&format!("{n}.ndjson"), &story(&format!("c{n}"), &format!("u{n}"), 10));
        }
    };
    let companies = || site.vendors.hubspot.state()["companies"].as_array().map(Vec::len);
    let held = || status(&site)["destinations"]["crm"]["braked"]["creates"].as_u64();
    arrive(0);
    let daemon = site.daemon(DATE, "daemon.log");
    synced(&daemon, "crm", 1);
    assert_eq!((companies(), held()), (Some(0), Some(51)));
    let said = site.run(&["status"]).exits(0).stdout;
    assert!(said.contains("up to 51 records are created"), "{said}");
    assert!(said.contains("release with `vitalsync approve crm`"), "{said}");

    // As many again turn up between the look and the word.
    arrive(51);
    site.run(&["backfill"]).exits(0);
    assert!(site.run(&["approve", "crm"]).exits(0).stdout.contains("up to 51 records"));
    synced(&daemon, "crm", 2);
    assert_eq!((companies(), held()), (Some(0), Some(102)), "nobody saw the others");
    assert!(site.run(&["approve", "crm"]).exits(0).stdout.contains("up to 102 records"));
    synced(&daemon, "crm", 3);
    assert_eq!((companies(), held()), (Some(102), None));

    // The release is used up.
    arrive(102);
    site.run(&["backfill"]).exits(0);
    let plan = site.run(&["plan", "crm"]).exits(0).stdout;
    assert!(plan.contains("braked: up to 51 records"), "{plan}");
    ends(daemon);
}

#[test]
fn refusals_are_judged_and_the_daemon_obeys() {
    let site = with_twin();
    let daemon = site.daemon(DATE, "daemon.log");
    synced(&daemon, "crm", 1);
    let quarantine = |arguments: &[&str]| site.run(&[&["quarantine"], arguments].concat()).exits(0).stdout;
    let list = quarantine(&["list"]);
    assert!(list.contains("company/acme") && list.contains("ambiguous") && list.contains("1 in quarantine"), "{list}");
    assert!(quarantine(&["list", "--reason", "no such words"]).contains("0 in quarantine"));
    let shown = quarantine(&["show", "company/acme"]);
    assert!(shown.contains("vitalsync_health_score: – → 100"), "{shown}");
    assert!(site.run(&["quarantine", "show", "company/none"]).exits(1).stderr.contains("company/none"));

    assert!(quarantine(&["drop", "company/acme"]).contains("1 dropped"));
    let asked = site.vendors.hubspot.journal().len();
    site.run(&["approve", "crm"]).exits(0);
    synced(&daemon, "crm", 2);
    assert_eq!(site.vendors.hubspot.journal().len(), asked, "what was dropped is left alone");
    assert!(quarantine(&["list"]).contains("when the record changes"));

    // Still ambiguous; then somebody clears it up.
    assert!(quarantine(&["retry", "--destination", "crm"]).contains("1 tried again"));
    synced(&daemon, "crm", 3);
    assert!(site.vendors.hubspot.journal().len() > asked);
    assert!(quarantine(&["list"]).contains("1 in quarantine"));
    site.vendors.hubspot.api("DELETE", &format!("/crm/objects/2026-09/companies/{}", id(&site, "Twin")), &Json::Null);
    quarantine(&["retry", "company/acme"]);
    synced(&daemon, "crm", 4);
    assert_eq!(score(&site, "acme").as_deref(), Some("100"));
    assert!(quarantine(&["list"]).contains("0 in quarantine"));
    ends(daemon);
}

#[test]
fn a_record_that_was_named_is_written_to_at_once() {
    let site = with_twin();
    let daemon = site.daemon(DATE, "daemon.log");
    synced(&daemon, "crm", 1);
    assert!(site.run(&["match"]).exits(0).stdout.contains("3 matched, 1 not"));
    site.run(&["match", "export", "matches.csv"]).exits(0);
    let exported = std::fs::read_to_string(site.path("matches.csv")).expect("it is written");
    let named =
        exported.replacen("crm,company,acme,acme,,", &format!("crm,company,acme,acme,{},", id(&site, "Twin")), 1);
    assert_ne!(named, exported);

    // One wrong line, and nothing is taken in.
    std::fs::write(site.path("wrong.csv"), format!("{named}crm,company,nobody,,7,,,\n")).expect("it is written");
    let refused = site.run(&["match", "import", "wrong.csv"]).exits(2);
    assert!(refused.stderr.contains("holds no company of `nobody`"), "{}", refused.stderr);
    std::fs::write(site.path("matches.csv"), named).expect("it is written");
    assert!(site.run(&["match", "import", "matches.csv"]).exits(0).stdout.contains("1 records named"));
    synced(&daemon, "crm", 2);
    assert_eq!((score(&site, "Twin").as_deref(), score(&site, "acme")), (Some("100"), None));
    assert!(site.run(&["match"]).exits(0).stdout.contains("4 matched, 0 not"));
    assert!(site.run(&["quarantine"]).exits(0).stdout.contains("0 in quarantine"));
    ends(daemon);
}

#[test]
fn what_somebody_changed_is_seen_by_a_plan_that_reads_back_and_mended_by_the_next_sync() {
    let site = Site::with_story();
    site.config(&quiet(&site));
    let daemon = site.daemon(DATE, "daemon.log");
    synced(&daemon, "crm", 1);
    somebody_scores(&site, "acme", "7");
    site.run(&["plan", "crm", "--exit-code"]).exits(0);
    let plan = site.run(&["plan", "crm", "--refresh", "--exit-code"]).exits(4);
    assert!(plan.stderr.contains("2 records read back in 1 calls, 1 changed by others"), "{}", plan.stderr);
    assert!(plan.stdout.contains("told 100, holds 7: written again"), "{}", plan.stdout);
    assert_eq!(score(&site, "acme").as_deref(), Some("7"), "a plan writes nothing");
    site.run(&["approve", "crm"]).exits(0);
    synced(&daemon, "crm", 2);
    assert_eq!(score(&site, "acme").as_deref(), Some("100"));
    ends(daemon);
}

/// Puts everything that was seen two days back, by way of an export: the only clock that is not `--as-of`.
fn two_days_pass(site: &Site) {
    site.run(&["state", "export", "before.gz"]).exits(0);
    let text = super::login::inflate(&site.path("before.gz"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    for line in &mut lines {
        let mut entry: Json = serde_json::from_str(line).expect("JSON");
        if let Some(seen) = entry.pointer_mut("/json/seen") {
            *seen = json!(seen.as_i64().expect("milliseconds") - 2 * 86_400_000);
            *line = entry.to_string();
        }
    }
    let text = lines.join("\n") + "\n";
    let checksum = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
    let last = format!("{{\"keys\":{},\"checksum\":\"{checksum}\"}}\n", lines.len() - 1);
    std::fs::write(site.path("after"), text + &last).expect("it is written");
    site.run(&["state", "import", "after", "--replace"]).exits(0);
}

/// A hundred companies a sync are few enough for any limit, and all come in turn.
#[test]
fn what_was_not_seen_for_a_day_is_read_back_in_turn_and_mended() {
    let site = Site::new();
    let minutely = |text: &str| text.replacen("\"0 0 1 1 *\"", "\"* * * * *\"", 2);
    let config = minutely(&quiet(&site));
    site.config(&config);
    for n in 0..120 {
        site.archive(&format!("{n}.ndjson"), &story(&format!("c{n:03}"), &format!("u{n}"), 10));
    }
    let companies: Vec<Json> =
        (0..120).map(|n| json!({"name": format!("c{n:03}"), "domain": format!("c{n:03}.example")})).collect();
    site.vendors.hubspot.seed(&json!({ "companies": companies }));
    site.once(DATE, 0);
    somebody_scores(&site, "c000", "7");
    somebody_scores(&site, "c119", "7");
    let scores = || ["c000", "c119"].map(|name| score(&site, name).unwrap_or_default());
    let ours = || scores() == ["100", "100"];

    // Nothing is due yet.
    let daemon = site.daemon(DATE, "first.log");
    daemon.logs("synced destination=crm read=0 ");
    assert_eq!(scores(), ["7", "7"]);
    ends(daemon);
    two_days_pass(&site);
    site.config(&config.replace("    companies:", "    refresh: off\n    companies:"));
    let daemon = site.daemon(DATE, "off.log");
    daemon.logs("synced destination=crm read=0 ");
    ends(daemon);

    site.config(&config.replace("    companies:", "    refresh: daily\n    companies:"));
    let daemon = site.daemon(DATE, "daily.log");
    daemon.logs("synced destination=crm read=100 ");
    site.run(&["approve", "crm"]).exits(0);
    wait_for("the last twenty", || daemon.logged().contains("synced destination=crm read=20 "));
    assert!(ours(), "{:?}", scores());
    site.run(&["approve", "crm"]).exits(0);
    wait_for("a sync with nothing due", || daemon.logged().contains("synced destination=crm read=0 "));
    ends(daemon);
}

#[test]
fn an_account_that_is_snoozed_is_told_nobody_until_that_is_ended() {
    let site = Site::with_story();
    site.config(&quiet(&site));
    // Gamma stops with Acme.
    site.archive("gamma.ndjson", &story("gamma", "u3", 10));
    let alerts = |arguments: &[&str]| site.run(&[&["alerts"], arguments].concat());
    let daemon = site.daemon(DATE, "first.log");
    synced(&daemon, "team", 1);
    assert!(alerts(&["snooze", "nobody", "7d"]).exits(1).stderr.contains("nobody"));
    assert!(alerts(&["snooze", "acme", "7d", "--rule", "score_drp"]).exits(1).stderr.contains("there are: score_drop"));
    alerts(&["snooze", "acme", "a week"]).exits(2);
    for span in ["99999999d", "3651d", "122mo"] {
        let said = alerts(&["snooze", "acme", span]).exits(2).stderr;
        assert!(said.contains(span) && said.contains("at most ten years"), "{said}");
    }
    let said = alerts(&["snooze", "acme.example", "30d"]).exits(0).stdout;
    assert!(said.contains("all alerts about acme are silent until"), "{said}");
    alerts(&["snooze", "gamma", "1d"]).exits(0);
    assert_eq!(status(&site)["snoozed"].as_array().map(Vec::len), Some(2));
    ends(daemon);

    let daemon = site.daemon(LATER, "second.log");
    synced(&daemon, "team", 1);
    let messages = site.messages();
    assert!(messages.len() == 1 && messages[0].contains("gamma"), "{messages:?}");
    let report = status(&site);
    assert_eq!(report["destinations"]["team"]["last"]["alerts"]["snoozed"], 1, "{report}");
    let list = alerts(&["list"]).exits(0).stdout;
    assert!(list.contains("no alert waits") && list.contains("acme") && !list.contains("gamma"), "{list}");
    assert!(alerts(&["unsnooze", "acme"]).exits(0).stdout.contains("are told again"));
    assert!(alerts(&["unsnooze", "acme"]).exits(1).stderr.contains("were not silent"));
    assert_eq!(status(&site)["snoozed"], Json::Null);
    ends(daemon);
}

#[test]
fn a_token_that_is_refused_stops_its_destination_alone_until_another_is_there() {
    let site = Site::with_story();
    site.config(&quiet(&site).replacen("${VITALSYNC_TEST_TOKEN}", "${file:hubspot.token}", 1));
    std::fs::write(site.path("hubspot.token"), "revoked-token\n").expect("it is written");
    let daemon = site.daemon(DATE, "first.log");
    ["crm", "desk", "team"].iter().for_each(|name| synced(&daemon, name, 1));
    assert_eq!(site.tags("u1"), ["Health: healthy"], "the others go on");
    let parked = status(&site)["destinations"]["crm"]["parked"].clone();
    assert!(parked.is_object(), "{parked}");
    assert_eq!(status(&site)["destinations"]["desk"]["parked"], Json::Null);
    let said = site.run(&["status"]).exits(0).stdout;
    assert!(said.contains("does not accept the token (401)"), "{said}");
    assert!(!said.contains("revoked-token"), "{said}");
    // Once by the start, once more since it was not known to be refused; then no more.
    for times in 2..=5 {
        site.run(&["approve", "crm"]).exits(0);
        synced(&daemon, "crm", times);
    }
    let asked = site.vendors.hubspot.journal();
    assert!(asked.len() <= 2 && asked.iter().all(|line| line.ends_with(" 401")), "{asked:?}");
    ends(daemon);

    std::fs::write(site.path("hubspot.token"), "sandbox-token\n").expect("it is written");
    let told = site.vendors.intercom.journal();
    let daemon = site.daemon(DATE, "second.log");
    ["crm", "desk"].iter().for_each(|name| synced(&daemon, name, 1));
    assert_eq!(score(&site, "acme").as_deref(), Some("100"));
    assert_eq!(status(&site)["destinations"]["crm"]["parked"], Json::Null);
    assert_eq!(site.vendors.intercom.journal(), told, "nothing is told twice");
    ends(daemon);
}
