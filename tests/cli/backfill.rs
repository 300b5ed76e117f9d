//! `backfill`: alone, beside a daemon, used wrongly, asked to end, killed at any moment.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::site::{Site, track};

const DATE: &str = "2026-03-10";

fn reports(site: &Site, first: u32, last: u32) {
    for day in first..=last {
        let day = format!("2026-03-{day:02}");
        let lines: Vec<String> =
            (0..3).map(|n| track(&format!("{day}-{n}"), "acme", "u1", "Report Shared", &day)).collect();
        site.archive(&format!("{day}/calls.ndjson"), &lines);
    }
}

fn backfill(site: &Site, arguments: &[&str], code: i32) -> Json {
    let arguments = [&["backfill", "--format", "json"], arguments].concat();
    site.run(&arguments).exits(code).json()["sources"]["product"].clone()
}

fn raw(site: &Site) -> Json {
    site.run(&["accounts", "--format", "json", "--as-of", DATE]).exits(0).json()[0]["health"]["raw"].clone()
}

#[test]
fn days_are_read_and_counted_anew() {
    let site = Site::new();
    reports(&site, 1, 10);
    let read = backfill(&site, &["--from", "2026-03-08", "--source", "product"], 0);
    assert_eq!((&read["files_read"], &read["events_counted"]), (&json!(3), &json!(9)), "{read}");
    assert_eq!(backfill(&site, &[], 0)["files_read"], 7);
    assert_eq!(raw(&site), 21.0);
    site.archive(
        "2026-03-09/calls.ndjson",
        &["{".into(), track("2026-03-09-0", "acme", "u1", "Report Shared", "2026-03-09")],
    );
    let output = site.run(&["backfill", "--rebuild", "--from", "2026-03-09", "--to", "2026-03-09"]).exits(0);
    for text in ["counting anew", "file 1 of"] {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
    for text in ["source product:", "1 bad_json", "2026-03-09/calls.ndjson:1", "days of receipt counted anew"] {
        assert!(output.stdout.contains(text), "{text}: {}", output.stdout);
    }
    assert!(!output.stdout.contains("%"), "progress goes to standard error: {}", output.stdout);
    assert_eq!(raw(&site), 19.0);
    let whole = backfill(&site, &["--rebuild"], 0);
    assert_eq!((&whole["days_recounted"], &whole["calls_read"]), (&json!(10), &json!(28)), "{whole}");
    assert_eq!(raw(&site), 19.0);
    std::fs::remove_dir_all(site.path("archive/2026-03-04")).expect("it goes");
    let output = site.run(&["backfill", "--rebuild"]).exits(0);
    assert!(
        output.stdout.contains("1 days of receipt keep") && output.stdout.contains("2026-03-04"),
        "{}",
        output.stdout
    );
    assert_eq!(raw(&site), 19.0);
    // As of a run a file that ends early is something to look at.
    site.archive_bytes("broken.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    backfill(&site, &[], 3);
    std::fs::rename(site.path("archive"), site.path("elsewhere")).expect("it is moved");
    assert!(backfill(&site, &[], 1)["failed"].is_string());
}

#[test]
fn wrong_use_is_told_and_changes_nothing() {
    let site = Site::new();
    reports(&site, 1, 2);
    for (arguments, said) in [
        (&["--source", "produkt"][..], "there is no source `produkt`; there are: product"),
        (&["--from", "2026-03-02", "--to", "2026-03-01"], "--from 2026-03-02 is after --to 2026-03-01"),
        (&["--from", "yesterday"], "--from `yesterday` is not a date"),
        (&["--to", "2026-02-30"], "--to `2026-02-30` is not a date"),
    ] {
        let output = site.run(&[&["backfill"], arguments].concat()).exits(2);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    assert!(!site.path("state").exists());
}

#[test]
fn beside_a_daemon_the_daemon_does_it() {
    let site = Site::new();
    reports(&site, 1, 10);
    let daemon = site.daemon(DATE, "daemon.log");
    daemon.logs("synced destination=crm");
    site.archive("2026-03-09/calls.ndjson", &[track("2026-03-09-0", "acme", "u1", "Report Shared", "2026-03-09")]);
    let output = site.run(&["backfill", "--rebuild", "--source", "product"]).exits(0);
    assert!(output.stderr.contains("product: counting anew: 0 %, file 1 of 10"), "{}", output.stderr);
    assert!(output.stdout.contains("10 days of receipt counted anew"), "{}", output.stdout);
    assert_eq!(raw(&site), 19.0);
    site.run(&["backfill", "--source", "produkt"]).exits(2);
    let told = backfill(&site, &["--rebuild", "--from", "2026-03-05"], 0);
    assert_eq!(told["days_recounted"], 6, "{told}");
    assert_eq!(raw(&site), 19.0);
    assert!(daemon.logged().contains("running"));
}

fn many(site: &Site, files: u32) {
    for file in 0..files {
        let day = format!("2026-03-{:02}", file % 10 + 1);
        let lines: Vec<String> =
            (0..2000).map(|n| track(&format!("{file}-{n}"), "acme", "u1", "Report Shared", &day)).collect();
        site.archive(&format!("{file:03}.ndjson"), &lines);
    }
}

#[test]
fn asked_to_end_it_keeps_what_is_written() {
    let site = Site::new();
    many(&site, 60);
    site.run(&["backfill"]).exits(0);
    let before = raw(&site);
    assert_eq!(before, 84_000.0);
    let mut process = site.start(&["backfill", "--rebuild"], "rebuild.log");
    process.logs("counting anew");
    process.signal("INT");
    assert_eq!(process.ends_within(Duration::from_secs(10)), Some(1), "{}", process.logged());
    assert!(process.logged().contains("interrupted: the next run goes on"), "{}", process.logged());
    assert_eq!(raw(&site), before);
    assert_eq!(backfill(&site, &["--rebuild"], 0)["duplicates"], 0);
    assert_eq!(raw(&site), before);
}

#[test]
fn kills_at_any_moment_change_no_figure() {
    let site = Site::new();
    many(&site, 12);
    site.run(&["backfill"]).exits(0);
    let before = raw(&site);
    let began = Instant::now();
    site.run(&["backfill", "--rebuild", "--from", "2026-03-04", "--to", "2026-03-05"]).exits(0);
    let whole = began.elapsed();
    for round in 0..10u32 {
        let span = ["--from", "2026-03-04", "--to", "2026-03-05"];
        let arguments = [&["backfill", "--rebuild"][..], if round.is_multiple_of(2) { &span } else { &[] }].concat();
        let mut process = site.start(&arguments, "killed.log");
        super::site::within(whole * (round + 1) / 9, || false);
        process.signal("KILL");
        process.ends_within(Duration::from_secs(10));
        if round.is_multiple_of(3) {
            site.run(&["backfill"]).exits(0);
            assert_eq!(raw(&site), before, "after kill {round}");
        }
    }
    site.run(&["backfill", "--rebuild"]).exits(0);
    assert_eq!(raw(&site), before);
    site.run(&["state", "verify"]).exits(0);
}
