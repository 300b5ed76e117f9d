//! `validate --online`: what the tools say to a config, at its lines, without anything written.

use crate::site::{Site, TOKEN_NAME};

#[test]
fn a_good_config_is_good_online_and_nothing_is_written() {
    let site = Site::with_story();
    let before = site.vendors.hubspot.state();
    let report = site.run(&["validate", "--online", "--format", "json"]).exits(0).json();
    assert_eq!((&report["valid"], &report["online"]), (&true.into(), &true.into()), "{report}");
    assert_eq!(report["faults"], serde_json::json!([]));
    assert_eq!(site.vendors.hubspot.state(), before);
    assert!(!site.path("state").exists(), "asking makes no state");
    let journal = site.vendors.hubspot.journal();
    assert!(!journal.is_empty() && journal.iter().all(|line| line.starts_with("GET ")), "{journal:?}");
    assert_eq!(site.run(&["validate", "--format", "json"]).exits(0).json()["online"], false);
    assert_eq!(site.vendors.hubspot.journal(), journal, "without --online nobody is asked");
}

#[test]
fn a_token_that_is_refused_stands_at_its_destination() {
    let site = Site::with_story();
    let mut command = site.command(&["validate", "--online"]);
    command.env(TOKEN_NAME, "another");
    let output = site.run_command(command).exits(2);
    let config = std::fs::read_to_string(site.path("vitalsync.yaml")).expect("the config");
    let line = 1 + config.lines().position(|line| line.trim() == "crm:").expect("the destination");
    assert!(output.stderr.contains(&format!("vitalsync.yaml:{line}:")), "{}", output.stderr);
    assert!(output.stderr.contains("does not accept the token (401)"), "{}", output.stderr);
    assert!(output.stdout.contains("errors"), "{}", output.stdout);
}

#[test]
fn a_tool_that_is_not_there_could_not_be_asked() {
    let site = Site::with_story();
    // The port of nobody: reserved and never listened on.
    site.config(&site.standard().replace(&site.vendors.hubspot.base_url, "http://127.0.0.1:1"));
    let output = site.run(&["validate", "--online"]).exits(1);
    assert!(output.stdout.contains("crm could not be asked: "), "{}", output.stdout);
}

#[test]
fn a_property_that_can_t_hold_what_is_mapped_stands_at_its_line() {
    let site = Site::with_story();
    let property = |name: &str, kind: &str, field: &str| serde_json::json!({"name": name, "label": name, "type": kind, "fieldType": field, "groupName": "companyinformation"});
    site.vendors.hubspot.seed(&serde_json::json!({"properties": [property("vitalsync_health_score", "date", "date")]}));
    // HubSpot's own: a list to which nobody adds, and one that HubSpot computes.
    let more = "        industry: health.band\n        hs_object_id_copy: last_active\n";
    let config =
        site.standard().replace("        vitalsync_health_band:", &format!("{more}        vitalsync_health_band:"));
    site.config(&config);
    let output = site.run(&["validate", "--online"]).exits(2);
    for (line, said) in [
        (
            "vitalsync_health_score: health.score",
            "expected `vitalsync_health_score` to be a property of type number, found type date",
        ),
        ("industry: health.band", "`industry` is a list to which nobody can add"),
    ] {
        let at = 1 + config.lines().position(|found| found.trim() == line).expect("the property");
        assert!(output.stderr.contains(&format!("vitalsync.yaml:{at}:9: {said}")), "{}", output.stderr);
    }
    assert!(output.stdout.contains("2 errors"), "{}", output.stdout);
    assert!(!output.stderr.contains("hs_object_id_copy"), "what is missing will be created: {}", output.stderr);
}
