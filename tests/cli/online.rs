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

/// The story, with sources that ask HubSpot and Intercom.
fn reading() -> (Site, String) {
    let site = Site::with_story();
    let sources = "sources:
  people:
    type: hubspot
    destination: crm
    read:
      - name
      - hubspot_owner_id
      - industri
  support:
    type: intercom
    base_url: INTERCOM
    token: \"${VITALSYNC_TEST_TOKEN}\"
    read:
      - open_tickets
      - open_conversations
"
    .replace("INTERCOM", &site.vendors.intercom.base_url);
    let config = site.standard().replacen("sources:\n", &sources, 1);
    (site, config)
}

/// Where a line stands, as a fault of that line begins.
#[track_caller]
fn at(config: &str, line: &str) -> String {
    let found = config.lines().position(|found| found.trim() == line).expect("the line");
    format!("vitalsync.yaml:{}:", 1 + found)
}

#[test]
fn what_a_source_reads_and_is_not_there_stands_at_its_line() {
    let (site, config) = reading();
    site.config(&config);
    let output = site.run(&["validate", "--online"]).exits(2);
    let said = "companies have no property `industri`; did you mean `industry`?";
    assert!(output.stderr.contains(&format!("{}9: {said}", at(&config, "- industri"))), "{}", output.stderr);
    assert!(output.stdout.contains("1 error"), "{}", output.stdout);
    site.config(&config.replace("industri", "industry"));
    let before = (site.vendors.hubspot.state(), site.vendors.intercom.state());
    let report = site.run(&["validate", "--online", "--format", "json"]).exits(0).json();
    assert_eq!(report["sources"], serde_json::json!(["product", "people", "support"]));
    assert_eq!((site.vendors.hubspot.state(), site.vendors.intercom.state()), before, "asking changes nothing");
}

#[test]
fn what_a_source_may_not_read_stands_at_its_line() {
    let (site, config) = reading();
    let config = config.replace("industri", "industry");
    site.config(&config);
    let denied = |scope: &str| {
        let errors = serde_json::json!([{"context": {"requiredGranularScopes": [scope]}}]);
        let body = serde_json::json!({"category": "MISSING_SCOPES", "errors": errors}).to_string();
        serde_json::json!({"answer": {"status": 403, "body": body}})
    };
    let owners = serde_json::json!({"match": "GET /crm/owners", "kind": denied("crm.objects.owners.read")});
    site.vendors.hubspot.faults(&serde_json::json!([owners]));
    let forbidden = |path: &str| serde_json::json!({"match": path, "kind": {"answer": {"status": 403, "body": "{}"}}});
    let companies = forbidden("GET /contacts/0/companies");
    site.vendors.intercom.faults(&serde_json::json!([forbidden("POST /conversations"), companies]));
    let output = site.run(&["validate", "--online"]).exits(2);
    for (line, said) in [
        ("- hubspot_owner_id", "the token lacks a scope (403): crm.objects.owners.read"),
        ("- open_conversations", "check that the app may read conversations"),
        ("type: intercom", "check that the app may read and write companies"),
    ] {
        let place = at(&config, line);
        let found = output.stderr.lines().any(|shown| shown.contains(&place) && shown.contains(said));
        assert!(found, "{line}: {}", output.all());
    }
    assert!(output.stdout.contains("3 errors"), "{}", output.stdout);
}

#[test]
fn a_token_of_a_source_that_is_refused_stands_at_the_source() {
    let (site, config) = reading();
    let config = config.replacen("${VITALSYNC_TEST_TOKEN}", "another", 1).replace("industri", "industry");
    site.config(&config);
    let output = site.run(&["validate", "--online"]).exits(2);
    let place = at(&config, "support:");
    assert!(output.stderr.lines().any(|line| line.contains(&place) && line.contains("(401")), "{}", output.stderr);
    assert!(output.stdout.contains("1 error"), "{}", output.stdout);
}

#[test]
fn a_channel_a_person_or_a_scope_that_is_not_there_stands_at_its_line() {
    let site = Site::with_story();
    let old = serde_json::json!({"name": "old", "archived": true});
    site.vendors.slack.seed(&serde_json::json!({"channels": [old]}));
    let rules = "
      typo: { drop: 15, fallback: \"#cs-alerts\", to: \"#cs-alert\" }
      archived: { drop: 15, to: \"#old\" }
      nobody: { drop: 15, to: nobody@ourselves.example }
      owned: { drop: 15, to: owner, fallback: \"#cs-alerts\" }
";
    let config = site.standard();
    let (head, _) = config.split_once("    alerts:").expect("alerts");
    let config = format!("{head}    alerts:{rules}");
    site.config(&config);
    let before = site.vendors.slack.state();
    let output = site.run(&["validate", "--online"]).exits(2);
    for (line, said) in [
        ("typo:", "Slack knows no channel #cs-alert that the bot can see"),
        ("archived:", "#old is archived: unarchive it or change `to`"),
        ("nobody:", "nobody in Slack has that e-mail"),
    ] {
        let (at, text) = config.lines().enumerate().find(|(_, text)| text.trim().starts_with(line)).expect("the rule");
        let column = text.find(" to: ").expect("to") + 6;
        assert!(output.stderr.contains(&format!("vitalsync.yaml:{}:{column}: {said}", at + 1)), "{}", output.stderr);
    }
    assert!(output.stdout.contains("3 errors"), "{}", output.stdout);
    assert_eq!(site.vendors.slack.state(), before, "nothing is posted or opened");

    site.vendors.slack.seed(&serde_json::json!({"scopes": ["chat:write", "channels:read", "groups:read"]}));
    let output = site.run(&["validate", "--online"]).exits(2);
    assert_eq!(output.stderr.matches("add the scope users:read.email").count(), 2, "{}", output.stderr);
    site.vendors.slack.seed(&serde_json::json!({"scopes": ["channels:read"]}));
    let output = site.run(&["validate", "--online"]).exits(2);
    let at = 1 + config.lines().position(|line| line.trim() == "team:").expect("the destination");
    let said = format!("vitalsync.yaml:{at}:");
    assert!(output.stderr.contains(&said) && output.stderr.contains("add the scope chat:write"), "{}", output.stderr);
}
