//! History: what was said of a day stays said, whatever is edited or comes late.

use serde_json::{Value, json};
use vitalsync::report::AttributedPart;
use vitalsync::store::{Store, portable};
use vitalsync::tick::Engine;
use vitalsync::tick::attribute::Between;
use vitalsync::tick::forget::{Answer, Kind};
use vitalsync_core::Timestamp;
use vitalsync_core::identity::Horizon;

use crate::site::{Site, Use, day, end};

/// Two accounts of use, weights that can be edited, no tool.
fn config(core: f64, more: &str) -> String {
    format!(
        r#"
sources:
  product: {{ type: segment_archive, location: ./archive }}
profiles:
  - {{ name: customer, window: 7d, benchmark: {{ fixed: 70 }}, events: {{ Core: {core}, Minor: 1 }} }}
{more}"#
    )
}

async fn site() -> Site {
    let site = Site::new().await;
    site.customers("use.ndjson", &[Use("a0", "Core", 0, 60, 1), Use("a1", "Minor", 0, 60, 3)]);
    site
}

async fn run(engine: &Engine, days: impl IntoIterator<Item = i32>) {
    for offset in days {
        engine.run_once(end(offset)).await.unwrap();
    }
}

fn snapshots(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.store.scan(b"h").map(Result::unwrap).collect()
}

fn explained(engine: &Engine, account: &str, offset: i32) -> Value {
    serde_json::to_value(engine.explain(account, Horizon::at(end(offset)), None).unwrap().unwrap()).unwrap()
}

/// The scores of days whose snapshots were kept.
fn stored(explained: &Value) -> Vec<(String, f64)> {
    let days = explained["history"].as_array().unwrap().iter().filter(|day| day["stored"] == true);
    days.map(|day| (day["day"].as_str().unwrap().to_owned(), day["score"].as_f64().unwrap())).collect()
}

#[tokio::test]
async fn an_edited_profile_changes_no_past() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, 20..31).await;
    let (before, kept) = (explained(&engine, "a0", 30), snapshots(&engine));
    assert_eq!(stored(&before).len(), 10, "each day that a run saw, but for the one that is still told anew");
    assert_eq!(before["health"]["change_7d"], 0.0);
    let then = before["health"]["score"].as_f64().unwrap();
    drop(engine);

    let engine = site.open_with(&config(9.0, ""));
    let after = explained(&engine, "a0", 30);
    assert_eq!((stored(&after), snapshots(&engine)), (stored(&before), kept.clone()));
    let change = after["health"]["change_7d"].as_f64().unwrap();
    assert!((after["health"]["score"].as_f64().unwrap() - then - change).abs() < 1e-9 && change > 10.0, "{change}");
    // A run under the new config writes its own day, and with its own version.
    run(&engine, [30, 31]).await;
    let both = snapshots(&engine);
    assert_eq!(both.len(), kept.len() + 1, "the day that had its snapshots keeps them");
    assert!(kept.iter().all(|entry| both.contains(entry)));
    assert_eq!(engine.store.scan(b"p").count(), 2);
}

/// No account was used yet when the quarter of the first days began: the benchmark of now serves, for trends, for the days of the
/// history and for what moved the score.
#[tokio::test]
async fn before_the_first_renewal_a_change_is_one_number() {
    let site = Site::new().await;
    site.customers(
        "use.ndjson",
        &[Use("a0", "Core", 0, 60, 1), Use("a1", "Minor", 0, 20, 1), Use("a1", "Core", 30, 60, 3)],
    );
    let config = config(5.0, "").replace("benchmark: { fixed: 70 }, ", "");
    let engine = site.open_with(&config);
    engine.ingest(&engine.config.sources[0].clone()).unwrap();
    for account in ["a0", "a1"] {
        let explained = explained(&engine, account, 50);
        let change = &explained["attribution"];
        let (from, moved) = (change["score_from"].as_f64().unwrap(), change["change"].as_f64().unwrap());
        let day = explained["history"].as_array().unwrap().iter().find(|day| day["day"] == change["from"]).unwrap();
        assert!((day["score"].as_f64().unwrap() - from).abs() < 1e-9, "{account}: {day} {change}");
        assert!((explained["health"]["change_30d"].as_f64().unwrap() - moved).abs() < 1e-6, "{account}: {change}");
    }
}

