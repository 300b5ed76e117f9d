//! `events`, and the warnings of `validate` and `plan`: what the config and the data say to each other.

use serde_json::{Value as Json, json};

use super::site::{Site, track};

/// After the last day of the data.
const AT: &str = "2026-03-31";

/// Twelve accounts, the n-th of them with n users that open reports on n days of March. All log in, most export.
fn crowd() -> Vec<String> {
    let mut lines = Vec::new();
    for n in 1..=12 {
        for day in (1..=31).filter(|day| day % 12 < n) {
            let day = format!("2026-03-{day:02}");
            let user = format!("u{n}-{}", lines.len() % n);
            let mut add =
                |event: &str| lines.push(track(&format!("m{}", lines.len()), &format!("a{n:02}"), &user, event, &day));
            add("Report Opened");
            add("Logged In");
            if n > 6 {
                add("Report Exported");
            }
        }
    }
    lines
}

/// Reports by the wrong name, log-ins on top, a profile for nobody, nobody told anything.
const ODD: &str = r##"version: 1
timezone: UTC
sources:
  product:
    type: segment_archive
    location: ./archive
profiles:
  - name: enterprise
    for: traits.plan == "enterprise"
    events: { Logged In: 1, Report Opened: 2, Report Sent: 4, Report Made: 5, Report Read: 6 }
  - name: customer
    window: 30d
    events:
      Report Opend: 5
      Logged In: 9
      Heartbeat: 0
activation:
  steps:
    opened: Report Opened
    invited: Teammate Invited
destinations:
  crm:
    type: hubspot
    base_url: http://127.0.0.1:9
    token: "${VITALSYNC_TEST_TOKEN}"
    companies:
      match: [ property: vitalsync_account_id ]
      properties: { vitalsync_health_score: health.score }
  desk:
    type: intercom
    base_url: http://127.0.0.1:9
    token: "${VITALSYNC_TEST_TOKEN}"
    contacts:
      match: [ external_id: user.id ]
      attributes: { account_health: account.health.score }
"##;

fn odd() -> Site {
    let site = Site::new();
    site.archive("crowd.ndjson", &crowd());
    site.config(ODD);
    site
}

fn named<'j>(report: &'j Json, name: &str) -> &'j Json {
    let events = report["events"].as_array().expect("events");
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn events_are_shown_with_their_use_their_weights_and_what_is_odd() {
    let site = odd();
    let report = site.run(&["events", "--format", "json", "--as-of", AT]).exits(0).json();
    assert_eq!((&report["active_accounts_30d"], &report["as_of"]), (&json!(12), &json!("2026-03-31T23:59:59.999Z")));
    let login = named(&report, "Logged In");
    assert_eq!(login["weights"], json!({"customer": 9.0, "enterprise": 1.0}));
    assert_eq!(
        (&login["accounts_30d"], &login["first_seen"], &login["flags"]),
        (&json!(12), &json!("2026-03-01"), &json!([]))
    );
    let exported = named(&report, "Report Exported");
    assert_eq!((&exported["flags"], &exported["weights"]["customer"]), (&json!(["unscored_frequent"]), &Json::Null));
    let opened = named(&report, "Report Opend");
    assert_eq!((&opened["flags"], &opened["nearest"]), (&json!(["never_seen"]), &json!("Report Opened")));
    assert_eq!(named(&report, "Teammate Invited")["steps"], json!(["invited"]));
    assert_eq!(named(&report, "Heartbeat")["weights"]["customer"], json!(0.0));

    let shown = site.run(&["events", "--as-of", AT]).exits(0).stdout;
    for part in ["never seen; did you mean `Report Opened`?", "frequent, and no profile scores it", "excluded"] {
        assert!(shown.contains(part), "{shown}");
    }
    let early = site.run(&["events", "--format", "json", "--as-of", "2026-02-01"]).exits(0).json();
    assert_eq!(named(&early, "Logged In")["first_seen"], Json::Null, "not yet");
}

#[test]
fn a_daemon_answers_for_its_events() {
    let site = odd();
    let alone = site.run(&["events", "--format", "json", "--as-of", AT]).exits(0).json();
    let _daemon = site.daemon(AT, "daemon.log");
    assert_eq!(site.run(&["events", "--format", "json", "--as-of", AT]).exits(0).json(), alone);
}
