//! The independent judge of reading: random histories go through archive files, and every figure of the accounts is compared
//! with a naive recount of the raw lines ([`books`]).
//!
//! How an archive is laid out must change nothing: files and folders, plain and gzip, appended between runs, cut off in the
//! middle of a line, calls in any order, small batches and blocks, restarts. What is not judged here: files that are
//! rewritten, repeated or gone, and the sentence `top_reason`, which only has to be the same in every layout.

mod books;
mod calls;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use books::Books;
use calls::{Call, DAY_MS, Line, SOURCES, START, call, iso, lines};
use chrono_tz::Tz;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};
use vitalsync::clock::Clock;
use vitalsync::config::Config;
use vitalsync::tick::Engine;
use vitalsync::tick::ingest::Grain;
use vitalsync_core::Timestamp;

/// A sequence that looks random and is always the same.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for index in (1..things.len()).rev() {
            let other = self.below(index + 1);
            things.swap(index, other);
        }
    }
}

fn config(zone: Tz, window: i64) -> String {
    let weights: Vec<String> = books::WEIGHTS
        .iter()
        .map(|(name, points)| match *name {
            "Big" => format!("Big: {{ event: Core, where: properties.size > 3, weight: {points} }}"),
            name => format!("{name}: {points}"),
        })
        .collect();
    let sources: Vec<String> = SOURCES
        .iter()
        .map(|name| format!("  {name}: {{ type: segment_archive, location: ./{name}, dedupe: {window}d }}\n"))
        .collect();
    format!(
        "timezone: {zone}\nsources:\n{}accounts: {{ id: [context.groupId, properties.org] }}
lifecycle: {{ new: off }}
profiles:
  - {{ name: all, window: {}d, benchmark: {{ fixed: {} }}, bands: {{ healthy: 70, at_risk: 40, hold: off }}, events: {{ {} }} }}
activation:
  steps: {{ core: {{ event: Core, count: 3 }}, minor: Minor, ready: {{ trait: ready }} }}
destinations:
  desk:
    type: intercom
    token: none
    base_url: http://127.0.0.1:9
    contacts: {{ match: [ external_id: user.id ], attributes: {{ health: account.health.score }} }}
",
        sources.concat(),
        books::WINDOW,
        books::BENCHMARK,
        weights.join(", "),
    )
}

fn open(dir: &Path, config: &str, now: i64, grain: Grain) -> Engine {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::parse(config, &dir.join("vitalsync.yaml"), &|_| None).unwrap_or_else(|why| panic!("{why}"));
    let mut engine = Engine::open(config, Clock::Fixed(Timestamp(now))).unwrap();
    engine.grain = grain;
    engine
}

fn read(engine: &Engine) {
    for source in engine.config.sources.clone() {
        let report = engine.ingest(&source).unwrap();
        assert!(report.failed.is_none(), "{report:?}");
        let cut = |reason: &String| reason == "incomplete_line" || reason == "truncated_gzip";
        assert!(report.rejected.keys().all(cut), "{report:?}");
    }
}

/// A file of an archive that grows: its parts in their order.
struct Growing {
    path: String,
    parts: Vec<Vec<u8>>,
}

/// Lays lines out: in so many runs, in files that grow between them.
fn layout(lines: &[Line], runs: usize, random: &mut Random) -> Vec<Growing> {
    let mut lines = lines.to_vec();
    match random.below(4) {
        0 => lines.sort_by_key(|(_, line)| line.split("receivedAt\":\"").nth(1).map(str::to_owned)),
        1 => {}
        _ => random.shuffle(&mut lines),
    }
    let files = 1 + random.below(5);
    let mut growing: BTreeMap<String, Growing> = BTreeMap::new();
    let each = lines.len().div_ceil(runs).max(1);
    for run in 0..runs {
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for (source, line) in lines.iter().skip(run * each).take(each) {
            let file = random.below(files);
            let folder = ["", "2026/03/", "b c/"][file % 3];
            let ending = [".ndjson", ".log.gz", ".json.gz", ""][file % 4];
            // Some files grow, some are new in every run.
            let path = match file % 2 {
                0 => format!("{}/{folder}{file}{ending}", SOURCES[*source]),
                _ => format!("{}/{folder}{file}-{run}{ending}", SOURCES[*source]),
            };
            let text = said.entry(path).or_default();
            text.push_str(line);
            text.push_str(["\n", "\n", "\r\n", "\n\n"][random.below(4)]);
        }
        for (path, text) in said {
            let file = growing.entry(path.clone()).or_insert_with(|| Growing { path, parts: vec![Vec::new(); run] });
            file.parts.resize(run, Vec::new());
            file.parts.push(packed(&file.path, &text, random));
        }
    }
    growing.into_values().collect()
}

