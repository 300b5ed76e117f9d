//! What an enemy could put into an archive: everything good beside it is counted, everything else is counted by its reason, and
//! memory stays bounded. The peak is what the kernel says of the process (VmHWM) as long as it lives.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};

use super::site::{program, track, within, write};

const DATE: &str = "2026-03-31";
/// More than this no archive may take, in a build without optimisation too.
const MEMORY_MB: u64 = 350;

const CONFIG: &str = "sources: { product: { type: segment_archive, location: ./archive } }
profiles: [ { name: all, window: 40d, hold: off, benchmark: { fixed: 100 }, events: { Core: 1 } } ]
";

struct Victim {
    dir: tempfile::TempDir,
}

impl Victim {
    fn new() -> Self {
        let victim = Self { dir: tempfile::tempdir().expect("a directory") };
        write(&victim.path("vitalsync.yaml"), CONFIG.as_bytes());
        std::fs::create_dir(victim.path("archive")).expect("an archive");
        victim
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn archive(&self, name: &str, bytes: &[u8]) {
        write(&self.path("archive").join(name), bytes);
    }

    /// Runs it within the memory it may have; what it prints.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let mut command = program();
        command.current_dir(self.dir.path()).args(arguments).stdin(Stdio::null());
        let out = std::fs::File::create(self.path("out")).expect("a file");
        let log = std::fs::File::create(self.path("log")).expect("a file");
        let mut child = command.stdout(out).stderr(log).spawn().expect("it starts");
        let status = format!("/proc/{}/status", child.id());
        let (mut peak, mut ended) = (0, None);
        within(Duration::from_secs(100), || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak = peak.max(line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0));
            ended = child.try_wait().expect("it can be asked");
            ended.is_some()
        });
        let _ = child.kill();
        let (out, log) = (std::fs::read_to_string(self.path("out")), std::fs::read_to_string(self.path("log")));
        let (out, log) = (out.expect("UTF-8"), log.expect("UTF-8"));
        assert_eq!(ended.and_then(|status| status.code()), Some(code), "{out}\n{log}");
        println!("{arguments:?}: peak {} MB", peak >> 10);
        assert!(peak >> 10 < MEMORY_MB, "it took {} MB", peak >> 10);
        out
    }

    /// One pass: what it says of the source.
    #[track_caller]
    fn once(&self, code: i32) -> Json {
        let out = self.run(&["run", "--once", "--format", "json", "--as-of", DATE], code);
        serde_json::from_str::<Json>(&out).expect("JSON")["sources"]["product"].clone()
    }

    fn raw(&self, account: &str) -> Option<f64> {
        let out = self.run(&["accounts", "--format", "json", "--as-of", DATE], 0);
        let accounts: Json = serde_json::from_str(&out).expect("JSON");
        let mut accounts = accounts.as_array().expect("a list").iter();
        accounts.find(|one| one["account"] == account)?["health"]["raw"].as_f64()
    }
}

fn good(id: &str) -> String {
    track(id, "acme", "u1", "Core", "2026-03-10")
}

