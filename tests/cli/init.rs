//! `init`: a first config from an archive, and what the others say of it.

use super::site::{Output, Site, track};

/// After the last day of the data.
const AT: &str = "2026-03-31";

/// Twenty accounts that begin one after the other from January 1 on. The later ones do more of what is rare; each creates a
/// project and invites somebody in its first days.
fn crowd() -> Vec<String> {
    let mut lines = Vec::new();
    let day = |day: u32| {
        let (month, day) = if day < 31 {
            (1, day)
        } else if day < 59 {
            (2, day - 31)
        } else {
            (3, day - 59)
        };
        format!("2026-{month:02}-{:02}", day + 1)
    };
    for n in 1..=20 {
        let begin = 2 * (n - 1);
        let mut add = |event: &str, at: u32| {
            let user = format!("u{n}-{}", at % (1 + n % 4));
            lines.push(track(&format!("{n}-{event}-{at}"), &format!("a{n:02}"), &user, event, &day(at)));
        };
        add("Project Created", begin);
        add("Teammate Invited", begin + 1);
        for at in (begin..90).filter(|at| at % 20 <= n) {
            add("Logged In", at);
            add("Page Viewed", at);
            add("Report Opened", at);
            if n > 6 && at % 2 == 0 {
                add("Report Exported", at);
            }
            if n > 14 && at % 3 == 0 {
                add("Dashboard Built", at);
            }
            if n > 17 && at % 5 == 0 {
                add("Alert \"Loud\" Set", at);
            }
        }
    }
    lines
}

fn init(site: &Site, arguments: &[&str]) -> Output {
    site.run(&[&["init", "--as-of", AT][..], arguments].concat())
}

fn site() -> Site {
    let site = Site::new();
    site.archive("crowd.ndjson", &crowd());
    std::fs::remove_file(site.path("vitalsync.yaml")).expect("the standard config");
    site
}

#[test]
fn a_first_config_fits_the_data_and_the_rest_of_the_program_takes_it() {
    let site = site();
    let shown = init(&site, &["--source", "archive"]).exits(0).stdout;
    let written = std::fs::read_to_string(site.path("vitalsync.yaml")).expect("a config");
    assert_eq!(written, include_str!("init.yaml"));
    assert_eq!(shown, include_str!("init.txt"));

    site.run(&["accounts", "--as-of", AT]).exits(0);
    let validated = site.run(&["validate", "--as-of", AT, "--format", "json"]).exits(0).json();
    assert_eq!(validated["data"], true);
    assert_eq!(validated["warnings"], serde_json::json!([]));
}

#[test]
fn it_writes_over_nothing() {
    let site = site();
    site.config("mine");
    let refused = init(&site, &["--source", "archive"]).exits(2);
    assert!(refused.stderr.contains("vitalsync.yaml is there already") && refused.stderr.contains("--out"));
    init(&site, &["--source", "archive", "--out", "vitalsync.yaml"]).exits(2);
    assert_eq!(std::fs::read_to_string(site.path("vitalsync.yaml")).expect("it"), "mine");
    assert!(!site.path("state").exists(), "it leaves no state");

    let report =
        init(&site, &["--source", "archive/crowd.ndjson", "--out", "other.yaml", "--format", "json"]).exits(0).json();
    assert_eq!((&report["written"], &report["accounts"]), (&"other.yaml".into(), &20.into()));
    let other = std::fs::read_to_string(site.path("other.yaml")).expect("a config");
    assert!(other.contains("location: \"./archive/crowd.ndjson\""), "{other}");
}

#[test]
fn it_says_what_is_wrong_with_a_source() {
    let site = site();
    let missing = init(&site, &["--source", "nowhere"]).exits(1).stderr;
    assert!(missing.contains("there is no archive at") && missing.contains("nowhere"), "{missing}");
    std::fs::create_dir(site.path("empty")).expect("a directory");
    let empty = init(&site, &["--source", "empty"]).exits(1).stderr;
    assert!(empty.contains("no event in empty"), "{empty}");
    let early = site.run(&["init", "--source", "archive", "--as-of", "2025-01-01"]).exits(1).stderr;
    assert!(early.contains("--as-of"), "{early}");
    let away = init(&site, &["--source", "archive", "--out", "not/there.yaml"]).exits(1).stderr;
    assert!(away.contains("can't write not/there.yaml"), "{away}");
    assert!(!site.path("vitalsync.yaml").exists());
}

#[test]
fn it_says_where_calls_name_their_account_in_another_way() {
    let site = site();
    std::fs::create_dir(site.path("other")).expect("a directory");
    let call = r#"{"type":"track","messageId":"1","userId":"u","event":"A","properties":{"company_id":"a"},"timestamp":"2026-03-01T09:00:00Z"}"#;
    std::fs::write(site.path("other/a.ndjson"), format!("{call}\n")).expect("it is written");
    let refused = init(&site, &["--source", "other"]).exits(1).stderr;
    assert!(
        refused.contains("none of 1 events in other says which account") && refused.contains("accounts: { id:"),
        "{refused}"
    );
}

#[test]
fn few_accounts_get_the_default_bands() {
    let site = site();
    site.archive("crowd.ndjson", &[track("m", "a", "u", "Shared", "2026-03-01")]);
    let shown = init(&site, &["--source", "archive", "--yes"]).exits(0).stdout;
    assert!(shown.contains("1 events by 1 users of 1 accounts") && shown.contains("too few to fit"), "{shown}");
    assert!(std::fs::read_to_string(site.path("vitalsync.yaml")).expect("it").contains("healthy: 70, at_risk: 40"));
}
