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
            let (user, day) = (format!("u{n}-{}", day % n), format!("2026-03-{day:02}"));
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

/// The messages of warnings with their lines in the config.
fn warned(warnings: &Json) -> Vec<String> {
    let warnings = warnings.as_array().expect("warnings").iter();
    let said = warnings.map(|warning| {
        let place = warning["place"].as_str().expect("a place").strip_prefix("vitalsync.yaml:").expect("the file");
        format!("{} {}", place.split(':').next().unwrap_or_default(), warning["message"].as_str().expect("a message"))
    });
    said.collect()
}

/// What the config alone is worth warnings for, by line.
const OF_CONFIG: [&str; 2] = [
    "11 profile `customer` scores 2 events, so that each of them weighs much",
    "15 `Logged In` has weight 9, among the highest: coming in is not yet using it",
];

/// And what the data says.
fn of_data() -> Vec<String> {
    let frequent = |event: &str, times: u32, accounts: u32| {
        format!("8 no profile scores `{event}`, done {times} times by {accounts} of 12 active accounts in 30 days")
    };
    let mut all: Vec<String> = OF_CONFIG.map(str::to_owned).into();
    all.extend([frequent("Report Exported", 149, 6)]);
    all.extend(
        ["Report Made", "Report Read", "Report Sent"].map(|name| format!("10 `{name}` was never seen in the data")),
    );
    all.extend(
        ["14 `Report Opend` was never seen in the data", "20 `Teammate Invited` was never seen in the data"]
            .map(str::to_owned),
    );
    all.push(
        "8 profile `enterprise` is no account's: its `for` holds for none, or profiles before it have them all".into(),
    );
    all.push(
        "11 profile `customer`: score and number of users go together (rank correlation 1.00): it ranks size".into(),
    );
    all.sort();
    all
}

#[test]
fn validate_says_what_the_config_alone_is_worth_a_warning_for() {
    let site = odd();
    let report = site.run(&["validate", "--format", "json"]).exits(0).json();
    assert_eq!(warned(&report["warnings"]), OF_CONFIG);
    assert_eq!((&report["valid"], &report["data"]), (&json!(true), &json!(false)));
    let notes =
        ["weight 0, left out on purpose: Heartbeat", "looked at the config only: nothing was read yet into state"];
    assert_eq!(report["notes"], json!(notes));
    assert!(!site.path("state").exists(), "it only looks");

    let shown = site.run(&["validate"]).exits(0);
    assert!(shown.stderr.contains("vitalsync.yaml:15:7: warning: `Logged In`"), "{}", shown.stderr);
    assert!(shown.stderr.contains("Logged In: 9") && shown.stdout.contains("left out on purpose: Heartbeat"));
}

#[test]
fn validate_says_what_the_data_says_with_and_without_a_daemon() {
    let site = odd();
    site.run(&["accounts", "--as-of", AT]).exits(0);
    let validate = || site.run(&["validate", "--format", "json", "--as-of", AT]).exits(0).json();
    let alone = validate();
    let mut said = warned(&alone["warnings"]);
    said.sort();
    assert_eq!((said, &alone["data"]), (of_data(), &json!(true)));
    let _daemon = site.daemon(AT, "daemon.log");
    assert_eq!(validate(), alone);
    site.config(&ODD.replace("Logged In: 9", "Logged In: 2").replace("Report Opend", "Report Opened"));
    let said = warned(&validate()["warnings"]);
    assert!(
        !said.iter().any(|said| said.contains("Opend") || said.contains("weight")),
        "the file as it is now: {said:?}"
    );
}

