//! The state: backed up, restored, made small, checked; killed at any moment of that; without room.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::site::{Random, Site, story, track};

const DATE: &str = "2026-03-10";
/// Kills of each kind.
const ROUNDS: u64 = 25;

/// The lines of an export, without the first and the last, which say when it was made.
fn lines(file: &Path) -> Vec<String> {
    let mut text = String::new();
    let file = File::open(file).expect("an export");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("a whole export");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.get(1..lines.len() - 1).expect("more than two lines").to_vec()
}

fn exported(site: &Site, name: &str) -> Vec<String> {
    site.run(&["state", "export", name, "--force"]).exits(0);
    lines(&site.path(name))
}

/// A state with some thousand users; nothing is told to anybody, so that a run changes little.
fn filled() -> Site {
    let site = Site::new();
    let quiet = site.standard().split("destinations:").next().expect("a text").to_owned();
    site.config(&quiet);
    let calls: Vec<String> = (0..6000)
        .map(|n| track(&format!("t{n}"), &format!("a{}", n % 40), &format!("u{}", n % 3000), "Report Shared", DATE))
        .collect();
    site.archive("a.ndjson", &calls);
    site.once(DATE, 0);
    site
}

/// Starts a command and kills it as soon as something is true; false if it had ended before.
fn killed(mut command: Command, mut now: impl FnMut() -> bool) -> bool {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while !now() {
        if child.try_wait().expect("it can be asked").is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().expect("it ends").code().is_none()
}

fn killed_after(command: Command, delay: Duration) -> bool {
    let started = Instant::now();
    killed(command, || started.elapsed() >= delay)
}

fn took(site: &Site, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    site.run(arguments).exits(0);
    started.elapsed()
}

fn left(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.path("state")).expect("a state");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn has_generating(db: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(db) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".generating"))
}

#[test]
fn a_state_goes_to_another_machine_and_back() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let told = site.requests();
    let made = site.run(&["state", "export", "backup.gz", "--format", "json"]).exits(0).json();
    assert_eq!(made["bytes"].as_u64(), Some(std::fs::metadata(site.path("backup.gz")).expect("a file").len()));
    assert!(!site.path("backup.gz.partial").exists());
    let refused = site.run(&["state", "export", "backup.gz"]).exits(2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let first = lines(&site.path("backup.gz"));
    assert_eq!(made["keys"].as_u64(), Some(first.len() as u64));
    assert!(first.iter().any(|line| line.contains("sources") && line.contains("product")), "what is text is readable");

    let refused = site.run(&["state", "import", "backup.gz"]).exits(1);
    assert!(refused.stderr.contains("not empty") && refused.stderr.contains("--replace"), "{}", refused.stderr);
    std::fs::remove_dir_all(site.path("state")).expect("the state goes");
    site.run(&["state", "import", "backup.gz"]).exits(0);
    assert_eq!(exported(&site, "again.gz"), first);
    let summary = site.once(DATE, 0);
    assert_eq!(summary["sources"]["product"]["events_counted"], 0, "{summary}");
    assert_eq!(site.requests(), told, "what was told is known");

    let piped = site.command(&["state", "export", "-"]).output().expect("it runs");
    std::fs::write(site.path("piped.gz"), &piped.stdout).expect("it is written");
    assert_eq!(lines(&site.path("piped.gz")), exported(&site, "again.gz"));
    let seen = site.run(&["state", "verify", "--format", "json"]).exits(0).json();
    assert_eq!((&seen["problem_count"], &seen["kinds"]["layout"]["keys"]), (&0.into(), &1.into()), "{seen}");
    assert!(seen["kinds"]["counts"]["keys"].as_u64() > Some(0), "{seen}");
    assert!(site.run(&["state", "verify"]).exits(0).stdout.contains("told to tools"));
}

#[test]
fn a_damaged_export_is_refused_and_changes_nothing() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let before = exported(&site, "whole.gz");
    let whole = std::fs::read(site.path("whole.gz")).expect("a file");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [&whole[..whole.len() - 3], &whole[..whole.len() / 2], &flipped, &[&whole[..], b"x"].concat(), b""] {
        std::fs::write(site.path("bad.gz"), bytes).expect("a file");
        let refused = site.run(&["state", "import", "bad.gz", "--replace"]).exits(1);
        assert!(refused.stderr.contains("bad.gz: line "), "{}", refused.stderr);
        assert!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
        assert_eq!(exported(&site, "after.gz"), before);
    }
    let missing = site.run(&["state", "import", "nowhere.gz"]).exits(1);
    assert!(missing.stderr.contains("nowhere.gz"), "{}", missing.stderr);
}