/// As gzip in some members, or as it is.
fn packed(path: &str, text: &str, random: &mut Random) -> Vec<u8> {
    if !path.ends_with(".gz") {
        return text.as_bytes().to_vec();
    }
    let mut packed = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // A member may end in the middle of a line.
        let (now, later) = rest.split_at(1 + random.below(rest.len()));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(now).unwrap();
        packed.extend(encoder.finish().unwrap());
        rest = later;
    }
    packed
}

/// Brings files to where they are after a run; a part may be there only in part, except in the last run.
fn grow(dir: &Path, files: &[Growing], run: usize, runs: usize, random: &mut Random) {
    for file in files {
        let whole: Vec<u8> = file.parts.iter().take(run + 1).flatten().copied().collect();
        let last = file.parts.get(run).map_or(0, Vec::len);
        let cut = if run + 1 < runs && random.below(2) == 0 { random.below(last + 1) } else { 0 };
        let path = dir.join(&file.path);
        if whole.len() > cut {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &whole[..whole.len() - cut]).unwrap();
        }
    }
}

fn end_of(offset: i64, zone: Tz) -> (chrono::NaiveDate, i64) {
    let day = chrono::DateTime::from_timestamp_millis(START + offset * DAY_MS).unwrap().date_naive();
    let end = day.and_hms_milli_opt(23, 59, 59, 999).unwrap().and_local_timezone(zone).unwrap();
    (day, end.timestamp_millis())
}

/// All that is said of accounts and users as of a time; `reasons`: with sentences.
fn told(engine: &Engine, at: i64, reasons: bool) -> Value {
    let evaluation = engine.evaluate(Timestamp(at)).unwrap();
    let mut accounts =
        serde_json::to_value(engine.accounts(vitalsync_core::identity::Horizon::at(Timestamp(at))).unwrap()).unwrap();
    for account in accounts.as_array_mut().unwrap() {
        if let Some(time) = account["last_active"].as_str() {
            account["last_active"] = chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis().into();
        }
        if !reasons {
            account["health"].as_object_mut().unwrap().remove("top_reason");
        }
    }
    let users: Vec<Value> = evaluation
        .users
        .iter()
        .map(|user| {
            let traits: BTreeMap<&str, Value> =
                user.traits.iter().map(|(name, value)| (name, value.to_json())).collect();
            json!({
                "user": user.id, "traits": traits, "last_active": user.last_active.map(|time| time.0),
                "active_days": user.active_days, "account": user.account.map(|place| &evaluation.accounts[place].id),
            })
        })
        .collect();
    json!({"accounts": accounts, "users": users, "unassigned": evaluation.unassigned_events})
}

/// Where what the program says differs from the recount: numbers may by rounding. The recount doesn't judge every figure;
/// of names that the data chooses none may be missing or more.
fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b))
            if a.len() == b.len() || !path.ends_with(".traits") && !path.ends_with(".steps") =>
        {
            let said = |name: &String| a.get(name).unwrap_or(&Value::Null);
            b.iter().find_map(|(name, value)| difference(&format!("{path}.{name}"), said(name), value))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(place, (a, b))| difference(&format!("{path}[{place}]"), a, b))
        }
        (Value::Number(a), Value::Number(b)) => {
            let near = a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-9);
            (!near).then(|| format!("{path}: program {one} ≠ recount {other}"))
        }
        _ => (one != other).then(|| format!("{path}: program {one} ≠ recount {other}")),
    }
}

