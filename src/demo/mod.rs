//! The demo: vendors on loopback, a company base with a story, the whole chain, nothing to set up.
//!
//! It is the real thing with invented customers: the same config language, the same passes, the same requests. A first pass is
//! made as of eight days ago, so that the tools know how things stood; the second, as of now, shows what a week did.

pub mod serve;
pub mod story;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;

use serde::Serialize;
use tokio::net::TcpListener;
use vitalsync_core::Timestamp;
use vitalsync_core::time::DAY_MS;
use vitalsync_sandbox::{Sandbox, Vendor};

use self::serve::Served;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::report::RunReport;
use crate::scratch::Scratch;
use crate::tick::Engine;
use crate::{app, web};

/// The token of the sandbox vendors.
const TOKEN: &str = "demo-token";

/// A demo that runs.
pub struct Demo {
    dir: Scratch,
    hubspot: Served,
    intercom: Served,
    slack: Served,
    engine: Engine,
    now: Timestamp,
}

/// The two passes.
#[derive(Debug, Serialize)]
pub struct Passes {
    /// As of eight days ago.
    pub a_week_ago: RunReport,
    /// As of now.
    pub now: RunReport,
    /// Where to look.
    pub addresses: BTreeMap<&'static str, String>,
}

fn config(hubspot: &Served, intercom: &Served, slack: &Served) -> String {
    include_str!("vitalsync.yaml")
        .replace("HUBSPOT_URL", &hubspot.base_url())
        .replace("INTERCOM_URL", &intercom.base_url())
        .replace("SLACK_URL", &slack.base_url())
}

async fn vendor(vendor: Vendor) -> std::io::Result<Served> {
    serve::serve(TcpListener::bind("127.0.0.1:0").await?, Sandbox::new(vendor, TOKEN))
}

impl Demo {
    /// Writes the archive, starts the vendors, opens a state; all of it in a temporary directory and on loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let now = clock::system();
        let dir = Scratch::new("demo");
        let today = vitalsync_core::Calendar::default().day(now);
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (day, line) in story::lines(today) {
            let file = files.entry(day.to_string()).or_default();
            file.push_str(&line);
            file.push('\n');
        }
        for (day, lines) in files {
            let folder = dir.path().join("segment-logs").join(day);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("calls.ndjson"), lines)?;
        }
        let (hubspot, intercom, slack) =
            (vendor(Vendor::HubSpot).await?, vendor(Vendor::Intercom).await?, vendor(Vendor::Slack).await?);
        for company in story::companies() {
            hubspot.vendor().seed_company(&[("name", &company.name), ("domain", &company.domain)]);
        }
        for person in story::people() {
            intercom.vendor().seed_contact(&person.user_id, &person.email, &person.name);
        }
        slack.vendor().add_channel("cs-alerts");
        let text = config(&hubspot, &intercom, &slack);
        let file = dir.path().join("vitalsync.yaml");
        std::fs::write(&file, &text)?;
        let config = Config::parse(&text, &file, &|name| (name == "DEMO_TOKEN").then(|| TOKEN.to_owned()))?;
        let engine = Engine::open(config, Clock::System)?;
        Ok(Self { dir, hubspot, intercom, slack, engine, now })
    }

    /// The two passes.
    pub async fn passes(&self) -> anyhow::Result<Passes> {
        let a_week_ago = self.engine.run_once(self.now.plus_ms(-8 * DAY_MS)).await?;
        let now = self.engine.run_once(self.now).await?;
        let addresses = BTreeMap::from([
            ("hubspot", self.hubspot.base_url()),
            ("intercom", self.intercom.base_url()),
            ("slack", self.slack.base_url()),
        ]);
        Ok(Passes { a_week_ago, now, addresses })
    }

    /// What the vendors hold now, for people.
    pub fn told(&self, passes: &Passes) -> String {
        let mut out = String::from(
            "vitalsync demo: invented customers, real chain; every vendor below is a sandbox on this machine\n\n",
        );
        let read: u64 = passes.a_week_ago.sources.values().map(|source| source.events_counted).sum();
        let _ = writeln!(
            out,
            "read {read} events; measured {} accounts as of eight days ago, then as of now\n",
            passes.now.accounts
        );
        let calls =
            |run: &RunReport, name: &str| run.destinations.get(name).map_or(0, |report| report.delivered.sent_calls);
        let totals = |name: &str| {
            format!(
                "{} calls for the first sync, {} for the week since",
                calls(&passes.a_week_ago, name),
                calls(&passes.now, name)
            )
        };

        let _ = writeln!(out, "HubSpot companies at {} ({})", self.hubspot.base_url(), totals("crm"));
        for company in self.hubspot.vendor().companies() {
            let get = |name: &str| company.properties.get(name).map_or("–", String::as_str);
            if company.properties.contains_key("vitalsync_health_score") {
                let _ = writeln!(
                    out,
                    "  {:<28} health {:>3} {:<8} activation {:>3} %  last active {}  {}",
                    get("name"),
                    get("vitalsync_health_score"),
                    get("vitalsync_health_band"),
                    get("vitalsync_activation"),
                    get("vitalsync_last_active"),
                    get("vitalsync_why")
                );
            }
        }
        let _ = writeln!(out, "\nIntercom contacts at {} ({})", self.intercom.base_url(), totals("desk"));
        let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for contact in self.intercom.vendor().contacts() {
            for tag in contact.tags {
                tags.entry(tag).or_default().push(contact.name.clone());
            }
        }
        for (tag, names) in &tags {
            let _ = writeln!(
                out,
                "  tag \"{tag}\": {} contacts: {} …",
                names.len(),
                names.iter().take(4).cloned().collect::<Vec<_>>().join(", ")
            );
        }
        let _ = writeln!(out, "\nSlack #cs-alerts at {} ({})", self.slack.base_url(), totals("team"));
        for message in self.slack.vendor().messages() {
            for line in message.text.lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        for (name, report) in &passes.now.destinations {
            if report.quarantined > 0 {
                let _ = writeln!(
                    out,
                    "\n{name}: {} refused and kept with the reason, as a real CRM would have it:",
                    report.quarantined
                );
                for entry in self.engine.store.quarantine(name).unwrap_or_default() {
                    let _ = writeln!(out, "  {}: {}", entry.slot, entry.why);
                }
            }
        }
        out
    }

    /// Where to look, and how to ask the daemon.
    pub fn addresses(&self) -> String {
        format!(
            "the daemon runs now; look at\n  HubSpot   {}\n  Intercom  {}\n  Slack     {}\nask it from another terminal, with DEMO_TOKEN={TOKEN} in the environment:\n  vitalsync accounts --config {}\nCtrl-C ends it and removes everything",
            self.hubspot.base_url(),
            self.intercom.base_url(),
            self.slack.base_url(),
            self.dir.path().join("vitalsync.yaml").display()
        )
    }

    /// The daemon over the same state, until `shutdown`.
    pub async fn serve(self, shutdown: impl Future<Output = std::io::Result<()>>) -> anyhow::Result<()> {
        let listener = web::listen(&self.engine.config.state)?;
        let Self { dir, hubspot, intercom, slack, engine, .. } = self;
        let ended = async {
            let _ = shutdown.await;
        };
        app::serve(engine, listener, ended).await?;
        drop((hubspot, intercom, slack, dir));
        Ok(())
    }
}