#[test]
fn beside_a_daemon_only_an_export_is_possible() {
    let site = Site::with_story();
    // Only the start reads: when a source was read stands in the state.
    site.config(&site.standard().replace("\"* * * * *\"", "\"0 0 1 1 *\""));
    let mut daemon = site.daemon(DATE, "daemon.log");
    ["crm", "desk", "team"].iter().for_each(|name| daemon.logs(&format!("synced destination={name}")));
    for arguments in [&["import", "backup.gz", "--replace"][..], &["compact"], &["verify"]] {
        std::fs::write(site.path("backup.gz"), b"").expect("a file");
        let refused = site.run(&[&["state"], arguments].concat()).exits(1);
        assert!(refused.stderr.contains("held by another vitalsync process: stop it first"), "{}", refused.stderr);
    }
    let beside = exported(&site, "backup.gz");
    assert!(site.run(&["state", "export", "backup.gz"]).exits(2).stderr.contains("--force"));
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(10)), Some(0));
    assert_eq!(exported(&site, "after.gz"), beside);
    assert!(!left(&site).iter().any(|name| name.contains("export")), "{:?}", left(&site));
}

#[test]
fn beside_a_process_that_is_no_daemon_nobody_is_told_to_ask_it() {
    let site = Site::with_story();
    site.once(DATE, 0);
    // What `run --once` holds while it runs.
    let lock = File::options().write(true).open(site.path("state/LOCK")).expect("a lock");
    lock.lock().expect("it is held");
    for arguments in [&["status"][..], &["accounts"], &["alerts"], &["state", "export", "x.gz"]] {
        let said = site.run(arguments).exits(1).stderr;
        assert!(said.contains("held by another vitalsync process that answers no questions"), "{said}");
        assert!(said.contains("try again") && !said.contains('`'), "{said}");
    }
    let said = site.run(&["run", "--once", "--as-of", DATE]).exits(1).stderr;
    assert!(said.contains("held by another vitalsync process") && said.contains("wait until it has ended"), "{said}");
}

#[test]
fn an_export_is_for_its_owner_alone() {
    let site = Site::with_story();
    site.once(DATE, 0);
    // Also where others were there before: an older export, and what a killed one left.
    for name in ["backup.gz", "backup.gz.partial"] {
        std::fs::write(site.path(name), b"").expect("a file");
        std::fs::set_permissions(site.path(name), PermissionsExt::from_mode(0o644)).expect("its rights");
    }
    exported(&site, "backup.gz");
    let rights = std::fs::metadata(site.path("backup.gz")).expect("a file").permissions().mode();
    assert_eq!(rights & 0o777, 0o600, "{rights:o}");
}

#[test]
fn an_export_takes_the_place_of_files_alone() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, site.path(name)).expect("a link");
    std::fs::create_dir(site.path("folder")).expect("a folder");
    link("/dev/full", "device");
    link("nowhere", "dangling");
    for name in ["folder", "device", "dangling"] {
        let said = site.run(&["state", "export", name, "--force"]).exits(2).stderr;
        assert!(said.contains("no regular file") && said.contains("`vitalsync state export -`"), "{name}: {said}");
    }
    assert!(site.path("device").is_symlink() && site.path("dangling").is_symlink());
    // Through a link the file that it names is written.
    std::fs::write(site.path("folder/backup.gz"), b"").expect("a file");
    link("folder/backup.gz", "latest.gz");
    assert!(site.run(&["state", "export", "latest.gz"]).exits(2).stderr.contains("--force"));
    assert_eq!(exported(&site, "latest.gz"), lines(&site.path("folder/backup.gz")));
    assert!(site.path("latest.gz").is_symlink());
}

#[test]
fn a_state_that_is_gone_is_not_begun_anew_in_silence() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let before = exported(&site, "backup.gz");
    std::fs::write(site.path("state/db/db"), b"").expect("the log is emptied");
    for arguments in [&["run", "--once", "--as-of", DATE][..], &["status"], &["state", "verify"], &["state", "compact"]]
    {
        let refused = site.run(arguments).exits(1);
        assert!(refused.stderr.contains("state/db.corrupt-1"), "{}", refused.stderr);
        assert!(refused.stderr.contains("vitalsync state import FILE"), "{}", refused.stderr);
        assert!(!refused.all().contains("panicked at"), "{}", refused.all());
    }
    site.run(&["state", "import", "backup.gz"]).exits(0);
    assert_eq!(exported(&site, "after.gz"), before);
}

#[test]
fn there_is_nothing_to_look_at_where_there_is_no_state() {
    let site = Site::new();
    for arguments in [&["verify"][..], &["compact"], &["export", "x.gz"]] {
        let refused = site.run(&[&["state"], arguments].concat()).exits(1);
        assert!(refused.stderr.contains("there is no state in"), "{}", refused.stderr);
    }
    assert!(!site.path("state").exists() && !site.path("x.gz").exists() && !site.path("x.gz.partial").exists());
    site.run(&["state"]).exits(2);
    site.run(&["state", "import"]).exits(2);
}

