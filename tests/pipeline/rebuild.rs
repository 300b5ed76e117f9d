//! Counting anew: whatever was rewritten, repeated, deleted, asked for or interrupted, what counts in the end is what a fresh
//! state counts that reads the archive as it is now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};
use vitalsync::tick::Engine;
use vitalsync::tick::ingest::{Phase, SourceReport, Unwatched, Watch};
use vitalsync::tick::read::Backfill;

use crate::site::{Site, day, end};

const MODEL: &str = r#"
timezone: Europe/Brussels
sources:
  product: { type: segment_archive, location: ./archive }
accounts: { id: [context.groupId] }
profiles:
  - { window: 14d, benchmark: monthly, events: { Core: 5, Minor: 0.3, Page Viewed: 1 } }
activation:
  steps: { core: { event: Core, count: 3 }, ready: { trait: ready } }
"#;

/// The last day of receipt in these stories; what is eight days older has no fingerprints any more.
const LAST: i32 = 60;

fn model(extra: &str) -> String {
    format!("{MODEL}{extra}")
}

/// Everything that can be asked of the accounts as of some times, and all parts of the measures.
fn asked(engine: &Engine) -> Vec<Value> {
    let days = (-20..=LAST + 4).step_by(6);
    let figures = days.flat_map(|offset| {
        let accounts = engine.accounts(vitalsync_core::identity::Horizon::at(end(offset))).unwrap();
        let parts = ["a", "b"].map(|account| {
            json!(engine.explain(account, vitalsync_core::identity::Horizon::at(end(offset)), None).unwrap())
        });
        [json!(accounts), json!(parts)]
    });
    figures.collect()
}

fn ingest(site: &Site) -> SourceReport {
    let mut engine = site.open_with(MODEL);
    engine.clock = vitalsync::clock::Clock::Fixed(end(LAST));
    engine.ingest(&engine.config.sources[0].clone()).unwrap()
}

fn figures(site: &Site) -> Vec<Value> {
    asked(&site.open_with(MODEL))
}

fn unwatched(_: &str) -> Box<dyn Watch> {
    Box::new(Unwatched)
}

fn order(rebuild: bool, span: Option<(i32, i32)>) -> Backfill {
    let (from, to) = span.map(|(from, to)| (day(from), day(to))).unzip();
    Backfill { sources: Vec::new(), from, to, rebuild }
}

fn rebuild(site: &Site, span: Option<(i32, i32)>) -> SourceReport {
    let engine = site.open_with(MODEL);
    engine.backfill(&order(true, span), &unwatched).unwrap().sources.remove("product").unwrap()
}

/// What a fresh state says of the archive as it is now.
async fn fresh(site: &Site, model: &str) -> Vec<Value> {
    let other = Site::new().await;
    std::fs::remove_dir(other.archive()).unwrap();
    std::os::unix::fs::symlink(site.archive(), other.archive()).unwrap();
    let engine = other.open_with(model);
    engine.ingest(&engine.config.sources[0].clone()).unwrap();
    asked(&engine)
}

#[track_caller]
fn same(left: &[Value], right: &[Value]) {
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        assert_eq!(left, right, "figure {index}");
    }
}

/// A call at noon of a day, received some days later.
fn call(id: &str, event: &str, at: i32, late: i32) -> String {
    let time = |day: i32| end(day).plus_ms(-43_200_000);
    let account = if id.len().is_multiple_of(2) { "a" } else { "b" };
    format!(
        "{{\"type\":\"track\",\"messageId\":\"{id}\",\"userId\":\"u-{account}\",\"event\":\"{event}\",\"context\":{{\"groupId\":\"{account}\"}},\"timestamp\":\"{}\",\"receivedAt\":\"{}\"}}\n",
        time(at),
        time(at + late)
    )
}

fn undated(id: &str, event: &str, at: i32) -> String {
    let mut call: Value = serde_json::from_str(&call(id, event, at, 0)).unwrap();
    call.as_object_mut().unwrap().remove("receivedAt");
    format!("{call}\n")
}

/// One file a day, each with a call of each account.
async fn story() -> Site {
    let site = Site::new().await;
    for at in 0..=LAST {
        site.write(
            &file(at),
            &(call(&format!("x{at:02}"), "Core", at, 0) + &call(&format!("xy{at:02}"), "Minor", at, 0)),
        );
    }
    site
}

