//! Users one by one, and all accounts together.

use super::site::{Site, track};

const DATE: &str = "2026-03-10";

#[test]
fn users_are_shown_with_their_health() {
    let site = Site::with_story();
    let more = [track("x1", "acme", "u9", "Report Shared", DATE), track("x2", "acme", "u9", "Report Shared", DATE)];
    site.archive("more.ndjson", &more);
    let asked = |daemon: &str| {
        let all = site.run(&["users", "--format", "json", "--as-of", DATE]).exits(0).json();
        let ids: Vec<&str> = all.as_array().expect("users").iter().filter_map(|user| user["id"].as_str()).collect();
        assert_eq!(ids, ["u1", "u2", "u9"], "{daemon}");
        // Seven days with two events each against two on one day: the best of few is the benchmark.
        assert_eq!(all[0]["health"]["score"], 100.0, "{all}");
        assert_eq!((&all[2]["health"]["raw"], &all[2]["account"]), (&2.into(), &"acme".into()), "{all}");
        let own =
            site.run(&["users", "--account", "acme.example", "--format", "json", "--as-of", DATE]).exits(0).json();
        assert_eq!(own, serde_json::json!([all[0], all[2]]), "{daemon}");
        let table = site.run(&["users", "--account", "acme", "--as-of", DATE]).exits(0).stdout;
        assert!(table.contains("2 users") && !table.contains("u2"), "{table}");
        let unknown = site.run(&["users", "--account", "nobody", "--as-of", DATE]).exits(1);
        assert!(unknown.stderr.contains("`nobody`"), "{}", unknown.stderr);
        let explained = site.run(&["explain", "acme", "--format", "json", "--as-of", DATE]).exits(0).json();
        assert_eq!(explained["champions"][0]["user"], "u1", "{explained}");
        assert_eq!(explained["users"]["champion_share"], 87.5);
    };
    asked("without a daemon");
    let _daemon = site.daemon(DATE, "daemon.log");
    asked("beside a daemon");
}

#[test]
fn all_accounts_are_shown_together() {
    let site = Site::with_story();
    let asked = |daemon: &str| {
        let whole = site.run(&["portfolio", "--format", "json", "--as-of", DATE]).exits(0).json();
        assert_eq!((&whole["from"], &whole["to"]), (&"2026-02-08".into(), &DATE.into()), "{daemon}");
        assert_eq!((&whole["accounts"], &whole["churn"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!(whole["bands"]["healthy"]["accounts"], 2, "{whole}");
        assert_eq!(whole["funnels"][0]["accounts"], 2);
        let table = site.run(&["portfolio", "--from", "2026-03-01", "--as-of", DATE]).exits(0).stdout;
        assert!(
            table.contains("2 accounts, 2026-03-01 to 2026-03-10") && table.contains("churn: not known"),
            "{table}"
        );
        let wrong = site.run(&["portfolio", "--from", "soon", "--as-of", DATE]).exits(2);
        assert!(wrong.stderr.contains("--from `soon` is not a date"), "{}", wrong.stderr);
        let late = site.run(&["portfolio", "--from", DATE, "--as-of", DATE]).exits(1);
        assert!(late.stderr.contains("nothing lies between"), "{}", late.stderr);
    };
    asked("without a daemon");
    let _daemon = site.daemon(DATE, "daemon.log");
    asked("beside a daemon");
}

#[test]
fn a_band_that_a_person_states_has_no_day_since_when_it_is_computed() {
    let site = Site::with_story();
    let explained = || site.run(&["explain", "acme", "--format", "json", "--as-of", DATE]).exits(0).json();
    assert!(explained()["band_since"].is_string());
    let config = std::fs::read_to_string(site.path("vitalsync.yaml")).expect("a config");
    site.config(&format!(
        "{config}\noverrides: [ {{ account: acme, band: at_risk, reason: the sponsor left, until: 2026-04-01 }} ]\n"
    ));
    let stated = explained();
    assert_eq!((&stated["health"]["band"], &stated["band_since"]), (&"at_risk".into(), &serde_json::Value::Null));
}