#[test]
fn whatever_asks_for_an_event_or_a_kind_of_value_is_held_against_the_data() {
    let site = odd();
    let seats = json!({"type": "group", "messageId": "g", "userId": "u1-0", "groupId": "a01",
        "traits": {"seats": "many", "pulse": "well"}, "timestamp": "2026-03-02T12:00:00.000Z"});
    site.archive("seats.ndjson", &[seats.to_string()]);
    site.config(
        &format!(
            r##"{ODD}  team:
    type: slack
    token: "${{VITALSYNC_TEST_TOKEN}}"
    alerts:
      many: {{ milestone: {{ event: Report Opende, count: 10 }}, to: "#cs" }}
features:
  reports: [Report Opened, Report Shown]
signals:
  ticket: [Ticket Opened]
segments:
  large: traits.seats > 10
"##
        )
        .replace(
            "window: 30d",
            "components: { usage: { weight: 70 }, pulse: { from: traits.pulse, range: [0, 10], weight: 30 } }",
        ),
    );
    site.run(&["accounts", "--as-of", AT]).exits(0);
    let report = site.run(&["validate", "--format", "json", "--as-of", AT]).exits(0).json();
    let said = warned(&report["warnings"]);
    for line in [
        "12 profile `customer`: values of component `pulse` that are left out, because they are no number or an unknown word: 1",
        "40 `Report Opende` was never seen in the data",
        "42 `Report Shown` was never seen in the data",
        "44 `Ticket Opened` was never seen in the data",
        "46 segments.large: asked about 12, it compared values of unlike kinds, such as text with a number: 1",
    ] {
        assert!(said.iter().any(|said| said == line), "{line}: {said:#?}");
    }
}

#[test]
fn a_state_that_can_not_be_looked_at_is_a_note() {
    let site = odd();
    site.run(&["accounts", "--as-of", AT]).exits(0);
    std::fs::remove_dir_all(site.path("state/db")).expect("it is there");
    std::fs::write(site.path("state/db"), "no database").expect("it is written");
    let report = site.run(&["validate", "--format", "json"]).exits(0).json();
    assert_eq!((warned(&report["warnings"]).len(), &report["data"]), (2, &json!(false)));
    assert!(
        report["notes"][1].as_str().expect("a note").contains("looked at the config only: can't write the state"),
        "{}",
        report["notes"]
    );
}

#[test]
fn a_crowd_at_risk_is_told_with_bounds_that_leave_a_fifth() {
    let site = odd();
    site.run(&["accounts", "--as-of", AT]).exits(0);
    site.config(&ODD.replace("window: 30d", "bands: { healthy: 100, at_risk: 95 }"));
    let report = site.run(&["validate", "--format", "json", "--as-of", AT]).exits(0).json();
    let told =
        report["warnings"].as_array().expect("warnings").iter().find(|one| one["place"] == "vitalsync.yaml:12:12");
    let told = told.unwrap_or_else(|| panic!("{report}"));
    assert!(told["message"].as_str().expect("a message").contains("of 12 accounts"), "{told}");
    let bounds = told["hint"].as_str().expect("a hint").split('`').nth(1).expect("bounds").to_owned();
    site.config(&ODD.replace("window: 30d", &bounds));
    let report = site.run(&["validate", "--format", "json", "--as-of", AT]).exits(0).json();
    assert!(!report.to_string().contains("at risk"), "{report}");
}

#[test]
fn the_plans_before_the_first_sync_say_it_once() {
    let site = odd();
    let plans = site.run(&["plan", "--format", "json", "--as-of", AT]).exits(0).json();
    for plan in plans.as_array().expect("plans") {
        let mut said = warned(&plan["warnings"]);
        said.sort();
        assert_eq!(said, of_data());
    }
    let shown = site.run(&["plan", "--as-of", AT]).exits(0).stderr;
    assert_eq!(shown.matches("`Logged In` has weight 9").count(), 1, "{shown}");

    let synced = Site::with_story();
    synced.once(AT, 0);
    let plans = synced.run(&["plan", "--format", "json", "--as-of", AT]).exits(0).json();
    assert!(plans.as_array().expect("plans").iter().all(|plan| plan["warnings"].is_null()), "{plans}");
}
