//! Archives as they come: new, grown, rewritten, broken, cut off, missing.

use std::io::Write;

use serde_json::Value as Json;
use vitalsync_core::Timestamp;

use super::site::{Site, track};

const DATE: &str = "2026-03-10";

fn keys(value: &Json) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
fn has_keys(value: &Json, wanted: &[&str]) {
    for key in wanted {
        assert!(keys(value).contains(key), "`{key}` is not among {:?}", keys(value));
    }
}

/// So often an account's reports are counted in the window.
fn counted(site: &Site, account: &str) -> u64 {
    let told = site.run(&["explain", account, "--format", "json", "--as-of", DATE]).exits(0).json();
    told["parts"].as_array().expect("parts").iter().filter_map(|part| part["count"].as_u64()).sum()
}

fn shared(id: &str) -> String {
    track(id, "acme", "u1", "Report Shared", DATE)
}

/// What was known on a day leaves out what came late; a day's figures with it are another question.
#[test]
fn looking_back_can_leave_out_what_came_late() {
    let site = Site::with_story();
    let late = shared("late").replace("2026-03-10T12:00:01.000Z", "2026-03-12T09:00:00.000Z");
    site.archive("late.ndjson", &[late]);
    let raw = |arguments: &[&str]| {
        let arguments = [arguments, &["--format", "json", "--as-of", DATE]].concat();
        let told = site.run(&arguments).exits(0).json();
        let account = if told.is_array() { told[0].clone() } else { told };
        account["health"]["raw"].as_f64()
    };
    let asked = |daemon: &str| {
        for command in [&["accounts"][..], &["explain", "acme"]] {
            let with = |day: &'static str| raw(&[command, &["--known-on", day]].concat());
            let found = [raw(command), with("2026-03-12"), with("2026-03-11"), with(DATE), with("2026-03-05")];
            assert_eq!(found, [15.0, 15.0, 14.0, 14.0, 4.0].map(Some), "{command:?} {daemon}");
        }
        let wrong = site.run(&["accounts", "--known-on", "yesterday"]).exits(2);
        assert!(wrong.stderr.contains("--known-on `yesterday` is not a date"), "{}", wrong.stderr);
    };
    asked("without a daemon");
    let _daemon = site.daemon(DATE, "daemon.log");
    asked("beside a daemon");
}

fn gzip(lines: &[String]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all((lines.join("\n") + "\n").as_bytes()).expect("gzip");
    encoder.finish().expect("gzip")
}

#[test]
fn the_summary_and_the_accounts_have_the_documented_shape() {
    let site = Site::with_story();
    let summary = site.once(DATE, 0);
    has_keys(&summary, &["sources", "destinations", "alerts", "duration_ms"]);
    let source = &summary["sources"]["product"];
    has_keys(source, &["calls_read", "events_counted", "duplicates", "rejected"]);
    // Two accounts: a group and an identify call each; 38 and 59 days with two events.
    assert_eq!(source["calls_read"], 2 * 2 + 2 * (38 + 59));
    assert_eq!(source["events_counted"], 2 * (38 + 59));
    assert_eq!(source["duplicates"], 0);
    assert_eq!(source["rejected"], serde_json::json!({}));
    for (name, changed) in [("crm", 0), ("desk", 0), ("team", 0)] {
        let destination = &summary["destinations"][name];
        for key in ["changed", "sent_calls", "acknowledged", "rejected", "retried", "waiting"] {
            assert!(destination[key].as_u64().is_some_and(|count| count >= changed), "{name}.{key}: {destination}");
        }
    }
    for key in ["fired", "sent", "suppressed"] {
        assert_eq!(summary["alerts"][key], 0);
    }
    assert!(summary["duration_ms"].is_u64());

    let accounts = site.run(&["accounts", "--format", "json", "--as-of", DATE]).exits(0).json();
    let names: Vec<&str> =
        accounts.as_array().expect("an array").iter().filter_map(|one| one["account"].as_str()).collect();
    assert_eq!(names, ["acme", "beta"]);
    let acme = &accounts[0];
    has_keys(&acme["health"], &["raw", "score", "band", "change_7d", "change_30d"]);
    has_keys(&acme["activation"], &["percent", "steps_done", "steps_total", "activated_at"]);
    has_keys(&acme["adoption"], &["window_percent", "all_time_percent"]);
    has_keys(&acme["users"], &["active", "total", "active_percent"]);
    has_keys(&acme["frequency"], &["active_days", "days"]);
    has_keys(acme, &["last_active", "tenure_days", "traits"]);
    assert_eq!(acme["health"]["raw"], 14.0);
    assert_eq!(acme["health"]["score"], 100.0);
    assert_eq!(acme["health"]["band"], "healthy");
    assert_eq!(acme["activation"]["percent"], 50.0);
    assert_eq!(acme["activation"]["activated_at"], Json::Null);
    for (name, days) in [("active_days", 7.0), ("days", 7.0), ("percent", 100.0)] {
        assert_eq!(acme["frequency"][name], days, "{name}");
    }
    for (name, users) in [("active", 1.0), ("total", 1.0), ("active_percent", 100.0)] {
        assert_eq!(acme["users"][name], users, "{name}");
    }
    let last = acme["last_active"].as_str().expect("a time");
    assert!(last.starts_with("2026-03-10T12:00:00") && last.ends_with('Z'), "{last}");
    assert_eq!(acme["tenure_days"], 37);
    assert_eq!(acme["traits"]["domain"], "acme.example");
}

