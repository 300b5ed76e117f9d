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
