//! A place to run the program in: a directory with config, archive and state, and a sandbox of the three vendors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// The token of the sandbox, here the secret that must never be seen.
pub const TOKEN: &str = "sandbox-token";
/// The variable that the configs take it from.
pub const TOKEN_NAME: &str = "VITALSYNC_TEST_TOKEN";
/// Longer than anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a finished command left.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Requires an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in {}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// Everything that a person can see of it.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// A process that ends with the test.
pub struct Process {
    child: Child,
    /// Where its standard error goes.
    pub log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log");
        let out = file.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(file).spawn().expect("the program starts");
        Self { child, log }
    }

    /// What it logged and printed so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "SIG{name} was not sent");
    }

    /// Waits for its end; its exit code, `None` for a signal.
    #[track_caller]
    pub fn ends_within(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        let ended = within(limit, || {
            status = self.child.try_wait().expect("the process can be asked");
            status.is_some()
        });
        assert!(ended, "it still runs after {limit:?}; it logged:\n{}", self.logged());
        status.and_then(|status| status.code())
    }

    /// Waits until its log has a text.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        let seen = within(LIMIT, || self.logged().contains(text));
        assert!(seen, "`{text}` was not logged, but:\n{}", self.logged());
    }
}

/// True as soon as a condition holds, false if it does not within the limit.
#[expect(clippy::disallowed_methods, reason = "a test polls a condition of another process, with a limit")]
pub fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a condition.
#[track_caller]
pub fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    assert!(within(LIMIT, condition), "{what} did not happen within {LIMIT:?}");
}

/// One vendor of the sandbox.
pub struct Vendor {
    /// Scheme, host and port.
    pub base_url: String,
}

impl Vendor {
    fn call(&self, method: &str, path: &str, body: &Json) -> Json {
        let address = self.base_url.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("the sandbox answers");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        write!(stream, "{head}\r\n\r\n{body}").expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer is read");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        if body.is_empty() { Json::Null } else { serde_json::from_str(body).expect("JSON") }
    }

    /// What somebody else does in the vendor's own API.
    pub fn api(&self, method: &str, path: &str, body: &Json) -> Json {
        self.call(method, path, body)
    }

    /// Everything it holds.
    pub fn state(&self) -> Json {
        self.call("GET", "/_sandbox/state", &Json::Null)
    }

    /// Every request so far as `METHOD /path status`.
    pub fn journal(&self) -> Vec<String> {
        let entries = self.call("GET", "/_sandbox/journal", &Json::Null);
        let line = |entry: &Json| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("method"), text("path"), entry["status"])
        };
        entries.as_array().expect("a list").iter().map(line).collect()
    }

    pub fn seed(&self, things: &Json) {
        self.call("POST", "/_sandbox/seed", things);
    }

    pub fn faults(&self, faults: &Json) {
        self.call("POST", "/_sandbox/faults", faults);
    }

    pub fn forget_faults(&self) {
        self.call("DELETE", "/_sandbox/faults", &Json::Null);
    }
}

/// The three vendors and a receiver of webhooks, in a process of their own.
pub struct Sandbox {
    child: Child,
    pub hubspot: Vendor,
    pub intercom: Vendor,
    pub slack: Vendor,
    pub webhook: Vendor,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sandbox {
    fn start() -> Self {
        let mut child = program()
            .args(["sandbox", "--format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut text = String::new();
        let told: Json = loop {
            assert!(out.read_line(&mut text).expect("its output reads") > 0, "the sandbox ended: {text}");
            if let Ok(told) = serde_json::from_str(&text) {
                break told;
            }
        };
        assert_eq!(told["token"], TOKEN);
        let vendor = |name: &str| Vendor { base_url: told["base_url"][name].as_str().expect("an address").to_owned() };
        let [hubspot, intercom, slack, webhook] = ["hubspot", "intercom", "slack", "webhook"].map(vendor);
        Self { child, hubspot, intercom, slack, webhook }
    }
}

impl Sandbox {
    /// Every vendor is well again.
    pub fn forget_faults(&self) {
        for vendor in [&self.hubspot, &self.intercom, &self.slack, &self.webhook] {
            vendor.forget_faults();
        }
    }
}

/// The program, with nothing of the environment that would change what it does.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitalsync"));
    command.env_remove("VITALSYNC_LOG").env(TOKEN_NAME, TOKEN);
    command
}

/// A directory with a config and an archive, and vendors to tell.
pub struct Site {
    dir: tempfile::TempDir,
    pub vendors: Sandbox,
}

impl Site {
    /// With the standard config, everything live, and an empty archive.
    pub fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().expect("a directory"), vendors: Sandbox::start() };
        std::fs::create_dir(site.path("archive")).expect("an archive");
        site.config(&site.standard());
        site
    }