struct Case {
    zone: Tz,
    window: i64,
    seed: u64,
    /// The clock stands at the end of the history, or long after it.
    now: i64,
}

fn case() -> impl Strategy<Value = Case> {
    const ZONES: [Tz; 5] = [Tz::Europe__Brussels, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Pacific__Apia, Tz::UTC];
    (prop::sample::select(&ZONES[..]), prop_oneof![Just(7), 1..20i64], any::<u64>(), 0..3i64)
        .prop_map(|(zone, window, seed, late)| Case { zone, window, seed, now: START + (100 + 150 * late) * DAY_MS })
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, dedupe {} days, seed {}, now {}", self.zone, self.window, self.seed, iso(self.now))
    }
}

/// Reads a history as one file in one go, then as a random layout, and judges every figure.
fn judge(calls: &[Call], case: &Case, largest: usize) -> Result<(), TestCaseError> {
    let lines = lines(calls);
    let config = config(case.zone, case.window);
    let plain = tempfile::tempdir().unwrap();
    for (number, name) in SOURCES.iter().enumerate() {
        let own = lines.iter().filter(|(source, _)| *source == number).map(|(_, line)| format!("{line}\n"));
        std::fs::write(plain.path().join(name), own.collect::<String>()).unwrap();
    }
    let at_once = open(plain.path(), &config, case.now, Grain::default());
    read(&at_once);
    let recounts = [35, 70, 99, 180].map(|offset| {
        let (day, at) = end_of(offset, case.zone);
        let books = Books::open(&lines, case.zone, case.window, day);
        (day, at, json!({"accounts": books.accounts(), "users": books.users(), "unassigned": books.unassigned()}))
    });
    let compare = |engine: &Engine, how: &str| {
        for (day, at, recount) in &recounts {
            let at = *at;
            let found = difference("", &told(engine, at, false), recount);
            prop_assert!(found.is_none(), "{}, as of {}: {}", how, day, found.unwrap_or_default());
            prop_assert_eq!(told(engine, at, true), told(&at_once, at, true));
        }
        Ok(())
    };
    compare(&at_once, "at once")?;

    let mut random = Random(case.seed);
    let dir = tempfile::tempdir().unwrap();
    SOURCES.iter().for_each(|name| std::fs::create_dir_all(dir.path().join(name)).unwrap());
    let runs = 1 + random.below(6);
    let files = layout(&lines, runs, &mut random);
    let mut engine = None;
    for run in 0..runs {
        grow(dir.path(), &files, run, runs, &mut random);
        let grain = Grain { batch: 1 + random.below(largest), block: 1 + random.below(4000) };
        if random.below(4) > 0 {
            engine = None;
        }
        let engine = engine.get_or_insert_with(|| open(dir.path(), &config, case.now, grain));
        engine.grain = grain;
        read(engine);
    }
    compare(&engine.unwrap(), &format!("in {runs} runs"))
}

fn history(undated: bool) -> impl Strategy<Value = Vec<Call>> {
    let few = prop::collection::vec(call(3, 5, undated), 1..60);
    let many = prop::collection::vec(call(9, 24, undated), 1..220);
    prop_oneof![few, many]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: std::env::var("SHRINK").map_or(0, |n| n.parse().unwrap()),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_figure_is_what_the_raw_lines_give(history in any::<bool>().prop_flat_map(history), case in case()) {
        judge(&history, &case, 50)?;
    }
}

proptest! {
    #![proptest_config(cases(2))]

    /// So many users in one account and month that their counts lie in several values, and so many calls in a day that
    /// their fingerprints do.
    #[test]
    fn a_crowd_is_counted_through_all_parts_of_the_state(
        history in prop::collection::vec(call(2, 1500, false), 2500..3000),
        case in case(),
    ) {
        let crowd: Vec<Call> = history
            .into_iter()
            .map(|call| if call.is_event() { Call { at: START + 20 * DAY_MS + call.at % (2 * DAY_MS), ..call } } else { call })
            .collect();
        judge(&crowd, &case, 400)?;
    }
}
