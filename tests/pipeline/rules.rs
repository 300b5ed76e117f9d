//! Named rules in a run: what they run into, and since when each holds.

use crate::site::{Site, Use, end};

#[tokio::test]
async fn a_run_says_what_rules_ran_into() {
    let site = Site::new().await;
    let names: Vec<String> = (0..12).map(|n| format!("a{n}")).collect();
    site.customers("1.ndjson", &names.iter().map(|name| Use(name, "Core", 0, 10, 1)).collect::<Vec<_>>());
    let config = site.config(
        "segments:\n  seats: traits.seats > 10\n  ratio: users.active / (users.total - 1) > 1\n  fine: health.score > 3\n  odd: traits.plan > 3\n",
    );
    let run = site.open_with(&config).run_once(end(5)).await.unwrap();
    let missed = |rule: &str| {
        let missed = &run.rules[rule];
        let misses = missed.misses;
        (missed.asked, missed.of, misses.compared_null, misses.divided_by_zero, misses.unlike)
    };
    assert_eq!(missed("segments.seats"), (12, 12, 12, 0, 0));
    assert_eq!(missed("segments.ratio"), (12, 12, 12, 12, 0));
    assert_eq!(missed("segments.odd"), (12, 12, 0, 0, 12));
    assert!(!run.rules.contains_key("segments.fine"), "{:?}", run.rules);
    let said = run.rules["segments.seats"].said("segments.seats").unwrap();
    assert_eq!(
        said,
        "rule segments.seats: for 12 of 12 it met 12 comparisons with a missing value (false; see has(x))"
    );
}

#[tokio::test]
async fn a_membership_is_kept_since_the_run_that_first_saw_it() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a1", "Minor", 0, 60, 1)]);
    let config = site.config("segments:\n  fine: health.score > 50\n");
    let config = config.replace("lifecycle: { new: off }", "lifecycle: { new: off, team: traits.plan == 'team' }");
    let since = |offset: i32| {
        let horizon = vitalsync_core::identity::Horizon::at(end(offset));
        let report = site.open_with(&config).explain("a0", horizon, None).unwrap().unwrap().account;
        let days = report.rules().into_iter().map(|(rule, day)| (rule, day.map(str::to_owned)));
        days.collect::<std::collections::BTreeMap<_, _>>()
    };
    let day = |offset: i32| Some(crate::site::day(offset).to_string());
    let engine = site.open_with(&config);
    engine.ingest(&engine.config.sources[0].clone()).unwrap();
    drop(engine);
    assert_eq!(since(10)["segments.fine"], None, "no run has seen it");
    for offset in [10, 12] {
        site.open_with(&config).run_once(end(offset)).await.unwrap();
    }
    let held = since(12);
    assert_eq!(
        (&held["segments.fine"], &held["lifecycle.team"], &held["segments.activated"]),
        (&day(10), &day(10), &day(10))
    );
    assert_eq!(since(9)["segments.fine"], None, "nothing is known of days before");
    // a0 stops on day 20 and comes back on day 40.
    site.open_with(&config).run_once(end(30)).await.unwrap();
    assert!(!since(30).contains_key("segments.fine"));
    site.customers("2.ndjson", &[Use("a0", "Core", 40, 5, 3)]);
    site.open_with(&config).run_once(end(44)).await.unwrap();
    let held = since(44);
    assert_eq!((&held["segments.fine"], &held["lifecycle.team"]), (&day(44), &day(10)));
}