fn file(day: i32) -> String {
    format!("{day:02}/calls.ndjson")
}

fn append(site: &Site, file: &str, lines: &str) {
    let kept = std::fs::read_to_string(site.archive().join(file)).unwrap_or_default();
    site.write(file, &(kept + lines));
}

#[tokio::test]
async fn an_old_object_that_was_rewritten_is_replaced() {
    let site = story().await;
    ingest(&site);
    // One call vanished, one says something else, one was added; one of another day is in it now.
    let lines = call("x05", "Minor", 5, 0) + &call("new05", "Core", 5, 0) + &call("late07", "Core", 4, 3);
    site.write(&file(5), &lines);
    let report = ingest(&site);
    assert_eq!((report.files_rewritten, report.days_recounted > 0), (1, true), "{report:?}");
    same(&figures(&site), &fresh(&site, MODEL).await);
    assert_eq!(ingest(&site).days_recounted, 0, "once");
}

#[tokio::test]
async fn an_old_object_under_a_new_name_counts_nothing_twice() {
    let site = story().await;
    ingest(&site);
    let before = figures(&site);
    std::fs::copy(site.archive().join(file(5)), site.archive().join("again.ndjson")).unwrap();
    let report = ingest(&site);
    assert_eq!(report.events_counted, 0, "{report:?}");
    same(&figures(&site), &before);
    same(&before, &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn a_chain_of_repetitions_loses_its_first() {
    let site = story().await;
    for at in [3, 9, 15, 21] {
        append(&site, &file(at), &call("chain", "Core", 3, at - 3));
    }
    ingest(&site);
    site.write(&file(3), &call("x03", "Core", 3, 0));
    ingest(&site);
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn a_part_counted_anew_changes_nothing() {
    let site = story().await;
    for at in [18, 20, 21, 29, 30, 31, 33] {
        append(&site, &file(at), &call("repeated", "Core", 18, at - 18));
        append(&site, &file(at), &call(&format!("late{at}"), "Core", 10, at - 10));
    }
    for (id, days) in [("edge-in", [20, 21]), ("edge-out", [30, 31]), ("edge-far", [30, 37])] {
        days.iter().for_each(|at| append(&site, &file(*at), &call(id, "Core", 17, at - 17)));
    }
    ingest(&site);
    let expected = fresh(&site, MODEL).await;
    same(&figures(&site), &expected);
    for span in [(21, 30), (20, 20), (0, 18), (31, 99), (-400, 400)] {
        let report = rebuild(&site, Some(span));
        assert!(report.days_recounted > 0, "{span:?}: {report:?}");
        same(&figures(&site), &expected);
    }
    let report = rebuild(&site, None);
    assert_eq!(report.days_recounted as i32, LAST + 1);
    same(&figures(&site), &expected);
}

#[tokio::test]
async fn an_expired_archive_keeps_its_history() {
    let site = story().await;
    append(&site, &file(20), &(call("x19", "Core", 19, 1) + &call("x20b", "Core", 20, 0)));
    ingest(&site);
    let before = figures(&site);
    for at in 0..20 {
        std::fs::remove_file(site.archive().join(file(at))).unwrap();
    }
    let report = rebuild(&site, None);
    assert!(report.days_kept >= 20 && report.files_gone.contains(&file(0)), "{report:?}");
    same(&figures(&site), &before);
    // What is there is counted anew all the same.
    site.write(&file(40), &call("x40", "Core", 40, 0));
    rebuild(&site, None);
    assert_ne!(figures(&site), before);
    site.write(&file(40), &(call("x40", "Core", 40, 0) + &call("xy40", "Minor", 40, 0)));
    ingest(&site);
    same(&figures(&site), &before);
}

#[tokio::test]
async fn what_repeats_an_expired_call_is_not_counted_by_a_part_counted_anew() {
    let site = story().await;
    append(&site, &file(10), &call("twice", "Core", 10, 0));
    append(&site, &file(13), &call("twice", "Core", 10, 3));
    ingest(&site);
    let before = figures(&site);
    std::fs::remove_file(site.archive().join(file(10))).unwrap();
    for span in [(13, 13), (12, 15), (11, 60), (5, 20)] {
        let report = rebuild(&site, Some(span));
        assert!(report.days_kept > 0 && report.files_gone == [file(10)], "{span:?}: {report:?}");
        same(&figures(&site), &before);
    }
    // Nobody knows any more which of that day's calls are repetitions.
    append(&site, &file(13), &call("new13", "Core", 13, 0));
    let report = ingest(&site);
    assert!(report.days_kept > 0 && report.files_gone == [file(10)], "{report:?}");
    same(&figures(&site), &before);
}

#[tokio::test]
async fn a_condition_counts_from_when_it_is_written_until_all_is_counted_anew() {
    let site = Site::new().await;
    for at in 0..=LAST {
        let call =
            call(&format!("x{at}"), "Core", at, 0).replace("\"context\"", "\"properties\":{\"big\":true},\"context\"");
        site.write(&file(at), &call);
    }
    ingest(&site);
    let model = MODEL.replace("Core: 5,", "Core: 5, Big: { event: Core, where: properties.big == true, weight: 2 },");
    let engine = site.open_with(&model);
    engine.ingest(&engine.config.sources[0].clone()).unwrap();
    let expected = fresh(&site, &model).await;
    assert_ne!(asked(&engine), expected, "what was read before does not count");
    let since = |engine: &Engine| {
        let sources = vitalsync::tick::ingest::generation::sources(&engine.store).unwrap();
        let number = sources["product"];
        let known = vitalsync::tick::ingest::generation::Generation::load(&engine.store, number).unwrap();
        known.since.into_values().next()
    };
    assert_eq!(since(&engine), Some(day(LAST + 1).0));
    // A part in the middle does not bring it in force, from a day on it does.
    engine.backfill(&order(true, Some((10, 20))), &unwatched).unwrap();
    assert_eq!(since(&engine), Some(day(LAST + 1).0));
    engine.backfill(&order(true, Some((10, 90))), &unwatched).unwrap();
    assert_eq!(since(&engine), Some(day(10).0));
    engine.backfill(&order(true, None), &unwatched).unwrap();
    assert_eq!(since(&engine), Some(i32::MIN));
    same(&asked(&engine), &expected);
}

#[tokio::test]
async fn calls_without_a_day_of_receipt_may_come_in_any_order() {
    let site = story().await;
    ingest(&site);
    let places = [50, 3, 17, 3, 60, 1, 44, 17];
    for (index, at) in places.into_iter().enumerate() {
        site.write(
            &format!("undated/{index}"),
            &(undated(&format!("u{at}"), "Core", at) + &undated("x30", "Core", 30)),
        );
        ingest(&site);
        same(&figures(&site), &fresh(&site, MODEL).await);
    }
    assert_eq!(ingest(&site).days_recounted, 0);
    site.write("undated/last", &undated("u-last", "Core", 2));
    assert_eq!(ingest(&site).days_recounted, 0, "all fingerprints are there now");
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn clocks_that_are_far_off_cost_no_history() {
    let site = story().await;
    ingest(&site);
    let odd = call("odd1", "Core", 5, 0).replace(&end(5).plus_ms(-43_200_000).to_string(), "2001-05-05T12:00:00.000Z");
    let future = call("odd2", "Core", 6, 20_000);
    site.write("odd", &(odd + &future));
    for _ in 0..2 {
        ingest(&site);
        same(&figures(&site), &fresh(&site, MODEL).await);
    }
    append(&site, &file(LAST), &call("xz", "Core", LAST, 0));
    assert_eq!(ingest(&site).days_recounted, 0);
    rebuild(&site, None);
    same(&figures(&site), &fresh(&site, MODEL).await);
}

/// Sets the stop when it saw so many files of a phase.
struct Stops {
    stop: Arc<AtomicBool>,
    phase: Phase,
    left: AtomicUsize,
    now: AtomicBool,
}

impl Watch for Stops {
    fn phase(&self, phase: Phase) {
        self.now.store(phase == self.phase, Ordering::Relaxed);
        if phase == self.phase && self.left.load(Ordering::Relaxed) == 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn filed(&self, _calls: u64, files: usize, _bytes: u64) {
        if self.now.load(Ordering::Relaxed) && files > 0 && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn interrupted(site: &Site, order: &Backfill, phase: Phase, left: usize) {
    let engine = site.open_with(MODEL);
    let stop = Arc::clone(&engine.stop);
    let error = engine.backfill(order, &|_| {
        let (stop, left) = (Arc::clone(&stop), AtomicUsize::new(left));
        Box::new(Stops { stop, phase, left, now: AtomicBool::new(false) })
    });
    let error = error.expect_err("it was stopped").to_string();
    assert!(error.contains("the next run goes on"), "{error}");
}

#[tokio::test]
async fn an_interrupted_recount_goes_on() {
    for (phase, left) in [(Phase::Copying, 0), (Phase::Recounting, 0), (Phase::Recounting, 1), (Phase::Recounting, 9)] {
        for span in [Some((10, 40)), None] {
            if phase == Phase::Copying && span.is_none() {
                continue;
            }
            let site = story().await;
            append(&site, &file(20), &call("x19", "Core", 19, 1));
            ingest(&site);
            let before = figures(&site);
            interrupted(&site, &order(true, span), phase, left);
            same(&figures(&site), &before);
            if left == 1 {
                rebuild(&site, span);
            } else {
                let report = ingest(&site);
                assert!(report.days_recounted > 0, "{report:?}");
                assert_eq!((report.calls_read, report.events_counted), (0, 0), "nothing is new");
            }
            same(&figures(&site), &before);
            assert_eq!(ingest(&site).days_recounted, 0);
            let engine = site.open_with(MODEL);
            assert_eq!(vitalsync::tick::ingest::generation::taken(&engine.store).unwrap().len(), 1, "no leftovers");
            assert_eq!(engine.store.scan(b"f").count() as i32, LAST + 1);
        }
    }
}

#[tokio::test]
async fn a_stop_before_days_are_counted_anew_loses_none() {
    let site = story().await;
    ingest(&site);
    site.write(&file(5), &call("new05", "Core", 5, 0));
    interrupted(&site, &order(false, None), Phase::Reading, 1);
    // Another recount meanwhile does not forget them.
    rebuild(&site, Some((40, 45)));
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn a_file_that_is_rewritten_while_it_is_counted_anew_is_counted_as_it_is() {
    let site = story().await;
    ingest(&site);
    interrupted(&site, &order(true, None), Phase::Recounting, 9);
    site.write(&file(3), &call("other", "Core", 3, 0));
    ingest(&site);
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn a_file_that_expires_while_a_recount_waits_keeps_its_days() {
    for span in [None, Some((10, 40))] {
        let site = story().await;
        ingest(&site);
        let before = figures(&site);
        interrupted(&site, &order(true, span), Phase::Recounting, 0);
        std::fs::remove_file(site.archive().join(file(30))).unwrap();
        let report = ingest(&site);
        assert!(report.days_kept > 0 && report.files_gone == [file(30)], "{report:?}");
        same(&figures(&site), &before);
        let engine = site.open_with(MODEL);
        assert_eq!(vitalsync::tick::ingest::generation::taken(&engine.store).unwrap().len(), 1, "no leftovers");
    }
}

/// Removes a file once all are listed, or puts in its place what can't be read.
struct Removes {
    path: std::path::PathBuf,
    unreadable: bool,
    now: AtomicBool,
}

impl Watch for Removes {
    fn phase(&self, phase: Phase) {
        self.now.store(phase == Phase::Recounting, Ordering::Relaxed);
    }

    fn begins(&self, _files: usize, _bytes: u64) {
        if self.now.load(Ordering::Relaxed) && self.path.is_file() {
            std::fs::remove_file(&self.path).unwrap();
            if self.unreadable {
                // It is listed, but reading it fails, whoever asks.
                std::os::unix::fs::symlink("/proc/self/mem", &self.path).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_vanishes_or_fails_while_it_is_counted_anew_keeps_its_days() {
    for (span, unreadable) in [(None, false), (Some((10, 40)), false), (None, true), (Some((10, 40)), true)] {
        let site = story().await;
        ingest(&site);
        let before = figures(&site);
        let engine = site.open_with(MODEL);
        let path = site.archive().join(file(30));
        let removes = |_: &str| -> Box<dyn Watch> {
            Box::new(Removes { path: path.clone(), unreadable, now: AtomicBool::new(false) })
        };
        let report = engine.backfill(&order(true, span), &removes).unwrap().sources.remove("product").unwrap();
        assert!(report.days_kept > 0 && report.files_gone == [file(30)], "{report:?}");
        same(&asked(&engine), &before);
    }
}

#[tokio::test]
async fn an_archive_without_any_order_costs_one_recount() {
    let site = Site::new().await;
    let lines: Vec<String> = (0..600).map(|n| call(&format!("m{n}"), "Core", (n * 7919) % LAST, 0)).collect();
    site.write("a", &call("new", "Core", LAST, 0));
    ingest(&site);
    for (index, part) in lines.chunks(60).enumerate() {
        site.write(&format!("part{index}"), &part.concat());
    }
    let report = ingest(&site);
    assert!(report.days_recounted as i32 <= LAST + 1, "each day once: {report:?}");
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn without_rebuild_only_files_that_begin_in_the_span_are_read() {
    let site = story().await;
    let engine = site.open_with(MODEL);
    let report = engine.backfill(&order(false, Some((30, 39))), &unwatched).unwrap();
    assert_eq!(report.sources["product"].files_read, 10);
    append(&site, &file(30), &call("more", "Core", 30, 0));
    let report = engine.backfill(&order(false, Some((50, 51))), &unwatched).unwrap();
    assert_eq!(report.sources["product"].files_read, 3, "what was read in part goes on");
    drop(engine);
    ingest(&site);
    same(&figures(&site), &fresh(&site, MODEL).await);
}

#[tokio::test]
async fn a_first_copy_on_the_last_day_that_can_be_judged_counts_instead_of_a_later_one() {
    let site = Site::new().await;
    let model = model("").replace("location: ./archive }", "location: ./archive, dedupe: 4d }");
    let ingest = || {
        let engine = site.open_with(&model);
        engine.ingest(&engine.config.sources[0].clone()).unwrap()
    };
    site.write("new", &call("new", "Minor", LAST, 0));
    site.write("later", &call("m11", "Core", 33, 24));
    ingest();
    site.write("earlier", &call("m11", "Core", 33, 20));
    let report = ingest();
    assert_eq!((report.duplicates, report.days_recounted), (1, 0), "in passing: {report:?}");
    same(&asked(&site.open_with(&model)), &fresh(&site, &model).await);
}

#[derive(Debug, Clone)]
enum Step {
    /// A file is written: which, and its calls: id and days it was received late.
    Write(usize, Vec<(usize, i32)>),
    /// It is there under another name too.
    Copy(usize, usize),
    Rebuild(i32, i32),
    RebuildAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let calls = prop::collection::vec((0usize..12, 0i32..30), 1..14);
    let step = prop_oneof![
        5 => (0usize..5, calls).prop_map(|(file, calls)| Step::Write(file, calls)),
        1 => (0usize..5, 5usize..8).prop_map(|(from, to)| Step::Copy(from, to)),
        2 => (0i32..60, 0i32..20).prop_map(|(from, days)| Step::Rebuild(from, from + days)),
        1 => Just(Step::RebuildAll),
    ];
    prop::collection::vec(step, 2..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Files come, are rewritten and repeated, days are counted anew, copies of calls lie days apart.
    #[test]
    fn whatever_happens_to_the_archive_its_present_counts(steps in steps(), window in 1i32..9) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let site = runtime.block_on(Site::new());
        let model = model("").replace("location: ./archive }", &format!("location: ./archive, dedupe: {window}d }}"));
        site.write("new", &call("new", "Minor", LAST, 0));
        for step in &steps {
            match step {
                Step::Write(file, calls) => {
                    let lines: String = calls.iter().map(|(id, late)| {
                        let at = *id as i32 * 3;
                        call(&format!("m{id}"), if id % 3 == 0 { "Minor" } else { "Core" }, at, *late)
                    }).collect();
                    site.write(&format!("f{file}"), &lines);
                }
                Step::Copy(from, to) => {
                    let _ = std::fs::copy(site.archive().join(format!("f{from}")), site.archive().join(format!("f{to}")));
                }
                Step::Rebuild(from, to) => {
                    site.open_with(&model).backfill(&order(true, Some((*from, *to))), &unwatched).unwrap();
                }
                Step::RebuildAll => {
                    site.open_with(&model).backfill(&order(true, None), &unwatched).unwrap();
                }
            }
            let engine = site.open_with(&model);
            engine.ingest(&engine.config.sources[0].clone()).unwrap();
        }
        let got = asked(&site.open_with(&model));
        let expected = runtime.block_on(fresh(&site, &model));
        prop_assert_eq!(got, expected);
    }
}
