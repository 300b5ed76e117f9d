//! `backtest`, `reasons`, `preview`: a year of accounts of which a third fades and leaves.

use std::time::Duration;

use serde_json::{Value as Json, json};
use vitalsync_core::Day;

use super::site::Site;

const CONFIG: &str = "\
version: 1
sources: { product: { type: segment_archive, location: ./archive } }
profiles:
  - name: main
    events: { Report Shared: 9, Logged In: 1 }
activation:
  steps: { invited: Teammate Invited }
signals:
  cancel_intent: Cancel Page Viewed
";
/// The last day of the archive.
const LAST: &str = "2026-03-31";

fn day(text: &str) -> Day {
    Day::parse(text).expect("a day")
}

/// A track of an account's user on a day, received so many days later.
fn track(account: usize, event: &str, day: Day, late: i32) -> String {
    let (name, received) = (format!("a{account:02}"), day.plus(late));
    json!({"type": "track", "messageId": format!("{name}-{event}-{day}-{late}"), "userId": format!("u-{name}"),
        "event": event, "context": {"groupId": name}, "timestamp": format!("{day}T12:00:00.000Z"),
        "receivedAt": format!("{received}T12:00:01.000Z")})
    .to_string()
}

/// The last active day of an account that leaves: every third, from June on.
fn leaves(account: usize) -> Option<Day> {
    (account.is_multiple_of(3)).then(|| day("2025-06-20").plus(6 * account as i32 / 3))
}

/// Eighty accounts from January 2025 on, active every other day; who leaves is so every tenth day in the last 80 days, is on
/// the free plan, and invited nobody.
fn lines() -> Vec<String> {
    let (first, last) = (day("2025-01-01"), day(LAST));
    let mut lines = Vec::new();
    for account in 0..80 {
        let end = leaves(account);
        let plan = if end.is_some() { "free" } else { "team" };
        lines.push(
            json!({"type": "group", "messageId": format!("g{account}"), "userId": format!("u-a{account:02}"),
                "groupId": format!("a{account:02}"), "traits": {"plan": plan, "name": format!("Account <{account}>")},
                "timestamp": "2025-01-01T08:00:00.000Z", "receivedAt": "2025-01-01T08:00:01.000Z"})
            .to_string(),
        );
        if end.is_none() {
            lines.push(track(account, "Teammate Invited", first.plus(2), 0));
        }
        let mut at = first.plus(account as i32 % 2);
        while at <= end.unwrap_or(last) {
            let event = if at.0 % 4 == 0 { "Report Shared" } else { "Logged In" };
            lines.push(track(account, event, at, 0));
            at = at.plus(if end.is_some_and(|end| at.0 > end.0 - 80) { 10 } else { 2 });
        }
    }
    lines
}

fn site() -> Site {
    let site = Site::new();
    site.config(CONFIG);
    site.archive("year.ndjson", &lines());
    site
}

fn ask(site: &Site, arguments: &[&str]) -> Json {
    site.run(&[arguments, &["--as-of", LAST, "--format", "json"]].concat()).exits(0).json()
}

