//! Retention: what is inside of it is measured as if nothing had been made small, and doing it again changes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use vitalsync::clock::Clock;
use vitalsync::store::usage::Kept;
use vitalsync::tick::Engine;
use vitalsync::tick::ingest::{SourceReport, Unwatched, generation};
use vitalsync::tick::read::Backfill;
use vitalsync_core::gather::History;
use vitalsync_core::time::DAY_MS;
use vitalsync_core::usage::{Id, Spot};

use crate::site::{Site, end};

/// Days of the stories; the last is in the middle of a month.
const DAYS: i64 = 685;

fn model(retention: &str) -> String {
    format!(
        r#"
timezone: Europe/Brussels
sources:
  product: {{ type: segment_archive, location: ./archive }}
accounts: {{ id: [context.groupId] }}
exclude: {{ users: traits.team == "ours" }}
lifecycle: {{ new: off }}
profiles:
  - {{ window: 14d, hold: off, benchmark: monthly, events: {{ Core: 5, Minor: 0.3, Page Viewed: 1, Rare: 2 }} }}
activation:
  steps: {{ core: Core, often: {{ event: Core, count: 3 }}, ready: {{ trait: ready }} }}
retention: {retention}
"#
    )
}

fn open(site: &Site, retention: &str) -> Engine {
    let mut engine = site.open_with(&model(retention));
    engine.clock = Clock::Fixed(end(DAYS as i32));
    engine
}

fn ingest(engine: &Engine) -> SourceReport {
    engine.ingest(&engine.config.sources[0].clone()).unwrap()
}

fn accounts(engine: &Engine) -> Value {
    json!(engine.accounts(vitalsync_core::identity::Horizon::at(end(DAYS as i32))).unwrap())
}

/// A site that reads the same archive into another state.
fn beside(runtime: &tokio::runtime::Runtime, site: &Site) -> Site {
    let other = runtime.block_on(Site::new());
    std::fs::remove_dir(other.archive()).unwrap();
    std::os::unix::fs::symlink(site.archive(), other.archive()).unwrap();
    other
}

/// Counts and statements as they are kept.
fn kept(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    [&b"c"[..], b"s"].iter().flat_map(|kind| engine.store.scan(kind)).map(Result::unwrap).collect()
}

/// How much is kept: counts of an event on a spot, and bytes of statements. How many runs the counts lie in says nothing.
fn size(engine: &Engine) -> [usize; 2] {
    let mut counted: BTreeMap<(Spot, Id), i64> = BTreeMap::new();
    let history = Kept::of(&engine.store, generation::counting(&engine.store, |_| true).unwrap());
    history
        .spots(&mut |spot, _, counts| {
            counts.iter().for_each(|(event, count)| *counted.entry((*spot, *event)).or_default() += count);
        })
        .unwrap();
    let counts = counted.values().filter(|count| **count != 0).count();
    let statements =
        kept(engine).iter().filter(|(key, _)| key.starts_with(b"s")).map(|(key, value)| key.len() + value.len()).sum();
    [counts, statements]
}

