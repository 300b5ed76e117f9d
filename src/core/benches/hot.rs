//! The paths that every call, or every account, goes through: `cargo bench -p vitalsync-core`.
//!
//! What whole processes need is measured elsewhere (`benches/peers`); these say which part of it moved.

#[path = "../tests/feed/mod.rs"]
mod feed;

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use vitalsync_core::call::{AccountPaths, parse, parse_carefully};
use vitalsync_core::evaluate::evaluate;
use vitalsync_core::health::{CURVE, score};
use vitalsync_core::intern::{Hash, Interner};
use vitalsync_core::model::{Benchmark, Checklist, Done, MICRO, Model, Profile, Refresh, Step};
use vitalsync_core::usage::{USER, fingerprint};

fn main() {
    divan::main();
}

/// Lines as analytics.js has them sent, about 900 bytes each: of so many accounts with five users over 60 days.
fn lines(accounts: usize, calls: usize) -> Vec<String> {
    let mut lines = Vec::with_capacity(calls);
    for n in 0..calls {
        let (account, user, day, event) = (n % accounts, n / accounts % 5, n * 7919 % 60, n * 31 % 20);
        let date = format!("2026-0{}-{:02}", 3 + day / 30, 1 + day % 30);
        let mut line = format!(
            r#"{{"anonymousId":"cbae2c2d-8cb7-4921-96e2-{n:012x}","channel":"client","context":{{"groupId":"account-{account:08}","ip":"27.249.225.253","library":{{"name":"analytics.js","version":"npm:next-1.31.0"}},"locale":"en-GB","page":{{"path":"/reports/46526","referrer":"https://app.example.com/home","search":"?tab=6","title":"Reports | Example","url":"https://app.example.com/reports/46526?tab=6"}},"timezone":"Europe/London","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36"}},"event":"Event {event}","integrations":{{"All":true}},"messageId":"9565a225-08ea-42b8-b6f6-{n:012x}","originalTimestamp":"{date}T10:00:00.091Z""#
        );
        let _ = write!(
            line,
            r#","properties":{{"format":"pdf","rows":511,"shared":true}},"receivedAt":"{date}T10:00:01.484Z","sentAt":"{date}T10:00:00.638Z","timestamp":"{date}T10:00:00.128Z","type":"track","userId":"user-{account:08}-{user}"}}"#
        );
        lines.push(line);
    }
    lines
}

fn model() -> Model {
    let weights = (0..15).map(|n| (format!("Event {n}"), (1 + n % 10) * MICRO)).collect();
    let benchmark = Benchmark { percentile: 90.0, refresh: Refresh::EveryRun };
    let profile = Profile { name: "all".into(), weights, benchmark, ..Profile::default() };
    let step = |n| Step::new(format!("step_{n}"), Done::Event { event: format!("Event {n}"), count: 1 });
    Model { profiles: vec![profile], activation: vec![Checklist::of((14..19).map(step).collect())], ..Model::default() }
}

/// The scanner that reads the archive.
#[divan::bench]
fn parse_a_line(bencher: Bencher<'_, '_>) {
    let lines = lines(1, 1);
    let (line, paths) = (lines[0].as_bytes(), AccountPaths::default());
    bencher.counter(BytesCount::new(line.len())).bench_local(|| {
        let call = parse(black_box(line), &paths).unwrap();
        fingerprint(7, &call, line)
    });
}

/// `serde_json`, which takes over where the scanner is in doubt.
#[divan::bench]
fn parse_a_line_in_doubt(bencher: Bencher<'_, '_>) {
    let lines = lines(1, 1);
    let (line, paths) = (lines[0].as_bytes(), AccountPaths::default());
    bencher.counter(BytesCount::new(line.len())).bench_local(|| parse_carefully(black_box(line), &paths).unwrap().time);
}

/// A hundred thousand names that are known, in no order.
#[divan::bench(args = [false, true])]
fn find_names(bencher: Bencher<'_, '_>, for_reading: bool) {
    let mut names = if for_reading { Interner::for_reading() } else { Interner::default() };
    let all: Vec<String> = (0..100_000u32).map(|n| format!("user-{:016x}", u64::from(n) << 20)).collect();
    for name in &all {
        names.id_of(USER, name);
    }
    let asked: Vec<&String> = (0..all.len()).map(|n| &all[n * 7919 % all.len()]).collect();
    bencher.counter(ItemsCount::new(asked.len())).bench_local(|| {
        let mut sum = 0u64;
        for some in asked.chunks(32) {
            let hashes: Vec<Hash> = some.iter().map(|name| Hash::of(Some(USER), name)).collect();
            names.warm(hashes.iter().copied());
            let some = some.iter().zip(hashes);
            sum += some.map(|(name, hash)| u64::from(names.id_hashed(Some(USER), name, hash))).sum::<u64>();
        }
        sum
    });
}

/// Everything about so many accounts of a hundred calls each.
#[divan::bench(args = [100, 1000], sample_count = 20)]
fn evaluate_accounts(bencher: Bencher<'_, '_>, accounts: usize) {
    let (model, lines) = (model(), lines(accounts, accounts * 100));
    let filed = feed::file([lines.iter().map(String::as_str).collect()], &model);
    let at = feed::time("2026-04-30T23:59:59Z");
    bencher
        .counter(ItemsCount::new(accounts))
        .bench_local(|| evaluate(&filed.usage, &filed.ids, &model, at, 7).accounts.len());
}

/// The curve alone.
#[divan::bench]
fn score_one() -> f64 {
    score(black_box(101.0), black_box(208.0), CURVE)
}
