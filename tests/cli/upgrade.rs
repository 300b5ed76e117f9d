//! A state that an older program wrote: it opens, says the same, goes on where that one stopped, and outlives a kill.
//!
//! `tests/upgrade` holds what version 703fca7 made of the archive there: its state (layout 1, with records told to three
//! tools that nobody serves any more), its config and its figures. Nothing in it is written by this program.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::site::program;

/// The as-of date of the old program's last run.
const DATE: &str = "2026-03-18";
/// Kills.
const ROUNDS: u32 = 20;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the fixture") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// A place with the old state, its config and what its sources held.
struct Old {
    dir: tempfile::TempDir,
}

impl Old {
    fn new() -> Self {
        let old = Self { dir: tempfile::tempdir().expect("a directory") };
        std::fs::copy(kept().join("vitalsync.yaml"), old.path("vitalsync.yaml")).expect("a config");
        ["archive", "second"].iter().for_each(|name| copy(&kept().join(name), &old.path(name)));
        old.put_state_back();
        old
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put_state_back(&self) {
        let db = self.path("state/db");
        let _ = std::fs::remove_dir_all(self.path("state"));
        copy(&kept().join("state-1"), &db);
        let mut bytes = Vec::new();
        let zip = std::fs::File::open(db.join("db.gz")).expect("the old log");
        flate2::read::GzDecoder::new(zip).read_to_end(&mut bytes).expect("a whole log");
        std::fs::write(db.join("db"), bytes).expect("the old log");
        std::fs::remove_file(db.join("db.gz")).expect("it was there");
        std::fs::create_dir_all(db.join("blobs")).expect("a directory");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(self.dir.path()).args(arguments).args(["--as-of", DATE, "--format", "json"]);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Json {
        let output = self.command(arguments).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {error}"))
    }

    /// The figures are those of the old program.
    #[track_caller]
    fn says_the_same(&self) {
        let then = std::fs::read(kept().join("accounts.json")).expect("the old figures");
        let then: Json = serde_json::from_slice(&then).expect("JSON");
        still("accounts", &then, &self.run(&["accounts"], 0));
    }
}

/// What was said then is said now; a newer program may say more.
#[track_caller]
fn still(path: &str, then: &Json, now: &Json) {
    match (then, now) {
        (Json::Object(then), Json::Object(_)) => {
            then.iter().for_each(|(name, then)| still(&format!("{path}.{name}"), then, &now[name]));
        }
        (Json::Array(then), Json::Array(now)) if then.len() == now.len() => {
            then.iter().zip(now).enumerate().for_each(|(i, (then, now))| still(&format!("{path}[{i}]"), then, now));
        }
        (Json::Number(_), Json::Number(_)) => assert_eq!(then.as_f64(), now.as_f64(), "{path}"),
        _ => assert_eq!(then, now, "{path}"),
    }
}

#[test]
fn a_state_of_layout_1_opens_and_says_the_same() {
    let old = Old::new();
    old.says_the_same();
    assert!(!old.path("state/db.old").exists() && !old.path("state/db.upgrading").exists());
    // What the tools were told is known: nothing is to be told again, and nobody is asked.
    for plan in old.run(&["plan", "--exit-code"], 0).as_array().expect("plans") {
        assert_eq!(plan["operations"], serde_json::json!([]), "{plan}");
    }
    let seen = old.run(&["state", "verify"], 0);
    assert_eq!((&seen["problem_count"], &seen["kinds"]["told to tools"]["keys"]), (&0.into(), &103.into()));
}

#[test]
fn an_old_state_goes_on_where_it_stopped_and_counts_nothing_twice() {
    let old = Old::new();
    let read = |source: &str, what: &str, run: &Json| run["sources"][source][what].as_u64().expect("a number");
    let config = std::fs::read_to_string(kept().join("vitalsync.yaml")).expect("a config");
    let quiet = config.split("destinations:").next().expect("a text");
    std::fs::write(old.path("vitalsync.yaml"), quiet).expect("a config");
    let run = old.run(&["run", "--once"], 0);
    assert_eq!((read("product", "calls_read", &run), read("second", "calls_read", &run)), (0, 0));
    // All of it once more, under other names.
    for entry in std::fs::read_dir(kept().join("archive")).expect("the fixture") {
        let entry = entry.expect("a file");
        let again = format!("again-{}", entry.file_name().to_string_lossy());
        std::fs::copy(entry.path(), old.path("archive").join(again)).expect("a copy");
    }
    let run = old.run(&["run", "--once"], 0);
    assert_eq!((read("product", "calls_read", &run), read("product", "events_counted", &run)), (1711, 0));
    old.says_the_same();
    // And what is new counts.
    let call = r#"{"type":"track","event":"Invited","userId":"user-1","messageId":"new","context":{"groupId":"acme-1"},"timestamp":"2026-03-17T10:00:00Z","receivedAt":"2026-03-17T10:00:01Z"}"#;
    std::fs::write(old.path("archive/new.ndjson"), call).expect("a file");
    let run = old.run(&["run", "--once"], 0);
    assert_eq!((read("product", "calls_read", &run), read("product", "events_counted", &run)), (1, 1));
}

#[test]
fn a_kill_while_it_is_written_anew_loses_nothing() {
    let old = Old::new();
    let begun = Instant::now();
    old.says_the_same();
    let whole = begun.elapsed();
    let mut killed = 0;
    for round in 0..ROUNDS {
        old.put_state_back();
        let mut command = old.command(&["accounts"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("it starts");
        let begun = Instant::now();
        // Every other time as soon as there is half of the new one, else at any moment.
        let half = old.path("state/db.upgrading");
        while begun.elapsed() < Duration::from_secs(5) {
            let due = if round % 2 == 0 { half.exists() } else { begun.elapsed() > whole * round / ROUNDS };
            if due || child.try_wait().expect("it can be asked").is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = child.kill();
        killed += u32::from(child.wait().expect("it ends").code().is_none());
        old.says_the_same();
        assert!(!half.exists(), "round {round}");
    }
    assert!(killed > ROUNDS / 2, "only {killed} of {ROUNDS} were killed in time");
}