#[test]
fn a_second_run_sends_nothing() {
    let site = Site::with_story();
    let first = site.once(DATE, 0);
    assert_eq!(first["destinations"]["crm"]["waiting"], 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
    assert_eq!(site.tags("u1"), ["Health: healthy"]);
    let before = site.requests();
    assert!(before[0] > 0 && before[1] > 0, "{before:?}");
    let second = site.once(DATE, 0);
    assert_eq!(site.requests(), before);
    for name in ["crm", "desk", "team"] {
        assert_eq!(second["destinations"][name]["sent_calls"], 0, "{name}");
        assert_eq!(second["destinations"][name]["changed"], 0, "{name}");
    }
    assert_eq!(second["sources"]["product"]["calls_read"], 0);
    assert_eq!(site.run(&["plan", "--exit-code", "--as-of", DATE]).exits(0).code, Some(0));
}

#[test]
fn only_what_is_new_is_read() {
    let site = Site::new();
    site.archive("a.ndjson", &[shared("1"), shared("2")]);
    assert_eq!(site.once(DATE, 0)["sources"]["product"]["calls_read"], 2);
    site.archive("a.ndjson", &[shared("1"), shared("2"), shared("3")]);
    site.archive("deep/er/b.json", &[shared("4"), shared("2")]);
    let source = site.once(DATE, 0)["sources"]["product"].clone();
    assert_eq!((&source["calls_read"], &source["events_counted"]), (&3.into(), &2.into()), "{source}");
    assert_eq!(source["duplicates"], 1);
    assert_eq!(counted(&site, "acme"), 4);
}

#[test]
fn a_rewritten_file_counts_nothing_twice() {
    let site = Site::new();
    site.archive("a.ndjson", &[shared("1"), shared("2")]);
    site.once(DATE, 0);
    site.archive("a.ndjson", &[shared("2"), shared("3"), shared("4")]);
    let source = site.once(DATE, 0)["sources"]["product"].clone();
    assert_eq!((&source["files_rewritten"], &source["events_counted"]), (&1.into(), &0.into()), "{source}");
    assert!(source["days_recounted"].as_u64() > Some(0), "{source}");
    assert_eq!(counted(&site, "acme"), 3, "what the archive says now");
    // The same content under another name, compressed.
    site.archive_bytes("b.gz", &gzip(&[shared("2"), shared("3"), shared("4")]));
    assert_eq!(site.once(DATE, 0)["sources"]["product"]["duplicates"], 3);
    assert_eq!(counted(&site, "acme"), 3);
}

#[test]
fn broken_lines_are_counted_by_reason_with_their_place() {
    let site = Site::new();
    let strip = |id: &str, key: &str| {
        let mut call: Json = serde_json::from_str(&shared(id)).expect("JSON");
        call.as_object_mut().expect("an object").remove(key);
        call.to_string()
    };
    let lines = [
        shared("1"),
        "{\"type\": \"track\",".into(),
        strip("2", "type"),
        strip("3", "userId"),
        strip("4", "event"),
        track("5", "acme", "u1", "Report Shared", "1812-03-10"),
        shared("6").replace("\"track\"", "\"teleport\""),
        format!("{{\"type\":\"track\",\"pad\":\"{}\"}}", "x".repeat(1 << 20)),
        "[]".into(),
        shared("7"),
    ];
    site.archive("day/calls.log", &lines);
    let source = site.once(DATE, 0)["sources"]["product"].clone();
    let rejected = serde_json::json!({"bad_json": 2, "no_type": 1, "no_user": 1, "no_event": 1, "absurd_time": 1,
        "unknown_type": 1, "too_long": 1});
    assert_eq!(source["rejected"], rejected);
    assert_eq!(source["events_counted"], 2);
    let examples = source["examples"].to_string();
    for example in ["day/calls.log:2: bad_json", "day/calls.log:4: no_user", "day/calls.log:8: too_long"] {
        assert!(examples.contains(example), "{example} is not in {examples}");
    }
    let status = site.run(&["status"]).exits(0);
    assert!(status.stdout.contains("day/calls.log:2: bad_json"), "{}", status.stdout);
    assert_eq!(counted(&site, "acme"), 2);
}

#[test]
fn a_truncated_gzip_is_said_and_read_when_it_is_whole() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let lines: Vec<String> = (0..3000u64).map(|n| shared(&format!("{:x}", n * 7_919_993))).collect();
    let whole = gzip(&lines);
    site.archive_bytes("c.gz", &whole[..whole.len() / 2]);
    let cut = site.once(DATE, 3)["sources"]["product"].clone();
    assert_eq!(cut["rejected"]["truncated_gzip"], 1, "{cut}");
    assert!(cut["examples"].to_string().contains("c.gz"), "{cut}");
    let some = cut["events_counted"].as_u64().expect("a number");
    assert!(some < 3000, "{some}");
    site.archive_bytes("c.gz", &whole);
    let rest = site.once(DATE, 0)["sources"]["product"].clone();
    assert_eq!(rest["events_counted"].as_u64(), Some(3000 - some), "{rest}");
    assert_eq!(counted(&site, "acme"), 3014);
}