/// The system's limit on the size of a file stands in for a full disk: both are refused in the middle of a write.
#[test]
fn a_full_disk_is_said_and_the_old_state_stays() {
    let site = filled();
    let before = exported(&site, "backup.gz");
    let limited = |arguments: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f 64; exec \"$0\" state {arguments}")]);
        command.arg(site.command(&[]).get_program()).current_dir(site.path(""));
        site.run_command(command)
    };
    let refused = limited("import backup.gz --replace").exits(1);
    assert!(refused.stderr.contains("the disk is full"), "{}", refused.stderr);
    assert!(!refused.all().contains("panicked at"), "{}", refused.all());
    assert_eq!(left(&site), ["LOCK", "db"]);
    assert_eq!(exported(&site, "after.gz"), before);
    let mut command = Command::new("bash");
    command.args(["-c", "\"$0\" state export - > /dev/full"]).arg(site.command(&[]).get_program());
    command.current_dir(site.path(""));
    let refused = site.run_command(command).exits(1);
    assert!(refused.stderr.contains("can't write the export"), "{}", refused.stderr);
}

/// Where a copy is while it grows, decided, and in its place.
fn copying(site: &Site, name: &str) -> [PathBuf; 3] {
    [site.path(&format!("state/{name}")), site.path("state/db.ready"), site.path("state/db.old")]
}

#[test]
fn compacting_that_is_killed_anywhere_loses_nothing() {
    let site = filled();
    let whole = exported(&site, "whole.gz");
    let time = took(&site, &["state", "compact"]);
    let seed = 11;
    let (mut random, mut kills) = (Random(seed), 0);
    for round in 0..ROUNDS {
        let places = copying(&site, "db.compacting");
        let command = site.command(&["state", "compact"]);
        kills += u64::from(match places.get(round as usize % 8) {
            Some(place) => killed(command, || place.exists()),
            None => killed_after(command, random.moment(time)),
        });
        let found = left(&site);
        assert_eq!(exported(&site, "after.gz"), whole, "seed {seed}, round {round}, killed at {found:?}");
        assert_eq!(left(&site), ["LOCK", "db"], "seed {seed}, round {round}");
    }
    assert!(kills >= ROUNDS / 2, "only {kills} of {ROUNDS} were killed; this test tests little");
    site.run(&["state", "verify"]).exits(0);
}

#[test]
fn an_import_that_is_killed_leaves_the_old_state_or_the_new() {
    let site = filled();
    let first = exported(&site, "0.gz");
    site.archive("more.ndjson", &story("acme", "u1", 10));
    site.once(DATE, 0);
    let states = [first, exported(&site, "1.gz")];
    let time = took(&site, &["state", "import", "1.gz", "--replace"]);
    let seed = 12;
    let (mut random, mut kills, mut now) = (Random(seed), 0, 1);
    let mut seen = [0; 2];
    for round in 0..ROUNDS {
        let (places, other) = (copying(&site, "db.importing"), 1 - now);
        let command = site.command(&["state", "import", ["0.gz", "1.gz"][other], "--replace"]);
        kills += u64::from(match places.get(round as usize % 8) {
            Some(place) => killed(command, || place.exists()),
            None => killed_after(command, random.moment(time)),
        });
        let found = left(&site);
        let after = exported(&site, "after.gz");
        let which = states.iter().position(|state| *state == after);
        let which = which.unwrap_or_else(|| panic!("half a state: seed {seed}, round {round}, killed at {found:?}"));
        seen[usize::from(which == other)] += 1;
        now = which;
    }
    assert!(kills >= ROUNDS / 2, "only {kills} of {ROUNDS} were killed; this test tests little");
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}: only one outcome was seen");
}

/// Opening is when sled writes its snapshot, and a kill at that moment is what used to make the state unreadable.
#[test]
fn an_open_that_is_killed_loses_nothing() {
    let site = filled();
    let lasting = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| !line.starts_with("{\"k\":\"m")).collect()
    };
    let whole = lasting(exported(&site, "whole.gz"));
    let time = took(&site, &["run", "--once", "--as-of", DATE]);
    let seed = 13;
    let (mut random, mut kills) = (Random(seed), 0);
    for round in 0..ROUNDS {
        // What the last run wrote makes this one write a snapshot.
        let command = site.command(&["run", "--once", "--as-of", DATE]);
        let db = site.path("state/db");
        kills += u64::from(match round % 2 {
            0 => killed(command, || has_generating(&db)),
            _ => killed_after(command, random.moment(time)),
        });
        let after = lasting(exported(&site, "after.gz"));
        assert_eq!(after, whole, "seed {seed}, round {round}");
        site.once(DATE, 0);
    }
    assert!(kills >= ROUNDS / 3, "only {kills} of {ROUNDS} were killed; this test tests little");
    site.run(&["state", "verify"]).exits(0);
}