fn predictor<'j>(report: &'j Json, name: &str) -> &'j Json {
    let found = report["predictors"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_backtest_says_how_well_each_figure_would_have_foreseen_who_left() {
    let site = site();
    let report = ask(&site, &["backtest", "--report", "page.html"]);
    assert_eq!((&report["horizon_days"], &report["label"]), (&json!(90), &json!("silence")));
    assert_eq!((&report["first_snapshot"], &report["last_snapshot"]), (&json!("2025-03-31"), &json!("2025-12-31")));
    assert_eq!((&report["snapshots"], &report["accounts"], &report["churned"]), (&json!(10), &json!(80), &json!(27)));
    let names: Vec<&Json> =
        report["predictors"].as_array().expect("predictors").iter().map(|one| &one["name"]).collect();
    let all = ["churn_risk", "health_score", "days_since_last_active", "events_30d", "active_days_90d", "trend_30_30"];
    assert_eq!(json!(names), json!(all));
    for name in all {
        let one = predictor(&report, name);
        let figure = |key: &str| one[key].as_f64().unwrap_or_else(|| panic!("{key} in {one}"));
        assert!(figure("auc_low") <= figure("auc") && figure("auc") <= figure("auc_high"), "{one}");
        assert!(figure("auc") > 0.5, "each points the right way: {one}");
        assert!(
            (0.0..=1.0).contains(&figure("precision_at_k")) && (0.0..=1.0).contains(&figure("recall_at_k")),
            "{one}"
        );
        assert!(figure("lift_at_k") > 1.0 && figure("k") > 0.0, "{one}");
    }
    assert!(predictor(&report, "churn_risk")["auc"].as_f64() > Some(0.9), "{report}");
    assert_eq!(report, ask(&site, &["backtest"]), "the same every time");

    let told = site.run(&["backtest", "--as-of", LAST]).exits(0).stdout;
    assert!(told.contains("27 of them did nothing in the 90 days after"), "{told}");
    assert!(told.contains(" flagged, ") && told.contains("; chance finds "), "{told}");
    let page = std::fs::read_to_string(site.path("page.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("churn_risk"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http"), "nothing from elsewhere: {page}");
}

#[test]
fn where_the_config_has_a_date_of_leaving_that_says_who_left() {
    let site = site();
    site.config(&format!(
        "{CONFIG}lifecycle: {{ churned: {{ when: has(traits.cancelled_at), date: traits.cancelled_at }} }}\n"
    ));
    // Every sixth only, and 20 days before the last activity: who merely fell silent has not left.
    let cancelled =
        (0..80).step_by(6).chain((3..80).step_by(12)).filter_map(|account| Some((account, leaves(account)?)));
    let lines: Vec<String> = cancelled
        .map(|(account, end)| {
            let on = end.plus(-20);
            json!({"type": "group", "messageId": format!("left{account}"), "userId": format!("u-a{account:02}"),
                "groupId": format!("a{account:02}"), "traits": {"cancelled_at": on.to_string()},
                "timestamp": format!("{on}T08:00:00.000Z"), "receivedAt": format!("{on}T08:00:01.000Z")})
            .to_string()
        })
        .collect();
    site.archive("left.ndjson", &lines);
    let report = ask(&site, &["backtest"]);
    assert_eq!((&report["label"], &report["churned"]), (&json!("churned"), &json!(lines.len())));
    let gone = ask(&site, &["accounts"]);
    assert_eq!((&gone[0]["churned_on"], &gone[0]["churn_risk"]), (&json!("2025-05-31"), &Json::Null));
}

#[test]
fn what_is_received_later_changes_no_row() {
    let site = site();
    let before = ask(&site, &["backtest"]);
    // On days that were active anyway, so that who left is the same.
    let more = |late: &dyn Fn(Day) -> i32| -> Vec<String> {
        let days = (0..60).map(|back| day("2025-06-01").plus(-2 * back)).filter(|day| day.0 % 4 != 0);
        let days: Vec<Day> = days.collect();
        let accounts = (0..80).filter(|account| account % 6 == 0);
        accounts
            .flat_map(|account| days.iter().map(move |day| (account, *day)).collect::<Vec<_>>())
            .map(|(account, day)| track(account, "Report Shared", day, late(day)))
            .collect()
    };
    site.archive("late.ndjson", &more(&|event| day(LAST).0 - event.0));
    assert_eq!(ask(&site, &["backtest"]), before);
    site.archive("on-time.ndjson", &more(&|_| 0));
    assert_ne!(ask(&site, &["backtest"]), before, "the same calls, received in time, are seen");
}

#[test]
fn a_backtest_that_can_say_nothing_says_why() {
    let site = site();
    let refused = |arguments: &[&str], code: i32| {
        site.run(&[&["backtest", "--as-of", LAST], arguments].concat()).exits(code).stderr
    };
    let few = refused(&["--to", "2025-04-30"], 1);
    assert!(few.contains("only 0 accounts left after the 2 snapshots, and fewer than 20 judge nothing"), "{few}");
    let late = refused(&["--to", "2026-02-01"], 1);
    assert!(late.contains("do not lie within the data, which ends on 2026-03-31; 2025-12-31 is the latest"), "{late}");
    assert!(refused(&["--from", "2026-03-01"], 1).contains("no snapshot fits"));
    assert!(refused(&["--profile", "other"], 1).contains("there is no profile `other`; the config has main"));
    assert!(refused(&["--fit"], 1).contains("earlier snapshots"));
    assert!(refused(&["--k", "10"], 2).contains("as in 10%"));
    assert!(refused(&["--every", "12h"], 2).contains("whole days"));
    assert!(refused(&["--from", "June"], 2).contains("is not a date"));
}

#[test]
fn weights_are_proposed_as_a_change_of_the_config() {
    let site = site();
    let arguments =
        ["backtest", "--every", "2w", "--horizon", "30d", "--fit", "--active-within", "20d", "--as-of", LAST];
    let told = site.run(&arguments).exits(1).stderr;
    assert!(told.contains("accounts left after the"), "of the later third too few left: {told}");

    // More accounts that leave over a longer time.
    let more: Vec<String> = (80..240)
        .flat_map(|account| {
            let end = day("2025-03-01").plus(2 * account as i32 - 80);
            (0..)
                .map(move |step| day("2025-01-01").plus(5 * step + account as i32 % 5))
                .take_while(move |at| *at <= end)
                .map(move |at| track(account, "Logged In", at, 0))
        })
        .collect();
    site.archive("more.ndjson", &more);
    let told = site.run(&arguments).exits(0).stdout;
    assert!(
        told.contains("to be looked at, not applied:\n  churn_risk:\n    weights:\n-     base: -3.2\n+     base: "),
        "{told}"
    );
    let fit = ask(&site, &arguments[..8])["fit"].clone();
    assert!(fit["auc_now"][0].is_number() && fit["auc_proposed"][0].is_number(), "{fit}");
    let changes = fit["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change[0] != "cancel_intent"), "what never varied keeps its weight: {fit}");

    // The proposal reads as a config.
    let weights: String = changes
        .iter()
        .map(|change| format!("    {}: {}\n", change[0].as_str().unwrap_or_default(), change[2]))
        .collect();
    site.config(&format!("{CONFIG}churn_risk:\n  weights:\n{weights}"));
    let learned = ask(&site, &arguments[..8]);
    assert_eq!(learned["fit"]["changes"], json!([]), "learning again finds nothing else");
    assert_eq!(learned["fit"]["auc_now"], fit["auc_proposed"]);
}

#[test]
fn reasons_tell_what_goes_together_with_leaving() {
    let site = site();
    let report = ask(&site, &["reasons"]);
    let churned = &report["churned"];
    assert_eq!((&churned["group_accounts"], &churned["other_accounts"]), (&json!(27), &json!(53)));
    assert_eq!(churned["smallest"], 10);
    let find = |kind: &str, name: &str, value: &str| {
        let all = churned["associations"].as_array().expect("associations");
        let found = all.iter().find(|one| {
            one["kind"] == kind && one["name"] == name && one["value"].as_str().unwrap_or_default() == value
        });
        found.cloned().unwrap_or_else(|| panic!("no {kind} {name} {value} in {churned}"))
    };
    let free = find("trait", "plan", "free");
    assert_eq!((&free["group_with"], &free["group_known"], &free["others_with"]), (&json!(27), &json!(27), &json!(0)));
    assert!(free["lift_low"].as_f64() > Some(1.0), "{free}");
    assert!(find("first_week", "Teammate Invited", "")["lift_high"].as_f64() < Some(1.0));
    assert_eq!(churned["too_various"], json!(["name"]));
    let told = site.run(&["reasons", "--as-of", LAST]).exits(0).stdout;
    assert!(told.contains("plan free") && told.contains("not what causes what"), "{told}");
    let few = ask(&site, &["reasons", "--to", "2025-04-30"]);
    assert!(
        few["churned"].is_null() && few["notes"][0].as_str().is_some_and(|note| note.contains("fewer than 20")),
        "{few}"
    );
}

#[test]
fn who_came_back_is_neither_churned_nor_kept_for_reasons() {
    let site = site();
    // a03 left on 26 June 2025.
    let again: Vec<String> = (0..9).map(|week| track(3, "Logged In", day("2026-01-05").plus(7 * week), 0)).collect();
    site.archive("again.ndjson", &again);
    let report = ask(&site, &["reasons"]);
    let churned = &report["churned"];
    assert_eq!((&churned["group_accounts"], &churned["other_accounts"]), (&json!(26), &json!(53)));
    assert_eq!(report["came_back"], 1);
    let told = site.run(&["reasons", "--as-of", LAST]).exits(0).stdout;
    assert!(told.contains("came back after 90 days or more without use, and in neither group: 1"), "{told}");
    assert_eq!(ask(&site, &["backtest"])["churned"], 27, "the score did not foresee less");
}

#[test]
fn a_preview_shows_who_would_change_band_and_stores_nothing() {
    let site = site();
    let now = ask(&site, &["accounts"]);
    let other = CONFIG.replace("Report Shared: 9", "Report Shared: { where: has(properties.audience), weight: 10 }");
    std::fs::write(site.path("new.yaml"), other.replace("Logged In: 1", "Logged In: 1, Cancel Page Viewed: 5"))
        .expect("a config");
    let arguments = ["preview", "--config", "new.yaml", "--as-of", "2025-05-31"];
    let report = ask(&site, &arguments[..3]);
    assert_eq!(report["accounts"], 80);
    let sum = |bands: &Json| {
        ["healthy", "normal", "at_risk", "unknown"].map(|band| bands[band].as_u64().unwrap_or(0)).iter().sum::<u64>()
    };
    assert_eq!((sum(&report["before"]), sum(&report["after"])), (80, 80));
    let note = report["notes"].to_string();
    assert!(note.contains("Report Shared was never counted") && note.contains("backfill --rebuild"), "{note}");
    assert_eq!(ask(&site, &["accounts"]), now);

    std::fs::write(
        site.path("new.yaml"),
        CONFIG.replace("    events", "    bands: { healthy: 100, at_risk: 99.5 }\n    events"),
    )
    .expect("a config");
    let strict = ask(&site, &arguments[..3]);
    let moved = strict["changes"].as_array().expect("changes");
    assert!(
        !moved.is_empty() && moved.iter().all(|one| one["old"] != one["new"] && one["old_score"] == one["new_score"]),
        "{strict}"
    );
    let told = site.run(&arguments).exits(0).stdout;
    assert!(told.contains("would change band") && told.contains("→ at_risk"), "{told}");

    std::fs::write(site.path("zone.yaml"), format!("timezone: Asia/Tokyo\n{CONFIG}")).expect("a config");
    assert!(site.run(&["preview", "--config", "zone.yaml"]).exits(1).stderr.contains("another time zone"));
    assert!(site.run(&["preview"]).exits(2).stderr.contains("--current"));
    assert!(
        site.run(&["preview", "--config", "new.yaml", "--current", "none.yaml"])
            .exits(2)
            .stderr
            .contains("the config in force")
    );
}

#[test]
fn a_daemon_answers_the_same() {
    let site = site();
    std::fs::write(site.path("new.yaml"), CONFIG.replace("Logged In: 1", "Logged In: 5")).expect("a config");
    let questions: [&[&str]; 3] = [&["backtest"], &["reasons"], &["preview", "--config", "new.yaml"]];
    let alone = questions.map(|question| ask(&site, question));
    let mut daemon = site.daemon(LAST, "daemon.log");
    assert_eq!(questions.map(|question| ask(&site, question)), alone);
    let refused = site.run(&["backtest", "--to", "2025-04-30"]).exits(1).stderr;
    assert!(refused.contains("fewer than 20 judge nothing"), "{refused}");
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
}