/// A file that root can't read either: the kernel answers any read at its beginning with EIO.
#[cfg(target_os = "linux")]
#[test]
fn an_unreadable_file_is_said_and_the_others_are_read() {
    let site = Site::with_story();
    std::os::unix::fs::symlink("/proc/self/mem", site.path("archive/bad.ndjson")).expect("a link");
    for turn in ["first", "second"] {
        let source = site.once(DATE, 3)["sources"]["product"].clone();
        assert_eq!(source["rejected"]["unreadable_file"], 1, "{turn}: {source}");
        assert!(source["examples"].to_string().contains("bad.ndjson"), "{turn}: {source}");
    }
    assert_eq!(counted(&site, "acme"), 14);
}

#[test]
fn a_link_that_leads_back_does_not_multiply_the_files() {
    let site = Site::with_story();
    std::os::unix::fs::symlink(".", site.path("archive/again")).expect("a link");
    let source = site.once(DATE, 0)["sources"]["product"].clone();
    assert_eq!((&source["calls_read"], &source["duplicates"]), (&198.into(), &0.into()), "{source}");
}

#[test]
fn what_lies_below_the_archive_and_is_ours_is_no_usage() {
    let site = Site::with_story();
    let here = site.standard().replace("./archive", ".") + "suppress: { file: ./who.csv }\n";
    site.config(&here);
    std::fs::write(site.path("who.csv"), "user,nobody\n").expect("a file");
    let first = site.once(DATE, 0);
    let read = |summary: &Json| {
        let source = &summary["sources"]["product"];
        (source["calls_read"].as_u64(), source["rejected"].clone(), source["files_failed"].clone())
    };
    site.config(&site.standard());
    std::fs::remove_dir_all(site.path("state")).expect("the state goes");
    assert_eq!(read(&first), read(&site.once(DATE, 0)));
    site.config(&here);
    site.once(DATE, 0);
    assert_eq!(read(&site.once(DATE, 0)).1, serde_json::json!({}), "the second time the state is there");

    for state in [".", "./archive/.."] {
        site.config(&here.replace("./state", state));
        let said = site.run(&["validate"]).exits(2).stderr;
        assert!(said.contains("the state is in this directory, too") && said.contains("state: ./state"), "{said}");
    }
}

