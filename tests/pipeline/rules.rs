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