fn call(index: usize, (day, ms, kind, user, account, lag): (i64, i64, usize, usize, usize, i64)) -> String {
    let at = end(0).plus_ms(day * DAY_MS + ms);
    let received = at.plus_ms(if index.is_multiple_of(9) { lag * DAY_MS } else { 0 });
    let event = ["Core", "Minor", "Rare", "Core"][kind % 4];
    let rest = match kind {
        0..=7 => format!(r#""type":"track","event":"{event}","context":{{"groupId":"acc{account}"}}"#),
        8 => format!(r#""type":"track","event":"{event}""#),
        9 => format!(r#""type":"group","groupId":"acc{account}","traits":{{"ready":true,"seats":{ms}}}"#),
        10 => format!(r#""type":"identify","traits":{{"team":"t{account}","seen":{day}}}"#),
        _ => format!(r#""type":"identify","anonymousId":"d{user}","traits":{{"plan":"p{account}"}}"#),
    };
    let who = match user {
        5 if kind < 9 => r#""anonymousId":"d2""#.to_owned(),
        user => format!(r#""userId":"u{user}""#),
    };
    format!(r#"{{{who},{rest},"messageId":"m{index}","timestamp":"{at}","receivedAt":"{received}"}}"#)
}

fn history() -> impl Strategy<Value = Vec<String>> {
    let call_parts = (0..DAYS, 0..86_400_000i64, 0..12usize, 0..6usize, 0..3usize, 0..40i64);
    prop::collection::vec(call_parts, 20..300)
        .prop_map(|calls| calls.into_iter().enumerate().map(|(index, parts)| call(index, parts)).collect())
}

fn without(accounts: &Value, keys: &[&[&str]]) -> Value {
    let mut accounts = accounts.clone();
    for account in accounts.as_array_mut().unwrap() {
        for key in keys {
            let (last, path) = key.split_last().unwrap();
            let inner = path.iter().fold(&mut *account, |value, key| &mut value[*key]);
            if let Some(inner) = inner.as_object_mut() {
                inner.remove(*last);
            }
        }
    }
    accounts
}

/// The date on which a step that asks for several events was done may be later in its month.
const BY_MONTH: &[&[&str]] = &[
    &["activation", "activated_at"],
    &["activation", "days_to_activate"],
    &["activation", "last_step_on"],
    &["activation", "days_stalled"],
    &["activation", "stalled"],
    &["activation", "steps", "often"],
];
/// What asks how it began needs the beginning.
const BEGINNING: &[&[&str]] = &[
    &["activation"],
    &["adoption", "all_time_percent"],
    &["tenure_days"],
    &["expansion_readiness"],
    &["churn_risk"],
    &["churn_risk_reasons"],
    &["ready_segments"],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn figures_inside_are_as_if_all_were_kept(lines in history()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let site = runtime.block_on(Site::new());
        site.write("all", &(lines.join("\n") + "\n"));
        let plain = open(&site, "off");
        ingest(&plain);
        let expected = accounts(&plain);
        // Beyond the longest that is looked back by days: the 180 days of a rhythm.
        for (retention, but) in [("{ days: 240d }", BY_MONTH), ("{ months: 6mo }", BEGINNING), ("{ days: 240d, months: 12mo }", BEGINNING)] {
            let other = beside(&runtime, &site);
            let engine = open(&other, retention);
            ingest(&engine);
            let before = size(&engine);
            engine.retain(end(DAYS as i32)).unwrap();
            let after = size(&engine);
            prop_assert!(after[0] <= before[0] && after[1] <= before[1]);
            // An account of which nothing is left is none any more.
            // What began, or ended, before what is kept has no figures of the time before.
            let young = |one: &Value| but == BEGINNING && one["tenure_days"].as_i64().is_none_or(|days| days < 60);
            let mut whole = accounts(&engine);
            let unknown: Vec<Value> = whole.as_array().unwrap().iter().filter(|one| young(one)).map(|one| one["account"].clone()).collect();
            let known = |all: &mut Value| all.as_array_mut().unwrap().retain(|one| !unknown.contains(&one["account"]));
            known(&mut whole);
            let mut expected = expected.clone();
            known(&mut expected);
            let got = without(&whole, but);
            let names: Vec<&str> = got.as_array().unwrap().iter().filter_map(|one| one["account"].as_str()).collect();
            let all = without(&expected, but);
            let all: Vec<&Value> = all.as_array().unwrap().iter().filter(|one| names.contains(&one["account"].as_str().unwrap())).collect();
            prop_assert_eq!(&json!(all), &got, "{}", retention);
            let gone = expected.as_array().unwrap().iter().filter(|one| !names.contains(&one["account"].as_str().unwrap()));
            for account in gone {
                prop_assert_eq!(account["health"]["raw"].as_f64(), Some(0.0), "{} {}", retention, account);
            }
            // Again, on the same day and on the next; and counted anew.
            let small = kept(&engine);
            engine.retain(end(DAYS as i32)).unwrap();
            engine.retain(end(DAYS as i32 + 1)).unwrap();
            prop_assert!(kept(&engine) == small, "{retention}: done again");
            let order = Backfill { rebuild: true, ..Backfill::default() };
            engine.backfill(&order, &|_| Box::new(Unwatched)).unwrap();
            engine.retain(end(DAYS as i32 + 2)).unwrap();
            let mut anew = accounts(&engine);
            known(&mut anew);
            prop_assert_eq!(&without(&anew, but), &got, "{} counted anew", retention);
            prop_assert_eq!(size(&engine), after);
        }
    }
}

fn track(id: &str, at: i64, received: i64) -> String {
    let time = |day: i64| end(0).plus_ms(day * DAY_MS);
    format!(
        "{{\"type\":\"track\",\"messageId\":\"{id}\",\"userId\":\"u\",\"event\":\"Core\",\"context\":{{\"groupId\":\"a\"}},\"timestamp\":\"{}\",\"receivedAt\":\"{}\"}}\n",
        time(at),
        time(received)
    )
}

/// How often things happened in all, in all months.
fn total(engine: &Engine) -> i64 {
    let mut sum = 0;
    let kept = Kept::of(&engine.store, generation::counting(&engine.store, |_| true).unwrap());
    kept.spots(&mut |_, _, counts| sum += counts.iter().map(|(_, count)| count).sum::<i64>()).unwrap();
    sum
}

#[tokio::test]
async fn late_calls_count_in_their_month_and_old_files_do_not() {
    let site = Site::new().await;
    let lines: String = (0..DAYS).map(|day| track(&format!("m{day}"), day, day)).collect();
    site.write("all", &lines);
    let engine = open(&site, "{ days: 120d }");
    ingest(&engine);
    engine.retain(end(DAYS as i32)).unwrap();
    let before = size(&engine);
    assert_eq!(total(&engine), DAYS);
    // Received now, for a day of long ago, twice.
    site.write("late", &(track("late", 30, DAYS - 1) + &track("late", 30, DAYS)));
    assert_eq!(ingest(&engine).too_old, 0);
    assert_eq!(total(&engine), DAYS + 1);
    engine.retain(end(DAYS as i32 + 1)).unwrap();
    assert_eq!(total(&engine), DAYS + 1);
    // Received long ago: nobody can tell whether it was counted.
    site.write("found", &(track("m31", 31, 31) + &track("found", 32, 32)));
    let report = ingest(&engine);
    assert_eq!((report.too_old, report.events_counted, report.days_recounted), (2, 0, 0), "{report:?}");
    // A file of old days that was rewritten takes nothing away, and what is inside of it counts anew.
    site.write(
        "all",
        &(track("other", 3, 3) + &lines.replace("\"m684\"", "\"another\"") + &track("one more", DAYS, DAYS)),
    );
    ingest(&engine);
    assert_eq!(total(&engine), DAYS + 2);
    engine.retain(end(DAYS as i32 + 2)).unwrap();
    let after = size(&engine);
    assert!(after[0] < before[0] + 10 && after[1] == before[1], "{before:?}, {after:?}");
}

#[tokio::test]
async fn a_kill_before_anything_was_made_small_loses_nothing() {
    let site = Site::new().await;
    let lines: String = (0..DAYS).map(|day| track(&format!("m{day}"), day, day)).collect();
    site.write("all", &lines);
    let engine = open(&site, "{ days: 120d }");
    ingest(&engine);
    let number = generation::sources(&engine.store).unwrap()["product"];
    let mut known = generation::Generation::load(&engine.store, number).unwrap();
    known.kept_from = Some((end(0).0 / DAY_MS) as i32 + 500);
    let mut batch = vitalsync::store::Batch::default();
    known.save(&mut batch);
    engine.store.apply(batch).unwrap();
    let order = Backfill { rebuild: true, ..Backfill::default() };
    engine.backfill(&order, &|_| Box::new(Unwatched)).unwrap();
    assert_eq!(total(&engine), DAYS);
    engine.retain(end(DAYS as i32)).unwrap();
    assert_eq!(total(&engine), DAYS);
}
