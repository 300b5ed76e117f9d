//! What goes to the tools, and when: observing first, changes alone, one alert for one occasion.

use serde_json::Value as Json;

use super::site::{Site, story, track, within};

const HEALTHY: &str = "2026-03-10";
const FALLEN: &str = "2026-03-14";
const GONE: &str = "2026-03-17";

fn operations<'j>(plans: &'j Json, destination: &str) -> &'j Vec<Json> {
    let plan = plans.as_array().expect("plans").iter().find(|plan| plan["destination"] == destination);
    plan.expect("the destination's plan")["operations"].as_array().expect("operations")
}

#[test]
fn a_destination_observes_until_it_is_approved() {
    let site = Site::with_story();
    site.config(&site.standard().replace("    mode: live\n", ""));
    let summary = site.once(HEALTHY, 0);
    assert_eq!(site.requests(), [0, 0, 0]);
    for name in ["crm", "desk"] {
        let destination = &summary["destinations"][name];
        assert!(destination["changed"].as_u64() > Some(0), "{destination}");
        assert!(destination["notes"].to_string().contains(&format!("vitalsync approve {name}")), "{destination}");
    }
    let plans = site.run(&["plan", "--format", "json", "--as-of", HEALTHY]).exits(0).json();
    assert!(operations(&plans, "crm").iter().any(|one| one["subject"] == "acme"), "{plans}");
    let shown = site.run(&["plan", "crm", "--as-of", HEALTHY]).exits(0).stdout;
    assert!(shown.contains("vitalsync_health_score: – → 100"), "{shown}");
    assert!(shown.contains("vitalsync approve crm") && !shown.contains("desk"), "{shown}");
    site.run(&["plan", "--exit-code", "--as-of", HEALTHY]).exits(4);
    assert_eq!(site.requests(), [0, 0, 0], "a plan asks nobody");

    site.run(&["approve", "crm"]).exits(0);
    let again = site.run(&["approve", "crm"]).exits(0);
    assert!(again.stdout.contains("already"), "{}", again.stdout);
    let summary = site.once(HEALTHY, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"), "{summary}");
    assert_eq!(site.company("beta", "vitalsync_health_band").as_deref(), Some("healthy"));
    assert_eq!(site.requests()[1..], [0, 0], "only what was approved writes");
    let plans = site.run(&["plan", "--format", "json", "--as-of", HEALTHY]).exits(0).json();
    assert!(operations(&plans, "crm").is_empty() && !operations(&plans, "desk").is_empty(), "{plans}");
    site.run(&["plan", "crm", "--exit-code", "--as-of", HEALTHY]).exits(0);
    site.run(&["plan", "--exit-code", "--as-of", HEALTHY]).exits(4);
}

#[test]
fn a_band_change_removes_the_old_tag() {
    let site = Site::with_story();
    site.once(HEALTHY, 0);
    assert_eq!((site.tags("u1"), site.tags("u2")), (vec!["Health: healthy".into()], vec!["Health: healthy".into()]));
    site.once(GONE, 0);
    assert_eq!((site.tags("u1"), site.tags("u2")), (vec!["Health: at risk".into()], vec!["Health: healthy".into()]));
    let told = site.run(&["explain", "acme", "--as-of", GONE]).exits(0).stdout;
    assert!(told.contains("told desk contact/u1") && told.contains("told crm company/acme"), "{told}");
}

#[test]
fn a_fall_is_told_once() {
    let site = Site::with_story();
    let first = site.once(HEALTHY, 0);
    assert_eq!((&first["alerts"]["fired"], site.messages().len()), (&0.into(), 0), "the first run is silent");
    let plans = site.run(&["plan", "--format", "json", "--as-of", FALLEN]).exits(0).json();
    let is_alert = |one: &&Json| one["slot"].as_str().is_some_and(|slot| slot.starts_with("alert/"));
    assert_eq!(operations(&plans, "team").iter().filter(is_alert).count(), 1, "{plans}");
    let second = site.once(FALLEN, 0);
    assert_eq!((&second["alerts"]["fired"], &second["alerts"]["sent"]), (&1.into(), &1.into()), "{second}");
    let messages = site.messages();
    assert!(messages.len() == 1 && messages[0].contains("acme"), "{messages:?}");
    let third = site.once("2026-03-15", 0);
    assert_eq!((&third["alerts"]["fired"], site.messages().len()), (&0.into(), 1), "{third}");
    site.once(GONE, 0);
    assert_eq!(site.messages().len(), 1);
}

#[test]
fn a_first_run_in_the_middle_of_a_fall_is_silent() {
    let site = Site::with_story();
    let summary = site.once(FALLEN, 0);
    assert_eq!((&summary["alerts"]["fired"], site.requests()[2]), (&0.into(), 0), "{summary}");
}

#[test]
fn a_run_before_the_last_evaluation_is_refused() {
    let site = Site::with_story();
    site.once(FALLEN, 0);
    let before = site.requests();
    for arguments in [&["run", "--once", "--as-of", HEALTHY][..], &["run", "--as-of", HEALTHY][..]] {
        let output = site.run(arguments).exits(1);
        assert!(output.stderr.contains("before the last run"), "{}", output.stderr);
    }
    assert_eq!(site.requests(), before);
    // Only looking is allowed.
    let accounts = site.run(&["accounts", "--format", "json", "--as-of", HEALTHY]).exits(0).json();
    assert_eq!(accounts[0]["health"]["score"], 100.0);
}

/// Half-read usage looks like a fall. A run that is asked to end while it reads must not tell anybody.
#[test]
fn a_run_that_is_stopped_while_it_reads_raises_no_false_alarm() {
    let filler: Vec<String> = (0..40_000)
        .map(|n| track(&format!("f{n}"), "beta", "u2", &format!("Opened {}", "x".repeat(500)), FALLEN))
        .collect();
    let filler = filler.join("\n") + "\n";
    for attempt in 1..20 {
        let site = Site::with_story();
        site.once(HEALTHY, 0);
        site.archive_bytes("a-large.ndjson", filler.as_bytes());
        // Acme goes on as before; that stands in the last file.
        site.archive("z-acme.ndjson", &story("acme", "u1", 14));
        let mut run = site.start(&["run", "--once", "--format", "json", "--as-of", FALLEN], "run.log");
        // Later each time, so that one of them hits the middle on any machine.
        within(std::time::Duration::from_millis(60 * attempt), || false);
        run.signal("TERM");
        run.ends_within(std::time::Duration::from_secs(10));
        let summary = site.once(FALLEN, 0);
        assert_eq!(site.messages(), Vec::<String>::new(), "attempt {attempt}\n{}\n{summary}", run.logged());
        assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"), "{summary}");
        let rest = summary["sources"]["product"]["calls_read"].as_u64().expect("a number");
        if rest > 0 && rest < 40_000 {
            return;
        }
    }
    panic!("no attempt was stopped while it read; this test tested nothing");
}
