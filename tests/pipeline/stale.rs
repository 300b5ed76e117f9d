//! Silence of the pipe is not silence of the customer: stale sources, events that stop for everybody.

use vitalsync_core::identity::Horizon;

use crate::site::{Site, Use, end};

fn texts(site: &Site) -> Vec<String> {
    site.slack.vendor().messages().into_iter().map(|message| message.text).collect()
}

#[tokio::test]
async fn a_stale_source_stops_the_windows_and_is_told_once() {
    let site = Site::new().await;
    let until = |days| [Use("a0", "Core", 0, days, 3), Use("a1", "Core", 0, days, 1)];
    site.customers("1.ndjson", &until(20));
    let rules = "cooldown: 1d }\n      quiet: { quiet: 3d, to: \"#cs-alerts\" }\n      pipe: { data_stopped: true, to: \"#cs-alerts\" }";
    let config = site
        .config("")
        .replace("location: ./archive", "location: ./archive, expect_every: 6h")
        .replace("cooldown: 1d }", rules);
    let run = |offset: i32| {
        let engine = site.open_with(&config);
        async move { engine.run_once(end(offset)).await.unwrap() }
    };
    assert!(run(18).await.stale.is_empty());
    assert!(run(19).await.stale.is_empty(), "not within a day");
    let score = |offset: i32| {
        let accounts = site.open_with(&config).accounts(Horizon::at(end(offset))).unwrap();
        (accounts[1].number("health.score"), accounts[1].get("stale").unwrap() == true)
    };
    let (fresh, stale) = score(19);
    assert!(!stale);
    let stopped = run(25).await;
    assert_eq!(stopped.stale.keys().collect::<Vec<_>>(), ["product"]);
    assert_eq!((score(25), stopped.alerts.undecided), ((fresh, true), 2), "both look quiet");
    assert_eq!(texts(&site), ["No data from product: health stands still until it is back"]);
    let plans = site.open_with(&config).plan(end(25)).unwrap();
    assert!(plans.iter().all(|plan| plan.operations.is_empty()), "whoever looks sees the same: {plans:?}");
    assert_eq!(run(26).await.alerts.fired, 0);
    // It is back, with what was missing.
    site.customers("2.ndjson", &[Use("a0", "Core", 20, 8, 3), Use("a1", "Core", 20, 8, 1)]);
    let back = run(27).await;
    assert_eq!((back.stale.len(), back.alerts.fired, back.alerts.undecided), (0, 0, 0), "{back:?}");
    assert_eq!(score(27), (fresh, false));
    assert_eq!(texts(&site).len(), 1);
}

#[tokio::test]
async fn a_pipe_that_returns_with_a_hole_fires_nothing() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    let config = site
        .config("segments:\n  low: health.score < 70\n")
        .replace("location: ./archive", "location: ./archive, expect_every: 6h")
        .replace("cooldown: 1d }", "cooldown: 1d }\n      low: { segment: low, to: \"#cs-alerts\" }");
    for offset in [18, 21, 23, 25] {
        let run = site.open_with(&config).run_once(end(offset)).await.unwrap();
        assert_eq!(run.alerts.fired, 0, "day {offset}");
    }
    site.customers("2.ndjson", &[Use("a0", "Core", 26, 1, 3)]);
    let run = site.open_with(&config).run_once(end(26)).await.unwrap();
    assert_eq!((run.alerts.fired, run.stale.len()), (0, 0), "{run:?}");
    assert!(run.alerts.not_theirs > 0, "{run:?}");
}

#[tokio::test]
async fn an_event_that_stops_for_everybody_is_named_and_its_alerts_wait() {
    let site = Site::new().await;
    let names: Vec<String> = (0..8).map(|n| format!("a{n}")).collect();
    let all = |event, from, days| names.iter().map(|name| Use(name, event, from, days, 3)).collect::<Vec<_>>();
    site.customers("1.ndjson", &all("Core", 0, 35));
    site.customers("2.ndjson", &all("Core Used", 35, 5));
    let run = |config: String, offset: i32| {
        let engine = site.open_with(&config);
        async move { engine.run_once(end(offset)).await.unwrap() }
    };
    run(site.config(""), 34).await;
    let stopped = run(site.config(""), 39).await;
    assert_eq!(
        stopped.stopped[0].said().split(';').next(),
        Some("Core stopped for everybody: none on 2026-04-09, usually 24")
    );
    assert_eq!((stopped.alerts.fired, stopped.alerts.undecided), (0, 8));
    let renamed = run(site.config("events:\n  aliases: { Core Used: Core }\n"), 39).await;
    assert_eq!((renamed.stopped.len(), renamed.alerts.fired, renamed.alerts.undecided), (0, 0, 0));
}