#[tokio::test]
async fn a_band_is_held_from_what_was_said_last() {
    let site = site().await;
    let hold = |bands: &str| config(5.0, "").replace("window: 7d", &format!("window: 7d, bands: {bands}"));
    let engine = site.open_with(&hold("{ healthy: 60, at_risk: 20 }"));
    run(&engine, [20, 21]).await;
    assert_eq!(explained(&engine, "a0", 21)["health"]["band"], "healthy");
    drop(engine);
    // A score of 73 never reached this bound, and is not more than five points below it.
    let engine = site.open_with(&hold("{ healthy: 76, at_risk: 20 }"));
    run(&engine, [22]).await;
    assert_eq!(explained(&engine, "a0", 22)["health"]["band"], "healthy");
    // Two days that no run saw: held over them from the day that was said last.
    run(&engine, [25]).await;
    let after = explained(&engine, "a0", 25);
    assert_eq!((&after["health"]["band"], &after["band_since"]), (&"healthy".into(), &day(20).to_string().into()));
    drop(engine);
    let site = self::site().await;
    let never = site.open_with(&hold("{ healthy: 76, at_risk: 20 }"));
    run(&never, [25]).await;
    assert_eq!(explained(&never, "a0", 25)["health"]["band"], "normal");
}

#[tokio::test]
async fn what_comes_late_and_days_that_no_run_saw_write_nothing() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, [20]).await;
    let kept = snapshots(&engine);
    assert_eq!(kept.len(), 1);
    site.customers("late.ndjson", &[Use("a0", "Core", 18, 2, 4)]);
    engine.run_once(end(20).plus_ms(3_600_000)).await.unwrap();
    assert_eq!(snapshots(&engine), kept);
    run(&engine, [24]).await;
    let days = stored(&explained(&engine, "a0", 25)).into_iter().map(|(day, _)| day).collect::<Vec<_>>();
    assert_eq!(days, [day(20).to_string(), day(24).to_string()]);
    // Looking back, only what was said before is seen; and a run doesn't go back.
    assert_eq!(stored(&explained(&engine, "a0", 24)).len(), 1);
    assert_eq!(stored(&explained(&engine, "a0", 20)), []);
    let error = engine.run_once(end(23)).await.unwrap_err().to_string();
    assert!(error.contains("before the last run"), "{error}");
}

#[tokio::test]
async fn a_forgotten_account_leaves_no_snapshot() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, [20, 21]).await;
    let Answer::Done(dry) = engine.forget(Some(Kind::Account), "a0", true).unwrap() else { panic!("it is known") };
    assert_eq!(dry.snapshots_removed, 2);
    let Answer::Done(done) = engine.forget(Some(Kind::Account), "a0", false).unwrap() else { panic!("it is known") };
    assert_eq!(done.snapshots_removed, 2);
    run(&engine, [22]).await;
    assert_eq!(stored(&explained(&engine, "a1", 22)).len(), 2);
    assert_eq!(engine.store.verify().problems, Vec::<String>::new());
    let days = [20, 21, 22].map(day).into();
    let left = engine.store.snapshots("customer", &days).unwrap();
    let told: usize = (0..20).map(|account| left.of(account).len()).sum();
    assert_eq!(told, 3, "those of the other alone");
}

#[tokio::test]
async fn an_account_that_only_a_rule_names_has_a_past_too() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, "accounts: { roll_up: '\"group\"' }"));
    run(&engine, 20..23).await;
    assert_eq!(stored(&explained(&engine, "group", 22)).len(), 2);
    drop(engine);
    let engine = site.open_with(&config(5.0, "accounts: { roll_up: '\"group\"' }"));
    assert_eq!(stored(&explained(&engine, "group", 22)).len(), 2);
}

#[tokio::test]
async fn snapshots_move_with_the_state() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, 20..24).await;
    let (before, kept) = (explained(&engine, "a0", 23), snapshots(&engine));
    let mut file = Vec::new();
    portable::export(&engine.store, &mut file, Timestamp(0)).unwrap();
    drop(engine);
    std::fs::remove_dir_all(site.dir.path().join("state")).unwrap();
    portable::import(&site.dir.path().join("state"), &mut file.as_slice(), false).unwrap();
    let engine = site.open_with(&config(5.0, ""));
    assert_eq!((explained(&engine, "a0", 23), snapshots(&engine)), (before, kept));
    drop(engine);
    let store = Store::open(&site.dir.path().join("state")).unwrap();
    assert!(store.verify().kinds.contains_key("snapshots of days"));
}