#[test]
fn an_empty_archive_is_no_fault() {
    let site = Site::new();
    let summary = site.once(DATE, 0);
    assert_eq!(summary["sources"]["product"]["calls_read"], 0);
    assert_eq!(site.run(&["accounts", "--format", "json"]).exits(0).json(), serde_json::json!([]));
    site.run(&["accounts"]).exits(0);
    assert_eq!(site.vendors.hubspot.state()["companies"], serde_json::json!([]));
    assert_eq!(site.requests()[1..], [0, 0]);
    let unknown = site.run(&["explain", "acme"]).exits(1);
    assert!(unknown.stderr.contains("vitalsync accounts"), "{}", unknown.stderr);
}

#[test]
fn a_missing_archive_syncs_nothing_and_says_what_to_do() {
    let site = Site::with_story();
    site.once(DATE, 0);
    let before = site.requests();
    std::fs::rename(site.path("archive"), site.path("elsewhere")).expect("it is moved");
    let output = site.run(&["run", "--once", "--as-of", "2026-03-20"]).exits(1);
    assert!(output.all().contains("check `location`"), "{}", output.all());
    let summary = site.once("2026-03-20", 1);
    assert!(summary["sources"]["product"]["failed"].as_str().is_some_and(|why| why.contains("location")), "{summary}");
    assert_eq!(summary["destinations"], serde_json::json!({}));
    assert_eq!(site.requests(), before);
    // Back again, it goes on where it was.
    std::fs::rename(site.path("elsewhere"), site.path("archive")).expect("it is moved");
    assert_eq!(site.once(DATE, 0)["sources"]["product"]["calls_read"], 0);
    assert_eq!(site.requests(), before);
}

/// A run that is asked to end in the middle of a file goes on there the next time.
#[test]
fn a_run_that_is_stopped_while_it_reads_loses_nothing() {
    let lines: Vec<String> = (0..40_000)
        .map(|n| shared(&format!("{n}")).replace("Report Shared", &format!("Opened {}", "x".repeat(500))))
        .collect();
    let bytes = lines.join("\n") + "\n";
    let mut cut_once = false;
    for attempt in 0..6 {
        let site = Site::new();
        site.archive_bytes("large.ndjson", bytes.as_bytes());
        let mut daemon = site.daemon(DATE, "daemon.log");
        // Later each time, so that one of them hits the middle on any machine.
        super::site::within(std::time::Duration::from_millis(100 * attempt), || false);
        daemon.signal("TERM");
        assert_eq!(daemon.ends_within(std::time::Duration::from_secs(10)), Some(0), "{}", daemon.logged());
        let second = site.run(&["run", "--once", "--format", "json", "--as-of", DATE]).json();
        let rest = second["sources"]["product"]["calls_read"].as_u64().expect("a number");
        let log = daemon.logged();
        let first = log.split("calls_read=").nth(1).and_then(|text| text.split(' ').next());
        let first: u64 = first.and_then(|text| text.parse().ok()).unwrap_or(0);
        assert_eq!(first + rest, 40_000, "read before the signal: {first}, after it: {rest}\n{log}");
        cut_once |= first > 0 && rest > 0;
        if cut_once || first == 40_000 {
            break;
        }
    }
    assert!(cut_once, "no attempt was stopped in the middle; this test tested nothing");
}

/// Writes beyond a megabyte fail, as they do on a full disk; the next run with space goes on.
#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let site = Site::new();
    let config = site.standard();
    site.config(config.split("destinations:").next().expect("the config without tools"));
    let calls = |from: u32, to: u32| -> Vec<String> {
        (from..to)
            .map(|n| track(&format!("m{n}"), "acme", &format!("somebody-{n:030}"), "Report Shared", DATE))
            .collect()
    };
    site.archive("a.ndjson", &calls(0, 100));
    site.once(DATE, 0);
    site.archive("b.ndjson", &calls(100, 30_000));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" run --once --as-of 2026-03-10"]);
    let inner = site.command(&[]);
    command.arg(inner.get_program()).current_dir(site.path("")).env(super::site::TOKEN_NAME, super::site::TOKEN);
    let output = site.run_command(command).exits(1);
    assert!(output.stderr.contains("free some space"), "{}", output.all());
    site.once(DATE, 0);
    assert_eq!(counted(&site, "acme"), 30_000);
}

