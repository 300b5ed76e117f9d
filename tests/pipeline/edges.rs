//! Alerts of every kind, posted once, and none for what customers did not do.

use crate::site::{Site, Use, end};

const RULES: &str = r##"
      risk: { band: at_risk, to: "#cs-alerts" }
      well: { left_band: at_risk, to: "#cs-alerts" }
      low: { segment: low, to: "#cs-alerts" }
      up: { left: low, to: "#cs-alerts" }
      rise: { rise: 15, within: 7d, to: "#cs-alerts" }
      often: { step: often, to: "#cs-alerts" }
      done: { activated: true, to: "#cs-alerts" }
      value: { first_value: true, to: "#cs-alerts" }
      quiet: { quiet: 14d, to: "#cs-alerts" }
      back: { back: true, to: "#cs-alerts" }
      new: { new_account: true, to: "#cs-alerts" }
      fifty: { milestone: { event: Core, count: 50 }, to: "#cs-alerts" }
"##;

fn config(site: &Site, segment: &str) -> String {
    let config = site.config(&format!("segments:\n  low: {segment}\n"));
    let (before, after) = config.split_once("cooldown: 1d }\n").unwrap();
    format!("{before}cooldown: 1d }}{RULES}{after}")
}

/// `rule account` of each message, sorted.
fn told(site: &Site, after: usize) -> Vec<String> {
    let mut told: Vec<String> = site
        .slack
        .vendor()
        .messages()
        .into_iter()
        .skip(after)
        .map(|message| {
            let blocks = serde_json::to_string(&message.blocks).unwrap();
            let rest = blocks.split("Rule ").nth(1).unwrap();
            let (rule, account) = (rest.split([':', ' ']).next().unwrap(), rest.split("account ").nth(1).unwrap());
            format!("{rule} {}", account.split('"').next().unwrap())
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn every_kind_of_alert_is_posted_once() {
    let site = Site::new().await;
    site.customers(
        "1.ndjson",
        &[Use("falls", "Core", 0, 20, 3), Use("rises", "Minor", 0, 20, 1), Use("sleeps", "Minor", 0, 4, 1)],
    );
    site.customers("2.ndjson", &[Use("rises", "Core", 20, 10, 3), Use("sleeps", "Minor", 30, 1, 1)]);
    site.customers("3.ndjson", &[Use("young", "Core", 29, 1, 1)]);
    let config = config(&site, "health.score < 50");
    let run = |offset: i32| {
        let engine = site.open_with(&config);
        async move { engine.run_once(end(offset)).await.unwrap() }
    };
    assert_eq!(run(14).await.alerts.fired, 0, "the first look is silent");
    let second = run(18).await.alerts;
    assert_eq!((told(&site, 0), second.fired, second.sent), (vec!["fifty falls".into(), "quiet sleeps".into()], 2, 2));
    run(26).await;
    let posted =
        ["done rises", "drop falls", "low falls", "often rises", "rise rises", "risk falls", "up rises", "well rises"];
    assert_eq!(told(&site, 2), posted);
    run(30).await;
    assert_eq!(told(&site, 10), ["back sleeps", "new young"]);
    let calls = site.calls();
    assert_eq!((run(30).await.alerts.fired, site.calls()), (0, calls));
}

#[tokio::test]
async fn an_edited_config_and_late_data_are_summed_up_and_fire_nothing() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 30, 3), Use("a1", "Core", 0, 30, 1)]);
    site.open_with(&config(&site, "health.score < 50")).run_once(end(20)).await.unwrap();
    // Another benchmark, other bounds of the segment, and use of long ago that comes now.
    site.customers("2.ndjson", &[Use("a2", "Core", 1, 15, 4), Use("a1", "Core", 1, 19, 5)]);
    let edited = config(&site, "health.score < 90").replace("fixed: 70", "fixed: 700");
    let run = site.open_with(&edited).run_once(end(20)).await.unwrap();
    let said = &run.destinations["team"].delivered.notes;
    assert_eq!((run.alerts.fired, told(&site, 0)), (0, vec![]), "{run:?}");
    assert!(run.alerts.not_theirs > 0, "{run:?}");
    assert!(said[0].starts_with("benchmark of customer renewed: 3 scores moved by -"), "{said:?}");
    assert!(said[1].ends_with("not of what customers did: no alert was sent for them"), "{said:?}");
    let again = site.open_with(&edited).run_once(end(20)).await.unwrap();
    assert_eq!((again.alerts.fired, again.alerts.not_theirs), (0, 0));
    assert!(again.destinations["team"].delivered.notes.is_empty());
}

/// A destination of alerts of deeds, and of the score.
fn deeds(site: &Site) -> String {
    let rules = "      often: { step: often, to: \"#cs-alerts\" }\n      new: { new_account: true, to: \"#cs-alerts\" }\n      rise: { rise: 15, within: 7d, to: \"#cs-alerts\" }\n      well: { left_band: at_risk, to: \"#cs-alerts\" }\n";
    let config = site.config("");
    let (before, after) = config.split_once("cooldown: 1d }\n").unwrap();
    format!("{before}cooldown: 1d }}\n{rules}{after}")
}

/// With a schedule of minutes nearly everything is done after a pass of its day, and heard of later still.
#[tokio::test]
async fn what_is_done_between_two_passes_of_a_day_is_told() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Minor", 0, 20, 1)]);
    let config = deeds(&site);
    let run = |hours: i64| {
        let engine = site.open_with(&config);
        async move { engine.run_once(end(19).plus_ms(hours * 3_600_000)).await.unwrap() }
    };
    for hours in [0, 20] {
        assert_eq!(run(hours).await.alerts.fired, 0);
    }
    // At noon, before the pass, and heard of after it.
    site.customers("2.ndjson", &[Use("a0", "Core", 20, 1, 20), Use("young", "Core", 20, 1, 1)]);
    let second = run(21).await.alerts;
    assert_eq!((told(&site, 0), second.not_theirs), (vec!["new young".to_owned(), "often a0".to_owned()], 0));
    assert_eq!(run(22).await.alerts.fired, 0, "once");
}

#[tokio::test]
async fn a_days_last_hours_that_come_after_midnight_are_no_late_data() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Minor", 0, 20, 1)]);
    let config = deeds(&site);
    let run = |minutes: i64| {
        let engine = site.open_with(&config);
        async move { engine.run_once(end(19).plus_ms(minutes * 60_000)).await.unwrap() }
    };
    for minutes in [-5 * 1_440, 0, 5] {
        assert_eq!(run(minutes).await.alerts.fired, 0);
    }
    // The evening of the day that is over.
    site.customers("2.ndjson", &[Use("a0", "Core", 19, 1, 20)]);
    let come = run(15).await.alerts;
    assert_eq!(told(&site, 0), ["often a0", "rise a0", "well a0"], "{come:?}");
    assert_eq!(run(20).await.alerts.fired, 0, "once");
    // What is older is late, and nobody's news.
    site.customers("3.ndjson", &[Use("a1", "Core", 0, 18, 4)]);
    let late = run(25).await.alerts;
    assert_eq!((told(&site, 3).len(), late.fired, late.not_theirs > 0), (0, 0, true), "{late:?}");
}