fn gzip(level: u32, fill: impl FnOnce(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    fill(&mut encoder);
    encoder.finish().expect("gzip")
}

#[test]
fn lines_that_are_none_are_counted_by_reason_and_the_good_ones_beside_them() {
    let victim = Victim::new();
    let with = |id: &str, rest: &str| format!("{},{rest}}}", good(id).strip_suffix('}').expect("an object"));
    let mut file: Vec<u8> = b"\xef\xbb\xbf".to_vec();
    let mut rejected = 0;
    let mut put = |good: bool, line: &[u8]| {
        rejected += u64::from(!good);
        file.extend_from_slice(line);
        file.extend_from_slice(if good { b"\r\n" } else { b"\n" });
    };
    put(true, good("1").as_bytes());
    put(false, &vec![b'x'; 100 << 20]);
    put(true, good("2").as_bytes());
    put(false, "[".repeat(100_000).as_bytes());
    put(false, format!("{{\"a\":{}", "{\"a\":".repeat(100_000)).as_bytes());
    // Depth is no fault where nobody looks.
    put(true, with("3", &format!("\"deep\":{}{}", "[".repeat(100_000), "]".repeat(100_000))).as_bytes());
    put(false, with("4", "\"text\":\"\u{1}\"").replace('\u{1}', "\0").as_bytes());
    put(false, &[good("5").as_bytes(), b"\xff\xfe"].concat());
    put(false, &[b"\0".as_slice(), good("6").as_bytes()].concat());
    // Good, however odd: the last of a repeated key counts.
    put(true, with("7", "\"messageId\":\"7b\",\"type\":\"page\",\"type\":\"track\"").as_bytes());
    put(true, with("8", "\"n\":12345678901234567890123456789012345678901234567890").as_bytes());
    put(true, with("9", &format!("\"properties\":{{\"n\":{}}}", "9".repeat(10_000))).as_bytes());
    put(true, with("10", "\"properties\":{\"n\":1e400000,\"m\":-0.0e-400000}").as_bytes());
    put(true, with("11", "\"properties\":{\"t\":\"\\ud800\"}").as_bytes());
    victim.archive("a.ndjson", &file);
    let source = victim.once(0);
    assert_eq!(source["rejected"], json!({"too_long": 1, "bad_json": rejected - 1}), "{source}");
    let examples = source["examples"].to_string();
    for example in ["a.ndjson:2: too_long", "a.ndjson:4: bad_json", "a.ndjson:5: bad_json"] {
        assert!(examples.contains(example), "{example} is not in {examples}");
    }
    assert_eq!((victim.raw("acme"), &source["calls_read"]), (Some(8.0), &json!(8)), "{source}");
}

#[test]
fn one_account_with_too_many_names_fills_no_memory_and_the_report_says_so() {
    let victim = Victim::new();
    let mut lines = good("1") + "\n";
    for n in 0..5_000 {
        let _ = writeln!(lines, "{}", track(&format!("e{n}"), "noisy", "u", &format!("Event {n}"), "2026-03-10"));
    }
    for n in 0..110_000 {
        let _ = writeln!(
            lines,
            r#"{{"type":"track","messageId":"u{n}","userId":"user-{n}","event":"Core","context":{{"groupId":"noisy"}},"timestamp":"2026-03-10T12:00:00Z","receivedAt":"2026-03-10T12:00:00Z"}}"#
        );
    }
    victim.archive("a.ndjson", (lines + &good("2") + "\n").as_bytes());
    let source = victim.once(0);
    assert_eq!(source["events_counted"], 115_002, "{source}");
    assert_eq!(source["other"], json!({"event names": 3_000, "user ids": 10_001}), "{source}");
    let status = victim.run(&["status"], 0);
    for line in [
        "3000 calls are counted under `other`: too many or too long event names",
        "10001 calls are counted under `other`: too many or too long user ids",
    ] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    assert_eq!((victim.raw("acme"), victim.raw("noisy")), (Some(2.0), Some(110_000.0)));
}

#[test]
fn values_that_cannot_be_kept_are_counted_and_ids_keep_their_digits() {
    let victim = Victim::new();
    let group = |id: &str, traits: &str| {
        format!(
            r#"{{"type":"group","messageId":{id},"userId":{id},"groupId":{id},"traits":{traits},"timestamp":"2026-03-09T12:00:00Z","receivedAt":"2026-03-09T12:00:00Z"}}"#
        )
    };
    let lines = [
        group("36893488147419103231", r#"{"seats":1e400,"nested":{"n":-1e400},"name":"\ud800","plan":"pro"}"#),
        group("36893488147419103232", r#"{"crm":9007199254740993,"rate":1e3,"deep":{"n":[1e30]}}"#),
        // Its user has an account, which must not have what is done in another one.
        group("\"acme\"", "{}"),
        track("t", &"a".repeat(3_000), "acme", "Core", "2026-03-10"),
        track("t2", "acme", "acme", "Core", "2026-03-10"),
    ];
    victim.archive("a.ndjson", lines.join("\n").as_bytes());
    let source = victim.once(0);
    assert_eq!((&source["unkept"], &source["rejected"]), (&json!(3), &json!({"long_account": 1})), "{source}");
    assert!(victim.run(&["status"], 0).contains("3 values of traits were not kept: no finite number, or no text"));
    assert_eq!(victim.raw("acme"), Some(1.0));
    let told = victim.run(&["accounts", "--format", "json"], 0);
    let accounts: Vec<Json> = serde_json::from_str(&told).expect("accounts");
    let found: Vec<_> = accounts.iter().map(|account| (account["account"].as_str(), &account["traits"])).collect();
    let traits = [json!({"plan": "pro"}), json!({"crm": "9007199254740993", "rate": 1000, "deep": {"n": [1e30]}})];
    assert_eq!(found[..2], [(Some("36893488147419103231"), &traits[0]), (Some("36893488147419103232"), &traits[1])]);
}

#[test]
fn traits_without_end_fill_no_memory() {
    let victim = Victim::new();
    let group = |n: usize, traits: &str| {
        format!(
            r#"{{"type":"group","messageId":"g{n}","userId":"u","groupId":"acme","traits":{{{traits}}},"timestamp":"2026-03-10T12:00:00Z","receivedAt":"2026-03-10T12:00:00Z"}}"#
        )
    };
    let mut lines = String::new();
    // More sets of names than are kept, and sets of ten thousand names.
    for n in 0..12_000 {
        lines += &(group(n, &format!("\"t{n}\":1")) + "\n");
    }
    victim.archive("a.ndjson", (lines + &good("1") + "\n").as_bytes());
    let source = victim.once(0);
    assert_eq!(source["other"], json!({"sets of traits": 2_000}), "{source}");
    let mut large = String::new();
    for n in 0..40 {
        let traits: Vec<String> = (0..10_000).map(|key| format!("\"{n}-{key}\":{key}")).collect();
        large += &(group(20_000 + n, &traits.join(",")) + "\n");
    }
    victim.archive("b.ndjson", (large + &good("2") + "\n").as_bytes());
    let source = victim.once(0);
    assert_eq!((source["rejected"].clone(), victim.raw("acme")), (json!({}), Some(2.0)), "{source}");
}

#[test]
fn long_names_fill_no_memory() {
    let victim = Victim::new();
    let mut lines = good("1") + "\n";
    for n in 0..100 {
        let name = format!("{n}-{}", "x".repeat(900_000));
        lines += &(track(&format!("m{n}"), "noisy", &name, "Core", "2026-03-10") + "\n");
    }
    victim.archive("a.gz", &gzip(1, |out| out.write_all((lines + &good("2") + "\n").as_bytes()).expect("gzip")));
    let source = victim.once(0);
    assert_eq!(source["other"], json!({"user ids": 100}), "{source}");
    assert_eq!((victim.raw("acme"), victim.raw("noisy")), (Some(2.0), Some(100.0)));
}

#[test]
fn a_bomb_is_read_in_bounded_memory() {
    let victim = Victim::new();
    let bomb = |block: &[u8], times: usize| {
        gzip(9, |out| {
            writeln!(out, "{}", good("1")).expect("gzip");
            (0..times).for_each(|_| out.write_all(block).expect("gzip"));
            write!(out, "\n{}\n", good("2")).expect("gzip");
        })
    };
    victim.archive("zeros.gz", &bomb(&[0; 1 << 16], 4096));
    victim.archive("newlines.gz", &bomb(&[b'\n'; 1 << 16], 320));
    victim.archive("brackets.gz", &bomb(b"{}\n".repeat(1 << 12).as_slice(), 100));
    let source = victim.once(0);
    assert_eq!(source["rejected"], json!({"too_long": 1, "no_type": 409_600}), "{source}");
    assert!(source["examples"].to_string().contains("zeros.gz:2: too_long"), "{source}");
    assert_eq!(victim.raw("acme"), Some(2.0));
}

#[test]
fn a_gzip_that_is_cut_anywhere_is_read_when_it_is_whole() {
    let victim = Victim::new();
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|file| {
            let lines: String = (0..60).map(|n| good(&format!("{file}-{:x}", n * 7_919_993_u64)) + "\n").collect();
            let half = lines.len() / 2 + file;
            let members = [&lines[..half], &lines[half..]]
                .map(|part| gzip(6, |out| out.write_all(part.as_bytes()).expect("gzip")));
            (format!("{file}.gz"), members.concat())
        })
        .collect();
    let grow = |of: fn(usize, usize) -> usize| {
        for (place, (name, bytes)) in files.iter().enumerate() {
            victim.archive(name, &bytes[..of(place, bytes.len()).min(bytes.len())]);
        }
    };
    grow(|place, length| length * place / 40);
    let cut = victim.once(3);
    assert!(cut["rejected"]["truncated_gzip"].as_u64().is_some_and(|count| count >= 30), "{cut}");
    grow(|place, length| length * (place + 3) / 40);
    victim.once(3);
    grow(|_, length| length);
    let whole = victim.once(0);
    assert_eq!((&whole["rejected"], victim.raw("acme")), (&json!({}), Some(2400.0)), "{whole}");
    // What is no gzip behind a member: said, and what was before it counts.
    let garbage = [gzip(6, |out| writeln!(out, "{}", good("g")).expect("gzip")), b"garbage".repeat(99)].concat();
    victim.archive("garbage.gz", &garbage);
    let source = victim.once(3);
    assert_eq!((&source["rejected"], victim.raw("acme")), (&json!({"damaged_gzip": 1}), Some(2401.0)), "{source}");
    assert!(source["examples"].to_string().contains("garbage.gz"), "{source}");
}

#[test]
fn things_that_are_no_files_disturb_nothing() {
    let victim = Victim::new();
    victim.archive("directory.gz/inner.ndjson", (good("1") + "\n").as_bytes());
    victim.archive("empty.ndjson", b"");
    victim.archive("empty.gz", b"");
    victim.archive("one.gz", b"\x1f");
    victim.archive("nothing.gz", &gzip(6, |_| {}));
    victim.archive("no break.ndjson", good("2").as_bytes());
    std::os::unix::fs::symlink("nowhere", victim.path("archive/dangling.ndjson")).expect("a link");
    std::os::unix::fs::symlink("loop.ndjson", victim.path("archive/loop.ndjson")).expect("a link");
    let source = victim.once(0);
    assert_eq!((source["events_counted"].clone(), victim.raw("acme")), (json!(2), Some(2.0)), "{source}");
    assert_eq!(source["rejected"], json!({"incomplete_line": 1}), "of one.gz: {source}");
}

#[test]
fn clocks_that_are_a_century_off_forget_nothing_and_recount_nothing() {
    let victim = Victim::new();
    let at = |id: &str, timestamp: &str, received: &str| {
        format!(
            r#"{{"type":"track","messageId":"{id}","userId":"u1","event":"Core","context":{{"groupId":"acme"}},"timestamp":"{timestamp}-03-10T12:00:00Z","receivedAt":"{received}-03-10T12:00:01Z"}}"#
        )
    };
    let lines = [
        good("1"),
        at("2", "1926", "2026"),
        at("3", "2126", "2026"),
        at("4", "2026", "2099"),
        at("5", "2001", "2001"),
        at("6", "2026", "2126"),
        good("7"),
    ];
    victim.archive("a.ndjson", (lines.join("\n") + "\n").as_bytes());
    let source = victim.once(0);
    assert_eq!(source["rejected"], json!({"absurd_time": 3}), "{source}");
    assert_eq!(victim.raw("acme"), Some(3.0));
    for turn in 0..3 {
        // The same again under another name: all of it is known.
        victim.archive(&format!("again-{turn}.ndjson"), (lines.join("\n") + "\n").as_bytes());
        let source = victim.once(0);
        assert_eq!(source["events_counted"], 0, "{turn}: {source}");
        assert_eq!(victim.raw("acme"), Some(3.0), "{turn}");
        let source = victim.once(0);
        assert_eq!((&source["calls_read"], &source["days_recounted"]), (&json!(0), &json!(0)), "{turn}: {source}");
    }
}
