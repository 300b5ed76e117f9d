//! Killed while it reads, again and again, on one state that is also made small in between: in the end every call is counted
//! once, as a naive count of the lines says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::site::{Output, Random, program, write};

const ROUNDS: u64 = 25;
const SEED: u64 = 20_260_310;
const DATE: &str = "2026-03-31";
const ACCOUNTS: usize = 9;

const CONFIG: &str = "sources: { product: { type: segment_archive, location: ./archive } }
profiles: [ { name: all, window: 40d, hold: off, benchmark: { fixed: 100 }, events: { Core: 1, Minor: 0.5 } } ]
activation: { steps: { thousand: { event: Core, count: 1000 } } }
";

/// A call of some days of March from a day on.
fn call(number: u64, from: u64, random: &mut Random) -> String {
    let (day, lag) = (from + random.below(3), random.below(3));
    let account = random.below(ACCOUNTS as u64);
    let event = if random.below(3) == 0 { "Minor" } else { "Core" };
    let at = |day: u64| format!("2026-03-{day:02}T{:02}:00:00.000Z", number % 24);
    json!({"type": "track", "messageId": format!("m{number}"), "userId": format!("u{account}-{}", random.below(300)),
        "event": event, "context": {"groupId": format!("a{account}")}, "timestamp": at(day), "receivedAt": at(day + lag)})
    .to_string()
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let done = program().current_dir(dir).args(arguments).stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Output { code: done.status.code(), stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// When the database was last written to.
fn written(dir: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(dir.join("state/db/db")).ok()?.modified().ok()
}

/// Starts a command and kills it some time after it wrote for the so-many-th time; false if it had ended.
fn killed(dir: &Path, arguments: &[&str], writes: u64, delay: Duration) -> bool {
    let mut command: Command = program();
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut seen, mut last) = (0, written(dir));
    let mut since = Instant::now();
    let mut child = command.spawn().expect("it starts");
    while seen < writes || since.elapsed() < delay {
        if child.try_wait().expect("it can be asked").is_some() {
            return false;
        }
        let now = written(dir);
        if now != last {
            (seen, last, since) = (seen + 1, now, Instant::now());
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().expect("it ends").code().is_none()
}

/// What the accounts must be: raw, users, active days, last event, steps.
fn recounted(lines: &[String]) -> BTreeMap<String, Json> {
    let mut seen = HashSet::new();
    let mut accounts: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for line in lines {
        let call: Json = serde_json::from_str(line).expect("JSON");
        if seen.insert(call["messageId"].to_string()) {
            let account = call["context"]["groupId"].as_str().expect("an account").to_owned();
            accounts.entry(account).or_default().push(call);
        }
    }
    let figures = |calls: &Vec<Json>| {
        let core = calls.iter().filter(|call| call["event"] == "Core").count();
        let text = |call: &Json, name: &str| call[name].as_str().expect("text").to_owned();
        let users: BTreeSet<String> = calls.iter().map(|call| text(call, "userId")).collect();
        let days: BTreeSet<String> = calls.iter().map(|call| text(call, "timestamp")[..10].to_owned()).collect();
        let last = calls.iter().map(|call| text(call, "timestamp")[..19].to_owned()).max();
        let raw = core as f64 + (calls.len() - core) as f64 / 2.0;
        json!([raw, users.len(), days.len(), last, core >= 1000])
    };
    accounts.iter().map(|(account, calls)| (account.clone(), figures(calls))).collect()
}

fn told(dir: &Path) -> BTreeMap<String, Json> {
    let accounts = run(dir, &["accounts", "--format", "json", "--as-of", DATE]).exits(0).json();
    let figures = |account: &Json| {
        let last = account["last_active"].as_str().map(|time| &time[..19]);
        let done = account["activation"]["steps_done"] == 1;
        json!([
            account["health"]["raw"].as_f64(),
            account["users"]["active"],
            account["frequency"]["active_days"],
            last,
            done
        ])
    };
    let accounts = accounts.as_array().expect("a list").iter();
    accounts.map(|account| (account["account"].as_str().expect("an id").to_owned(), figures(account))).collect()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a file");
    file.write_all(bytes).expect("it is written");
}

#[test]
fn a_reader_that_is_killed_again_and_again_counts_everything_once() {
    killed_again_and_again(SEED, false);
}

#[test]
fn a_reader_that_is_killed_while_it_counts_days_anew_counts_everything_once() {
    killed_again_and_again(SEED + 1, true);
}

/// `late`: some calls come so late that their days are counted anew, which would heal what a kill lost of them.
fn killed_again_and_again(seed: u64, late: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("archive");
    write(&dir.path().join("vitalsync.yaml"), CONFIG.as_bytes());
    std::fs::create_dir(&archive).expect("an archive");
    let mut random = Random(seed);
    let mut lines: Vec<String> = Vec::new();
    let grow = |lines: &mut Vec<String>, random: &mut Random, from: u64, count: u64| {
        for number in 0..count {
            // Some come again, as they were or received later.
            let line = match random.below(8) {
                0 if !lines.is_empty() => {
                    lines[lines.len() - 1 - random.below(lines.len().min(400) as u64) as usize].clone()
                }
                _ => call(lines.len() as u64, from, random),
            };
            let text = format!("{line}\n");
            // Two files that grow side by side are read one after the other: the second one's days are counted anew.
            if !late || number % 3 == 0 {
                append(&archive.join("plain.ndjson"), text.as_bytes());
            }
            lines.push(line);
        }
        if !late {
            return;
        }
        let rest = lines[lines.len() - count as usize..].iter().enumerate().filter(|(at, _)| at % 3 != 0);
        let rest: String = rest.map(|(_, line)| format!("{line}\n")).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(rest.as_bytes()).expect("gzip");
        append(&archive.join("packed.gz"), &encoder.finish().expect("gzip"));
    };
    let once = ["run", "--once", "--as-of", DATE, "--batch", "50", "--block", "12000"];
    grow(&mut lines, &mut random, 1, 5_000);
    let (mut kills, mut rounds) = ([0, 0], 0);
    while rounds < ROUNDS {
        rounds += 1;
        let (writes, delay) = (2 + random.below(16), Duration::from_micros(random.below(4000)));
        kills[0] += u64::from(killed(dir.path(), &once, writes, delay));
        if rounds % 3 == 0 {
            let delay = Duration::from_millis(1 + random.below(30));
            kills[1] += u64::from(killed(dir.path(), &["state", "compact"], 0, delay));
        }
        grow(&mut lines, &mut random, if late && rounds % 4 == 0 { 1 } else { 1 + rounds }, 400);
    }
    let last = run(dir.path(), &[&once[..], &["--format", "json"]].concat()).exits(0).json();
    let anew = last["sources"]["product"]["days_recounted"].as_u64();
    assert!(late || anew == Some(0), "days were counted anew, which heals what a kill lost: {last}");
    assert_eq!(told(dir.path()), recounted(&lines), "seed {seed}");
    let again = run(dir.path(), &[&once[..], &["--format", "json"]].concat()).exits(0).json();
    assert_eq!(again["sources"]["product"]["calls_read"], 0, "seed {seed}");
    run(dir.path(), &["state", "verify"]).exits(0);
    assert!(kills[0] >= ROUNDS / 2 && kills[1] > 1, "only {kills:?} of {ROUNDS} were killed, seed {seed}");
}
