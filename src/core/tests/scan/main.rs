//! The scanner against `serde_json`: whatever a line holds, a call is read the same with and without the scanner, and so are
//! the members of an object. What differs is a fault of the scanner, never of the line.
//!
//! By default a few seconds of it; `VITALSYNC_FUZZ_SECONDS` makes it longer, `VITALSYNC_FUZZ_SEED` begins elsewhere.

mod lines;
mod quirks;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lines::{Dice, ORDINARY, line};
use serde_json::value::RawValue;
use vitalsync_core::call::{AccountPaths, parse, parse_carefully, taken};
use vitalsync_core::scan::members;

fn paths(paths: &[&str]) -> AccountPaths {
    AccountPaths(paths.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect())
}

/// Ways to state the account.
fn ways() -> Vec<AccountPaths> {
    vec![
        AccountPaths::default(),
        paths(&[]),
        paths(&["properties.account_id", "context.groupId"]),
        paths(&[
            "traits.id",
            "properties.org.id",
            "properties.org",
            "properties",
            "context.traits.groupId",
            "traits.name",
        ]),
        paths(&["context.", "properties.id", "properties.name", "context.groupId", "context.id", "userId"]),
        paths(&["groupId", "", "event.x", "context.page.path", "context.org", "context.org"]),
    ]
}

/// Complains if a line is read in two ways; says whether the scanner took it.
fn check(line: &[u8], accounts: &AccountPaths) -> bool {
    let taken = taken(line, accounts);
    let shown = || String::from_utf8_lossy(line).into_owned();
    assert_ne!(taken, Some(false), "the fields of {}", shown());
    assert_eq!(parse(line, accounts), parse_carefully(line, accounts), "with {accounts:?} {}", shown());
    taken.is_some()
}

fn check_members(raw: &str) {
    let careful = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw).ok();
    let careful = careful.map(|map| map.into_iter().map(|(key, value)| (key, value.get())).collect::<Vec<_>>());
    assert_eq!(members(raw), careful, "{raw}");
}

#[test]
fn ordinary_lines_are_taken() {
    let accounts = AccountPaths::default();
    let taken: Vec<bool> = ORDINARY.iter().map(|line| check(line.as_bytes(), &accounts)).collect();
    // The last one has an escape in a name of its context.
    assert_eq!(taken, [vec![true; 9], vec![false]].concat());
    for line in ORDINARY {
        assert!(parse(line.as_bytes(), &accounts).is_ok(), "{line}");
        // In any place of a block.
        for indent in 0..70 {
            let line = format!("{}{line}{}", " ".repeat(indent), " ".repeat(indent % 3));
            assert_eq!(check(line.as_bytes(), &accounts), !line.contains("group\\u0049d"), "{line}");
        }
    }
}

#[test]
fn chance_finds_no_difference() {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is for who starts it")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seconds = number("VITALSYNC_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("VITALSYNC_FUZZ_SEED").unwrap_or(20_260_201);
    #[expect(clippy::disallowed_methods, reason = "so many seconds")]
    let now = Instant::now;
    let (end, ways) = (now() + Duration::from_secs(seconds), ways());
    let (mut cases, mut taken, mut calls, mut taken_calls) = (0u64, 0u64, 0u64, 0u64);
    while cases < 1000 || now() < end {
        for _ in 0..1000 {
            let seed = seed.wrapping_add(cases);
            let mut dice = Dice(seed);
            let line = line(&mut dice);
            let accounts = &ways[dice.below(ways.len())];
            let was_taken = match std::panic::catch_unwind(|| check(&line, accounts)) {
                Ok(taken) => taken,
                Err(_) => panic!("seed {seed}: {}", String::from_utf8_lossy(&line)),
            };
            if let Ok(text) = str::from_utf8(&line) {
                check_members(text);
            }
            let is_call = parse(&line, accounts).is_ok();
            cases += 1;
            taken += u64::from(was_taken);
            calls += u64::from(is_call);
            taken_calls += u64::from(was_taken && is_call);
        }
    }
    println!("{cases} lines from seed {seed}, {taken} taken; {calls} calls, {taken_calls} taken");
    assert!(taken * 10 > cases && taken < cases, "{taken} of {cases} lines are taken: is that chance?");
    assert!(taken_calls * 2 > calls, "{taken_calls} of {calls} calls are taken: is that chance?");
}
