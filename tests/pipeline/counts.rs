//! Reading: restarts, splits, repeats and rewrites change no figure.

use proptest::prelude::*;
use serde_json::Value;
use vitalsync::tick::ingest::Unwatched;
use vitalsync::tick::read::Backfill;
use vitalsync_core::identity::Horizon;
use vitalsync_core::time::DAY_MS;

use crate::site::{Site, Use, end};

const MODEL: &str = r#"
timezone: Europe/Brussels
sources:
  product: { type: segment_archive, location: ./archive }
accounts: { id: [context.groupId, properties.org] }
profiles:
  - { window: 14d, benchmark: monthly, events: { Core: 5, Minor: 0.3, Page Viewed: 1 } }
activation:
  steps: { core: { event: Core, count: 3 }, ready: { trait: ready } }
"#;

/// Everything that can be asked of the accounts as of some times.
fn figures(site: &Site) -> Vec<Value> {
    let engine = site.open_with(MODEL);
    for source in engine.config.sources.clone() {
        engine.ingest(&source).unwrap();
    }
    [10, 40, 75]
        .iter()
        .map(|offset| serde_json::to_value(engine.accounts(Horizon::at(end(*offset))).unwrap()).unwrap())
        .collect()
}

fn history() -> impl Strategy<Value = Vec<String>> {
    let call = (0..70i64, 0..86_400_000i64, 0..5usize, 0..4usize, 0..4usize, 0..3i64, any::<bool>());
    prop::collection::vec(call, 1..60).prop_map(|calls| {
        let mut lines: Vec<String> = Vec::new();
        for (index, (day, ms, kind, user, account, lag, anonymous)) in calls.into_iter().enumerate() {
            let at = end(0).plus_ms(day * DAY_MS + ms);
            let received = at.plus_ms(lag * DAY_MS);
            let who = match (anonymous, user) {
                (true, 0) => r#""userId":null,"anonymousId":"d0""#.to_owned(),
                (true, user) => format!(r#""userId":"u{user}","anonymousId":"d{}""#, user % 2),
                (false, user) => format!(r#""userId":"u{user}""#),
            };
            let rest = match kind {
                0 => format!(r#""type":"track","event":"Core","context":{{"groupId":"acc{account}"}}"#),
                1 => format!(r#""type":"track","event":"Minor","properties":{{"org":"acc{account}"}}"#),
                2 => r#""type":"page""#.to_owned(),
                3 => format!(
                    r#""type":"group","groupId":"acc{account}","traits":{{"ready":{anonymous},"seats":{user}}}"#
                ),
                _ => r#""type":"track","event":"Core""#.to_owned(),
            };
            lines.push(format!(
                r#"{{{who},{rest},"messageId":"m{index}","timestamp":"{at}","receivedAt":"{received}"}}"#
            ));
        }
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same calls in one file, or in any order in several files that arrive one after the other, some twice.
    #[test]
    fn splits_restarts_and_repeats_change_nothing(lines in history(), order in any::<u64>(), parts in 1usize..5) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (one, other) = runtime.block_on(async { (Site::new().await, Site::new().await) });
        one.write("all.ndjson", &(lines.join("\n") + "\n"));
        let mut shuffled = lines.clone();
        let mut seed = order | 1;
        for index in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, (seed >> 33) as usize % (index + 1));
        }
        for (part, chunk) in shuffled.chunks(shuffled.len().div_ceil(parts)).enumerate() {
            let again = shuffled.first().cloned().unwrap_or_default();
            other.write(&format!("{}/{part}.log", part % 2), &(chunk.join("\n") + "\n" + &again + "\n"));
            figures(&other);
        }
        prop_assert_eq!(figures(&one), figures(&other));
    }
}

#[tokio::test]
async fn a_rewritten_file_counts_nothing_twice() {
    let site = Site::new().await;
    site.write("a", &line("m1", "Core", 3));
    let once = figures(&site);
    site.write("a", &format!("{}{}", line("m0", "Minor", 2), line("m1", "Core", 3)));
    let engine = site.open_with(MODEL);
    let report = engine.ingest(&engine.config.sources[0].clone()).unwrap();
    assert_eq!((report.files_rewritten, report.events_counted), (1, 0), "its days are counted anew");
    assert!(report.days_recounted > 0, "{report:?}");
    drop(engine);
    assert_ne!(figures(&site), once, "the new call counts");
    site.write("copy/of/a", &format!("{}{}", line("m0", "Minor", 2), line("m1", "Core", 3)));
    let before = figures(&site);
    assert_eq!(figures(&site), before);
    let raw = &before[1][0]["health"]["raw"];
    assert_eq!(raw.as_f64(), Some(0.0), "{before:?}");
}

fn line(id: &str, event: &str, day: i64) -> String {
    let at = end(0).plus_ms(day * DAY_MS);
    format!(
        "{{\"type\":\"track\",\"messageId\":\"{id}\",\"userId\":\"u\",\"event\":\"{event}\",\"context\":{{\"groupId\":\"a\"}},\"timestamp\":\"{at}\"}}\n"
    )
}

#[tokio::test]
async fn another_time_zone_is_refused() {
    let site = Site::new().await;
    site.write("a", &line("m1", "Core", 3));
    figures(&site);
    let file = site.dir.path().join("vitalsync.yaml");
    let config =
        vitalsync::config::Config::parse(&MODEL.replace("Europe/Brussels", "Asia/Tokyo"), &file, &|_| None).unwrap();
    let error = vitalsync::tick::Engine::open(config, Default::default()).unwrap_err().to_string();
    assert!(error.contains("Europe/Brussels") && error.contains("Asia/Tokyo"), "{error}");
}

/// What a run says of raw scores, by account, and its report.
async fn told(site: &Site, config: &str, offset: i32) -> (Vec<(String, f64)>, vitalsync::report::RunReport) {
    let engine = site.open_with(config);
    let run = engine.run_once(end(offset)).await.unwrap();
    let accounts = engine.accounts(Horizon::at(end(offset))).unwrap();
    let raw = |account: &Value| Some((account["account"].as_str()?.to_owned(), account["health"]["raw"].as_f64()?));
    (accounts.iter().filter_map(|account| raw(&serde_json::to_value(account).unwrap())).collect(), run)
}

#[tokio::test]
async fn a_source_counts_under_the_name_that_the_config_has_for_it() {
    let site = Site::new().await;
    site.customers("use.ndjson", &[Use("a0", "Core", 0, 20, 1), Use("a1", "Minor", 0, 20, 5)]);
    let renamed = MODEL.replace("product:", "prod:");
    let first = told(&site, MODEL, 10).await.0;
    assert_eq!(first.len(), 2);
    for (config, other) in [(renamed.as_str(), "product"), (MODEL, "prod"), (&renamed, "product")] {
        let (raw, run) = told(&site, config, 10).await;
        assert_eq!((raw, run.unknown_sources), (first.clone(), vec![other.to_owned()]));
    }
}

#[tokio::test]
async fn calls_are_filed_anew_where_the_config_finds_their_account_elsewhere() {
    let site = Site::new().await;
    let call = |n: i32, rest: &str| {
        format!(
            r#"{{"type":"track","messageId":"{n}","userId":"u","event":"Core","properties":{{"org":"a0"}},"timestamp":"{}"{rest}}}"#,
            end(n)
        )
    };
    let lines: Vec<String> = (0..10).map(|n| call(n, "")).collect();
    site.write("use.ndjson", &(lines.join("\n") + "\n"));
    let (raw, run) = told(&site, &MODEL.replace(", properties.org", ""), 10).await;
    assert_eq!((raw, run.unassigned_events), (Vec::new(), 10));
    let (raw, run) = told(&site, MODEL, 10).await;
    assert_eq!((raw, run.unassigned_events), (vec![("a0".to_owned(), 50.0)], 0));
    assert!(run.sources["product"].days_recounted > 0);
    assert_eq!(told(&site, MODEL, 11).await.1.sources["product"].days_recounted, 0, "once");
}

#[tokio::test]
async fn a_step_on_a_new_condition_says_what_it_does_not_see() {
    let site = Site::new().await;
    site.customers("use.ndjson", &[Use("a0", "Core", 0, 5, 1)]);
    told(&site, MODEL, 10).await;
    let edited = MODEL.replace("core: { event: Core, count: 3 }", "core: { event: Core, where: '!has(properties.x)' }");
    let said = |run: vitalsync::report::RunReport| run.doubts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let doubts = said(told(&site, &edited, 11).await.1);
    let of_step =
        |text: &String| text.contains("is counted since") && text.contains("steps") && text.contains("--rebuild");
    assert_eq!(doubts.iter().filter(|text| of_step(text)).count(), 1, "{doubts:?}");
    let engine = site.open_with(&edited);
    engine.backfill(&Backfill { rebuild: true, ..Backfill::default() }, &|_| Box::new(Unwatched)).unwrap();
    drop(engine);
    let doubts = said(told(&site, &edited, 12).await.1);
    assert!(!doubts.iter().any(of_step), "{doubts:?}");
}