/// Commands that look read what is new, too, and are asked about any day.
#[test]
fn what_was_rejected_stays_in_the_status_until_something_more_is_read() {
    let site = Site::with_story();
    let broken = |count: usize| vec!["{".to_owned(); count];
    site.archive("broken.ndjson", &broken(30));
    site.archive_bytes("damaged.ndjson.gz", b"\x1f\x8b and no more");
    site.once(DATE, 3);
    let status = || site.run(&["status", "--format", "json"]).exits(0).json()["sources"]["product"].clone();
    let read = |status: &Json| Timestamp::parse(status["last_run"].as_str().expect("a time")).expect("a time");
    let first = status();
    assert_eq!(first["last"]["rejected"]["bad_json"], 30, "{first}");
    let mut before = read(&first);
    let questions: [&[&str]; 8] = [
        &["accounts"],
        &["users"],
        &["events"],
        &["portfolio"],
        &["plan"],
        &["explain", "acme"],
        &["match"],
        &["backtest"],
    ];
    for question in questions {
        site.run(&[question, &["--as-of", "2026-01-01"]].concat());
        let now = status();
        assert_eq!((&now["last"], &now["brought_at"]), (&first["last"], &first["brought_at"]), "{question:?}");
        assert!(read(&now) > before, "{question:?}: a question's as-of is no time of reading: {now}");
        before = read(&now);
    }
    let said = site.run(&["status"]).exits(0).stdout;
    let lines =
        ["rejected: 30 bad_json", "not counted: broken.ndjson:3: bad_json", "… and 27 more", "nothing new since"];
    lines.iter().for_each(|line| assert!(said.contains(line), "{line} is not in {said}"));

    // What a question reads stands there like what a run reads.
    site.archive("more.ndjson", &broken(7));
    site.run(&["accounts", "--as-of", "2026-01-01"]).exits(0);
    let more = status();
    assert_eq!(more["last"]["rejected"]["bad_json"], 7, "{more}");
    assert_eq!(more["brought_at"], more["last_run"], "{more}");

    // That a source can't be read is said beside what it brought last.
    std::fs::rename(site.path("archive"), site.path("elsewhere")).expect("it is moved");
    let said = site.run(&["run", "--once", "--as-of", DATE]).exits(1).stdout;
    assert!(said.contains("FAILED"), "{said}");
    let said = site.run(&["status"]).exits(0).stdout;
    assert!(said.contains("FAILED") && said.contains("rejected: 7 bad_json"), "{said}");
    std::fs::rename(site.path("elsewhere"), site.path("archive")).expect("it is back");
    site.run(&["accounts"]).exits(0);
    assert_eq!(status()["last"], more["last"]);
}

#[test]
fn a_state_that_cannot_be_a_directory_is_said() {
    let site = Site::new();
    site.config(&site.standard().replace("./state", "./vitalsync.yaml"));
    let output = site.run(&["run", "--once"]).exits(2);
    assert!(output.stderr.contains("vitalsync.yaml is a file") && output.stderr.contains("state"), "{}", output.all());
}

#[test]
fn lines_that_are_not_counted_are_told_by_reason() {
    let site = Site::new();
    let lines = [vec!["{".to_owned(); 5], vec![shared("1").replace("track", "tracks"); 2], vec![shared("2")]].concat();
    site.archive("a.ndjson", &lines);
    let arguments = ["run", "--once", "--as-of", DATE];
    let said = site.run(&arguments).exits(0).stdout;
    for line in ["7 rejected\n", "  rejected: 5 bad_json\n", "  rejected: 2 unknown_type\n", "  … and 2 more\n"] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(!site.run(&arguments).exits(0).stdout.contains("rejected:"), "nothing new");
}

#[test]
fn an_account_is_explained_on_one_page() {
    let site = Site::with_story();
    site.once("2026-03-17", 0);
    let shown = site.run(&["explain", "acme", "--as-of", "2026-03-17"]).exits(0).stdout;
    let (page, told) = shown.split_once("told crm").expect("what tools were told");
    assert_eq!(page, include_str!("explain.txt"));
    // Ids are the vendor's.
    assert!(told.starts_with(" company/acme (its id "), "{told}");
    assert!(told.contains("    vitalsync_health_band: at_risk\n    vitalsync_health_score: 1\n"), "{told}");
}