    /// With two accounts that are used alike: Acme stops after March 10, Beta never does. Both are known to the vendors.
    pub fn with_story() -> Self {
        let site = Self::new();
        site.archive("acme.ndjson", &story("acme", "u1", 10));
        site.archive("beta.ndjson", &story("beta", "u2", 31));
        site.seed();
        site
    }

    /// The vendors know both accounts.
    pub fn seed(&self) {
        let companies = ["acme", "beta"].map(|name| json!({"name": name, "domain": format!("{name}.example")}));
        self.vendors.hubspot.seed(&json!({ "companies": companies }));
        let contacts = ["u1", "u2"].map(|user| json!({"external_id": user, "email": format!("{user}@people.example")}));
        self.vendors.intercom.seed(&json!({ "contacts": contacts }));
        self.vendors.slack.seed(&json!({"channels": ["cs-alerts"]}));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the config.
    pub fn config(&self, text: &str) {
        std::fs::write(self.path("vitalsync.yaml"), text).expect("the config is written");
    }

    /// All three vendors, writing.
    pub fn standard(&self) -> String {
        STANDARD
            .replace("HUBSPOT", &self.vendors.hubspot.base_url)
            .replace("INTERCOM", &self.vendors.intercom.base_url)
            .replace("SLACK", &self.vendors.slack.base_url)
    }

    /// Writes a file of the archive, a line each.
    pub fn archive(&self, name: &str, lines: &[String]) {
        self.archive_bytes(name, (lines.join("\n") + "\n").as_bytes());
    }

    pub fn archive_bytes(&self, name: &str, bytes: &[u8]) {
        write(&self.path("archive").join(name), bytes);
    }

    /// The program in this directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_command(self.command(arguments))
    }

    /// Runs a prepared command to its end.
    pub fn run_command(&self, mut command: Command) -> Output {
        let done = command.stdin(Stdio::null()).output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Output { code: done.status.code(), stdout: text(done.stdout), stderr: text(done.stderr) }
    }

    /// `run --once` as of a date, its summary as JSON, with a required exit code.
    #[track_caller]
    pub fn once(&self, as_of: &str, code: i32) -> Json {
        self.run(&["run", "--once", "--format", "json", "--as-of", as_of]).exits(code).json()
    }

    /// Starts it and lets it run. Its log is the file of that name.
    pub fn start(&self, arguments: &[&str], log: &str) -> Process {
        self.start_command(self.command(arguments), log)
    }

    /// Starts a prepared command and lets it run.
    pub fn start_command(&self, command: Command, log: &str) -> Process {
        Process::start(command, self.path(log))
    }

    /// A daemon as of a date, that answers.
    pub fn daemon(&self, as_of: &str, log: &str) -> Process {
        let daemon = self.start(&["run", "--as-of", as_of], log);
        daemon.logs("running");
        daemon
    }

    /// How many requests each vendor had: HubSpot, Intercom, Slack.
    pub fn requests(&self) -> [usize; 3] {
        [&self.vendors.hubspot, &self.vendors.intercom, &self.vendors.slack].map(|vendor| vendor.journal().len())
    }

    /// A property of a company in HubSpot, by the company's name.
    pub fn company(&self, name: &str, property: &str) -> Option<String> {
        let state = self.vendors.hubspot.state();
        let found = state["companies"].as_array()?.iter().find(|one| one["properties"]["name"] == name)?.clone();
        found["properties"][property].as_str().map(str::to_owned)
    }