/// What moved a score between two days: kind and name of each part, with its points; they add up.
fn moved(engine: &Engine, account: &str, from: i32, to: i32) -> Vec<(String, f64)> {
    parts(engine, account, to, Between { from: day(from), to: None })
}

/// … as is said at the end of a day.
fn parts(engine: &Engine, account: &str, at: i32, between: Between) -> Vec<(String, f64)> {
    let report = engine.explain(account, Horizon::at(end(at)), Some(between)).unwrap().unwrap().attribution.unwrap();
    let parts = &report.parts;
    assert_eq!(parts.iter().map(|part| part.micro).sum::<i64>(), report.change_micro);
    assert_eq!(report.change_micro, ((report.score_to - report.score_from) * 1e6).round() as i64);
    let kind = |part: &AttributedPart| serde_json::to_value(part.kind).unwrap().as_str().unwrap().to_owned();
    let named = |part: &AttributedPart| [Some(kind(part)), part.name.clone()].into_iter().flatten().collect::<Vec<_>>();
    parts.iter().map(|part| (named(part).join(" "), (part.points * 10.0).round() / 10.0)).collect()
}

fn kinds(parts: &[(String, f64)]) -> Vec<&str> {
    parts.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_change_is_told_by_whose_doing_it_is() {
    let site = site().await;
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, [20]).await;
    assert_eq!(moved(&engine, "a0", 20, 21), []);
    // Late for the day that was said, more use since, and an edited profile: each by itself, then all together.
    site.customers("late.ndjson", &[Use("a0", "Minor", 18, 1, 14)]);
    run(&engine, [21]).await;
    let late = moved(&engine, "a0", 20, 21);
    assert_eq!(kinds(&late), ["late"]);
    site.customers("more.ndjson", &[Use("a0", "Minor", 22, 1, 7)]);
    run(&engine, [22]).await;
    let both = moved(&engine, "a0", 20, 22);
    assert_eq!((kinds(&both), both[0].1), (vec!["late", "event Minor"], late[0].1));
    assert_eq!(kinds(&moved(&engine, "a0", 21, 22)), ["event Minor"], "the day after was said with it");
    drop(engine);
    let engine = site.open_with(&config(4.0, ""));
    let all = moved(&engine, "a0", 20, 22);
    assert_eq!((kinds(&all), &all[..2]), (vec!["late", "event Minor", "config"], &both[..]));
    assert!(all[2].1 < -5.0, "{all:?}");
    drop(engine);
    let engine = site.open_with(&config(5.0, "").replace("fixed: 70", "fixed: 140"));
    assert_eq!(kinds(&moved(&engine, "a0", 20, 22)), ["late", "event Minor", "config"], "a benchmark is the config's");
}

#[tokio::test]
async fn what_is_erased_or_renamed_is_no_use_that_stopped() {
    let site = site().await;
    site.customers("other.ndjson", &[Use("a2", "Core", 0, 60, 1)]);
    let engine = site.open_with(&config(5.0, ""));
    run(&engine, [20]).await;
    drop(engine);
    let engine = site.open_with(&config(5.0, "accounts: { aliases: { a2: a0 } }"));
    run(&engine, [21]).await;
    assert_eq!(kinds(&moved(&engine, "a0", 20, 21)), ["identity"]);
    let Answer::Done(_) = engine.forget(Some(Kind::User), "a2-u", false).unwrap() else { panic!("it is known") };
    run(&engine, [22]).await;
    let gone = moved(&engine, "a0", 21, 22);
    assert_eq!(kinds(&gone), ["identity"]);
    assert!(gone[0].1 < -20.0, "{gone:?}");
}

