//! After any sequence of faults and kills the tools hold exactly what a run without them leaves, and no alert is missing or
//! there twice.
//!
//! A seed makes the customers' story, the faults of each day and the moments of the kills. The same story is told to another
//! sandbox without faults, once for all seeds; what is compared is what people see there. Alerts of a destination that may not
//! send twice what it can't read back may be missing, where vitalsync says that it gave them up. A third of the seeds has a login
//! instead of a token for HubSpot. `VITALSYNC_ROUNDS` sets how many seeds are tried, `VITALSYNC_SEED` the first of them.

#[path = "convergence/menu.rs"]
mod menu;
#[path = "convergence/world.rs"]
mod world;

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value as Json;

use self::world::{Way, seen, site};
use super::login;
use super::site::{Output, Random, Site};

/// Seeds that are tried where nothing else is said.
const ROUNDS: u64 = 24;
/// The days on which the tools are told.
const DAYS: [&str; 4] = ["2026-03-08", "2026-03-12", "2026-03-15", "2026-03-19"];
/// So many runs bring a day to its end at most.
const RUNS: usize = 12;

/// One day: killed now and then, told until a run came to its end. The alerts that were given up.
fn tell(site: &Site, day: &str, seed: u64, random: &mut Random, kills: &AtomicU64) -> Vec<Json> {
    let arguments = ["run", "--once", "--format", "json", "--as-of", day];
    while random.below(2) == 0 {
        let mut command = site.command(&arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        pause(Duration::from_micros(random.below(700_000)));
        let _ = child.kill();
        kills.fetch_add(u64::from(child.wait().expect("it ends").code().is_none()), Ordering::Relaxed);
    }
    // An alert that is two days old is not told any more, so a day is told to its end before the next one.
    for run in 0..RUNS {
        let output = site.run(&arguments);
        if let Some(given_up) = ended(site, day, &output) {
            return given_up;
        }
        assert!(output.code == Some(3) && run + 1 < RUNS, "{day}, seed {seed}, run {run}: {}", output.all());
        if run > RUNS / 2 {
            site.vendors.forget_faults();
        }
        // The answer with the next token was lost, by a fault or a kill: a person has to log in again.
        if output.stdout.contains("run `vitalsync auth hubspot`") {
            site.vendors.hubspot.forget_faults();
            login::log_in(site, &[]);
        }
    }
    unreachable!("the last run ends or fails")
}

/// Whether a run left nothing to do; if so, the alerts that it gave up because nobody knows whether they arrived.
fn ended(site: &Site, day: &str, output: &Output) -> Option<Vec<Json>> {
    match output.code {
        Some(0) => return Some(Vec::new()),
        Some(3) => {}
        _ => return None,
    }
    let destinations = output.json()["destinations"].clone();
    let left =
        |of: &Json| ["waiting", "rejected", "quarantined"].iter().filter_map(|name| of[*name].as_u64()).sum::<u64>();
    let mut others = destinations.as_object()?.iter().filter(|(name, _)| *name != "once");
    if others.any(|(_, of)| left(of) > 0 || !of["parked"].is_null()) || destinations["once"]["waiting"] != 0 {
        return None;
    }
    let waiting = site.run(&["alerts", "list", "--format", "json", "--as-of", day]).exits(0).json()["waiting"].clone();
    let in_doubt = |alert: &&Json| alert["refused"].as_str().is_some_and(|why| why.contains("it is not known whether"));
    let waiting = waiting.as_array()?;
    waiting.iter().all(|alert| in_doubt(&alert)).then(|| waiting.clone())
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// What a run without faults leaves.
fn undisturbed() -> Json {
    let site = site(Way::Token);
    for day in DAYS {
        site.once(day, 0);
    }
    let seen = seen(&site);
    for (part, least) in [("messages", 6), ("hook alerts", 4), ("once alerts", 4), ("associations", 20), ("hook", 30)] {
        let count = seen[part].as_array().map(Vec::len);
        assert!(count >= Some(least), "a story with few {part}: {seen}");
    }
    seen
}

fn converges(seed: u64, expected: &Json, kills: &AtomicU64) {
    let way = if seed.is_multiple_of(3) { Way::Login } else { Way::Token };
    let site = site(way);
    let mut random = Random(seed);
    let mut given_up = Vec::new();
    for day in DAYS {
        menu::plan_faults(&site, way, &mut random);
        given_up.extend(tell(&site, day, seed, &mut random, kills));
    }
    let found = seen(&site);
    for (part, expected) in expected.as_object().expect("parts") {
        let of = |list: &Json| list.as_array().cloned().unwrap_or_default();
        let (found, mut expected) = (of(&found[part]), of(expected));
        let only = |these: &[Json], those: &[Json]| -> Vec<Json> {
            these.iter().filter(|this| !those.contains(this)).cloned().collect()
        };
        if part == "once alerts" {
            let is = |alert: &Json| {
                given_up.iter().any(|one| ["account", "rule"].iter().all(|name| one[*name] == alert[*name]))
            };
            expected.retain(|alert| found.contains(alert) || !is(alert));
        }
        assert_eq!(
            (only(&found, &expected), found.len()),
            (only(&expected, &found), expected.len()),
            "seed {seed}: {part}, found and expected"
        );
    }
    site.vendors.forget_faults();
    let requests = || (site.requests(), site.vendors.webhook.journal().len());
    let before = requests();
    let last = DAYS[DAYS.len() - 1];
    let output = site.run(&["run", "--once", "--format", "json", "--as-of", last]);
    assert!(ended(&site, last, &output).is_some(), "seed {seed}: {}", output.all());
    assert_eq!(requests(), before, "seed {seed}: what is known is not what the tools hold");
}

#[test]
fn whatever_breaks_the_tools_hold_what_an_undisturbed_run_leaves() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("VITALSYNC_SEED").unwrap_or(1);
    let rounds = number("VITALSYNC_ROUNDS").unwrap_or(ROUNDS);
    let expected = undisturbed();
    let (next, kills) = (AtomicU64::new(first), AtomicU64::new(0));
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + rounds {
                        break;
                    }
                    converges(seed, &expected, &kills);
                }
            });
        }
    });
    let kills = kills.into_inner();
    assert!(kills * 2 >= rounds, "only {kills} runs were killed in {rounds} rounds");
}