    /// The tags of a contact in Intercom, by its external id.
    pub fn tags(&self, user: &str) -> Vec<String> {
        let state = self.vendors.intercom.state();
        let contacts = state["contacts"].as_array().cloned().unwrap_or_default();
        let found = contacts.iter().find(|one| one["external_id"] == user).expect("the contact");
        let tags = found["tags"].as_array().cloned().unwrap_or_default();
        tags.iter().filter_map(|tag| tag.as_str().or_else(|| tag["name"].as_str()).map(str::to_owned)).collect()
    }

    /// The texts of all messages in Slack.
    pub fn messages(&self) -> Vec<String> {
        let state = self.vendors.slack.state();
        let messages = state["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Writes a file with its folders.
pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    std::fs::write(path, bytes).expect("the file is written");
}

/// A track call at noon (UTC) of a day, with an id of its own.
pub fn track(id: &str, account: &str, user: &str, event: &str, day: &str) -> String {
    json!({"type": "track", "messageId": id, "userId": user, "event": event, "context": {"groupId": account},
        "timestamp": format!("{day}T12:00:00.000Z"), "receivedAt": format!("{day}T12:00:01.000Z")})
    .to_string()
}

/// An account with one user: who they are, then two reports a day from February 1 to that day of March 2026.
pub fn story(account: &str, user: &str, last: u32) -> Vec<String> {
    let begin = "2026-02-01T08:00:00.000Z";
    let mut lines = vec![
        json!({"type": "group", "messageId": format!("{account}-g"), "userId": user, "groupId": account,
            "traits": {"name": account, "domain": format!("{account}.example")}, "timestamp": begin, "receivedAt": begin})
        .to_string(),
        json!({"type": "identify", "messageId": format!("{account}-i"), "userId": user,
            "traits": {"email": format!("{user}@people.example")}, "context": {"groupId": account},
            "timestamp": begin, "receivedAt": begin})
        .to_string(),
    ];
    let days = (1..=28).map(|day| format!("2026-02-{day:02}")).chain((1..=last).map(|day| format!("2026-03-{day:02}")));
    for day in days {
        for n in 0..2 {
            lines.push(track(&format!("{account}-{day}-{n}"), account, user, "Report Shared", &day));
        }
    }
    lines
}

/// One event a day is half a score; the bands change at once.
const STANDARD: &str = r##"version: 1
timezone: UTC
state: ./state

sources:
  product:
    type: segment_archive
    location: ./archive
    schedule: "* * * * *"

accounts:
  id: [context.groupId]
  name: traits.name

profiles:
  - name: customer
    window: 7d
    hold: off
    benchmark: { fixed: 14 }
    events:
      Report Shared: 1

activation:
  steps:
    shared: Report Shared
    invited: Teammate Invited

destinations:
  crm:
    type: hubspot
    mode: live
    base_url: HUBSPOT
    token: "${VITALSYNC_TEST_TOKEN}"
    schedule: "* * * * *"
    companies:
      match:
        - property: vitalsync_account_id
        - domain: traits.domain
      properties:
        vitalsync_health_score: health.score
        vitalsync_health_band: health.band
  desk:
    type: intercom
    mode: live
    base_url: INTERCOM
    token: "${VITALSYNC_TEST_TOKEN}"
    schedule: "* * * * *"
    contacts:
      match: [ external_id: user.id ]
      attributes:
        account_health: account.health.score
      tag_groups:
        health:
          "Health: at risk": account.health.band == "at_risk"
          "Health: healthy": account.health.band == "healthy"
  team:
    type: slack
    mode: live
    base_url: SLACK
    token: "${VITALSYNC_TEST_TOKEN}"
    schedule: "* * * * *"
    alerts:
      score_drop: { drop: 15, within: 7d, to: "#cs-alerts", cooldown: 3d }
"##;

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
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A moment within a time, and a bit beyond.
    pub fn moment(&mut self, of: Duration) -> Duration {
        of.mul_f64((self.next() % 1100) as f64 / 1000.0)
    }
}