#[tokio::test]
async fn a_renewed_benchmark_and_days_without_snapshots() {
    let site = Site::new().await;
    let weekly = config(5.0, "").replace("{ fixed: 70 }", "weekly");
    // The best of them grows, day by day; the other stays what it is.
    let growing: Vec<Use<'_>> = (0..25).map(|day| Use("best", "Core", day, 1, 2 + day as u32)).collect();
    for (place, part) in growing.iter().enumerate() {
        let Use(account, event, from, days, each) = *part;
        site.customers(&format!("{place}.ndjson"), &[Use(account, event, from, days, each)]);
    }
    site.customers("still.ndjson", &[Use("still", "Core", 0, 60, 1)]);
    let engine = site.open_with(&weekly);
    run(&engine, [14, 22]).await;
    let parts = moved(&engine, "still", 14, 22);
    assert_eq!(kinds(&parts), ["benchmark"]);
    // From a day that no run saw: what was received by then, under today's config.
    assert_eq!(kinds(&moved(&engine, "still", 15, 22)), kinds(&moved(&engine, "still", 14, 22)));
    // Between two days that were said.
    let between = Some(Between { from: day(14), to: Some(day(22)) });
    let said = engine.explain("still", Horizon::at(end(24)), between).unwrap().unwrap().attribution.unwrap();
    assert_eq!((said.from_stored, said.to_stored), (true, true));
    assert_eq!(said.parts.iter().map(|part| part.micro).sum::<i64>(), said.change_micro);
    assert_eq!((said.parts.len(), (said.parts[0].points * 10.0).round() / 10.0), (1, parts[0].1));
    // No span: refused, with why.
    let refused =
        |from, to| engine.explain("still", Horizon::at(end(24)), Some(Between { from, to })).unwrap_err().to_string();
    assert!(refused(day(24), None).contains("no span"), "{}", refused(day(24), None));
    assert!(refused(day(-3), None).contains("no score"), "{}", refused(day(-3), None));
}

#[tokio::test]
async fn others_calls_that_come_after_midnight_move_the_benchmark_and_edit_nothing() {
    let site = Site::new().await;
    let every_run = config(5.0, "").replace("{ fixed: 70 }", "every_run");
    site.customers("use.ndjson", &[Use("still", "Core", 0, 60, 1), Use("best", "Core", 0, 60, 3)]);
    let late = |n: i32| {
        json!({"type": "track", "messageId": format!("late-{n}"), "userId": "best-u", "event": "Core", "context": {"groupId": "best"},
            "timestamp": format!("{}T23:50:00.000Z", day(20)), "receivedAt": format!("{}T00:02:00.000Z", day(21))})
        .to_string()
            + "\n"
    };
    site.write("late.ndjson", &(0..40).map(late).collect::<String>());
    let engine = site.open_with(&every_run);
    engine.run_once(end(20).plus_ms(300_000)).await.unwrap();
    let between = Between { from: day(10), to: Some(day(20)) };
    assert_eq!(kinds(&parts(&engine, "still", 22, between)), ["benchmark"]);
    // Of the account itself they are late, and of the benchmark.
    let own = parts(&engine, "best", 22, between);
    assert!(!kinds(&own).contains(&"config") && !kinds(&own).contains(&"identity"), "{own:?}");
}

#[tokio::test]
async fn a_change_is_told_under_todays_profile_whichever_was_its_own_then() {
    let site = Site::new().await;
    site.customers(
        "use.ndjson",
        &[Use("a0", "Core", 0, 60, 1), Use("a0", "Core", 10, 5, 2), Use("a1", "Core", 0, 60, 9)],
    );
    let plan = |from: i32, plan: &str| {
        json!({"type": "group", "messageId": format!("plan-{from}"), "userId": "a0-u", "groupId": "a0", "traits": {"plan": plan},
            "timestamp": format!("{}T10:00:00.000Z", day(from))})
        .to_string()
            + "\n"
    };
    site.write("plans.ndjson", &(plan(0, "old") + &plan(10, "old") + &plan(20, "new")));
    let old = "profiles:\n  - { name: old, for: 'traits.plan == \"old\"', window: 7d, events: { Other: 5 } }\n";
    let engine = site.open_with(&config(4.0, "").replace("profiles:\n", old));
    run(&engine, [24]).await;
    let between = Between { from: day(8), to: Some(day(14)) };
    assert_eq!(kinds(&parts(&engine, "a0", 24, between)), ["event Core"]);
}

#[tokio::test]
async fn what_a_version_does_not_keep_of_a_profile_is_said() {
    let site = site().await;
    run(&site.open_with(&config(5.0, "")), 20..31).await;
    let notes = |profile: &str| {
        let edited = config(5.0, "").replace("window: 7d,", &format!("window: 7d, {profile}"));
        let engine = site.open_with(&edited);
        let between = Between { from: day(25), to: None };
        let found = engine.explain("a0", Horizon::at(end(31)), Some(between)).unwrap().unwrap();
        found.attribution.unwrap().notes
    };
    assert_eq!(notes(""), Vec::<String>::new());
    assert_eq!(notes("hold: off,"), Vec::<String>::new());
    let said = format!(
        "the profile's `per`, groups, components or `for` were others on {}: the parts are told by those of now",
        day(25)
    );
    assert_eq!(notes("per: active_user,"), [said]);
}
